//! A certificate authority of our own, shaped like the one behind PayPal's signing certificates, and
//! messages signed under it.

use std::sync::OnceLock;

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use base64::{Engine, engine::general_purpose::STANDARD};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256, RsaKeySize, SigningKey, date_time_ymd,
};

/// The name that PayPal's signing certificates of the test system are made out to.
const SANDBOX_NAME: &str = "messageverificationcerts.sandbox.paypal.com";

type Issuer = CertifiedIssuer<'static, KeyPair>;

/// A root and an intermediate.
pub(crate) struct Authority {
    root: Issuer,
    intermediate: Issuer,
}

/// A signing certificate and its key.
pub(crate) struct Leaf {
    pub(crate) pem: String,
    key: KeyPair,
}

/// What a signing certificate is like.
pub(crate) struct Made {
    pub(crate) name: &'static str,
    /// Years of the first and the last day.
    pub(crate) years: (i32, i32),
    pub(crate) purpose: Option<ExtendedKeyUsagePurpose>,
    pub(crate) rsa: bool,
}

impl Default for Made {
    fn default() -> Self {
        Self {
            name: SANDBOX_NAME,
            years: (2020, 2999),
            purpose: Some(ExtendedKeyUsagePurpose::ServerAuth),
            rsa: true,
        }
    }
}

fn authority(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

fn rsa_key() -> KeyPair {
    // Slow to make, so made once.
    static PEM: OnceLock<String> = OnceLock::new();
    let pem = PEM.get_or_init(|| {
        let key = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap();
        key.serialize_pem()
    });
    KeyPair::from_pem(pem).unwrap()
}

impl Made {
    fn params(&self) -> CertificateParams {
        let mut params = CertificateParams::new(vec![self.name.to_owned()]).unwrap();
        params.not_before = date_time_ymd(self.years.0, 1, 1);
        params.not_after = date_time_ymd(self.years.1, 1, 1);
        params.extended_key_usages = self.purpose.iter().cloned().collect();
        params
    }

    fn key(&self) -> KeyPair {
        if self.rsa {
            rsa_key()
        } else {
            KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap()
        }
    }

    /// A certificate that nobody but itself vouches for.
    pub(crate) fn self_signed(&self) -> Leaf {
        let key = self.key();
        let certificate = self.params().self_signed(&key).unwrap();
        Leaf {
            pem: certificate.pem(),
            key,
        }
    }
}

impl Authority {
    pub(crate) fn new() -> Self {
        let key = || KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        let root = Issuer::self_signed(authority("Test Root"), key()).unwrap();
        let intermediate = Issuer::signed_by(authority("Test Intermediate"), key(), &root).unwrap();
        Self { root, intermediate }
    }

    /// What `paypal.cert_roots_file` holds.
    pub(crate) fn roots_pem(&self) -> String {
        format!("{}{}", self.root.pem(), self.intermediate.pem())
    }

    /// A certificate under the intermediate, with CRLF line ends as PayPal serves them.
    pub(crate) fn leaf(&self, made: &Made) -> Leaf {
        let key = made.key();
        let certificate = made.params().signed_by(&key, &self.intermediate).unwrap();
        Leaf {
            pem: certificate.pem().replace('\n', "\r\n"),
            key,
        }
    }
}

/// A webhook message as it comes.
#[derive(Clone)]
pub(crate) struct Message {
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
}

impl Leaf {
    /// `body`, signed for `webhook_id`, with the certificate at `certificate_url`.
    pub(crate) fn sign(&self, body: &[u8], webhook_id: &str, certificate_url: &str) -> Message {
        let (id, time) = (
            "1c6772d0-5106-11ef-9b66-89f3f924d48a",
            "2026-11-22T14:05:09Z",
        );
        let text = format!("{id}|{time}|{webhook_id}|{}", crc32fast::hash(body));
        let signature = STANDARD.encode(self.key.sign(text.as_bytes()).unwrap());
        Message {
            headers: vec![
                ("PAYPAL-TRANSMISSION-ID", id.to_owned()),
                ("PAYPAL-TRANSMISSION-TIME", time.to_owned()),
                ("PAYPAL-TRANSMISSION-SIG", signature),
                ("PAYPAL-CERT-URL", certificate_url.to_owned()),
                ("PAYPAL-AUTH-ALGO", "SHA256withRSA".to_owned()),
                ("PAYPAL-AUTH-VERSION", "v2".to_owned()),
            ],
            body: body.to_vec(),
        }
    }
}

impl Message {
    pub(crate) fn header_map(&self) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in &self.headers {
            let name = HeaderName::from_bytes(name.to_ascii_lowercase().as_bytes()).unwrap();
            map.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        map
    }

    /// The same message with another value in `name`.
    pub(crate) fn with(&self, name: &str, value: impl Into<String>) -> Self {
        let mut other = self.clone();
        let header = other.headers.iter_mut().find(|(held, _)| *held == name);
        header.unwrap().1 = value.into();
        other
    }

    /// The same message without the header `name`.
    pub(crate) fn without(&self, name: &str) -> Self {
        let mut other = self.clone();
        other.headers.retain(|(held, _)| *held != name);
        other
    }

    /// The same message with the header `name` there twice.
    pub(crate) fn doubled(&self, name: &str) -> Self {
        let mut other = self.clone();
        let again = self.headers.iter().find(|(held, _)| *held == name).unwrap();
        other.headers.push(again.clone());
        other
    }

    /// The same message with another body.
    pub(crate) fn saying(&self, body: impl Into<Vec<u8>>) -> Self {
        Self {
            body: body.into(),
            ..self.clone()
        }
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        &self
            .headers
            .iter()
            .find(|(held, _)| *held == name)
            .unwrap()
            .1
    }
}
