//! Processes of a program under test: who descends from whom, and signals.

use std::path::{Path, PathBuf};

/// Every process below this one, parents before their children.
pub fn descendants(of: u32) -> Vec<u32> {
    let mut all = vec![of];
    let mut next = 0;
    while next < all.len() {
        let parent = all[next];
        all.extend(children(parent));
        next += 1;
    }
    all.split_off(1)
}

/// The processes that this one has started and that still run.
pub fn children(of: u32) -> Vec<u32> {
    let pids = std::fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    pids.filter(|pid| state(*pid).is_some_and(|(state, parent)| parent == of && state != 'Z')).collect()
}

/// Whether a process runs: one that has ended and wasn't waited for yet doesn't.
pub fn is_alive(pid: u32) -> bool {
    state(pid).is_some_and(|(state, _)| state != 'Z')
}

/// Kills a run and waits until its jobs, which end with it, have ended, too: till then they may still write.
pub fn kill_with_jobs(run: &mut std::process::Child) {
    let jobs = descendants(run.id());
    run.kill().unwrap();
    run.wait().unwrap();
    while jobs.iter().any(|job| is_alive(*job)) {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

/// `false`: it had ended before.
pub fn kill(pid: u32, signal: &str) -> bool {
    let mut command = std::process::Command::new("kill");
    command.args([signal, &pid.to_string()]).stderr(std::process::Stdio::null()).status().unwrap().success()
}

/// Stops a process and waits until each of its threads stands still: before that, one may do what the others are kept from. `false`: it had
/// ended before.
pub fn stop(pid: u32) -> bool {
    let is_sent = kill(pid, "-STOP");
    super::waiting::wait_until(&format!("the stop of process {pid}"), || {
        let threads = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
        threads.filter_map(|thread| state_in(&thread.path())).all(|(state, _)| matches!(state, 'T' | 't' | 'Z' | 'X'))
    });
    is_sent
}

/// Whatever computes a workspace's stage, stopped: it can't end before the test has done to it what it means to do, however slow
/// the machine is.
pub struct Held(Vec<u32>);

/// Stops the workers that compute stages of the workspace in this folder.
///
/// # Panics
/// If there is none: what was to be stopped has ended.
pub fn hold_workers(of: &Path) -> Held {
    let pids = std::fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let is_worker = |pid: &u32| {
        let read = |file: &str| std::fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
        let line = String::from_utf8_lossy(&read("cmdline")).into_owned();
        read("comm").starts_with(b"intrada-worker") && line.contains(&*of.to_string_lossy())
    };
    let held: Vec<u32> = pids.filter(is_worker).filter(|pid| stop(*pid)).collect();
    assert!(!held.is_empty(), "no worker computes a stage in {}", of.display());
    Held(held)
}

impl Held {
    /// Lets them go on once somebody has asked them to end, so that they go no further than the request, or has ended them.
    pub fn until_asked_to_end(self) {
        super::waiting::wait_until("a signal for a stopped worker", || {
            self.0.iter().all(|pid| state(*pid).is_none_or(|(state, _)| state != 'T') || has_pending_signal(*pid))
        });
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        for pid in &self.0 {
            kill(*pid, "-CONT");
        }
    }
}

/// Whether a signal waits for a process: a stopped one takes none but those that nobody can refuse.
fn has_pending_signal(pid: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let waiting = status.lines().filter(|line| line.starts_with("SigPnd:") || line.starts_with("ShdPnd:"));
    waiting.flat_map(|line| line.chars().skip("SigPnd:".len())).any(|digit| digit.is_ascii_hexdigit() && digit != '0')
}

/// The state's letter and the parent.
fn state(pid: u32) -> Option<(char, u32)> {
    state_in(&PathBuf::from(format!("/proc/{pid}")))
}

/// Of a process or a thread by its folder in `/proc`. The name before them may hold blanks and brackets, so they are looked for behind it.
fn state_in(folder: &Path) -> Option<(char, u32)> {
    let stat = std::fs::read_to_string(folder.join("stat")).ok()?;
    let mut words = stat.rsplit(')').next()?.split_whitespace();
    Some((words.next()?.chars().next()?, words.next()?.parse().ok()?))
}
