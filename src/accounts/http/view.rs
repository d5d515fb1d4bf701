//! What clients see of users and sign-ins.

use serde::Serialize;

use crate::{
    accounts::{Address, Role, Session, User},
    clock::Timestamp,
    id::{AddressId, SessionId, UserId},
};

/// A user.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct UserView {
    id: UserId,
    #[schema(format = "email", example = "ada@example.com")]
    email: String,
    /// Whether the person has shown to receive mail there.
    email_verified: bool,
    name: Option<String>,
    phone: Option<String>,
    role: Role,
    addresses: Vec<AddressView>,
    /// Whether advertising may be sent.
    marketing_consent: bool,
    /// The number in the `ETag`.
    #[schema(minimum = 1)]
    version: u64,
    created_at: Timestamp,
    updated_at: Timestamp,
}

impl From<User> for UserView {
    fn from(user: User) -> Self {
        Self {
            id: user.id,
            email: user.email.to_string(),
            email_verified: user.email_verified,
            name: user.name,
            phone: user.phone,
            role: user.role,
            addresses: user.addresses.into_iter().map(AddressView::from).collect(),
            marketing_consent: user.marketing_consent,
            version: user.version,
            created_at: user.created_at,
            updated_at: user.updated_at,
        }
    }
}

/// An entry of the address book.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct AddressView {
    id: AddressId,
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<String>,
    name: String,
    line1: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    line2: Option<String>,
    city: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    region: Option<String>,
    postal_code: String,
    country: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    phone: Option<String>,
    is_default: bool,
}

impl From<Address> for AddressView {
    fn from(address: Address) -> Self {
        Self {
            id: address.id,
            label: address.label,
            name: address.name,
            line1: address.line1,
            line2: address.line2,
            city: address.city,
            region: address.region,
            postal_code: address.postal_code,
            country: address.country,
            phone: address.phone,
            is_default: address.is_default,
        }
    }
}

/// The answer to a sign-in; the refresh token is in the cookie `bodega_refresh`.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct SignedInView {
    pub(super) user: UserView,
    #[serde(flatten)]
    pub(super) token: TokenView,
}

/// An access token.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct TokenView {
    /// To be sent as `Authorization: Bearer ...`.
    pub(super) access_token: String,
    /// `Bearer`.
    #[schema(example = "Bearer")]
    pub(super) token_type: &'static str,
    /// Life of the access token, in seconds.
    pub(super) expires_in: u32,
}

/// A signed-in device.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct SessionView {
    id: SessionId,
    /// Whether it is the one that asks.
    current: bool,
    user_agent: Option<String>,
    ip: Option<String>,
    created_at: Timestamp,
    last_used_at: Timestamp,
    /// When it ends unless it is used.
    expires_at: Timestamp,
}

impl SessionView {
    pub(super) fn new(session: Session, asking: SessionId) -> Self {
        Self {
            current: session.id == asking,
            id: session.id,
            user_agent: session.user_agent,
            ip: session.ip,
            created_at: session.created_at,
            last_used_at: session.last_used_at,
            expires_at: session.expires_at,
        }
    }
}
