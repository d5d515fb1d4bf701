//! Text search: words, the vocabulary of all products, and what matches.

mod distance;
mod find;
mod fold;
#[cfg(test)]
pub(super) mod oracle;
mod sorted;
mod spellings;
mod vocabulary;
mod words;

pub(super) use find::{Found, Frozen, TextQuery};
pub(super) use fold::fold;
pub(super) use vocabulary::{TermId, Vocabulary};
pub(super) use words::{Place, Terms};
