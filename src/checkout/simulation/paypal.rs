//! PayPal in memory: payments, captures, refunds, request ids and what it tells of them.
//!
//! Where PayPal's pages leave something open, the worse way is taken: refusals are not remembered under
//! a request id; two captures of one payment under different ids at the same moment are both made; the
//! same id at the same moment is refused with 409.

use std::collections::BTreeMap;

use futures_util::future::BoxFuture;

use super::{
    Flaw,
    machine::{Kind, Link, Lost, Millis, State},
};
use crate::{
    id::CheckoutId,
    money::Money,
    payments::{
        Capture, CaptureId, CaptureStatus, Gateway, GatewayError, Hint, NewPayment, ProviderOrder,
        ProviderOrderId, ProviderOrderStatus, ProviderRefund, ProviderRefundId, RefundStatus,
        RequestKey,
    },
};

/// How long a buyer may approve; PayPal's three hours, shortened as everything here.
const APPROVAL: Millis = 600_000;
/// How long request ids of payments are kept; PayPal's six hours.
const KEYS: Millis = 1_200_000;

/// What becomes of a payment's capture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mood {
    Pays,
    /// Refuses the funding so many times, each time for the buyer to act upon.
    DeclinesFirst(u8),
    /// Refuses for good.
    Refuses,
    /// Takes another amount.
    Mistakes,
    /// Takes another currency.
    Exchanges,
    /// Takes it on, and pays later.
    PaysLater,
    /// Takes it on, and declines later.
    DeclinesLater,
    /// Answers with a capture that is declined.
    DeclinesInside,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stand {
    Awaiting,
    Approved,
    Captured,
    Voided,
}

#[derive(Debug, Clone)]
pub(super) struct Payment {
    pub(super) id: ProviderOrderId,
    pub(super) reference: String,
    pub(super) invoice: String,
    pub(super) amount: Money,
    pub(super) stand: Stand,
    pub(super) made_at: Millis,
    pub(super) mood: Mood,
    /// The request id of the capture that is being made, and until when it is.
    busy: Option<(String, Millis)>,
    captures: Vec<usize>,
}

/// Money taken.
#[derive(Debug, Clone)]
pub(super) struct Taken {
    pub(super) id: CaptureId,
    pub(super) payment: ProviderOrderId,
    pub(super) reference: String,
    pub(super) status: CaptureStatus,
    pub(super) amount: Money,
    pub(super) refunded: i64,
    pub(super) at: Millis,
    /// Made by PayPal besides the one that was asked for.
    pub(super) unasked: bool,
}

#[derive(Debug, Clone)]
struct Returned {
    id: ProviderRefundId,
    capture: usize,
    amount: Money,
    status: RefundStatus,
}

impl Taken {
    /// Gives a part of it back, or takes that back; what PayPal tells of it.
    fn give_back(&mut self, amount: i64) -> Hint {
        self.refunded += amount;
        self.status = match self.refunded {
            0 => CaptureStatus::Completed,
            all if all == self.amount.amount => CaptureStatus::Refunded,
            _ => CaptureStatus::PartiallyRefunded,
        };
        Hint::Refund {
            capture: self.id.clone(),
            refund: None,
            total_refunded: Some(Money::new(self.refunded, self.amount.currency)),
        }
    }
}

/// PayPal.
#[derive(Debug, Default)]
pub(super) struct PayPalModel {
    pub(super) payments: Vec<Payment>,
    pub(super) captures: Vec<Taken>,
    refunds: Vec<Returned>,
    /// What was made under a request id, and when.
    created: BTreeMap<String, (usize, Millis)>,
    returned: BTreeMap<String, usize>,
}

fn refused(status: u16, issue: &str) -> GatewayError {
    GatewayError::Refused {
        status,
        issue: issue.to_owned(),
        debug_id: String::new(),
    }
}

fn lost(lost: Lost) -> GatewayError {
    match lost {
        Lost::Unsent => GatewayError::Unavailable {
            reason: "simulated".to_owned(),
            retry_after: std::time::Duration::from_secs(1),
        },
        Lost::Unknown => GatewayError::Unknown("simulated".to_owned()),
    }
}

impl PayPalModel {
    fn place(&self, id: &ProviderOrderId) -> Option<usize> {
        self.payments.iter().position(|payment| payment.id == *id)
    }

