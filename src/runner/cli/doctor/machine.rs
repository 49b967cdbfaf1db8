//! Checks of the machine: worker and libtorch, GPUs, cores.

use std::time::Instant;

use super::{Check, State, needs_worker};
use crate::exec::executor::Executor;
use crate::exec::job::{Description, Gpu};
use crate::exec::local::{Local, surroundings};
use crate::exec::{Failure, Visible};
use crate::kind::instruction_set::InstructionSet;
use crate::measures::{duration, plural, size};
use crate::pipeline::Pipeline;
use crate::plan::device;
use crate::sched::slots::Slots;

/// Checks the machine as this pipeline would use it.
pub(super) fn checks(pipeline: Option<&Pipeline>) -> Vec<Check> {
    let start = Instant::now();
    let mut checks = match Local.describe(&Visible::All) {
        Ok(worker) => {
            // What nothing computes on here may be missing.
            let used = pipeline.filter(|pipeline| needs_worker(Some(pipeline)));
            let unused = if pipeline.is_some() { "cpu" } else { "auto" };
            let device = used.map_or(unused, |pipeline| pipeline.device.as_str());
            let mut checks = vec![libtorch(&worker, start.elapsed().as_secs_f64())];
            checks.extend(instructions(&worker, used.and_then(|pipeline| pipeline.instruction_set)));
            checks.extend(gpus(&worker, device, Local.has_gpu()));
            checks
        }
        Err(failure) => vec![no_worker(failure, needs_worker(pipeline))],
    };
    checks.push(cores(pipeline));
    checks.extend(environment(&surroundings::withheld()));
    checks.extend(watching());
    checks
}

fn libtorch(worker: &Description, seconds: f64) -> Check {
    let version = worker.libtorch.as_deref().unwrap_or("of unknown version");
    let build = match (worker.cuda, worker.gpus.is_empty()) {
        (true, false) => "with CUDA",
        (true, true) => "with CUDA, no GPU is visible to it",
        (false, _) => "CPU build",
    };
    let found = format!("{version} ({build}), found by the worker in {}", duration(seconds));
    // Patch releases have the same interface: the last number doesn't matter.
    let release = |version: &str| version.splitn(3, '.').take(2).map(str::to_owned).collect::<Vec<_>>();
    match (&worker.libtorch, &worker.built_for) {
        (Some(loaded), Some(wanted)) if release(loaded) != release(wanted) => {
            let file = worker.file.as_ref().map(|file| format!(" from {}", file.display())).unwrap_or_default();
            let found = format!("{loaded} is loaded{file}, but the worker was built for {wanted}");
            Check::new(State::Failure, "libtorch", found)
                .help("remove its folder from LD_LIBRARY_PATH, or build for it: LIBTORCH=FOLDER cargo build --release")
        }
        _ => Check::new(State::Good, "libtorch", found),
    }
}

/// The instruction set that stages would use.
fn instructions(worker: &Description, held_to: Option<&InstructionSet>) -> Option<Check> {
    const WHAT: &str = "instruction set";
    if let Some(Failure::Failed { message, help }) = held_to.and_then(|set| Local.refusal(set)) {
        return Some(Check { help, ..Check::new(State::Failure, WHAT, message) });
    }
    let best = worker.instruction_set.as_deref()?;
    Some(match held_to {
        Some(set) => {
            Check::new(State::Good, WHAT, format!("{}, as the pipeline says (the CPU's best is {best})", set.name))
        }
        None => Check::new(State::Good, WHAT, format!("{best}, the best of this CPU")),
    })
}

/// Warns of environment variables that have no effect here.
fn environment(withheld: &[String]) -> Option<Check> {
    let told = surroundings::told(withheld)?;
    Some(Check::new(State::Good, "environment", told).help(surroundings::INSTEAD))
}

fn no_worker(failure: Failure, is_needed: bool) -> Check {
    let (message, help) = match failure {
        Failure::Failed { message, help } => (message, help),
        Failure::Cancelled { .. } | Failure::Left(_) => ("stopped".to_owned(), Vec::new()),
    };
    if is_needed {
        Check { help, ..Check::new(State::Failure, "worker", message) }
    } else {
        Check::new(State::Warning, "worker", format!("{message}; no stage of this pipeline needs one here"))
    }
}

/// `device`: as the pipeline says. `is_there`: the NVIDIA driver shows a GPU.
fn gpus(worker: &Description, device: &str, is_there: bool) -> Vec<Check> {
    let state_of_fault = if device == "cpu" { State::Warning } else { State::Failure };
    let mut checks: Vec<Check> =
        worker.gpus.iter().enumerate().map(|(index, gpu)| of_gpu(index, gpu, state_of_fault)).collect();
    if device::index(device).is_some_and(|index| index >= worker.gpus.len()) {
        let found =
            format!("the pipeline asks for `{device}`, but libtorch finds {}", plural(worker.gpus.len(), "GPU"));
        checks.push(with_driver_help(Check::new(State::Failure, "device", found), worker, is_there));
    } else if worker.gpus.is_empty() && is_there && device != "cpu" {
        let found = "libtorch doesn't find this machine's NVIDIA GPU: stages run on the CPU";
        checks.push(with_driver_help(Check::new(State::Warning, "device", found), worker, is_there));
    }
    checks
}

