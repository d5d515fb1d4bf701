//! `settle`: the one way from an approved payment to an order.
//!
//! It may be entered any number of times, at once, on any node, and again after a crash at any line: it
//! reads the persisted state, does the next step, and each step is idempotent. Webhook, IPN, the
//! buyer's return and the reconciler only wake it; what they claim is never believed, the provider is
//! asked. Nothing else makes an order.

use std::time::Duration;

use crate::{
    catalog::StockRoom,
    checkout::{
        model::{CaptureRecord, Checkout, CheckoutStatus, EndReason, Standing, Step},
        ports::{Booking, CheckoutStore, Clock, DiscountDesk, Live, OrderBook, World},
        queue::Queue,
        returns::Return,
    },
    config::CheckoutConfig,
    discounts::Refused,
    faults::{Point, crash_point},
    http::patiently,
    id::{CheckoutId, OrderId},
    mongo::StoreError,
    orders::{NewOrder, OrderItem, OrderPayment, PaymentStatus},
    payments::{GatewayError, Payments, ProviderOrder, ProviderOrderId, ProviderOrderStatus},
};

/// More steps than any checkout has, waits included: a guard against going round in circles.
const MAX_STEPS: usize = 40;
/// How long after a checkout's reservation a capture of it may still arrive at the provider: our calls are
/// given up after half a minute.
pub(super) const LATE: Duration = Duration::from_mins(5);
/// Pause while another node's call for the same step is under way at the provider.
const IN_PROGRESS: Duration = Duration::from_millis(150);
/// The provider's status for that (PayPal: `PREVIOUS_REQUEST_IN_PROGRESS`).
const CONFLICT: u16 = 409;
/// The provider's status for a refusal by its rules; other statuses say nothing final.
const UNPROCESSABLE: u16 = 422;

/// Refusals after which the buyer may choose another funding for the same payment
/// (PayPal, Orders v2, error messages of capture).
const BACK_TO_BUYER: [&str; 2] = ["INSTRUMENT_DECLINED", "PAYER_ACTION_REQUIRED"];

/// How settling ended for now.
#[derive(Debug)]
pub enum Settled {
    /// There is an order.
    Ordered {
        /// Its checkout.
        checkout: Checkout,
        /// Whether this very call made it; of several at once one did.
        made: bool,
    },
    /// The buyer has not approved the payment.
    NotApproved(Checkout),
    /// The provider declined, now or before and whoever heard of it first; the checkout may still be open for
    /// another try.
    Declined(Checkout),
    /// It is over without an order.
    Closed(Checkout),
    /// The provider did not say; the reconciler goes on.
    Unclear(GatewayError),
}

/// Settling failed for now.
#[derive(Debug, thiserror::Error)]
pub enum SettleError {
    /// No such checkout.
    #[error("no such checkout")]
    NotFound,
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A checkout that never comes to rest: our fault.
    #[error("checkout {0} did not come to rest")]
    Restless(CheckoutId),
}

/// What one step led to.
pub(super) enum Turn {
    /// The step is done, and left the checkout so: go on from there.
    On(Box<Checkout>),
    /// The state has changed elsewhere: read it and go on.
    Again,
    /// Nothing more to do now.
    Rest(Box<Settled>),
}

impl From<Settled> for Turn {
    fn from(settled: Settled) -> Self {
        Self::Rest(Box::new(settled))
    }
}

/// From a change: `None` where another was first.
impl From<Option<Checkout>> for Turn {
    fn from(changed: Option<Checkout>) -> Self {
        changed.map_or(Self::Again, |checkout| Self::On(Box::new(checkout)))
    }
}

/// Everything that settling touches.
#[derive(Clone)]
pub struct Settlement<W: World = Live> {
    pub(super) checkouts: W::Checkouts,
    pub(super) stock: W::Stock,
    pub(super) discounts: W::Discounts,
    pub(super) orders: W::Orders,
    pub(super) payments: Payments,
    pub(super) clock: W::Clock,
    pub(super) config: CheckoutConfig,
    pub(super) queue: Queue,
}

