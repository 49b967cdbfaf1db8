//! Which class indices a label file holds, and whether they are valid.
//!
//! Knows no class names and resizes nothing. A label is read by index: the palette of a palette PNG is only for viewing. Only
//! where the data set has a palette of its own, the colours count, and become class indices here.
//! Values out of range are the most common sign of a wrong data set (Cityscapes ids instead of train ids, a picture instead
//! of a label), and `ml` would meet them hours later; so every label is checked once before anything runs, and the
//! workspace's index records its values.

use std::fmt;
use std::io::{self, BufReader, Read as _};
use std::path::{Path, PathBuf};

use intrada_beginning::Beginning;
use intrada_picture::{Fault, Palette};
use png::{BitDepth, ColorType, Transformations};

use super::colours::Colours;
use crate::digest::Digest;
use crate::kind::dataset::Encoding;
use crate::plain;

/// The value of ignored pixels.
pub const IGNORED: u8 = 255;

/// Why a file is not a valid label.
#[derive(Debug, thiserror::Error)]
pub enum LabelError {
    /// The file system returned an error.
    #[error("failed to read label `{}`: {cause}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's error.
        cause: io::Error,
    },
    /// Not a PNG, or one that is truncated or altered.
    #[error("label `{}` is not an intact PNG: {cause}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The decoder's error.
        cause: png::DecodingError,
    },
    /// Another file type: left by a failed download or a clone, or another image format.
    #[error("label `{}` is not a PNG but {beginning}", path.display())]
    NoPng {
        /// The file.
        path: PathBuf,
        /// Its type.
        beginning: Beginning,
    },
    /// A PNG whose pixels don't hold an index in the expected form.
    #[error("label `{}` is a PNG of {found}, but a label has {expected}; {hint}", path.display())]
    NotIndices {
        /// The file.
        path: PathBuf,
        /// The expected pixel format.
        expected: &'static str,
        /// The actual pixel format.
        found: &'static str,
        /// Advice.
        hint: &'static str,
    },
    /// A PNG of colours, where indices are expected.
    #[error("label `{}` is a PNG of colours, but a label has {ONE_INDEX}", path.display())]
    Colours {
        /// The file.
        path: PathBuf,
        /// The colours, the most frequent first, and how many there are.
        colours: Colours,
    },
    /// A colour-coded label that can't be read.
    #[error("label `{}` can't be read by its colours: {fault}", path.display())]
    Unpainted {
        /// The file.
        path: PathBuf,
        /// Why.
        fault: Fault,
    },
    /// Colours that the data set's palette doesn't have.
    #[error("label `{}` holds {} that `palette` doesn't have: {}", path.display(), colours.counted(), colours)]
    StrangeColours {
        /// The file.
        path: PathBuf,
        /// The colours, the most frequent first, and how many there are.
        colours: Colours,
    },
    /// A palette whose colours are the greys of class indices, at other indices.
    #[error(
        "label `{}` is a palette PNG whose colours are greys like class indices, in other places: its indices {} have the greys {}. \
         Labels are read by index; store it as an 8-bit grey PNG of what is meant",
        path.display(),
        listed(indices),
        listed(greys)
    )]
    GreyPalette {
        /// The file.
        path: PathBuf,
        /// Its indices, ascending.
        indices: Vec<u8>,
        /// Their colours.
        greys: Vec<u8>,
    },
    /// A value that is neither a class nor [`IGNORED`].
    #[error("label `{}`: {value} is not one of the {classes} classes: {place}", path.display())]
    NotAClass {
        /// The file.
        path: PathBuf,
        /// The first such value in reading order.
        value: Value,
        /// The number of classes.
        classes: usize,
        /// Its position.
        place: Place,
    },
}

