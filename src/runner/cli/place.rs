//! The options of `run`, `watch` and `plan` that say where stages run: `--executor` and `--device`.

use clap::Args;

use super::Refusal;
use crate::pipeline::is_device;
use crate::sched::session::Session;

/// Where stages run, whatever the file says.
#[derive(Args)]
pub(super) struct Place {
    /// Run all stages here (local) or on this executor of the file
    #[arg(long, value_name = "NAME")]
    pub(super) executor: Option<String>,
    /// Override the pipeline's device: auto, cpu, cuda, cuda:1
    #[arg(long, value_parser = named)]
    pub(super) device: Option<String>,
}

/// Parses a device name.
pub(super) fn named(name: &str) -> Result<String, String> {
    if is_device(name) { Ok(name.to_owned()) } else { Err("expected auto, cpu, cuda or cuda:<number>".to_owned()) }
}

/// Refuses a device that contradicts the file.
pub(super) fn check(session: &Session, typed: Option<&str>) -> Result<(), Refusal> {
    match typed {
        Some(device) if device.starts_with("cuda:") && session.pipeline.resources.gpus.is_some() => {
            let text = "names one GPU, but `gpus` of [resources] assigns a GPU to each stage; use --device cuda";
            Err(Refusal::Usage(format!("--device {device} {text}")))
        }
        _ => Ok(()),
    }
}
