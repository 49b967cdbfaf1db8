//! BMP photographs, as programs of today write them: uncompressed, with a palette or 8 bits a channel.
//!
//! Such pixels are bytes in another order, so that no decoder is needed: the `image` crate's would bring colour management
//! into the runner. Run-length coded and 16-bit files are refused. The header tells how long the file is; BMP has no
//! checksum, so that altered pixels remain unnoticed.

use super::decoded::Decoded;
use super::{Facts, Fault, Format, Orientation, check_size};

/// `BM`, the file's length, four reserved bytes, where the pixels begin.
const HEAD: usize = 14;
/// The shortest header, of OS/2, with sides of 16 bits; the next, to which later versions add.
const CORE: u32 = 12;
const INFO: u32 = 40;

/// Whether a file begins as a BMP does: a text may begin with these letters, but has no zeros.
pub(crate) fn begins(bytes: &[u8]) -> bool {
    bytes.starts_with(b"BM") && bytes.get(6..10) == Some(&[0; 4])
}

/// Width and height from the header.
pub(crate) fn size(bytes: &[u8]) -> Option<[u32; 2]> {
    Head::read(bytes).ok().map(|head| head.size)
}

/// The length that the file must have at least.
pub(crate) fn length(bytes: &[u8]) -> Option<usize> {
    Head::read(bytes).ok().map(|head| head.end())
}

/// Checks and decodes a file that begins as a BMP does.
pub(crate) fn read(bytes: &[u8]) -> Result<Decoded, Fault> {
    let head = Head::read(bytes)?;
    let rows = bytes.get(head.pixels..head.end()).ok_or_else(|| Fault::Cut { within: "its pixels".to_owned() })?;
    let mut rows: Vec<&[u8]> = rows.chunks_exact(head.row()).collect();
    if head.is_bottom_up {
        rows.reverse();
    }
    let width = head.size[0] as usize;
    let mut rgb = Vec::with_capacity(3 * width * rows.len());
    let mut see_through = false;
    for row in rows {
        match &head.content {
            Content::Palette(colours) => {
                for column in 0..width {
                    let colour = colours.get(head.index(row, column)).ok_or_else(beyond_palette)?;
                    rgb.extend_from_slice(colour);
                }
            }
            Content::Bgr => rgb.extend(row.as_chunks::<3>().0.iter().take(width).flat_map(|&[b, g, r]| [r, g, b])),
            Content::Masked { colours, alpha } => {
                let pixels = &row.as_chunks::<4>().0[..width];
                rgb.extend(pixels.iter().flat_map(|pixel| colours.map(|byte| pixel[byte])));
                see_through |= alpha.is_some_and(|byte| pixels.iter().any(|pixel| pixel[byte] != u8::MAX));
            }
        }
    }
    let orientation = Orientation::default();
    Ok(Decoded {
        facts: Facts { format: Format::Bmp, size: head.size, orientation, brightest: None, see_through },
        rgb,
    })
}

fn beyond_palette() -> Fault {
    Fault::Damaged("a pixel's index is not in its palette".to_owned())
}

/// What the pixels hold.
enum Content {
    /// Indices of these colours.
    Palette(Vec<[u8; 3]>),
    /// Three bytes, blue first.
    Bgr,
    /// Four bytes: which of them are red, green and blue, and which transparency.
    Masked { colours: [usize; 3], alpha: Option<usize> },
}

struct Head {
    size: [u32; 2],
    is_bottom_up: bool,
    /// Of a pixel.
    bits: usize,
    content: Content,
    /// Where the pixels begin.
    pixels: usize,
}

/// Reads numbers of a header, of which all bytes must be there.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn bytes<const N: usize>(&self, at: usize) -> Result<[u8; N], Fault> {
        let bytes = self.0.get(at..at + N).ok_or_else(|| Fault::Cut { within: "its header".to_owned() })?;
        Ok(bytes.try_into().expect("it has as many"))
    }

    fn short(&self, at: usize) -> Result<u16, Fault> {
        self.bytes(at).map(u16::from_le_bytes)
    }

    fn long(&self, at: usize) -> Result<u32, Fault> {
        self.bytes(at).map(u32::from_le_bytes)
    }
}

