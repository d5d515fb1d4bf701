//! The list's answers against a plain reading of everything that MongoDB holds: totals and facets of random
//! questions, each facet counted within all filters but its own.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
};

use bson::{Bson, Document, doc, oid::ObjectId};
use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use serde_json::Value;

use crate::support::{Client, TestShop};

/// The most facets and values of a facet that an answer has, those that the question names apart.
const MAX_FACETS: usize = 40;
const MAX_VALUES: usize = 50;

/// A value that a filter may name.
#[derive(Debug, Clone, PartialEq)]
enum Leaf {
    Flag(bool),
    Number(f64),
    Text(String),
}

impl Leaf {
    fn shown(&self) -> String {
        match self {
            Self::Flag(flag) => flag.to_string(),
            Self::Number(number) => number.to_string(),
            Self::Text(text) => text.clone(),
        }
    }

    fn is_meant_by(&self, text: &str) -> bool {
        match self {
            Self::Flag(flag) => text == flag.to_string(),
            Self::Number(number) => text.parse() == Ok(*number),
            Self::Text(own) => own == text,
        }
    }
}

/// Everything on sale, with each value as a number.
#[derive(Default)]
struct Shop {
    products: Vec<Product>,
    /// The values, each with the number of its parameter.
    values: Vec<(usize, Leaf)>,
    parameters: Vec<String>,
    numbers: HashMap<(usize, String), usize>,
    names: HashMap<String, usize>,
    /// Which paths of each type can be filtered by: what is declared of the nearest name above.
    declared: HashMap<String, BTreeMap<String, bool>>,
}

struct Product {
    /// What its variants cost, ascending.
    prices: Vec<i64>,
    values: Vec<usize>,
}

impl Shop {
    fn note(&mut self, parameter: &str, leaf: Leaf, own: &mut BTreeSet<usize>) {
        let known = self.names.len();
        let name = *self.names.entry(parameter.to_owned()).or_insert(known);
        if name == known {
            self.parameters.push(parameter.to_owned());
        }
        let next = self.values.len();
        let number = *self
            .numbers
            .entry((name, format!("{leaf:?}")))
            .or_insert(next);
        if number == next {
            self.values.push((name, leaf));
        }
        own.insert(number);
    }

    fn is_filterable(&self, kind: &str, path: &str) -> bool {
        let Some(declared) = self.declared.get(kind) else {
            return false;
        };
        let mut name = path;
        loop {
            if let Some(filterable) = declared.get(name) {
                return *filterable;
            }
            match name.rsplit_once('.') {
                Some((above, _)) => name = above,
                None => return false,
            }
        }
    }

    fn lay_out(&mut self, kind: &str, value: &Value, path: &str, own: &mut BTreeSet<usize>) {
        let leaf = match value {
            Value::Object(members) => {
                for (name, member) in members {
                    let dot = if path.is_empty() { "" } else { "." };
                    self.lay_out(kind, member, &format!("{path}{dot}{name}"), own);
                }
                return;
            }
            Value::Array(items) => {
                return items
                    .iter()
                    .for_each(|item| self.lay_out(kind, item, path, own));
            }
            Value::Bool(flag) => Leaf::Flag(*flag),
            Value::Number(number) => Leaf::Number(number.as_f64().unwrap()),
            Value::String(text) if !text.trim().is_empty() => Leaf::Text(text.trim().to_owned()),
            Value::String(_) | Value::Null => return,
        };
        if self.is_filterable(kind, path) {
            self.note(&format!("attr.{path}"), leaf, own);
        }
    }

    fn take_in(&mut self, product: &Document, stocked: &HashSet<ObjectId>) {
        let mut own = BTreeSet::new();
        let kind = product.get_str("type").unwrap();
        self.note("type", Leaf::Text(kind.to_owned()), &mut own);
        if let Ok(brand) = product.get_str("brand") {
            self.note("brand", Leaf::Text(brand.to_owned()), &mut own);
        }
        for category in product.get_array("categories").unwrap() {
            let steps: Vec<&str> = category.as_str().unwrap().split('/').collect();
            for depth in 1..=steps.len() {
                self.note("category", Leaf::Text(steps[..depth].join("/")), &mut own);
            }
        }
        let stocked = stocked.contains(&product.get_object_id("_id").unwrap());
        self.note("inStock", Leaf::Flag(stocked), &mut own);
        let attributes = product.get_document("attributes").unwrap().clone();
        let attributes = Bson::Document(attributes).into_relaxed_extjson();
        self.lay_out(kind, &attributes, "", &mut own);
        for variant in product.get_array("variants").unwrap() {
            let options = variant.as_document().unwrap().get_document("options");
            for (axis, value) in options.into_iter().flatten() {
                let value = value.clone().into_relaxed_extjson();
                self.lay_out(kind, &value, axis, &mut own);
            }
        }
        let price = |variant: &Bson| {
            let price = variant.as_document().unwrap().get_document("price");
            price.unwrap().get_i64("amount").unwrap()
        };
        let variants = product.get_array("variants").unwrap();
        let mut prices: Vec<i64> = variants.iter().map(price).collect();
        prices.sort_unstable();
        self.products.push(Product {
            prices,
            values: own.into_iter().collect(),
        });
    }

