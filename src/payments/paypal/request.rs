//! What we send: an order to be approved, a refund.

use serde::Serialize;

use super::amount::{Amount, AmountError};
use crate::{
    address::PostalAddress,
    money::{Money, MoneyError},
    payments::{NewPayment, PaymentLine},
};

/// The longest description, item name, brand, `custom_id` or `invoice_id`, in characters (Orders v2).
const MAX_TEXT: usize = 127;
/// The longest note to the payer (Payments v2).
const MAX_NOTE: usize = 255;
/// Beyond this many lines the buyer sees the total alone.
const MAX_ITEMS: usize = 100;

/// `POST /v2/checkout/orders`.
#[derive(Debug, Clone, Serialize)]
pub(super) struct OrderRequest {
    intent: &'static str,
    purchase_units: [PurchaseUnit; 1],
    payment_source: PaymentSource,
}

#[derive(Debug, Clone, Serialize)]
struct PurchaseUnit {
    reference_id: &'static str,
    custom_id: String,
    invoice_id: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    description: String,
    amount: Total,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    items: Vec<Item>,
    shipping: Shipping,
}

#[derive(Debug, Clone, Serialize)]
struct Total {
    #[serde(flatten)]
    amount: Amount,
    #[serde(skip_serializing_if = "Option::is_none")]
    breakdown: Option<Breakdown>,
}

#[derive(Debug, Clone, Serialize)]
struct Breakdown {
    item_total: Amount,
    shipping: Amount,
    tax_total: Amount,
    discount: Amount,
}

#[derive(Debug, Clone, Serialize)]
struct Item {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    sku: Option<String>,
    quantity: String,
    unit_amount: Amount,
    category: &'static str,
}

#[derive(Debug, Clone, Serialize)]
struct Shipping {
    name: FullName,
    address: Address,
}

#[derive(Debug, Clone, Serialize)]
struct FullName {
    full_name: String,
}

#[derive(Debug, Clone, Serialize)]
#[expect(clippy::struct_field_names, reason = "PayPal's names")]
struct Address {
    address_line_1: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    address_line_2: Option<String>,
    admin_area_2: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    admin_area_1: Option<String>,
    postal_code: String,
    country_code: String,
}

#[derive(Debug, Clone, Serialize)]
struct PaymentSource {
    paypal: Wallet,
}

#[derive(Debug, Clone, Serialize)]
struct Wallet {
    experience_context: ExperienceContext,
}

#[derive(Debug, Clone, Serialize)]
struct ExperienceContext {
    return_url: String,
    cancel_url: String,
    user_action: &'static str,
    shipping_preference: &'static str,
    payment_method_preference: &'static str,
    #[serde(skip_serializing_if = "String::is_empty")]
    brand_name: String,
}

/// At most `limit` characters of `text`.
fn cut(text: &str, limit: usize) -> String {
    text.chars().take(limit).collect()
}

impl OrderRequest {
    /// Writes the payment in PayPal's form. The breakdown is sent where it adds up to the total, the
    /// items where they add up to the item total: PayPal refuses anything else, and needs neither.
    ///
    /// # Errors
    /// When PayPal has no form for the total.
    pub(super) fn of(payment: &NewPayment) -> Result<Self, AmountError> {
        let amount = Amount::of(payment.total)?;
        let breakdown = breakdown(payment);
        let items = breakdown
            .as_ref()
            .and_then(|_stated| items(payment))
            .unwrap_or_default();
        Ok(Self {
            intent: "CAPTURE",
            purchase_units: [PurchaseUnit {
                reference_id: "default",
                custom_id: cut(&payment.reference, MAX_TEXT),
                invoice_id: cut(&payment.invoice, MAX_TEXT),
                description: cut(&payment.description, MAX_TEXT),
                amount: Total { amount, breakdown },
                items,
                shipping: Shipping::of(&payment.shipping_address),
            }],
            payment_source: PaymentSource {
                paypal: Wallet {
                    experience_context: ExperienceContext {
                        return_url: payment.return_url.clone(),
                        cancel_url: payment.cancel_url.clone(),
                        user_action: "PAY_NOW",
                        shipping_preference: "SET_PROVIDED_ADDRESS",
                        payment_method_preference: "UNRESTRICTED",
                        brand_name: cut(&payment.brand, MAX_TEXT),
                    },
                },
            },
        })
    }
}