    fn capture_place(&self, id: &CaptureId) -> Option<usize> {
        self.captures.iter().position(|taken| taken.id == *id)
    }

    fn shown(&self, place: usize) -> ProviderOrder {
        let payment = &self.payments[place];
        let captures = payment.captures.iter().map(|place| self.capture(*place));
        ProviderOrder {
            id: payment.id.clone(),
            status: match payment.stand {
                Stand::Awaiting => ProviderOrderStatus::AwaitingApproval,
                Stand::Approved => ProviderOrderStatus::Approved,
                Stand::Captured => ProviderOrderStatus::Completed,
                Stand::Voided => ProviderOrderStatus::Voided,
            },
            approve_url: Some(String::new()),
            reference: Some(payment.reference.clone()),
            captures: captures.collect(),
            refunds: Vec::new(),
        }
    }

    fn capture(&self, place: usize) -> Capture {
        let taken = &self.captures[place];
        Capture {
            id: taken.id.clone(),
            status: taken.status.clone(),
            amount: Some(taken.amount),
            reference: Some(taken.reference.clone()),
            invoice: None,
            payee: None,
            order: Some(taken.payment.clone()),
        }
    }

    fn refund(&self, place: usize) -> ProviderRefund {
        let returned = &self.refunds[place];
        let taken = &self.captures[returned.capture];
        ProviderRefund {
            id: returned.id.clone(),
            status: returned.status.clone(),
            amount: Some(returned.amount),
            capture: Some(taken.id.clone()),
            total_refunded: Some(Money::new(taken.refunded, taken.amount.currency)),
        }
    }

    /// What has been taken and not given back for each reference.
    pub(super) fn kept(&self) -> impl Iterator<Item = &Taken> {
        self.captures.iter().filter(|taken| {
            let paid = match taken.status {
                CaptureStatus::Completed
                | CaptureStatus::PartiallyRefunded
                | CaptureStatus::Refunded => true,
                CaptureStatus::Pending(_) | CaptureStatus::Declined | CaptureStatus::Other(_) => {
                    false
                }
            };
            paid && taken.refunded < taken.amount.amount
        })
    }
}

impl State {
    fn create_payment(&mut self, new: &NewPayment, key: &RequestKey) -> ProviderOrder {
        let now = self.now;
        let known = self.paypal.created.get(key.as_str());
        let known = known.filter(|(_, at)| now - at < KEYS);
        if let Some((place, _)) = known {
            return self.paypal.shown(*place);
        }
        let place = self.paypal.payments.len();
        let mood = self.mood();
        self.paypal.payments.push(Payment {
            id: ProviderOrderId::parse(&format!("P{place}")).unwrap(),
            reference: new.reference.clone(),
            invoice: new.invoice.clone(),
            amount: new.total,
            stand: Stand::Awaiting,
            made_at: now,
            mood,
            busy: None,
            captures: Vec::new(),
        });
        let made = (place, now);
        self.paypal.created.insert(key.as_str().to_owned(), made);
        self.paypal.shown(place)
    }

    fn mood(&mut self) -> Mood {
        match self.chance.below(100) {
            0..72 => Mood::Pays,
            72..78 => Mood::DeclinesFirst(1),
            78..80 => Mood::DeclinesFirst(2),
            80..84 => Mood::Refuses,
            84..87 => Mood::Mistakes,
            87..89 => Mood::Exchanges,
            89..93 => Mood::PaysLater,
            93..96 => Mood::DeclinesLater,
            _ => Mood::DeclinesInside,
        }
    }

    /// A payment, unless the buyer's time for it has run out.
    fn payment_now(&self, id: &ProviderOrderId) -> Result<usize, GatewayError> {
        let place = self.paypal.place(id).ok_or(GatewayError::NotFound)?;
        let payment = &self.paypal.payments[place];
        let over = self.now - payment.made_at > APPROVAL && payment.stand != Stand::Captured;
        if over {
            return Err(GatewayError::NotFound);
        }
        Ok(place)
    }

