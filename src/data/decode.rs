//! Decodes image files: photographs to RGB, label files to class indices.
//!
//! The two are read differently on purpose. A photograph's palette is expanded to its colours; a label's palette is only
//! for viewing, and the index is the class. Reading labels as colours, or colours as labels, trains without errors and
//! scores near zero, so labels without an 8-bit index per pixel are refused.
//!
//! The first bytes determine the format, not the extension. Orientation tags of cameras are applied if the data set says
//! so: Pillow and the released code don't. Photographs follow the rules of [`intrada_picture`], with which the runner
//! checks each before anything runs.

use std::collections::HashSet;
use std::io::Cursor;
use std::path::Path;

use intrada_picture::{Coloured, Palette, Pixels, Strange};
use png::{BitDepth, ColorType, Transformations};
use serde::{Deserialize, Serialize};

use super::DataError;
use super::label::Encoding;
use super::raster::{Index, Raster, Rgb};

const JPEG_SIGNATURE: &[u8] = b"\xff\xd8\xff";

/// How to handle the camera's orientation tag.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Orientation {
    /// Pixels stay as stored.
    #[default]
    Ignore,
    /// The image is turned upright.
    Apply,
}

/// How much of a JPEG is decoded that will be resized to less.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Detail {
    /// All of it.
    #[default]
    Full,
    /// A half, a quarter or an eighth, if that is still enough: see [`intrada_picture::reduced`].
    Reduced,
}

/// A photograph decoded at less than its size.
pub struct Reduced {
    /// What was decoded.
    pub image: Rgb,
    /// Width and height of the whole photograph.
    pub whole: [usize; 2],
}

/// A file that [`intrada_picture`] reads as 8-bit RGB, as stored. Grey is repeated, 16 bits are cut to the upper 8,
/// transparency is dropped.
///
/// # Errors
/// [`DataError::Io`], [`DataError::Decode`].
pub fn photograph(path: &Path) -> Result<Rgb, DataError> {
    photograph_bytes(path, &read(path)?, Orientation::Ignore)
}

/// The same for a file's bytes, optionally applying the orientation tag. The path is for messages.
///
/// # Errors
/// [`DataError::Decode`].
pub fn photograph_bytes(path: &Path, bytes: &[u8], orientation: Orientation) -> Result<Rgb, DataError> {
    let pixels = intrada_picture::photograph(bytes).map_err(|fault| undecodable(path, fault))?;
    Ok(rgb_of(pixels, orientation))
}

fn rgb_of(pixels: Pixels, orientation: Orientation) -> Rgb {
    let pixels = match orientation {
        Orientation::Ignore => pixels,
        Orientation::Apply => pixels.upright(),
    };
    Raster::new(pixels.size[0], pixels.size[1], pixels.rgb)
}

/// A JPEG's pixels at a part of its size that is at least `wanted`, which is asked with the size of the whole; optionally with the
/// orientation tag applied, to both sizes. `None`: it is another format, or is needed whole. The path is for messages.
///
/// # Errors
/// [`DataError::Decode`].
pub fn reduced_bytes(
    path: &Path,
    bytes: &[u8],
    orientation: Orientation,
    wanted: impl FnOnce([usize; 2]) -> [usize; 2],
) -> Result<Option<Reduced>, DataError> {
    let turn = |tag: intrada_picture::Orientation, size: [u32; 2]| match orientation {
        Orientation::Ignore => size,
        Orientation::Apply => tag.upright(size),
    };
    // Turning a size twice gives the first.
    let as_stored = |facts: &intrada_picture::Facts| {
        let upright = turn(facts.orientation, facts.size).map(|side| side as usize);
        // No side of a picture needs more than 32 bits, nor does one that is larger than all of them.
        turn(facts.orientation, wanted(upright).map(|side| u32::try_from(side).unwrap_or(u32::MAX)))
    };
    let reduced = intrada_picture::reduced(bytes, as_stored).map_err(|fault| undecodable(path, fault))?;
    Ok(reduced.map(|intrada_picture::Reduced { pixels, whole }| {
        let whole = turn(pixels.orientation, whole).map(|side| side as usize);
        Reduced { image: rgb_of(pixels, orientation), whole }
    }))
}

