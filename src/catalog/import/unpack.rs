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
/// Bytes that any file may unpack to: the largest that is taken, at the ratio of a catalogue that packs well.
const IN_ALL: u64 = 32 * 1024 * 1024 * 1024;

/// Why a file is not unpacked further that has given `given` bytes for `taken` packed ones.
fn refusal(taken: u64, given: u64) -> Option<&'static str> {
    if given > IN_ALL {
        return Some("the file unpacks to more than 32 GiB");
    }
    let is_trap = given > FREE && given > taken.saturating_mul(MOST);
    is_trap.then_some("the file unpacks to more than two hundred times its size")
}

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
        match refusal(self.taken.load(Ordering::Relaxed), self.given) {
            Some(message) => Err(io::Error::other(message)),
            None => Ok(read),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_unpacks_to_too_much_is_refused_by_its_ratio_and_in_all() {
        assert_eq!(refusal(1, FREE), None);
        assert!(refusal(1, FREE + 1).is_some());
        assert_eq!(refusal(FREE, FREE * MOST), None);
        assert!(refusal(FREE, FREE * MOST + 1).is_some());
        assert_eq!(refusal(IN_ALL, IN_ALL), None);
        assert!(refusal(IN_ALL, IN_ALL + 1).is_some());
    }
}
