//! Turns a query's filters into sets of products.

use std::collections::BTreeSet;

use roaring::RoaringBitmap;

use super::{
    query::{SearchQuery, pointer},
    state::State,
    value::Number,
    values::{BRAND, CATEGORY, FieldId, TYPE},
};
use crate::problem::{FieldError, Problem};

/// What a filter is about; each subject has at most one filter, and a facet of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Subject {
    /// Type, category or brand.
    BuiltIn(FieldId),
    /// The price.
    Price,
    /// Whether anything is in stock.
    Stock,
    /// An attribute by its path.
    Attribute(String),
}

/// The products that one subject's filter lets through.
#[derive(Debug)]
pub(super) struct Filter<'a> {
    pub(super) subject: Subject,
    chosen: Option<&'a BTreeSet<String>>,
    docs: RoaringBitmap,
}

/// All of a query's filters over the products that it may see at all.
#[derive(Debug)]
pub(super) struct Filters<'a> {
    in_stock: Option<bool>,
    parts: Vec<Filter<'a>>,
    all: RoaringBitmap,
    /// What is let through by all filters but the one of the same place.
    others: Vec<RoaringBitmap>,
}

impl<'a> Filters<'a> {
    /// Reads the filters of `query` over the products of `base`.
    ///
    /// # Errors
    /// 422 at each attribute that no type declares filterable and each bound that is no number.
    pub(super) fn new(
        state: &State,
        query: &'a SearchQuery,
        base: RoaringBitmap,
    ) -> Result<Self, Problem> {
        let mut filters = attribute_filters(state, query)?;
        let built_in = [
            (TYPE, &query.types),
            (CATEGORY, &query.categories),
            (BRAND, &query.brands),
        ];
        filters.extend(
            built_in
                .into_iter()
                .filter(|(_, values)| !values.is_empty())
                .map(|(field, values)| Filter {
                    subject: Subject::BuiltIn(field),
                    chosen: Some(values),
                    docs: state.values.any_of(field, values),
                }),
        );
        if let Some(in_stock) = query.in_stock {
            let docs = if in_stock {
                &base & &state.stocked
            } else {
                &base - &state.stocked
            };
            filters.push(Filter {
                subject: Subject::Stock,
                chosen: None,
                docs,
            });
        }
        if query.min_price.is_some() || query.max_price.is_some() {
            filters.push(Filter {
                subject: Subject::Price,
                chosen: None,
                docs: priced(state, query, &base),
            });
        }
        Ok(Self::combine(filters, base, query.in_stock))
    }

    /// Intersects from the left and from the right, so that all-but-one costs no more.
    fn combine(filters: Vec<Filter<'a>>, base: RoaringBitmap, in_stock: Option<bool>) -> Self {
        let mut all = base;
        let mut others = Vec::with_capacity(filters.len());
        for filter in &filters {
            others.push(all.clone());
            all &= &filter.docs;
        }
        let mut right: Option<RoaringBitmap> = None;
        for (filter, others) in filters.iter().zip(&mut others).rev() {
            if let Some(right) = &mut right {
                *others &= &*right;
                *right &= &filter.docs;
            } else {
                right = Some(filter.docs.clone());
            }
        }
        Self {
            in_stock,
            parts: filters,
            all,
            others,
        }
    }

    /// The products that all filters let through.
    pub(super) const fn matching(&self) -> &RoaringBitmap {
        &self.all
    }

    /// The products that all filters but that of `subject` let through.
    pub(super) fn without(&self, subject: &Subject) -> &RoaringBitmap {
        self.entries()
            .find(|(filter, _)| filter.subject == *subject)
            .map_or(&self.all, |(_, others)| others)
    }

    /// Whether there is a filter of `subject`.
    pub(super) fn has(&self, subject: &Subject) -> bool {
        self.parts.iter().any(|filter| filter.subject == *subject)
    }

    /// The values that the query chose of `subject`.
    pub(super) fn chosen(&self, subject: &Subject) -> Option<&'a BTreeSet<String>> {
        self.parts
            .iter()
            .find(|filter| filter.subject == *subject)
            .and_then(|filter| filter.chosen)
    }

    /// What the query chose of whether anything is in stock.
    pub(super) const fn in_stock(&self) -> Option<bool> {
        self.in_stock
    }

    /// Each filter with what all others let through.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&Filter<'a>, &RoaringBitmap)> {
        self.parts.iter().zip(&self.others)
    }
}

fn priced(state: &State, query: &SearchQuery, base: &RoaringBitmap) -> RoaringBitmap {
    let range = query.min_price.unwrap_or(i64::MIN)..=query.max_price.unwrap_or(i64::MAX);
    let priced = |doc: &u32| {
        state
            .docs
            .keys(*doc)
            .is_some_and(|keys| range.contains(&keys.price))
    };
    // Ascending already, so that nothing is refused.
    RoaringBitmap::from_sorted_iter(base.iter().filter(priced)).unwrap_or_default()
}

