//! The language of product lists: what `GET /api/products` may ask, parsed once.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

use sha2::{Digest, Sha256};
use unicode_normalization::UnicodeNormalization;
use url::form_urlencoded;

use super::text::fold;
use crate::{
    page::Limit,
    problem::{FieldError, Problem},
};

/// The most bytes all parameters may have together.
const MAX_QUERY_BYTES: usize = 8 * 1024;
/// The most characters of a text search.
const MAX_TEXT_CHARS: usize = 512;
/// The most attributes one query may filter by.
const MAX_ATTRIBUTES: usize = 50;
/// The most values of one parameter that may be repeated.
const MAX_VALUES: usize = 100;

/// The order of a list; equal rows are ordered by id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sort {
    /// Best match first; only with a text.
    Relevance,
    /// Cheapest first.
    Price,
    /// Dearest first.
    PriceDescending,
    /// By title, as people would sort it: case and accents do not count.
    Name,
    /// Newest first.
    Newest,
}

impl Sort {
    const ALL: [Self; 5] = [
        Self::Relevance,
        Self::Price,
        Self::PriceDescending,
        Self::Name,
        Self::Newest,
    ];

    /// The value of `sort` that names the order.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Relevance => "relevance",
            Self::Price => "price",
            Self::PriceDescending => "-price",
            Self::Name => "name",
            Self::Newest => "-createdAt",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|sort| sort.as_str() == text)
    }
}

/// What is asked of a list of products: filters, text, order, page.
///
/// Values of one parameter are alternatives, different parameters must all hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SearchQuery {
    pub(super) text: Option<String>,
    pub(super) types: BTreeSet<String>,
    pub(super) categories: BTreeSet<String>,
    pub(super) brands: BTreeSet<String>,
    pub(super) min_price: Option<i64>,
    pub(super) max_price: Option<i64>,
    pub(super) in_stock: Option<bool>,
    /// By what follows `attr.`; whether `.min` is a bound or part of a name, the index knows.
    pub(super) attributes: BTreeMap<String, BTreeSet<String>>,
    pub(super) sort: Sort,
    pub(super) facets: bool,
    pub(super) limit: Limit,
    pub(super) cursor: Option<String>,
    pub(super) hidden: bool,
}

impl SearchQuery {
    /// Reads decoded query parameters.
    ///
    /// Without `sort`, a text search is ordered by relevance and any other list newest first.
    ///
    /// # Errors
    /// 422 with every faulty parameter: `unknown_parameter`, `invalid_type`, `range`, `length`,
    /// `max_items`, `repeated`, `invalid`.
    pub fn parse<I, K, V>(pairs: I) -> Result<Self, Problem>
    where
        I: IntoIterator<Item = (K, V)>,
        K: AsRef<str>,
        V: AsRef<str>,
    {
        let mut reader = Reader::default();
        for (name, value) in pairs {
            reader.take(name.as_ref(), value.as_ref())?;
        }
        reader.finish()
    }

    /// The same query over drafts and archived products too, for staff.
    #[must_use]
    pub const fn with_hidden(mut self) -> Self {
        self.hidden = true;
        self
    }

    /// How many rows a page has.
    #[must_use]
    pub const fn limit(&self) -> Limit {
        self.limit
    }

    /// One text for all spellings of the query, page and limit included: a key for caches.
    #[must_use]
    pub fn canonical(&self) -> String {
        let mut text = self.list();
        let mut more = form_urlencoded::Serializer::new(String::new());
        more.append_pair("limit", &self.limit.rows().to_string());
        if self.facets {
            more.append_pair("facets", "true");
        }
        if let Some(cursor) = &self.cursor {
            more.append_pair("cursor", cursor);
        }
        text.push('&');
        text.push_str(&more.finish());
        text
    }

    /// Names the list that a cursor belongs to, however it is paged.
    pub(super) fn list_name(&self) -> String {
        fingerprint(&self.list())
    }

