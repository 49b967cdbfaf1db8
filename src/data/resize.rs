//! Resizes 8-bit pictures like Pillow, bit-identically: bicubic for photographs, nearest for class indices; or like OpenCV
//! ([`opencv`]), if a data set says so.
//!
//! The released code resizes with Pillow, and a difference of one grey level changes the network's input. What is specific
//! to Pillow's bicubic: the kernel (a = −0.5) widens with the scale when shrinking, weights are normalised in double
//! precision and then rounded to 22 binary places, one axis is finished and rounded to 8 bits before the other begins. Its
//! nearest adds up source positions, where a multiplication would round differently. (Source: Pillow,
//! `src/libImaging/Resample.c` and `Geometry.c`.)

use serde::{Deserialize, Serialize};

use super::raster::{Index, Raster, Rgb};

pub mod opencv;

/// How the pictures of a data set take its size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Scaling {
    /// Which size they get.
    pub fit: Fit,
    /// Whose arithmetic.
    pub filter: Filter,
}

/// Which size a resized picture gets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fit {
    /// The data set's, whatever its aspect ratio.
    #[default]
    Exact,
    /// That of its aspect ratio in a box of the data set's, see [`intrada_picture::fitted`].
    Box,
}

/// How pixels of another size are made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
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
    let is_rows_first = shorter > 0 && shorter > 2 * narrower;
    match (narrower == 0, shorter == 0) {
        (true, true) => image.clone(),
        (true, false) => down(image, to[1]),
        (false, true) => across(image, to[0]),
        (false, false) if is_rows_first => across(&down(image, to[1]), to[0]),
        (false, false) => down(&across(image, to[0]), to[1]),
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
    let mut bytes = Vec::with_capacity(to[0] * to[1]);
    for row in rows {
        let row = &map.bytes()[row * map.width()..][..map.width()];
        bytes.extend(columns.iter().map(|&column| row[column]));
    }
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

fn across(image: &Rgb, to: usize) -> Rgb {
    let taps = taps(image.width(), to);
    let mut out = vec![0; to * image.height() * 3];
    widest::across(image.bytes(), image.width(), &taps, &mut out);
    Raster::new(to, image.height(), out)
}

fn down(image: &Rgb, to: usize) -> Rgb {
    let line = image.width() * 3;
    let mut out = vec![0; to * line];
    for (Taps { first, weights }, row) in taps(image.height(), to).iter().zip(out.chunks_exact_mut(line)) {
        widest::down(&image.bytes()[first * line..], line, weights, row);
    }
    Raster::new(image.width(), to, out)
}

mod sums {
    //! The weighted sums, many at a time. All are of whole numbers, so that no order of operations changes them.

    use super::{HALF, Taps, to_byte};

    /// How many sums of a row are made at a time, in registers.
    const BLOCK: usize = 32;

    /// Rows of `width` pixels, each resized by these taps. `pixel` sums up the pixels that begin at every third of these bytes, each
    /// with the byte after it: four numbers fit an instruction, and three don't.
    #[inline(always)]
    pub(super) fn across(
        image: &[u8],
        width: usize,
        taps: &[Taps],
        out: &mut [u8],
        pixel: impl Fn(&[u8], &[i32]) -> [u8; 4],
    ) {
        // So there is a byte after the last pixel. What is written too much the next pixel replaces.
        let (mut row, mut resized) = (vec![0; width * 3 + 1], vec![0; taps.len() * 3 + 1]);
        for (from, to) in image.chunks_exact(width * 3).zip(out.chunks_exact_mut(taps.len() * 3)) {
            row[..width * 3].copy_from_slice(from);
            for (place, Taps { first, weights }) in taps.iter().enumerate() {
                let four = pixel(&row[first * 3..=(first + weights.len()) * 3], weights);
                resized[place * 3..place * 3 + 4].copy_from_slice(&four);
            }
            to.copy_from_slice(&resized[..taps.len() * 3]);
        }
    }

    /// The weighted sum of pixels, as bytes.
    #[inline(always)]
    pub(super) fn pixel(bytes: &[u8], weights: &[i32]) -> [u8; 4] {
        let mut sums = [HALF; 4];
        for (tap, &weight) in weights.iter().enumerate() {
            for (sum, &byte) in sums.iter_mut().zip(&bytes[tap * 3..tap * 3 + 4]) {
                *sum += i32::from(byte) * weight;
            }
        }
        sums.map(to_byte)
    }

    /// One row, the weighted sum of these, each of `line` bytes.
    #[inline(always)]
    pub(super) fn down(rows: &[u8], line: usize, weights: &[i32], out: &mut [u8]) {
        let (blocks, rest) = out.as_chunks_mut::<BLOCK>();
        let whole = blocks.len() * BLOCK;
        for (place, block) in blocks.iter_mut().enumerate() {
            let mut sums = [HALF; BLOCK];
            for (row, &weight) in weights.iter().enumerate() {
                let at = row * line + place * BLOCK;
                let bytes: &[u8; BLOCK] = rows[at..at + BLOCK].try_into().expect("a block");
                for (sum, &byte) in sums.iter_mut().zip(bytes) {
                    *sum += i32::from(byte) * weight;
                }
            }
            *block = sums.map(to_byte);
        }
        for (place, byte) in rest.iter_mut().enumerate() {
            let sum = |(row, &weight): (usize, &i32)| i32::from(rows[row * line + whole + place]) * weight;
            *byte = to_byte(HALF + weights.iter().enumerate().map(sum).sum::<i32>());
        }
    }
}

mod widest {
    //! [`sums`](super::sums) with the instructions that this CPU has: a program for every x86-64 CPU knows none that multiplies four
    //! numbers of 32 bits.

    use super::{Taps, sums};

    pub(super) fn across(image: &[u8], width: usize, taps: &[Taps], out: &mut [u8]) {
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") {
            // SAFETY: this CPU has these instructions.
            return unsafe { avx2::across(image, width, taps, out) };
        }
        sums::across(image, width, taps, out, sums::pixel);
    }

    pub(super) fn down(rows: &[u8], line: usize, weights: &[i32], out: &mut [u8]) {
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") {
            // SAFETY: this CPU has these instructions.
            return unsafe { avx2::down(rows, line, weights, out) };
        }
        sums::down(rows, line, weights, out);
    }

    #[cfg(target_arch = "x86_64")]
    mod avx2 {
        use std::arch::x86_64::{
            _mm_add_epi32, _mm_cvtepu8_epi32, _mm_cvtsi32_si128, _mm_cvtsi128_si32, _mm_mullo_epi32, _mm_packs_epi32,
            _mm_packus_epi16, _mm_set1_epi32, _mm_srai_epi32,
        };

        use super::super::{HALF, PLACES, Taps, sums};

        #[target_feature(enable = "avx2")]
        pub(super) fn across(image: &[u8], width: usize, taps: &[Taps], out: &mut [u8]) {
            sums::across(image, width, taps, out, |bytes, weights| pixel(bytes, weights));
        }

        /// As [`sums::pixel`]. The compiler finds no such instructions for four sums.
        #[target_feature(enable = "avx2")]
        fn pixel(bytes: &[u8], weights: &[i32]) -> [u8; 4] {
            let mut sums = _mm_set1_epi32(HALF);
            for (four, &weight) in bytes.windows(4).step_by(3).zip(weights) {
                let four = i32::from_le_bytes(four.try_into().expect("four bytes"));
                let four = _mm_cvtepu8_epi32(_mm_cvtsi32_si128(four));
                sums = _mm_add_epi32(sums, _mm_mullo_epi32(four, _mm_set1_epi32(weight)));
            }
            let sums = _mm_srai_epi32::<{ PLACES as i32 }>(sums);
            // Both steps clamp.
            let words = _mm_packs_epi32(sums, sums);
            _mm_cvtsi128_si32(_mm_packus_epi16(words, words)).to_le_bytes()
        }

        #[target_feature(enable = "avx2")]
        pub(super) fn down(rows: &[u8], line: usize, weights: &[i32], out: &mut [u8]) {
            sums::down(rows, line, weights, out);
        }
    }
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

    /// The sums as Pillow writes them, one pixel after the other.
    fn slowly(image: &Rgb, to: [usize; 2]) -> Rgb {
        let axis = |image: &Rgb, to: [usize; 2], axis: usize| {
            let taps = taps(image.size()[axis], to[axis]);
            let pixel = |place: usize| {
                let at = [place % to[0], place / to[0]];
                let Taps { first, weights } = &taps[at[axis]];
                let mut sums = [HALF; 3];
                for (tap, weight) in weights.iter().enumerate() {
                    let from = if axis == 0 { [first + tap, at[1]] } else { [at[0], first + tap] };
                    for (sum, byte) in sums.iter_mut().zip(image.at(from[0], from[1])) {
                        *sum += i32::from(byte) * weight;
                    }
                }
                sums.map(to_byte)
            };
            Rgb::new(to[0], to[1], (0..to[0] * to[1]).flat_map(pixel).collect())
        };
        let across = axis(image, [to[0], image.height()], 0);
        axis(&across, to, 1)
    }

    proptest! {
        #[test]
        fn wide_and_plain_sums_are_those_of_one_pixel_after_the_other(
            from in (1usize..70, 1usize..30), to in (1usize..70, 1usize..30), seed in any::<u32>(),
        ) {
            let byte = |i: usize| ((i as u32).wrapping_mul(2_654_435_761).wrapping_add(seed) >> 21) as u8;
            let image = Rgb::new(from.0, from.1, (0..from.0 * from.1 * 3).map(byte).collect());
            let shorter = from.1 as i64 - to.1 as i64;
            if shorter <= 0 || shorter <= 2 * (from.0 as i64 - to.0 as i64) {
                prop_assert_eq!(bicubic(&image, [to.0, to.1]), slowly(&image, [to.0, to.1]));
            }
            let (columns, rows) = (taps(from.0, to.0), taps(from.1, to.1));
            let mut both = [vec![0; to.0 * from.1 * 3], vec![0; to.0 * from.1 * 3]];
            sums::across(image.bytes(), from.0, &columns, &mut both[0], sums::pixel);
            widest::across(image.bytes(), from.0, &columns, &mut both[1]);
            prop_assert_eq!(&both[0], &both[1]);
            for Taps { first, weights } in &rows {
                let mut both = [vec![0; from.0 * 3], vec![0; from.0 * 3]];
                sums::down(&image.bytes()[first * from.0 * 3..], from.0 * 3, weights, &mut both[0]);
                widest::down(&image.bytes()[first * from.0 * 3..], from.0 * 3, weights, &mut both[1]);
                prop_assert_eq!(&both[0], &both[1]);
            }
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
