//! What PayPal says about a message in its headers.

use actix_web::http::header::HeaderMap;
use base64::{Engine, engine::general_purpose::STANDARD};

use super::VerifyError;
use crate::{
    clock::Timestamp,
    faults::{Plant, planted},
};

/// PayPal's only algorithm.
const ALGORITHM: &str = "SHA256withRSA";
/// A transmission id is a UUID.
const MAX_ID: usize = 64;
/// A time of RFC 3339.
const MAX_TIME: usize = 40;
/// The signature of a key of 8192 bits, in base64.
const MAX_SIGNATURE: usize = 1_368;
/// Far beyond PayPal's own URLs.
const MAX_URL: usize = 512;

/// The headers of a message, each there once, each of the form that PayPal gives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::payments::paypal) struct Transmission {
    id: String,
    time: String,
    certificate_url: String,
    signature: Vec<u8>,
    signature_text: String,
}

impl Transmission {
    /// Reads the five headers.
    ///
    /// # Errors
    /// [`VerifyError::False`] where one is missing, there twice, or of another form.
    pub(in crate::payments::paypal) fn read(headers: &HeaderMap) -> Result<Self, VerifyError> {
        let id = one(headers, "paypal-transmission-id", MAX_ID)?;
        let time = one(headers, "paypal-transmission-time", MAX_TIME)?;
        let signature_text = one(headers, "paypal-transmission-sig", MAX_SIGNATURE)?;
        let certificate_url = one(headers, "paypal-cert-url", MAX_URL)?;
        let algorithm = one(headers, "paypal-auth-algo", ALGORITHM.len())?;
        if algorithm != ALGORITHM {
            return Err(VerifyError::False("an algorithm that PayPal does not use"));
        }
        if !id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
            return Err(VerifyError::False("no transmission id"));
        }
        if Timestamp::parse(time).is_err() {
            return Err(VerifyError::False("no transmission time"));
        }
        // PayPal's are written as a URL reads; of another spelling each reader makes a host of its own.
        if !url::Url::parse(certificate_url).is_ok_and(|url| url.as_str() == certificate_url) {
            return Err(VerifyError::False("no certificate's URL"));
        }
        let signature = STANDARD
            .decode(signature_text)
            .map_err(|_refused| VerifyError::False("the signature is not base64"))?;
        Ok(Self {
            id: id.to_owned(),
            time: time.to_owned(),
            certificate_url: certificate_url.to_owned(),
            signature,
            signature_text: signature_text.to_owned(),
        })
    }

    /// What the signature is over: the CRC-32 is that of zlib, in decimal.
    pub(super) fn signed_text(&self, webhook_id: &str, body: &[u8]) -> String {
        let copy =
            || serde_json::from_slice::<serde_json::Value>(body).map(|json| json.to_string());
        let crc = match planted(Plant::ChecksumOfCopy).then(copy) {
            Some(Ok(copy)) => crc32fast::hash(copy.as_bytes()),
            Some(Err(_)) | None => crc32fast::hash(body),
        };
        format!("{}|{}|{webhook_id}|{crc}", self.id, self.time)
    }

    /// The signature.
    pub(super) fn signature(&self) -> &[u8] {
        &self.signature
    }

    /// Where the certificate is said to be; not signed, so not to be trusted.
    pub(super) fn certificate_url(&self) -> &str {
        &self.certificate_url
    }

    /// The question that PayPal's own verification takes, body aside.
    pub(super) fn question(
        &self,
        webhook_id: &str,
        webhook_event: Box<serde_json::value::RawValue>,
    ) -> crate::payments::paypal::endpoints::SignatureQuestion {
        crate::payments::paypal::endpoints::SignatureQuestion {
            auth_algo: ALGORITHM.to_owned(),
            cert_url: self.certificate_url.clone(),
            transmission_id: self.id.clone(),
            transmission_sig: self.signature_text.clone(),
            transmission_time: self.time.clone(),
            webhook_id: webhook_id.to_owned(),
            webhook_event,
        }
    }
}

fn one<'a>(headers: &'a HeaderMap, name: &str, longest: usize) -> Result<&'a str, VerifyError> {
    let mut values = headers.get_all(name);
    let (Some(value), None) = (values.next(), values.next()) else {
        return Err(VerifyError::False(
            "a signature header is missing or there twice",
        ));
    };
    let text = value.to_str().ok();
    text.filter(|text| (1..=longest).contains(&text.len()))
        .ok_or(VerifyError::False(
            "a signature header is no text, empty or too long",
        ))
}
