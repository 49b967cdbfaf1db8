//! What computes: the worker with its libtorch, GPUs, cores.

use std::path::Path;
use std::time::Instant;

use super::{Check, State, needs_worker};
use crate::exec::job::{Description, Gpu};
use crate::exec::{Failure, worker};
use crate::report::measures::{duration, plural, size};
use crate::sched::slots::Slots;
use crate::spec::Pipeline;

/// Of the machine as this pipeline would use it.
pub(super) fn checks(pipeline: Option<&Pipeline>) -> Vec<Check> {
    let start = Instant::now();
    let mut checks = match worker::describe() {
        Ok(worker) => {
            let device = pipeline.map_or("auto", |pipeline| pipeline.device.as_str());
            let mut checks = vec![libtorch(&worker, start.elapsed().as_secs_f64())];
            checks.extend(gpus(&worker, device, Path::new("/dev/nvidia0").exists()));
            checks
        }
        Err(failure) => vec![no_worker(failure, needs_worker(pipeline))],
    };
    checks.push(cores(pipeline));
    checks
}

fn libtorch(worker: &Description, seconds: f64) -> Check {
    let version = worker.libtorch.as_deref().unwrap_or("of unknown version");
    let build = if worker.cuda { "with CUDA" } else { "CPU build" };
    Check::new(State::Good, "libtorch", format!("{version} ({build}), found by the worker in {}", duration(seconds)))
}

fn no_worker(failure: Failure, is_needed: bool) -> Check {
    let (message, help) = match failure {
        Failure::Failed { message, help } => (message, help),
        Failure::Cancelled { .. } => ("it was stopped".to_owned(), Vec::new()),
    };
    match is_needed {
        true => Check { help, ..Check::new(State::Failure, "worker", message) },
        false => Check::new(State::Warning, "worker", format!("{message}; this pipeline of commands needs none")),
    }
}

/// `device`: as the pipeline says. `is_there`: the driver of NVIDIA's GPUs shows one.
fn gpus(worker: &Description, device: &str, is_there: bool) -> Vec<Check> {
    let state_of_fault = if device == "cpu" { State::Warning } else { State::Failure };
    let mut checks: Vec<Check> =
        worker.gpus.iter().enumerate().map(|(index, gpu)| of_gpu(index, gpu, state_of_fault)).collect();
    let asked = match device {
        "auto" | "cpu" => None,
        "cuda" => Some(0),
        named => named.strip_prefix("cuda:").and_then(|index| index.parse().ok()),
    };
    if asked.is_some_and(|index: usize| index >= worker.gpus.len()) {
        let found =
            format!("the pipeline asks for `{device}`, but libtorch finds {}", plural(worker.gpus.len(), "GPU"));
        checks.push(with_driver_help(Check::new(State::Failure, "device", found), worker, is_there));
    } else if worker.gpus.is_empty() && is_there && device != "cpu" {
        let found = "this machine has an NVIDIA GPU that libtorch doesn't find: stages run on the CPU";
        checks.push(with_driver_help(Check::new(State::Warning, "device", found), worker, is_there));
    }
    checks
}

fn of_gpu(index: usize, gpu: &Gpu, state_of_fault: State) -> Check {
    let name = gpu.name.as_deref().unwrap_or("works");
    let memory = gpu.memory.map(|[all, free]| format!(", {}, {} free", size(all), size(free))).unwrap_or_default();
    match &gpu.fault {
        None => Check::new(State::Good, format!("gpu {index}"), format!("{name}{memory}")),
        Some(fault) => Check::new(state_of_fault, format!("gpu {index}"), format!("a small sum failed there: {fault}"))
            .help("libtorch and the driver have to fit each other; `device = \"cpu\"` does without"),
    }
}

fn with_driver_help(check: Check, worker: &Description, is_there: bool) -> Check {
    match (worker.cuda, is_there) {
        (false, _) => check.help("a CUDA build of libtorch comes with `./fetch-libtorch --cuda`"),
        (true, true) => check.help("see what nvidia-smi says, and CUDA_VISIBLE_DEVICES"),
        (true, false) => check.help("no driver of NVIDIA's shows a GPU here; `device = \"auto\"` takes the CPU then"),
    }
}

fn cores(pipeline: Option<&Pipeline>) -> Check {
    match pipeline {
        Some(pipeline) => {
            let (all, of_stage) = Slots::new(pipeline, None, &pipeline.device).threads();
            Check::new(State::Good, "cores", format!("{all}, {of_stage} a stage"))
        }
        None => {
            Check::new(State::Good, "cores", std::thread::available_parallelism().map_or(1, usize::from).to_string())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worker(cuda: bool, gpus: Vec<Gpu>) -> Description {
        Description { format: 0, libtorch: None, file: None, cuda, gpus }
    }

    fn states(checks: &[Check]) -> Vec<State> {
        checks.iter().map(|check| check.state).collect()
    }

    #[test]
    fn a_device_that_is_asked_for_and_missing_fails_and_one_that_lies_idle_is_told() {
        let one = worker(true, vec![Gpu::default()]);
        assert_eq!(states(&gpus(&one, "cuda", true)), [State::Good]);
        assert_eq!(states(&gpus(&one, "cuda:1", true)), [State::Good, State::Failure]);
        let none = worker(false, Vec::new());
        assert!(gpus(&none, "auto", false).is_empty() && gpus(&none, "cpu", true).is_empty());
        let idle = gpus(&none, "auto", true);
        assert_eq!(states(&idle), [State::Warning]);
        assert!(idle[0].help[0].contains("--cuda"));
        assert_eq!(states(&gpus(&none, "cuda", false)), [State::Failure]);
    }

    #[test]
    fn a_gpu_on_which_a_sum_fails_fails_unless_the_pipeline_does_without() {
        let broken = worker(true, vec![Gpu { fault: Some("no kernel image".to_owned()), ..Gpu::default() }]);
        assert_eq!(states(&gpus(&broken, "auto", true)), [State::Failure]);
        assert_eq!(states(&gpus(&broken, "cpu", true)), [State::Warning]);
        let named = Gpu { name: Some("H100".to_owned()), memory: Some([80 << 30, 79 << 30]), fault: None };
        assert_eq!(of_gpu(0, &named, State::Failure).found, "H100, 80.0 GiB, 79.0 GiB free");
    }
}
