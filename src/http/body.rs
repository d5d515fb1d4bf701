//! JSON bodies: bounded, strictly decoded, validated; each fault is named by its pointer.

use std::{future::Future, pin::Pin};

use actix_web::{
    FromRequest, HttpRequest,
    dev::Payload,
    http::header::{CONTENT_ENCODING, CONTENT_TYPE},
    web,
};
use futures_util::StreamExt;
use serde::de::DeserializeOwned;
use utoipa::ToSchema;
use validator::Validate;

use super::{pointer, shape::Shaped, survey};
use crate::problem::{Code, Problem};

/// The most bytes a JSON body may have; imports stream and have no such limit.
pub const MAX_BODY_BYTES: usize = 512 * 1024;
/// How deep a body may nest: MongoDB refuses documents beyond 100 levels.
const MAX_DEPTH: u32 = 40;

/// A JSON body, decoded into `T` and validated.
///
/// Refuses with 415 another content type, 413 more than `MOST` bytes ([`MAX_BODY_BYTES`] where nothing is
/// said), 400 what is not JSON, 422 what breaks a rule.
#[derive(Debug)]
pub struct Body<T, const MOST: usize = MAX_BODY_BYTES>(pub T);

impl<T, const MOST: usize> FromRequest for Body<T, MOST>
where
    T: DeserializeOwned + Validate + ToSchema + 'static,
{
    type Error = Problem;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Problem>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let typed = check_content_type(request);
        let payload = payload.take();
        Box::pin(async move {
            typed?;
            let bytes = read_at_most(payload, MOST).await?;
            let value = parse_json(&bytes).map_err(|refused| {
                if refused.code() == Code::Invalid {
                    refused.also(survey::faults::<T>(&bytes))
                } else {
                    refused
                }
            })?;
            checked(&value)?;
            Ok(Self(value))
        })
    }
}

/// Applies `value`'s own rules.
///
/// # Errors
/// 422 with each faulty place.
pub fn checked(value: &impl Validate) -> Result<(), Problem> {
    value
        .validate()
        .map_err(|found| Problem::invalid(pointer::validation_errors(&found)))
}

fn check_content_type(request: &HttpRequest) -> Result<(), Problem> {
    let essence = request
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .map(|value| value.trim().to_ascii_lowercase())
        .unwrap_or_default();
    let json = essence == "application/json"
        || (essence.starts_with("application/") && essence.ends_with("+json"));
    let encoded = request
        .headers()
        .get(CONTENT_ENCODING)
        .is_some_and(|encoding| !encoding.as_bytes().eq_ignore_ascii_case(b"identity"));
    if json && !encoded {
        Ok(())
    } else {
        let wanted = if encoded {
            "send the body without Content-Encoding"
        } else {
            "send application/json"
        };
        Err(Problem::new(Code::UnsupportedMediaType).detail(wanted))
    }
}

/// Reads a body as it comes, up to [`MAX_BODY_BYTES`].
///
/// # Errors
/// 413 beyond that, 400 where the body breaks off.
pub async fn read_body(payload: Payload) -> Result<web::BytesMut, Problem> {
    read_at_most(payload, MAX_BODY_BYTES).await
}

