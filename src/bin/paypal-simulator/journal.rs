//! The append-only record of everything that happened: the truth about the money.
//!
//! Every line is a JSON object with `seq` (1, 2, 3 … without gap), `at` (RFC 3339, UTC) and `kind`;
//! the other fields depend on the kind and are listed in `docs/paypal-simulator.md`. Lines live in a
//! file; memory holds 24 bytes for each, so that a run of days stays small.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::FileExt as _,
    path::Path,
};

use serde_json::Value;
use time::OffsetDateTime;

use crate::{clock, ids};

/// Where a line ends in the file, and what it is about.
#[derive(Debug)]
struct Line {
    kind: &'static str,
    end: u64,
}

/// The lines so far.
#[derive(Debug)]
pub(crate) struct Journal {
    file: File,
    /// Where the first line begins.
    begin: u64,
    lines: Vec<Line>,
}

impl Journal {
    /// An empty journal that appends to `path`, or to a file without a name that ends with the
    /// process. It is written without fsync.
    pub(crate) fn open(path: Option<&Path>) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.append(true).read(true).create(true);
        let file = if let Some(path) = path {
            options.open(path)?
        } else {
            let path = std::env::temp_dir().join(format!("journal-{}", ids::uuid()));
            let file = options.open(&path)?;
            fs::remove_file(path)?;
            file
        };
        let begin = file.metadata()?.len();
        Ok(Self {
            file,
            begin,
            lines: Vec::new(),
        })
    }

    fn end(&self) -> u64 {
        self.lines.last().map_or(self.begin, |line| line.end)
    }

    /// Appends one line; `fields` must be an object.
    pub(crate) fn add(
        &mut self,
        at: OffsetDateTime,
        kind: &'static str,
        fields: Value,
    ) -> io::Result<()> {
        let mut line = fields;
        if let Some(map) = line.as_object_mut() {
            map.insert(
                "seq".to_owned(),
                Value::from(self.lines.len().saturating_add(1)),
            );
            map.insert("at".to_owned(), Value::from(clock::stamp_millis(at)));
            map.insert("kind".to_owned(), Value::from(kind));
        }
        let text = format!("{line}\n");
        self.file.write_all(text.as_bytes())?;
        let length = u64::try_from(text.len()).map_err(io::Error::other)?;
        let end = self.end().saturating_add(length);
        self.lines.push(Line { kind, end });
        Ok(())
    }

    /// The lines after that sequence number, at most `limit`, of one kind where it is named: the JSON
    /// objects, separated by commas.
    pub(crate) fn since(&self, seq: usize, limit: usize, kind: Option<&str>) -> io::Result<String> {
        let wanted = self
            .lines
            .iter()
            .enumerate()
            .skip(seq)
            .filter(|(_, line)| kind.is_none_or(|kind| kind == line.kind))
            .take(limit);
        let mut shown = Vec::new();
        for (index, line) in wanted {
            let before = index.checked_sub(1).and_then(|at| self.lines.get(at));
            let begin = before.map_or(self.begin, |line| line.end);
            if !shown.is_empty() {
                shown.push(b',');
            }
            let from = shown.len();
            let length = line.end.saturating_sub(begin).saturating_sub(1);
            let length = usize::try_from(length).map_err(io::Error::other)?;
            shown.resize(from.saturating_add(length), 0);
            if let Some(place) = shown.get_mut(from..) {
                self.file.read_exact_at(place, begin)?;
            }
        }
        String::from_utf8(shown).map_err(io::Error::other)
    }

    /// How many lines there are.
    pub(crate) const fn len(&self) -> usize {
        self.lines.len()
    }

    /// Forgets all lines; the file keeps them.
    pub(crate) fn clear(&mut self) {
        self.begin = self.end();
        self.lines.clear();
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn filled(path: Option<&Path>) -> Journal {
        let mut journal = Journal::open(path).unwrap();
        for (kind, id) in [("capture", "A"), ("refund", "B€"), ("capture", "C")] {
            let now = OffsetDateTime::now_utc();
            journal.add(now, kind, json!({ "id": id })).unwrap();
        }
        journal
    }

    fn ids(journal: &Journal, seq: usize, limit: usize, kind: Option<&str>) -> Vec<Value> {
        let text = journal.since(seq, limit, kind).unwrap();
        let lines: Vec<Value> = serde_json::from_str(&format!("[{text}]")).unwrap();
        lines.iter().map(|line| line["id"].clone()).collect()
    }

    #[test]
    fn lines_are_read_from_any_number_by_kind_and_in_part() {
        let mut journal = filled(None);
        assert_eq!(ids(&journal, 0, 9, None), ["A", "B€", "C"]);
        assert_eq!(ids(&journal, 1, 9, None), ["B€", "C"]);
        assert_eq!(ids(&journal, 0, 2, None), ["A", "B€"]);
        assert_eq!(ids(&journal, 1, 9, Some("capture")), ["C"]);
        assert!(ids(&journal, 3, 9, None).is_empty());
        journal.clear();
        assert!(ids(&journal, 0, 9, None).is_empty());
        let now = OffsetDateTime::now_utc();
        journal.add(now, "capture", json!({ "id": "D" })).unwrap();
        assert_eq!(ids(&journal, 0, 9, None), ["D"]);
    }

    #[test]
    fn a_named_file_keeps_what_an_earlier_run_wrote() {
        let path = std::env::temp_dir().join(format!("journal-{}", crate::ids::uuid()));
        drop(filled(Some(&path)));
        let journal = filled(Some(&path));
        assert_eq!(ids(&journal, 2, 9, None), ["C"]);
        let written = std::fs::read_to_string(&path).unwrap();
        let numbers: Vec<Value> = written
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap()["seq"].clone())
            .collect();
        assert_eq!(numbers, [1, 2, 3, 1, 2, 3]);
        std::fs::remove_file(path).unwrap();
    }
}
