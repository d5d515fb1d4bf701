//! From the written form to a product: every rule, with each faulty place named.

use std::collections::{HashMap, HashSet};

use super::{
    Attributes, Categories, DraftVariant, MAX_ALT, MAX_CATEGORIES, MAX_CATEGORY_DEPTH,
    MAX_DESCRIPTION, MAX_IMAGES, MAX_ON_HAND, MAX_PRODUCT_BYTES, MAX_SHORT_TEXT, MAX_TITLE,
    PriceMark, Product, ProductType, Schema, Status, TypeId, Variant, WriteProduct,
    check_attributes, check_slug, derive_slug,
    slug::is_slug,
    variants::{check_options, check_variants, checked_sku},
};
use crate::{
    catalog::{Image, Options},
    clock::Timestamp,
    id::{ProductId, VariantId},
    money::{Currency, MAX_AMOUNT, Money},
    problem::FieldError,
};

/// The most bytes of a category path or an image's address.
const MAX_PATH: usize = 2_048;

/// The most former slugs that lead to a product.
const MAX_FORMER_SLUGS: usize = 50;

/// A product that may be stored: it obeys its type and every other rule.
#[derive(Debug, Clone, PartialEq)]
pub struct ProductDraft {
    sku: String,
    slug: Option<String>,
    title: String,
    description: String,
    product_type: TypeId,
    categories: Vec<String>,
    brand: Option<String>,
    price: Money,
    compare_at_price: Option<Money>,
    attributes: Attributes,
    options: Vec<String>,
    variants: Vec<DraftVariant>,
    images: Vec<Image>,
    status: Status,
}

/// What a write does to stock.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StockPlan {
    /// Every variant with the units of it that a new stock document begins with.
    pub opened: Vec<(VariantId, u32)>,
    /// Variants whose units on hand are set, present ones included.
    pub set: Vec<(VariantId, u32)>,
}

impl ProductDraft {
    /// Checks a written product against every rule and against its type.
    ///
    /// # Errors
    /// Each faulty place, as a pointer into the written form.
    pub fn check(
        written: WriteProduct,
        product_type: &ProductType,
        schema: &Schema,
        currency: Currency,
    ) -> Result<Self, Vec<FieldError>> {
        let mut faults = Vec::new();
        let sku = checked_sku(&written.sku, "/sku", &mut faults);
        check_texts(&written, &mut faults);
        check_places(&written, &mut faults);
        check_prices(&written, currency, &mut faults);
        check_units(&written, &mut faults);
        let shape = check_attributes(&written.attributes);
        // A schema is asked only about attributes that are bounded.
        if shape.is_empty() {
            faults.extend(schema.check(&written.attributes));
        }
        faults.extend(shape);
        check_options(&written, product_type, &mut faults);
        let variants = check_variants(&written, &sku, written.price, schema, &mut faults);
        let cheapest = variants.iter().map(|v| v.price).min_by_key(|p| p.amount);
        let bytes = serde_json::to_vec(&written).map_or(usize::MAX, |json| json.len());
        if bytes > MAX_PRODUCT_BYTES {
            let message = format!("a product has {MAX_PRODUCT_BYTES} bytes at most");
            faults.push(FieldError::new("", "length", message));
        }
        let Some(price) = written.price.or(cheapest).filter(|_| faults.is_empty()) else {
            return Err(faults);
        };
        Ok(Self {
            sku,
            slug: written.slug,
            title: written.title.trim().to_owned(),
            description: written.description,
            product_type: product_type.id.clone(),
            categories: without_repeats(written.categories),
            brand: written.brand.map(|brand| brand.trim().to_owned()),
            price,
            compare_at_price: written.compare_at_price,
            attributes: written.attributes,
            options: written.options,
            variants,
            images: written.images,
            status: written.status,
        })
    }

    /// The slug that the writer wants, where one is named.
    #[must_use]
    pub fn wanted_slug(&self) -> Option<&str> {
        self.slug.as_deref()
    }

    /// The slug that follows from title and SKU.
    #[must_use]
    pub fn derived_slug(&self) -> String {
        derive_slug(&self.title, &self.sku)
    }

    /// Puts it where the categories that it names are now.
    pub fn follow_moves(&mut self, tree: &Categories) {
        if let Some(placed) = tree.placed_all(&self.categories) {
            self.categories = placed;
        }
    }

    /// The paths of its categories.
    #[must_use]
    pub fn categories(&self) -> &[String] {
        &self.categories
    }

    /// The SKU.
    #[must_use]
    pub fn sku(&self) -> &str {
        &self.sku
    }

    /// Its SKU and those of its variants; one may stand twice.
    pub fn skus(&self) -> impl Iterator<Item = &str> {
        let variants = self.variants.iter().map(|variant| variant.sku.as_str());
        std::iter::once(self.sku()).chain(variants)
    }

