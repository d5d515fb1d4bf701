//! Access tokens: `POST /v1/oauth2/token`, and the check of the bearer on every call.

use std::collections::HashMap;

use actix_web::{HttpRequest, HttpResponse, http::header, web};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::json;
use time::{Duration, OffsetDateTime};

use crate::{
    clock, ids,
    problem::Problem,
    request::{answer, text},
    world::{Simulator, World},
};

/// What the token may be used for; only its presence matters.
const SCOPE: &str = "https://uri.paypal.com/services/payments/payment \
     https://uri.paypal.com/services/payments/refund \
     https://uri.paypal.com/services/applications/webhooks";

/// Tokens that were handed out.
#[derive(Debug, Default)]
pub(crate) struct Tokens {
    live: HashMap<String, OffsetDateTime>,
    /// Token requests that were answered with a token.
    pub(crate) issued: u64,
    /// Token requests whose form type lacked `application/`, as paypal-rs sends it.
    pub(crate) wrong_form_type: u64,
}

impl Tokens {
    /// Forgets tokens whose time is over.
    pub(crate) fn forget(&mut self, now: OffsetDateTime) {
        self.live.retain(|_, expires| *expires > now);
    }

    /// Makes every token unknown.
    pub(crate) fn revoke(&mut self) -> usize {
        let count = self.live.len();
        self.live.clear();
        count
    }
}

/// `POST /v1/oauth2/token`.
pub(crate) async fn token(
    request: HttpRequest,
    body: web::Bytes,
    sim: web::Data<Simulator>,
) -> Result<HttpResponse, Problem> {
    let mut world = sim.lock();
    match form_type(&request) {
        FormType::Right => {}
        FormType::Short => {
            world.tokens.wrong_form_type = world.tokens.wrong_form_type.saturating_add(1);
        }
        FormType::Other => return Err(Problem::status(415)),
    }
    if !authentic(&world, &request) {
        world.record("token.refused", json!({}));
        return Err(Problem::oauth(
            401,
            "invalid_client",
            "Client Authentication failed",
        ));
    }
    let grant = url::form_urlencoded::parse(&body)
        .find(|(name, _)| name == "grant_type")
        .map(|(_, value)| value.into_owned());
    match grant.as_deref() {
        Some("client_credentials") => {}
        Some(_) => {
            let text = "Grant Type is not supported";
            return Err(Problem::oauth(400, "unsupported_grant_type", text));
        }
        None => {
            return Err(Problem::oauth(
                400,
                "invalid_request",
                "grant_type is missing",
            ));
        }
    }
    let now = world.now();
    let seconds = world.settings.token_seconds;
    let token = ids::access_token();
    world.tokens.live.insert(
        token.clone(),
        now.saturating_add(Duration::seconds(seconds)),
    );
    world.tokens.issued = world.tokens.issued.saturating_add(1);
    world.record("token", json!({ "expiresIn": seconds }));
    Ok(answer(
        200,
        &json!({
            "scope": SCOPE,
            "access_token": token,
            "token_type": "Bearer",
            "app_id": "APP-80W284485P519543T",
            "expires_in": seconds,
            "nonce": format!("{}{}", clock::stamp(now), ids::debug())
        }),
    ))
}

enum FormType {
    Right,
    Short,
    Other,
}

fn form_type(request: &HttpRequest) -> FormType {
    let declared = text(request, header::CONTENT_TYPE.as_str()).unwrap_or_default();
    match declared.split(';').next().unwrap_or_default().trim() {
        "application/x-www-form-urlencoded" => FormType::Right,
        "x-www-form-urlencoded" => FormType::Short,
        _ => FormType::Other,
    }
}

fn authentic(world: &World, request: &HttpRequest) -> bool {
    let given = text(request, header::AUTHORIZATION.as_str())
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("basic"))
        .and_then(|(_, credentials)| BASE64_STANDARD.decode(credentials.trim()).ok());
    let wanted = format!("{}:{}", world.flags.client_id, world.flags.client_secret);
    given.is_some_and(|given| given == wanted.as_bytes())
}

/// Admits a call with a live token.
pub(crate) fn bearer(world: &mut World, request: &HttpRequest) -> Result<(), Problem> {
    let given = text(request, header::AUTHORIZATION.as_str())
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim());
    let Some(token) = given else {
        return Err(Problem::status(401));
    };
    let now = world.now();
    match world.tokens.live.get(token).copied() {
        Some(expires) if expires > now => Ok(()),
        Some(_) => {
            world.tokens.live.remove(token);
            Err(Problem::oauth(
                401,
                "invalid_token",
                "Access Token not found in cache",
            ))
        }
        None => Err(Problem::oauth(
            401,
            "invalid_token",
            "Token signature verification failed",
        )),
    }
}
