//! MongoDB: the connection, transactions, the declared schema, the change feed and the embedded server.
//!
//! Only a room's `store` opens its collection. Writes are `w: majority, j: true`; reads that decide
//! about money or stock go to the primary.

pub mod embedded;
mod error;
pub mod feed;
pub mod lease;
mod once;
pub mod pulse;
pub mod reads;
pub mod schema;
pub mod upgrades;

use std::time::Duration;

use futures_util::future::BoxFuture;
use mongodb::{
    Client, ClientSession, Database,
    options::{Acknowledgment, ClientOptions, ReadConcern, TransactionOptions, WriteConcern},
};

pub use error::{StoreError, is_duplicate_key};
use reads::Seen;

use crate::{
    config::MongoConfig,
    faults::{Plant, planted},
};

/// How long an operation waits for a member that can take it: an election takes two to three seconds.
const SERVER_SELECTION: Duration = Duration::from_secs(5);
/// How long a member may take to greet, and beyond [`HEARTBEAT`] to say that it is alive. The driver then gives
/// up everything that waits for it: an answer from behind a cut line would never come.
const CONNECT: Duration = Duration::from_secs(2);
/// How often a member says that it is alive.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// The shop's database, shared by all workers.
#[derive(Debug, Clone)]
pub struct Mongo {
    client: Client,
    database: Database,
    /// The moment of this node's latest transaction.
    seen: Seen,
}

/// Majority and journal: an acknowledged write survives the loss of any one member.
fn durable() -> WriteConcern {
    if planted(Plant::WritesUnconfirmed) {
        return WriteConcern::from(Acknowledgment::Nodes(1));
    }
    WriteConcern::builder()
        .w(Acknowledgment::Majority)
        .journal(true)
        .build()
}

/// What a majority has, and no change of the primary takes back: for answers that write nothing of their own.
#[must_use]
pub fn confirmed() -> ReadConcern {
    if planted(Plant::ReadsUnconfirmed) {
        return ReadConcern::local();
    }
    ReadConcern::majority()
}

fn in_transactions() -> TransactionOptions {
    TransactionOptions::builder()
        .read_concern(ReadConcern::snapshot())
        .write_concern(durable())
        .max_commit_time(Duration::from_secs(5))
        .build()
}

/// What every client of the database begins with.
pub(crate) async fn options(uri: &str, name: &str) -> Result<ClientOptions, mongodb::error::Error> {
    let mut options = ClientOptions::parse(uri).await?;
    options.app_name.get_or_insert_with(|| name.to_owned());
    options.write_concern = Some(durable());
    options.retry_writes = Some(true);
    options.retry_reads = Some(true);
    options
        .server_selection_timeout
        .get_or_insert(SERVER_SELECTION);
    options.connect_timeout.get_or_insert(CONNECT);
    options.heartbeat_freq.get_or_insert(HEARTBEAT);
    Ok(options)
}

/// Encodes a value as the driver would store it.
///
/// `bson::serialize_to_document` calls itself human-readable, so that ids and times would become text
/// in it: it is not used (clippy.toml).
///
/// # Errors
/// When the value cannot be stored.
pub fn to_document(value: &impl serde::Serialize) -> Result<bson::Document, StoreError> {
    let encoded = bson::serialize_to_vec(value).map_err(mongodb::error::Error::from)?;
    Ok(bson::deserialize_from_slice(&encoded).map_err(mongodb::error::Error::from)?)
}

/// Encodes a list as the driver would store it.
///
/// # Errors
/// When a value cannot be stored.
pub fn to_array<T: serde::Serialize>(values: &[T]) -> Result<bson::Array, StoreError> {
    values
        .iter()
        .map(|value| to_document(value).map(bson::Bson::Document))
        .collect()
}

impl Mongo {
    /// Connects to the replica set at `uri`; lazily, so an absent server shows at first use.
    ///
    /// # Errors
    /// When the URI cannot be parsed.
    pub async fn connect(uri: &str, config: &MongoConfig) -> Result<Self, StoreError> {
        let mut options = options(uri, "bodega").await?;
        options.max_pool_size.get_or_insert(config.pool_size);
        options.min_pool_size.get_or_insert(4.min(config.pool_size));
        options.max_connecting.get_or_insert(8);
        let client = Client::with_options(options)?;
        let database = client.database(&config.database);
        Ok(Self {
            client,
            database,
            seen: Seen::default(),
        })
    }

    /// The database; for stores.
    #[must_use]
    pub const fn database(&self) -> &Database {
        &self.database
    }

    /// Whether a primary answers.
    ///
    /// # Errors
    /// When none does within the selection time.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.client
            .database("admin")
            .run_command(bson::doc! { "ping": 1 })
            .await?;
        Ok(())
    }

    /// Whatever this node reads elsewhere from now on shows what the session has written.
    fn saw(&self, session: &ClientSession) {
        if let Some(moment) = session.operation_time() {
            self.seen.advance(moment);
        }
    }

    /// Runs `work` in a transaction: snapshot read, majority write, retried by the driver on its two
    /// labels. `work` may run several times; it must return every driver error as it is, and raises its
    /// own with [`StoreError::abort`].
    ///
    /// # Errors
    /// The error that `work` raised, or the driver's.
    pub async fn transaction<R>(
        &self,
        work: impl AsyncFnMut(&mut ClientSession) -> mongodb::error::Result<R>,
    ) -> Result<R, StoreError> {
        let mut session = self.client.start_session().await?;
        let done = session
            .start_transaction()
            .with_options(in_transactions())
            .and_run2(work)
            .await;
        self.saw(&session);
        Ok(done?)
    }

    /// As [`Mongo::transaction`], with a future that may move between threads: what `work` needs is
    /// handed to it as `context`, because the compiler cannot see that an async closure's borrows may
    /// be sent (rust-lang/rust#110338).
    ///
    /// # Errors
    /// The error that `work` raised, or the driver's.
    pub async fn transaction_with<C, R>(
        &self,
        context: C,
        work: impl for<'b> FnMut(
            &'b mut ClientSession,
            &'b mut C,
        ) -> BoxFuture<'b, mongodb::error::Result<R>>,
    ) -> Result<R, StoreError> {
        let mut session = self.client.start_session().await?;
        let done = session
            .start_transaction()
            .with_options(in_transactions())
            .and_run(context, work)
            .await;
        self.saw(&session);
        Ok(done?)
    }
}

#[cfg(test)]
mod tests;