    fn list(&self) -> String {
        let mut pairs = form_urlencoded::Serializer::new(String::new());
        if let Some(text) = &self.text {
            pairs.append_pair("q", &fold(text));
        }
        for (name, values) in [
            ("type", &self.types),
            ("category", &self.categories),
            ("brand", &self.brands),
        ] {
            for value in values {
                pairs.append_pair(name, value);
            }
        }
        for (name, bound) in [("minPrice", self.min_price), ("maxPrice", self.max_price)] {
            if let Some(bound) = bound {
                pairs.append_pair(name, &bound.to_string());
            }
        }
        if let Some(in_stock) = self.in_stock {
            pairs.append_pair("inStock", if in_stock { "true" } else { "false" });
        }
        for (name, values) in &self.attributes {
            for value in values {
                pairs.append_pair(&format!("attr.{name}"), value);
            }
        }
        pairs.append_pair("sort", self.sort.as_str());
        if self.hidden {
            pairs.append_pair("hidden", "true");
        }
        pairs.finish()
    }
}

/// Sixteen hexadecimal digits that stand for `text`.
pub(super) fn fingerprint(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    let first = digest.first_chunk::<8>().copied().unwrap_or_default();
    format!("{:016x}", u64::from_be_bytes(first))
}

/// A value as products hold it: trimmed, in Unicode's composed form (NFC).
pub(super) fn normal(value: &str) -> Cow<'_, str> {
    let trimmed = value.trim();
    if trimmed.is_ascii() {
        Cow::Borrowed(trimmed)
    } else {
        Cow::Owned(trimmed.nfc().collect())
    }
}

/// JSON pointer (RFC 6901) to the parameter `name`.
pub(super) fn pointer(name: &str) -> String {
    format!("/{}", name.replace('~', "~0").replace('/', "~1"))
}

/// Collects parameters and what is wrong with them.
#[derive(Default)]
struct Reader {
    bytes: usize,
    single: BTreeMap<&'static str, String>,
    several: BTreeMap<&'static str, BTreeSet<String>>,
    attributes: BTreeMap<String, BTreeSet<String>>,
    errors: Vec<FieldError>,
}

const SINGLE: [&str; 8] = [
    "q", "minPrice", "maxPrice", "inStock", "sort", "facets", "limit", "cursor",
];
const SEVERAL: [&str; 3] = ["type", "category", "brand"];

impl Reader {
    /// Stops at once only where the whole is too long; other faults are gathered.
    fn take(&mut self, name: &str, value: &str) -> Result<(), Problem> {
        self.bytes = self.bytes.saturating_add(name.len() + value.len() + 2);
        if self.bytes > MAX_QUERY_BYTES {
            let message = format!("a query may have {MAX_QUERY_BYTES} bytes");
            return Err(Problem::field("/", "length", message));
        }
        if let Some(known) = SINGLE.into_iter().find(|known| *known == name) {
            if self.single.insert(known, value.to_owned()).is_some() {
                self.fault(name, "repeated", "may be given once");
            }
        } else if let Some(known) = SEVERAL.into_iter().find(|known| *known == name) {
            let value = self.value(name, value);
            self.several.entry(known).or_default().extend(value);
        } else if let Some(attribute) = name.strip_prefix("attr.").filter(|rest| !rest.is_empty()) {
            let value = self.value(name, value);
            self.attributes
                .entry(attribute.to_owned())
                .or_default()
                .extend(value);
        } else {
            self.fault(name, "unknown_parameter", "there is no such parameter");
        }
        Ok(())
    }

    fn value(&mut self, name: &str, value: &str) -> Option<String> {
        let value = normal(value);
        if value.is_empty() {
            self.fault(name, "length", "must not be empty");
            return None;
        }
        Some(value.into_owned())
    }

    fn fault(&mut self, name: &str, code: &str, message: impl Into<String>) {
        self.errors
            .push(FieldError::new(pointer(name), code, message));
    }

