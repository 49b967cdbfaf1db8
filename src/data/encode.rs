//! Encodes pictures as PNG files whose bytes depend only on the pixels.
//!
//! Files become artifacts that are compared by their bytes, so nothing variable may enter: no time, no text, and no
//! compressor that another crate's build options could replace. `fdeflate`, which is used here, is part of the `png`
//! crate's own path, while its slower levels use whichever deflate implementation the program was linked with.

use std::io::ErrorKind;
use std::path::Path;

use png::{BitDepth, ColorType, DeflateCompression, Filter};

use super::DataError;
use super::raster::{Index, Raster, Rgb};

/// One byte per pixel, as a grey PNG: class indices as in the released code, or an entropy map.
pub fn grey_png(map: &Index) -> Vec<u8> {
    encode(map, ColorType::Grayscale, None)
}

/// One byte per pixel, as a PNG that shows index `i` in the colour `palette[i]` and indices beyond the palette in black.
pub fn palette_png(map: &Index, palette: &[[u8; 3]]) -> Vec<u8> {
    let mut colours = palette.to_vec();
    // A PNG palette must hold every index that occurs.
    colours.resize(256, [0; 3]);
    encode(map, ColorType::Indexed, Some(colours.into_flattened()))
}

/// A photograph or an overlay.
pub fn rgb_png(image: &Rgb) -> Vec<u8> {
    encode(image, ColorType::Rgb, None)
}

/// A photograph for viewing, as a JPEG a tenth the size of its PNG. No computation reads it.
pub fn jpeg(image: &Rgb) -> Vec<u8> {
    /// Of 100. At 85 no blocks are visible, at 95 the file is twice as large.
    const QUALITY: u8 = 85;
    jpeg_of(image, QUALITY)
}

/// The same in another quality, 1 to 100.
pub fn jpeg_of(image: &Rgb, quality: u8) -> Vec<u8> {
    let size = image.size().map(|side| u32::try_from(side).expect("a photograph's sides fit 31 bits"));
    intrada_picture::jpeg(image.bytes(), size, quality)
}

/// Writes a file, creating missing parent folders.
///
/// # Errors
/// [`DataError::Io`], which names the file.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), DataError> {
    let write = || std::fs::write(path, bytes);
    let written = match write() {
        // Rare: the folders of most files are there.
        Err(error) if error.kind() == ErrorKind::NotFound => {
            path.parent().map_or(Ok(()), std::fs::create_dir_all).and_then(|()| write())
        }
        written => written,
    };
    written.map_err(|source| DataError::Io { verb: "write", path: path.to_owned(), source })
}

fn encode<const C: usize>(picture: &Raster<C>, color: ColorType, palette: Option<Vec<u8>>) -> Vec<u8> {
    let [width, height] = picture.size().map(|side| u32::try_from(side).expect("a PNG's sides fit 31 bits"));
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(color);
    encoder.set_depth(BitDepth::Eight);
    encoder.set_deflate_compression(DeflateCompression::FdeflateUltraFast);
    // Most pixels of a map equal the one above, and zeros compress best.
    encoder.set_filter(if C == 1 { Filter::Up } else { Filter::Paeth });
    if let Some(palette) = palette {
        encoder.set_palette(palette);
    }
    let mut writer = encoder.write_header().expect("writing to memory does not fail");
    writer.write_image_data(picture.bytes()).expect("a raster holds exactly its pixels");
    writer.finish().expect("writing to memory does not fail");
    bytes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop_assert_eq, proptest};

    use super::*;
    use crate::decode;

    proptest! {
        #[test]
        fn what_is_written_is_read_back(width in 1usize..40, seed in any::<u8>()) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("below/picture.png");
            let bytes: Vec<u8> = (0..width * 7).map(|i| (i as u8).wrapping_mul(31) ^ seed).collect();
            let map = Index::new(width, 7, bytes.clone());
            write(&path, &grey_png(&map)).unwrap();
            prop_assert_eq!(decode::label(&path).unwrap(), map.clone());
            write(&path, &palette_png(&map, &[[1, 2, 3]])).unwrap();
            prop_assert_eq!(decode::label(&path).unwrap(), map);
            let image = Rgb::new(width, 7, bytes.repeat(3));
            write(&path, &rgb_png(&image)).unwrap();
            prop_assert_eq!(decode::photograph(&path).unwrap(), image);
        }
    }

    #[test]
    fn a_jpeg_looks_like_the_photograph() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("picture.jpg");
        let ramp = Rgb::new(48, 32, (0..48 * 32).flat_map(|i| [(i % 48) as u8 * 5, (i / 48) as u8 * 7, 90]).collect());
        write(&path, &jpeg(&ramp)).unwrap();
        let read = decode::photograph(&path).unwrap();
        assert_eq!(read.size(), [48, 32]);
        let off = read.bytes().iter().zip(ramp.bytes()).map(|(a, b)| u64::from(a.abs_diff(*b))).sum::<u64>();
        assert!(off / (48 * 32 * 3) < 8, "{off}");
    }

    #[test]
    fn equal_pictures_give_equal_bytes() {
        let map = Index::filled(30, 20, [7]);
        assert_eq!(grey_png(&map), grey_png(&map.clone()));
        assert_ne!(grey_png(&map), grey_png(&Index::filled(30, 20, [8])));
    }

    #[test]
    fn an_index_beyond_the_palette_is_black() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("map.png");
        write(&path, &palette_png(&Index::new(2, 1, vec![0, 255]), &[[9, 8, 7]])).unwrap();
        assert_eq!(decode::photograph(&path).unwrap().bytes(), [9, 8, 7, 0, 0, 0]);
    }

    #[test]
    fn a_file_that_cannot_be_written_is_named() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("file"), "").unwrap();
        let error = write(&folder.path().join("file/map.png"), &[]).unwrap_err();
        assert!(error.to_string().contains("cannot write") && error.to_string().contains("map.png"), "{error}");
    }
}
