//! The reading side of an import: rows mapped and checked on a thread of its own, handed over in batches.

use std::{
    collections::{BTreeMap, HashSet},
    fs::File,
    io,
    path::Path,
    sync::Arc,
};

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;

use super::{
    super::model::{PatchProduct, Product, ProductDraft, Schemas, Source, Types, WriteProduct},
    batch::Prepared,
    infer::Inference,
    map::{Brands, Mapped, map_row},
    mapping::Mapping,
    own_csv,
    read::{Format, Row, Rows},
    report::{Level, Notes, ReportLine, RowFault},
    values::hex,
};
use crate::money::Currency;

/// Rows handed over at once.
const BATCH: usize = 500;
/// Rows after which a batch is handed over though few of them are to be written.
const MAX_ROWS: u64 = 2_000;

/// What rows are read with.
#[derive(Clone)]
pub(super) struct Reading {
    pub(super) mapping: Option<Arc<Mapping>>,
    /// The mapping as text, part of each row's digest: another mapping makes other products.
    pub(super) mapping_text: Arc<str>,
    pub(super) brands: Arc<Brands>,
    pub(super) currency: Currency,
    pub(super) format: Format,
}

/// Rows looked at: those to be written, and what there is to say of the others.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) rows: u64,
    pub(super) prepared: Vec<Prepared>,
    /// Rows that say a part of a product only.
    pub(super) parts: Vec<Part>,
    pub(super) faults: Vec<RowFault>,
    pub(super) notes: Vec<ReportLine>,
    pub(super) repeated: u64,
    /// Bytes of the file that are behind it.
    pub(super) bytes: u64,
}

/// A row of a file that does not have every column: what it says, for a product that may be there or not.
pub(super) struct Part {
    line: u64,
    /// The product's SKU.
    pub(super) sku: String,
    members: Map<String, Value>,
    row: Value,
}

/// What is found in a row.
enum Found {
    Whole(Box<Mapped>),
    Part(Part),
}

impl Found {
    fn sku(&self) -> &str {
        match self {
            Self::Whole(mapped) => &mapped.product.sku,
            Self::Part(part) => &part.sku,
        }
    }
}

/// Counts the bytes that were read through it.
struct Metered<R> {
    inner: R,
    read: Arc<std::sync::atomic::AtomicU64>,
}

impl<R: io::Read> io::Read for Metered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        let bytes = u64::try_from(read).unwrap_or_default();
        self.read
            .fetch_add(bytes, std::sync::atomic::Ordering::Relaxed);
        Ok(read)
    }
}

/// Digest of a file's bytes.
pub(super) fn file_digest(path: &Path) -> io::Result<String> {
    let mut digest = Sha256::new();
    io::copy(&mut File::open(path)?, &mut digest)?;
    Ok(format!("{:x}", digest.finalize()))
}

/// Reads the file once for what can only be known of the whole: the types of its products, and the usual
/// spelling of each brand.
pub(super) fn survey(
    path: &Path,
    reading: &Reading,
    mut watch: impl FnMut(u64),
) -> io::Result<(Inference, Brands)> {
    let (mut inference, mut spellings) = (
        Inference::default(),
        BTreeMap::<String, BTreeMap<String, u64>>::new(),
    );
    let Some(mapping) = &reading.mapping else {
        return Ok((inference, Brands::new()));
    };
    let mut rows = Rows::open(File::open(path)?, reading.format)?;
    let (none, mut count) = (Brands::new(), 0);
    while let Some(row) = rows.next()? {
        count += 1;
        watch(count);
        let Ok(value) = row.value else { continue };
        let Ok(mapped) = map_row(mapping, &none, reading.currency, row.line, &value) else {
            continue;
        };
        let product = mapped.product;
        if let Some(brand) = product.brand.filter(|_| mapping.unify_brands) {
            *spellings
                .entry(brand.to_lowercase())
                .or_default()
                .entry(brand)
                .or_default() += 1;
        }
        if let Some(id) = product.product_type.filter(|_| mapping.infer_types) {
            inference.see(
                &id,
                &mapped.type_name,
                &product.attributes,
                &product.options,
            );
        }
    }
    let usual = spellings.into_iter().filter_map(|(lower, counts)| {
        // The most frequent one; of equally frequent ones the first in the alphabet.
        let most = counts
            .into_iter()
            .max_by(|a, b| a.1.cmp(&b.1).then(b.0.cmp(&a.0)))?;
        Some((lower, most.0))
    });
    Ok((inference, usual.collect()))
}

