//! Product types made from data: which fields the products of a kind have, of which kinds of values, and
//! which of them are worth filtering by.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::TryStreamExt;
use serde_json::{Map, Value, json};

use crate::{
    catalog::{
        Catalog, CatalogError,
        model::{Attributes, Field, TypeId, WriteProductType},
    },
    problem::{FieldError, Problem},
};

/// Text fields with more different values than this are searched rather than filtered.
const MAX_CHOICES: usize = 300;
/// Levels of nested fields that are declared; deeper ones are kept and not described.
const MAX_LEVELS: usize = 3;

/// What is known of one field.
#[derive(Debug, Default)]
struct Seen {
    /// JSON Schema's names of the kinds of values seen.
    kinds: BTreeSet<&'static str>,
    /// Different texts, up to one more than [`MAX_CHOICES`].
    texts: BTreeSet<String>,
    /// What lies inside objects.
    fields: BTreeMap<String, Seen>,
    /// What lies inside lists.
    items: Option<Box<Seen>>,
}

impl Seen {
    fn see(&mut self, value: &Value) {
        match value {
            Value::Null => {
                self.kinds.insert("null");
            }
            Value::Bool(_) => {
                self.kinds.insert("boolean");
            }
            Value::Number(number) => {
                let whole = number.is_i64() || number.is_u64();
                self.kinds.insert(if whole { "integer" } else { "number" });
            }
            Value::String(text) => {
                self.kinds.insert("string");
                if self.texts.len() <= MAX_CHOICES && !self.texts.contains(text) {
                    self.texts.insert(text.clone());
                }
            }
            Value::Array(items) => {
                self.kinds.insert("array");
                let inner = self.items.get_or_insert_default();
                for item in items {
                    inner.see(item);
                }
            }
            Value::Object(fields) => {
                self.kinds.insert("object");
                for (name, value) in fields {
                    self.fields.entry(name.clone()).or_default().see(value);
                }
            }
        }
    }

    fn schema(&self) -> Value {
        let mut kinds = self.kinds.clone();
        // Whole numbers are numbers: one declaration serves both.
        if kinds.contains("number") {
            kinds.remove("integer");
        }
        let kinds: Vec<&str> = kinds.into_iter().collect();
        let mut schema = Map::new();
        match kinds.as_slice() {
            [] => return json!({}),
            [one] => schema.insert("type".into(), json!(one)),
            many => schema.insert("type".into(), json!(many)),
        };
        if let Some(items) = &self.items {
            schema.insert("items".into(), items.schema());
        }
        if self.kinds.contains("object") {
            schema.insert("properties".into(), properties(&self.fields));
        }
        Value::Object(schema)
    }

    /// Declares the field and what lies inside it.
    fn declare(&self, path: &str, level: usize, fields: &mut BTreeMap<String, Field>) {
        if level > MAX_LEVELS {
            return;
        }
        if !self.fields.is_empty() {
            for (name, inner) in &self.fields {
                inner.declare(&format!("{path}.{name}"), level + 1, fields);
            }
            return;
        }
        let leaf = self.items.as_deref().unwrap_or(self);
        if leaf.kinds.contains("object") {
            // A list of objects is kept as it is: a filter over its parts would mix them up.
            return;
        }
        let text = leaf.kinds.contains("string");
        let few = leaf.texts.len() <= MAX_CHOICES;
        let declared = Field {
            label: label(path),
            unit: None,
            filterable: !text || few,
            searchable: text,
            variant_axis: false,
        };
        fields.insert(path.to_owned(), declared);
    }
}

fn properties(fields: &BTreeMap<String, Seen>) -> Value {
    Value::Object(
        fields
            .iter()
            .map(|(name, seen)| (name.clone(), seen.schema()))
            .collect(),
    )
}

