//! Removes control sequences from the texts of events, before any screen for people.
//!
//! Knows the texts of each event. Reasons, logs and summaries come from other programs, names from other people's files.

use std::borrow::Cow;

use crate::event::{Advice, Event, Finished, Reporter};
use crate::shown::{brief, line, lines};
use crate::store::index::Index;

/// Passes on sanitised events.
pub struct Harmless<R>(pub R);

impl<R: Reporter> Reporter for Harmless<R> {
    fn tell(&mut self, event: &Event) {
        let mut event = event.clone();
        clean(&mut event);
        self.0.tell(&event);
    }

    fn look(&mut self, index: &Index) {
        self.0.look(index);
    }
}

fn clean(event: &mut Event) {
    match event {
        Event::Started { stage, reason, .. } => [stage, reason].into_iter().for_each(one_line),
        Event::Waiting { stage, holder } => [stage, holder].into_iter().for_each(one_line),
        Event::Standing { stage, text } => [stage, text].into_iter().for_each(one_line),
        Event::Retrying { stage, reason, .. } => {
            one_line(stage);
            several_lines(reason);
        }
        Event::Dropped { stage } | Event::Resumed { stage, .. } => one_line(stage),
        Event::Storing { stage } | Event::Restoring { stage } => one_line(stage),
        Event::Pushing { stage, to, .. } => [stage, to].into_iter().for_each(one_line),
        Event::Progress { stage, unit, values, .. } => {
            [stage, unit].into_iter().chain(values.iter_mut().map(|(name, _)| name)).for_each(one_line);
        }
        Event::Finished(Finished { stage, reason, notes, advice, .. }) => {
            let Advice { help, log, more } = advice;
            one_line(stage);
            several_lines(reason);
            notes.values_mut().chain(help).chain(log).chain(more).for_each(one_line);
        }
        Event::PutAside { stage, output, to, .. } => [stage, output, to].into_iter().for_each(one_line),
        Event::Changed { paths } => paths.iter_mut().for_each(one_line),
        Event::Warning(text) => several_lines(text),
        Event::Closed(_) => {}
    }
}

/// Maximum characters of a text: a reason contains values, which may be whole shell scripts.
const SAID: usize = 4000;

/// Sanitises a text without line breaks.
fn one_line(text: &mut String) {
    change(text, |text| brief(text, SAID));
    change(text, line);
}

fn several_lines(text: &mut String) {
    change(text, |text| brief(text, 4 * SAID));
    change(text, lines);
}

fn change(text: &mut String, to: impl Fn(&str) -> Cow<'_, str>) {
    if let Cow::Owned(other) = to(text) {
        *text = other;
    }
}

#[cfg(test)]
mod tests {
    use super::super::plain::Plain;
    use super::*;
    use crate::digest::{Digest, Key};
    use crate::event::{Outcome, Totals};
    use crate::shown::is_harmful;

    #[test]
    fn no_text_of_any_event_reaches_a_screen_as_a_command() {
        let bad = || "a\u{1b}[2J\u{9b}1m\u{202e}b\rc".to_owned();
        let (stage, key) = (bad(), Key(Digest::of(b"key")));
        let finished = Finished {
            stage: bad(),
            outcome: Outcome::Failed,
            key: None,
            seconds: 1.0,
            reason: bad() + "\n" + &bad(),
            notes: [("summary".to_owned(), bad())].into(),
            advice: Advice { help: vec![bad()], log: vec![bad() + "\n" + &bad()], more: Some(bad()) },
        };
        let events = [
            Event::Started { stage: stage.clone(), key, reason: bad() + "\nfake" },
            Event::Waiting { stage: stage.clone(), holder: bad() },
            Event::Standing { stage: stage.clone(), text: bad() },
            Event::Retrying { stage: stage.clone(), attempt: 1, of: 2, reason: bad() },
            Event::Dropped { stage: stage.clone() },
            Event::Resumed { stage: stage.clone(), at: 1 },
            Event::Progress { stage: stage.clone(), done: 1, total: 2, unit: bad(), values: vec![(bad(), 1.0)] },
            Event::Finished(finished),
            Event::Changed { paths: vec![bad() + "\nfake"] },
            Event::Warning(bad()),
            Event::Closed(Totals::default()),
        ];
        let mut out = Vec::new();
        let mut screen = Harmless(Plain::new(&mut out, ["a"].into_iter(), false));
        events.iter().for_each(|event| screen.tell(event));
        let text = String::from_utf8(out).unwrap();
        assert!(!text.contains(|c| is_harmful(c) && c != '\n'), "{text:?}");
        assert!(!text.lines().any(|line| line.starts_with("fake")), "{text}");
    }
}
