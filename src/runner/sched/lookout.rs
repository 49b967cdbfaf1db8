//! Checks the files that a running built-in stage reads, so that a change is reported at once and not hours later.
//!
//! No result depends on it: the worker compares the bytes that it reads. But after a file has changed, the work up to the
//! moment when the worker reads it again is lost, and a user who edited it on purpose waits for nothing. So a training is asked
//! to save and stop; other stages continue, as they may have read the file already and end soon. A file that was only touched,
//! or rewritten with the same content, is ignored.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use crate::digest::{Digest, FileDigest};
use crate::exec::Failure;
use crate::exec::control::Control;
use crate::exec::job::{Input, Job};
use crate::kind::{Kind, OutputRole};
use crate::store::stat::Stat;

use super::guard::Guard;
use super::jobs::GRACE;

/// Between two checks, and before the first.
const INTERVAL: Duration = Duration::from_secs(1);
/// Checks take at most this fraction of the time (one in so many): on a slow file system they are rarer.
const SHARE: u32 = 100;
/// How many files a message names.
const NAMED: usize = 3;

/// The files of one job.
pub struct Lookout {
    guard: Guard,
    root: PathBuf,
    /// The files that it reads once, at its beginning.
    weights: BTreeSet<PathBuf>,
    /// Whether it saves its progress when it stops.
    saves: bool,
}

/// A file under observation.
struct Watched {
    path: PathBuf,
    content: FileDigest,
    /// Its stat when it last had the right content; `None` if it had not at the first check.
    good: Option<Stat>,
    /// A different stat, or that the file is missing, at the last check.
    suspect: Option<Option<Stat>>,
    /// The stat with which the change was reported.
    told: Option<Option<Stat>>,
}

impl Lookout {
    /// For the files in `guard` of a job of this kind, in the workspace at `root`.
    pub fn new(guard: Guard, root: &Path, kind: &Kind, job: &Job) -> Lookout {
        let weights = job.inputs.values().filter_map(|input| match input {
            Input::Source(source) => Some(source.path.clone()),
            Input::File(_) | Input::Folder(_) => None,
        });
        let saves = kind.outputs.iter().any(|output| output.role == OutputRole::Losses);
        Lookout { guard, root: root.to_owned(), weights: weights.collect(), saves }
    }

    /// Does `work`, which performs the job under `control`, and checks the files meanwhile. `tell` gets messages that continue the
    /// stage's name.
    ///
    /// # Errors
    /// Those of `work`, or that the job was stopped because a file changed.
    pub fn during<T>(
        self,
        control: &Control,
        tell: impl Fn(String) + Send,
        work: impl FnOnce() -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        std::thread::scope(|scope| {
            let (done, ended) = mpsc::channel::<()>();
            let watch = scope.spawn(move || self.watch(control, tell, &ended));
            let result = work();
            drop(done);
            let stopped = watch.join().expect("looking at files does not panic");
            match (result, stopped) {
                (Err(Failure::Cancelled { at }), Some(names)) => Err(overtaken(&names, at)),
                (result, _) => result,
            }
        })
    }

    /// Checks until the job has ended. Returns the names of the files because of which it was stopped.
    fn watch(self, control: &Control, tell: impl Fn(String), ended: &Receiver<()>) -> Option<String> {
        if has_ended(ended, INTERVAL) {
            return None;
        }
        let mut files = self.files();
        loop {
            let start = Instant::now();
            let changed = look(&mut files);
            if !changed.is_empty() {
                let names = self.named(&changed);
                if !(self.saves && changed.iter().any(|path| !self.weights.contains(path))) {
                    tell(format!(
                        "goes on, but {names} changed: it fails if it still has to read that; run again for what is there now"
                    ));
                } else if !control.is_stopping() {
                    tell(format!("saves what it has done and stops, as {names} changed"));
                    control.stop();
                    if !has_ended(ended, GRACE) {
                        control.kill();
                    }
                    return Some(names);
                }
            }
            if has_ended(ended, INTERVAL.max(start.elapsed() * SHARE)) {
                return None;
            }
        }
    }

    /// The files as they are now, compared with the key.
    fn files(&self) -> Vec<Watched> {
        let now: Vec<(PathBuf, FileDigest, Option<Stat>)> =
            self.guard.contents().map(|(path, content)| (path.to_owned(), content, Stat::of(path).ok())).collect();
        let changed = self.guard.changed();
        let watched = |(path, content, stat): (PathBuf, FileDigest, Option<Stat>)| {
            let good = stat.filter(|_| !changed.contains(&path));
            Watched { path, content, good, suspect: None, told: None }
        };
        now.into_iter().map(watched).collect()
    }

