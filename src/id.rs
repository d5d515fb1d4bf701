//! Identifiers: one type per noun, so that an order's id never stands where a cart's belongs.
//!
//! Each is a MongoDB `ObjectId`: stored as one, shown to clients as 24 hexadecimal digits.

use std::{fmt, str::FromStr};

use bson::oid::ObjectId;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The text is not 24 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected an id of 24 hexadecimal digits")]
pub struct InvalidId;

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident;)+) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(ObjectId);

        impl $name {
            /// Makes an id that no other process makes.
            #[must_use]
            #[expect(clippy::new_without_default, reason = "a new id is never a default")]
            pub fn new() -> Self {
                Self(ObjectId::new())
            }

            /// Takes over an id that the database holds.
            #[must_use]
            pub const fn from_object_id(id: ObjectId) -> Self {
                Self(id)
            }

            /// The id as the database stores it.
            #[must_use]
            pub const fn object_id(self) -> ObjectId {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0.to_hex())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0.to_hex())
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                ObjectId::parse_str(text).map(Self).map_err(|_refused| InvalidId)
            }
        }

        impl From<$name> for bson::Bson {
            fn from(id: $name) -> Self {
                Self::ObjectId(id.0)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                if serializer.is_human_readable() {
                    serializer.collect_str(self)
                } else {
                    self.0.serialize(serializer)
                }
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                if deserializer.is_human_readable() {
                    let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                    text.parse().map_err(de::Error::custom)
                } else {
                    ObjectId::deserialize(deserializer).map(Self)
                }
            }
        }

        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
                utoipa::openapi::ObjectBuilder::new()
                    .schema_type(utoipa::openapi::schema::Type::String)
                    .pattern(Some("^[0-9a-f]{24}$"))
                    .examples(["662e41f09c1d4c3a8f0b7a11"])
                    .into()
            }
        }

        impl utoipa::ToSchema for $name {}
    )+};
}

ids! {
    /// A user: customer, staff or admin.
    UserId;
    /// A sign-in on one device: a family of refresh tokens.
    SessionId;
    /// A single-use link in an e-mail.
    LinkId;
    /// An address in a user's address book.
    AddressId;
    /// A product.
    ProductId;
    /// A variant of a product: what is sold, priced and stocked.
    VariantId;
    /// A cart. A signed-in user's one cart has the user's own id.
    CartId;
    /// A line of a cart.
    LineId;
    /// A checkout: one attempt to buy a cart.
    CheckoutId;
    /// An order.
    OrderId;
    /// A refund.
    RefundId;
    /// An event of an order.
    EventId;
    /// An import job.
    ImportId;
    /// A bulk edit.
    BulkEditId;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize, Deserialize)]
    struct Doc {
        id: OrderId,
    }

    #[test]
    fn an_id_is_hex_in_json_and_an_object_id_in_bson() {
        let id = OrderId::new();
        assert_eq!(serde_json::to_string(&id).unwrap(), format!("\"{id}\""));
        assert_eq!(
            bson::doc! { "id": id }.get_object_id("id").unwrap(),
            id.object_id()
        );
        let raw = bson::serialize_to_vec(&Doc { id }).unwrap();
        assert_eq!(bson::deserialize_from_slice::<Doc>(&raw).unwrap().id, id);
        let doc = crate::mongo::to_document(&Doc { id }).unwrap();
        assert_eq!(doc.get_object_id("id").unwrap(), id.object_id());
    }

    #[test]
    fn garbage_is_no_id() {
        for garbage in [
            "",
            "1",
            "zzzzzzzzzzzzzzzzzzzzzzzz",
            "{\"$ne\":1}",
            "662e41f09c1d4c3a8f0b7a111",
        ] {
            assert_eq!(garbage.parse::<OrderId>(), Err(InvalidId));
        }
    }
}
