//! What facets should show.

use std::{cmp::Reverse, collections::BTreeSet};

use super::{
    super::answer::{Facet, FacetKind, FacetScalar},
    asked::Asked,
    known::{Known, Leaf},
    oracle::Answer,
};

/// What a facet should show.
#[derive(Debug, PartialEq)]
pub(super) enum Expected {
    Range(f64, f64),
    Values(FacetKind, Vec<(String, u64)>),
}

/// The parameters of all facets that there may be.
pub(super) fn facet_names(base: &[&Known], asked: &Asked) -> BTreeSet<String> {
    let mut names: BTreeSet<String> = ["type", "category", "brand", "price", "inStock"]
        .map(str::to_owned)
        .into();
    let paths = base
        .iter()
        .flat_map(|known| &known.leaves)
        .map(|(path, _)| path);
    let asked = asked.attributes.iter().map(|attribute| &attribute.path);
    names.extend(paths.chain(asked).map(|path| format!("attr.{path}")));
    names
}

/// The facet of a parameter over the products that all other filters let through.
pub(super) fn expected(name: &str, within: &[&Known], asked: &Asked) -> Option<Expected> {
    let texts = |read: &dyn Fn(&Known) -> Vec<Leaf>, chosen: &[String]| {
        let read: Vec<Vec<Leaf>> = within.iter().map(|known| read(known)).collect();
        spread(&read, chosen)
    };
    let text = |text: &String| Leaf::Text(text.clone());
    match name {
        "type" => texts(&|k| vec![text(&k.product.fields.id)], &asked.types),
        "category" => texts(
            &|k| k.categories().iter().map(text).collect(),
            &asked.categories,
        ),
        "brand" => texts(
            &|k| k.product.brand.iter().map(text).collect(),
            &asked.brands,
        ),
        "price" => {
            let prices = || within.iter().flat_map(|known| known.prices());
            let (min, max) = (prices().min()?, prices().max()?);
            Some(Expected::Range(
                min.to_string().parse().ok()?,
                max.to_string().parse().ok()?,
            ))
        }
        "inStock" => texts(
            &|k| vec![Leaf::Flag(k.product.available > 0)],
            &asked
                .in_stock
                .map(|yes| yes.to_string())
                .into_iter()
                .collect::<Vec<_>>(),
        ),
        attribute => {
            let path = attribute.strip_prefix("attr.")?;
            let mut chosen = asked.attributes.iter().filter(|asked| asked.path == path);
            let chosen = chosen.next().map_or(&[][..], |asked| &asked.values);
            texts(&|known| known.of(path).cloned().collect(), chosen)
        }
    }
}

fn spread(read: &[Vec<Leaf>], chosen: &[String]) -> Option<Expected> {
    let leaves = || read.iter().flatten();
    let numbers: Vec<f64> = leaves()
        .filter_map(|leaf| {
            if let Leaf::Number(n) = leaf {
                Some(*n)
            } else {
                None
            }
        })
        .collect();
    let flags = leaves()
        .filter(|leaf| matches!(leaf, Leaf::Flag(_)))
        .count();
    let total = leaves().count();
    if total > 0 && numbers.len() == total {
        let least = numbers.iter().copied().reduce(f64::min)?;
        return Some(Expected::Range(
            least,
            numbers.into_iter().reduce(f64::max)?,
        ));
    }
    let is_flag = total > 0 && flags == total;
    let mut shown: BTreeSet<String> = leaves().map(Leaf::shown).collect();
    shown.extend(
        chosen
            .iter()
            .filter(|text| !is_flag || ["true", "false"].contains(&text.as_str()))
            .cloned(),
    );
    let mut values: Vec<(String, u64)> = shown
        .into_iter()
        .map(|text| {
            let with = read
                .iter()
                .filter(|own| own.iter().any(|leaf| leaf.is_meant_by(&text)));
            let count = u64::try_from(with.count()).unwrap();
            (text, count)
        })
        .collect();
    values.sort_by_key(|(text, count)| (Reverse(*count), text.clone()));
    let kind = if is_flag {
        FacetKind::Boolean
    } else {
        FacetKind::String
    };
    (!values.is_empty()).then_some(Expected::Values(kind, values))
}

impl Answer {
    /// Panics where the index's facets are not those expected.
    pub(super) fn check_facets(&self, facets: &[Facet], asked: &Asked) {
        assert!(facets.len() <= 40 + asked.attributes.len());
        let names: Vec<&str> = facets
            .iter()
            .map(|facet| facet.parameter.as_str())
            .collect();
        let shown: BTreeSet<&str> = names.iter().copied().collect();
        assert_eq!(names.len(), shown.len(), "a facet appears twice: {names:?}");
        for (name, expected) in &self.facets {
            match facets.iter().find(|facet| facet.parameter == *name) {
                Some(facet) => check_facet(facet, expected, asked),
                None => assert!(facets.len() >= 40, "{name} is missing: {expected:?}"),
            }
        }
        assert!(
            facets
                .iter()
                .all(|facet| self.facets.contains_key(&facet.parameter))
        );
    }
}

fn check_facet(facet: &Facet, expected: &Expected, asked: &Asked) {
    let name = &facet.parameter;
    match expected {
        Expected::Range(min, max) => {
            let bound = |number: &Option<serde_json::Number>| number.as_ref().unwrap().as_f64();
            assert_eq!(facet.kind, FacetKind::Number, "{name}");
            assert_eq!(
                (bound(&facet.min), bound(&facet.max)),
                (Some(*min), Some(*max)),
                "{name}"
            );
        }
        Expected::Values(kind, all) => {
            let shown: Vec<(String, u64)> = facet
                .values
                .iter()
                .flatten()
                .map(|value| match &value.value {
                    FacetScalar::Flag(flag) => (flag.to_string(), value.count),
                    FacetScalar::Text(text) => (text.clone(), value.count),
                })
                .collect();
            let chosen = asked.chosen(name);
            if all.iter().all(|(_, count)| *count == 0) {
                // Only what was chosen is shown; of what kind, other products decide.
                let is_zero = |(text, count): &(String, u64)| *count == 0 && chosen.contains(text);
                assert!(name == "inStock" || shown.iter().all(is_zero), "{name}");
                return;
            }
            assert_eq!(facet.kind, *kind, "{name}");
            let room = 50_usize.saturating_sub(chosen.len());
            let mut others = 0;
            let cut: Vec<_> = all
                .iter()
                .filter(|(text, _)| {
                    let is_chosen = chosen.contains(text);
                    others += usize::from(!is_chosen);
                    is_chosen || others <= room
                })
                .cloned()
                .collect();
            assert_eq!(sorted(shown), sorted(cut), "{name}");
        }
    }
}

/// Values in a facet's order; `true` and `false` are ordered as texts here, as flags there.
fn sorted(mut values: Vec<(String, u64)>) -> Vec<(String, u64)> {
    values.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    values
}
