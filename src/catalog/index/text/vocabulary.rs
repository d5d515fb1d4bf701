//! Every word of the catalogue and the products that hold it.

use super::{
    super::docs::{Doc, at},
    sorted::Sorted,
    spellings::Spellings,
};

/// The number of a word.
pub(in super::super) type TermId = u32;

/// Bits of a posting that say in which places of the product the word stands.
const PLACE_BITS: u32 = 5;
const PLACE_MASK: u32 = (1 << PLACE_BITS) - 1;

/// A product and the places in it where a word stands, in one number: 134 million products.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Posting(u32);

impl Posting {
    fn new(doc: Doc, mask: u8) -> Self {
        Self((doc << PLACE_BITS) | (u32::from(mask) & PLACE_MASK))
    }

    pub(super) fn doc(self) -> Doc {
        self.0 >> PLACE_BITS
    }

    pub(super) fn mask(self) -> u8 {
        u8::try_from(self.0 & PLACE_MASK).unwrap_or_default()
    }
}

/// Ascending by product. Most words stand in one product only, which costs no allocation.
#[derive(Debug)]
enum Postings {
    One(Posting),
    Many(Vec<Posting>),
}

impl Postings {
    fn as_slice(&self) -> &[Posting] {
        match self {
            Self::One(posting) => std::slice::from_ref(posting),
            Self::Many(postings) => postings,
        }
    }

    fn set(&mut self, new: Posting) {
        match self {
            Self::One(posting) if posting.doc() == new.doc() => *posting = new,
            Self::One(posting) => {
                let mut both = vec![*posting, new];
                both.sort_unstable();
                *self = Self::Many(both);
            }
            Self::Many(postings) => {
                match postings.binary_search_by_key(&new.doc(), |posting| posting.doc()) {
                    Ok(found) => {
                        if let Some(posting) = postings.get_mut(found) {
                            *posting = new;
                        }
                    }
                    Err(gap) => postings.insert(gap, new),
                }
            }
        }
    }

    /// Returns whether nothing is left.
    fn remove(&mut self, doc: Doc) -> bool {
        match self {
            Self::One(posting) => posting.doc() == doc,
            Self::Many(postings) => {
                if let Ok(found) = postings.binary_search_by_key(&doc, |posting| posting.doc()) {
                    postings.remove(found);
                }
                postings.is_empty()
            }
        }
    }
}

/// What can be told of a word without reading it: enough to rule out most others.
#[derive(Debug, Clone, Copy)]
struct Sketch {
    term: TermId,
    letters: u32,
}

/// All words, by number, by spelling and by length.
#[derive(Debug, Default)]
pub(in super::super) struct Vocabulary {
    words: Spellings,
    /// By the word's number.
    postings: Vec<Postings>,
    sorted: Sorted,
    /// Words that are not among the sorted ones yet.
    unsorted: Vec<TermId>,
    /// Only words that may be meant by a mistyped one.
    by_length: Vec<Vec<Sketch>>,
}

impl Vocabulary {
    /// Says that `word` stands in `doc` at the places of `mask`; returns the word's number.
    ///
    /// A new word is among the longer ones of another only after [`Self::sort`].
    pub(in super::super) fn set(&mut self, word: &str, doc: Doc, mask: u8) -> TermId {
        let posting = Posting::new(doc, mask);
        if let Some(id) = self.words.find(word) {
            if let Some(postings) = self.postings.get_mut(at(id)) {
                postings.set(posting);
            }
            return id;
        }
        let id = self.words.add(word);
        let postings = Postings::One(posting);
        match self.postings.get_mut(at(id)) {
            Some(slot) => *slot = postings,
            None => self.postings.push(postings),
        }
        self.unsorted.push(id);
        if may_be_mistyped(word) {
            let length = word.chars().count();
            if self.by_length.len() <= length {
                self.by_length.resize_with(length + 1, Vec::new);
            }
            if let Some(bucket) = self.by_length.get_mut(length) {
                let letters = letters(word);
                bucket.push(Sketch { term: id, letters });
            }
        }
        id
    }

    /// Takes new words among the sorted ones: once for many, because that is much quicker.
    pub(in super::super) fn sort(&mut self) {
        let new = std::mem::take(&mut self.unsorted);
        self.sorted.merge(new, &self.words);
    }

    /// Gives back the memory that was taken in advance.
    pub(in super::super) fn shrink(&mut self) {
        self.words.shrink();
        self.postings.shrink_to_fit();
        self.by_length.iter_mut().for_each(Vec::shrink_to_fit);
        for postings in &mut self.postings {
            if let Postings::Many(many) = postings {
                many.shrink_to_fit();
            }
        }
    }

