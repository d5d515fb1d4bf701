//! The staff's view of PayPal's messages, and their way to have one followed again.

use actix_web::{get, post, web};
use serde::{Deserialize, Serialize};
use utoipa_actix_web::service_config::ServiceConfig;

use super::{
    Inbox,
    model::{Kind, State},
    store::{MessageDocument, Try},
};
use crate::{
    accounts::Staff,
    clock::Timestamp,
    http::Params,
    page::{Limit, Page, cut, decode_cursor},
    problem::{Problem, ProblemBody},
};

/// Registers the routes.
pub(super) fn routes(table: &mut ServiceConfig) {
    table
        .service(list_messages)
        .service(show_message)
        .service(replay_message);
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

/// A message with what PayPal sent and what became of each try.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
struct InboxMessageDetail {
    #[serde(flatten)]
    message: InboxMessage,
    /// Tries that failed by the message's own fault; too many put it aside.
    failures: i64,
    /// The body: JSON of an event, the form of an IPN message. Bytes that are no UTF-8 are replaced.
    payload: String,
    /// The last tries, oldest first.
    tries: Vec<Try>,
}

impl From<MessageDocument> for InboxMessageDetail {
    fn from(mut message: MessageDocument) -> Self {
        Self {
            failures: message.failures,
            payload: String::from_utf8_lossy(&message.body.bytes).into_owned(),
            tries: std::mem::take(&mut message.tries),
            message: message.into(),
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
#[get("/api/admin/webhooks")]
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
    let next_cursor = cut(&list, &mut messages, query.limit, |last| {
        (last.received_at.millis(), &last.id)
    })?;
    Ok(web::Json(Page {
        total: inbox.messages.count(query.state).await?,
        items: messages.into_iter().map(InboxMessage::from).collect(),
        next_cursor,
    }))
}

/// Shows a message with its payload and its tries, for the staff.
///
/// Errors: `unauthenticated` (401); `forbidden` (403); `not_found` (404).
#[utoipa::path(
    tag = "admin",
    security(("bearer" = [])),
    params(("id" = String, Path, description = "The message's id")),
    responses(
        (status = OK, body = InboxMessageDetail),
        (status = UNAUTHORIZED, body = ProblemBody),
        (status = FORBIDDEN, body = ProblemBody),
        (status = NOT_FOUND, body = ProblemBody),
    )
)]
#[get("/api/admin/webhooks/{id}")]
async fn show_message(
    _staff: Staff,
    id: web::Path<String>,
    inbox: web::Data<Inbox>,
) -> Result<web::Json<InboxMessageDetail>, Problem> {
    let message = inbox.messages.find(&id).await?;
    let message = message.ok_or_else(Problem::not_found)?;
    Ok(web::Json(message.into()))
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
#[post("/api/admin/webhooks/{id}/replay")]
async fn replay_message(
    staff: Staff,
    id: web::Path<String>,
    inbox: web::Data<Inbox>,
) -> Result<web::Json<InboxMessage>, Problem> {
    let message = inbox.messages.replay(&id).await?;
    let message = message.ok_or_else(Problem::not_found)?;
    tracing::info!(inbox.id = message.id, user.id = %staff.0.user, "a message is replayed");
    inbox.hand.call();
    Ok(web::Json(message.into()))
}
