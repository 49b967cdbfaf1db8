//! One's own entry: renewing it, knowing whether one still has the lock, and giving it back.
//!
//! Doesn't know how the lock was taken.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::super::holder::Holder;
use super::files::Files;
use super::name::{Entry, Name};

/// An entry of this process.
#[derive(Debug)]
pub(super) struct Tenure {
    lock: PathBuf,
    entry: Entry,
    signature: String,
    renewals: u64,
    /// When the last renewal that counts began.
    confirmed: Duration,
    is_lost: bool,
    /// The dead holder from whom it was taken.
    left: Option<(Name, Holder)>,
}

/// The text of an entry: who has it, and a number that grows.
pub(super) fn text(signature: &str, renewals: u64) -> Vec<u8> {
    format!("{signature}\n{renewals:020}\n").into_bytes()
}

/// Who signed the text of an entry; none if it is damaged.
pub(super) fn signed_by(text: &[u8]) -> Option<Holder> {
    Holder::of_signature(text.split(|byte| *byte == b'\n').next()?)
}

impl Tenure {
    /// For an entry that was created or renamed by an operation that began at `confirmed`.
    pub(super) fn new(
        lock: &Path,
        entry: Entry,
        signature: &str,
        confirmed: Duration,
        left: Option<(Name, Holder)>,
    ) -> Tenure {
        let (lock, signature) = (lock.to_owned(), signature.to_owned());
        Tenure { lock, entry, signature, renewals: 0, confirmed, is_lost: false, left }
    }

    /// The dead holder from whom it was taken.
    pub(super) fn left_by(&self) -> Option<&Holder> {
        self.left.as_ref().map(|(_, holder)| holder)
    }

    /// How often to renew it.
    pub(super) fn interval(&self) -> Duration {
        self.entry.name.expiry / 24
    }

    /// Whether nobody else can have taken the lock. Asks nobody.
    fn is_sure(&self, files: &impl Files) -> bool {
        !self.is_lost && files.elapsed().saturating_sub(self.confirmed) <= self.entry.name.belief()
    }

    /// Shows others that its holder lives.
    pub(super) fn renew(&mut self, files: &impl Files) {
        if self.is_lost {
            return;
        }
        if !self.is_sure(files) {
            return self.rename(files);
        }
        let start = files.elapsed();
        self.renewals += 1;
        match files.rewrite(&self.lock, &self.entry, &text(&self.signature, self.renewals)) {
            // One that took too long may have come after others have judged: then only renaming tells.
            Ok(true) if self.is_sure(files) => self.confirmed = start,
            Ok(true) => {}
            Ok(false) => self.is_lost = true,
            // A full disk, for instance, on which files can still be renamed.
            Err(_) => self.rename(files),
        }
    }

    /// Takes the own entry as another would take it: that succeeds only if nobody else has.
    fn rename(&mut self, files: &impl Files) {
        let start = files.elapsed();
        let to = Entry { name: files.fresh(), ..self.entry.clone() };
        match files.rename(&self.lock, &self.entry, &to) {
            Ok(true) => (self.entry, self.confirmed) = (to, start),
            Ok(false) => self.is_lost = true,
            // The server doesn't answer: tried again with the next renewal.
            Err(_) => {}
        }
    }

    /// Whether it has had the lock without a gap until now.
    pub(super) fn holds(&mut self, files: &impl Files) -> bool {
        if !self.is_sure(files) {
            self.renew(files);
        }
        self.is_sure(files)
    }

    /// The same, and its entry is still there: somebody may have deleted it by hand.
    pub(super) fn is_there(&mut self, files: &impl Files) -> bool {
        if self.holds(files) && matches!(files.read(&self.lock, &self.entry), Ok(None)) {
            self.is_lost = true;
        }
        self.holds(files)
    }

    /// Gives the lock back. If that fails, others take it once this process has ended.
    pub(super) fn release(self, files: &impl Files) {
        let _ = files.remove(&self.lock, &self.entry);
        let _ = files.prune(&self.lock);
    }

    /// Gives it back, but leaves the entry of the dead holder to others; under another name, as it would else be found by the
    /// holder itself if that was not dead.
    pub(super) fn leave(self, files: &impl Files) {
        let Some((dead, _)) = &self.left else { return self.release(files) };
        let name = Name { number: files.fresh().number, ..dead.clone() };
        let _ = files.rename(&self.lock, &self.entry, &Entry { name, ..self.entry.clone() });
    }
}
