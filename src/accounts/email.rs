//! E-mail addresses, in the one spelling under which an account is known.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use validator::{ValidateEmail, ValidationError};

/// The most characters of an address (RFC 5321, 4.5.3.1.3, without the brackets).
pub(super) const MAX_EMAIL: usize = 254;

/// An e-mail address: trimmed, in lower case, its domain in ASCII (IDNA).
///
/// RFC 5321 lets a host tell upper from lower case before the `@`; none that people use does, and two
/// accounts that differ in case only are one person's mistake.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Email(String);

/// The text is no e-mail address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected an e-mail address such as ada@example.com, of at most {MAX_EMAIL} characters")]
pub struct InvalidEmail;

impl Email {
    /// Reads an address.
    ///
    /// # Errors
    /// When it is none, or too long.
    pub fn parse(text: &str) -> Result<Self, InvalidEmail> {
        let text = text.trim();
        if text.len() > MAX_EMAIL {
            return Err(InvalidEmail);
        }
        let (local, domain) = text.rsplit_once('@').ok_or(InvalidEmail)?;
        let domain = match url::Host::parse(domain) {
            Ok(url::Host::Domain(domain)) => domain,
            Ok(url::Host::Ipv4(_) | url::Host::Ipv6(_)) | Err(_) => return Err(InvalidEmail),
        };
        let email = format!("{}@{domain}", local.to_ascii_lowercase());
        if email.len() > MAX_EMAIL || !email.as_str().validate_email() {
            return Err(InvalidEmail);
        }
        Ok(Self(email))
    }

    /// The address.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Refuses what is no address, for request bodies.
///
/// # Errors
/// `email`.
pub(super) fn email(text: &str) -> Result<(), ValidationError> {
    Email::parse(text)
        .map(|_parsed| ())
        .map_err(|why| ValidationError::new("email").with_message(why.to_string().into()))
}

impl fmt::Display for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Email {
    /// Says nothing: addresses do not belong in logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Email(_)")
    }
}

impl Serialize for Email {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Email {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&text).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_address_are_one() {
        let one = |text| Email::parse(text).unwrap().as_str().to_owned();
        assert_eq!(one(" Ada@Example.COM "), "ada@example.com");
        assert_eq!(
            one("a+b.c@bücher.example"),
            one("A+B.c@xn--bcher-kva.example")
        );
        assert_eq!(one("root@localhost"), "root@localhost");
    }

    #[test]
    fn what_is_no_address_is_refused() {
        let long = format!("a@{}.example", "b".repeat(250));
        for text in [
            "",
            "@",
            "ada",
            "ada@",
            "@example.com",
            "a b@example.com",
            "ada@exa mple.com",
            "ada@127.0.0.1",
            "ada@[::1]",
            "ada@example..com",
            "ada\0@example.com",
            "ada@example.com\r\nBcc: eve@example.com",
            "{\"$ne\":null}",
            &format!("{}@example.com", "a".repeat(65)),
            &long,
        ] {
            assert_eq!(Email::parse(text), Err(InvalidEmail), "{text}");
        }
    }

    #[test]
    fn an_address_is_not_printed_by_debug() {
        let shown = format!("{:?}", Email::parse("ada@example.com").unwrap());
        assert!(!shown.contains("ada"));
    }
}
