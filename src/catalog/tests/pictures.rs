//! Pictures made by hand: as small as they may be, and as wide and high as they say.

use crate::catalog::images::Kind;

pub(in crate::catalog) fn all(width: u16, height: u16) -> Vec<(Kind, Vec<u8>)> {
    vec![
        (Kind::Png, png(width.into(), height.into())),
        (Kind::Jpeg, jpeg(width, height)),
        (Kind::WebP, webp(width.into(), height.into())),
        (Kind::Gif, gif(width, height)),
    ]
}

pub(in crate::catalog) fn png(width: u32, height: u32) -> Vec<u8> {
    let mut header = [width.to_be_bytes(), height.to_be_bytes()].concat();
    header.extend([8, 2, 0, 0, 0]);
    let chunk = |name: &[u8; 4], data: &[u8]| {
        let summed = [&name[..], data].concat();
        let length = u32::try_from(data.len()).unwrap().to_be_bytes();
        let sum = crc32fast::hash(&summed).to_be_bytes();
        [&length[..], &summed, &sum].concat()
    };
    [
        b"\x89PNG\r\n\x1a\n".to_vec(),
        chunk(b"IHDR", &header),
        chunk(b"IDAT", b"\x78\x9c\x03\x00\x00\x00\x00\x01"),
        chunk(b"IEND", b""),
    ]
    .concat()
}

pub(in crate::catalog) fn jpeg(width: u16, height: u16) -> Vec<u8> {
    let segment = |marker: u8, data: &[u8]| {
        let length = u16::try_from(data.len() + 2).unwrap().to_be_bytes();
        [&[0xFF, marker], &length[..], data].concat()
    };
    let ([h1, h2], [w1, w2]) = (height.to_be_bytes(), width.to_be_bytes());
    [
        vec![0xFF, 0xD8],
        segment(0xE0, b"JFIF\0\x01\x01\0\0\x01\0\x01\0\0"),
        segment(0xC0, &[8, h1, h2, w1, w2, 1, 1, 0x11, 0]),
        // Filling before a marker; a stuffed byte, a restart and filling in a scan.
        vec![0xFF],
        segment(0xDA, &[1, 1, 0, 0, 63, 0]),
        vec![1, 2, 0xFF, 0x00, 3, 0xFF, 0xD0, 4, 0xFF],
        vec![0xFF, 0xD9],
    ]
    .concat()
}

pub(in crate::catalog) fn webp(width: u32, height: u32) -> Vec<u8> {
    let less_one = |side: u32| side.wrapping_sub(1).to_le_bytes()[..3].to_vec();
    let canvas = [vec![0; 4], less_one(width), less_one(height)].concat();
    let chunk = |name: &[u8; 4], data: &[u8]| {
        let length = u32::try_from(data.len()).unwrap().to_le_bytes();
        let filled = vec![0; data.len() % 2];
        [&name[..], &length, data, &filled].concat()
    };
    let inside = [
        b"WEBP".to_vec(),
        chunk(b"VP8X", &canvas),
        chunk(b"VP8L", &[0x2F, 0, 0, 0, 0]),
    ]
    .concat();
    chunk(b"RIFF", &inside)
}

pub(in crate::catalog) fn gif(width: u16, height: u16) -> Vec<u8> {
    let sides = [width.to_le_bytes(), height.to_le_bytes()].concat();
    [
        b"GIF89a".to_vec(),
        sides.clone(),
        vec![0, 0, 0],
        vec![0x21, 0xF9, 4, 0, 0, 0, 0, 0],
        vec![0x2C, 0, 0, 0, 0],
        sides,
        // A table of two colours, the width of a code, one block, the end.
        vec![0x80, 0, 0, 0, 255, 255, 255, 2, 2, 0x44, 1, 0, 0x3B],
    ]
    .concat()
}
