//! What an order is and how it may move.

use serde::Deserialize;
use serde_json::{Map, Value, json};
use time::OffsetDateTime;

use crate::{ids, money::Amount, problem::Problem};

/// `checkout_payment_intent`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Intent {
    /// Captured as soon as the merchant asks.
    Capture,
    /// Authorized first; created and shown here, but never authorized.
    Authorize,
}

impl Intent {
    /// The word on the wire.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Capture => "CAPTURE",
            Self::Authorize => "AUTHORIZE",
        }
    }
}

/// `order_status`, without `SAVED`, which needs an intent that the simulator does not serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OrderStatus {
    /// Made with `application_context` or nothing; the approval link is `approve`.
    Created,
    /// Made with a payment source; the approval link is `payer-action`.
    PayerActionRequired,
    /// The buyer agreed.
    Approved,
    /// A capture was attempted and recorded.
    Completed,
    /// Given up.
    Voided,
}

impl OrderStatus {
    /// The word on the wire.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Created => "CREATED",
            Self::PayerActionRequired => "PAYER_ACTION_REQUIRED",
            Self::Approved => "APPROVED",
            Self::Completed => "COMPLETED",
            Self::Voided => "VOIDED",
        }
    }

    /// Whether a buyer may still approve, or approve again with other funding.
    pub(crate) const fn approvable(self) -> bool {
        match self {
            Self::Created | Self::PayerActionRequired | Self::Approved => true,
            Self::Completed | Self::Voided => false,
        }
    }
}

/// What the request named as the way to pay; decides status, link and shape of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// `payment_source.paypal`.
    Wallet,
    /// `application_context`, or nothing.
    Context,
}

/// The buyer.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(crate) struct Payer {
    /// PayPal's account id, 13 characters.
    #[serde(rename = "payerId")]
    pub(crate) account_id: String,
    /// E-mail address.
    pub(crate) email: String,
    /// First name.
    pub(crate) given_name: String,
    /// Last name.
    pub(crate) surname: String,
    /// ISO 3166-1 code.
    pub(crate) country: String,
}

impl Default for Payer {
    fn default() -> Self {
        Self {
            account_id: ids::account(),
            email: "buyer@example.com".to_owned(),
            given_name: "Zoë".to_owned(),
            surname: "Müller".to_owned(),
            country: "US".to_owned(),
        }
    }
}

impl Payer {
    /// `payer` of an order.
    pub(crate) fn json(&self) -> Value {
        json!({
            "name": { "given_name": self.given_name, "surname": self.surname },
            "email_address": self.email,
            "payer_id": self.account_id,
            "address": { "country_code": self.country }
        })
    }

    /// `payment_source.paypal` of an order.
    pub(crate) fn wallet(&self) -> Value {
        json!({
            "email_address": self.email,
            "account_id": self.account_id,
            "account_status": "VERIFIED",
            "name": { "given_name": self.given_name, "surname": self.surname },
            "address": { "country_code": self.country }
        })
    }

    /// The address the buyer has on file at PayPal.
    pub(crate) fn shipping(&self) -> Value {
        json!({
            "name": { "full_name": format!("{} {}", self.given_name, self.surname) },
            "address": {
                "address_line_1": "1 Main St",
                "admin_area_2": "San Jose",
                "admin_area_1": "CA",
                "postal_code": "95131",
                "country_code": self.country
            }
        })
    }
}

/// What the next captures of an order come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Paid.
    Complete,
    /// A capture with status PENDING and that reason.
    Pending(String),
    /// A capture with status DECLINED.
    Denied,
    /// A capture with status FAILED.
    Failed,
    /// 422 with that issue and no capture; so often, or until the buyer approves anew.
    Refused(&'static str, Option<u32>),
}

/// When a shop hears of an order's events, as its buyer chose on the approval page.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Notice {
    /// As the settings say.
    #[default]
    Usual,
    /// Before the buyer is back: the page waits for the shop.
    Before,
    /// Long after the buyer is back.
    After,
    /// Twice, both at once.
    Twice,
}

