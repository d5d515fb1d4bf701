//! The simulator's journal: the provider's own record of the money.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde::Deserialize;

use super::rows::{Money, Order};
use crate::money::Currency;

/// Time for each answer.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The journal cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum BadJournal {
    /// Nobody answers, or not with a journal.
    #[error("the journal cannot be read: {0}")]
    Unreadable(#[from] reqwest::Error),
    /// An amount that is none.
    #[error("the journal has the amount {amount} {currency}")]
    Amount {
        /// The amount.
        amount: String,
        /// Its currency.
        currency: String,
    },
}

/// A capture, as its last line has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Capture {
    pub(super) id: String,
    pub(super) order: String,
    pub(super) status: String,
    pub(super) amount: Money,
    /// Minor units that went back.
    pub(super) refunded: i64,
    pub(super) custom_id: String,
    pub(super) invoice_id: String,
    pub(super) payee: Option<String>,
}

impl Capture {
    /// Whether money came in, some of which may be left.
    pub(super) fn is_paid(&self) -> bool {
        matches!(
            self.status.as_str(),
            "COMPLETED" | "PARTIALLY_REFUNDED" | "REFUNDED"
        )
    }
}

/// A refund that its last line has as pending; its capture counts it as gone back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OpenRefund {
    pub(super) capture: String,
    pub(super) amount: Money,
    /// The key under which it was asked for.
    pub(super) request: Option<String>,
}

