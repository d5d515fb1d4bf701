//! The HTML of the approval page: plain, without scripts, usable with a keyboard alone.

use std::fmt::Write as _;

use serde_json::Value;

use crate::orders::model::{Order, OrderStatus, Unit};

const STYLE: &str = "\
:root{color-scheme:light dark}\
body{font:1rem/1.5 system-ui,sans-serif;max-width:34rem;margin:2rem auto;padding:0 1rem}\
header p{margin:0;opacity:.8}\
table{width:100%;border-collapse:collapse;margin:1rem 0}\
th,td{text-align:left;padding:.4rem 0;border-bottom:1px solid #8886}\
td:last-child,th:last-child{text-align:right;white-space:nowrap}\
fieldset{border:1px solid #8886;border-radius:.5rem;margin:1rem 0;padding:.8rem}\
label{display:block;padding:.2rem 0}\
button{font:inherit;padding:.7rem 1.2rem;border-radius:.5rem;border:2px solid #0b5fff;\
cursor:pointer;margin:.2rem .4rem .2rem 0}\
button.go{background:#0b5fff;color:#fff}\
button.stop{background:transparent;color:inherit;border-color:#888}\
:focus-visible{outline:3px solid #ffb000;outline-offset:2px}\
.note{opacity:.75;font-size:.9rem}";

fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}

fn document(title: &str, main: &str) -> String {
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>{title} – PayPal simulator</title><style>{STYLE}</style></head>\
         <body><header><p>PayPal simulator: no real money moves here</p></header>\
         <main>{main}</main></body></html>",
        title = escape(title)
    )
}

/// A page that only says something, with a link back where there is one.
pub(crate) fn note(title: &str, text: &str, back: Option<String>) -> String {
    let link = back.map_or_else(String::new, |url| {
        format!("<p><a href=\"{}\">Return to the shop</a></p>", escape(&url))
    });
    document(
        title,
        &format!("<h1>{}</h1><p>{}</p>{link}", escape(title), escape(text)),
    )
}

fn money(value: Option<&Value>) -> Option<String> {
    let value = value?;
    let amount = value.get("value")?.as_str()?;
    let currency = value.get("currency_code")?.as_str()?;
    Some(format!("{} {}", escape(amount), escape(currency)))
}

fn rows(unit: &Unit, table: &mut String) {
    let items = unit.body.get("items").and_then(Value::as_array);
    for item in items.into_iter().flatten() {
        let text = |name: &str| escape(item.get(name).and_then(Value::as_str).unwrap_or_default());
        // Writing into a String cannot fail, here and below.
        let _ = write!(
            table,
            "<tr><td>{} × {}</td><td>{}</td></tr>",
            text("quantity"),
            text("name"),
            money(item.get("unit_amount")).unwrap_or_default()
        );
    }
    let parts = [
        ("item_total", "Items", ""),
        ("shipping", "Shipping", ""),
        ("handling", "Handling", ""),
        ("tax_total", "Tax", ""),
        ("insurance", "Insurance", ""),
        ("shipping_discount", "Shipping discount", "−"),
        ("discount", "Discount", "−"),
    ];
    let breakdown = unit
        .body
        .get("amount")
        .and_then(|amount| amount.get("breakdown"));
    for (name, label, sign) in parts {
        if let Some(shown) = money(breakdown.and_then(|breakdown| breakdown.get(name))) {
            let _ = write!(table, "<tr><td>{label}</td><td>{sign}{shown}</td></tr>");
        }
    }
    let _ = write!(
        table,
        "<tr><th scope=\"row\">Total</th><th>{}</th></tr>",
        money(unit.body.get("amount")).unwrap_or_default()
    );
}

/// How to pay: the word in the form, and what it says.
const CHOICES: [(&str, &str); 5] = [
    (
        "complete",
        "Pay with balance: the payment completes at once",
    ),
    (
        "slow",
        "Pay with balance, on a bad day: PayPal takes its time over the payment",
    ),
    (
        "pending",
        "Pay by eCheck: the payment stays pending until the bank confirms it",
    ),
    ("decline", "Pay with a card that will be declined"),
    (
        "denied",
        "Pay with a bank account that will not pay: the capture is denied",
    ),
];

/// When the shop hears of it by webhook.
const NOTICES: [(&str, &str); 4] = [
    ("usual", "As usual"),
    ("before", "Before you are back at the shop"),
    ("after", "Some seconds after you are back"),
    ("twice", "Twice"),
];

fn radios(name: &str, legend: &str, all: &[(&str, &str)]) -> String {
    let mut set = format!("<fieldset><legend>{legend}</legend>");
    for (index, (value, label)) in all.iter().enumerate() {
        let checked = if index == 0 { " checked" } else { "" };
        let _ = write!(
            set,
            "<label><input type=\"radio\" name=\"{name}\" value=\"{value}\"{checked}> {label}</label>"
        );
    }
    set.push_str("</fieldset>");
    set
}

/// The page that asks.
pub(crate) fn form(order: &Order) -> String {
    let brand = order.draft.brand.as_deref().unwrap_or("the shop");
    let mut table = String::new();
    for unit in &order.draft.units {
        rows(unit, &mut table);
    }
    let choices = radios("choice", "How do you want to pay?", &CHOICES);
    let notices = radios("notice", "When does the shop hear of it?", &NOTICES);
    let state = if order.status == OrderStatus::Approved {
        "<p role=\"status\">You have approved this payment already; you may choose again.</p>"
    } else {
        ""
    };
    let id = escape(&order.id);
    let main = format!(
        "<h1>Pay {brand}</h1>{state}<table><caption class=\"note\">Order {id}</caption>\
         <tbody>{table}</tbody></table>\
         <form method=\"post\" action=\"checkoutnow\"><input type=\"hidden\" name=\"token\" value=\"{id}\">\
         {choices}{notices}\
         <button class=\"go\" type=\"submit\">Approve payment</button></form>\
         <form method=\"post\" action=\"checkoutnow\"><input type=\"hidden\" name=\"token\" value=\"{id}\">\
         <input type=\"hidden\" name=\"choice\" value=\"cancel\">\
         <button class=\"stop\" type=\"submit\">Cancel and return</button></form>",
        brand = escape(brand)
    );
    document("Pay", &main)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_the_shop_cannot_become_markup() {
        let page = note(
            "<b>",
            "a & \"b\" <script>",
            Some("https://x/?a=1&b='".to_owned()),
        );
        assert!(!page.contains("<script>") && !page.contains("<h1><b>"));
        assert!(page.contains("a=1&amp;b=&#39;"));
    }
}
