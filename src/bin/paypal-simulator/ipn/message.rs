//! What IPN messages say, and how their bytes are made.

use std::collections::BTreeMap;

use actix_web::web::Bytes;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use serde_json::json;

use super::Job;
use crate::{
    clock,
    config::Charset,
    ids,
    orders::model::Payer,
    payments::model::{Capture, CaptureStatus, Origin, RefundStatus},
    world::{Outgoing, World},
};

/// What a form leaves as it is, beside the space, which becomes `+`.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'*')
    .remove(b' ');

/// The names and values of a message, in order.
pub(crate) type Fields = Vec<(String, String)>;

/// How windows-1252 differs from Latin-1 between 0x80 and 0x9F
/// (<https://encoding.spec.whatwg.org/#windows-1252>).
const WINDOWS: [(char, u8); 27] = [
    ('€', 0x80),
    ('‚', 0x82),
    ('ƒ', 0x83),
    ('„', 0x84),
    ('…', 0x85),
    ('†', 0x86),
    ('‡', 0x87),
    ('ˆ', 0x88),
    ('‰', 0x89),
    ('Š', 0x8a),
    ('‹', 0x8b),
    ('Œ', 0x8c),
    ('Ž', 0x8e),
    ('‘', 0x91),
    ('’', 0x92),
    ('“', 0x93),
    ('”', 0x94),
    ('•', 0x95),
    ('–', 0x96),
    ('—', 0x97),
    ('˜', 0x98),
    ('™', 0x99),
    ('š', 0x9a),
    ('›', 0x9b),
    ('œ', 0x9c),
    ('ž', 0x9e),
    ('Ÿ', 0x9f),
];

fn bytes(text: &str, charset: Charset) -> Vec<u8> {
    match charset {
        Charset::Utf8 => text.as_bytes().to_vec(),
        Charset::Windows1252 => text
            .chars()
            .map(|letter| {
                WINDOWS
                    .iter()
                    .find(|(known, _)| *known == letter)
                    .map(|(_, byte)| *byte)
                    .or_else(|| u8::try_from(u32::from(letter)).ok())
                    .unwrap_or(b'?')
            })
            .collect(),
    }
}

/// The form-encoded bytes of a message.
pub(crate) fn encode(fields: &Fields, charset: Charset) -> Bytes {
    let part = |text: &str| {
        percent_encode(&bytes(text, charset), PLAIN)
            .to_string()
            .replace(' ', "+")
    };
    let pairs: Vec<String> = fields
        .iter()
        .map(|(name, value)| format!("{}={}", part(name), part(value)))
        .collect();
    Bytes::from(pairs.join("&"))
}

const fn charset_name(charset: Charset) -> &'static str {
    match charset {
        Charset::Windows1252 => "windows-1252",
        Charset::Utf8 => "UTF-8",
    }
}

