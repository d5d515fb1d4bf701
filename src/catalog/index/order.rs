//! Sorted pages by key: a page begins after the last row of the one before, wherever that row is
//! now, so rows that come and go meanwhile neither hide nor repeat those that stay.

use std::cmp::Reverse;

use roaring::RoaringBitmap;
use serde::{Deserialize, Serialize};

use super::{
    docs::{Doc, Name, at, head},
    query::{SearchQuery, Sort, fingerprint},
    state::State,
    text::Frozen,
};
use crate::{
    id::ProductId,
    page::{decode_cursor, encode_cursor},
    problem::Problem,
};

/// The place of a row in its list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum Key {
    /// By price, up or down.
    #[serde(rename = "p")]
    Price(i64),
    /// By date, in milliseconds.
    #[serde(rename = "c")]
    Created(i64),
    /// By name.
    #[serde(rename = "n")]
    Name(String),
    /// By fit, then by name.
    #[serde(rename = "s")]
    Score(u32, String),
}

/// Where a page ended, and what its list was found with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Place {
    #[serde(rename = "k")]
    key: Key,
    #[serde(rename = "i")]
    id: ProductId,
    /// Present in text searches.
    #[serde(rename = "f", default, skip_serializing_if = "Option::is_none")]
    pub(super) frozen: Option<Frozen>,
}

/// A place with a checksum, so that an altered cursor is refused.
#[derive(Debug, Serialize, Deserialize)]
struct Sealed {
    #[serde(rename = "p")]
    place: Place,
    #[serde(rename = "s")]
    sum: String,
}

impl Place {
    /// Reads the query's cursor, if it has one.
    ///
    /// # Errors
    /// 422 at `/cursor` when it was altered or belongs to another query.
    pub(super) fn read(query: &SearchQuery) -> Result<Option<Self>, Problem> {
        let Some(cursor) = &query.cursor else {
            return Ok(None);
        };
        let list = query.list_name();
        let sealed: Sealed = decode_cursor(&list, cursor)?;
        let fits = match sealed.place.key {
            Key::Price(_) => matches!(query.sort, Sort::Price | Sort::PriceDescending),
            Key::Created(_) => query.sort == Sort::Newest,
            Key::Name(_) => query.sort == Sort::Name,
            Key::Score(..) => query.sort == Sort::Relevance,
        };
        if fits && sealed.sum == sealed.place.sum(&list)? {
            Ok(Some(sealed.place))
        } else {
            let message = "not a cursor of this list";
            Err(Problem::field("/cursor", "cursor", message))
        }
    }

    fn write(self, query: &SearchQuery) -> Result<String, Problem> {
        let list = query.list_name();
        let sum = self.sum(&list)?;
        encode_cursor(&list, Sealed { place: self, sum })
    }

    fn sum(&self, list: &str) -> Result<String, Problem> {
        let text = serde_json::to_string(self).map_err(Problem::internal)?;
        Ok(fingerprint(&format!("{list} {text}")))
    }
}

/// The rows of a page and the cursor of the next.
pub(super) struct Rows {
    pub(super) ids: Vec<ProductId>,
    pub(super) next: Option<String>,
}

/// Cuts the page of `query` that begins after `place` out of `docs`.
///
/// `scores` are by product number, of text searches only.
pub(super) fn page(
    state: &State,
    query: &SearchQuery,
    docs: &RoaringBitmap,
    scores: &[u32],
    frozen: Option<Frozen>,
    place: Option<&Place>,
) -> Result<Rows, Problem> {
    let limit = query.limit.row_count();
    let mut found = sorted(
        state,
        query.sort,
        docs,
        scores,
        place,
        limit.saturating_add(1),
    );
    let more = found.len() > limit;
    found.truncate(limit);
    let last = found.last().copied().filter(|_| more);
    let next = last
        .and_then(|doc| state.place_of(doc, query.sort, scores, frozen))
        .map(|place| place.write(query))
        .transpose()?;
    let ids = found
        .iter()
        .filter_map(|doc| state.docs.keys(*doc).map(|keys| keys.id))
        .collect();
    Ok(Rows { ids, next })
}

impl State {
    fn place_of(
        &self,
        doc: Doc,
        sort: Sort,
        scores: &[u32],
        frozen: Option<Frozen>,
    ) -> Option<Place> {
        let keys = self.docs.keys(doc)?;
        let name = || Some(self.docs.row(doc)?.texts.name().lower());
        let key = match sort {
            Sort::Price | Sort::PriceDescending => Key::Price(keys.price),
            Sort::Newest => Key::Created(keys.created),
            Sort::Name => Key::Name(name()?),
            Sort::Relevance => Key::Score(score(scores, doc), name()?),
        };
        Some(Place {
            key,
            id: keys.id,
            frozen,
        })
    }

