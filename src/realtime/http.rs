//! Live streams over HTTP: the ticket, the WebSocket, the server-sent events.

use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, get, post, web};
use futures_util::{Stream, StreamExt};
use serde::Serialize;

use super::{
    Hub, Tickets, client,
    frame::{Frame, StreamMessage},
    hub::JoinError,
    params::StreamParams,
    socket, sse,
    stream::{self, Delivery, OpenError, Opened},
    ticket,
};
use crate::{
    accounts::{Caller, OwnPage, Principal},
    clock::Timestamp,
    http::Params,
    problem::{Code, Problem, ProblemBody},
};

/// Registers the room's routes.
pub fn routes(table: &mut utoipa_actix_web::service_config::ServiceConfig) {
    table
        .service(issue_ticket)
        .service(open_socket)
        .service(open_events)
        .service(client::module)
        .service(client::types);
}

/// A ticket for one live stream.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
struct TicketView {
    /// To be named in the stream's URL; used up by it.
    ticket: String,
    /// Seconds that it lives.
    #[schema(example = 30)]
    expires_in: u64,
}

/// Makes a ticket for one live stream: browsers cannot send a token with a WebSocket.
#[utoipa::path(tag = "realtime", security(("bearer" = [])), responses(
    (status = OK, body = TicketView),
    (status = UNAUTHORIZED, body = ProblemBody),
))]
#[post("/api/realtime/ticket")]
async fn issue_ticket(
    principal: Principal,
    tickets: web::Data<Tickets>,
) -> Result<web::Json<TicketView>, Problem> {
    let ticket = tickets.issue(&principal).await?;
    Ok(web::Json(TicketView {
        ticket,
        expires_in: ticket::LIFE.as_secs(),
    }))
}

/// Who opens the stream: by ticket, else by Bearer token. A ticket is used up by whoever shows it; one that
/// comes with the token of somebody else opens nothing.
async fn opener(
    params: &StreamParams,
    caller: Caller,
    tickets: &Tickets,
    hub: &Hub,
) -> Result<Principal, Problem> {
    let Some(ticket) = &params.ticket else {
        return caller.0.ok_or_else(|| Code::Unauthenticated.into());
    };
    let refused = |reason| Problem::new(Code::InvalidToken).detail(reason);
    let holder = tickets.redeem(ticket).await?;
    let holder = holder.ok_or_else(|| refused("the ticket is used up, or none"))?;
    if caller.0.is_some_and(|caller| caller.user != holder.user) {
        return Err(refused("the ticket is another user's"));
    }
    if hub.has_ended(holder.session) || holder.expires_at <= Timestamp::now() {
        return Err(refused("the sign-in of the ticket has ended"));
    }
    Ok(holder)
}

async fn open(
    hub: &Hub,
    principal: Principal,
    params: &StreamParams,
    since: Option<u64>,
) -> Result<Opened<impl Stream<Item = Delivery> + Unpin + use<>>, Problem> {
    let channel = params.channel(&principal, since)?;
    let opened = stream::open(hub, principal, channel, since).await;
    opened.map_err(|refused| match refused {
        OpenError::Join(JoinError::TooMany) => Problem::new(Code::RateLimited)
            .detail("too many live streams of one user; close one first")
            .retry_after(Duration::from_secs(10)),
        OpenError::Join(JoinError::NotNow) => {
            Problem::new(Code::Busy).retry_after(Duration::from_secs(1))
        }
        OpenError::Store(error) => error.into(),
    })
}

/// Opens a WebSocket that is sent `hello` and then the events, each a JSON text message.
///
/// Each `heartbeatSeconds` the client is pinged; with `heartbeat=true` it is sent a message `heartbeat` too.
/// A client passes over types of messages that it does not know.
///
/// Closes with 4001 (token ended), 4008 (too slow), 1001 (no sign of life), 1002, 1003, 1007, 1008, 1009 (client's
/// fault), 1012 (restarting), 1013 (try later). `cart.updated` and the staff channel's events carry no `id`.
#[utoipa::path(tag = "realtime", params(StreamParams), security((), ("bearer" = [])), responses(
    (status = SWITCHING_PROTOCOLS, description = "messages as described by StreamMessage, without `close`", body = StreamMessage<'_>),
    (status = BAD_REQUEST, body = ProblemBody),
    (status = UNAUTHORIZED, body = ProblemBody),
    (status = FORBIDDEN, body = ProblemBody),
    (status = UNPROCESSABLE_ENTITY, body = ProblemBody),
    (status = TOO_MANY_REQUESTS, body = ProblemBody),
))]
#[get("/api/realtime/ws")]
async fn open_socket(
    _own: OwnPage,
    caller: Caller,
    params: Params<StreamParams>,
    request: HttpRequest,
    payload: web::Payload,
    tickets: web::Data<Tickets>,
    hub: web::Data<Hub>,
) -> Result<HttpResponse, Problem> {
    socket::check_handshake(&request)?;
    let params = params.0;
    let principal = opener(&params, caller, &tickets, &hub).await?;
    let opened = open(&hub, principal, &params, params.since).await?;
    let deliveries = opened.deliveries.boxed_local();
    let beat = params
        .wants_heartbeat()
        .then(Frame::heartbeat)
        .transpose()?;
    let heartbeat = (hub.heartbeat(), beat);
    socket::answer(&request, payload, opened.hello, deliveries, heartbeat)
}

/// Opens a stream of server-sent events: `hello`, then the events with their number as `id`.
///
/// `Last-Event-ID`, which browsers send when they connect again, goes before `since`. The last event,
/// `close`, names the code that a WebSocket would be closed with.
#[utoipa::path(tag = "realtime",
    params(StreamParams, ("Last-Event-ID" = Option<u64>, Header, description = "the last event received")),
    security((), ("bearer" = [])), responses(
    (status = OK, description = "each event's data as described by StreamMessage, without `heartbeat`",
        content_type = "text/event-stream", body = StreamMessage<'_>),
    (status = UNAUTHORIZED, body = ProblemBody),
    (status = FORBIDDEN, body = ProblemBody),
    (status = UNPROCESSABLE_ENTITY, body = ProblemBody),
    (status = TOO_MANY_REQUESTS, body = ProblemBody),
))]
#[get("/api/realtime/events")]
async fn open_events(
    _own: OwnPage,
    caller: Caller,
    params: Params<StreamParams>,
    request: HttpRequest,
    tickets: web::Data<Tickets>,
    hub: web::Data<Hub>,
) -> Result<HttpResponse, Problem> {
    let params = params.0;
    let since = last_event_id(&request)?.or(params.since);
    let principal = opener(&params, caller, &tickets, &hub).await?;
    let opened = open(&hub, principal, &params, since).await?;
    let from = params.is_own().then_some(opened.from);
    let deliveries = opened.deliveries.boxed_local();
    Ok(sse::answer(
        &opened.hello,
        from,
        deliveries,
        hub.heartbeat(),
    ))
}

/// The number that a browser names when it connects again.
fn last_event_id(request: &HttpRequest) -> Result<Option<u64>, Problem> {
    let Some(value) = request.headers().get("last-event-id") else {
        return Ok(None);
    };
    let text = value.to_str().unwrap_or("?").trim();
    if text.is_empty() {
        return Ok(None);
    }
    let number = text.parse().map_err(|_refused| {
        Problem::field(
            "/Last-Event-ID",
            "invalid_type",
            "expected the number of an event",
        )
    })?;
    Ok(Some(number))
}
