//! What the index is told about products and their types.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::Value;

use crate::{catalog::Options, clock::Timestamp, id::ProductId};

/// What a product type declares about one of its attributes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldDeclaration {
    /// What people call it.
    pub label: String,
    /// The unit its numbers are in, such as `mm`.
    pub unit: Option<String>,
    /// Whether `attr.<name>` may filter by it and facets count it.
    pub filterable: bool,
    /// Whether its words are found by text search.
    pub searchable: bool,
    /// Whether its values may be numbers, so that it can have bounds.
    pub numeric: bool,
}

/// A product type as far as the index needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypeFields {
    /// The type's id, such as `shirt`.
    pub id: String,
    /// What people call the type.
    pub name: String,
    /// The declared fields by name; a dotted path names what lies inside objects.
    ///
    /// A declaration also covers everything below its path that has no declaration of its own:
    /// with `dimensions` declared, `dimensions.width` can be filtered by too.
    pub fields: BTreeMap<String, FieldDeclaration>,
}

impl TypeFields {
    /// The declaration that governs `path`: its own, or else that of the nearest path above.
    ///
    /// Returns the declared path with it.
    pub(super) fn governing(&self, path: &str) -> Option<(&str, &FieldDeclaration)> {
        let mut upwards = std::iter::successors(Some(path), |path| Some(path.rsplit_once('.')?.0));
        upwards.find_map(|name| {
            let (declared, field) = self.fields.get_key_value(name)?;
            Some((declared.as_str(), field))
        })
    }
}

/// A product as the index takes it in.
#[derive(Debug, Clone)]
pub struct IndexedProduct {
    /// Its id.
    pub id: ProductId,
    /// Its name in URLs; comes back with suggestions.
    pub slug: String,
    /// Its title.
    pub title: String,
    /// Its description, searched with the least weight.
    pub description: String,
    /// Its own SKU and those of its variants.
    pub skus: Vec<String>,
    /// Its brand.
    pub brand: Option<String>,
    /// Its type, with the declarations that govern `attributes`.
    pub fields: Arc<TypeFields>,
    /// Its categories, each a path such as `tv-and-audio/tvs`.
    pub categories: Vec<String>,
    /// Its price in minor units of the store's currency: what its cheapest variant costs.
    pub price: i64,
    /// What its variants cost that are dearer, in the same units.
    pub dearer: Vec<i64>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Whether visitors may see it; drafts and archived products are not active.
    pub active: bool,
    /// How many pieces can be bought now, over all variants.
    pub available: u32,
    /// Its attributes: any JSON object.
    pub attributes: Value,
    /// The options of each of its variants.
    pub variants: Vec<Options>,
}
