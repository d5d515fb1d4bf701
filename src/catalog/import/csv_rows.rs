//! Rows of a CSV (RFC 4180), read in bounded memory: a cell of ten megabytes is skipped and reported, and a
//! quote that is never closed does not make the rest of the file one cell in memory.

use std::io::{self, BufRead};

use csv_core::{ReadRecordResult, Reader};
use serde_json::{Map, Value};

use super::{
    read::{Input, MAX_ROW, Row},
    report::RowFault,
};

/// The most columns of a file.
const MAX_COLUMNS: usize = 2_000;

/// The rows.
pub(super) struct CsvRows {
    input: Input,
    reader: Reader,
    head: Vec<String>,
    /// The cells of a row, one after the other, and where each ends.
    cells: Vec<u8>,
    ends: Vec<usize>,
}

/// What was read of one row.
struct Record {
    line: u64,
    cells: usize,
    bytes: usize,
    /// Whether it did not fit.
    too_long: bool,
    /// Whether the file ended inside quotes.
    open_quote: bool,
}

impl CsvRows {
    /// Reads the head line.
    ///
    /// # Errors
    /// When there is none that can be read.
    pub(super) fn open(mut input: Input) -> io::Result<Self> {
        if input.fill_buf()?.starts_with(b"\xef\xbb\xbf") {
            input.consume(3);
        }
        let mut rows = Self {
            input,
            reader: Reader::new(),
            head: Vec::new(),
            cells: vec![0; 64 * 1024],
            ends: vec![0; MAX_COLUMNS],
        };
        let head = rows.record()?;
        let Some(head) = head.filter(|head| !head.too_long && !head.open_quote) else {
            return Err(io::Error::other("a CSV begins with a line of column names"));
        };
        let mut names: Vec<String> = Vec::with_capacity(head.cells);
        for cell in rows.cells_of(&head) {
            let name = std::str::from_utf8(cell)
                .map_err(|_bytes| io::Error::other("the head line is not UTF-8"))?;
            let name = name.trim().to_owned();
            if names.contains(&name) {
                let message = format!("the column {name:?} stands twice");
                return Err(io::Error::other(message));
            }
            names.push(name);
        }
        rows.head = names;
        Ok(rows)
    }

    /// The next row; `None` at the end.
    ///
    /// # Errors
    /// When the file itself cannot be read on.
    pub(super) fn next(&mut self) -> io::Result<Option<Row>> {
        let Some(record) = self.record()? else {
            return Ok(None);
        };
        Ok(Some(Row {
            line: record.line,
            value: self.fields(&record),
        }))
    }

    fn record(&mut self) -> io::Result<Option<Record>> {
        let mut record = Record {
            line: self.reader.line(),
            cells: 0,
            bytes: 0,
            too_long: false,
            open_quote: false,
        };
        let mut quotes = 0_usize;
        loop {
            let read = self.input.fill_buf()?;
            let at_end = read.is_empty();
            let room = self.cells.get_mut(record.bytes..).unwrap_or_default();
            let ends = self.ends.get_mut(record.cells..).unwrap_or_default();
            let (result, taken, bytes, cells) = self.reader.read_record(read, room, ends);
            let raw = read.get(..taken).unwrap_or_default();
            // Empty lines are skipped: the row begins after them.
            if record.bytes == 0 && record.cells == 0 && quotes == 0 && !record.too_long {
                let skipped = raw.iter().take_while(|b| matches!(b, b'\n' | b'\r'));
                let lines = skipped.filter(|byte| **byte == b'\n').count();
                record.line += u64::try_from(lines).unwrap_or_default();
            }
            quotes += raw
                .iter()
                .map(|byte| usize::from(*byte == b'"'))
                .sum::<usize>();
            self.input.consume(taken);
            record.bytes += bytes;
            record.cells += cells;
            match result {
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::OutputFull if self.cells.len() < MAX_ROW => {
                    let more = (self.cells.len() * 2).min(MAX_ROW);
                    self.cells.resize(more, 0);
                }
                ReadRecordResult::OutputFull | ReadRecordResult::OutputEndsFull => {
                    // Read on to its end, and keep nothing.
                    record.too_long = true;
                    record.bytes = 0;
                    record.cells = 0;
                }
                ReadRecordResult::Record => {
                    record.open_quote = at_end && quotes % 2 == 1;
                    return Ok(Some(record));
                }
                ReadRecordResult::End => return Ok(None),
            }
        }
    }

    fn cells_of(&self, record: &Record) -> Vec<&[u8]> {
        let ends = self.ends.get(..record.cells).unwrap_or_default();
        let mut begin = 0;
        let cells = ends.iter().map(|end| {
            let cell = self.cells.get(begin..*end).unwrap_or_default();
            begin = *end;
            cell
        });
        cells.collect()
    }

    fn fields(&self, record: &Record) -> Result<Value, RowFault> {
        let line = record.line;
        if record.open_quote {
            let message = "a quote of this row is never closed";
            return Err(RowFault::new(line, "quote_not_closed", "", message));
        }
        if record.too_long {
            let message = format!("a row has {MAX_ROW} bytes and {MAX_COLUMNS} cells at most");
            return Err(RowFault::new(line, "row_too_long", "", message));
        }
        let cells = self.cells_of(record);
        if cells.len() != self.head.len() {
            let message = format!("{} cells under {} columns", cells.len(), self.head.len());
            return Err(RowFault::new(line, "cell_count", "", message));
        }
        let mut row = Map::new();
        for (name, cell) in self.head.iter().zip(cells) {
            let text = std::str::from_utf8(cell)
                .map_err(|_bytes| RowFault::new(line, "not_utf8", name, "the cell is not UTF-8"))?;
            // An empty cell says nothing, as null does in JSON.
            let value = if text.is_empty() {
                Value::Null
            } else {
                Value::String(text.to_owned())
            };
            row.insert(name.clone(), value);
        }
        Ok(Value::Object(row))
    }
}
