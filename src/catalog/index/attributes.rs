//! Reads what a product holds under the names that its type declares.

use serde_json::Value;

use super::{
    product::{FieldDeclaration, IndexedProduct, TypeFields},
    value::Scalar,
};

/// Calls `found` with path, declaration and value of every scalar that a declaration governs.
///
/// Lists are looked into and leave no trace in the path. A variant's options count as values of
/// the attribute of their name. Where nothing declares a path, `found` is not called.
pub(super) fn visit<'a>(
    product: &'a IndexedProduct,
    mut found: impl FnMut(&str, &'a FieldDeclaration, Scalar),
) {
    let fields = product.fields.as_ref();
    if !fields.fields.is_empty() {
        let mut path = String::new();
        walk(fields, &product.attributes, &mut path, None, &mut found);
    }
    for options in &product.variants {
        for (name, value) in options {
            if let Some((_, field)) = fields.governing(name)
                && let Some(value) = Scalar::text(value)
            {
                found(name, field, value);
            }
        }
    }
}

fn walk<'a>(
    fields: &'a TypeFields,
    value: &Value,
    path: &mut String,
    governing: Option<&'a FieldDeclaration>,
    found: &mut impl FnMut(&str, &'a FieldDeclaration, Scalar),
) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                let parent = path.len();
                if parent > 0 {
                    path.push('.');
                }
                path.push_str(name);
                let governing = fields.fields.get(path.as_str()).or(governing);
                walk(fields, member, path, governing, found);
                path.truncate(parent);
            }
        }
        Value::Array(items) => {
            for item in items {
                walk(fields, item, path, governing, found);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            if let (Some(field), Some(scalar)) = (governing, Scalar::from_json(value)) {
                found(path, field, scalar);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::{field, product, type_fields};
    use super::*;

    fn seen(product: &IndexedProduct) -> Vec<(String, String)> {
        let mut seen = Vec::new();
        visit(product, |path, _, value| {
            seen.push((path.to_owned(), value.to_string()));
        });
        seen.sort();
        seen
    }

    #[test]
    fn lists_and_objects_are_looked_into() {
        let mut mug = product(1);
        mug.fields = type_fields("mug", [field("slots"), field("size")]);
        mug.attributes = json!({
            "slots": [{"gen": 4, "lanes": [16, 8]}, {"gen": 3}],
            "size": {"h": 9.5, "note": null, "name": " tall "},
            "undeclared": 1,
        });
        let expected = [
            ("size.h", "9.5"),
            ("size.name", "tall"),
            ("slots.gen", "3"),
            ("slots.gen", "4"),
            ("slots.lanes", "16"),
            ("slots.lanes", "8"),
        ];
        assert_eq!(
            seen(&mug),
            expected.map(|(path, value)| (path.to_owned(), value.to_owned()))
        );
    }

    #[test]
    fn options_count_as_attributes_where_declared() {
        let mut shirt = product(1);
        shirt.fields = type_fields("shirt", [field("color")]);
        shirt.variants = vec![
            [("color", "black"), ("size", "L")]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
        ];
        assert_eq!(seen(&shirt), [("color".to_owned(), "black".to_owned())]);
    }
}
