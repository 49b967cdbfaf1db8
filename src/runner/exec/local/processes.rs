//! The system's processes: their parents, programs, environments.
//!
//! Knows no job. Reads Linux's `/proc`; on other systems nothing is found.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;

use rustix::process::Pid;

/// The children of a process, including zombies.
pub(super) fn children(of: Pid) -> Vec<Pid> {
    processes().into_iter().filter(|pid| state(*pid).is_some_and(|(_, parent)| parent == Some(of))).collect()
}

/// All processes.
pub(super) fn processes() -> Vec<Pid> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| Pid::from_raw(entry.file_name().to_str()?.parse().ok()?)).collect()
}

/// The state's letter and the parent. The name before them may contain blanks and brackets, so this reads from behind it.
pub(super) fn state(pid: Pid) -> Option<(char, Option<Pid>)> {
    let stat = fs::read_to_string(place(pid, "stat")).ok()?;
    let mut words = stat.rsplit(')').next()?.split_whitespace();
    Some((words.next()?.chars().next()?, Pid::from_raw(words.next()?.parse().ok()?)))
}

/// A variable in the environment of a living process, if it is set and readable.
pub(super) fn variable(pid: Pid, name: &str) -> Option<OsString> {
    let environment = fs::read(place(pid, "environ")).ok()?;
    let mut variables = environment.split(|&byte| byte == 0);
    let value = variables.find_map(|variable| variable.strip_prefix(name.as_bytes())?.strip_prefix(b"="))?;
    Some(OsString::from_vec(value.to_vec()))
}

/// The executable of a process, by device and inode: its path may differ in another container.
pub(super) fn program(pid: Pid) -> Option<(u64, u64)> {
    let file = fs::metadata(place(pid, "exe")).ok()?;
    Some((file.dev(), file.ino()))
}

/// The command line of a process; empty if it has ended.
pub(super) fn command_line(pid: Pid) -> Vec<Vec<u8>> {
    let line = fs::read(place(pid, "cmdline")).unwrap_or_default();
    line.split(|&byte| byte == 0).map(<[u8]>::to_vec).collect()
}

fn place(pid: Pid, what: &str) -> String {
    format!("/proc/{}/{what}", pid.as_raw_nonzero())
}
