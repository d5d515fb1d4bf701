//! The buyer's side: the page at `/checkoutnow`, and what approval, cancellation and lapse do.

mod page;

use std::time::Duration;

use actix_web::{
    HttpResponse,
    http::{StatusCode, header},
    web,
};
use serde::Deserialize;
use serde_json::json;

use crate::{
    events::shape::Event,
    orders::model::{Notice, Order, OrderStatus, Outcome, Payer},
    world::{Simulator, World},
};

/// The outcome that is paid, but takes its time.
pub(crate) const SLOW: &str = "slow";
/// The longest that the page waits for a shop to hear of an approval.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often it looks.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// The token in the page's URL.
#[derive(Debug, Deserialize)]
pub(crate) struct Token {
    token: Option<String>,
}

/// What the buyer chose on the page.
#[derive(Debug, Deserialize)]
pub(crate) struct Chosen {
    token: String,
    choice: String,
    #[serde(default)]
    notice: Notice,
}

/// How a buyer approves.
#[derive(Debug, Clone)]
pub(crate) struct Decision {
    /// Who.
    pub(crate) payer: Payer,
    /// What captures come to.
    pub(crate) outcome: Outcome,
    /// Whether a capture takes its time.
    pub(crate) slow: bool,
    /// When the shop hears of it.
    pub(crate) notice: Notice,
}

impl Default for Decision {
    /// Somebody pays, at once.
    fn default() -> Self {
        Self {
            payer: Payer::default(),
            outcome: Outcome::Complete,
            slow: false,
            notice: Notice::Usual,
        }
    }
}

/// What an approval may come to, by the word in forms and control calls.
pub(crate) fn outcome(word: &str, reason: Option<String>, count: Option<u32>) -> Option<Outcome> {
    match word {
        "complete" | SLOW => Some(Outcome::Complete),
        "pending" => Some(Outcome::Pending(
            reason.unwrap_or_else(|| "ECHECK".to_owned()),
        )),
        "decline" => Some(Outcome::Refused("INSTRUMENT_DECLINED", count)),
        "denied" => Some(Outcome::Denied),
        "failed" => Some(Outcome::Failed),
        "payer-cannot-pay" => Some(Outcome::Refused("PAYER_CANNOT_PAY", count)),
        "refused" => Some(Outcome::Refused("TRANSACTION_REFUSED", count)),
        "payer-action-required" => Some(Outcome::Refused("PAYER_ACTION_REQUIRED", count)),
        _ => None,
    }
}

/// The buyer approves. Approving again is harmless and may choose another outcome.
pub(crate) fn approve(world: &mut World, id: &str, decision: Decision) -> Result<(), String> {
    let now = world.now();
    let deadline = now.saturating_add(world.settings.order_life());
    let order = world
        .orders
        .get_mut(id)
        .ok_or_else(|| format!("no order `{id}`"))?;
    if order.lapses(now) || order.expired {
        return Err("order has expired".to_owned());
    }
    let news = order
        .approve(decision.payer, decision.outcome, now, deadline)
        .map_err(|status| format!("order is {}", status.word()))?;
    order.slow = decision.slow;
    order.notice = decision.notice;
    let payer_id = order.payer.as_ref().map(|payer| payer.account_id.clone());
    world.orders.watch(id, deadline);
    world.record(
        "order.approved",
        json!({ "id": id, "payerId": payer_id, "news": news }),
    );
    if news {
        world.emit(&Event::order("CHECKOUT.ORDER.APPROVED", id));
    }
    Ok(())
}

/// The order's time is over: it becomes unknown, and a given approval is reversed.
pub(crate) fn expire(world: &mut World, id: &str) -> Result<(), String> {
    let order = world
        .orders
        .get_mut(id)
        .ok_or_else(|| format!("no order `{id}`"))?;
    if order.expired || !order.status.approvable() {
        return Err(format!("order is {}", order.status.word()));
    }
    order.expired = true;
    let approved = order.status == OrderStatus::Approved;
    world.record("order.expired", json!({ "id": id, "approved": approved }));
    if approved {
        world.emit(&Event::approval_reversed(id));
    }
    Ok(())
}

/// The order is given up.
pub(crate) fn void(world: &mut World, id: &str) -> Result<(), String> {
    let now = world.now();
    let order = world
        .orders
        .get_mut(id)
        .ok_or_else(|| format!("no order `{id}`"))?;
    if order.expired || !order.status.approvable() {
        return Err(format!("order is {}", order.status.word()));
    }
    order.status = OrderStatus::Voided;
    order.updated = now;
    world.record("order.voided", json!({ "id": id }));
    world.emit(&Event::order("CHECKOUT.ORDER.VOIDED", id));
    Ok(())
}

/// Lets every order lapse whose time has come.
pub(crate) fn sweep(world: &mut World) {
    let now = world.now();
    for id in world.orders.take_due(now) {
        if world.orders.get(&id).is_some_and(|order| order.lapses(now)) {
            // It lapses: that was just asked.
            let _ = expire(world, &id);
        }
    }
}

