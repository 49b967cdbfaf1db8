//! A convolution of which we choose the algorithms, forwards and backwards.
//!
//! libtorch gives convolutions of one image with one thread to MKL, and its products too; on an AMD EPYC (Zen 5) MKL reaches 110 GFLOP a
//! second and core, and oneDNN 290. So 1×1 convolutions go to oneDNN whatever the number of threads, and the gradients of their weights
//! are products by oneDNN's kernels for blocks (product.h), which libtorch exports, where the CPU has AVX-512, else by MKL.
//!
//! 3×3 convolutions take less than half the multiplications by Winograd's algorithm (winograd.h), for the result and both gradients: 430 to
//! 530 GFLOP a second and core on that CPU, counted as those of the convolution. Where there are too few cells for it, and for other kernels,
//! the gradient of the weights is a product for each tap, which reads the cells where they lie; oneDNN gathers them first, as it has no
//! direct form for dilated convolutions.

use std::ffi::c_char;
use std::ptr;

use tch::{Device, Kind, Tensor};
use torch_sys::C_tensor;

use crate::{Autocast, cpu, made};

unsafe extern "C" {
    fn intrada_shim_convolution(
        x: *const C_tensor,
        weight: *const C_tensor,
        bias: *const C_tensor,
        padding: i64,
        dilation: i64,
        result: *mut *mut C_tensor,
    ) -> *mut c_char;
}

/// From so many channels on, as fewer were not measured: their products are small.
const CHANNELS: i64 = 64;

/// Whether [`convolve`] can do, and does sooner, a convolution without stride or groups: in single precision on a CPU that oneDNN may use, with
/// enough channels.
pub fn is_ours(x: &Tensor, weight: &Tensor) -> bool {
    let size = weight.size();
    let [output, input, height, width] = size[..] else { return false };
    let is_single = [x, weight].iter().all(|tensor| tensor.device() == Device::Cpu && tensor.kind() == Kind::Float);
    is_single && cpu::has_onednn() && height == width && input.min(output) >= CHANNELS && !Autocast::is_on(Device::Cpu)
}

/// The same as `conv2d` with stride 1, N×C×H×W by O×C×k×k, gradients included; but no gradients of gradients.
///
/// # Panics
/// Shapes that don't belong together, and what [`is_ours`] denies.
pub fn convolve(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>, padding: i64, dilation: i64) -> Tensor {
    let bias = bias.map_or(ptr::null(), Tensor::as_ptr);
    // SAFETY: live tensors, or null for none, and a place for the result.
    made(|result| unsafe { intrada_shim_convolution(x.as_ptr(), weight.as_ptr(), bias, padding, dilation, result) })
}

#[cfg(test)]
mod tests {
    use tch::kind::FLOAT_CPU;

    use super::*;

    fn numbers(shape: &[i64], factor: f64) -> Tensor {
        let count = shape.iter().product::<i64>();
        // Multiples of a quarter: sums of a few thousand products are exact in single precision, in whatever order.
        ((Tensor::arange(count, FLOAT_CPU) * factor).sin() * 8.0).round().divide_scalar(4.0).view(shape)
    }

