//! Refuses a frame that is too long from its header, before its bytes are buffered.
//!
//! actix-http checks its own limit only once the whole frame is in memory (`actix-http/src/ws/frame.rs`,
//! "not enough data" comes before the size check), so that one anonymous socket could fill it.

use std::{
    cell::Cell,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use actix_web::{error::PayloadError, web::Bytes};
use futures_util::{Stream, StreamExt, stream::LocalBoxStream};

/// Bytes of a frame's header at most: two, eight of length, four of mask (RFC 6455, 5.2).
const MAX_HEAD: usize = 14;

/// The client's bytes, as long as no frame among them is longer than allowed.
pub(super) struct FrameGuard {
    inner: LocalBoxStream<'static, Result<Bytes, PayloadError>>,
    max: u64,
    head: Vec<u8>,
    left: u64,
    overflowed: Rc<Cell<bool>>,
}

impl FrameGuard {
    /// Lets frames of up to `max` bytes through; `overflowed` becomes true with the first longer one.
    pub(super) fn new(
        inner: impl Stream<Item = Result<Bytes, PayloadError>> + 'static,
        max: u64,
        overflowed: Rc<Cell<bool>>,
    ) -> Self {
        Self {
            inner: inner.boxed_local(),
            max,
            head: Vec::with_capacity(MAX_HEAD),
            left: 0,
            overflowed,
        }
    }

    fn check(&mut self, bytes: &[u8]) -> Result<(), PayloadError> {
        let mut bytes = bytes;
        while let Some((first, rest)) = bytes.split_first() {
            if self.left > 0 {
                let here = u64::try_from(bytes.len())
                    .unwrap_or(u64::MAX)
                    .min(self.left);
                self.left -= here;
                let here = usize::try_from(here).unwrap_or(usize::MAX);
                bytes = bytes.get(here..).unwrap_or_default();
                continue;
            }
            self.head.push(*first);
            bytes = rest;
            if let Some(length) = self.frame_length() {
                if length > self.max {
                    self.overflowed.set(true);
                    return Err(PayloadError::Overflow);
                }
                if self.head.len() >= self.head_length() {
                    self.left = length;
                    self.head.clear();
                }
            }
        }
        Ok(())
    }

    /// The second byte: whether there is a mask, and the length or how it follows.
    fn second(&self) -> u8 {
        self.head.get(1).copied().unwrap_or_default()
    }

    fn extension(&self) -> usize {
        match self.second() & 0x7f {
            126 => 2,
            127 => 8,
            0..=125 | 128..=255 => 0,
        }
    }

    fn head_length(&self) -> usize {
        let mask = if self.second() & 0x80 == 0 { 0 } else { 4 };
        2 + self.extension() + mask
    }

    /// The payload's length, once the header has shown it.
    fn frame_length(&self) -> Option<u64> {
        let extension = self.extension();
        let extended = self.head.get(2..2 + extension)?;
        if self.head.len() < 2 {
            return None;
        }
        Some(match extension {
            0 => u64::from(self.second() & 0x7f),
            _ => extended
                .iter()
                .fold(0, |length, byte| length << 8 | u64::from(*byte)),
        })
    }
}

impl Stream for FrameGuard {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = ready!(self.inner.poll_next_unpin(cx));
        Poll::Ready(next.map(|read| {
            let bytes = read?;
            self.check(&bytes).map(|()| bytes)
        }))
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt, stream};
    use proptest::prelude::*;

    use super::*;

    /// A masked frame's header as clients send it.
    fn header(length: u64) -> Vec<u8> {
        let mut head = vec![0x81];
        if length < 126 {
            head.push(0x80 | u8::try_from(length).unwrap());
        } else if let Ok(short) = u16::try_from(length) {
            head.push(0x80 | 0x7e);
            head.extend(short.to_be_bytes());
        } else {
            head.push(0x80 | 0x7f);
            head.extend(length.to_be_bytes());
        }
        head.extend([1, 2, 3, 4]);
        head
    }

    fn passes(bytes: &[u8], piece: usize) -> bool {
        let overflowed = Rc::new(Cell::new(false));
        let pieces: Vec<_> = bytes
            .chunks(piece)
            .map(|b| Ok(Bytes::copy_from_slice(b)))
            .collect();
        let guard = FrameGuard::new(stream::iter(pieces), 16_384, overflowed.clone());
        let seen: Vec<_> = guard.collect().now_or_never().unwrap();
        let whole = seen.iter().all(Result::is_ok);
        assert_eq!(whole, !overflowed.get());
        whole
    }

    #[test]
    fn a_frame_of_a_gibibyte_is_refused_from_its_header() {
        assert!(!passes(&header(1 << 30), 3));
        assert!(!passes(&header(16_385), 100));
        assert!(!passes(&header(u64::MAX), 1));
    }

    proptest! {
        #[test]
        fn frames_pass_whatever_pieces_they_come_in(
            lengths in prop::collection::vec(0_u64..=16_384, 1..5), piece in 1_usize..50, long in any::<bool>()
        ) {
            let mut bytes = Vec::new();
            for length in lengths {
                bytes.extend(header(length));
                bytes.extend(vec![0xff; usize::try_from(length).unwrap()]);
            }
            if long {
                bytes.extend(header(16_385));
            }
            prop_assert_eq!(passes(&bytes, piece), !long);
        }
    }
}