/// A label file's class indices in one of the encodings. The path is for messages.
///
/// # Errors
/// [`DataError::ColourLabel`], [`DataError::NotIndexLabel`] and [`DataError::UnknownColour`] for other files,
/// [`DataError::Decode`].
pub fn label_in(path: &Path, bytes: &[u8], encoding: &Encoding) -> Result<Index, DataError> {
    match encoding {
        Encoding::Index => label_bytes(path, bytes),
        Encoding::Synthia16 => synthia_label(path, bytes),
        Encoding::Palette(palette) => painted_label(path, bytes, palette),
    }
}

/// A PNG file's class indices: the value of a grey pixel, or the index of a palette pixel.
///
/// # Errors
/// As [`label_in`], and [`DataError::Io`].
pub fn label(path: &Path) -> Result<Index, DataError> {
    label_bytes(path, &read(path)?)
}

/// Like [`label`], for a file's bytes. The path is for messages.
///
/// # Errors
/// As [`label_in`].
pub fn label_bytes(path: &Path, bytes: &[u8]) -> Result<Index, DataError> {
    let not_index = |found| Err(DataError::NotIndexLabel { path: path.to_owned(), found });
    if bytes.starts_with(JPEG_SIGNATURE) {
        return not_index("a JPEG file, which does not keep indices");
    }
    let png = Png::decode(path, bytes, Transformations::IDENTITY)?;
    match (png.color, png.depth) {
        (ColorType::Grayscale | ColorType::Indexed, BitDepth::Eight) => {
            Ok(Raster::new(png.width, png.height, png.bytes))
        }
        (ColorType::Grayscale | ColorType::Indexed, BitDepth::One | BitDepth::Two | BitDepth::Four) => {
            let bytes = unpack(&png.bytes, png.width, png.depth as usize);
            Ok(Raster::new(png.width, png.height, bytes))
        }
        (_, BitDepth::Sixteen) => not_index("a PNG with 16 bits a sample"),
        (ColorType::Rgb | ColorType::Rgba, _) => {
            let colours: HashSet<&[u8]> =
                png.bytes.chunks_exact(png.color.samples()).map(|pixel| &pixel[..3]).collect();
            Err(DataError::ColourLabel { path: path.to_owned(), colours: colours.len() })
        }
        _ => not_index("a grey PNG with an alpha channel"),
    }
}

/// The values of colours.
fn painted_label(path: &Path, bytes: &[u8], palette: &Palette) -> Result<Index, DataError> {
    let Coloured { size, values, strange, strange_colours } =
        palette.read(bytes).map_err(|fault| undecodable(path, fault))?;
    match strange.first() {
        None => Ok(Raster::new(size[0], size[1], values)),
        Some(Strange { colour, pixels, first }) => Err(DataError::UnknownColour {
            path: path.to_owned(),
            colour: *colour,
            column: first[0],
            row: first[1],
            pixels: *pixels,
            colours: strange_colours,
        }),
    }
}

/// The first channel of pixels with several 16-bit samples, of which classes need only the lower 8 bits. A reader that
/// takes the upper 8 bits, as for photographs, would find 0 everywhere.
fn synthia_label(path: &Path, bytes: &[u8]) -> Result<Index, DataError> {
    let refuse = |found| DataError::NotSynthiaLabel { path: path.to_owned(), found };
    let png = Png::decode(path, bytes, Transformations::IDENTITY)?;
    match (png.color, png.depth) {
        (ColorType::Grayscale | ColorType::Indexed, _) => return Err(refuse("a PNG of one channel")),
        (_, BitDepth::Sixteen) => {}
        _ => return Err(refuse("a PNG with 8 bits a sample")),
    }
    let pixels = png.bytes.chunks_exact(2 * png.color.samples());
    let class = |pixel: &[u8]| (pixel[0] == 0).then_some(pixel[1]);
    let classes: Option<Vec<u8>> = pixels.map(class).collect();
    let classes = classes.ok_or_else(|| refuse("a PNG whose first channel goes beyond 255"))?;
    Ok(Raster::new(png.width, png.height, classes))
}

struct Png {
    width: usize,
    height: usize,
    color: ColorType,
    depth: BitDepth,
    bytes: Vec<u8>,
}