fn of_gpu(index: usize, gpu: &Gpu, state_of_fault: State) -> Check {
    let name = gpu.name.as_deref().unwrap_or("works");
    let memory = gpu.memory.map(|[all, free]| format!(", {}, {} free", size(all), size(free))).unwrap_or_default();
    match &gpu.fault {
        None => Check::new(State::Good, format!("gpu {index}"), format!("{name}{memory}")),
        Some(fault) => {
            Check::new(state_of_fault, format!("gpu {index}"), format!("a small test failed on it: {fault}"))
                .help("libtorch and the driver must match; `device = \"cpu\"` needs neither")
        }
    }
}

fn with_driver_help(check: Check, worker: &Description, is_there: bool) -> Check {
    check.help(device::advice(worker, is_there))
}

fn cores(pipeline: Option<&Pipeline>) -> Check {
    match pipeline {
        Some(pipeline) => {
            let (all, of_stage) = Slots::new(pipeline, None, &pipeline.device, &Local).threads();
            Check::new(State::Good, "cores", format!("{all}, {} per stage", plural(of_stage, "thread")))
        }
        None => {
            Check::new(State::Good, "cores", std::thread::available_parallelism().map_or(1, usize::from).to_string())
        }
    }
}

/// Checks the kernel's inotify limits, which `watch` needs. `None` if it works.
#[cfg(target_os = "linux")]
fn watching() -> Option<Check> {
    use rustix::fs::inotify;
    let tried = inotify::init(inotify::CreateFlags::CLOEXEC)
        .and_then(|watcher| inotify::add_watch(&watcher, "/", inotify::WatchFlags::CREATE).map(drop));
    let limit = match tried.err()? {
        rustix::io::Errno::MFILE => "fs.inotify.max_user_instances",
        rustix::io::Errno::NOSPC => "fs.inotify.max_user_watches",
        error => {
            let found = format!("`watch` can't follow files here: {}", std::io::Error::from(error));
            return Some(Check::new(State::Warning, "watch", found));
        }
    };
    let help = format!("an administrator can raise it: `sysctl {limit}=…`; other programs use it too");
    Some(Check::new(State::Warning, "watch", format!("`watch` can't follow files: {limit} is used up")).help(help))
}

#[cfg(not(target_os = "linux"))]
fn watching() -> Option<Check> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kind::instruction_set;

    fn worker(cuda: bool, gpus: Vec<Gpu>) -> Description {
        Description { format: 0, libtorch: None, built_for: None, instruction_set: None, file: None, cuda, gpus }
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
    fn a_libtorch_is_called_what_it_is_whether_or_not_a_gpu_is_visible() {
        let told = |worker: &Description| libtorch(worker, 0.5).found;
        assert!(told(&worker(true, vec![Gpu::default()])).contains("(with CUDA)"));
        assert!(told(&worker(true, Vec::new())).contains("(with CUDA, no GPU is visible to it)"));
        assert!(told(&worker(false, Vec::new())).contains("(CPU build)"));
    }

    #[test]
    fn a_libtorch_of_another_release_than_the_worker_s_own_fails() {
        let version = |loaded: &str, wanted: &str| {
            let [libtorch, built_for] = [loaded, wanted].map(|version| Some(version.to_owned()));
            super::libtorch(&Description { libtorch, built_for, ..worker(false, Vec::new()) }, 0.5)
        };
        assert_eq!(version("2.11.0+cu130", "2.11.0").state, State::Good);
        assert_eq!(version("2.11.1+cpu", "2.11.0").state, State::Good);
        let other = version("2.6.0", "2.11.0");
        assert!(other.state == State::Failure && other.help[0].contains("LD_LIBRARY_PATH"), "{other:?}");
    }

    #[test]
    fn the_instructions_are_told_and_a_cpu_that_lacks_those_of_the_pipeline_fails() {
        let worker = Description { instruction_set: Some("avx512".to_owned()), ..worker(false, Vec::new()) };
        assert_eq!(instructions(&worker, None).unwrap().found, "avx512, the best of this CPU");
        let nowhere = InstructionSet { name: "none-of-this-name", variables: &[] };
        let refused = instructions(&worker, Some(&nowhere)).unwrap();
        assert!(refused.state == State::Failure && !refused.help.is_empty(), "{refused:?}");
        for set in instruction_set::NAMES.iter().filter_map(|name| instruction_set::find(name)) {
            let state = if surroundings::has(set) { State::Good } else { State::Failure };
            assert_eq!(instructions(&worker, Some(set)).unwrap().state, state);
        }
    }

    #[test]
    fn variables_that_have_no_effect_are_told_and_no_fault() {
        assert_eq!(environment(&[]), None);
        let told = environment(&["OMP_DYNAMIC".to_owned()]).unwrap();
        assert!(told.state == State::Good && told.found.contains("OMP_DYNAMIC"), "{told:?}");
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