impl<W: World> Settlement<W> {
    /// Brings a checkout as far as it can be brought now.
    ///
    /// # Errors
    /// When there is none, or the database refuses; the provider's failures are an outcome.
    pub async fn settle(&self, id: CheckoutId) -> Result<Settled, SettleError> {
        let found = self.read(id).await?;
        self.settle_read(found).await
    }

    pub(super) async fn read(&self, id: CheckoutId) -> Result<Checkout, SettleError> {
        let found = self.checkouts.find(id).await?;
        found.ok_or(SettleError::NotFound)
    }

    /// Brings a checkout that was read a moment ago as far as it can be brought now. Each step names the
    /// state it was judged by, so that one that has moved on meanwhile is read anew.
    ///
    /// # Errors
    /// As [`settle`](Self::settle).
    pub async fn settle_read(&self, found: Checkout) -> Result<Settled, SettleError> {
        if found.next_step() == Step::Done {
            return Ok(at_rest(found));
        }
        let id = found.id;
        // Whoever is at it may be waiting for the provider.
        let turn = patiently(self.queue.wait(id)).await;
        let (mut declined, mut made) = (false, false);
        let mut next = if turn.has_waited() {
            Turn::Again
        } else {
            Turn::On(Box::new(found))
        };
        for _ in 0..MAX_STEPS {
            let checkout = match next {
                Turn::On(checkout) => *checkout,
                Turn::Again => self.read(id).await?,
                Turn::Rest(settled) => return Ok(settled.by_this_call(made)),
            };
            let step = checkout.next_step();
            let stood = checkout.order.is_some();
            tracing::debug!(checkout.id = %id, ?step, "settling");
            next = match step {
                Step::Wait => self.wait(checkout).await?,
                Step::Ask(payment) => self.ask(checkout, &payment, declined).await?,
                Step::Capture(payment) => self.capture(checkout, &payment, &mut declined).await?,
                Step::Book(payment, capture) => self.book(checkout, payment, &capture).await?,
                Step::Sell => self.sell(&checkout).await?,
                Step::Release => self.release(&checkout).await?,
                Step::Refund(back) => self.give_back(checkout, &back).await?,
                Step::LookBack(payment) => self.look_back(checkout, &payment).await?,
                Step::Done => Turn::from(at_rest(checkout)),
            };
            if let Turn::On(checkout) = &next {
                made |= !stood && checkout.order.is_some();
            }
        }
        Err(SettleError::Restless(id))
    }

    /// The provider has not been asked for a payment: it expires, or waits.
    async fn wait(&self, checkout: Checkout) -> Result<Turn, StoreError> {
        let expired = self.checkouts.expire(&checkout).await?;
        Ok(expired.map_or_else(
            || Turn::from(Settled::NotApproved(checkout)),
            |expired| Turn::On(Box::new(expired)),
        ))
    }

    /// Asks the provider whether the buyer has approved.
    async fn ask(
        &self,
        checkout: Checkout,
        payment: &ProviderOrderId,
        declined: bool,
    ) -> Result<Turn, StoreError> {
        if declined {
            // Approved all the same, but its funding was refused a moment ago: the buyer has to act.
            return Ok(Turn::from(Settled::Declined(checkout)));
        }
        let found = match self.payments.order(payment).await {
            Ok(found) => found,
            Err(GatewayError::NotFound) => return self.lapse(checkout).await,
            Err(unclear) => return Ok(Turn::from(Settled::Unclear(unclear))),
        };
        if !checkout.is_of(&found) {
            tracing::error!(checkout.id = %checkout.id, payment = %payment, reference = found.reference,
                "the provider says that the payment is another's; no money is asked for");
            return self.wait(checkout).await;
        }
        match found.status {
            ProviderOrderStatus::Approved | ProviderOrderStatus::Completed => {
                self.begin_capture(checkout).await
            }
            ProviderOrderStatus::Voided => self.lapse(checkout).await,
            ProviderOrderStatus::AwaitingApproval | ProviderOrderStatus::Other(_) => {
                self.wait(checkout).await
            }
        }
    }

    /// The payment is gone at the provider.
    async fn lapse(&self, checkout: Checkout) -> Result<Turn, StoreError> {
        let (to, reason) = (CheckoutStatus::Expired, EndReason::ApprovalLapsed);
        self.end(&checkout, to, reason, None).await
    }

