//! Who comes to the shop: buyers who click twice, give up, begin anew and come back late; PayPal's
//! messages; and the nodes that serve them.

use std::collections::BTreeMap;

use bson::oid::ObjectId;

use super::{
    Simulated,
    database::{CartLine, nowhere},
    machine::{Link, Millis, State},
};
use crate::{
    checkout::{
        error::CheckoutError,
        model::{CheckoutStatus, SeenCart},
        place::{Checkouting, Wish},
        ports::CheckoutStore,
        returns::ReturnState,
        settle::{Settled, Settlement},
    },
    config::{CheckoutConfig, StoreConfig},
    id::{CartId, CheckoutId, LineId, OrderId, UserId, VariantId},
    money::{Currency, Money},
    payments::{Hint, HintSink, Payments},
};

/// How long units are held, in seconds; shorter than in a shop, as everything here.
const RESERVATION: u32 = 120;
/// Seconds between sweeps, as by default.
const SWEEP_EVERY: u32 = 15;
/// How often a message is followed again before it is left to PayPal.
const FOLLOWED: u32 = 20;

/// One buyer, with one cart.
#[derive(Debug, Clone)]
struct Buyer {
    user: UserId,
    /// Every checkout begun, the newest last.
    begun: Vec<CheckoutId>,
}

/// All buyers, and what they were told.
#[derive(Debug, Default)]
pub(super) struct Buyers {
    all: Vec<Buyer>,
    ids: u64,
    /// What buyers have put into their carts, ever.
    pub(super) filled: BTreeMap<LineId, u32>,
    /// Orders that a buyer was told of.
    pub(super) told: Vec<OrderId>,
    /// Captures that PayPal has decided about, and will tell of until it is heard.
    decided: Vec<usize>,
    /// Whether nobody acts any more.
    pub(super) gone: bool,
}

impl Buyers {
    /// Who a buyer is.
    pub(super) fn user(&self, buyer: usize) -> UserId {
        self.all[buyer].user
    }
}

/// The id of the `n`th thing of a kind.
pub(super) fn id_of(kind: u32, n: u64) -> ObjectId {
    let mut bytes = [0; 12];
    bytes[..4].copy_from_slice(&kind.to_be_bytes());
    bytes[4..].copy_from_slice(&n.to_be_bytes());
    ObjectId::from_bytes(bytes)
}

/// The `n`th variant.
pub(super) fn variant(n: u64) -> VariantId {
    VariantId::from_object_id(id_of(1, n))
}

/// What a buyer does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Deed {
    /// Asks to pay, again where it was asked before.
    Place,
    /// Comes back from PayPal.
    Return,
    Cancel,
}

impl State {
    fn fresh(&mut self, kind: u32) -> ObjectId {
        self.buyers.ids += 1;
        id_of(kind, self.buyers.ids)
    }

    /// A buyer enters, with a cart.
    pub(super) fn enter(&mut self) -> usize {
        let user = UserId::from_object_id(self.fresh(2));
        self.buyers.all.push(Buyer {
            user,
            begun: Vec::new(),
        });
        self.buyers.all.len() - 1
    }

    /// Puts something into an empty cart.
    fn fill(&mut self, user: UserId) {
        let cart = CartId::from_object_id(user.object_id());
        let empty = self.database.carts.get(&cart).is_none_or(Vec::is_empty);
        if !empty {
            return;
        }
        let kinds = u64::try_from(self.database.stock.len()).unwrap_or(1);
        let first = self.chance.below(kinds);
        let lines = 1 + self.chance.below(2);
        let lines = (0..lines).map(|n| CartLine {
            line: LineId::from_object_id(self.fresh(3)),
            variant: variant((first + n) % kinds),
            quantity: if self.chance.yes(200) { 2 } else { 1 },
        });
        let lines: Vec<CartLine> = lines.collect();
        let filled = lines.iter().map(|line| (line.line, line.quantity));
        self.buyers.filled.extend(filled);
        self.database.carts.insert(cart, lines);
    }

