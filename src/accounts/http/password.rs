//! New passwords and e-mailed links.

use actix_web::{HttpResponse, post, web};
use secrecy::SecretString;
use serde::Deserialize;
use validator::Validate;

use super::sign_in::parsed;
use crate::{
    accounts::{Accounts, Attempt, NewPassword, Principal, email::email},
    http::{Body, RateLimits},
    problem::{Problem, ProblemBody},
};

/// The present and the new password.
#[derive(Debug, Deserialize, Validate, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ChangePasswordRequest {
    #[validate(nested)]
    current_password: Attempt,
    #[validate(nested)]
    new_password: NewPassword,
}

/// Whose password was forgotten.
#[derive(Debug, Deserialize, Validate, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ForgotPasswordRequest {
    #[validate(custom(function = "email"))]
    #[schema(format = "email", max_length = 254, example = "ada@example.com")]
    email: String,
}

/// The token of the e-mailed link and the new password.
#[derive(Debug, Deserialize, Validate, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ResetPasswordRequest {
    #[schema(value_type = String, max_length = 128)]
    token: SecretString,
    #[validate(nested)]
    new_password: NewPassword,
}

/// The token of the e-mailed link.
#[derive(Debug, Deserialize, Validate, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct VerifyEmailRequest {
    #[schema(value_type = String, max_length = 128)]
    token: SecretString,
}

/// Changes the password; the user's other devices are signed out.
#[utoipa::path(tag = "accounts", security(("bearer" = [])), request_body = ChangePasswordRequest,
    responses(
        (status = NO_CONTENT),
        (status = BAD_REQUEST, body = ProblemBody, description = "malformed_json"),
        (status = UNAUTHORIZED, body = ProblemBody, description = "invalid_credentials: the present password is another"),
        (status = PAYLOAD_TOO_LARGE, body = ProblemBody),
        (status = UNSUPPORTED_MEDIA_TYPE, body = ProblemBody),
        (status = UNPROCESSABLE_ENTITY, body = ProblemBody),
        (status = SERVICE_UNAVAILABLE, body = ProblemBody, description = "busy, unavailable"),
    ))]
#[post("/api/auth/password")]
pub(super) async fn change_password(
    who: Principal,
    body: Body<ChangePasswordRequest>,
    accounts: web::Data<Accounts>,
    limits: web::Data<RateLimits>,
) -> Result<HttpResponse, Problem> {
    let Body(wanted) = body;
    limits.admit_account(accounts.user(who.user).await?.email.as_str())?;
    accounts
        .change_password(&who, &wanted.current_password, &wanted.new_password)
        .await?;
    Ok(HttpResponse::NoContent().finish())
}

/// E-mails a single-use link to set a new password, where the e-mail has an account.
///
/// The answer is the same where it has none.
#[utoipa::path(tag = "accounts", request_body = ForgotPasswordRequest, responses(
    (status = ACCEPTED),
    (status = BAD_REQUEST, body = ProblemBody, description = "malformed_json"),
    (status = PAYLOAD_TOO_LARGE, body = ProblemBody),
    (status = UNSUPPORTED_MEDIA_TYPE, body = ProblemBody),
    (status = UNPROCESSABLE_ENTITY, body = ProblemBody),
    (status = SERVICE_UNAVAILABLE, body = ProblemBody, description = "busy"),
))]
#[post("/api/auth/password/forgot")]
pub(super) async fn forgot_password(
    body: Body<ForgotPasswordRequest>,
    accounts: web::Data<Accounts>,
    limits: web::Data<RateLimits>,
) -> Result<HttpResponse, Problem> {
    let email = parsed(&body.0.email)?;
    limits.admit_account(email.as_str())?;
    accounts.forgot_password(email)?;
    Ok(HttpResponse::Accepted().finish())
}

/// Sets a new password by an e-mailed link; every device of the user is signed out.
#[utoipa::path(tag = "accounts", request_body = ResetPasswordRequest, responses(
    (status = NO_CONTENT),
    (status = BAD_REQUEST, body = ProblemBody, description = "malformed_json"),
    (status = PAYLOAD_TOO_LARGE, body = ProblemBody),
    (status = UNSUPPORTED_MEDIA_TYPE, body = ProblemBody),
    (status = UNPROCESSABLE_ENTITY, body = ProblemBody, description = "also for a link that was used or has expired"),
    (status = SERVICE_UNAVAILABLE, body = ProblemBody, description = "busy, unavailable"),
))]
#[post("/api/auth/password/reset")]
pub(super) async fn reset_password(
    body: Body<ResetPasswordRequest>,
    accounts: web::Data<Accounts>,
) -> Result<HttpResponse, Problem> {
    let Body(sent) = body;
    accounts
        .reset_password(&sent.token, &sent.new_password)
        .await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Confirms an e-mail by an e-mailed link.
#[utoipa::path(tag = "accounts", request_body = VerifyEmailRequest, responses(
    (status = NO_CONTENT),
    (status = BAD_REQUEST, body = ProblemBody, description = "malformed_json"),
    (status = PAYLOAD_TOO_LARGE, body = ProblemBody),
    (status = UNSUPPORTED_MEDIA_TYPE, body = ProblemBody),
    (status = UNPROCESSABLE_ENTITY, body = ProblemBody, description = "also for a link that was used or has expired"),
))]
#[post("/api/auth/verify")]
pub(super) async fn verify_email(
    body: Body<VerifyEmailRequest>,
    accounts: web::Data<Accounts>,
) -> Result<HttpResponse, Problem> {
    accounts.verify_email(&body.0.token).await?;
    Ok(HttpResponse::NoContent().finish())
}