    /// Ends it without an order.
    async fn end(
        &self,
        checkout: &Checkout,
        to: CheckoutStatus,
        reason: EndReason,
        back: Option<Return>,
    ) -> Result<Turn, StoreError> {
        let ended = self.checkouts.end(checkout, to, reason, back);
        Ok(Turn::from(ended.await?))
    }

    /// Keeps stock and discounts from lapsing, and writes down that a capture will be sent. Without them no
    /// money is asked for.
    async fn begin_capture(&self, checkout: Checkout) -> Result<Turn, StoreError> {
        let (to, refused) = (CheckoutStatus::Failed, EndReason::DiscountRefused);
        if !self.keep_stock(&checkout).await? {
            let reason = EndReason::InsufficientStock;
            return self.end(&checkout, to, reason, None).await;
        }
        if self.claim_discounts(&checkout).await?.is_err() {
            return self.end(&checkout, to, refused, None).await;
        }
        crash_point(Point::Pinned);
        let begun = self.checkouts.begin_capture(checkout.id).await?;
        if begun.is_none() {
            self.forget_claims(&checkout).await?;
        }
        Ok(Turn::from(begun))
    }

    /// Gives back what was claimed for a checkout that had ended already: whoever ended it had given its
    /// claims back before.
    async fn forget_claims(&self, checkout: &Checkout) -> Result<(), StoreError> {
        let now = self.checkouts.find(checkout.id).await?;
        if now.is_some_and(|now| now.status.is_final() && now.order.is_none()) {
            self.discounts.release(&checkout.claim()).await?;
        }
        Ok(())
    }

    /// Claims a use of each of the checkout's codes, unless it has it already.
    pub(super) async fn claim_discounts(
        &self,
        checkout: &Checkout,
    ) -> Result<Result<(), Refused>, StoreError> {
        let life = self.config.reservation().saturating_mul(2);
        self.discounts.claim(&checkout.claim(), life).await
    }

    /// Pins every hold. One that is gone is not taken again: another run may have sold it a moment ago, and
    /// units taken after that would belong to nobody.
    async fn keep_stock(&self, checkout: &Checkout) -> Result<bool, StoreError> {
        self.stock.pin(checkout.id, checkout.variants()).await
    }

    /// Takes the money, or finds out that it was taken.
    async fn capture(
        &self,
        checkout: Checkout,
        payment: &ProviderOrderId,
        declined: &mut bool,
    ) -> Result<Turn, StoreError> {
        let key = checkout.request_key("capture");
        crash_point(Point::CaptureSent);
        let captured = match self.payments.capture(payment, &key).await {
            // Sent before and perhaps done: the provider's own state decides, not this answer.
            Err(GatewayError::Unknown(reason)) => {
                tracing::warn!(checkout.id = %checkout.id, reason, "capture unclear; reading the payment");
                self.payments.order(payment).await
            }
            answer => answer,
        };
        crash_point(Point::CaptureAnswered);
        match captured {
            Ok(found) => self.write_down(checkout, found).await,
            Err(GatewayError::Refused {
                status: CONFLICT, ..
            }) => {
                self.clock.pause(IN_PROGRESS).await;
                Ok(Turn::Again)
            }
            Err(GatewayError::Refused {
                status: UNPROCESSABLE,
                issue,
                debug_id,
            }) => {
                tracing::info!(checkout.id = %checkout.id, issue, debug_id, "capture refused");
                self.refused(checkout, payment, &issue, declined).await
            }
            Err(GatewayError::NotFound) => {
                let (to, reason) = (CheckoutStatus::Failed, EndReason::ApprovalLapsed);
                self.end(&checkout, to, reason, None).await
            }
            Err(unclear) => Ok(Turn::from(Settled::Unclear(unclear))),
        }
    }

    async fn write_down(
        &self,
        checkout: Checkout,
        found: ProviderOrder,
    ) -> Result<Turn, StoreError> {
        let Some(capture) = checkout.own_capture(&found).map(CaptureRecord::of) else {
            let reason = "the payment shows no capture yet".into();
            return Ok(Turn::from(Settled::Unclear(GatewayError::Unknown(reason))));
        };
        self.return_surplus(&checkout, &found, &capture).await?;
        if capture.standing != Standing::Declined && checkout.is_paid_by(&capture) {
            // The stock was pinned before the call left. Cut short here, the same call, under the same key,
            // is answered alike.
            return self.place(&checkout, found.id, &capture).await;
        }
        let captured = self.checkouts.captured(checkout.id, &capture).await?;
        Ok(Turn::from(captured))
    }

