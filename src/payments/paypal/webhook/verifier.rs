//! Verifying a message as configured: here, or by asking PayPal.

use std::{path::Path, time::Duration};

use actix_web::http::header::HeaderMap;
use rustls_pki_types::UnixTime;
use serde_json::value::RawValue;

use super::{
    BadCertificate, Rules, Transmission, Trust, VerifyError, certificates::Certificates,
    check_certificate, check_message,
};
use crate::{
    clock::Timestamp,
    config::{PayPalConfig, WebhookVerification},
    faults::{Plant, planted},
    payments::{
        GatewayError,
        paypal::{
            SetupError, client::Client, endpoints::VerifySignature, environment::Environment,
            transport,
        },
    },
};

/// Verifies webhook messages; one for all workers.
pub(in crate::payments::paypal) struct Verifier {
    way: WebhookVerification,
    webhook_id: String,
    name: &'static str,
    trust: Trust,
    /// Whether PayPal may be asked where no chain can be built: not where the operator named the roots.
    may_ask: bool,
    certificates: Certificates,
}

impl Verifier {
    /// Takes webhook id, way, hosts and roots from the configuration.
    ///
    /// # Errors
    /// When a host or the file of roots cannot be used.
    pub(in crate::payments::paypal) fn new(config: &PayPalConfig) -> Result<Self, SetupError> {
        let environment = Environment::of(config);
        let http = transport::client()?;
        let certificates = if config.cert_hosts.is_empty() {
            Certificates::new(http, environment.certificate_hosts().iter().copied())
        } else {
            Certificates::new(http, config.cert_hosts.iter().map(String::as_str))
        };
        let own_roots = config.cert_roots_file.is_empty();
        Ok(Self {
            way: config.webhook_verification,
            webhook_id: config.webhook_id.clone(),
            name: environment.certificate_name(),
            trust: if own_roots {
                Trust::built_in()
            } else {
                Trust::of_file(Path::new(&config.cert_roots_file))
            }?,
            may_ask: own_roots,
            certificates: certificates?,
        })
    }

    /// Whether PayPal sent `body`, by this machine's clock.
    ///
    /// # Errors
    /// [`VerifyError::False`] where it did not, [`VerifyError::Unavailable`] where that cannot be told now.
    pub(in crate::payments::paypal) async fn verify(
        &self,
        client: &Client,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Result<(), VerifyError> {
        if planted(Plant::WebhookUnverified) {
            return Ok(());
        }
        let seconds = u64::try_from(Timestamp::now().seconds()).unwrap_or_default();
        let now = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        let transmission = Transmission::read(headers)?;
        match self.way {
            WebhookVerification::Api => self.ask(client, &transmission, body).await,
            WebhookVerification::Local => self.check(client, &transmission, body, now).await,
        }
    }

    async fn check(
        &self,
        client: &Client,
        transmission: &Transmission,
        body: &[u8],
        now: UnixTime,
    ) -> Result<(), VerifyError> {
        let rules = Rules {
            trust: &self.trust,
            name: self.name,
            now,
        };
        let mut unknown_issuer = false;
        let pem = self
            .certificates
            .get(transmission.certificate_url(), |pem| {
                let checked = check_certificate(pem, rules);
                unknown_issuer = checked == Err(BadCertificate::UnknownIssuer);
                checked.map_err(meaning)
            })
            .await;
        if unknown_issuer && self.may_ask {
            metrics::counter!("bodega_paypal_unknown_issuer_total").increment(1);
            tracing::error!(
                "paypal signs under a root that this server does not know: asking paypal instead; \
                 set paypal.cert_roots_file"
            );
            return self.ask(client, transmission, body).await;
        }
        check_message(transmission, body, &self.webhook_id, &pem?, rules).map_err(meaning)
    }

    /// Asks PayPal, with the body as it came.
    async fn ask(
        &self,
        client: &Client,
        transmission: &Transmission,
        body: &[u8],
    ) -> Result<(), VerifyError> {
        let not_json = || VerifyError::False("the body is not one JSON value");
        let text = std::str::from_utf8(body).map_err(|_refused| not_json())?;
        let event = RawValue::from_string(text.to_owned()).map_err(|_refused| not_json())?;
        // Blanks around the value are dropped: PayPal would be asked about less than what came.
        if event.get().len() != body.len() {
            return Err(VerifyError::False("there is more than the JSON value"));
        }
        let question = transmission.question(&self.webhook_id, event);
        let answer = client.call(&VerifySignature(question), None).await;
        match answer.map_err(GatewayError::from) {
            Ok(answer) if answer.verification_status == "SUCCESS" => Ok(()),
            Ok(answer) if answer.verification_status == "FAILURE" => {
                Err(VerifyError::False("PayPal says that it did not sign it"))
            }
            Ok(answer) => Err(VerifyError::Unavailable(format!(
                "PayPal says {:.40}",
                answer.verification_status
            ))),
            Err(GatewayError::Refused { status: 400, .. }) => {
                Err(VerifyError::False("PayPal cannot read it"))
            }
            Err(error) => Err(VerifyError::Unavailable(error.to_string())),
        }
    }
}

fn meaning(bad: BadCertificate) -> VerifyError {
    match bad {
        BadCertificate::Unreadable => {
            VerifyError::Unavailable("what was served is no certificate".to_owned())
        }
        BadCertificate::UnknownIssuer => VerifyError::False("the certificate is not PayPal's"),
        BadCertificate::Unfit(reason) => VerifyError::False(reason),
    }
}
