//! Gzip, unpacked within bounds: a few megabytes may not become terabytes.

use std::{
    io::{self, Read},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use flate2::read::MultiGzDecoder;

use super::read::Input;

/// Bytes that a file may unpack to whatever its size.
const FREE: u64 = 64 * 1024 * 1024;
/// Beyond that, bytes for each packed one. Catalogues pack to a tenth or a thirtieth; nothing but a trap
/// comes near the thousandth that gzip can do.
const MOST: u64 = 200;

/// A gzip stream, unpacked as it is read.
pub(super) struct Unpacked {
    decoder: MultiGzDecoder<Packed>,
    taken: Arc<AtomicU64>,
    given: u64,
}

/// Counts the packed bytes.
struct Packed {
    input: Input,
    taken: Arc<AtomicU64>,
}

impl Read for Packed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(buffer)?;
        let bytes = u64::try_from(read).unwrap_or_default();
        self.taken.fetch_add(bytes, Ordering::Relaxed);
        Ok(read)
    }
}

impl Unpacked {
    /// Unpacks `input`.
    pub(super) fn new(input: Input) -> Self {
        let taken: Arc<AtomicU64> = Arc::default();
        let packed = Packed {
            input,
            taken: taken.clone(),
        };
        Self {
            decoder: MultiGzDecoder::new(packed),
            taken,
            given: 0,
        }
    }
}

impl Read for Unpacked {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.decoder.read(buffer)?;
        self.given += u64::try_from(read).unwrap_or_default();
        let allowed = self.taken.load(Ordering::Relaxed).saturating_mul(MOST);
        if self.given > FREE && self.given > allowed {
            let message = "the file unpacks to more than two hundred times its size";
            return Err(io::Error::other(message));
        }
        Ok(read)
    }
}
