//! Makes and keeps the authority's keys, and issues leaves.

use std::{fs, io, path::Path, sync::Arc};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PKCS_RSA_SHA256, RsaKeySize,
};
use time::{Duration, OffsetDateTime};

use super::{Certificate, Kind, new_id};
use crate::config::Environment;

const ROOT: &str = "PayPal Simulator Root CA";
const INTERMEDIATE: &str = "PayPal Simulator Intermediate CA";
const FILES: [&str; 4] = [
    "root.pem",
    "intermediate.pem",
    "intermediate.key.pem",
    "leaf.key.pem",
];

/// Issues signing certificates.
#[derive(Debug)]
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    stranger: Issuer<'static, KeyPair>,
    bundle: String,
}

fn failed(error: impl std::fmt::Display) -> io::Error {
    io::Error::other(error.to_string())
}

/// A new RSA key of 2048 bits. Takes a noticeable fraction of a second.
pub(crate) fn rsa_key() -> Result<KeyPair, rcgen::Error> {
    KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048)
}

fn ca_params(name: &str, below: BasicConstraints) -> CertificateParams {
    let mut params = CertificateParams::default();
    let mut subject = DistinguishedName::new();
    subject.push(DnType::OrganizationName, "paypal-simulator");
    subject.push(DnType::CommonName, name);
    params.distinguished_name = subject;
    params.is_ca = IsCa::Ca(below);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let now = OffsetDateTime::now_utc();
    params.not_before = now - Duration::days(30);
    params.not_after = now + Duration::days(3_650);
    params
}

fn intermediate_params() -> CertificateParams {
    let mut params = ca_params(INTERMEDIATE, BasicConstraints::Constrained(0));
    params.use_authority_key_identifier_extension = true;
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params
}

impl Authority {
    /// Takes up the authority kept in `dir`, or makes one and keeps it there; tells the key for
    /// leaves too. Without a directory everything lives in memory.
    pub(crate) fn open(dir: Option<&Path>) -> io::Result<(Self, KeyPair)> {
        if let Some(kept) = dir
            .and_then(|dir| Self::kept(dir).transpose())
            .transpose()?
        {
            return Ok(kept);
        }
        let root_key = KeyPair::generate().map_err(failed)?;
        let root_params = ca_params(ROOT, BasicConstraints::Unconstrained);
        let root = root_params.self_signed(&root_key).map_err(failed)?;
        let key = KeyPair::generate().map_err(failed)?;
        let params = intermediate_params();
        let intermediate = params
            .signed_by(&key, &Issuer::new(root_params, root_key))
            .map_err(failed)?;
        let leaf_key = rsa_key().map_err(failed)?;
        let pems = [
            root.pem(),
            intermediate.pem(),
            key.serialize_pem(),
            leaf_key.serialize_pem(),
        ];
        let bundle = format!("{}{}", root.pem(), intermediate.pem());
        if let Some(dir) = dir {
            fs::create_dir_all(dir)?;
            for (name, pem) in FILES.iter().zip(&pems) {
                write_private(&dir.join(name), pem)?;
            }
            fs::write(dir.join("ca-bundle.pem"), &bundle)?;
        }
        Ok((Self::with(key, bundle)?, leaf_key))
    }

    fn kept(dir: &Path) -> io::Result<Option<(Self, KeyPair)>> {
        if FILES.iter().any(|name| !dir.join(name).is_file()) {
            return Ok(None);
        }
        let mut pems = Vec::new();
        for name in FILES {
            pems.push(fs::read_to_string(dir.join(name))?);
        }
        let [root, intermediate, key, leaf_key] =
            <[String; 4]>::try_from(pems).map_err(|_unfit| failed("four files are expected"))?;
        let bundle = format!("{root}{intermediate}");
        fs::write(dir.join("ca-bundle.pem"), &bundle)?;
        let key = KeyPair::from_pem(&key).map_err(failed)?;
        let leaf_key =
            KeyPair::from_pkcs8_pem_and_sign_algo(&leaf_key, &PKCS_RSA_SHA256).map_err(failed)?;
        Ok(Some((Self::with(key, bundle)?, leaf_key)))
    }

