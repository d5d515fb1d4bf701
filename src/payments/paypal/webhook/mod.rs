//! Whether a webhook message is PayPal's: a pure function of the message, the certificate and the time.
//!
//! PayPal signs `transmission id|time|webhook id|CRC-32 of the body` with RSA and SHA-256
//! (<https://developer.paypal.com/api/rest/webhooks/rest/#link-messagesignature>). The URL of the
//! certificate is *not* signed: where it may point is decided in `certificates`, and what the certificate
//! must be is decided here.
//!
//! An old transmission time proves nothing, because deliveries are repeated for three days: repeats are
//! recognised by the event's id.

mod certificates;
mod transmission;
mod trust;
mod verifier;

use std::cell::Cell;

use rustls_pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject};
use webpki::{
    ALL_VERIFICATION_ALGS, EndEntityCert, Error, ExtendedKeyUsageValidator, KeyPurposeIdIter,
    KeyUsage, ring::RSA_PKCS1_2048_8192_SHA256,
};

pub(super) use certificates::InvalidHost;
pub(super) use transmission::Transmission;
pub(super) use trust::{BadRoots, Trust};
pub(super) use verifier::Verifier;

/// `id-kp-serverAuth` (RFC 5280, 4.2.1.12).
const SERVER_AUTH: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x01];

/// Why a message is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// It is not PayPal's, or not for this webhook.
    #[error("false: {0}")]
    False(&'static str),
    /// It cannot be told now; PayPal is to send it again.
    #[error("cannot be verified now: {0}")]
    Unavailable(String),
}

/// Why a certificate is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BadCertificate {
    /// It is no certificate at all.
    Unreadable,
    /// No trusted root stands behind it.
    UnknownIssuer,
    /// It has expired, is for something else, or is made out to somebody else.
    Unfit(&'static str),
}

/// What certificates must be: issued under `trust`, made out to `name`, valid at `now`.
#[derive(Clone, Copy)]
pub(super) struct Rules<'a> {
    pub(super) trust: &'a Trust,
    pub(super) name: &'a str,
    pub(super) now: UnixTime,
}

/// Checks that `pem` holds a signing certificate of PayPal's.
pub(super) fn check_certificate(pem: &[u8], rules: Rules<'_>) -> Result<(), BadCertificate> {
    with_leaf(pem, |leaf| chain(leaf, rules))
}

/// Checks that PayPal signed `body` for the webhook `webhook_id`.
pub(super) fn check_message(
    transmission: &Transmission,
    body: &[u8],
    webhook_id: &str,
    pem: &[u8],
    rules: Rules<'_>,
) -> Result<(), BadCertificate> {
    let message = transmission.signed_text(webhook_id, body);
    with_leaf(pem, |leaf| {
        chain(leaf, rules)?;
        leaf.verify_signature(
            RSA_PKCS1_2048_8192_SHA256,
            message.as_bytes(),
            transmission.signature(),
        )
        .map_err(|_refused| BadCertificate::Unfit("the signature does not match"))
    })
}

fn with_leaf<T>(
    pem: &[u8],
    check: impl FnOnce(&EndEntityCert<'_>) -> Result<T, BadCertificate>,
) -> Result<T, BadCertificate> {
    let der = CertificateDer::from_pem_slice(pem).map_err(|_refused| BadCertificate::Unreadable)?;
    let leaf = EndEntityCert::try_from(&der).map_err(|_refused| BadCertificate::Unreadable)?;
    check(&leaf)
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the crate's list of faults is open"
)]
fn chain(leaf: &EndEntityCert<'_>, rules: Rules<'_>) -> Result<(), BadCertificate> {
    let Rules { trust, name, now } = rules;
    let usage = LeafForServers {
        leaf_is_next: Cell::new(true),
    };
    leaf.verify_for_usage(
        ALL_VERIFICATION_ALGS,
        trust.anchors(),
        trust.intermediates(),
        now,
        usage,
        None,
        None,
    )
    .map_err(|error| match error {
        Error::UnknownIssuer => BadCertificate::UnknownIssuer,
        Error::CertExpired { .. } => BadCertificate::Unfit("the certificate has expired"),
        Error::CertNotValidYet { .. } => BadCertificate::Unfit("the certificate is not valid yet"),
        _other => BadCertificate::Unfit("the certificate is for something else"),
    })?;
    let made_out = ServerName::try_from(name)
        .is_ok_and(|name| leaf.verify_is_valid_for_subject_name(&name).is_ok());
    if made_out {
        Ok(())
    } else {
        Err(BadCertificate::Unfit(
            "the certificate is made out to somebody else",
        ))
    }
}

/// The leaf must say that it is for servers; certificates above it only must not say otherwise.
struct LeafForServers {
    leaf_is_next: Cell<bool>,
}

impl ExtendedKeyUsageValidator for LeafForServers {
    fn validate(&self, purposes: KeyPurposeIdIter<'_, '_>) -> Result<(), Error> {
        // A chain is built from the leaf upwards, and the leaf is looked at once.
        if self.leaf_is_next.replace(false) {
            KeyUsage::required(SERVER_AUTH).validate(purposes)
        } else {
            KeyUsage::server_auth().validate(purposes)
        }
    }
}

#[cfg(test)]
mod tests;
