//! Slugs: a product's name in addresses, in lower-case ASCII letters, digits and single hyphens.

use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

use crate::id::ProductId;

/// The most characters of a slug that a client gives.
const MAX_SLUG: usize = 200;
/// The most characters of a slug made from a title.
const MAX_DERIVED: usize = 80;
/// Words that stand at a product's place in addresses already.
const RESERVED: [&str; 4] = ["suggest", "import", "export", "bulk"];

/// The text is no slug; says why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSlug {
    /// Other characters, or too many.
    #[error("expected 1 to {MAX_SLUG} lower-case letters, digits and single hyphens between them")]
    Form,
    /// It would be mistaken for something else.
    #[error("this word has another meaning in addresses")]
    Reserved,
}

/// Checks a slug.
///
/// # Errors
/// When it has another form, or stands for something else in an address.
pub fn check_slug(slug: &str) -> Result<(), InvalidSlug> {
    if slug.len() > MAX_SLUG || !is_slug(slug) {
        return Err(InvalidSlug::Form);
    }
    if is_reserved(slug) {
        return Err(InvalidSlug::Reserved);
    }
    Ok(())
}

/// Whether the text consists of lower-case letters and digits with single hyphens between them.
pub(super) fn is_slug(text: &str) -> bool {
    let word = |part: &str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
    };
    text.split('-').all(word)
}

/// An address by slug and one by id share their place, so that a slug may not look like an id.
fn is_reserved(slug: &str) -> bool {
    RESERVED.contains(&slug) || slug.parse::<ProductId>().is_ok()
}

/// Writes `text` in lower-case ASCII letters and digits, with one hyphen for everything between
/// them; empty where nothing of it can be written so.
#[must_use]
pub fn slugify(text: &str) -> String {
    let mut slug = String::with_capacity(text.len());
    let mut gap = false;
    for letter in text.nfkd().filter(|letter| !is_combining_mark(*letter)) {
        let mut lower = letter.to_lowercase();
        let folded = match letter {
            'ß' | 'ẞ' => "ss",
            'æ' | 'Æ' => "ae",
            'œ' | 'Œ' => "oe",
            'ø' | 'Ø' => "o",
            'đ' | 'Đ' | 'ð' | 'Ð' => "d",
            'þ' | 'Þ' => "th",
            'ł' | 'Ł' => "l",
            'ı' => "i",
            // Apostrophes and invisible characters join what stands around them.
            '\'' | '’' | '\u{200b}'..='\u{200f}' | '\u{feff}' => continue,
            _ => "",
        };
        let plain = lower.next().filter(char::is_ascii_alphanumeric);
        if folded.is_empty() && plain.is_none() {
            gap = true;
            continue;
        }
        if gap && !slug.is_empty() {
            slug.push('-');
        }
        gap = false;
        slug.push_str(folded);
        if folded.is_empty() {
            slug.extend(plain);
        }
    }
    slug
}

/// Makes a slug from a title, or from the SKU where nothing of the title can be written in ASCII.
#[must_use]
pub fn derive_slug(title: &str, sku: &str) -> String {
    let made = [title, sku]
        .into_iter()
        .map(slugify)
        .find(|slug| !slug.is_empty());
    let slug = shortened(made.unwrap_or_else(|| "product".to_owned()));
    if is_reserved(&slug) {
        format!("p-{slug}")
    } else {
        slug
    }
}

/// Cuts a long slug, between words where it can.
fn shortened(mut slug: String) -> String {
    if slug.len() <= MAX_DERIVED {
        return slug;
    }
    let cut_in_word = slug.as_bytes().get(MAX_DERIVED) != Some(&b'-');
    slug.truncate(MAX_DERIVED);
    if cut_in_word && let Some(end) = slug.rfind('-').filter(|end| *end > MAX_DERIVED / 2) {
        slug.truncate(end);
    }
    slug.truncate(slug.trim_end_matches('-').len());
    slug
}

/// The `n`th slug to try where `base` is taken: `base` itself, then `base-2`, `base-3`, …
#[must_use]
pub fn with_suffix(base: &str, n: u32) -> String {
    if n <= 1 {
        base.to_owned()
    } else {
        format!("{base}-{n}")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn letters_are_folded_to_ascii() {
        for (title, slug) in [
            ("Huila Doña Remedios", "huila-dona-remedios"),
            ("Straße & Søn", "strasse-son"),
            ("  Ångström™ 24\" (2026) ", "angstromtm-24-2026"),
            ("Baker's Dozen", "bakers-dozen"),
            ("日本語", ""),
            ("a\u{200e}b", "ab"),
            ("ＦＵＬＬ　width", "full-width"),
        ] {
            assert_eq!(slugify(title), slug, "{title}");
        }
    }

    #[test]
    fn a_derived_slug_never_stands_for_something_else() {
        assert_eq!(derive_slug("Suggest", "X"), "p-suggest");
        assert_eq!(
            derive_slug("662e41f09c1d4c3a8f0b7a11", "X"),
            "p-662e41f09c1d4c3a8f0b7a11"
        );
        assert_eq!(derive_slug("日本", "SKU 7"), "sku-7");
        assert_eq!(derive_slug("日本", "語"), "product");
        let long = derive_slug(&"wide ".repeat(60), "X");
        assert!(long.len() <= MAX_DERIVED && long.ends_with("wide"));
    }

    #[test]
    fn other_forms_are_no_slug() {
        for wrong in ["", "-a", "a-", "a--b", "A", "a_b", "ä", "a/b", "export"] {
            assert!(check_slug(wrong).is_err(), "{wrong}");
        }
        assert!(check_slug(&"a".repeat(MAX_SLUG + 1)).is_err());
        assert!(check_slug("pixel-3-xl").is_ok());
    }

    proptest! {
        #[test]
        fn what_is_derived_is_a_slug(title in "\\PC{0,120}", sku in "\\PC{0,20}") {
            let slug = derive_slug(&title, &sku);
            prop_assert!(check_slug(&slug).is_ok(), "{} from {}", slug, title);
            prop_assert_eq!(slugify(&slug), slug);
        }
    }
}
