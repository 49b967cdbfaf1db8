//! The option `--device` of `run`, `watch` and `plan`.

use super::Refusal;
use crate::pipeline::is_device;
use crate::sched::session::Session;

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
