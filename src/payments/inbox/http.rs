//! The doors for PayPal's messages, and the staff's view of the inbox.

use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, get, http::header::CONTENT_TYPE, post, web};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use utoipa_actix_web::service_config::ServiceConfig;

use super::{
    Inbox,
    model::{Kind, State},
    store::MessageDocument,
};
use crate::{
    accounts::Staff,
    clock::Timestamp,
    faults::{Point, crash_point},
    http::{Params, read_body},
    mongo::StoreError,
    page::{Limit, Page, decode_cursor, encode_cursor},
    payments::paypal::VerifyError,
    problem::{Code, Problem, ProblemBody},
};

/// Anybody may send IPN messages, and they are stored before they are verified: beyond this many that
/// wait, PayPal is to send them again.
const MAX_IPN_WAITING: u64 = 5_000;
/// When PayPal may come again.
const LATER: Duration = Duration::from_secs(5);

/// Registers the routes.
pub(super) fn routes(table: &mut ServiceConfig) {
    table
        .service(receive_message)
        .service(receive_ipn)
        .service(list_messages)
        .service(replay_message);
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
        (status = SERVICE_UNAVAILABLE, body = ProblemBody),
    )
)]
#[post("/api/payment/webhook")]
async fn receive_message(
    request: HttpRequest,
    payload: web::Payload,
    inbox: web::Data<Inbox>,
) -> Result<HttpResponse, Problem> {
    match content_type(&request).as_str() {
        "application/json" => {
            let body = read_body(payload.into_inner()).await?;
            inbox.take_event(&request, &body).await
        }
        FORM => {
            let body = read_body(payload.into_inner()).await?;
            inbox.take_ipn(&body).await
        }
        _other => Err(Problem::new(Code::UnsupportedMediaType)
            .detail("send application/json or application/x-www-form-urlencoded")),
    }
}

const FORM: &str = "application/x-www-form-urlencoded";

/// Receives an IPN message.
///
/// Answered empty once the message is stored durably; it is verified afterwards, by asking PayPal.
///
/// Errors: `body_too_large` (413); `unsupported_media_type` (415); `unavailable` (503) where it cannot be
/// stored now.
#[utoipa::path(
    tag = "payment",
    request_body(content = String, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = OK, description = "Stored"),
        (status = BAD_REQUEST, body = ProblemBody),
        (status = PAYLOAD_TOO_LARGE, body = ProblemBody),
        (status = UNSUPPORTED_MEDIA_TYPE, body = ProblemBody),
        (status = SERVICE_UNAVAILABLE, body = ProblemBody),
    )
)]
#[post("/api/payment/ipn")]
async fn receive_ipn(
    request: HttpRequest,
    payload: web::Payload,
    inbox: web::Data<Inbox>,
) -> Result<HttpResponse, Problem> {
    if content_type(&request) != FORM {
        return Err(Problem::new(Code::UnsupportedMediaType)
            .detail("send application/x-www-form-urlencoded"));
    }
    let body = read_body(payload.into_inner()).await?;
    inbox.take_ipn(&body).await
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
        let stored = self.messages.insert(id, kind, event_type, body).await;
        if stored.map_err(not_now)? {
            crash_point(Point::InboxInsert);
            self.bell.notify_one();
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

/// A message in the inbox.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
struct InboxMessage {
    /// PayPal's id of the event, or one made from an IPN message's bytes.
    id: String,
    kind: Kind,
    /// Such as `PAYMENT.CAPTURE.COMPLETED`; `IPN` for IPN messages.
    event_type: String,
    state: State,
    /// Tries begun.
    attempts: i64,
    received_at: Timestamp,
    /// When the next try is due; while one is under way, when another node may take it up.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_attempt_at: Option<Timestamp>,
    /// Transaction and status of an IPN message that PayPal vouches for.
    #[serde(skip_serializing_if = "Option::is_none")]
    transaction: Option<String>,
    /// Why it stands as it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
}

impl From<MessageDocument> for InboxMessage {
    fn from(message: MessageDocument) -> Self {
        let waits = message.state == State::Pending && message.attempts > 0;
        Self {
            id: message.id,
            kind: message.kind,
            event_type: message.event_type,
            state: message.state,
            attempts: message.attempts,
            received_at: message.received_at,
            next_attempt_at: waits.then_some(message.next_at),
            transaction: message.ipn_key,
            note: message.note,
        }
    }
}

/// Which messages are listed.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct InboxQuery {
    /// Only messages in this state.
    state: Option<State>,
    /// Rows of the page, 1 to 100.
    #[serde(default)]
    #[param(value_type = u32, minimum = 1, maximum = 100, default = 20)]
    limit: Limit,
    /// The page before's `nextCursor`.
    cursor: Option<String>,
}

/// Lists PayPal's messages, newest first, for the staff.
///
/// Errors: `unauthenticated` (401); `forbidden` (403); `validation_failed` (422).
#[utoipa::path(
    tag = "admin",
    security(("bearer" = [])),
    params(InboxQuery),
    responses(
        (status = OK, body = Page<InboxMessage>),
        (status = UNAUTHORIZED, body = ProblemBody),
        (status = FORBIDDEN, body = ProblemBody),
        (status = UNPROCESSABLE_ENTITY, body = ProblemBody),
    )
)]
#[get("/api/admin/inbox")]
async fn list_messages(
    _staff: Staff,
    query: Params<InboxQuery>,
    inbox: web::Data<Inbox>,
) -> Result<web::Json<Page<InboxMessage>>, Problem> {
    let query = query.0;
    let list = format!("inbox:{}", query.state.map_or("all", State::as_str));
    let after = query
        .cursor
        .map(|cursor| decode_cursor::<(i64, String)>(&list, &cursor))
        .transpose()?;
    let rows = query.limit.rows();
    let mut messages = inbox
        .messages
        .list(query.state, after.as_ref(), rows + 1)
        .await?;
    let more = messages.len() > query.limit.row_count();
    messages.truncate(query.limit.row_count());
    let next_cursor = messages
        .last()
        .filter(|_| more)
        .map(|last| encode_cursor(&list, (last.received_at.millis(), &last.id)))
        .transpose()?;
    Ok(web::Json(Page {
        total: inbox.messages.count(query.state).await?,
        items: messages.into_iter().map(InboxMessage::from).collect(),
        next_cursor,
    }))
}

/// Has a message followed again, whatever became of it.
///
/// Errors: `unauthenticated` (401); `forbidden` (403); `not_found` (404).
#[utoipa::path(
    tag = "admin",
    security(("bearer" = [])),
    params(("id" = String, Path, description = "The message's id")),
    responses(
        (status = OK, body = InboxMessage),
        (status = UNAUTHORIZED, body = ProblemBody),
        (status = FORBIDDEN, body = ProblemBody),
        (status = NOT_FOUND, body = ProblemBody),
    )
)]
#[post("/api/admin/inbox/{id}/replay")]
async fn replay_message(
    staff: Staff,
    id: web::Path<String>,
    inbox: web::Data<Inbox>,
) -> Result<web::Json<InboxMessage>, Problem> {
    let message = inbox.messages.replay(&id).await?;
    let message = message.ok_or_else(Problem::not_found)?;
    tracing::info!(inbox.id = message.id, user.id = %staff.0.user, "a message is replayed");
    inbox.bell.notify_one();
    Ok(web::Json(message.into()))
}
