//! The room's part of the person's copy of everything held, and erasure.

use actix_web::{HttpResponse, delete, web};
use serde::{Deserialize, Serialize};
use validator::Validate;

use super::{UserView, cookie, view::SessionView};
use crate::{
    accounts::{Accounts, Attempt, Export, Principal},
    clock::Timestamp,
    config::Config,
    http::{Body, RateLimits},
    id::SessionId,
    problem::{Problem, ProblemBody},
};

/// Everything that this room holds about a person.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExportView {
    exported_at: Timestamp,
    user: UserView,
    sessions: Vec<SessionView>,
}

impl ExportView {
    /// The export as the person sees it who asks from the sign-in `asking`.
    #[must_use]
    pub fn new(export: Export, asking: SessionId) -> Self {
        let sessions = export.sessions.into_iter();
        Self {
            exported_at: export.exported_at,
            user: export.user.into(),
            sessions: sessions
                .map(|session| SessionView::new(session, asking))
                .collect(),
        }
    }
}

/// Proof that it is the person who asks.
#[derive(Debug, Deserialize, Validate, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct EraseRequest {
    #[validate(nested)]
    password: Attempt,
}

/// Erases the signed-in person: account and sign-ins go at once, orders are kept for the books without the person.
///
/// The answer comes once account, sign-ins and mails are gone; every token and live stream ends. Within the minute
/// the person is also removed from carts, checkouts, orders, kept answers and PayPal's messages; what was not paid
/// is cancelled. Orders keep lines, money and states, the country and short code of the region that taxes depend
/// on, and a date after which they may go. An order that was not sent yet loses its address all the same: cancel
/// it, or wait for it, before. What PayPal itself holds is PayPal's.
#[utoipa::path(tag = "accounts", security(("bearer" = [])), request_body = EraseRequest, responses(
    (status = NO_CONTENT, headers(("Set-Cookie" = String, description = "clears bodega_refresh"))),
    (status = BAD_REQUEST, body = ProblemBody, description = "malformed_json"),
    (status = UNAUTHORIZED, body = ProblemBody, description = "also invalid_credentials"),
    (status = PAYLOAD_TOO_LARGE, body = ProblemBody),
    (status = UNSUPPORTED_MEDIA_TYPE, body = ProblemBody),
    (status = UNPROCESSABLE_ENTITY, body = ProblemBody),
    (status = SERVICE_UNAVAILABLE, body = ProblemBody, description = "busy, unavailable"),
))]
#[delete("/api/auth/account")]
pub(super) async fn erase_account(
    who: Principal,
    body: Body<EraseRequest>,
    accounts: web::Data<Accounts>,
    limits: web::Data<RateLimits>,
    config: web::Data<Config>,
) -> Result<HttpResponse, Problem> {
    limits.admit_account(accounts.user(who.user).await?.email.as_str())?;
    accounts.erase(&who, &body.0.password).await?;
    Ok(HttpResponse::NoContent()
        .cookie(cookie::cleared(&config))
        .finish())
}
