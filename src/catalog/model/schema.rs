//! The JSON Schemas of product types: checked before they are taken, compiled once, never fetched.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
};

use jsonschema::{Draft, PatternOptions, ValidationError, Validator, error::ValidationErrorKind};
use serde_json::{Value, json};

use super::{Attributes, ProductType, TypeId, pointer_token, references::bounded};
use crate::problem::FieldError;

/// The most bytes of a compiled pattern.
const MAX_PATTERN_BYTES: usize = 1024 * 1024;
/// The most faults named at once.
const MAX_FAULTS: usize = 50;

/// A schema that is not taken: where and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{pointer}: {message}")]
pub struct BrokenSchema {
    /// JSON pointer into the schema.
    pub pointer: String,
    /// Why.
    pub message: String,
}

impl BrokenSchema {
    pub(super) fn at(pointer: &str, message: impl Into<String>) -> Self {
        Self {
            pointer: pointer.to_owned(),
            message: message.into(),
        }
    }
}

/// A product type's schema, compiled: for its attributes, and for each axis of its variants.
#[derive(Debug)]
pub struct Schema {
    attributes: Validator,
    axes: BTreeMap<String, Validator>,
}

impl Schema {
    /// Checks and compiles a schema.
    ///
    /// # Errors
    /// Where it is too large or too deep, refers outward or in a circle, or is no schema of 2020-12.
    pub fn compile<'a>(
        schema: &Value,
        axes: impl Iterator<Item = &'a str>,
    ) -> Result<Self, BrokenSchema> {
        bounded(schema)?;
        let attributes = build(schema)?;
        let axes = axes
            .filter(|axis| {
                let described = schema.get("properties");
                described.is_some_and(|properties| properties.get(axis).is_some())
            })
            .map(|axis| Ok((axis.to_owned(), build(&axis_schema(schema, axis))?)));
        Ok(Self {
            attributes,
            axes: axes.collect::<Result<_, BrokenSchema>>()?,
        })
    }

    /// Checks attributes; pointers begin with `/attributes`.
    #[must_use]
    pub fn check(&self, attributes: &Attributes) -> Vec<FieldError> {
        let value = Value::Object(attributes.clone());
        if self.attributes.is_valid(&value) {
            return Vec::new();
        }
        let errors = self.attributes.iter_errors(&value).take(MAX_FAULTS);
        let mut faults: Vec<_> = errors.flat_map(|error| faults_of(&error)).collect();
        faults.truncate(MAX_FAULTS);
        faults
    }

    /// Whether a variant may have `value` on `axis`. Options are text; where the schema wants a number
    /// or a boolean, the text is read as one.
    #[must_use]
    pub fn allows_option(&self, axis: &str, value: &str) -> bool {
        let Some(validator) = self.axes.get(axis) else {
            return true;
        };
        validator.is_valid(&json!(value))
            || serde_json::from_str::<Value>(value)
                .is_ok_and(|read| !read.is_string() && validator.is_valid(&read))
    }
}

/// The schema of one property, with everything it may refer to in its old place.
fn axis_schema(schema: &Value, axis: &str) -> Value {
    let mut only = json!({ "$ref": format!("#/properties/{}", pointer_token(axis)) });
    for kept in ["$schema", "$defs", "definitions", "properties"] {
        if let (Some(value), Some(object)) = (schema.get(kept), only.as_object_mut()) {
            object.insert(kept.to_owned(), value.clone());
        }
    }
    only
}