impl LabelError {
    /// Replaces the file's name by the one in the pipeline.
    #[must_use]
    pub fn called(mut self, name: &Path) -> LabelError {
        match &mut self {
            LabelError::Unreadable { path, .. }
            | LabelError::Colours { path, .. }
            | LabelError::Unpainted { path, .. }
            | LabelError::StrangeColours { path, .. }
            | LabelError::Damaged { path, .. }
            | LabelError::NoPng { path, .. }
            | LabelError::NotIndices { path, .. }
            | LabelError::GreyPalette { path, .. }
            | LabelError::NotAClass { path, .. } => *path = name.to_owned(),
        }
        self
    }

    /// Advice about the file, where there is any.
    pub fn cure(&self) -> Option<&'static str> {
        match self {
            LabelError::Damaged { .. } => Some("copy or download the file again"),
            LabelError::NoPng { beginning: Beginning::Image("a JPEG image"), .. } => Some(
                "JPEG alters values and colours, which can't be undone: store the labels as PNG, from what they were made of",
            ),
            LabelError::NoPng { beginning, .. } => beginning.cure(),
            LabelError::Unpainted { fault, .. } => match fault {
                Fault::Unsupported(_) => Some("store it as an 8-bit RGB PNG"),
                other => other.help(),
            },
            _ => None,
        }
    }
}

/// How labels are read.
#[derive(Clone, Copy, Debug)]
pub enum Form<'a> {
    /// By index.
    Index,
    /// As SYNTHIA's.
    Synthia16,
    /// By the values of their colours.
    Painted(&'a Palette),
}

impl Form<'_> {
    /// How the index and jobs call it.
    pub fn encoding(self) -> Encoding {
        match self {
            Form::Index => Encoding::Index,
            Form::Synthia16 => Encoding::Synthia16,
            Form::Painted(palette) => {
                let bytes =
                    palette.pairs().iter().flat_map(|([red, green, blue], value)| [*red, *green, *blue, *value]);
                Encoding::Palette(Digest::of(&bytes.collect::<Vec<u8>>()))
            }
        }
    }
}

/// A value of a label, before and after the data set's `map`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Value {
    /// In the file.
    pub stored: u8,
    /// After `map`.
    pub mapped: u8,
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "value {}", self.stored)?;
        if self.mapped == self.stored { Ok(()) } else { write!(f, ", mapped to {},", self.mapped) }
    }
}

/// Where a value is in a label, and the label's other values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The number of pixels with it.
    pub pixels: usize,
    /// The column of the first, from 0 at the left.
    pub column: usize,
    /// The row of the first, from 0 at the top.
    pub row: usize,
    /// All values of the label, ascending.
    pub found: Vec<u8>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pixels = if self.pixels == 1 { "pixel" } else { "pixels" };
        let (count, column, row) = (grouped(self.pixels), self.column, self.row);
        write!(f, "{count} {pixels}, first at column {column}, row {row}; values found: {}", listed(&self.found))
    }
}

/// `0 1 2 … 17 18` of many.
pub fn listed(values: &[u8]) -> String {
    /// How many are shown at each end.
    const ENDS: usize = 10;
    let words = |values: &[u8]| values.iter().map(u8::to_string).collect::<Vec<_>>().join(" ");
    if values.len() > 2 * ENDS + 4 {
        format!("{} … {}", words(&values[..ENDS]), words(&values[values.len() - ENDS..]))
    } else {
        words(values)
    }
}

/// The values of a label, as a set: value `v` is bit `v % 64` of word `v / 64`.
///
/// # Errors
/// [`LabelError`], but never [`LabelError::NotAClass`].
pub fn values(path: &Path, form: Form<'_>) -> Result<[u64; 4], LabelError> {
    let mut set = [0; 4];
    for value in present(&histogram(&Label::read(path, form)?.indices)) {
        set[usize::from(value) / 64] |= 1 << (value % 64);
    }
    Ok(set)
}

/// Applies a data set's `map` (stored, class) to a value; unlisted values stay.
pub fn mapped(map: &[(u8, u8)], stored: u8) -> u8 {
    map.iter().find(|(from, _)| *from == stored).map_or(stored, |(_, to)| *to)
}

