//! The summary at the end of a run, for every screen.
//!
//! Knows totals, no stage.

use crate::event::Totals;
use crate::measures::{duration, plural};

/// `Finished 7 stages in 4 min 20 s: 5 ran, 2 hit`, and the time saved, if any.
pub fn lines(totals: &Totals) -> Vec<String> {
    let parts = [
        (totals.ran, "ran"),
        (totals.hit, "hit"),
        (totals.up_to_date, "up to date"),
        (totals.failed, "failed"),
        (totals.skipped, "skipped"),
        (totals.cancelled, "cancelled"),
        (totals.submitted, "submitted"),
        (totals.pending, "pending"),
    ];
    let said: Vec<String> =
        parts.iter().filter(|(number, _)| *number > 0).map(|(number, word)| format!("{number} {word}")).collect();
    let said = if said.is_empty() { "nothing to do".to_owned() } else { said.join(", ") };
    // With a colon, as not all stages failed.
    let head = match totals {
        Totals { cancelled: 1.., .. } => "Interrupted:",
        Totals { failed: 1.., .. } => "Failed:",
        _ => "Finished",
    };
    // The stages of this run, not of the whole pipeline.
    let stages = parts.iter().map(|(number, _)| number).sum();
    let mut lines = vec![format!("{head} {} in {}: {said}", plural(stages, "stage"), duration(totals.seconds))];
    if totals.saved >= 1.0 {
        lines.push(format!("{} of work was reused", duration(totals.saved)));
    }
    if totals.unpushed > 0 {
        let what = match totals.unpushed {
            1 => "1 result is".to_owned(),
            more => format!("{} are", plural(more, "result")),
        };
        lines.push(format!("{what} not in all shared caches yet: `intrada-run cache push` copies the rest"));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_that_happened_gives_the_first_word() {
        let first = |totals: Totals| lines(&totals).remove(0);
        assert_eq!(first(Totals::default()), "Finished 0 stages in 0.0 s: nothing to do");
        assert_eq!(
            first(Totals { ran: 1, failed: 1, ..Totals::default() }),
            "Failed: 2 stages in 0.0 s: 1 ran, 1 failed"
        );
        let stopped = Totals { failed: 1, cancelled: 1, ..Totals::default() };
        assert_eq!(first(stopped), "Interrupted: 2 stages in 0.0 s: 1 failed, 1 cancelled");
    }

    #[test]
    fn what_was_not_copied_is_counted() {
        let last = |unpushed| lines(&Totals { unpushed, ..Totals::default() }).pop().unwrap();
        let rest = "not in all shared caches yet: `intrada-run cache push` copies the rest";
        assert_eq!([last(1), last(2)], [format!("1 result is {rest}"), format!("2 results are {rest}")]);
    }

    #[test]
    fn time_is_said_to_be_saved_only_where_it_is_worth_a_line() {
        assert_eq!(lines(&Totals { hit: 1, saved: 0.4, ..Totals::default() }).len(), 1);
        assert_eq!(lines(&Totals { hit: 1, saved: 61.0, ..Totals::default() })[1], "1 min 01 s of work was reused");
    }
}
