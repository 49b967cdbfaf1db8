//! The worker: performs one job in its own process.
//!
//! Connects the runner's job contract and intrada-ml: it reads a job description, the kind's file calls the papers' code,
//! and files are written into the staging folder. Knows no graph, no keys, no cache. In its own process a crash of
//! libtorch, an out-of-memory kill or a CUDA error fails one stage and not the run.
#![warn(missing_docs)]

mod best_so_far;
mod candidates;
mod data;
#[cfg(test)]
mod definitions;
mod describe;
mod snapshots;
mod exported;
mod items;
mod kinds;
mod labelled;
mod log;
mod measure;
mod model;
mod names;
mod pictures;
mod thumbnails;
mod training;
mod trial;
mod validation;
mod viewing;
mod work;

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use intrada_ml::cpu;
use intrada_runner::exec::job::log::FAILED;
use intrada_runner::exec::job::{DESCRIBE, Event, FORMAT, Job, TRY_WEIGHTS};
use intrada_runner::measures::{count, duration, plural};
use tch::Device;

use log::log;
use work::{Failure, Work, say};

/// Performs the job that the first argument names and reports progress on standard output; or describes this machine.
pub fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    if arguments == [DESCRIBE] {
        return answer(&serde_json::json!(describe::description()));
    }
    if let [flag, jobs] = &arguments[..]
        && flag == TRY_WEIGHTS
    {
        return match trial::tried(jobs.as_ref()) {
            Ok(tried) => answer(&serde_json::json!(tried)),
            Err(failure) => failed(failure),
        };
    }
    let [job] = &arguments[..] else {
        log("usage: intrada-worker JOB.json | --describe | --try-weights JOBS.json\n\
             intrada-run starts it; it performs one stage of a pipeline.");
        return ExitCode::from(2);
    };
    match perform(job.as_ref()) {
        Ok(notes) => {
            say(&Event::Finished { notes });
            ExitCode::SUCCESS
        }
        Err(failure) => failed(failure),
    }
}

/// Prints one line: the answer.
fn answer(line: &serde_json::Value) -> ExitCode {
    match writeln!(std::io::stdout(), "{line}") {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn failed(failure: Failure) -> ExitCode {
    match failure {
        Failure::Interrupted { at } => {
            log(&format!("stopped at {}; what is done by then is kept for the next run", count(at)));
            say(&Event::Interrupted { at });
            ExitCode::from(130)
        }
        Failure::Failed { message, help } => {
            log(&message.lines().map(|line| format!("{FAILED}{line}\n")).collect::<String>());
            help.iter().for_each(|line| log(&format!("help: {line}")));
            say(&Event::Failed { message, help });
            ExitCode::FAILURE
        }
    }
}

fn perform(path: &Path) -> Result<work::Notes, Failure> {
    let begun = Instant::now();
    log::begin();
    // A signal during the preparation below must not end the process halfway through a file either.
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT] {
        signal_hook::flag::register(signal, Arc::clone(&stop))?;
    }
    // When a file reaches its size limit (`ulimit -f`), the write must return an error, which names the file, instead of
    // killing the process.
    signal_hook::flag::register(rustix::process::Signal::XFSZ.as_raw(), Arc::default())?;
    let text = std::fs::read(path)?;
    let job = read(&text)?;
    let device = device(&job.device)?;
    let chosen = chosen_for(&job)?;
    // Sums are rounded in another order with another number of threads, so the job sets the number, not the machine.
    tch::set_num_threads(job.threads as i32);
    let kind = kinds::find(&job.kind)?;
    log::describe(&job, &surroundings(&job, device, chosen.as_deref()));
    let work = Work::new(job, device, stop);
    let mut notes = (kind.perform)(&work).map_err(|failure| names::renamed(failure, &work.job))?;
    notes.insert("threads".to_owned(), tch::get_num_threads().to_string());
    notes.insert("device".to_owned(), format!("{device:?}").to_lowercase());
    if let Some(set) = chosen {
        notes.entry("instruction_set".to_owned()).or_insert(set);
    }
    notes.extend(describe::libtorch().map(|version| ("libtorch".to_owned(), version)));
    sum_up(&notes, begun.elapsed().as_secs_f64());
    Ok(notes)
}

/// `cpu, 2 threads, avx512, libtorch 2.11.0`.
fn surroundings(job: &Job, device: Device, instructions: Option<&str>) -> String {
    let threads = plural(job.threads as usize, "thread");
    let libtorch = describe::libtorch().map(|version| format!("libtorch {version}"));
    let parts = [Some(format!("{device:?}").to_lowercase()), Some(threads), instructions.map(str::to_owned), libtorch];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// The end of the log of a job that is done.
fn sum_up(notes: &work::Notes, seconds: f64) {
    let summary = notes.get("summary").map(|summary| format!(": {summary}")).unwrap_or_default();
    // The first line told these.
    let others = notes
        .iter()
        .filter(|(name, _)| !["summary", "threads", "device", "instruction_set", "libtorch"].contains(&name.as_str()));
    others.for_each(|(name, value)| log(&format!("{}: {value}", name.replace('_', " "))));
    log(&format!("finished in {}{summary}", duration(seconds)));
}

/// Reads only the format number: a job of another version's runner can't be interpreted further.
fn read(text: &[u8]) -> Result<Job, Failure> {
    #[derive(serde::Deserialize)]
    struct Any {
        format: u32,
    }
    let Any { format } = serde_json::from_slice(text)?;
    if format != FORMAT {
        let message = format!("the job has format {format}, this worker reads {FORMAT}");
        return Err(Failure::advised(message, "build intrada-run and intrada-worker from the same sources"));
    }
    Ok(serde_json::from_slice(text)?)
}

/// Checks that libtorch uses the job's instruction set and is the expected version; returns the instructions that it chose.
fn chosen_for(job: &Job) -> Result<Option<String>, Failure> {
    if let Some(other) = describe::other_libtorch() {
        return Err(Failure::advised(other, describe::OTHER_LIBTORCH_CURE));
    }
    let chosen = cpu::instruction_set();
    if job.instruction_set.is_some() && !cpu::hold() {
        return Err(Failure::advised(
            "this libtorch doesn't support `instruction_set`: it has no switch for oneDNN",
            "remove `instruction_set` from [pipeline]",
        ));
    }
    match (&job.instruction_set, chosen) {
        (Some(wanted), Some(chosen)) if *wanted != chosen => Err(Failure::advised(
            format!("the pipeline says `instruction_set = \"{wanted}\"`, but libtorch supports at most {chosen} here"),
            "set another instruction_set in [pipeline], or none; the keys change with it",
        )),
        (_, chosen) => Ok(chosen),
    }
}

/// `auto` is the first GPU that libtorch finds, else the CPU.
fn device(name: &str) -> Result<Device, Failure> {
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
