//! The change feed: one change stream per process, on its own small client, fanned out inside.
//!
//! An open stream holds a pooled connection, hence the client of its own. The stream resumes by its
//! token; where the oplog has moved on, subscribers get [`Fed::Lost`] and rebuild from the database.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bson::{Bson, Document, RawDocumentBuf, doc};
use mongodb::{
    Client,
    change_stream::event::{ChangeStreamEvent, OperationType, ResumeToken},
};
use tokio::{sync::broadcast, task::JoinHandle};

use super::{
    StoreError, options,
    reads::{Seen, moment_of},
};

/// How many changes may wait for the slowest subscriber before it has to rebuild.
const CAPACITY: usize = 8_192;
/// The server waits this long for a change before it answers with none.
const AWAIT: Duration = Duration::from_secs(1);
/// Pause before a broken stream is opened again.
const REOPEN: Duration = Duration::from_millis(250);

/// What happened to a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeKind {
    /// It was made.
    Inserted,
    /// Fields of it changed.
    Updated,
    /// It was replaced whole.
    Replaced,
    /// It is gone.
    Deleted,
}

/// One change of one document, in commit order.
#[derive(Debug)]
pub struct Change {
    /// The collection's name.
    pub collection: String,
    /// What happened.
    pub kind: ChangeKind,
    /// The document's `_id`.
    pub id: Bson,
    /// The whole document after an insert or a replacement.
    pub document: Option<RawDocumentBuf>,
    /// The changed fields after an update.
    pub updated: Option<Document>,
}

/// What a subscriber is handed.
#[derive(Debug, Clone)]
pub enum Fed {
    /// The next change.
    Change(Arc<Change>),
    /// Changes may have been missed: read the present state from the database.
    Lost,
}

/// A place in the feed.
#[derive(Debug)]
pub struct Subscription(broadcast::Receiver<Fed>);

