//! `POST /v1/notifications/verify-webhook-signature`.

use actix_web::{HttpRequest, HttpResponse, web};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use rustls_pki_types::CertificateDer;
use serde::Deserialize;
use serde_json::{json, value::RawValue};

use crate::{
    oauth,
    problem::{Detail, Problem},
    request,
    signing::{self, Kind},
    world::{Simulator, World},
};

/// The request; the event stays as the bytes it came in.
#[derive(Debug, Deserialize)]
pub(crate) struct Verification<'a> {
    auth_algo: String,
    cert_url: String,
    transmission_id: String,
    transmission_sig: String,
    transmission_time: String,
    webhook_id: String,
    #[serde(borrow)]
    webhook_event: &'a RawValue,
}

/// Tells SUCCESS or FAILURE, both as 200; only a request that is no request is 400.
pub(crate) async fn verify(
    request: HttpRequest,
    body: web::Bytes,
    sim: web::Data<Simulator>,
) -> Result<HttpResponse, Problem> {
    request::json_type(&request)?;
    let mut world = sim.lock();
    oauth::bearer(&mut world, &request)?;
    let asked: Verification<'_> = serde_json::from_slice(&body).map_err(|error| {
        if error.is_data() {
            Problem::detail(Detail::at("MISSING_REQUIRED_PARAMETER", "/", None))
        } else {
            Problem::malformed()
        }
    })?;
    let status = if genuine(&world, &asked) {
        "SUCCESS"
    } else {
        "FAILURE"
    };
    world.record(
        "verify",
        json!({ "transmissionId": asked.transmission_id, "result": status }),
    );
    Ok(HttpResponse::Ok().json(json!({ "verification_status": status })))
}

fn genuine(world: &World, asked: &Verification<'_>) -> bool {
    if asked.auth_algo != "SHA256withRSA" {
        return false;
    }
    if !world
        .events
        .hooks
        .iter()
        .any(|hook| hook.id == asked.webhook_id)
    {
        return false;
    }
    let prefix = format!("{}/v1/notifications/certs/", world.base);
    let Some(certificate) = asked
        .cert_url
        .strip_prefix(&prefix)
        .and_then(|id| world.signing.get(id))
    else {
        return false;
    };
    if certificate.kind != Kind::Good {
        return false;
    }
    let Ok(signature) = BASE64_STANDARD.decode(&asked.transmission_sig) else {
        return false;
    };
    let message = signing::message(
        &asked.transmission_id,
        &asked.transmission_time,
        &asked.webhook_id,
        asked.webhook_event.get().as_bytes(),
    );
    let der = CertificateDer::from(certificate.der.as_slice());
    webpki::EndEntityCert::try_from(&der).is_ok_and(|leaf| {
        leaf.verify_signature(
            webpki::ring::RSA_PKCS1_2048_8192_SHA256,
            message.as_bytes(),
            &signature,
        )
        .is_ok()
    })
}
