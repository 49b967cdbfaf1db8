//! How tensors get from the host to a device without waiting for it.
//!
//! It knows no network and no training. On a CPU everything here leaves tensors where they are.
use tch::{Device, Tensor};

/// A tensor of the host on a device. A GPU is not waited for: the copy takes its place among what the GPU still has to do, and what is
/// in ordinary memory is read before this returns, so that the tensor may go or change.
pub(crate) fn onto(tensor: &Tensor, device: Device) -> Tensor {
    if tensor.device() == device {
        return tensor.shallow_clone();
    }
    let (is_waited_for, is_always_copied) = (false, false);
    tensor.to_device_(device, tensor.kind(), !is_waited_for, is_always_copied)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_already_there_is_not_copied() {
        let tensor = Tensor::from_slice(&[1.0f32, 2.0]);
        assert_eq!(onto(&tensor, Device::Cpu).data_ptr(), tensor.data_ptr());
    }
}
