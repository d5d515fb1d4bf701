//! What a schema may refer to: itself only, not in a circle, and not so often that a check gets slow.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::{BrokenSchema, pointer_token};

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

/// Refuses what could make compiling or checking slow, or lead outward.
pub(super) fn bounded(schema: &Value) -> Result<(), BrokenSchema> {
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
