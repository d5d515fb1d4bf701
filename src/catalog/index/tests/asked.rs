//! Questions before they are spelt as parameters.

use std::collections::BTreeSet;

use super::known::Leaf;

/// What is asked, before it is spelt as parameters.
#[derive(Debug, Clone, Default)]
pub(super) struct Asked {
    pub(super) text: Option<String>,
    pub(super) types: Vec<String>,
    pub(super) categories: Vec<String>,
    pub(super) brands: Vec<String>,
    pub(super) min_price: Option<i64>,
    pub(super) max_price: Option<i64>,
    pub(super) in_stock: Option<bool>,
    pub(super) attributes: Vec<AskedAttribute>,
    pub(super) sort: Option<&'static str>,
    pub(super) hidden: bool,
}

/// What is asked of one attribute.
#[derive(Debug, Clone, Default)]
pub(super) struct AskedAttribute {
    pub(super) path: String,
    pub(super) values: Vec<String>,
    pub(super) min: Option<f64>,
    pub(super) max: Option<f64>,
}

impl Asked {
    /// The parameters as a client sends them.
    pub(super) fn pairs(&self) -> Vec<(String, String)> {
        let mut pairs = Vec::new();
        let mut push = |name: &str, value: String| pairs.push((name.to_owned(), value));
        self.text.iter().for_each(|text| push("q", text.clone()));
        for (name, values) in [
            ("type", &self.types),
            ("category", &self.categories),
            ("brand", &self.brands),
        ] {
            for value in values {
                push(name, value.clone());
            }
        }
        self.min_price
            .iter()
            .for_each(|n| push("minPrice", n.to_string()));
        self.max_price
            .iter()
            .for_each(|n| push("maxPrice", n.to_string()));
        self.in_stock
            .iter()
            .for_each(|yes| push("inStock", yes.to_string()));
        self.sort
            .iter()
            .for_each(|sort| push("sort", (*sort).to_owned()));
        for attribute in &self.attributes {
            let name = format!("attr.{}", attribute.path);
            attribute
                .values
                .iter()
                .for_each(|value| push(&name, value.clone()));
            for (suffix, bound) in [("min", attribute.min), ("max", attribute.max)] {
                if let Some(bound) = bound {
                    push(&format!("{name}.{suffix}"), bound.to_string());
                }
            }
        }
        pairs
    }
}

impl Asked {
    /// What was chosen of the facet of `parameter`.
    pub(super) fn chosen(&self, parameter: &str) -> BTreeSet<String> {
        let values = match parameter {
            "type" => self.types.clone(),
            "category" => self.categories.clone(),
            "brand" => self.brands.clone(),
            other => self
                .attributes
                .iter()
                .filter(|asked| other.strip_prefix("attr.") == Some(asked.path.as_str()))
                .flat_map(|asked| asked.values.clone())
                .collect(),
        };
        values.into_iter().collect()
    }
}

impl AskedAttribute {
    /// Asks for a value, or for a range around a number.
    pub(super) fn take(&mut self, leaf: &Leaf, as_range: bool) {
        match leaf {
            Leaf::Number(number) if as_range => {
                self.min = Some(number.midpoint(0.0));
                self.max = Some(number.max(8.0));
            }
            Leaf::Number(_) | Leaf::Flag(_) | Leaf::Text(_) => self.values.push(leaf.shown()),
        }
    }
}
