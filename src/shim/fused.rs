//! Steps of optimisers in one pass over memory, for lists of tensors.
//!
//! libtorch's kernels go by addresses alone, so that tensors that belong together must lie alike: here a gradient that lies otherwise is
//! copied, and anything else is an error. The rules themselves, schedules and groups are the caller's.

use std::ffi::c_char;

use tch::{Kind, Tensor, no_grad};
use torch_sys::C_tensor;

use crate::{ShimError, answered, handles};

unsafe extern "C" {
    fn intrada_shim_sgd(
        parameters: *const *const C_tensor,
        gradients: *const *const C_tensor,
        buffers: *const *const C_tensor,
        count: usize,
        rate: f64,
        decay: f64,
        momentum: f64,
        dampening: f64,
        is_first: bool,
    ) -> *mut c_char;
    fn intrada_shim_adamw(
        parameters: *const *const C_tensor,
        gradients: *const *const C_tensor,
        first: *const *const C_tensor,
        second: *const *const C_tensor,
        count: usize,
        step: *const C_tensor,
        rate: f64,
        beta1: f64,
        beta2: f64,
        decay: f64,
        epsilon: f64,
    ) -> *mut c_char;
    fn intrada_shim_lerp(
        ours: *const *const C_tensor,
        theirs: *const *const C_tensor,
        count: usize,
        weight: f64,
    ) -> *mut c_char;
}

/// The numbers of a step of SGD.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sgd {
    /// How far along the buffer.
    pub rate: f64,
    /// Pull of the parameter towards 0, a part of the gradient.
    pub decay: f64,
    /// Share of the buffer that is kept. 0: buffers are neither read nor written.
    pub momentum: f64,
    /// 1 less the factor by which gradients come into the buffer.
    pub dampening: f64,
    /// Whether the buffer becomes the gradient, whatever it was.
    pub is_first: bool,
}

/// The numbers of a step of AdamW; without decay, of Adam.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamW {
    /// Which step this is, from 1.
    pub step: u64,
    /// How far.
    pub rate: f64,
    /// Decay of the first and of the second moment.
    pub betas: (f64, f64),
    /// Pull of the parameter towards 0, apart from the gradient.
    pub decay: f64,
    /// ε, below the root.
    pub epsilon: f64,
}

/// buffer ← momentum·buffer + (1 − dampening)·(gradient + decay·parameter), then parameter ← parameter − rate·buffer, for each of the
/// lists' tensors.
///
/// # Errors
/// Lists or tensors that don't belong together.
pub fn sgd(parameters: &[Tensor], gradients: &[Tensor], buffers: &[Tensor], how: Sgd) -> Result<(), ShimError> {
    let gradients = laid_like(parameters, gradients)?;
    check(parameters, [buffers])?;
    let [p, g, b] = [parameters, &gradients, buffers].map(handles);
    let Sgd { rate, decay, momentum, dampening, is_first } = how;
    // SAFETY: lists of so many live tensors, each of which lies in memory as the others at its place.
    no_grad(|| {
        answered(unsafe {
            intrada_shim_sgd(p.as_ptr(), g.as_ptr(), b.as_ptr(), p.len(), rate, decay, momentum, dampening, is_first)
        })
    })
}

/// A step of AdamW (arXiv 1711.05101) for each of the lists' tensors.
///
/// # Errors
/// Lists or tensors that don't belong together.
pub fn adamw(
    parameters: &[Tensor],
    gradients: &[Tensor],
    [first, second]: [&[Tensor]; 2],
    how: AdamW,
) -> Result<(), ShimError> {
    let Some(one) = parameters.first() else { return Ok(()) };
    let gradients = laid_like(parameters, gradients)?;
    check(parameters, [first, second])?;
    let [p, g, m, v] = [parameters, &gradients, first, second].map(handles);
    let AdamW { step, rate, betas: (beta1, beta2), decay, epsilon } = how;
    let step = Tensor::scalar_tensor(step as i64, (Kind::Float, one.device()));
    // SAFETY: lists of so many live tensors, each of which lies in memory as the others at its place.
    no_grad(|| {
        answered(unsafe {
            intrada_shim_adamw(
                p.as_ptr(),
                g.as_ptr(),
                m.as_ptr(),
                v.as_ptr(),
                p.len(),
                step.as_ptr(),
                rate,
                beta1,
                beta2,
                decay,
                epsilon,
            )
        })
    })
}

