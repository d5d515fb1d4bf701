//! The words in order of spelling, for what begins alike.

use super::{spellings::Spellings, vocabulary::TermId};

/// The most numbers of a piece; a piece that grows beyond is cut in two.
const MAX_PIECE: usize = 1_024;
/// How full pieces are made, so that they have room to grow.
const PIECE: usize = 768;

/// Numbers of words, ascending by spelling, in pieces so that a new one moves few others.
#[derive(Debug, Default)]
pub(super) struct Sorted {
    /// None is empty.
    pieces: Vec<Vec<TermId>>,
}

impl Sorted {
    /// Sorts `new` and all that are known.
    pub(super) fn merge(&mut self, new: Vec<TermId>, words: &Spellings) {
        if new.len() <= MAX_PIECE {
            for id in new {
                self.insert(id, words);
            }
            return;
        }
        let mut all = new;
        all.extend(self.pieces.drain(..).flatten());
        all.sort_unstable_by(|a, b| words.word(*a).cmp(words.word(*b)));
        self.pieces = all.chunks(PIECE).map(<[TermId]>::to_vec).collect();
    }

    fn insert(&mut self, id: TermId, words: &Spellings) {
        let (at, place) = self.place(words.word(id), words);
        let Some(piece) = self.pieces.get_mut(at) else {
            // After all others.
            match self.pieces.last_mut() {
                Some(last) if last.len() < MAX_PIECE => last.push(id),
                _ => self.pieces.push(vec![id]),
            }
            return;
        };
        piece.insert(place, id);
        if piece.len() > MAX_PIECE {
            let second = piece.split_off(piece.len() / 2);
            self.pieces.insert(at + 1, second);
        }
    }

    /// Forgets a word that is still spelt.
    pub(super) fn remove(&mut self, id: TermId, words: &Spellings) {
        let (at, place) = self.place(words.word(id), words);
        let Some(piece) = self.pieces.get_mut(at) else {
            return;
        };
        if piece.get(place) == Some(&id) {
            piece.remove(place);
        }
        if piece.is_empty() {
            self.pieces.remove(at);
        }
    }

    /// The words that do not come before `word`.
    pub(super) fn from(&self, word: &str, words: &Spellings) -> impl Iterator<Item = TermId> {
        let (at, place) = self.place(word, words);
        let pieces = self.pieces.get(at..).unwrap_or_default();
        pieces.iter().flatten().skip(place).copied()
    }

    /// Where `word` stands or would stand: the piece, and the place in it.
    fn place(&self, word: &str, words: &Spellings) -> (usize, usize) {
        let before = |id: &TermId| words.word(*id) < word;
        let at = self
            .pieces
            .partition_point(|piece| piece.last().is_some_and(before));
        let place = self.pieces.get(at).map_or(0, |p| p.partition_point(before));
        (at, place)
    }

    /// Whether there is none, for tests.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(sorted: &Sorted, words: &Spellings) -> Vec<String> {
        let ids = sorted.from("", words);
        ids.map(|id| words.word(id).to_owned()).collect()
    }

    #[test]
    fn words_stay_in_order_whatever_comes_and_goes() {
        let mut words = Spellings::default();
        let mut sorted = Sorted::default();
        let spelling = |n: u32| format!("{:05}", n.wrapping_mul(7_919) % 5_003);
        let ids: Vec<_> = (0..5_003).map(|n| words.add(&spelling(n))).collect();
        let (many, few) = ids.split_at(2_000);
        sorted.merge(many.to_vec(), &words);
        few.chunks(100)
            .for_each(|some| sorted.merge(some.to_vec(), &words));
        let mut expected: Vec<String> = (0..5_003).map(spelling).collect();
        expected.sort();
        assert_eq!(listed(&sorted, &words), expected);
        let first = sorted.from("04000", &words).next();
        assert_eq!(first.map(|id| words.word(id)), Some("04000"));
        for id in ids {
            sorted.remove(id, &words);
            words.remove(id);
        }
        assert!(sorted.is_empty());
    }
}
