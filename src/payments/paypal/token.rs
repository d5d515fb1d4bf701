//! The access token: fetched once for all workers, renewed early, dropped when PayPal refuses it.

use std::{sync::Arc, time::Duration};

use reqwest::{StatusCode, header};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use tokio::{
    sync::Mutex,
    time::{Instant, timeout_at},
};

use super::{
    breaker::Breaker,
    fault::Fault,
    transport::{self, Reply},
};

/// A token counts as expired this long before it is, or a tenth of its life where that is less.
const MARGIN: Duration = Duration::from_mins(1);

/// A token in use; two calls that hold the same one hold the same allocation.
pub(super) type Token = Arc<SecretString>;

struct Held {
    token: Token,
    good_until: Instant,
}

/// The token of the shop's REST app.
pub(super) struct Tokens {
    url: String,
    client_id: String,
    secret: SecretString,
    held: Mutex<Option<Held>>,
}

#[derive(Deserialize)]
struct Grant {
    access_token: SecretString,
    expires_in: u64,
}

impl Tokens {
    /// Will be asked for at `url` with these credentials.
    pub(super) fn new(url: String, client_id: String, secret: SecretString) -> Self {
        Self {
            url,
            client_id,
            secret,
            held: Mutex::new(None),
        }
    }

    /// The token, fetched where there is none. The lock is held meanwhile, so that everyone who waits
    /// gets the one that the first has fetched.
    pub(super) async fn get(
        &self,
        http: &reqwest::Client,
        breaker: &Breaker,
        deadline: Instant,
    ) -> Result<Token, Fault> {
        let Ok(mut held) = timeout_at(deadline, self.held.lock()).await else {
            return Err(not_sent("waited too long for an access token", true));
        };
        if let Some(held) = held
            .as_ref()
            .filter(|held| Instant::now() < held.good_until)
        {
            return Ok(held.token.clone());
        }
        let fresh = self.fetch(http, breaker, deadline).await?;
        Ok(held.insert(fresh).token.clone())
    }

    /// Drops `refused`, unless another call has replaced it already.
    pub(super) async fn forget(&self, refused: &Token) {
        let mut held = self.held.lock().await;
        if held
            .as_ref()
            .is_some_and(|held| Arc::ptr_eq(&held.token, refused))
        {
            *held = None;
        }
    }

    async fn fetch(
        &self,
        http: &reqwest::Client,
        breaker: &Breaker,
        deadline: Instant,
    ) -> Result<Held, Fault> {
        let asked = Instant::now();
        let request = http
            .post(&self.url)
            .basic_auth(&self.client_id, Some(self.secret.expose_secret()))
            .header(header::ACCEPT, "application/json")
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body("grant_type=client_credentials");
        let reply = transport::exchange(request, breaker, deadline)
            .await
            .map_err(|fault| match fault {
                // Refused at once, like any other call: there is nothing to wait for.
                Fault::Open(_) => fault,
                other @ (Fault::NotSent { .. }
                | Fault::Lost(_)
                | Fault::Api(_)
                | Fault::Foreign { .. }
                | Fault::Unreadable(_)) => not_sent(&format!("no access token: {other}"), true),
            })?;
        let grant = read_grant(&reply)?;
        metrics::counter!("bodega_paypal_tokens_total").increment(1);
        let life = Duration::from_secs(grant.expires_in);
        let margin = MARGIN.min(life / 10);
        Ok(Held {
            token: Arc::new(grant.access_token),
            good_until: asked + life.saturating_sub(margin),
        })
    }
}

fn read_grant(reply: &Reply) -> Result<Grant, Fault> {
    let status = reply.status;
    if status.is_success() {
        return serde_json::from_slice(&reply.body)
            .map_err(|_unreadable| not_sent("the access token's answer is unreadable", false));
    }
    if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::BAD_REQUEST) {
        tracing::error!(
            paypal.debug_id = reply.debug_id,
            "paypal refuses the shop's credentials: check paypal.client_id and paypal.client_secret"
        );
        return Err(not_sent("paypal refuses the shop's credentials", false));
    }
    Err(Fault::NotSent {
        reason: format!("no access token: {status}"),
        retry: true,
        after: reply.retry_after,
    })
}

fn not_sent(reason: &str, retry: bool) -> Fault {
    Fault::NotSent {
        reason: reason.to_owned(),
        retry,
        after: None,
    }
}
