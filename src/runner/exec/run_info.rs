//! Version, machine and commit with which a job runs, for its trace.
//!
//! None of it is part of a key. The commit is the workspace's when the job starts; later it may have changed. So git is called
//! only where a job starts, at most once a minute, and a run with nothing to do calls nothing. Without git, the commit is read
//! from the repository's files.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long git's answer is reused. Otherwise each of thousands of short jobs would wait for it.
const LASTS: Duration = Duration::from_secs(60);

/// Names and values, as they go into a trace.
pub type Notes = BTreeMap<String, String>;

/// The last answer.
#[derive(Debug, Default)]
pub struct RunInfo(Mutex<Option<(Instant, Notes)>>);

impl RunInfo {
    /// What is known without looking, for a test that starts no process.
    #[cfg(test)]
    pub(crate) fn known() -> RunInfo {
        RunInfo(Mutex::new(Some((Instant::now(), Notes::default()))))
    }

    /// For a job that starts now in a workspace: `intrada`, `machine` and, in a repository, `commit`.
    pub fn now(&self, root: &Path) -> Notes {
        // A thread that panicked left the previous answer.
        let mut found = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &*found {
            Some((at, notes)) if at.elapsed() < LASTS => notes.clone(),
            _ => found.insert((Instant::now(), look(root))).1.clone(),
        }
    }
}

fn look(root: &Path) -> Notes {
    let facts = [
        ("intrada", Some(env!("CARGO_PKG_VERSION").to_owned())),
        ("machine", Some(machine())),
        ("commit", by_git(root).or_else(|| by_files(root))),
    ];
    facts.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

/// `linux x86_64, AMD EPYC 7B13, 16 CPUs`; the model only if the system reports it.
pub fn machine() -> String {
    let told = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = told.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": ")).map(|(_, model)| model);
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let system = format!("{} {}", std::env::consts::OS, std::env::consts::ARCH);
    let parts = [Some(system), model.map(str::to_owned), Some(format!("{cpus} CPUs"))];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// The commit, and whether tracked files differ from it. Untracked files don't count: most workspaces have some.
fn by_git(root: &Path) -> Option<String> {
    let described = Command::new("git")
        .args(["describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"])
        .current_dir(root)
        // Don't write into the repository, and don't wait for a process that does.
        .env("GIT_OPTIONAL_LOCKS", "0")
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()
        .filter(|output| output.status.success())?;
    let described = String::from_utf8(described.stdout).ok()?;
    Some(match described.trim().strip_suffix("-dirty") {
        Some(commit) => format!("{commit} with changes"),
        None => described.trim().to_owned(),
    })
}

/// The checked-out commit of the repository around `root`, read from git's files.
fn by_files(root: &Path) -> Option<String> {
    let git = root.ancestors().map(|folder| folder.join(".git")).find(|git| git.join("HEAD").exists())?;
    let head = std::fs::read_to_string(git.join("HEAD")).ok()?;
    let commit = match head.trim().strip_prefix("ref: ") {
        None => head.trim().to_owned(),
        Some(name) => {
            let loose = std::fs::read_to_string(git.join(name)).ok().map(|commit| commit.trim().to_owned());
            loose.or_else(|| {
                let packed = std::fs::read_to_string(git.join("packed-refs")).ok()?;
                packed.lines().find_map(|line| Some(line.strip_suffix(name)?.trim().to_owned()))
            })?
        }
    };
    Some(format!("{commit}, changes unknown"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_is_found_above_loose_packed_or_detached() {
        let dir = tempfile::tempdir().unwrap();
        let git = dir.path().join(".git");
        std::fs::create_dir_all(git.join("refs/heads")).unwrap();
        std::fs::create_dir_all(dir.path().join("a/b")).unwrap();
        let found = || by_files(&dir.path().join("a/b"));
        std::fs::write(git.join("HEAD"), "0123\n").unwrap();
        assert_eq!(found().as_deref(), Some("0123, changes unknown"));
        std::fs::write(git.join("HEAD"), "ref: refs/heads/main\n").unwrap();
        std::fs::write(git.join("packed-refs"), "# pack-refs\n4567 refs/heads/main\n").unwrap();
        assert_eq!(found().as_deref(), Some("4567, changes unknown"));
        std::fs::write(git.join("refs/heads/main"), "89ab\n").unwrap();
        assert_eq!(found().as_deref(), Some("89ab, changes unknown"));
    }

    #[test]
    fn git_says_the_commit_and_whether_tracked_files_differ_from_it() {
        let dir = tempfile::tempdir().unwrap();
        let git = |arguments: &[&str]| {
            let identity = ["-c", "user.name=n", "-c", "user.email=n@localhost", "-c", "commit.gpgsign=false"];
            let mut command = Command::new("git");
            command.args(identity).args(arguments).current_dir(dir.path()).stdout(Stdio::null());
            command.status().is_ok_and(|status| status.success())
        };
        if !git(&["init", "--quiet"]) {
            eprintln!("skipped: there is no git");
            return;
        }
        assert_eq!(by_git(dir.path()), None, "no commit yet");
        std::fs::write(dir.path().join("p.toml"), "a").unwrap();
        assert!(git(&["add", "p.toml"]) && git(&["commit", "--quiet", "-m", "m"]) && git(&["tag", "v1"]));
        std::fs::write(dir.path().join("untracked"), "").unwrap();
        let clean = by_git(dir.path()).unwrap();
        assert!(clean.len() == 40 && clean.chars().all(|c| c.is_ascii_hexdigit()), "{clean}");
        assert_eq!(by_files(dir.path()), Some(format!("{clean}, changes unknown")));
        std::fs::write(dir.path().join("p.toml"), "b").unwrap();
        let run_info = RunInfo::default();
        assert_eq!(run_info.now(dir.path())["commit"], format!("{clean} with changes"));
    }
}
