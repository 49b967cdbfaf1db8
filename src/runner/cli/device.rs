//! `--device`, as `run`, `watch` and `plan` take it.

use super::Refusal;
use crate::pipeline::is_device;
use crate::sched::session::Session;

/// A name as it was typed.
pub(super) fn named(name: &str) -> Result<String, String> {
    if is_device(name) { Ok(name.to_owned()) } else { Err("expected auto, cpu, cuda or cuda:<number>".to_owned()) }
}

/// Refuses one that contradicts the file.
pub(super) fn check(session: &Session, typed: Option<&str>) -> Result<(), Refusal> {
    match typed {
        Some(device) if device.starts_with("cuda:") && session.pipeline.resources.gpus.is_some() => {
            let text = "names a GPU, and `gpus` of [resources] lends each stage one of its own; say --device cuda";
            Err(Refusal::Usage(format!("--device {device} {text}")))
        }
        _ => Ok(()),
    }
}
