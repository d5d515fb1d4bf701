//! The document of a cart, and the way there and back.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{COLLECTION, Mark, Stored};
use crate::{
    cart::model::{Cart, Line, Owner, Seen},
    catalog::Options,
    clock::Timestamp,
    discounts::DiscountCode,
    id::{CartId, LineId, ProductId, VariantId},
    money::Money,
    mongo::StoreError,
};

#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum OwnerDocument {
    User,
    Guest { secret: String },
}

/// Options stand in a list: a name that a buyer wrote is never a field name.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct OptionDocument {
    name: String,
    value: String,
}

impl OptionDocument {
    pub(super) fn all(options: &Options) -> Vec<Self> {
        let each = options.iter().map(|(name, value)| Self {
            name: name.clone(),
            value: value.clone(),
        });
        each.collect()
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct SeenDocument {
    unit_price: Money,
    sku: String,
    title: String,
    fingerprint: String,
}

impl SeenDocument {
    pub(super) fn of(seen: &Seen) -> Self {
        Self {
            unit_price: seen.unit_price,
            sku: seen.sku.clone(),
            title: seen.title.clone(),
            fingerprint: seen.fingerprint.clone(),
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct LineDocument {
    id: LineId,
    product: ProductId,
    variant: VariantId,
    options: Vec<OptionDocument>,
    quantity: i64,
    seen: SeenDocument,
}

#[derive(Debug, Serialize, Deserialize)]
pub(in crate::cart) struct CartDocument {
    #[serde(rename = "_id")]
    id: CartId,
    owner: OwnerDocument,
    version: i64,
    items: Vec<LineDocument>,
    discounts: Vec<DiscountCode>,
    marks: Vec<Mark>,
    updated_at: Timestamp,
    /// When a guest's cart is forgotten.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires_at: Option<Timestamp>,
}

pub(super) fn damaged(reason: impl Into<String>) -> StoreError {
    StoreError::Damaged {
        collection: COLLECTION,
        reason: reason.into(),
    }
}

impl LineDocument {
    pub(super) fn of(line: &Line) -> Self {
        Self {
            id: line.id,
            product: line.product,
            variant: line.variant,
            options: OptionDocument::all(&line.options),
            quantity: i64::from(line.quantity),
            seen: SeenDocument::of(&line.seen),
        }
    }

    fn line(self) -> Result<Line, StoreError> {
        let quantity = u32::try_from(self.quantity).map_err(|_refused| {
            damaged(format!("quantity {} of line {}", self.quantity, self.id))
        })?;
        let options = self
            .options
            .into_iter()
            .map(|option| (option.name, option.value));
        Ok(Line {
            id: self.id,
            product: self.product,
            variant: self.variant,
            options: options.collect::<Options>(),
            quantity,
            seen: Seen {
                unit_price: self.seen.unit_price,
                sku: self.seen.sku,
                title: self.seen.title,
                fingerprint: self.seen.fingerprint,
            },
        })
    }
}

impl CartDocument {
    pub(super) fn of(next: &Stored, expires_at: Option<Timestamp>) -> Self {
        let cart = &next.cart;
        Self {
            id: cart.id,
            owner: match &cart.owner {
                Owner::User => OwnerDocument::User,
                Owner::Guest(secret) => OwnerDocument::Guest {
                    secret: secret.clone(),
                },
            },
            version: i64::try_from(cart.version).unwrap_or(i64::MAX),
            items: cart.items.iter().map(LineDocument::of).collect(),
            discounts: cart.discounts.clone(),
            marks: next.marks.clone(),
            updated_at: cart.updated_at.unwrap_or_else(Timestamp::now),
            expires_at,
        }
    }

    pub(super) fn stored(self) -> Result<Stored, StoreError> {
        let version = u64::try_from(self.version)
            .map_err(|_refused| damaged(format!("version {} of {}", self.version, self.id)))?;
        let items = self.items.into_iter().map(LineDocument::line);
        let cart = Cart {
            id: self.id,
            owner: match self.owner {
                OwnerDocument::User => Owner::User,
                OwnerDocument::Guest { secret } => Owner::Guest(secret),
            },
            version,
            items: items.collect::<Result<_, _>>()?,
            discounts: self.discounts,
            updated_at: Some(self.updated_at),
        };
        Ok(Stored {
            cart: Arc::new(cart),
            marks: self.marks,
        })
    }
}
