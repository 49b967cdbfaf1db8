//! Stages on a batch system that the pipeline file describes by three lines for a shell.
//!
//! Here it is a script of a few lines, so that this is tested everywhere. The laws are functions: [`crate::hyperqueue`] holds a
//! real system to the same ones.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::pipelines::{Pipeline, method, training, until};
use crate::slurm::{expected, hold_at_checkpoint, long, results};
use crate::space::processes::kill;
use crate::space::{Ran, Space, grey_png};

/// A batch system in the folder of this script: a job is a folder that tells its process and its end. While there is a file
/// `away` it can't be asked.
const BATCH: &str = r#"
cd "${0%/*}" || exit 1
case $1 in
submit)
    mkdir -p jobs
    number=1
    until mkdir jobs/$number 2> /dev/null; do number=$((number + 1)); done
    sh -c '"$2" & echo $! > "$1/process"; wait $!; : > "$1/ended"' sh jobs/$number "$2" > "$3" 2>&1 < /dev/null &
    echo "your job is $number"
    ;;
status)
    if [ -e away ]; then
        [ ! -e asked ] || : > asked-again
        : > asked
        echo "the batch system is away" >&2
        exit 1
    fi
    for job in jobs/*; do
        state=PEND
        [ ! -e $job/process ] || state=RUN
        [ ! -e $job/ended ] || state=DONE
        [ $state != DONE ] || [ ! -e $job/cancelled ] || state=CANCELED
        echo "${job#jobs/} $state"
    done
    ;;
cancel)
    shift
    for job; do : > jobs/$job/cancelled; kill -TERM $(cat jobs/$job/process); done
    ;;
esac
"#;

/// A batch system as a test meets it.
pub struct System {
    /// Its table in the pipeline file: `[executors.batch]`.
    pub table: String,
    /// What its clients need.
    pub environment: Vec<(&'static str, OsString)>,
    /// Cancels a job by hand.
    pub cancel: String,
    /// Prints a line for each job that was ever submitted.
    pub list: String,
    /// Keeps what it consists of.
    dir: Option<tempfile::TempDir>,
}

impl System {
    pub fn new(table: String, environment: Vec<(&'static str, OsString)>, cancel: &str, list: &str) -> System {
        System { table, environment, cancel: cancel.to_owned(), list: list.to_owned(), dir: None }
    }

    /// The script above.
    fn shell() -> System {
        let dir = tempfile::Builder::new().prefix("intrada-batch-").tempdir().unwrap();
        let script = dir.path().join("batch.sh");
        std::fs::write(&script, BATCH).unwrap();
        let sh = format!("sh {}", script.display());
        let lines = [("submit", " {script} {log}"), ("status", ""), ("cancel", " {jobs}")];
        let lines = lines.map(|(name, rest)| format!("{name} = \"{sh} {name}{rest}\"\n")).concat();
        let table = format!("\n[executors.batch]\nkind = \"commands\"\npoll = \"0.2 s\"\nlatency = \"3 s\"\n{lines}");
        let system = System::new(table, Vec::new(), &format!("{sh} cancel"), &format!("{sh} status"));
        System { dir: Some(dir), ..system }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.as_ref().unwrap().path().join(name)
    }

    fn space(&self, pipeline: &Pipeline) -> Space {
        Space::with(pipeline.clone().set("pipeline.executor", "batch").add(&self.table))
    }

    fn start(&self, space: &Space, arguments: &str) -> Command {
        let mut command = space.command(arguments);
        command.envs(self.environment.iter().map(|(name, value)| (name, value))).stderr(Stdio::piped());
        command
    }

    fn ran(&self, space: &Space, arguments: &str) -> Ran {
        Ran::of(self.start(space, arguments).output().unwrap())
    }

    fn says(&self, line: &str) -> String {
        let mut command = Command::new("sh");
        command.args(["-c", line]).envs(self.environment.iter().map(|(name, value)| (name, value)));
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    }

    /// The numbers of all jobs.
    fn jobs(&self) -> Vec<String> {
        self.says(&self.list).lines().filter_map(|line| line.split_whitespace().next().map(str::to_owned)).collect()
    }
}

pub fn gives_the_same_bytes_as_here(system: &System) {
    let pipeline = method().command("note", "echo done > note.txt", [], ["note.txt"]);
    let space = system.space(&pipeline);
    let first = system.ran(&space, "p.toml");
    assert_eq!(first.code, Some(0), "{}", first.stderr);
    assert_eq!(results(&space), expected(&pipeline));
    let jobs = system.jobs().len();
    let again = system.ran(&space, "p.toml");
    assert!(again.stderr.contains("up to date"), "{}", again.stderr);
    assert_eq!(system.jobs().len(), jobs, "nothing was submitted for nothing");
    assert!(crate::space::files(&space.path("cache/exec")).is_empty());
}

pub fn adopts_the_jobs_of_a_runner_that_was_killed(system: &System) {
    let space = system.space(&long());
    let mut run = system.start(&space, "p.toml").stderr(Stdio::null()).spawn().unwrap();
    let held = hold_at_checkpoint(&space);
    assert!(kill(run.id(), "-KILL"));
    run.wait().unwrap();
    drop(held);
    let again = system.ran(&space, "p.toml");
    assert_eq!(again.code, Some(0), "{}", again.stderr);
    assert_eq!(system.jobs().len(), 1, "{}", again.stderr);
    assert_eq!(results(&space), expected(&long()));
}

pub fn cancels_its_jobs_on_an_interrupt_and_goes_on_later(system: &System) {
    let space = system.space(&long());
    let run = system.start(&space, "p.toml").spawn().unwrap();
    let held = hold_at_checkpoint(&space);
    assert!(kill(run.id(), "-INT"));
    held.until_asked_to_end();
    let output = run.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(130), "{said}");
    let again = system.ran(&space, "p.toml");
    assert_eq!(again.code, Some(0), "{}", again.stderr);
    assert_eq!(results(&space), expected(&long()));
}

pub fn reports_a_job_that_somebody_else_cancelled(system: &System) {
    let space = system.space(&long());
    let run = system.start(&space, "p.toml").spawn().unwrap();
    let held = hold_at_checkpoint(&space);
    system.says(&format!("{} {}", system.cancel, system.jobs()[0]));
    held.until_asked_to_end();
    let output = run.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("somebody else cancelled job"), "{said}");
}

/// What happens while a training runs changes nothing in its result.
pub fn survives(system: &System, happening: impl FnOnce()) {
    let space = system.space(&long());
    let run = system.start(&space, "p.toml").spawn().unwrap();
    let held = hold_at_checkpoint(&space);
    happening();
    drop(held);
    let output = run.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(results(&space), expected(&long()));
}

pub fn tells_what_a_failed_stage_printed_on_its_node(system: &System) {
    let space = system.space(&Pipeline::new().named("p").command("s", "echo last words >&2; exit 3", [], ["out.txt"]));
    let said = system.ran(&space, "p.toml");
    assert_eq!(said.code, Some(1), "{}", said.stderr);
    assert!(
        said.stderr.contains("ended with exit status 3") && said.stderr.contains("| last words"),
        "{}",
        said.stderr
    );
}

#[test]
fn a_pipeline_gives_the_same_bytes_through_three_lines_for_a_shell() {
    gives_the_same_bytes_as_here(&System::shell());
}

#[test]
fn jobs_behind_three_lines_are_adopted_after_a_kill() {
    adopts_the_jobs_of_a_runner_that_was_killed(&System::shell());
}

#[test]
fn jobs_behind_three_lines_are_cancelled_by_an_interrupt_and_resume() {
    cancels_its_jobs_on_an_interrupt_and_goes_on_later(&System::shell());
}

#[test]
fn a_job_behind_three_lines_that_somebody_cancels_is_not_submitted_again() {
    reports_a_job_that_somebody_else_cancelled(&System::shell());
}

#[test]
fn a_failure_behind_three_lines_says_what_happened_there() {
    tells_what_a_failed_stage_printed_on_its_node(&System::shell());
}

#[test]
fn a_system_that_can_never_be_asked_costs_no_result_and_no_second_submission() {
    let system = System::shell();
    std::fs::write(system.path("away"), "").unwrap();
    // The second question comes after the first answer.
    let script = format!("{}; echo done > out.txt", until(system.path("asked-again").to_str().unwrap()));
    let space = system.space(&Pipeline::new().named("p").command("s", &script, [], ["out.txt"]));
    let ran = system.ran(&space, "p.toml");
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(ran.stderr.contains("can't be asked, and is asked again: the batch system is away"), "{}", ran.stderr);
    assert_eq!(space.read("out.txt"), "done\n");
    std::fs::remove_file(system.path("away")).unwrap();
    assert_eq!(system.jobs().len(), 1);
}

#[test]
fn with_scratch_a_node_copies_each_input_once_and_results_are_the_same() {
    let pipeline = training().set("stages.inter.iterations", 1).scenes("target", "target", 2, 3).inferred().evaluated();
    let pipeline = pipeline.folder("target").folder("test");
    let add_images = |space: &Space| {
        for number in 0..3u8 {
            space.write(&format!("target/images/{number}.png"), grey_png(64, 32, 20 * number));
            space.write(&format!("test/images/{number}.png"), grey_png(64, 32, 30 * number));
            space.write(&format!("test/labels/{number}.png"), grey_png(64, 32, number));
        }
    };
    let here = Space::with(pipeline.clone());
    add_images(&here);
    assert_eq!(here.intrada("p.toml").code, Some(0));

    let mut system = System::shell();
    let disk = system.path("disk");
    std::fs::create_dir(&disk).unwrap();
    system.table += &format!("scratch = \"{}\"\n", disk.display());
    let space = system.space(&pipeline);
    add_images(&space);
    let ran = system.ran(&space, "p.toml");
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_eq!(results(&space), results(&here));
    let log = space.intrada("log p.toml evaluate").stdout;
    assert!(log.contains("intrada-run: scratch: "), "{log}");

    // Another workspace with the same images.
    let next = system.space(&pipeline);
    add_images(&next);
    let ran = system.ran(&next, "p.toml");
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let log = next.intrada("log p.toml evaluate").stdout;
    let copied = log.split_once("scratch: ").and_then(|(_, rest)| rest.split_once(' ')).map(|(copied, _)| copied);
    // Only the weights have another path, and the inference may have copied them.
    assert!(copied.is_some_and(|copied| ["0", "1"].contains(&copied)), "{log}");
}

#[test]
fn every_executor_that_the_document_shows_is_accepted() {
    let document = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/cluster.md");
    let document = std::fs::read_to_string(document).unwrap();
    let blocks = document.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let tables: Vec<&str> = blocks.filter(|block| block.starts_with("[executors.")).collect();
    assert!(tables.len() > 4, "{tables:?}");
    for table in tables {
        let space = Space::with(Pipeline::new().named("p").command("s", "echo > out.txt", [], ["out.txt"]).add(table));
        let ran = space.intrada("plan p.toml");
        assert_eq!(ran.code, Some(0), "{table}\n{}", ran.stderr);
    }
}
