//! Registering, signing in, refreshing, signing out.

use actix_web::{HttpRequest, HttpResponse, post, web};
use serde::Deserialize;
use validator::Validate;

use super::{
    Proxies, cookie, device, guest_cart,
    origin::OwnPage,
    view::{SignedInView, TokenView},
};
use crate::{
    accounts::{
        AccountError, Accounts, Attempt, Email, NewPassword, Principal, Tokens,
        email::{InvalidEmail, email},
        sign_in::SignedIn,
    },
    address::plain,
    config::Config,
    http::{Body, NOT_KEPT, RateLimits},
    problem::{Problem, ProblemBody},
};

/// A new customer.
#[derive(Debug, Deserialize, Validate, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RegisterRequest {
    #[validate(custom(function = "email"))]
    #[schema(format = "email", max_length = 254, example = "ada@example.com")]
    email: String,
    #[validate(nested)]
    password: NewPassword,
    #[validate(length(min = 1, max = 200), custom(function = "plain"))]
    #[schema(min_length = 1, max_length = 200)]
    name: Option<String>,
}

/// Who signs in.
#[derive(Debug, Deserialize, Validate, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct LoginRequest {
    #[validate(custom(function = "email"))]
    #[schema(format = "email", max_length = 254, example = "ada@example.com")]
    email: String,
    #[validate(nested)]
    password: Attempt,
}

/// The address of a body that was validated.
pub(super) fn parsed(text: &str) -> Result<Email, Problem> {
    Email::parse(text)
        .map_err(|why: InvalidEmail| Problem::field("/email", "email", why.to_string()))
}

fn token_view(access_token: String, tokens: &Tokens) -> TokenView {
    TokenView {
        access_token,
        token_type: "Bearer",
        expires_in: tokens.life_seconds(),
    }
}

fn signed_in(
    mut answer: actix_web::HttpResponseBuilder,
    signed_in: SignedIn,
    tokens: &Tokens,
    config: &Config,
) -> HttpResponse {
    answer
        .cookie(cookie::carrying(&signed_in.refresh_token, config))
        .insert_header(NOT_KEPT)
        .json(SignedInView {
            user: signed_in.user.into(),
            token: token_view(signed_in.access_token, tokens),
        })
}

/// Makes a customer's account and signs in.
///
/// The refresh token is only in the cookie `bodega_refresh`.
#[utoipa::path(tag = "accounts", request_body = RegisterRequest, responses(
    (status = CREATED, body = SignedInView, headers(("Set-Cookie" = String, description = "bodega_refresh"))),
    (status = BAD_REQUEST, body = ProblemBody, description = "malformed_json"),
    (status = CONFLICT, body = ProblemBody, description = "email_taken"),
    (status = PAYLOAD_TOO_LARGE, body = ProblemBody),
    (status = UNSUPPORTED_MEDIA_TYPE, body = ProblemBody),
    (status = UNPROCESSABLE_ENTITY, body = ProblemBody),
    (status = SERVICE_UNAVAILABLE, body = ProblemBody, description = "busy, unavailable"),
))]
#[post("/api/auth/register")]
pub(super) async fn register(
    request: HttpRequest,
    body: Body<RegisterRequest>,
    accounts: web::Data<Accounts>,
    tokens: web::Data<Tokens>,
    config: web::Data<Config>,
    proxies: Proxies,
) -> Result<HttpResponse, Problem> {
    let Body(wanted) = body;
    let device = device(&request, &proxies);
    let registered = accounts
        .register(
            parsed(&wanted.email)?,
            &wanted.password,
            wanted.name,
            &device,
        )
        .await?;
    let user = registered.user.id;
    let mut answer = signed_in(HttpResponse::Created(), registered, &tokens, &config);
    guest_cart::adopt(&request, user, &mut answer).await?;
    Ok(answer)
}

