//! The device on which a job computes, what it may round there, and how its tensors lie and get there.

use intrada_ml::device::set_channels_last_on_gpus;
use intrada_runner::exec::job::Job;
use intrada_work::{Failure, Work};
use serde::Deserialize;
use tch::Device;

/// What a training lets a GPU do for speed. Results change by the first two, so its key says so.
#[derive(Clone, Copy, Deserialize)]
pub(crate) struct GpuKeys {
    tf32: bool,
    cudnn_benchmark: bool,
    /// Absent from jobs of older runners.
    #[serde(default)]
    copies_ahead: bool,
}

impl GpuKeys {
    /// For the rest of this process, which performs this job alone. A CPU stays as it is.
    pub(crate) fn apply(self, device: Device) {
        if !matches!(device, Device::Cuda(_)) {
            return;
        }
        if self.tf32 {
            intrada_shim::allow_tf32().expect("every libtorch with GPUs has this setting");
        }
        tch::Cuda::cudnn_set_benchmark(self.cudnn_benchmark);
    }

    /// Whether batches are copied to this device a step ahead.
    pub(crate) fn copies_ahead(self, device: Device) -> bool {
        self.copies_ahead && matches!(device, Device::Cuda(_))
    }
}

/// How the tensors of a job's networks lie in memory, where its kind can choose.
#[derive(Deserialize)]
struct Layout {
    #[serde(default)]
    channels_last: bool,
}

/// Settles it before the networks are made, for the rest of this process. A CPU stays as it is.
pub(crate) fn settle_layout(work: &Work) -> Result<(), Failure> {
    let Layout { channels_last } = work.parameters()?;
    set_channels_last_on_gpus(channels_last);
    Ok(())
}

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
