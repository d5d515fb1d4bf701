//! Which products a text means, and how well each fits.
//!
//! A product fits when it has every word of the text. At first words must be spelt as they are,
//! and the last may be unfinished. Only where that finds nothing are the words *loosened*: those
//! that nothing has, or else all, may be unfinished or mistyped, the last even both.

use roaring::RoaringBitmap;
use serde::{Deserialize, Serialize};

use super::{
    super::docs::{Doc, at},
    Place, Vocabulary,
    distance::{errors, tolerated},
    fold,
    vocabulary::Posting,
    words::{cut, joined, parts},
};

/// The most words of a text that count.
const MAX_WORDS: usize = 16;
/// An unfinished word of a search has at least so many letters.
const MIN_UNFINISHED: usize = 2;

/// A single letter begins half of all words: from so many products there is enough to suggest.
const ENOUGH: usize = 4_096;

/// How well a word fits, times the weight of its place.
const EXACT: u16 = 8;
const UNFINISHED: u16 = 5;
const ONE_ERROR: u16 = 3;
const MORE_ERRORS: u16 = 2;
const UNFINISHED_AND_MISTYPED: u16 = 1;

/// One word of a text: a product has it when it has all its parts, or the whole as one word.
#[derive(Debug, PartialEq, Eq)]
struct Word {
    parts: Vec<String>,
    joined: Option<String>,
}

/// A text that is looked for.
#[derive(Debug, PartialEq, Eq)]
pub(in super::super) struct TextQuery {
    words: Vec<Word>,
    min_unfinished: usize,
    /// Beginnings are looked up until so many products are found.
    enough: usize,
}

/// What the first page decides for all pages, so that a list does not change its order while it
/// is read: the weight of each word (its rarity) and which words are loosened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in super::super) struct Frozen {
    weights: Vec<u16>,
    loose: u16,
}

/// The products that a text means.
#[derive(Debug)]
pub(in super::super) struct Found {
    /// The products.
    pub(in super::super) docs: RoaringBitmap,
    /// How well each fits, by product number; nothing is said of others.
    pub(in super::super) scores: Vec<u32>,
    /// What the next pages must use.
    pub(in super::super) frozen: Frozen,
}

/// The products that have a word, and how well each has it.
struct Hits {
    best: Vec<u16>,
    docs: Vec<Doc>,
}

impl Frozen {
    /// Whether the words had to be loosened to find anything.
    pub(in super::super) const fn is_loose(&self) -> bool {
        self.loose != 0
    }
}

impl TextQuery {
    /// A text that was sent off.
    pub(in super::super) fn sent(text: &str) -> Self {
        Self::parse(text, MIN_UNFINISHED)
    }

    /// A text that is still being typed: its last word may be a single letter.
    pub(in super::super) fn typed(text: &str) -> Self {
        let mut query = Self::parse(text, 1);
        if query.words.len() == 1 {
            query.enough = ENOUGH;
        }
        query
    }

    fn parse(text: &str, min_unfinished: usize) -> Self {
        let mut words: Vec<Word> = Vec::new();
        for compound in fold(text).split(' ') {
            let parts: Vec<String> = parts(compound).map(|part| cut(part).to_owned()).collect();
            let joined = joined(compound).map(|whole| cut(&whole).to_owned());
            let word = Word { parts, joined };
            if word.parts.is_empty() {
                continue;
            }
            // A repeated word counts where it stands last: there it may be unfinished.
            words.retain(|other| *other != word);
            words.push(word);
        }
        words.truncate(MAX_WORDS);
        Self {
            words,
            min_unfinished,
            enough: usize::MAX,
        }
    }

    /// Whether each word is one of `names`, the last as far as it is typed.
    ///
    /// Returns how many typing errors that takes; without `loose`, none is forgiven.
    pub(in super::super) fn match_names(&self, names: &[&str], loose: bool) -> Option<u32> {
        let last = self.words.last();
        let mut total = 0_u32;
        for word in &self.words {
            let unfinished = last == Some(word);
            for part in &word.parts {
                total = total.saturating_add(cost(part, names, loose, unfinished)?);
            }
        }
        (!self.words.is_empty()).then_some(total)
    }

