//! Cuts text into the words that are stored and looked for.

use super::{super::docs::at, fold, spellings::Spellings};

/// The most characters of a word that count.
pub(super) const MAX_WORD_CHARS: usize = 40;
/// The most parts of a compound that are also kept as one word.
const MAX_JOINED_PARTS: usize = 6;
/// The most different words of one product; titles and SKUs come before descriptions.
const MAX_TERMS: usize = 2_000;

/// Where in a product a word stands, in order of weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Place {
    /// The title.
    Title,
    /// The brand or an SKU.
    Label,
    /// The type or a category.
    Kind,
    /// A searchable attribute.
    Attribute,
    /// The description.
    Description,
}

impl Place {
    /// The place as one bit of a mask.
    pub(super) const fn bit(self) -> u8 {
        match self {
            Self::Title => 1,
            Self::Label => 2,
            Self::Kind => 4,
            Self::Attribute => 8,
            Self::Description => 16,
        }
    }

    /// The weight of the weightiest place in `mask`.
    pub(super) const fn weight(mask: u8) -> u16 {
        match mask.trailing_zeros() {
            0 => 16,
            1 => 12,
            2 => 6,
            3 => 4,
            _ => 1,
        }
    }
}

/// Words that most products have room for without taking more memory.
const USUAL_TERMS: usize = 112;

/// The words of one product, each with the places where it stands.
#[derive(Debug)]
pub(in super::super) struct Terms {
    words: Spellings,
    /// By the word's number.
    places: Vec<u8>,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            words: Spellings::with_room(USUAL_TERMS),
            places: Vec::with_capacity(USUAL_TERMS),
        }
    }
}

impl Terms {
    /// Adds the words of running text.
    ///
    /// `RTX 4090`, `RTX4090` and `RTX-4090` all give `rtx`, `4090` and `rtx4090`.
    pub(in super::super) fn add_text(&mut self, text: &str, place: Place) {
        let folded = fold(text);
        let mut before: Option<&str> = None;
        for compound in folded.split(' ') {
            self.add_joined(compound, place);
            for part in parts(compound) {
                self.add(part, place);
                for piece in pieces(part) {
                    self.add(piece, place);
                }
                if let Some(before) = before.filter(|before| is_model(before, part)) {
                    self.add(&format!("{before}{part}"), place);
                }
                before = Some(part);
            }
        }
    }

    /// Adds an SKU: whole and in the parts it is written in, but not cut any finer.
    pub(in super::super) fn add_sku(&mut self, sku: &str) {
        for compound in fold(sku).split(' ') {
            self.add_joined(compound, Place::Label);
            for part in parts(compound) {
                self.add(part, Place::Label);
            }
        }
    }

    fn add_joined(&mut self, compound: &str, place: Place) {
        if let Some(joined) = joined(compound) {
            self.add(&joined, place);
        }
    }

    fn add(&mut self, word: &str, place: Place) {
        let word = cut(word);
        if let Some(known) = self.words.find(word) {
            if let Some(mask) = self.places.get_mut(at(known)) {
                *mask |= place.bit();
            }
        } else if self.places.len() < MAX_TERMS {
            self.words.add(word);
            self.places.push(place.bit());
        }
    }

    /// The words with their places' bits.
    pub(in super::super) fn iter(&self) -> impl Iterator<Item = (&str, u8)> {
        let words = (0..).map(|number| self.words.word(number));
        words.zip(self.places.iter().copied())
    }
}

/// The parts of a compound such as `12-400` or `men's`.
pub(super) fn parts(compound: &str) -> impl Iterator<Item = &str> {
    compound
        .split(|c: char| !c.is_alphanumeric())
        .filter(|part| !part.is_empty())
}

/// The compound as one word, where it has a few parts: `12400`, `mens`.
pub(super) fn joined(compound: &str) -> Option<String> {
    let count = parts(compound).count();
    (2..=MAX_JOINED_PARTS)
        .contains(&count)
        .then(|| parts(compound).collect())
}

/// The word as far as it counts.
pub(super) fn cut(word: &str) -> &str {
    word.char_indices()
        .nth(MAX_WORD_CHARS)
        .and_then(|(end, _)| word.get(..end))
        .unwrap_or(word)
}

/// `16gb` gives `16` and `gb`; single letters are left out, and words of one piece.
fn pieces(part: &str) -> impl Iterator<Item = &str> {
    let mut rest = part;
    std::iter::from_fn(move || {
        let digits = is_number(rest.get(..rest.chars().next()?.len_utf8())?);
        let end = rest
            .char_indices()
            .find(|(_, c)| c.is_ascii_digit() != digits)
            .map_or(rest.len(), |(at, _)| at);
        let (piece, after) = rest.split_at_checked(end)?;
        rest = after;
        Some(piece)
    })
    .filter(move |piece| piece.len() < part.len() && (is_number(piece) || piece.len() > 1))
}

/// Whether two neighbours are one name: letters then digits, or a number and its unit.
fn is_model(left: &str, right: &str) -> bool {
    let is_word = |text: &str| text.chars().all(char::is_alphabetic);
    (is_word(left) && is_number(right)) || (is_number(left) && is_word(right))
}

/// Whether the word is digits only.
fn is_number(word: &str) -> bool {
    word.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Vec<String> {
        let mut terms = Terms::default();
        terms.add_text(text, Place::Title);
        let mut words: Vec<_> = terms.iter().map(|(word, _)| word.to_owned()).collect();
        words.sort();
        words
    }

    #[test]
    fn a_model_is_found_however_it_is_written() {
        for spelling in ["RTX 4090", "rtx4090", "RTX-4090", "(Rtx/4090)"] {
            assert_eq!(text(spelling), ["4090", "rtx", "rtx4090"], "{spelling}");
        }
        assert_eq!(text("12-400"), ["12", "12400", "400"]);
        assert_eq!(text("16 GB"), ["16", "16gb", "gb"]);
        assert_eq!(text("16GB"), ["16", "16gb", "gb"]);
        assert_eq!(text("i5"), ["5", "i5"]);
    }

    #[test]
    fn an_sku_is_not_cut_into_pieces() {
        let mut terms = Terms::default();
        terms.add_sku("CMW16GX4-2C");
        let mut words: Vec<_> = terms.iter().collect();
        words.sort_unstable();
        assert_eq!(words, [("2c", 2), ("cmw16gx4", 2), ("cmw16gx42c", 2)]);
    }

    #[test]
    fn a_word_remembers_every_place() {
        let mut terms = Terms::default();
        terms.add_text("mug", Place::Title);
        terms.add_text("a mug", Place::Description);
        assert!(terms.iter().any(|found| found == ("mug", 17)));
        assert_eq!(Place::weight(17), 16);
    }

    #[test]
    fn words_and_products_of_any_length_are_bounded() {
        assert_eq!(text(&"ä".repeat(9_999)), ["a".repeat(MAX_WORD_CHARS)]);
        let many: Vec<String> = (0..9_999).map(|n| n.to_string()).collect();
        assert_eq!(text(&many.join(" ")).len(), MAX_TERMS);
    }
}