/// The union of two sets.
pub fn union(one: [u64; 4], other: [u64; 4]) -> [u64; 4] {
    std::array::from_fn(|word| one[word] | other[word])
}

/// The values in such a set, ascending.
pub fn members(set: [u64; 4]) -> impl Iterator<Item = u8> {
    (0..=255u8).filter(move |value| set[usize::from(*value) / 64] >> (value % 64) & 1 == 1)
}

/// `[width, height]` of a label in pixels, from its header.
///
/// # Errors
/// It can't be read, or is not a PNG.
pub fn size(path: &Path) -> Result<[u32; 2], LabelError> {
    let file = plain::open(path).map_err(|cause| LabelError::Unreadable { path: path.to_owned(), cause })?;
    let reader = png::Decoder::new(BufReader::new(file)).read_info();
    let reader = reader.map_err(|cause| damaged(path, cause))?;
    Ok([reader.info().width, reader.info().height])
}

/// Refuses a label with a value that, after `map`, is neither a class (`0..classes`) nor [`IGNORED`]. Values not listed in
/// `map` (stored, class) stay.
///
/// # Errors
/// [`LabelError`].
pub fn check(path: &Path, form: Form<'_>, classes: usize, map: &[(u8, u8)]) -> Result<(), LabelError> {
    let label = Label::read(path, form)?;
    let is_wrong: [bool; 256] = std::array::from_fn(|stored| {
        let class = mapped(map, stored as u8);
        class != IGNORED && usize::from(class) >= classes
    });
    let Some(first) = label.indices.iter().position(|stored| is_wrong[usize::from(*stored)]) else { return Ok(()) };
    let stored = label.indices[first];
    let pixels = histogram(&label.indices);
    Err(LabelError::NotAClass {
        path: path.to_owned(),
        value: Value { stored, mapped: mapped(map, stored) },
        classes,
        place: Place {
            pixels: pixels[usize::from(stored)],
            column: first % label.width,
            row: first / label.width,
            found: present(&pixels).collect(),
        },
    })
}

/// The number of pixels with each value.
fn histogram(indices: &[u8]) -> [usize; 256] {
    let mut pixels = [0; 256];
    for index in indices {
        pixels[usize::from(*index)] += 1;
    }
    pixels
}

/// The values with at least one pixel, ascending.
fn present(pixels: &[usize; 256]) -> impl Iterator<Item = u8> {
    (0..=255u8).filter(|value| pixels[usize::from(*value)] > 0)
}

/// A decoded label.
struct Label {
    /// Pixels in a row.
    width: usize,
    /// Row by row from the top, one byte per pixel.
    indices: Vec<u8>,
}

/// The error for a file that can't be decoded.
fn damaged(path: &Path, cause: png::DecodingError) -> LabelError {
    const SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";
    let mut start = Vec::new();
    let read = plain::open(path).and_then(|file| file.take(512).read_to_end(&mut start));
    let path = path.to_owned();
    // A PNG may also be truncated within its first bytes.
    let is_png = start.starts_with(SIGNATURE) || (!start.is_empty() && SIGNATURE.starts_with(&start));
    if read.is_err() || is_png {
        return LabelError::Damaged { path, cause };
    }
    LabelError::NoPng { path, beginning: Beginning::of(&start) }
}

impl Label {
    fn read(path: &Path, form: Form<'_>) -> Result<Label, LabelError> {
        match form {
            Form::Index => Label::indices(path, false),
            Form::Synthia16 => Label::indices(path, true),
            Form::Painted(palette) => Label::painted(path, palette),
        }
    }

