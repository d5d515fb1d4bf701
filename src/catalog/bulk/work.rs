//! The work of a bulk edit: item after item, each concluded together with its product's change.

use futures_util::{StreamExt, TryStreamExt, stream};
use serde_json::Value;

use super::{
    edit::BulkEdit,
    store::{BulkJob, BulkState, Item, ItemFault, ItemState},
};
use crate::{
    audit::Actor,
    catalog::{
        Catalog, CatalogError,
        model::{Product, WriteProduct},
    },
    http::IfMatch,
    mongo::StoreError,
    problem::FieldError,
};

/// Items read at once.
const BATCH: i64 = 200;
/// Products changed at once.
const AT_ONCE: usize = 4;

/// What is done to each product.
struct Task<'a> {
    job: &'a BulkJob,
    edit: &'a BulkEdit,
}

impl Catalog {
    /// Deals with the next items of the oldest open bulk edit; `false` where none is open.
    ///
    /// # Errors
    /// When the database cannot be reached; the job is taken up where it stands.
    pub(in crate::catalog) async fn work_on_bulk_edits(&self) -> Result<bool, StoreError> {
        let bulk = &self.shared.bulk;
        let Some(job) = bulk.open().await? else {
            return Ok(false);
        };
        let edit: BulkEdit =
            serde_json::from_str(&job.edit).map_err(|error| StoreError::Damaged {
                collection: "bulk_edits",
                reason: error.to_string(),
            })?;
        let undoing = job.state == BulkState::Undoing;
        let from = if undoing {
            ItemState::Changed
        } else {
            ItemState::Pending
        };
        let items = bulk.next(job.id, from, BATCH).await?;
        if items.is_empty() {
            let over = if undoing {
                BulkState::Undone
            } else {
                BulkState::Done
            };
            bulk.advance(job.id, job.state, over).await?;
            return Ok(true);
        }
        let task = Task {
            job: &job,
            edit: &edit,
        };
        let done = stream::iter(items).map(|item| self.deal_with(&task, item));
        done.buffer_unordered(AT_ONCE).try_collect::<()>().await?;
        Ok(true)
    }

    /// Whether a bulk edit is open.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub(in crate::catalog) async fn has_bulk_edit(&self) -> Result<bool, StoreError> {
        Ok(self.shared.bulk.open().await?.is_some())
    }

    async fn deal_with(&self, task: &Task<'_>, item: Item) -> Result<(), StoreError> {
        let faults = match self.attempt(task, &item).await {
            Ok(()) => return Ok(()),
            Err(CatalogError::Store(error)) => return Err(error),
            Err(CatalogError::Invalid(faults)) => faults,
            Err(error) => {
                let problem = crate::problem::Problem::from(error);
                let code = problem.code();
                vec![FieldError::new("", code.as_str(), problem.to_string())]
            }
        };
        let faults = faults.into_iter().map(|fault| ItemFault {
            pointer: fault.pointer,
            code: fault.code,
            message: fault.message,
        });
        let state = if item.state == ItemState::Changed {
            ItemState::Kept
        } else {
            ItemState::Failed
        };
        let to = Item {
            state,
            faults: faults.take(20).collect(),
            ..item.clone()
        };
        self.shared.bulk.conclude(&item, &to).await
    }

    async fn attempt(&self, task: &Task<'_>, item: &Item) -> Result<(), CatalogError> {
        let bulk = &self.shared.bulk;
        let written = |product: &Product| task.write(product, item);
        let old = self.find(item.product).await?;
        let wanted = written(&old)?;
        let stays = wanted == WriteProduct::from(&old);
        if stays || task.job.dry_run {
            let mut to = task.outcome(item, &old, &wanted);
            if stays && item.state == ItemState::Pending {
                to.state = ItemState::Unchanged;
            } else {
                self.check(wanted).await?;
            }
            return Ok(bulk.conclude(item, &to).await?);
        }
        let by = Actor::User(task.job.by);
        let changed = self.rewrite_as(item.product, IfMatch::Any, by, written, |old, new| {
            let to = task.outcome(item, old, &new.into());
            Ok(Some(bulk.step(item, &to)?))
        });
        changed.await?;
        Ok(())
    }
}

impl Task<'_> {
    /// The product as it is to be.
    fn write(&self, product: &Product, item: &Item) -> Result<WriteProduct, CatalogError> {
        if item.state == ItemState::Pending {
            return self.edit.apply(product).map_err(CatalogError::Invalid);
        }
        let (before, after) = (read(item.before.as_deref()), read(item.after.as_deref()));
        self.edit
            .restore(product, &before, &after)
            .map_err(CatalogError::Invalid)
    }

    /// How the item stands afterwards.
    fn outcome(&self, item: &Item, old: &Product, new: &WriteProduct) -> Item {
        let undoing = item.state == ItemState::Changed;
        let told = |written: &WriteProduct| Some(self.edit.touched(written).to_string());
        let (state, before, after) = if undoing {
            (ItemState::Restored, item.before.clone(), item.after.clone())
        } else {
            (ItemState::Changed, told(&old.into()), told(new))
        };
        Item {
            state,
            before,
            after,
            sku: Some(old.sku.clone()),
            ..item.clone()
        }
    }
}

fn read(text: Option<&str>) -> Value {
    text.and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or_default()
}