    async fn refused(
        &self,
        checkout: Checkout,
        payment: &ProviderOrderId,
        issue: &str,
        declined: &mut bool,
    ) -> Result<Turn, StoreError> {
        let life = self.config.reservation();
        if issue == "ORDER_NOT_APPROVED" {
            let back = self.checkouts.back_to_buyer(checkout.id, life).await?;
            return Ok(Turn::from(Settled::NotApproved(back.unwrap_or(checkout))));
        }
        if BACK_TO_BUYER.contains(&issue) {
            *declined = true;
            let back = self.checkouts.back_to_buyer(checkout.id, life).await?;
            return Ok(Turn::from(back));
        }
        // Refused for good, unless an earlier call of ours is what the refusal is about.
        match self.payments.order(payment).await {
            Ok(found) if !found.captures.is_empty() => self.write_down(checkout, found).await,
            Ok(_) | Err(GatewayError::NotFound) => {
                let (to, reason) = (CheckoutStatus::Failed, EndReason::PaymentRefused);
                self.end(&checkout, to, reason, None).await
            }
            Err(unclear) => Ok(Turn::from(Settled::Unclear(unclear))),
        }
    }

    /// Makes the order of the capture, or sends the money back where none can be made.
    async fn book(
        &self,
        checkout: Checkout,
        payment: ProviderOrderId,
        capture: &CaptureRecord,
    ) -> Result<Turn, StoreError> {
        if capture.standing == Standing::Declined {
            let (to, reason) = (CheckoutStatus::Failed, EndReason::PaymentRefused);
            return self.end(&checkout, to, reason, None).await;
        }
        if !checkout.is_paid_by(capture) {
            // Before money goes back for it: what counts is the capture's own state.
            let state = match self.payments.capture_state(&capture.id).await {
                Ok(state) => state,
                Err(unclear) => return Ok(Turn::from(Settled::Unclear(unclear))),
            };
            let read = CaptureRecord::of(&state);
            if checkout.owns(&state) && checkout.is_paid_by(&read) {
                let captured = self.checkouts.captured(checkout.id, &read).await?;
                return Ok(Turn::from(captured));
            }
            tracing::error!(checkout.id = %checkout.id, capture = %capture.id, "the provider took another amount");
            return self
                .cannot_keep(checkout, capture, EndReason::AmountMismatch)
                .await;
        }
        // A capture found by asking may have come after the holds lapsed.
        if !self.keep_stock(&checkout).await? {
            return self
                .cannot_keep(checkout, capture, EndReason::InsufficientStock)
                .await;
        }
        self.place(&checkout, payment, capture).await
    }

    async fn cannot_keep(
        &self,
        checkout: Checkout,
        capture: &CaptureRecord,
        reason: EndReason,
    ) -> Result<Turn, StoreError> {
        let to = CheckoutStatus::Failed;
        let back = Return::due(capture.id.clone());
        self.end(&checkout, to, reason, Some(back)).await
    }

    async fn place(
        &self,
        checkout: &Checkout,
        payment: ProviderOrderId,
        capture: &CaptureRecord,
    ) -> Result<Turn, StoreError> {
        let bought = checkout.lines.iter().map(|line| (line.line, line.quantity));
        let booking = Booking {
            checkout: checkout.id,
            cart: checkout.cart,
            capture: capture.clone(),
            order: new_order(checkout, payment, capture),
            bought: bought.collect(),
        };
        Ok(Turn::from(self.orders.book(booking).await?))
    }

    async fn sell(&self, checkout: &Checkout) -> Result<Turn, StoreError> {
        self.stock.sell(checkout.id, checkout.variants()).await?;
        crash_point(Point::Sold);
        self.discounts.keep(&checkout.claim()).await?;
        let settled = self.checkouts.stock_settled(checkout.id).await?;
        Ok(Turn::from(settled))
    }

    async fn release(&self, checkout: &Checkout) -> Result<Turn, StoreError> {
        Ok(Turn::from(self.free(checkout).await?))
    }