    fn painted(path: &Path, palette: &Palette) -> Result<Label, LabelError> {
        let bytes = plain::read(path).map_err(|cause| LabelError::Unreadable { path: path.to_owned(), cause })?;
        let read = palette.read(&bytes).map_err(|fault| LabelError::Unpainted { path: path.to_owned(), fault })?;
        if read.strange.is_empty() {
            return Ok(Label { width: read.size[0], indices: read.values });
        }
        let colours = Colours { first: read.strange, count: read.strange_colours };
        Err(LabelError::StrangeColours { path: path.to_owned(), colours })
    }

    fn indices(path: &Path, is_synthia: bool) -> Result<Label, LabelError> {
        let damaged = |cause| damaged(path, cause);
        let file = plain::open(path).map_err(|cause| LabelError::Unreadable { path: path.to_owned(), cause })?;
        let mut decoder = png::Decoder::new(BufReader::new(file));
        decoder.set_transformations(Transformations::IDENTITY);
        let mut reader = decoder.read_info().map_err(damaged)?;
        let (color, depth) = reader.output_color_type();
        let refused = |expected, (found, hint)| LabelError::NotIndices { path: path.to_owned(), expected, found, hint };
        if is_synthia {
            not_synthia(color, depth).map_or(Ok(()), |found| Err(refused(TWO_BYTES, found)))?;
        } else if let Some(colours) = is_coloured(color, depth).then(|| colours_of(path)).flatten() {
            return Err(LabelError::Colours { path: path.to_owned(), colours });
        } else {
            not_indices(color, depth).map_or(Ok(()), |found| Err(refused(ONE_INDEX, found)))?;
        }
        let size = reader.output_buffer_size().ok_or_else(|| damaged(png::DecodingError::LimitsExceeded))?;
        let mut bytes = vec![0; size];
        let frame = reader.next_frame(&mut bytes).map_err(damaged)?;
        // A file may have all its pixels but no end; the worker refuses it as well.
        reader.finish().map_err(damaged)?;
        bytes.truncate(frame.buffer_size());
        let width = frame.width as usize;
        let indices = match depth {
            BitDepth::Eight => bytes,
            BitDepth::Sixteen => first_channel(&bytes, color.samples())
                .ok_or_else(|| refused(TWO_BYTES, ("16-bit samples beyond 255", OTHER_SYNTHIA)))?,
            depth => unpacked(&bytes, width, frame.line_size, depth as usize),
        };
        match reader.info().palette.as_deref().filter(|_| color == ColorType::Indexed) {
            Some(palette) => moved_greys(palette, &indices).map_or(Ok(()), |(indices, greys)| {
                Err(LabelError::GreyPalette { path: path.to_owned(), indices, greys })
            }),
            None => Ok(()),
        }?;
        Ok(Label { width, indices })
    }
}

/// The indices found and their greys, if a PNG optimiser has put a grey label into a palette: then the greys are the
/// classes. A palette for viewing has colours, or visibly different greys.
fn moved_greys(palette: &[u8], indices: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    /// The largest known class number of street scenes.
    const ID: u8 = 34;
    let found: Vec<u8> = present(&histogram(indices)).collect();
    let grey = |index: &u8| match palette.get(3 * usize::from(*index)..3 * usize::from(*index) + 3) {
        Some([red, green, blue]) if red == green && green == blue => Some(*red),
        _ => None,
    };
    let greys: Vec<u8> = found.iter().map(grey).collect::<Option<_>>()?;
    let are_classes = greys.iter().all(|grey| *grey <= ID || *grey == IGNORED);
    let is_one = greys.iter().any(|grey| (1..=ID).contains(grey));
    (are_classes && is_one && greys != found).then_some((found, greys))
}

const ONE_INDEX: &str = "one 8-bit class index a pixel";
const TWO_BYTES: &str = "several 16-bit channels, the first of them the class";
const OTHER_SYNTHIA: &str = "use the labels of GT/LABELS as published";

