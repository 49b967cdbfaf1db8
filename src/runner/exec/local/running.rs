//! A job that runs as a process of this machine: its events as they come, and its end.
//!
//! Knows no kind. For a worker two threads report into one channel: one reads the lines of its standard output, one waits for the
//! process. A command says nothing, and is waited for by the thread that started it.

use std::io::{self, BufRead, BufReader, PipeReader};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::Duration;

use super::super::Failure;
use super::super::executor::{self, Ended, Execution, Handle};
use super::super::job::Event;
use super::super::listen;
use super::process::{self, OutOfMemory, Process};

/// After the worker has ended, its output is read until no event came for this long: another process may hold it open.
const PATIENCE: Duration = Duration::from_millis(500);

/// A job, for the thread that started it.
pub(super) struct Running {
    reports: Reports,
    handle: Arc<process::Handle>,
    ended: Option<io::Result<Ended>>,
    /// Its name in messages.
    program: String,
}

enum Reports {
    /// It has nothing to say until its end.
    None(Process, OutOfMemory),
    /// `more`: whether there may be more events.
    Of { reports: Receiver<Report>, more: bool },
}

enum Report {
    Event(Event),
    /// There won't be another event.
    Silence,
    Ended(io::Result<Ended>),
}

impl Running {
    /// Listens to a process that was started by this thread.
    pub(super) fn new(mut process: Process, program: &str) -> Running {
        let (handle, memory) = (process.handle(), OutOfMemory::from_now_on());
        let reports = match process.take_stdout() {
            None => Reports::None(process, memory),
            Some(pipe) => {
                let (send, reports) = mpsc::channel();
                let say = send.clone();
                std::thread::spawn(move || read(pipe, &say));
                // Started by one thread, waited for by another: without a supervisor the child dies with the thread that started
                // it, which keeps this value.
                std::thread::spawn(move || {
                    // The receiver may be gone.
                    let _ = send.send(Report::Ended(end(&mut process, &memory)));
                });
                Reports::Of { reports, more: true }
            }
        };
        Running { reports, handle, ended: None, program: program.to_owned() }
    }
}

/// Waits for a process.
fn end(process: &mut Process, memory: &OutOfMemory) -> io::Result<Ended> {
    let how = process::how(process.wait()?);
    let ran_out = if how.is_success() { None } else { memory.ran_out() };
    Ok(Ended::here(how, ran_out))
}

impl Running {
    fn ended(&mut self) -> io::Result<Ended> {
        if let Some(ended) = self.ended.take() {
            return ended;
        }
        match &mut self.reports {
            Reports::None(process, memory) => end(process, memory),
            Reports::Of { reports, .. } => {
                let end = reports.iter().find_map(|report| match report {
                    Report::Ended(ended) => Some(ended),
                    Report::Event(_) | Report::Silence => None,
                });
                end.unwrap_or_else(|| Err(io::Error::other("nobody waits for it any more")))
            }
        }
    }
}

impl Execution for Running {
    fn handle(&self) -> Arc<dyn Handle> {
        Arc::clone(&self.handle) as Arc<dyn Handle>
    }

    fn next_report(&mut self) -> Option<executor::Report> {
        let Reports::Of { reports, more } = &mut self.reports else { return None };
        while *more {
            // A child of the worker may hold its output open after it has ended.
            let report = if self.ended.is_some() {
                reports.recv_timeout(PATIENCE)
            } else {
                reports.recv().map_err(|_| RecvTimeoutError::Disconnected)
            };
            match report {
                Ok(Report::Event(event)) => return Some(executor::Report::Event(event)),
                Ok(Report::Ended(ended)) => self.ended = Some(ended),
                Ok(Report::Silence) | Err(_) => *more = false,
            }
        }
        None
    }

    fn wait(&mut self) -> Result<Ended, Failure> {
        self.ended().map_err(|error| Failure::new(format!("failed to wait for {}: {error}", self.program)))
    }
}

/// Reads events until the pipe is closed.
fn read(pipe: PipeReader, send: &Sender<Report>) {
    for line in BufReader::new(pipe).lines() {
        let Ok(line) = line else { break };
        if let Some(event) = listen::event(&line)
            && send.send(Report::Event(event)).is_err()
        {
            return;
        }
    }
    let _ = send.send(Report::Silence);
}

#[cfg(test)]
mod tests {
    use super::super::process::Prepared;
    use super::*;
    use crate::exec::executor::How;

    #[test]
    fn a_worker_s_events_come_in_order_and_then_its_end_and_other_lines_are_passed_over() {
        let mut prepared = Prepared::new("/bin/sh");
        let script = r#"echo hello; echo '{"event":"resumed","at":3}'; echo '{"event":"interrupted","at":4}'; exit 5"#;
        prepared.command().args(["-c", script]);
        prepared.pipe_stdout();
        let mut running = Running::new(Process::start(prepared, None).unwrap(), "sh");
        let events: Vec<_> = std::iter::from_fn(|| running.next_report()).collect();
        assert_eq!(events, [Event::Resumed { at: 3 }, Event::Interrupted { at: 4 }].map(executor::Report::Event));
        assert_eq!(running.wait().unwrap().how, How::Status(5));
    }

    #[test]
    fn a_job_that_is_killed_is_waited_for_and_its_handle_does_nothing_afterwards() {
        let mut prepared = Prepared::new("/bin/sh");
        prepared.command().args(["-c", "sleep 1000"]);
        let mut running = Running::new(Process::start(prepared, None).unwrap(), "sh");
        let handle = running.handle();
        handle.kill();
        assert_eq!(running.next_report(), None);
        assert_eq!(running.wait().unwrap().how, How::Signal(9));
        handle.stop();
        handle.kill();
    }
}
