//! PayPal's own OpenAPI documents as the judge over recorded exchanges (`paypal-simulator --record`).
//!
//! Requests must be documented in path, query, headers and body, with no unknown and no read-only
//! member; answers in status and body, with no unknown member; refusals with the very texts of their
//! operation. What the documents leave out has schemas here: the token call, bad bearer tokens and
//! rate limits. The documents lie beside the repository and are not part of it.

mod document;

use std::{collections::BTreeMap, fs, path::Path};

use serde_json::{Value, json};

use document::{Document, Use, judge};

/// More exchanges of one test teach nothing new, and cost time.
const ENOUGH: usize = 2_000;

/// Answers that a fault spoils on purpose.
const SPOILT: [&str; 9] = [
    "bad_json",
    "empty_body",
    "html",
    "status_html",
    "unknown_enum",
    "extra_fields",
    "oversized",
    "redirect",
    "wrong_currency",
];

/// Issues that are answered but not in this revision of the documents; see `issues.tsv`.
const BESIDE: [(&str, &str); 2] = [
    (
        "POST /v2/checkout/orders/{id}/capture",
        "ACTION_DOES_NOT_MATCH_INTENT",
    ),
    ("", "DUPLICATE_REQUEST_ID"),
];

/// How far an exchange is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// The answer alone: the request may be wrong on purpose.
    Answers,
    /// Both.
    Both,
}

/// The documents, with what was judged so far.
pub(crate) struct Judge {
    documents: Vec<Document>,
    /// How many exchanges of each kind were judged: `POST /v2/… 201`.
    pub(crate) seen: BTreeMap<String, usize>,
}

impl Judge {
    /// Reads the documents in `dir`; `None` where they are absent.
    pub(crate) fn load(dir: &Path) -> Option<Self> {
        let names = [
            "checkout_orders_v2.json",
            "payments_payment_v2.json",
            "notifications_webhooks_v1.json",
            "customer_disputes_v1.json",
        ];
        let read = |name: &&str| {
            let text = fs::read_to_string(dir.join(name)).ok()?;
            Some(Document::new(serde_json::from_str(&text).unwrap()))
        };
        Some(Self {
            documents: names.iter().map(read).collect::<Option<_>>()?,
            seen: BTreeMap::new(),
        })
    }

    /// Judges the lines of a record, the first [`ENOUGH`] of them; tells what is wrong, each with its
    /// line. The last line may be cut: a killed simulator was writing it. A record that became full is judged up to
    /// there.
    pub(crate) fn file(&mut self, path: &Path, extent: Extent) -> Vec<String> {
        let text = fs::read_to_string(path).unwrap();
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        let mut wrong = Vec::new();
        for (place, line) in whole.lines().take(ENOUGH).enumerate() {
            let line: Value = serde_json::from_str(line).unwrap();
            if !line["truncated"].is_null() {
                assert!(place > 0, "nothing was recorded");
                break;
            }
            let found = match line["event"].as_str() {
                Some(event) => self.event(event),
                None => self.exchange(&line, extent),
            };
            let line = line.to_string();
            let told = |fault| format!("{fault}\n    in {line:.1500}");
            wrong.extend(found.into_iter().map(told));
        }
        wrong
    }

    fn event(&mut self, text: &str) -> Vec<String> {
        let event: Value = serde_json::from_str(text).unwrap();
        *self
            .seen
            .entry(format!("event {}", event["event_type"].as_str().unwrap()))
            .or_default() += 1;
        let [orders, payments, webhooks, disputes] = self.documents.as_mut_slice() else {
            panic!("four documents");
        };
        let mut wrong = webhooks.faults(Use::Answer, "event", &event);
        let resource = &event["resource"];
        wrong.extend(match event["resource_type"].as_str() {
            Some("checkout-order") => orders.faults(Use::Answer, "order", resource),
            Some("capture") => payments.faults(Use::Answer, "capture-2", resource),
            Some("refund") => payments.faults(Use::Answer, "refund", resource),
            Some("dispute") => disputes.faults(Use::Answer, "dispute", resource),
            None if event["event_type"] == "CHECKOUT.PAYMENT-APPROVAL.REVERSED" => Vec::new(),
            other => vec![format!("an unknown resource type {other:?}")],
        });
        wrong
    }

