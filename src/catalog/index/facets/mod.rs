//! Counts what the products found have in common.

mod spread;
mod tally;

use std::{cmp::Reverse, collections::BTreeMap};

use self::{
    spread::{Content, Spread},
    tally::Tally,
};
use super::{
    answer::{Facet, FacetKind, FacetScalar, FacetValue},
    filter::{Filters, Subject},
    product::FieldDeclaration,
    state::State,
    value::Scalar,
    values::{BRAND, CATEGORY, Field, FieldId, TYPE},
};

/// The most facets of a list, those that the query filters by apart.
const MAX_FACETS: usize = 40;
/// The most values of a facet, those that the query names apart.
const MAX_VALUES: usize = 50;

/// From so many values on, a field that is filtered by is worth a tally of its own.
const MANY_VALUES: usize = 16;

/// The built-in facets, then the attributes: those filtered by and those that most products have.
pub(super) fn count(state: &State, filters: &Filters<'_>) -> Vec<Facet> {
    let counter = Counter {
        state,
        filters,
        tally: Tally::of_few(state, filters.matching()),
    };
    let mut facets: Vec<Facet> = [
        counter.built_in(TYPE, "type", "Type"),
        counter.built_in(CATEGORY, "category", "Category"),
        counter.built_in(BRAND, "brand", "Brand"),
        counter.price(),
        counter.stock(),
    ]
    .into_iter()
    .flatten()
    .collect();
    let room = MAX_FACETS.saturating_sub(facets.len());
    let types = counter.types();
    let paths = counter.attributes(room);
    facets.extend(
        paths
            .into_iter()
            .filter_map(|path| counter.attribute(path, &types)),
    );
    facets
}

struct Counter<'a> {
    state: &'a State,
    filters: &'a Filters<'a>,
    /// Of the products that all filters let through, where they are few.
    tally: Option<Tally>,
}

impl<'a> Counter<'a> {
    fn built_in(&self, id: FieldId, name: &str, label: &str) -> Option<Facet> {
        let content = self.content(&Subject::BuiltIn(id), Some(id))?;
        Some(facet(name, name.to_owned(), label.to_owned(), content))
    }

