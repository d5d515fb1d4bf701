//! Counts by going through the products, where there are few.

use roaring::RoaringBitmap;

use super::super::{
    docs::at,
    state::State,
    values::{FieldId, ValueId},
};

/// Up to so many products it is quicker to go through their values than through all values'
/// products.
const FEW: u64 = 8_192;

/// How many products have each value and each field.
pub(super) struct Tally {
    values: Vec<u32>,
    fields: Vec<u32>,
}

impl Tally {
    /// Goes through `docs`; `None` where they are many.
    pub(super) fn of_few(state: &State, docs: &RoaringBitmap) -> Option<Self> {
        if docs.len() > FEW {
            return None;
        }
        let owners = state.values.owners();
        let mut tally = Self {
            values: vec![0; owners.len()],
            fields: vec![0; state.values.field_count()],
        };
        // The last product that counted for the field, so that each counts once.
        let mut last = vec![u32::MAX; tally.fields.len()];
        for doc in docs {
            let row = state.docs.row(doc);
            for id in row.into_iter().flat_map(|row| row.values.iter()) {
                if let (Some(count), Some(owner)) =
                    (tally.values.get_mut(at(id)), owners.get(at(id)))
                {
                    *count += 1;
                    if let (Some(last), Some(count)) =
                        (last.get_mut(at(*owner)), tally.fields.get_mut(at(*owner)))
                        && std::mem::replace(last, doc) != doc
                    {
                        *count += 1;
                    }
                }
            }
        }
        Some(tally)
    }

    /// How many products have the value.
    pub(super) fn value(&self, id: ValueId) -> u64 {
        self.values.get(at(id)).copied().map_or(0, u64::from)
    }

    /// How many products have the field.
    pub(super) fn field(&self, id: FieldId) -> u64 {
        self.fields.get(at(id)).copied().map_or(0, u64::from)
    }
}
