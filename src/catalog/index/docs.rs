//! The products' numbers and what lists are sorted by.

use std::collections::HashMap;

use super::{text::TermId, text::fold, values::ValueId};
use crate::id::ProductId;

/// The number of a product in this index, dense and reused.
pub(super) type Doc = u32;

/// The most bytes of a title that count for the order by name, so that a cursor stays short.
const MAX_NAME_KEY: usize = 256;

/// A number as a place in a list.
pub(super) fn at(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// The title as lists are ordered by it: folded, cut at a length where hardly any two are equal.
pub(super) fn name_key(title: &str) -> Box<str> {
    let mut key = fold(title);
    key.truncate(key.floor_char_boundary(MAX_NAME_KEY));
    key.into()
}

/// The first eight bytes of a name, ordered as the name is.
pub(super) fn head(name: &str) -> u64 {
    let mut bytes = [0; 8];
    bytes
        .iter_mut()
        .zip(name.bytes())
        .for_each(|(to, from)| *to = from);
    u64::from_be_bytes(bytes)
}

/// What is rarely read of a product.
#[derive(Debug, Default)]
pub(super) struct Row {
    pub(super) title: Box<str>,
    pub(super) slug: Box<str>,
    pub(super) name: Box<str>,
    /// The values it has, ascending.
    pub(super) values: Box<[ValueId]>,
    /// The words it has, ascending.
    pub(super) terms: Box<[TermId]>,
}

/// What lists are sorted by.
#[derive(Debug, Clone, Copy)]
pub(super) struct Keys {
    pub(super) id: ProductId,
    pub(super) price: i64,
    pub(super) created: i64,
    pub(super) head: u64,
}

/// All products, by number.
#[derive(Debug, Default)]
pub(super) struct Docs {
    keys: Vec<Keys>,
    rows: Vec<Row>,
    available: Vec<u32>,
    by_id: HashMap<ProductId, Doc>,
    free: Vec<Doc>,
}

impl Docs {
    /// How many products there are.
    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }

    /// How many numbers are in use or free.
    pub(super) fn rows(&self) -> usize {
        self.rows.len()
    }

    pub(super) fn find(&self, id: ProductId) -> Option<Doc> {
        self.by_id.get(&id).copied()
    }

    /// The product's number, a new one where it has none.
    pub(super) fn place(&mut self, keys: Keys) -> Doc {
        if let Some(doc) = self.find(keys.id) {
            if let Some(slot) = self.keys.get_mut(at(doc)) {
                *slot = keys;
            }
            return doc;
        }
        let doc = if let Some(doc) = self.free.pop() {
            if let Some(slot) = self.keys.get_mut(at(doc)) {
                *slot = keys;
            }
            doc
        } else {
            self.keys.push(keys);
            self.rows.push(Row::default());
            self.available.push(0);
            u32::try_from(self.rows.len() - 1).unwrap_or(u32::MAX)
        };
        self.by_id.insert(keys.id, doc);
        doc
    }

    /// Gives the product's number back; returns it with what was kept under it.
    pub(super) fn release(&mut self, id: ProductId) -> Option<(Doc, Row)> {
        let doc = self.by_id.remove(&id)?;
        self.free.push(doc);
        self.rows
            .get_mut(at(doc))
            .map(|row| (doc, std::mem::take(row)))
    }

    /// What lists are sorted by; only of products that exist.
    pub(super) fn keys(&self, doc: Doc) -> Option<&Keys> {
        self.keys.get(at(doc))
    }

    pub(super) fn row(&self, doc: Doc) -> Option<&Row> {
        self.rows.get(at(doc))
    }

    pub(super) fn row_mut(&mut self, doc: Doc) -> Option<&mut Row> {
        self.rows.get_mut(at(doc))
    }

    /// Sets how many pieces there are; returns how many there were.
    pub(super) fn set_available(&mut self, doc: Doc, pieces: u32) -> Option<u32> {
        self.available
            .get_mut(at(doc))
            .map(|slot| std::mem::replace(slot, pieces))
    }
}
