//! Importing and exporting: rows of any shape become products, upserted by SKU.
//!
//! A second run changes nothing, because each product remembers a digest of its row and mapping; a run
//! that was cut short goes on after its last batch. A bad row is reported with its line and the rest goes
//! on. Memory is bounded by a few batches of rows, whatever the file's size.

mod batch;
mod claims;
mod csv_rows;
mod export;
mod files;
mod http;
mod infer;
mod jobs;
mod map;
mod mapping;
mod own_csv;
mod prepare;
mod read;
mod report;
mod stored;
mod unpack;
mod values;

use std::{
    collections::HashMap,
    io::{self, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use tokio::sync::mpsc;

pub use export::Exporter;
pub(super) use http::{export_products, routes};
pub(super) use infer::infer_from_lines;
pub use jobs::{ImportJob, ImportState, StoredFile};
pub use mapping::{BrokenMapping, Mapping};
pub use read::Format;
pub use report::{Counts, Difference, Level, ReportLine};
pub(super) use values::hex;

use self::{
    batch::{Done, Writer},
    files::Files,
    infer::Inference,
    jobs::{Jobs, KEPT_DIFFERENCES, KEPT_LINES},
    map::Brands,
    prepare::{Batch, Checks, Reading, file_digest, prepare, survey},
};
use super::{
    model::{Product, ProductType, TypeId, Types, WriteProductType, check_type},
    stock::Stock,
    store::{CategoryTrees, Prices, ProductTypes, Products, TypeDoor},
};
use crate::{
    audit::{Actor, Audit},
    clock::Timestamp,
    id::ImportId,
    money::Currency,
    mongo::{Mongo, StoreError, schema},
    problem::FieldError,
};

/// Batches that may wait for the database.
const AHEAD: usize = 2;

/// The collections of imports.
pub(super) fn collections() -> Vec<schema::Collection> {
    vec![jobs::collection(), files::collection()]
}

/// What is imported, and how.
#[derive(Debug, Clone)]
pub struct ImportPlan {
    /// The file.
    pub path: PathBuf,
    /// What people call it.
    pub name: String,
    /// The form of its rows.
    pub format: Format,
    /// How rows become products; none: they have the shop's own shape.
    pub mapping: Option<Mapping>,
    /// Whether nothing is written.
    pub dry_run: bool,
    /// Where every line of the report goes.
    pub report: Option<PathBuf>,
    /// Who imports.
    pub by: Actor,
}

/// How far an import has come.
#[derive(Debug, Clone, Copy)]
pub enum Progress {
    /// Rows looked at for types and spellings.
    Surveyed(u64),
    /// Bytes of the file that are behind it, and rows dealt with.
    Written {
        /// Bytes.
        bytes: u64,
        /// Rows.
        rows: u64,
    },
}

/// An import cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The file.
    #[error("{0}")]
    File(#[from] io::Error),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The mapping.
    #[error(transparent)]
    Mapping(#[from] BrokenMapping),
    /// A product type of the file of types.
    #[error("product type {id}: {}: {}", .fault.pointer, .fault.message)]
    Type {
        /// Its id.
        id: String,
        /// The first fault.
        fault: FieldError,
    },
    /// The reading thread ended by itself: our fault.
    #[error("the reading side ended by itself")]
    Broken,
}

/// Imports.
#[derive(Clone)]
pub struct Importer {
    products: Products,
    types: ProductTypes,
    door: TypeDoor,
    stock: Stock,
    prices: Prices,
    categories: CategoryTrees,
    audit: Audit,
    jobs: Jobs,
    files: Files,
    currency: Currency,
}

impl Importer {
    /// Opens the room.
    #[must_use]
    pub fn new(mongo: &Mongo, currency: Currency) -> Self {
        Self {
            products: Products::new(mongo),
            types: ProductTypes::new(mongo),
            door: TypeDoor::new(mongo),
            stock: Stock::new(mongo),
            prices: Prices::new(mongo),
            categories: CategoryTrees::new(mongo),
            audit: Audit::new(mongo),
            jobs: Jobs::new(mongo),
            files: Files::new(mongo),
            currency,
        }
    }

    /// An import by its id.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn job(&self, id: ImportId) -> Result<Option<ImportJob>, StoreError> {
        self.jobs.find(id).await
    }

    /// Adds product types; those that are there stay as they are.
    ///
    /// # Errors
    /// On the first type that breaks a rule, or when the database refuses.
    pub async fn add_types(
        &self,
        types: impl IntoIterator<Item = WriteProductType>,
    ) -> Result<u64, ImportError> {
        let mut added = 0;
        for written in types {
            let id = written.id.clone().unwrap_or_default();
            let broken = |fault: FieldError| ImportError::Type {
                id: id.clone(),
                fault,
            };
            let parsed: TypeId = id.parse().map_err(|error: super::model::InvalidTypeId| {
                broken(FieldError::new("/id", "invalid", error.to_string()))
            })?;
            if let Err(mut faults) = check_type(&written) {
                return Err(broken(faults.swap_remove(0)));
            }
            let now = Timestamp::now();
            let product_type = ProductType {
                id: parsed,
                name: written.name,
                attributes: written.attributes,
                fields: written.fields,
                version: 1,
                created_at: now,
                updated_at: now,
            };
            added += u64::from(self.types.insert(&product_type).await?);
        }
        Ok(added)
    }

    /// Begins an import, or finds the one of the same file and mapping that was cut short.
    ///
    /// # Errors
    /// When the file cannot be read, or the database refuses.
    pub async fn begin(&self, plan: &ImportPlan) -> Result<ImportJob, ImportError> {
        let path = plan.path.clone();
        let digest = blocking(move || file_digest(&path)).await?;
        // What the command line reads goes on there only: no node has its file.
        let place = match plan.by {
            Actor::User(_) => "kept",
            Actor::CommandLine => "file",
        };
        let mapping = mapping_text(plan);
        let fingerprint = format!("{digest}:{mapping}:{}:{place}", plan.dry_run);
        let fingerprint = format!("{:x}", <sha2::Sha256 as sha2::Digest>::digest(fingerprint));
        Ok(self
            .jobs
            .begin(&fingerprint, &plan.name, plan.dry_run)
            .await?)
    }

    /// Runs an import to its end.
    ///
    /// # Errors
    /// When the file cannot be read on, or the database refuses; the job says so too, and can be taken up.
    pub async fn run(
        &self,
        plan: &ImportPlan,
        mut job: ImportJob,
        watch: impl Fn(Progress) + Send + Clone + 'static,
    ) -> Result<ImportJob, ImportError> {
        match self.go(plan, &mut job, watch).await {
            Ok(()) => job.state = ImportState::Done,
            // Cut short by the database or the machine: the same file goes on with it.
            Err(ImportError::Store(error)) => return Err(error.into()),
            Err(error) => {
                job.state = ImportState::Failed;
                job.failure = Some(error.to_string());
                self.jobs.advance(&job).await?;
                return Err(error);
            }
        }
        self.jobs.advance(&job).await?;
        Ok(job)
    }

    async fn go(
        &self,
        plan: &ImportPlan,
        job: &mut ImportJob,
        watch: impl Fn(Progress) + Send + Clone + 'static,
    ) -> Result<(), ImportError> {
        let mut reading = Reading {
            mapping: plan.mapping.clone().map(Arc::new),
            mapping_text: mapping_text(plan).into(),
            brands: Arc::default(),
            currency: self.currency,
            format: plan.format,
        };
        let (inference, brands) = Self::survey(plan, &reading, watch.clone()).await?;
        reading.brands = Arc::new(brands);
        let types = self.types_with(inference, plan.dry_run).await?;
        let (sender, mut batches) = mpsc::channel(AHEAD);
        let checks = Checks::new(&reading, &types);
        let (path, done) = (plan.path.clone(), job.rows_done);
        let reader = blocking(move || prepare(&path, &reading, &types, done, &sender));
        let writer = Writer {
            products: self.products.clone(),
            types: self.door.clone(),
            stock: self.stock.clone(),
            prices: self.prices.clone(),
            categories: self.categories.clone(),
            audit: self.audit.clone(),
            by: plan.by,
            job: job.id,
            dry_run: plan.dry_run,
            remembers: plan.mapping.is_some(),
        };
        let mut report = match &plan.report {
            Some(path) => Some(io::BufWriter::new(std::fs::File::create(path)?)),
            None => None,
        };
        let reader = actix_web::rt::spawn(reader);
        while let Some(mut batch) = batches.recv().await {
            let bytes = batch.bytes;
            self.complete(&checks, &mut batch).await?;
            let lines = Self::take(&writer, batch, job).await?;
            if let Some(report) = &mut report {
                for line in &lines {
                    serde_json::to_writer(&mut *report, line).map_err(io::Error::from)?;
                    report.write_all(b"\n")?;
                }
            }
            let room = KEPT_LINES.saturating_sub(job.lines.len());
            job.lines.extend(
                lines
                    .into_iter()
                    .filter(|line| line.level == Level::Error)
                    .take(room),
            );
            self.jobs.advance(job).await?;
            watch(Progress::Written {
                bytes,
                rows: job.rows_done,
            });
        }
        if let Some(mut report) = report {
            report.flush()?;
        }
        reader.await.map_err(|_panicked| ImportError::Broken)?
    }

    async fn survey(
        plan: &ImportPlan,
        reading: &Reading,
        watch: impl Fn(Progress) + Send + 'static,
    ) -> Result<(Inference, Brands), ImportError> {
        let wanted = plan
            .mapping
            .as_ref()
            .is_some_and(|mapping| mapping.infer_types || mapping.unify_brands);
        if !wanted {
            return Ok((Inference::default(), Brands::new()));
        }
        let (path, reading) = (plan.path.clone(), reading.clone());
        blocking(move || survey(&path, &reading, |rows| watch(Progress::Surveyed(rows)))).await
    }

    /// The product types, those made from the data included.
    async fn types_with(&self, inference: Inference, dry_run: bool) -> Result<Types, ImportError> {
        let inferred: Vec<WriteProductType> = inference.into_types().collect();
        if !dry_run {
            self.add_types(inferred).await?;
            return Ok(Types::new(self.types.all().await?));
        }
        let mut types = Types::new(self.types.all().await?);
        for written in inferred {
            let id = written
                .id
                .as_deref()
                .and_then(|id| id.parse::<TypeId>().ok());
            let Some(id) = id.filter(|id| types.get(id).is_none()) else {
                continue;
            };
            let now = Timestamp::now();
            types = types.with(Arc::new(ProductType {
                id,
                name: written.name,
                attributes: written.attributes,
                fields: written.fields,
                version: 1,
                created_at: now,
                updated_at: now,
            }));
        }
        Ok(types)
    }

    /// Completes the rows that say a part of a product only, from the products as they stand.
    async fn complete(&self, checks: &Checks, batch: &mut Batch) -> Result<(), StoreError> {
        let parts = std::mem::take(&mut batch.parts);
        let skus: Vec<&str> = parts.iter().map(|part| part.sku.as_str()).collect();
        if skus.is_empty() {
            return Ok(());
        }
        let present = self.products.by_skus(&skus).await?.into_iter();
        let present: HashMap<String, Product> = present
            .map(|product| (product.sku.clone(), product))
            .collect();
        for part in parts {
            let product = present.get(&part.sku);
            checks.complete(part, product, batch);
        }
        Ok(())
    }

    /// Writes a batch and counts it; every line of the report that it makes.
    async fn take(
        writer: &Writer,
        batch: Batch,
        job: &mut ImportJob,
    ) -> Result<Vec<ReportLine>, ImportError> {
        let mut done = Done {
            counts: job.counts.clone(),
            ..Done::default()
        };
        writer.write(batch.prepared, &mut done).await?;
        let refused = done.faults;
        job.counts = done.counts;
        let room = KEPT_DIFFERENCES.saturating_sub(job.differences.len());
        job.differences
            .extend(done.differences.into_iter().take(room));
        let counts = &mut job.counts;
        counts.failed += failed_lines(&refused);
        let mut failed_rows: Vec<u64> = batch.faults.iter().map(|fault| fault.line).collect();
        failed_rows.dedup();
        counts.failed += u64::try_from(failed_rows.len()).unwrap_or_default();
        counts.rows += batch.rows;
        counts.repeated += batch.repeated;
        for note in &batch.notes {
            *counts.notes.entry(note.code.clone()).or_default() += 1;
        }
        job.rows_done += batch.rows;
        let faults = batch.faults.into_iter().chain(refused).map(report_line);
        let mut lines: Vec<ReportLine> = batch.notes.into_iter().chain(faults).collect();
        lines.sort_by_key(|line| line.line);
        Ok(lines)
    }
}

/// How many rows the faults are of.
fn failed_lines(faults: &[report::RowFault]) -> u64 {
    let lines: std::collections::BTreeSet<u64> = faults.iter().map(|fault| fault.line).collect();
    u64::try_from(lines.len()).unwrap_or_default()
}

fn report_line(fault: report::RowFault) -> ReportLine {
    fault.into_line()
}

fn mapping_text(plan: &ImportPlan) -> String {
    let mapping = plan
        .mapping
        .as_ref()
        .and_then(|mapping| serde_json::to_string(mapping).ok());
    mapping.unwrap_or_default()
}

/// Runs file work off the async threads.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, ImportError> {
    let done = tokio::task::spawn_blocking(work)
        .await
        .map_err(|_panicked| ImportError::Broken)?;
    Ok(done?)
}

/// Finds a mapping by its name among the files of `config/import`.
///
/// # Errors
/// When there is none, or it cannot be used.
pub(super) fn mapping_named(folder: &Path, name: &str) -> Result<Mapping, ImportError> {
    let text = std::fs::read_to_string(folder.join("import").join(format!("{name}.toml")))?;
    Ok(Mapping::parse(&text)?)
}
