//! Bilinear interpolation of maps whose rows are contiguous.
//!
//! libtorch adds each number of such a gradient to four places, one after the other: 9 % of a step of the quickstart's network, 6 % of
//! SegFormer's. Here rows are added to rows first, many numbers at once, and columns last, where there are fewer. Small maps it takes to adjacent
//! channels and back in the forward pass, 6 % of a step of the quickstart's network; here columns come first, once for each row of the smaller map,
//! and rows last. Where channels are adjacent, both passes are libtorch's.

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
    fn results_and_gradients_are_libtorchs_sums_in_another_order() {
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
                        for (ours, theirs) in [(y, wanted), (gradient, theirs)] {
                            let off = (ours - theirs).abs().max().double_value(&[]);
                            assert!(off < allowed, "{from:?} to {to:?}, corners {corners}, {kind:?}: {off}");
                        }
                    }
                }
            }
        }
    }

    /// With weights of 0, ½ and 1 nothing is rounded.
    #[test]
    fn where_sums_are_exact_results_are_libtorchs_in_all_bits_whatever_the_order_of_memory() {
        for kind in [Kind::Float, Kind::Double] {
            let rows = Tensor::arange(2 * 3 * 5 * 4, (kind, Device::Cpu)).view([2, 3, 5, 4]);
            let channels = rows.permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2]);
            for x in [rows, channels] {
                for to in [[9, 7], [5, 4], [3, 4], [1, 1], [5, 7]] {
                    assert_eq!(bilinear(&x, to, true), x.upsample_bilinear2d(to, true, None, None), "{to:?}");
                }
                assert_eq!(bilinear(&x, [10, 2], false), x.upsample_bilinear2d([10, 2], false, None, None));
            }
        }
    }

    #[test]
    fn neither_result_nor_gradient_depends_on_the_number_of_threads() {
        let pass = |threads| {
            tch::set_num_threads(threads);
            let x = numbers(&[2, 19, 12, 16], 1.3, Kind::Float).set_requires_grad(true);
            let y = bilinear(&x, [96, 128], true);
            (&y * numbers(&y.size(), 0.7, Kind::Float)).sum(Kind::Float).backward();
            (y.detach(), x.grad())
        };
        assert_eq!(pass(1), pass(2));
    }

    #[test]
    #[should_panic(expected = "greater than 0")]
    fn a_map_without_a_pixel_is_libtorchs_to_refuse() {
        let _ = bilinear(&Tensor::zeros([1, 2, 0, 3], (Kind::Float, Device::Cpu)), [4, 4], true);
    }
}
