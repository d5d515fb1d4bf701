//! A user and the address book: types and rules.

use serde::{Deserialize, Deserializer, Serialize};

use super::{Email, Role, password::PasswordHash};
use crate::{
    address::PostalAddress,
    clock::Timestamp,
    id::{AddressId, UserId},
};

/// The most addresses of a user.
pub const MAX_ADDRESSES: usize = 20;

/// A user, as stored; what clients see is `http::UserView`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// Who.
    #[serde(rename = "_id")]
    pub id: UserId,
    /// The address the account is known by; unique.
    pub email: Email,
    /// Whether the person has shown to receive mail there.
    pub email_verified: bool,
    pub(super) password_hash: PasswordHash,
    /// Counts the passwords, so that a sign-in under way notices that its password was changed.
    pub(super) password_version: u64,
    /// What to call the person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// For questions about an order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
    /// What the user may do.
    pub role: Role,
    /// The address book.
    pub addresses: Vec<Address>,
    /// Whether advertising may be sent.
    pub marketing_consent: bool,
    /// Since when the user may not sign in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disabled_at: Option<Timestamp>,
    /// Counts the changes of what clients see, from 1.
    pub version: u64,
    /// Since when there is the account.
    pub created_at: Timestamp,
    /// When what clients see changed last.
    pub updated_at: Timestamp,
}

/// An entry of the address book.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Address {
    /// Names the entry.
    pub id: AddressId,
    /// What the person calls it: "home".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Who receives it.
    pub name: String,
    /// Street and number.
    pub line1: String,
    /// Flat, floor, company.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line2: Option<String>,
    /// City or town.
    pub city: String,
    /// State, province, region.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Postal code.
    pub postal_code: String,
    /// ISO 3166-1 code.
    pub country: String,
    /// For the carrier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
    /// Whether a checkout begins with it; at most one is.
    pub is_default: bool,
}

/// An address book breaks a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddressFault {
    /// More than [`MAX_ADDRESSES`].
    #[error("at most {MAX_ADDRESSES} addresses")]
    TooMany,
    /// More than one is the default.
    #[error("at most one address can be the default")]
    TwoDefaults {
        /// Position of the second.
        index: usize,
    },
    /// An id that no entry of this user has.
    #[error("no address has this id; leave it out to add one")]
    UnknownId {
        /// Position of the entry.
        index: usize,
    },
    /// Two entries with one id.
    #[error("another address has this id")]
    RepeatedId {
        /// Position of the second.
        index: usize,
    },
}

/// What a request says about a field that may be absent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub enum Change<T> {
    /// Left out: stays as it is.
    #[default]
    Keep,
    /// `null`: goes away.
    Clear,
    /// Becomes this.
    Set(T),
}

impl<T: Clone> Change<T> {
    fn over(&self, present: Option<&T>) -> Option<T> {
        match self {
            Self::Keep => present.cloned(),
            Self::Clear => None,
            Self::Set(value) => Some(value.clone()),
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Change<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Option::<T>::deserialize(deserializer)?;
        Ok(value.map_or(Self::Clear, Self::Set))
    }
}

/// An entry that the address book shall have.
#[derive(Debug, Clone)]
pub struct AddressDraft {
    /// An entry to change; none for a new one.
    pub id: Option<AddressId>,
    /// What the person calls it.
    pub label: Option<String>,
    /// Where it is.
    pub postal: PostalAddress,
    /// Whether a checkout begins with it.
    pub is_default: bool,
}

/// A change of what a user says about himself.
#[derive(Debug, Clone, Default)]
pub struct ProfileChange {
    /// What to call the person.
    pub name: Change<String>,
    /// For questions about an order.
    pub phone: Change<String>,
    /// The whole address book.
    pub addresses: Option<Vec<AddressDraft>>,
    /// Whether advertising may be sent.
    pub marketing_consent: Option<bool>,
}

impl User {
    /// Whether the user may sign in.
    #[must_use]
    pub const fn is_enabled(&self) -> bool {
        self.disabled_at.is_none()
    }

