//! What a process has seen of the entries of others: whether their holders are alive.
//!
//! Decides by silence, measured by the own clock between two looks. What others' clocks say doesn't matter.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use super::super::holder::Holder;
use super::disk::host_of;
use super::files::Files;
use super::name::{Entry, Name};
use super::tenure;

/// What was seen.
#[derive(Debug, Default)]
pub(super) struct Watch(Mutex<HashMap<(PathBuf, Entry), Seen>>);

#[derive(Debug)]
struct Seen {
    text: Vec<u8>,
    /// When this text was first read, and last.
    first: Duration,
    last: Duration,
    /// Whether there was another text before.
    has_moved: bool,
}

/// What is known of an entry.
#[derive(Debug)]
pub(super) enum Sight {
    /// It isn't there any more.
    Absent,
    /// Its holder may be alive.
    Lives(Holder),
    /// Its holder has ended, or must believe that it has lost the lock.
    Over(Holder),
}

impl Watch {
    /// Looks at an entry.
    pub(super) fn look(&self, files: &impl Files, lock: &Path, entry: &Entry) -> io::Result<Sight> {
        let id = (lock.to_owned(), entry.clone());
        // Before and after, so that the silence is never overestimated.
        let before = files.awake();
        let text = files.read(lock, entry)?;
        let after = files.awake();
        let mut seen = self.0.lock().expect("no code panics while it holds this table");
        let Some(text) = text else {
            seen.remove(&id);
            return Ok(Sight::Absent);
        };
        let holder = holder(&entry.name, &text);
        if files.has_ended(&entry.name) {
            return Ok(Sight::Over(holder));
        }
        let expiry = entry.name.expiry;
        match seen.get_mut(&id) {
            // Who didn't look for long, because it was stopped or its server didn't answer, begins again: the holder may have
            // had the same trouble.
            Some(seen) if seen.text == text && before.saturating_sub(seen.last) <= expiry / 2 => {
                seen.last = after;
                let is_over = before.saturating_sub(seen.first) >= expiry;
                Ok(if is_over { Sight::Over(holder) } else { Sight::Lives(holder) })
            }
            known => {
                let has_moved = known.is_some_and(|known| known.has_moved || known.text != text);
                seen.insert(id, Seen { text, first: after, last: after, has_moved });
                Ok(Sight::Lives(holder))
            }
        }
    }

    /// Forgets the entries of a lock that are no longer there.
    pub(super) fn keep_only(&self, lock: &Path, entries: &[Entry]) {
        let mut seen = self.0.lock().expect("no code panics while it holds this table");
        seen.retain(|(of, entry), _| of != lock || entries.contains(entry));
    }

    /// Whether the entry was renewed between two looks.
    pub(super) fn has_moved(&self, lock: &Path, entry: &Entry) -> bool {
        let seen = self.0.lock().expect("no code panics while it holds this table");
        seen.get(&(lock.to_owned(), entry.clone())).is_some_and(|seen| seen.has_moved)
    }
}

/// Who has an entry. Its text may still be that of the previous holder, whose entry was renamed.
fn holder(name: &Name, text: &[u8]) -> Holder {
    match tenure::signed_by(text) {
        Some(holder) if holder.pid == name.pid => holder,
        _ => Holder { pid: name.pid, host: host_of(name), since: 0.0 },
    }
}