/// The provider's side of everything.
#[derive(Debug, Clone, Default)]
pub(super) struct Journal {
    /// Captures by id.
    pub(super) captures: BTreeMap<String, Capture>,
    /// Refunds that were taken on and not decided, by id.
    pub(super) open_refunds: BTreeMap<String, OpenRefund>,
    /// Ids of all events.
    pub(super) events: BTreeSet<String>,
    /// Ids of events that the shop has taken.
    pub(super) taken: BTreeSet<String>,
    /// Kinds of forgery that the shop has taken.
    pub(super) forgeries_taken: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct CaptureLine {
    id: String,
    order_id: String,
    status: String,
    amount: String,
    currency: String,
    refunded: Option<String>,
    custom_id: Option<String>,
    invoice_id: Option<String>,
    payee: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RefundLine {
    id: String,
    capture_id: String,
    status: String,
    amount: String,
    currency: String,
    request_id: Option<String>,
}

#[derive(Debug, Deserialize)]
struct EventLine {
    id: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct DeliveryLine {
    event_id: Option<String>,
    status: Option<u16>,
    forged: Option<String>,
}

/// Reads the journal of the simulator at `url`.
pub(super) async fn read(url: &str) -> Result<Journal, BadJournal> {
    let http = reqwest::Client::builder()
        .no_proxy()
        .timeout(TIMEOUT)
        .build()?;
    let url = format!("{}/control/journal", url.trim_end_matches('/'));
    let mut journal = Journal::default();
    for line in lines::<CaptureLine>(&http, &url, "capture").await? {
        journal.add(line)?;
    }
    for line in lines::<CaptureLine>(&http, &url, "capture.updated").await? {
        journal.add(line)?;
    }
    for line in lines::<RefundLine>(&http, &url, "refund").await? {
        journal.add_refund(line)?;
    }
    for line in lines::<RefundLine>(&http, &url, "refund.updated").await? {
        journal.add_refund(line)?;
    }
    for line in lines::<EventLine>(&http, &url, "event").await? {
        journal.events.insert(line.id);
    }
    for line in lines::<DeliveryLine>(&http, &url, "delivery").await? {
        journal.deliver(line);
    }
    Ok(journal)
}

async fn lines<T: serde::de::DeserializeOwned>(
    http: &reqwest::Client,
    url: &str,
    kind: &str,
) -> Result<Vec<T>, BadJournal> {
    let asked = http.get(url).query(&[("kind", kind)]);
    Ok(asked.send().await?.error_for_status()?.json().await?)
}

impl Journal {
    /// A later line about a capture takes the place of the earlier one.
    fn add(&mut self, line: CaptureLine) -> Result<(), BadJournal> {
        let refunded = match &line.refunded {
            Some(refunded) => minor(refunded, &line.currency)?,
            None => 0,
        };
        let capture = Capture {
            amount: Money {
                amount: minor(&line.amount, &line.currency)?,
                currency: line.currency,
            },
            refunded,
            order: line.order_id,
            status: line.status,
            custom_id: line.custom_id.unwrap_or_default(),
            invoice_id: line.invoice_id.unwrap_or_default(),
            payee: line.payee,
            id: line.id.clone(),
        };
        self.captures.insert(line.id, capture);
        Ok(())
    }

    /// Keeps a refund as long as its last line says that it is pending.
    fn add_refund(&mut self, line: RefundLine) -> Result<(), BadJournal> {
        if line.status != "PENDING" {
            self.open_refunds.remove(&line.id);
            return Ok(());
        }
        let open = OpenRefund {
            capture: line.capture_id,
            amount: Money {
                amount: minor(&line.amount, &line.currency)?,
                currency: line.currency,
            },
            request: line.request_id,
        };
        self.open_refunds.insert(line.id, open);
        Ok(())
    }

    /// Minor units of `order`'s capture that are under way back, as both the provider and the books have it: the
    /// capture counts them, the order not yet.
    pub(super) fn under_way(&self, order: &Order) -> i64 {
        let pending = order
            .refunds
            .iter()
            .filter(|refund| refund.state == "Pending");
        let open = pending.filter_map(|refund| {
            let key = format!("{}-refund", refund.id.to_hex());
            let (_, open) = self.open_refunds.iter().find(|(id, open)| {
                refund.provider.as_ref() == Some(*id) || open.request.as_ref() == Some(&key)
            })?;
            let same = open.capture == order.payment.capture && open.amount == refund.amount;
            same.then_some(open.amount.amount)
        });
        open.sum()
    }

    fn deliver(&mut self, line: DeliveryLine) {
        if !line
            .status
            .is_some_and(|status| (200..300).contains(&status))
        {
            return;
        }
        match (line.forged, line.event_id) {
            (Some(forged), _) => self.forgeries_taken.push(forged),
            (None, Some(event)) => {
                self.taken.insert(event);
            }
            (None, None) => {}
        }
    }
}

/// Minor units (ISO 4217) of a decimal number.
fn minor(text: &str, currency: &str) -> Result<i64, BadJournal> {
    let read = || -> Option<i64> {
        let exponent = usize::try_from(currency.parse::<Currency>().ok()?.exponent()).ok()?;
        let (whole, part) = text.split_once('.').unwrap_or((text, ""));
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        let fits = !whole.is_empty() && digits(whole) && digits(part) && part.len() <= exponent;
        fits.then(|| format!("{whole}{part:0<exponent$}").parse().ok())
            .flatten()
    };
    read().ok_or_else(|| BadJournal::Amount {
        amount: text.to_owned(),
        currency: currency.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_by_the_currencys_decimals() {
        let read = |text, currency| minor(text, currency).ok();
        assert_eq!(read("12.30", "USD"), Some(1_230));
        assert_eq!(read("12", "USD"), Some(1_200));
        assert_eq!(read("1200", "JPY"), Some(1_200));
        assert_eq!(read("1200", "HUF"), Some(120_000));
        for bad in ["12.345", "-1.00", "1e3", "", "1,00"] {
            assert_eq!(read(bad, "USD"), None, "{bad}");
        }
        assert_eq!(read("1.00", "XXQ"), None);
    }

    #[test]
    fn the_last_line_about_a_capture_counts() {
        let line = |refunded: &str, status: &str| -> CaptureLine {
            serde_json::from_value(serde_json::json!({
                "id": "C", "orderId": "O", "status": status, "amount": "5.00", "currency": "USD",
                "refunded": refunded, "customId": "x", "invoiceId": "y", "payee": "m@example.com",
            }))
            .unwrap()
        };
        let mut journal = Journal::default();
        journal.add(line("0.00", "COMPLETED")).unwrap();
        journal.add(line("5.00", "REFUNDED")).unwrap();
        let capture = &journal.captures["C"];
        assert_eq!((capture.refunded, capture.is_paid()), (500, true));
        assert_eq!(capture.payee.as_deref(), Some("m@example.com"));
    }

    #[test]
    fn a_refund_is_open_until_a_later_line_decides() {
        let line = |id: &str, status: &str| -> RefundLine {
            serde_json::from_value(serde_json::json!({
                "id": id, "captureId": "C", "status": status, "amount": "2.00", "currency": "USD",
                "requestId": "x-refund",
            }))
            .unwrap()
        };
        let mut journal = Journal::default();
        for (id, status) in [("A", "PENDING"), ("B", "PENDING"), ("C", "COMPLETED")] {
            journal.add_refund(line(id, status)).unwrap();
        }
        journal.add_refund(line("B", "CANCELLED")).unwrap();
        assert_eq!(journal.open_refunds.keys().collect::<Vec<_>>(), ["A"]);
        assert_eq!(journal.open_refunds["A"].amount.amount, 200);
    }

    #[test]
    fn only_what_was_answered_with_success_is_taken() {
        let mut journal = Journal::default();
        let line = |value: serde_json::Value| serde_json::from_value(value).unwrap();
        journal.deliver(line(serde_json::json!({ "eventId": "A", "status": 200 })));
        journal.deliver(line(serde_json::json!({ "eventId": "B", "status": 503 })));
        journal.deliver(line(
            serde_json::json!({ "eventId": "C", "error": "reset" }),
        ));
        journal.deliver(line(
            serde_json::json!({ "eventId": "D", "forged": "crc", "status": 400 }),
        ));
        journal.deliver(line(
            serde_json::json!({ "eventId": "E", "forged": "crc", "status": 200 }),
        ));
        assert_eq!(journal.taken.iter().collect::<Vec<_>>(), ["A"]);
        assert_eq!(journal.forgeries_taken, ["crc"]);
    }
}
