//! Payments and captures: what buyers and the shop do with them, and what PayPal does by itself.

use super::{APPROVAL, KEYS, Mood, Payment, Stand, Taken, refused};
use crate::{
    checkout::simulation::machine::State,
    id::CheckoutId,
    payments::{
        CaptureId, CaptureStatus, GatewayError, Hint, NewPayment, ProviderOrder, ProviderOrderId,
        RequestKey,
    },
};

impl State {
    pub(super) fn create_payment(&mut self, new: &NewPayment, key: &RequestKey) -> ProviderOrder {
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
    pub(super) fn payment_now(&self, id: &ProviderOrderId) -> Result<usize, GatewayError> {
        let place = self.paypal.place(id).ok_or(GatewayError::NotFound)?;
        let payment = &self.paypal.payments[place];
        let over = self.now - payment.made_at > APPROVAL && payment.stand != Stand::Captured;
        if over {
            return Err(GatewayError::NotFound);
        }
        Ok(place)
    }

    /// The buyer agrees at PayPal; `true` where that was possible.
    pub(in crate::checkout::simulation) fn approve(&mut self, id: &ProviderOrderId) -> bool {
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
    pub(in crate::checkout::simulation) fn reverse_approval(&mut self, id: &ProviderOrderId) {
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

    pub(super) fn capture_payment(
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

    pub(in crate::checkout::simulation) fn news_of(&self, capture: usize) -> Hint {
        let taken = &self.paypal.captures[capture];
        let checkout: Option<CheckoutId> = taken.reference.parse().ok();
        Hint::Capture {
            capture: taken.id.clone(),
            order: Some(taken.payment.clone()),
            checkout,
            claimed: None,
        }
    }
}
