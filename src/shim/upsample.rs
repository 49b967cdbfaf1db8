//! Bilinear interpolation with a backward pass of its own.
//!
//! libtorch adds each number of a gradient whose rows are contiguous to four places, one after the other: 9 % of a step of the quickstart's network,
//! 6 % of SegFormer's. Here rows are added to rows first, many numbers at once, and columns last, where there are fewer. The result of the
//! forward pass is libtorch's.

use std::ffi::c_char;

use tch::Tensor;
use torch_sys::C_tensor;

use crate::made;

unsafe extern "C" {
    fn intrada_shim_upsample(
        x: *const C_tensor,
        height: i64,
        width: i64,
        corners: bool,
        result: *mut *mut C_tensor,
    ) -> *mut c_char;
}

/// N×C×h×w to N×C×height×width, as `upsample_bilinear2d`; `corners` is its `align_corners`. No gradients of gradients.
///
/// # Panics
/// Other dimensions, or no pixel.
pub fn bilinear(x: &Tensor, [height, width]: [i64; 2], corners: bool) -> Tensor {
    // SAFETY: a live tensor, and a place for the result.
    made(|result| unsafe { intrada_shim_upsample(x.as_ptr(), height, width, corners, result) })
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind};

    use super::*;

    fn numbers(shape: &[i64], factor: f64, kind: Kind) -> Tensor {
        (Tensor::arange(shape.iter().product::<i64>(), (Kind::Double, Device::Cpu)) * factor)
            .sin()
            .to_kind(kind)
            .view(shape)
    }

    /// The result and the gradient, by us and by libtorch.
    fn passes(from: [i64; 2], to: [i64; 2], corners: bool, kind: Kind, is_last: bool) -> [(Tensor, Tensor); 2] {
        [true, false].map(|is_ours| {
            let x = numbers(&[2, 3, from[0], from[1]], 1.3, kind).set_requires_grad(true);
            let y = if is_ours { bilinear(&x, to, corners) } else { x.upsample_bilinear2d(to, corners, None, None) };
            let weights = numbers(&y.size(), 0.7, kind);
            let weights =
                if is_last { weights.permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2]) } else { weights };
            (&y * weights).sum(kind).backward();
            (y.detach(), x.grad())
        })
    }

    #[test]
    fn results_are_libtorchs_and_gradients_its_sums_in_another_order() {
        for (from, to) in [
            ([4, 5], [16, 20]),
            ([1, 1], [3, 4]),
            ([5, 3], [5, 3]),
            ([7, 6], [3, 2]),
            ([2, 9], [33, 10]),
            ([3, 4], [1, 1]),
        ] {
            for corners in [true, false] {
                for is_last in [true, false] {
                    for (kind, allowed) in [(Kind::Double, 1e-14), (Kind::Float, 1e-5)] {
                        let [(y, gradient), (wanted, theirs)] = passes(from, to, corners, kind, is_last);
                        assert_eq!(y, wanted);
                        let off = (gradient - theirs).abs().max().double_value(&[]);
                        assert!(off < allowed, "{from:?} to {to:?}, corners {corners}, {kind:?}: {off}");
                    }
                }
            }
        }
    }

    #[test]
    fn gradients_do_not_depend_on_the_number_of_threads() {
        let pass = |threads| {
            tch::set_num_threads(threads);
            let x = numbers(&[2, 19, 12, 16], 1.3, Kind::Float).set_requires_grad(true);
            let y = bilinear(&x, [96, 128], true);
            (&y * numbers(&y.size(), 0.7, Kind::Float)).sum(Kind::Float).backward();
            x.grad()
        };
        assert_eq!(pass(1), pass(2));
    }
}
