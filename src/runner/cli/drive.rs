//! `run --detach --driver`: the runner itself as a job of a batch system, and what that job does differently.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::Refusal;
use crate::digest::Digest;
use crate::exec::Failure;
use crate::exec::batch::Batch;
use crate::exec::batch::driver::{self, DRIVER, Driver, Driving};
use crate::pipeline::StageId;
use crate::sched::Interrupt;
use crate::sched::session::Session;

/// The hidden option by which a driver knows that it is one; the executor's name follows.
pub(super) const DRIVEN: &str = "--driven";

/// Submits the runner to the batch system of these stages.
///
/// # Errors
/// None of them runs on one, or it doesn't take the job.
pub(super) fn submit(session: &Session, stages: &[StageId]) -> Result<(), Refusal> {
    let pipeline = &session.pipeline;
    let executor = stages.iter().find_map(|stage| pipeline.executor_of(pipeline.stage(*stage)));
    let Some(executor) = executor else {
        let text = "no stage runs on a batch system, so there is none for the driver\n\
                    help: `executor = \"…\"` in [pipeline] or --executor names one";
        return Err(Refusal::Usage(text.to_owned()));
    };
    match drive(session, &executor.name)? {
        Driving::Submitted(job) => talk!("submitted the runner as job {job} of `{}`", executor.name),
        Driving::AlreadyThere(job) => {
            talk!(
                "nothing was submitted: job {job} of `{}` already runs this pipeline file, as it was when the job began",
                executor.name
            );
        }
    }
    Ok(())
}

fn drive(session: &Session, executor: &str) -> Result<Driving, Refusal> {
    let Some(described) = session.pipeline.find_executor(executor) else {
        return Err(Refusal::Usage(format!("the pipeline has no executor `{executor}`")));
    };
    let directory = std::env::current_dir()
        .map_err(|error| anyhow::Error::new(error).context("failed to find the current folder"))?;
    let arguments = arguments(std::env::args_os().skip(1), executor);
    let driver = Driver { folder: folder(session), arguments: &arguments, directory: &directory };
    let driving = Batch::open(described, &session.store.job_folders()).and_then(|batch| batch.drive(&driver));
    driving.map_err(|failure| match failure {
        Failure::Failed { message, .. } => Refusal::Other(anyhow::Error::msg(message)),
        Failure::Cancelled { .. } | Failure::Left(_) => unreachable!("nobody can ask for that here"),
    })
}

fn folder(session: &Session) -> PathBuf {
    session.store.job_folders().join(folder_name(session))
}

/// The name of the folder of this pipeline file's driver. Two files may have pipelines of one name.
pub(super) fn folder_name(session: &Session) -> String {
    let file = std::path::absolute(&session.pipeline.file).unwrap_or_else(|_| session.pipeline.file.clone());
    let file = Digest::of(file.as_os_str().as_encoded_bytes()).short();
    format!("{DRIVER}{}.{file}", session.pipeline.name)
}

/// This command line as a driver runs it.
fn arguments(typed: impl Iterator<Item = OsString>, executor: &str) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = Vec::new();
    let mut typed = typed.filter(|word| word != "--detach" && word != "--driver");
    while let Some(word) = typed.next() {
        if word == DRIVEN {
            typed.next();
        } else {
            arguments.push(word);
        }
    }
    arguments.extend([DRIVEN.into(), executor.into()]);
    arguments
}

/// A run that is a job: its end doesn't end the jobs that it has submitted, and near its time limit it submits itself again.
pub(super) struct Driven {
    executor: String,
    is_warned: Arc<AtomicBool>,
}

impl Driven {
    pub(super) fn new(executor: &str) -> Driven {
        Driven { executor: executor.to_owned(), is_warned: Arc::default() }
    }

    /// Whatever signal ends it, the jobs are left. SIGUSR1 is the batch system's warning before a time limit.
    pub(super) fn heed_signals(&self, interrupt: Interrupt) {
        use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
        let is_warned = Arc::clone(&self.is_warned);
        if let Ok(mut signals) = signal_hook::iterator::Signals::new([SIGHUP, SIGINT, SIGTERM, SIGUSR1]) {
            std::thread::spawn(move || {
                for signal in signals.forever() {
                    is_warned.fetch_or(signal == SIGUSR1, Ordering::Relaxed);
                    interrupt.leave();
                }
            });
        }
    }

    /// After the run: submits the next driver if this one's time is over and jobs are left, else takes note that it has ended.
    ///
    /// # Errors
    /// As [`submit`].
    pub(super) fn hand_over(&self, session: &Session, has_left: bool) -> Result<(), Refusal> {
        let folder = folder(session);
        let ended = driver::ended(&folder);
        ended.map_err(|error| anyhow::Error::new(error).context(format!("failed to clear {}", folder.display())))?;
        if has_left && self.is_warned.load(Ordering::Relaxed) {
            drive(session, &self.executor)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_driver_has_the_same_arguments_and_knows_that_it_is_one_however_often_it_is_handed_over() {
        let words = |text: &str| text.split(' ').map(OsString::from).collect::<Vec<_>>();
        let once = arguments(words("run p.toml --detach --set a=1 --driver").into_iter(), "cluster");
        assert_eq!(once, words("run p.toml --set a=1 --driven cluster"));
        assert_eq!(arguments(once.clone().into_iter(), "cluster"), once);
    }
}
