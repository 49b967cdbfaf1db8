//! Events as JSON Lines for programs: existing fields are stable, new ones may be added.

use std::io::Write;

use serde_json::json;

use crate::event::{Event, Finished, Reporter, Totals};
use crate::shown;

/// Writes one line per event.
pub struct JsonLines<W>(pub W);

impl<W: Write> Reporter for JsonLines<W> {
    fn tell(&mut self, event: &Event) {
        let line = match event {
            Event::Started { stage, key, reason } => {
                json!({"event": "stage-started", "stage": stage, "key": key.to_string(), "reason": reason})
            }
            Event::Waiting { stage, holder } => json!({"event": "stage-waiting", "stage": stage, "for": holder}),
            Event::Standing { stage, text } => json!({"event": "stage-job", "stage": stage, "job": text}),
            Event::Retrying { stage, attempt, of, reason } => {
                json!({"event": "stage-retrying", "stage": stage, "attempt": attempt, "of": of, "reason": reason})
            }
            Event::Dropped { stage } => json!({"event": "stage-dropped", "stage": stage}),
            Event::Resumed { stage, at } => json!({"event": "stage-resumed", "stage": stage, "at": at}),
            Event::Progress { stage, done, total, unit, values } => {
                let values: serde_json::Map<_, _> = values.iter().map(|(k, v)| (k.clone(), json!(v))).collect();
                json!({"event": "stage-progress", "stage": stage, "done": done, "total": total, "unit": unit, "values": values})
            }
            // Only useful for people; a program waits for the next event.
            Event::Storing { .. } | Event::Restoring { .. } => return,
            Event::Pushing { to, .. } if to.is_empty() => return,
            Event::Pushing { stage, to, bytes, of } => {
                json!({"event": "stage-pushing", "stage": stage, "to": to, "bytes": bytes, "of": of})
            }
            Event::PutAside { stage, output, to, unfinished } => {
                json!({"event": "put-aside", "stage": stage, "output": output, "to": to, "unfinished": unfinished})
            }
            Event::Finished(finished) => finished_line(finished),
            Event::Changed { paths } => json!({"event": "changed", "paths": paths}),
            Event::Warning(text) => json!({"event": "warning", "message": text}),
            Event::Closed(totals) => closed_line(totals),
        };
        let _ = writeln!(self.0, "{}", shown::json(&line.to_string()));
        let _ = self.0.flush();
    }
}

fn finished_line(finished: &Finished) -> serde_json::Value {
    let mut line = json!({
        "event": "stage-finished",
        "stage": finished.stage,
        "outcome": finished.outcome.name(),
        "key": finished.key.map(|key| key.to_string()),
        "seconds": milliseconds(finished.seconds),
        "reason": finished.reason,
    });
    if !finished.notes.is_empty() {
        line["notes"] = json!(finished.notes);
    }
    if !finished.advice.log.is_empty() {
        line["log"] = json!(finished.advice.log);
    }
    line
}

fn closed_line(totals: &Totals) -> serde_json::Value {
    let mut line = json!({
        "event": "run-finished",
        "ran": totals.ran,
        "hit": totals.hit,
        "up_to_date": totals.up_to_date,
        "failed": totals.failed,
        "skipped": totals.skipped,
        "cancelled": totals.cancelled,
        "submitted": totals.submitted,
        "pending": totals.pending,
        "seconds": milliseconds(totals.seconds),
    });
    if totals.unpushed > 0 {
        line["unpushed"] = json!(totals.unpushed);
    }
    line
}

fn milliseconds(seconds: f64) -> f64 {
    (seconds * 1e3).round() / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::{Digest, Key};
    use crate::event::Outcome;

    #[test]
    fn the_pinned_fields_are_there() {
        let mut out = Vec::new();
        let mut lines = JsonLines(&mut out);
        let key = Key(Digest::of(b"key"));
        lines.tell(&Event::Finished(Finished {
            stage: "inter".into(),
            outcome: Outcome::UpToDate,
            key: Some(key),
            seconds: 1.23456,
            reason: String::new(),
            notes: Default::default(),
            advice: Default::default(),
        }));
        lines.tell(&Event::Closed(Totals { ran: 2, seconds: 3.4, ..Totals::default() }));
        let text = String::from_utf8(out).unwrap();
        let expected = format!(
            "{{\"event\":\"stage-finished\",\"key\":\"{key}\",\"outcome\":\"up-to-date\",\"reason\":\"\",\"seconds\":1.235,\"stage\":\"inter\"}}\n\
             {{\"cancelled\":0,\"event\":\"run-finished\",\"failed\":0,\"hit\":0,\"pending\":0,\"ran\":2,\"seconds\":3.4,\"skipped\":0,\"submitted\":0,\"up_to_date\":0}}\n"
        );
        assert_eq!(text, expected);
    }
}
