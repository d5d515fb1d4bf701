//! Products laid out for plain reading.

use std::collections::BTreeSet;

use serde_json::Value;
use unicode_normalization::UnicodeNormalization;

use super::super::product::{IndexedProduct, TypeFields};

/// A value that a filter may name.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Leaf {
    Flag(bool),
    Number(f64),
    Text(String),
}

impl Leaf {
    /// As a facet shows it.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::Flag(flag) => flag.to_string(),
            Self::Number(number) => number.to_string(),
            Self::Text(text) => text.clone(),
        }
    }

    /// Whether a filter by `text` finds it.
    pub(super) fn is_meant_by(&self, text: &str) -> bool {
        match self {
            Self::Flag(flag) => text == flag.to_string(),
            Self::Number(number) => text.parse() == Ok(*number),
            Self::Text(own) => own == text,
        }
    }
}

/// A product with its filterable values laid out.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) product: IndexedProduct,
    pub(super) leaves: Vec<(String, Leaf)>,
}

impl Known {
    /// Lays the values out.
    pub(super) fn new(product: IndexedProduct) -> Self {
        let mut all = Vec::new();
        lay_out(&product.attributes, "", &mut all);
        for (name, value) in product.variants.iter().flatten() {
            lay_out(&Value::String(value.clone()), name, &mut all);
        }
        all.retain(|(path, _)| is_filterable(&product.fields, path));
        Self {
            product,
            leaves: all,
        }
    }

    /// What its variants cost.
    pub(super) fn prices(&self) -> impl Iterator<Item = i64> {
        let dearer = self.product.dearer.iter().copied();
        std::iter::once(self.product.price).chain(dearer)
    }

    /// Its categories and those above.
    pub(super) fn categories(&self) -> BTreeSet<String> {
        let mut all = BTreeSet::new();
        for category in &self.product.categories {
            let steps: Vec<&str> = category.split('/').collect();
            all.extend((1..=steps.len()).map(|n| steps[..n].join("/")));
        }
        all
    }

    /// Its values of one attribute.
    pub(super) fn of(&self, path: &str) -> impl Iterator<Item = &Leaf> {
        self.leaves
            .iter()
            .filter(move |(own, _)| own == path)
            .map(|(_, leaf)| leaf)
    }
}

fn lay_out(value: &Value, path: &str, leaves: &mut Vec<(String, Leaf)>) {
    let leaf = match value {
        Value::Null => return,
        Value::Bool(flag) => Leaf::Flag(*flag),
        Value::Number(number) => Leaf::Number(number.as_f64().unwrap()),
        Value::String(text) if text.trim().is_empty() => return,
        Value::String(text) => Leaf::Text(text.trim().nfc().collect()),
        Value::Array(items) => return items.iter().for_each(|item| lay_out(item, path, leaves)),
        Value::Object(members) => {
            for (name, member) in members {
                let dot = if path.is_empty() { "" } else { "." };
                lay_out(member, &format!("{path}{dot}{name}"), leaves);
            }
            return;
        }
    };
    leaves.push((path.to_owned(), leaf));
}

fn is_filterable(fields: &TypeFields, path: &str) -> bool {
    let mut name = path;
    loop {
        if let Some(field) = fields.fields.get(name) {
            return field.filterable;
        }
        match name.rfind('.') {
            Some(dot) => name = &name[..dot],
            None => return false,
        }
    }
}