    /// The buyer agrees at PayPal; `true` where that was possible.
    pub(super) fn approve(&mut self, id: &ProviderOrderId) -> bool {
        let Ok(place) = self.payment_now(id) else {
            return false;
        };
        let payment = &mut self.paypal.payments[place];
        if payment.stand != Stand::Awaiting {
            return false;
        }
        payment.stand = Stand::Approved;
        let order = payment.id.clone();
        let checkout = payment.reference.parse().ok();
        self.tell(&Hint::Order { order, checkout });
        true
    }

    /// PayPal takes the buyer's approval back, if nothing was captured.
    pub(super) fn reverse_approval(&mut self, id: &ProviderOrderId) {
        let Some(place) = self.paypal.place(id) else {
            return;
        };
        let payment = &mut self.paypal.payments[place];
        if payment.stand != Stand::Approved {
            return;
        }
        payment.stand = Stand::Voided;
        let order = payment.id.clone();
        let checkout = payment.reference.parse().ok();
        self.tell(&Hint::ApprovalReversed { order, checkout });
    }

    fn capture_payment(
        &mut self,
        id: &ProviderOrderId,
        key: &str,
    ) -> Result<ProviderOrder, GatewayError> {
        let place = self.payment_now(id)?;
        let now = self.now;
        let payment = &self.paypal.payments[place];
        let busy = payment.busy.as_ref().filter(|(_, until)| *until > now);
        match (&payment.stand, busy) {
            (Stand::Captured, Some((same, _))) if same == key => {
                return Err(refused(409, "PREVIOUS_REQUEST_IN_PROGRESS"));
            }
            // Two at the same moment under different ids: nothing tells the second of the first.
            (Stand::Captured, Some(_)) | (Stand::Approved, _) => {}
            (Stand::Captured, None) => {
                return if payment.busy.as_ref().is_some_and(|(same, _)| same == key) {
                    Ok(self.paypal.shown(place))
                } else {
                    Err(refused(422, "ORDER_ALREADY_CAPTURED"))
                };
            }
            (Stand::Awaiting, _) => return Err(refused(422, "ORDER_NOT_APPROVED")),
            (Stand::Voided, _) => return Err(refused(422, "ORDER_VOIDED")),
        }
        let twice = self.paypal.payments.iter().any(|other| {
            other.invoice == payment.invoice && other.id != *id && !other.captures.is_empty()
        });
        if twice {
            return Err(refused(422, "DUPLICATE_INVOICE_ID"));
        }
        self.take(place, key)
    }

    fn take(&mut self, place: usize, key: &str) -> Result<ProviderOrder, GatewayError> {
        let until = self.now + self.chance.between(1, 400);
        let payment = &mut self.paypal.payments[place];
        let mut amount = payment.amount;
        let status = match payment.mood {
            Mood::DeclinesFirst(0) | Mood::Pays => CaptureStatus::Completed,
            Mood::DeclinesFirst(left) => {
                payment.mood = Mood::DeclinesFirst(left - 1);
                payment.stand = Stand::Awaiting;
                return Err(refused(422, "INSTRUMENT_DECLINED"));
            }
            Mood::Refuses => return Err(refused(422, "TRANSACTION_REFUSED")),
            Mood::Mistakes => {
                amount.amount += 1;
                CaptureStatus::Completed
            }
            Mood::Exchanges => {
                amount.currency = "EUR".parse().unwrap();
                CaptureStatus::Completed
            }
            Mood::PaysLater | Mood::DeclinesLater => CaptureStatus::Pending("ECHECK".to_owned()),
            Mood::DeclinesInside => CaptureStatus::Declined,
        };
        payment.stand = Stand::Captured;
        payment.busy = Some((key.to_owned(), until));
        let capture = self.paypal.captures.len();
        payment.captures.push(capture);
        let taken = Taken {
            id: CaptureId::parse(&format!("C{capture}")).unwrap(),
            payment: payment.id.clone(),
            reference: payment.reference.clone(),
            status,
            amount,
            refunded: 0,
            at: self.now,
            unasked: false,
        };
        let paid = taken.status == CaptureStatus::Completed;
        let pending = matches!(taken.status, CaptureStatus::Pending(_));
        let pays = payment.mood == Mood::PaysLater;
        self.paypal.captures.push(taken);
        self.tell_of_capture(capture);
        if paid && !self.chance.yes(985) {
            let later = self.chance.between(1, 60_000);
            self.after(later, move |state| state.take_again(capture));
        }
        if paid && !self.chance.yes(940) {
            let later = self.chance.between(1, 60_000);
            self.after(later, move |state| state.refund_at_the_dashboard(capture));
        }
        if pending {
            let later = self.chance.between(100, 60_000);
            self.after(later, move |state| state.decide(capture, pays));
        }
        Ok(self.paypal.shown(place))
    }