/// `core_base_clock` and `coreBaseClock` as people read them: `Core base clock`.
fn label(path: &str) -> String {
    let mut words = String::with_capacity(path.len() + 4);
    let mut before = ' ';
    let mut rest = path.chars().peekable();
    while let Some(letter) = rest.next() {
        if matches!(letter, '_' | '-' | '.') {
            words.push(' ');
        } else if letter.is_uppercase() && before.is_lowercase() {
            words.push(' ');
            // "releaseYear" is a word, "isOEM" an abbreviation.
            if rest.peek().is_some_and(|next| next.is_lowercase()) {
                words.extend(letter.to_lowercase());
            } else {
                words.push(letter);
            }
        } else {
            words.push(letter);
        }
        before = letter;
    }
    let mut letters = words.trim().chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(letters).collect()
    })
}

/// The kinds of products seen so far.
#[derive(Debug, Default)]
pub(super) struct Inference(BTreeMap<String, Kind>);

#[derive(Debug, Default)]
struct Kind {
    name: String,
    fields: BTreeMap<String, Seen>,
    axes: BTreeSet<String>,
}

impl Inference {
    /// Takes a product of the type `id`, called `name` by its maker, into account.
    pub(super) fn see(&mut self, id: &str, name: &str, attributes: &Attributes, axes: &[String]) {
        let kind = self.0.entry(id.to_owned()).or_default();
        if kind.name.is_empty() {
            name.clone_into(&mut kind.name);
        }
        kind.axes.extend(axes.iter().cloned());
        for (field, value) in attributes {
            kind.fields.entry(field.clone()).or_default().see(value);
        }
    }

    /// The one type that was seen; an empty one where no product was.
    fn only(self, id: &TypeId) -> WriteProductType {
        self.into_types()
            .next()
            .unwrap_or_else(|| WriteProductType {
                id: Some(id.to_string()),
                name: label(id.as_str()),
                attributes: json!({ "type": "object" }),
                fields: BTreeMap::new(),
            })
    }

    /// The types, by id.
    pub(super) fn into_types(self) -> impl Iterator<Item = WriteProductType> {
        self.0.into_iter().map(|(id, kind)| {
            let mut fields = BTreeMap::new();
            for (name, seen) in &kind.fields {
                seen.declare(name, 1, &mut fields);
            }
            for axis in &kind.axes {
                let field = fields.entry(axis.clone()).or_insert_with(|| Field {
                    label: label(axis),
                    filterable: true,
                    ..Field::default()
                });
                field.variant_axis = true;
            }
            WriteProductType {
                id: Some(id),
                name: kind.name,
                // Open: the next delivery may know more than this one.
                attributes: json!({ "type": "object", "properties": properties(&kind.fields) }),
                fields,
            }
        })
    }
}

/// The most levels that a line of attributes may nest.
const MAX_DEPTH: usize = 40;

/// Makes the type `id` from JSON Lines, each the attributes of a product.
///
/// # Errors
/// 422 that names the lines which are no objects; 422 without any line.
pub(in crate::catalog) fn infer_from_lines(
    id: &TypeId,
    lines: &[u8],
) -> Result<WriteProductType, Problem> {
    let mut inference = Inference::default();
    let mut faults = Vec::new();
    let mut seen = false;
    for (number, line) in lines.split(|byte| *byte == b'\n').enumerate() {
        let line = line.trim_ascii();
        if line.is_empty() {
            continue;
        }
        seen = true;
        match serde_json::from_slice::<Attributes>(line) {
            Ok(attributes) if depth(&attributes) <= MAX_DEPTH => {
                inference.see(id.as_str(), &label(id.as_str()), &attributes, &[]);
            }
            Ok(_) => faults.push(line_fault(number, "nests too deep")),
            Err(error) => faults.push(line_fault(number, &error.to_string())),
        }
        if faults.len() == MAX_FAULTS {
            break;
        }
    }
    if !seen {
        faults.push(FieldError::new("", "required", "send a line of attributes"));
    }
    if !faults.is_empty() {
        return Err(Problem::invalid(faults));
    }
    Ok(inference.only(id))
}

/// The most faulty lines that are named.
const MAX_FAULTS: usize = 20;

fn line_fault(index: usize, message: &str) -> FieldError {
    let line = index.saturating_add(1);
    FieldError::new(format!("/lines/{line}"), "invalid", message)
}

