//! Removes the files of pictures that nothing has shown for a while.
//!
//! Once a day one node looks at which pictures products show, and whether orders show the others. The time counts
//! from when a picture was last found in use, not from its upload: pages that caches hold, carts and checkouts
//! under way go on showing a picture that was just taken from its product.

use std::{collections::HashSet, sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use tokio::task::JoinHandle;

use super::{Images, ImagesError, known::KnownImages};
use crate::{
    clock::Timestamp,
    config::ImagesConfig,
    mongo::{Mongo, StoreError, lease::Lease},
};

/// How often it is done.
const EVERY: Duration = Duration::from_hours(24);
/// How long after a node's start it is done first.
const FIRST: Duration = Duration::from_mins(10);
/// For how long it is not done again by another node.
const LIFE: Duration = Duration::from_hours(20);

/// Who shows pictures besides products.
pub trait Showing: Send + Sync + 'static {
    /// Which of these addresses are shown.
    fn shown<'a>(
        &'a self,
        addresses: &'a [String],
    ) -> BoxFuture<'a, Result<HashSet<String>, StoreError>>;
}

/// The sweeper of this node; it ends with the handle.
#[derive(Debug)]
pub struct ImageSweeper(Option<JoinHandle<()>>);

impl Drop for ImageSweeper {
    fn drop(&mut self) {
        if let Some(task) = &self.0 {
            task.abort();
        }
    }
}

impl ImageSweeper {
    /// Starts to look, unless pictures are to be kept for good.
    #[must_use]
    pub fn start(
        mongo: &Mongo,
        images: &Images,
        config: &ImagesConfig,
        orders: Arc<dyn Showing>,
    ) -> Self {
        let Some(unused) = config.unused() else {
            return Self(None);
        };
        let lease = Lease::new(mongo, "image_sweep");
        let (images, known) = (images.clone(), KnownImages::new(mongo));
        Self(Some(actix_web::rt::spawn(async move {
            tokio::time::sleep(FIRST).await;
            loop {
                match swept(&lease, &images, &known, orders.as_ref(), unused).await {
                    Ok(0) => {}
                    Ok(removed) => tracing::info!(removed, "pictures that nothing shows are gone"),
                    Err(error) => tracing::warn!(%error, "unused pictures stay for now"),
                }
                tokio::time::sleep(EVERY).await;
            }
        })))
    }
}

async fn swept(
    lease: &Lease,
    images: &Images,
    known: &KnownImages,
    orders: &dyn Showing,
    unused: Duration,
) -> Result<usize, ImagesError> {
    if lease.take(LIFE).await? {
        sweep(images, known, orders, unused).await
    } else {
        Ok(0)
    }
}

/// Removes what nothing has shown for so long; how many pictures that were.
pub(in crate::catalog) async fn sweep(
    images: &Images,
    known: &KnownImages,
    orders: &dyn Showing,
    unused: Duration,
) -> Result<usize, ImagesError> {
    let limit = Timestamp::now().before(unused);
    known.note(&known.in_products().await?).await?;
    let lapsed = known.lapsed(limit).await?;
    let addresses: Vec<String> = lapsed
        .iter()
        .map(|name| format!("/images/{name}"))
        .collect();
    let shown = orders.shown(&addresses).await?;
    let mut removed = 0;
    let mut still = Vec::new();
    for (name, address) in lapsed.into_iter().zip(addresses) {
        if shown.contains(&address) {
            still.push(name);
        } else if known.claim(&name, limit).await? {
            // An address that staff wrote by hand may look like a picture's and name none.
            if let Ok(picture) = name.parse() {
                images.store.remove(&picture).await?;
                removed += 1;
            }
            known.forget(&name).await?;
        }
    }
    known.note(&still).await?;
    Ok(removed)
}
