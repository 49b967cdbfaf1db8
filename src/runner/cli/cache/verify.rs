//! `cache verify`: checks all objects and traces, repairs what it can and lists the stages that will re-run.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Args;
use serde_json::json;

use super::super::{Answer, DONE, Format, STAGE_FAILED, open, show, show_json};
use super::{Place, amounts};
use crate::measures::{count, plural, size};
use crate::sched::session::Access;
use crate::shown::line;
use crate::store::verify::{Findings, Progress};

/// Time between progress lines.
const SIGN_OF_LIFE: Duration = Duration::from_secs(3);

/// Check all contents against their hashes and repair damage
#[derive(Args)]
#[command(
    after_help = "Hashes every object, reads every trace and checks that its objects exist. Damaged files are moved to \
                  quarantine and repaired from a workspace or a shared cache (INTRADA_SHARED_CACHES) that \
                  has a copy. Exit status 1 if something is lost. Pipelines may run meanwhile.

Examples:
  intrada-run cache verify                 all of ./cache
  intrada-run cache verify --sample 5%     a random twentieth of it"
)]
pub(in crate::cli) struct Verify {
    #[command(flatten)]
    place: Place,
    /// Hash only a random share of the objects, as in 5%
    #[arg(long, value_name = "SHARE", default_value = "100%", value_parser = amounts::share)]
    sample: f64,
    /// Text for people, or JSON
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
        open::warn_of_shared_caches(&store);
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
        (findings.damaged, "object", "damaged, moved to quarantine"),
        (findings.missing, "object", "missing"),
        (findings.healed, "object", "repaired from a copy"),
        (findings.damaged_traces, "trace", "damaged, moved to quarantine"),
        (findings.other_traces, "trace", "of another version, skipped"),
    ];
    for (number, noun, what) in counted.into_iter().filter(|(number, ..)| *number > 0) {
        text += &format!("  {} {what}\n", plural(number as usize, noun));
    }
    for (path, why) in &findings.unreadable {
        text += &format!("  can't be read: {}: {}\n", line(&path.display().to_string()), line(why));
    }
    if !findings.lost.is_empty() {
        text += "lost; these stages re-run when their results are needed:\n";
        text += &findings
            .lost
            .iter()
            .map(|stage| format!("  {}\n", line(stage.trim_start_matches('/'))))
            .collect::<String>();
    } else if findings.is_well() {
        text += if findings.healed > 0 { "all repaired\n" } else { "all intact\n" };
    } else if findings.unreadable.is_empty() {
        let lost = findings.damaged + findings.missing - findings.healed + findings.damaged_traces;
        text += &format!("{} lost, all unreferenced\n", count(lost));
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
        assert!(as_text(&findings).ends_with("\n3 lost, all unreferenced\n"), "{}", as_text(&findings));
    }
}
