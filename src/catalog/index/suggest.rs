//! Suggestions while a shopper types.

use std::{cmp::Reverse, collections::HashSet};

use roaring::RoaringBitmap;

use super::{
    answer::{Suggestion, SuggestionKind},
    order::{first, score},
    state::State,
    text::{Found, Frozen, TextQuery},
    values::{BRAND, CATEGORY, FieldId, ValueId},
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
    let found = state.find(&query, &state.active, None);
    let loose = found.frozen.is_loose();
    let mut suggestions = names(state, &query, loose, CATEGORY, category);
    suggestions.extend(names(state, &query, loose, BRAND, brand));
    suggestions.truncate(limit);
    let count = limit.saturating_mul(TITLES_PER_SUGGESTION);
    // By fit, then roughly by name: a single letter finds so many that names cost too much.
    let keyed = found.docs.iter().filter_map(|doc| {
        let keys = state.docs.keys(doc)?;
        let fit = Reverse(score(&found.scores, doc));
        Some(((fit, keys.head, keys.id), doc))
    });
    let best = first(keyed, None, count);
    let mut titles = HashSet::new();
    let products = best.into_iter().filter_map(|doc| {
        let row = state.docs.row(doc)?;
        titles
            .insert(row.texts.name().lower())
            .then_some(Suggestion {
                text: row.texts.title().to_owned(),
                kind: SuggestionKind::Product,
                product_id: state.docs.keys(doc).map(|keys| keys.id),
                slug: Some(row.texts.slug().to_owned()),
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
    loose: bool,
    field: FieldId,
    suggestion: fn(&str) -> Suggestion,
) -> Vec<Suggestion> {
    let Some(field) = state.values.field(field) else {
        return Vec::new();
    };
    let fits = |(id, name): (&'_ ValueId, &'_ str)| {
        let words: Vec<&str> = name.split(' ').collect();
        let errors = query.match_names(&words, loose)?;
        let products = state.values.docs(*id)?.intersection_len(&state.active);
        (products > 0).then(|| (errors, Reverse(products), name.to_owned(), *id))
    };
    let mut fitting: Vec<_> = field
        .names
        .iter()
        .map(|(id, name)| (id, name.as_ref()))
        .filter_map(fits)
        .collect();
    fitting.sort_unstable();
    fitting.truncate(MAX_NAMES);
    let shown = fitting.into_iter();
    shown
        .filter_map(|(.., id)| Some(suggestion(state.values.scalar(id)?.as_text()?)))
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