    /// Finds the products among `visible`.
    ///
    /// `frozen` is what the first page decided; without it this is the first page. `products` is
    /// how many there are, `rows` how many numbers they take.
    pub(in super::super) fn find(
        &self,
        vocabulary: &Vocabulary,
        visible: &RoaringBitmap,
        products: u64,
        rows: usize,
        frozen: Option<Frozen>,
    ) -> Found {
        let mut search = Search {
            query: self,
            vocabulary,
            rows,
            strict: Vec::new(),
            loosened: Vec::new(),
        };
        if let Some(frozen) = frozen.filter(|frozen| frozen.weights.len() == self.words.len()) {
            search.look(frozen.loose);
            return combine(&search.hits(frozen.loose), visible, frozen);
        }
        let mut found = search.attempt(0, visible, products);
        if found.docs.is_empty() && !self.words.is_empty() {
            let missing = words_where(&search.strict, |hits| !hits.is_seen(visible));
            let all = words_where(&search.strict, |_| true);
            if missing != 0 && missing != all {
                found = search.attempt(missing, visible, products);
            }
            if found.docs.is_empty() {
                found = search.attempt(all, visible, products);
            }
        }
        found
    }
}

/// One bit for each word whose hits are `chosen`.
fn words_where(words: &[Hits], chosen: impl Fn(&Hits) -> bool) -> u16 {
    let words = words.iter().enumerate();
    words
        .filter(|(_, hits)| chosen(hits))
        .fold(0, |set, (word, _)| set | (1 << word))
}

/// The fewest errors that make `part` one of `names`.
fn cost(part: &str, names: &[&str], loose: bool, unfinished: bool) -> Option<u32> {
    let is_one = |name: &&str| *name == part || (unfinished && name.starts_with(part));
    if names.iter().any(is_one) {
        return Some(0);
    }
    let letters: Vec<char> = part.chars().collect();
    let limit = if loose { tolerated(&letters) } else { 0 };
    let fewest = names
        .iter()
        .map(|name| {
            let found = errors(&letters, name, limit);
            if unfinished {
                found.beginning
            } else {
                found.whole
            }
        })
        .min()?;
    (limit > 0 && fewest <= limit).then_some(u32::from(fewest))
}

struct Search<'a> {
    query: &'a TextQuery,
    vocabulary: &'a Vocabulary,
    rows: usize,
    /// Hits of each word as it is.
    strict: Vec<Hits>,
    /// Hits of each word that was loosened so far.
    loosened: Vec<Option<Hits>>,
}

impl Search<'_> {
    /// Looks the words up, those of the bits of `loose` loosened.
    fn look(&mut self, loose: u16) {
        let query = self.query;
        let last = query.words.len().saturating_sub(1);
        if self.strict.is_empty() {
            let words = query.words.iter().enumerate();
            self.strict = words
                .map(|(index, word)| self.word(word, false, index == last))
                .collect();
            self.loosened.resize_with(query.words.len(), || None);
        }
        for (index, word) in query.words.iter().enumerate() {
            if loose & (1 << index) != 0 && self.loosened.get(index).is_some_and(Option::is_none) {
                let hits = self.word(word, true, index == last);
                if let Some(slot) = self.loosened.get_mut(index) {
                    *slot = Some(hits);
                }
            }
        }
    }

    /// The hits that [`Self::look`] found.
    fn hits(&self, loose: u16) -> Vec<&Hits> {
        let words = self.strict.iter().zip(&self.loosened).enumerate();
        words
            .map(|(index, (strict, loosened))| match loosened {
                Some(loosened) if loose & (1 << index) != 0 => loosened,
                _ => strict,
            })
            .collect()
    }

    fn attempt(&mut self, loose: u16, visible: &RoaringBitmap, products: u64) -> Found {
        self.look(loose);
        let hits = self.hits(loose);
        combine(&hits, visible, freeze(&hits, products, loose))
    }

    fn word(&self, word: &Word, loose: bool, last: bool) -> Hits {
        let mut parts = word
            .parts
            .iter()
            .rev()
            .enumerate()
            .map(|(from_end, part)| self.part(part, loose, last && from_end == 0));
        let mut hits = parts.next().unwrap_or_else(|| Hits::none(self.rows));
        for part in parts {
            hits.keep_common(&part);
        }
        if let Some(joined) = &word.joined {
            hits.add(self.vocabulary.exact(joined), EXACT);
            if loose || last {
                self.add_longer(joined, &mut hits);
            }
        }
        hits
    }

    /// Hits of one part; `last` says that it ends the text and may be mistyped and unfinished.
    fn part(&self, part: &str, loose: bool, last: bool) -> Hits {
        let mut hits = Hits::none(self.rows);
        hits.add(self.vocabulary.exact(part), EXACT);
        if loose || last {
            self.add_longer(part, &mut hits);
        }
        let letters: Vec<char> = part.chars().collect();
        let limit = tolerated(&letters);
        if loose && limit > 0 {
            for (word, postings) in self.vocabulary.near(part, limit, last) {
                let found = errors(&letters, word, limit);
                if found.whole <= limit {
                    let quality = if found.whole <= 1 {
                        ONE_ERROR
                    } else {
                        MORE_ERRORS
                    };
                    hits.add(postings, quality);
                } else if last && found.beginning <= limit {
                    hits.add(postings, UNFINISHED_AND_MISTYPED);
                }
            }
        }
        hits
    }

    fn add_longer(&self, start: &str, hits: &mut Hits) {
        if start.chars().count() >= self.query.min_unfinished {
            for postings in self.vocabulary.longer(start) {
                if hits.docs.len() >= self.query.enough {
                    break;
                }
                hits.add(postings, UNFINISHED);
            }
        }
    }
}

