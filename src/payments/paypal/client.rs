//! Calls to PayPal: one time budget for a call, tries included; the only layer that tries again.
//!
//! One try may take half of the budget at most, so that a peer that took the request and fell silent is
//! asked once more, under the same request id.

use std::time::Duration;

use paypal_rs::{PaypalEnv, endpoint::Endpoint};
use rand::Rng;
use reqwest::{Method, StatusCode, Url, header};
use secrecy::ExposeSecret;
use tokio::time::Instant;

use super::{
    breaker::Breaker,
    environment,
    fault::{CallError, Fault},
    token::Tokens,
    transport::{self, Reply},
};
use crate::{config::PayPalConfig, http::patiently, payments::RequestKey};

/// The most tries of one call.
const MAX_TRIES: u32 = 4;
/// The longest pause before the second try; it doubles from try to try.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// No pause is longer, unless PayPal asks for it.
const MAX_PAUSE: Duration = Duration::from_secs(2);

/// An endpoint with a name for logs and measures.
pub(super) trait Operation: Endpoint<Response: Send> {
    /// Such as `capture_order`.
    const NAME: &'static str;
}

/// Calls PayPal's REST API; one for all workers.
pub(super) struct Client {
    http: reqwest::Client,
    env: PaypalEnv,
    tokens: Tokens,
    breaker: Breaker,
    budget: Duration,
}

/// A request as it goes out with every try.
struct Prepared<'a> {
    operation: &'static str,
    method: Method,
    url: Url,
    body: Vec<u8>,
    key: Option<&'a RequestKey>,
}

impl Client {
    /// Takes base URL, credentials and time budget from the configuration.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub(super) fn new(config: &PayPalConfig) -> Result<Self, reqwest::Error> {
        let env = environment::frame(&config.base_url);
        Ok(Self {
            http: transport::client()?,
            tokens: Tokens::new(
                env.make_url("/v1/oauth2/token"),
                config.client_id.clone(),
                config.client_secret.clone(),
            ),
            env,
            breaker: Breaker::default(),
            budget: Duration::from_secs(config.timeout_seconds),
        })
    }

    /// Calls `endpoint`. With a key the call changes something, once however often it is tried; without
    /// one it only reads.
    ///
    /// # Errors
    /// The last try's fault, and whether any try may have done the work.
    pub(super) async fn call<E: Operation + Sync>(
        &self,
        endpoint: &E,
        key: Option<&RequestKey>,
    ) -> Result<E::Response, CallError>
    where
        E::Query: Send,
        E::Body: Send,
    {
        let prepared = self.prepare(endpoint, key).map_err(CallError::harmless)?;
        let reply = patiently(self.deliver(&prepared)).await?;
        serde_json::from_slice(&reply.body).map_err(|error| CallError {
            // The decoder's text may quote the answer; its place is enough.
            fault: Fault::Unreadable(format!(
                "{} {} at line {} column {} (debug id {})",
                E::NAME,
                reply.status.as_u16(),
                error.line(),
                error.column(),
                reply.debug_id
            )),
            may_be_done: key.is_some(),
        })
    }

    fn prepare<'a, E: Operation>(
        &self,
        endpoint: &E,
        key: Option<&'a RequestKey>,
    ) -> Result<Prepared<'a>, Fault> {
        let unsendable = |reason: String| Fault::NotSent {
            reason,
            retry: false,
            after: None,
        };
        let url = self.env.make_url(&endpoint.relative_path());
        let url = Url::parse(&url).map_err(|error| unsendable(error.to_string()))?;
        let body = endpoint
            .body()
            .map(|body| serde_json::to_vec(&body))
            .transpose()
            .map_err(|error| unsendable(error.to_string()))?;
        Ok(Prepared {
            operation: E::NAME,
            method: endpoint.method(),
            url,
            body: body.unwrap_or_default(),
            key,
        })
    }

    async fn deliver(&self, request: &Prepared<'_>) -> Result<Reply, CallError> {
        let began = Instant::now();
        let deadline = began + self.budget;
        let (mut tries, mut may_be_done, mut renewed) = (0, false, false);
        loop {
            tries += 1;
            let until = deadline.min(Instant::now() + self.budget / 2);
            let fault = match self.attempt(request, until).await {
                Ok(reply) => {
                    report(request, began, tries, Ok(&reply));
                    return Ok(reply);
                }
                Err(fault) => fault,
            };
            // Only a call with a key changes anything.
            may_be_done |= request.key.is_some() && fault.may_be_done();
            if fault.status() == Some(401) && !renewed {
                renewed = true;
                continue;
            }
            let Some(pause) = pause_before_retry(&fault, tries, deadline) else {
                report(request, began, tries, Err(&fault));
                return Err(CallError { fault, may_be_done });
            };
            tracing::debug!(operation = request.operation, tries, %fault, "paypal: trying again");
            tokio::time::sleep(pause).await;
        }
    }

    async fn attempt(&self, request: &Prepared<'_>, deadline: Instant) -> Result<Reply, Fault> {
        let token = self.tokens.get(&self.http, &self.breaker, deadline).await?;
        let mut outgoing = self
            .http
            .request(request.method.clone(), request.url.clone())
            .bearer_auth(token.expose_secret())
            .header(header::ACCEPT, "application/json")
            // Without a body too, else PayPal answers 415.
            .header(header::CONTENT_TYPE, "application/json")
            .header("Prefer", "return=representation");
        if let Some(key) = request.key {
            outgoing = outgoing.header("PayPal-Request-Id", key.as_str());
        }
        if !request.body.is_empty() {
            outgoing = outgoing.body(request.body.clone());
        }
        let reply = transport::exchange(outgoing, &self.breaker, deadline).await?;
        if reply.status.is_success() {
            return Ok(reply);
        }
        if reply.status == StatusCode::UNAUTHORIZED {
            self.tokens.forget(&token).await;
        }
        Err(Fault::of_answer(
            reply.status.as_u16(),
            &reply.body,
            &reply.debug_id,
            reply.retry_after,
        ))
    }
}

/// How long to wait before the next try: what PayPal asks for, else a random time that grows; `None`
/// where another try makes no sense or finds no time.
fn pause_before_retry(fault: &Fault, tries: u32, deadline: Instant) -> Option<Duration> {
    if tries >= MAX_TRIES || !fault.worth_another_try() {
        return None;
    }
    let pause = fault.retry_after().unwrap_or_else(|| {
        let most = FIRST_PAUSE.saturating_mul(1 << (tries - 1)).min(MAX_PAUSE);
        rand::rng().random_range(most / 4..=most)
    });
    (Instant::now() + pause < deadline).then_some(pause)
}

fn report(request: &Prepared<'_>, began: Instant, tries: u32, outcome: Result<&Reply, &Fault>) {
    let elapsed = began.elapsed();
    let operation = request.operation;
    let status = match &outcome {
        Ok(reply) => Some(reply.status.as_u16()),
        Err(fault) => fault.status(),
    };
    let label = status.map_or_else(|| "none".to_owned(), |status| status.to_string());
    metrics::histogram!("bodega_paypal_call_seconds", "operation" => operation, "status" => label)
        .record(elapsed);
    let duration_ms = elapsed.as_millis();
    match outcome {
        Ok(reply) => tracing::info!(
            operation,
            status,
            tries,
            duration_ms,
            paypal.debug_id = reply.debug_id,
            "paypal answered"
        ),
        Err(fault) => {
            tracing::warn!(operation, status, tries, duration_ms, %fault, "paypal call failed");
        }
    }
}
