//! Merge patches (RFC 7396) over a product's written form.

use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};
use validator::{Validate, ValidationErrors};

use super::{Product, WriteProduct, pointer_token};
use crate::problem::FieldError;

/// The members that a patch may name: those of [`WriteProduct`].
const MEMBERS: [&str; 15] = [
    "sku",
    "slug",
    "title",
    "description",
    "type",
    "categories",
    "brand",
    "price",
    "compareAtPrice",
    "attributes",
    "options",
    "variants",
    "images",
    "status",
    "stock",
];

/// A merge patch: members to set, `null` for those to remove.
#[derive(Debug, Clone, PartialEq, utoipa::ToSchema)]
#[schema(value_type = Object)]
pub struct PatchProduct(Map<String, Value>);

impl From<Map<String, Value>> for PatchProduct {
    fn from(members: Map<String, Value>) -> Self {
        Self(members)
    }
}

impl<'de> Deserialize<'de> for PatchProduct {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Map::deserialize(deserializer).map(Self)
    }
}

impl Validate for PatchProduct {
    fn validate(&self) -> Result<(), ValidationErrors> {
        Ok(())
    }
}

impl PatchProduct {
    /// The written form of `product` with the patch applied, as JSON still to be decoded strictly.
    ///
    /// # Errors
    /// Names members that no product has: with `null` they would go unnoticed.
    pub fn apply(&self, product: &Product) -> Result<Value, Vec<FieldError>> {
        let unknown = self.0.keys().filter(|key| !MEMBERS.contains(&key.as_str()));
        let faults: Vec<_> = unknown
            .map(|key| {
                let pointer = format!("/{}", pointer_token(key));
                FieldError::new(pointer, "unknown_field", "this field is not known")
            })
            .collect();
        if !faults.is_empty() {
            return Err(faults);
        }
        let mut form = serde_json::to_value(self.target(product))
            .map_err(|error| vec![FieldError::new("", "invalid", error.to_string())])?;
        merge_patch(&mut form, &Value::Object(self.0.clone()));
        Ok(form)
    }

    /// What the patch is applied to. Where it moves the price, so do the variants that have it from the
    /// product: those that cost what the product cost, unless the patch names them itself.
    fn target(&self, product: &Product) -> WriteProduct {
        let mut form = WriteProduct::from(product);
        if !self.0.get("price").is_some_and(Value::is_object) {
            return form;
        }
        form.price = Some(product.price);
        if !self.0.contains_key("variants") {
            let inheriting = form.variants.iter_mut();
            let inheriting = inheriting.filter(|variant| variant.price == form.price);
            inheriting.for_each(|variant| variant.price = None);
        }
        form
    }
}

/// Applies a merge patch as RFC 7396, section 2 defines it.
pub fn merge_patch(target: &mut Value, patch: &Value) {
    let Value::Object(members) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Value::Object(object) = target else {
        return;
    };
    for (key, value) in members {
        if value.is_null() {
            object.remove(key);
        } else {
            merge_patch(object.entry(key.as_str()).or_insert(Value::Null), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The cases of RFC 7396, appendix A.
    #[test]
    fn the_examples_of_the_standard_hold() {
        for (original, patch, result) in [
            (json!({"a":"b"}), json!({"a":"c"}), json!({"a":"c"})),
            (json!({"a":"b"}), json!({"b":"c"}), json!({"a":"b","b":"c"})),
            (json!({"a":"b"}), json!({"a":null}), json!({})),
            (
                json!({"a":"b","b":"c"}),
                json!({"a":null}),
                json!({"b":"c"}),
            ),
            (json!({"a":["b"]}), json!({"a":"c"}), json!({"a":"c"})),
            (json!({"a":"c"}), json!({"a":["b"]}), json!({"a":["b"]})),
            (
                json!({"a":{"b":"c"}}),
                json!({"a":{"b":"d","c":null}}),
                json!({"a":{"b":"d"}}),
            ),
            (json!({"a":[{"b":"c"}]}), json!({"a":[1]}), json!({"a":[1]})),
            (json!(["a", "b"]), json!(["c", "d"]), json!(["c", "d"])),
            (json!({"a":"b"}), json!(["c"]), json!(["c"])),
            (json!({"a":"foo"}), json!(null), json!(null)),
            (json!({"a":"foo"}), json!("bar"), json!("bar")),
            (json!({"e":null}), json!({"a":1}), json!({"e":null,"a":1})),
            (json!([1, 2]), json!({"a":"b","c":null}), json!({"a":"b"})),
            (
                json!({}),
                json!({"a":{"bb":{"ccc":null}}}),
                json!({"a":{"bb":{}}}),
            ),
        ] {
            let mut merged = original.clone();
            merge_patch(&mut merged, &patch);
            assert_eq!(merged, result, "{original} with {patch}");
        }
    }
}