impl Hits {
    fn none(rows: usize) -> Self {
        Self {
            best: vec![0; rows],
            docs: Vec::new(),
        }
    }

    fn add(&mut self, postings: &[Posting], quality: u16) {
        for posting in postings {
            let fit = Place::weight(posting.mask()) * quality;
            if let Some(best) = self.best.get_mut(at(posting.doc())) {
                if *best == 0 {
                    self.docs.push(posting.doc());
                }
                *best = fit.max(*best);
            }
        }
    }

    fn is_seen(&self, visible: &RoaringBitmap) -> bool {
        self.docs.iter().any(|doc| visible.contains(*doc))
    }

    fn fit(&self, doc: Doc) -> u16 {
        self.best.get(at(doc)).copied().unwrap_or(0)
    }

    /// Keeps what both have, at the worse fit.
    fn keep_common(&mut self, other: &Self) {
        let best = &mut self.best;
        self.docs.retain(|doc| {
            best.get_mut(at(*doc)).is_some_and(|fit| {
                *fit = other.fit(*doc).min(*fit);
                *fit > 0
            })
        });
    }
}

/// The rarer a word, the more it says: 256 times 1 + log2(products / products with the word).
fn freeze(hits: &[&Hits], products: u64, loose: u16) -> Frozen {
    let weight = |hits: &Hits| {
        let with = u64::try_from(hits.docs.len()).unwrap_or(u64::MAX).max(1);
        let ratio = (products.max(with) << 8) / with;
        let whole = ratio.ilog2();
        let fraction = ((ratio - (1 << whole)) << 8) >> whole;
        let scaled = u64::from(whole.saturating_sub(7)) * 256 + fraction;
        u16::try_from(scaled).unwrap_or(u16::MAX)
    };
    Frozen {
        weights: hits.iter().copied().map(weight).collect(),
        loose,
    }
}

/// Products that every word hits, with the weighted sum of their fits.
fn combine(hits: &[&Hits], visible: &RoaringBitmap, frozen: Frozen) -> Found {
    let mut docs = RoaringBitmap::new();
    let mut scores = Vec::new();
    if let Some(rarest) = hits.iter().min_by_key(|hits| hits.docs.len()) {
        scores.resize(rarest.best.len(), 0);
        let mut common: Vec<Doc> = rarest.docs.clone();
        common.retain(|doc| visible.contains(*doc) && hits.iter().all(|hits| hits.fit(*doc) > 0));
        common.sort_unstable();
        for doc in &common {
            let weighted = hits.iter().zip(&frozen.weights);
            let score = weighted
                .map(|(hits, weight)| u32::from(hits.fit(*doc)) * u32::from(*weight))
                .fold(0, u32::saturating_add);
            if let Some(slot) = scores.get_mut(at(*doc)) {
                *slot = score;
            }
        }
        docs = RoaringBitmap::from_sorted_iter(common).unwrap_or_default();
    }
    Found {
        docs,
        scores,
        frozen,
    }
}