    fn with(key: KeyPair, bundle: String) -> io::Result<Self> {
        let stranger_key = KeyPair::generate().map_err(failed)?;
        let stranger = ca_params("Somebody Else's Root CA", BasicConstraints::Unconstrained);
        Ok(Self {
            issuer: Issuer::new(intermediate_params(), key),
            stranger: Issuer::new(stranger, stranger_key),
            bundle,
        })
    }

    /// Root and intermediate, PEM.
    pub(crate) fn bundle(&self) -> &str {
        &self.bundle
    }

    /// Issues a leaf of that kind.
    pub(crate) fn issue(
        &self,
        kind: Kind,
        environment: Environment,
        key: Arc<KeyPair>,
    ) -> Result<Certificate, rcgen::Error> {
        let params = leaf_params(kind, environment)?;
        let key = if kind == Kind::Ecdsa {
            Arc::new(KeyPair::generate()?)
        } else {
            key
        };
        let leaf = if kind == Kind::SelfSigned {
            params.self_signed(key.as_ref())?
        } else if kind == Kind::UnknownRoot {
            params.signed_by(key.as_ref(), &self.stranger)?
        } else {
            params.signed_by(key.as_ref(), &self.issuer)?
        };
        let pem = leaf.pem().replace("\r\n", "\n").replace('\n', "\r\n");
        Ok(Certificate {
            id: new_id(),
            kind,
            pem,
            der: leaf.der().to_vec(),
            key,
        })
    }
}

fn leaf_params(kind: Kind, environment: Environment) -> Result<CertificateParams, rcgen::Error> {
    let (own, other) = match environment {
        Environment::Sandbox => (SANDBOX_HOST, LIVE_HOST),
        Environment::Live => (LIVE_HOST, SANDBOX_HOST),
    };
    let host = if kind == Kind::WrongSan {
        "messageverificationcerts.paypal.com.evil.test"
    } else if kind == Kind::OtherEnvironment {
        other
    } else {
        own
    };
    let mut params = CertificateParams::new(vec![host.to_owned()])?;
    let mut subject = DistinguishedName::new();
    subject.push(DnType::OrganizationName, "PayPal, Inc.");
    subject.push(DnType::CommonName, host);
    params.distinguished_name = subject;
    params.use_authority_key_identifier_extension = true;
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![
        KeyUsagePurpose::DigitalSignature,
        KeyUsagePurpose::KeyEncipherment,
    ];
    params.extended_key_usages = if kind == Kind::ClientOnly {
        vec![ExtendedKeyUsagePurpose::ClientAuth]
    } else {
        vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ]
    };
    let now = OffsetDateTime::now_utc();
    let (from, to) = if kind == Kind::Expired {
        (-400, -1)
    } else if kind == Kind::NotYetValid {
        (1, 366)
    } else {
        (-1, 365)
    };
    params.not_before = now + Duration::days(from);
    params.not_after = now + Duration::days(to);
    Ok(params)
}

/// The host in sandbox certificates.
pub(crate) const SANDBOX_HOST: &str = "messageverificationcerts.sandbox.paypal.com";
/// The host in live certificates.
pub(crate) const LIVE_HOST: &str = "messageverificationcerts.paypal.com";