    fn channels_last(x: &Tensor) -> Tensor {
        x.permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2])
    }

    /// The result and the gradients of image, weights and bias.
    fn pass(ours: bool, kernel: i64, padding: i64, dilation: i64, size: [i64; 2], is_biased: bool) -> Vec<Tensor> {
        let leaf = |tensor: Tensor| tensor.set_requires_grad(true);
        let x = leaf(channels_last(&numbers(&[2, 64, size[0], size[1]], 1.3)));
        let weight = leaf(channels_last(&numbers(&[72, 64, kernel, kernel], 0.7)));
        let bias = is_biased.then(|| leaf(numbers(&[72], 2.1)));
        assert!(is_ours(&x, &weight));
        let y = if ours {
            convolve(&x, &weight, bias.as_ref(), padding, dilation)
        } else {
            x.conv2d(&weight, bias.as_ref(), 1, padding, dilation, 1)
        };
        (&y * numbers(&y.size(), 0.3)).sum(Kind::Float).backward();
        let gradients = [&x, &weight].into_iter().chain(&bias).map(Tensor::grad);
        std::iter::once(y.detach()).chain(gradients).collect()
    }

    #[test]
    fn result_and_gradients_are_those_of_a_convolution() {
        for (kernel, padding, dilation, size, is_biased) in [
            (3, 1, 1, [5, 9], false),
            (3, 2, 2, [5, 9], true),
            (3, 4, 4, [7, 3], false),
            (3, 0, 1, [4, 5], true),
            (3, 0, 2, [5, 6], false),
            (5, 2, 1, [6, 4], true),
            (1, 0, 1, [5, 9], true),
            (3, 2, 1, [4, 5], false),
            // More cells than one product takes.
            (1, 0, 1, [40, 33], true),
            (5, 2, 1, [40, 33], false),
            // Enough cells for Winograd's algorithm.
            (3, 1, 1, [40, 33], false),
            (3, 2, 2, [17, 11], true),
            (3, 4, 4, [13, 27], true),
            (3, 3, 3, [1, 170], false),
            (3, 0, 1, [18, 19], false),
            (3, 0, 2, [20, 21], true),
            (3, 2, 1, [15, 16], false),
        ] {
            let [ours, theirs] = [true, false].map(|ours| pass(ours, kernel, padding, dilation, size, is_biased));
            for (ours, theirs) in ours.iter().zip(&theirs) {
                assert_eq!(ours, theirs, "kernel {kernel}, padding {padding}, dilation {dilation}, {size:?}");
            }
        }
    }

    #[test]
    fn result_and_gradients_do_not_depend_on_the_number_of_threads() {
        // Not multiples of a quarter: other sums would round otherwise.
        let numbers = |shape: &[i64], factor: f64| {
            (Tensor::arange(shape.iter().product::<i64>(), FLOAT_CPU) * factor).sin().view(shape)
        };
        for (kernel, dilation) in [(1, 1), (3, 1), (3, 4)] {
            // MKL, which multiplies instead, may divide a sum among threads.
            #[cfg(target_arch = "x86_64")]
            if kernel == 1 && !is_x86_feature_detected!("avx512f") {
                continue;
            }
            let pass = |threads| {
                tch::set_num_threads(threads);
                let x = channels_last(&numbers(&[1, 96, 24, 40], 1.3)).set_requires_grad(true);
                let weight = channels_last(&numbers(&[160, 96, kernel, kernel], 0.7)).set_requires_grad(true);
                let y = convolve(&x, &weight, None, dilation * (kernel / 2), dilation);
                (&y * numbers(&y.size(), 0.3)).sum(Kind::Float).backward();
                [y.detach(), x.grad(), weight.grad()]
            };
            let alone = pass(1);
            for threads in [2, 3, 7] {
                assert_eq!(pass(threads), alone, "kernel {kernel}, dilation {dilation}, {threads} threads");
            }
            tch::set_num_threads(1);
        }
    }

    #[test]
    fn shapes_that_do_not_belong_together_are_refused_before_anything_is_read() {
        let weight = numbers(&[64, 64, 3, 3], 1.0);
        let refused = |x: Tensor, bias: Option<Tensor>| {
            let call = std::panic::AssertUnwindSafe(|| convolve(&x, &weight, bias.as_ref(), 0, 1));
            std::panic::catch_unwind(call).is_err()
        };
        let x = |shape: &[i64]| numbers(shape, 1.0);
        assert!(!refused(x(&[1, 64, 20, 20]), Some(x(&[64]))));
        assert!(refused(x(&[1, 65, 20, 20]), None));
        assert!(refused(x(&[64, 20, 20]), None));
        assert!(refused(x(&[1, 64, 2, 200]), None));
        assert!(refused(x(&[1, 64, 20, 20]), Some(x(&[63]))));
    }

    #[test]
    fn what_needs_no_gradient_gets_none() {
        let x = channels_last(&numbers(&[1, 64, 5, 5], 1.0));
        let weight = channels_last(&numbers(&[64, 64, 3, 3], 1.0)).set_requires_grad(true);
        convolve(&x, &weight, None, 1, 1).sum(Kind::Float).backward();
        assert!(weight.grad().defined() && !x.grad().defined());
    }

    #[test]
    fn other_precisions_and_few_channels_stay_with_libtorch() {
        let x = numbers(&[1, 64, 5, 5], 1.0);
        let weight = numbers(&[64, 64, 3, 3], 1.0);
        assert!(is_ours(&x, &weight));
        assert!(!is_ours(&x.to_kind(Kind::Double), &weight.to_kind(Kind::Double)));
        assert!(!is_ours(&x, &numbers(&[32, 64, 3, 3], 1.0)));
        let _scope = Autocast::bfloat16(Device::Cpu);
        assert!(!is_ours(&x, &weight));
    }
}
