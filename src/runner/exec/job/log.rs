//! The lines that a worker writes into its stage's log: the time since its start, then the text.
//!
//! Part of the contract with the worker, so that the runner can tell these lines from the output of a library, which a
//! message about a failure quotes. The log is no output of a stage: it enters no key, and times in it change no result.

use std::time::Duration;

/// What a line of a warning begins with, after the time.
pub const WARNING: &str = "warning: ";

/// What a line of a failure begins with, after the time.
pub const FAILED: &str = "failed: ";

/// `0:01:23.4  text`.
pub fn stamped(since: Duration, text: &str) -> String {
    let (seconds, tenths) = (since.as_secs(), since.subsec_millis() / 100);
    format!("{}:{:02}:{:02}.{tenths}  {text}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// The text of a line of this form; `None` of any other.
pub fn text_of(line: &str) -> Option<&str> {
    let (time, text) = line.split_once("  ")?;
    let (whole, tenths) = time.split_once('.')?;
    let parts: Vec<&str> = whole.split(':').collect();
    let is_number = |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let [_, minutes, seconds] = parts[..] else { return None };
    let is_time = parts.iter().all(is_number) && [minutes.len(), seconds.len(), tenths.len()] == [2, 2, 1];
    (is_time && is_number(&tenths)).then_some(text)
}

/// Whether a line of a log belongs to a message about a failure, which says `message`: what a library wrote does, and a
/// warning, but not the course of the work, nor the message itself.
pub fn is_about_failure(line: &str, message: &str) -> bool {
    // A very long line of a log is cut where it is shown.
    let is_same =
        |said: &str, text: &str| text == said || text.strip_suffix('…').is_some_and(|cut| said.starts_with(cut));
    let is_said = |text: &str| message.lines().any(|said| is_same(said, text));
    match text_of(line) {
        None => !is_said(line),
        Some(text) => text.starts_with(WARNING) || text.strip_prefix(FAILED).is_some_and(|text| !is_said(text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_worker_is_recognised_and_no_other() {
        let line = stamped(Duration::from_millis(3_723_450), "iteration 1 of 2:  seg 0.5");
        assert_eq!(line, "1:02:03.4  iteration 1 of 2:  seg 0.5");
        assert_eq!(text_of(&line), Some("iteration 1 of 2:  seg 0.5"));
        assert_eq!(text_of(&stamped(Duration::from_secs(360_000), "")), Some(""));
        for other in
            ["", "12:00  noon", "1:02:03  no tenths", "1:2:03.4  x", "a:02:03.4  x", "0:00:00.0 one blank", "::.  "]
        {
            assert_eq!(text_of(other), None, "{other}");
        }
    }

    #[test]
    fn a_failure_quotes_what_a_library_wrote_and_neither_the_course_of_the_work_nor_itself() {
        let of = |text: &str| is_about_failure(&stamped(Duration::ZERO, text), "it broke\nin two");
        assert!(is_about_failure("CUDA error", "it broke") && of("warning: odd"));
        assert!(!of("failed: it br…"));
        assert!(of("failed: something else") && !of("failed: it broke") && !of("failed: in two"));
        assert!(!of("iteration 1 of 2") && !is_about_failure("it broke", "it broke"));
    }
}
