//! The device on which a job computes.

use intrada_runner::exec::job::Job;
use intrada_work::Failure;
use tch::Device;

/// That of a job, which was found when the job began.
pub(crate) fn of(job: &Job) -> Device {
    named(&job.device).expect("the device was there when the job began")
}

/// The device of this name: `auto` is the first GPU that libtorch finds, else the CPU.
///
/// # Errors
/// There is no such device, or libtorch doesn't find it.
pub(crate) fn named(name: &str) -> Result<Device, Failure> {
    let gpu = |index: usize| {
        if index < tch::Cuda::device_count().max(0) as usize {
            Ok(Device::Cuda(index))
        } else {
            Err(Failure::advised(
                format!("device `{name}` was requested, but libtorch finds {} GPUs", tch::Cuda::device_count()),
                "`./fetch-libtorch --cuda` gets a CUDA build of libtorch; `--device cpu` runs without a GPU",
            ))
        }
    };
    match name {
        "auto" => Ok(Device::cuda_if_available()),
        "cpu" => Ok(Device::Cpu),
        "cuda" => gpu(0),
        _ => match name.strip_prefix("cuda:").and_then(|index| index.parse().ok()) {
            Some(index) => gpu(index),
            None => {
                Err(Failure::advised(format!("there is no device `{name}`"), "devices are auto, cpu, cuda and cuda:1"))
            }
        },
    }
}
