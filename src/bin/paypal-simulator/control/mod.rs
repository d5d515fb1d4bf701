//! The control API under `/control`: everything a test or a demo may do that PayPal's API cannot.
//!
//! Bodies and answers are JSON; refusals are `{"error": "…"}` with 404 or 422. It has no
//! authentication, so bind the simulator to a loopback address or a private network.

mod events;
mod faults;
mod ipn;
mod orders;
mod payments;
mod state;

use std::fmt;

use actix_web::{HttpResponse, ResponseError, http::StatusCode, web};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::money::{Amount, Currency};

/// A refused control call.
#[derive(Debug)]
pub(crate) struct Refusal {
    status: StatusCode,
    text: String,
}

impl Refusal {
    fn unfit(text: impl Into<String>) -> Self {
        Self {
            status: StatusCode::UNPROCESSABLE_ENTITY,
            text: text.into(),
        }
    }
}

impl From<String> for Refusal {
    /// Reasons of the rooms begin with `no …` where something does not exist.
    fn from(text: String) -> Self {
        let status = if text.starts_with("no ") {
            StatusCode::NOT_FOUND
        } else {
            StatusCode::UNPROCESSABLE_ENTITY
        };
        Self { status, text }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl ResponseError for Refusal {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    fn error_response(&self) -> HttpResponse {
        HttpResponse::build(self.status).json(json!({ "error": self.text }))
    }
}

type Answer = Result<HttpResponse, Refusal>;

fn ok(body: &Value) -> HttpResponse {
    HttpResponse::Ok().json(body)
}

/// Reads a body; an empty one counts as an empty object.
fn read<T: DeserializeOwned>(body: &web::Bytes) -> Result<T, Refusal> {
    let bytes: &[u8] = if body.is_empty() { b"{}" } else { body };
    serde_json::from_slice(bytes).map_err(|error| Refusal::unfit(error.to_string()))
}

/// An amount in a control call: `"4.00"`, or `{"currency_code","value"}`, of the given currency.
fn amount(given: Option<&Value>, currency: Currency) -> Result<Option<Amount>, Refusal> {
    let Some(given) = given.filter(|given| !given.is_null()) else {
        return Ok(None);
    };
    let text = given.as_str().or_else(|| given.get("value")?.as_str());
    let amount = text.and_then(|text| Amount::parse(text, currency).ok());
    amount
        .filter(|amount| amount.minor > 0)
        .map(Some)
        .ok_or_else(|| Refusal::unfit("amount must be a positive decimal string"))
}

/// Registers the routes, relative to `/control`.
pub(crate) fn routes(config: &mut web::ServiceConfig) {
    config
        .route("/orders", web::get().to(orders::list))
        .route("/orders/{id}", web::get().to(orders::show))
        .route("/orders/{id}/approve", web::post().to(orders::approve))
        .route("/orders/{id}/cancel", web::post().to(orders::cancel))
        .route("/orders/{id}/expire", web::post().to(orders::expire))
        .route("/orders/{id}/void", web::post().to(orders::void))
        .route(
            "/captures/{id}/complete",
            web::post().to(payments::complete),
        )
        .route("/captures/{id}/deny", web::post().to(payments::deny))
        .route("/captures/{id}/again", web::post().to(payments::take_again))
        .route("/captures/{id}/reverse", web::post().to(payments::reverse))
        .route(
            "/captures/{id}/cancel-reversal",
            web::post().to(payments::cancel_reversal),
        )
        .route("/captures/{id}/refund", web::post().to(payments::refund))
        .route("/refunds/{id}/{end}", web::post().to(payments::end_refund))
        .route("/disputes", web::post().to(payments::open_dispute))
        .route(
            "/disputes/{id}/update",
            web::post().to(payments::update_dispute),
        )
        .route(
            "/disputes/{id}/resolve",
            web::post().to(payments::resolve_dispute),
        )
        .route("/tokens/revoke", web::post().to(state::revoke_tokens))
        .route("/faults", web::post().to(faults::add))
        .route("/faults", web::get().to(faults::list))
        .route("/faults", web::delete().to(faults::clear))
        .route("/faults/{id}", web::delete().to(faults::clear_one))
        .route("/outage", web::post().to(faults::outage))
        .route("/webhooks", web::post().to(events::register))
        .route("/webhooks", web::get().to(events::hooks))
        .route("/webhooks/pause", web::post().to(events::pause))
        .route("/webhooks/resume", web::post().to(events::resume))
        .route("/events", web::get().to(events::list))
        .route("/events/forge", web::get().to(events::forgeries))
        .route("/events/forge", web::post().to(events::forge))
        .route("/events/{id}", web::get().to(events::show))
        .route("/events/{id}/resend", web::post().to(events::resend))
        .route("/certificates", web::get().to(events::certificates))
        .route("/certificates/rotate", web::post().to(events::rotate))
        .route("/ipn", web::post().to(ipn::send))
        .route("/settings", web::get().to(state::settings))
        .route("/settings", web::post().to(state::set))
        .route("/clock", web::post().to(state::advance))
        .route("/journal", web::get().to(state::journal))
        .route("/state", web::get().to(state::state))
        .route("/reset", web::post().to(state::reset));
}
