//! What attributes may look like, whatever their type says: keys that MongoDB and filters can name,
//! bounded depth and size, numbers that it can hold.

use serde_json::Value;

use super::Attributes;
use crate::problem::FieldError;

/// The most bytes of a key.
const MAX_KEY: usize = 128;
/// How deep attributes may nest: the deepest catalogue at hand has five levels.
const MAX_DEPTH: usize = 12;
/// The most bytes of all attributes together, encoded as JSON.
const MAX_BYTES: usize = 256 * 1024;
/// The most faults named at once.
const MAX_FAULTS: usize = 50;

/// Escapes a key as a token of a JSON pointer (RFC 6901).
#[must_use]
pub fn pointer_token(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// Checks the key of an attribute.
///
/// # Errors
/// Says what a key may be.
pub fn check_key(key: &str) -> Result<(), &'static str> {
    if key.is_empty() || key.len() > MAX_KEY {
        return Err("a key has 1 to 128 bytes");
    }
    if key.starts_with('$') {
        return Err("a key may not begin with '$'");
    }
    if key.contains(['.', '\0']) {
        return Err("a key may not hold a dot or a NUL character");
    }
    Ok(())
}

/// Checks keys, depth, numbers and size; pointers begin with `/attributes`.
#[must_use]
pub fn check_attributes(attributes: &Attributes) -> Vec<FieldError> {
    let mut walk = Walk {
        faults: Vec::new(),
        bytes: 0,
    };
    walk.object("/attributes", attributes, 1);
    if walk.bytes > MAX_BYTES {
        let limit = format!("all attributes together have {MAX_BYTES} bytes at most");
        walk.faults
            .push(FieldError::new("/attributes", "length", limit));
    }
    walk.faults
}

struct Walk {
    faults: Vec<FieldError>,
    bytes: usize,
}

impl Walk {
    fn fault(&mut self, pointer: &str, code: &str, message: &str) {
        if self.faults.len() < MAX_FAULTS {
            self.faults.push(FieldError::new(pointer, code, message));
        }
    }

    fn object(&mut self, pointer: &str, object: &Attributes, depth: usize) {
        for (key, value) in object {
            let inner = format!("{pointer}/{}", pointer_token(key));
            self.bytes += key.len() + 4;
            match check_key(key) {
                Ok(()) => self.value(&inner, value, depth),
                Err(message) => self.fault(&inner, "key", message),
            }
        }
    }

    fn value(&mut self, pointer: &str, value: &Value, depth: usize) {
        if depth > MAX_DEPTH {
            self.fault(
                pointer,
                "depth",
                "attributes may nest twelve levels at most",
            );
            return;
        }
        match value {
            Value::Object(object) => self.object(pointer, object, depth + 1),
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    self.bytes += 1;
                    self.value(&format!("{pointer}/{index}"), item, depth + 1);
                }
            }
            Value::String(text) => self.bytes += text.len() + 2,
            Value::Number(number) => {
                self.bytes += 8;
                if number.is_u64() && !number.is_i64() {
                    self.fault(pointer, "range", "a whole number has 63 bits at most");
                }
            }
            Value::Null | Value::Bool(_) => self.bytes += 4,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pointers(attributes: &Value) -> Vec<String> {
        let faults = check_attributes(attributes.as_object().unwrap());
        faults.into_iter().map(|fault| fault.pointer).collect()
    }

    #[test]
    fn keys_that_a_database_or_a_filter_would_misread_are_refused() {
        let attributes = json!({
            "$where": 1, "a.b": 1, "": 1, "ok": {"$ne": 1}, "list": [{"x\u{0}": 1}], "a/b": {"c.d": 1}
        });
        let mut found = pointers(&attributes);
        found.sort();
        assert_eq!(
            found,
            [
                "/attributes/",
                "/attributes/$where",
                "/attributes/a.b",
                "/attributes/a~1b/c.d",
                "/attributes/list/0/x\u{0}",
                "/attributes/ok/$ne",
            ]
        );
    }

    #[test]
    fn depth_size_and_numbers_are_bounded() {
        let mut deep = json!(1);
        for _ in 0..MAX_DEPTH {
            deep = json!([deep]);
        }
        assert_eq!(pointers(&json!({ "deep": deep })).len(), 1);
        assert_eq!(
            pointers(&json!({ "n": u64::MAX, "m": i64::MAX })),
            ["/attributes/n"]
        );
        assert_eq!(
            pointers(&json!({ "text": "x".repeat(MAX_BYTES) })),
            ["/attributes"]
        );
    }
}
