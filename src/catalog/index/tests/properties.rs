//! Random catalogues, random changes, random questions.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{
    super::{
        CatalogIndex, IndexedProduct, SearchQuery, TypeFields,
        testing::{field, id, product, type_fields},
    },
    asked::{Asked, AskedAttribute},
    known::Known,
    oracle::{Answer, answer},
};
use crate::{clock::Timestamp, id::ProductId};

const WORDS: [&str; 14] = [
    "corsair", "corsari", "mouse", "House", "RTX", "4090", "rtx4090", "12-400", "crème",
    "keyboard", "key", "16", "GB", "日本",
];
const SOUGHT: [&str; 20] = [
    "corsair", "corsiar", "cors", "mouse", "moose", "rtx", "4090", "rtx-4090", "12400", "12-400",
    "Creme", "keybaord", "keyb", "16gb", "gb", "日", "4091", "zzz", "!?", "k",
];

fn types() -> [Arc<TypeFields>; 3] {
    let mut hidden = field("hidden");
    hidden.1.filterable = false;
    let mut inner = field("memory.note");
    inner.1.filterable = false;
    [
        type_fields(
            "gpu",
            [field("memory"), field("color"), field("boost"), hidden],
        ),
        type_fields(
            "board",
            [field("memory"), inner, field("size"), field("color")],
        ),
        type_fields("generic", []),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        (0..4_i32).prop_map(|n| json!(n)),
        prop::sample::select(vec![0.5, 1.5, 2.5]).prop_map(|n| json!(n)),
        any::<bool>().prop_map(|flag| json!(flag)),
        prop::sample::select(vec!["black", " white ", "", "2", "2.0", "true"])
            .prop_map(|t| json!(t)),
        Just(Value::Null),
    ]
}

fn attributes() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        3 => value(),
        1 => prop::collection::vec(value(), 0..3).prop_map(Value::Array),
        2 => prop::collection::btree_map(
            prop::sample::select(vec!["top", "slots", "note"]), value(), 0..3,
        ).prop_map(|members| json!(members)),
    ];
    let names = prop::sample::select(vec!["memory", "color", "boost", "size", "hidden", "other"]);
    prop::collection::btree_map(names, leaf, 0..5).prop_map(|members| json!(members))
}

prop_compose! {
    fn any_product(numbers: std::ops::Range<u32>)(
        number in numbers,
        kind in 0..3_usize,
        title in prop::collection::vec(prop::sample::select(WORDS.to_vec()), 0..4),
        brand in prop::option::of(prop::sample::select(vec!["Corsair", "Acme "])),
        categories in prop::collection::vec(prop::sample::select(vec!["a", "a/b", "a/b/c", "d"]), 0..3),
        price in 0..5_i64,
        above in prop::collection::vec(1..4_i64, 0..3),
        created in 0..4_i64,
        active in prop::bool::weighted(0.8),
        available in 0..3_u32,
        attributes in attributes(),
        colors in prop::collection::vec(prop::sample::select(vec!["black", "red"]), 0..3),
    ) -> IndexedProduct {
        let options = colors.into_iter().map(|color| BTreeMap::from([("color".to_owned(), color.to_owned())]));
        IndexedProduct {
            title: title.join(" "),
            brand: brand.map(|brand| brand.trim().to_owned()),
            fields: types()[kind].clone(),
            categories: categories.into_iter().map(str::to_owned).collect(),
            price,
            dearer: above.into_iter().map(|more| price + more).collect(),
            created_at: Timestamp::from_millis(created),
            active,
            available,
            attributes,
            variants: options.collect(),
            skus: vec![format!("SKU-{}", number % 4)],
            ..product(number)
        }
    }
}