impl Png {
    fn decode(path: &Path, bytes: &[u8], transformations: Transformations) -> Result<Self, DataError> {
        let mut decoder = png::Decoder::new(Cursor::new(bytes));
        decoder.set_transformations(transformations);
        let mut reader = decoder.read_info().map_err(|error| undecodable(path, error))?;
        let size =
            reader.output_buffer_size().ok_or_else(|| undecodable(path, "too large for this machine's memory"))?;
        let mut bytes = vec![0; size];
        let info = reader.next_frame(&mut bytes).map_err(|error| undecodable(path, error))?;
        bytes.truncate(info.buffer_size());
        // All pixels are there, but the end may be missing: that is an error, too.
        reader.finish().map_err(|error| undecodable(path, error))?;
        let (width, height) = (info.width as usize, info.height as usize);
        Ok(Self { width, height, color: info.color_type, depth: info.bit_depth, bytes })
    }
}

/// Samples of 1, 2 or 4 bits, the leftmost in the upper bits, rows padded to whole bytes.
fn unpack(packed: &[u8], width: usize, bits: usize) -> Vec<u8> {
    let mask = (1u8 << bits) - 1;
    let row =
        |row: &[u8]| -> Vec<u8> { (0..width).map(|x| row[x * bits / 8] >> (8 - bits - x * bits % 8) & mask).collect() };
    packed.chunks_exact((width * bits).div_ceil(8)).flat_map(row).collect()
}

fn read(path: &Path) -> Result<Vec<u8>, DataError> {
    std::fs::read(path).map_err(|source| DataError::Io { verb: "read", path: path.to_owned(), source })
}