/// Reads, maps and checks the rows after the first `done`, and sends them in batches until the end, or
/// until nobody takes them.
pub(super) fn prepare(
    path: &Path,
    reading: &Reading,
    types: &Types,
    done: u64,
    batches: &mpsc::Sender<Batch>,
) -> io::Result<()> {
    let read = Arc::default();
    let file = Metered {
        inner: File::open(path)?,
        read: Arc::clone(&read),
    };
    let mut rows = Rows::open(file, reading.format)?;
    let (checks, mut seen) = (Checks::new(reading, types), HashSet::<[u8; 8]>::new());
    let (mut batch, mut number) = (Batch::default(), 0_u64);
    while let Some(row) = rows.next()? {
        number += 1;
        let look = Look {
            checks: &checks,
            write: number > done,
        };
        look.at(row, &mut seen, &mut batch);
        if number > done {
            batch.rows += 1;
        }
        if batch.prepared.len() + batch.parts.len() >= BATCH || batch.rows >= MAX_ROWS {
            batch.bytes = read.load(std::sync::atomic::Ordering::Relaxed);
            if batches.blocking_send(std::mem::take(&mut batch)).is_err() {
                return Ok(());
            }
        }
    }
    batch.bytes = read.load(std::sync::atomic::Ordering::Relaxed);
    // Nobody takes it: the import has failed on the other side, which says so.
    let _gone = batches.blocking_send(batch);
    Ok(())
}

/// How one row is looked at.
struct Look<'a> {
    checks: &'a Checks,
    /// Whether it is to be written, or was before the import was cut short.
    write: bool,
}

impl Look<'_> {
    fn at(&self, row: Row, seen: &mut HashSet<[u8; 8]>, batch: &mut Batch) {
        let line = row.line;
        match row
            .value
            .and_then(|value| Ok((self.checks.found(line, &value)?, value)))
        {
            Err(fault) if self.write => batch.faults.push(fault),
            Err(_reported_before) => {}
            Ok((found, value)) => {
                let first = seen.insert(short_digest(found.sku()));
                if !self.write {
                    return;
                }
                if !first {
                    batch.repeated += 1;
                    batch.notes.push(ReportLine {
                        line,
                        sku: Some(found.sku().to_owned()),
                        level: Level::Note,
                        code: "sku_repeated".into(),
                        fields: Vec::new(),
                        message: Some(
                            "an earlier row of this file has the SKU; this one is left out".into(),
                        ),
                    });
                    return;
                }
                match found {
                    Found::Whole(mapped) => self.checks.check(line, *mapped, &value, None, batch),
                    Found::Part(part) => batch.parts.push(part),
                }
            }
        }
    }
}

/// What rows are read and checked with.
pub(super) struct Checks {
    reading: Reading,
    types: Types,
    schemas: Schemas,
}

impl Checks {
    /// Reads as `reading` says, for these types.
    pub(super) fn new(reading: &Reading, types: &Types) -> Self {
        Self {
            reading: reading.clone(),
            types: types.clone(),
            schemas: Schemas::default(),
        }
    }

    /// The row as a product as it is written: through the mapping, or in the shop's own shape.
    fn found(&self, line: u64, value: &Value) -> Result<Found, RowFault> {
        let reading = &self.reading;
        if let Some(mapping) = &reading.mapping {
            let mapped = map_row(mapping, &reading.brands, reading.currency, line, value);
            return Ok(Found::Whole(Box::new(mapped?)));
        }
        if reading.format != Format::Csv {
            return Ok(Found::Whole(Box::new(decoded(line, value)?)));
        }
        if own_csv::is_whole(value) {
            let own = own_csv::product_of(line, value, reading.currency)?;
            return Ok(Found::Whole(Box::new(decoded(line, &own)?)));
        }
        let members = own_csv::patch_of(line, value, reading.currency)?;
        let Some(sku) = members.get("sku").and_then(Value::as_str) else {
            let message = "a row names its product by the SKU";
            return Err(RowFault::new(line, "wrong_shape", "sku", message));
        };
        Ok(Found::Part(Part {
            line,
            sku: sku.to_owned(),
            members,
            row: value.clone(),
        }))
    }

