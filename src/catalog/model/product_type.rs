//! Product types: what the products of a kind have in common, and what may be done with each field.

use std::{
    collections::BTreeMap,
    fmt,
    str::FromStr,
    sync::{Arc, LazyLock},
};

use serde::{Deserialize, Deserializer, Serialize, de};
use serde_json::Value;
use validator::{Validate, ValidationErrors};

use super::{Schema, check_key, pointer_token, slug::is_slug};
use crate::{clock::Timestamp, problem::FieldError};

/// The built-in type, which takes any attributes and any axes.
pub const GENERIC: &str = "generic";
/// The most characters of a type's id.
const MAX_ID: usize = 64;
/// The most declared fields of a type.
const MAX_FIELDS: usize = 500;
/// The most characters of a name or a label.
const MAX_LABEL: usize = 200;
/// The most characters of a unit.
const MAX_UNIT: usize = 30;

/// The id of a product type, such as `t-shirt`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct TypeId(Arc<str>);

/// The text is no id of a product type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected 1 to {MAX_ID} lower-case letters, digits and single hyphens between them")]
pub struct InvalidTypeId;

impl TypeId {
    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The id of the built-in type.
    #[must_use]
    pub fn generic() -> Self {
        Self(GENERIC.into())
    }

    /// Whether it names the built-in type.
    #[must_use]
    pub fn is_generic(&self) -> bool {
        self.as_str() == GENERIC
    }
}

impl FromStr for TypeId {
    type Err = InvalidTypeId;

    fn from_str(text: &str) -> Result<Self, InvalidTypeId> {
        if text.len() <= MAX_ID && is_slug(text) {
            Ok(Self(text.into()))
        } else {
            Err(InvalidTypeId)
        }
    }
}

impl fmt::Display for TypeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<&TypeId> for bson::Bson {
    fn from(id: &TypeId) -> Self {
        Self::String(id.to_string())
    }
}

impl<'de> Deserialize<'de> for TypeId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

/// What the products of a kind have in common.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProductType {
    /// Its id.
    #[schema(value_type = String, example = "t-shirt")]
    pub id: TypeId,
    /// Its name for people.
    pub name: String,
    /// The JSON Schema (2020-12) of its products' attributes.
    #[schema(value_type = Object)]
    pub attributes: Value,
    /// What may be done with each field. A nested field is named by its path: `dimensions.height`.
    pub fields: BTreeMap<String, Field>,
    /// Counts its changes from 1.
    pub version: u64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// What may be done with a field of a type.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Field {
    /// Its name for people.
    pub label: String,
    /// The unit of its numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "mm")]
    pub unit: Option<String>,
    /// Whether products can be filtered and counted by it.
    #[serde(default)]
    pub filterable: bool,
    /// Whether its text is searched.
    #[serde(default)]
    pub searchable: bool,
    /// Whether variants may differ in it.
    #[serde(default)]
    pub variant_axis: bool,
}

impl ProductType {
    /// The built-in type.
    #[must_use]
    pub fn generic() -> Arc<Self> {
        static BUILT_IN: LazyLock<Arc<ProductType>> = LazyLock::new(|| {
            Arc::new(ProductType {
                id: TypeId::generic(),
                name: "Generic".to_owned(),
                attributes: serde_json::json!({ "type": "object" }),
                fields: BTreeMap::new(),
                version: 1,
                created_at: Timestamp::from_millis(0),
                updated_at: Timestamp::from_millis(0),
            })
        });
        BUILT_IN.clone()
    }

    /// Whether variants may differ in `axis`: everything for the built-in type, else what is declared.
    #[must_use]
    pub fn has_axis(&self, axis: &str) -> bool {
        self.id.is_generic()
            || self
                .fields
                .get(axis)
                .is_some_and(|field| field.variant_axis)
    }

    /// Whether the schema lets the field of that path hold numbers; `true` where it does not tell.
    #[must_use]
    pub fn may_hold_numbers(&self, path: &str) -> bool {
        let mut steps = path.split('.');
        let described = steps.try_fold(&self.attributes, |schema, step| {
            schema.get("properties")?.get(step)
        });
        described.is_none_or(allows_numbers)
    }

    /// The declared axes.
    pub fn axes(&self) -> impl Iterator<Item = &str> {
        let axes = self.fields.iter().filter(|(_, field)| field.variant_axis);
        axes.map(|(name, _)| name.as_str())
    }
}

/// Whether a schema lets a value, or one of a list's, be a number. What refers elsewhere does not tell.
fn allows_numbers(schema: &Value) -> bool {
    let kind = |kind: &Value| match kind.as_str() {
        Some("string" | "boolean" | "null") => false,
        Some("array") => schema.get("items").is_none_or(allows_numbers),
        _ => true,
    };
    match schema.get("type") {
        Some(Value::Array(kinds)) => kinds.iter().any(kind),
        Some(only) => kind(only),
        None => true,
    }
}

/// Every product type, the built-in one included.
#[derive(Debug, Clone)]
pub struct Types(BTreeMap<TypeId, Arc<ProductType>>);

impl Default for Types {
    fn default() -> Self {
        Self::new([])
    }
}

impl Types {
    /// These types and the built-in one.
    pub fn new(types: impl IntoIterator<Item = Arc<ProductType>>) -> Self {
        let mut all: BTreeMap<_, _> = types.into_iter().map(|t| (t.id.clone(), t)).collect();
        all.insert(TypeId::generic(), ProductType::generic());
        Self(all)
    }

    /// The type of that id.
    #[must_use]
    pub fn get(&self, id: &TypeId) -> Option<&Arc<ProductType>> {
        self.0.get(id)
    }

