//! A picture in memory: `C` interleaved bytes per pixel, rows from the top.
//!
//! Knows no file format and no class. The number of channels is part of the type, so that a photograph ([`Rgb`]) can't be
//! taken for a map of class indices ([`Index`]).

/// A picture of `width × height` pixels of `C` bytes each.
#[derive(Clone, PartialEq, Eq)]
pub struct Raster<const C: usize> {
    width: usize,
    height: usize,
    bytes: Vec<u8>,
}

/// Red, green, blue.
pub type Rgb = Raster<3>;

/// One byte per pixel: a class index (255 = ignore) or a grey value.
pub type Index = Raster<1>;

impl<const C: usize> Raster<C> {
    /// A picture from its bytes, row by row.
    ///
    /// # Panics
    /// If there are not exactly `width · height · C` bytes, or none.
    pub fn new(width: usize, height: usize, bytes: Vec<u8>) -> Self {
        assert!(width > 0 && height > 0, "a picture has at least one pixel, not {width}x{height}");
        assert_eq!(bytes.len(), width * height * C, "bytes of a {width}x{height} picture with {C} channels");
        Self { width, height, bytes }
    }

    /// A picture of one colour.
    pub fn filled(width: usize, height: usize, pixel: [u8; C]) -> Self {
        Self::new(width, height, pixel.repeat(width * height))
    }

    /// Pixels in a row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Rows.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Width and height.
    pub fn size(&self) -> [usize; 2] {
        [self.width, self.height]
    }

    /// All bytes, row by row.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// All bytes, to be changed in place.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    /// All pixels, row by row.
    pub fn pixels(&self) -> &[[u8; C]] {
        self.bytes.as_chunks().0
    }

    /// All pixels, to be changed in place.
    pub fn pixels_mut(&mut self) -> &mut [[u8; C]] {
        self.bytes.as_chunks_mut().0
    }

    /// The rows, from the top.
    pub fn rows(&self) -> std::slice::ChunksExact<'_, [u8; C]> {
        self.pixels().chunks_exact(self.width)
    }

    /// The pixel at a column and a row.
    ///
    /// # Panics
    /// Outside the picture.
    pub fn at(&self, column: usize, row: usize) -> [u8; C] {
        assert!(column < self.width, "column {column} of {}", self.width);
        self.pixels()[row * self.width + column]
    }
}

impl<const C: usize> std::fmt::Debug for Raster<C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Raster<{C}>({}x{})", self.width, self.height)
    }
}
