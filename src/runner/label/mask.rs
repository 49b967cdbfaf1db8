//! A class map in memory: one byte per pixel, in rows, 255 where there is no label. And the PNG files that hold it.
//!
//! Knows no class and no tool.

use std::io::Cursor;

use png::{BitDepth, ColorType, Transformations};

/// The value of a pixel without a label: training and evaluation ignore it.
pub const IGNORED: u8 = 255;

/// One byte per pixel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mask {
    size: [u32; 2],
    bytes: Vec<u8>,
}

impl Mask {
    /// Of `[width, height]` pixels; `bytes` in rows.
    ///
    /// # Panics
    /// They aren't that many.
    pub fn new(size: [u32; 2], bytes: Vec<u8>) -> Mask {
        assert_eq!(pixels(size), bytes.len(), "a byte for each pixel");
        Mask { size, bytes }
    }

    /// Without any label.
    pub fn ignored(size: [u32; 2]) -> Mask {
        Mask { size, bytes: vec![IGNORED; pixels(size)] }
    }

    /// Width and height in pixels.
    pub fn size(&self) -> [u32; 2] {
        self.size
    }

    /// In rows.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether it has a label anywhere.
    pub fn is_labelled(&self) -> bool {
        self.bytes.iter().any(|byte| *byte != IGNORED)
    }

    /// Of a grey PNG of 8 bits.
    ///
    /// # Errors
    /// It is something else.
    pub fn decode(file: &[u8]) -> Result<Mask, String> {
        let mut reader = png::Decoder::new(Cursor::new(file)).read_info().map_err(|error| error.to_string())?;
        let info = reader.info();
        if (info.color_type, info.bit_depth) != (ColorType::Grayscale, BitDepth::Eight) {
            return Err("it is not a grey PNG of 8 bits".to_owned());
        }
        let size = [info.width, info.height];
        let mut bytes = vec![0; pixels(size)];
        reader.next_frame(&mut bytes).map_err(|error| error.to_string())?;
        Ok(Mask { size, bytes })
    }

    /// As a grey PNG of 8 bits.
    pub fn png(&self) -> Vec<u8> {
        encode(self.size, ColorType::Grayscale, &self.bytes)
    }

    /// As an RGB PNG in the colours of the values. A value beyond them is black.
    pub fn painted(&self, colours: &[[u8; 3]]) -> Vec<u8> {
        let colour = |value: &u8| colours.get(usize::from(*value)).copied().unwrap_or([0; 3]);
        rgb_png(self.size, &self.bytes.iter().flat_map(colour).collect::<Vec<u8>>())
    }
}

/// The number of pixels.
pub fn pixels([width, height]: [u32; 2]) -> usize {
    width as usize * height as usize
}

/// Three bytes per pixel, in rows, as a PNG.
pub fn rgb_png(size: [u32; 2], rgb: &[u8]) -> Vec<u8> {
    encode(size, ColorType::Rgb, rgb)
}

fn encode([width, height]: [u32; 2], color: ColorType, bytes: &[u8]) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, width, height);
    encoder.set_color(color);
    encoder.set_depth(BitDepth::Eight);
    let mut writer = encoder.write_header().expect("writing to memory does not fail");
    writer.write_image_data(bytes).expect("there are as many bytes as the size says");
    writer.finish().expect("writing to memory does not fail");
    file
}

/// What a label tool wrote into a PNG.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Painted {
    /// A colour per pixel: of an RGB PNG, with or without transparency, or one with a palette.
    Colours {
        /// Width and height in pixels.
        size: [u32; 2],
        /// In rows.
        pixels: Vec<[u8; 3]>,
    },
    /// A number per pixel: of a grey PNG.
    Numbers(Mask),
}

impl Painted {
    /// Of a PNG file.
    ///
    /// # Errors
    /// It is no PNG, is damaged, or has 16 bits per sample.
    pub fn decode(file: &[u8]) -> Result<Painted, String> {
        let mut decoder = png::Decoder::new(Cursor::new(file));
        decoder.set_transformations(Transformations::EXPAND);
        let mut reader = decoder.read_info().map_err(|error| error.to_string())?;
        let size = [reader.info().width, reader.info().height];
        if reader.info().color_type == ColorType::Grayscale && reader.info().bit_depth != BitDepth::Eight {
            // Expanding would change the numbers.
            return Err("it is grey, and has not 8 bits per pixel".to_owned());
        }
        let (color, depth) = reader.output_color_type();
        if depth != BitDepth::Eight {
            return Err("it has 16 bits per sample".to_owned());
        }
        let length = reader.output_buffer_size().ok_or("it is too large")?;
        let mut bytes = vec![0; length];
        reader.next_frame(&mut bytes).map_err(|error| error.to_string())?;
        Ok(match color.samples() {
            // A transparent grey would have 2.
            1 => Painted::Numbers(Mask { size, bytes }),
            samples @ (3 | 4) => {
                let pixels = bytes.chunks_exact(samples).map(|pixel| [pixel[0], pixel[1], pixel[2]]).collect();
                Painted::Colours { size, pixels }
            }
            _ => return Err("it is grey with transparency".to_owned()),
        })
    }

    /// Width and height in pixels.
    pub fn size(&self) -> [u32; 2] {
        match self {
            Painted::Colours { size, .. } => *size,
            Painted::Numbers(mask) => mask.size,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop_assert_eq, proptest};

    use super::*;

    proptest! {
        #[test]
        fn a_mask_reads_back_from_its_png_and_from_its_colours(width in 1u32..20, height in 1u32..9, seed in any::<u8>()) {
            let bytes = (0..width * height).map(|i| (i as u8).wrapping_mul(37) ^ seed).collect();
            let mask = Mask::new([width, height], bytes);
            prop_assert_eq!(&Mask::decode(&mask.png()).unwrap(), &mask);
            prop_assert_eq!(Painted::decode(&mask.png()).unwrap(), Painted::Numbers(mask.clone()));
            let colours: Vec<[u8; 3]> = (0..=255).map(|value| [value, 255 - value, 7]).collect();
            let pixels = mask.bytes().iter().map(|value| colours[usize::from(*value)]).collect();
            let painted = Painted::decode(&mask.painted(&colours)).unwrap();
            prop_assert_eq!(painted, Painted::Colours { size: mask.size(), pixels });
        }
    }

    #[test]
    fn a_png_with_a_palette_gives_its_colours() {
        let mut file = Vec::new();
        let mut encoder = png::Encoder::new(&mut file, 2, 1);
        encoder.set_color(ColorType::Indexed);
        encoder.set_palette(vec![1, 2, 3, 4, 5, 6]);
        encoder.write_header().unwrap().write_image_data(&[1, 0]).unwrap();
        let pixels = vec![[4, 5, 6], [1, 2, 3]];
        assert_eq!(Painted::decode(&file), Ok(Painted::Colours { size: [2, 1], pixels }));
        assert!(Mask::decode(&file).unwrap_err().contains("not a grey PNG"));
        assert!(Painted::decode(b"no picture").is_err());
    }
}