/// One purchase unit.
#[derive(Debug, Clone)]
pub(crate) struct Unit {
    /// `default` where the request named none.
    pub(crate) reference_id: String,
    /// What it costs.
    pub(crate) amount: Amount,
    /// The unit as answered, without payments.
    pub(crate) body: Map<String, Value>,
    /// Its captures.
    pub(crate) captures: Vec<String>,
}

impl Unit {
    /// A text member of the unit, such as `custom_id`.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.body.get(name).and_then(Value::as_str)
    }
}

/// What a checked create request asks for.
#[derive(Debug, Clone)]
pub(crate) struct Draft {
    /// Intent.
    pub(crate) intent: Intent,
    /// Purchase units, at least one.
    pub(crate) units: Vec<Unit>,
    /// The way to pay.
    pub(crate) source: Source,
    /// Where the buyer goes after approval.
    pub(crate) return_url: Option<String>,
    /// Where the buyer goes after giving up.
    pub(crate) cancel_url: Option<String>,
    /// The shop's name on the page.
    pub(crate) brand: Option<String>,
    /// Whether the buyer's own address is to be filled in.
    pub(crate) shipping_from_file: bool,
}

/// An order.
#[derive(Debug, Clone)]
pub(crate) struct Order {
    /// 17 characters.
    pub(crate) id: String,
    /// What was asked for.
    pub(crate) draft: Draft,
    /// Where it stands.
    pub(crate) status: OrderStatus,
    /// Who approved it.
    pub(crate) payer: Option<Payer>,
    /// What the next capture comes to.
    pub(crate) outcome: Outcome,
    /// Whether its capture takes its time.
    pub(crate) slow: bool,
    /// When the shop hears of it.
    pub(crate) notice: Notice,
    /// When it was made.
    pub(crate) created: OffsetDateTime,
    /// When it last changed.
    pub(crate) updated: OffsetDateTime,
    /// When it lapses, unless it is finished before.
    pub(crate) deadline: OffsetDateTime,
    /// Lapsed: unknown to the API from then on.
    pub(crate) expired: bool,
}

impl Order {
    /// A new order that lapses at `deadline`.
    pub(crate) fn new(draft: Draft, now: OffsetDateTime, deadline: OffsetDateTime) -> Self {
        let status = match draft.source {
            Source::Wallet => OrderStatus::PayerActionRequired,
            Source::Context => OrderStatus::Created,
        };
        Self {
            id: ids::resource(),
            draft,
            status,
            payer: None,
            outcome: Outcome::Complete,
            slow: false,
            notice: Notice::Usual,
            created: now,
            updated: now,
            deadline,
            expired: false,
        }
    }

    /// The buyer approves; tells whether that is news. A second approval only changes the outcome.
    pub(crate) fn approve(
        &mut self,
        payer: Payer,
        outcome: Outcome,
        now: OffsetDateTime,
        deadline: OffsetDateTime,
    ) -> Result<bool, OrderStatus> {
        if self.expired || !self.status.approvable() {
            return Err(self.status);
        }
        let news =
            self.status != OrderStatus::Approved || matches!(self.outcome, Outcome::Refused(..));
        self.outcome = outcome;
        self.updated = now;
        self.deadline = deadline;
        if self.payer.is_none() {
            if self.draft.shipping_from_file {
                for unit in &mut self.draft.units {
                    unit.body
                        .entry("shipping")
                        .or_insert_with(|| payer.shipping());
                }
            }
            self.payer = Some(payer);
        }
        self.status = OrderStatus::Approved;
        Ok(news)
    }

    /// Whether a capture may go ahead, and what it comes to; counts a refusal.
    pub(crate) fn begin_capture(&mut self) -> Result<Outcome, Problem> {
        match (self.draft.intent, self.status) {
            (Intent::Authorize, _) => Err(Problem::issue("ACTION_DOES_NOT_MATCH_INTENT")),
            (Intent::Capture, OrderStatus::Completed) => {
                Err(Problem::issue("ORDER_ALREADY_CAPTURED"))
            }
            (
                Intent::Capture,
                OrderStatus::Created | OrderStatus::PayerActionRequired | OrderStatus::Voided,
            ) => Err(Problem::issue("ORDER_NOT_APPROVED")),
            (Intent::Capture, OrderStatus::Approved) => {
                let present = self.outcome.clone();
                if let Outcome::Refused(_, Some(left)) = &mut self.outcome {
                    *left = left.saturating_sub(1);
                    if *left == 0 {
                        self.outcome = Outcome::Complete;
                    }
                }
                Ok(present)
            }
        }
    }

