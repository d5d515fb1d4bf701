//! What PayPal answers: every field optional but id and status, enums open, unknown fields ignored.
//!
//! What decides about money is read strictly (an answer without it cannot be read), what only helps is
//! read leniently.

use serde::{Deserialize, Deserializer, de::DeserializeOwned};

use super::amount::Amount;
use crate::{
    money::Money,
    payments::{
        Capture, CaptureId, CaptureStatus, ProviderOrder, ProviderOrderId, ProviderOrderStatus,
        ProviderRefund, ProviderRefundId, RefundStatus,
    },
};

/// Takes what fits and treats the rest as absent.
pub(super) fn lenient<'de, D: Deserializer<'de>, T: DeserializeOwned>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    let value = serde_json::Value::deserialize(deserializer)?;
    Ok(serde_json::from_value(value).ok())
}

/// An order.
#[derive(Debug, Deserialize)]
pub(super) struct OrderWire {
    id: String,
    status: String,
    #[serde(default)]
    purchase_units: Option<Vec<PurchaseUnitWire>>,
    #[serde(default, deserialize_with = "lenient")]
    links: Option<Vec<LinkWire>>,
}

#[derive(Debug, Deserialize)]
struct PurchaseUnitWire {
    #[serde(default, deserialize_with = "lenient")]
    amount: Option<Amount>,
    #[serde(default, deserialize_with = "lenient")]
    custom_id: Option<String>,
    #[serde(default)]
    payments: Option<PaymentsWire>,
}

#[derive(Debug, Deserialize)]
struct PaymentsWire {
    #[serde(default)]
    captures: Option<Vec<CaptureWire>>,
    #[serde(default, deserialize_with = "lenient")]
    refunds: Option<Vec<RefundWire>>,
}

/// A capture, in an order, on its own, or in an event.
#[derive(Debug, Deserialize)]
pub(super) struct CaptureWire {
    id: String,
    status: String,
    #[serde(default, deserialize_with = "lenient")]
    status_details: Option<StatusDetailsWire>,
    #[serde(default, deserialize_with = "lenient")]
    amount: Option<Amount>,
    #[serde(default, deserialize_with = "lenient")]
    custom_id: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    invoice_id: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    payee: Option<PayeeWire>,
    #[serde(default, deserialize_with = "lenient")]
    supplementary_data: Option<SupplementaryDataWire>,
    #[serde(default, deserialize_with = "lenient")]
    links: Option<Vec<LinkWire>>,
}

#[derive(Debug, Deserialize)]
struct PayeeWire {
    email_address: Option<String>,
}

#[derive(Debug, Deserialize)]
struct StatusDetailsWire {
    reason: Option<String>,
}

#[derive(Debug, Deserialize)]
struct SupplementaryDataWire {
    related_ids: Option<RelatedIdsWire>,
}

#[derive(Debug, Deserialize)]
struct RelatedIdsWire {
    order_id: Option<String>,
}

/// A refund, on its own or in an event.
#[derive(Debug, Deserialize)]
pub(super) struct RefundWire {
    id: String,
    status: String,
    #[serde(default, deserialize_with = "lenient")]
    amount: Option<Amount>,
    #[serde(default, deserialize_with = "lenient")]
    seller_payable_breakdown: Option<PayableWire>,
    #[serde(default, deserialize_with = "lenient")]
    links: Option<Vec<LinkWire>>,
}

#[derive(Debug, Deserialize)]
struct PayableWire {
    #[serde(default, deserialize_with = "lenient")]
    total_refunded_amount: Option<Amount>,
}

/// A link.
#[derive(Debug, Deserialize)]
struct LinkWire {
    href: String,
    rel: String,
}

/// The answer names something that cannot be an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an id")]
pub(super) struct BadId;

/// The last part of the path of the link `rel`, where it stands under `collection`.
fn linked<'a>(links: Option<&'a [LinkWire]>, rel: &str, collection: &str) -> Option<&'a str> {
    let link = links?.iter().find(|link| link.rel == rel)?;
    let (_, id) = link.href.rsplit_once(collection)?;
    Some(id)
}

fn amount(amount: Option<&Amount>) -> Option<Money> {
    amount.and_then(Amount::money)
}

/// Whether a browser may be sent there; anything but http(s) would be run or opened on the buyer's side.
fn is_page(link: &str) -> bool {
    url::Url::parse(link).is_ok_and(|url| matches!(url.scheme(), "https" | "http"))
}

