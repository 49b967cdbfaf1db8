//! The one page of a TIFF photograph by its tags, and what isn't read of all that TIFF can hold.
//!
//! Decodes nothing. A file of several pages is refused, as nothing tells which was meant; copies in a smaller size and
//! masks, which the file marks as such, are no pages.

use super::super::directory::{Directory, Outside, Tiff};
use super::super::exif::ORIENTATION;
use super::super::{Fault, Orientation, check_size};

const KIND_OF_PAGE: u16 = 254;
const OLD_KIND_OF_PAGE: u16 = 255;
const WIDTH: u16 = 256;
const HEIGHT: u16 = 257;
const BITS: u16 = 258;
const COMPRESSION: u16 = 259;
const MEANING: u16 = 262;
const FILL_ORDER: u16 = 266;
const STRIPS: u16 = 273;
const SAMPLES: u16 = 277;
const ROWS_PER_STRIP: u16 = 278;
const LENGTHS_OF_STRIPS: u16 = 279;
const PLANES: u16 = 284;
const PALETTE: u16 = 320;
const TILE_WIDTH: u16 = 322;
const TILE_HEIGHT: u16 = 323;
const TILES: u16 = 324;
const LENGTHS_OF_TILES: u16 = 325;
const EXTRA: u16 = 338;
const SAMPLE_FORMAT: u16 = 339;

/// More pages than a file has that leads in circles.
const PAGES_AT_MOST: usize = 4096;

/// A page that is read.
pub(super) struct Page {
    pub(super) size: [u32; 2],
    /// Of a sample: 1, 2, 4, 8 or 16.
    pub(super) bits: u8,
    /// Of a pixel, the last of them transparency if there is `alpha`.
    pub(super) samples: usize,
    pub(super) meaning: Meaning,
    pub(super) alpha: Option<Alpha>,
    pub(super) orientation: Orientation,
}

/// What the samples mean.
pub(super) enum Meaning {
    /// Black is 0: the decoder inverts the other kind.
    Grey,
    Rgb,
    /// `told_at`: where the file says so.
    Palette {
        colours: Vec<[u8; 3]>,
        told_at: usize,
    },
}

/// How a pixel's colour depends on its transparency.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Alpha {
    Separate,
    /// The colours were multiplied by it.
    Multiplied,
}

/// Width and height.
pub(super) fn size(directory: Directory<'_>) -> Option<[u32; 2]> {
    let side = |tag| directory.numbers(tag).ok()?.first().and_then(|side| u32::try_from(*side).ok());
    Some([side(WIDTH)?, side(HEIGHT)?])
}

impl Page {
    pub(super) fn of(bytes: &[u8]) -> Result<Page, Fault> {
        let tiff = Tiff::open(bytes).expect("the caller has looked");
        let directory = tiff.first().map_err(cut)?;
        only(directory)?;
        let tags = Tags(directory);
        let size = size(directory).ok_or_else(|| Fault::Damaged("its width or height is missing".to_owned()))?;
        check_size(size)?;
        tags.check_coding()?;
        let bits = tags.bits()?;
        let samples = tags.first(SAMPLES, 1)?;
        let (meaning, colours) = tags.meaning(bits)?;
        let extra = samples.checked_sub(colours).filter(|extra| *extra <= 1 && (bits >= 8 || *extra == 0));
        let is_palette = matches!(meaning, Meaning::Palette { .. });
        let Some(extra) = extra.filter(|extra| *extra == 0 || !is_palette) else {
            return Err(unsupported(format!("with {samples} channels of {bits} bits")));
        };
        let alpha = match (extra, tags.0.numbers(EXTRA).map_err(cut)?.first()) {
            (0, _) => None,
            (_, Some(1)) => Some(Alpha::Multiplied),
            (_, Some(2)) => Some(Alpha::Separate),
            // As Pillow takes it.
            (_, None) if matches!(meaning, Meaning::Rgb) => Some(Alpha::Separate),
            _ => return Err(unsupported(format!("with {samples} channels, of which the last has no meaning"))),
        };
        let orientation = directory.short(ORIENTATION).map_or_else(Orientation::default, Orientation::from_exif);
        let samples = samples as usize;
        let page = Page { size, bits, samples, meaning, alpha, orientation };
        page.check_data(tags, bytes.len() as u64)?;
        Ok(page)
    }

