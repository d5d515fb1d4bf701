//! The products' numbers and what lists are sorted by.

use std::{cmp::Ordering, hash::BuildHasher, ops::RangeInclusive};

use hashbrown::{DefaultHashBuilder, HashTable};

use super::{packed::Packed, text::fold};
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
pub(super) fn name_key(title: &str) -> String {
    let mut key = fold(title);
    key.truncate(key.floor_char_boundary(MAX_NAME_KEY));
    key
}

/// A name in any case: compared as if it were in lower case.
///
/// Most titles are in ASCII and differ from the name in nothing else, so that they serve as both.
#[derive(Debug, Clone, Copy)]
pub(super) struct Name<'a>(&'a str);

impl<'a> Name<'a> {
    /// Takes a name.
    pub(super) const fn new(name: &'a str) -> Self {
        Self(name)
    }

    fn letters(self) -> impl Iterator<Item = u8> + use<'a> {
        self.0.bytes().map(|byte| byte.to_ascii_lowercase())
    }

    /// The name in lower case.
    pub(super) fn lower(self) -> String {
        self.0.to_ascii_lowercase()
    }
}

impl Ord for Name<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.letters().cmp(other.letters())
    }
}

impl PartialOrd for Name<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Name<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Name<'_> {}

/// Title, slug and name of a product in one piece.
#[derive(Debug, Default)]
pub(super) struct Texts {
    all: Box<str>,
    /// Where the title ends.
    title: u32,
    /// Where the slug ends; what follows is the name, and nothing where the title serves as it.
    slug: u32,
}

impl Texts {
    /// Keeps a title, a slug and the title's [`name_key`].
    pub(super) fn new(title: &str, slug: &str, name: &str) -> Self {
        let name = if title.eq_ignore_ascii_case(name) {
            ""
        } else {
            name
        };
        let end = |text: &str| u32::try_from(text.len()).unwrap_or(u32::MAX);
        let title_and_slug = [title, slug].concat();
        Self {
            title: end(title),
            slug: end(&title_and_slug),
            all: (title_and_slug + name).into(),
        }
    }

    pub(super) fn title(&self) -> &str {
        self.all.get(..at(self.title)).unwrap_or("")
    }

    pub(super) fn slug(&self) -> &str {
        self.all.get(at(self.title)..at(self.slug)).unwrap_or("")
    }

    pub(super) fn name(&self) -> Name<'_> {
        match self.all.get(at(self.slug)..) {
            None | Some("") => Name(self.title()),
            Some(name) => Name(name),
        }
    }
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
    pub(super) texts: Texts,
    /// The values it has.
    pub(super) values: Packed,
    /// The words it has.
    pub(super) terms: Packed,
    /// The prices of variants above its own, ascending.
    pub(super) dearer: Box<[i64]>,
}

/// What lists are sorted by.
#[derive(Debug, Clone, Copy)]
pub(super) struct Keys {
    pub(super) id: ProductId,
    pub(super) price: i64,
    /// What the dearest variant costs: for most products that is `price`.
    pub(super) dearest: i64,
    pub(super) created: i64,
    pub(super) head: u64,
}

/// All products, by number.
#[derive(Debug, Default)]
pub(super) struct Docs {
    keys: Vec<Keys>,
    rows: Vec<Row>,
    available: Vec<u32>,
    by_id: HashTable<Doc>,
    hasher: DefaultHashBuilder,
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
        let is_it = |doc: &Doc| self.keys(*doc).is_some_and(|keys| keys.id == id);
        let found = self.by_id.find(self.hasher.hash_one(id), is_it);
        found.copied()
    }

    /// Gives back the memory that was taken in advance.
    pub(super) fn shrink(&mut self) {
        self.keys.shrink_to_fit();
        self.rows.shrink_to_fit();
        self.available.shrink_to_fit();
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
        let (known, hasher) = (&self.keys, &self.hasher);
        self.by_id
            .insert_unique(hasher.hash_one(keys.id), doc, |doc| {
                let id = known.get(at(*doc)).map(|keys| keys.id);
                id.map_or(0, |id| hasher.hash_one(id))
            });
        doc
    }

    /// Gives the product's number back; returns it with what was kept under it.
    pub(super) fn release(&mut self, id: ProductId) -> Option<(Doc, Row)> {
        let doc = self.find(id)?;
        let entry = self
            .by_id
            .find_entry(self.hasher.hash_one(id), |known| *known == doc);
        entry.ok()?.remove();
        self.free.push(doc);
        self.rows
            .get_mut(at(doc))
            .map(|row| (doc, std::mem::take(row)))
    }

    /// What lists are sorted by; only of products that exist.
    pub(super) fn keys(&self, doc: Doc) -> Option<&Keys> {
        self.keys.get(at(doc))
    }

    /// Whether any variant of the product has a price within `range`.
    pub(super) fn has_price(&self, doc: Doc, range: &RangeInclusive<i64>) -> bool {
        let Some(keys) = self.keys(doc) else {
            return false;
        };
        if range.contains(&keys.price) || keys.price == keys.dearest {
            return range.contains(&keys.price);
        }
        let dearer = self.row(doc).map(|row| row.dearer.iter());
        dearer
            .into_iter()
            .flatten()
            .any(|price| range.contains(price))
    }

    /// What the product's cheapest and its dearest variant cost.
    pub(super) fn prices(&self, doc: Doc) -> Option<(i64, i64)> {
        self.keys(doc).map(|keys| (keys.price, keys.dearest))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_serves_as_name_where_it_differs_in_case_only() {
        for title in ["Mug XL", "Café  Mug", "", "mug\tb", &"Ab".repeat(200)] {
            let name = name_key(title);
            let texts = Texts::new(title, "slug-1", &name);
            assert_eq!((texts.title(), texts.slug()), (title, "slug-1"));
            assert_eq!(texts.name(), Name::new(&name), "{title}");
            assert_eq!(texts.name().lower(), name);
        }
        assert_eq!(Texts::new("Mug", "mug", "mug").all.len(), 6);
        assert!(Name::new("Mug A") < Name::new("mug b"));
    }
}