    async fn read(shop: &TestShop, guest: &Client) -> Self {
        let mut read = Self::default();
        let types = guest.get("/api/product-types?limit=100").await.expect(200);
        for product_type in types.body["items"].as_array().unwrap() {
            let fields = product_type["fields"].as_object().unwrap().iter();
            let fields = fields.map(|(name, field)| (name.clone(), field["filterable"] == true));
            let id = product_type["id"].as_str().unwrap().to_owned();
            read.declared.insert(id, fields.collect());
        }
        let books = shop.books().await;
        // The tests' mongod refuses queries that find no index.
        let every = || doc! { "_id": { "$gt": ObjectId::from_bytes([0; 12]) } };
        let mut stock = books
            .collection::<Document>("stock")
            .find(every())
            .await
            .unwrap();
        let mut stocked = HashSet::new();
        while stock.advance().await.unwrap() {
            let row = stock.deserialize_current().unwrap();
            if row.get_i64("available").unwrap() > 0 {
                stocked.insert(row.get_object_id("product").unwrap());
            }
        }
        let products = books.collection::<Document>("products");
        let mut products = products.find(every()).await.unwrap();
        while products.advance().await.unwrap() {
            let product = products.deserialize_current().unwrap();
            if product.get_str("status").unwrap() == "active" {
                read.take_in(&product, &stocked);
            }
        }
        read
    }

    fn texts_of(&self, product: &Product, parameter: &str) -> Vec<String> {
        let own = product.values.iter().map(|value| &self.values[*value]);
        let own = own.filter(|(name, _)| self.parameters[*name] == parameter);
        own.map(|(_, leaf)| leaf.shown()).collect()
    }
}

/// One filter: the parameter that it belongs to, and which values it lets through.
struct Filter {
    parameter: String,
    chosen: Vec<String>,
    within: Option<(f64, f64)>,
}

/// What is asked.
#[derive(Default)]
struct Question {
    filters: Vec<Filter>,
    prices: Option<(i64, i64)>,
}

impl Question {
    /// One that some product answers: filters are made from what one has.
    fn like(shop: &Shop, dice: &mut StdRng) -> Self {
        let mut asked = Self::default();
        let like = shop.products.choose(dice).unwrap();
        let other = shop.products.choose(dice).unwrap();
        let mut choose = |parameter: &str, chosen: Vec<String>, within| {
            let filter = Filter {
                parameter: parameter.to_owned(),
                chosen,
                within,
            };
            asked.filters.push(filter);
        };
        for (parameter, often) in [
            ("type", 0.5),
            ("category", 0.2),
            ("brand", 0.3),
            ("inStock", 0.3),
        ] {
            let mut values = shop.texts_of(like, parameter);
            if !dice.random_bool(often) || values.is_empty() {
                continue;
            }
            if parameter != "inStock" && dice.random_bool(0.5) {
                values.extend(shop.texts_of(other, parameter));
            }
            values.sort();
            values.dedup();
            choose(parameter, values, None);
        }
        let attributes: Vec<usize> = (like.values.iter().copied())
            .filter(|value| shop.parameters[shop.values[*value].0].starts_with("attr."))
            .collect();
        let mut named = HashSet::new();
        for _ in 0..dice.random_range(0..4) {
            let Some(value) = attributes.choose(dice) else {
                continue;
            };
            let (name, leaf) = &shop.values[*value];
            if !named.insert(*name) {
                continue;
            }
            let parameter = &shop.parameters[*name];
            // A bound for products of other types: the rules of the index have that by themselves.
            let stem = [".min", ".max"]
                .iter()
                .find_map(|end| parameter.strip_suffix(end));
            if stem.is_some_and(|stem| shop.names.contains_key(stem)) {
                continue;
            }
            if let Leaf::Number(number) = leaf
                && dice.random_bool(0.5)
            {
                let (half, more) = (number * 0.5, number * 1.5);
                choose(
                    parameter,
                    Vec::new(),
                    Some((half.min(more), half.max(more))),
                );
            } else {
                let mut values = shop.texts_of(other, parameter);
                values.push(leaf.shown());
                values.sort();
                values.dedup();
                choose(parameter, values, None);
            }
        }
        if dice.random_bool(0.3) {
            let price = like.prices[0];
            asked.prices = Some(((price - 20_000).max(0), price + 20_000));
        }
        asked
    }