    fn finish(mut self) -> Result<SearchQuery, Problem> {
        self.check_counts();
        let text = self.text();
        let min_price = self.price("minPrice");
        let max_price = self.price("maxPrice");
        if let (Some(min), Some(max)) = (min_price, max_price)
            && min > max
        {
            self.fault("maxPrice", "range", "must not be below minPrice");
        }
        let in_stock = self.flag("inStock");
        let facets = self.flag("facets").unwrap_or(false);
        let sort = self.sort(text.is_some());
        let limit = self.limit();
        let cursor = self.single.remove("cursor");
        if !self.errors.is_empty() {
            return Err(Problem::invalid(self.errors));
        }
        let mut several = |name| self.several.remove(name).unwrap_or_default();
        Ok(SearchQuery {
            text,
            types: several("type"),
            categories: several("category"),
            brands: several("brand"),
            min_price,
            max_price,
            in_stock,
            attributes: self.attributes,
            sort,
            facets,
            limit,
            cursor,
            hidden: false,
        })
    }

    fn check_counts(&mut self) {
        let plain = self.several.iter().map(|(name, values)| (*name, values));
        let mut crowded: Vec<String> = plain
            .filter(|(_, values)| values.len() > MAX_VALUES)
            .map(|(name, _)| name.to_owned())
            .collect();
        let attributes = self.attributes.iter();
        crowded.extend(
            attributes
                .filter(|(_, values)| values.len() > MAX_VALUES)
                .map(|(name, _)| format!("attr.{name}")),
        );
        for name in crowded {
            self.fault(
                &name,
                "max_items",
                format!("at most {MAX_VALUES} values are possible"),
            );
        }
        if self.attributes.len() > MAX_ATTRIBUTES {
            self.fault(
                "attr",
                "max_items",
                format!("at most {MAX_ATTRIBUTES} attributes are possible"),
            );
        }
    }

    fn text(&mut self) -> Option<String> {
        let text = normal(&self.single.remove("q")?).into_owned();
        if text.chars().count() > MAX_TEXT_CHARS {
            self.fault(
                "q",
                "length",
                format!("at most {MAX_TEXT_CHARS} characters are possible"),
            );
        }
        Some(text).filter(|text| !text.is_empty())
    }

    fn price(&mut self, name: &'static str) -> Option<i64> {
        let given = self.single.remove(name)?;
        match given.trim().parse::<i64>() {
            Ok(amount) if amount >= 0 => Some(amount),
            Ok(_negative) => {
                self.fault(name, "range", "must not be negative");
                None
            }
            Err(_refused) => {
                self.fault(
                    name,
                    "invalid_type",
                    "must be a whole number of minor units",
                );
                None
            }
        }
    }

    fn flag(&mut self, name: &'static str) -> Option<bool> {
        match self.single.remove(name)?.as_str() {
            "true" => Some(true),
            "false" => Some(false),
            _ => {
                self.fault(name, "invalid_type", "must be true or false");
                None
            }
        }
    }

    fn sort(&mut self, has_text: bool) -> Sort {
        let fallback = if has_text {
            Sort::Relevance
        } else {
            Sort::Newest
        };
        let Some(given) = self.single.remove("sort") else {
            return fallback;
        };
        match Sort::parse(&given) {
            Some(Sort::Relevance) if !has_text => {
                self.fault("sort", "invalid", "relevance needs a text in q");
                fallback
            }
            Some(sort) => sort,
            None => {
                let known = Sort::ALL.map(Sort::as_str).join(", ");
                self.fault("sort", "invalid", format!("must be one of {known}"));
                fallback
            }
        }
    }

    fn limit(&mut self) -> Limit {
        let Some(given) = self.single.remove("limit") else {
            return Limit::default();
        };
        let parsed = given.parse::<u32>().ok();
        if let Some(limit) = parsed.and_then(|rows| Limit::parse(rows).ok()) {
            return limit;
        }
        let code = if parsed.is_some() {
            "range"
        } else {
            "invalid_type"
        };
        let most = crate::page::MAX_LIMIT;
        self.fault(
            "limit",
            code,
            format!("must be a whole number from 1 to {most}"),
        );
        Limit::default()
    }
}
