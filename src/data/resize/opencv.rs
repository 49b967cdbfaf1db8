//! Resizes 8-bit pictures like OpenCV, bit-identically: bilinear for photographs, nearest for class indices.
//!
//! mmsegmentation and what is built on it (DAFormer, MIC) resize with OpenCV. What is specific to it: no antialiasing, so shrinking
//! by more than 2 skips pixels; weights are rounded to 11 binary places, rows and columns treated apart; sums lose their lowest
//! bits in three steps, an instruction's multiplication of halves; and its nearest takes the pixel at the floor of `i · scale`, where
//! Pillow takes the one at the centre. (Source: OpenCV, `modules/imgproc/src/resize.cpp`. Tested against 4.14 and 5.0 on x86-64;
//! builds for other processors may replace the loop by one that rounds in another way.)

use crate::raster::{Index, Raster, Rgb};

/// A weight of 1: 11 binary places.
const ONE: f32 = 2048.0;

/// A photograph at another size, without antialiasing.
///
/// # Panics
/// If a side of `to` (width, height) is 0.
pub fn bilinear(image: &Rgb, to: [usize; 2]) -> Rgb {
    assert!(to[0] > 0 && to[1] > 0, "no picture is {}x{}", to[0], to[1]);
    if image.size() == to {
        return image.clone();
    }
    let columns: Vec<Tap> = taps(image.width(), to[0]).map(|tap| tap.held_within(image.width())).collect();
    let mut across = [Across::none(), Across::none()];
    let mut bytes = Vec::with_capacity(to[0] * to[1] * 3);
    for Tap { first, weights } in taps(image.height(), to[1]) {
        let last = image.height() as isize - 1;
        let [upper, lower] = [first, first + 1].map(|row| row.clamp(0, last) as usize);
        // The lower row of one target row is often the upper one of the next.
        if across[1].row == Some(upper) {
            across.swap(0, 1);
        }
        across[0].fill(image, upper, &columns);
        across[1].fill(image, lower, &columns);
        let sums = across[0].sums.iter().zip(&across[1].sums);
        bytes.extend(sums.map(|(&upper, &lower)| to_byte([upper, lower], weights)));
    }
    Raster::new(to[0], to[1], bytes)
}

/// A map of class indices at another size: each pixel is one of the source's, never a mixture.
///
/// # Panics
/// If a side of `to` (width, height) is 0.
pub fn nearest(map: &Index, to: [usize; 2]) -> Index {
    assert!(to[0] > 0 && to[1] > 0, "no picture is {}x{}", to[0], to[1]);
    let positions = |from: usize, to: usize| -> Vec<usize> {
        let scale = scale(from, to);
        (0..to).map(|target| ((target as f64 * scale) as usize).min(from - 1)).collect()
    };
    let columns = positions(map.width(), to[0]);
    let rows = positions(map.height(), to[1]);
    let source = map.bytes();
    let pixel = |row: usize, column: usize| source[row * map.width() + column];
    let bytes = rows.iter().flat_map(|&row| columns.iter().map(move |&column| pixel(row, column))).collect();
    Raster::new(to[0], to[1], bytes)
}

/// Source pixels per target pixel. The division is inverted twice, for the last bit.
fn scale(from: usize, to: usize) -> f64 {
    1.0 / (to as f64 / from as f64)
}

/// The two neighbours of a target pixel, the first of which may lie before the picture and the second after it.
struct Tap {
    first: isize,
    /// In units of 2⁻¹¹.
    weights: [i32; 2],
}

impl Tap {
    /// Neighbours outside are replaced in a row of pixels, unlike in a column, by the whole weight on the outermost pixel.
    fn held_within(self, side: usize) -> Tap {
        let last = side as isize - 1;
        if self.first < 0 || self.first >= last {
            Tap { first: self.first.clamp(0, last), weights: [ONE as i32, 0] }
        } else {
            self
        }
    }
}

fn taps(from: usize, to: usize) -> impl Iterator<Item = Tap> {
    let scale = scale(from, to);
    (0..to).map(move |target| {
        let center = ((target as f64 + 0.5) * scale - 0.5) as f32;
        let first = center.floor();
        let share = center - first;
        let weight = |share: f32| (share * ONE).round_ties_even() as i32;
        Tap { first: first as isize, weights: [weight(1.0 - share), weight(share)] }
    })
}

