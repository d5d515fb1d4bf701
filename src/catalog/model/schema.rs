//! The JSON Schemas of product types: checked before they are taken, compiled once, never fetched.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
};

use jsonschema::{Draft, PatternOptions, ValidationError, Validator, error::ValidationErrorKind};
use serde_json::{Value, json};

use super::{Attributes, ProductType, TypeId, pointer_token};
use crate::problem::FieldError;

/// The dialect, and the only one.
const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";
/// The most bytes of a schema, encoded.
const MAX_BYTES: usize = 64 * 1024;
/// How deep a schema may nest.
const MAX_DEPTH: usize = 32;
/// The most schemas that may apply to one value, references followed: bounds the time of a check.
const MAX_IN_PLACE: usize = 500;
/// How long a chain of references may be.
const MAX_CHAIN: usize = 64;
/// The most bytes of a compiled pattern.
const MAX_PATTERN_BYTES: usize = 1024 * 1024;
/// The most faults named at once.
const MAX_FAULTS: usize = 50;
/// Keywords whose schemas apply to the same value as the schema that holds them.
const IN_PLACE: [&str; 8] = [
    "allOf",
    "anyOf",
    "oneOf",
    "not",
    "if",
    "then",
    "else",
    "dependentSchemas",
];

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
    fn at(pointer: &str, message: impl Into<String>) -> Self {
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

/// Refuses what could make compiling or checking slow, or lead outward.
fn bounded(schema: &Value) -> Result<(), BrokenSchema> {
    if !schema.is_object() {
        return Err(BrokenSchema::at("", "expected an object"));
    }
    let size = serde_json::to_vec(schema).map_or(usize::MAX, |bytes| bytes.len());
    if size > MAX_BYTES {
        let message = format!("a schema has {MAX_BYTES} bytes at most");
        return Err(BrokenSchema::at("", message));
    }
    if schema
        .get("$schema")
        .is_some_and(|dialect| dialect != DIALECT)
    {
        return Err(BrokenSchema::at("/$schema", format!("expected {DIALECT}")));
    }
    let mut references = References {
        root: schema,
        costs: HashMap::new(),
        open: HashSet::new(),
    };
    references.walk(schema, "", 0)
}

/// The references of a schema, followed.
struct References<'s> {
    root: &'s Value,
    /// How many schemas apply to a value that is checked against the schema at a pointer.
    costs: HashMap<String, usize>,
    /// The pointers being followed now.
    open: HashSet<String>,
}

impl<'s> References<'s> {
    fn walk(&mut self, value: &'s Value, pointer: &str, depth: usize) -> Result<(), BrokenSchema> {
        if depth > MAX_DEPTH {
            let message = format!("a schema nests {MAX_DEPTH} levels at most");
            return Err(BrokenSchema::at(pointer, message));
        }
        match value {
            Value::Object(members) => {
                for (key, inner) in members {
                    let place = format!("{pointer}/{}", pointer_token(key));
                    // A property may have any name; a keyword holds text.
                    let keyword = inner.is_string() && (depth > 0 || key != "$id");
                    if keyword && is_moving(key) {
                        let message = "references are JSON pointers into this schema only";
                        return Err(BrokenSchema::at(&place, message));
                    }
                    self.walk(inner, &place, depth + 1)?;
                }
                self.cost(value, pointer, 0).map(|_cost| ())
            }
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    self.walk(item, &format!("{pointer}/{index}"), depth + 1)?;
                }
                Ok(())
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Ok(()),
        }
    }

    /// Counts the schemas that apply to one value; refuses circles among them.
    fn cost(
        &mut self,
        schema: &'s Value,
        pointer: &str,
        chain: usize,
    ) -> Result<usize, BrokenSchema> {
        if let Some(known) = self.costs.get(pointer) {
            return Ok(*known);
        }
        if chain > MAX_CHAIN || !self.open.insert(pointer.to_owned()) {
            let message = "references lead in a circle, or too far";
            return Err(BrokenSchema::at(pointer, message));
        }
        let mut cost = 1_usize;
        for (place, inner) in self.applied(schema, pointer)? {
            cost = cost.saturating_add(self.cost(inner, &place, chain + 1)?);
        }
        if cost > MAX_IN_PLACE {
            let message = format!("more than {MAX_IN_PLACE} schemas apply to one value");
            return Err(BrokenSchema::at(pointer, message));
        }
        self.open.remove(pointer);
        self.costs.insert(pointer.to_owned(), cost);
        Ok(cost)
    }

    /// The schemas that apply to the same value as `schema`, with their places.
    fn applied(
        &self,
        schema: &'s Value,
        pointer: &str,
    ) -> Result<Vec<(String, &'s Value)>, BrokenSchema> {
        let mut applied = Vec::new();
        if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
            let place = format!("{pointer}/$ref");
            let target = reference
                .strip_prefix('#')
                .filter(|target| target.is_empty() || target.starts_with('/'))
                .and_then(|target| {
                    let decoded = percent_encoding::percent_decode_str(target).decode_utf8();
                    let target = decoded.ok()?.into_owned();
                    let found = self.root.pointer(&target)?;
                    Some((target, found))
                });
            applied.push(target.ok_or_else(|| {
                BrokenSchema::at(&place, "expected a JSON pointer into this schema: #/…")
            })?);
        }
        for keyword in IN_PLACE {
            let place = format!("{pointer}/{keyword}");
            match schema.get(keyword) {
                Some(Value::Array(items)) => {
                    let items = items.iter().enumerate();
                    applied.extend(items.map(|(index, item)| (format!("{place}/{index}"), item)));
                }
                Some(Value::Object(members)) if keyword == "dependentSchemas" => {
                    let members = members.iter();
                    applied
                        .extend(members.map(|(key, inner)| {
                            (format!("{place}/{}", pointer_token(key)), inner)
                        }));
                }
                Some(inner @ Value::Object(_)) => applied.push((place, inner)),
                Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) | None => {
                }
            }
        }
        Ok(applied)
    }
}

/// Keywords that name or move the place that references are resolved against.
fn is_moving(keyword: &str) -> bool {
    matches!(
        keyword,
        "$id" | "$anchor" | "$dynamicAnchor" | "$dynamicRef" | "$recursiveRef" | "$recursiveAnchor"
    )
}

/// The compiled schemas of the types in use, one for each; a newer version takes an older one's place.
#[derive(Debug, Default)]
pub struct Schemas(Mutex<HashMap<TypeId, (u64, Arc<Schema>)>>);

impl Schemas {
    /// The compiled schema of `product_type`.
    ///
    /// # Errors
    /// When its schema is not taken: it was written by other means than this code.
    pub fn of(&self, product_type: &ProductType) -> Result<Arc<Schema>, BrokenSchema> {
        let table = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((version, schema)) = table().get(&product_type.id)
            && *version == product_type.version
        {
            return Ok(schema.clone());
        }
        let compiled = Arc::new(Schema::compile(
            &product_type.attributes,
            product_type.axes(),
        )?);
        let entry = (product_type.version, compiled.clone());
        table().insert(product_type.id.clone(), entry);
        Ok(compiled)
    }
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
        assert_eq!(refused_at(&json!({"title": "x".repeat(MAX_BYTES)})), "");
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
}