    /// Makes a new product under `slug`.
    #[must_use]
    pub fn create(self, slug: String, now: Timestamp) -> (Product, StockPlan) {
        let ids: Vec<_> = self.variants.iter().map(|_| VariantId::new()).collect();
        let on_hand = self.variants.iter().map(|v| v.on_hand.unwrap_or_default());
        let plan = StockPlan {
            opened: ids.iter().copied().zip(on_hand).collect(),
            set: Vec::new(),
        };
        let product = self.into_product(ProductId::new(), ids, slug, 1, (now, now));
        (product, plan)
    }

    /// Makes the next version of `old` under `slug`. Variants keep their ids: by id, else by SKU, else
    /// by options.
    ///
    /// # Errors
    /// Names variants that claim an id which `old` does not have.
    pub fn replace(
        self,
        old: &Product,
        slug: String,
        now: Timestamp,
    ) -> Result<(Product, StockPlan), Vec<FieldError>> {
        let ids = self.variant_ids(old)?;
        let given = || ids.iter().copied().zip(self.variants.iter());
        let plan = StockPlan {
            opened: given()
                .map(|(id, variant)| (id, variant.on_hand.unwrap_or_default()))
                .collect(),
            set: given()
                .filter_map(|(id, variant)| Some((id, variant.on_hand?)))
                .filter(|(id, _)| old.variant(*id).is_some())
                .collect(),
        };
        let version = old.version.saturating_add(1);
        let mut product = self.into_product(old.id, ids, slug, version, (old.created_at, now));
        product.source.clone_from(&old.source);
        product.former_slugs = former_slugs(old, &product.slug);
        Ok((product, plan))
    }

    /// The id of each variant: that of the present variant it continues, else a new one.
    fn variant_ids(&self, old: &Product) -> Result<Vec<VariantId>, Vec<FieldError>> {
        let mut faults = Vec::new();
        let mut free = FreeVariants::of(old);
        let mut ids: Vec<Option<VariantId>> = Vec::with_capacity(self.variants.len());
        for (index, variant) in self.variants.iter().enumerate() {
            let claimed = variant.id.and_then(|id| free.take(Some(id)));
            if variant.id.is_some() && claimed.is_none() {
                let pointer = format!("/variants/{index}/id");
                faults.push(FieldError::new(
                    pointer,
                    "unknown_value",
                    "the product has no variant of this id",
                ));
            }
            ids.push(claimed);
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        for (id, draft) in ids.iter_mut().zip(&self.variants) {
            *id = id.or_else(|| free.of_sku(&draft.sku));
        }
        for (id, draft) in ids.iter_mut().zip(&self.variants) {
            *id = id.or_else(|| free.of_options(&draft.options));
        }
        let ids = ids.into_iter().map(|id| id.unwrap_or_else(VariantId::new));
        Ok(ids.collect())
    }

    fn into_product(
        self,
        id: ProductId,
        ids: Vec<VariantId>,
        slug: String,
        version: u64,
        (created_at, updated_at): (Timestamp, Timestamp),
    ) -> Product {
        let variants = ids.into_iter().zip(self.variants);
        Product {
            id,
            sku: self.sku,
            slug,
            title: self.title,
            description: self.description,
            product_type: self.product_type,
            categories: self.categories,
            brand: self.brand,
            price: self.price,
            compare_at_price: self.compare_at_price,
            attributes: self.attributes,
            options: self.options,
            variants: variants
                .map(|(id, draft)| Variant {
                    id,
                    sku: draft.sku,
                    options: draft.options,
                    price: draft.price,
                    image: draft.image,
                    price_mark: PriceMark::since(updated_at),
                })
                .collect(),
            images: self.images,
            status: self.status,
            version,
            stock_stamp: 0,
            created_at,
            updated_at,
            source: None,
            former_slugs: Vec::new(),
            price_mark: PriceMark::since(updated_at),
        }
    }
}

/// Variants that nobody continues yet, found in one step each: a product has up to a thousand.
struct FreeVariants<'a> {
    ids: HashSet<VariantId>,
    skus: HashMap<&'a str, VariantId>,
    options: HashMap<&'a Options, VariantId>,
}

impl<'a> FreeVariants<'a> {
    fn of(product: &'a Product) -> Self {
        let variants = || product.variants.iter();
        Self {
            ids: variants().map(|variant| variant.id).collect(),
            skus: variants().map(|v| (v.sku.as_str(), v.id)).collect(),
            options: variants().map(|v| (&v.options, v.id)).collect(),
        }
    }

    /// Takes the variant of that id, where it is free.
    fn take(&mut self, id: Option<VariantId>) -> Option<VariantId> {
        id.filter(|id| self.ids.remove(id))
    }

    fn of_sku(&mut self, sku: &str) -> Option<VariantId> {
        self.take(self.skus.get(sku).copied())
    }

    fn of_options(&mut self, options: &Options) -> Option<VariantId> {
        self.take(self.options.get(options).copied())
    }
}

/// The slugs that lead to the next version of `old`, whose slug is `present`.
fn former_slugs(old: &Product, present: &str) -> Vec<String> {
    let mut former = old.former_slugs.clone();
    if old.slug != present {
        former.push(old.slug.clone());
    }
    former.retain(|slug| slug != present);
    let surplus = former.len().saturating_sub(MAX_FORMER_SLUGS);
    former.drain(..surplus);
    former
}

