//! The real catalogue of `shared/data`.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fs::File,
    io::{BufRead, BufReader},
    path::PathBuf,
    sync::Arc,
};

use flate2::read::GzDecoder;
use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use serde_json::{Map, Value};

use super::{
    super::{
        CatalogIndex, IndexedProduct, SearchQuery, SuggestionKind, TypeFields,
        testing::{field, product, type_fields},
    },
    asked::{Asked, AskedAttribute},
    known::Known,
    oracle::answer,
};

/// One record in so many is taken: enough of every type, and quick without optimisation.
const SAMPLE: usize = 6;
const QUESTIONS: usize = 50;

fn records() -> Vec<Map<String, Value>> {
    let shared = std::env::var_os("BODEGA_SHARED_DIR").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared")),
        PathBuf::from,
    );
    let path = shared.join("data/opendb-products.jsonl.gz");
    let file = File::open(&path).unwrap_or_else(|error| {
        panic!(
            "the real catalogue {} cannot be read ({error}): set BODEGA_SHARED_DIR to the folder \
             that holds data/",
            path.display()
        )
    });
    let lines = BufReader::new(GzDecoder::new(file)).lines().step_by(SAMPLE);
    lines
        .map(|line| serde_json::from_str(&line.unwrap()).unwrap())
        .collect()
}

/// Products as an import would make them: what a type's records hold is declared by full path.
fn products() -> Vec<IndexedProduct> {
    let records = records();
    let mut paths: HashMap<&str, BTreeSet<String>> = HashMap::new();
    for record in &records {
        let own = paths
            .entry(record["category"].as_str().unwrap())
            .or_default();
        for (name, value) in attributes(record) {
            add_paths(value, name.clone(), own);
        }
    }
    let types: HashMap<&str, Arc<TypeFields>> = paths
        .into_iter()
        .map(|(id, paths)| (id, type_fields(id, paths.iter().map(|path| field(path)))))
        .collect();
    let numbered = (0..).zip(&records);
    numbered
        .map(|(number, record)| {
            let metadata = &record["metadata"];
            let kind = record["category"].as_str().unwrap();
            let text = |value: &Value| value.as_str().map(str::to_owned);
            IndexedProduct {
                title: text(&metadata["name"]).unwrap(),
                brand: text(&metadata["manufacturer"]).map(|brand| brand.trim().to_owned()),
                skus: metadata["part_numbers"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .filter_map(text)
                    .collect(),
                fields: types[kind].clone(),
                categories: vec![format!("hardware/{}", kind.to_lowercase())],
                price: i64::from(number * 7_919 % 100_000),
                available: number % 4,
                active: number % 50 != 0,
                attributes: Value::Object(
                    attributes(record)
                        .map(|(name, value)| (name.clone(), value.clone()))
                        .collect(),
                ),
                ..product(number)
            }
        })
        .collect()
}

fn attributes(record: &Map<String, Value>) -> impl Iterator<Item = (&String, &Value)> {
    let apart = [
        "category",
        "opendb_id",
        "metadata",
        "general_product_information",
    ];
    record
        .iter()
        .filter(move |(name, _)| !apart.contains(&name.as_str()))
}

fn add_paths(value: &Value, path: String, paths: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                add_paths(member, format!("{path}.{name}"), paths);
            }
        }
        Value::Array(items) => items
            .iter()
            .for_each(|item| add_paths(item, path.clone(), paths)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            paths.insert(path);
        }
    }
}

/// A question that some product answers: filters are made from what one product has.
fn question(random: &mut StdRng, products: &[Known]) -> Asked {
    let like = products.choose(random).unwrap();
    let mut asked = Asked {
        hidden: random.random_bool(0.1),
        ..Asked::default()
    };
    if random.random_bool(0.5) {
        asked.types.push(like.product.fields.id.clone());
    }
    if random.random_bool(0.3) {
        asked
            .brands
            .extend(like.product.brand.clone().filter(|brand| !brand.is_empty()));
        asked.brands.push("Corsair".to_owned());
        asked.brands.dedup();
    }
    if random.random_bool(0.3) {
        asked.in_stock = Some(like.product.available > 0);
    }
    if random.random_bool(0.3) {
        asked.min_price = Some((like.product.price - 20_000).max(0));
        asked.max_price = Some(like.product.price + 20_000);
    }
    let mut attributes: BTreeMap<&str, AskedAttribute> = BTreeMap::new();
    for _ in 0..random.random_range(0..4) {
        let Some((path, leaf)) = like.leaves.choose(random) else {
            continue;
        };
        let other = products.choose(random).unwrap();
        let own = attributes.entry(path).or_default();
        path.clone_into(&mut own.path);
        own.take(leaf, random.random_bool(0.5));
        let others = other.leaves.iter().filter(|(known, _)| known == path);
        others.for_each(|(_, leaf)| own.values.push(leaf.shown()));
        own.values.sort();
        own.values.dedup();
    }
    asked.attributes = attributes.into_values().collect();
    if random.random_bool(0.3) {
        let words: Vec<&str> = like.product.title.split_whitespace().collect();
        asked.text = words.choose(random).map(|word| (*word).to_owned());
    }
    asked.sort = ["price", "-price", "name"].choose(random).copied();
    asked
}

#[test]
fn the_real_catalogue_agrees_with_plain_reading() {
    let products = products();
    let index = CatalogIndex::new();
    for product in &products {
        index.apply(product);
    }
    let known: Vec<Known> = products.into_iter().map(Known::new).collect();
    let mut random = StdRng::seed_from_u64(5);
    let mut found = 0;
    for _ in 0..QUESTIONS {
        let asked = question(&mut random, &known);
        let mut pairs = asked.pairs();
        pairs.push(("limit".to_owned(), "100".to_owned()));
        pairs.push(("facets".to_owned(), "true".to_owned()));
        let query = SearchQuery::parse(pairs).unwrap();
        let query = if asked.hidden {
            query.with_hidden()
        } else {
            query
        };
        let page = index.search(&query).unwrap();
        let expected = answer(&known, &asked);
        let total = expected.ids.len();
        assert_eq!(usize::try_from(page.total).unwrap(), total, "{asked:?}");
        assert_eq!(page.ids, expected.ids[..total.min(100)], "{asked:?}");
        expected.check_facets(&page.facets.unwrap(), &asked);
        found += usize::from(total > 0);
    }
    assert!(
        found > QUESTIONS / 2,
        "hardly any question finds anything: {found}"
    );
    what_people_type_is_found(&index);
}

/// Words as people type them, over the same index.
fn what_people_type_is_found(index: &CatalogIndex) {
    let total = |text: &str| {
        let query = SearchQuery::parse([("q", text)]).unwrap();
        index.search(&query).unwrap().total
    };
    let exact = total("corsair vengeance");
    assert!(exact > 10);
    assert!(total("corsiar vengaence") >= exact);
    assert!(total("rtx4090") > 0);
    assert_eq!(total("rtx4090"), total("RTX-4090"));
    assert_eq!(total("qqqqzzzz"), 0);
    let first = |text: &str| index.suggest(text, 8).into_iter().next().unwrap();
    assert_eq!(first("corsiar").kind, SuggestionKind::Brand);
    assert_eq!(first("corsiar").text, "Corsair");
    assert_eq!(
        first("motherbo").slug.as_deref(),
        Some("hardware/motherboard")
    );
}