    fn named(&self, paths: &BTreeSet<PathBuf>) -> String {
        let name = |path: &PathBuf| format!("`{}`", path.strip_prefix(&self.root).unwrap_or(path).display());
        let names = paths.iter().take(NAMED).map(name).collect::<Vec<_>>().join(", ");
        match paths.len().checked_sub(NAMED) {
            None | Some(0) => names,
            Some(more) => format!("{names} and {more} more"),
        }
    }
}

fn overtaken(names: &str, at: Option<u64>) -> Failure {
    let back = match at {
        Some(at @ 1..) => format!("with the old content restored, the same command resumes at {at}"),
        _ => "with the old content restored, the same command starts where this one did".to_owned(),
    };
    Failure::new(format!("{names} changed while it ran, so it was stopped"))
        .with_help(back)
        .with_help("with the present content, the same command starts over")
}

/// Waits this long, or until the job has ended.
fn has_ended(ended: &Receiver<()>, patience: Duration) -> bool {
    ended.recv_timeout(patience) != Err(RecvTimeoutError::Timeout)
}

/// The files whose content is newly found to differ.
fn look(files: &mut [Watched]) -> BTreeSet<PathBuf> {
    files.iter_mut().filter_map(|file| file.has_news().then(|| file.path.clone())).collect()
}

impl Watched {
    fn has_news(&mut self) -> bool {
        let now = Stat::of(&self.path).ok();
        if now.is_some() && now == self.good {
            (self.suspect, self.told) = (None, None);
            return false;
        }
        if self.told == Some(now) {
            return false;
        }
        // Somebody may still be writing it: it is read only once its stat is the same in two checks.
        if self.suspect != Some(now) {
            self.suspect = Some(now);
            return false;
        }
        if self.holds_what_it_held(now) {
            (self.good, self.suspect, self.told) = (now, None, None);
            return false;
        }
        let is_first = self.told.is_none();
        self.told = Some(now);
        is_first
    }

    fn holds_what_it_held(&self, now: Option<Stat>) -> bool {
        // Read, not mapped: truncating a mapped file kills the reader.
        let content = || std::fs::read(&self.path).map(|bytes| FileDigest(Digest::of(&bytes)));
        now.is_some_and(|now| now.is_file()) && content().is_ok_and(|content| content == self.content)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watched(path: &Path, content: &str) -> Watched {
        std::fs::write(path, content).unwrap();
        let content = FileDigest(Digest::of(content.as_bytes()));
        Watched { path: path.to_owned(), content, good: Stat::of(path).ok(), suspect: None, told: None }
    }

    /// What two looks find, as the first only finds that something moved.
    fn found(files: &mut [Watched]) -> Vec<PathBuf> {
        assert!(look(files).is_empty());
        look(files).into_iter().collect()
    }

    #[test]
    fn a_file_that_holds_something_else_is_told_once_and_again_only_after_it_was_put_back() {
        let dir = tempfile::tempdir().unwrap();
        let [a, b] = ["a", "b"].map(|name| dir.path().join(name));
        let mut files = [watched(&a, "one"), watched(&b, "two")];
        assert!(found(&mut files).is_empty());
        for other in ["longer than it was", "another length"] {
            std::fs::write(&a, other).unwrap();
            assert_eq!(found(&mut files), std::slice::from_ref(&a), "{other}");
            assert!(found(&mut files).is_empty(), "it was told");
            std::fs::write(&a, format!("{other}, once more")).unwrap();
            assert!(found(&mut files).is_empty(), "nor is it news that it changes further");
            std::fs::write(&a, "one").unwrap();
            assert!(found(&mut files).is_empty(), "it is what it was");
        }
        std::fs::remove_file(&b).unwrap();
        assert_eq!(found(&mut files), [b]);
    }

    #[test]
    fn a_file_that_was_touched_or_replaced_by_its_like_is_no_news() {
        let dir = tempfile::tempdir().unwrap();
        let [a, b] = ["a", "b"].map(|name| dir.path().join(name));
        let mut files = [watched(&a, "one")];
        std::fs::write(&b, "one").unwrap();
        std::fs::rename(&b, &a).unwrap();
        assert!(found(&mut files).is_empty());
        assert_eq!(files[0].good, Stat::of(&a).ok(), "it needn't be read again");
        std::os::unix::fs::symlink(&a, &b).unwrap();
        std::fs::rename(&a, dir.path().join("c")).unwrap();
        std::fs::rename(dir.path().join("c"), &a).unwrap();
        assert!(found(&mut files).is_empty());
    }

    #[test]
    fn a_file_that_is_being_written_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        let mut files = [watched(&path, "one")];
        for length in 1..5 {
            std::fs::write(&path, "x".repeat(10 * length)).unwrap();
            assert!(look(&mut files).is_empty(), "it has looked like this only once");
        }
        std::fs::write(&path, "one").unwrap();
        assert!(found(&mut files).is_empty());
    }
}
