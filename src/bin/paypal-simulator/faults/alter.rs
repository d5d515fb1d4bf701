//! Answers that are JSON but not the truth.

use actix_web::web::Bytes;
use serde_json::{Map, Value, json};

use crate::money::{Amount, Currency};

/// Changes every object of a JSON body; leaves a body alone that is none.
pub(crate) fn json(body: &Bytes, change: fn(&mut Map<String, Value>)) -> Bytes {
    let Ok(mut value) = serde_json::from_slice::<Value>(body) else {
        return body.clone();
    };
    walk(&mut value, change);
    Bytes::from(value.to_string())
}

fn walk(value: &mut Value, change: fn(&mut Map<String, Value>)) {
    match value {
        Value::Object(map) => {
            // Inwards first: what a change adds is not itself changed.
            map.values_mut().for_each(|member| walk(member, change));
            change(map);
        }
        Value::Array(items) => items.iter_mut().for_each(|item| walk(item, change)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// One minor unit more, in every money object.
pub(crate) fn amounts(map: &mut Map<String, Value>) {
    let currency = map
        .get("currency_code")
        .and_then(Value::as_str)
        .and_then(Currency::find);
    let Some(currency) = currency else { return };
    if let Some(Value::String(text)) = map.get_mut("value")
        && let Ok(amount) = Amount::parse(text, currency)
    {
        *text = amount.of(amount.minor + 1).value();
    }
}

/// Another currency with as many decimals, in every money object.
pub(crate) fn currencies(map: &mut Map<String, Value>) {
    if let Some(Value::String(code)) = map.get_mut("currency_code") {
        let other = match code.as_str() {
            "JPY" => "HUF",
            "HUF" | "TWD" => "JPY",
            "CAD" => "USD",
            _ => "CAD",
        };
        other.clone_into(code);
    }
}

/// A word nobody knows, in every status.
pub(crate) fn statuses(map: &mut Map<String, Value>) {
    for name in [
        "status",
        "verification_status",
        "reason",
        "intent",
        "account_status",
    ] {
        if let Some(Value::String(word)) = map.get_mut(name) {
            *word = format!("NEW_{word}_2027");
        }
    }
}

/// Members nobody knows, in every object.
pub(crate) fn members(map: &mut Map<String, Value>) {
    map.insert("x_new_text".to_owned(), Value::from("new"));
    map.insert(
        "x_new_object".to_owned(),
        json!({ "a": [1, null, true, { "b": "€" }] }),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn altered(body: &Value, change: fn(&mut Map<String, Value>)) -> Value {
        serde_json::from_slice(&json(&Bytes::from(body.to_string()), change)).unwrap()
    }

    #[test]
    fn every_amount_grows_by_one_minor_unit() {
        let body = json!({ "a": [{ "currency_code": "USD", "value": "32.99" }],
            "b": { "currency_code": "JPY", "value": "1200" } });
        let got = altered(&body, amounts);
        assert_eq!(got["a"][0]["value"], "33.00");
        assert_eq!(got["b"]["value"], "1201");
    }

    #[test]
    fn statuses_become_unknown_and_members_are_added() {
        let body = json!({ "status": "COMPLETED", "units": [{ "status": "PENDING" }] });
        assert_eq!(
            altered(&body, statuses)["units"][0]["status"],
            "NEW_PENDING_2027"
        );
        assert_eq!(altered(&body, members)["units"][0]["x_new_text"], "new");
    }

    #[test]
    fn a_body_that_is_no_json_is_left_alone() {
        assert_eq!(json(&Bytes::from_static(b"VERIFIED"), amounts), "VERIFIED");
    }
}