/// ours ← ours + weight·(theirs − ours), for each of the lists' tensors.
///
/// # Errors
/// Lists or tensors that don't belong together.
pub fn lerp(ours: &[Tensor], theirs: &[Tensor], weight: f64) -> Result<(), ShimError> {
    let [a, b] = [ours, theirs].map(handles);
    if a.len() != b.len() {
        return Err(unlike("lists of different lengths"));
    }
    // SAFETY: lists of so many live tensors; libtorch checks their shapes.
    no_grad(|| answered(unsafe { intrada_shim_lerp(a.as_ptr(), b.as_ptr(), a.len(), weight) }))
}

/// Gradients that lie in memory as their parameters do, copied where they don't.
fn laid_like(parameters: &[Tensor], gradients: &[Tensor]) -> Result<Vec<Tensor>, ShimError> {
    if parameters.len() != gradients.len() {
        return Err(unlike("lists of different lengths"));
    }
    let each = parameters.iter().zip(gradients).map(|(parameter, gradient)| {
        if is_laid_like(parameter, gradient) || !is_like(parameter, gradient) {
            return gradient.shallow_clone();
        }
        let mut copy = parameter.empty_like();
        copy.copy_(gradient);
        copy
    });
    let gradients: Vec<Tensor> = no_grad(|| each.collect());
    check(parameters, [&gradients]).map(|()| gradients)
}

fn check<const N: usize>(parameters: &[Tensor], others: [&[Tensor]; N]) -> Result<(), ShimError> {
    for other in others {
        if other.len() != parameters.len() {
            return Err(unlike("lists of different lengths"));
        }
        if let Some((parameter, other)) = parameters.iter().zip(other).find(|(p, other)| !is_laid_like(p, other)) {
            return Err(unlike(&format!("{parameter:?} beside {other:?}, which lie otherwise in memory or on holes")));
        }
    }
    Ok(())
}

fn is_like(a: &Tensor, b: &Tensor) -> bool {
    a.defined() && b.defined() && a.size() == b.size() && a.kind() == b.kind() && a.device() == b.device()
}

/// Whether the same place in memory is the same element of both, and nothing lies between.
fn is_laid_like(a: &Tensor, b: &Tensor) -> bool {
    if !is_like(a, b) {
        return false;
    }
    if a.is_contiguous() && b.is_contiguous() {
        return true;
    }
    let [mut ours, theirs] = [a, b].map(steps);
    if ours != theirs {
        return false;
    }
    // Dense: from the innermost dimension outward, each step is as long as all within it.
    ours.sort_unstable();
    let mut within = 1;
    ours.into_iter().all(|(step, size)| std::mem::replace(&mut within, step * size) == step)
}

/// The step in memory and the size of each dimension that has more than one place.
fn steps(tensor: &Tensor) -> Vec<(i64, i64)> {
    tensor.stride().into_iter().zip(tensor.size()).filter(|(_, size)| *size > 1).collect()
}

fn unlike(what: &str) -> ShimError {
    ShimError(format!("tensors that don't belong together: {what}"))
}

#[cfg(test)]
mod tests {
    use tch::Device;

    use super::*;

    const SGD: Sgd = Sgd { rate: 0.5, decay: 0.25, momentum: 0.5, dampening: 0.0, is_first: false };
    const ADAMW: AdamW = AdamW { step: 1, rate: 0.5, betas: (0.5, 0.75), decay: 0.0, epsilon: 0.0 };

