//! The progress of a job as server-sent events (HTML standard, 9.2): looked at twice a second, told when it
//! has moved on.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use actix_web::{
    HttpResponse,
    http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, HeaderName, HeaderValue},
    web::Bytes,
};
use futures_util::stream;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::problem::Problem;

/// How often the job is looked at.
const EVERY: Duration = Duration::from_millis(500);
/// After so long without news a comment is sent, so that nobody takes the connection for dead.
const QUIET: Duration = Duration::from_secs(15);
/// The longest that a stream lasts; a client that wants more connects again.
const LONGEST: Duration = Duration::from_hours(6);

/// Where a stream stands.
struct Follow<L> {
    load: L,
    told: Option<Value>,
    last: Instant,
    began: Instant,
    ended: bool,
    stopping: Arc<AtomicBool>,
}

/// Streams what `load` tells of a job until it says that the job is over, or the server stops.
pub(super) fn stream<L>(stopping: Arc<AtomicBool>, load: L) -> HttpResponse
where
    L: AsyncFn() -> Result<(Value, bool), Problem> + 'static,
{
    let now = Instant::now();
    let follow = Follow {
        load,
        told: None,
        last: now,
        began: now,
        ended: false,
        stopping,
    };
    let events = stream::unfold(follow, |mut follow| async move {
        let bytes = follow.next().await?;
        Some((Ok::<_, Infallible>(bytes), follow))
    });
    HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, HeaderValue::from_static("text/event-stream")))
        .insert_header((CACHE_CONTROL, HeaderValue::from_static("no-store")))
        // Neither our own compression nor a proxy may hold events back to fill a buffer.
        .insert_header((CONTENT_ENCODING, HeaderValue::from_static("identity")))
        .insert_header((
            HeaderName::from_static("x-accel-buffering"),
            HeaderValue::from_static("no"),
        ))
        .streaming(Box::pin(events))
}

impl<L: AsyncFn() -> Result<(Value, bool), Problem>> Follow<L> {
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            let stops = self.stopping.load(Ordering::Acquire);
            if self.ended || stops || self.began.elapsed() > LONGEST {
                return None;
            }
            // A database that cannot be reached now is no news.
            if let Ok((job, over)) = (self.load)().await
                && (over || self.told.as_ref() != Some(&job))
            {
                self.ended = over;
                self.last = Instant::now();
                let kind = if over { "end" } else { "progress" };
                let event = format!("event: {kind}\ndata: {job}\n\n");
                self.told = Some(job);
                return Some(event.into());
            }
            if self.last.elapsed() > QUIET {
                self.last = Instant::now();
                return Some(Bytes::from_static(b": still here\n\n"));
            }
            sleep(EVERY).await;
        }
    }
}
