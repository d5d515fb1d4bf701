//! Suggestions while a shopper types.

use std::collections::HashSet;

use roaring::RoaringBitmap;

use super::{
    answer::{Suggestion, SuggestionKind},
    order::sorted,
    query::Sort,
    state::State,
    text::{Found, Frozen, TextQuery, fold},
    value::Scalar,
    values::{BRAND, CATEGORY, FieldId},
};

/// The most categories and the most brands among suggestions.
const MAX_NAMES: usize = 2;
/// How many products are looked at for each that is shown: titles may repeat.
const TITLES_PER_SUGGESTION: usize = 4;

impl State {
    /// Finds the products of `visible` that a text means.
    pub(super) fn find(
        &self,
        text: &TextQuery,
        visible: &RoaringBitmap,
        frozen: Option<Frozen>,
    ) -> Found {
        let products = u64::try_from(self.docs.len()).unwrap_or(u64::MAX);
        text.find(&self.words, visible, products, self.docs.rows(), frozen)
    }
}

/// Categories and brands whose names fit, then products by fit, no text twice.
pub(super) fn suggest(state: &State, text: &str, limit: usize) -> Vec<Suggestion> {
    let query = TextQuery::typed(text);
    let mut suggestions = names(state, &query, CATEGORY, category);
    suggestions.extend(names(state, &query, BRAND, brand));
    suggestions.truncate(limit);
    let found = state.find(&query, &state.active, None);
    let count = limit.saturating_mul(TITLES_PER_SUGGESTION);
    let best = sorted(
        state,
        Sort::Relevance,
        &found.docs,
        &found.scores,
        None,
        count,
    );
    let mut titles = HashSet::new();
    let products = best.into_iter().filter_map(|doc| {
        let row = state.docs.row(doc)?;
        titles.insert(&row.name).then_some(Suggestion {
            text: row.title.to_string(),
            kind: SuggestionKind::Product,
            product_id: state.docs.keys(doc).map(|keys| keys.id),
            slug: Some(row.slug.to_string()),
        })
    });
    let room = limit.saturating_sub(suggestions.len());
    suggestions.extend(products.take(room));
    suggestions
}

/// The names of a field that fit with the fewest errors, among them those of most products.
fn names(
    state: &State,
    query: &TextQuery,
    field: FieldId,
    suggestion: fn(&str) -> Suggestion,
) -> Vec<Suggestion> {
    let Some(field) = state.values.field(field) else {
        return Vec::new();
    };
    let mut fitting: Vec<(usize, std::cmp::Reverse<u64>, &str)> = field
        .values
        .iter()
        .filter_map(|(scalar, id)| {
            let Scalar::Text(name) = scalar else {
                return None;
            };
            let shown = suggestion(name).text;
            let folded = fold(&shown);
            let words: Vec<Box<str>> = folded
                .split(|c: char| !c.is_alphanumeric())
                .map(Into::into)
                .collect();
            let errors = query.match_names(&words)?;
            let count = state.values.docs(*id)?.intersection_len(&state.active);
            (count > 0).then_some((errors, std::cmp::Reverse(count), name.as_ref()))
        })
        .collect();
    fitting.sort_unstable();
    fitting
        .into_iter()
        .take(MAX_NAMES)
        .map(|(_, _, name)| suggestion(name))
        .collect()
}

/// A category is shown by the last step of its path, as words.
fn category(path: &str) -> Suggestion {
    let step = path.rsplit('/').next().unwrap_or(path);
    Suggestion {
        text: step.replace('-', " "),
        kind: SuggestionKind::Category,
        product_id: None,
        slug: Some(path.to_owned()),
    }
}

fn brand(name: &str) -> Suggestion {
    Suggestion {
        text: name.to_owned(),
        kind: SuggestionKind::Brand,
        product_id: None,
        slug: None,
    }
}
