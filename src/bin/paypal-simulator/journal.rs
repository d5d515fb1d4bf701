//! The append-only record of everything that happened: the truth about the money.
//!
//! Every line is a JSON object with `seq` (1, 2, 3 … without gap), `at` (RFC 3339, UTC) and `kind`;
//! the other fields depend on the kind and are listed in `docs/paypal-simulator.md`.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write as _},
    path::Path,
};

use serde_json::Value;
use time::OffsetDateTime;

use crate::clock;

/// A line as it is written; text is a fraction of the size of a parsed object.
#[derive(Debug)]
pub(crate) struct Line {
    /// What it is about.
    pub(crate) kind: &'static str,
    /// The JSON object.
    pub(crate) text: String,
}

/// The lines so far, and the file that gets a copy of each.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    lines: Vec<Line>,
    file: Option<File>,
}

impl Journal {
    /// An empty journal that appends to `path` as well. The file is written without fsync.
    pub(crate) fn open(path: Option<&Path>) -> io::Result<Self> {
        let file = path
            .map(|path| OpenOptions::new().create(true).append(true).open(path))
            .transpose()?;
        Ok(Self {
            lines: Vec::new(),
            file,
        })
    }

    /// Appends one line; `fields` must be an object.
    pub(crate) fn add(&mut self, at: OffsetDateTime, kind: &'static str, fields: Value) {
        let mut line = fields;
        if let Some(map) = line.as_object_mut() {
            map.insert(
                "seq".to_owned(),
                Value::from(self.lines.len().saturating_add(1)),
            );
            map.insert("at".to_owned(), Value::from(clock::stamp_millis(at)));
            map.insert("kind".to_owned(), Value::from(kind));
        }
        let text = line.to_string();
        if let Some(file) = &mut self.file {
            // A full disk must not stop the simulator; the journal in memory stays the reference.
            if file.write_all(format!("{text}\n").as_bytes()).is_err() {
                self.file = None;
            }
        }
        self.lines.push(Line { kind, text });
    }

    /// The lines after that sequence number.
    pub(crate) fn since(&self, seq: usize) -> &[Line] {
        self.lines.get(seq..).unwrap_or_default()
    }

    /// How many lines there are.
    pub(crate) const fn len(&self) -> usize {
        self.lines.len()
    }

    /// Forgets all lines; the file keeps its own.
    pub(crate) fn clear(&mut self) {
        self.lines.clear();
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn lines_count_without_gap_and_reach_the_file() {
        let path = std::env::temp_dir().join(format!("journal-{}", crate::ids::uuid()));
        let mut journal = Journal::open(Some(&path)).unwrap();
        for id in ["A", "B", "C"] {
            journal.add(OffsetDateTime::now_utc(), "capture", json!({ "id": id }));
        }
        assert_eq!(journal.since(1).len(), 2);
        assert!(journal.since(1)[0].text.contains("\"seq\":2"));
        assert!(journal.since(9).is_empty());
        let written = std::fs::read_to_string(&path).unwrap();
        assert_eq!(written.lines().count(), 3);
        std::fs::remove_file(path).unwrap();
    }
}
