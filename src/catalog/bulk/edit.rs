//! What a bulk edit does to one product, and how it is put back. No I/O.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use validator::{Validate, ValidationErrors};

use crate::{
    catalog::model::{
        Attributes, Product, Status, WriteProduct, is_category_path, merge_patch, pointer_token,
    },
    money::{Currency, MAX_AMOUNT, Money},
    problem::FieldError,
};

/// A change of many products; at least one member.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct BulkEdit {
    /// Prices: the product's own and each variant's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) price: Option<PriceEdit>,
    /// `previous`: what the product cost before this edit, for a sale label. `none`: no label.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) compare_at_price: Option<CompareAt>,
    /// Who may see them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) status: Option<Status>,
    /// Attributes to set, `null` for those to remove (JSON Merge Patch).
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    #[schema(value_type = Object)]
    pub(super) attributes: Attributes,
    /// Categories.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) categories: Option<CategoryEdit>,
    /// Who makes them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) brand: Option<String>,
}

/// A change of prices: one of the three. A share is rounded by the shop's one rule (`docs/money.md`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum PriceEdit {
    /// To so many minor units.
    Set(i64),
    /// By so many minor units, up or (below zero) down.
    Add(i64),
    /// By so many per cent, up or down; at most two decimals.
    #[schema(value_type = f64)]
    Percent(serde_json::Number),
}

/// What stands as the price before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum CompareAt {
    /// The price before this edit.
    Previous,
    /// None.
    None,
}

/// A change of categories: `set` replaces, else `remove` and `add`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CategoryEdit {
    /// All of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    set: Option<Vec<String>>,
    /// Further ones.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    add: Vec<String>,
    /// Those to leave; the ones below stay.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    remove: Vec<String>,
}

/// `check` has every rule, with pointers of its own.
impl Validate for BulkEdit {
    fn validate(&self) -> Result<(), ValidationErrors> {
        Ok(())
    }
}

/// A percentage in ten-thousandths, read from its decimal digits.
fn basis_points(percent: &serde_json::Number) -> Option<i64> {
    let text = percent.to_string();
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.as_str()),
    };
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    let part = part.trim_end_matches('0');
    if part.len() > 2 || !part.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let whole: i64 = whole.parse().ok()?;
    let part: i64 = format!("{part:0<2}").parse().ok()?;
    Some(sign * whole.checked_mul(100)?.checked_add(part)?)
}

impl PriceEdit {
    fn apply(&self, price: Money) -> Option<Money> {
        let edited = match self {
            Self::Set(amount) => Money::new(*amount, price.currency),
            Self::Add(amount) => price.plus(Money::new(*amount, price.currency)).ok()?,
            Self::Percent(percent) => {
                let points = basis_points(percent)?.checked_add(10_000)?;
                price.portion(points, 10_000).ok()?
            }
        };
        (0..=MAX_AMOUNT).contains(&edited.amount).then_some(edited)
    }
}

impl BulkEdit {
    /// Checks what can be known before any product is looked at.
    ///
    /// # Errors
    /// Pointers into the edit, below `/edit`.
    pub(super) fn check(&self, currency: Currency) -> Result<(), Vec<FieldError>> {
        let mut faults = Vec::new();
        let mut fault = |pointer: &str, code: &str, message: &str| {
            faults.push(FieldError::new(format!("/edit{pointer}"), code, message));
        };
        if *self == Self::default() {
            fault("", "required", "an edit changes something");
        }
        match &self.price {
            Some(PriceEdit::Set(amount)) if !(0..=MAX_AMOUNT).contains(amount) => {
                fault(
                    "/price/set",
                    "range",
                    "must be from 0 to the greatest price",
                );
            }
            Some(PriceEdit::Set(amount)) if !Money::new(*amount, currency).is_payable() => {
                fault(
                    "/price/set",
                    "not_payable",
                    "nobody can pay that in this currency",
                );
            }
            Some(PriceEdit::Add(amount)) if !Money::new(*amount, currency).is_payable() => {
                fault(
                    "/price/add",
                    "not_payable",
                    "nobody can pay that in this currency",
                );
            }
            Some(PriceEdit::Percent(percent)) => match basis_points(percent) {
                Some(points) if (-10_000..=1_000_000).contains(&points) => {}
                Some(_) => fault("/price/percent", "range", "must be from -100 to 10000"),
                None => fault("/price/percent", "format", "at most two decimals"),
            },
            Some(PriceEdit::Set(_) | PriceEdit::Add(_)) | None => {}
        }
        if let Some(edit) = &self.categories {
            let lists = [
                ("set", edit.set.as_deref().unwrap_or_default()),
                ("add", &edit.add),
                ("remove", &edit.remove),
            ];
            for (name, paths) in lists {
                for (index, path) in paths.iter().enumerate() {
                    if !is_category_path(path) {
                        let pointer = format!("/categories/{name}/{index}");
                        fault(&pointer, "category", "not the path of a category");
                    }
                }
            }
        }
        if faults.is_empty() {
            Ok(())
        } else {
            Err(faults)
        }
    }