fn without_repeats(categories: Vec<String>) -> Vec<String> {
    let mut kept: Vec<String> = Vec::with_capacity(categories.len());
    for category in categories {
        if !kept.contains(&category) {
            kept.push(category);
        }
    }
    kept
}

fn check_texts(written: &WriteProduct, faults: &mut Vec<FieldError>) {
    text(faults, "/title", &written.title, 1, MAX_TITLE);
    text(
        faults,
        "/description",
        &written.description,
        0,
        MAX_DESCRIPTION,
    );
    if let Some(brand) = &written.brand {
        text(faults, "/brand", brand, 1, MAX_SHORT_TEXT);
    }
    if let Some(Err(error)) = written.slug.as_deref().map(check_slug) {
        faults.push(FieldError::new("/slug", "slug", error.to_string()));
    }
}

fn text(faults: &mut Vec<FieldError>, pointer: &str, text: &str, least: usize, most: usize) {
    let characters = text.trim().chars().count();
    if characters < least || text.chars().count() > most {
        let message = format!("must have {least} to {most} characters");
        faults.push(FieldError::new(pointer, "length", message));
    }
    let control = |c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t');
    if text.chars().any(control) {
        let message = "may not hold control characters";
        faults.push(FieldError::new(pointer, "characters", message));
    }
}

fn check_places(written: &WriteProduct, faults: &mut Vec<FieldError>) {
    if written.categories.len() > MAX_CATEGORIES {
        let message = format!("a product stands in {MAX_CATEGORIES} categories at most");
        faults.push(FieldError::new("/categories", "length", message));
    }
    for (index, path) in written.categories.iter().enumerate() {
        let depth = path.split('/').count();
        if !path.split('/').all(is_slug) || depth > MAX_CATEGORY_DEPTH || path.len() > MAX_PATH {
            let message = format!(
                "expected 1 to {MAX_CATEGORY_DEPTH} names of lower-case letters, digits and hyphens with slashes between them"
            );
            let pointer = format!("/categories/{index}");
            faults.push(FieldError::new(pointer, "category", message));
        }
    }
    if written.images.len() > MAX_IMAGES {
        let message = format!("a product has {MAX_IMAGES} pictures at most");
        faults.push(FieldError::new("/images", "length", message));
    }
    let own = written.images.iter().enumerate();
    let own = own.map(|(index, image)| (format!("/images/{index}"), Some(image)));
    let variants = written.variants.iter().enumerate();
    let variants = variants.map(|(n, v)| (format!("/variants/{n}/image"), v.image.as_ref()));
    for (pointer, image) in own.chain(variants) {
        let Some(image) = image else { continue };
        if !is_address(&image.url) {
            let message = "expected an http or https address, or a path of this site";
            faults.push(FieldError::new(format!("{pointer}/url"), "url", message));
        }
        text(faults, &format!("{pointer}/alt"), &image.alt, 0, MAX_ALT);
    }
}

/// An absolute http(s) address, or a path of this site; never `javascript:` or another host's `//`.
fn is_address(address: &str) -> bool {
    let bounded = address.len() <= MAX_PATH && !address.chars().any(char::is_control);
    let own = address.starts_with('/') && !address.starts_with("//") && !address.contains('\\');
    let web = || {
        url::Url::parse(address)
            .is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
    };
    bounded && (own || web())
}

fn check_prices(written: &WriteProduct, currency: Currency, faults: &mut Vec<FieldError>) {
    let own = [
        ("/price".to_owned(), written.price),
        ("/compareAtPrice".to_owned(), written.compare_at_price),
    ];
    let variants = written.variants.iter().enumerate();
    let variants = variants.map(|(index, v)| (format!("/variants/{index}/price"), v.price));
    for (pointer, price) in own.into_iter().chain(variants) {
        let Some(price) = price else { continue };
        if !(0..=MAX_AMOUNT).contains(&price.amount) {
            let message = format!("must be from 0 to {MAX_AMOUNT}");
            let pointer = format!("{pointer}/amount");
            faults.push(FieldError::new(pointer, "range", message));
        }
        if let Err(not_payable) = price.payable() {
            let pointer = format!("{pointer}/amount");
            faults.push(FieldError::new(
                pointer,
                "not_payable",
                not_payable.to_string(),
            ));
        }
        if price.currency != currency {
            let message = format!("the shop sells in {currency}");
            let pointer = format!("{pointer}/currency");
            faults.push(FieldError::new(pointer, "unknown_value", message));
        }
    }
}

fn check_units(written: &WriteProduct, faults: &mut Vec<FieldError>) {
    let own = [("/stock/onHand".to_owned(), written.stock)];
    let variants = written.variants.iter().enumerate();
    let variants = variants.map(|(index, v)| (format!("/variants/{index}/stock/onHand"), v.stock));
    for (pointer, stock) in own.into_iter().chain(variants) {
        if stock.is_some_and(|stock| stock.on_hand > MAX_ON_HAND) {
            let message = format!("must be from 0 to {MAX_ON_HAND}");
            faults.push(FieldError::new(pointer, "range", message));
        }
    }
}