fn with_query(url: &str, pairs: &[(&str, &str)]) -> String {
    url::Url::parse(url).map_or_else(
        |_relative| url.to_owned(),
        |mut url| {
            url.query_pairs_mut().extend_pairs(pairs);
            url.into()
        },
    )
}

/// Where the buyer goes after approval.
pub(crate) fn return_url(order: &Order) -> Option<String> {
    let payer = order.payer.as_ref()?;
    let url = order.draft.return_url.as_ref()?;
    Some(with_query(
        url,
        &[("token", &order.id), ("PayerID", &payer.account_id)],
    ))
}

/// Where the buyer goes after giving up.
pub(crate) fn cancel_url(order: &Order) -> Option<String> {
    let url = order.draft.cancel_url.as_ref()?;
    Some(with_query(url, &[("token", &order.id)]))
}

fn html(status: StatusCode, body: String) -> HttpResponse {
    HttpResponse::build(status)
        .insert_header((
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'",
        ))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .content_type("text/html; charset=utf-8")
        .body(body)
}

fn go(url: &str) -> HttpResponse {
    HttpResponse::SeeOther()
        .insert_header((header::LOCATION, url))
        .finish()
}

fn gone() -> HttpResponse {
    let text = "This payment does not exist, or its time is over. Please return to the shop.";
    html(
        StatusCode::NOT_FOUND,
        page::note("Nothing to pay here", text, None),
    )
}

/// `GET /checkoutnow?token=…`: the page, or the way on where nothing is left to ask.
pub(crate) async fn show(token: web::Query<Token>, sim: web::Data<Simulator>) -> HttpResponse {
    let Some(id) = token.into_inner().token else {
        return gone();
    };
    let mut world = sim.lock();
    let now = world.now();
    if world
        .orders
        .get(&id)
        .is_none_or(|order| order.expired || order.lapses(now))
    {
        return gone();
    }
    if world.settings.auto_approve {
        // An order that is past approval shows its page below.
        let _ = approve(&mut world, &id, Decision::default());
        if let Some(url) = world.orders.get(&id).and_then(return_url) {
            return go(&url);
        }
    }
    let Some(order) = world.orders.get(&id) else {
        return gone();
    };
    match order.status {
        OrderStatus::Completed => {
            let text = "This payment is complete.";
            html(
                StatusCode::OK,
                page::note("Already paid", text, return_url(order)),
            )
        }
        OrderStatus::Voided => gone(),
        OrderStatus::Created | OrderStatus::PayerActionRequired | OrderStatus::Approved => {
            html(StatusCode::OK, page::form(order))
        }
    }
}

/// `POST /checkoutnow`: does what the buyer chose and sends the browser back to the shop.
pub(crate) async fn choose(form: web::Form<Chosen>, sim: web::Data<Simulator>) -> HttpResponse {
    let Chosen {
        token: id,
        choice,
        notice,
    } = form.into_inner();
    if choice == "cancel" {
        return cancelled(&mut sim.lock(), &id);
    }
    let Some(outcome) = outcome(&choice, None, None) else {
        return gone();
    };
    let decision = Decision {
        payer: Payer::default(),
        outcome,
        slow: choice == SLOW,
        notice,
    };
    if let Err(reason) = approve(&mut sim.lock(), &id, decision) {
        let text = format!("This payment can not be approved: {reason}.");
        return html(
            StatusCode::CONFLICT,
            page::note("Not possible", &text, None),
        );
    }
    if notice == Notice::Before {
        until_told(&sim, &id).await;
    }
    let text = "You approved. You may return to the shop.";
    sim.lock().orders.get(&id).and_then(return_url).map_or_else(
        || html(StatusCode::OK, page::note("Approved", text, None)),
        |url| go(&url),
    )
}

fn cancelled(world: &mut World, id: &str) -> HttpResponse {
    let Some(order) = world.orders.get(id) else {
        return gone();
    };
    let target = cancel_url(order);
    world.record("order.cancelled", json!({ "id": id }));
    let text = "You cancelled. You may close this page.";
    target.map_or_else(
        || html(StatusCode::OK, page::note("Cancelled", text, None)),
        |url| go(&url),
    )
}

/// Waits until the shop has taken the events about an order, that of its capture too, or for
/// [`PATIENCE`]: a shop need not capture before the buyer is back.
async fn until_told(sim: &Simulator, id: &str) {
    let told = || {
        let world = sim.lock();
        let refused = world
            .orders
            .get(id)
            .is_some_and(|order| matches!(order.outcome, Outcome::Refused(..)));
        let events = &world.events;
        events.hooks.is_empty()
            || (events.told(id, "CHECKOUT.ORDER.APPROVED")
                && (refused || events.told(id, "PAYMENT.CAPTURE.")))
    };
    let over = tokio::time::Instant::now() + PATIENCE;
    while !told() && tokio::time::Instant::now() < over {
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}
