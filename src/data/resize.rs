//! Resizes 8-bit pictures like Pillow, bit-identically: bicubic for photographs, nearest for class indices; or like OpenCV
//! ([`opencv`]), if a data set says so.
//!
//! The released code resizes with Pillow, and a difference of one grey level changes the network's input. What is specific
//! to Pillow's bicubic: the kernel (a = −0.5) widens with the scale when shrinking, weights are normalised in double
//! precision and then rounded to 22 binary places, one axis is finished and rounded to 8 bits before the other begins. Its
//! nearest adds up source positions, where a multiplication would round differently. (Source: Pillow,
//! `src/libImaging/Resample.c` and `Geometry.c`.)

use serde::Deserialize;

use super::raster::{Index, Raster, Rgb};

pub mod opencv;

/// How the pictures of a data set take its size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Scaling {
    /// Which size they get.
    pub fit: Fit,
    /// Whose arithmetic.
    pub filter: Filter,
}

/// Which size a resized picture gets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fit {
    /// The data set's, whatever its aspect ratio.
    #[default]
    Exact,
    /// That of its aspect ratio in a box of the data set's, see [`intrada_picture::fitted`].
    Box,
}

/// How pixels of another size are made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Filter {
    /// [`bicubic`], and [`nearest`] for labels, as Pillow does it.
    #[default]
    Bicubic,
    /// [`opencv::bilinear`], and [`opencv::nearest`] for labels.
    Bilinear,
}

impl Scaling {
    /// A photograph at the size that it takes on in a data set of `size`; none if it has that.
    pub fn unless_equal(self, image: &Rgb, size: [usize; 2]) -> Option<Rgb> {
        let to = self.size_of(image.size(), size);
        (to != image.size()).then(|| self.photograph(image, to))
    }

    /// Width and height of an image of `stored` in a data set of `size`.
    pub fn size_of(self, stored: [usize; 2], size: [usize; 2]) -> [usize; 2] {
        match self.fit {
            Fit::Exact => size,
            // No side of a picture or a data set needs more than 32 bits.
            Fit::Box => {
                let [stored, size] = [stored, size].map(|size| size.map(|side| side as u32));
                intrada_picture::fitted(stored, size).map(|side| side as usize)
            }
        }
    }

    /// A photograph at another size.
    pub fn photograph(self, image: &Rgb, to: [usize; 2]) -> Rgb {
        match self.filter {
            Filter::Bicubic => bicubic(image, to),
            Filter::Bilinear => opencv::bilinear(image, to),
        }
    }

    /// A map of class indices at another size.
    pub fn map(self, map: &Index, to: [usize; 2]) -> Index {
        match self.filter {
            Filter::Bicubic => nearest(map, to),
            Filter::Bilinear => opencv::nearest(map, to),
        }
    }
}

/// Binary places of a weight: 32 bits less 8 for the pixel and 2 for sums that leave 0..=255 on the way.
const PLACES: u32 = 32 - 8 - 2;
const ONE: f64 = (1 << PLACES) as f64;
const HALF: i32 = 1 << (PLACES - 1);

/// The radius of Keys' cubic kernel, in source pixels.
const REACH: f64 = 2.0;

/// A photograph at another size, antialiased when it shrinks.
///
/// # Panics
/// If a side of `to` (width, height) is 0.
pub fn bicubic(image: &Rgb, to: [usize; 2]) -> Rgb {
    assert!(to[0] > 0 && to[1] > 0, "no picture is {}x{}", to[0], to[1]);
    // Pillow 13 resizes rows first if the height shrinks by more than twice as many pixels as the width; Pillow 12 and
    // older never did. Landscape photographs that shrink in proportion are not affected.
    let [narrower, shorter] = [0, 1].map(|axis| image.size()[axis] as i64 - to[axis] as i64);
    if shorter > 0 && shorter > 2 * narrower {
        across(down(image.clone(), to[1]), to[0])
    } else {
        down(across(image.clone(), to[0]), to[1])
    }
}

/// A map of class indices at another size: each pixel is one of the source's, never a mixture.
///
/// # Panics
/// If a side of `to` (width, height) is 0.
pub fn nearest(map: &Index, to: [usize; 2]) -> Index {
    assert!(to[0] > 0 && to[1] > 0, "no picture is {}x{}", to[0], to[1]);
    let columns = nearest_positions(map.width(), to[0]);
    let rows = nearest_positions(map.height(), to[1]);
    let source = map.bytes();
    let pixel = |row: usize, column: usize| source[row * map.width() + column];
    let bytes = rows.iter().flat_map(|&row| columns.iter().map(move |&column| pixel(row, column))).collect();
    Raster::new(to[0], to[1], bytes)
}

fn nearest_positions(from: usize, to: usize) -> Vec<usize> {
    let step = from as f64 / to as f64;
    let mut position = step * 0.5;
    let mut positions = Vec::with_capacity(to);
    for _ in 0..to {
        positions.push((position as usize).min(from - 1));
        position += step;
    }
    positions
}

/// Where a target pixel's weights begin in the source, and the weights in units of 2⁻²².
struct Taps {
    first: usize,
    weights: Vec<i32>,
}

/// The taps of each of `to` target pixels over `from` source pixels.
fn taps(from: usize, to: usize) -> Vec<Taps> {
    let scale = from as f64 / to as f64;
    let widen = scale.max(1.0);
    let support = REACH * widen;
    let at = |target: usize| {
        let center = (target as f64 + 0.5) * scale;
        // The casts truncate towards zero, as in C.
        let first = ((center - support + 0.5) as i64).max(0) as usize;
        let end = ((center + support + 0.5) as i64).min(from as i64) as usize;
        let real: Vec<f64> = (first..end).map(|x| keys_cubic((x as f64 - center + 0.5) * (1.0 / widen))).collect();
        let sum: f64 = real.iter().sum();
        let weights = real.iter().map(|weight| round_half_away(weight / sum * ONE)).collect();
        Taps { first, weights }
    };
    (0..to).map(at).collect()
}

