//! What the index answers.

use serde::Serialize;

use crate::id::ProductId;

/// One page of a product list.
#[derive(Debug, Clone, PartialEq)]
pub struct SearchPage {
    /// The products, in the order asked for.
    pub ids: Vec<ProductId>,
    /// Where the next page begins; `None` on the last.
    pub next_cursor: Option<String>,
    /// How many products all pages have together.
    pub total: u64,
    /// The facets, where the query asks for them.
    pub facets: Option<Vec<Facet>>,
}

/// One property of the products found, with its values and how many products have each.
///
/// A facet is counted within all filters but its own, so that a shopper sees what choosing one
/// more value would add. It has either `values` or `min` and `max`.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Facet {
    /// `type`, `category`, `brand`, `price`, `inStock`, or the name of an attribute.
    #[schema(example = "color")]
    pub name: String,
    /// The query parameter that filters by it; tells the attribute `type` from the product's type.
    /// A number's bounds are this and `.min` or `.max`; those of `price` are `minPrice` and
    /// `maxPrice`.
    #[schema(example = "attr.color")]
    pub parameter: String,
    /// What people call it.
    #[schema(example = "Colour")]
    pub label: String,
    /// What its values are.
    #[serde(rename = "type")]
    pub kind: FacetKind,
    /// The unit of its numbers, where one is declared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// Its values, the most frequent first: at most 50, and those that the query names always.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub values: Option<Vec<FacetValue>>,
    /// The least number; of `price` in minor units.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<f64>)]
    pub min: Option<serde_json::Number>,
    /// The greatest number; of `price` in minor units.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<f64>)]
    pub max: Option<serde_json::Number>,
}

/// What a facet's values are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum FacetKind {
    /// Texts; also where products disagree on the type of value.
    String,
    /// Numbers, shown by their range.
    Number,
    /// `true` and `false`.
    Boolean,
}

/// One value of a facet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct FacetValue {
    /// The value, as a filter takes it.
    pub value: FacetScalar,
    /// How many products of the list have it.
    pub count: u64,
}

/// A facet's value in JSON.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, utoipa::ToSchema)]
#[serde(untagged)]
pub enum FacetScalar {
    /// Of a boolean facet.
    Flag(bool),
    /// Of any other.
    Text(String),
}

/// What a shopper may mean who is still typing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Suggestion {
    /// What to show: a title, or the name of a category or brand.
    pub text: String,
    /// What it stands for.
    pub kind: SuggestionKind,
    /// The product; absent for categories and brands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub product_id: Option<ProductId>,
    /// The product's slug, or the category's path; absent for brands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slug: Option<String>,
}

/// What a suggestion stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum SuggestionKind {
    /// A product.
    Product,
    /// A category: filter by `category` with `slug`.
    Category,
    /// A brand: filter by `brand` with `text`.
    Brand,
}
