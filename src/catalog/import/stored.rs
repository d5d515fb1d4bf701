//! Imports whose file is kept in the database: begun at any node, run by the catalogue's worker, and taken
//! up by another node's where one is gone.

use super::{
    ImportError, ImportJob, ImportPlan, Importer, Mapping, StoredFile, files::Scratch,
    jobs::ImportState,
};
use crate::{
    audit::{Action, Actor, Changes, Entry, Subject},
    mongo::StoreError,
};

impl Importer {
    /// Begins an import and keeps its file for the worker; one of the same file that is under way is
    /// found.
    ///
    /// # Errors
    /// When the file cannot be read, or the database refuses.
    pub(super) async fn begin_stored(&self, plan: &ImportPlan) -> Result<ImportJob, ImportError> {
        let mut job = self.begin(plan).await?;
        if job.stored.is_some() {
            return Ok(job);
        }
        let mapping = plan.mapping.as_ref();
        let mapping = mapping.and_then(|mapping| serde_json::to_string(mapping).ok());
        let file = StoredFile {
            format: plan.format,
            mapping,
            by: plan.by.user(),
            bytes: self.files.keep(job.id, &plan.path).await?,
        };
        if !plan.dry_run {
            let subject = (Subject::Import, job.id.to_string(), plan.name.clone());
            let entry = Entry::new(plan.by, Action::Begun, subject, Changes::default());
            let entry = entry.of_job(Some(job.id.object_id()));
            self.audit.write(&entry).await?;
        }
        self.jobs.keep(job.id, &file).await?;
        job.stored = Some(file);
        Ok(job)
    }

    /// Whether an import waits for the worker.
    pub(in crate::catalog) async fn has_stored(&self) -> Result<bool, StoreError> {
        Ok(self.jobs.next_stored().await?.is_some())
    }

    /// Runs the oldest import that waits to its end; `false` where none does.
    ///
    /// # Errors
    /// When the database cannot be reached; the import is taken up after its last batch.
    pub(in crate::catalog) async fn work_on_stored(&self) -> Result<bool, StoreError> {
        let Some(job) = self.jobs.next_stored().await? else {
            return Ok(false);
        };
        let id = job.id;
        match self.run_stored(job).await {
            Ok(()) => {}
            Err(ImportError::Store(error)) => return Err(error),
            // The job says so too.
            Err(error) => tracing::info!(import = %id, %error, "an import failed"),
        }
        self.files.forget(id).await?;
        Ok(true)
    }

    async fn run_stored(&self, mut job: ImportJob) -> Result<(), ImportError> {
        let scratch = Scratch::new();
        let Some(file) = job.stored.clone() else {
            return Ok(());
        };
        let bytes = self.files.fetch(job.id, scratch.path()).await?;
        if bytes != file.bytes {
            job.state = ImportState::Failed;
            job.failure = Some("the file is not kept any more".into());
            return Ok(self.jobs.advance(&job).await?);
        }
        let mapping = match &file.mapping {
            Some(text) => {
                Some(serde_json::from_str::<Mapping>(text).map_err(std::io::Error::from)?)
            }
            None => None,
        };
        let plan = ImportPlan {
            path: scratch.path().to_owned(),
            name: job.name.clone(),
            format: file.format,
            mapping,
            dry_run: job.dry_run,
            report: None,
            by: Actor::from(file.by),
        };
        self.run(&plan, job, |_progress| {}).await.map(drop)
    }
}