    /// Checks a row that says a part only, over the product that is there; without one, what the row does
    /// not say takes its default.
    pub(super) fn complete(&self, part: Part, present: Option<&Product>, batch: &mut Batch) {
        let form = match present {
            None => {
                let said = part.members.into_iter();
                Ok(Value::Object(
                    said.filter(|(_, value)| !value.is_null()).collect(),
                ))
            }
            Some(product) => {
                let mut over = product.clone();
                if part.members.contains_key("attributes") {
                    // A cell has all of them: they are replaced, not merged.
                    over.attributes.clear();
                }
                PatchProduct::from(part.members).apply(&over)
            }
        };
        let (line, version) = (part.line, present.map(|product| product.version));
        let form = form.map_err(|faults| RowFault::of(line, &part.sku, faults));
        match form.and_then(|form| decoded(line, &form).map_err(|fault| vec![fault])) {
            Ok(mapped) => self.check(line, mapped, &part.row, version, batch),
            Err(faults) => batch.faults.extend(faults),
        }
    }

    fn check(
        &self,
        line: u64,
        mapped: Mapped,
        value: &Value,
        completes: Option<u64>,
        batch: &mut Batch,
    ) {
        let sku = mapped.product.sku.clone();
        let source = Source {
            mapping: self
                .reading
                .mapping
                .as_ref()
                .map_or_else(|| "bodega".to_owned(), |m| m.name.clone()),
            hash: hash(value, &self.reading),
        };
        let sets_stock = self
            .reading
            .mapping
            .as_ref()
            .is_none_or(|mapping| mapping.stock.from.is_some());
        let id = mapped.product.product_type.as_deref().unwrap_or("generic");
        let product_type = id.parse().ok().and_then(|id| self.types.get(&id).cloned());
        let Some(product_type) = product_type else {
            let message = format!("there is no product type {id}");
            batch.faults.push(RowFault {
                sku: Some(sku),
                ..RowFault::new(line, "unknown_type", "/type", message)
            });
            return;
        };
        let schema = match self.schemas.of(&product_type) {
            Ok(schema) => schema,
            Err(broken) => {
                batch
                    .faults
                    .push(RowFault::new(line, "schema", "/type", broken.message));
                return;
            }
        };
        match ProductDraft::check(
            mapped.product,
            &product_type,
            &schema,
            self.reading.currency,
        ) {
            Err(found) => batch.faults.extend(RowFault::of(line, &sku, found)),
            Ok(draft) => {
                batch.prepared.push(Prepared {
                    line,
                    draft,
                    product_type,
                    source,
                    sets_stock,
                    completes,
                });
                batch.notes.extend(note_lines(line, &sku, mapped.notes));
            }
        }
    }
}

/// The JSON of a written product, read strictly.
fn decoded(line: u64, value: &Value) -> Result<Mapped, RowFault> {
    let product: WriteProduct = serde_path_to_error::deserialize(value).map_err(|error| {
        let field = error.path().to_string();
        RowFault::new(line, "wrong_shape", &field, error.inner().to_string())
    })?;
    Ok(Mapped {
        product,
        type_name: String::new(),
        notes: Notes::default(),
    })
}

fn note_lines(line: u64, sku: &str, notes: Notes) -> impl Iterator<Item = ReportLine> {
    notes.into_lines().map(move |(code, fields)| ReportLine {
        line,
        sku: Some(sku.to_owned()),
        level: Level::Note,
        code: code.to_owned(),
        fields,
        message: None,
    })
}

fn short_digest(sku: &str) -> [u8; 8] {
    let digest = Sha256::digest(sku);
    let mut short = [0; 8];
    short
        .iter_mut()
        .zip(digest)
        .for_each(|(to, from)| *to = from);
    short
}

/// Digest of a row and of what is done to it.
fn hash(value: &Value, reading: &Reading) -> String {
    let mut digest = Sha256::new();
    digest.update(value.to_string());
    digest.update(reading.mapping_text.as_bytes());
    hex(&digest.finalize(), 16)
}
