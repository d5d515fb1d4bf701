//! `POST /cgi-bin/webscr`: VERIFIED for a message that was sent exactly so, INVALID for any other.

use actix_web::{HttpRequest, HttpResponse, http::header, web};
use serde_json::json;

use crate::{problem::Problem, request, world::Simulator};

const COMMAND: &[u8] = b"cmd=_notify-validate&";

/// Vouches for a message, or denies it.
pub(crate) async fn validate(
    request: HttpRequest,
    body: web::Bytes,
    sim: web::Data<Simulator>,
) -> Result<HttpResponse, Problem> {
    // PayPal's own front refuses clients without a User-Agent.
    if request::text(&request, header::USER_AGENT.as_str()).is_none_or(str::is_empty) {
        return Err(Problem::html(403));
    }
    let mut world = sim.lock();
    let known = body
        .strip_prefix(COMMAND)
        .is_some_and(|message| world.ipn.knows(message));
    let verdict = if known { "VERIFIED" } else { "INVALID" };
    world.record("ipn.verify", json!({ "result": verdict }));
    Ok(HttpResponse::Ok()
        .content_type("text/html; charset=UTF-8")
        .body(verdict))
}
