//! The guest's token: names a cart and proves that it is the caller's.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use rand::Rng;
use sha2::{Digest, Sha256};

use super::model::Owner;
use crate::id::CartId;

/// Bytes of a secret: beyond guessing.
const SECRET_BYTES: usize = 32;

/// `<cart id>.<secret>`; only the secret's hash is stored.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct GuestToken {
    pub(super) cart: CartId,
    secret: String,
}

impl GuestToken {
    /// Makes a token for a new cart.
    pub(super) fn new() -> Self {
        let secret: [u8; SECRET_BYTES] = rand::rng().random();
        Self {
            cart: CartId::new(),
            secret: URL_SAFE_NO_PAD.encode(secret),
        }
    }

    /// Reads a token; `None` for text of another form.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (cart, secret) = text.split_once('.')?;
        let bytes = URL_SAFE_NO_PAD.decode(secret).ok()?;
        (bytes.len() == SECRET_BYTES).then_some(())?;
        Some(Self {
            cart: cart.parse().ok()?,
            secret: secret.to_owned(),
        })
    }

    /// Who shows the token.
    pub(super) fn owner(&self) -> Owner {
        Owner::Guest(format!("{:x}", Sha256::digest(&self.secret)))
    }

    /// The token as the client keeps it.
    pub(super) fn text(&self) -> String {
        format!("{}.{}", self.cart, self.secret)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_comes_back_and_garbage_is_none() {
        let token = GuestToken::new();
        let read = GuestToken::parse(&token.text()).unwrap();
        assert!(read == token && read.owner() == token.owner());
        assert!(GuestToken::new().owner() != token.owner());
        let id = token.cart;
        for garbage in [
            String::new(),
            ".".to_owned(),
            id.to_string(),
            format!("{id}."),
            format!("{id}.short"),
            format!("{id}.{}", "!".repeat(43)),
            format!("x{}", token.text()),
            format!("{}x", token.text()),
            "{\"$ne\":1}".to_owned(),
            "\u{0}".to_owned(),
        ] {
            assert!(GuestToken::parse(&garbage).is_none(), "{garbage}");
        }
    }

    #[test]
    fn the_stored_hash_is_not_the_secret() {
        let token = GuestToken::new();
        let Owner::Guest(hash) = token.owner() else {
            panic!("a guest")
        };
        assert!(hash.len() == 64 && !token.text().contains(&hash));
    }
}
