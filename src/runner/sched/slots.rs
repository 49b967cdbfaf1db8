//! How many jobs may run at once: threads as tokens.
//!
//! Knows the machine's cores and what the command line allows. A job that finds no tokens waits; one that asks for more than
//! there are gets all of them, so that nothing waits for ever.

use std::path::Path;

use crate::kind::Runs;

/// The tokens.
pub struct Slots {
    free: usize,
    all: usize,
    jobs_free: usize,
    worker_threads: usize,
}

impl Slots {
    /// `threads`: of a stage, as the pipeline says. `jobs`: as the command line says.
    ///
    /// Without either, a stage gets half of the cores (at most 8, beyond which libtorch's small convolutions gain little), so
    /// that two independent trainings run side by side. Where there is a GPU that may be used, one job at a time.
    pub fn new(threads: Option<u32>, jobs: Option<usize>, device: &str) -> Slots {
        let all = std::thread::available_parallelism().map_or(1, usize::from);
        let worker_threads = threads.map_or((all / 2).clamp(1, 8), |threads| threads as usize);
        let has_gpu = device != "cpu" && Path::new("/dev/nvidia0").exists();
        let jobs_free = jobs.unwrap_or(if has_gpu { 1 } else { usize::MAX });
        Slots { free: all, all, jobs_free, worker_threads }
    }

    /// Threads that a job of this sort occupies.
    pub fn threads_of(&self, runs: Runs) -> usize {
        match runs {
            Runs::Worker => self.worker_threads,
            Runs::Command => 1,
        }
    }

    /// Takes tokens for a job of so many threads, if there are enough.
    pub fn take(&mut self, threads: usize) -> bool {
        let needed = threads.min(self.all);
        let fits = self.jobs_free > 0 && self.free >= needed;
        if fits {
            self.jobs_free -= 1;
            self.free -= needed;
        }
        fits
    }

    /// Gives them back.
    pub fn give_back(&mut self, threads: usize) {
        self.jobs_free = self.jobs_free.saturating_add(1);
        self.free += threads.min(self.all);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_that_wants_more_than_there_is_runs_alone_and_never_waits_for_ever() {
        let mut slots = Slots::new(Some(1_000_000), None, "cpu");
        let threads = slots.threads_of(Runs::Worker);
        assert!(slots.take(threads));
        assert!(!slots.take(1));
        slots.give_back(threads);
        assert!(slots.take(1));
    }

    #[test]
    fn no_more_jobs_than_allowed_run_at_once() {
        let mut slots = Slots::new(Some(1), Some(1), "cpu");
        assert!(slots.take(1));
        assert!(!slots.take(1));
        slots.give_back(1);
        assert!(slots.take(1));
    }
}