fn undecodable(path: &Path, reason: impl ToString) -> DataError {
    DataError::Decode { path: path.to_owned(), reason: reason.to_string() }
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::*;

    /// A PNG of 5×2 pixels in the given format.
    fn file(folder: &tempfile::TempDir, color: ColorType, depth: BitDepth, bytes: &[u8]) -> PathBuf {
        let path = folder.path().join("picture.png");
        let mut encoder = png::Encoder::new(std::fs::File::create(&path).unwrap(), 5, 2);
        encoder.set_color(color);
        encoder.set_depth(depth);
        if color == ColorType::Indexed {
            encoder.set_palette((0..16).flat_map(|i| [10 * i, 0, 255 - i]).collect::<Vec<u8>>());
        }
        encoder.write_header().unwrap().write_image_data(bytes).unwrap();
        path
    }

    #[test]
    fn a_palette_is_colours_to_a_photograph_and_indices_to_a_label() {
        let folder = tempfile::tempdir().unwrap();
        let path = file(&folder, ColorType::Indexed, BitDepth::Eight, &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
        assert_eq!(label(&path).unwrap().bytes(), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
        assert_eq!(photograph(&path).unwrap().at(4, 1), [90, 0, 246]);
    }

    #[test]
    fn indices_of_fewer_than_8_bits_are_not_scaled() {
        let folder = tempfile::tempdir().unwrap();
        for color in [ColorType::Indexed, ColorType::Grayscale] {
            let path = file(&folder, color, BitDepth::Four, &[0x01, 0x23, 0x40, 0x56, 0x78, 0x90]);
            assert_eq!(label(&path).unwrap().bytes(), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
        }
        let path = file(&folder, ColorType::Grayscale, BitDepth::One, &[0b1011_0000, 0b0000_1000]);
        assert_eq!(label(&path).unwrap().bytes(), [1, 0, 1, 1, 0, 0, 0, 0, 0, 1]);
    }

    #[test]
    fn a_label_of_colours_is_refused_with_their_number() {
        let folder = tempfile::tempdir().unwrap();
        let mut bytes = [0; 30];
        bytes[0] = 9;
        bytes[4] = 9;
        let path = file(&folder, ColorType::Rgb, BitDepth::Eight, &bytes);
        assert!(matches!(label(&path), Err(DataError::ColourLabel { colours: 3, .. })));
        let message = label(&path).unwrap_err().to_string();
        assert!(message.contains("picture.png") && message.contains("3 different"), "{message}");
    }

    #[test]
    fn the_first_of_several_16_bit_channels_is_the_class_of_a_synthia_label() {
        let folder = tempfile::tempdir().unwrap();
        let pixels: Vec<u8> = (0..10).flat_map(|class| [0, 2 * class, 7, class, 255, 0]).collect();
        let path = file(&folder, ColorType::Rgb, BitDepth::Sixteen, &pixels);
        let indices = label_in(&path, &std::fs::read(&path).unwrap(), &Encoding::Synthia16).unwrap();
        assert_eq!(indices.bytes(), [0, 2, 4, 6, 8, 10, 12, 14, 16, 18]);
        let refused = |color, depth, bytes: &[u8]| {
            let path = file(&folder, color, depth, bytes);
            label_in(&path, &std::fs::read(&path).unwrap(), &Encoding::Synthia16).unwrap_err().to_string()
        };
        assert!(refused(ColorType::Rgb, BitDepth::Sixteen, &[3; 60]).contains("beyond 255"));
        assert!(refused(ColorType::Rgb, BitDepth::Eight, &[3; 30]).contains("8 bits a sample"));
        assert!(refused(ColorType::Grayscale, BitDepth::Eight, &[3; 10]).contains("one channel"));
    }

    #[test]
    fn a_colour_coded_label_holds_the_values_of_its_palette_and_another_colour_is_told_with_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let encoding = Encoding::Palette(Palette::new([([9, 0, 0], 1), ([0, 0, 0], 255)]));
        let mut pixels = [9, 0, 0, 7, 0, 0, 0, 7].repeat(5);
        let path = file(&folder, ColorType::Rgba, BitDepth::Eight, &pixels);
        let read = |path: &Path| label_in(path, &std::fs::read(path).unwrap(), &encoding);
        assert_eq!(read(&path).unwrap().bytes(), [1, 255, 1, 255, 1, 255, 1, 255, 1, 255]);
        pixels[4 * 7] = 8;
        let path = file(&folder, ColorType::Rgba, BitDepth::Eight, &pixels);
        let error = read(&path).unwrap_err().to_string();
        assert!(
            error.contains("picture.png holds the colour 8,0,0, which") && error.contains("column 2, row 1"),
            "{error}"
        );
    }

    #[test]
    fn a_label_of_16_bits_or_a_jpeg_is_refused_by_its_kind() {
        let folder = tempfile::tempdir().unwrap();
        let path = file(&folder, ColorType::Rgb, BitDepth::Sixteen, &[0; 60]);
        assert!(label(&path).unwrap_err().to_string().contains("16 bits"));
        let error = label_bytes(Path::new("x.jpg"), b"\xff\xd8\xff\xe0").unwrap_err().to_string();
        assert!(error.contains("JPEG"), "{error}");
    }

    #[test]
    fn photographs_of_every_kind_of_png_become_8_bit_colours() {
        let folder = tempfile::tempdir().unwrap();
        let first = |color, depth, bytes: &[u8]| photograph(&file(&folder, color, depth, bytes)).unwrap().at(0, 0);
        assert_eq!(first(ColorType::Grayscale, BitDepth::Eight, &[7; 10]), [7; 3]);
        assert_eq!(first(ColorType::GrayscaleAlpha, BitDepth::Eight, &[7; 20]), [7; 3]);
        assert_eq!(first(ColorType::Rgba, BitDepth::Eight, &[1, 2, 3, 0].repeat(10)), [1, 2, 3]);
        assert_eq!(first(ColorType::Rgb, BitDepth::Sixteen, &[1, 255, 2, 255, 3, 255].repeat(10)), [1, 2, 3]);
    }

    #[test]
    fn a_jpeg_is_read_whatever_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("picture.png");
        std::fs::write(&path, intrada_picture::jpeg(&[200, 40, 90].repeat(16 * 8), [16, 8], 90)).unwrap();
        let picture = photograph(&path).unwrap();
        assert_eq!(picture.size(), [16, 8]);
        let pixel = picture.at(7, 4);
        assert!(pixel.iter().zip([200, 40, 90]).all(|(&a, b)| a.abs_diff(b) < 6), "{pixel:?}");
    }

    #[test]
    fn a_label_that_is_cut_anywhere_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = file(&folder, ColorType::Grayscale, BitDepth::Eight, &[3; 10]);
        let whole = std::fs::read(&path).unwrap();
        for length in 0..whole.len() {
            assert!(label_bytes(&path, &whole[..length]).is_err(), "cut to {length} of {}", whole.len());
        }
        assert!(label_bytes(&path, &whole).is_ok());
    }

    #[test]
    fn a_damaged_file_is_an_error_that_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = file(&folder, ColorType::Rgb, BitDepth::Eight, &[40; 30]);
        let whole = std::fs::read(&path).unwrap();
        for length in 0..whole.len() {
            std::fs::write(&path, &whole[..length]).unwrap();
            let error = photograph(&path).expect_err("a cut file is damaged").to_string();
            assert!(error.contains("picture.png"), "{length}: {error}");
        }
        assert!(matches!(photograph(Path::new("/nowhere.png")), Err(DataError::Io { verb: "read", .. })));
    }
}