impl OrderWire {
    /// Whether the order is for exactly this, as far as the answer says what it is for.
    pub(super) fn is_for(&self, reference: &str, total: Money) -> bool {
        let units = self.purchase_units.as_deref().unwrap_or_default();
        units.len() <= 1
            && units.iter().all(|unit| {
                unit.custom_id.as_deref().is_none_or(|id| id == reference)
                    && unit
                        .amount
                        .as_ref()
                        .is_none_or(|amount| amount.money() == Some(total))
            })
    }

    /// The order in the shop's words.
    pub(super) fn into_order(self) -> Result<ProviderOrder, BadId> {
        let id = ProviderOrderId::parse(&self.id).ok_or(BadId)?;
        let mut units = self.purchase_units.unwrap_or_default();
        let refunds = units
            .iter_mut()
            .filter_map(|unit| unit.payments.as_mut()?.refunds.take())
            .flatten()
            .map(RefundWire::into_refund)
            .collect::<Result<_, BadId>>()?;
        let reference = units.iter().find_map(|unit| unit.custom_id.clone());
        let captures = units
            .into_iter()
            .filter_map(|unit| unit.payments?.captures)
            .flatten()
            .map(|capture| {
                let capture = capture.into_capture()?;
                Ok(Capture {
                    order: Some(id.clone()),
                    ..capture
                })
            })
            .collect::<Result<_, BadId>>()?;
        // `payer-action` with payment_source, `approve` with the older application_context.
        let approve_url = self
            .links
            .into_iter()
            .flatten()
            .find(|link| matches!(link.rel.as_str(), "payer-action" | "approve"))
            .filter(|link| is_page(&link.href));
        Ok(ProviderOrder {
            id,
            status: order_status(self.status),
            approve_url: approve_url.map(|link| link.href),
            reference,
            captures,
            refunds,
        })
    }
}

fn order_status(status: String) -> ProviderOrderStatus {
    match status.as_str() {
        "CREATED" | "PAYER_ACTION_REQUIRED" | "SAVED" => ProviderOrderStatus::AwaitingApproval,
        "APPROVED" => ProviderOrderStatus::Approved,
        "COMPLETED" => ProviderOrderStatus::Completed,
        "VOIDED" => ProviderOrderStatus::Voided,
        _ => ProviderOrderStatus::Other(status),
    }
}

impl CaptureWire {
    /// The capture in the shop's words.
    pub(super) fn into_capture(self) -> Result<Capture, BadId> {
        let related = self
            .supplementary_data
            .as_ref()
            .and_then(|data| data.related_ids.as_ref()?.order_id.as_deref());
        let linked = || linked(self.links.as_deref(), "up", "/v2/checkout/orders/");
        let order = related.or_else(linked).and_then(ProviderOrderId::parse);
        Ok(Capture {
            id: CaptureId::parse(&self.id).ok_or(BadId)?,
            status: match self.status.as_str() {
                "COMPLETED" => CaptureStatus::Completed,
                "PENDING" => CaptureStatus::Pending(
                    self.status_details
                        .and_then(|details| details.reason)
                        .unwrap_or_default(),
                ),
                "DECLINED" | "FAILED" => CaptureStatus::Declined,
                "PARTIALLY_REFUNDED" => CaptureStatus::PartiallyRefunded,
                "REFUNDED" => CaptureStatus::Refunded,
                _ => CaptureStatus::Other(self.status),
            },
            amount: amount(self.amount.as_ref()),
            reference: self.custom_id,
            invoice: self.invoice_id,
            payee: self.payee.and_then(|payee| payee.email_address),
            order,
        })
    }
}

