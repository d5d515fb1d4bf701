//! Rows of a file: JSON Lines or CSV, plain or gzip, one at a time and bounded.

use std::io::{self, BufRead, BufReader, Read};

use serde_json::Value;

use super::{csv_rows::CsvRows, report::RowFault, unpack::Unpacked};

/// The most bytes of one row: what is longer is skipped and reported, never held.
pub(super) const MAX_ROW: usize = 4 * 1024 * 1024;
/// How gzip begins (RFC 1952).
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// The form of a file's rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// A JSON value a line.
    JsonLines,
    /// Comma-separated values with a head line.
    Csv,
}

impl Format {
    /// The form that a file's name tells: CSV for `.csv` and `.csv.gz`, else JSON Lines.
    #[must_use]
    pub fn of_name(name: &str) -> Self {
        let name = name.to_ascii_lowercase();
        let plain = name.strip_suffix(".gz").unwrap_or(&name);
        if plain.strip_suffix(".csv").is_some() {
            Self::Csv
        } else {
            Self::JsonLines
        }
    }
}

/// A row: its line in the file, and its fields or why it has none.
pub(super) struct Row {
    pub(super) line: u64,
    pub(super) value: Result<Value, RowFault>,
}

pub(super) type Input = Box<dyn BufRead + Send>;

/// The rows of a file, read as they are asked for.
pub(super) enum Rows {
    JsonLines { input: Input, line: u64 },
    Csv(Box<CsvRows>),
}

impl Rows {
    /// Opens `input`; gzip is recognised by how it begins.
    ///
    /// # Errors
    /// When it cannot be read, or a CSV has no head line.
    pub(super) fn open(input: impl Read + Send + 'static, format: Format) -> io::Result<Self> {
        let mut input: Input = Box::new(BufReader::with_capacity(1 << 16, input));
        if input.fill_buf()?.starts_with(&GZIP) {
            let unpacked = Unpacked::new(input);
            input = Box::new(BufReader::with_capacity(1 << 16, unpacked));
        }
        let begin = input.fill_buf()?;
        if begin.starts_with(b"\xff\xfe") || begin.starts_with(b"\xfe\xff") {
            return Err(io::Error::other("the file is UTF-16; save it as UTF-8"));
        }
        match format {
            Format::JsonLines => Ok(Self::JsonLines { input, line: 0 }),
            Format::Csv => Ok(Self::Csv(Box::new(CsvRows::open(input)?))),
        }
    }

    /// The next row; `None` at the end.
    ///
    /// # Errors
    /// When the file itself cannot be read on, such as a gzip stream that is cut off.
    pub(super) fn next(&mut self) -> io::Result<Option<Row>> {
        match self {
            Self::JsonLines { input, line } => next_line(input, line),
            Self::Csv(rows) => rows.next(),
        }
    }
}

fn next_line(input: &mut Input, line: &mut u64) -> io::Result<Option<Row>> {
    loop {
        skip_blank(input, line)?;
        let mut bytes = Vec::new();
        let limit = u64::try_from(MAX_ROW).unwrap_or(u64::MAX).saturating_add(1);
        let read = input.by_ref().take(limit).read_until(b'\n', &mut bytes)?;
        if read == 0 {
            return Ok(None);
        }
        *line = line.saturating_add(1);
        if bytes.len() > MAX_ROW {
            skip_line(input)?;
            let message = format!("a row has {MAX_ROW} bytes at most");
            return Ok(Some(Row {
                line: *line,
                value: Err(RowFault::new(*line, "row_too_long", "", message)),
            }));
        }
        let text = bytes.trim_ascii();
        let text = if *line == 1 {
            text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text)
        } else {
            text
        };
        if !text.is_empty() {
            return Ok(Some(Row {
                line: *line,
                value: parse(*line, text),
            }));
        }
    }
}

/// Goes past white space between rows, whole buffers at a time: a file of nothing else is a row for each byte
/// otherwise. Counts the lines that end in it.
fn skip_blank(input: &mut Input, line: &mut u64) -> io::Result<()> {
    loop {
        let buffer = input.fill_buf()?;
        let (mut blank, mut ended) = (0_usize, 0_u64);
        for byte in buffer.iter().take_while(|byte| byte.is_ascii_whitespace()) {
            blank += 1;
            ended += u64::from(*byte == b'\n');
        }
        let is_past = blank < buffer.len() || buffer.is_empty();
        input.consume(blank);
        *line = line.saturating_add(ended);
        if is_past {
            return Ok(());
        }
    }
}

fn parse(line: u64, text: &[u8]) -> Result<Value, RowFault> {
    let text = std::str::from_utf8(text).map_err(|error| {
        RowFault::new(
            line,
            "not_utf8",
            "",
            format!("not UTF-8 from byte {}", error.valid_up_to()),
        )
    })?;
    serde_json::from_str(text).map_err(|error| {
        // serde_json counts lines from this text's own start.
        let message = error.to_string();
        let place = message
            .split_once(" at line 1")
            .map_or(message.clone(), |(what, at)| format!("{what}{at}"));
        RowFault::new(line, "not_json", "", place)
    })
}

