//! The embedded server: a real mongod as a single-node replica set, started, supervised and stopped.
//!
//! Everything of it lies in `mongodb.data_dir`: `db` (mongod's own), `mongod.log`, `mongod.out`,
//! `mongod.json` (its process and port) and `bodega.lock`, whose holder alone may run it.
//!
//! mongod lives in a process group of its own, so that Ctrl-C ends the shop first and its database
//! after it. A server that was killed outright leaves its mongod running: the next server on the folder
//! takes it over, and where none comes within [`ORPHAN_SECONDS`], a waiting shell ends it.

mod error;
mod folder;
mod launch;
mod program;
mod replica;
mod supervise;
#[cfg(test)]
mod tests;

use std::time::Duration;

use tokio::{sync::oneshot, task::JoinHandle, time::Instant};

use crate::config::MongoConfig;

pub use error::EmbeddedError;

use folder::{Folder, Lock};
use launch::Launch;

/// How long a mongod whose server was killed waits for the next one.
pub const ORPHAN_SECONDS: u32 = 10;
/// How long another command waits for the mongod of a server that has just been started.
const ATTACH: Duration = Duration::from_secs(15);
/// Pause between two looks at something that is about to change.
const LOOK: Duration = Duration::from_millis(10);

/// A mongod that answers as primary.
#[derive(Debug)]
pub struct Embedded {
    uri: String,
    /// `None` when another process runs it.
    supervisor: Option<Supervisor>,
}

#[derive(Debug)]
struct Supervisor {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Embedded {
    /// Starts mongod in the configured folder, or takes over the one that a killed server left there;
    /// returns once it is primary. It is restarted whenever it ends by itself.
    ///
    /// # Errors
    /// One line: no program, folder or port in use, or what mongod says of itself.
    pub async fn start(config: &MongoConfig) -> Result<Self, EmbeddedError> {
        let launch = Launch::new(config)?;
        let folder = Folder::open(&config.data_dir)?;
        let lock = folder.lock()?;
        Self::run(launch, folder, lock, config.port).await
    }

    /// Connects to the mongod that another process runs in the configured folder, or starts one for
    /// the time of a command.
    ///
    /// # Errors
    /// As [`Embedded::start`]; and when the other process's mongod does not answer.
    pub async fn attach_or_start(config: &MongoConfig) -> Result<Self, EmbeddedError> {
        let launch = Launch::new(config)?;
        let folder = Folder::open(&config.data_dir)?;
        let deadline = Instant::now() + ATTACH;
        loop {
            match folder.lock() {
                Ok(lock) => return Self::run(launch, folder, lock, config.port).await,
                Err(in_use @ EmbeddedError::InUse { .. }) => {
                    if let Some(port) = folder.record().port
                        && replica::is_primary(port).await
                    {
                        return Ok(Self {
                            uri: replica::uri(port),
                            supervisor: None,
                        });
                    }
                    if Instant::now() > deadline {
                        return Err(in_use);
                    }
                    tokio::time::sleep(LOOK).await;
                }
                Err(other) => return Err(other),
            }
        }
    }

    async fn run(
        launch: Launch,
        folder: Folder,
        lock: Lock,
        port: u16,
    ) -> Result<Self, EmbeddedError> {
        let began = Instant::now();
        let mongod = supervise::first(&launch, &folder, port).await?;
        let duration_ms = began.elapsed().as_millis();
        tracing::info!(port = mongod.port, duration_ms, "mongod is primary");
        let uri = replica::uri(mongod.port);
        let (stop, stopped) = oneshot::channel();
        let work = supervise::run(launch, folder, lock, mongod, stopped);
        Ok(Self {
            uri,
            supervisor: Some(Supervisor {
                stop,
                task: tokio::spawn(work),
            }),
        })
    }

    /// The replica set's URI; it stays the same when mongod is restarted.
    #[must_use]
    pub fn uri(&self) -> &str {
        &self.uri
    }

    /// Shuts mongod down and waits for its end; leaves it alone when another process runs it.
    pub async fn stop(self) {
        let Some(supervisor) = self.supervisor else {
            return;
        };
        // A supervisor that is gone has ended its mongod.
        let _gone = supervisor.stop.send(());
        if let Err(error) = supervisor.task.await {
            tracing::error!(%error, "the supervisor of mongod failed");
        }
    }
}
