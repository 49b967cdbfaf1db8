//! Functions of libtorch that tch lacks: fused steps of optimisers, autocast, backward passes of our own, and what a GPU may round.
//!
//! The C++ side is shim.cpp for single calls, and a file beside each module of the same name. Tensors are tch's; whose they are and when a function is called is the caller's. It knows no network, no
//! loss and no job.
#![warn(missing_docs)]

use std::ffi::{CStr, c_char};
use std::ptr;

use tch::Tensor;
use torch_sys::C_tensor;

mod autocast;
pub mod convolution;
pub mod cpu;
pub mod elementwise;
pub mod fused;
pub mod upsample;

pub use autocast::Autocast;

/// What libtorch says about a call that it refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("libtorch: {0}")]
pub struct ShimError(String);

unsafe extern "C" {
    fn intrada_shim_free(message: *mut c_char);
    fn intrada_shim_drop_gradients(parameters: *const *const C_tensor, count: usize) -> *mut c_char;
    fn intrada_shim_allow_tf32() -> *mut c_char;
}

/// Takes a function's answer: null, or a message that is ours.
fn answered(message: *mut c_char) -> Result<(), ShimError> {
    if message.is_null() {
        return Ok(());
    }
    // SAFETY: what isn't null is a string of the shim, which nobody else has.
    Err(ShimError(unsafe { taken(message) }))
}

/// The tensor that a function puts into the place that it is given.
///
/// # Panics
/// libtorch refuses the call.
fn made(call: impl FnOnce(*mut *mut C_tensor) -> *mut c_char) -> Tensor {
    let mut result = ptr::null_mut();
    answered(call(&mut result)).unwrap_or_else(|error| panic!("{error}"));
    // SAFETY: where there is no message, a tensor was made for us.
    unsafe { Tensor::from_ptr(result) }
}

/// The text of a string, which is freed.
///
/// # Safety
/// It is a zero-terminated string that the shim has allocated, and is not used elsewhere.
unsafe fn taken(string: *mut c_char) -> String {
    // SAFETY: the caller says so.
    let text = unsafe { CStr::from_ptr(string) }.to_string_lossy().into_owned();
    // SAFETY: the caller says so.
    unsafe { intrada_shim_free(string) };
    text
}

/// What the C++ side takes of a list of tensors. They must outlive it.
fn handles(tensors: &[Tensor]) -> Vec<*const C_tensor> {
    tensors.iter().map(Tensor::as_ptr).collect()
}

/// Leaves the parameters without gradients, so that the next backward pass gives them its own instead of adding to zeros.
///
/// # Errors
/// A tensor that can't have a gradient.
pub fn drop_gradients(parameters: &[Tensor]) -> Result<(), ShimError> {
    let handles = handles(parameters);
    // SAFETY: as many live tensors as it says.
    answered(unsafe { intrada_shim_drop_gradients(handles.as_ptr(), handles.len()) })
}

/// From now on GPUs may round the factors of matrix products and convolutions in single precision to 10 bits (TF32). CPUs are not
/// affected.
///
/// # Errors
/// This libtorch can't.
pub fn allow_tf32() -> Result<(), ShimError> {
    // SAFETY: it takes nothing.
    answered(unsafe { intrada_shim_allow_tf32() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_gradients_a_backward_pass_gives_its_own() {
        let parameter = Tensor::from_slice(&[2.0f32]).set_requires_grad(true);
        (&parameter * 3.0).sum(tch::Kind::Float).backward();
        drop_gradients(&[parameter.shallow_clone()]).unwrap();
        assert!(!parameter.grad().defined());
        (&parameter * 5.0).sum(tch::Kind::Float).backward();
        assert_eq!(parameter.grad().double_value(&[0]), 5.0);
    }

    #[test]
    fn what_libtorch_refuses_is_an_error_with_its_words() {
        let error = drop_gradients(&[Tensor::new()]).unwrap_err();
        assert!(error.to_string().starts_with("libtorch: "), "{error}");
    }

    #[test]
    fn tf32_can_be_allowed_without_a_gpu_and_changes_no_product_of_a_cpu() {
        let [a, b] = [1, 2].map(|seed| (Tensor::arange(64 * 64, tch::kind::FLOAT_CPU) + seed).sin().view([64, 64]));
        let before = a.matmul(&b);
        allow_tf32().unwrap();
        assert_eq!(before, a.matmul(&b));
    }
}