    fn name(&self, doc: Doc) -> Name<'_> {
        let row = self.docs.row(doc);
        row.map_or(Name::new(""), |row| row.texts.name())
    }
}

/// How well a product fits a text.
pub(super) fn score(scores: &[u32], doc: Doc) -> u32 {
    scores.get(at(doc)).copied().unwrap_or(0)
}

/// The first `count` of `docs` after `place`.
fn sorted(
    state: &State,
    sort: Sort,
    docs: &RoaringBitmap,
    scores: &[u32],
    place: Option<&Place>,
    count: usize,
) -> Vec<Doc> {
    let rows = docs
        .iter()
        .filter_map(|doc| state.docs.keys(doc).map(|keys| (doc, keys)));
    let id = place.map(|place| place.id);
    let key = place.map(|place| &place.key);
    match sort {
        Sort::Price => {
            let after = key.and_then(number).zip(id);
            first(
                rows.map(|(doc, keys)| ((keys.price, keys.id), doc)),
                after,
                count,
            )
        }
        Sort::PriceDescending => {
            let after = key.and_then(number).map(Reverse).zip(id);
            let keyed = rows.map(|(doc, keys)| ((Reverse(keys.price), keys.id), doc));
            first(keyed, after, count)
        }
        Sort::Newest => {
            let after = key.and_then(number).map(Reverse).zip(id);
            // Newer products tend to have higher numbers: met first, they leave little to sort.
            let keyed = rows
                .rev()
                .map(|(doc, keys)| ((Reverse(keys.created), keys.id), doc));
            first(keyed, after, count)
        }
        Sort::Name => {
            let after = key.and_then(name).zip(id);
            let keyed = rows.map(|(doc, keys)| (((keys.head, state.name(doc)), keys.id), doc));
            first(keyed, after, count)
        }
        Sort::Relevance => {
            let after = match key {
                Some(Key::Score(score, text)) => {
                    id.map(|id| ((Reverse(*score), head(text), Name::new(text)), id))
                }
                _ => None,
            };
            let keyed = rows.map(|(doc, keys)| {
                let fit = Reverse(score(scores, doc));
                (((fit, keys.head, state.name(doc)), keys.id), doc)
            });
            first(keyed, after, count)
        }
    }
}

fn number(key: &Key) -> Option<i64> {
    match key {
        Key::Price(number) | Key::Created(number) => Some(*number),
        Key::Name(_) | Key::Score(..) => None,
    }
}

fn name(key: &Key) -> Option<(u64, Name<'_>)> {
    match key {
        Key::Name(text) => Some((head(text), Name::new(text))),
        Key::Price(_) | Key::Created(_) | Key::Score(..) => None,
    }
}

/// The `count` least rows above `after`, in order, in one pass and little memory.
pub(super) fn first<K: Ord + Copy>(
    rows: impl Iterator<Item = (K, Doc)>,
    after: Option<K>,
    count: usize,
) -> Vec<Doc> {
    let room = count.saturating_mul(4).max(64);
    let mut kept: Vec<(K, Doc)> = Vec::with_capacity(room);
    let mut bound: Option<K> = None;
    for row in rows {
        let late = bound.is_some_and(|bound| row.0 > bound);
        if late || after.is_some_and(|after| row.0 <= after) {
            continue;
        }
        kept.push(row);
        if kept.len() == room {
            kept.sort_unstable();
            kept.truncate(count);
            bound = kept.last().map(|(key, _)| *key);
        }
    }
    kept.sort_unstable();
    kept.truncate(count);
    kept.into_iter().map(|(_, doc)| doc).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::first;

    proptest! {
        #[test]
        fn the_first_rows_are_those_of_the_whole_list_in_order(
            keys in prop::collection::vec(0_u16..400, 0..600),
            after in prop::option::of(0_u16..400),
            count in 1_usize..40,
        ) {
            let rows = || keys.iter().zip(0_u32..).map(|(key, doc)| ((*key, doc), doc));
            let after = after.map(|key| (key, 300_u32));
            let mut expected: Vec<_> = rows().filter(|(key, _)| after.is_none_or(|a| *key > a)).collect();
            expected.sort_unstable();
            let expected: Vec<u32> = expected.into_iter().take(count).map(|(_, doc)| doc).collect();
            prop_assert_eq!(first(rows(), after, count), expected);
        }
    }
}
