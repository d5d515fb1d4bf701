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
/// The same for when a token was signed.
const SKEW: i64 = 30;
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
        // It names extensions that must be understood (RFC 7515, 4.1.11); this shop has none.
        if decoded.header.crit.is_some() {
            return Err(InvalidToken);
        }
        let claims = decoded.claims;
        // A machine whose clock runs ahead signs for too long: that is good nowhere else.
        if claims.iat > Timestamp::now().seconds().saturating_add(SKEW) {
            return Err(InvalidToken);
        }
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

#[cfg(test)]
mod tests {
    use secrecy::SecretString;

    use super::*;

    fn tokens() -> Tokens {
        Tokens::new(&AuthConfig {
            jwt_secret: SecretString::from("0123456789012345678901234567890123456789"),
            issuer: "bodega".into(),
            audience: "bodega".into(),
            access_seconds: 900,
            refresh_seconds: 900,
            refresh_grace_seconds: 1,
            bcrypt_cost: 4,
        })
    }

    /// A token as a machine signs it whose clock is `ahead` seconds before this one's.
    fn signed(tokens: &Tokens, ahead: i64) -> String {
        let now = Timestamp::now().seconds() + ahead;
        let claims = AccessClaims {
            sub: UserId::new(),
            sid: SessionId::new(),
            role: Role::Customer,
            iss: "bodega".into(),
            aud: "bodega".into(),
            iat: now,
            exp: now + 900,
        };
        let header = Header {
            typ: Some(TYPE.to_owned()),
            ..Header::new(Algorithm::HS256)
        };
        jsonwebtoken::encode(&header, &claims, &tokens.encode).unwrap()
    }

    #[test]
    fn clocks_may_differ_by_less_than_a_minute() {
        let tokens = tokens();
        for ahead in [0, 20, -20, -600, -915] {
            assert!(tokens.read(&signed(&tokens, ahead)).is_ok(), "{ahead}");
        }
        for ahead in [61, 600, 86_400, -961, -1_500, -86_400] {
            assert!(tokens.read(&signed(&tokens, ahead)).is_err(), "{ahead}");
        }
    }
}