prop_compose! {
    fn asked_attribute()(
        path in prop::sample::select(vec!["memory", "color", "boost", "size", "memory.top", "size.slots"]),
        values in prop::collection::btree_set(
            prop::sample::select(vec!["black", "white", "2", "2.0", "true", "false", "0", "none"]), 0..4,
        ),
        bounds in prop::option::of((0..3_i32, 0..3_i32)),
    ) -> AskedAttribute {
        AskedAttribute {
            path: path.to_owned(),
            values: values.into_iter().map(str::to_owned).collect(),
            min: bounds.map(|(min, _)| f64::from(min)),
            max: bounds.map(|(min, more)| f64::from(min + more)),
        }
    }
}

fn some(of: &[&'static str]) -> impl Strategy<Value = Vec<String>> + use<> {
    prop_oneof![
        3 => Just(Vec::new()),
        2 => prop::sample::subsequence(of.to_vec(), 1..=of.len())
            .prop_map(|chosen| chosen.into_iter().map(str::to_owned).collect()),
    ]
}

prop_compose! {
    fn asked()(
        text in prop::option::weighted(0.5, prop::collection::vec(prop::sample::select(SOUGHT.to_vec()), 1..4)),
        types in some(&["gpu", "board"]),
        categories in some(&["a", "a/b", "d", "zz"]),
        brands in some(&["Corsair", "Nobody"]),
        prices in prop::option::weighted(0.3, (0..4_i64, 0..4_i64)),
        in_stock in prop::option::weighted(0.3, any::<bool>()),
        attributes in prop::collection::vec(asked_attribute(), 0..3),
        sort in prop::option::of(0..4_usize),
        hidden in prop::bool::weighted(0.2),
    ) -> Asked {
        let mut attributes = attributes;
        attributes.retain(|asked| !asked.values.is_empty() || asked.min.is_some());
        attributes.sort_by(|a, b| a.path.cmp(&b.path));
        attributes.dedup_by(|a, b| a.path == b.path);
        Asked {
            text: text.map(|words| words.join(" ")),
            types,
            categories,
            brands,
            min_price: prices.map(|(min, _)| min),
            max_price: prices.map(|(min, more)| min + more),
            in_stock,
            attributes,
            sort: sort.and_then(|n| ["price", "-price", "name", "-createdAt"].get(n).copied()),
            hidden,
        }
    }
}

/// A change of the catalogue.
#[derive(Debug, Clone)]
enum Change {
    Apply(Box<IndexedProduct>),
    Remove(u32),
    Stock(u32, u32),
}

fn change(numbers: std::ops::Range<u32>) -> impl Strategy<Value = Change> {
    prop_oneof![
        6 => any_product(numbers.clone()).prop_map(|product| Change::Apply(Box::new(product))),
        2 => numbers.clone().prop_map(Change::Remove),
        1 => (numbers, 0..3_u32).prop_map(|(number, pieces)| Change::Stock(number, pieces)),
    ]
}

/// What happens while somebody walks through a list: products come and go, and some that stood there go too.
fn passing() -> impl Strategy<Value = Change> {
    prop_oneof![
        5 => change(1_000..1_030),
        1 => (0..60_u32).prop_map(Change::Remove),
    ]
}

/// The index and what it should hold.
struct Shop {
    index: CatalogIndex,
    products: BTreeMap<ProductId, Known>,
}

impl Shop {
    fn new() -> Self {
        let index = CatalogIndex::new();
        for fields in &types() {
            index.declare(fields);
        }
        Self {
            index,
            products: BTreeMap::new(),
        }
    }

    fn change(&mut self, change: &Change) {
        match change {
            Change::Apply(product) => {
                self.index.apply(product);
                self.products
                    .insert(product.id, Known::new(product.as_ref().clone()));
            }
            Change::Remove(number) => {
                self.index.remove(id(*number));
                self.products.remove(&id(*number));
            }
            Change::Stock(number, pieces) => {
                self.index.set_available(id(*number), *pieces);
                if let Some(known) = self.products.get_mut(&id(*number)) {
                    known.product.available = *pieces;
                }
            }
        }
    }

    fn expected(&self, asked: &Asked) -> Answer {
        answer(&self.products.values().cloned().collect::<Vec<_>>(), asked)
    }

    /// Reads the whole list in pages of `limit`; `between` may change the shop after each.
    fn walk(
        &mut self,
        asked: &Asked,
        limit: u32,
        mut between: impl FnMut(&mut Self),
    ) -> Vec<ProductId> {
        let mut seen = Vec::new();
        let mut cursor = None;
        loop {
            let page = self.index.search(&query(asked, limit, cursor)).unwrap();
            seen.extend(page.ids);
            cursor = page.next_cursor;
            if cursor.is_none() {
                return seen;
            }
            assert!(seen.len() < 10_000, "the walk does not end");
            between(self);
        }
    }
}

fn query(asked: &Asked, limit: u32, cursor: Option<String>) -> SearchQuery {
    let mut pairs = asked.pairs();
    pairs.push(("limit".to_owned(), limit.to_string()));
    pairs.push(("facets".to_owned(), "true".to_owned()));
    pairs.extend(cursor.map(|cursor| ("cursor".to_owned(), cursor)));
    let query = SearchQuery::parse(pairs).unwrap();
    if asked.hidden {
        query.with_hidden()
    } else {
        query
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(160))]

    #[test]
    fn every_answer_agrees_with_plain_reading(
        changes in prop::collection::vec(change(0..40), 0..90),
        questions in prop::collection::vec((asked(), 1..8_u32), 1..6),
    ) {
        let mut shop = Shop::new();
        for change in &changes {
            shop.change(change);
        }
        prop_assert_eq!(shop.index.len(), shop.products.len());
        for (asked, limit) in questions {
            let expected = shop.expected(&asked);
            let page = shop.index.search(&query(&asked, limit, None)).unwrap();
            prop_assert_eq!(usize::try_from(page.total).unwrap(), expected.ids.len(), "{:?}", asked);
            expected.check_facets(&page.facets.unwrap(), &asked);
            let walked = shop.walk(&asked, limit, |_| ());
            prop_assert_eq!(walked, expected.ids, "{:?}", asked);
        }
    }

    #[test]
    fn a_walk_sees_what_stands_exactly_once(
        standing in prop::collection::vec(any_product(0..60), 5..60),
        meanwhile in prop::collection::vec(prop::collection::vec(passing(), 0..6), 1..20),
        asked in asked(),
        limit in 1..5_u32,
    ) {
        let mut shop = Shop::new();
        let mut turns = meanwhile.iter().cycle();
        let mut turn = |shop: &mut Shop| turns.next().into_iter().flatten().for_each(|c| shop.change(c));
        for product in standing {
            shop.change(&Change::Apply(Box::new(product)));
        }
        turn(&mut shop);
        let doomed: BTreeSet<ProductId> = meanwhile
            .iter()
            .flatten()
            .filter_map(|change| match change {
                Change::Remove(number) => Some(id(*number)),
                Change::Apply(_) | Change::Stock(..) => None,
            })
            .collect();
        let stands = |ids: Vec<ProductId>| -> Vec<ProductId> {
            ids.into_iter()
                .filter(|own| *own < id(1_000) && !doomed.contains(own))
                .collect()
        };
        let expected = stands(shop.expected(&asked).ids);
        let walked = shop.walk(&asked, limit, &mut turn);
        prop_assert_eq!(stands(walked), expected);
    }

    #[test]
    fn an_index_that_lost_everything_is_like_a_new_one(
        changes in prop::collection::vec(change(0..20), 0..40),
        asked in asked(),
    ) {
        let mut shop = Shop::new();
        for change in &changes {
            shop.change(change);
        }
        (0..20).for_each(|number| shop.change(&Change::Remove(number)));
        let page = shop.index.search(&query(&asked, 5, None)).unwrap();
        prop_assert_eq!((page.ids, page.total), (Vec::new(), 0));
        let state = shop.index.read();
        prop_assert!(state.values.is_empty() && state.words.is_empty());
    }
}