fn skip_line(input: &mut Input) -> io::Result<()> {
    loop {
        let buffer = input.fill_buf()?;
        if buffer.is_empty() {
            return Ok(());
        }
        if let Some(end) = buffer.iter().position(|byte| *byte == b'\n') {
            input.consume(end + 1);
            return Ok(());
        }
        let length = buffer.len();
        input.consume(length);
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Write};

    use super::*;

    fn read(bytes: Vec<u8>, format: Format) -> Vec<(u64, Result<String, String>)> {
        let mut rows = Rows::open(Cursor::new(bytes), format).unwrap();
        let mut all = Vec::new();
        while let Some(row) = rows.next().unwrap() {
            all.push((
                row.line,
                row.value
                    .map(|value| value.to_string())
                    .map_err(|fault| fault.code),
            ));
        }
        all
    }

    #[test]
    fn a_bad_line_is_named_and_the_rest_goes_on() {
        let mut text = b"\xef\xbb\xbf{\"a\":1}\r\n\n{bad\n\"\xff\"\n".to_vec();
        text.extend(vec![b'x'; MAX_ROW + 10]);
        text.extend(b"\n{\"a\":2}");
        let ok = |text: &str| Ok(text.to_owned());
        let bad = |code: &str| Err(code.to_owned());
        assert_eq!(
            read(text, Format::JsonLines),
            [
                (1, ok("{\"a\":1}")),
                (3, bad("not_json")),
                (4, bad("not_utf8")),
                (5, bad("row_too_long")),
                (6, ok("{\"a\":2}")),
            ]
        );
    }

    #[test]
    fn lines_are_counted_across_any_run_of_blank_ones() {
        let blank = [b"\n".repeat(100_000), b" \r\n\t\n".to_vec()].concat();
        let text = [&blank[..], b" {\"a\":1} \n", &blank, b"{bad\n", &blank].concat();
        assert_eq!(
            read(text, Format::JsonLines),
            [
                (100_003, Ok("{\"a\":1}".to_owned())),
                (200_006, Err("not_json".to_owned())),
            ]
        );
        assert!(read(blank, Format::JsonLines).is_empty());
    }

    #[test]
    fn gzip_is_recognised_and_a_cut_stream_is_an_error() {
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        packer.write_all(b"{\"a\":1}\n").unwrap();
        let packed = packer.finish().unwrap();
        assert_eq!(read(packed.clone(), Format::JsonLines).len(), 1);
        let cut = packed[..packed.len() - 6].to_vec();
        let mut rows = Rows::open(Cursor::new(cut), Format::JsonLines).unwrap();
        let outcome =
            std::iter::from_fn(|| rows.next().transpose()).collect::<io::Result<Vec<_>>>();
        assert!(outcome.is_err());
    }

    #[test]
    fn cells_stand_under_their_columns() {
        // Without a head line there are no columns.
        assert!(Rows::open(Cursor::new(Vec::new()), Format::Csv).is_err());
        let text = b"sku,title\n1,\"a \"\"b\"\"\nc\"\n2\n3,\n".to_vec();
        let rows = read(text, Format::Csv);
        assert_eq!(
            rows[0],
            (2, Ok(r#"{"sku":"1","title":"a \"b\"\nc"}"#.into()))
        );
        assert_eq!(rows[1].1, Err("cell_count".into()));
        assert_eq!(rows[2].1, Ok(r#"{"sku":"3","title":null}"#.into()));
    }

    #[test]
    fn a_long_cell_is_skipped_and_a_quote_without_end_is_named() {
        let mut text = b"sku,title\n1,\"".to_vec();
        text.extend(vec![b'x'; MAX_ROW + 10]);
        text.extend(b"\"\n2,b\n3,\"never\n4,d\n");
        let rows = read(text, Format::Csv);
        assert_eq!(rows[0], (2, Err("row_too_long".into())));
        assert_eq!(rows[1], (3, Ok(r#"{"sku":"2","title":"b"}"#.into())));
        assert_eq!(rows[2], (4, Err("quote_not_closed".into())));
        assert_eq!(rows.len(), 3);
        let many = [b"sku\n".to_vec(), vec![b','; 100_000], b"\n1\n".to_vec()].concat();
        let rows = read(many, Format::Csv);
        assert_eq!(
            (rows[0].1.clone(), rows.len()),
            (Err("row_too_long".into()), 2)
        );
    }

    #[test]
    fn other_encodings_are_refused_by_name() {
        let open = |bytes: &[u8]| Rows::open(Cursor::new(bytes.to_vec()), Format::Csv).err();
        let utf16 = open(b"\xff\xfes\0k\0u\0").unwrap();
        assert!(utf16.to_string().contains("UTF-16"));
        assert!(
            open(b"sku,t\xeftel\n")
                .unwrap()
                .to_string()
                .contains("UTF-8")
        );
        let rows = read(b"sku,title\n1,caf\xe9\n2,ok\n".to_vec(), Format::Csv);
        assert_eq!(rows[0].1, Err("not_utf8".into()));
        assert!(rows[1].1.is_ok());
    }

    #[test]
    fn a_small_file_that_unpacks_to_gigabytes_is_an_error() {
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        let zeros = vec![b' '; 1 << 20];
        for _ in 0..200 {
            packer.write_all(&zeros).unwrap();
        }
        let packed = packer.finish().unwrap();
        let mut rows = Rows::open(Cursor::new(packed), Format::JsonLines).unwrap();
        let outcome =
            std::iter::from_fn(|| rows.next().transpose()).collect::<io::Result<Vec<_>>>();
        assert!(outcome.err().unwrap().to_string().contains("unpacks"));
    }

    #[test]
    fn the_name_tells_the_form() {
        assert_eq!(Format::of_name("a.CSV.gz"), Format::Csv);
        assert_eq!(Format::of_name("a.jsonl.gz"), Format::JsonLines);
    }
}
