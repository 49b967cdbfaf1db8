//! The bytes of an event file: `TFRecord` frames (length, its masked CRC-32C, data, their masked CRC-32C) around protocol
//! buffers, whose few required fields are encoded here (tensorflow/core/util/event.proto, framework/summary.proto).
//!
//! Knows no tag and no stage. The wall-clock time of every event is its step, in seconds: the time of an iteration isn't
//! recorded, and so equal trainings have equal events.

/// The content of an event.
pub(super) enum What<'a> {
    /// The first record of a file: its format version.
    Version,
    /// A session starts here: a reader drops this step and later ones.
    Start,
    /// Numbers and pictures, as made by [`scalar`] and [`image`].
    Summary(&'a [u8]),
}

/// Appends the record of one event.
pub(super) fn put_event(out: &mut Vec<u8>, step: u64, what: &What<'_>) {
    const SESSION_START: u64 = 1;
    let mut event = Vec::new();
    put_tag(&mut event, 1, 1);
    event.extend((step as f64).to_le_bytes());
    put_integer(&mut event, 2, step);
    match what {
        What::Version => put_bytes(&mut event, 3, b"brain.Event:2"),
        What::Start => {
            let mut session = Vec::new();
            put_integer(&mut session, 1, SESSION_START);
            put_bytes(&mut event, 7, &session);
        }
        What::Summary(summary) => put_bytes(&mut event, 5, summary),
    }
    let length = (event.len() as u64).to_le_bytes();
    for part in [&length[..], &event] {
        out.extend(part);
        out.extend(masked_crc32c(part).to_le_bytes());
    }
}

/// Adds a number to a summary.
pub(super) fn put_scalar(summary: &mut Vec<u8>, tag: &str, scalar: f64) {
    let mut value = Vec::new();
    put_bytes(&mut value, 1, tag.as_bytes());
    put_tag(&mut value, 2, 5);
    value.extend((scalar as f32).to_le_bytes());
    put_bytes(summary, 1, &value);
}

/// Adds a PNG or JPEG to a summary; ignores other files.
pub(super) fn put_image(summary: &mut Vec<u8>, tag: &str, file: &[u8]) {
    let Some([width, height]) = intrada_picture::size_of(file) else { return };
    let mut image = Vec::new();
    [(1, height), (2, width), (3, 3)]
        .iter()
        .for_each(|(field, value)| put_integer(&mut image, *field, (*value).into()));
    put_bytes(&mut image, 4, file);
    let mut value = Vec::new();
    put_bytes(&mut value, 1, tag.as_bytes());
    put_bytes(&mut value, 4, &image);
    put_bytes(summary, 1, &value);
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// `wire`: 0 for a varint, 1 for 8 bytes, 2 for bytes with their length, 5 for 4 bytes.
pub(super) fn put_tag(out: &mut Vec<u8>, field: u32, wire: u32) {
    put_varint(out, (field << 3 | wire).into());
}

pub(super) fn put_integer(out: &mut Vec<u8>, field: u32, value: u64) {
    put_tag(out, field, 0);
    put_varint(out, value);
}

pub(super) fn put_bytes(out: &mut Vec<u8>, field: u32, bytes: &[u8]) {
    put_tag(out, field, 2);
    put_varint(out, bytes.len() as u64);
    out.extend(bytes);
}

/// CRC-32C (Castagnoli), of each byte.
const TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let (mut crc, mut bit) = (byte as u32, 0);
        while bit < 8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
};

/// Masked as `TFRecord` requires: a checksum of data that contain a checksum would be too regular
/// (tensorflow/core/lib/hash/crc32c.h).
fn masked_crc32c(bytes: &[u8]) -> u32 {
    let crc = !bytes.iter().fold(!0u32, |crc, byte| TABLE[(crc as u8 ^ byte) as usize] ^ crc >> 8);
    crc.rotate_right(15).wrapping_add(0xa282_ead8)
}

/// The data of each frame of complete records, with verified checksums.
#[cfg(test)]
pub(in crate::report) fn frames(mut bytes: &[u8]) -> Vec<&[u8]> {
    let mut frames = Vec::new();
    while !bytes.is_empty() {
        let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        assert_eq!(bytes[8..12], masked_crc32c(&bytes[..8]).to_le_bytes());
        let data = &bytes[12..12 + length];
        assert_eq!(bytes[12 + length..16 + length], masked_crc32c(data).to_le_bytes());
        frames.push(data);
        bytes = &bytes[16 + length..];
    }
    frames
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_that_of_rfc_3720() {
        let unmasked = |bytes: &[u8]| masked_crc32c(bytes).wrapping_sub(0xa282_ead8).rotate_left(15);
        // RFC 3720, B.4, and the usual check value.
        assert_eq!(unmasked(&[0; 32]), 0x8a91_36aa);
        assert_eq!(unmasked(b"123456789"), 0xe306_9283);
    }

    #[test]
    fn the_wall_clock_time_of_an_event_is_its_step() {
        let mut out = Vec::new();
        put_event(&mut out, 300, &What::Summary(b""));
        // Wall time 300.0, then field 2 with the varint 300.
        assert_eq!(frames(&out)[0][..12], [&[0x09][..], &300.0f64.to_le_bytes(), &[0x10, 0xac, 0x02]].concat());
    }
}
