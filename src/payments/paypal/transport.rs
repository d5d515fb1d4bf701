//! One exchange over HTTP: within its deadline, bounded in size, told to the breaker.

use std::time::Duration;

use reqwest::{Response, StatusCode, header::HeaderMap};
use tokio::time::{Instant, timeout_at};

use super::{breaker::Breaker, fault::Fault};

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(5);
/// No answer of PayPal comes near this.
const MAX_ANSWER: usize = 1024 * 1024;

/// An answer, read whole.
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) debug_id: String,
    pub(super) retry_after: Option<Duration>,
    pub(super) body: Vec<u8>,
}

/// The client that every call to PayPal goes through: it says who it is, follows no redirect and asks
/// no proxy.
///
/// # Errors
/// When TLS cannot be set up.
pub(super) fn client() -> Result<reqwest::Client, reqwest::Error> {
    reqwest::Client::builder()
        .user_agent(concat!("bodega/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .build()
}

/// Sends `request` and reads the answer, whatever its status.
///
/// # Errors
/// [`Fault::NotSent`] where no connection came about, [`Fault::Lost`] where one did and no whole answer.
pub(super) async fn exchange(
    request: reqwest::RequestBuilder,
    breaker: &Breaker,
    deadline: Instant,
) -> Result<Reply, Fault> {
    if Instant::now() >= deadline {
        return Err(Fault::NotSent {
            reason: "no time is left".to_owned(),
            retry: false,
            after: None,
        });
    }
    breaker.admit(Instant::now()).map_err(Fault::Open)?;
    let exchanged = timeout_at(deadline, send_and_read(request)).await;
    let exchanged = exchanged.unwrap_or_else(|_elapsed| Err(Fault::Lost("timed out".to_owned())));
    match &exchanged {
        Ok(reply) if !reply.status.is_server_error() => breaker.answered(),
        Ok(_) | Err(_) => breaker.failed(Instant::now()),
    }
    exchanged
}

async fn send_and_read(request: reqwest::RequestBuilder) -> Result<Reply, Fault> {
    let mut response = request.send().await.map_err(|error| fault(&error))?;
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| fault(&error))? {
        if body.len() + chunk.len() > MAX_ANSWER {
            return Err(Fault::Lost("the answer is too large".to_owned()));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Reply {
        status: response.status(),
        debug_id: debug_id(&response),
        retry_after: retry_after(response.headers()),
        body,
    })
}

/// A failed connection was never used; every other failure may have come after PayPal acted.
fn fault(error: &reqwest::Error) -> Fault {
    let reason = chain(error);
    if error.is_connect() || error.is_builder() {
        Fault::NotSent {
            reason,
            retry: error.is_connect(),
            after: None,
        }
    } else {
        Fault::Lost(reason)
    }
}

/// The causes too: reqwest's own line says only that sending failed.
fn chain(error: &reqwest::Error) -> String {
    let first: Option<&(dyn std::error::Error + 'static)> = Some(error);
    let causes = std::iter::successors(first, |error| error.source());
    let texts: Vec<String> = causes.skip(1).map(ToString::to_string).collect();
    if texts.is_empty() {
        error.to_string()
    } else {
        texts.join(": ")
    }
}

fn debug_id(response: &Response) -> String {
    let value = response.headers().get("paypal-debug-id");
    let text = value.and_then(|value| value.to_str().ok());
    text.unwrap_or_default().chars().take(64).collect()
}

/// Whole seconds only: PayPal does not send dates here.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers
        .get(reqwest::header::RETRY_AFTER)?
        .to_str()
        .ok()?
        .trim()
        .parse()
        .ok()?;
    Some(Duration::from_secs(seconds))
}
