//! The size of a photograph that is scaled into a box and keeps its aspect ratio.
//!
//! Knows no pixels: the worker scales, and the runner must know the size before it does.

/// Width and height of an image of `size` in a box of which the longer side bounds the longer side of the image, whichever that is,
/// and the shorter side the shorter: smaller images grow. Sides are rounded, and at least 1.
///
/// The rule, with its order of operations, is that of MMCV (`image/geometric.py`: `rescale_size`), so that 1914 × 1052 becomes
/// 1280 × 704 in 1280 × 720.
pub fn fitted(size: [u32; 2], within: [u32; 2]) -> [u32; 2] {
    let [long, short] = sorted(within).map(f64::from);
    let [longer, shorter] = sorted(size).map(f64::from);
    let scale = (long / longer).min(short / shorter);
    size.map(|side| ((f64::from(side) * scale + 0.5) as u32).max(1))
}

/// The longer side first.
fn sorted(size: [u32; 2]) -> [u32; 2] {
    [size[0].max(size[1]), size[0].min(size[1])]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop_assert, prop_assert_eq, proptest};

    use super::*;

    #[test]
    fn sizes_are_those_of_mmcv() {
        // Computed in Python by the same formula.
        for (size, within, expected) in [
            ([1914, 1052], [1280, 720], [1280, 704]),
            ([1914, 1046], [1280, 720], [1280, 700]),
            ([1914, 1052], [2560, 1440], [2560, 1407]),
            ([1052, 1914], [1280, 720], [704, 1280]),
            ([1280, 760], [1280, 760], [1280, 760]),
            ([2048, 1024], [1024, 512], [1024, 512]),
            ([640, 480], [1280, 720], [960, 720]),
            ([1000, 1], [10, 10], [10, 1]),
        ] {
            assert_eq!(fitted(size, within), expected, "{size:?} in {within:?}");
        }
    }

    proptest! {
        #[test]
        fn an_image_fills_the_box_in_one_direction_and_never_leaves_it(
            size in (1u32..5000, 1u32..5000), within in (1u32..3000, 1u32..3000),
        ) {
            let (size, within) = ([size.0, size.1], [within.0, within.1]);
            let found = sorted(fitted(size, within));
            let within = sorted(within);
            prop_assert!(found[0] <= within[0] && found[1] <= within[1], "{:?}", found);
            prop_assert!(found[0] == within[0] || found[1] == within[1], "{:?}", found);
        }

        #[test]
        fn an_image_that_lies_on_its_side_has_the_sides_swapped(
            size in (1u32..5000, 1u32..5000), within in (1u32..3000, 1u32..3000),
        ) {
            let upright = fitted([size.0, size.1], [within.0, within.1]);
            let turned = fitted([size.1, size.0], [within.1, within.0]);
            prop_assert_eq!([turned[1], turned[0]], upright);
        }
    }
}