    /// Says that the word no longer stands in `doc`; a word that stands nowhere is forgotten.
    pub(in super::super) fn unset(&mut self, id: TermId, doc: Doc) {
        let Some(postings) = self.postings.get_mut(at(id)) else {
            return;
        };
        if !postings.remove(doc) {
            return;
        }
        *postings = Postings::Many(Vec::new());
        self.sort();
        self.sorted.remove(id, &self.words);
        let word = self.words.word(id);
        if may_be_mistyped(word)
            && let Some(bucket) = self.by_length.get_mut(word.chars().count())
        {
            bucket.retain(|sketch| sketch.term != id);
        }
        self.words.remove(id);
    }

    /// The products that hold exactly `word`.
    pub(super) fn exact(&self, word: &str) -> &[Posting] {
        self.words.find(word).map_or(&[], |id| self.postings(id))
    }

    /// The products of each longer word that begins with `start`.
    pub(super) fn longer<'a>(&'a self, start: &'a str) -> impl Iterator<Item = &'a [Posting]> {
        self.sorted
            .from(start, &self.words)
            .map(|id| (self.words.word(id), id))
            .skip_while(move |(word, _)| *word == start)
            .take_while(move |(word, _)| word.starts_with(start))
            .map(|(_, id)| self.postings(id))
    }

    /// Words without digits that may differ from `word` in at most `edits` letters, or only begin like it where
    /// `typed` says that the end may be missing. A coarse sieve: the caller compares.
    pub(super) fn near<'a>(
        &'a self,
        word: &str,
        edits: u8,
        typed: bool,
    ) -> impl Iterator<Item = (&'a str, &'a [Posting])> {
        let edits = usize::from(edits);
        let length = word.chars().count();
        let shortest = length.saturating_sub(edits);
        let longest = if typed {
            usize::MAX
        } else {
            length.saturating_add(edits)
        };
        let sought = letters(word);
        let fits = move |candidate: u32| {
            let missing = at((sought & !candidate).count_ones());
            let extra = at((candidate & !sought).count_ones());
            missing <= edits && (typed || extra <= edits)
        };
        self.by_length
            .iter()
            .enumerate()
            .filter(move |(length, _)| (shortest..=longest).contains(length))
            .flat_map(|(_, bucket)| bucket)
            .filter(move |sketch| fits(sketch.letters))
            .map(|sketch| (self.words.word(sketch.term), self.postings(sketch.term)))
    }

    /// Whether nothing is left behind, for tests.
    #[cfg(test)]
    pub(in super::super) fn is_empty(&self) -> bool {
        self.words.is_empty()
            && self.sorted.is_empty()
            && self.unsorted.is_empty()
            && self.by_length.iter().all(Vec::is_empty)
    }

    fn postings(&self, id: TermId) -> &[Posting] {
        self.postings.get(at(id)).map_or(&[], Postings::as_slice)
    }
}

/// Whether the word is one of letters: numbers and models are meant as they are typed.
fn may_be_mistyped(word: &str) -> bool {
    !word.bytes().any(|byte| byte.is_ascii_digit())
}

/// One bit for each letter that occurs, digits and all other letters folded together.
fn letters(word: &str) -> u32 {
    word.chars()
        .fold(0, |set, c| set | (1 << (u32::from(c) % 32)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn docs(postings: &[Posting]) -> Vec<(Doc, u8)> {
        postings.iter().map(|p| (p.doc(), p.mask())).collect()
    }

    #[test]
    fn a_word_knows_its_products_and_is_forgotten_with_the_last() {
        let mut words = Vocabulary::default();
        let id = words.set("mug", 7, 1);
        assert_eq!(words.set("mug", 3, 16), id);
        assert_eq!(words.set("mug", 7, 2), id);
        assert_eq!(docs(words.exact("mug")), [(3, 16), (7, 2)]);
        words.unset(id, 3);
        words.unset(id, 7);
        assert!(words.exact("mug").is_empty());
        assert_eq!(words.near("mug", 2, true).count(), 0);
        assert_eq!(words.set("cup", 1, 1), id);
    }

    #[test]
    fn longer_words_leave_the_word_itself_out() {
        let mut words = Vocabulary::default();
        for (doc, word) in ["cor", "cors", "corsair", "core", "cos"].iter().enumerate() {
            words.set(word, u32::try_from(doc).unwrap(), 1);
        }
        words.sort();
        let found: Vec<_> = words.longer("cor").flat_map(docs).collect();
        assert_eq!(found, [(3, 1), (1, 1), (2, 1)]);
    }
}
