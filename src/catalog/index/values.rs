//! Which products have which value of which field: the ground of filters and facets.

use std::{
    collections::{BTreeMap, HashMap},
    ops::RangeInclusive,
};

use roaring::RoaringBitmap;

use super::{
    docs::{Doc, at},
    text::fold,
    value::{Number, Scalar},
};

/// The number of a field.
pub(super) type FieldId = u32;
/// The number of one value of one field.
pub(super) type ValueId = u32;

/// The field of product types.
pub(super) const TYPE: FieldId = 0;
/// The field of categories; a product has each category above its own too.
pub(super) const CATEGORY: FieldId = 1;
/// The field of brands.
pub(super) const BRAND: FieldId = 2;

/// A field: built in, or an attribute by its path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum FieldName {
    /// One of [`TYPE`], [`CATEGORY`], [`BRAND`].
    BuiltIn(FieldId),
    /// An attribute.
    Attribute(Box<str>),
}

/// What is known of one field.
#[derive(Debug, Default)]
pub(super) struct Field {
    /// Its path; empty where it is built in.
    pub(super) path: Box<str>,
    /// Its values in order.
    pub(super) values: BTreeMap<Scalar, ValueId>,
    /// The products that have any of its values.
    pub(super) docs: RoaringBitmap,
    /// The folded words of its values, of categories and brands.
    pub(super) names: BTreeMap<ValueId, Box<str>>,
}

#[derive(Debug)]
struct Entry {
    scalar: Scalar,
    docs: RoaringBitmap,
}

/// The words by which people look for a value: of a brand, or of the last step of a category.
fn name_of(field: FieldId, scalar: &Scalar) -> Option<String> {
    let text = scalar.as_text()?;
    let name = match field {
        BRAND => text,
        CATEGORY => text.rsplit('/').next().unwrap_or(text),
        _ => return None,
    };
    Some(fold(name).replace(|c: char| !c.is_alphanumeric(), " "))
}

/// All fields and values. Those that no product has are forgotten and their numbers reused.
#[derive(Debug)]
pub(super) struct Values {
    fields: Vec<Field>,
    free_fields: Vec<FieldId>,
    by_path: HashMap<Box<str>, FieldId>,
    entries: Vec<Option<Entry>>,
    /// The field of each value, close together for counting.
    owners: Vec<FieldId>,
    free_entries: Vec<ValueId>,
}

impl Default for Values {
    fn default() -> Self {
        Self {
            fields: std::iter::repeat_with(Field::default).take(3).collect(),
            free_fields: Vec::new(),
            by_path: HashMap::new(),
            entries: Vec::new(),
            owners: Vec::new(),
            free_entries: Vec::new(),
        }
    }
}

impl Values {
    /// The attribute's field, where any product has it.
    pub(super) fn attribute(&self, path: &str) -> Option<FieldId> {
        self.by_path.get(path).copied()
    }

    /// The fields of attributes.
    pub(super) fn attributes(&self) -> impl Iterator<Item = (FieldId, &Field)> {
        let known = self.by_path.values();
        known.filter_map(|id| Some((*id, self.field(*id)?)))
    }

    /// The field of each value, by the value's number; of free numbers, the last one.
    pub(super) fn owners(&self) -> &[FieldId] {
        &self.owners
    }

    /// How many numbers of fields there are.
    pub(super) fn field_count(&self) -> usize {
        self.fields.len()
    }

    pub(super) fn field(&self, id: FieldId) -> Option<&Field> {
        self.fields.get(at(id))
    }

    /// The value.
    pub(super) fn scalar(&self, id: ValueId) -> Option<&Scalar> {
        Some(&self.entry(id)?.scalar)
    }

    /// The products that have the value.
    pub(super) fn docs(&self, id: ValueId) -> Option<&RoaringBitmap> {
        Some(&self.entry(id)?.docs)
    }

