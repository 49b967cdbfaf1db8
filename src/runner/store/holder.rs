//! Who holds a lock: written into its file, for the message of a waiting process and for whoever takes the lock over.
//!
//! Knows processes, not what a lock is for.

use std::fs::File;
use std::io::Read;

use rustix::process::{Pid, test_kill_process};
use serde::{Deserialize, Serialize};

use super::publish::host;
use super::stat::now_ns;

/// Longer than any signature.
const LONGEST: u64 = 4096;

/// The holder of a lease, for the message of a waiting process.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Holder {
    /// Process number.
    pub pid: u32,
    /// Machine.
    pub host: String,
    /// When it got the lease, in seconds since the Unix epoch.
    pub since: f64,
}

impl Holder {
    /// This process, from now on.
    pub(super) fn this() -> Holder {
        Holder { pid: std::process::id(), host: host(), since: now_ns() as f64 / 1e9 }
    }

    /// Whether it was a process of this machine that is now dead.
    pub fn is_gone(&self) -> bool {
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw);
        self.host == host() && pid.is_some_and(|pid| test_kill_process(pid) == Err(rustix::io::Errno::SRCH))
    }

    /// Its text in a lock file.
    pub(super) fn signature(&self) -> String {
        serde_json::to_string(self).expect("numbers and a string are always JSON")
    }

    /// Who signed with this text; none if it was damaged.
    pub(super) fn of_signature(text: &[u8]) -> Option<Holder> {
        serde_json::from_slice(text).ok()
    }

    /// Who signed this file; none if it was damaged.
    pub(super) fn of_file(file: &mut File) -> Option<Holder> {
        let mut text = Vec::new();
        file.take(LONGEST).read_to_end(&mut text).ok()?;
        Holder::of_signature(&text)
    }
}