/// Keys' cubic convolution kernel, a = −0.5. The order of operations is Pillow's, for the last bit.
fn keys_cubic(x: f64) -> f64 {
    const A: f64 = -0.5;
    let x = x.abs();
    if x < 1.0 {
        ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
    } else if x < REACH {
        (((x - 5.0) * x + 8.0) * x - 4.0) * A
    } else {
        0.0
    }
}

fn round_half_away(x: f64) -> i32 {
    (if x < 0.0 { x - 0.5 } else { x + 0.5 }) as i32
}

fn to_byte(sum: i32) -> u8 {
    (sum >> PLACES).clamp(0, 255) as u8
}

fn across(image: Rgb, to: usize) -> Rgb {
    if image.width() == to {
        return image;
    }
    let taps = taps(image.width(), to);
    let mut out = Vec::with_capacity(to * image.height() * 3);
    for row in image.rows() {
        for Taps { first, weights } in &taps {
            let mut sums = [HALF; 3];
            for (pixel, &weight) in row[*first..].iter().zip(weights) {
                for (sum, &byte) in sums.iter_mut().zip(pixel) {
                    *sum += i32::from(byte) * weight;
                }
            }
            out.extend_from_slice(&sums.map(to_byte));
        }
    }
    Raster::new(to, image.height(), out)
}

fn down(image: Rgb, to: usize) -> Rgb {
    if image.height() == to {
        return image;
    }
    let line = image.width() * 3;
    let mut out = Vec::with_capacity(to * line);
    let mut sums = vec![0; line];
    for Taps { first, weights } in taps(image.height(), to) {
        sums.fill(HALF);
        for (row, &weight) in image.bytes()[first * line..].chunks_exact(line).zip(&weights) {
            for (sum, &byte) in sums.iter_mut().zip(row) {
                *sum += i32::from(byte) * weight;
            }
        }
        out.extend(sums.iter().map(|&sum| to_byte(sum)));
    }
    Raster::new(image.width(), to, out)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};
    use safetensors::SafeTensors;

    use super::*;
    use crate::decode;

    proptest! {
        #[test]
        fn one_colour_stays_one_colour(colour in any::<[u8; 3]>(), from in (1usize..30, 1usize..30), to in (1usize..30, 1usize..30)) {
            let image = bicubic(&Rgb::filled(from.0, from.1, colour), [to.0, to.1]);
            prop_assert_eq!(image, Rgb::filled(to.0, to.1, colour));
        }

        #[test]
        fn nearest_invents_no_class(width in 1usize..20, to in (1usize..40, 1usize..40)) {
            let map = Index::new(width, 3, (0..width * 3).map(|i| (i * 37 % 251) as u8).collect());
            let resized = nearest(&map, [to.0, to.1]);
            prop_assert!(resized.bytes().iter().all(|value| map.bytes().contains(value)));
        }

        #[test]
        fn the_same_size_changes_nothing(width in 1usize..20, height in 1usize..20) {
            let bytes: Vec<u8> = (0..width * height * 3).map(|i| (i * 37 % 251) as u8).collect();
            let image = Rgb::new(width, height, bytes);
            prop_assert_eq!(&bicubic(&image, [width, height]), &image);
            let map = Index::new(width, height, image.pixels().iter().map(|pixel| pixel[0]).collect());
            prop_assert_eq!(&nearest(&map, [width, height]), &map);
        }
    }

    #[test]
    fn weights_of_every_tap_sum_to_one() {
        for (from, to) in [(480, 160), (129, 1024), (7, 3), (1, 5)] {
            for Taps { weights, .. } in taps(from, to) {
                let sum: i32 = weights.iter().sum();
                // Each of up to n weights is rounded by at most a half.
                assert!(
                    (sum - (1 << PLACES)).unsigned_abs() as usize <= weights.len().div_ceil(2),
                    "{from} to {to}: {sum}"
                );
            }
        }
    }

    #[test]
    fn golden_resizes_are_reproduced_without_a_differing_byte() {
        let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/golden");
        let Ok(bytes) = std::fs::read(golden.join("golden.safetensors")) else {
            eprintln!("skipped: no golden vectors at {}", golden.display());
            return;
        };
        let mut compared = 0;
        for (key, wanted) in SafeTensors::deserialize(&bytes).unwrap().tensors() {
            let [kind, k, filter, size] = key.split('.').collect::<Vec<_>>()[..] else { continue };
            if kind != "resize" {
                continue;
            }
            let (width, height) = size.split_once('x').unwrap();
            let to = [width.parse().unwrap(), height.parse().unwrap()];
            let resized = match filter {
                "bicubic" => {
                    let image = decode::photograph(&golden.join(format!("resize_{k}.png"))).unwrap();
                    bicubic(&image, to).bytes().to_vec()
                }
                _ => {
                    nearest(&decode::label(&golden.join(format!("resize_{k}_label.png"))).unwrap(), to).bytes().to_vec()
                }
            };
            let wanted = wanted.data();
            assert_eq!(resized.len(), wanted.len());
            assert_eq!(resized.iter().zip(wanted).filter(|(a, b)| a != b).count(), 0, "{key}");
            compared += 1;
        }
        assert_eq!(compared, 12);
    }
}
