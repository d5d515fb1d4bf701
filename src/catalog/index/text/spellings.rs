//! Numbered words in one piece of memory.
//!
//! A catalogue of 50,000 products has some 250,000 words of ten letters: an allocation for each would cost
//! more than the letters.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};

use super::super::docs::at;

/// So many letters of forgotten words may lie about, however few letters there are.
const MAX_FORGOTTEN: usize = 64 * 1024;

/// Where a word lies. Words are cut at 40 characters, 160 bytes at most.
#[derive(Debug, Clone, Copy, Default)]
struct Span {
    start: u32,
    bytes: u8,
}

/// Words by number, and numbers by word.
#[derive(Debug, Default)]
pub(super) struct Spellings {
    letters: String,
    spans: Vec<Span>,
    numbers: HashTable<u32>,
    hasher: DefaultHashBuilder,
    free: Vec<u32>,
    /// How many of the letters are of no word any more.
    forgotten: usize,
}

fn spelt<'a>(letters: &'a str, spans: &[Span], number: u32) -> &'a str {
    spans.get(at(number)).map_or("", |span| {
        let start = at(span.start);
        letters
            .get(start..start + usize::from(span.bytes))
            .unwrap_or("")
    })
}

impl Spellings {
    /// With room for so many words of usual length.
    pub(super) fn with_room(words: usize) -> Self {
        Self {
            letters: String::with_capacity(words.saturating_mul(8)),
            spans: Vec::with_capacity(words),
            numbers: HashTable::with_capacity(words),
            ..Self::default()
        }
    }

    /// The word of a number; empty where the number is free.
    pub(super) fn word(&self, number: u32) -> &str {
        spelt(&self.letters, &self.spans, number)
    }

    /// The number of a word.
    pub(super) fn find(&self, word: &str) -> Option<u32> {
        let hash = self.hasher.hash_one(word);
        let found = self.numbers.find(hash, |known| self.word(*known) == word);
        found.copied()
    }

    /// Adds a word that is not known; returns its number.
    pub(super) fn add(&mut self, word: &str) -> u32 {
        let span = Span {
            start: u32::try_from(self.letters.len()).unwrap_or(u32::MAX),
            bytes: u8::try_from(word.len()).unwrap_or(u8::MAX),
        };
        self.letters.push_str(word);
        let number = if let Some(number) = self.free.pop() {
            if let Some(slot) = self.spans.get_mut(at(number)) {
                *slot = span;
            }
            number
        } else {
            self.spans.push(span);
            u32::try_from(self.spans.len() - 1).unwrap_or(u32::MAX)
        };
        let (letters, spans, hasher) = (&self.letters, &self.spans, &self.hasher);
        self.numbers
            .insert_unique(hasher.hash_one(word), number, |known| {
                hasher.hash_one(spelt(letters, spans, *known))
            });
        number
    }

    /// Forgets the word of a number; the number is given out again.
    pub(super) fn remove(&mut self, number: u32) {
        let word = spelt(&self.letters, &self.spans, number);
        let entry = self
            .numbers
            .find_entry(self.hasher.hash_one(word), |known| *known == number);
        if let Ok(entry) = entry {
            entry.remove();
            self.forgotten += word.len();
            self.free.push(number);
            if let Some(span) = self.spans.get_mut(at(number)) {
                *span = Span::default();
            }
        }
        if self.forgotten > MAX_FORGOTTEN.max(self.letters.len() / 2) {
            self.compact();
        }
    }

    fn compact(&mut self) {
        let mut letters = String::with_capacity(self.letters.len() - self.forgotten);
        for span in &mut self.spans {
            let start = at(span.start);
            let word = self.letters.get(start..start + usize::from(span.bytes));
            span.start = u32::try_from(letters.len()).unwrap_or(u32::MAX);
            letters.push_str(word.unwrap_or(""));
        }
        self.letters = letters;
        self.forgotten = 0;
    }

    /// Gives back the memory that was taken in advance.
    pub(super) fn shrink(&mut self) {
        self.letters.shrink_to_fit();
        self.spans.shrink_to_fit();
        let (letters, spans, hasher) = (&self.letters, &self.spans, &self.hasher);
        self.numbers
            .shrink_to_fit(|known| hasher.hash_one(spelt(letters, spans, *known)));
    }

    /// Whether no word is known, for tests.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.numbers.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_given_out_again() {
        let mut words = Spellings::default();
        let (mug, cup) = (words.add("mug"), words.add("cup"));
        words.remove(mug);
        assert_eq!((words.find("mug"), words.word(mug)), (None, ""));
        assert_eq!((words.add("teapot"), words.find("cup")), (mug, Some(cup)));
        assert_eq!(words.word(mug), "teapot");
    }

    #[test]
    fn letters_of_forgotten_words_do_not_pile_up() {
        let mut words = Spellings::default();
        let kept = words.add("kept");
        for n in 0..100_000 {
            let word = words.add(&format!("word{n}"));
            words.remove(word);
        }
        assert_eq!(words.word(kept), "kept");
        assert_eq!(words.find("kept"), Some(kept));
        assert!(words.letters.len() <= MAX_FORGOTTEN + 100);
    }
}