/// The pixel format, if it can't be SYNTHIA's.
fn not_synthia(color: ColorType, depth: BitDepth) -> Option<(&'static str, &'static str)> {
    match (color, depth) {
        (ColorType::Rgb | ColorType::Rgba | ColorType::GrayscaleAlpha, BitDepth::Sixteen) => None,
        (ColorType::Rgb | ColorType::Rgba, _) => Some(("8-bit colours", OTHER_SYNTHIA)),
        _ => Some(("one channel", OTHER_SYNTHIA)),
    }
}

/// The first of `channels` 16-bit samples of each pixel; `None` if one exceeds 8 bits.
fn first_channel(bytes: &[u8], channels: usize) -> Option<Vec<u8>> {
    bytes.chunks_exact(2 * channels).map(|pixel| (pixel[0] == 0).then_some(pixel[1])).collect()
}

fn is_coloured(color: ColorType, depth: BitDepth) -> bool {
    matches!(color, ColorType::Rgb | ColorType::Rgba) && depth == BitDepth::Eight
}

/// The colours of an intact picture.
fn colours_of(path: &Path) -> Option<Colours> {
    let read = Palette::default().read(&plain::read(path).ok()?).ok()?;
    Some(Colours { first: read.strange, count: read.strange_colours })
}

/// The pixel format and advice; `None` if pixels are indices.
fn not_indices(color: ColorType, depth: BitDepth) -> Option<(&'static str, &'static str)> {
    match (color, depth) {
        (_, BitDepth::Sixteen) => Some(("16-bit samples", "store the class index as an 8-bit grey PNG")),
        (ColorType::Grayscale | ColorType::Indexed, _) => None,
        (ColorType::GrayscaleAlpha, _) => Some(("grey with transparency", "store the index without transparency")),
        (ColorType::Rgb | ColorType::Rgba, _) => Some((
            "colours",
            "the class index label is often next to this colour picture; otherwise store each colour's class index",
        )),
    }
}

/// One byte per pixel from rows with 1, 2 or 4 bits per pixel, the leftmost in the high bits, each row starting at a whole
/// byte.
fn unpacked(bytes: &[u8], width: usize, line: usize, bits: usize) -> Vec<u8> {
    let mask = (1u8 << bits) - 1;
    let index = |row: &[u8], column: usize| {
        let bit = column * bits;
        (row[bit / 8] >> (8 - bits - bit % 8)) & mask
    };
    bytes.chunks_exact(line).flat_map(|row| (0..width).map(move |column| index(row, column))).collect()
}

