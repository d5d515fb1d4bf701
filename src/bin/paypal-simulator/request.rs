//! What every REST call has in common: media type, `Prefer`, request id, mock responses.

use actix_web::{HttpRequest, HttpResponse, http::header, web};
use serde_json::Value;

use crate::{
    ids, issues,
    orders::view::Extent,
    problem::{DEBUG_ID, Detail, Problem},
};

/// The longest `PayPal-Request-Id` (PayPal's OpenAPI document).
const REQUEST_ID_LENGTH: usize = 108;

/// 415 unless the body is declared as JSON, also when there is none.
pub(crate) fn json_type(request: &HttpRequest) -> Result<(), Problem> {
    let declared = text(request, header::CONTENT_TYPE.as_str()).unwrap_or_default();
    let media = declared.split(';').next().unwrap_or_default().trim();
    if media.eq_ignore_ascii_case("application/json") || media.ends_with("+json") {
        Ok(())
    } else {
        Err(Problem::status(415))
    }
}

/// A header as text.
pub(crate) fn text<'r>(request: &'r HttpRequest, name: &str) -> Option<&'r str> {
    request
        .headers()
        .get(name)
        .and_then(|value| value.to_str().ok())
}

/// How much the client wants back.
pub(crate) fn extent(request: &HttpRequest) -> Extent {
    match text(request, "Prefer") {
        Some(prefer) if prefer.replace(' ', "").contains("return=representation") => Extent::Full,
        _ => Extent::Minimal,
    }
}

/// The client's request id, if it sent one.
pub(crate) fn request_id(request: &HttpRequest) -> Result<Option<String>, Problem> {
    let Some(id) = text(request, "PayPal-Request-Id").map(str::trim) else {
        return Ok(None);
    };
    if id.is_empty() || id.chars().count() > REQUEST_ID_LENGTH {
        let detail = Detail::of("INVALID_STRING_LENGTH", "header", "PayPal-Request-Id", id);
        return Err(Problem::detail(detail));
    }
    Ok(Some(id.to_owned()))
}

/// The body as JSON; an empty one counts as an empty object.
pub(crate) fn json(body: &web::Bytes) -> Result<Value, Problem> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(Value::Object(serde_json::Map::new()));
    }
    serde_json::from_slice(body).map_err(|_not_json| Problem::malformed())
}

/// Answers the issue that `PayPal-Mock-Response` names, as PayPal's sandbox does
/// (<https://developer.paypal.com/tools/sandbox/negative-testing/request-headers/>).
pub(crate) fn mock(request: &HttpRequest) -> Result<(), Problem> {
    let Some(header) = text(request, "PayPal-Mock-Response") else {
        return Ok(());
    };
    let wish: Value = serde_json::from_str(header).map_err(|_not_json| Problem::malformed())?;
    let codes = wish.get("mock_application_codes");
    let code = codes.and_then(|codes| codes.as_str().or_else(|| codes.get(0)?.as_str()));
    let Some(code) = code else {
        return Err(Problem::malformed());
    };
    match code {
        "INTERNAL_SERVER_ERROR" | "INTERNAL_SERVICE_ERROR" => Err(Problem::status(500)),
        "SERVICE_UNAVAILABLE" => Err(Problem::status(503)),
        "RATE_LIMIT_REACHED" => Err(Problem::rate_limit(None)),
        name => Err(issues::find(name).map_or_else(
            || {
                let detail = Detail::of(
                    "INVALID_PARAMETER_VALUE",
                    "header",
                    "PayPal-Mock-Response",
                    name,
                );
                Problem::detail(detail)
            },
            |issue| Problem::issue(issue.name),
        )),
    }
}

/// A JSON answer with its debug id.
pub(crate) fn answer(status: u16, body: &Value) -> HttpResponse {
    let status = actix_web::http::StatusCode::from_u16(status)
        .unwrap_or(actix_web::http::StatusCode::INTERNAL_SERVER_ERROR);
    HttpResponse::build(status)
        .insert_header((DEBUG_ID, ids::debug()))
        .json(body)
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn the_media_type_must_be_json() {
        for (declared, good) in [
            ("application/json", true),
            ("application/json; charset=utf-8", true),
            ("application/json-patch+json", true),
            ("text/plain", false),
            ("", false),
        ] {
            let request = TestRequest::default()
                .insert_header(("Content-Type", declared))
                .to_http_request();
            assert_eq!(json_type(&request).is_ok(), good, "{declared}");
        }
        assert!(json_type(&TestRequest::default().to_http_request()).is_err());
    }

    #[test]
    fn request_ids_are_bounded() {
        let with = |id: String| {
            TestRequest::default()
                .insert_header(("PayPal-Request-Id", id))
                .to_http_request()
        };
        assert!(request_id(&with("x".repeat(108))).unwrap().is_some());
        assert!(request_id(&with("x".repeat(109))).is_err());
        assert!(
            request_id(&TestRequest::default().to_http_request())
                .unwrap()
                .is_none()
        );
    }

    #[test]
    fn a_mock_response_answers_its_issue() {
        let request = TestRequest::default()
            .insert_header((
                "PayPal-Mock-Response",
                r#"{"mock_application_codes":"INSTRUMENT_DECLINED"}"#,
            ))
            .to_http_request();
        let problem = mock(&request).unwrap_err();
        assert_eq!(problem.first_issue(), Some("INSTRUMENT_DECLINED"));
    }
}