    /// The products that have a value of `field` that one of the texts means.
    pub(super) fn any_of<'a>(
        &self,
        field: FieldId,
        texts: impl IntoIterator<Item = &'a String>,
    ) -> RoaringBitmap {
        let mut docs = RoaringBitmap::new();
        if let Some(field) = self.field(field) {
            for scalar in texts.into_iter().flat_map(|text| Scalar::meant_by(text)) {
                if let Some(found) = field.values.get(&scalar).and_then(|id| self.docs(*id)) {
                    docs |= found;
                }
            }
        }
        docs
    }

    /// The products that have a number of `field` in the range.
    pub(super) fn within(&self, field: FieldId, range: RangeInclusive<Number>) -> RoaringBitmap {
        let mut docs = RoaringBitmap::new();
        if let Some(field) = self.field(field) {
            let (min, max) = range.into_inner();
            let numbers = field
                .values
                .range(Scalar::Number(min)..=Scalar::Number(max));
            for found in numbers.filter_map(|(_, id)| self.docs(*id)) {
                docs |= found;
            }
        }
        docs
    }

    /// Gives `doc` these values in place of those it `had`; returns their numbers, ascending.
    pub(super) fn assign(
        &mut self,
        doc: Doc,
        had: &[ValueId],
        values: impl IntoIterator<Item = (FieldName, Scalar)>,
    ) -> Vec<ValueId> {
        let mut has: Vec<ValueId> = values
            .into_iter()
            .filter_map(|(name, scalar)| self.add(doc, name, scalar))
            .collect();
        has.sort_unstable();
        has.dedup();
        let lost: Vec<ValueId> = had
            .iter()
            .copied()
            .filter(|id| has.binary_search(id).is_err())
            .collect();
        let mut lost_fields: Vec<FieldId> =
            lost.iter().filter_map(|id| self.forget(*id, doc)).collect();
        lost_fields.sort_unstable();
        lost_fields.dedup();
        for field in lost_fields {
            let still = has
                .iter()
                .any(|id| self.owners.get(at(*id)) == Some(&field));
            if !still {
                self.leave_field(field, doc);
            }
        }
        has
    }

    fn add(&mut self, doc: Doc, name: FieldName, scalar: Scalar) -> Option<ValueId> {
        let field_id = match name {
            FieldName::BuiltIn(id) => id,
            FieldName::Attribute(path) => self.field_id(path),
        };
        let field = self.fields.get_mut(at(field_id))?;
        field.docs.insert(doc);
        if let Some(&id) = field.values.get(&scalar) {
            self.entries.get_mut(at(id))?.as_mut()?.docs.insert(doc);
            return Some(id);
        }
        let entry = Entry {
            scalar: scalar.clone(),
            docs: RoaringBitmap::from_iter([doc]),
        };
        let id = if let Some(id) = self.free_entries.pop() {
            *self.entries.get_mut(at(id))? = Some(entry);
            *self.owners.get_mut(at(id))? = field_id;
            id
        } else {
            self.entries.push(Some(entry));
            self.owners.push(field_id);
            u32::try_from(self.entries.len() - 1).ok()?
        };
        if let Some(name) = name_of(field_id, &scalar) {
            field.names.insert(id, name.into());
        }
        field.values.insert(scalar, id);
        Some(id)
    }

    fn field_id(&mut self, path: Box<str>) -> FieldId {
        if let Some(&id) = self.by_path.get(&path) {
            return id;
        }
        let id = self.free_fields.pop().unwrap_or_else(|| {
            self.fields.push(Field::default());
            u32::try_from(self.fields.len() - 1).unwrap_or(u32::MAX)
        });
        if let Some(field) = self.fields.get_mut(at(id)) {
            field.path.clone_from(&path);
        }
        self.by_path.insert(path, id);
        id
    }

    /// Takes one value from `doc`; returns its field.
    fn forget(&mut self, id: ValueId, doc: Doc) -> Option<FieldId> {
        let field = self.owners.get(at(id)).copied()?;
        let slot = self.entries.get_mut(at(id))?;
        let entry = slot.as_mut()?;
        entry.docs.remove(doc);
        if entry.docs.is_empty()
            && let Some(entry) = slot.take()
        {
            let own = self.fields.get_mut(at(field))?;
            own.values.remove(&entry.scalar);
            own.names.remove(&id);
            self.free_entries.push(id);
        }
        Some(field)
    }

    fn leave_field(&mut self, id: FieldId, doc: Doc) {
        let Some(field) = self.fields.get_mut(at(id)) else {
            return;
        };
        field.docs.remove(doc);
        if field.docs.is_empty() && id > BRAND {
            self.by_path.remove(&field.path);
            *field = Field::default();
            self.free_fields.push(id);
        }
    }

    /// Gives back the memory that was taken in advance.
    pub(super) fn shrink(&mut self) {
        self.entries.shrink_to_fit();
        self.owners.shrink_to_fit();
        let fields = self.fields.iter_mut().map(|field| &mut field.docs);
        let entries = self.entries.iter_mut().flatten();
        for docs in fields.chain(entries.map(|entry| &mut entry.docs)) {
            docs.optimize();
        }
    }

    /// Whether nothing is left behind, for tests.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.by_path.is_empty()
            && self.entries.iter().all(Option::is_none)
            && self
                .fields
                .iter()
                .all(|field| field.docs.is_empty() && field.values.is_empty())
    }

    fn entry(&self, id: ValueId) -> Option<&Entry> {
        self.entries.get(at(id))?.as_ref()
    }
}