/// The levels of what lies inside.
fn depth(attributes: &Attributes) -> usize {
    fn of(value: &Value) -> usize {
        match value {
            Value::Array(items) => 1 + items.iter().map(of).max().unwrap_or_default(),
            Value::Object(members) => 1 + members.values().map(of).max().unwrap_or_default(),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
        }
    }
    1 + attributes.values().map(of).max().unwrap_or_default()
}

impl Catalog {
    /// Makes the type `id` from the products that have the type `from`.
    ///
    /// # Errors
    /// `TypeNotFound`, and where the database cannot be read.
    pub(in crate::catalog) async fn infer_from_products(
        &self,
        id: &TypeId,
        from: &TypeId,
    ) -> Result<WriteProductType, CatalogError> {
        let source = self.find_type(from).await?;
        let mut inference = Inference::default();
        let mut products = self.shared.products.of_type(from).await?;
        let name = label(id.as_str());
        while let Some(product) = products.try_next().await? {
            inference.see(id.as_str(), &name, &product.attributes, &product.options);
        }
        let mut made = inference.only(id);
        // What people have said of a field stays said.
        for (name, field) in &source.fields {
            if let Some(declared) = made.fields.get_mut(name) {
                declared.label.clone_from(&field.label);
                declared.unit.clone_from(&field.unit);
            }
        }
        Ok(made)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_are_no_attributes_are_named() {
        let id: TypeId = "wide-fan".parse().unwrap();
        let made = infer_from_lines(&id, b"{\"pwm\": true}\n\n{\"size_mm\": 120}\n").unwrap();
        assert_eq!(
            (made.id.as_deref(), made.name.as_str()),
            (Some("wide-fan"), "Wide fan")
        );
        assert_eq!(
            made.attributes["properties"]["pwm"],
            json!({ "type": "boolean" })
        );
        assert!(infer_from_lines(&id, b"{\"a\": 1}\n[1]\nnot json").is_err());
        assert!(infer_from_lines(&id, b"\n").is_err());
        let deep = format!("{{\"a\": {}1{}}}", "[".repeat(60), "]".repeat(60));
        assert!(infer_from_lines(&id, deep.as_bytes()).is_err());
    }

    #[test]
    fn kinds_fields_and_axes_are_found() {
        let mut inference = Inference::default();
        let attributes = |value: Value| value.as_object().unwrap().clone();
        inference.see(
            "fan",
            "Fan",
            &attributes(json!({ "size_mm": 120, "pwm": true, "noise": { "min": 10.5 } })),
            &[],
        );
        inference.see(
            "fan",
            "Fan",
            &attributes(json!({ "size_mm": 92.5, "tags": ["a"], "sets": [{ "n": 1 }] })),
            &["color".into()],
        );
        let types: Vec<_> = inference.into_types().collect();
        let fan = &types[0];
        assert_eq!(
            fan.attributes["properties"]["size_mm"],
            json!({ "type": "number" })
        );
        assert_eq!(
            fan.attributes["properties"]["tags"],
            json!({ "type": "array", "items": { "type": "string" } })
        );
        let names: Vec<_> = fan.fields.keys().map(String::as_str).collect();
        assert_eq!(names, ["color", "noise.min", "pwm", "size_mm", "tags"]);
        assert!(fan.fields["color"].variant_axis && fan.fields["size_mm"].filterable);
        assert_eq!(fan.fields["size_mm"].label, "Size mm");
    }

    #[test]
    fn text_of_many_values_is_searched_not_filtered() {
        let mut inference = Inference::default();
        for n in 0..=MAX_CHOICES {
            let attributes = json!({ "model": format!("m{n}"), "color": "red" });
            inference.see("x", "X", attributes.as_object().unwrap(), &[]);
        }
        let types: Vec<_> = inference.into_types().collect();
        assert!(!types[0].fields["model"].filterable && types[0].fields["model"].searchable);
        assert!(types[0].fields["color"].filterable);
    }

    #[test]
    fn labels_read_as_words() {
        assert_eq!(
            [
                label("core_base_clock"),
                label("releaseYear"),
                label("isOEM")
            ],
            ["Core base clock", "Release year", "Is OEM"]
        );
    }
}