    /// Whether its time has passed while it was unfinished.
    pub(crate) fn lapses(&self, now: OffsetDateTime) -> bool {
        !self.expired && self.status.approvable() && self.deadline <= now
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use time::Duration;

    use super::*;
    use crate::money::Currency;

    pub(crate) fn order() -> Order {
        let amount = Amount::parse("32.50", Currency::find("USD").unwrap()).unwrap();
        let unit = Unit {
            reference_id: "default".to_owned(),
            amount,
            body: Map::new(),
            captures: Vec::new(),
        };
        let draft = Draft {
            intent: Intent::Capture,
            units: vec![unit],
            source: Source::Wallet,
            return_url: None,
            cancel_url: None,
            brand: None,
            shipping_from_file: true,
        };
        let now = OffsetDateTime::now_utc();
        Order::new(draft, now, now + Duration::hours(3))
    }

    fn approve(order: &mut Order, outcome: Outcome) -> Result<bool, OrderStatus> {
        let now = OffsetDateTime::now_utc();
        order.approve(Payer::default(), outcome, now, now + Duration::hours(3))
    }

    #[test]
    fn only_an_approved_order_is_captured() {
        let mut order = order();
        let early = order.begin_capture().unwrap_err();
        assert_eq!(early.first_issue(), Some("ORDER_NOT_APPROVED"));
        assert_eq!(approve(&mut order, Outcome::Complete), Ok(true));
        assert_eq!(order.begin_capture().unwrap(), Outcome::Complete);
        order.status = OrderStatus::Completed;
        let late = order.begin_capture().unwrap_err();
        assert_eq!(late.first_issue(), Some("ORDER_ALREADY_CAPTURED"));
        assert_eq!(
            approve(&mut order, Outcome::Complete),
            Err(OrderStatus::Completed)
        );
    }

    #[test]
    fn a_second_approval_is_no_news_but_keeps_the_first_payer() {
        let mut order = order();
        assert_eq!(approve(&mut order, Outcome::Complete), Ok(true));
        let payer = order.payer.clone();
        assert_eq!(approve(&mut order, Outcome::Denied), Ok(false));
        assert_eq!(order.payer, payer);
        assert_eq!(order.outcome, Outcome::Denied);
    }

    #[test]
    fn a_refused_capture_counts_down_and_then_succeeds() {
        let mut order = order();
        let twice = Outcome::Refused("INSTRUMENT_DECLINED", Some(2));
        assert_eq!(approve(&mut order, twice), Ok(true));
        assert!(matches!(order.begin_capture(), Ok(Outcome::Refused(..))));
        assert!(matches!(order.begin_capture(), Ok(Outcome::Refused(..))));
        assert_eq!(order.begin_capture().unwrap(), Outcome::Complete);
    }

    #[test]
    fn a_lasting_refusal_ends_with_a_new_approval() {
        let mut order = order();
        assert_eq!(
            approve(&mut order, Outcome::Refused("INSTRUMENT_DECLINED", None)),
            Ok(true)
        );
        for _ in 0..3 {
            assert!(matches!(order.begin_capture(), Ok(Outcome::Refused(..))));
        }
        assert_eq!(
            approve(&mut order, Outcome::Complete),
            Ok(true),
            "new funding is news"
        );
        assert_eq!(order.begin_capture().unwrap(), Outcome::Complete);
    }

    #[test]
    fn the_buyers_address_fills_a_missing_one_only() {
        let mut order = order();
        approve(&mut order, Outcome::Complete).unwrap();
        assert!(order.draft.units[0].body.contains_key("shipping"));
    }
}