    /// The user after `change`; version and times are the store's.
    ///
    /// # Errors
    /// When the new address book breaks a rule.
    pub fn with_profile(&self, change: &ProfileChange) -> Result<Self, AddressFault> {
        let addresses = match &change.addresses {
            Some(drafts) => address_book(&self.addresses, drafts)?,
            None => self.addresses.clone(),
        };
        Ok(Self {
            name: change.name.over(self.name.as_ref()),
            phone: change.phone.over(self.phone.as_ref()),
            addresses,
            marketing_consent: change.marketing_consent.unwrap_or(self.marketing_consent),
            ..self.clone()
        })
    }
}

/// The address book that `drafts` describe, over the `present` one.
fn address_book(
    present: &[Address],
    drafts: &[AddressDraft],
) -> Result<Vec<Address>, AddressFault> {
    if drafts.len() > MAX_ADDRESSES {
        return Err(AddressFault::TooMany);
    }
    let mut book: Vec<Address> = Vec::with_capacity(drafts.len());
    for (index, draft) in drafts.iter().enumerate() {
        if draft.is_default && book.iter().any(|entry| entry.is_default) {
            return Err(AddressFault::TwoDefaults { index });
        }
        let id = match draft.id {
            None => AddressId::new(),
            Some(id) if book.iter().any(|entry| entry.id == id) => {
                return Err(AddressFault::RepeatedId { index });
            }
            Some(id) if present.iter().any(|entry| entry.id == id) => id,
            Some(_unknown) => return Err(AddressFault::UnknownId { index }),
        };
        book.push(Address::new(id, draft));
    }
    Ok(book)
}

impl Address {
    fn new(id: AddressId, draft: &AddressDraft) -> Self {
        let postal = draft.postal.clone();
        Self {
            id,
            label: draft.label.clone(),
            name: postal.name,
            line1: postal.line1,
            line2: postal.line2,
            city: postal.city,
            region: postal.region,
            postal_code: postal.postal_code,
            country: postal.country,
            phone: postal.phone,
            is_default: draft.is_default,
        }
    }

    /// Where it is, as checkouts and orders copy it.
    #[must_use]
    pub fn postal(&self) -> PostalAddress {
        PostalAddress {
            name: self.name.clone(),
            line1: self.line1.clone(),
            line2: self.line2.clone(),
            city: self.city.clone(),
            region: self.region.clone(),
            postal_code: self.postal_code.clone(),
            country: self.country.clone(),
            phone: self.phone.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft(id: Option<AddressId>, line1: &str, is_default: bool) -> AddressDraft {
        AddressDraft {
            id,
            label: None,
            postal: PostalAddress {
                name: "Ada".into(),
                line1: line1.into(),
                line2: None,
                city: "London".into(),
                region: None,
                postal_code: "W1".into(),
                country: "GB".into(),
                phone: None,
            },
            is_default,
        }
    }

    #[test]
    fn an_entry_keeps_its_id_and_a_new_one_gets_one() {
        let book = address_book(&[], &[draft(None, "a", true), draft(None, "b", false)]).unwrap();
        let changed = address_book(
            &book,
            &[draft(Some(book[1].id), "c", true), draft(None, "d", false)],
        )
        .unwrap();
        assert_eq!(
            (changed[0].id, changed[0].line1.as_str()),
            (book[1].id, "c")
        );
        assert!(changed[1].id != book[0].id && changed[1].id != book[1].id);
        assert_eq!(changed[0].postal(), draft(None, "c", true).postal);
    }

    #[test]
    fn an_address_book_that_breaks_a_rule_is_refused() {
        let book = address_book(&[], &[draft(None, "a", false)]).unwrap();
        let id = Some(book[0].id);
        let refused = |drafts: &[AddressDraft]| address_book(&book, drafts).unwrap_err();
        assert_eq!(
            refused(&[draft(None, "a", true), draft(None, "b", true)]),
            AddressFault::TwoDefaults { index: 1 }
        );
        assert_eq!(
            refused(&[draft(id, "a", false), draft(id, "b", false)]),
            AddressFault::RepeatedId { index: 1 }
        );
        assert_eq!(
            refused(&[draft(Some(AddressId::new()), "a", false)]),
            AddressFault::UnknownId { index: 0 }
        );
        let many: Vec<_> = (0..21).map(|_| draft(None, "a", false)).collect();
        assert_eq!(refused(&many), AddressFault::TooMany);
        assert_eq!(address_book(&book, &many[..20]).unwrap().len(), 20);
    }

    #[test]
    fn what_a_change_leaves_out_stays_and_null_clears() {
        let read = |json| serde_json::from_str::<Change<String>>(json).unwrap();
        let present = "x".to_owned();
        assert_eq!(Change::Keep.over(Some(&present)), Some(present.clone()));
        assert_eq!(read("null").over(Some(&present)), None);
        assert_eq!(read("\"y\"").over(Some(&present)), Some("y".to_owned()));
    }
}
