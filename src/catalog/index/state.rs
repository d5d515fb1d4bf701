//! All that the index holds, and how a product comes and goes.

use std::{collections::BTreeMap, sync::Arc};

use roaring::RoaringBitmap;

use super::{
    attributes,
    docs::{Docs, Keys, Texts, head, name_key},
    packed::Packed,
    product::{FieldDeclaration, IndexedProduct, TypeFields},
    text::{Place, TermId, Terms, Vocabulary},
    value::Scalar,
    values::{BRAND, CATEGORY, FieldName, TYPE, ValueId, Values},
};
use crate::id::ProductId;

/// All that the index holds.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) docs: Docs,
    pub(super) values: Values,
    pub(super) words: Vocabulary,
    pub(super) types: BTreeMap<String, Arc<TypeFields>>,
    /// The products that visitors may see.
    pub(super) active: RoaringBitmap,
    /// The products of which something can be bought now.
    pub(super) stocked: RoaringBitmap,
    /// All products.
    pub(super) all: RoaringBitmap,
}

/// A product made ready outside of any lock, so that taking it in is short.
pub(super) struct Prepared {
    keys: Keys,
    texts: Texts,
    dearer: Box<[i64]>,
    active: bool,
    available: u32,
    values: Vec<(FieldName, Scalar)>,
    terms: Terms,
    fields: Arc<TypeFields>,
}

impl Prepared {
    /// Reads a product.
    pub(super) fn new(product: &IndexedProduct) -> Self {
        let name = name_key(&product.title);
        let (values, terms) = read(product);
        let mut dearer = product.dearer.clone();
        dearer.sort_unstable();
        dearer.dedup();
        Self {
            keys: Keys {
                id: product.id,
                price: product.price,
                dearest: dearer.last().copied().unwrap_or(product.price),
                created: product.created_at.millis(),
                head: head(&name),
            },
            texts: Texts::new(product.title.trim(), &product.slug, &name),
            dearer: dearer.into_boxed_slice(),
            active: product.active,
            available: product.available,
            values,
            terms,
            fields: Arc::clone(&product.fields),
        }
    }
}

/// The values of a product, some perhaps twice, and its words.
fn read(product: &IndexedProduct) -> (Vec<(FieldName, Scalar)>, Terms) {
    let mut values = Vec::new();
    built_in_values(product, &mut values);
    let mut terms = Terms::default();
    terms.add_text(&product.title, Place::Title);
    product.skus.iter().for_each(|sku| terms.add_sku(sku));
    if let Some(brand) = &product.brand {
        terms.add_text(brand, Place::Label);
    }
    terms.add_text(&product.fields.id, Place::Kind);
    terms.add_text(&product.fields.name, Place::Kind);
    for category in &product.categories {
        category
            .split('/')
            .for_each(|step| terms.add_text(step, Place::Kind));
    }
    attributes::visit(product, |path, field, value| {
        if field.searchable {
            add_value(&mut terms, field, &value);
        }
        if field.filterable {
            values.push((FieldName::Attribute(path.into()), value));
        }
    });
    terms.add_text(&product.description, Place::Description);
    (values, terms)
}

fn built_in_values(product: &IndexedProduct, values: &mut Vec<(FieldName, Scalar)>) {
    let mut built_in = |field, text: &str| {
        values.extend(Scalar::text(text).map(|value| (FieldName::BuiltIn(field), value)));
    };
    built_in(TYPE, &product.fields.id);
    if let Some(brand) = &product.brand {
        built_in(BRAND, brand);
    }
    for category in &product.categories {
        let above = category.match_indices('/').map(|(end, _)| end);
        for end in above.chain([category.len()]) {
            built_in(CATEGORY, category.get(..end).unwrap_or(category));
        }
    }
}

