//! How the values of one field are spread over the products found.

use std::collections::BTreeSet;

use roaring::RoaringBitmap;
use serde_json::Number as JsonNumber;

use super::{
    super::{
        answer::{FacetScalar, FacetValue},
        value::{Number, Scalar},
        values::{Field, FieldId, ValueId, Values},
    },
    MAX_VALUES, rank,
    tally::Tally,
};

/// What a facet shows.
pub(super) enum Content {
    /// The least and the greatest number.
    Range(JsonNumber, JsonNumber),
    /// `true` and `false`.
    Flags(Vec<FacetValue>),
    /// Texts, or values of several kinds as texts.
    Texts(Vec<FacetValue>),
}

/// One field over the products that all other filters let through.
pub(super) struct Spread<'a> {
    pub(super) values: &'a Values,
    pub(super) field: Option<(FieldId, &'a Field)>,
    pub(super) base: &'a RoaringBitmap,
    /// What the query chose of the field.
    pub(super) chosen: Option<&'a BTreeSet<String>>,
    /// Counts over `base`, where they were made.
    pub(super) tally: Option<&'a Tally>,
}

impl Spread<'_> {
    /// What to show; `None` where there is nothing, and nothing was chosen either.
    pub(super) fn content(&self) -> Option<Content> {
        let flags = self.counts(|scalar| matches!(scalar, Scalar::Flag(_)));
        let texts = self.counts(|scalar| matches!(scalar, Scalar::Text(_)));
        let content = match (flags.is_empty(), self.range(), texts.is_empty()) {
            (true, Some((least, greatest)), true) => {
                return Some(Content::Range(least.to_json()?, greatest.to_json()?));
            }
            (false, None, true) => self.flags(&flags),
            (true, None, true) if self.asks_for_flags() => self.flags(&flags),
            (true, None, _) => Content::Texts(self.texts(texts)),
            (_, Some(_), _) | (false, None, false) => Content::Texts(self.mixed()),
        };
        match &content {
            Content::Flags(values) | Content::Texts(values) if values.is_empty() => None,
            Content::Flags(_) | Content::Texts(_) | Content::Range(..) => Some(content),
        }
    }

    /// The values of one kind that any product found has, with how many have it.
    fn counts(&self, kind: impl Fn(&Scalar) -> bool) -> Vec<(&Scalar, u64)> {
        self.all()
            .filter(|(scalar, _)| kind(scalar))
            .map(|(scalar, id)| (scalar, self.count_value(id)))
            .filter(|(_, count)| *count > 0)
            .collect()
    }

    fn all(&self) -> impl DoubleEndedIterator<Item = (&Scalar, ValueId)> {
        let values = self.field.iter().flat_map(|(_, field)| &field.values);
        values.map(|(scalar, id)| (scalar, *id))
    }

    fn count_value(&self, id: ValueId) -> u64 {
        match (self.tally, self.values.docs(id)) {
            (Some(tally), _) => tally.value(id),
            (None, Some(docs)) => docs.intersection_len(self.base),
            (None, None) => 0,
        }
    }

    fn is_found(&self, id: ValueId) -> bool {
        match (self.tally, self.values.docs(id)) {
            (Some(tally), _) => tally.value(id) > 0,
            (None, docs) => docs.is_some_and(|docs| !docs.is_disjoint(self.base)),
        }
    }

    /// The least and the greatest number of the products found.
    fn range(&self) -> Option<(Number, Number)> {
        let number = |(scalar, id): (&Scalar, ValueId)| match scalar {
            Scalar::Number(number) if self.is_found(id) => Some(*number),
            Scalar::Number(_) | Scalar::Flag(_) | Scalar::Text(_) => None,
        };
        let least = self.all().find_map(number)?;
        let greatest = self.all().rev().find_map(number)?;
        Some((least, greatest))
    }

    /// Whether the field holds flags only, and what was chosen are flags.
    fn asks_for_flags(&self) -> bool {
        let last = self.all().next_back();
        let is_flag = |text: &String| text == "true" || text == "false";
        last.is_some_and(|(last, _)| matches!(last, Scalar::Flag(_)))
            && self.chosen.is_none_or(|chosen| chosen.iter().all(is_flag))
    }

    fn flags(&self, counts: &[(&Scalar, u64)]) -> Content {
        let is_chosen = |flag: bool| {
            self.chosen
                .is_some_and(|chosen| chosen.contains(if flag { "true" } else { "false" }))
        };
        let mut values: Vec<FacetValue> = [true, false]
            .into_iter()
            .filter_map(|flag| {
                let found = counts
                    .iter()
                    .find(|(scalar, _)| **scalar == Scalar::Flag(flag));
                let count = found.map_or(0, |(_, count)| *count);
                (count > 0 || is_chosen(flag)).then_some(FacetValue {
                    value: FacetScalar::Flag(flag),
                    count,
                })
            })
            .collect();
        rank(&mut values);
        Content::Flags(values)
    }

    fn texts(&self, counts: Vec<(&Scalar, u64)>) -> Vec<FacetValue> {
        let counted = counts
            .into_iter()
            .map(|(scalar, count)| (scalar.to_string(), count));
        self.cut(counted.collect())
    }

    /// Values of several kinds, each counted as a filter by its text finds it.
    fn mixed(&self) -> Vec<FacetValue> {
        let shown: BTreeSet<String> = self
            .all()
            .filter(|(_, id)| self.is_found(*id))
            .map(|(scalar, _)| scalar.to_string())
            .collect();
        let counted = shown.into_iter().map(|text| {
            let count = self.count(&text);
            (text, count)
        });
        self.cut(counted.collect())
    }

    /// How many of the products a filter by `text` finds.
    fn count(&self, text: &String) -> u64 {
        self.field.map_or(0, |(id, _)| {
            let found = self.values.any_of(id, [text]);
            found.intersection_len(self.base)
        })
    }

    /// Adds what was chosen and cuts what is too much, but nothing that was chosen.
    fn cut(&self, counts: Vec<(String, u64)>) -> Vec<FacetValue> {
        let empty = BTreeSet::new();
        let chosen = self.chosen.unwrap_or(&empty);
        let value = |text: String, count| FacetValue {
            value: FacetScalar::Text(text),
            count,
        };
        let mut values: Vec<FacetValue> = counts
            .into_iter()
            .filter(|(text, _)| !chosen.contains(text))
            .map(|(text, count)| value(text, count))
            .collect();
        rank(&mut values);
        values.truncate(MAX_VALUES.saturating_sub(chosen.len()));
        values.extend(
            chosen
                .iter()
                .map(|text| value(text.clone(), self.count(text))),
        );
        rank(&mut values);
        values
    }
}