fn build(schema: &Value) -> Result<Validator, BrokenSchema> {
    jsonschema::options()
        .with_draft(Draft::Draft202012)
        .offline()
        .should_validate_formats(true)
        // The linear-time engine: no pattern can make a check slow.
        .with_pattern_options(PatternOptions::regex().size_limit(MAX_PATTERN_BYTES))
        .build(schema)
        .map_err(|error| {
            let message = shortened(&error.to_string());
            BrokenSchema::at(error.instance_path().as_str(), message)
        })
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "all other kinds have one place, and the crate adds kinds"
)]
/// One fault for each missing or unexpected property, one for everything else.
fn faults_of(error: &ValidationError<'_>) -> Vec<FieldError> {
    let place = format!("/attributes{}", error.instance_path().as_str());
    let inside = |key: &str| format!("{place}/{}", pointer_token(key));
    match error.kind() {
        ValidationErrorKind::Required { property } => {
            let pointer = inside(property.as_str().unwrap_or_default());
            vec![FieldError::new(
                pointer,
                "required",
                "this attribute is required",
            )]
        }
        ValidationErrorKind::AdditionalProperties { unexpected }
        | ValidationErrorKind::UnevaluatedProperties { unexpected } => unexpected
            .iter()
            .map(|key| {
                let message = "the product type does not know this attribute";
                FieldError::new(inside(key), "unknown_field", message)
            })
            .collect(),
        other => {
            let message = shortened(&error.masked_with("the value").to_string());
            vec![FieldError::new(place, code_of(other.keyword()), message)]
        }
    }
}

fn code_of(keyword: &str) -> &str {
    match keyword {
        "type" => "invalid_type",
        "minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum" | "multipleOf" => "range",
        "minLength" | "maxLength" | "minItems" | "maxItems" | "minProperties" | "maxProperties" => {
            "length"
        }
        "enum" | "const" => "unknown_value",
        other => other,
    }
}

fn shortened(message: &str) -> String {
    const MOST: usize = 300;
    match message.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", message.get(..end).unwrap_or_default()),
        None => message.to_owned(),
    }
}

/// The compiled schemas of the types in use, the last one of each id.
#[derive(Debug, Default)]
pub struct Schemas(Mutex<HashMap<TypeId, Compiled>>);

/// A schema with the type that it was compiled from.
#[derive(Debug)]
struct Compiled {
    of: Arc<ProductType>,
    schema: Arc<Schema>,
}

impl Schemas {
    /// The compiled schema of `product_type`.
    ///
    /// # Errors
    /// When its schema is not taken: it was written by other means than this code.
    pub fn of(&self, product_type: &Arc<ProductType>) -> Result<Arc<Schema>, BrokenSchema> {
        let table = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = table().get(&product_type.id)
            && compiles_alike(&known.of, product_type)
        {
            return Ok(known.schema.clone());
        }
        let schema = Arc::new(Schema::compile(
            &product_type.attributes,
            product_type.axes(),
        )?);
        let compiled = Compiled {
            of: product_type.clone(),
            schema: schema.clone(),
        };
        table().insert(product_type.id.clone(), compiled);
        Ok(schema)
    }
}