    /// The type of that id; the built-in one where it has been removed meanwhile.
    #[must_use]
    pub fn of(&self, id: &TypeId) -> Arc<ProductType> {
        self.get(id).cloned().unwrap_or_else(ProductType::generic)
    }

    /// Every type, by id.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<ProductType>> {
        self.0.values()
    }

    /// These types with `changed` in the place of its former version.
    #[must_use]
    pub fn with(&self, changed: Arc<ProductType>) -> Self {
        Self::new(self.0.values().cloned().chain([changed]))
    }

    /// These types without `removed`.
    #[must_use]
    pub fn without(&self, removed: &TypeId) -> Self {
        Self::new(self.0.values().filter(|t| t.id != *removed).cloned())
    }
}

/// A product type to be created, or to replace one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WriteProductType {
    /// Its id; may be left out where the address names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "t-shirt")]
    pub id: Option<String>,
    /// Its name for people.
    #[schema(example = "T-shirt", min_length = 1, max_length = 200)]
    pub name: String,
    /// The JSON Schema (2020-12) of its products' attributes.
    #[serde(default = "anything")]
    #[schema(value_type = Object)]
    pub attributes: Value,
    /// What may be done with each field.
    #[serde(default)]
    pub fields: BTreeMap<String, Field>,
}

fn anything() -> Value {
    serde_json::json!({ "type": "object" })
}

/// `check_type` has every rule.
impl Validate for WriteProductType {
    fn validate(&self) -> Result<(), ValidationErrors> {
        Ok(())
    }
}

/// Checks a written type, schema and all; names each faulty place.
///
/// # Errors
/// Pointers into the written form.
pub fn check_type(written: &WriteProductType) -> Result<(), Vec<FieldError>> {
    let mut faults = Vec::new();
    length(&mut faults, "/name", &written.name, MAX_LABEL);
    if written.fields.len() > MAX_FIELDS {
        let message = format!("a type declares {MAX_FIELDS} fields at most");
        faults.push(FieldError::new("/fields", "length", message));
    }
    for (name, field) in &written.fields {
        check_field(&mut faults, name, field, &written.attributes);
    }
    let axes = written.fields.iter().filter(|(_, f)| f.variant_axis);
    if let Err(broken) = Schema::compile(&written.attributes, axes.map(|(name, _)| name.as_str())) {
        let pointer = format!("/attributes{}", broken.pointer);
        faults.push(FieldError::new(pointer, "schema", broken.message));
    }
    if faults.is_empty() {
        Ok(())
    } else {
        Err(faults)
    }
}

fn check_field(faults: &mut Vec<FieldError>, name: &str, field: &Field, schema: &Value) {
    let pointer = format!("/fields/{}", pointer_token(name));
    let path: Vec<&str> = name.split('.').collect();
    if let Some(message) = path.iter().find_map(|key| check_key(key).err()) {
        faults.push(FieldError::new(&pointer, "key", message));
    }
    length(faults, &format!("{pointer}/label"), &field.label, MAX_LABEL);
    if let Some(unit) = &field.unit {
        length(faults, &format!("{pointer}/unit"), unit, MAX_UNIT);
    }
    if field.variant_axis && path.len() > 1 {
        let message = "variants differ in fields of the first level only";
        faults.push(FieldError::new(
            format!("{pointer}/variantAxis"),
            "axis",
            message,
        ));
    }
    let closed = schema.get("additionalProperties") == Some(&Value::Bool(false));
    let described = path.first().is_some_and(|key| {
        schema
            .get("properties")
            .is_some_and(|described| described.get(key).is_some())
    });
    if closed && !described && schema.get("patternProperties").is_none() {
        let message = "the schema neither describes nor allows this attribute";
        faults.push(FieldError::new(pointer, "unknown_attribute", message));
    }
}

fn length(faults: &mut Vec<FieldError>, pointer: &str, text: &str, most: usize) {
    let characters = text.chars().count();
    if text.trim().is_empty() || characters > most {
        let message = format!("must have 1 to {most} characters");
        faults.push(FieldError::new(pointer, "length", message));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn faults(written: Value) -> Vec<String> {
        let written: WriteProductType = serde_json::from_value(written).unwrap();
        match check_type(&written) {
            Ok(()) => Vec::new(),
            Err(faults) => faults.into_iter().map(|fault| fault.pointer).collect(),
        }
    }

    #[test]
    fn each_fault_of_a_type_is_named() {
        let written = json!({
            "id": "x", "name": " ",
            "attributes": {"properties": {"a": {"type": "strin"}}, "additionalProperties": false},
            "fields": {
                "$a": {"label": "x"}, "a": {"label": ""},
                "a.b": {"label": "y", "variantAxis": true}, "b": {"label": "B"}
            }
        });
        let mut found = faults(written);
        found.sort();
        assert_eq!(
            found,
            [
                "/attributes/properties/a/type",
                "/fields/$a",
                "/fields/$a",
                "/fields/a.b/variantAxis",
                "/fields/a/label",
                "/fields/b",
                "/name",
            ]
        );
    }

    #[test]
    fn a_type_without_fields_takes_anything() {
        assert_eq!(faults(json!({ "name": "Box" })), Vec::<String>::new());
    }

    #[test]
    fn an_id_is_a_slug() {
        assert!("t-shirt".parse::<TypeId>().is_ok());
        for wrong in ["", "T-shirt", "a b", "a/b", "$gt"] {
            assert!(wrong.parse::<TypeId>().is_err(), "{wrong}");
        }
    }
}
