//! Forward passes in bfloat16, as PyTorch's `torch.autocast(device, dtype=torch.bfloat16)` does them.

use std::ffi::c_char;
use std::marker::PhantomData;

use tch::Device;

use crate::answered;

unsafe extern "C" {
    fn intrada_shim_autocast_begin(is_cuda: bool, was_enabled: *mut bool, was_type: *mut i8) -> *mut c_char;
    fn intrada_shim_autocast_is_on(is_cuda: bool) -> bool;
    fn intrada_shim_autocast_end(is_cuda: bool, was_enabled: bool, was_type: i8) -> *mut c_char;
}

/// While it lives, this thread's convolutions and matrix products on a device have bfloat16 inputs and results, and what loses too much
/// by that runs in single precision: libtorch decides by operation. Weights are converted for each use, and get their gradients in
/// their own precision. Backward passes belong outside.
pub struct Autocast {
    is_cuda: bool,
    was_enabled: bool,
    was_type: i8,
    /// libtorch keeps this by thread.
    of_this_thread: PhantomData<*const ()>,
}

impl Autocast {
    /// On this device. Within another one of the device it changes nothing.
    ///
    /// # Panics
    /// A device for which libtorch has none: neither a CPU nor a CUDA device.
    #[must_use = "it ends where it is dropped"]
    pub fn bfloat16(device: Device) -> Autocast {
        let is_cuda = match device {
            Device::Cpu => false,
            Device::Cuda(_) => true,
            other => panic!("there is no autocast on {other:?}"),
        };
        let (mut was_enabled, mut was_type) = (false, 0);
        // SAFETY: both places are written before they are read.
        let answer = answered(unsafe { intrada_shim_autocast_begin(is_cuda, &mut was_enabled, &mut was_type) });
        answer.expect("libtorch has bfloat16 on CPUs and on CUDA devices");
        Autocast { is_cuda, was_enabled, was_type, of_this_thread: PhantomData }
    }
}

impl Autocast {
    /// Whether it is on for this device, by whomever.
    pub fn is_on(device: Device) -> bool {
        // SAFETY: a plain value.
        unsafe { intrada_shim_autocast_is_on(matches!(device, Device::Cuda(_))) }
    }
}

impl Drop for Autocast {
    fn drop(&mut self) {
        // What was there before can be set again; and a panic while another unwinds would end the process.
        // SAFETY: plain values, one of which came from libtorch.
        let _ = answered(unsafe { intrada_shim_autocast_end(self.is_cuda, self.was_enabled, self.was_type) });
    }
}

#[cfg(test)]
mod tests {
    use tch::{Kind, Tensor, kind};

    use super::*;

    fn product() -> Kind {
        let [a, b] = [(); 2].map(|()| Tensor::ones([4, 4], kind::FLOAT_CPU));
        a.matmul(&b).kind()
    }

    #[test]
    fn a_product_is_bfloat16_inside_and_single_precision_outside() {
        assert_eq!(product(), Kind::Float);
        {
            let _scope = Autocast::bfloat16(Device::Cpu);
            assert_eq!(product(), Kind::BFloat16);
            {
                let _inner = Autocast::bfloat16(Device::Cpu);
                assert_eq!(product(), Kind::BFloat16);
            }
            assert_eq!(product(), Kind::BFloat16, "the inner one's end is not the outer one's");
        }
        assert_eq!(product(), Kind::Float);
    }

    #[test]
    fn it_ends_with_an_early_return_and_with_a_panic() {
        let early = || -> Option<Kind> {
            let _scope = Autocast::bfloat16(Device::Cpu);
            let kind = product();
            (kind == Kind::Float).then_some(kind)?;
            unreachable!("a product in single precision")
        };
        assert_eq!(early(), None);
        assert_eq!(product(), Kind::Float);
        let panicking = std::panic::catch_unwind(|| {
            let _scope = Autocast::bfloat16(Device::Cpu);
            panic!("in the middle of a pass");
        });
        assert!(panicking.is_err());
        assert_eq!(product(), Kind::Float);
    }

    #[test]
    fn a_changed_weight_is_converted_anew_in_the_next_scope_and_has_gradients_in_its_own_precision() {
        let mut weight = Tensor::ones([2, 2], kind::FLOAT_CPU).set_requires_grad(true);
        let x = Tensor::ones([2, 2], kind::FLOAT_CPU);
        let pass = |weight: &Tensor| {
            let _scope = Autocast::bfloat16(Device::Cpu);
            x.matmul(weight).to_kind(Kind::Float).sum(Kind::Float)
        };
        assert_eq!(pass(&weight).double_value(&[]), 8.0);
        let _ = tch::no_grad(|| weight.fill_(3.0));
        let sum = pass(&weight);
        assert_eq!(sum.double_value(&[]), 24.0);
        sum.backward();
        assert_eq!(weight.grad().kind(), Kind::Float);
    }
}
