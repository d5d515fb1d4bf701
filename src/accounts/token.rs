//! Access tokens: JWT, HS256 only, with issuer, audience, type and a session.

use std::time::Duration;

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};

use super::{Principal, Revocations, Role};
use crate::{
    clock::Timestamp,
    config::AuthConfig,
    id::{SessionId, UserId},
    problem::Problem,
};

/// The media type of access tokens (RFC 9068); other tokens signed with the key are none.
const TYPE: &str = "at+jwt";
/// How far two machines' clocks may differ, in seconds.
const LEEWAY: u64 = 30;
/// A token is short; what is longer is not decoded.
const MAX_LENGTH: usize = 2_048;

/// The claims of an access token.
#[derive(Debug, Serialize, Deserialize)]
pub struct AccessClaims {
    sub: UserId,
    sid: SessionId,
    role: Role,
    iss: String,
    aud: String,
    iat: i64,
    exp: i64,
}

/// The token is forged, expired, of another type, or not for us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a valid access token")]
pub struct InvalidToken;

/// Signs and reads access tokens; one for all workers.
#[derive(Clone)]
pub struct Tokens {
    encode: EncodingKey,
    decode: DecodingKey,
    validation: Validation,
    issuer: String,
    audience: String,
    life_seconds: u32,
    revocations: Revocations,
}

impl Tokens {
    /// Takes key, issuer, audience and life from the configuration.
    #[must_use]
    pub fn new(config: &AuthConfig) -> Self {
        let key = config.jwt_secret.expose_secret().as_bytes();
        let mut validation = Validation::new(Algorithm::HS256);
        validation.leeway = LEEWAY;
        validation.validate_nbf = true;
        validation.set_audience(&[&config.audience]);
        validation.set_issuer(&[&config.issuer]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        Self {
            encode: EncodingKey::from_secret(key),
            decode: DecodingKey::from_secret(key),
            validation,
            issuer: config.issuer.clone(),
            audience: config.audience.clone(),
            life_seconds: config.access_seconds,
            // As long as a token is accepted by the machine whose clock goes last.
            revocations: Revocations::new(Duration::from_secs(
                u64::from(config.access_seconds) + 2 * LEEWAY,
            )),
        }
    }

    /// The sign-ins whose tokens are refused though they have not expired.
    #[must_use]
    pub const fn revocations(&self) -> &Revocations {
        &self.revocations
    }

    /// Life of an access token, in seconds.
    #[must_use]
    pub const fn life_seconds(&self) -> u32 {
        self.life_seconds
    }

    /// Signs a token for `user` in `session`.
    ///
    /// # Errors
    /// 500 when the token cannot be signed, which is our fault.
    pub fn sign(&self, user: UserId, session: SessionId, role: Role) -> Result<String, Problem> {
        let now = Timestamp::now().seconds();
        let claims = AccessClaims {
            sub: user,
            sid: session,
            role,
            iss: self.issuer.clone(),
            aud: self.audience.clone(),
            iat: now,
            exp: now + i64::from(self.life_seconds),
        };
        let header = Header {
            typ: Some(TYPE.to_owned()),
            ..Header::new(Algorithm::HS256)
        };
        jsonwebtoken::encode(&header, &claims, &self.encode).map_err(Problem::internal)
    }

    /// Reads a token.
    ///
    /// # Errors
    /// When anything about it is not as signed here, it has expired, or its sign-in has ended.
    pub fn read(&self, token: &str) -> Result<Principal, InvalidToken> {
        if token.len() > MAX_LENGTH {
            return Err(InvalidToken);
        }
        let decoded = jsonwebtoken::decode::<AccessClaims>(token, &self.decode, &self.validation)
            .map_err(|_refused| InvalidToken)?;
        if decoded.header.typ.as_deref() != Some(TYPE) {
            return Err(InvalidToken);
        }
        let claims = decoded.claims;
        if self.revocations.contains(claims.sid) {
            return Err(InvalidToken);
        }
        Ok(Principal {
            user: claims.sub,
            session: claims.sid,
            role: claims.role,
            expires_at: Timestamp::from_millis(claims.exp.saturating_mul(1000)),
        })
    }
}
