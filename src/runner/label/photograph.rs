//! A photograph as label tools show it: the file itself where every browser shows it as the network sees it, else a PNG of
//! its pixels.
//!
//! Browsers apply Exif orientations, so a turned file and the network's mask would not lie on each other in every tool. What
//! is copied unchanged keeps its bytes, so a training sees the very image of the data set.

use intrada_picture::{Fault, Format, look, photograph};

use super::mask::rgb_png;

/// What is to be shown.
pub struct Shown {
    /// The extension of its file.
    pub extension: &'static str,
    /// Its content.
    pub bytes: Vec<u8>,
    /// Width and height in pixels, upright.
    pub size: [u32; 2],
}

/// Of a file's content.
///
/// # Errors
/// It is no photograph that is read.
pub fn shown(bytes: Vec<u8>) -> Result<Shown, Fault> {
    let facts = look(&bytes)?;
    let extension = match facts.format {
        Format::Png => Some("png"),
        Format::Jpeg => Some("jpg"),
        Format::WebP | Format::Tiff | Format::Bmp => None,
    };
    if let Some(extension) = extension.filter(|_| !facts.orientation.is_turned()) {
        return Ok(Shown { extension, bytes, size: facts.size });
    }
    let pixels = photograph(&bytes)?.upright();
    let size = pixels.size.map(|side| u32::try_from(side).expect("a photograph's sides fit 32 bits"));
    Ok(Shown { extension: "png", bytes: rgb_png(size, &pixels.rgb), size })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn golden(name: &str) -> Vec<u8> {
        std::fs::read(format!("../picture/golden/{name}")).unwrap()
    }

    #[test]
    fn what_browsers_show_is_copied_and_the_rest_becomes_a_png_of_the_same_pixels() {
        for (name, extension) in [("small.png", "png"), ("420.jpg", "jpg")] {
            let shown = shown(golden(name)).unwrap();
            assert_eq!((shown.extension, shown.bytes), (extension, golden(name)));
        }
        for name in ["small.deflate.tif", "small.lossless.webp", "small.plain.bmp", "others/turned.webp"] {
            let shown = shown(golden(name)).unwrap();
            let [before, after] = [golden(name), shown.bytes].map(|bytes| photograph(&bytes).unwrap().upright());
            assert_eq!((shown.extension, &before.rgb), ("png", &after.rgb), "{name}");
            assert_eq!(shown.size.map(|side| side as usize), after.size);
        }
        assert!(shown(b"text".to_vec()).is_err());
    }
}
