//! A runner that is itself a job of a batch system, so that stages are submitted one after another while nobody watches.
//!
//! Knows no pipeline: a command line and a folder come in. Its folder has the form of a job's (`papers`), so that `status`
//! shows it, and no second one is submitted beside it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::super::Failure;
use super::super::executor::Request;
use super::papers::{Papers, Submitted};
use super::queue::{NotSubmitted, Standing, Submission};
use super::submit::{exports, label, write_script};
use super::{Batch, Queue};
use crate::measures::now;
use crate::shell;

/// What the names of the folders of drivers begin with.
pub const DRIVER: &str = "driver.";

/// What is to be run as a job.
pub struct Driver<'a> {
    /// Its folder, which need not exist.
    pub folder: PathBuf,
    /// The arguments of this program.
    pub arguments: &'a [OsString],
    /// Where it is started.
    pub directory: &'a Path,
}

/// What came of submitting one.
#[derive(Debug, PartialEq, Eq)]
pub enum Driving {
    /// It was submitted as this job.
    Submitted(String),
    /// There is one already: this job.
    AlreadyThere(String),
}

impl Batch {
    /// Submits a driver, unless there is one.
    ///
    /// # Errors
    /// It is refused, the batch system can't be asked, or its folder can't be written.
    pub fn drive(&self, driver: &Driver<'_>) -> Result<Driving, Failure> {
        let unwritten = |error| Failure::new(format!("failed to write into {}: {error}", driver.folder.display()));
        std::fs::create_dir_all(&driver.folder).map_err(unwritten)?;
        let papers = Papers(driver.folder.clone());
        let queue = &*self.submitter.queue;
        if let Some(job) = papers.submitted().map_err(unwritten)?.and_then(|submitted| submitted.job)
            && is_open(queue, &job).map_err(|why| self.unreachable(&why))?
        {
            return Ok(Driving::AlreadyThere(job));
        }
        let label = label("driver");
        let request = Request { stage: "driver".to_owned(), threads: 1, heeds_warning: true, ..Request::default() };
        write_script(&papers.script(), &self.driver_script(driver)).map_err(unwritten)?;
        let submission = Submission {
            script: &papers.script(),
            label: &label,
            comment: "intrada-run",
            log: &papers.system_log(),
            request: &request,
            tasks: 1,
            is_step: false,
        };
        let job = queue.submit(&submission).map_err(|error| match error {
            NotSubmitted::Refused(why) | NotSubmitted::Unsure(why) | NotSubmitted::NoClient(why) => {
                self.unreachable(&why)
            }
        })?;
        let at = now();
        let executor = self.submitter.executor.clone();
        let submitted = Submitted { executor, label, task: None, job: Some(job.clone()), at, kept: None, again: 0 };
        papers.write_submitted(&submitted).map_err(unwritten)?;
        Ok(Driving::Submitted(job))
    }

    fn unreachable(&self, why: &str) -> Failure {
        Failure::new(format!("`{}` does not take the driver: {why}", self.submitter.executor))
    }

    fn driver_script(&self, driver: &Driver<'_>) -> String {
        let word = |text: &std::ffi::OsStr| shell::word(&text.to_string_lossy()).into_owned();
        let mut text = String::from("#!/bin/sh\n# Written by intrada-run: runs a pipeline as a job.\numask 022\n");
        text += &exports();
        text += &format!("cd {} || exit 1\n", word(driver.directory.as_os_str()));
        let arguments: Vec<String> = driver.arguments.iter().map(|argument| word(argument)).collect();
        text += &format!("exec {} {}\n", word(self.submitter.program.as_os_str()), arguments.join(" "));
        text
    }
}

/// Takes note that the driver in this folder has ended.
///
/// # Errors
/// The folder can't be changed.
pub fn ended(folder: &Path) -> std::io::Result<()> {
    Papers(folder.to_owned()).close()
}

fn is_open(queue: &dyn Queue, job: &str) -> Result<bool, String> {
    Ok(queue.standings(&[job.to_owned()])?.get(job).is_some_and(Standing::is_open))
}
