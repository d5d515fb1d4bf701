//! Server-sent events: the same stream as text (HTML standard, 9.2).

use std::{convert::Infallible, time::Duration};

use actix_web::{
    HttpResponse,
    http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, HeaderName, HeaderValue},
    web::Bytes,
};
use futures_util::{Stream, StreamExt, stream, stream::LocalBoxStream};
use tokio::time::{Interval, MissedTickBehavior};

use super::{frame::Frame, link::End, stream::Delivery};

/// How long a browser waits before it connects again, in milliseconds.
const RETRY_MS: u32 = 2_000;

/// Answers with a stream of `hello` and then `deliveries`. `from` becomes the client's `Last-Event-ID`
/// until the first event, so that a connection lost before it resumes at the right place.
pub(super) fn answer(
    hello: &Frame,
    from: Option<i64>,
    deliveries: LocalBoxStream<'static, Delivery>,
    heartbeat: Duration,
) -> HttpResponse {
    let first = [
        format!("retry: {RETRY_MS}\n").into_bytes(),
        block(from, hello.kind, &hello.json),
    ];
    let first = Bytes::from(first.concat());
    HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, HeaderValue::from_static("text/event-stream")))
        .insert_header((CACHE_CONTROL, HeaderValue::from_static("no-store")))
        // Neither our own compression nor a proxy may hold events back to fill a buffer.
        .insert_header((CONTENT_ENCODING, HeaderValue::from_static("identity")))
        .insert_header((
            HeaderName::from_static("x-accel-buffering"),
            HeaderValue::from_static("no"),
        ))
        .streaming(stream::iter([Ok(first)]).chain(text(deliveries, heartbeat)))
}

struct Writer {
    deliveries: LocalBoxStream<'static, Delivery>,
    heartbeat: Interval,
}

fn text(
    deliveries: LocalBoxStream<'static, Delivery>,
    every: Duration,
) -> impl Stream<Item = Result<Bytes, Infallible>> {
    let mut heartbeat = tokio::time::interval_at(tokio::time::Instant::now() + every, every);
    heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let writer = Writer {
        deliveries,
        heartbeat,
    };
    stream::unfold(writer, async |mut writer| {
        let bytes = tokio::select! {
            delivery = writer.deliveries.next() => match delivery? {
                Delivery::Frame(frame) => block(frame.id, frame.kind, &frame.json),
                Delivery::End(end) => goodbye(end),
            },
            _ = writer.heartbeat.tick() => b": still here\n\n".to_vec(),
        };
        Some((Ok(Bytes::from(bytes)), writer))
    })
}

/// One event.
fn block(id: Option<i64>, kind: &str, json: &[u8]) -> Vec<u8> {
    let id = id.map(|id| format!("id: {id}\n")).unwrap_or_default();
    let head = format!("{id}event: {kind}\ndata: ");
    [head.as_bytes(), json, b"\n\n"].concat()
}

/// The last event.
fn goodbye(end: End) -> Vec<u8> {
    match Frame::close(end) {
        Ok(frame) => block(None, frame.kind, &frame.json),
        Err(error) => {
            tracing::error!(%error, "the last word cannot be said");
            Vec::new()
        }
    }
}
