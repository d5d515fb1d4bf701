//! One spelling for what people take to be the same word.

use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

/// Lower case, without accents, in Unicode's compatibility decomposition (NFKD); letters that
/// Unicode does not decompose are spelt as they are commonly typed. White space is collapsed.
pub(in super::super) fn fold(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    if text.is_ascii() {
        for c in text.chars() {
            // What most of a text consists of.
            if c.is_ascii_graphic() {
                folded.push(c.to_ascii_lowercase());
            } else {
                push(&mut folded, c);
            }
        }
    } else {
        text.nfkd()
            .flat_map(char::to_lowercase)
            .filter(|c| !is_combining_mark(*c) && !is_invisible(*c))
            .for_each(|c| match plain(c) {
                Some(letters) => folded.push_str(letters),
                None => push(&mut folded, c),
            });
    }
    if folded.ends_with(' ') {
        folded.pop();
    }
    folded
}

fn push(folded: &mut String, c: char) {
    if !c.is_whitespace() && !c.is_control() {
        folded.push(c);
    } else if !folded.is_empty() && !folded.ends_with(' ') {
        folded.push(' ');
    }
}

/// Marks of direction and joining that real catalogues hold inside names and part numbers.
fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}'
    )
}

fn plain(c: char) -> Option<&'static str> {
    Some(match c {
        'ß' => "ss",
        'æ' => "ae",
        'œ' => "oe",
        'ø' => "o",
        'đ' | 'ð' => "d",
        'ł' => "l",
        'ı' => "i",
        'þ' => "th",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::fold;

    #[test]
    fn accents_case_and_width_do_not_count() {
        assert_eq!(fold("  Crème\tBRÛLÉE "), "creme brulee");
        assert_eq!(fold("Straße Ærø ＲＴＸ"), "strasse aero rtx");
        assert_eq!(fold("µ"), fold("μ"));
        assert_eq!(fold("a\u{200b}b\u{a0}c\n d"), "ab c d");
        assert_eq!(fold(" \n "), "");
    }
}
