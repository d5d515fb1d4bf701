//! Refresh tokens: `<session id>.<base64url of 32 secret bytes and 16 bytes of proof>`.
//!
//! The proof is a code over session and secret under a key of the server, so that only tokens that were
//! once issued can end a session by being presented again: ids can be guessed, and without the proof
//! anyone could sign anyone out. The successor of a token is derived from it, a random salt of that
//! rotation and a key of the server. So two tabs that refresh at once are given the same successor, and
//! the database, which holds the salt and hashes only, gives no token away.
//!
//! The keys come from `auth.jwt_secret`: changing it ends every sign-in.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use rand::Rng;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use super::mac::Key;
use crate::id::SessionId;

const SECRET: usize = 32;
const PROOF: usize = 16;

/// A refresh token that this shop issued at some time.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct RefreshToken {
    session: SessionId,
    secret: [u8; SECRET],
    proof: [u8; PROOF],
}

/// The randomness of one rotation.
#[derive(Clone, Copy)]
pub(super) struct Salt([u8; SECRET]);

impl Salt {
    pub(super) fn random() -> Self {
        Self(rand::rng().random())
    }

    /// As stored.
    pub(super) fn encode(self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }

    /// Reads what [`Salt::encode`] wrote.
    pub(super) fn decode(stored: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(stored).ok()?;
        Some(Self(bytes.try_into().ok()?))
    }
}

impl RefreshToken {
    /// The sign-in it belongs to.
    pub(super) const fn session(&self) -> SessionId {
        self.session
    }

    /// What the database holds in its place.
    pub(super) fn hash(&self) -> String {
        URL_SAFE_NO_PAD.encode(Sha256::digest(self.secret))
    }

    /// The token as the cookie carries it.
    pub(super) fn encode(&self) -> SecretString {
        let tail = URL_SAFE_NO_PAD.encode([self.secret.as_slice(), &self.proof].concat());
        format!("{}.{tail}", self.session).into()
    }
}

/// The server's keys for refresh tokens.
#[derive(Clone)]
pub(super) struct RefreshKeys {
    prove: Key,
    succeed: Key,
}

impl RefreshKeys {
    pub(super) fn new(secret: &SecretString) -> Self {
        let secret = secret.expose_secret().as_bytes();
        Self {
            prove: Key::derive("bodega refresh token proof 1", secret),
            succeed: Key::derive("bodega refresh token successor 1", secret),
        }
    }

    fn token(&self, session: SessionId, secret: [u8; SECRET]) -> RefreshToken {
        let code = self.prove.mac(&[&session.object_id().bytes(), &secret]);
        let mut proof = [0; PROOF];
        for (place, byte) in proof.iter_mut().zip(code) {
            *place = byte;
        }
        RefreshToken {
            session,
            secret,
            proof,
        }
    }

    /// The first token of a sign-in.
    pub(super) fn first(&self, session: SessionId) -> RefreshToken {
        self.token(session, rand::rng().random())
    }

    /// The token after `spent`, the same for the same salt.
    pub(super) fn successor(&self, spent: &RefreshToken, salt: Salt) -> RefreshToken {
        let id = spent.session.object_id().bytes();
        let secret = self.succeed.mac(&[&id, &salt.0, &spent.secret]);
        self.token(spent.session, secret)
    }

    /// Reads a cookie's value; `None` for what this shop never issued.
    pub(super) fn read(&self, text: &str) -> Option<RefreshToken> {
        let (session, tail) = text.split_once('.')?;
        let session: SessionId = session.parse().ok()?;
        // Longer tails are not decoded: a cookie may be of any size.
        if tail.len() != (SECRET + PROOF) / 3 * 4 {
            return None;
        }
        let bytes: [u8; SECRET + PROOF] = URL_SAFE_NO_PAD.decode(tail).ok()?.try_into().ok()?;
        let (secret, proof) = bytes.split_first_chunk::<SECRET>()?;
        let id = session.object_id().bytes();
        let genuine = self.prove.matches(&[&id, secret], proof);
        genuine.then(|| self.token(session, *secret))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(secret: &str) -> RefreshKeys {
        RefreshKeys::new(&secret.to_owned().into())
    }

    #[test]
    fn a_token_is_read_back_and_a_changed_one_is_not() {
        let keys = keys("0123456789abcdef0123456789abcdef");
        let token = keys.first(SessionId::new());
        let text = token.encode();
        let text = text.expose_secret();
        assert!(keys.read(text) == Some(token.clone()));
        for at in [0, 23, 24, 25, 60, 88] {
            let mut changed = text.as_bytes().to_vec();
            changed[at] = if changed[at] == b'0' { b'1' } else { b'0' };
            assert!(
                keys.read(&String::from_utf8(changed).unwrap()).is_none(),
                "{at}"
            );
        }
        for garbage in [
            "",
            ".",
            "a.b",
            &format!("{text}A"),
            &text[..80],
            &"x".repeat(100_000),
        ] {
            assert!(keys.read(garbage).is_none());
        }
        assert!(super::tests::keys("another secret").read(text).is_none());
    }

    #[test]
    fn a_successor_depends_on_token_salt_and_key() {
        let (ours, theirs) = (keys("a"), keys("b"));
        let (token, salt) = (ours.first(SessionId::new()), Salt::random());
        let next = ours.successor(&token, salt);
        let stored = Salt::decode(&salt.encode()).unwrap();
        assert!(ours.successor(&token, stored) == next);
        assert!(ours.successor(&token, Salt::random()) != next);
        assert!(theirs.successor(&token, salt) != next);
        assert!(ours.successor(&ours.first(token.session()), salt) != next);
        assert!(next.session() == token.session() && next.hash() != token.hash());
    }
}
