//! Products for the tests of this room.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::json;

use super::product::{FieldDeclaration, IndexedProduct, TypeFields};
use crate::{clock::Timestamp, id::ProductId};

/// The id that ends in `number`.
pub(super) fn id(number: u32) -> ProductId {
    let mut bytes = [0; 12];
    bytes[8..].copy_from_slice(&number.to_be_bytes());
    ProductId::from_object_id(bson::oid::ObjectId::from_bytes(bytes))
}

/// A field that is filterable and searchable, labelled with its own name in capitals.
pub(super) fn field(name: &str) -> (String, FieldDeclaration) {
    let declaration = FieldDeclaration {
        label: name.to_uppercase(),
        unit: None,
        filterable: true,
        searchable: true,
        numeric: true,
    };
    (name.to_owned(), declaration)
}

/// A type with these fields.
pub(super) fn type_fields(
    id: &str,
    fields: impl IntoIterator<Item = (String, FieldDeclaration)>,
) -> Arc<TypeFields> {
    Arc::new(TypeFields {
        id: id.to_owned(),
        name: id.to_owned(),
        fields: fields.into_iter().collect::<BTreeMap<_, _>>(),
    })
}

/// An active product in stock, without brand, categories, attributes or options.
pub(super) fn product(number: u32) -> IndexedProduct {
    IndexedProduct {
        id: id(number),
        slug: format!("product-{number}"),
        title: format!("Product {number}"),
        description: String::new(),
        skus: Vec::new(),
        brand: None,
        fields: type_fields("generic", []),
        categories: Vec::new(),
        price: 1_000,
        dearer: Vec::new(),
        created_at: Timestamp::from_millis(i64::from(number)),
        active: true,
        available: 1,
        attributes: json!({}),
        variants: Vec::new(),
    }
}