impl Head {
    fn read(bytes: &[u8]) -> Result<Head, Fault> {
        let fields = Fields(bytes);
        let (pixels, length) = (fields.long(10)? as usize, fields.long(HEAD)?);
        let (width, height, planes) = match length {
            CORE => (fields.short(18)?.into(), fields.short(20)?.into(), 22),
            INFO | 52 | 56 | 108 | 124 => (fields.long(18)?, fields.long(22)?.cast_signed(), 26),
            16 | 64 => return Err(Fault::Unsupported("a BMP of OS/2".to_owned())),
            _ => return Err(Fault::Damaged(format!("its header says that it has {length} bytes"))),
        };
        let size = [width, height.unsigned_abs()];
        check_size(size)?;
        if pixels < HEAD + length as usize {
            return Err(Fault::Damaged("its pixels begin within its header".to_owned()));
        }
        let bits = fields.short(planes + 2)?;
        let compression = if length == CORE { 0 } else { fields.long(30)? };
        let unsupported = |what: &str| Err(Fault::Unsupported(format!("a BMP with {what}")));
        let content = match (compression, bits) {
            (1 | 2, _) => return unsupported("run-length coding"),
            (4 | 5, _) => return unsupported("a JPEG or a PNG in it"),
            (0 | 3 | 6, 16) => return unsupported("16 bits a pixel"),
            (0, 1 | 4 | 8) => Content::Palette(Head::palette(&fields, length, bits)?),
            (0, 24) => Content::Bgr,
            (0, 32) => Content::Masked { colours: [2, 1, 0], alpha: None },
            (3 | 6, 32) => Head::masked(&fields, length, compression)?,
            _ => return Err(Fault::Damaged("its header has invalid values".to_owned())),
        };
        Ok(Head { size, is_bottom_up: height > 0, bits: usize::from(bits), content, pixels })
    }

    /// The colours after the header: four bytes each, three after the shortest header.
    fn palette(fields: &Fields<'_>, length: u32, bits: u16) -> Result<Vec<[u8; 3]>, Fault> {
        let all = 1 << bits;
        let count = if length == CORE { 0 } else { fields.long(46)? };
        let count = if count == 0 { all } else { count.min(all) };
        let (at, width) = (HEAD + length as usize, if length == CORE { 3 } else { 4 });
        let colour =
            |place: u32| fields.bytes(at + place as usize * width).map(|[blue, green, red]| [red, green, blue]);
        (0..count).map(colour).collect()
    }

    /// Where the channels are, by the masks that follow the 40 bytes of the header or belong to a longer one.
    fn masked(fields: &Fields<'_>, length: u32, compression: u32) -> Result<Content, Fault> {
        let mask = |place: usize| fields.long(HEAD + INFO as usize + 4 * place);
        let byte = |mask: u32| (0..4).find(|byte| mask == 0xff << (8 * byte));
        let has_alpha = length > 52 || compression == 6;
        let alpha = if has_alpha { byte(mask(3)?) } else { None };
        let colours = [byte(mask(0)?), byte(mask(1)?), byte(mask(2)?)];
        match colours {
            [Some(red), Some(green), Some(blue)] => Ok(Content::Masked { colours: [red, green, blue], alpha }),
            _ => Err(Fault::Unsupported("a BMP with channels of other than 8 bits".to_owned())),
        }
    }

    /// The bytes of a row, which end at a multiple of four.
    fn row(&self) -> usize {
        (self.size[0] as usize * self.bits).div_ceil(32) * 4
    }

    /// Where the pixels end.
    fn end(&self) -> usize {
        self.pixels + self.row() * self.size[1] as usize
    }