    /// PayPal takes the money of a payment once more, unasked.
    fn take_again(&mut self, first: usize) {
        let capture = self.paypal.captures.len();
        let first = &self.paypal.captures[first];
        let second = Taken {
            id: CaptureId::parse(&format!("C{capture}")).unwrap(),
            status: CaptureStatus::Completed,
            refunded: 0,
            at: self.now,
            unasked: true,
            ..first.clone()
        };
        let place = self.paypal.place(&second.payment);
        self.paypal.captures.push(second);
        if let Some(place) = place {
            self.paypal.payments[place].captures.push(capture);
        }
        self.note("taken again", &capture);
        self.tell_of_capture(capture);
        self.tell_surely(capture);
    }

    /// Somebody gives a part of a capture back at PayPal's dashboard.
    fn refund_at_the_dashboard(&mut self, capture: usize) {
        let taken = &mut self.paypal.captures[capture];
        if taken.status != CaptureStatus::Completed || taken.amount.amount < 2 {
            return;
        }
        let hint = taken.give_back(taken.amount.amount / 2);
        self.note("refunded at the dashboard", &capture);
        self.tell(&hint);
    }

    /// PayPal decides about a refund that it took on.
    fn decide_refund(&mut self, refund: usize, fails: bool) {
        let returned = &mut self.paypal.refunds[refund];
        if fails {
            returned.status = RefundStatus::Failed;
            let back = returned.amount.amount;
            let taken = &mut self.paypal.captures[returned.capture];
            taken.give_back(-back);
        } else {
            returned.status = RefundStatus::Completed;
        }
        self.note("refund decided", &(refund, fails));
    }

    /// PayPal decides about a capture that it took on.
    fn decide(&mut self, capture: usize, pays: bool) {
        self.paypal.captures[capture].status = if pays {
            CaptureStatus::Completed
        } else {
            CaptureStatus::Declined
        };
        self.note("decided", &(capture, pays));
        self.tell_of_capture(capture);
        // Retried for three days: this news arrives, however late.
        self.tell_surely(capture);
    }

    fn tell_of_capture(&mut self, capture: usize) {
        let hint = self.news_of(capture);
        self.tell(&hint);
    }

    pub(super) fn news_of(&self, capture: usize) -> Hint {
        let taken = &self.paypal.captures[capture];
        let checkout: Option<CheckoutId> = taken.reference.parse().ok();
        Hint::Capture {
            capture: taken.id.clone(),
            order: Some(taken.payment.clone()),
            checkout,
            claimed: None,
        }
    }

    fn refund_capture(
        &mut self,
        id: &CaptureId,
        amount: Option<Money>,
        key: &str,
    ) -> Result<ProviderRefund, GatewayError> {
        if let Some(place) = self.paypal.returned.get(key) {
            return Ok(self.paypal.refund(*place));
        }
        let place = self
            .paypal
            .capture_place(id)
            .ok_or(GatewayError::NotFound)?;
        let later = self.chance.yes(200);
        let taken = &mut self.paypal.captures[place];
        match taken.status {
            CaptureStatus::Completed | CaptureStatus::PartiallyRefunded => {}
            CaptureStatus::Refunded => return Err(refused(422, "CAPTURE_FULLY_REFUNDED")),
            CaptureStatus::Pending(_) => return Err(refused(422, "PENDING_CAPTURE")),
            CaptureStatus::Declined | CaptureStatus::Other(_) => {
                return Err(refused(422, "CAPTURE_STATUS_NOT_VALID"));
            }
        }
        let left = taken.amount.amount - taken.refunded;
        let amount = amount.unwrap_or(Money::new(left, taken.amount.currency));
        if amount.currency != taken.amount.currency {
            return Err(refused(422, "CURRENCY_MISMATCH"));
        }
        if amount.amount > left {
            return Err(refused(422, "REFUND_AMOUNT_EXCEEDED"));
        }
        let hint = taken.give_back(amount.amount);
        let made = self.paypal.refunds.len();
        self.paypal.refunds.push(Returned {
            id: ProviderRefundId::parse(&format!("R{made}")).unwrap(),
            capture: place,
            amount,
            status: if later {
                RefundStatus::Pending
            } else {
                RefundStatus::Completed
            },
        });
        self.paypal.returned.insert(key.to_owned(), made);
        self.tell(&hint);
        if later {
            let until = self.chance.between(100, 60_000);
            let fails = !self.chance.yes(700);
            self.after(until, move |state| state.decide_refund(made, fails));
        }
        Ok(self.paypal.refund(made))
    }
}

