//! Walks a JPEG file marker by marker (ITU-T T.81, annex B): whether it is complete, and its size and format.
//!
//! Doesn't decode: within a scan it searches for the next marker. This finds a missing end and unsupported formats;
//! `decode` checks the contents of a scan. Bytes after the end marker are ignored; some cameras put a second, smaller
//! picture there.

use memchr::memchr;

use super::{Facts, Fault, Format, check_size, exif};

pub(crate) const SIGNATURE: [u8; 3] = [0xff, 0xd8, 0xff];

/// The end marker.
pub(crate) const LAST: [u8; 2] = [0xff, END];

const START_OF_SCAN: u8 = 0xda;
const END: u8 = 0xd9;
const APP1: u8 = 0xe1;
const EXIF: &[u8] = b"Exif\0\0";

/// Walks through a file that begins with the JPEG signature.
pub(crate) fn walk(bytes: &[u8]) -> Result<Facts, Fault> {
    let (mut frame, mut scans, mut orientation) = (None, 0, None);
    let mut markers = Markers { bytes, at: 2 };
    loop {
        let Marker { code, content } = markers.next()?;
        match code {
            END => break,
            START_OF_SCAN => scans += 1,
            APP1 => {
                orientation = orientation.or_else(|| content.strip_prefix(EXIF).map(exif::orientation));
            }
            _ if is_frame(code) && frame.is_some() => return Err(Fault::Damaged("it has two frames".to_owned())),
            _ if is_frame(code) => frame = Some(Frame::read(code, content)?),
            _ => {}
        }
        if code == START_OF_SCAN && frame.is_none() {
            return Err(Fault::Damaged("its scan begins before its frame header".to_owned()));
        }
    }
    match (frame, scans) {
        (None, _) | (_, 0) => Err(Fault::Damaged("it ends before its pixels begin".to_owned())),
        (Some(Frame { size }), _) => Ok(Facts {
            format: Format::Jpeg,
            size,
            orientation: orientation.unwrap_or_default(),
            brightest: None,
            see_through: false,
        }),
    }
}

/// Width and height from the frame header.
pub(crate) fn size(bytes: &[u8]) -> Option<[u32; 2]> {
    let mut markers = Markers { bytes, at: 2 };
    loop {
        let Marker { code, content } = markers.next().ok()?;
        match code {
            START_OF_SCAN | END => return None,
            _ if is_frame(code) => return frame_size(content),
            _ => {}
        }
    }
}

/// A marker and its segment; after the start of a scan, the scan is skipped too.
struct Marker<'a> {
    code: u8,
    content: &'a [u8],
}

struct Markers<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Markers<'a> {
    fn next(&mut self) -> Result<Marker<'a>, Fault> {
        let code = self.code()?;
        // Markers without a segment: the end, restarts, and fillers.
        if matches!(code, 0x01 | 0xd0..=END) {
            return Ok(Marker { code, content: &[] });
        }
        let cut = || Fault::Cut { within: within(code) };
        let length = self.bytes.get(self.at..self.at + 2).ok_or_else(cut)?;
        let length = usize::from(u16::from_be_bytes([length[0], length[1]]));
        if length < 2 {
            return Err(Fault::Damaged(format!("the segment at byte {} has no length", self.at - 2)));
        }
        let content = self.bytes.get(self.at + 2..self.at + length).ok_or_else(cut)?;
        self.at += length;
        Ok(Marker { code, content })
    }

    /// The next byte after 0xff that is neither padding nor part of a scan.
    fn code(&mut self) -> Result<u8, Fault> {
        loop {
            let rest = self.bytes.get(self.at..).unwrap_or_default();
            let place = memchr(0xff, rest).ok_or_else(pixels_cut)?;
            self.at += place + 1;
            match self.bytes.get(self.at) {
                None => return Err(pixels_cut()),
                Some(0xff) => {}
                Some(0x00 | 0xd0..=0xd7) => self.at += 1,
                Some(&code) => {
                    self.at += 1;
                    return Ok(code);
                }
            }
        }
    }
}

fn pixels_cut() -> Fault {
    Fault::Cut { within: "its pixels, before the end marker".to_owned() }
}

fn within(code: u8) -> String {
    match code {
        0xe0..=0xef | 0xfe => "its metadata".to_owned(),
        _ => format!("the segment of the marker {code:02x}"),
    }
}

/// Three of these codes begin no frame: Huffman tables, reserved, arithmetic conditioning.
fn is_frame(code: u8) -> bool {
    matches!(code, 0xc0..=0xcf) && !matches!(code, 0xc4 | 0xc8 | 0xcc)
}

fn frame_size(content: &[u8]) -> Option<[u32; 2]> {
    let &[_, h0, h1, w0, w1, ..] = content else { return None };
    Some([[w0, w1], [h0, h1]].map(|side| u16::from_be_bytes(side).into()))
}

struct Frame {
    size: [u32; 2],
}

impl Frame {
    fn read(code: u8, content: &[u8]) -> Result<Frame, Fault> {
        let unsupported = |what: String| Err(Fault::Unsupported(what));
        let (Some(size), Some(&bits), Some(&channels)) = (frame_size(content), content.first(), content.get(5)) else {
            return Err(Fault::Damaged("its frame header is too short".to_owned()));
        };
        match code {
            0xc3 => return unsupported("a lossless JPEG".to_owned()),
            0xc5..=0xc7 => return unsupported("a hierarchical JPEG".to_owned()),
            0xc9..=0xcf => return unsupported("a JPEG with arithmetic coding".to_owned()),
            _ => {}
        }
        if bits != 8 {
            return unsupported(format!("a JPEG with {bits} bits a sample"));
        }
        if !matches!(channels, 1 | 3 | 4) {
            return unsupported(format!("a JPEG with {channels} channels"));
        }
        if size[1] == 0 {
            return unsupported("a JPEG that gives its height only at its end".to_owned());
        }
        check_size(size).map(|()| Frame { size })
    }
}
