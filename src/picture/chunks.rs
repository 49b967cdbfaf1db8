//! Walks a PNG file chunk by chunk (ISO/IEC 15948, section 5): whether it is complete, and its size and format.
//!
//! Doesn't decompress. Every chunk that the pixels depend on must have a correct checksum, and the end chunk must be
//! present; that detects damage in transfer. Files that were written wrongly are detected by `decode`. Bytes after the end
//! chunk are ignored.

use super::{Facts, Fault, Format, Orientation, check_size, exif};

pub(crate) const SIGNATURE: [u8; 8] = *b"\x89PNG\r\n\x1a\n";

/// The end chunk, which is empty.
pub(crate) const LAST: [u8; 12] = *b"\0\0\0\0IEND\xae\x42\x60\x82";

/// The chunks that the pixels depend on and that decoders support.
const CRITICAL: [&[u8; 4]; 4] = [b"IHDR", b"PLTE", b"IDAT", b"IEND"];

/// What the walk found, and what only decoding the pixels can confirm.
pub(crate) struct Walked {
    pub(crate) facts: Facts,
    pub(crate) is_deep: bool,
    pub(crate) may_be_see_through: bool,
}

struct Chunk<'a> {
    name: [u8; 4],
    data: &'a [u8],
    checksum: u32,
    next: usize,
}

impl Chunk<'_> {
    /// The ancillary bit: a decoder may skip the chunk.
    fn is_critical(&self) -> bool {
        self.name[0] & 0x20 == 0
    }

    fn shown(&self) -> String {
        self.name.escape_ascii().to_string()
    }

    fn is_intact(&self) -> bool {
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&self.name);
        hasher.update(self.data);
        hasher.finalize() == self.checksum
    }
}

/// The chunk at this offset. `None`: the file ends within it.
fn chunk(bytes: &[u8], at: usize) -> Option<Chunk<'_>> {
    let word = |at: usize| bytes.get(at..at + 4).map(|word| <[u8; 4]>::try_from(word).expect("it has four bytes"));
    let length = u32::from_be_bytes(word(at)?) as usize;
    let (name, end) = (word(at + 4)?, at + 8 + length);
    let (data, checksum) = (bytes.get(at + 8..end)?, u32::from_be_bytes(word(end)?));
    Some(Chunk { name, data, checksum, next: end + 4 })
}

/// The name of a truncated chunk.
fn name_at(bytes: &[u8], at: usize) -> String {
    let name = bytes.get(at + 4..at + 8);
    name.map_or_else(|| "the head of a chunk".to_owned(), |name| format!("the chunk {}", name.escape_ascii()))
}

/// Walks through a file that begins with the PNG signature.
pub(crate) fn walk(bytes: &[u8]) -> Result<Walked, Fault> {
    signature(bytes)?;
    let (mut at, mut head, mut pixels) = (SIGNATURE.len(), None, false);
    let (mut has_palette, mut is_keyed, mut orientation) = (false, false, Orientation::default());
    loop {
        let chunk = chunk(bytes, at).ok_or_else(|| Fault::Cut { within: name_at(bytes, at) })?;
        let is_intact = chunk.is_intact();
        if chunk.is_critical() && !is_intact {
            return Err(Fault::Damaged(format!("the checksum of the chunk {} at byte {at} is wrong", chunk.shown())));
        }
        match (&chunk.name, head.is_some()) {
            (b"IHDR", false) => head = Some(Head::read(chunk.data)?),
            (b"IHDR", true) | (_, false) => return Err(head_misplaced(&chunk)),
            (b"IDAT", _) => pixels = true,
            (b"PLTE", _) => has_palette = true,
            (b"IEND", _) => break,
            (b"tRNS", _) => is_keyed |= is_intact,
            (b"eXIf", _) if is_intact => orientation = exif::orientation(chunk.data),
            _ if chunk.is_critical() && !CRITICAL.contains(&&chunk.name) => {
                return Err(Fault::Unsupported(format!("a PNG with a chunk {} of its own kind", chunk.shown())));
            }
            _ => {}
        }
        at = chunk.next;
    }
    let head = head.expect("no other chunk comes before it");
    if !pixels {
        return Err(Fault::Damaged("it has no IDAT chunk, so no pixels".to_owned()));
    }
    if head.colours == PALETTE && !has_palette {
        return Err(Fault::Damaged("its pixels are palette indices, but it has no palette".to_owned()));
    }
    Ok(Walked {
        facts: Facts { format: Format::Png, size: head.size, orientation, brightest: None, see_through: false },
        is_deep: head.bits == 16,
        may_be_see_through: is_keyed || matches!(head.colours, GREY_ALPHA | RGB_ALPHA),
    })
}

/// Width and height from the header.
pub(crate) fn size(bytes: &[u8]) -> Option<[u32; 2]> {
    signature(bytes).ok()?;
    let name = bytes.get(12..16)?;
    let side = |at: usize| Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    (name == b"IHDR").then_some([side(16)?, side(20)?])
}

fn signature(bytes: &[u8]) -> Result<(), Fault> {
    match bytes.get(..SIGNATURE.len()) {
        None => Err(Fault::Cut { within: "its signature".to_owned() }),
        Some(found) if found == SIGNATURE => Ok(()),
        Some(_) => {
            Err(Fault::Damaged("its signature is altered, as by a transfer that converts line endings".to_owned()))
        }
    }
}

fn head_misplaced(chunk: &Chunk<'_>) -> Fault {
    match &chunk.name {
        b"CgBI" => Fault::Unsupported("a PNG in Apple's own variant".to_owned()),
        b"IHDR" => Fault::Damaged("it has two IHDR chunks".to_owned()),
        _ => Fault::Damaged(format!("it begins with the chunk {} in the place of IHDR", chunk.shown())),
    }
}

const GREY: u8 = 0;
const RGB: u8 = 2;
const PALETTE: u8 = 3;
const GREY_ALPHA: u8 = 4;
const RGB_ALPHA: u8 = 6;

struct Head {
    size: [u32; 2],
    bits: u8,
    colours: u8,
}

impl Head {
    fn read(data: &[u8]) -> Result<Head, Fault> {
        let Ok([w0, w1, w2, w3, h0, h1, h2, h3, bits, colours, compression, filter, interlace]) =
            <[u8; 13]>::try_from(data)
        else {
            return Err(Fault::Damaged(format!("its chunk IHDR has {} bytes, not 13", data.len())));
        };
        let size = [[w0, w1, w2, w3], [h0, h1, h2, h3]].map(u32::from_be_bytes);
        check_size(size)?;
        let is_known = matches!(
            (colours, bits),
            (GREY, 1 | 2 | 4 | 8 | 16) | (PALETTE, 1 | 2 | 4 | 8) | (RGB | GREY_ALPHA | RGB_ALPHA, 8 | 16)
        );
        if !is_known || compression != 0 || filter != 0 || interlace > 1 {
            return Err(Fault::Damaged("its IHDR chunk has invalid values".to_owned()));
        }
        Ok(Head { size, bits, colours })
    }
}
