//! What a body is, told from its content: an image of a format that browsers show, whole, of a bounded size.
//!
//! Nothing is decoded: the parts of the file are walked over from the first to the last, each once, so that a
//! picture of a billion pixels costs no more than its bytes.

use imagesize::{ImageType, blob_size, image_type};

/// What makes a browser of old take a picture for a page. None of it stands in a picture by chance.
const MARKUP: [&[u8]; 7] = [
    b"<script",
    b"<!doctype",
    b"<html>",
    b"<html ",
    b"<iframe",
    b"<svg xmlns",
    b"<svg onload",
];

/// A format of pictures that browsers show and that carries no code: SVG does, and is not among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::catalog) enum Kind {
    Png,
    Jpeg,
    WebP,
    Gif,
}

impl Kind {
    pub(super) const ALL: [Self; 4] = [Self::Png, Self::Jpeg, Self::WebP, Self::Gif];

    pub(in crate::catalog) const fn content_type(self) -> &'static str {
        match self {
            Self::Png => "image/png",
            Self::Jpeg => "image/jpeg",
            Self::WebP => "image/webp",
            Self::Gif => "image/gif",
        }
    }

    pub(super) const fn extension(self) -> &'static str {
        match self {
            Self::Png => "png",
            Self::Jpeg => "jpg",
            Self::WebP => "webp",
            Self::Gif => "gif",
        }
    }

    fn of(bytes: &[u8]) -> Option<Self> {
        // The library was built with these four.
        match image_type(bytes).ok()? {
            ImageType::Png => Some(Self::Png),
            ImageType::Jpeg => Some(Self::Jpeg),
            ImageType::Webp => Some(Self::WebP),
            ImageType::Gif => Some(Self::Gif),
            _ => None,
        }
    }
}

/// Why a body is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    #[error("the content is none of PNG, JPEG, WebP and GIF")]
    Unknown,
    #[error("the content is {}", .0.content_type())]
    Other(Kind),
    #[error("the {} is damaged or cut short", .0.content_type())]
    Damaged(Kind),
    #[error("the image carries the markup of a page")]
    Markup,
    #[error("the image is {width} x {height} pixels; from 1 to {most} a side are taken")]
    Size {
        width: usize,
        height: usize,
        most: usize,
    },
}

/// How many of `bytes` are the image that it is `said` to be. What cameras and others write after its end is
/// none of it.
pub(super) fn extent(bytes: &[u8], said: Kind, most: usize) -> Result<usize, Refusal> {
    let kind = Kind::of(bytes).ok_or(Refusal::Unknown)?;
    if kind != said {
        return Err(Refusal::Other(kind));
    }
    let damaged = Refusal::Damaged(kind);
    let mut walk = Walk(bytes);
    let walked = match kind {
        Kind::Png => png(&mut walk),
        Kind::Jpeg => jpeg(&mut walk),
        Kind::WebP => webp(&mut walk),
        Kind::Gif => gif(&mut walk),
    };
    walked.ok_or(damaged)?;
    let length = bytes.len().saturating_sub(walk.0.len());
    let size = blob_size(bytes).map_err(|_unreadable| damaged)?;
    let (width, height) = (size.width, size.height);
    if !(1..=most).contains(&width) || !(1..=most).contains(&height) {
        return Err(Refusal::Size {
            width,
            height,
            most,
        });
    }
    if has_markup(bytes) {
        return Err(Refusal::Markup);
    }
    Ok(length)
}

fn has_markup(bytes: &[u8]) -> bool {
    let mut rest = bytes;
    while let Some(place) = rest.iter().position(|byte| *byte == b'<') {
        let (_, tail) = rest.split_at(place);
        let begins = |word: &&[u8]| {
            let head = tail.get(..word.len());
            head.is_some_and(|head| head.eq_ignore_ascii_case(word))
        };
        if MARKUP.iter().any(begins) {
            return true;
        }
        rest = tail.get(1..).unwrap_or_default();
    }
    false
}

/// What is left of a file; every step is `None` where there is less.
struct Walk<'a>(&'a [u8]);

impl<'a> Walk<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.array().map(|[byte]| byte)
    }

    fn long(&mut self, read: fn([u8; 4]) -> u32) -> Option<usize> {
        usize::try_from(read(self.array()?)).ok()
    }
}

