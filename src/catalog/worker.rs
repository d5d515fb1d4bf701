//! The catalogue's worker: bulk edits, imports and moves of categories that are not over, on one node at a
//! time. What a node that is gone has left is taken up by another within the life of its lease.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{task::JoinHandle, time::timeout};

use super::{Catalog, CatalogError, Importer};
use crate::mongo::{Mongo, StoreError, lease::Lease};

/// How often a node looks for work that another node has been given.
const EVERY: Duration = Duration::from_secs(1);
/// How long a node that is gone keeps others from its work.
const LIFE: Duration = Duration::from_secs(10);
/// How often the lease is renewed while work goes on.
const RENEW: Duration = Duration::from_secs(3);

/// The worker of this node; it ends with the handle.
#[derive(Debug)]
pub struct JobWorker {
    task: JoinHandle<()>,
    stopping: Arc<AtomicBool>,
}

impl Drop for JobWorker {
    fn drop(&mut self) {
        self.stop();
        self.task.abort();
    }
}

struct Work {
    catalog: Catalog,
    importer: Importer,
    lease: Lease,
}

impl JobWorker {
    /// Starts to look for work.
    #[must_use]
    pub fn start(mongo: &Mongo, catalog: &Catalog, importer: &Importer) -> Self {
        let work = Work {
            catalog: catalog.clone(),
            importer: importer.clone(),
            lease: Lease::new(mongo, "catalogue_jobs"),
        };
        let stopping = catalog.shared.stopping.clone();
        Self {
            task: actix_web::rt::spawn(work.look_for_ever()),
            stopping,
        }
    }

    /// Lets streams of progress end, and takes on nothing more.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
    }
}

impl Work {
    async fn look_for_ever(self) {
        loop {
            // Woken at once by what begins on this node.
            let _woken = timeout(EVERY, self.catalog.shared.wake.notified()).await;
            if self.catalog.shared.stopping.load(Ordering::Acquire) {
                return;
            }
            if let Err(error) = self.look().await {
                tracing::warn!(%error, "the catalogue's work is put off");
            }
        }
    }

    async fn look(&self) -> Result<(), CatalogError> {
        if !self.is_any().await? || !self.lease.take(LIFE).await? {
            return Ok(());
        }
        let done = tokio::select! {
            done = self.all() => done,
            lost = self.keep() => lost.map_err(CatalogError::from),
        };
        self.lease.give_back().await?;
        done
    }

    /// Whether anything is to be done.
    async fn is_any(&self) -> Result<bool, CatalogError> {
        Ok(self.catalog.has_bulk_edit().await?
            || self.catalog.has_open_move().await?
            || self.importer.has_stored().await?)
    }

    /// Does what is to be done until nothing is left.
    async fn all(&self) -> Result<(), CatalogError> {
        self.catalog.finish_moves().await?;
        while !self.catalog.shared.stopping.load(Ordering::Acquire) {
            let edited = self.catalog.work_on_bulk_edits().await?;
            let imported = self.importer.work_on_stored().await?;
            if !edited && !imported {
                break;
            }
        }
        Ok(())
    }

    /// Keeps the lease; ends where another node has it.
    async fn keep(&self) -> Result<(), StoreError> {
        loop {
            tokio::time::sleep(RENEW).await;
            if !self.lease.take(LIFE).await? {
                tracing::warn!("another node has taken the catalogue's work over");
                return Ok(());
            }
        }
    }
}
