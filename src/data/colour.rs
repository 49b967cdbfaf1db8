//! Class maps for people: laid over the photograph in the classes' colours.

use super::raster::{Index, Rgb};
use super::resize;

/// How much of the class colour there is in an overlay, the rest being the photograph. Half shows both about equally well.
const COLOUR_SHARE: f32 = 0.5;

/// The photograph tinted with each pixel's class colour; indices beyond the palette (255 = ignore) stay untinted.
/// The result has the map's size: a photograph of another size is resized to it.
pub fn overlay(photograph: &Rgb, map: &Index, palette: &[[u8; 3]]) -> Rgb {
    let mut picture = resize::bicubic(photograph, map.size());
    for (pixel, &index) in picture.pixels_mut().iter_mut().zip(map.bytes()) {
        if let Some(colour) = palette.get(usize::from(index)) {
            for (byte, &tint) in pixel.iter_mut().zip(colour) {
                let mixed = f32::from(*byte) * (1.0 - COLOUR_SHARE) + f32::from(tint) * COLOUR_SHARE;
                *byte = mixed.round() as u8;
            }
        }
    }
    picture
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_tinted_and_ignored_pixels_are_not() {
        let photograph = Rgb::filled(2, 1, [100, 100, 100]);
        let picture = overlay(&photograph, &Index::new(2, 1, vec![1, 255]), &[[0; 3], [200, 0, 50]]);
        assert_eq!(picture.pixels(), [[150, 50, 75], [100; 3]]);
    }

    #[test]
    fn the_overlay_has_the_size_of_the_map() {
        let picture = overlay(&Rgb::filled(8, 8, [3; 3]), &Index::filled(4, 6, [0]), &[[9; 3]]);
        assert_eq!(picture.size(), [4, 6]);
        assert_eq!(picture.at(3, 5), [6; 3]);
    }
}
