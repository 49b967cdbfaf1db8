//! The progress of several shards as that of one job.
//!
//! Knows counts, whatever they count. How much there is to do is known only once every shard has said it; until then the others
//! count as much as those that have, since the work is divided evenly.

/// What shards have said last of their progress.
pub(super) struct Progress {
    /// Done and total, of those that have said something.
    shards: Vec<Option<(u64, u64)>>,
}

impl Progress {
    /// Of so many shards.
    pub(super) fn of(number: usize) -> Progress {
        Progress { shards: vec![None; number] }
    }

    /// A shard has done so much of so much. Returns the same of all.
    pub(super) fn hear(&mut self, shard: usize, done: u64, total: u64) -> (u64, u64) {
        self.shards[shard] = Some((done, total));
        let heard = || self.shards.iter().flatten();
        let (done, total) = heard().fold((0, 0), |(all, totals), (done, total)| (all + done, totals + total));
        (done, total * self.shards.len() as u64 / heard().count() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_the_sum_over_shards_and_those_that_are_silent_count_like_the_others() {
        let mut progress = Progress::of(3);
        assert_eq!(progress.hear(1, 1, 14), (1, 42));
        assert_eq!(progress.hear(0, 2, 13), (3, 40));
        assert_eq!(progress.hear(1, 14, 14), (16, 40));
        assert_eq!(progress.hear(2, 1, 13), (17, 40));
    }
}
