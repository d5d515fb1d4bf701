//! Beginning a checkout: the buyer's snapshot against the cart, stock held, a payment made to approve.
//!
//! The intent is stored before each step, so that a run cut short is taken up under the same id.

use std::time::Duration;

use super::{
    Settlement,
    error::{CheckoutError, ShortLine},
    model::{Checkout, CheckoutStatus, EndReason, SeenCart},
    ports::{CheckoutStore, Live, Till, World},
};
use crate::{
    address::PostalAddress,
    catalog::{Shortage, StockRoom},
    config::StoreConfig,
    faults::{Point, crash_point},
    id::{CartId, CheckoutId, LineId, UserId, VariantId},
    payments::{GatewayError, NewPayment, PaymentLine},
};

/// Tries at ending an earlier checkout of the same cart before the buyer is asked to try again.
const MAX_TRIES: usize = 4;

/// What a buyer wants.
#[derive(Debug, Clone)]
pub struct Wish {
    /// Who buys.
    pub user: UserId,
    /// From where; see [`Checkout::client`].
    pub client: String,
    /// What the buyer saw.
    pub seen: SeenCart,
    /// Where it goes.
    pub shipping_address: PostalAddress,
    /// Where the invoice goes, when elsewhere.
    pub billing_address: Option<PostalAddress>,
    /// Which way.
    pub shipping_method: String,
    /// Where the buyer comes back to after approval.
    pub return_url: String,
    /// Where the buyer comes back to without it.
    pub cancel_url: String,
}

/// Begins checkouts.
#[derive(Clone)]
pub struct Checkouting<W: World = Live> {
    pub(super) settlement: Settlement<W>,
    pub(super) till: W::Till,
    pub(super) store: StoreConfig,
}

impl<W: World> Checkouting<W> {
    fn checkouts(&self) -> &W::Checkouts {
        &self.settlement.checkouts
    }

    fn life(&self) -> Duration {
        self.settlement.config.reservation()
    }

    /// Begins the checkout `id`, or goes on with it where an earlier run was cut short.
    ///
    /// # Errors
    /// Whatever stands in the way: see [`CheckoutError`].
    pub async fn place(&self, id: CheckoutId, wish: &Wish) -> Result<Checkout, CheckoutError> {
        let checkout = match self.checkouts().find(id).await? {
            Some(begun) => begun,
            None => self.begin(id, wish).await?,
        };
        match checkout.status {
            CheckoutStatus::Preparing => self.prepare(checkout, wish).await,
            CheckoutStatus::AwaitingApproval
            | CheckoutStatus::Capturing
            | CheckoutStatus::Completed => Ok(checkout),
            CheckoutStatus::Cancelled | CheckoutStatus::Expired | CheckoutStatus::Failed => {
                Err(CheckoutError::Closed(checkout.reason))
            }
        }
    }

    /// Freezes the cart and writes the checkout.
    async fn begin(&self, id: CheckoutId, wish: &Wish) -> Result<Checkout, CheckoutError> {
        let checkout = self.till.freeze(id, wish).await?;
        for tries in 0..MAX_TRIES {
            // Never after the last try: whoever gives up must not end the one that won.
            if tries > 0 {
                self.supersede(checkout.cart).await?;
            }
            if self.checkouts().begin(&checkout, self.life()).await? {
                return Ok(checkout);
            }
        }
        Err(CheckoutError::Contended)
    }

    /// Ends the cart's open checkout: the buyer began anew. Where its money is being taken already, the
    /// buyer has paid and must not pay again.
    async fn supersede(&self, cart: CartId) -> Result<(), CheckoutError> {
        let Some(open) = self.checkouts().open_of(cart).await? else {
            return Ok(());
        };
        if open.status == CheckoutStatus::Capturing {
            return Err(CheckoutError::BeingPaid(open.id));
        }
        let ended = self
            .checkouts()
            .end(
                &open,
                CheckoutStatus::Cancelled,
                EndReason::Superseded,
                None,
            )
            .await?;
        if let Some(ended) = ended {
            self.settlement.free(&ended).await?;
        }
        Ok(())
    }