    /// The index of a pixel of less than a byte, the leftmost in the upper bits.
    fn index(&self, row: &[u8], column: usize) -> usize {
        let bit = column * self.bits;
        usize::from(row[bit / 8]) >> (8 - self.bits - bit % 8) & ((1 << self.bits) - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::refusal;
    use crate::{look, photograph};

    /// A BMP of one row, with a header of this length.
    fn bmp(length: u32, size: [i32; 2], bits: u16, compression: u32, rest: &[u8]) -> Vec<u8> {
        let mut file = b"BM\0\0\0\0\0\0\0\0".to_vec();
        let masks = if length == 40 && compression == 3 { 12 } else { 0 };
        file.extend((14 + length + masks).to_le_bytes());
        file.extend(length.to_le_bytes());
        size.iter().for_each(|side| file.extend(side.to_le_bytes()));
        file.extend([&[1, 0][..], &bits.to_le_bytes()].concat());
        file.extend(compression.to_le_bytes());
        file.resize(14 + 40, 0);
        [&file[..], rest].concat()
    }

    #[test]
    fn a_bmp_may_begin_at_the_top_have_four_channels_or_fewer_bits_a_pixel() {
        let rgb = |file: &[u8]| photograph(file).unwrap().rgb;
        let rows = [1, 2, 3, 0, 4, 5, 6, 0];
        assert_eq!(rgb(&bmp(40, [1, 2], 24, 0, &rows)), [6, 5, 4, 3, 2, 1]);
        assert_eq!(rgb(&bmp(40, [1, -2], 24, 0, &rows)), [3, 2, 1, 6, 5, 4]);
        assert_eq!(rgb(&bmp(40, [2, 1], 32, 0, &rows)), [3, 2, 1, 6, 5, 4]);
        let masks: Vec<u8> = [0xff, 0xff00, 0x00ff_0000u32].iter().flat_map(|mask| mask.to_le_bytes()).collect();
        assert_eq!(rgb(&bmp(40, [2, 1], 32, 3, &[&masks[..], &rows].concat())), [1, 2, 3, 4, 5, 6]);
        let clear = [&masks[..], &[0, 0, 0, 0xff], &rows].concat();
        let file = bmp(56, [2, 1], 32, 3, &clear);
        assert_eq!((rgb(&file), look(&file).unwrap().see_through), (vec![1, 2, 3, 4, 5, 6], true));
        let mut four = bmp(40, [3, 1], 4, 0, &[9, 8, 7, 0, 3, 2, 1, 0, 0x10, 0x10, 0, 0]);
        // Two colours, and the pixels after them.
        (four[46], four[10]) = (2, 62);
        assert_eq!(rgb(&four), Vec::from([[1, 2, 3], [7, 8, 9], [1, 2, 3]]).concat());
        let last = four.len() - 4;
        four[last] = 0x20;
        assert_eq!(refusal(&four), "it is damaged: a pixel's index is not in its palette");
    }

    #[test]
    fn a_bmp_of_an_unsupported_kind_is_refused_by_that_kind() {
        let told = |bits, compression| refusal(&bmp(40, [1, 1], bits, compression, &[0; 64]));
        assert_eq!(told(8, 1), "it is a BMP with run-length coding, which is not read");
        assert_eq!(told(16, 0), "it is a BMP with 16 bits a pixel, which is not read");
        assert_eq!(told(0, 5), "it is a BMP with a JPEG or a PNG in it, which is not read");
        assert_eq!(told(7, 0), "it is damaged: its header has invalid values");
        assert_eq!(refusal(&bmp(64, [1, 1], 24, 0, &[0; 64])), "it is a BMP of OS/2, which is not read");
    }

    #[test]
    fn more_pixels_than_memory_are_refused_by_the_head() {
        let file = bmp(40, [70_000, 70_000], 24, 0, &[]);
        assert_eq!(look(&file), Err(Fault::TooLarge { size: [70_000, 70_000] }));
        refusal(&file);
    }
}
