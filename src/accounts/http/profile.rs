//! The profile with its address book.

use actix_web::{HttpRequest, HttpResponse, get, http::header::ETAG, put, web};
use serde::Deserialize;
use validator::{Validate, ValidateLength, ValidationError};

use super::UserView;
use crate::{
    accounts::{Accounts, AddressDraft, Change, Principal, ProfileChange, User},
    address::{PostalAddress, country_code, plain},
    http::{Body, IfMatch, NOT_KEPT, etag, not_modified},
    id::AddressId,
    problem::{Problem, ProblemBody},
};

/// What a user changes about himself; what is left out stays.
#[derive(Debug, Deserialize, Validate, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ProfileRequest {
    /// `null` removes it.
    #[serde(default)]
    #[validate(custom(function = "name_change"))]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 200)]
    name: Change<String>,
    /// `null` removes it.
    #[serde(default)]
    #[validate(custom(function = "phone_change"))]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 40)]
    phone: Change<String>,
    /// The whole address book: entries that are left out go. At most one is the default.
    #[validate(nested)]
    #[schema(max_items = 20)]
    addresses: Option<Vec<AddressRequest>>,
    marketing_consent: Option<bool>,
}

/// An entry of the address book.
#[derive(Debug, Deserialize, Validate, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct AddressRequest {
    /// An entry to change; left out: a new one.
    id: Option<AddressId>,
    /// What the person calls it.
    #[validate(length(min = 1, max = 60), custom(function = "plain"))]
    #[schema(min_length = 1, max_length = 60, example = "home")]
    label: Option<String>,
    #[validate(length(min = 1, max = 200), custom(function = "plain"))]
    #[schema(min_length = 1, max_length = 200)]
    name: String,
    #[validate(length(min = 1, max = 300), custom(function = "plain"))]
    #[schema(min_length = 1, max_length = 300)]
    line1: String,
    #[validate(length(max = 300), custom(function = "plain"))]
    #[schema(max_length = 300)]
    line2: Option<String>,
    #[validate(length(min = 1, max = 120), custom(function = "plain"))]
    #[schema(min_length = 1, max_length = 120)]
    city: String,
    #[validate(length(max = 120), custom(function = "plain"))]
    #[schema(max_length = 120)]
    region: Option<String>,
    #[validate(length(min = 1, max = 60), custom(function = "plain"))]
    #[schema(min_length = 1, max_length = 60)]
    postal_code: String,
    /// ISO 3166-1 code of two capital letters.
    #[validate(custom(function = "country_code"))]
    #[schema(pattern = "^[A-Z]{2}$", example = "US")]
    country: String,
    #[validate(length(max = 40), custom(function = "plain"))]
    #[schema(max_length = 40)]
    phone: Option<String>,
    #[serde(default)]
    is_default: bool,
}

fn text_change(change: &Change<String>, max: u64) -> Result<(), ValidationError> {
    let Change::Set(text) = change else {
        return Ok(());
    };
    plain(text)?;
    if text.validate_length(Some(1), Some(max), None) {
        return Ok(());
    }
    let words = format!("must have from 1 to {max} characters");
    Err(ValidationError::new("length").with_message(words.into()))
}

fn name_change(change: &Change<String>) -> Result<(), ValidationError> {
    text_change(change, 200)
}

fn phone_change(change: &Change<String>) -> Result<(), ValidationError> {
    text_change(change, 40)
}

impl From<AddressRequest> for AddressDraft {
    fn from(wanted: AddressRequest) -> Self {
        Self {
            id: wanted.id,
            label: wanted.label,
            postal: PostalAddress {
                name: wanted.name,
                line1: wanted.line1,
                line2: wanted.line2,
                city: wanted.city,
                region: wanted.region,
                postal_code: wanted.postal_code,
                country: wanted.country,
                phone: wanted.phone,
            },
            is_default: wanted.is_default,
        }
    }
}

impl From<ProfileRequest> for ProfileChange {
    fn from(wanted: ProfileRequest) -> Self {
        Self {
            name: wanted.name,
            phone: wanted.phone,
            addresses: wanted
                .addresses
                .map(|book| book.into_iter().map(AddressDraft::from).collect()),
            marketing_consent: wanted.marketing_consent,
        }
    }
}

fn profile(user: User) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((ETAG, etag(user.version)))
        .insert_header(NOT_KEPT)
        .json(UserView::from(user))
}

/// Shows the signed-in user.
#[utoipa::path(tag = "accounts", security(("bearer" = [])),
    params(("If-None-Match" = Option<String>, Header, description = "304 where the version is held")),
    responses(
        (status = OK, body = UserView, headers(("ETag" = String, description = "the version, quoted"))),
        (status = NOT_MODIFIED),
        (status = UNAUTHORIZED, body = ProblemBody),
    ))]
#[get("/api/auth/profile")]
pub(super) async fn get_profile(
    request: HttpRequest,
    who: Principal,
    accounts: web::Data<Accounts>,
) -> Result<HttpResponse, Problem> {
    let user = accounts.user(who.user).await?;
    let tag = etag(user.version);
    if not_modified(request.headers(), &tag) {
        return Ok(HttpResponse::NotModified()
            .insert_header((ETAG, tag))
            .insert_header(NOT_KEPT)
            .finish());
    }
    Ok(profile(user))
}

/// Changes the signed-in user; what is left out stays.
#[utoipa::path(tag = "accounts", security(("bearer" = [])), request_body = ProfileRequest,
    params(("If-Match" = Option<String>, Header, description = "412 where the version is not the present one")),
    responses(
        (status = OK, body = UserView, headers(("ETag" = String, description = "the version, quoted"))),
        (status = BAD_REQUEST, body = ProblemBody, description = "malformed_json"),
        (status = UNAUTHORIZED, body = ProblemBody),
        (status = PRECONDITION_FAILED, body = ProblemBody, description = "stale_version"),
        (status = PAYLOAD_TOO_LARGE, body = ProblemBody),
        (status = UNSUPPORTED_MEDIA_TYPE, body = ProblemBody),
        (status = UNPROCESSABLE_ENTITY, body = ProblemBody),
    ))]
#[put("/api/auth/profile")]
pub(super) async fn put_profile(
    who: Principal,
    condition: IfMatch,
    body: Body<ProfileRequest>,
    accounts: web::Data<Accounts>,
) -> Result<HttpResponse, Problem> {
    let change = ProfileChange::from(body.0);
    let user = accounts
        .change_profile(who.user, condition, &change)
        .await?;
    Ok(profile(user))
}
