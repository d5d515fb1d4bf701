//! The roots that a signing certificate must stand under.

use std::path::Path;

use rustls_pki_types::{CertificateDer, TrustAnchor, pem::PemObject};
use webpki::{EndEntityCert, anchor_from_trusted_cert};

/// The public CA certificates behind PayPal's signing certificates: the root and the intermediate of all
/// chains up to 2026, and `DigiCert`'s general root for renewals. Browsers have dropped the first, so the
/// roots bundled with the HTTP client are not enough; PayPal serves the leaf alone, so the intermediate
/// must be at hand. From <https://www.digicert.com/kb/digicert-root-certificates.htm>.
const BUILT_IN: [&[u8]; 3] = [
    include_bytes!("../ca/DigiCertHighAssuranceEVRootCA.pem"),
    include_bytes!("../ca/DigiCertGlobalRootG2.pem"),
    include_bytes!("../ca/DigiCertSHA2ExtendedValidationServerCA.pem"),
];

/// Roots and intermediates.
#[derive(Debug, Default)]
pub(in crate::payments::paypal) struct Trust {
    anchors: Vec<TrustAnchor<'static>>,
    intermediates: Vec<CertificateDer<'static>>,
}

/// The file of roots cannot be used; the configuration's key is `paypal.cert_roots_file`.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct BadRoots(String);

impl Trust {
    /// PayPal's own.
    pub(super) fn built_in() -> Result<Self, BadRoots> {
        let mut trust = Self::default();
        for pem in BUILT_IN {
            trust.add(pem)?;
        }
        Ok(trust)
    }

    /// The certificates of a PEM file.
    pub(super) fn of_file(file: &Path) -> Result<Self, BadRoots> {
        let pem = std::fs::read(file)
            .map_err(|error| BadRoots(format!("{}: {error}", file.display())))?;
        Self::of_pem(&pem)
    }

    /// The certificates of a PEM text: those that sign themselves are roots, the others intermediates.
    pub(super) fn of_pem(pem: &[u8]) -> Result<Self, BadRoots> {
        let mut trust = Self::default();
        trust.add(pem)?;
        if trust.anchors.is_empty() {
            return Err(BadRoots("no root certificate in it".to_owned()));
        }
        Ok(trust)
    }

    fn add(&mut self, pem: &[u8]) -> Result<(), BadRoots> {
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let der = certificate.map_err(|error| BadRoots(error.to_string()))?;
            let unreadable = |error: webpki::Error| BadRoots(error.to_string());
            let parsed = EndEntityCert::try_from(&der).map_err(unreadable)?;
            if parsed.subject() == parsed.issuer() {
                let anchor = anchor_from_trusted_cert(&der).map_err(unreadable)?;
                self.anchors.push(anchor.to_owned());
            } else {
                self.intermediates.push(der);
            }
        }
        Ok(())
    }

    /// The roots.
    pub(super) fn anchors(&self) -> &[TrustAnchor<'static>] {
        &self.anchors
    }

    /// What may stand between a root and a leaf.
    pub(super) fn intermediates(&self) -> &[CertificateDer<'static>] {
        &self.intermediates
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_roots_are_two_and_their_intermediate_one() {
        let trust = Trust::built_in().unwrap();
        assert_eq!((trust.anchors.len(), trust.intermediates.len()), (2, 1));
    }

    #[test]
    fn a_file_without_a_root_is_refused() {
        let intermediate_alone = BUILT_IN[2];
        for pem in [intermediate_alone, b"".as_slice(), b"nonsense"] {
            assert!(Trust::of_pem(pem).is_err());
        }
    }
}
