//! The worker: performs one job in a process of its own.
//!
//! Glue between the runner's job contract and intrada-ml: a description comes in, a kind's file calls the papers' code, files
//! go into the staging folder. Knows no graph, no keys, no cache. Its own process, so that a crash of libtorch, an
//! out-of-memory kill or a CUDA error fails one stage and not the run.
#![warn(missing_docs)]

mod data;
mod describe;
mod snapshots;
mod exported;
mod items;
mod kinds;
mod measure;
mod model;
mod names;
mod pictures;
mod training;
mod trial;
mod validation;
mod work;

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use intrada_ml::cpu;
use intrada_runner::exec::job::{DESCRIBE, Event, FORMAT, Job, TRY_WEIGHTS};
use tch::Device;

use work::{Failure, Work, log, say};

/// Performs the job that the first argument names, and says on standard output how it goes; or says what it finds on this
/// machine.
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

/// One line, all that is said.
fn answer(line: &serde_json::Value) -> ExitCode {
    match writeln!(std::io::stdout(), "{line}") {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn failed(failure: Failure) -> ExitCode {
    match failure {
        Failure::Interrupted { at } => {
            say(&Event::Interrupted { at });
            ExitCode::from(130)
        }
        Failure::Failed { message, help } => {
            log(&message);
            say(&Event::Failed { message, help });
            ExitCode::FAILURE
        }
    }
}

fn perform(path: &Path) -> Result<work::Notes, Failure> {
    // A signal during the preparation below must not end the process halfway through a file either.
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT] {
        signal_hook::flag::register(signal, Arc::clone(&stop))?;
    }
    // A file that may not grow any larger (`ulimit -f`) is to be an error of the write, which names it, and not the end.
    signal_hook::flag::register(rustix::process::Signal::XFSZ.as_raw(), Arc::default())?;
    let text = std::fs::read(path)?;
    let job = read(&text)?;
    let device = device(&job.device)?;
    let chosen = chosen_for(&job)?;
    // Sums come out in another order with another number of threads, so the number is the job's, not the machine's.
    tch::set_num_threads(job.threads as i32);
    let kind = kinds::find(&job.kind)?;
    let work = Work::new(job, device, stop);
    let mut notes = (kind.perform)(&work).map_err(|failure| names::renamed(failure, &work.job))?;
    notes.insert("threads".to_owned(), tch::get_num_threads().to_string());
    notes.insert("device".to_owned(), format!("{device:?}").to_lowercase());
    if let Some(set) = chosen {
        notes.entry("instruction_set".to_owned()).or_insert(set);
    }
    notes.extend(describe::libtorch().map(|version| ("libtorch".to_owned(), version)));
    Ok(notes)
}

/// The job of a runner of the same version: of another one, what else is in it means nothing here.
fn read(text: &[u8]) -> Result<Job, Failure> {
    #[derive(serde::Deserialize)]
    struct Any {
        format: u32,
    }
    let Any { format } = serde_json::from_slice(text)?;
    if format != FORMAT {
        let message = format!("the job is of format {format}, this worker knows {FORMAT}");
        return Err(Failure::advised(message, "build intrada-run and intrada-worker from the same sources"));
    }
    Ok(serde_json::from_slice(text)?)
}

/// The instructions that libtorch has chosen, if these are what the job is held to and libtorch is the one that is meant.
fn chosen_for(job: &Job) -> Result<Option<String>, Failure> {
    if let Some(other) = describe::other_libtorch() {
        return Err(Failure::advised(other, describe::OTHER_LIBTORCH_CURE));
    }
    let chosen = cpu::instruction_set();
    if job.instruction_set.is_some() && !cpu::hold() {
        return Err(Failure::advised(
            "this libtorch can't be held to `instruction_set`: it has no switch for oneDNN",
            "without `instruction_set` in [pipeline] it computes as it likes",
        ));
    }
    match (&job.instruction_set, chosen) {
        (Some(wanted), Some(chosen)) if *wanted != chosen => Err(Failure::advised(
            format!(
                "the pipeline says `instruction_set = \"{wanted}\"`, but libtorch finds no more than {chosen} here"
            ),
            "another instruction_set of [pipeline], or none, lets it run here, under another key",
        )),
        (_, chosen) => Ok(chosen),
    }
}

/// `auto` is the first GPU where libtorch has one.
fn device(name: &str) -> Result<Device, Failure> {
    let gpu = |index: usize| {
        if index < tch::Cuda::device_count().max(0) as usize {
            Ok(Device::Cuda(index))
        } else {
            Err(Failure::advised(
                format!("device `{name}` is asked for, but libtorch finds {} GPUs", tch::Cuda::device_count()),
                "a CUDA build of libtorch comes with `./fetch-libtorch --cuda`; `--device cpu` does without",
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
                Err(Failure::advised(format!("there is no device `{name}`"), "auto, cpu, cuda and cuda:1 are devices"))
            }
        },
    }
}