    /// All strips or tiles lie within the file, and uncompressed ones are as long as their pixels need.
    fn check_data(&self, tags: Tags<'_>, end: u64) -> Result<(), Fault> {
        let is_tiled = !tags.0.numbers(TILES).map_err(cut)?.is_empty();
        let (places, lengths) = if is_tiled { (TILES, LENGTHS_OF_TILES) } else { (STRIPS, LENGTHS_OF_STRIPS) };
        let (places, lengths) = (tags.0.numbers(places).map_err(cut)?, tags.0.numbers(lengths).map_err(cut)?);
        if places.is_empty() || places.len() != lengths.len() {
            return Err(Fault::Damaged("it doesn't tell where its pixels are".to_owned()));
        }
        let reaches = |(at, length): (&u64, &u64)| at.checked_add(*length).is_none_or(|last| last > end);
        if places.iter().zip(&lengths).any(reaches) {
            return Err(Fault::Cut { within: "its pixels".to_owned() });
        }
        if tags.first(COMPRESSION, 1)? != 1 {
            return Ok(());
        }
        let [width, height] = self.size.map(u64::from);
        let planes = if tags.first(PLANES, 1)? == 2 { self.samples as u64 } else { 1 };
        let bits_of_pixel = self.samples as u64 / planes * u64::from(self.bits);
        let row = |width: u64| (width.saturating_mul(bits_of_pixel)).div_ceil(8);
        let needed = |place: u64| -> Result<u64, Fault> {
            if is_tiled {
                return Ok(row(tags.first(TILE_WIDTH, 0)?).saturating_mul(tags.first(TILE_HEIGHT, 0)?));
            }
            let rows = tags.first(ROWS_PER_STRIP, height)?.clamp(1, height);
            let strip = place % height.div_ceil(rows);
            Ok(row(width) * rows.min(height - strip * rows))
        };
        for (place, length) in (0..).zip(&lengths) {
            if *length < needed(place)? {
                return Err(Fault::Damaged("its data end before its pixels do".to_owned()));
            }
        }
        Ok(())
    }
}

/// Refuses a file whose first page isn't the only one.
fn only(first: Directory<'_>) -> Result<(), Fault> {
    if is_aside(first)? {
        return Err(unsupported("whose first page is a small copy of another".to_owned()));
    }
    let (mut page, mut pages) = (first, 1);
    for _ in 0..PAGES_AT_MOST {
        match page.next().map_err(cut)? {
            None if pages == 1 => return Ok(()),
            None => return Err(unsupported(format!("with {pages} pages"))),
            Some(next) => (page, pages) = (next, pages + usize::from(!is_aside(next)?)),
        }
    }
    Err(Fault::Damaged("its pages lead in circles".to_owned()))
}

/// Whether a page is a copy in a smaller size, or a mask.
fn is_aside(page: Directory<'_>) -> Result<bool, Fault> {
    let first = |tag| Ok::<u64, Fault>(page.numbers(tag).map_err(cut)?.first().copied().unwrap_or_default());
    Ok(first(KIND_OF_PAGE)? & 0b101 != 0 || first(OLD_KIND_OF_PAGE)? == 2)
}

fn cut(_: Outside) -> Fault {
    Fault::Cut { within: "its list of tags, or their values".to_owned() }
}

fn unsupported(how: String) -> Fault {
    Fault::Unsupported(format!("a TIFF {how}"))
}

