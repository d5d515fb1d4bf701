//! What differs between two JSON values, by pointer and bounded.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The most changed places that are kept of one change.
const MAX_CHANGES: usize = 200;
/// The most bytes of a value that is kept, as JSON; a longer one is cut.
const MAX_VALUE: usize = 2_000;
/// What lists of objects are told apart by.
const KEYS: [&str; 3] = ["id", "sku", "url"];

/// One place that has changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// JSON pointer; an element of a list is named by its id, SKU or address where it has one.
    pub pointer: String,
    /// JSON text of what was there; none: nothing was. Text because MongoDB gives meanings of its own to
    /// names that JSON allows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// JSON text of what is there now; none: nothing is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

/// The places that have changed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changes {
    /// The first of them.
    pub places: Vec<Change>,
    /// How many more there are.
    pub left_out: u32,
}

impl Changes {
    /// Whether nothing has changed.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.places.is_empty() && self.left_out == 0
    }

    /// Notes a change.
    pub fn note(&mut self, pointer: &str, before: Option<&Value>, after: Option<&Value>) {
        if self.places.len() == MAX_CHANGES {
            self.left_out = self.left_out.saturating_add(1);
            return;
        }
        self.places.push(Change {
            pointer: pointer.to_owned(),
            before: before.map(bounded),
            after: after.map(bounded),
        });
    }

    fn compare(&mut self, pointer: &str, before: &Value, after: &Value) {
        match (before, after) {
            (Value::Object(old), Value::Object(new)) => self.members(pointer, old, new),
            (Value::Array(old), Value::Array(new)) => match (keyed(old), keyed(new)) {
                (Some(old), Some(new)) if !(old.is_empty() && new.is_empty()) => {
                    self.elements(pointer, &old, &new);
                }
                _ if old == new => {}
                _ => self.note(pointer, Some(before), Some(after)),
            },
            _ if before == after => {}
            _ => self.note(pointer, Some(before), Some(after)),
        }
    }

    fn members(&mut self, pointer: &str, old: &Map<String, Value>, new: &Map<String, Value>) {
        for (name, before) in old {
            let place = format!("{pointer}/{}", token(name));
            match new.get(name) {
                Some(after) => self.compare(&place, before, after),
                None => self.note(&place, Some(before), None),
            }
        }
        for (name, after) in new.iter().filter(|(name, _)| !old.contains_key(*name)) {
            self.note(&format!("{pointer}/{}", token(name)), None, Some(after));
        }
    }

    fn elements(&mut self, pointer: &str, old: &Keyed<'_>, new: &Keyed<'_>) {
        for (key, before) in old {
            let place = format!("{pointer}/{}", token(key));
            match new.get(key) {
                Some(after) => self.compare(&place, before, after),
                None => self.note(&place, Some(before), None),
            }
        }
        for (key, after) in new.iter().filter(|(key, _)| !old.contains_key(*key)) {
            self.note(&format!("{pointer}/{}", token(key)), None, Some(after));
        }
    }
}

type Keyed<'a> = std::collections::BTreeMap<&'a str, &'a Value>;

/// The elements of a list by what tells them apart; `None` where not all have a key, or two share one.
fn keyed(list: &[Value]) -> Option<Keyed<'_>> {
    let key = |value| KEYS.iter().find_map(|key| Value::get(value, key)?.as_str());
    let mut elements = Keyed::new();
    for value in list {
        if elements.insert(key(value)?, value).is_some() {
            return None;
        }
    }
    Some(elements)
}

fn token(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// A value as JSON text, cut where it is long.
fn bounded(value: &Value) -> String {
    let mut text = value.to_string();
    if text.len() > MAX_VALUE {
        let end = (0..=MAX_VALUE)
            .rev()
            .find(|end| text.is_char_boundary(*end));
        text.truncate(end.unwrap_or_default());
        text.push('…');
    }
    text
}

/// What differs between `before` and `after`; `Null` stands for nothing.
#[must_use]
pub fn difference(before: &Value, after: &Value) -> Changes {
    let nothing = Map::new();
    let members = |value: &Value| value.as_object().cloned();
    let mut changes = Changes::default();
    match (members(before), members(after)) {
        (None, Some(new)) if before.is_null() => changes.members("", &nothing, &new),
        (Some(old), None) if after.is_null() => changes.members("", &old, &nothing),
        _ => changes.compare("", before, after),
    }
    changes
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn places(before: &Value, after: &Value) -> Vec<(String, Option<String>, Option<String>)> {
        let changes = difference(before, after).places.into_iter();
        changes.map(|c| (c.pointer, c.before, c.after)).collect()
    }

    fn changed(
        pointer: &str,
        before: &str,
        after: &str,
    ) -> (String, Option<String>, Option<String>) {
        let told = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        (pointer.to_owned(), told(before), told(after))
    }

    #[test]
    fn only_what_differs_is_told() {
        let before = json!({
            "a": 1, "gone": "x", "same": {"deep": [1, 2]}, "tags": ["x"],
            "variants": [{"id": "v1", "price": 1}, {"id": "v2", "price": 2}],
        });
        let after = json!({
            "a": 2, "new/er": true, "same": {"deep": [1, 2]}, "tags": ["x", "y"],
            "variants": [{"id": "v2", "price": 3}, {"id": "v3", "price": 4}],
        });
        assert_eq!(
            places(&before, &after),
            [
                changed("/a", "1", "2"),
                changed("/gone", "\"x\"", ""),
                changed("/tags", "[\"x\"]", "[\"x\",\"y\"]"),
                changed("/variants/v1", "{\"id\":\"v1\",\"price\":1}", ""),
                changed("/variants/v2/price", "2", "3"),
                changed("/variants/v3", "", "{\"id\":\"v3\",\"price\":4}"),
                changed("/new~1er", "", "true"),
            ]
        );
        assert!(difference(&before, &before).is_empty());
    }

    #[test]
    fn what_is_made_or_removed_is_told_by_member() {
        assert_eq!(
            places(&Value::Null, &json!({"a": 1})),
            [changed("/a", "", "1")]
        );
        assert_eq!(
            places(&json!({"a": 1}), &Value::Null),
            [changed("/a", "1", "")]
        );
    }

    #[test]
    fn an_entry_is_bounded() {
        let all = |n: usize| -> Value {
            (0..1_000)
                .map(|place| (format!("k{place}"), json!(n)))
                .collect::<Map<_, _>>()
                .into()
        };
        let changes = difference(&all(1), &all(2));
        assert_eq!((changes.places.len(), changes.left_out), (MAX_CHANGES, 800));
        let long = difference(&json!({"a": "ü".repeat(5_000)}), &json!({"a": ""}));
        let kept = long.places[0].before.as_ref().unwrap();
        assert!(kept.len() <= MAX_VALUE + '…'.len_utf8() && kept.ends_with('…'));
    }
}