fn add_value(terms: &mut Terms, field: &FieldDeclaration, value: &Scalar) {
    match (value, &field.unit) {
        // A feature is looked for by its name: `wireless`, not `true`.
        (Scalar::Flag(true), _) => terms.add_text(&field.label, Place::Attribute),
        (Scalar::Flag(false), _) => {}
        (Scalar::Number(number), Some(unit)) => {
            terms.add_text(&format!("{number} {unit}"), Place::Attribute);
        }
        (Scalar::Number(number), None) => terms.add_text(&number.to_string(), Place::Attribute),
        (Scalar::Text(text), _) => terms.add_text(text, Place::Attribute),
    }
}

/// The words of a product, for tests.
#[cfg(test)]
pub(super) fn terms(product: &IndexedProduct) -> Terms {
    read(product).1
}

impl State {
    /// Makes what was taken in since the last time complete; to be called before anything is looked for.
    pub(super) fn settle(&mut self) {
        self.words.sort();
    }

    /// Gives back the memory that was taken in advance.
    pub(super) fn shrink(&mut self) {
        self.docs.shrink();
        self.values.shrink();
        self.words.shrink();
    }

    /// Takes a product in, in place of what was known of it; searches need [`Self::settle`] after it.
    pub(super) fn apply(&mut self, product: Prepared) {
        let doc = self.docs.place(product.keys);
        let had = self
            .docs
            .row_mut(doc)
            .map(std::mem::take)
            .unwrap_or_default();
        let had_values: Vec<ValueId> = had.values.iter().collect();
        let values = self.values.assign(doc, &had_values, product.values);
        let mut terms: Vec<TermId> = product
            .terms
            .iter()
            .map(|(word, mask)| self.words.set(word, doc, mask))
            .collect();
        terms.sort_unstable();
        let had_terms = had.terms.iter();
        for lost in had_terms.filter(|id| terms.binary_search(id).is_err()) {
            self.words.unset(lost, doc);
        }
        if let Some(row) = self.docs.row_mut(doc) {
            row.texts = product.texts;
            row.values = Packed::new(&values);
            row.terms = Packed::new(&terms);
            row.dearer = product.dearer;
        }
        set(&mut self.active, doc, product.active);
        set(&mut self.stocked, doc, product.available > 0);
        self.all.insert(doc);
        self.docs.set_available(doc, product.available);
        self.declare(product.fields);
    }

    /// Forgets a product; returns whether it was known.
    pub(super) fn remove(&mut self, id: ProductId) -> bool {
        let Some((doc, had)) = self.docs.release(id) else {
            return false;
        };
        let had_values: Vec<ValueId> = had.values.iter().collect();
        self.values.assign(doc, &had_values, []);
        had.terms.iter().for_each(|id| self.words.unset(id, doc));
        for set in [&mut self.active, &mut self.stocked, &mut self.all] {
            set.remove(doc);
        }
        true
    }

    /// Sets how many pieces of a product can be bought; returns whether that changed anything.
    pub(super) fn set_available(&mut self, id: ProductId, pieces: u32) -> bool {
        let Some(doc) = self.docs.find(id) else {
            return false;
        };
        set(&mut self.stocked, doc, pieces > 0);
        self.docs.set_available(doc, pieces) != Some(pieces)
    }

    /// Takes in a type's declarations; returns whether they are new.
    pub(super) fn declare(&mut self, fields: Arc<TypeFields>) -> bool {
        match self.types.get(&fields.id) {
            Some(known) if Arc::ptr_eq(known, &fields) || *known == fields => false,
            _ => {
                self.types.insert(fields.id.clone(), fields);
                true
            }
        }
    }

    /// The products that a query may see at all.
    pub(super) const fn base(&self, hidden: bool) -> &RoaringBitmap {
        if hidden { &self.all } else { &self.active }
    }
}

fn set(docs: &mut RoaringBitmap, doc: u32, is_in: bool) {
    if is_in {
        docs.insert(doc);
    } else {
        docs.remove(doc);
    }
}