/// What a parameter `attr.…` asks of which path.
enum Asked<'a> {
    Values(&'a str),
    AtLeast(&'a str),
    AtMost(&'a str),
}

impl<'a> Asked<'a> {
    const fn path(&self) -> &'a str {
        match self {
            Self::Values(path) | Self::AtLeast(path) | Self::AtMost(path) => path,
        }
    }
}

/// Bounds and values asked of one path.
#[derive(Default)]
struct Wanted<'a> {
    values: Option<&'a BTreeSet<String>>,
    min: Option<Number>,
    max: Option<Number>,
}

fn attribute_filters<'a>(
    state: &State,
    query: &'a SearchQuery,
) -> Result<Vec<Filter<'a>>, Problem> {
    let mut wanted: Vec<(&'a str, Wanted<'a>)> = Vec::new();
    let mut errors = Vec::new();
    for (name, values) in &query.attributes {
        let parameter = pointer(&format!("attr.{name}"));
        let Some(asked) = understand(state, name) else {
            let message = "no product type declares this attribute filterable";
            errors.push(FieldError::new(parameter, "unknown_attribute", message));
            continue;
        };
        let path = asked.path();
        let index = wanted.iter().position(|(known, _)| *known == path);
        let index = index.unwrap_or_else(|| {
            wanted.push((path, Wanted::default()));
            wanted.len() - 1
        });
        let Some((_, wants)) = wanted.get_mut(index) else {
            continue;
        };
        match asked {
            Asked::Values(_) => wants.values = Some(values),
            Asked::AtLeast(_) => wants.min = bound(values, &parameter, &mut errors),
            Asked::AtMost(_) => wants.max = bound(values, &parameter, &mut errors),
        }
        if let (Some(min), Some(max)) = (wants.min, wants.max)
            && min > max
        {
            let message = "the least must not be above the greatest";
            errors.push(FieldError::new(parameter, "range", message));
        }
    }
    if !errors.is_empty() {
        return Err(Problem::invalid(errors));
    }
    let filters = wanted.into_iter();
    Ok(filters
        .map(|(path, wants)| wants.filter(state, path))
        .collect())
}

/// Tells a bound from a name that ends in `.min` or `.max`, such as that of an attribute
/// `{"players": {"min": 2}}`.
fn understand<'a>(state: &State, name: &'a str) -> Option<Asked<'a>> {
    let types = || state.types.values();
    let declared =
        |path: &str| types().any(|own| own.fields.get(path).is_some_and(|field| field.filterable));
    let covered = |path: &str| {
        types().any(|own| {
            own.governing(path)
                .is_some_and(|(_, field)| field.filterable)
        })
    };
    let held = |path: &str| state.values.attribute(path).is_some();
    if declared(name) {
        return Some(Asked::Values(name));
    }
    let at_least = name
        .strip_suffix(".min")
        .map(|path| (path, Asked::AtLeast(path)));
    let bound = at_least.or_else(|| {
        let path = name.strip_suffix(".max")?;
        Some((path, Asked::AtMost(path)))
    });
    if let Some((path, asked)) = bound
        && covered(path)
        && (held(path) || !held(name))
    {
        return Some(asked);
    }
    covered(name).then_some(Asked::Values(name))
}

fn bound(
    values: &BTreeSet<String>,
    parameter: &str,
    errors: &mut Vec<FieldError>,
) -> Option<Number> {
    let mut fault = |code, message| errors.push(FieldError::new(parameter, code, message));
    let mut given = values.iter();
    match (given.next().map(|value| Number::parse(value)), given.next()) {
        (Some(Some(number)), None) => Some(number),
        (_, Some(_)) => {
            fault("repeated", "may be given once");
            None
        }
        _ => {
            fault("invalid_type", "must be a number");
            None
        }
    }
}

impl<'a> Wanted<'a> {
    /// Values and bounds of one attribute must both hold, though not for the same value of a list.
    fn filter(self, state: &State, path: &str) -> Filter<'a> {
        let field = state.values.attribute(path);
        let mut docs: Option<RoaringBitmap> = None;
        if let Some(values) = self.values {
            docs =
                Some(field.map_or_else(RoaringBitmap::new, |id| state.values.any_of(id, values)));
        }
        if self.min.is_some() || self.max.is_some() {
            let range = self.min.unwrap_or(Number::LEAST)..=self.max.unwrap_or(Number::GREATEST);
            let within = field.map_or_else(RoaringBitmap::new, |id| state.values.within(id, range));
            docs = Some(docs.map_or(within.clone(), |docs| docs & within));
        }
        Filter {
            subject: Subject::Attribute(path.to_owned()),
            chosen: self.values,
            docs: docs.unwrap_or_default(),
        }
    }
}
