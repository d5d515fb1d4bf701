//! Growth: catalogues of ten thousand to a million products, made from the real one's distributions, and what
//! each costs.

use std::{
    collections::HashMap,
    io::{BufRead, BufReader, BufWriter, Write},
    path::Path,
};

use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use serde_json::{Map, Value};

use crate::{
    search,
    shop::{Shop, real_catalogue},
};

/// Products of each catalogue.
const SIZES: [usize; 3] = [10_000, 100_000, 1_000_000];
/// What a made product keeps of the row that it began as.
const KEPT: [&str; 3] = ["category", "opendb_id", "metadata"];

type Row = Map<String, Value>;

/// Makes, loads and asks each catalogue.
pub(crate) async fn measure() {
    let rows = real_rows();
    println!(
        "{:>10}{:>10}{:>10}{:>10}{:>10}{:>10}{:>22}{:>22}{:>22}",
        "products",
        "import s",
        "rows/s",
        "peak MiB",
        "ready s",
        "RSS MiB",
        "cold list p50/p99 ms",
        "text p50/p99 ms",
        "suggest p50/p99 ms"
    );
    for size in SIZES {
        let file = std::env::temp_dir().join(format!("bodega-scale-{}.jsonl", std::process::id()));
        make(&rows, size, &file);
        let mut shop = Shop::start(&file).await;
        std::fs::remove_file(&file).unwrap();
        let ready = shop.restart().await;
        let rss = shop.rss_mib();
        let (list, text, suggest) = (
            search::cold_list(&shop, 1).await,
            search::text_search(&shop).await,
            search::suggest(&shop).await,
        );
        #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
        let rows_a_second = size as f64 / shop.import_seconds;
        let pair = |p50: f64, p99: f64| format!("{p50:.2} / {p99:.2}");
        println!(
            "{:>10}{:>10.1}{:>10.0}{:>10}{ready:>10.2}{rss:>10}{:>22}{:>22}{:>22}",
            shop.products,
            shop.import_seconds,
            rows_a_second,
            shop.import_peak_mib,
            pair(list.p50_ms, list.p99_ms),
            pair(text.p50_ms, text.p99_ms),
            pair(suggest.p50_ms, suggest.p99_ms),
        );
        shop.stop();
    }
}

fn real_rows() -> Vec<Row> {
    let file = std::fs::File::open(real_catalogue()).unwrap();
    let lines = BufReader::new(flate2::read::GzDecoder::new(file)).lines();
    lines
        .map(|line| serde_json::from_str(&line.unwrap()).unwrap())
        .collect()
}

/// Writes `size` rows. Each begins as a real one, takes about half of its attributes from others of its category,
/// so that every value is as frequent as it is, and has a name and an id of its own.
fn make(rows: &[Row], size: usize, file: &Path) {
    let mut dice = StdRng::seed_from_u64(size as u64);
    let mut by_category: HashMap<&str, Vec<&Row>> = HashMap::new();
    for row in rows {
        let category = row["category"].as_str().unwrap();
        by_category.entry(category).or_default().push(row);
    }
    let mut out = BufWriter::new(std::fs::File::create(file).unwrap());
    for n in 0..size {
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
        row["opendb_id"] = format!("made-{n}").into();
        let name = format!(
            "{} {n}",
            row["metadata"]["name"].as_str().unwrap_or_default()
        );
        row["metadata"]["name"] = name.into();
        serde_json::to_writer(&mut out, &row).unwrap();
        out.write_all(b"\n").unwrap();
    }
    out.flush().unwrap();
}
