//! A catalogue of half a million rows, made from the real one's distributions: imported within bounded memory,
//! killed midway, taken up again, and nothing twice.
//!
//! `BODEGA_TORTURE=full`: 500,000 rows; otherwise 10,000.

use std::{
    collections::HashMap,
    io::{BufRead, BufReader, BufWriter, Write},
    path::{Path, PathBuf},
    process::Child,
    time::{Duration, Instant},
};

use bson::doc;
use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use serde_json::{Map, Value};

use crate::support::{TestShop, scaled, shared_dir};

/// The most resident memory of the process that imports.
const MOST_KIB: u64 = 150 * 1024;
/// What a made row keeps of the real one that it began as.
const KEPT: [&str; 3] = ["category", "opendb_id", "metadata"];

type Row = Map<String, Value>;

fn real_rows() -> Vec<Row> {
    let path = shared_dir().join("data/opendb-products.jsonl.gz");
    let lines = BufReader::new(GzDecoder::new(std::fs::File::open(path).unwrap())).lines();
    let lines = lines.step_by(scaled(10, 1));
    let rows = lines.map(|line| serde_json::from_str(&line.unwrap()).unwrap());
    rows.collect()
}

/// Writes `count` rows. Each begins as a real one, takes about half of its attributes from others of its
/// category, and has a name and an id of its own.
fn make(count: usize, file: &Path) {
    let rows = real_rows();
    let mut dice = StdRng::seed_from_u64(5);
    let mut by_category: HashMap<&str, Vec<&Row>> = HashMap::new();
    for row in &rows {
        let category = row["category"].as_str().unwrap();
        by_category.entry(category).or_default().push(row);
    }
    let packed = GzEncoder::new(std::fs::File::create(file).unwrap(), Compression::fast());
    let mut out = BufWriter::new(packed);
    for n in 0..count {
        let mut row = rows.choose(&mut dice).unwrap().clone();
        let others = &by_category[row["category"].as_str().unwrap()];
        for (name, value) in &mut row {
            if KEPT.contains(&name.as_str()) || dice.random_bool(0.5) {
                continue;
            }
            if let Some(other) = others.choose(&mut dice).unwrap().get(name) {
                value.clone_from(other);
            }
        }
        let name = row["metadata"]["name"].as_str().unwrap_or_default();
        let name = format!("{name} {n}");
        row["metadata"]["name"] = name.into();
        row["opendb_id"] = format!("made-{n}").into();
        serde_json::to_writer(&mut out, &row).unwrap();
        out.write_all(b"\n").unwrap();
    }
    out.into_inner().unwrap().finish().unwrap();
}

/// A file that is removed with the test.
struct Made(PathBuf);

impl Drop for Made {
    fn drop(&mut self) {
        let _left_behind = std::fs::remove_file(&self.0);
    }
}

/// The most memory that a process has had resident so far; `None` once it has ended.
fn peak_kib(process: &mut Child) -> Option<u64> {
    if process.try_wait().unwrap().is_some() {
        return None;
    }
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.id())).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line?.trim().trim_end_matches(" kB").parse().ok()
}

/// Looks at a process until it ends or `enough` is true; the most memory that it had.
async fn watch(process: &mut Child, mut enough: impl AsyncFnMut() -> bool) -> u64 {
    let mut most = 0;
    while let Some(peak) = peak_kib(process) {
        most = most.max(peak);
        if enough().await {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    most
}

#[actix_web::test]
async fn rows_by_the_hundred_thousand_are_imported_in_bounded_memory_and_once() {
    let count = scaled(10_000, 500_000);
    let file = std::env::temp_dir().join(format!("made-{}.jsonl.gz", bson::oid::ObjectId::new()));
    let made = Made(file);
    make(count, &made.0);
    let mut shop = TestShop::start().await;
    // The import is a process of its own; nobody follows it.
    shop.server.kill();
    let products = shop.books().await.collection::<bson::Document>("products");
    let mapping = format!("{}/config/import/opendb.toml", env!("CARGO_MANIFEST_DIR"));
    let arguments = ["import", made.0.to_str().unwrap(), "--mapping", &mapping];

    let count = u64::try_from(count).unwrap();
    let began = Instant::now();
    let mut first = shop.spawn(&arguments);
    let half = async || products.estimated_document_count().await.unwrap() >= count / 2;
    let first_most = watch(&mut first, half).await;
    first.kill().unwrap();
    assert!(!first.wait().unwrap().success(), "it was killed midway");
    let midway = products.estimated_document_count().await.unwrap();
    assert!((count / 2..count).contains(&midway), "{midway} of {count}");

    let mut second = shop.spawn(&arguments);
    let second_most = watch(&mut second, async || false).await;
    assert!(second.wait().unwrap().success());
    println!(
        "{count} rows, killed after {midway}: at most {} and {} MiB resident (goal 150), {:?} in all",
        first_most / 1024,
        second_most / 1024,
        began.elapsed()
    );
    // SKUs are unique by an index: as many products as rows are one for each.
    let every = doc! { "_id": { "$gt": bson::oid::ObjectId::from_bytes([0; 12]) } };
    assert_eq!(products.count_documents(every).await.unwrap(), count);
    let last = format!("made-{}", count - 1);
    for sku in ["made-0", &last] {
        let found = products.find_one(doc! { "skus": sku }).await.unwrap();
        assert!(found.is_some(), "{sku}");
    }
    assert!(first_most.max(second_most) < MOST_KIB);
}
