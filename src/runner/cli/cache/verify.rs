//! `cache verify`: reads everything again, heals what can be, and says what will run again.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Args;
use serde_json::json;

use super::super::{Answer, DONE, Format, STAGE_FAILED, show, show_json};
use super::{Place, amounts};
use crate::measures::{count, plural, size};
use crate::sched::session::Access;
use crate::shown::line;
use crate::store::verify::{Findings, Progress};

/// How often it says how far it is.
const SIGN_OF_LIFE: Duration = Duration::from_secs(3);

/// Read everything again and heal what is damaged
#[derive(Args)]
#[command(after_help = "Every object is hashed, whatever its stat says; every trace is read, and what it names \
                  must be there. What is damaged goes to quarantine and comes back if a workspace or a \
                  shared cache (INTRADA_SHARED_CACHES) still has it. Exit status 1 if something is lost. \
                  Runs may go on meanwhile.

Examples:
  intrada-run cache verify                 all of ./cache
  intrada-run cache verify --sample 5%     a twentieth of it, by chance")]
pub(in crate::cli) struct Verify {
    #[command(flatten)]
    place: Place,
    /// Hash by chance only so many of the objects, as in 5%
    #[arg(long, value_name = "SHARE", default_value = "100%", value_parser = amounts::share)]
    sample: f64,
    /// Lines for people, or JSON for programs
    #[arg(long, default_value = "text")]
    format: Format,
}

impl Verify {
    pub(in crate::cli) fn answer(self) -> Answer {
        let store = self.place.open(Access::Run)?;
        let last = Mutex::new(Instant::now());
        let tell = |Progress { done, total }| {
            let mut last = last.lock().expect("no code panics while it holds this lock");
            if last.elapsed() >= SIGN_OF_LIFE {
                *last = Instant::now();
                talk!("{} of {} hashed", size(done), size(total));
            }
        };
        let findings = store.verify(self.sample, &tell).context("failed to verify the cache")?;
        store.complaints().iter().for_each(|complaint| talk!("warning: {complaint}"));
        match self.format {
            Format::Json => show_json(&format!("{}\n", as_json(&findings)))?,
            Format::Text => show(&format!("{}\n{}", store.root().display(), as_text(&findings)))?,
        }
        Ok(if findings.is_well() { DONE } else { STAGE_FAILED })
    }
}

fn as_text(findings: &Findings) -> String {
    let hashed = findings.hashed;
    let mut text = format!("  {} hashed, {}\n", plural(hashed.files as usize, "object"), size(hashed.bytes));
    text += &format!("  {} read\n", plural(findings.traces as usize, "trace"));
    let counted = [
        (findings.damaged, "object", "damaged, in quarantine now"),
        (findings.missing, "object", "missing"),
        (findings.healed, "object", "healed from a copy elsewhere"),
        (findings.damaged_traces, "trace", "damaged, in quarantine now"),
        (findings.other_traces, "trace", "of another version, left alone"),
    ];
    for (number, noun, what) in counted.into_iter().filter(|(number, ..)| *number > 0) {
        text += &format!("  {} {what}\n", plural(number as usize, noun));
    }
    for (path, why) in &findings.unreadable {
        text += &format!("  can't be read: {}: {}\n", line(&path.display().to_string()), line(why));
    }
    if !findings.lost.is_empty() {
        text += "lost; these stages run again when their results are asked for:\n";
        text += &findings
            .lost
            .iter()
            .map(|stage| format!("  {}\n", line(stage.trim_start_matches('/'))))
            .collect::<String>();
    } else if findings.is_well() {
        text += if findings.healed > 0 { "all healed\n" } else { "all intact\n" };
    } else if findings.unreadable.is_empty() {
        let lost = findings.damaged + findings.missing - findings.healed + findings.damaged_traces;
        text += &format!("{} lost that no result needs\n", count(lost));
    }
    text
}

fn as_json(findings: &Findings) -> serde_json::Value {
    let unreadable = findings.unreadable.iter().map(|(path, why)| json!({"path": path, "why": why}));
    json!({
        "objects": findings.hashed.files, "bytes": findings.hashed.bytes, "traces": findings.traces,
        "damaged": findings.damaged, "missing": findings.missing, "healed": findings.healed,
        "damaged_traces": findings.damaged_traces, "other_traces": findings.other_traces,
        "unreadable": unreadable.collect::<Vec<_>>(), "lost": findings.lost, "well": findings.is_well(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_healed_is_not_lost() {
        let findings = Findings { damaged: 40, healed: 38, damaged_traces: 1, ..Findings::default() };
        assert!(as_text(&findings).ends_with("\n3 lost that no result needs\n"), "{}", as_text(&findings));
    }
}
