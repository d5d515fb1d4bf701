//! What is done to single values: text cleaned, unknowns left out, shapes made regular. Every change of
//! meaning is noted.

use serde_json::{Map, Number, Value};

use super::{mapping::AttributeRules, report::Notes};

/// Invisible characters that databases of people's typing are full of: zero-width space and joiners,
/// direction marks, byte order mark, soft hyphen.
const INVISIBLE: [char; 9] = [
    '\u{200b}', '\u{200c}', '\u{200d}', '\u{200e}', '\u{200f}', '\u{2060}', '\u{feff}', '\u{ad}',
    '\u{202a}',
];

/// The first `count` bytes of a digest as hexadecimal digits.
pub(in crate::catalog) fn hex(digest: &[u8], count: usize) -> String {
    let digit = |half: u8| char::from_digit(half.into(), 16).unwrap_or('0');
    let bytes = digest.iter().take(count);
    bytes
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])
        .collect()
}

/// Text without padding, invisible characters, tabs and line breaks; `None` where it was clean already.
pub(super) fn cleaned(text: &str) -> Option<String> {
    let clean = !text
        .chars()
        .any(|c| INVISIBLE.contains(&c) || c.is_control() || c == '\u{a0}')
        && text.trim() == text
        && !text.contains("  ");
    if clean {
        return None;
    }
    let visible: String = text.chars().filter(|c| !INVISIBLE.contains(c)).collect();
    // `split_whitespace` takes no-break spaces, tabs and line breaks alike.
    let words: Vec<&str> = visible
        .split(|c: char| c.is_whitespace() || c.is_control())
        .collect();
    Some(
        words
            .into_iter()
            .filter(|word| !word.is_empty())
            .collect::<Vec<_>>()
            .join(" "),
    )
}

/// Makes an attribute of a field's value; `None` where it says nothing.
pub(super) fn attribute(
    path: &str,
    value: &Value,
    rules: &AttributeRules,
    notes: &mut Notes,
) -> Option<Value> {
    if let Some([first, second]) = rules.pair.get(path) {
        return pair(value, first, second);
    }
    if rules.range.contains(path) {
        return range(path, value, notes);
    }
    if rules.text.contains(path) {
        return text(path, value, notes).map(Value::String);
    }
    if rules.list.contains(path) && !value.is_array() {
        return scalar(path, value, rules, notes).map(|value| Value::Array(vec![value]));
    }
    match value {
        Value::Array(items) => list(path, items, rules, notes),
        Value::Object(fields) => object(path, fields, rules, notes),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            scalar(path, value, rules, notes)
        }
    }
}

fn scalar(path: &str, value: &Value, rules: &AttributeRules, notes: &mut Notes) -> Option<Value> {
    match value {
        Value::Null => {
            notes.say("null_left_out", path);
            None
        }
        Value::String(text) => {
            let text = cleaned(text)
                .inspect(|_| notes.say("text_cleaned", path))
                .unwrap_or_else(|| text.clone());
            if text.is_empty() {
                notes.say("empty_left_out", path);
                return None;
            }
            if rules
                .not_a_value
                .get(path)
                .is_some_and(|words| words.contains(&text))
            {
                notes.say("word_left_out", path);
                return None;
            }
            if rules.read_scalars {
                read_scalar(&text)
            } else {
                None
            }
            .or(Some(Value::String(text)))
        }
        Value::Number(number) => {
            if number.as_f64() == Some(0.0) && rules.zero_is_unknown.contains(path) {
                notes.say("zero_left_out", path);
                return None;
            }
            let [least, most] = rules
                .within
                .get(path)
                .copied()
                .unwrap_or([i64::MIN, i64::MAX]);
            if number
                .as_i64()
                .is_some_and(|n| !(least..=most).contains(&n))
            {
                notes.say("out_of_range_left_out", path);
                return None;
            }
            Some(value.clone())
        }
        Value::Bool(_) => Some(value.clone()),
        Value::Array(_) | Value::Object(_) => None,
    }
}

/// Text as the number or truth value that it spells exactly.
fn read_scalar(text: &str) -> Option<Value> {
    match text {
        "true" => Some(Value::Bool(true)),
        "false" => Some(Value::Bool(false)),
        _ => {
            let number: Number = text.parse().ok()?;
            // "007" and "1e5" are names, not numbers.
            (number.to_string() == text).then_some(Value::Number(number))
        }
    }
}

fn list(path: &str, items: &[Value], rules: &AttributeRules, notes: &mut Notes) -> Option<Value> {
    if items.is_empty() {
        notes.say("empty_left_out", path);
        return None;
    }
    let mut kept: Vec<Value> = Vec::with_capacity(items.len());
    for item in items {
        let Some(item) = attribute(path, item, rules, notes) else {
            continue;
        };
        if kept.contains(&item) {
            notes.say("repeat_left_out", path);
        } else {
            kept.push(item);
        }
    }
    (!kept.is_empty()).then_some(Value::Array(kept))
}

fn object(
    path: &str,
    fields: &Map<String, Value>,
    rules: &AttributeRules,
    notes: &mut Notes,
) -> Option<Value> {
    if fields.is_empty() {
        notes.say("empty_left_out", path);
        return None;
    }
    let mut kept = Map::new();
    for (name, value) in fields {
        let inner = format!("{path}.{name}");
        if let Some(value) = attribute(&inner, value, rules, notes) {
            kept.insert(key(name), value);
        }
    }
    (!kept.is_empty()).then_some(Value::Object(kept))
}