    fn query(&self) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query
            .append_pair("facets", "true")
            .append_pair("limit", "1");
        for filter in &self.filters {
            for text in &filter.chosen {
                query.append_pair(&filter.parameter, text);
            }
            if let Some((min, max)) = filter.within {
                query.append_pair(&format!("{}.min", filter.parameter), &min.to_string());
                query.append_pair(&format!("{}.max", filter.parameter), &max.to_string());
            }
        }
        if let Some((min, max)) = self.prices {
            query.append_pair("minPrice", &min.to_string());
            query.append_pair("maxPrice", &max.to_string());
        }
        query.finish()
    }

    fn chosen(&self, parameter: &str) -> &[String] {
        let own = self
            .filters
            .iter()
            .find(|filter| filter.parameter == parameter);
        own.map_or(&[], |filter| &filter.chosen)
    }
}

/// What a plain reading finds: for each parameter the products that all other filters let through.
struct Found<'a> {
    shop: &'a Shop,
    matching: Vec<&'a Product>,
    /// The products that fail by one filter only, by its parameter.
    but_for: HashMap<String, Vec<&'a Product>>,
}

impl<'a> Found<'a> {
    fn read(shop: &'a Shop, asked: &Question) -> Self {
        // The values that each filter lets through, found once.
        let passing: Vec<(&str, HashSet<usize>)> = (asked.filters.iter())
            .map(|filter| {
                let name = shop.names.get(&filter.parameter);
                let own = shop.values.iter().enumerate();
                let own = own.filter(|(_, (own, leaf))| {
                    Some(own) == name
                        && match (leaf, filter.within) {
                            (Leaf::Number(n), Some((min, max))) => *n >= min && *n <= max,
                            (_, Some(_)) => false,
                            (leaf, None) => filter.chosen.iter().any(|t| leaf.is_meant_by(t)),
                        }
                });
                (
                    filter.parameter.as_str(),
                    own.map(|(value, _)| value).collect(),
                )
            })
            .collect();
        let mut found = Self {
            shop,
            matching: Vec::new(),
            but_for: HashMap::new(),
        };
        for product in &shop.products {
            let failed = passing
                .iter()
                .filter(|(_, values)| !product.values.iter().any(|value| values.contains(value)));
            let mut failed: Vec<&str> = failed.map(|(parameter, _)| *parameter).collect();
            let other = |(min, max): (i64, i64)| {
                let mut prices = product.prices.iter();
                !prices.any(|price| (min..=max).contains(price))
            };
            if asked.prices.is_some_and(other) {
                failed.push("price");
            }
            match failed.as_slice() {
                [] => found.matching.push(product),
                [one] => {
                    let others = found.but_for.entry((*one).to_owned()).or_default();
                    others.push(product);
                }
                _ => {}
            }
        }
        found
    }

