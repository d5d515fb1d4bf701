//! Forty ways to change a message that is PayPal's.

use super::{BODY, PATH};
use crate::payments::paypal::testing::Message;

const ID: &str = "PAYPAL-TRANSMISSION-ID";
const TIME: &str = "PAYPAL-TRANSMISSION-TIME";
const SIG: &str = "PAYPAL-TRANSMISSION-SIG";
const URL: &str = "PAYPAL-CERT-URL";
const ALGO: &str = "PAYPAL-AUTH-ALGO";

/// What is changed about a message, by name.
pub(super) fn of(good: &Message) -> Vec<(&'static str, Message)> {
    [what_is_signed(good), where_the_certificate_is(good)].concat()
}

fn what_is_signed(good: &Message) -> Vec<(&'static str, Message)> {
    let sig = good.header(SIG).to_owned();
    vec![
        ("body changed", good.saying(BODY.replace("2,50", "9,50"))),
        ("body reformatted", good.saying(BODY.replace(", ", ","))),
        ("body escaped", good.saying(BODY.replace('€', "\\u20ac"))),
        ("body longer", good.saying(format!("{BODY} "))),
        ("body empty", good.saying("")),
        (
            "another event's id",
            good.saying(BODY.replace("WH-1-1", "WH-1-2")),
        ),
        (
            "id changed",
            good.with(ID, "1c6772d0-5106-11ef-9b66-89f3f924d48b"),
        ),
        (
            "id upper case",
            good.with(ID, good.header(ID).to_ascii_uppercase()),
        ),
        (
            "id that carries the time",
            good.with(ID, format!("{}|{}", good.header(ID), good.header(TIME))),
        ),
        ("id empty", good.with(ID, "")),
        ("id too long", good.with(ID, "a".repeat(65))),
        ("id missing", good.without(ID)),
        ("id twice", good.doubled(ID)),
        ("time changed", good.with(TIME, "2026-11-22T14:05:10Z")),
        (
            "time written otherwise",
            good.with(TIME, "2026-11-22T14:05:09.000Z"),
        ),
        (
            "time in another zone",
            good.with(TIME, "2026-11-22T15:05:09+01:00"),
        ),
        ("time that is none", good.with(TIME, "now")),
        ("time missing", good.without(TIME)),
        ("time twice", good.doubled(TIME)),
        ("signature of nothing", good.with(SIG, "AAAA")),
        ("signature cut", good.with(SIG, &sig[..sig.len() - 8])),
        ("signature not base64", good.with(SIG, "%%%")),
        (
            "signature in the URL's alphabet",
            good.with(SIG, sig.replace(['+', '/'], "-")),
        ),
        ("signature empty", good.with(SIG, "")),
        ("signature endless", good.with(SIG, "A".repeat(4_000))),
        ("signature missing", good.without(SIG)),
        ("signature twice", good.doubled(SIG)),
        ("algorithm none", good.with(ALGO, "none")),
        ("algorithm SHA1", good.with(ALGO, "SHA1withRSA")),
        ("algorithm in lower case", good.with(ALGO, "sha256withrsa")),
        ("algorithm missing", good.without(ALGO)),
        ("algorithm twice", good.doubled(ALGO)),
    ]
}

fn where_the_certificate_is(good: &Message) -> Vec<(&'static str, Message)> {
    let url = good.header(URL).to_owned();
    vec![
        ("certificate URL missing", good.without(URL)),
        ("certificate URL twice", good.doubled(URL)),
        (
            "certificate that is not there",
            good.with(URL, format!("{url}0")),
        ),
        (
            "certificate elsewhere",
            good.with(URL, format!("https://evil.test{PATH}")),
        ),
        (
            "certificate at a look-alike",
            good.with(URL, url.replace("127.0.0.1", "127.0.0.1.evil.test")),
        ),
        (
            "certificate behind user info",
            good.with(URL, url.replace("127.0.0.1", "127.0.0.1@evil.test")),
        ),
        (
            "certificate on the inside",
            good.with(URL, format!("http://169.254.169.254{PATH}")),
        ),
        (
            "certificate in a file",
            good.with(URL, "file:///etc/passwd"),
        ),
        (
            "certificate at another path",
            good.with(URL, url.replace("/certs/", "/certs/../certs/")),
        ),
        (
            "certificate with a query",
            good.with(URL, format!("{url}?x")),
        ),
        (
            "no headers at all",
            Message {
                headers: Vec::new(),
                body: good.body.clone(),
            },
        ),
    ]
}