impl Subscription {
    /// The next change; a subscriber that fell too far behind is told so. `None` once the feed has stopped.
    pub async fn next(&mut self) -> Option<Fed> {
        match self.0.recv().await {
            Ok(fed) => Some(fed),
            Err(broadcast::error::RecvError::Lagged(_)) => Some(Fed::Lost),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}

/// The process's change feed.
#[derive(Debug, Clone)]
pub struct Feed {
    sender: broadcast::Sender<Fed>,
    running: Arc<AtomicBool>,
    seen: Seen,
    task: Arc<Task>,
}

#[derive(Debug)]
struct Task(JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Feed {
    /// Opens the feed over `collections`; returns once the stream stands, so that no change after this
    /// call is missed.
    ///
    /// # Errors
    /// When the stream cannot be opened.
    pub async fn open(uri: &str, database: &str, collections: &[&str]) -> Result<Self, StoreError> {
        let mut settings = options(uri, "bodega-feed").await?;
        settings.max_pool_size = Some(2);
        settings.min_pool_size = None;
        let source = Source {
            client: Client::with_options(settings)?,
            database: database.to_owned(),
            collections: collections.iter().map(|name| (*name).to_owned()).collect(),
            seen: Seen::default(),
        };
        let seen = source.seen.clone();
        let stream = source.watch(None).await?;
        let (sender, _) = broadcast::channel(CAPACITY);
        let running = Arc::new(AtomicBool::new(true));
        let task = tokio::spawn(run(source, stream, sender.clone(), running.clone()));
        Ok(Self {
            sender,
            running,
            seen,
            task: Arc::new(Task(task)),
        })
    }

    /// Everything that happens from now on.
    #[must_use]
    pub fn subscribe(&self) -> Subscription {
        Subscription(self.sender.subscribe())
    }

    /// The latest moment that subscribers have been told of, or may have been.
    #[must_use]
    pub fn seen(&self) -> Seen {
        self.seen.clone()
    }

    /// Whether the stream stands now.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.running.load(Ordering::Relaxed) && !self.task.0.is_finished()
    }
}

type Stream = mongodb::change_stream::ChangeStream<ChangeStreamEvent<RawDocumentBuf>>;

struct Source {
    client: Client,
    database: String,
    collections: Vec<String>,
    seen: Seen,
}

impl Source {
    async fn watch(&self, resume: Option<ResumeToken>) -> Result<Stream, StoreError> {
        let wanted = doc! { "$match": {
            "ns.coll": { "$in": &self.collections },
            "operationType": { "$in": ["insert", "update", "replace", "delete"] },
        } };
        let database = self.client.database(&self.database);
        let watch = database
            .watch()
            .pipeline([wanted])
            .max_await_time(AWAIT)
            .resume_after(resume.clone());
        let stream = watch.await?.with_type();
        if resume.is_none() {
            // What happened before it is in no change: whoever reads it has to read as late as this.
            self.seen.advance(moment_of(&self.client).await?);
        }
        Ok(stream)
    }
}

/// Reads until the process ends; a broken stream is opened again where it stopped.
async fn run(
    source: Source,
    mut stream: Stream,
    sender: broadcast::Sender<Fed>,
    running: Arc<AtomicBool>,
) {
    let mut token = None;
    loop {
        let error = pump(&mut stream, &source.seen, &sender, &mut token).await;
        running.store(false, Ordering::Relaxed);
        tracing::warn!(%error, "the change feed broke; opening it again");
        stream = reopen(&source, &mut token, &sender).await;
        running.store(true, Ordering::Relaxed);
    }
}

async fn pump(
    stream: &mut Stream,
    seen: &Seen,
    sender: &broadcast::Sender<Fed>,
    token: &mut Option<ResumeToken>,
) -> mongodb::error::Error {
    loop {
        match stream.next_if_any().await {
            Ok(Some(event)) => {
                // Before anybody hears of it: who reads again because of it must not read what was before.
                if let Some(moment) = event.cluster_time {
                    seen.advance(moment);
                }
                if let Some(change) = change_of(event) {
                    // No subscriber is no fault: nobody wants to know.
                    let _nobody = sender.send(Fed::Change(Arc::new(change)));
                }
            }
            // A stream that the server closed (its database was dropped) has nothing to say any more,
            // at once and for ever.
            Ok(None) if !stream.is_alive() => {
                return mongodb::error::Error::custom("the server closed the change stream");
            }
            Ok(None) => {}
            Err(error) => return error,
        }
        *token = stream.resume_token();
    }
}

/// Tries until the stream stands; without its place in the oplog it starts over and says so.
async fn reopen(
    source: &Source,
    token: &mut Option<ResumeToken>,
    sender: &broadcast::Sender<Fed>,
) -> Stream {
    loop {
        match source.watch(token.clone()).await {
            Ok(stream) => {
                if token.is_none() {
                    let _nobody = sender.send(Fed::Lost);
                }
                return stream;
            }
            Err(StoreError::Driver(error)) if place_is_lost(&error) => {
                tracing::warn!(%error, "the change feed lost its place; subscribers rebuild");
                *token = None;
            }
            Err(error) => {
                tracing::warn!(%error, "the change feed cannot be opened yet");
                tokio::time::sleep(REOPEN).await;
            }
        }
    }
}

/// `ChangeStreamFatalError` 280, `ChangeStreamHistoryLost` 286, `InvalidResumeToken` 260 (MongoDB's error codes).
fn place_is_lost(error: &mongodb::error::Error) -> bool {
    matches!(error.kind.as_ref(),
        mongodb::error::ErrorKind::Command(command) if [260, 280, 286].contains(&command.code))
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the server may report operations that change no document"
)]
fn change_of(event: ChangeStreamEvent<RawDocumentBuf>) -> Option<Change> {
    let kind = match event.operation_type {
        OperationType::Insert => ChangeKind::Inserted,
        OperationType::Update => ChangeKind::Updated,
        OperationType::Replace => ChangeKind::Replaced,
        OperationType::Delete => ChangeKind::Deleted,
        _ => return None,
    };
    Some(Change {
        collection: event.ns?.coll?,
        kind,
        id: event.document_key?.get("_id")?.clone(),
        document: event.full_document,
        updated: event
            .update_description
            .map(|description| description.updated_fields),
    })
}
