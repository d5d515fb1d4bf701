//! What a buyer may write into a line's options.

use crate::catalog::Options;

/// The most options of one line.
pub const MAX_OPTIONS: usize = 20;
/// The longest name, in characters.
pub(in crate::cart) const MAX_NAME: usize = 64;
/// The longest value, in characters.
pub(in crate::cart) const MAX_VALUE: usize = 256;

/// An option breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OptionFault {
    /// There are too many.
    #[error("a line has at most {MAX_OPTIONS} options")]
    TooMany,
    /// A name or a value is too long, or a name is empty.
    #[error("a name has 1 to {MAX_NAME} characters, a value at most {MAX_VALUE}")]
    Length(String),
    /// A name or a value has a control character.
    #[error("control characters are not allowed")]
    ControlCharacter(String),
}

/// Checks options as a buyer wrote them.
///
/// # Errors
/// On the first that breaks a rule.
pub fn check_options(options: &Options) -> Result<(), OptionFault> {
    if options.len() > MAX_OPTIONS {
        return Err(OptionFault::TooMany);
    }
    for (name, value) in options {
        let fits =
            (1..=MAX_NAME).contains(&name.chars().count()) && value.chars().count() <= MAX_VALUE;
        if !fits {
            return Err(OptionFault::Length(name.clone()));
        }
        if name.chars().chain(value.chars()).any(char::is_control) {
            return Err(OptionFault::ControlCharacter(name.clone()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, value: &str) -> Result<(), OptionFault> {
        check_options(&Options::from([(name.to_owned(), value.to_owned())]))
    }

    #[test]
    fn what_a_person_writes_is_fine_and_what_is_beyond_the_limits_is_not() {
        assert_eq!(check("engraving", "für Zoë 🎁 $set.x"), Ok(()));
        assert_eq!(check(&"ü".repeat(64), &"ü".repeat(256)), Ok(()));
        assert!(matches!(check("", "x"), Err(OptionFault::Length(_))));
        assert!(matches!(
            check(&"n".repeat(65), "x"),
            Err(OptionFault::Length(_))
        ));
        assert!(matches!(
            check("n", &"v".repeat(257)),
            Err(OptionFault::Length(_))
        ));
        assert!(matches!(
            check("n", "a\0b"),
            Err(OptionFault::ControlCharacter(_))
        ));
        assert!(matches!(
            check("n\n", "a"),
            Err(OptionFault::ControlCharacter(_))
        ));
        let many = |n: usize| (0..n).map(|i| (format!("o{i}"), String::new())).collect();
        assert_eq!(check_options(&many(20)), Ok(()));
        assert_eq!(check_options(&many(21)), Err(OptionFault::TooMany));
    }
}