    fn price(&self) -> Option<Facet> {
        let base = self.filters.without(&Subject::Price);
        let prices = base.iter().filter_map(|doc| self.state.docs.prices(doc));
        let (min, max) = prices.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))?;
        let content = Content::Range(min.into(), max.into());
        let (parameter, label) = ("price".to_owned(), "Price".to_owned());
        Some(facet("price", parameter, label, content))
    }

    fn stock(&self) -> Option<Facet> {
        let base = self.filters.without(&Subject::Stock);
        let with = base.intersection_len(&self.state.stocked);
        let without = base.len().saturating_sub(with);
        let chosen = self.filters.in_stock();
        let mut values: Vec<FacetValue> = [(true, with), (false, without)]
            .into_iter()
            .filter(|(flag, count)| *count > 0 || chosen == Some(*flag))
            .map(|(flag, count)| FacetValue {
                value: FacetScalar::Flag(flag),
                count,
            })
            .collect();
        rank(&mut values);
        let content = (!values.is_empty()).then_some(Content::Flags(values))?;
        let (parameter, label) = ("inStock".to_owned(), "In stock".to_owned());
        Some(facet("inStock", parameter, label, content))
    }

    /// The types of the products found, the most frequent first, then all others.
    fn types(&self) -> Vec<&'a str> {
        let values = &self.state.values;
        let frequency = |id: &str| {
            let field = values.field(TYPE)?;
            let docs = values.docs(*field.values.get(&Scalar::Text(id.into()))?)?;
            Some(docs.intersection_len(self.filters.matching()))
        };
        let mut types: Vec<&str> = self.state.types.keys().map(String::as_str).collect();
        types.sort_by_cached_key(|id| Reverse(frequency(id)));
        types
    }

    /// The attributes to show: those filtered by, and others as far as there is `room`.
    fn attributes(&self, room: usize) -> Vec<&'a str> {
        let values = &self.state.values;
        let mut filtered: BTreeMap<&str, u64> = BTreeMap::new();
        for (filter, others) in self.filters.entries() {
            if let Subject::Attribute(path) = &filter.subject {
                let field = values.attribute(path).and_then(|id| values.field(id));
                let found = field.map_or(0, |field| field.docs.intersection_len(others));
                filtered.insert(path, found);
            }
        }
        let found = |id: FieldId, field: &Field| match &self.tally {
            Some(tally) => tally.field(id),
            None => field.docs.intersection_len(self.filters.matching()),
        };
        let mut shown: Vec<(Reverse<u64>, &str)> = values
            .attributes()
            .filter(|(_, field)| !filtered.contains_key(field.path.as_ref()))
            .map(|(id, field)| (Reverse(found(id, field)), field.path.as_ref()))
            .filter(|(found, _)| found.0 > 0)
            .collect();
        shown.sort_unstable();
        shown.truncate(room.saturating_sub(filtered.len()));
        shown.extend(
            filtered
                .iter()
                .map(|(path, found)| (Reverse(*found), *path)),
        );
        shown.sort_unstable();
        shown.into_iter().map(|(_, path)| path).collect()
    }

    fn attribute(&self, path: &str, types: &[&str]) -> Option<Facet> {
        let subject = Subject::Attribute(path.to_owned());
        let content = self.content(&subject, self.state.values.attribute(path))?;
        let (label, declaration) = self.declaration(path, types)?;
        let mut facet = facet(path, format!("attr.{path}"), label, content);
        facet.unit.clone_from(&declaration.unit);
        Some(facet)
    }

    fn content(&self, subject: &Subject, field: Option<FieldId>) -> Option<Content> {
        let field = field.and_then(|id| Some((id, self.state.values.field(id)?)));
        let base = self.filters.without(subject);
        let own = match field {
            Some((_, field)) if self.filters.has(subject) && field.values.len() > MANY_VALUES => {
                Tally::of_few(self.state, base)
            }
            _ => None,
        };
        let common = self.tally.as_ref().filter(|_| !self.filters.has(subject));
        let spread = Spread {
            values: &self.state.values,
            field,
            base,
            chosen: self.filters.chosen(subject),
            tally: own.as_ref().or(common),
        };
        spread.content()
    }

    /// Label and declaration by the first of `types` that declares the attribute filterable.
    fn declaration(&self, path: &str, types: &[&str]) -> Option<(String, &FieldDeclaration)> {
        types.iter().find_map(|id| {
            let (declared, field) = self.state.types.get(*id)?.governing(path)?;
            let rest = path.strip_prefix(declared)?;
            let label = match rest.strip_prefix('.') {
                Some(below) => format!("{}: {}", field.label, below.replace('.', " ")),
                None => field.label.clone(),
            };
            field.filterable.then_some((label, field))
        })
    }
}

fn facet(name: &str, parameter: String, label: String, content: Content) -> Facet {
    let mut facet = Facet {
        name: name.to_owned(),
        parameter,
        label,
        kind: FacetKind::String,
        unit: None,
        values: None,
        min: None,
        max: None,
    };
    match content {
        Content::Range(min, max) => {
            facet.kind = FacetKind::Number;
            facet.min = Some(min);
            facet.max = Some(max);
        }
        Content::Flags(values) => {
            facet.kind = FacetKind::Boolean;
            facet.values = Some(values);
        }
        Content::Texts(values) => facet.values = Some(values),
    }
    facet
}

/// The most frequent first, equals in order of value.
fn rank(values: &mut [FacetValue]) {
    values.sort_unstable_by(|a, b| b.count.cmp(&a.count).then_with(|| a.value.cmp(&b.value)));
}
