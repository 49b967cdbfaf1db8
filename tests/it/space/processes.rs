//! Processes of a program under test: who descends from whom, and signals.

use std::path::PathBuf;

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

/// The state's letter and the parent. The name before them may hold blanks and brackets, so they are looked for behind it.
fn state(pid: u32) -> Option<(char, u32)> {
    let stat = std::fs::read_to_string(PathBuf::from(format!("/proc/{pid}/stat"))).ok()?;
    let mut words = stat.rsplit(')').next()?.split_whitespace();
    Some((words.next()?.chars().next()?, words.next()?.parse().ok()?))
}