/// Whether both have one schema. Told from what is compiled: a type that was removed and made again has
/// the id and the version of the former one.
fn compiles_alike(a: &Arc<ProductType>, b: &Arc<ProductType>) -> bool {
    Arc::ptr_eq(a, b) || (a.attributes == b.attributes && a.axes().eq(b.axes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compiled(schema: &Value) -> Result<Schema, BrokenSchema> {
        Schema::compile(schema, ["size", "count"].into_iter())
    }

    fn refused_at(schema: &Value) -> String {
        compiled(schema).unwrap_err().pointer
    }

    #[test]
    fn each_broken_attribute_is_named() {
        let schema = compiled(&json!({
            "type": "object",
            "properties": {
                "a": {"type": "integer", "minimum": 3},
                "b": {"type": "array", "items": {"enum": ["x"]}},
                "c": {"type": "object", "required": ["d"]},
                "on": {"type": "string", "format": "date"}
            },
            "required": ["e"],
            "additionalProperties": false
        }))
        .unwrap();
        let attributes = json!({"a": 1, "b": ["x", "y"], "c": {}, "z/z": 1, "on": "2026-13-40"});
        let faults = schema.check(attributes.as_object().unwrap());
        let mut found: Vec<_> = faults
            .iter()
            .map(|fault| (fault.pointer.as_str(), fault.code.as_str()))
            .collect();
        found.sort_unstable();
        assert_eq!(
            found,
            [
                ("/attributes/a", "range"),
                ("/attributes/b/1", "unknown_value"),
                ("/attributes/c/d", "required"),
                ("/attributes/e", "required"),
                ("/attributes/on", "format"),
                ("/attributes/z~1z", "unknown_field"),
            ]
        );
    }

    #[test]
    fn references_outward_or_in_a_circle_are_refused() {
        for outward in [
            "http://example.com/x",
            "other.json",
            "file:///etc/passwd",
            "#nowhere",
        ] {
            let schema = json!({"properties": {"a": {"$ref": outward}}});
            assert_eq!(refused_at(&schema), "/properties/a/$ref", "{outward}");
        }
        assert_eq!(refused_at(&json!({"$ref": "#"})), "");
        let circle = json!({"$defs": {
            "a": {"allOf": [{"$ref": "#/$defs/b"}]}, "b": {"$ref": "#/$defs/a"}
        }});
        assert!(compiled(&circle).is_err());
        let moved = json!({"properties": {"a": {"$id": "http://example.com/"}}});
        assert_eq!(refused_at(&moved), "/properties/a/$id");
    }

    #[test]
    fn a_tree_that_refers_to_itself_through_its_children_is_fine() {
        let tree = json!({"$defs": {"node": {
            "type": "object", "properties": {"child": {"$ref": "#/$defs/node"}, "n": {"type": "number"}}
        }}, "properties": {"root": {"$ref": "#/$defs/node"}}});
        let schema = compiled(&tree).unwrap();
        let check = |value: Value| schema.check(value.as_object().unwrap()).len();
        assert_eq!(check(json!({"root": {"child": {"child": {"n": 1}}}})), 0);
        assert_eq!(check(json!({"root": {"child": {"child": {"n": "1"}}}})), 1);
    }

    #[test]
    fn size_depth_and_work_are_bounded() {
        assert_eq!(refused_at(&json!({"title": "x".repeat(65_536)})), "");
        let mut deep = json!({});
        for _ in 0..20 {
            deep = json!({"properties": {"a": deep}});
        }
        assert!(compiled(&deep).is_err());
        let doubling: serde_json::Map<_, _> = (0..40)
            .map(|n| {
                let next = json!({"$ref": format!("#/$defs/d{}", n + 1)});
                (format!("d{n}"), json!({"allOf": [next, next]}))
            })
            .chain([("d40".to_owned(), json!({}))])
            .collect();
        assert!(compiled(&json!({"$defs": doubling, "$ref": "#/$defs/d0"})).is_err());
        let bomb = json!({"properties": {"a": {"pattern": "(x{1000}){1000}"}}});
        assert!(compiled(&bomb).is_err());
    }

    #[test]
    fn an_option_obeys_the_schema_of_its_field() {
        let schema = compiled(&json!({
            "properties": {"size": {"enum": ["S", "M"]}, "count": {"$ref": "#/$defs/count"}},
            "$defs": {"count": {"type": "integer", "maximum": 6}},
            "required": ["other"]
        }))
        .unwrap();
        assert!(schema.allows_option("size", "M") && !schema.allows_option("size", "XXL"));
        assert!(schema.allows_option("count", "6") && !schema.allows_option("count", "7"));
        assert!(schema.allows_option("undescribed", "anything"));
    }

    #[test]
    fn a_type_made_again_under_its_id_has_its_own_schema() {
        let typed = |kind: &str| {
            let attributes = json!({"properties": {"a": {"type": kind}}});
            Arc::new(ProductType {
                id: "t".parse().unwrap(),
                attributes,
                ..ProductType::generic().as_ref().clone()
            })
        };
        let schemas = Schemas::default();
        let takes = |kind: &str, value: Value| {
            let schema = schemas.of(&typed(kind)).unwrap();
            schema
                .check(json!({"a": value}).as_object().unwrap())
                .is_empty()
        };
        assert!(takes("integer", json!(1)) && !takes("integer", json!("x")));
        assert!(takes("string", json!("x")) && !takes("string", json!(1)));
    }
}
