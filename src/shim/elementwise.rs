//! Functions of each number of a tensor by itself.
//!
//! Chains of single operations pass over memory once for each, forwards and backwards; these pass once. tch has no leaky ReLU with a slope
//! of one's choice, and the parametric one that could stand for it computes its gradients number by number.

use std::ffi::c_char;

use tch::Tensor;
use torch_sys::C_tensor;

use crate::{answered, made};

unsafe extern "C" {
    fn intrada_shim_is_for_information(p: *const C_tensor) -> bool;
    fn intrada_shim_information(
        p: *const C_tensor,
        epsilon: f64,
        divisor: f64,
        result: *mut *mut C_tensor,
    ) -> *mut c_char;
    fn intrada_shim_leaky_relu(x: *mut C_tensor, slope: f64) -> *mut c_char;
}

/// −p·log2(p + ε) / `divisor`, with the roundings of the single operations, forwards and backwards. No gradients of gradients.
pub fn information(p: &Tensor, epsilon: f64, divisor: f64) -> Tensor {
    // SAFETY: a live tensor.
    if !unsafe { intrada_shim_is_for_information(p.as_ptr()) } {
        return by_single_operations(p, epsilon, divisor);
    }
    // SAFETY: a live tensor, and a place for the result.
    made(|result| unsafe { intrada_shim_information(p.as_ptr(), epsilon, divisor, result) })
}

/// On GPUs, in half precision, and of what isn't dense.
fn by_single_operations(p: &Tensor, epsilon: f64, divisor: f64) -> Tensor {
    -(p * (p + epsilon).log2()) / divisor
}

/// x where it is positive, else slope · x, in its own memory.
///
/// # Panics
/// A tensor that must not be changed.
pub fn leaky_relu_(x: Tensor, slope: f64) -> Tensor {
    // SAFETY: a live tensor that is ours.
    let answer = unsafe { intrada_shim_leaky_relu(x.as_ptr() as *mut C_tensor, slope) };
    answered(answer).unwrap_or_else(|error| panic!("{error}"));
    x
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind};

    use super::*;

    fn probabilities(kind: Kind) -> Tensor {
        let logits = (Tensor::arange(2 * 5 * 70 * 9, (kind, Device::Cpu)) * 0.37).sin() * 40.0;
        logits.view([2, 5, 70, 9]).softmax(1, kind)
    }

    #[test]
    fn information_and_its_gradients_have_the_bytes_of_the_single_operations() {
        for kind in [Kind::Float, Kind::Double] {
            for is_last in [false, true] {
                let pass = |of: fn(&Tensor, f64, f64) -> Tensor| {
                    let p = probabilities(kind);
                    let p = if is_last { p.permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2]) } else { p };
                    let p = p.detach().set_requires_grad(true);
                    let y = of(&p, 1e-30, 5f64.log2());
                    let weights = (Tensor::arange(y.numel() as i64, (kind, Device::Cpu)) * 0.3).cos().view_as(&y);
                    (&y * weights).sum(kind).backward();
                    (y.detach(), p.grad())
                };
                let (ours, singly) = (pass(information), pass(by_single_operations));
                assert!(ours.0 == singly.0, "{kind:?}");
                assert!(ours.1 == singly.1, "{kind:?}, {}", (ours.1 - &singly.1).abs().max());
            }
        }
    }

    #[test]
    fn the_gradient_of_a_sum_reaches_every_number() {
        let p = probabilities(Kind::Double).set_requires_grad(true);
        information(&p, 1e-30, -1.0).sum(Kind::Double).backward();
        let gradient = p.grad();
        let p = p.detach();
        let wanted = (&p + 1e-30).log2() + &p / (&p + 1e-30) / std::f64::consts::LN_2;
        let off = ((gradient - &wanted) / wanted.abs().clamp_min(1.0)).abs().max();
        assert!(off.double_value(&[]) < 1e-12, "{off}");
    }

    #[test]
    fn what_is_not_dense_or_in_half_precision_goes_by_single_operations() {
        let p = probabilities(Kind::Float);
        for p in [p.narrow(1, 0, 2), p.to_kind(Kind::BFloat16)] {
            assert_eq!(information(&p, 1e-30, 2.0), by_single_operations(&p, 1e-30, 2.0));
        }
    }

    #[test]
    fn the_slope_is_that_below_zero_of_values_and_gradients() {
        let x = Tensor::from_slice(&[-2.0f32, 0.0, 3.0]).set_requires_grad(true);
        let y = leaky_relu_(&x * 1.0, 0.25);
        assert_eq!(y, Tensor::from_slice(&[-0.5f32, 0.0, 3.0]));
        y.sum(Kind::Float).backward();
        assert_eq!(x.grad(), Tensor::from_slice(&[0.25f32, 0.25, 1.0]));
    }
}
