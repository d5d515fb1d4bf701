//! HMAC-SHA-256 under keys that each serve one purpose.

use hmac::{Hmac, Mac};
use sha2::Sha256;

type HmacSha256 = Hmac<Sha256>;

/// A key of one block: what is shorter is filled with zeros, which HMAC does anyway (RFC 2104, 2).
#[derive(Clone)]
pub(super) struct Key([u8; 64]);

impl Key {
    /// A fixed, public key: it only keeps one use of the function apart from another.
    pub(super) fn of_label(label: &str) -> Self {
        let mut key = [0; 64];
        for (place, byte) in key.iter_mut().zip(label.bytes()) {
            *place = byte;
        }
        Self(key)
    }

    /// The key that `secret` gives for the purpose `label` (HKDF-Extract, RFC 5869, the label as salt).
    pub(super) fn derive(label: &str, secret: &[u8]) -> Self {
        let extracted = Self::of_label(label).mac(&[secret]);
        let mut key = [0; 64];
        for (place, byte) in key.iter_mut().zip(extracted) {
            *place = byte;
        }
        Self(key)
    }

    fn over(&self, parts: &[&[u8]]) -> HmacSha256 {
        let mut mac = <HmacSha256 as Mac>::new(&self.0.into());
        for part in parts {
            mac.update(part);
        }
        mac
    }

    /// The code of `parts`; all but the last must be of fixed length, so that no two lists look alike.
    pub(super) fn mac(&self, parts: &[&[u8]]) -> [u8; 32] {
        self.over(parts).finalize().into_bytes().into()
    }

    /// Whether `tag` begins the code of `parts`; in constant time.
    pub(super) fn matches(&self, parts: &[&[u8]], tag: &[u8]) -> bool {
        self.over(parts).verify_truncated_left(tag).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_two_purposes_differ_and_a_tag_is_checked_whole() {
        let (a, b) = (Key::derive("a", b"secret"), Key::derive("b", b"secret"));
        let tag = a.mac(&[b"x"]);
        assert!(a.matches(&[b"x"], &tag) && a.matches(&[b"x"], &tag[..16]));
        assert!(!b.matches(&[b"x"], &tag) && !a.matches(&[b"y"], &tag) && !a.matches(&[b"x"], &[]));
    }
}
