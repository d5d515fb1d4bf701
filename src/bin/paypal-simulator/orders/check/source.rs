//! The way to pay, and where the buyer is sent back to.

use super::node::{Findings, Node};
use crate::orders::model::Source;

/// What the request says about the approval page.
#[derive(Debug)]
pub(crate) struct Experience {
    pub(crate) source: Source,
    pub(crate) return_url: Option<String>,
    pub(crate) cancel_url: Option<String>,
    pub(crate) brand: Option<String>,
    pub(crate) shipping_from_file: bool,
}

/// Reads `payment_source.paypal.experience_context`, or the older `application_context`.
pub(crate) fn experience(root: &Node<'_>, found: &mut Findings) -> Experience {
    let source = root.member("payment_source").object(false, found);
    let Some(source) = source else {
        return context(&root.member("application_context"), Source::Context, found);
    };
    if let Some(other) = source.value.and_then(|value| value.as_object()) {
        for name in other.keys().filter(|name| *name != "paypal") {
            found.syntax("NOT_SUPPORTED", &source.member(name));
        }
    }
    let wallet = source.member("paypal");
    wallet.object(true, found);
    context(&wallet.member("experience_context"), Source::Wallet, found)
}

fn context(node: &Node<'_>, source: Source, found: &mut Findings) -> Experience {
    node.object(false, found);
    node.member("user_action")
        .word(&["CONTINUE", "PAY_NOW"], false, found);
    node.member("landing_page").word(
        &["LOGIN", "GUEST_CHECKOUT", "BILLING", "NO_PREFERENCE"],
        false,
        found,
    );
    node.member("payment_method_preference").word(
        &["UNRESTRICTED", "IMMEDIATE_PAYMENT_REQUIRED"],
        false,
        found,
    );
    node.member("locale").text((2, 10), false, found);
    let preference = node
        .member("shipping_preference")
        .word(
            &["GET_FROM_FILE", "NO_SHIPPING", "SET_PROVIDED_ADDRESS"],
            false,
            found,
        )
        .unwrap_or("GET_FROM_FILE");
    Experience {
        source,
        return_url: node.member("return_url").url(found).map(str::to_owned),
        cancel_url: node.member("cancel_url").url(found).map(str::to_owned),
        brand: node
            .member("brand_name")
            .text((1, 127), false, found)
            .map(str::to_owned),
        shipping_from_file: preference == "GET_FROM_FILE",
    }
}
