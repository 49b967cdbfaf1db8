//! The names of entries: which process has a lock, and how long it may be silent.
//!
//! All that decides is in the name, as a rename changes it in one step; the content of an entry only shows that its holder is
//! alive.

use std::path::PathBuf;
use std::time::Duration;

use super::super::kernel::Mode;

/// The folder of those who share a lock.
pub(super) const SHARED: &str = "shared";

/// An entry of a lock.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Entry {
    pub(super) mode: Mode,
    pub(super) name: Name,
}

/// The name of an entry: `<expiry in ms>-<machine>-<pid>-<start>-<number>`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Name {
    /// Its holder is gone if it has been silent for so long.
    pub(super) expiry: Duration,
    /// The running system and its process numbers; 0 if they can't be told from those of others.
    pub(super) machine: u64,
    /// The process.
    pub(super) pid: u32,
    /// When the process started, in ticks since the system did; 0 if unknown. Process numbers are used again.
    pub(super) start: u64,
    /// Makes it unlike any other name.
    pub(super) number: u64,
}

impl Entry {
    /// Its path below the lock's folder.
    pub(super) fn path(&self) -> PathBuf {
        let name = self.name.text();
        match self.mode {
            Mode::Alone => PathBuf::from(name),
            Mode::Shared => PathBuf::from(SHARED).join(name),
        }
    }
}

impl Name {
    /// As the name of a file.
    pub(super) fn text(&self) -> String {
        let Name { expiry, machine, pid, start, number } = self;
        format!("{}-{machine:016x}-{pid}-{start}-{number:016x}", expiry.as_millis())
    }

    /// From the name of a file; none if that is no entry.
    pub(super) fn of(text: &str) -> Option<Name> {
        let mut parts = text.split('-');
        let mut next = || parts.next();
        let name = Name {
            expiry: Duration::from_millis(next()?.parse().ok()?),
            machine: u64::from_str_radix(next()?, 16).ok()?,
            pid: next()?.parse().ok()?,
            start: next()?.parse().ok()?,
            number: u64::from_str_radix(next()?, 16).ok()?,
        };
        (name.text() == text).then_some(name)
    }

    /// For how long after its last renewal began a holder may believe that it has the lock.
    pub(super) fn belief(&self) -> Duration {
        self.expiry / 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_as_it_was_written_and_nothing_else_is_one() {
        let name = Name { expiry: Duration::from_secs(120), machine: 10, pid: 42, start: 7, number: u64::MAX };
        assert_eq!(name.text(), "120000-000000000000000a-42-7-ffffffffffffffff");
        assert_eq!(Name::of(&name.text()), Some(name));
        for other in ["", ".nfs0001", "120000-a-42-7-1", "shared", "120000-000000000000000a-42-7-ffffffffffffffff-1"] {
            assert_eq!(Name::of(other), None, "{other}");
        }
    }
}