fn breakdown(payment: &NewPayment) -> Option<Breakdown> {
    let parts = [
        payment.item_total,
        payment.shipping,
        payment.tax,
        payment.discount,
    ];
    let sum = || -> Result<Money, MoneyError> {
        payment
            .item_total
            .plus(payment.shipping)?
            .plus(payment.tax)?
            .minus(payment.discount)
    };
    let adds_up = sum().is_ok_and(|sum| sum == payment.total);
    if !adds_up || parts.iter().any(|part| part.amount < 0) {
        return None;
    }
    Some(Breakdown {
        item_total: Amount::of(payment.item_total).ok()?,
        shipping: Amount::of(payment.shipping).ok()?,
        tax_total: Amount::of(payment.tax).ok()?,
        discount: Amount::of(payment.discount).ok()?,
    })
}

fn items(payment: &NewPayment) -> Option<Vec<Item>> {
    if payment.lines.len() > MAX_ITEMS {
        return None;
    }
    let line_totals = payment
        .lines
        .iter()
        .map(|line| line.unit_price.times(line.quantity))
        .collect::<Result<Vec<_>, _>>()
        .ok()?;
    let sum = Money::sum(payment.item_total.currency, line_totals).ok()?;
    if sum != payment.item_total {
        return None;
    }
    payment.lines.iter().map(Item::of).collect()
}

impl Item {
    fn of(line: &PaymentLine) -> Option<Self> {
        let name = line.name.trim();
        if name.is_empty() || line.quantity == 0 || line.unit_price.amount < 0 {
            return None;
        }
        // Half a SKU names another article: none rather than that.
        let sku = (1..=MAX_TEXT).contains(&line.sku.chars().count());
        Some(Self {
            name: cut(name, MAX_TEXT),
            sku: sku.then(|| line.sku.clone()),
            quantity: line.quantity.to_string(),
            unit_amount: Amount::of(line.unit_price).ok()?,
            category: "PHYSICAL_GOODS",
        })
    }
}

impl Shipping {
    fn of(address: &PostalAddress) -> Self {
        Self {
            name: FullName {
                full_name: address.name.clone(),
            },
            address: Address {
                address_line_1: address.line1.clone(),
                address_line_2: address.line2.clone().filter(|line| !line.is_empty()),
                admin_area_2: address.city.clone(),
                admin_area_1: address.region.clone().filter(|region| !region.is_empty()),
                postal_code: address.postal_code.clone(),
                country_code: address.country.clone(),
            },
        }
    }
}

/// `POST /v2/payments/captures/{id}/refund`.
#[derive(Debug, Clone, Serialize)]
pub(super) struct RefundRequest {
    #[serde(skip_serializing_if = "Option::is_none")]
    amount: Option<Amount>,
    #[serde(skip_serializing_if = "Option::is_none")]
    note_to_payer: Option<String>,
}

