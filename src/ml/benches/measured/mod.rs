//! What the benchmarks measure of their own process: CPU time, median times of repeats, largest memory. Knows no network.

use std::time::Instant;

use rustix::time::{ClockId, clock_gettime};

/// CPU and wall seconds of each repeat; the first is a warm-up.
pub type Times = Vec<(f64, f64)>;

/// CPU seconds of all threads of this process: on a shared machine the number to compare.
pub fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// Measures from one call of [`Laps::lap`] to the next.
pub struct Laps {
    times: Times,
    last: (f64, Instant),
}

impl Laps {
    /// From now on.
    pub fn start() -> Laps {
        Laps { times: Vec::new(), last: (cpu_seconds(), Instant::now()) }
    }

    /// What began with the lap before ends here.
    pub fn lap(&mut self) {
        self.times.push((cpu_seconds() - self.last.0, self.last.1.elapsed().as_secs_f64()));
        self.last = (cpu_seconds(), Instant::now());
    }

    /// `repeats` laps after the warm-up.
    pub fn first(mut self, repeats: usize) -> Times {
        self.times.truncate(repeats + 1);
        self.times
    }
}

/// The medians of CPU and wall seconds, without the warm-up.
pub fn medians(times: &Times) -> (f64, f64) {
    let median = |pick: fn(&(f64, f64)) -> f64| {
        let mut values: Vec<f64> = times.iter().skip(1).map(pick).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    (median(|time| time.0), median(|time| time.1))
}

/// The largest resident memory so far.
pub fn peak_mebibytes() -> f64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    line.split_whitespace().next().and_then(|kib| kib.parse::<f64>().ok()).unwrap_or_default() / 1024.0
}
