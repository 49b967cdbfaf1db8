//! How tensors get from the host to a device without waiting for it, and how those of networks lie there.
//!
//! It knows no network and no training. On a CPU everything here leaves tensors where they are.
use std::sync::atomic::{AtomicBool, Ordering};

use tch::{Device, Tensor};

/// A tensor of the host on a device. A GPU is not waited for: the copy takes its place among what the GPU still has to do, and what is
/// in ordinary memory is read before this returns, so that the tensor may go or change.
pub(crate) fn onto(tensor: &Tensor, device: Device) -> Tensor {
    if tensor.device() == device {
        return tensor.shallow_clone();
    }
    // Other devices may read the memory when it is no longer there.
    let (goes_on, is_always_copied) = (matches!(device, Device::Cuda(_)), false);
    tensor.to_device_(device, tensor.kind(), goes_on, is_always_copied)
}

/// The same through pinned memory, which a GPU reads by itself while the host goes on. libtorch keeps that memory until it has been read.
/// Never run on a GPU.
pub(crate) fn pinned_onto(tensor: &Tensor, device: Device) -> Tensor {
    match device {
        Device::Cuda(_) => onto(&tensor.pin_memory(device), device),
        _ => onto(tensor, device),
    }
}

/// Whether networks that have their channels adjacent in memory on a CPU have them so on a GPU as well.
static IS_LAST_ON_GPUS: AtomicBool = AtomicBool::new(false);

/// Says so for the networks that this process makes from here on, as libtorch's own settings of GPUs are of a process. Off at first;
/// never run on a GPU.
pub fn set_channels_last_on_gpus(on: bool) {
    IS_LAST_ON_GPUS.store(on, Ordering::Relaxed);
}

/// Whether a network's channels are adjacent in memory on this device, if it is one that gains by it.
pub(crate) fn has_channels_last(device: Device) -> bool {
    is_last(device, IS_LAST_ON_GPUS.load(Ordering::Relaxed))
}

fn is_last(device: Device, on_gpus: bool) -> bool {
    match device {
        Device::Cpu => true,
        Device::Cuda(_) => on_gpus,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_already_there_is_not_copied() {
        let tensor = Tensor::from_slice(&[1.0f32, 2.0]);
        for there in [onto(&tensor, Device::Cpu), pinned_onto(&tensor, Device::Cpu)] {
            assert_eq!(there.data_ptr(), tensor.data_ptr());
        }
    }

    #[test]
    fn channels_are_adjacent_on_cpus_always_and_on_gpus_where_it_is_asked_for() {
        let (cpu, gpu) = (Device::Cpu, Device::Cuda(1));
        let all = [(cpu, false), (cpu, true), (gpu, false), (gpu, true)].map(|(device, asked)| is_last(device, asked));
        assert_eq!(all, [true, true, false, true]);
        assert!(!has_channels_last(gpu), "off at first");
    }
}
