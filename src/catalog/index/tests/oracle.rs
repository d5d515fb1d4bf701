//! The same answers by plain reading of every product: slow, and too simple to be wrong.

use std::collections::BTreeMap;

use super::{
    super::{
        docs::name_key,
        state::terms,
        text::oracle::{Read, scores},
    },
    asked::{Asked, AskedAttribute},
    expected::{Expected, expected, facet_names},
    known::{Known, Leaf},
};
use crate::id::ProductId;

type Check<'a> = Box<dyn Fn(&Known) -> bool + 'a>;
type Test<'a> = (String, Check<'a>);

/// Each filter under the name of its facet's parameter.
fn tests<'a>(asked: &'a Asked) -> Vec<Test<'a>> {
    let mut tests: Vec<Test<'a>> = Vec::new();
    let mut push = |name: &str, test: Check<'a>| {
        tests.push((name.to_owned(), test));
    };
    if !asked.types.is_empty() {
        push(
            "type",
            Box::new(|k| asked.types.contains(&k.product.fields.id)),
        );
    }
    if !asked.categories.is_empty() {
        push(
            "category",
            Box::new(|k| k.categories().iter().any(|c| asked.categories.contains(c))),
        );
    }
    if !asked.brands.is_empty() {
        push(
            "brand",
            Box::new(|k| {
                k.product
                    .brand
                    .as_ref()
                    .is_some_and(|b| asked.brands.contains(b))
            }),
        );
    }
    if asked.min_price.is_some() || asked.max_price.is_some() {
        push(
            "price",
            Box::new(|k| {
                let mut prices = k.prices();
                prices.any(|price| {
                    asked.min_price.is_none_or(|min| price >= min)
                        && asked.max_price.is_none_or(|max| price <= max)
                })
            }),
        );
    }
    if let Some(wanted) = asked.in_stock {
        push(
            "inStock",
            Box::new(move |k| (k.product.available > 0) == wanted),
        );
    }
    for attribute in &asked.attributes {
        push(
            &format!("attr.{}", attribute.path),
            Box::new(|known| attribute.lets_through(known)),
        );
    }
    tests
}

impl AskedAttribute {
    fn lets_through(&self, known: &Known) -> bool {
        let means = |text: &String| known.of(&self.path).any(|leaf| leaf.is_meant_by(text));
        let within = |leaf: &Leaf| match leaf {
            Leaf::Number(n) => {
                self.min.is_none_or(|min| *n >= min) && self.max.is_none_or(|max| *n <= max)
            }
            Leaf::Flag(_) | Leaf::Text(_) => false,
        };
        (self.values.is_empty() || self.values.iter().any(means))
            && ((self.min.is_none() && self.max.is_none()) || known.of(&self.path).any(within))
    }
}

/// What the index should answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) ids: Vec<ProductId>,
    pub(super) facets: BTreeMap<String, Expected>,
}

/// Reads every product.
pub(super) fn answer(products: &[Known], asked: &Asked) -> Answer {
    let visible = |known: &&Known| asked.hidden || known.product.active;
    let fits = asked.text.as_ref().map(|text| {
        let read = |known: &Known| Read {
            id: known.product.id,
            visible: visible(&known),
            terms: terms(&known.product),
        };
        scores(&products.iter().map(read).collect::<Vec<_>>(), text)
    });
    let fit = |known: &Known| {
        fits.as_ref()
            .map_or(Some(0), |fits| fits.get(&known.product.id).copied())
    };
    let base: Vec<&Known> = products
        .iter()
        .filter(visible)
        .filter(|known| fit(known).is_some())
        .collect();
    let tests = tests(asked);
    let failed: Vec<Vec<&str>> = base
        .iter()
        .map(|known| {
            let failed = tests.iter().filter(|(_, test)| !test(known));
            failed.map(|(name, _)| name.as_str()).collect()
        })
        .collect();
    let mut matching: Vec<&Known> = base
        .iter()
        .zip(&failed)
        .filter(|(_, failed)| failed.is_empty())
        .map(|(known, _)| *known)
        .collect();
    let fallback = if fits.is_some() {
        "relevance"
    } else {
        "-createdAt"
    };
    let sort = asked.sort.unwrap_or(fallback);
    matching.sort_by_cached_key(|k| sort_key(k, sort, fit(k).unwrap_or(0)));
    let names = facet_names(&base, asked);
    let within = |name: &str| {
        let others = base.iter().zip(&failed);
        let others = others.filter(|(_, failed)| failed.iter().all(|test| *test == name));
        others.map(|(known, _)| *known).collect::<Vec<_>>()
    };
    let facets = names
        .iter()
        .filter_map(|name| Some((name.clone(), expected(name, &within(name), asked)?)))
        .collect();
    Answer {
        ids: matching.iter().map(|known| known.product.id).collect(),
        facets,
    }
}

fn sort_key(known: &Known, sort: &str, fit: u32) -> impl Ord + use<> {
    let product = &known.product;
    let name = name_key(&product.title);
    let (number, name) = match sort {
        "price" => (product.price, None),
        "-price" => (-product.price, None),
        "-createdAt" => (-product.created_at.millis(), None),
        "name" => (0, Some(name)),
        "relevance" => (-i64::from(fit), Some(name)),
        other => unreachable!("{other}"),
    };
    (number, name, product.id)
}