impl Link {
    /// Asks PayPal.
    fn call<'a, R: std::fmt::Debug + Send + 'static>(
        &'a self,
        what: &'static str,
        kind: Kind,
        work: impl FnOnce(&mut State) -> Result<R, GatewayError> + Send + 'static,
    ) -> BoxFuture<'a, Result<R, GatewayError>> {
        Box::pin(async move {
            match self.ask((what, None), kind, work).await {
                Ok(answer) => answer,
                Err(gone) => Err(lost(gone)),
            }
        })
    }
}

impl Gateway for Link {
    fn create_order<'a>(
        &'a self,
        payment: &'a NewPayment,
        key: &'a RequestKey,
    ) -> BoxFuture<'a, Result<ProviderOrder, GatewayError>> {
        let (payment, key) = (payment.clone(), key.clone());
        self.call("paypal create", Kind::Write, move |state| {
            Ok(state.create_payment(&payment, &key))
        })
    }

    fn order<'a>(
        &'a self,
        id: &'a ProviderOrderId,
    ) -> BoxFuture<'a, Result<ProviderOrder, GatewayError>> {
        let id = id.clone();
        self.call("paypal show", Kind::Read, move |state| {
            let place = state.payment_now(&id)?;
            Ok(state.paypal.shown(place))
        })
    }

    fn capture<'a>(
        &'a self,
        id: &'a ProviderOrderId,
        key: &'a RequestKey,
    ) -> BoxFuture<'a, Result<ProviderOrder, GatewayError>> {
        let (id, key) = (id.clone(), key.as_str().to_owned());
        self.call("paypal capture", Kind::Write, move |state| {
            let key = if state.flaw == Flaw::CaptureWithoutKey {
                format!("{key}-{}", state.messages)
            } else {
                key
            };
            let mut answer = state.capture_payment(&id, &key)?;
            if state.flaw == Flaw::AmountNotCompared {
                let place = state.payment_now(&id)?;
                let due = state.paypal.payments[place].amount;
                for capture in &mut answer.captures {
                    capture.amount = Some(due);
                }
            }
            Ok(answer)
        })
    }

    fn capture_state<'a>(
        &'a self,
        id: &'a CaptureId,
    ) -> BoxFuture<'a, Result<Capture, GatewayError>> {
        let id = id.clone();
        self.call("paypal show capture", Kind::Read, move |state| {
            let place = state.paypal.capture_place(&id);
            let place = place.ok_or(GatewayError::NotFound)?;
            Ok(state.paypal.capture(place))
        })
    }

    fn refund<'a>(
        &'a self,
        capture: &'a CaptureId,
        amount: Option<Money>,
        key: &'a RequestKey,
        _note: Option<&'a str>,
    ) -> BoxFuture<'a, Result<ProviderRefund, GatewayError>> {
        let (id, key) = (capture.clone(), key.as_str().to_owned());
        self.call("paypal refund", Kind::Write, move |state| {
            state.refund_capture(&id, amount, &key)
        })
    }

    fn refund_state<'a>(
        &'a self,
        id: &'a ProviderRefundId,
    ) -> BoxFuture<'a, Result<ProviderRefund, GatewayError>> {
        let id = id.clone();
        self.call("paypal show refund", Kind::Read, move |state| {
            let mut refunds = state.paypal.refunds.iter();
            let place = refunds.position(|refund| refund.id == id);
            let place = place.ok_or(GatewayError::NotFound)?;
            Ok(state.paypal.refund(place))
        })
    }
}