/// A field's name as an attribute may have it: no dot, no leading dollar sign, no control character.
pub(super) fn key(name: &str) -> String {
    let name: String = name
        .chars()
        .map(|c| if c == '.' || c.is_control() { '_' } else { c })
        .collect();
    name.trim_start_matches('$').trim().to_owned()
}

fn pair(value: &Value, first: &str, second: &str) -> Option<Value> {
    let mut named = Map::new();
    let (one, two) = match value {
        Value::Array(items) => (items.first(), items.get(1)),
        single @ (Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::String(_)
        | Value::Object(_)) => (Some(single), None),
    };
    for (name, value) in [(first, one), (second, two)] {
        if let Some(value) = value.filter(|value| !value.is_null()) {
            named.insert(name.to_owned(), value.clone());
        }
    }
    (!named.is_empty()).then_some(Value::Object(named))
}

fn range(path: &str, value: &Value, notes: &mut Notes) -> Option<Value> {
    let ends = match value {
        Value::Array(items) => (items.first()?.clone(), items.last()?.clone()),
        Value::Number(_) => (value.clone(), value.clone()),
        Value::Null => {
            notes.say("null_left_out", path);
            return None;
        }
        Value::Bool(_) | Value::String(_) | Value::Object(_) => return None,
    };
    (ends.0.is_number() && ends.1.is_number())
        .then(|| serde_json::json!({ "min": ends.0, "max": ends.1 }))
}

fn text(path: &str, value: &Value, notes: &mut Notes) -> Option<String> {
    match value {
        Value::Null => {
            notes.say("null_left_out", path);
            None
        }
        Value::String(text) => {
            Some(cleaned(text).unwrap_or_else(|| text.clone())).filter(|text| !text.is_empty())
        }
        Value::Bool(truth) => {
            notes.say("made_text", path);
            Some(if *truth { "yes" } else { "no" }.to_owned())
        }
        Value::Number(number) => {
            notes.say("made_text", path);
            Some(number.to_string())
        }
        Value::Array(items) => {
            notes.say("made_text", path);
            let parts: Vec<String> = items
                .iter()
                .filter_map(|item| text(path, item, notes))
                .collect();
            (!parts.is_empty()).then(|| parts.join(" / "))
        }
        Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rules(text: &str) -> AttributeRules {
        toml::from_str(text).unwrap()
    }

    fn made(path: &str, value: &Value, rules: &AttributeRules) -> (Option<Value>, Vec<String>) {
        let mut notes = Notes::default();
        let made = attribute(path, value, rules, &mut notes);
        (made, notes.codes().map(str::to_owned).collect())
    }

    #[test]
    fn text_loses_padding_and_what_nobody_sees() {
        assert_eq!(cleaned("plain text"), None);
        assert_eq!(cleaned(" \u{200e}A\u{a0}\tB\n").as_deref(), Some("A B"));
        assert_eq!(cleaned("\u{200b}").as_deref(), Some(""));
    }

    #[test]
    fn unknowns_are_left_out_and_noted() {
        let rules = rules("zero_is_unknown = [\"bus\"]\nwithin = { year = [1970, 2100] }");
        let noted = |path, value| made(path, &value, &rules);
        assert_eq!(noted("bus", json!(0)), (None, vec!["zero_left_out".into()]));
        assert_eq!(noted("other", json!(0)), (Some(json!(0)), vec![]));
        assert_eq!(
            noted("year", json!(20_117)),
            (None, vec!["out_of_range_left_out".into()])
        );
        assert_eq!(
            noted("x", json!(null)),
            (None, vec!["null_left_out".into()])
        );
        assert_eq!(noted("x", json!([])), (None, vec!["empty_left_out".into()]));
        assert_eq!(
            noted("x", json!({ "a": null })),
            (None, vec!["null_left_out".into()])
        );
        assert_eq!(noted("x", json!(["a", "a", ""])).0, Some(json!(["a"])));
    }

    #[test]
    fn mixed_shapes_become_regular() {
        let rules = rules(
            "range = [\"rpm\"]\ntext = [\"form\"]\nlist = [\"mode\"]\npair = { speed = [\"generation\", \"mhz\"] }",
        );
        let value = |path, value| made(path, &value, &rules).0;
        assert_eq!(
            value("rpm", json!(800)),
            Some(json!({ "min": 800, "max": 800 }))
        );
        assert_eq!(
            value("rpm", json!([500, 1_500])),
            Some(json!({ "min": 500, "max": 1_500 }))
        );
        assert_eq!(value("form", json!(2.5)), Some(json!("2.5")));
        assert_eq!(value("form", json!([2.5, 3.5])), Some(json!("2.5 / 3.5")));
        assert_eq!(value("mode", json!(64)), Some(json!([64])));
        assert_eq!(
            value("speed", json!([5, 6_000])),
            Some(json!({ "generation": 5, "mhz": 6_000 }))
        );
        assert_eq!(
            value("speed", json!(133)),
            Some(json!({ "generation": 133 }))
        );
    }

    #[test]
    fn only_text_that_is_exactly_a_number_becomes_one() {
        let rules = rules("read_scalars = true");
        let value = |text: &str| made("x", &json!(text), &rules).0.unwrap();
        assert_eq!(
            [value("12"), value("007"), value("1e5"), value("true")],
            [json!(12), json!("007"), json!("1e5"), json!(true)]
        );
    }

    #[test]
    fn keys_hold_nothing_that_a_query_would_read() {
        assert_eq!(
            [key("$ne"), key("a.b"), key("plain")],
            ["ne", "a_b", "plain"]
        );
    }
}