impl RefundWire {
    /// The refund in the shop's words.
    pub(super) fn into_refund(self) -> Result<ProviderRefund, BadId> {
        let capture = linked(self.links.as_deref(), "up", "/v2/payments/captures/");
        let total = self
            .seller_payable_breakdown
            .and_then(|payable| payable.total_refunded_amount);
        Ok(ProviderRefund {
            id: ProviderRefundId::parse(&self.id).ok_or(BadId)?,
            status: match self.status.as_str() {
                "COMPLETED" => RefundStatus::Completed,
                "PENDING" => RefundStatus::Pending,
                "FAILED" | "CANCELLED" => RefundStatus::Failed,
                _ => RefundStatus::Other(self.status),
            },
            amount: amount(self.amount.as_ref()),
            capture: capture.and_then(CaptureId::parse),
            total_refunded: amount(total.as_ref()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payments::paypal::testing::{shared, usd};

    fn order(json: &str) -> ProviderOrder {
        serde_json::from_str::<OrderWire>(json)
            .unwrap()
            .into_order()
            .unwrap()
    }

    fn resource<T: DeserializeOwned>(sample: &str) -> T {
        let text = shared(&format!("paypal/samples/webhooks/{sample}.json"));
        let event: serde_json::Value = serde_json::from_slice(&text).unwrap();
        serde_json::from_value(event["resource"].clone()).unwrap()
    }

    #[test]
    fn an_order_is_read_with_either_approval_link() {
        for rel in ["payer-action", "approve"] {
            let order = order(&format!(
                r#"{{"id":"5O190127TN364715T","status":"PAYER_ACTION_REQUIRED","payment_source":{{"paypal":{{}}}},
                    "links":[{{"href":"x","rel":"self","method":"GET"}},{{"href":"https://p/a","rel":"{rel}"}}]}}"#
            ));
            assert_eq!(order.status, ProviderOrderStatus::AwaitingApproval);
            assert_eq!(order.approve_url.as_deref(), Some("https://p/a"));
            assert!(order.captures.is_empty());
        }
    }

    #[test]
    fn a_capture_answer_gives_id_amount_and_reference() {
        let order = order(
            r#"{"id":"5O190127TN364715T","status":"COMPLETED","purchase_units":[{"reference_id":"default",
            "payments":{"captures":[{"id":"3C679366HH908993F","status":"COMPLETED",
            "amount":{"currency_code":"USD","value":"32.50"},"custom_id":"662e41f09c1d4c3a8f0b7a11"}]}}]}"#,
        );
        let capture = &order.captures[0];
        assert_eq!(capture.status, CaptureStatus::Completed);
        assert_eq!(capture.amount, Some(usd(3_250)));
        assert_eq!(
            capture.reference.as_deref(),
            Some("662e41f09c1d4c3a8f0b7a11")
        );
        assert_eq!(capture.order.as_ref(), Some(&order.id));
    }

    #[test]
    fn what_this_version_does_not_know_is_kept() {
        let order = order(
            r#"{"id":"A1","status":"PONDERED","links":"none","purchase_units":[{"custom_id":5,"payments":{"captures":[
                {"id":"C1","status":"SUSPENDED","amount":{"currency_code":"USD","value":12}},
                {"id":"C2","status":"FAILED"},
                {"id":"C3","status":"PENDING","status_details":{"reason":"DECLINED_BY_RISK_FRAUD_FILTERS"}}
            ]}}],"novelty":{"x":[1]}}"#,
        );
        assert_eq!(order.status, ProviderOrderStatus::Other("PONDERED".into()));
        let statuses: Vec<_> = order.captures.iter().map(|c| c.status.clone()).collect();
        assert_eq!(
            statuses,
            [
                CaptureStatus::Other("SUSPENDED".into()),
                CaptureStatus::Declined,
                CaptureStatus::Pending("DECLINED_BY_RISK_FRAUD_FILTERS".into())
            ]
        );
        assert_eq!(order.captures[0].amount, None, "a number is no amount");
    }

    #[test]
    fn an_answer_that_loses_the_money_is_not_read() {
        for json in [
            r#"{"id":"A1","status":"COMPLETED","purchase_units":[{"payments":{"captures":[{"status":"COMPLETED"}]}}]}"#,
            r#"{"id":"A1","status":"COMPLETED","purchase_units":[{"payments":{"captures":"one"}}]}"#,
            r#"{"status":"COMPLETED"}"#,
            r#"{"id":"A1"}"#,
        ] {
            assert!(serde_json::from_str::<OrderWire>(json).is_err(), "{json}");
        }
        let odd = r#"{"id":"../x","status":"COMPLETED"}"#;
        let odd: OrderWire = serde_json::from_str(odd).unwrap();
        assert!(odd.into_order().is_err());
    }

    #[test]
    fn samples_seen_in_public_are_read() {
        let order: OrderWire = resource("CHECKOUT.ORDER.APPROVED");
        assert_eq!(
            order.into_order().unwrap().status,
            ProviderOrderStatus::Approved
        );
        let capture: CaptureWire = resource("PAYMENT.CAPTURE.COMPLETED");
        let capture = capture.into_capture().unwrap();
        assert_eq!(capture.order, ProviderOrderId::parse("0PF373004F060160X"));
        assert_eq!(
            capture.amount,
            Some(Money::new(131, "GBP".parse().unwrap()))
        );
        let denied: CaptureWire = resource("PAYMENT.CAPTURE.DENIED");
        let denied = denied.into_capture().unwrap();
        assert_eq!(
            (denied.status, denied.order),
            (CaptureStatus::Declined, None)
        );
        let refund: RefundWire = resource("PAYMENT.CAPTURE.REFUNDED");
        let refund = refund.into_refund().unwrap();
        assert_eq!(refund.capture, CaptureId::parse("0JF852973C016714D"));
        assert_eq!(
            (refund.amount, refund.total_refunded),
            (Some(usd(99)), Some(usd(1_000)))
        );
    }
}
