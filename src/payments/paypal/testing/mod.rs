//! What the tests of this room share.

mod authority;
mod stub;

use std::path::PathBuf;

use secrecy::SecretString;

use crate::{
    address::PostalAddress,
    config::{PayPalConfig, PayPalEnvironment, WebhookVerification},
    money::{Currency, Money},
    payments::{NewPayment, PaymentLine},
};

pub(crate) fn usd(cents: i64) -> Money {
    Money::new(cents, Currency::USD)
}

pub(crate) use authority::{Authority, Leaf, Made, Message};
pub(crate) use stub::{Reply, Seen, Stub};

/// Two mugs, with everything a payment can have.
pub(crate) fn payment() -> NewPayment {
    NewPayment {
        reference: "662e41f09c1d4c3a8f0b7a11".into(),
        invoice: "B-1001".into(),
        description: "Order B-1001".into(),
        lines: vec![PaymentLine {
            name: "Mug".into(),
            sku: "MUG-1".into(),
            quantity: 2,
            unit_price: usd(1_500),
        }],
        item_total: usd(3_000),
        discount: usd(300),
        shipping: usd(499),
        tax: usd(51),
        total: usd(3_250),
        shipping_address: PostalAddress {
            name: "Ada Buyer".into(),
            line1: "1 Main St".into(),
            line2: None,
            city: "San Jose".into(),
            region: Some("CA".into()),
            postal_code: "95131".into(),
            country: "US".into(),
            phone: None,
        },
        return_url: "https://shop.test/return".into(),
        cancel_url: "https://shop.test/cancel".into(),
        brand: "Bodega".into(),
    }
}

/// The amount of a payment as PayPal is sent it; `None` where PayPal has no form for it.
pub(crate) fn amount_as_sent(payment: &NewPayment) -> Option<serde_json::Value> {
    let order = super::request::OrderRequest::of(payment).ok()?;
    let sent = serde_json::to_value(order).ok()?;
    sent.pointer("/purchase_units/0").cloned()
}

/// A file of the folder `shared` beside the repository (or `BODEGA_SHARED_DIR`).
pub(crate) fn shared(path: &str) -> Vec<u8> {
    let folder = std::env::var_os("BODEGA_SHARED_DIR").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared"),
        PathBuf::from,
    );
    let file = folder.join(path);
    std::fs::read(&file).unwrap_or_else(|error| {
        panic!(
            "this test needs {}: {error}; lay the folder `shared` beside the repository or set BODEGA_SHARED_DIR",
            file.display()
        )
    })
}

/// A configuration that points at `base_url`, with `seconds` for each call.
pub(crate) fn config(base_url: &str, seconds: u64) -> PayPalConfig {
    PayPalConfig {
        base_url: base_url.to_owned(),
        environment: PayPalEnvironment::Auto,
        client_id: "client".into(),
        client_secret: SecretString::from("secret"),
        webhook_id: "9HX12345AB678901C".into(),
        webhook_verification: WebhookVerification::Local,
        cert_hosts: Vec::new(),
        cert_roots_file: String::new(),
        ipn_verify_url: format!("{base_url}/cgi-bin/webscr"),
        receiver_email: "seller@example.com".into(),
        return_url: String::new(),
        cancel_url: String::new(),
        timeout_seconds: seconds,
    }
}