/// A source row, resized across: sums in units of 2⁻¹¹.
struct Across {
    row: Option<usize>,
    sums: Vec<i32>,
}

impl Across {
    fn none() -> Across {
        Across { row: None, sums: Vec::new() }
    }

    fn fill(&mut self, image: &Rgb, row: usize, columns: &[Tap]) {
        if self.row.replace(row) == Some(row) {
            return;
        }
        let pixels = &image.pixels()[row * image.width()..][..image.width()];
        self.sums.clear();
        for Tap { first, weights } in columns {
            let first = *first as usize;
            let pair = [pixels[first], pixels[(first + 1).min(pixels.len() - 1)]];
            self.sums.extend((0..3).map(|c| i32::from(pair[0][c]) * weights[0] + i32::from(pair[1][c]) * weights[1]));
        }
    }
}

/// The sum of two rows, rounded in OpenCV's steps.
fn to_byte(sums: [i32; 2], weights: [i32; 2]) -> u8 {
    let part = |row: usize| ((sums[row] >> 4) * weights[row]) >> 16;
    ((part(0) + part(1) + 2) >> 2).clamp(0, 255) as u8
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};
    use serde::Deserialize;

    use super::*;

    /// Of `tests_data/opencv_reference.py`.
    #[derive(Deserialize)]
    struct Reference {
        cases: Vec<Case>,
    }

    /// A picture of the pattern in [`picture`] at another size.
    #[derive(Deserialize)]
    struct Case {
        from: [usize; 2],
        to: [usize; 2],
        /// All bytes in hexadecimal.
        bilinear: String,
        nearest: String,
    }

    /// The pattern of the reference: noise without a generator that two languages would have to share.
    fn picture([width, height]: [usize; 2]) -> Rgb {
        let byte = |i: usize| ((i * i * 7919 + i * 104_729) >> 5 & 255) as u8;
        Rgb::new(width, height, (0..width * height * 3).map(byte).collect())
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn opencv_gives_the_same_bytes() {
        let reference: Reference = serde_json::from_str(include_str!("../tests_data/opencv_reference.json")).unwrap();
        assert!(reference.cases.len() > 10);
        for Case { from, to, bilinear: expected, nearest: expected_map } in reference.cases {
            let image = picture(from);
            assert_eq!(hex(bilinear(&image, to).bytes()), expected, "{from:?} to {to:?}");
            let map = Index::new(from[0], from[1], image.pixels().iter().map(|pixel| pixel[0]).collect());
            assert_eq!(hex(nearest(&map, to).bytes()), expected_map, "{from:?} to {to:?}");
        }
    }

    proptest! {
        #[test]
        fn one_colour_stays_one_colour(colour in any::<[u8; 3]>(), from in (1usize..30, 1usize..30), to in (1usize..30, 1usize..30)) {
            let image = bilinear(&Rgb::filled(from.0, from.1, colour), [to.0, to.1]);
            prop_assert_eq!(image, Rgb::filled(to.0, to.1, colour));
        }

        #[test]
        fn halving_is_the_rounded_mean_of_four_pixels(width in 1usize..9, height in 1usize..9) {
            let image = picture([2 * width, 2 * height]);
            let half = bilinear(&image, [width, height]);
            for (i, pixel) in half.pixels().iter().enumerate() {
                let at = |dx: usize, dy: usize| image.pixels()[(2 * (i / width) + dy) * 2 * width + 2 * (i % width) + dx];
                for (c, ours) in pixel.iter().enumerate() {
                    let sum: u32 = [at(0, 0), at(1, 0), at(0, 1), at(1, 1)].iter().map(|pixel| u32::from(pixel[c])).sum();
                    prop_assert_eq!(u32::from(*ours), (sum + 2) / 4);
                }
            }
        }

        #[test]
        fn nearest_invents_no_class_and_keeps_the_first_pixel(size in (1usize..20, 1usize..20), to in (1usize..40, 1usize..40)) {
            let map = Index::new(size.0, size.1, (0..size.0 * size.1).map(|i| (i * 37 % 251) as u8).collect());
            let resized = nearest(&map, [to.0, to.1]);
            prop_assert!(resized.bytes().iter().all(|value| map.bytes().contains(value)));
            prop_assert_eq!(resized.bytes()[0], map.bytes()[0]);
            prop_assert_eq!(&nearest(&map, [size.0, size.1]), &map);
        }
    }
}