fn common(world: &World, one: &Capture, payer: &Payer, charset: Charset) -> Fields {
    let live = world.settings.certificate_environment == crate::config::Environment::Live;
    let mut fields: Vec<(&str, String)> = vec![
        ("protection_eligibility", "Eligible".to_owned()),
        ("payer_id", payer.account_id.clone()),
        ("payment_date", clock::stamp_ipn(world.now())),
        ("charset", charset_name(charset).to_owned()),
        ("first_name", payer.given_name.clone()),
        ("last_name", payer.surname.clone()),
        ("notify_version", "3.9".to_owned()),
        ("custom", one.custom_id.clone().unwrap_or_default()),
        ("payer_status", "verified".to_owned()),
        ("business", world.settings.receiver_email.clone()),
        (
            "verify_sign",
            format!("A{}{}", ids::resource(), ids::resource()),
        ),
        ("payer_email", payer.email.clone()),
        ("receiver_email", world.settings.receiver_email.clone()),
        ("receiver_id", world.merchant_id.clone()),
        ("txn_type", "express_checkout".to_owned()),
        ("mc_currency", one.amount.currency.code.to_owned()),
        ("residence_country", payer.country.clone()),
        ("item_name", String::new()),
        ("ipn_track_id", ids::track()),
    ];
    if let Some(invoice) = &one.invoice_id {
        fields.push(("invoice", invoice.clone()));
    }
    if !live {
        fields.push(("test_ipn", "1".to_owned()));
    }
    fields
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

/// The message about a capture's present status; `None` for a status that has none of its own.
pub(crate) fn capture(world: &World, id: &str, charset: Charset) -> Option<Fields> {
    let one = world.payments.captures.get(id)?;
    let payer = world.orders.get(&one.order_id)?.payer.clone()?;
    let mut fields = common(world, one, &payer, charset);
    let mut put = |name: &str, value: String| fields.push((name.to_owned(), value));
    put("txn_id", one.id.clone());
    put("mc_gross", one.amount.value());
    match one.status {
        CaptureStatus::Completed | CaptureStatus::PartiallyRefunded | CaptureStatus::Refunded => {
            put("payment_status", "Completed".to_owned());
            put("payment_type", "instant".to_owned());
            put("mc_fee", one.amount.fee().value());
        }
        CaptureStatus::Pending => {
            let reason = one.reason.as_deref().unwrap_or("OTHER");
            let reason = match reason {
                "ECHECK" => "echeck",
                "PENDING_REVIEW" => "paymentreview",
                "UNILATERAL" => "unilateral",
                _ => "other",
            };
            put("payment_status", "Pending".to_owned());
            put("payment_type", "echeck".to_owned());
            put("pending_reason", reason.to_owned());
        }
        CaptureStatus::Declined => put("payment_status", "Denied".to_owned()),
        CaptureStatus::Failed => put("payment_status", "Failed".to_owned()),
    }
    Some(fields)
}

/// The message about a refund or reversal.
pub(crate) fn refund(world: &World, id: &str, charset: Charset) -> Option<Fields> {
    let back = world.payments.refunds.get(id)?;
    let one = world.payments.captures.get(&back.capture_id)?;
    let payer = world.orders.get(&one.order_id)?.payer.clone()?;
    let mut fields = common(world, one, &payer, charset);
    let taken = (back.id.clone(), back.amount.of(-back.amount.minor));
    let (status, reason, (transaction, gross)) = match (back.origin, back.status) {
        (Origin::Api | Origin::Dashboard, _) => ("Refunded", "refund", taken),
        // Money that comes again is a transaction of its own.
        (Origin::Reversal, RefundStatus::Cancelled) => {
            ("Canceled_Reversal", "other", (ids::resource(), back.amount))
        }
        (
            Origin::Reversal,
            RefundStatus::Completed | RefundStatus::Pending | RefundStatus::Failed,
        ) => ("Reversed", "chargeback", taken),
    };
    for (name, value) in [
        ("txn_id", transaction),
        ("parent_txn_id", one.id.clone()),
        ("mc_gross", gross.value()),
        ("mc_fee", back.amount.of(0).value()),
        ("payment_status", status.to_owned()),
        ("payment_type", "instant".to_owned()),
        ("reason_code", reason.to_owned()),
    ] {
        fields.push((name.to_owned(), value));
    }
    Some(fields)
}

/// Sends the message about a capture, where IPN is on.
pub(crate) fn announce_capture(world: &mut World, id: &str) {
    let charset = world.settings.ipn_charset;
    if let (Some(url), Some(fields)) = (world.settings.ipn_url.clone(), capture(world, id, charset))
    {
        dispatch(world, &fields, charset, url, false);
    }
}

/// Sends the message about a refund, where IPN is on.
pub(crate) fn announce_refund(world: &mut World, id: &str) {
    let charset = world.settings.ipn_charset;
    if let (Some(url), Some(fields)) = (world.settings.ipn_url.clone(), refund(world, id, charset))
    {
        dispatch(world, &fields, charset, url, false);
    }
}

/// Sends a message; a forged one is not remembered as sent, so `webscr` denies it.
pub(crate) fn dispatch(
    world: &mut World,
    fields: &Fields,
    charset: Charset,
    url: String,
    forged: bool,
) {
    let by_name: BTreeMap<&str, &str> = fields
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    let text = |name: &str| by_name.get(name).copied().unwrap_or_default().to_owned();
    let (txn_id, payment_status) = (text("txn_id"), text("payment_status"));
    let body = encode(fields, charset);
    if !forged {
        let most = world.settings.keep_events;
        world.ipn.sent(body.clone(), most);
    }
    world.record(
        "ipn",
        json!({
            "txnId": txn_id,
            "parentTxnId": by_name.get("parent_txn_id"),
            "paymentStatus": payment_status,
            "amount": by_name.get("mc_gross"),
            "currency": by_name.get("mc_currency"),
            "forged": forged,
        }),
    );
    world.send(Outgoing::Ipn(Job {
        txn_id,
        payment_status,
        url,
        body,
        forged,
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_encoded_in_its_own_character_set() {
        let fields = vec![("first_name".to_owned(), "Jörg €5 + Łu".to_owned())];
        let old = encode(&fields, Charset::Windows1252);
        assert_eq!(&old[..], b"first_name=J%F6rg+%805+%2B+%3Fu");
        let new = encode(&fields, Charset::Utf8);
        assert_eq!(&new[..], b"first_name=J%C3%B6rg+%E2%82%AC5+%2B+%C5%81u");
    }
}