/// Signature, chunks with their sums, `IEND` (PNG specification, section 5).
fn png(walk: &mut Walk<'_>) -> Option<()> {
    walk.take(8)?;
    let (mut begun, mut pixels) = (false, false);
    loop {
        let length = walk.long(u32::from_be_bytes)?;
        let summed = walk.take(length.checked_add(4)?)?;
        if u32::from_be_bytes(walk.array()?) != crc32fast::hash(summed) {
            return None;
        }
        let (name, data) = summed.split_first_chunk::<4>()?;
        if begun == (name == b"IHDR") || (!begun && data.len() != 13) {
            return None;
        }
        begun = true;
        match name {
            b"IDAT" => pixels = true,
            b"IEND" => return pixels.then_some(()),
            _ => {}
        }
    }
}

/// Segments, and scans up to the next marker, to the end of the image (ITU-T T.81, annex B).
fn jpeg(walk: &mut Walk<'_>) -> Option<()> {
    walk.take(2)?;
    let (mut framed, mut scanned) = (false, false);
    loop {
        if walk.byte()? != 0xFF {
            return None;
        }
        let mut marker = walk.byte()?;
        while marker == 0xFF {
            marker = walk.byte()?;
        }
        match marker {
            0xD9 => return (framed && scanned).then_some(()),
            // Markers without a length, which belong inside a scan or before everything.
            0x00 | 0x01 | 0xD0..=0xD8 => return None,
            _ => {}
        }
        let length = usize::from(u16::from_be_bytes(walk.array()?));
        walk.take(length.checked_sub(2)?)?;
        match marker {
            // C4, C8 and CC are tables and an extension.
            0xC0..=0xC3 | 0xC5..=0xC7 | 0xC9..=0xCB | 0xCD..=0xCF => framed = true,
            0xDA if framed => {
                scan(walk)?;
                scanned = true;
            }
            0xDA => return None,
            _ => {}
        }
    }
}

/// Passes over a scan's data, in which FF is followed by 00 or is a restart.
fn scan(walk: &mut Walk<'_>) -> Option<()> {
    loop {
        let place = walk.0.iter().position(|byte| *byte == 0xFF)?;
        walk.take(place)?;
        match walk.0.get(1)? {
            0x00 | 0xD0..=0xD7 => walk.take(2)?,
            // Filling before a marker.
            0xFF => walk.take(1)?,
            _ => return Some(()),
        };
    }
}

/// `RIFF`, its length, and chunks that fill it exactly (RFC 9649, section 2).
fn webp(walk: &mut Walk<'_>) -> Option<()> {
    walk.take(4)?;
    let length = walk.long(u32::from_le_bytes)?;
    let mut inside = Walk(walk.take(length)?);
    inside.take(4)?;
    let mut pixels = false;
    while !inside.0.is_empty() {
        let name = inside.array::<4>()?;
        let length = inside.long(u32::from_le_bytes)?;
        inside.take(length)?;
        inside.take(length % 2)?;
        pixels |= matches!(&name, b"VP8 " | b"VP8L" | b"ANMF");
    }
    pixels.then_some(())
}

/// Screen, extensions and pictures in blocks, the trailer (`GIF89a` specification).
fn gif(walk: &mut Walk<'_>) -> Option<()> {
    walk.take(6)?;
    let [_, _, _, _, flags, _, _] = walk.array()?;
    colors(walk, flags)?;
    let mut pixels = false;
    loop {
        match walk.byte()? {
            0x21 => {
                walk.byte()?;
            }
            0x2C => {
                let [_, _, _, _, _, _, _, _, flags] = walk.array()?;
                colors(walk, flags)?;
                walk.byte()?;
                pixels = true;
            }
            0x3B => return pixels.then_some(()),
            _ => return None,
        }
        loop {
            match walk.byte()? {
                0 => break,
                length => walk.take(length.into())?,
            };
        }
    }
}

/// Passes over a table of colours, where the flags say that there is one.
fn colors(walk: &mut Walk<'_>, flags: u8) -> Option<()> {
    if flags & 0x80 != 0 {
        walk.take(3 << ((flags & 7) + 1))?;
    }
    Some(())
}