/// The tags of the page.
#[derive(Clone, Copy)]
struct Tags<'a>(Directory<'a>);

impl Tags<'_> {
    /// A tag's first number, or what it means where the tag is missing.
    fn first(&self, tag: u16, missing: u64) -> Result<u64, Fault> {
        Ok(self.0.numbers(tag).map_err(cut)?.first().copied().unwrap_or(missing))
    }

    /// Refuses compressions, and samples other than whole numbers.
    fn check_coding(&self) -> Result<(), Fault> {
        let compression = match self.first(COMPRESSION, 1)? {
            1 | 5 | 8 | 32773 | 32946 => None,
            2..=4 => Some("a fax's"),
            6 | 7 => Some("JPEG"),
            34712 => Some("JPEG 2000"),
            34925 => Some("LZMA"),
            50000 => Some("zstd"),
            50001 => Some("WebP"),
            _ => Some("an unknown"),
        };
        if let Some(name) = compression {
            return Err(unsupported(format!("with {name} compression")));
        }
        let format = match self.0.numbers(SAMPLE_FORMAT).map_err(cut)? {
            formats if formats.iter().all(|format| *format == 1) => None,
            formats if formats.contains(&3) => Some("with floating-point samples"),
            formats if formats.contains(&2) => Some("with signed samples"),
            _ => Some("with samples of an unknown kind"),
        };
        let order = (self.first(FILL_ORDER, 1)? == 2).then_some("with the bits of each byte in reversed order");
        format.or(order).map_or(Ok(()), |how| Err(unsupported(how.to_owned())))
    }

    fn bits(&self) -> Result<u8, Fault> {
        let all = self.0.numbers(BITS).map_err(cut)?;
        let bits = all.first().copied().unwrap_or(1);
        match u8::try_from(bits) {
            Ok(bits @ (1 | 2 | 4 | 8 | 16)) if all.iter().all(|other| *other == u64::from(bits)) => Ok(bits),
            _ if all.iter().any(|other| *other != bits) => Err(unsupported("whose channels differ in bits".to_owned())),
            _ => Err(unsupported(format!("with {bits} bits a sample"))),
        }
    }

    /// And the number of samples that make a colour.
    fn meaning(&self, bits: u8) -> Result<(Meaning, u64), Fault> {
        let told = self.0.numbers(MEANING).map_err(cut)?;
        let other = match told.first() {
            Some(0 | 1) => return Ok((Meaning::Grey, 1)),
            Some(2) if bits >= 8 => return Ok((Meaning::Rgb, 3)),
            Some(2) => return Err(unsupported(format!("with {bits} bits a sample"))),
            Some(3) if bits <= 8 => return self.palette(bits).map(|palette| (palette, 1)),
            Some(3) => return Err(unsupported(format!("with a palette of {bits} bits"))),
            Some(4) => "that is a mask",
            Some(5) => "in CMYK",
            Some(6) => "in YCbCr",
            Some(8..=10) => "in CIE Lab",
            Some(32803 | 34892) => "with the raw pixels of a camera",
            Some(_) => "in colours of an unknown kind",
            None => "that doesn't say what its samples mean",
        };
        Err(unsupported(other.to_owned()))
    }

    /// All reds, then all greens and all blues, in 16 bits each.
    fn palette(&self, bits: u8) -> Result<Meaning, Fault> {
        let values = self.0.numbers(PALETTE).map_err(cut)?;
        let count = 1 << bits;
        let told_at = self.0.place_of_short(MEANING);
        let (Some(told_at), true) = (told_at, values.len() == 3 * count) else {
            return Err(Fault::Damaged("its pixels are palette indices, but it has no valid palette".to_owned()));
        };
        let colours = (0..count).map(|index| [0, 1, 2].map(|channel| (values[channel * count + index] >> 8) as u8));
        Ok(Meaning::Palette { colours: colours.collect(), told_at })
    }
}
