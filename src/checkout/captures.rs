//! Which of a payment's captures is a checkout's. What the provider answers is judged like a stranger's
//! word: a capture under another reference or invoice is nobody's business here. No I/O.

use super::model::{CaptureRecord, Checkout, Standing};
use crate::{
    money::Money,
    payments::{Capture, ProviderOrder},
};

/// What the shop asked the provider for.
struct Asked<'a> {
    reference: &'a str,
    invoice: &'a str,
    total: Money,
}

impl Asked<'_> {
    /// Whether the payment is the one that was asked for, as far as the provider says.
    fn is(&self, payment: &ProviderOrder) -> bool {
        payment
            .reference
            .as_deref()
            .is_none_or(|held| held == self.reference)
    }

    /// The capture that decides: one of exactly the total before any other, one that is paid or may be
    /// before one that was declined; of equals the first.
    fn decisive<'a>(&self, payment: &'a ProviderOrder) -> Option<&'a Capture> {
        if !self.is(payment) {
            return None;
        }
        let own = payment
            .captures
            .iter()
            .filter(|capture| capture.belongs_to(self.reference, self.invoice));
        own.rev().max_by_key(|capture| {
            let record = CaptureRecord::of(capture);
            match record.standing {
                Standing::Paid if record.amount == Some(self.total) => 3,
                Standing::Paid => 2,
                Standing::Pending => 1,
                Standing::Declined => 0,
            }
        })
    }
}

impl Checkout {
    fn asked<'a>(&'a self, reference: &'a str) -> Asked<'a> {
        Asked {
            reference,
            invoice: &self.number,
            total: self.totals.total,
        }
    }

    /// Whether the provider's payment is this checkout's, as far as it says.
    #[must_use]
    pub fn is_of(&self, payment: &ProviderOrder) -> bool {
        self.asked(&self.id.to_string()).is(payment)
    }

    /// Whether a capture was made for this checkout, as far as the provider says.
    #[must_use]
    pub fn owns(&self, capture: &Capture) -> bool {
        capture.belongs_to(&self.id.to_string(), &self.number)
    }

    /// The capture that decides about this checkout, where the payment has one.
    #[must_use]
    pub fn own_capture<'a>(&self, payment: &'a ProviderOrder) -> Option<&'a Capture> {
        self.asked(&self.id.to_string()).decisive(payment)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        money::Currency,
        payments::{CaptureId, CaptureStatus, ProviderOrderId, ProviderOrderStatus},
    };

    fn usd(cents: i64) -> Money {
        Money::new(cents, Currency::USD)
    }

    fn capture(id: &str, status: CaptureStatus, cents: i64) -> Capture {
        Capture {
            id: CaptureId::parse(id).unwrap(),
            status,
            amount: Some(usd(cents)),
            reference: Some("ours".into()),
            invoice: Some("B-1".into()),
            payee: None,
            order: None,
        }
    }

    /// The id of the capture that decides among `captures`, where 5.00 was asked for.
    fn decides(reference: Option<&str>, captures: Vec<Capture>) -> Option<String> {
        let payment = ProviderOrder {
            id: ProviderOrderId::parse("O1").unwrap(),
            status: ProviderOrderStatus::Completed,
            approve_url: None,
            reference: reference.map(str::to_owned),
            captures,
            refunds: Vec::new(),
        };
        let asked = Asked {
            reference: "ours",
            invoice: "B-1",
            total: usd(500),
        };
        let decisive = asked.decisive(&payment);
        decisive.map(|capture| capture.id.to_string())
    }

    #[test]
    fn a_paid_capture_outweighs_whatever_stands_before_it() {
        let all = || {
            vec![
                capture("DECLINED", CaptureStatus::Declined, 500),
                capture("PENDING", CaptureStatus::Pending("ECHECK".into()), 500),
                capture("OTHER", CaptureStatus::Completed, 499),
                capture("PAID", CaptureStatus::Completed, 500),
                capture("AGAIN", CaptureStatus::Completed, 500),
            ]
        };
        for (count, decisive) in [
            (1, "DECLINED"),
            (2, "PENDING"),
            (3, "OTHER"),
            (4, "PAID"),
            (5, "PAID"),
        ] {
            let first = all().into_iter().take(count).collect();
            assert_eq!(decides(Some("ours"), first).as_deref(), Some(decisive));
        }
        assert_eq!(decides(Some("ours"), Vec::new()), None);
    }

    #[test]
    fn another_payments_capture_is_not_ours() {
        let paid = || capture("PAID", CaptureStatus::Completed, 500);
        let of_another = Capture {
            reference: Some("theirs".into()),
            ..paid()
        };
        let under_another_invoice = Capture {
            invoice: Some("B-2".into()),
            ..paid()
        };
        assert_eq!(decides(None, vec![of_another.clone()]), None);
        assert_eq!(decides(None, vec![under_another_invoice]), None);
        assert_eq!(decides(Some("theirs"), vec![paid()]), None);
        let beside = vec![of_another, paid()];
        assert_eq!(decides(Some("ours"), beside).as_deref(), Some("PAID"));
        let silent = Capture {
            reference: None,
            invoice: None,
            ..paid()
        };
        assert_eq!(decides(None, vec![silent]).as_deref(), Some("PAID"));
    }
}