impl RefundRequest {
    /// Writes a refund of `amount`, or of all that is left, in PayPal's form.
    ///
    /// # Errors
    /// When PayPal has no form for the amount.
    pub(super) fn of(amount: Option<Money>, note: Option<&str>) -> Result<Self, AmountError> {
        let note = note.map(str::trim).filter(|note| !note.is_empty());
        Ok(Self {
            amount: amount.map(Amount::of).transpose()?,
            note_to_payer: note.map(|note| cut(note, MAX_NOTE)),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::payments::paypal::testing::payment;

    fn sent(payment: &NewPayment) -> Value {
        serde_json::to_value(OrderRequest::of(payment).unwrap()).unwrap()
    }

    #[test]
    fn an_order_is_sent_as_paypal_documents_it() {
        let body = sent(&payment());
        assert_eq!(
            body["purchase_units"][0]["amount"],
            json!({"currency_code": "USD", "value": "32.50", "breakdown": {
                "item_total": {"currency_code": "USD", "value": "30.00"},
                "shipping": {"currency_code": "USD", "value": "4.99"},
                "tax_total": {"currency_code": "USD", "value": "0.51"},
                "discount": {"currency_code": "USD", "value": "3.00"},
            }})
        );
        assert_eq!(
            body["purchase_units"][0]["items"],
            json!([{"name": "Mug", "sku": "MUG-1", "quantity": "2", "category": "PHYSICAL_GOODS",
                "unit_amount": {"currency_code": "USD", "value": "15.00"}}])
        );
        assert_eq!(
            body["purchase_units"][0]["shipping"]["address"],
            json!({"address_line_1": "1 Main St", "admin_area_2": "San Jose", "admin_area_1": "CA",
                "postal_code": "95131", "country_code": "US"})
        );
        assert_eq!(
            body["payment_source"]["paypal"]["experience_context"],
            json!({"return_url": "https://shop.test/return", "cancel_url": "https://shop.test/cancel",
                "user_action": "PAY_NOW", "shipping_preference": "SET_PROVIDED_ADDRESS",
                "payment_method_preference": "UNRESTRICTED", "brand_name": "Bodega"})
        );
        assert_eq!(body["intent"], "CAPTURE");
    }

    #[test]
    fn items_that_do_not_add_up_are_not_sent() {
        let mut odd = payment();
        odd.lines[0].quantity = 3;
        let body = sent(&odd);
        assert!(body["purchase_units"][0].get("items").is_none());
        assert!(body["purchase_units"][0]["amount"]["breakdown"].is_object());
    }

    #[test]
    fn a_breakdown_that_does_not_add_up_is_not_sent() {
        let mut odd = payment();
        odd.tax = Money::new(52, odd.tax.currency);
        let unit = sent(&odd)["purchase_units"][0].clone();
        assert!(unit["amount"].get("breakdown").is_none() && unit.get("items").is_none());
        assert_eq!(unit["amount"]["value"], "32.50");
    }

    #[test]
    fn long_names_are_cut_between_characters_and_long_skus_left_out() {
        let mut long = payment();
        long.lines[0].name = "é😀".repeat(100);
        long.lines[0].sku = "x".repeat(128);
        let item = sent(&long)["purchase_units"][0]["items"][0].clone();
        assert_eq!(item["name"].as_str().unwrap().chars().count(), 127);
        assert!(item.get("sku").is_none());
    }

    #[test]
    fn a_currency_that_paypal_does_not_take_is_refused() {
        let mut dinar = payment();
        dinar.total = Money::new(1_000, "KWD".parse().unwrap());
        assert!(OrderRequest::of(&dinar).is_err());
    }

    #[test]
    fn a_refund_has_its_amount_and_a_short_note() {
        let refund = RefundRequest::of(Some(payment().total), Some(&"n".repeat(300))).unwrap();
        let body = serde_json::to_value(refund).unwrap();
        assert_eq!(body["amount"]["value"], "32.50");
        assert_eq!(body["note_to_payer"].as_str().unwrap().len(), 255);
        let silent = RefundRequest::of(Some(payment().total), Some(" ")).unwrap();
        assert!(
            serde_json::to_value(silent)
                .unwrap()
                .get("note_to_payer")
                .is_none()
        );
        let rest = RefundRequest::of(None, None).unwrap();
        assert_eq!(serde_json::to_value(rest).unwrap(), json!({}));
    }

    fn cents(value: &Value) -> i64 {
        let text = value["value"].as_str().unwrap();
        text.replace('.', "").parse().unwrap()
    }

    proptest! {
        #[test]
        fn whatever_is_sent_adds_up(
            lines in prop::collection::vec((0_i64..100_000, 0_u32..1_000), 0..120),
            shipping in 0_i64..10_000, tax in 0_i64..10_000, discount in 0_i64..10_000, off in -1_i64..=1,
        ) {
            let usd = |amount| Money::new(amount, crate::money::Currency::USD);
            let item_total: i64 = lines.iter().map(|(price, n)| price * i64::from(*n)).sum();
            let mut odd = payment();
            odd.lines = lines.iter().map(|(price, quantity)| PaymentLine {
                name: "x".into(), sku: "x".into(), quantity: *quantity, unit_price: usd(*price),
            }).collect();
            odd.item_total = usd(item_total);
            odd.shipping = usd(shipping);
            odd.tax = usd(tax);
            odd.discount = usd(discount);
            odd.total = usd(item_total + shipping + tax - discount + off);
            let unit = sent(&odd)["purchase_units"][0].clone();
            prop_assert_eq!(cents(&unit["amount"]), odd.total.amount);
            let stated = &unit["amount"]["breakdown"];
            prop_assert_eq!(stated.is_object(), off == 0);
            if stated.is_object() {
                let sum = cents(&stated["item_total"]) + cents(&stated["shipping"])
                    + cents(&stated["tax_total"]) - cents(&stated["discount"]);
                prop_assert_eq!(sum, cents(&unit["amount"]));
            }
            if let Some(items) = unit["items"].as_array() {
                let sum: i64 = items.iter()
                    .map(|i| cents(&i["unit_amount"]) * i["quantity"].as_str().unwrap().parse::<i64>().unwrap())
                    .sum();
                prop_assert_eq!(sum, cents(&stated["item_total"]));
            }
        }
    }
}
