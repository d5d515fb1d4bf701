//! How many typing errors lie between two words.

use super::words::MAX_WORD_CHARS;

/// What a word that was meant may differ by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Errors {
    /// Between the whole words; more than the limit means "too many".
    pub(super) whole: u8,
    /// Between what was typed and the best beginning of the word that may be meant.
    pub(super) beginning: u8,
}

/// Counts the insertions, deletions, replacements and swaps of neighbours that turn `typed` into
/// `meant` (optimal string alignment), as far as `limit`; anything above counts as `limit + 1`.
///
/// Of `typed`, only the first [`MAX_WORD_CHARS`] letters count.
pub(super) fn errors(typed: &[char], meant: &str, limit: u8) -> Errors {
    let too_many = limit.saturating_add(1);
    let typed = typed.get(..MAX_WORD_CHARS).unwrap_or(typed);
    let length = u8::try_from(typed.len()).unwrap_or(u8::MAX);
    let (mut older, mut old, mut row) = (Row::start(), Row::start(), Row::start());
    let mut beginning = length;
    let mut before = None;
    let mut hopeless = false;
    let mut letters = meant.chars();
    // A word that is longer than this has too many letters; its beginning lies before.
    for (first, letter) in (1..=length.saturating_add(limit)).zip(letters.by_ref()) {
        row.fill(typed, letter, before, &old, &older, first);
        beginning = beginning.min(row.last(typed.len()));
        // A swap reaches back two rows: only two hopeless rows in a row end it.
        let was_hopeless = std::mem::replace(&mut hopeless, row.least(typed.len()) > limit);
        if hopeless && was_hopeless {
            return Errors {
                whole: too_many,
                beginning: beginning.min(too_many),
            };
        }
        std::mem::swap(&mut older, &mut old);
        std::mem::swap(&mut old, &mut row);
        before = Some(letter);
    }
    let whole = if letters.next().is_none() {
        old.last(typed.len())
    } else {
        too_many
    };
    Errors {
        whole: whole.min(too_many),
        beginning: beginning.min(too_many),
    }
}

/// What it costs to turn each beginning of what was typed into one beginning of what was meant.
#[derive(Clone, Copy)]
struct Row([u8; MAX_WORD_CHARS + 1]);

impl Row {
    /// The costs of an empty beginning: everything typed is too much.
    fn start() -> Self {
        let mut costs = [0; MAX_WORD_CHARS + 1];
        costs.iter_mut().zip(0..).for_each(|(cost, n)| *cost = n);
        Self(costs)
    }

    fn fill(
        &mut self,
        typed: &[char],
        letter: char,
        before: Option<char>,
        old: &Self,
        older: &Self,
        first: u8,
    ) {
        let mut slots = self.0.iter_mut();
        if let Some(slot) = slots.next() {
            *slot = first;
        }
        let mut left_cost = first;
        let mut left_letter = None;
        let diagonals = old.0.iter().zip(old.0.iter().skip(1));
        let swaps = std::iter::once(&u8::MAX).chain(&older.0);
        for (((&other, slot), (diagonal, above)), swap) in
            typed.iter().zip(slots).zip(diagonals).zip(swaps)
        {
            let mut cost = diagonal + u8::from(other != letter);
            cost = cost.min(left_cost + 1).min(above + 1);
            if left_letter == Some(letter) && before == Some(other) {
                cost = cost.min(swap.saturating_add(1));
            }
            *slot = cost;
            left_cost = cost;
            left_letter = Some(other);
        }
    }

    fn last(&self, length: usize) -> u8 {
        self.0.get(length).copied().unwrap_or(u8::MAX)
    }

    fn least(&self, length: usize) -> u8 {
        let costs = self.0.iter().take(length + 1);
        costs.min().copied().unwrap_or(u8::MAX)
    }
}

/// How many errors `word` may have: one from four letters, two from eight, none in a number or
/// model, where another digit is another thing.
pub(super) fn tolerated(word: &[char]) -> u8 {
    if word.iter().any(char::is_ascii_digit) {
        return 0;
    }
    match word.len() {
        0..=3 => 0,
        4..=7 => 1,
        _ => 2,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn whole(typed: &str, meant: &str, limit: u8) -> u8 {
        errors(&typed.chars().collect::<Vec<_>>(), meant, limit).whole
    }

    /// The textbook's recursion.
    fn naive(a: &[char], b: &[char]) -> u8 {
        let ([.., x], [.., y]) = (a, b) else {
            return u8::try_from(a.len() + b.len()).unwrap();
        };
        let (rest_a, rest_b) = (&a[..a.len() - 1], &b[..b.len() - 1]);
        let mut best = (naive(rest_a, rest_b) + u8::from(x != y))
            .min(naive(rest_a, b) + 1)
            .min(naive(a, rest_b) + 1);
        if let ([.., v, _], [.., w, _]) = (a, b)
            && v == y
            && w == x
        {
            best = best.min(naive(&a[..a.len() - 2], &b[..b.len() - 2]) + 1);
        }
        best
    }

    #[test]
    fn a_swap_of_neighbours_is_one_error() {
        assert_eq!(whole("corsiar", "corsair", 2), 1);
        assert_eq!(whole("keybord", "keyboard", 2), 1);
        assert_eq!(whole("mouse", "mouse", 2), 0);
        assert_eq!(whole("mouse", "monitor", 2), 3);
    }

    #[test]
    fn the_beginning_of_a_word_counts_by_itself() {
        let typed: Vec<char> = "cosai".chars().collect();
        let found = errors(&typed, "corsair", 1);
        assert_eq!((found.whole, found.beginning), (2, 1));
    }

    #[test]
    fn words_of_any_length_are_compared() {
        let long: Vec<char> = "a".repeat(300).chars().collect();
        assert_eq!(errors(&long, &"a".repeat(40), 2).whole, 0);
        assert_eq!(
            errors(&['a'; 9], &"a".repeat(999), 2),
            Errors {
                whole: 3,
                beginning: 0
            }
        );
        assert_eq!(
            errors(&[], "", 2),
            Errors {
                whole: 0,
                beginning: 0
            }
        );
    }

    proptest! {
        #[test]
        fn errors_agree_with_the_textbook(
            typed in "[abc]{0,6}", meant in "[abc]{0,6}", limit in 0_u8..4,
        ) {
            let (a, b): (Vec<char>, Vec<char>) = (typed.chars().collect(), meant.chars().collect());
            let found = errors(&a, &meant, limit);
            prop_assert_eq!(found.whole, naive(&a, &b).min(limit + 1));
            let best = (0..=b.len()).map(|end| naive(&a, &b[..end])).min().unwrap();
            prop_assert_eq!(found.beginning, best.min(limit + 1));
        }
    }
}
