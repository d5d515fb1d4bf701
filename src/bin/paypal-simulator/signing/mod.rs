//! The simulator's certificate authority and the certificates that sign webhook messages.
//!
//! Root and intermediate are ECDSA P-256 (quick to make), leaves are RSA 2048 as PayPal's are, with
//! PayPal's host name and extended key usage. The API serves the leaf alone, so a verifier needs the
//! intermediate from elsewhere: `ca-bundle.pem` in the certificates directory holds it and the root.

mod authority;

use std::{collections::HashMap, fmt, sync::Arc};

use rcgen::{KeyPair, SigningKey as _};
use serde::Deserialize;

pub(crate) use self::authority::{Authority, rsa_key};
use crate::{config::Environment, ids};

/// What a signing certificate is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    /// As PayPal's.
    Good,
    /// Its time is over.
    Expired,
    /// Its time has not come.
    NotYetValid,
    /// Signed by itself.
    SelfSigned,
    /// Chained to a root nobody knows.
    UnknownRoot,
    /// For another host.
    WrongSan,
    /// For the other environment's host.
    OtherEnvironment,
    /// Not for servers: extended key usage is client authentication.
    ClientOnly,
    /// With an ECDSA key.
    Ecdsa,
}

impl Kind {
    /// The word in the journal and in answers.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Expired => "expired",
            Self::NotYetValid => "not-yet-valid",
            Self::SelfSigned => "self-signed",
            Self::UnknownRoot => "unknown-root",
            Self::WrongSan => "wrong-san",
            Self::OtherEnvironment => "other-environment",
            Self::ClientOnly => "client-only",
            Self::Ecdsa => "ecdsa",
        }
    }
}

/// A signing certificate and its key.
pub(crate) struct Certificate {
    /// `CERT-…`, the last part of its URL.
    pub(crate) id: String,
    /// What it is like.
    pub(crate) kind: Kind,
    /// The leaf alone, with CRLF line ends.
    pub(crate) pem: String,
    /// The leaf alone.
    pub(crate) der: Vec<u8>,
    key: Arc<KeyPair>,
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate")
            .field("id", &self.id)
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

impl Certificate {
    /// Signs with its key: RSA PKCS#1 v1.5 with SHA-256, or ECDSA for that kind.
    pub(crate) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        self.key.sign(message)
    }
}

/// The authority, every certificate it has issued, and the one in use.
#[derive(Debug)]
pub(crate) struct Signing {
    authority: Authority,
    issued: HashMap<String, Arc<Certificate>>,
    current: Arc<Certificate>,
}

impl Signing {
    /// Starts with a good certificate for `key`.
    pub(crate) fn new(
        authority: Authority,
        key: KeyPair,
        environment: Environment,
    ) -> Result<Self, rcgen::Error> {
        let first = Arc::new(authority.issue(Kind::Good, environment, Arc::new(key))?);
        let issued = HashMap::from([(first.id.clone(), first.clone())]);
        Ok(Self {
            authority,
            issued,
            current: first,
        })
    }

    /// The certificate in use.
    pub(crate) fn current(&self) -> Arc<Certificate> {
        self.current.clone()
    }

    /// A certificate by its id.
    pub(crate) fn get(&self, id: &str) -> Option<&Arc<Certificate>> {
        self.issued.get(id)
    }

    /// Issues a certificate without using it for ordinary deliveries. `key` replaces the present
    /// one where given.
    pub(crate) fn issue(
        &mut self,
        kind: Kind,
        environment: Environment,
        key: Option<KeyPair>,
    ) -> Result<Arc<Certificate>, rcgen::Error> {
        let key = key.map_or_else(|| self.current.key.clone(), Arc::new);
        let made = Arc::new(self.authority.issue(kind, environment, key)?);
        self.issued.insert(made.id.clone(), made.clone());
        Ok(made)
    }

    /// Signs with that certificate from now on.
    pub(crate) fn rotate(&mut self, to: Arc<Certificate>) {
        self.current = to;
    }

    /// Root and intermediate, PEM.
    pub(crate) fn bundle(&self) -> &str {
        self.authority.bundle()
    }
}

/// The message under a webhook signature: `id|time|webhook id|CRC-32 of the body`.
pub(crate) fn message(transmission_id: &str, time: &str, webhook_id: &str, body: &[u8]) -> String {
    format!(
        "{transmission_id}|{time}|{webhook_id}|{}",
        crc32fast::hash(body)
    )
}

fn new_id() -> String {
    ids::certificate()
}