    /// A buyer's next deed, and the time of the one after it.
    pub(super) fn act(&mut self, buyer: usize) {
        if self.buyers.gone {
            return;
        }
        let pause = match self.chance.below(100) {
            0..88 => self.chance.between(5, 2_500),
            88..98 => self.chance.between(5_000, 150_000),
            _ => self.chance.between(100_000, 700_000),
        };
        self.after(pause, move |state| state.act(buyer));
        let Buyer { user, begun } = &self.buyers.all[buyer];
        let user = *user;
        let Some(newest) = begun.last().copied() else {
            return self.begin_anew(buyer, user);
        };
        let late = begun[usize::try_from(self.chance.below(64)).unwrap_or(0) % begun.len()];
        let id = if self.chance.yes(100) { late } else { newest };
        let found = self.database.checkouts.get(&id);
        let status = found.map(|checkout| checkout.status);
        let payment = found.and_then(|checkout| checkout.provider_order.clone());
        let dice = self.chance.below(100);
        match (status, dice) {
            (None | Some(CheckoutStatus::Preparing), 0..70) => self.deed(Deed::Place, id, user),
            (None | Some(CheckoutStatus::Preparing), 70..85) => self.deed(Deed::Cancel, id, user),
            (Some(CheckoutStatus::AwaitingApproval), 0..45) => {
                if payment.is_some_and(|payment| self.approve(&payment)) {
                    self.note("the buyer approves", &id);
                }
                if self.chance.yes(700) {
                    self.deed(Deed::Return, id, user);
                }
            }
            (Some(CheckoutStatus::AwaitingApproval | CheckoutStatus::Capturing), 45..75) => {
                self.deed(Deed::Return, id, user);
            }
            (Some(CheckoutStatus::AwaitingApproval | CheckoutStatus::Capturing), 75..84) => {
                self.deed(Deed::Cancel, id, user);
            }
            (Some(CheckoutStatus::AwaitingApproval | CheckoutStatus::Capturing), 84..90) => {
                self.deed(Deed::Place, id, user);
            }
            (Some(CheckoutStatus::AwaitingApproval), 90..92) => {
                if let Some(payment) = payment {
                    self.reverse_approval(&payment);
                }
            }
            (Some(status), 0..12) if status.is_final() => self.deed(Deed::Place, id, user),
            (Some(status), 12..30) if status.is_final() => self.deed(Deed::Return, id, user),
            _ => self.begin_anew(buyer, user),
        }
    }

    /// The newest checkout of a buyer, and where it stands.
    fn newest(&self, buyer: usize) -> Option<(CheckoutId, Option<CheckoutStatus>)> {
        let id = *self.buyers.all[buyer].begun.last()?;
        let found = self.database.checkouts.get(&id);
        Some((id, found.map(|checkout| checkout.status)))
    }

    /// A buyer begins a checkout where the newest has ended without an order.
    pub(super) fn begin_unless_open(&mut self, buyer: usize) {
        let stands = self.newest(buyer).and_then(|(_, status)| status);
        let ended = stands.is_none_or(CheckoutStatus::is_final);
        if ended && stands != Some(CheckoutStatus::Completed) {
            self.begin_anew(buyer, self.buyers.all[buyer].user);
        }
    }

    /// A buyer approves the newest checkout and comes back.
    pub(super) fn pay(&mut self, buyer: usize) {
        let Some((id, _)) = self.newest(buyer) else {
            return;
        };
        let found = self.database.checkouts.get(&id);
        if let Some(payment) = found.and_then(|checkout| checkout.provider_order.clone()) {
            self.approve(&payment);
        }
        self.come_back(buyer);
    }

    /// A buyer comes back to the newest checkout.
    pub(super) fn come_back(&mut self, buyer: usize) {
        if let Some((id, _)) = self.newest(buyer) {
            self.deed(Deed::Return, id, self.buyers.all[buyer].user);
        }
    }

    /// A buyer cancels the newest checkout.
    pub(super) fn give_up(&mut self, buyer: usize) {
        if let Some((id, _)) = self.newest(buyer) {
            self.deed(Deed::Cancel, id, self.buyers.all[buyer].user);
        }
    }

    fn begin_anew(&mut self, buyer: usize, user: UserId) {
        self.fill(user);
        let id = CheckoutId::from_object_id(self.fresh(4));
        self.buyers.all[buyer].begun.push(id);
        self.deed(Deed::Place, id, user);
    }

    /// Sends a request to some node, at times to two of them at once.
    fn deed(&mut self, deed: Deed, id: CheckoutId, user: UserId) {
        let twice = self.chance.yes(250);
        for _ in 0..=u32::from(twice) {
            let node = self.some_node();
            self.note("a buyer asks", &(node, deed, id));
            let Some(link) = self.link(node) else {
                continue;
            };
            let shop = self.shop(&link);
            let task = async move {
                match deed {
                    Deed::Place => place(&shop, id, user).await,
                    Deed::Return => come_back(&shop, &link, id).await,
                    Deed::Cancel => cancel(&shop, id).await,
                }
            };
            self.begin(node, Box::pin(task));
        }
    }

    fn some_node(&mut self) -> usize {
        self.chance.place(self.nodes.len())
    }

    /// PayPal tells of something: never, once or several times, now or later.
    pub(super) fn tell(&mut self, hint: &Hint) {
        if self.chance.yes(self.weather.lost_webhooks) {
            return;
        }
        let copies = if self.chance.yes(300) { 2 } else { 1 };
        for _ in 0..copies {
            let hint = hint.clone();
            let late = if self.chance.yes(150) { 150_000 } else { 2_000 };
            let late = self.chance.between(1, late);
            self.after(late, move |state| state.deliver(&hint));
        }
    }

    /// PayPal tells until it is heard, which may be after the storm: what it decides later has no other
    /// way to the shop.
    pub(super) fn tell_surely(&mut self, capture: usize) {
        self.buyers.decided.push(capture);
        if self.buyers.gone {
            self.tell_what_was_decided();
        }
    }

