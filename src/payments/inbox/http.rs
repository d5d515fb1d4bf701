//! The doors for PayPal's messages.

use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, http::header::CONTENT_TYPE, post, web};
use sha2::{Digest, Sha256};
use utoipa_actix_web::service_config::ServiceConfig;

use super::{Inbox, model::Kind};
use crate::{
    faults::{Point, crash_point},
    http::read_body,
    mongo::StoreError,
    payments::paypal::VerifyError,
    problem::{Code, Problem, ProblemBody},
};

/// Anybody may send IPN messages, and they are stored before they are verified: beyond this many that
/// wait, PayPal is to send them again.
const MAX_IPN_WAITING: u64 = 5_000;
const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";
/// When PayPal may come again.
const LATER: Duration = Duration::from_secs(5);

/// Registers the routes.
pub(super) fn routes(table: &mut ServiceConfig) {
    table.service(receive_message).service(receive_ipn);
}

/// Receives PayPal's messages: a signed webhook event as JSON, or an IPN message as a form.
///
/// Answered once the message is stored durably; what it asks for is done afterwards. A message that is
/// there already is answered alike. The signature is over the raw bytes.
///
/// Errors: `invalid_signature` (400) where it is missing or false; `malformed_json` (400) where it is
/// right, over what is no event; `body_too_large` (413);
/// `unsupported_media_type` (415); `unavailable` (503) where it cannot be verified or stored now.
#[utoipa::path(
    tag = "payment",
    params(
        ("PAYPAL-TRANSMISSION-ID" = Option<String>, Header, description = "Of webhook events"),
        ("PAYPAL-TRANSMISSION-TIME" = Option<String>, Header, description = "Of webhook events"),
        ("PAYPAL-TRANSMISSION-SIG" = Option<String>, Header, description = "Of webhook events"),
        ("PAYPAL-CERT-URL" = Option<String>, Header, description = "Of webhook events"),
        ("PAYPAL-AUTH-ALGO" = Option<String>, Header, description = "Of webhook events"),
    ),
    request_body(content(
        (serde_json::Value = "application/json"),
        (String = "application/x-www-form-urlencoded"),
    )),
    responses(
        (status = OK, description = "Stored"),
        (status = BAD_REQUEST, body = ProblemBody),
        (status = PAYLOAD_TOO_LARGE, body = ProblemBody),
        (status = UNSUPPORTED_MEDIA_TYPE, body = ProblemBody),
    )
)]
#[post("/api/payment/webhook")]
async fn receive_message(
    request: HttpRequest,
    payload: web::Payload,
    inbox: web::Data<Inbox>,
) -> Result<HttpResponse, Problem> {
    inbox.take(&request, payload).await
}

/// Receives PayPal's messages, as `/api/payment/webhook` does: the address that IPN is set up with.
///
/// An IPN message is answered empty once it is stored durably, and verified afterwards, by asking PayPal.
///
/// Errors: those of `/api/payment/webhook`.
#[utoipa::path(
    tag = "payment",
    params(
        ("PAYPAL-TRANSMISSION-ID" = Option<String>, Header, description = "Of webhook events"),
        ("PAYPAL-TRANSMISSION-TIME" = Option<String>, Header, description = "Of webhook events"),
        ("PAYPAL-TRANSMISSION-SIG" = Option<String>, Header, description = "Of webhook events"),
        ("PAYPAL-CERT-URL" = Option<String>, Header, description = "Of webhook events"),
        ("PAYPAL-AUTH-ALGO" = Option<String>, Header, description = "Of webhook events"),
    ),
    request_body(content(
        (String = "application/x-www-form-urlencoded"),
        (serde_json::Value = "application/json"),
    )),
    responses(
        (status = OK, description = "Stored"),
        (status = BAD_REQUEST, body = ProblemBody),
        (status = PAYLOAD_TOO_LARGE, body = ProblemBody),
        (status = UNSUPPORTED_MEDIA_TYPE, body = ProblemBody),
    )
)]
#[post("/api/payment/ipn")]
async fn receive_ipn(
    request: HttpRequest,
    payload: web::Payload,
    inbox: web::Data<Inbox>,
) -> Result<HttpResponse, Problem> {
    inbox.take(&request, payload).await
}

fn content_type(request: &HttpRequest) -> String {
    let value = request.headers().get(CONTENT_TYPE);
    let text = value
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let essence = text.split(';').next().unwrap_or_default();
    essence.trim().to_ascii_lowercase()
}

impl Inbox {
    async fn take(
        &self,
        request: &HttpRequest,
        payload: web::Payload,
    ) -> Result<HttpResponse, Problem> {
        let kind = content_type(request);
        if kind != JSON && kind != FORM {
            return Err(Problem::new(Code::UnsupportedMediaType)
                .detail("send application/json or application/x-www-form-urlencoded"));
        }
        let body = read_body(payload.into_inner()).await?;
        if kind == JSON {
            self.take_event(request, &body).await
        } else {
            self.take_ipn(&body).await
        }
    }

    async fn take_event(
        &self,
        request: &HttpRequest,
        body: &[u8],
    ) -> Result<HttpResponse, Problem> {
        let verified = self.paypal.verify_webhook(request.headers(), body).await;
        verified.map_err(|error| {
            metrics::counter!("bodega_inbox_refused_total").increment(1);
            tracing::warn!(%error, "a webhook message is refused");
            match error {
                VerifyError::False(_) => Problem::new(Code::InvalidSignature),
                VerifyError::Unavailable(_) => Problem::new(Code::Unavailable)
                    .retry_after(LATER)
                    .caused_by(error),
            }
        })?;
        let event = self.paypal.read_event(body);
        let event = event.ok_or_else(|| Problem::new(Code::MalformedJson))?;
        // PayPal signed it, so it is kept, even without an id.
        let id = event.id;
        let id = id.unwrap_or_else(|| format!("sha256-{}", fingerprint(body)));
        self.store(id, Kind::Webhook, event.kind, body).await
    }

    async fn take_ipn(&self, body: &[u8]) -> Result<HttpResponse, Problem> {
        if body.is_empty() {
            return Err(Problem::new(Code::MalformedRequest).detail("the message is empty"));
        }
        let full = self.messages.ipn_waiting(MAX_IPN_WAITING).await;
        if full.map_err(not_now)? {
            return Err(Problem::new(Code::Unavailable)
                .detail("too many messages wait to be verified")
                .retry_after(LATER));
        }
        let id = format!("ipn-{}", fingerprint(body));
        self.store(id, Kind::Ipn, "IPN".to_owned(), body).await
    }

    async fn store(
        &self,
        id: String,
        kind: Kind,
        event_type: String,
        body: &[u8],
    ) -> Result<HttpResponse, Problem> {
        let ours = self.hand.has_room();
        let stored = self.messages.insert(id, kind, event_type, body, ours).await;
        if let Some(message) = stored.map_err(not_now)? {
            crash_point(Point::InboxInsert);
            if ours {
                self.hand.give(message);
            } else {
                self.hand.call();
            }
        }
        Ok(HttpResponse::Ok().finish())
    }
}

/// Whatever the database's trouble is: PayPal keeps the message and comes again.
fn not_now(error: StoreError) -> Problem {
    Problem::new(Code::Unavailable)
        .retry_after(LATER)
        .caused_by(error)
}

fn fingerprint(body: &[u8]) -> String {
    format!("{:x}", Sha256::digest(body))
}