    fn map(channels_last: bool) -> Tensor {
        let map = Tensor::arange(2 * 3 * 4 * 5, (Kind::Float, Device::Cpu)).view([2, 3, 4, 5]);
        if channels_last { map.permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2]) } else { map }
    }

    #[test]
    fn a_step_of_sgd_is_by_its_formula() {
        let one = |value: f32| [Tensor::from_slice(&[value])];
        let (parameter, buffer) = (one(4.0), one(2.0));
        sgd(&parameter, &one(1.0), &buffer, SGD).unwrap();
        assert_eq!((buffer[0].double_value(&[0]), parameter[0].double_value(&[0])), (3.0, 2.5));
        sgd(&parameter, &one(1.0), &buffer, Sgd { is_first: true, decay: 0.0, ..SGD }).unwrap();
        assert_eq!((buffer[0].double_value(&[0]), parameter[0].double_value(&[0])), (1.0, 2.0));
        sgd(&parameter, &one(1.0), &buffer, Sgd { decay: 0.0, dampening: -2.0, ..SGD }).unwrap();
        assert_eq!((buffer[0].double_value(&[0]), parameter[0].double_value(&[0])), (3.5, 0.25));
    }

    #[test]
    fn a_first_step_of_adam_goes_by_the_rate_against_the_gradients_sign() {
        let parameter = [Tensor::from_slice(&[1.0f64, 1.0])];
        let [first, second] = [(); 2].map(|()| [Tensor::zeros([2], (Kind::Double, Device::Cpu))]);
        adamw(&parameter, &[Tensor::from_slice(&[3.0f64, -0.1])], [&first, &second], ADAMW).unwrap();
        let values = Vec::<f64>::try_from(&parameter[0]).unwrap();
        assert!((values[0] - 0.5).abs() < 1e-12 && (values[1] - 1.5).abs() < 1e-12, "{values:?}");
    }

    #[test]
    fn the_mean_of_a_teacher_is_between_both() {
        let (ours, theirs) = ([Tensor::from_slice(&[1.0f64])], [Tensor::from_slice(&[3.0f64])]);
        lerp(&ours, &theirs, 0.25).unwrap();
        assert_eq!(ours[0].double_value(&[0]), 1.5);
        assert!(lerp(&ours, &[], 0.25).is_err());
    }

    #[test]
    fn however_a_gradient_lies_in_memory_the_step_is_the_same() {
        let step = |parameter_last: bool, gradient_last: bool| {
            let parameter = map(parameter_last).copy();
            let buffer = parameter.zeros_like();
            sgd(&[parameter.shallow_clone()], &[map(gradient_last) * 2.0], &[buffer], SGD).unwrap();
            parameter.contiguous()
        };
        let expected = step(false, false);
        for (parameter, gradient) in [(false, true), (true, false), (true, true)] {
            assert_eq!(step(parameter, gradient), expected, "{parameter} {gradient}");
        }
    }

    #[test]
    fn what_a_kernel_would_go_wrong_by_is_refused() {
        let like = |tensor: Tensor| sgd(&[map(false)], &[map(false)], &[tensor], SGD);
        assert!(like(map(false)).is_ok());
        let error = like(map(true)).unwrap_err();
        assert!(error.to_string().contains("don't belong together"), "{error}");
        assert!(like(map(false).to_kind(Kind::Double)).is_err());
        assert!(like(map(false).narrow(0, 0, 1)).is_err());
        // A part of a larger one has holes.
        let holes = || map(false).narrow(3, 0, 2);
        assert!(sgd(&[holes()], &[holes()], &[holes()], SGD).is_err());
        assert!(sgd(&[map(false)], &[Tensor::new()], &[map(false)], SGD).is_err());
        assert!(sgd(&[map(false)], &[], &[map(false)], SGD).is_err());
    }
}
