//! What a buyer was shown of a variant when a line last changed.

use sha2::{Digest, Sha256};

use crate::{catalog::Offer, money::Money};

/// A variant as the buyer last acted on it: today's price is compared with it, and a variant that is
/// gone from the catalogue still has a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The price of one.
    pub unit_price: Money,
    /// The SKU.
    pub sku: String,
    /// The product's title.
    pub title: String,
    /// Fingerprint of all that is shown of the variant.
    pub fingerprint: String,
}

impl Seen {
    /// What is shown of `offer`.
    #[must_use]
    pub fn of(offer: &Offer) -> Self {
        Self {
            unit_price: offer.unit_price,
            sku: offer.sku.clone(),
            title: offer.title.clone(),
            fingerprint: fingerprint(offer),
        }
    }

    /// Whether `offer` is shown as it was.
    #[must_use]
    pub fn is_still(&self, offer: &Offer) -> bool {
        self.fingerprint == fingerprint(offer)
    }
}

/// 64 bits of SHA-256 over the shown members, each with its length before it.
fn fingerprint(offer: &Offer) -> String {
    let mut hash = Sha256::new();
    let mut feed = |text: &str| {
        hash.update(text.len().to_be_bytes());
        hash.update(text);
    };
    feed(&offer.sku);
    feed(&offer.title);
    if let Some(image) = &offer.image {
        feed(&image.url);
        feed(&image.alt);
    }
    for (name, value) in &offer.options {
        feed(name);
        feed(value);
    }
    feed(offer.unit_price.currency.code());
    hash.update(offer.unit_price.amount.to_be_bytes());
    hash.update(offer.available.to_be_bytes());
    hash.update([u8::from(offer.on_sale)]);
    let digest: [u8; 32] = hash.finalize().into();
    let (first, _rest) = digest.split_first_chunk().unwrap_or((&[0; 8], &[]));
    format!("{:016x}", u64::from_be_bytes(*first))
}
