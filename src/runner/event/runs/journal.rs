//! Writes the record of a run while it goes on.
//!
//! Decides nothing. The file begins with the first thing that happens to a stage, so a run that finds all in place leaves
//! none; what settled before is kept until then. Each line is one write at the end of the file. A record that can't be
//! written, as on a full disk, is given up and said to be missing: the run itself needs none.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::Path;
use std::time::Instant;

use super::{End, FORMAT, Head, Line, REMEMBERED, Runs, Settled, Source};
use crate::digest::Key;
use crate::measures::now;

/// Characters of a reason that are recorded.
const REASON: usize = 500;

/// What is recorded of a run's beginning, known when it begins.
pub type Opening<'a> = &'a dyn Fn() -> Head;

/// The record of a run in progress.
#[derive(Debug)]
pub struct Journal {
    runs: Runs,
    /// Before the first thing happens.
    waiting: Vec<Line>,
    file: Option<File>,
    began: Instant,
    /// With their numbers.
    sources: HashMap<Source, usize>,
    failed: Option<io::Error>,
}

impl Journal {
    /// For runs of the pipeline whose records these are.
    pub fn new(runs: Runs) -> Journal {
        Journal { runs, waiting: Vec::new(), file: None, began: Instant::now(), sources: HashMap::new(), failed: None }
    }

    /// Notes that a stage is computed.
    pub fn start(&mut self, stage: &str, key: Key, opening: Opening<'_>) {
        self.open(opening);
        self.write(Line::Started { stage: stage.to_owned(), key });
    }

    /// Notes what came of a stage, and which sources it read, by role. `is_news`: something happened to it.
    pub fn settle(&mut self, settled: Settled, read: Vec<(String, Source)>, is_news: bool, opening: Opening<'_>) {
        if is_news {
            self.open(opening);
        }
        let mut settled = settled;
        settled.at = self.began.elapsed().as_secs_f64();
        if let Some((end, _)) = settled.reason.char_indices().nth(REASON) {
            settled.reason.truncate(end);
            settled.reason.push('…');
        }
        for (role, source) in read {
            let next = self.sources.len();
            let place = *self.sources.entry(source.clone()).or_insert(next);
            if place == next {
                self.write(Line::Source(source));
            }
            settled.data.insert(role, place);
        }
        self.write(Line::Settled(Box::new(settled)));
    }

    /// Whether something has happened since the last end.
    pub fn is_open(&self) -> bool {
        self.file.is_some()
    }

    /// Ends the run. The next thing that happens begins another. Returns why it isn't recorded, if it isn't.
    pub fn close(&mut self, end: End) -> Option<io::Error> {
        if self.is_open() {
            self.write(Line::Ended(end));
            let _ = self.file.take().map(|file| file.sync_data());
        }
        self.waiting.clear();
        self.sources.clear();
        self.failed.take()
    }

    fn open(&mut self, opening: Opening<'_>) {
        if self.file.is_some() || self.failed.is_some() {
            return;
        }
        self.began = Instant::now();
        match create(&self.runs) {
            Ok(file) => self.file = Some(file),
            Err(error) => return self.failed = Some(error),
        }
        self.write(Line::Began(Box::new(Head { format: FORMAT, began: now(), ..opening() })));
        let waiting = std::mem::take(&mut self.waiting);
        waiting.into_iter().for_each(|line| self.write(line));
        // What is lost of the rest in a power cut is little.
        let _ = self.file.as_ref().map(File::sync_data);
    }

    fn write(&mut self, line: Line) {
        match &mut self.file {
            Some(file) => {
                if let Err(error) = file.write_all(&encoded(&line)) {
                    self.failed.get_or_insert(error);
                }
            }
            None if self.failed.is_none() => self.waiting.push(line),
            None => {}
        }
    }
}

fn encoded(line: &Line) -> Vec<u8> {
    let mut bytes = serde_json::to_vec(line).expect("a record is plain data");
    bytes.push(b'\n');
    bytes
}

/// Adds a line to a record. After half a line of a killed run it is a line of its own.
pub(super) fn append(path: &Path, line: &Line) -> io::Result<()> {
    let mut file = File::options().append(true).open(path)?;
    file.write_all(&[&b"\n"[..], &encoded(line)].concat())?;
    file.sync_data()
}

