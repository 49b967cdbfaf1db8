//! Images that are larger than the machine's memory: a `size` with a digit too many ends hours later, and without a word.
//!
//! Knows no network. What is counted is the least that a stage holds: its images as the network takes them in, three float32
//! numbers a pixel. So nothing is told that could run, and much that can't is not told.

use super::{Sizes, shown};
use crate::kind::Runs;
use crate::measures;
use crate::pipeline::{Problem, Stage, Value};

/// Bytes of a pixel.
const PIXEL: u64 = 3 * 4;

/// Less than that every machine has that runs this program, and the system isn't asked.
const NO_QUESTION: u64 = 1 << 30;

impl Sizes<'_> {
    /// That images don't fit into memory, if the largest doesn't.
    pub(super) fn too_large(&self) -> Option<Problem> {
        let pixels = |size: [u32; 2]| u64::from(size[0]) * u64::from(size[1]);
        let largest = self.sizes.iter().map(|(_, size)| *size).max_by_key(|size| pixels(*size))?;
        let stages = self.readers.iter().map(|(stage, _)| self.pipeline.stage(*stage));
        let worker = stages.filter(|stage| stage.kind.runs == Runs::Worker);
        let (at_once, stage) = worker.map(|stage| (at_once(stage), stage)).max_by_key(|(at_once, _)| *at_once)?;
        let needed = pixels(largest).saturating_mul(PIXEL).saturating_mul(at_once);
        let memory = if needed < NO_QUESTION { None } else { of_machine() };
        memory.filter(|memory| needed > *memory).map(|memory| self.told(stage, largest, at_once, [needed, memory]))
    }

    fn told(&self, stage: &Stage, size: [u32; 2], at_once: u64, [needed, memory]: [u64; 2]) -> Problem {
        let what = match at_once {
            1 => format!("an image of `{}` with {} pixels takes", self.dataset.name, shown(size)),
            many => format!("a batch of {many} images of `{}` with {} pixels takes", self.dataset.name, shown(size)),
        };
        let (needed, memory) = (measures::size(needed), measures::size(memory));
        let title = format!("{what} {needed} as float32 numbers, and this machine has {memory} of memory");
        Problem::warning(title)
            .at(self.dataset.span, "this data set")
            .note(format!("`{}` would hold that and more", stage.family))
            .help(if at_once == 1 { "a smaller `size`" } else { "a smaller `size` or `batch`, or a `crop`" })
    }
}

/// How many whole images a stage holds: cut to a `crop` they are small.
fn at_once(stage: &Stage) -> u64 {
    let batch = stage.parameter("batch").filter(|_| stage.is_training() && stage.parameter("crop").is_none());
    batch.and_then(Value::as_integer).and_then(|batch| u64::try_from(batch).ok()).unwrap_or(1)
}

/// Bytes of memory that this program may have: the machine's, or less where a container or a batch system says so.
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
