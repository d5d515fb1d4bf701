//! Text search by comparing every word of the text with every word of every product.

use std::collections::HashMap;

use super::{
    Place, Terms,
    distance::errors,
    fold,
    words::{cut, joined, parts},
};
use crate::id::ProductId;

/// A product's words, and whether a search may see the product.
pub(in super::super) struct Read {
    pub(in super::super) id: ProductId,
    pub(in super::super) visible: bool,
    pub(in super::super) terms: Terms,
}

/// The products that the text means, with how well each fits.
pub(in super::super) fn scores(products: &[Read], text: &str) -> HashMap<ProductId, u32> {
    let folded = fold(text);
    let mut words: Vec<&str> = Vec::new();
    for word in folded
        .split(' ')
        .filter(|word| parts(word).next().is_some())
    {
        let same = |other: &&str| parts(other).eq(parts(word)) && joined(other) == joined(word);
        words.retain(|other| !same(other));
        words.push(word);
    }
    words.truncate(16);
    let fits = |loose: &dyn Fn(usize) -> bool| -> Vec<Vec<u32>> {
        let word = |(index, word): (usize, &&str)| {
            let last = index + 1 == words.len();
            let fit = |product: &Read| fit(product, word, loose(index), last);
            products.iter().map(fit).collect()
        };
        words.iter().enumerate().map(word).collect()
    };
    let strict = fits(&|_| false);
    let unseen = |index: usize| {
        let seen = products.iter().zip(&strict[index]);
        !seen
            .into_iter()
            .any(|(product, fit)| product.visible && *fit > 0)
    };
    let mut found = combine(products, &strict);
    if found.is_empty() && !words.is_empty() && (0..words.len()).any(unseen) {
        found = combine(products, &fits(&unseen));
    }
    if found.is_empty() && !words.is_empty() {
        found = combine(products, &fits(&|_| true));
    }
    found
}

fn combine(products: &[Read], fits: &[Vec<u32>]) -> HashMap<ProductId, u32> {
    let total = u64::try_from(products.len()).unwrap();
    let weight = |fits: &Vec<u32>| {
        let with = u64::try_from(fits.iter().filter(|fit| **fit > 0).count()).unwrap();
        let ratio = (total.max(1) * 256) / with.max(1);
        // 256 * (1 + log2(ratio / 256)), straight between powers of two
        let power = (0..64).rev().find(|n| ratio >= 1 << n).unwrap();
        u32::try_from((power - 7) * 256 + (((ratio - (1 << power)) * 256) >> power)).unwrap()
    };
    let weights: Vec<u32> = fits.iter().map(weight).collect();
    let score = |index: usize| {
        let weighted = fits.iter().zip(&weights);
        weighted.map(|(fits, weight)| fits[index] * weight).sum()
    };
    let fitting = products.iter().enumerate().filter(|(index, product)| {
        product.visible && !fits.is_empty() && fits.iter().all(|fits| fits[*index] > 0)
    });
    fitting
        .map(|(index, product)| (product.id, score(index)))
        .collect()
}

/// The best of: all parts (the worst counts), or the compound as one word.
fn fit(product: &Read, word: &str, loose: bool, last: bool) -> u32 {
    let best = |quality: &dyn Fn(&str) -> u32| {
        let terms = product.terms.iter();
        terms
            .map(|(own, mask)| quality(own) * u32::from(Place::weight(mask)))
            .max()
            .unwrap_or(0)
    };
    let all: Vec<&str> = parts(word).map(cut).collect();
    let by_parts = all.iter().enumerate().map(|(index, part)| {
        let ends = last && index + 1 == all.len();
        best(&|own| quality(part, own, loose, ends))
    });
    let whole = joined(word).map(|whole| {
        let own = |own: &str| match own.strip_prefix(cut(&whole)) {
            Some("") => 8,
            Some(_) if loose || last => 5,
            _ => 0,
        };
        best(&own)
    });
    by_parts.min().max(whole).unwrap_or(0)
}

fn quality(sought: &str, own: &str, loose: bool, ends: bool) -> u32 {
    let letters: Vec<char> = sought.chars().collect();
    let tolerated = match letters.len() {
        _ if format!("{sought}{own}").contains(|c: char| c.is_ascii_digit()) => 0,
        0..=3 => 0,
        4..=7 => 1,
        _ => 2,
    };
    let found = errors(&letters, own, 2);
    if sought == own {
        8
    } else if (loose || ends) && letters.len() >= 2 && own.starts_with(sought) {
        5
    } else if loose && found.whole <= tolerated {
        if found.whole == 1 { 3 } else { 2 }
    } else {
        let begins = ends && tolerated > 0 && found.beginning <= tolerated;
        u32::from(loose && begins)
    }
}