/// Creates the record of the next run. Two that begin at once get two numbers, as only one can create a file.
fn create(runs: &Runs) -> io::Result<File> {
    fs::create_dir_all(&runs.folder)?;
    loop {
        let numbers = runs.numbers();
        let next = numbers.last().map_or(1, |last| last + 1);
        match File::options().append(true).create_new(true).open(runs.path(next)) {
            Ok(file) => {
                let forgotten = numbers.len().saturating_sub(REMEMBERED - 1);
                numbers[..forgotten].iter().for_each(|number| drop(fs::remove_file(runs.path(*number))));
                return Ok(file);
            }
            // As text, so that a folder of that name counts, too.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;
    use crate::event::Outcome;

    fn settled(stage: &str, outcome: Outcome) -> Settled {
        let (key, reason) = (Some(Key(Digest::of(stage.as_bytes()))), "because".repeat(200));
        let (summary, miou, data) = Default::default();
        Settled { stage: stage.into(), outcome, key, at: 0.0, seconds: 1.0, reason, summary, miou, data }
    }

    fn head() -> Head {
        Head { text: "format = 1".into(), ..Head::default() }
    }

    fn source() -> Source {
        Source { what: "data set s".into(), digest: crate::digest::ArtifactDigest(Digest::of(b"s")), listing: None }
    }

    #[test]
    fn a_run_in_which_nothing_happens_leaves_nothing_and_the_next_one_tells_what_was_in_place() {
        let dir = tempfile::tempdir().unwrap();
        let runs = Runs::at(dir.path().join("runs/p"));
        let mut journal = Journal::new(runs.clone());
        journal.settle(settled("a", Outcome::UpToDate), Vec::new(), false, &head);
        assert!(journal.close(End { seconds: 1.0, interrupted: false }).is_none());
        assert_eq!(runs.numbers(), Vec::<u32>::new());

        let read = || vec![("source".to_owned(), source())];
        journal.settle(settled("a", Outcome::UpToDate), read(), false, &head);
        journal.start("b", Key(Digest::of(b"b")), &head);
        assert_eq!(runs.read(1).unwrap().open.len(), 1, "recorded at once");
        journal.settle(settled("b", Outcome::Ran), read(), true, &head);
        assert!(journal.close(End { seconds: 1.0, interrupted: false }).is_none());
        let run = runs.read(1).unwrap();
        assert_eq!((run.stages.len(), run.sources.len(), run.head.text.as_str()), (2, 1, "format = 1"));
        assert_eq!(run.stages[1].reason.chars().count(), REASON + 1);
        assert!(run.end.is_some() && run.head.began > 0.0);

        journal.settle(settled("b", Outcome::Hit), read(), true, &head);
        assert_eq!(runs.read(2).unwrap().source(&runs.read(2).unwrap().stages[0], "source"), Some(&source()));
    }

    #[test]
    fn runs_that_begin_at_once_get_a_number_each_and_the_oldest_are_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let runs = Runs::at(dir.path().join("runs/p"));
        let begin = || {
            for _ in 0..20 {
                let mut journal = Journal::new(runs.clone());
                journal.settle(settled("a", Outcome::Ran), Vec::new(), true, &head);
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(begin);
            }
        });
        assert_eq!(runs.numbers(), (1..=80).collect::<Vec<_>>());
        assert!(runs.all().all(|run| run.stages.len() == 1));
        fs::rename(runs.path(80), runs.path(5000)).unwrap();
        (81..=1100).for_each(|number| fs::write(runs.path(number), "").unwrap());
        begin();
        let numbers = runs.numbers();
        assert_eq!((numbers.len(), numbers.last()), (REMEMBERED, Some(&5020)));
        fs::write(dir.path().join("runs/p").join("x.jsonl"), "").unwrap();
        assert_eq!(runs.numbers(), numbers);
    }

    #[test]
    fn a_record_that_cannot_be_written_is_said_to_be_missing_once() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("runs"), "a file").unwrap();
        let mut journal = Journal::new(Runs::at(dir.path().join("runs/p")));
        journal.settle(settled("a", Outcome::Ran), Vec::new(), true, &head);
        journal.settle(settled("b", Outcome::Ran), Vec::new(), true, &head);
        assert!(journal.close(End { seconds: 1.0, interrupted: false }).is_some());
        assert!(journal.close(End { seconds: 1.0, interrupted: false }).is_none());
    }

    #[test]
    fn what_is_noted_after_half_a_line_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let runs = Runs::at(dir.path().to_owned());
        fs::write(runs.path(1), [&encoded(&Line::Began(Box::new(head())))[..], b"{\"settled\":{\"sta"].concat())
            .unwrap();
        runs.note_deleted(1, super::super::Deleted { at: 1.0, results: 3 }).unwrap();
        assert_eq!(runs.read(1).unwrap().deleted.unwrap().results, 3);
    }
}
