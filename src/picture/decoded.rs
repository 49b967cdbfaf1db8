//! What the decoders of WebP, TIFF and BMP find, in one pass over a file.
//!
//! Only decoding tells all facts of such files: whether a pixel is transparent, and the largest sample.

use super::Facts;

/// What a file is, and its pixels.
pub(crate) struct Decoded {
    pub(crate) facts: Facts,
    /// Row by row, three bytes per pixel.
    pub(crate) rgb: Vec<u8>,
}