/// `1204` → `1,204`.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (i, digit) in digits.char_indices() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;
    use proptest::prelude::*;

    /// A PNG of these rows, each of `line` bytes.
    fn file(color: ColorType, depth: BitDepth, width: u32, line: usize, bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("label.png");
        let mut encoder = png::Encoder::new(File::create(&path).unwrap(), width, (bytes.len() / line) as u32);
        encoder.set_color(color);
        encoder.set_depth(depth);
        if color == ColorType::Indexed {
            encoder.set_palette((0..=255u8).flat_map(|value| [255 - value, value, 7]).collect::<Vec<u8>>());
        }
        encoder.write_header().unwrap().write_image_data(bytes).unwrap();
        (dir, path)
    }

    fn grey(width: usize, indices: &[u8]) -> (tempfile::TempDir, PathBuf) {
        file(ColorType::Grayscale, BitDepth::Eight, width as u32, width, indices)
    }

    #[test]
    fn a_value_out_of_range_is_told_with_its_count_its_first_place_and_all_values() {
        let mut indices = vec![1u8; 64 * 40];
        indices[64 * 2 + 5..64 * 2 + 5 + 1204].fill(34);
        (indices[0], indices[1], indices[2]) = (0, 2, 255);
        let (_dir, path) = grey(64, &indices);
        let text = check(&path, Form::Index, 8, &[]).unwrap_err().to_string();
        let expected = "value 34 is not one of the 8 classes: 1,204 pixels, first at column 5, row 2; \
                        values found: 0 1 2 34 255";
        assert_eq!(text, format!("label `{}`: {expected}", path.display()));
    }

    #[test]
    fn the_values_of_a_set_are_its_bits() {
        assert_eq!(members([1 | 1 << 63, 1, 0, 1 << 63]).collect::<Vec<_>>(), [0, 63, 64, 255]);
        assert_eq!([mapped(&[(34, 255)], 34), mapped(&[(34, 255)], 3)], [255, 3]);
    }

    #[test]
    fn a_map_decides_what_counts_as_a_class() {
        let (_dir, path) = grey(2, &[7, 34, 255, 7]);
        assert!(check(&path, Form::Index, 2, &[(7, 1), (34, 255)]).is_ok());
        let text = check(&path, Form::Index, 2, &[(7, 1), (34, 40)]).unwrap_err().to_string();
        assert!(
            text.contains("value 34, mapped to 40, is not one of the 2 classes: 1 pixel, first at column 1, row 0")
        );
    }

    #[test]
    fn a_palette_png_is_read_by_index_not_by_colour() {
        let (_dir, path) = file(ColorType::Indexed, BitDepth::Eight, 2, 2, &[3, 0, 3, 255]);
        assert_eq!(values(&path, Form::Index).unwrap(), [0b1001, 0, 0, 1 << 63]);
    }

    #[test]
    fn a_grey_label_that_was_put_into_a_palette_is_refused_where_that_moved_its_values() {
        let with = |palette: &[u8], indices: &[u8]| {
            let colours: Vec<u8> = palette.iter().flat_map(|grey| [*grey; 3]).collect();
            moved_greys(&colours, indices)
        };
        assert_eq!(with(&[0, 1, 255], &[0, 1, 2, 2]), Some((vec![0, 1, 2], vec![0, 1, 255])));
        assert_eq!(with(&[2, 0, 1], &[1, 0]), Some((vec![0, 1], vec![2, 0])));
        for (palette, indices) in [
            (&[0, 1, 2, 3][..], &[0, 1, 2][..]),
            (&[0, 255], &[0, 1]),
            (&[0, 128, 255], &[0, 1, 2]),
            (&[0, 0, 0], &[0, 1, 2]),
            (&[0, 2], &[0]),
            (&[0, 1], &[0, 3]),
        ] {
            assert_eq!(with(palette, indices), None, "{palette:?}");
        }
        assert_eq!(moved_greys(&[0, 0, 0, 128, 64, 128], &[0, 1]), None);
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("label.png");
        let mut encoder = png::Encoder::new(File::create(&path).unwrap(), 3, 1);
        encoder.set_color(ColorType::Indexed);
        encoder.set_palette(vec![0, 0, 0, 1, 1, 1, 255, 255, 255]);
        encoder.write_header().unwrap().write_image_data(&[0, 1, 2]).unwrap();
        let said = values(&path, Form::Index).unwrap_err().to_string();
        assert!(said.contains("its indices 0 1 2 have the greys 0 1 255"), "{said}");
    }

    #[test]
    fn indices_of_less_than_a_byte_are_unpacked_row_by_row() {
        // Three pixels of four bits take two bytes a row; the last four bits of each row are padding.
        let (_dir, path) = file(ColorType::Grayscale, BitDepth::Four, 3, 2, &[0x12, 0x3f, 0x45, 0x6f]);
        assert_eq!(Label::read(&path, Form::Index).unwrap().indices, [1, 2, 3, 4, 5, 6]);
        let (_dir, path) = file(ColorType::Grayscale, BitDepth::One, 9, 2, &[0b1010_0000, 0b1000_0000]);
        assert_eq!(Label::read(&path, Form::Index).unwrap().indices, [1, 0, 1, 0, 0, 0, 0, 0, 1]);
    }

    #[test]
    fn colours_and_wide_samples_are_refused_with_a_hint() {
        let (_dir, path) = file(ColorType::Rgb, BitDepth::Eight, 1, 3, &[128, 64, 128]);
        assert!(values(&path, Form::Index).unwrap_err().to_string().contains("is a PNG of colours"));
        let (_dir, path) = file(ColorType::Grayscale, BitDepth::Sixteen, 1, 2, &[0, 3]);
        assert!(values(&path, Form::Index).unwrap_err().to_string().contains("is a PNG of 16-bit samples"));
    }

    #[test]
    fn a_label_that_is_cut_short_altered_or_gone_is_named() {
        let (_dir, path) = grey(64, &[5; 64 * 64]);
        let whole = std::fs::read(&path).unwrap();
        let image_data = whole.windows(4).position(|word| word == b"IDAT").unwrap() + 4;
        let mut altered = whole.clone();
        altered[image_data + 4] ^= 1;
        for broken in [
            &whole[..whole.len() - 1],
            &whole[..whole.len() - 12],
            &whole[..image_data + 3],
            &whole[..10],
            &whole[..4],
            &altered,
        ] {
            std::fs::write(&path, broken).unwrap();
            assert!(
                matches!(values(&path, Form::Index), Err(LabelError::Damaged { path: named, .. }) if named == path)
            );
        }
        let others: [(&[u8], &str); 5] = [
            (b"", "empty"),
            (b"GIF89a", "a GIF image"),
            (b"version https://git-lfs.github.com/pipeline/v1\n", "a pointer of git-lfs"),
            (b"<!DOCTYPE html><html>", "a web page (HTML or XML)"),
            (b"\xff\xd8\xff\xe0", "a JPEG image"),
        ];
        for (bytes, what) in others {
            std::fs::write(&path, bytes).unwrap();
            let error = values(&path, Form::Index).unwrap_err();
            assert!(error.to_string().ends_with(&format!("is not a PNG but {what}")), "{error}");
        }
        std::fs::remove_file(&path).unwrap();
        assert!(matches!(values(&path, Form::Index), Err(LabelError::Unreadable { .. })));
    }

    #[test]
    fn the_class_of_a_synthia_label_is_its_first_channel_in_16_bits() {
        // Three pixels of class, instance and nothing; big-endian, as in PNG.
        let pixels = [0, 22, 1, 200, 0, 0, 0, 3, 0, 7, 0, 0, 0, 22, 0, 0, 255, 255];
        let (_dir, path) = file(ColorType::Rgb, BitDepth::Sixteen, 3, 18, &pixels);
        assert_eq!(Label::read(&path, Form::Synthia16).unwrap().indices, [22, 3, 22]);
        assert_eq!(values(&path, Form::Synthia16).unwrap(), [1 << 22 | 1 << 3, 0, 0, 0]);
        assert!(values(&path, Form::Index).unwrap_err().to_string().contains("is a PNG of 16-bit samples, but"));
        let (_dir, path) = file(ColorType::Rgb, BitDepth::Sixteen, 1, 6, &[3, 208, 0, 0, 0, 0]);
        assert!(values(&path, Form::Synthia16).unwrap_err().to_string().contains("16-bit samples beyond 255"));
        let (_dir, path) = file(ColorType::Rgb, BitDepth::Eight, 1, 3, &[3, 0, 0]);
        assert!(values(&path, Form::Synthia16).unwrap_err().to_string().contains("8-bit colours, but a label has"));
        let (_dir, path) = grey(1, &[3]);
        assert!(values(&path, Form::Synthia16).unwrap_err().to_string().contains("one channel, but a label has"));
    }

    #[test]
    fn thousands_are_set_apart() {
        assert_eq!([0, 999, 1000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn the_set_holds_exactly_the_values_of_the_pixels(indices in prop::collection::vec(any::<u8>(), 1..200)) {
            let (_dir, path) = grey(indices.len(), &indices);
            let set = values(&path, Form::Index).unwrap();
            for value in 0..=255u8 {
                prop_assert_eq!((set[usize::from(value) / 64] >> (value % 64)) & 1 == 1, indices.contains(&value));
            }
        }
    }
}
