//! How many typing errors lie between two words.

/// What a word that was meant may differ by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Errors {
    /// Between the whole words; more than the limit means "too many".
    pub(super) whole: usize,
    /// Between what was typed and the best beginning of the word that may be meant.
    pub(super) beginning: usize,
}

/// Counts the insertions, deletions, replacements and swaps of neighbours that turn `typed` into
/// `meant` (optimal string alignment), as far as `limit`; anything above counts as `limit + 1`.
pub(super) fn errors(typed: &[char], meant: &str, limit: usize) -> Errors {
    let too_many = limit.saturating_add(1);
    let mut older: Vec<usize> = Vec::new();
    let mut old: Vec<usize> = (0..=typed.len()).collect();
    let mut beginning = typed.len();
    let mut before = None;
    for (index, letter) in meant.chars().enumerate() {
        let row = next_row(typed, letter, before, &old, &older, index + 1);
        let least = row.iter().min().copied().unwrap_or(too_many);
        beginning = beginning.min(row.last().copied().unwrap_or(too_many));
        older = std::mem::replace(&mut old, row);
        before = Some(letter);
        // A swap reaches back two rows: only two hopeless rows in a row end it.
        if least > limit && older.iter().all(|cost| *cost > limit) {
            return Errors {
                whole: too_many,
                beginning: beginning.min(too_many),
            };
        }
    }
    Errors {
        whole: old.last().copied().unwrap_or(too_many).min(too_many),
        beginning: beginning.min(too_many),
    }
}

fn next_row(
    typed: &[char],
    letter: char,
    before: Option<char>,
    old: &[usize],
    older: &[usize],
    first: usize,
) -> Vec<usize> {
    let cost = |row: &[usize], column: usize| row.get(column).copied().unwrap_or(usize::MAX / 2);
    let mut row = Vec::with_capacity(old.len());
    row.push(first);
    let mut left = None;
    for (column, &other) in typed.iter().enumerate() {
        let replaced = cost(old, column) + usize::from(other != letter);
        let changed = cost(&row, column).min(cost(old, column + 1)) + 1;
        let mut best = replaced.min(changed);
        if left == Some(letter) && before == Some(other) {
            best = best.min(cost(older, column.saturating_sub(1)) + 1);
        }
        row.push(best);
        left = Some(other);
    }
    row
}

/// How many errors a word of that many letters may have: one from four letters, two from eight.
pub(super) const fn tolerated(letters: usize) -> usize {
    match letters {
        0..=3 => 0,
        4..=7 => 1,
        _ => 2,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn whole(typed: &str, meant: &str, limit: usize) -> usize {
        errors(&typed.chars().collect::<Vec<_>>(), meant, limit).whole
    }

    /// The textbook's recursion.
    fn naive(a: &[char], b: &[char]) -> usize {
        let ([.., x], [.., y]) = (a, b) else {
            return a.len() + b.len();
        };
        let (rest_a, rest_b) = (&a[..a.len() - 1], &b[..b.len() - 1]);
        let mut best = (naive(rest_a, rest_b) + usize::from(x != y))
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

    proptest! {
        #[test]
        fn errors_agree_with_the_textbook(
            typed in "[abc]{0,6}", meant in "[abc]{0,6}", limit in 0_usize..4,
        ) {
            let (a, b): (Vec<char>, Vec<char>) = (typed.chars().collect(), meant.chars().collect());
            let found = errors(&a, &meant, limit);
            prop_assert_eq!(found.whole, naive(&a, &b).min(limit + 1));
            let best = (0..=b.len()).map(|end| naive(&a, &b[..end])).min().unwrap();
            prop_assert_eq!(found.beginning, best.min(limit + 1));
        }
    }
}
