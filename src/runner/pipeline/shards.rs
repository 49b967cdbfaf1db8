//! How a stage that processes a data set item by item is split into several jobs.
//!
//! Knows neither items nor jobs, only their numbers. Never part of a key: however it is split, a stage's outputs are the same.

use super::Stage;
use super::value::Value;

/// How many jobs a stage is split into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shards {
    /// At most so many jobs.
    Jobs(usize),
    /// At most so many items per job.
    Items(usize),
}

impl Shards {
    /// The number of jobs for so many items. No job is without an item.
    pub fn jobs(self, items: usize) -> usize {
        match self {
            Shards::Jobs(jobs) => jobs.min(items),
            Shards::Items(each) => items.div_ceil(each),
        }
    }
}

impl Stage {
    /// How it is split; `None`: into one job, which also writes the outputs.
    pub fn shards(&self) -> Option<Shards> {
        let number = |name| {
            let number = self.parameter(name).and_then(Value::as_integer)?;
            // Both are at least 1, and a larger number than fits is as good as none.
            Some(usize::try_from(number).unwrap_or(usize::MAX))
        };
        number("shards").map(Shards::Jobs).or_else(|| number("shard_items").map(Shards::Items))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_job_is_without_an_item_and_none_has_more_than_allowed() {
        for items in 0..50 {
            for number in 1..20 {
                assert!(Shards::Jobs(number).jobs(items) == number.min(items));
                let jobs = Shards::Items(number).jobs(items);
                assert!(jobs * number >= items && jobs <= items, "{items} by {number}: {jobs}");
            }
        }
        assert_eq!(Shards::Items(usize::MAX).jobs(7), 1);
    }
}