    /// The product as the edit writes it.
    ///
    /// # Errors
    /// Where a price would be none.
    pub(super) fn apply(&self, product: &Product) -> Result<WriteProduct, Vec<FieldError>> {
        let mut written = WriteProduct::from(product);
        if let Some(edit) = &self.price {
            let edited = |price: Money, pointer: &str| {
                let message = "the price would be below zero or too great";
                edit.apply(price)
                    .ok_or_else(|| vec![FieldError::new(pointer, "range", message)])
            };
            written.price = match written.price {
                Some(price) => Some(edited(price, "/price")?),
                None => None,
            };
            for (index, variant) in written.variants.iter_mut().enumerate() {
                if let Some(price) = variant.price {
                    variant.price = Some(edited(price, &format!("/variants/{index}/price"))?);
                }
            }
        }
        match self.compare_at_price {
            Some(CompareAt::Previous) => written.compare_at_price = Some(product.price),
            Some(CompareAt::None) => written.compare_at_price = None,
            None => {}
        }
        written.status = self.status.unwrap_or(written.status);
        if !self.attributes.is_empty() {
            let mut attributes = Value::Object(std::mem::take(&mut written.attributes));
            merge_patch(&mut attributes, &Value::Object(self.attributes.clone()));
            if let Value::Object(merged) = attributes {
                written.attributes = merged;
            }
        }
        if let Some(edit) = &self.categories {
            let kept = edit.set.as_ref().unwrap_or(&written.categories).iter();
            let kept = kept.filter(|path| !edit.remove.contains(path)).cloned();
            let mut categories: Vec<String> = kept.collect();
            for path in &edit.add {
                if !categories.contains(path) {
                    categories.push(path.clone());
                }
            }
            written.categories = categories;
        }
        if let Some(brand) = &self.brand {
            written.brand = Some(brand.clone());
        }
        Ok(written)
    }

    /// What the edit touches of a product, as it stands: `null` for what is not there.
    pub(super) fn touched(&self, written: &WriteProduct) -> Value {
        let mut touched = Map::new();
        if self.price.is_some() {
            touched.insert("price".into(), json!(written.price));
            let variants = written.variants.iter();
            let prices = variants.filter_map(|v| Some((v.id?.to_string(), json!(v.price))));
            touched.insert("variants".into(), Value::Object(prices.collect()));
        }
        if self.compare_at_price.is_some() {
            touched.insert("compareAtPrice".into(), json!(written.compare_at_price));
        }
        if self.status.is_some() {
            touched.insert("status".into(), json!(written.status));
        }
        if !self.attributes.is_empty() {
            let names = self.attributes.keys();
            let attributes = names.map(|name| {
                let value = written.attributes.get(name).cloned();
                (name.clone(), value.unwrap_or(Value::Null))
            });
            touched.insert("attributes".into(), Value::Object(attributes.collect()));
        }
        if self.categories.is_some() {
            touched.insert("categories".into(), json!(written.categories));
        }
        if self.brand.is_some() {
            touched.insert("brand".into(), json!(written.brand));
        }
        Value::Object(touched)
    }