/// Signs in.
///
/// An unknown e-mail and a wrong password are answered alike, in the same time.
#[utoipa::path(tag = "accounts", request_body = LoginRequest, responses(
    (status = OK, body = SignedInView, headers(("Set-Cookie" = String, description = "bodega_refresh"))),
    (status = BAD_REQUEST, body = ProblemBody, description = "malformed_json"),
    (status = UNAUTHORIZED, body = ProblemBody, description = "invalid_credentials"),
    (status = PAYLOAD_TOO_LARGE, body = ProblemBody),
    (status = UNSUPPORTED_MEDIA_TYPE, body = ProblemBody),
    (status = UNPROCESSABLE_ENTITY, body = ProblemBody),
    (status = TOO_MANY_REQUESTS, body = ProblemBody, description = "per address and per account"),
    (status = SERVICE_UNAVAILABLE, body = ProblemBody, description = "busy, unavailable"),
))]
#[post("/api/auth/login")]
pub(super) async fn login(
    request: HttpRequest,
    body: Body<LoginRequest>,
    accounts: web::Data<Accounts>,
    tokens: web::Data<Tokens>,
    limits: web::Data<RateLimits>,
    config: web::Data<Config>,
    proxies: Proxies,
) -> Result<HttpResponse, Problem> {
    let Body(sent) = body;
    let email = parsed(&sent.email)?;
    limits.admit_account(email.as_str())?;
    let device = device(&request, &proxies);
    let present = accounts.login(&email, &sent.password, &device).await?;
    let user = present.user.id;
    let mut answer = signed_in(HttpResponse::Ok(), present, &tokens, &config);
    guest_cart::adopt(&request, user, &mut answer).await?;
    Ok(answer)
}

/// Exchanges the refresh token for a new one and an access token.
///
/// The cookie is rotated. The token before the present one is answered for some seconds, with the same
/// successor, so that two tabs may refresh at once; a spent token presented later ends the sign-in.
#[utoipa::path(tag = "accounts",
    params(("bodega_refresh" = Option<String>, Cookie, description = "The refresh token")),
    responses(
        (status = OK, body = TokenView, headers(("Set-Cookie" = String, description = "bodega_refresh"))),
        (status = UNAUTHORIZED, body = ProblemBody, description = "invalid_token, token_reused"),
        (status = FORBIDDEN, body = ProblemBody, description = "foreign_origin"),
    ))]
#[post("/api/auth/refresh")]
pub(super) async fn refresh(
    request: HttpRequest,
    _own: OwnPage,
    accounts: web::Data<Accounts>,
    tokens: web::Data<Tokens>,
    config: web::Data<Config>,
    proxies: Proxies,
) -> Result<HttpResponse, Problem> {
    let spent = cookie::sent(&request).ok_or(AccountError::SignedOut)?;
    let device = device(&request, &proxies);
    let refreshed = accounts.refresh(&spent, &device).await?;
    Ok(HttpResponse::Ok()
        .cookie(cookie::carrying(&refreshed.refresh_token, &config))
        .insert_header(NOT_KEPT)
        .json(token_view(refreshed.access_token, &tokens)))
}

/// Signs out: the sign-in of the access token ends, and that of the cookie where it is another. Their access
/// tokens are refused from now on, the cookie is cleared.
///
/// Without a valid token and a valid cookie there is nothing to end, and the answer is the same.
#[utoipa::path(tag = "accounts", security((), ("bearer" = [])),
    params(("bodega_refresh" = Option<String>, Cookie, description = "The refresh token")),
    responses(
        (status = NO_CONTENT, headers(("Set-Cookie" = String, description = "clears bodega_refresh"))),
        (status = FORBIDDEN, body = ProblemBody, description = "foreign_origin"),
    ))]
#[post("/api/auth/logout")]
pub(super) async fn logout(
    request: HttpRequest,
    _own: OwnPage,
    // One that has expired keeps nobody from signing out by the cookie.
    who: Option<Principal>,
    accounts: web::Data<Accounts>,
    config: web::Data<Config>,
) -> Result<HttpResponse, Problem> {
    let cookie = cookie::sent(&request);
    accounts.logout(who, cookie.as_deref()).await?;
    Ok(HttpResponse::NoContent()
        .cookie(cookie::cleared(&config))
        .finish())
}