    pub(super) fn tell_what_was_decided(&mut self) {
        for capture in std::mem::take(&mut self.buyers.decided) {
            let hint = self.news_of(capture);
            let at = self.last_fault.max(self.now) - self.now;
            self.after(at, move |state| state.deliver(&hint));
        }
    }

    /// Hands a message to some node, which follows it until that has succeeded.
    pub(super) fn deliver(&mut self, hint: &Hint) {
        let node = self.some_node();
        let hint = hint.clone();
        let Some(link) = self.link(node) else {
            return self.after(10_000, move |state| state.deliver(&hint));
        };
        self.note("webhook", &(node, &hint));
        let settlement = self.shop(&link).settlement;
        let task = async move {
            for _ in 0..FOLLOWED {
                if settlement.follow(&hint).await.is_ok() {
                    return;
                }
                link.sleep(2_000).await;
            }
        };
        self.begin(node, Box::pin(task));
    }

    /// The checkout room of a node in its present life.
    fn shop(&self, link: &Link) -> Checkouting<Simulated> {
        let settlement = Settlement {
            checkouts: link.clone(),
            stock: link.clone(),
            discounts: link.clone(),
            orders: link.clone(),
            payments: Payments::new(std::sync::Arc::new(link.clone())),
            clock: link.clone(),
            config: CheckoutConfig {
                reservation_seconds: RESERVATION,
                reconcile_seconds: SWEEP_EVERY,
                max_held_per_user: 999,
                max_held_per_address: 999,
            },
            queue: self.nodes[link.node].queue.clone(),
        };
        Checkouting {
            settlement,
            till: link.clone(),
            store: StoreConfig {
                name: String::new(),
                currency: Currency::USD,
                keep_orders_years: 10,
                shipping: Vec::new(),
                tax: Vec::new(),
            },
        }
    }

    /// Checkouts with a return that PayPal has refused.
    fn failed_returns(&self) -> Vec<CheckoutId> {
        let checkouts = self.database.checkouts.values();
        let failed = checkouts.filter(|checkout| {
            let mut returns = checkout.returns.iter();
            returns.any(|back| back.state == ReturnState::Failed)
        });
        failed.map(|checkout| checkout.id).collect()
    }

    /// Lets a node sweep for as long as it lives.
    pub(super) fn start_sweeping(&mut self, node: usize) {
        let Some(link) = self.link(node) else {
            return;
        };
        let settlement = self.shop(&link).settlement;
        let every = settlement.config.reconcile_every();
        let first = self.chance.between(1, 1_000);
        let pause = Millis::from(SWEEP_EVERY) * 1_000;
        let task = async move {
            link.sleep(first).await;
            loop {
                if let Err(error) = Box::pin(settlement.sweep(every)).await {
                    link.shared.lock().note("a sweep failed", &error);
                }
                // Staff look at what PayPal has refused to give back, and have it tried again.
                let failed = link.shared.lock().failed_returns();
                for id in failed {
                    if let Err(error) = settlement.try_returns_again(id).await {
                        link.shared.lock().note("cannot try again", &error);
                    }
                }
                link.sleep(pause).await;
            }
        };
        self.begin(node, Box::pin(task));
    }
}

fn wish_of(user: UserId) -> Wish {
    Wish {
        user,
        client: String::new(),
        seen: SeenCart {
            version: 0,
            items: Vec::new(),
            total: Money::zero(Currency::USD),
        },
        shipping_address: nowhere(),
        billing_address: None,
        shipping_method: String::new(),
        return_url: String::new(),
        cancel_url: String::new(),
    }
}

async fn place(shop: &Checkouting<Simulated>, id: CheckoutId, user: UserId) {
    let placed = shop.place(id, &wish_of(user)).await;
    let link = &shop.till;
    let placed = placed.map(|checkout| checkout.status);
    link.shared.lock().note("placed", &(link.node, id, &placed));
}

async fn come_back(shop: &Checkouting<Simulated>, link: &Link, id: CheckoutId) {
    let settled = shop.settlement.settle(id).await;
    let mut state = link.shared.lock();
    if let Ok(Settled::Ordered { checkout, .. }) = &settled {
        state.buyers.told.extend(checkout.order);
    }
    let settled = settled.as_ref().map(ending);
    state.note("settled", &(link.node, id, settled));
}

/// A settlement's end in a word.
fn ending(settled: &Settled) -> &'static str {
    match settled {
        Settled::Ordered { .. } => "ordered",
        Settled::NotApproved(_) => "not approved",
        Settled::Declined(_) => "declined",
        Settled::Closed(_) => "closed",
        Settled::Unclear(_) => "unclear",
    }
}

async fn cancel(shop: &Checkouting<Simulated>, id: CheckoutId) {
    let cancelled = match shop.settlement.checkouts.find(id).await {
        Ok(Some(found)) => shop.cancel(found).await,
        Ok(None) => Err(CheckoutError::Closed(None)),
        Err(error) => Err(error.into()),
    };
    let link = &shop.till;
    let cancelled = cancelled.map(|checkout| checkout.status);
    link.shared
        .lock()
        .note("cancelled", &(link.node, id, &cancelled));
}