    /// The product with what the edit touched put back to `before`, where it is still as the edit left it:
    /// `after`.
    ///
    /// # Errors
    /// Names what has been changed since.
    pub(super) fn restore(
        &self,
        product: &Product,
        before: &Value,
        after: &Value,
    ) -> Result<WriteProduct, Vec<FieldError>> {
        let mut written = WriteProduct::from(product);
        let present = self.touched(&written);
        let members = present.as_object().into_iter().flatten();
        let changed = members.filter(|(name, value)| after.get(name.as_str()) != Some(value));
        let faults: Vec<FieldError> = changed
            .map(|(name, _)| {
                let pointer = format!("/{}", pointer_token(name));
                FieldError::new(pointer, "changed_since", "somebody has changed this since")
            })
            .collect();
        if !faults.is_empty() {
            return Err(faults);
        }
        let unreadable =
            |error: serde_json::Error| vec![FieldError::new("", "unreadable", error.to_string())];
        let mut form = serde_json::to_value(&written).map_err(unreadable)?;
        if let Some(prices) = before.get("variants").and_then(Value::as_object) {
            for variant in &mut written.variants {
                let price = variant.id.and_then(|id| prices.get(&id.to_string()));
                if let Some(price) = price {
                    variant.price = serde_json::from_value(price.clone()).map_err(unreadable)?;
                }
            }
        }
        let mut patch = before.clone();
        if let Some(members) = patch.as_object_mut() {
            members.remove("variants");
        }
        // `null` removes, which is what it stands for. Attributes that were objects are put back whole.
        if let (Some(form), Some(old)) = (
            form.get_mut("attributes").and_then(Value::as_object_mut),
            before.get("attributes").and_then(Value::as_object),
        ) {
            form.retain(|name, _| !old.contains_key(name));
        }
        merge_patch(&mut form, &patch);
        let restored: WriteProduct = serde_json::from_value(form).map_err(unreadable)?;
        Ok(WriteProduct {
            variants: written.variants,
            ..restored
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::model::{ProductDraft, ProductType, Schema};

    fn made(written: WriteProduct) -> Product {
        let schema = Schema::compile(&json!({}), std::iter::empty()).unwrap();
        let generic = ProductType::generic();
        let draft = ProductDraft::check(written, &generic, &schema, Currency::USD).unwrap();
        draft
            .create("a".into(), crate::clock::Timestamp::from_millis(1))
            .0
    }

    fn tee() -> Product {
        let written = json!({
            "sku": "TEE", "title": "Tee", "options": ["color"], "categories": ["a", "b"],
            "attributes": {"care": {"wash": 30, "iron": true}, "old": 1},
            "variants": [
                {"options": {"color": "black"}, "price": {"amount": 1999, "currency": "USD"}},
                {"options": {"color": "white"}, "price": {"amount": 1001, "currency": "USD"}},
            ],
        });
        made(serde_json::from_value(written).unwrap())
    }

    fn edit(edit: Value) -> BulkEdit {
        serde_json::from_value(edit).unwrap()
    }

    fn prices(written: &WriteProduct) -> Vec<i64> {
        written
            .variants
            .iter()
            .map(|v| v.price.unwrap().amount)
            .collect()
    }

    #[test]
    fn a_share_of_a_price_is_rounded_by_the_one_rule() {
        let edited = |price: Value| prices(&edit(json!({ "price": price })).apply(&tee()).unwrap());
        assert_eq!(edited(json!({"percent": -10})), [1_799, 901]);
        assert_eq!(edited(json!({"percent": 12.5})), [2_249, 1_126]);
        assert_eq!(edited(json!({"add": -1})), [1_998, 1_000]);
        assert_eq!(edited(json!({"set": 5})), [5, 5]);
        let below = edit(json!({"price": {"add": -1500}}))
            .apply(&tee())
            .unwrap_err();
        assert_eq!(below[0].pointer, "/variants/1/price");
    }

    #[test]
    fn what_cannot_be_meant_is_named() {
        let faults = |written: Value| -> Vec<String> {
            let faults = edit(written).check(Currency::USD).err().unwrap_or_default();
            faults.into_iter().map(|fault| fault.pointer).collect()
        };
        assert_eq!(faults(json!({})), ["/edit"]);
        assert_eq!(
            faults(json!({"price": {"percent": 0.001}})),
            ["/edit/price/percent"]
        );
        assert_eq!(
            faults(json!({"price": {"percent": -101}})),
            ["/edit/price/percent"]
        );
        assert_eq!(
            faults(json!({"price": {"percent": 1e300}})),
            ["/edit/price/percent"]
        );
        assert_eq!(faults(json!({"price": {"set": -1}})), ["/edit/price/set"]);
        assert_eq!(
            faults(json!({"categories": {"add": ["A b"]}})),
            ["/edit/categories/add/0"]
        );
        assert_eq!(
            faults(json!({"price": {"percent": -12.25}})),
            Vec::<String>::new()
        );
        let huf = edit(json!({"price": {"add": 50}})).check("HUF".parse().unwrap());
        assert_eq!(huf.unwrap_err()[0].code, "not_payable");
    }

    #[test]
    fn what_was_changed_is_put_back_and_nothing_else() {
        let edit = edit(json!({
            "price": {"percent": -50}, "compareAtPrice": "previous", "status": "draft",
            "attributes": {"care": {"iron": null}, "old": null, "new": [1]},
            "categories": {"add": ["c"], "remove": ["a"]}, "brand": "Pier",
        }));
        let old = tee();
        let written = edit.apply(&old).unwrap();
        assert_eq!(written.categories, ["b", "c"]);
        assert_eq!(written.attributes["care"], json!({"wash": 30}));
        let (before, after) = (edit.touched(&(&old).into()), edit.touched(&written));
        let mut new = made(written);
        new.id = old.id;
        for (variant, known) in new.variants.iter_mut().zip(&old.variants) {
            variant.id = known.id;
        }
        let after = serde_json::from_str(&after.to_string()).unwrap();
        new.title = "Another title".into();
        let restored = edit.restore(&new, &before, &after).unwrap();
        let expected = WriteProduct {
            title: "Another title".into(),
            ..WriteProduct::from(&old)
        };
        assert_eq!(restored, expected);
        new.brand = Some("Somebody else".into());
        let kept = edit.restore(&new, &before, &after).unwrap_err();
        assert_eq!(kept[0].pointer, "/brand");
    }
}