    /// Gives back what is held and claimed for a checkout that has ended without an order; as it is then.
    pub(super) async fn free(&self, checkout: &Checkout) -> Result<Option<Checkout>, StoreError> {
        self.stock.release(checkout.id, checkout.variants()).await?;
        self.discounts.release(&checkout.claim()).await?;
        self.checkouts.stock_settled(checkout.id).await
    }

    /// Asks once more for a capture that was still on its way when the checkout ended: its money goes back.
    async fn look_back(
        &self,
        checkout: Checkout,
        payment: &ProviderOrderId,
    ) -> Result<Turn, StoreError> {
        let found = match self.payments.order(payment).await {
            Ok(found) => Some(found),
            Err(GatewayError::NotFound) => None,
            Err(unclear) => return Ok(Turn::from(Settled::Unclear(unclear))),
        };
        let late = found.as_ref().and_then(|found| {
            let capture = checkout.own_capture(found)?;
            Some((found, CaptureRecord::of(capture)))
        });
        if let Some((found, capture)) = late {
            tracing::warn!(checkout.id = %checkout.id, capture = %capture.id, "a capture came late");
            self.return_surplus(&checkout, found, &capture).await?;
            let late = self.checkouts.captured_late(checkout.id, &capture).await?;
            return Ok(Turn::from(late));
        }
        if self.checkouts.capture_over(checkout.id, LATE).await? {
            return Ok(Turn::Again);
        }
        Ok(Turn::from(at_rest(checkout)))
    }
}

impl Settled {
    /// Says of an order whether it was `made` by the call that answers.
    fn by_this_call(self, made: bool) -> Self {
        match self {
            Self::Ordered { checkout, .. } => Self::Ordered { checkout, made },
            other @ (Self::NotApproved(_)
            | Self::Declined(_)
            | Self::Closed(_)
            | Self::Unclear(_)) => other,
        }
    }
}

/// How a checkout that is done reads to whoever woke it.
pub(super) fn at_rest(checkout: Checkout) -> Settled {
    match checkout.status {
        CheckoutStatus::Completed => Settled::Ordered {
            checkout,
            made: false,
        },
        CheckoutStatus::Preparing
        | CheckoutStatus::AwaitingApproval
        | CheckoutStatus::Capturing
        | CheckoutStatus::Cancelled
        | CheckoutStatus::Expired
        | CheckoutStatus::Failed => {
            if checkout.reason == Some(EndReason::PaymentRefused) {
                Settled::Declined(checkout)
            } else {
                Settled::Closed(checkout)
            }
        }
    }
}

fn new_order(checkout: &Checkout, payment: ProviderOrderId, capture: &CaptureRecord) -> NewOrder {
    let items = checkout.lines.iter().map(|line| OrderItem {
        line: line.line,
        product: line.product,
        variant: line.variant,
        title: line.title.clone(),
        sku: line.sku.clone(),
        options: line.options.clone(),
        image: line.image.clone(),
        unit_price: line.unit_price,
        quantity: line.quantity,
        line_total: line.line_total,
    });
    let status = match capture.standing {
        Standing::Paid => PaymentStatus::Completed,
        Standing::Pending | Standing::Declined => PaymentStatus::Pending,
    };
    NewOrder {
        // One checkout, one order: the same id twice cannot stand.
        id: OrderId::from_object_id(checkout.id.object_id()),
        number: checkout.number.clone(),
        user: checkout.user,
        checkout: checkout.id,
        items: items.collect(),
        subtotal: checkout.totals.subtotal,
        discount_total: checkout.totals.discount,
        shipping: checkout.totals.shipping,
        tax: checkout.totals.tax,
        total: checkout.totals.total,
        shipping_address: checkout.shipping_address.clone(),
        billing_address: checkout.billing_address.clone(),
        shipping_method: checkout.shipping.id.clone(),
        payment: OrderPayment {
            status,
            provider_order: payment,
            capture: capture.id.clone(),
            captured: checkout.totals.total,
            refunded: crate::money::Money::zero(checkout.totals.total.currency),
            elsewhere: None,
            told: None,
            reversed: None,
            reversals: Vec::new(),
        },
    }
}
