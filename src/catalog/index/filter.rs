//! Turns a query's filters into sets of products.

use std::collections::BTreeSet;

use roaring::RoaringBitmap;

use super::{
    product::TypeFields,
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
        state: &'a State,
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
    let priced = base.iter().filter(|doc| state.docs.has_price(*doc, &range));
    // Ascending already, so that nothing is refused.
    RoaringBitmap::from_sorted_iter(priced).unwrap_or_default()
}

/// Which bound of a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Least,
    Greatest,
}

/// What a parameter `attr.…` asks of which path.
enum Asked<'a> {
    /// Any of its values.
    Values,
    /// A bound of the path's numbers, but of the products of these types: they declare an attribute of the
    /// parameter's whole name.
    Bound(&'a str, End, Vec<&'a String>),
}

/// One bound of a path.
struct Bound {
    number: Number,
    /// The products that are compared with the parameter's whole name instead.
    exact: RoaringBitmap,
    /// Those of them that have the value.
    having: RoaringBitmap,
}

/// Bounds and values asked of one path.
#[derive(Default)]
struct Wanted<'a> {
    values: Option<&'a BTreeSet<String>>,
    min: Option<Bound>,
    max: Option<Bound>,
}

fn attribute_filters<'a>(
    state: &'a State,
    query: &'a SearchQuery,
) -> Result<Vec<Filter<'a>>, Problem> {
    let mut wanted: Vec<(&'a str, Wanted<'a>)> = Vec::new();
    let mut errors = Vec::new();
    for (name, values) in &query.attributes {
        let parameter = pointer(&format!("attr.{name}"));
        let Some((asked, types)) = understand(state, query, name, values) else {
            let message = "no product type declares this attribute filterable";
            errors.push(FieldError::new(parameter, "unknown_attribute", message));
            continue;
        };
        let path = match &asked {
            Asked::Values => name,
            Asked::Bound(path, ..) => *path,
        };
        let index = wanted.iter().position(|(known, _)| *known == path);
        let index = index.unwrap_or_else(|| {
            wanted.push((path, Wanted::default()));
            wanted.len() - 1
        });
        let Some((_, wants)) = wanted.get_mut(index) else {
            continue;
        };
        match asked {
            Asked::Values => wants.values = Some(values),
            Asked::Bound(_, end, declaring) => {
                if !may_have_bounds(&types, path) {
                    let message = "this attribute has no numbers";
                    errors.push(FieldError::new(parameter, "invalid_type", message));
                    continue;
                }
                let bound = bound(values, &parameter, &mut errors).map(|number| {
                    let exact = state.values.any_of(TYPE, declaring);
                    let field = state.values.attribute(name);
                    let having = field.map(|id| state.values.any_of(id, values) & &exact);
                    Bound {
                        number,
                        exact,
                        having: having.unwrap_or_default(),
                    }
                });
                match end {
                    End::Least => wants.min = bound,
                    End::Greatest => wants.max = bound,
                }
            }
        }
        if let (Some(min), Some(max)) = (&wants.min, &wants.max)
            && min.number > max.number
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

/// Types that a query may be about.
type InView<'a> = Vec<&'a TypeFields>;

/// Tells a bound from a name that ends in `.min` or `.max`, such as that of an attribute
/// `{"players": {"min": 2}}`: for the types that the query chooses, where they know of it, else for all.
fn understand<'a>(
    state: &'a State,
    query: &SearchQuery,
    name: &'a str,
    values: &BTreeSet<String>,
) -> Option<(Asked<'a>, InView<'a>)> {
    let all = || state.types.values().map(AsRef::as_ref);
    let chosen: InView<'a> = all().filter(|own| query.types.contains(&own.id)).collect();
    let all: InView<'a> = all().collect();
    [chosen, all].into_iter().find_map(|types| {
        let asked = understand_of(state, &types, name, values)?;
        Some((asked, types))
    })
}

fn understand_of<'a>(
    state: &State,
    types: &InView<'a>,
    name: &'a str,
    values: &BTreeSet<String>,
) -> Option<Asked<'a>> {
    let declares = |own: &TypeFields| own.fields.get(name).is_some_and(|field| field.filterable);
    let covers = |own: &TypeFields, path: &str| {
        own.governing(path)
            .is_some_and(|(_, field)| field.filterable)
    };
    let held = |path: &str| state.values.attribute(path).is_some();
    let (declaring, others): (InView<'a>, InView<'a>) =
        types.iter().copied().partition(|own| declares(own));
    let least = name.strip_suffix(".min").map(|path| (path, End::Least));
    let bound = least.or_else(|| Some((name.strip_suffix(".max")?, End::Greatest)));
    if let Some((path, end)) = bound
        && others.iter().any(|own| covers(own, path))
    {
        let meant = if declaring.is_empty() {
            held(path) || !held(name)
        } else {
            // What is no bound can only mean the declared attribute.
            held(path) && values.len() == 1 && values.iter().all(|v| Number::parse(v).is_some())
        };
        if meant {
            let declaring = declaring.into_iter().map(|own| &own.id).collect();
            return Some(Asked::Bound(path, end, declaring));
        }
    }
    let known = !declaring.is_empty() || others.iter().any(|own| covers(own, name));
    known.then_some(Asked::Values)
}

/// Whether any of the types lets the attribute of that path hold numbers, as far as they tell.
fn may_have_bounds(types: &InView<'_>, path: &str) -> bool {
    let governing = types.iter().filter_map(|own| own.governing(path));
    let mut filterable = governing.filter(|(_, field)| field.filterable);
    filterable.any(|(declared, field)| declared != path || field.numeric)
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
            let within = self.within(state, field);
            docs = Some(docs.map_or(within.clone(), |docs| docs & within));
        }
        Filter {
            subject: Subject::Attribute(path.to_owned()),
            chosen: self.values,
            docs: docs.unwrap_or_default(),
        }
    }

    /// The products within the bounds. One whose type declares an attribute of a bound's whole name is
    /// compared with that at this end, and with the bound at the other.
    fn within(&self, state: &State, field: Option<FieldId>) -> RoaringBitmap {
        let (min, max) = (self.min.as_ref(), self.max.as_ref());
        let within = |min: Option<&Bound>, max: Option<&Bound>| {
            let least = min.map_or(Number::LEAST, |bound| bound.number);
            let greatest = max.map_or(Number::GREATEST, |bound| bound.number);
            field.map_or_else(RoaringBitmap::new, |id| {
                state.values.within(id, least..=greatest)
            })
        };
        let none = RoaringBitmap::new();
        let exact = |bound: Option<&Bound>| bound.map_or(none.clone(), |b| b.exact.clone());
        let having = |bound: Option<&Bound>| bound.map_or(none.clone(), |b| b.having.clone());
        let mut docs = within(min, max) - exact(min) - exact(max);
        let mut least = having(min) - exact(max);
        if max.is_some() {
            least &= within(None, max);
        }
        let mut greatest = having(max) - exact(min);
        if min.is_some() {
            greatest &= within(min, None);
        }
        docs |= least;
        docs |= greatest;
        docs |= having(min) & having(max);
        docs
    }
}