    /// Judges one exchange; tells what is wrong.
    pub(crate) fn exchange(&mut self, line: &Value, extent: Extent) -> Vec<String> {
        let (request, answer) = (&line["request"], &line["response"]);
        let method = request["method"].as_str().unwrap();
        let path = request["path"].as_str().unwrap();
        if path.starts_with("/v1/notifications/certs/") {
            return Vec::new();
        }
        if path == "/v1/oauth2/token" {
            return self.token(line, extent);
        }
        let found = self.documents.iter_mut().find_map(|document| {
            let (template, operation) = document.operation(method, path)?;
            Some((document, template, operation))
        });
        let Some((document, template, operation)) = found else {
            let known = extent == Extent::Answers && answer["status"] == 404;
            return if known {
                Vec::new()
            } else {
                vec![format!("{method} {path} is not documented")]
            };
        };
        let name = format!("{method} {template}");
        *self
            .seen
            .entry(format!("{name} {}", answer["status"]))
            .or_default() += 1;
        let mut wrong = Vec::new();
        if extent == Extent::Both {
            wrong.extend(document.request_faults(&operation, &template, request));
        }
        let spoilt = line["fault"]
            .as_str()
            .is_some_and(|fault| SPOILT.contains(&fault));
        if !spoilt && let Some(text) = answer["body"].as_str() {
            wrong.extend(answered(document, &name, &operation, answer, text));
        }
        wrong
    }

    fn token(&mut self, line: &Value, extent: Extent) -> Vec<String> {
        let (request, answer) = (&line["request"], &line["response"]);
        let status = &answer["status"];
        *self
            .seen
            .entry(format!("POST /v1/oauth2/token {status}"))
            .or_default() += 1;
        let mut wrong = Vec::new();
        if extent == Extent::Both {
            let sent = (&request["headers"]["content-type"], &request["body"]);
            let wanted = (
                &json!("application/x-www-form-urlencoded"),
                &json!("grant_type=client_credentials"),
            );
            if sent != wanted {
                wrong.push(format!("a token is asked for with {sent:?}"));
            }
        }
        let spoilt = line["fault"]
            .as_str()
            .is_some_and(|fault| SPOILT.contains(&fault));
        let Some(text) = answer["body"].as_str().filter(|_| !spoilt) else {
            return wrong;
        };
        let body = serde_json::from_str(text).unwrap_or_default();
        if *status == 200 {
            let texts = [
                "scope",
                "access_token",
                "token_type",
                "app_id",
                "nonce",
                "expires_in",
            ];
            wrong.extend(judge(
                &json!({ "type": "object", "required": texts, "maxProperties": texts.len(),
                    "properties": { "token_type": { "const": "Bearer" },
                        "expires_in": { "type": "integer" } } }),
                &body,
            ));
        } else if !matches!(status.as_u64(), Some(415 | 429 | 500 | 503)) {
            wrong.extend(judge(&oauth_error(), &body));
        }
        wrong
    }
}

fn oauth_error() -> Value {
    let text = json!({ "type": "string", "minLength": 1 });
    json!({ "type": "object", "required": ["error", "error_description"],
        "properties": { "error": text, "error_description": text },
        "additionalProperties": false })
}

/// A rate limit has no details (as PayPal's page on it shows).
fn rate_limit() -> Value {
    let text = json!({ "type": "string", "minLength": 1 });
    json!({ "type": "object", "required": ["name", "message", "debug_id", "links"],
        "properties": { "name": { "const": "RATE_LIMIT_REACHED" }, "message": text,
            "debug_id": text, "links": { "type": "array", "maxItems": 0 } },
        "additionalProperties": false })
}

fn answered(
    document: &mut Document,
    name: &str,
    operation: &Value,
    answer: &Value,
    text: &str,
) -> Vec<String> {
    let mut wrong = Vec::new();
    let headers = &answer["headers"];
    if headers["paypal-debug-id"]
        .as_str()
        .is_none_or(str::is_empty)
    {
        wrong.push("no Paypal-Debug-Id".to_owned());
    }
    let status = answer["status"].as_u64().unwrap();
    let described = document.answer(operation, status);
    if text.is_empty() {
        if described.is_some() {
            wrong.push(format!("{status} has no body"));
        }
        return wrong;
    }
    if headers["content-type"].as_str() != Some("application/json") {
        wrong.push(format!("content type {}", headers["content-type"]));
    }
    let Ok(body) = serde_json::from_str::<Value>(text) else {
        wrong.push("no JSON".to_owned());
        return wrong;
    };
    let issue = body["details"][0]["issue"].as_str().unwrap_or_default();
    let beside = |(on, what): &(&str, &str)| (on.is_empty() || *on == name) && *what == issue;
    wrong.extend(match status {
        401 if body.get("error").is_some() => judge(&oauth_error(), &body),
        429 => judge(&rate_limit(), &body),
        200..300 => match described {
            Some(schema) => document.faults_at(Use::Answer, &schema, &body),
            None => vec![format!("{status} has a body")],
        },
        _ if BESIDE.iter().any(beside) => document.faults(Use::Error, "error_422", &body),
        _ => match described {
            Some(schema) => document.faults_at(Use::Error, &schema, &body),
            // Payments leaves the body of 500 open.
            None => document.faults(Use::Error, "error_500", &body),
        },
    });
    wrong
}