    fn within(&self, parameter: &str) -> impl Iterator<Item = &&'a Product> + Clone {
        let more = self.but_for.get(parameter).into_iter().flatten();
        self.matching.iter().chain(more)
    }

    /// How many products of the list have each value, by parameter.
    fn counts(&self) -> HashMap<&'a str, BTreeMap<usize, u64>> {
        let mut of_matching = vec![0_u64; self.shop.values.len()];
        for product in &self.matching {
            for value in &product.values {
                of_matching[*value] += 1;
            }
        }
        let mut counts: HashMap<&str, BTreeMap<usize, u64>> = HashMap::new();
        let parameter = |value: usize| self.shop.parameters[self.shop.values[value].0].as_str();
        for (value, count) in of_matching
            .iter()
            .enumerate()
            .filter(|(_, count)| **count > 0)
        {
            let own = counts.entry(parameter(value)).or_default();
            own.insert(value, *count);
        }
        for (filtered, products) in &self.but_for {
            for value in products.iter().flat_map(|product| &product.values) {
                if parameter(*value) == filtered {
                    let own = counts.entry(parameter(*value)).or_default();
                    *own.entry(*value).or_default() += 1;
                }
            }
        }
        counts
    }

    /// Fails the test where the answer's facets are others.
    fn check(&self, facets: &[Value], asked: &Question, what: &str) {
        let counts = self.counts();
        let shown: HashMap<&str, &Value> = (facets.iter())
            .map(|facet| (facet["parameter"].as_str().unwrap(), facet))
            .collect();
        assert_eq!(shown.len(), facets.len(), "a facet appears twice: {what}");
        for (parameter, counts) in &counts {
            match shown.get(parameter) {
                Some(facet) => self.check_one(facet, parameter, counts, asked, what),
                None => assert!(facets.len() >= MAX_FACETS, "{parameter} is missing: {what}"),
            }
        }
        for (parameter, facet) in shown {
            if parameter == "price" {
                let products = self.within("price");
                let prices: Vec<i64> = products
                    .flat_map(|product| product.prices.clone())
                    .collect();
                let range = (prices.iter().min().copied(), prices.into_iter().max());
                assert_eq!(
                    (facet["min"].as_i64(), facet["max"].as_i64()),
                    range,
                    "{what}"
                );
            } else if !counts.contains_key(parameter) {
                // Nothing has it: what was chosen is shown all the same.
                let values = facet["values"].as_array().unwrap();
                assert!(
                    values.iter().all(|value| value["count"] == 0),
                    "{facet} {what}"
                );
                assert!(!asked.chosen(parameter).is_empty(), "{facet} {what}");
            }
        }
    }

    fn check_one(
        &self,
        facet: &Value,
        parameter: &str,
        counts: &BTreeMap<usize, u64>,
        asked: &Question,
        what: &str,
    ) {
        let leaves = || counts.keys().map(|value| &self.shop.values[*value].1);
        let number = |leaf: &Leaf| {
            if let Leaf::Number(n) = leaf {
                Some(*n)
            } else {
                None
            }
        };
        let numbers: Vec<f64> = leaves().filter_map(number).collect();
        if numbers.len() == counts.len() {
            let range = (
                numbers.iter().copied().reduce(f64::min),
                numbers.iter().copied().reduce(f64::max),
            );
            let told = (facet["min"].as_f64(), facet["max"].as_f64());
            assert_eq!(told, range, "{parameter}: {what}");
            return;
        }
        let mut expected: Vec<(String, u64)> = if numbers.is_empty() {
            let each = counts.iter();
            each.map(|(value, count)| (self.shop.values[*value].1.shown(), *count))
                .collect()
        } else {
            // Of several kinds: a text may mean more than one value of a product.
            let texts: BTreeSet<String> = leaves().map(Leaf::shown).collect();
            let means = |product: &Product, text: &str| {
                let own = product.values.iter().filter(|own| counts.contains_key(own));
                own.map(|own| &self.shop.values[*own].1)
                    .any(|leaf| leaf.is_meant_by(text))
            };
            let count = |text: &str| self.within(parameter).filter(|p| means(p, text)).count();
            let each = texts.into_iter().map(|text| {
                let count = u64::try_from(count(&text)).unwrap();
                (text, count)
            });
            each.collect()
        };
        let flags = leaves().all(|leaf| matches!(leaf, Leaf::Flag(_)));
        let chosen = asked.chosen(parameter);
        for text in chosen {
            let fits = !flags || text == "true" || text == "false";
            if fits && !expected.iter().any(|(own, _)| own == text) {
                expected.push((text.clone(), 0));
            }
        }
        expected.sort_by_key(|(text, count)| (Reverse(*count), text.clone()));
        let room = MAX_VALUES.saturating_sub(chosen.len());
        let mut others = 0;
        expected.retain(|(text, _)| {
            let is_chosen = chosen.contains(text);
            others += usize::from(!is_chosen);
            is_chosen || others <= room
        });
        let told = facet["values"]
            .as_array()
            .unwrap_or_else(|| panic!("{facet}: {what}"));
        let mut told: Vec<(String, u64)> = (told.iter())
            .map(|value| {
                let text = value["value"].as_str().map(str::to_owned);
                let text = text.unwrap_or_else(|| value["value"].to_string());
                (text, value["count"].as_u64().unwrap())
            })
            .collect();
        told.sort_by_key(|(text, count)| (Reverse(*count), text.clone()));
        assert_eq!(told, expected, "{parameter}: {what}");
    }
}

/// Asks random questions and compares every total and every facet.
pub(crate) async fn agrees(shop: &TestShop, questions: usize) {
    let guest = shop.guest();
    let read = Shop::read(shop, &guest).await;
    let mut dice = StdRng::seed_from_u64(200);
    let (mut found_some, mut facets_seen) = (0, 0);
    for _ in 0..questions {
        let asked = Question::like(&read, &mut dice);
        let query = asked.query();
        let answer = guest
            .get(&format!("/api/products?{query}"))
            .await
            .expect(200);
        let found = Found::read(&read, &asked);
        let total = u64::try_from(found.matching.len()).unwrap();
        assert_eq!(answer.body["total"], total, "{query}");
        let facets = answer.body["facets"].as_array().unwrap();
        found.check(facets, &asked, &query);
        found_some += usize::from(total > 0);
        facets_seen += facets.len();
    }
    println!(
        "{questions} questions over {} products: {facets_seen} facets agree",
        read.products.len()
    );
    assert!(
        found_some * 2 > questions,
        "{found_some} of {questions} find anything"
    );
}
