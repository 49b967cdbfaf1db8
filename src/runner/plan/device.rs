//! Checks that the requested device exists, before any stage runs.
//!
//! Knows no GPU: it asks the worker, at the place where it would run, as only libtorch knows what it can use. That takes a
//! second, so it is done only if a GPU is requested by name. `auto` and `cpu` always exist.

use crate::exec::Visible;
use crate::exec::executor::Executor;
use crate::exec::job::Description;
use crate::measures::plural;
use crate::pipeline::{Pipeline, Problem, Stage, StageId};

/// The problem if one of `open` has to run at `place` on `typed`, the device of the command line, or else on that of the
/// pipeline, with the first stage that would compute there.
///
/// None if the worker doesn't answer.
pub fn missing(
    pipeline: &Pipeline,
    typed: Option<&str>,
    open: impl IntoIterator<Item = StageId>,
    place: &dyn Executor,
) -> Option<(StageId, Problem)> {
    let device = typed.unwrap_or(&pipeline.device);
    index(device)?;
    let id = open.into_iter().find(|id| needs_device(pipeline, pipeline.stage(*id)))?;
    let stage = pipeline.stage(id);
    let visible = pipeline.resources.gpus.clone().map_or(Visible::All, Visible::Only);
    let worker = place.describe(&visible).ok()?;
    let (problem, there) = (Problem::error(lack(&worker, device)?), "this stage has to run there");
    let problem = match typed {
        None => problem.at(pipeline.device_span, "").beside(stage.span, there),
        Some(_) => problem.at(stage.span, there).note("requested with `--device` on the command line"),
    };
    Some((id, problem.help(advice(&worker, place.has_gpu())).help("`--device cpu` runs this time without a GPU")))
}

/// The GPU that a device names, if any.
pub fn index(device: &str) -> Option<usize> {
    match device {
        "cuda" => Some(0),
        named => named.strip_prefix("cuda:")?.parse().ok(),
    }
}

/// Whether a stage computes there: not if it needs no tensors, nor if the file counts GPUs and assigns it none.
fn needs_device(pipeline: &Pipeline, stage: &Stage) -> bool {
    let is_lent_none = pipeline.resources.gpus.is_some() && stage.execution.demand.gpus == Some(0);
    stage.kind.tensors && !is_lent_none
}

/// Why this worker can't compute on the device, if it can't.
pub fn lack(worker: &Description, device: &str) -> Option<String> {
    match worker.gpus.get(index(device)?) {
        None => Some(format!("`{device}` was requested, but libtorch finds {}", plural(worker.gpus.len(), "GPU"))),
        Some(gpu) => Some(format!("`{device}` is asked for, but a small sum failed there: {}", gpu.fault.as_ref()?)),
    }
}

/// Advice if libtorch finds fewer GPUs than expected. `is_there`: the result of [`Executor::has_gpu`].
pub fn advice(worker: &Description, is_there: bool) -> &'static str {
    match (worker.cuda, is_there) {
        (false, _) => "a CUDA build of libtorch comes with `./fetch-libtorch --cuda`",
        (true, true) => "see what nvidia-smi says, and CUDA_VISIBLE_DEVICES",
        (true, false) => "no NVIDIA driver shows a GPU here; `device = \"auto\"` then uses the CPU",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exec::job::{FORMAT, Gpu};

    #[test]
    fn a_device_is_there_if_libtorch_finds_it_and_it_computes() {
        let worker = |gpus| Description {
            format: FORMAT,
            libtorch: None,
            file: None,
            built_for: None,
            instruction_set: None,
            cuda: true,
            gpus,
        };
        let faulty = Gpu { fault: Some("no kernel image".to_owned()), ..Gpu::default() };
        for (gpus, device, said) in [
            (vec![], "auto", None),
            (vec![], "cpu", None),
            (vec![], "cuda", Some("finds 0 GPUs")),
            (vec![Gpu::default()], "cuda", None),
            (vec![Gpu::default()], "cuda:0", None),
            (vec![Gpu::default()], "cuda:1", Some("finds 1 GPU")),
            (vec![Gpu::default(), faulty.clone()], "cuda:1", Some("no kernel image")),
            (vec![Gpu::default(), faulty], "cuda", None),
        ] {
            let told = lack(&worker(gpus), device);
            assert_eq!(told.is_some(), said.is_some(), "{device}: {told:?}");
            assert!(told.iter().zip(said).all(|(told, said)| told.contains(said)), "{device}: {told:?}");
        }
    }
}
