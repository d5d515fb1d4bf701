//! Identifiers in PayPal's forms, all random.

use std::fmt::Write as _;

use rand::Rng as _;

const BASE36: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
/// The letters of an account id: no 0, 1, I or O (`account_id` in PayPal's OpenAPI document).
const ACCOUNT: &[u8] = b"23456789ABCDEFGHJKLMNPQRSTUVWXYZ";
const HEX: &[u8] = b"0123456789abcdef";
const TOKEN: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

fn pick(alphabet: &[u8], length: usize) -> String {
    let mut rng = rand::rng();
    (0..length)
        .filter_map(|_| alphabet.get(rng.random_range(0..alphabet.len())))
        .map(|byte| char::from(*byte))
        .collect()
}

/// An order, capture or refund: 17 of `[0-9A-Z]`.
pub(crate) fn resource() -> String {
    pick(BASE36, 17)
}

/// A payer or merchant account: 13 of PayPal's account alphabet.
pub(crate) fn account() -> String {
    pick(ACCOUNT, 13)
}

/// An event: `WH-` and two groups of 17.
pub(crate) fn event() -> String {
    format!("WH-{}-{}", pick(BASE36, 17), pick(BASE36, 17))
}

/// A dispute: `PP-D-` and five digits.
pub(crate) fn dispute() -> String {
    format!("PP-D-{}", pick(b"123456789", 8))
}

/// A debug id: 13 hexadecimal digits.
pub(crate) fn debug() -> String {
    pick(HEX, 13)
}

/// An access token, opaque to its bearer.
pub(crate) fn access_token() -> String {
    format!("A21AA{}", pick(TOKEN, 92))
}

/// The id of a signing certificate: `CERT-` and three groups of 8 hexadecimal digits.
pub(crate) fn certificate() -> String {
    format!("CERT-{}-{}-{}", pick(HEX, 8), pick(HEX, 8), pick(HEX, 8))
}

/// The id of a webhook registration.
pub(crate) fn webhook() -> String {
    pick(BASE36, 17)
}

/// An IPN track id: 13 hexadecimal digits.
pub(crate) fn track() -> String {
    pick(HEX, 13)
}

/// A random UUID (version 4), as a transmission id.
pub(crate) fn uuid() -> String {
    let mut bytes: [u8; 16] = rand::rng().random();
    let [_, _, _, _, _, _, version, _, variant, ..] = &mut bytes;
    *version = (*version & 0x0f) | 0x40;
    *variant = (*variant & 0x3f) | 0x80;
    let mut text = String::with_capacity(36);
    for (index, byte) in bytes.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        // Writing into a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_take_paypals_forms() {
        let id = resource();
        assert_eq!(id.len(), 17);
        assert!(
            id.bytes()
                .all(|b| b.is_ascii_digit() || b.is_ascii_uppercase())
        );
        assert_eq!(event().len(), 3 + 17 + 1 + 17);
        assert_eq!(certificate().len(), "CERT-360caa42-fca2a594-1a5f47cb".len());
        let uuid = uuid();
        assert_eq!(uuid.len(), 36);
        assert_eq!(uuid.as_bytes()[14], b'4');
        assert_ne!(resource(), resource());
    }
}
