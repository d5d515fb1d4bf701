//! Product types made from data: which fields the products of a kind have, of which kinds of values, and
//! which of them are worth filtering by.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::super::model::{Attributes, Field, WriteProductType};

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

#[cfg(test)]
mod tests {
    use super::*;

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
