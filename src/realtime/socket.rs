//! The one file that knows actix-web-actors: an actor for each WebSocket.

use std::{cell::Cell, rc::Rc, time::Duration};

use actix::{Actor, ActorContext, AsyncContext, StreamHandler};
use actix_web::{HttpRequest, HttpResponse, web};
use actix_web_actors::ws::{
    self, CloseCode, CloseReason, Message, ProtocolError, WebsocketContext, WsResponseBuilder,
};
use futures_util::stream::LocalBoxStream;
use tokio::time::Instant;

use super::{frame::Frame, guard::FrameGuard, link::End, stream::Delivery};
use crate::problem::{Code, Problem};

/// The longest frame that a client may send.
const MAX_FRAME: u16 = 16 * 1024;
/// How many messages a client may send in [`FLOOD_SPAN`]; it has nothing to say but pongs.
const FLOOD: u32 = 20;
/// The span over which messages are counted.
const FLOOD_SPAN: Duration = Duration::from_secs(10);

/// Whether the request asks for a WebSocket.
///
/// # Errors
/// 400 where it does not.
pub(super) fn check_handshake(request: &HttpRequest) -> Result<(), Problem> {
    ws::handshake(request)
        .map(|_accepted| ())
        .map_err(|refused| {
            Problem::new(Code::MalformedRequest)
                .detail(format!("not a WebSocket handshake: {refused}"))
        })
}

/// Answers with a WebSocket that is sent `hello` and then `deliveries`. At each heartbeat it is pinged, and sent
/// what its client wants to be sent then.
pub(super) fn answer(
    request: &HttpRequest,
    payload: web::Payload,
    hello: Frame,
    deliveries: LocalBoxStream<'static, Delivery>,
    (heartbeat, beat): (Duration, Option<Frame>),
) -> Result<HttpResponse, Problem> {
    let overflowed = Rc::new(Cell::new(false));
    let guarded = FrameGuard::new(payload, u64::from(MAX_FRAME), overflowed.clone());
    let socket = Socket {
        hello: Some(hello),
        deliveries: Some(deliveries),
        heartbeat,
        beat,
        heard_at: Instant::now(),
        counted_since: Instant::now(),
        counted: 0,
        overflowed,
    };
    WsResponseBuilder::new(socket, request, guarded)
        .frame_size(usize::from(MAX_FRAME))
        .start()
        .map_err(|error| Problem::new(Code::MalformedRequest).detail(error.to_string()))
}

struct Socket {
    hello: Option<Frame>,
    deliveries: Option<LocalBoxStream<'static, Delivery>>,
    heartbeat: Duration,
    /// Encoded once for all heartbeats.
    beat: Option<Frame>,
    heard_at: Instant,
    counted_since: Instant,
    counted: u32,
    overflowed: Rc<Cell<bool>>,
}

type Ctx = WebsocketContext<Socket>;

fn send(frame: &Frame, ctx: &mut Ctx) {
    match frame.json.clone().try_into() {
        Ok(text) => ctx.write_raw(Message::Text(text)),
        Err(error) => tracing::error!(?error, kind = frame.kind, "a message is not UTF-8"),
    }
}

/// Says goodbye and ends; what was written before is still sent.
fn close(code: CloseCode, reason: &str, ctx: &mut Ctx) {
    ctx.close(Some(CloseReason {
        code,
        description: Some(reason.to_owned()),
    }));
    ctx.stop();
}

fn close_code(end: End) -> CloseCode {
    CloseCode::from(end.code())
}

impl Socket {
    /// Any frame counts as a sign of life; too many are a flood. `false` once the socket is closed.
    fn heard(&mut self, ctx: &mut Ctx) -> bool {
        let now = Instant::now();
        self.heard_at = now;
        if now.duration_since(self.counted_since) > FLOOD_SPAN {
            self.counted_since = now;
            self.counted = 0;
        }
        self.counted += 1;
        if self.counted > FLOOD {
            close(CloseCode::Policy, "too many messages", ctx);
            return false;
        }
        true
    }
}

impl Actor for Socket {
    type Context = Ctx;

    fn started(&mut self, ctx: &mut Self::Context) {
        if let Some(hello) = self.hello.take() {
            send(&hello, ctx);
        }
        if let Some(deliveries) = self.deliveries.take() {
            ctx.add_stream(deliveries);
        }
        ctx.run_interval(self.heartbeat, |socket, ctx| {
            if socket.heard_at.elapsed() > socket.heartbeat * 2 {
                close(CloseCode::Away, "no sign of life", ctx);
            } else {
                ctx.ping(b"");
                if let Some(beat) = &socket.beat {
                    send(beat, ctx);
                }
            }
        });
    }
}

impl StreamHandler<Delivery> for Socket {
    fn handle(&mut self, delivery: Delivery, ctx: &mut Self::Context) {
        match delivery {
            Delivery::Frame(frame) => send(&frame, ctx),
            Delivery::End(end) => close(close_code(end), end.reason(), ctx),
        }
    }
}

impl StreamHandler<Result<Message, ProtocolError>> for Socket {
    fn handle(&mut self, message: Result<Message, ProtocolError>, ctx: &mut Self::Context) {
        if !self.heard(ctx) {
            return;
        }
        match message {
            Ok(Message::Ping(payload)) => ctx.pong(&payload),
            // Clients have nothing to say; what they say is not an error either.
            Ok(Message::Pong(_) | Message::Nop | Message::Text(_)) => {}
            Ok(Message::Binary(_) | Message::Continuation(_)) => {
                close(CloseCode::Unsupported, "text in single frames only", ctx);
            }
            Ok(Message::Close(reason)) => {
                ctx.close(reason);
                ctx.stop();
            }
            Err(error) => {
                let (code, reason) = fault(&error, self.overflowed.get());
                close(code, reason, ctx);
            }
        }
    }
}

/// The close code of what a client did wrong.
fn fault(error: &ProtocolError, overflowed: bool) -> (CloseCode, &'static str) {
    match error {
        _ if overflowed => (CloseCode::Size, "at most 16 KiB a frame"),
        ProtocolError::Overflow => (CloseCode::Size, "at most 16 KiB a frame"),
        // Reserved bits: the decoder has no better word for them.
        ProtocolError::Io(error) if error.kind() == std::io::ErrorKind::InvalidData => {
            (CloseCode::Protocol, "not a WebSocket frame")
        }
        ProtocolError::Io(_) => (CloseCode::Invalid, "not UTF-8"),
        ProtocolError::UnmaskedFrame
        | ProtocolError::MaskedFrame
        | ProtocolError::InvalidOpcode(_)
        | ProtocolError::InvalidLength(_)
        | ProtocolError::BadOpCode
        | ProtocolError::ContinuationNotStarted
        | ProtocolError::ContinuationStarted
        | ProtocolError::ContinuationFragment(_) => (CloseCode::Protocol, "not a WebSocket frame"),
    }
}