/// Reads a body as it comes, up to `most` bytes.
///
/// # Errors
/// 413 beyond that, 400 where the body breaks off.
pub async fn read_at_most(payload: Payload, most: usize) -> Result<web::BytesMut, Problem> {
    let too_large =
        || Problem::new(Code::BodyTooLarge).detail(format!("a body may have {most} bytes at most"));
    let mut payload = payload;
    let mut bytes = web::BytesMut::new();
    while let Some(chunk) = payload.next().await {
        let chunk = chunk
            .map_err(|error| Problem::new(Code::MalformedRequest).caused_by(error.to_string()))?;
        if bytes.len() + chunk.len() > most {
            return Err(too_large());
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// Decodes one JSON value.
///
/// # Errors
/// 400 `malformed_json` for what is not JSON or nests too deep, 422 with the pointer for a value of
/// another shape.
pub fn parse_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let malformed = |detail: String| Problem::new(Code::MalformedJson).detail(detail);
    if std::str::from_utf8(bytes).is_err() {
        return Err(malformed("the body is not UTF-8".into()));
    }
    if nests_deeper_than(bytes, MAX_DEPTH) {
        return Err(malformed(format!(
            "the body nests deeper than {MAX_DEPTH} levels"
        )));
    }
    let mut decoder = serde_json::Deserializer::from_slice(bytes);
    let decoded = serde_path_to_error::deserialize(Shaped(&mut decoder));
    let value = decoded.map_err(|error| {
        let inner = error.inner();
        match inner.classify() {
            serde_json::error::Category::Data => Problem::invalid(vec![pointer::decode_error(
                error.path(),
                &inner.to_string(),
            )]),
            serde_json::error::Category::Syntax
            | serde_json::error::Category::Eof
            | serde_json::error::Category::Io => malformed(inner.to_string()),
        }
    })?;
    decoder
        .end()
        .map_err(|error| malformed(error.to_string()))?;
    Ok(value)
}

/// Whether arrays and objects nest deeper than `limit`, without decoding anything.
fn nests_deeper_than(json: &[u8], limit: u32) -> bool {
    let (mut depth, mut in_string, mut escaped) = (0_u32, false, false);
    for byte in json {
        match (in_string, escaped, byte) {
            (true, true, _) => escaped = false,
            (true, false, b'\\') => escaped = true,
            (_, false, b'"') => in_string = !in_string,
            (false, _, b'[' | b'{') => {
                depth += 1;
                if depth > limit {
                    return true;
                }
            }
            (false, _, b']' | b'}') => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize, Validate)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    struct Line {
        #[validate(range(min = 1, max = 999))]
        quantity: u32,
        #[serde(default)]
        #[validate(length(max = 3))]
        gift_note: String,
    }

    #[derive(Debug, Deserialize, Validate)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    struct Order {
        #[validate(nested)]
        lines: Vec<Line>,
        #[serde(default)]
        total: Option<Total>,
        #[serde(default)]
        way: Way,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Total {
        amount: i64,
        currency: Currency,
    }

    #[derive(Debug, Deserialize)]
    struct Currency(String);

    #[derive(Debug, Default, Deserialize, PartialEq)]
    #[serde(rename_all = "camelCase")]
    enum Way {
        #[default]
        Post,
        Pickup {
            shop: u32,
        },
        Courier(u8),
    }

    fn faults(json: &str) -> (u16, Vec<(String, String)>) {
        let (status, faults) = said(json);
        let named = faults.into_iter().map(|[pointer, code, _]| (pointer, code));
        (status, named.collect())
    }

    fn said(json: &str) -> (u16, Vec<[String; 3]>) {
        let refused = parse_json::<Order>(json.as_bytes())
            .and_then(|order| checked(&order))
            .unwrap_err();
        let body = refused.respond("r");
        let status = body.status().as_u16();
        let bytes = actix_web::body::MessageBody::try_into_bytes(body.into_body()).unwrap();
        let value: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        let errors = value["errors"].as_array().unwrap().iter();
        let text = |v: &serde_json::Value| v.as_str().unwrap().to_owned();
        (
            status,
            errors
                .map(|e| [text(&e["pointer"]), text(&e["code"]), text(&e["message"])])
                .collect(),
        )
    }

    #[test]
    fn each_fault_is_named_by_its_pointer() {
        let one = |json, pointer: &str, code: &str| {
            assert_eq!(
                faults(json),
                (422, vec![(pointer.to_owned(), code.to_owned())]),
                "{json}"
            );
        };
        one(
            r#"{"lines":[{"quantity":1,"price":5}]}"#,
            "/lines/0/price",
            "unknown_field",
        );
        one(r#"{"role":"admin","lines":[]}"#, "/role", "unknown_field");
        one(r#"{"lines":[{}]}"#, "/lines/0/quantity", "required");
        one(
            r#"{"lines":[{"quantity":"1"}]}"#,
            "/lines/0/quantity",
            "invalid_type",
        );
        one(
            r#"{"lines":[{"quantity":-1}]}"#,
            "/lines/0/quantity",
            "range",
        );
        one(
            r#"{"lines":[{"quantity":1.5}]}"#,
            "/lines/0/quantity",
            "invalid_type",
        );
        one(
            r#"{"lines":[{"quantity":{"$ne":1}}]}"#,
            "/lines/0/quantity",
            "invalid_type",
        );
        one(
            r#"{"lines":[{"quantity":0}]}"#,
            "/lines/0/quantity",
            "range",
        );
        one(
            r#"{"lines":[{"quantity":1,"giftNote":"long"}]}"#,
            "/lines/0/giftNote",
            "length",
        );
        one(
            r#"{"lines":[{"quantity":1,"quantity":1}]}"#,
            "/lines/0/quantity",
            "duplicate_field",
        );
    }

    #[test]
    fn an_object_is_never_read_from_a_list_and_messages_name_types_of_json() {
        let of = |order: &str| format!(r#"{{"lines":[],{order}}}"#);
        for (json, pointer, code, message) in [
            ("[]".into(), "", "invalid_type", "expected an object"),
            ("[[]]".into(), "", "invalid_type", "expected an object"),
            ("null".into(), "", "invalid_type", "expected an object"),
            ("1".into(), "", "invalid_type", "expected an object"),
            (
                r#"{"lines":{}}"#.into(),
                "/lines",
                "invalid_type",
                "expected an array",
            ),
            (
                r#"{"lines":[[1]]}"#.into(),
                "/lines/0",
                "invalid_type",
                "expected an object",
            ),
            (
                r#"{"lines":[{"quantity":"1"}]}"#.into(),
                "/lines/0/quantity",
                "invalid_type",
                "expected a whole number from 0 to 4294967295",
            ),
            (
                of(r#""total":[1000,"USD"]"#),
                "/total",
                "invalid_type",
                "expected an object",
            ),
            (
                of(r#""total":{"amount":1,"currency":["USD"]}"#),
                "/total/currency",
                "invalid_type",
                "expected a string",
            ),
            (
                of(r#""way":{"pickup":[1]}"#),
                "/way",
                "invalid_type",
                "expected an object",
            ),
            (
                of(r#""way":5"#),
                "/way",
                "invalid_type",
                "expected one of the known values",
            ),
            (
                of(r#""way":{"courier":3,"pickup":{"shop":7}}"#),
                "/way",
                "invalid",
                "expected one member",
            ),
            (
                of(r#""way":"mule""#),
                "/way",
                "unknown_value",
                "expected one of `post`, `pickup`, `courier`",
            ),
        ] {
            let expected = [pointer, code, message].map(str::to_owned);
            assert_eq!(said(&json), (422, vec![expected]), "{json}");
        }
        let good = |json: &str| parse_json::<Order>(of(json).as_bytes()).unwrap();
        let total = good(r#""total":{"amount":-5,"currency":"USD"}"#)
            .total
            .unwrap();
        assert_eq!((total.amount, total.currency.0.as_str()), (-5, "USD"));
        assert!(good(r#""total":null"#).total.is_none());
        assert_eq!(good(r#""way":"post""#).way, Way::Post);
        assert_eq!(good(r#""way":{"courier":3}"#).way, Way::Courier(3));
        assert_eq!(
            good(r#""way":{"pickup":{"shop":7}}"#).way,
            Way::Pickup { shop: 7 }
        );
    }

    #[test]
    fn what_is_not_json_is_400() {
        for json in [
            "",
            "{",
            "{\"lines\":[]} x",
            "nul",
            "{'lines':[]}",
            "{\"lines\":[{\"quantity\":1e400}]}",
        ] {
            assert_eq!(faults(json).0, 400, "{json}");
        }
        assert_eq!(faults(&"[".repeat(10_000)).0, 400);
        assert!(parse_json::<Order>(b"{\"lines\":\"\xff\"}").is_err());
    }

    #[test]
    fn a_rejected_value_never_comes_back() {
        let refused = parse_json::<Order>(br#"{"lines":"hunter2"}"#).unwrap_err();
        let body = refused.respond("r").into_body();
        let bytes = actix_web::body::MessageBody::try_into_bytes(body).unwrap();
        assert!(!String::from_utf8_lossy(&bytes).contains("hunter2"));
    }
}
