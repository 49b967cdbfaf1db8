//! A workspace in a temporary folder and the real program run in it: what every whole-program test starts from.
#![allow(dead_code, reason = "each test program uses its own part of it")]

pub mod browser;
pub mod chance;
pub mod mounts;
pub mod processes;
pub mod slurm;
pub mod waiting;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicBool, Ordering};

/// A temporary workspace; removed with the value, unless [`Space::eject`] was called.
pub struct Space {
    dir: PathBuf,
    keep: AtomicBool,
}

/// What a program left on its two streams.
pub struct Ran {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// How a stage came out, as `--format json` says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settled {
    pub stage: String,
    pub outcome: String,
    pub reason: String,
    pub key: String,
}

impl Space {
    pub fn new() -> Space {
        let dir = tempfile::Builder::new().prefix("intrada-test-").tempdir().unwrap().keep();
        Space { dir, keep: AtomicBool::new(false) }
    }

    /// With this pipeline as `p.toml`.
    pub fn with(pipeline: impl AsRef<str>) -> Space {
        let space = Space::new();
        space.write("p.toml", pipeline.as_ref());
        space
    }

    /// Keeps the folder and says where it is: for looking at a failing test.
    pub fn eject(&self) {
        self.keep.store(true, Ordering::Relaxed);
        eprintln!("the workspace is kept: {}", self.dir.display());
    }

    pub fn path(&self, relative: &str) -> PathBuf {
        self.dir.join(relative)
    }

    pub fn write(&self, relative: &str, content: impl AsRef<[u8]>) {
        let path = self.path(relative);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    pub fn read(&self, relative: &str) -> String {
        String::from_utf8(self.bytes(relative)).unwrap()
    }

    pub fn bytes(&self, relative: &str) -> Vec<u8> {
        std::fs::read(self.path(relative)).unwrap_or_else(|error| panic!("{relative}: {error}"))
    }

    /// What a file of JSON holds.
    pub fn json(&self, relative: &str) -> serde_json::Value {
        serde_json::from_slice(&self.bytes(relative)).unwrap_or_else(|error| panic!("{relative}: {error}"))
    }

    /// Replaces one text by another in a file; both must be as expected.
    pub fn edit(&self, relative: &str, from: &str, to: &str) {
        let text = self.read(relative);
        assert_eq!(text.matches(from).count(), 1, "{from:?} should stand once in {relative}");
        self.write(relative, text.replace(from, to));
    }

    pub fn remove(&self, relative: &str) {
        let path = self.path(relative);
        if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) }.unwrap();
    }

    /// The program with these arguments, split at blanks.
    pub fn command(&self, arguments: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_intrada-run"));
        command.args(arguments.split_whitespace()).current_dir(&self.dir);
        command.env_remove("INTRADA_CACHE").env("NO_COLOR", "1");
        command
    }

    pub fn intrada(&self, arguments: &str) -> Ran {
        Ran::of(self.command(arguments).output().unwrap())
    }

    /// Runs and must succeed; the settled stages in the order in which they settled.
    pub fn run(&self, arguments: &str) -> Vec<Settled> {
        let ran = self.intrada(&format!("run {arguments} --format json"));
        assert_eq!(ran.code, Some(0), "{}\n{}", ran.stdout, ran.stderr);
        ran.settled()
    }

    /// Runs `p.toml` and must succeed: `stage:outcome`, sorted by name.
    pub fn outcomes(&self) -> Vec<String> {
        let mut all: Vec<String> = self.run("p.toml").iter().map(|s| format!("{}:{}", s.stage, s.outcome)).collect();
        all.sort();
        all
    }

    /// The results below a place: path → bytes. When things happened is no result: the report tells it, and so does the name of a
    /// file of events, between its kind and its content.
    pub fn results(&self, place: &str) -> BTreeMap<PathBuf, Vec<u8>> {
        let nameless = |path: &Path| {
            let name = path.file_name().unwrap().to_string_lossy();
            let content = name.strip_prefix("events.out.tfevents.").and_then(|rest| rest.split('.').nth(1));
            path.strip_prefix(&self.dir).unwrap().with_file_name(content.unwrap_or(&name))
        };
        let results = files(&self.path(place)).into_iter().filter(|path| !path.ends_with("report.html"));
        results.map(|path| (nameless(&path), std::fs::read(path).unwrap())).collect()
    }

    /// All objects of the cache.
    pub fn objects(&self) -> Vec<PathBuf> {
        files(&self.path("cache/objects"))
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        if !self.keep.load(Ordering::Relaxed) {
            let _ = std::fs::remove_dir_all(&self.dir);
        }
    }
}

impl Ran {
    pub fn of(output: Output) -> Ran {
        Ran {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// The events of `--format json`.
    pub fn events(&self) -> Vec<serde_json::Value> {
        self.stdout.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{line}: {e}"))).collect()
    }

    /// Of a run that must succeed: `stage:outcome`, sorted by name, and the warnings.
    pub fn outcomes_and_warnings(&self) -> (Vec<String>, Vec<String>) {
        assert_eq!(self.code, Some(0), "{}\n{}", self.stdout, self.stderr);
        let mut all: Vec<String> = self.settled().iter().map(|s| format!("{}:{}", s.stage, s.outcome)).collect();
        all.sort();
        let warnings = self.events().into_iter().filter(|event| event["event"] == "warning");
        (all, warnings.map(|event| event["message"].as_str().unwrap().to_owned()).collect())
    }

    pub fn settled(&self) -> Vec<Settled> {
        let text = |event: &serde_json::Value, field: &str| event[field].as_str().unwrap_or("").to_owned();
        let events = self.events();
        let finished = events.iter().filter(|event| event["event"] == "stage-finished");
        finished
            .map(|event| Settled {
                stage: text(event, "stage"),
                outcome: text(event, "outcome"),
                reason: text(event, "reason"),
                key: text(event, "key"),
            })
            .collect()
    }

    pub fn outcome(&self, stage: &str) -> Settled {
        let settled = self.settled();
        settled
            .into_iter()
            .find(|s| s.stage == stage)
            .unwrap_or_else(|| panic!("{stage} did not settle: {}", self.stdout))
    }
}

/// Every file below a folder.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { all.push(path) }
        }
    }
    all.sort();
    all
}

/// A grey PNG of one value: a photograph, or a label of one class.
pub fn grey_png(width: u32, height: u32, value: u8) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(&vec![value; (width * height) as usize]).unwrap();
    writer.finish().unwrap();
    bytes
}
