//! The worker: performs jobs that compute with networks, each in its own process.
//!
//! Connects the job in progress (`intrada-work`) and intrada-ml: the kind's file calls the papers' code, and files are written into the
//! staging folder. Knows no graph, no keys, no cache. In its own process a crash of libtorch, an out-of-memory kill or a CUDA
//! error fails one stage and not the run.
#![warn(missing_docs)]

mod best_so_far;
mod candidates;
mod course;
#[cfg(test)]
mod definitions;
mod describe;
mod device;
mod snapshots;
mod exported;
mod kinds;
mod labelled;
mod measure;
mod memory;
mod model;
mod pace;
mod passes;
mod pictures;
#[cfg(test)]
mod testing;
mod training;
mod trial;
mod validation;
mod viewing;

use std::error::Error;
use std::io::Write;
use std::process::ExitCode;

use intrada_ml::checkpoint::CheckpointError;
use intrada_ml::cpu;
use intrada_runner::exec::job::{DESCRIBE, Job, TRY_WEIGHTS, made_on};
use intrada_runner::measures::plural;
use intrada_work::Failure;
use intrada_work::log::log;
use intrada_work::perform::{self, Place, Program};
use tch::Device;

const PROGRAM: Program = Program { find: kinds::performer, settle, advise };

/// Performs the job that the first argument names and reports progress on standard output; or describes this machine.
pub fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    if arguments == [DESCRIBE] {
        return answer(&serde_json::json!(describe::description()));
    }
    if let [flag, jobs] = &arguments[..]
        && flag == TRY_WEIGHTS
    {
        return match trial::tried(jobs.as_ref(), advise) {
            Ok(tried) => answer(&serde_json::json!(tried)),
            Err(failure) => perform::failed(failure),
        };
    }
    let [job] = &arguments[..] else {
        log("usage: intrada-worker JOB.json | --describe | --try-weights JOBS.json\n\
             intrada-run starts it; it performs one stage of a pipeline.");
        return ExitCode::from(2);
    };
    memory::keep_pages();
    perform::perform(job.as_ref(), &PROGRAM)
}

/// Prints one line: the answer.
fn answer(line: &serde_json::Value) -> ExitCode {
    match writeln!(std::io::stdout(), "{line}") {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// What to do about an invalid weights file, if the error is one.
fn advise(error: &(dyn Error + 'static)) -> Option<&'static str> {
    error.downcast_ref::<CheckpointError>()?.cure()
}

/// Prepares libtorch for the job.
fn settle(job: &Job) -> Result<Place, Failure> {
    let device = device::named(&job.device)?;
    let chosen = Some(chosen_for(job)?);
    // Sums are rounded in another order with another number of threads, so the job sets the number, not the machine.
    tch::set_num_threads(job.threads as i32);
    let [name, libtorch] = [Some(format!("{device:?}").to_lowercase()), describe::libtorch()];
    let on = [
        name.clone(),
        Some(plural(job.threads as usize, "thread")),
        chosen.clone(),
        libtorch.as_ref().map(|version| format!("libtorch {version}")),
    ];
    let threads = Some(tch::get_num_threads().to_string());
    let notes = [("threads", threads), ("device", name), ("instruction_set", chosen.clone()), ("libtorch", libtorch)];
    let notes = notes.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Ok(Place {
        made_on: made_on(device == Device::Cpu, job.threads, chosen.as_deref()),
        on: on.into_iter().flatten().collect(),
        notes: notes.collect(),
    })
}

/// Checks that libtorch uses the job's instruction set and is the expected version; returns the instructions that it chose.
fn chosen_for(job: &Job) -> Result<String, Failure> {
    if let Some(other) = describe::other_libtorch() {
        return Err(Failure::advised(other, describe::OTHER_LIBTORCH_CURE));
    }
    let chosen = cpu::instruction_set();
    if job.instruction_set.is_some() {
        cpu::hold();
    }
    match &job.instruction_set {
        Some(wanted) if *wanted != chosen => Err(Failure::advised(
            format!("the pipeline says `instruction_set = \"{wanted}\"`, but libtorch supports at most {chosen} here"),
            "set another instruction_set in [pipeline], or none; the keys change with it",
        )),
        _ => Ok(chosen),
    }
}

#[cfg(test)]
mod tests {
    use intrada_data::DataError;
    use intrada_data::input_file::Changed;
    use intrada_ml::adapt::AdaptError;
    use intrada_work::work::CHANGED_BACK;

    use super::*;

    #[test]
    fn whatever_reads_a_file_that_changed_says_what_to_do() {
        let changed = || Changed { path: "a.png".into() };
        let batch = AdaptError::Batch { iteration: 3, source: DataError::Changed(changed()), kept: Some(3) };
        let failures: [Failure; 3] =
            [CheckpointError::from(changed()).into(), AdaptError::Results(changed().into()).into(), batch.into()];
        for failure in failures {
            let Failure::Failed { message, help, .. } = failure.advised_by(advise) else { panic!("it failed") };
            assert!(message.contains("a.png changed"), "{message}");
            assert!(help.iter().any(|line| line == CHANGED_BACK), "{message}: {help:?}");
        }
    }

    #[test]
    fn weights_that_do_not_fit_are_advised_on() {
        let error = || CheckpointError::NoTeacher { path: "a.pth".into() };
        let Failure::Failed { help, .. } = Failure::from(error()).advised_by(advise) else { panic!("it failed") };
        assert_eq!(help, [error().cure().unwrap()]);
    }
}
