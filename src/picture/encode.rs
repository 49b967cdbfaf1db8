//! Encodes photographs as JPEG files for viewing, whose bytes depend only on the pixels.
//!
//! By the library that decodes them. No computation reads what is written here.

use mozjpeg::{ColorSpace, Compress};

/// RGB pixels row by row, as a baseline JPEG with colours at the full size: overlays have sharp edges. `quality` is 1 to 100.
///
/// # Panics
/// Another number of bytes than the size has, no pixel, or a side of more than 65,535.
pub fn jpeg(rgb: &[u8], [width, height]: [u32; 2], quality: u8) -> Vec<u8> {
    let mut compress = Compress::new(ColorSpace::JCS_RGB);
    compress.set_fastest_defaults();
    compress.set_size(width as usize, height as usize);
    compress.set_quality(f32::from(quality));
    compress.set_chroma_sampling_pixel_sizes((1, 1), (1, 1));
    let written = compress.start_compress(Vec::new()).and_then(|mut started| {
        started.write_scanlines(rgb)?;
        started.finish()
    });
    written.expect("writing to memory does not fail")
}