/// Keys are for this user alone.
fn write_private(path: &Path, text: &str) -> io::Result<()> {
    use std::{io::Write as _, os::unix::fs::OpenOptionsExt as _};
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use rustls_pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject as _};
    use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert, ring};

    use super::*;
    use crate::signing::{Signing, message};

    /// What a careful verifier does with a leaf, the bundle and a signature.
    fn verify(
        bundle: &str,
        leaf: &Certificate,
        text: &[u8],
        signature: &[u8],
    ) -> Result<(), String> {
        let chain: Vec<CertificateDer<'_>> = CertificateDer::pem_slice_iter(bundle.as_bytes())
            .map(Result::unwrap)
            .collect();
        let anchors = [anchor_from_trusted_cert(&chain[0]).unwrap()];
        let served = CertificateDer::pem_slice_iter(leaf.pem.as_bytes())
            .map(Result::unwrap)
            .collect::<Vec<_>>();
        assert_eq!(served.len(), 1, "the leaf is served alone");
        let cert = EndEntityCert::try_from(&served[0]).map_err(|e| e.to_string())?;
        let algorithms = [ring::ECDSA_P256_SHA256, ring::RSA_PKCS1_2048_8192_SHA256];
        cert.verify_for_usage(
            &algorithms,
            &anchors,
            &chain[1..],
            UnixTime::now(),
            KeyUsage::server_auth(),
            None,
            None,
        )
        .map_err(|e| e.to_string())?;
        let host = ServerName::try_from(SANDBOX_HOST).unwrap();
        cert.verify_is_valid_for_subject_name(&host)
            .map_err(|e| e.to_string())?;
        cert.verify_signature(ring::RSA_PKCS1_2048_8192_SHA256, text, signature)
            .map_err(|e| e.to_string())
    }

    #[test]
    fn a_good_leaf_verifies_and_every_other_kind_does_not() {
        let (authority, key) = Authority::open(None).unwrap();
        let mut signing = Signing::new(authority, key, Environment::Sandbox).unwrap();
        let text = message("id", "2026-11-22T00:00:00Z", "WH", b"{}");
        let good = signing.current();
        let signature = good.sign(text.as_bytes()).unwrap();
        assert_eq!(
            verify(signing.bundle(), &good, text.as_bytes(), &signature),
            Ok(())
        );
        let altered = message("id", "2026-11-22T00:00:00Z", "WH", b"{ }");
        assert!(verify(signing.bundle(), &good, altered.as_bytes(), &signature).is_err());
        for kind in [
            Kind::Expired,
            Kind::NotYetValid,
            Kind::SelfSigned,
            Kind::UnknownRoot,
            Kind::WrongSan,
            Kind::OtherEnvironment,
            Kind::ClientOnly,
            Kind::Ecdsa,
        ] {
            let bad = signing.issue(kind, Environment::Sandbox, None).unwrap();
            let signature = bad.sign(text.as_bytes()).unwrap();
            assert!(
                verify(signing.bundle(), &bad, text.as_bytes(), &signature).is_err(),
                "{kind:?}"
            );
        }
    }

    #[test]
    fn the_leaf_has_crlf_line_ends() {
        let (authority, key) = Authority::open(None).unwrap();
        let leaf = authority
            .issue(Kind::Good, Environment::Live, Arc::new(key))
            .unwrap();
        assert!(leaf.pem.lines().count() > 10);
        assert_eq!(
            leaf.pem.matches("\r\n").count(),
            leaf.pem.matches('\n').count()
        );
    }

    #[test]
    fn a_kept_authority_is_taken_up_again() {
        let dir = std::env::temp_dir().join(format!("certs-{}", crate::ids::uuid()));
        let (_, first) = Authority::open(Some(&dir)).unwrap();
        let bundle = fs::read_to_string(dir.join("ca-bundle.pem")).unwrap();
        let (authority, second) = Authority::open(Some(&dir)).unwrap();
        assert_eq!(authority.bundle(), bundle);
        assert_eq!(first.serialized_der(), second.serialized_der());
        let signing = Signing::new(authority, second, Environment::Sandbox).unwrap();
        let leaf = signing.current();
        let signature = leaf.sign(b"text").unwrap();
        assert_eq!(verify(&bundle, &leaf, b"text", &signature), Ok(()));
        fs::remove_dir_all(dir).unwrap();
    }
}
