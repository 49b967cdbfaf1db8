//! A job that runs as a process of this machine: its events as they come, and its end.
//!
//! Knows no kind. Two threads report into one channel: one reads the lines of a worker's standard output, one waits for the
//! process.

use std::io::{self, BufRead, BufReader};
use std::process::ChildStdout;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::Duration;

use super::super::Failure;
use super::super::executor::{self, Ended, Execution, Handle};
use super::super::job::Event;
use super::super::listen;
use super::process::{self, Process};

/// After the worker has ended, its output is read until no event came for this long: another process may hold it open.
const PATIENCE: Duration = Duration::from_millis(500);

/// A job, for the thread that started it.
pub(super) struct Running {
    reports: Receiver<Report>,
    handle: Arc<process::Handle>,
    /// Whether there may be more events.
    talks: bool,
    ended: Option<io::Result<Ended>>,
    /// Its name in messages.
    program: String,
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
        let (send, reports) = mpsc::channel();
        let handle = process.handle();
        let kills = process::out_of_memory_kills();
        let stdout = process.take_stdout();
        let talks = stdout.is_some();
        if let Some(pipe) = stdout {
            let send = send.clone();
            std::thread::spawn(move || read(pipe, &send));
        }
        // Started by one thread, waited for by another: without a supervisor the child dies with the thread that started it,
        // which keeps this value.
        std::thread::spawn(move || {
            let out_of_memory = || kills.zip(process::out_of_memory_kills()).map(|(before, now)| now > before);
            let ended = process.wait().map(|status| Ended::here(process::how(status), out_of_memory()));
            // The receiver may be gone.
            let _ = send.send(Report::Ended(ended));
        });
        Running { reports, handle, talks, ended: None, program: program.to_owned() }
    }
}

impl Running {
    fn ended(&mut self) -> io::Result<Ended> {
        loop {
            if let Some(ended) = self.ended.take() {
                return ended;
            }
            match self.reports.recv() {
                Ok(Report::Ended(ended)) => return ended,
                Ok(Report::Event(_) | Report::Silence) => {}
                Err(_) => return Err(io::Error::other("nobody waits for it any more")),
            }
        }
    }
}

impl Execution for Running {
    fn handle(&self) -> Arc<dyn Handle> {
        Arc::clone(&self.handle) as Arc<dyn Handle>
    }

    fn next_report(&mut self) -> Option<executor::Report> {
        while self.talks {
            // A child of the worker may hold its output open after it has ended.
            let report = if self.ended.is_some() {
                self.reports.recv_timeout(PATIENCE)
            } else {
                self.reports.recv().map_err(|_| RecvTimeoutError::Disconnected)
            };
            match report {
                Ok(Report::Event(event)) => return Some(executor::Report::Event(event)),
                Ok(Report::Ended(ended)) => self.ended = Some(ended),
                Ok(Report::Silence) | Err(_) => self.talks = false,
            }
        }
        None
    }

    fn wait(&mut self) -> Result<Ended, Failure> {
        self.ended().map_err(|error| Failure::new(format!("failed to wait for {}: {error}", self.program)))
    }
}

/// Reads events until the pipe is closed.
fn read(pipe: ChildStdout, send: &Sender<Report>) {
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
    use std::process::Stdio;

    use super::super::process::Prepared;
    use super::*;
    use crate::exec::executor::How;

    #[test]
    fn a_worker_s_events_come_in_order_and_then_its_end_and_other_lines_are_passed_over() {
        let mut prepared = Prepared::new("/bin/sh");
        let script = r#"echo hello; echo '{"event":"resumed","at":3}'; echo '{"event":"interrupted","at":4}'; exit 5"#;
        prepared.command().args(["-c", script]).stdout(Stdio::piped());
        let mut running = Running::new(Process::start(&mut prepared, None).unwrap(), "sh");
        let events: Vec<_> = std::iter::from_fn(|| running.next_report()).collect();
        assert_eq!(events, [Event::Resumed { at: 3 }, Event::Interrupted { at: 4 }].map(executor::Report::Event));
        assert_eq!(running.wait().unwrap().how, How::Status(5));
    }

    #[test]
    fn a_job_that_is_killed_is_waited_for_and_its_handle_does_nothing_afterwards() {
        let mut prepared = Prepared::new("/bin/sh");
        prepared.command().args(["-c", "sleep 1000"]);
        let mut running = Running::new(Process::start(&mut prepared, None).unwrap(), "sh");
        let handle = running.handle();
        handle.kill();
        assert_eq!(running.next_report(), None);
        assert_eq!(running.wait().unwrap().how, How::Signal(9));
        handle.stop();
        handle.kill();
    }
}
