//! Images larger than the machine's memory: a `size` with an extra digit would fail hours later, without a message.
//!
//! Knows no network. Counts the minimum that a stage holds: its images as network input, three float32 numbers per pixel.
//! A stage with a window holds less, and isn't counted. So nothing is reported that could run, and much that can't is not reported.

use super::Sizes;
use crate::kind::Runs;
use crate::measures;
use crate::pipeline::{Problem, Stage, Value};

/// Bytes per pixel.
const PIXEL: u64 = 3 * 4;

/// Every machine that runs this program has more, so the system isn't queried below this.
const NO_QUESTION: u64 = 1 << 30;

impl Sizes<'_> {
    /// Reports images that don't fit into memory, if the largest doesn't.
    pub(super) fn too_large(&self) -> Option<Problem> {
        let pixels = |size: [u32; 2]| u64::from(size[0]) * u64::from(size[1]);
        let largest = self.sizes.iter().map(|(_, size)| *size).max_by_key(|size| pixels(*size))?;
        let stages = self.readers.iter().map(|(stage, _)| self.pipeline.stage(*stage));
        let is_here = |stage: &&Stage| {
            stage.kind.runs == Runs::Worker && !stage.has_window() && self.pipeline.executor_of(stage).is_none()
        };
        let worker = stages.filter(is_here);
        let (at_once, stage) = worker.map(|stage| (at_once(stage), stage)).max_by_key(|(at_once, _)| *at_once)?;
        let needed = pixels(largest).saturating_mul(PIXEL).saturating_mul(at_once);
        let memory = if needed < NO_QUESTION { None } else { of_machine() };
        memory.filter(|memory| needed > *memory).map(|memory| self.problem(stage, largest, at_once, [needed, memory]))
    }

    fn problem(&self, stage: &Stage, size: [u32; 2], at_once: u64, [needed, memory]: [u64; 2]) -> Problem {
        let what = match at_once {
            1 => format!("an image of `{}` with {} pixels takes", self.dataset.name, measures::pixels(size)),
            many => format!(
                "a batch of {many} images of `{}` with {} pixels takes",
                self.dataset.name,
                measures::pixels(size)
            ),
        };
        let (needed, memory) = (measures::size(needed), measures::size(memory));
        let title = format!("{what} {needed} as float32 numbers, and this machine has {memory} of memory");
        Problem::warning(title)
            .at(self.dataset.span, "this data set")
            .note(format!("`{}` would need at least that", stage.family))
            .help(if at_once == 1 { "a smaller `size`" } else { "a smaller `size` or `batch`, or a `crop`" })
    }
}

/// How many whole images a stage holds: cropped ones are small.
fn at_once(stage: &Stage) -> u64 {
    let batch = stage.parameter("batch").filter(|_| stage.is_training() && stage.parameter("crop").is_none());
    batch.and_then(Value::as_integer).and_then(|batch| u64::try_from(batch).ok()).unwrap_or(1)
}

/// The memory available to this program in bytes: the machine's, or less if a container or a batch system limits it.
fn of_machine() -> Option<u64> {
    let all = std::fs::read_to_string("/proc/meminfo").ok().and_then(|text| total(&text));
    let limit = std::fs::read_to_string("/sys/fs/cgroup/memory.max").ok().and_then(|text| text.trim().parse().ok());
    all.into_iter().chain(limit).min()
}

fn total(meminfo: &str) -> Option<u64> {
    let kibibytes = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?.trim().strip_suffix(" kB")?;
    Some(kibibytes.trim().parse::<u64>().ok()? << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_of_the_machine_is_read_in_bytes() {
        assert_eq!(total("MemTotal:       65537000 kB\nMemFree:         1 kB\n"), Some(65_537_000 << 10));
        assert_eq!(total("MemFree: 1 kB\n"), None);
    }
}