    /// Holds the stock, claims the discounts and makes the payment.
    async fn prepare(&self, checkout: Checkout, wish: &Wish) -> Result<Checkout, CheckoutError> {
        // Between freezing and now an earlier checkout of the cart may have become an order, and this one
        // would sell the same again. From now on none can: the cart has one open checkout, which is this.
        if self.till.has_changed(&checkout, wish).await? {
            self.fail(&checkout, EndReason::CartChanged).await?;
            let anew = self.till.freeze(checkout.id, wish).await;
            return Err(anew.err().unwrap_or(CheckoutError::Contended));
        }
        let held = self
            .settlement
            .stock
            .hold(&checkout.holder(), &checkout.holds(), self.life())
            .await?;
        if let Err(missing) = held {
            if checkout.discounts.is_empty() {
                // Nothing is held and nothing claimed: one update ends it.
                self.checkouts().refuse(checkout.id).await?;
            } else {
                self.fail(&checkout, EndReason::InsufficientStock).await?;
            }
            return Err(checkout.short(&missing));
        }
        if let Err(refused) = self.settlement.claim_discounts(&checkout).await? {
            self.fail(&checkout, EndReason::DiscountRefused).await?;
            return Err(CheckoutError::Discount(refused));
        }
        crash_point(Point::HoldTaken);
        let payment = self.payment_of(&checkout);
        let key = checkout.request_key("create");
        let made = match self.settlement.payments.create_order(&payment, &key).await {
            Ok(made) => made,
            Err(GatewayError::Refused {
                issue, debug_id, ..
            }) => {
                tracing::error!(checkout.id = %checkout.id, issue, debug_id, "the provider refused a payment");
                self.fail(&checkout, EndReason::PaymentRefused).await?;
                return Err(CheckoutError::PaymentRefused(issue));
            }
            // Still `Preparing`: the same key goes on, another checkout supersedes it, or it expires.
            Err(unclear) => return Err(CheckoutError::Provider(unclear)),
        };
        crash_point(Point::CreateAnswered);
        let opened = self
            .checkouts()
            .await_approval(checkout.id, &made, self.life())
            .await?;
        if let Some(opened) = opened {
            return Ok(opened);
        }
        match self.checkouts().find(checkout.id).await? {
            // An equal run under the same key was faster.
            Some(now) if !now.status.is_final() || now.order.is_some() => Ok(now),
            ended => {
                // Ended while it was being prepared: what was held after that goes back.
                self.settlement.free(&checkout).await?;
                Err(CheckoutError::Closed(
                    ended.and_then(|checkout| checkout.reason),
                ))
            }
        }
    }

    /// Ends a checkout that cannot be prepared, unless another run has brought it further.
    async fn fail(&self, checkout: &Checkout, reason: EndReason) -> Result<(), CheckoutError> {
        let to = CheckoutStatus::Failed;
        let ended = self.checkouts().end(checkout, to, reason, None).await?;
        if let Some(ended) = ended {
            self.settlement.free(&ended).await?;
        }
        Ok(())
    }

    fn payment_of(&self, checkout: &Checkout) -> NewPayment {
        let lines = checkout.lines.iter().map(|line| PaymentLine {
            name: line.title.clone(),
            sku: line.sku.clone(),
            quantity: line.quantity,
            unit_price: line.unit_price,
        });
        NewPayment {
            reference: checkout.id.to_string(),
            invoice: checkout.number.clone(),
            description: format!("{} order {}", self.store.name, checkout.number),
            lines: lines.collect(),
            item_total: checkout.totals.subtotal,
            discount: checkout.totals.discount,
            shipping: checkout.totals.shipping,
            tax: checkout.totals.tax,
            total: checkout.totals.total,
            shipping_address: checkout.shipping_address.clone(),
            return_url: checkout.return_url.clone(),
            cancel_url: checkout.cancel_url.clone(),
            brand: self.store.name.clone(),
        }
    }

    /// Ends a checkout at its buyer's wish; a repeat changes nothing.
    ///
    /// # Errors
    /// [`CheckoutError::Closed`] once money is being taken or it ended otherwise.
    pub async fn cancel(&self, checkout: Checkout) -> Result<Checkout, CheckoutError> {
        if checkout.status == CheckoutStatus::Cancelled {
            return Ok(checkout);
        }
        let ended = self
            .checkouts()
            .end(
                &checkout,
                CheckoutStatus::Cancelled,
                EndReason::Cancelled,
                None,
            )
            .await?;
        let Some(ended) = ended else {
            return Err(CheckoutError::Closed(checkout.reason));
        };
        self.settlement.free(&ended).await?;
        Ok(ended)
    }
}

impl Checkout {
    pub(super) fn short(&self, missing: &[Shortage]) -> CheckoutError {
        short(
            self.lines.iter().map(|line| (line.line, line.variant)),
            missing,
        )
    }
}

/// Names the lines of the variants that are short.
pub(super) fn short(
    lines: impl Iterator<Item = (LineId, VariantId)>,
    missing: &[Shortage],
) -> CheckoutError {
    let named = lines
        .enumerate()
        .filter_map(|(place, (item_id, variant_id))| {
            let shortage = missing
                .iter()
                .find(|shortage| shortage.variant == variant_id)?;
            let (wanted, available) = (shortage.wanted, shortage.available);
            Some(ShortLine {
                place,
                item_id,
                variant_id,
                wanted,
                available,
            })
        });
    CheckoutError::Short(named.collect())
}
