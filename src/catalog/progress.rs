//! Jobs over HTTP: begun, shown, and followed as server-sent events (HTML standard, 9.2), for which they are
//! looked at twice a second and told when they have moved on.

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
    http::header::{
        CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, HeaderName, HeaderValue, LOCATION,
    },
    web::{self, Bytes},
};
use futures_util::stream;
use serde::Serialize;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::Catalog;
use crate::problem::Problem;

/// How often the job is looked at.
const EVERY: Duration = Duration::from_millis(500);
/// After so long without news a comment is sent, so that nobody takes the connection for dead.
const QUIET: Duration = Duration::from_secs(15);
/// The longest that a stream lasts; a client that wants more connects again.
const LONGEST: Duration = Duration::from_hours(6);

/// A job as staff see it.
pub(super) trait JobView: Serialize {
    /// Whether it will not move on any more.
    fn is_over(&self) -> bool;
}

/// Where jobs of one kind are looked up.
pub(super) trait Jobs {
    /// What a job is called by.
    type Id: Copy;
    /// A job as it is shown.
    type View: JobView;

    /// How the job stands; `None` where there is none.
    async fn look(&self, id: Self::Id) -> Result<Option<Self::View>, Problem>;
}

/// The answer to a request that has begun a job, which is found at `place`.
pub(super) fn begun(place: String, view: &impl JobView) -> HttpResponse {
    HttpResponse::Accepted()
        .insert_header((LOCATION, place))
        .json(view)
}

/// Shows how a job stands.
pub(super) async fn show<J: Jobs>(jobs: &J, id: J::Id) -> Result<web::Json<J::View>, Problem> {
    let found = jobs.look(id).await?;
    found.map(web::Json).ok_or_else(Problem::not_found)
}

/// Streams how a job moves on, until it is over or the server stops.
pub(super) async fn follow<J>(
    catalog: &Catalog,
    jobs: web::Data<J>,
    id: J::Id,
) -> Result<HttpResponse, Problem>
where
    J: Jobs + 'static,
    J::Id: 'static,
{
    show(&**jobs, id).await?;
    Ok(stream(catalog.shared.stopping.clone(), jobs, id))
}

/// Where a stream stands.
struct Follow<J: Jobs> {
    jobs: web::Data<J>,
    id: J::Id,
    told: Option<Value>,
    last: Instant,
    began: Instant,
    ended: bool,
    stopping: Arc<AtomicBool>,
}

fn stream<J>(stopping: Arc<AtomicBool>, jobs: web::Data<J>, id: J::Id) -> HttpResponse
where
    J: Jobs + 'static,
    J::Id: 'static,
{
    let now = Instant::now();
    let follow = Follow {
        jobs,
        id,
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

impl<J: Jobs> Follow<J> {
    /// How the job stands, and whether it is over; `None` where that cannot be told now.
    async fn look(&self) -> Option<(Value, bool)> {
        let view = self.jobs.look(self.id).await.ok()??;
        Some((serde_json::to_value(&view).ok()?, view.is_over()))
    }

    async fn next(&mut self) -> Option<Bytes> {
        loop {
            let stops = self.stopping.load(Ordering::Acquire);
            if self.ended || stops || self.began.elapsed() > LONGEST {
                return None;
            }
            // A database that cannot be reached now is no news.
            if let Some((job, over)) = self.look().await
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
