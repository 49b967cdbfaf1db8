//! A cache in a bucket: whole programs, and an S3 server in this process whose answers go wrong on request.

#[path = "../../src/runner/store/upstream/bucket/tests/server.rs"]
pub mod server;

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::pipelines::{Pipeline, until};
use super::space::waiting::wait_until;
use super::space::{Ran, Space, files};
use server::{Asked, Fault, Server};

/// A bucket, and machines that share it.
struct Scene {
    _dir: tempfile::TempDir,
    server: Server,
}

fn scene() -> Scene {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("server"));
    Scene { _dir: dir, server }
}

/// `small` and, made from it, `big`; results go to the bucket.
fn two_stages(small: &str) -> Pipeline {
    let pipeline = Pipeline::new().command("small", small, [], ["small"]);
    let pipeline = pipeline.command("big", "cat small small > big", ["small"], ["big"]);
    pipeline.add("[cache]\nupstream = [{ url = \"s3://cache/team\", push = true }]\n")
}

impl Scene {
    fn command(&self, machine: &Space, arguments: &str) -> Command {
        let mut command = machine.command(arguments);
        command.envs(self.server.environment());
        command
    }

    /// Runs the program on a machine.
    fn on(&self, machine: &Space, arguments: &str) -> Ran {
        Ran::of(self.command(machine, arguments).output().unwrap())
    }

    fn start(&self, machine: &Space, arguments: &str) -> Child {
        self.command(machine, arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// Runs `p.toml`, which must succeed: `stage:outcome`, sorted by name, and the warnings.
    fn outcomes(&self, machine: &Space) -> (Vec<String>, Vec<String>) {
        self.on(machine, "run p.toml --format json").outcomes_and_warnings()
    }

    /// The records in the bucket, without those that aren't the first of their keys.
    fn records(&self) -> Vec<PathBuf> {
        self.traces().into_iter().filter(|path| !path.to_string_lossy().contains(".also/")).collect()
    }

    fn records_beside(&self) -> usize {
        self.traces().len() - self.records().len()
    }

    fn traces(&self) -> Vec<PathBuf> {
        files(&self.server.file("team/v1/traces"))
    }

    /// Objects and records that the bucket was given.
    fn puts(&self) -> usize {
        self.server.asked().iter().filter(|asked| asked.method == "PUT" && !asked.path.ends_with("/trial")).count()
    }
}

fn ended(child: Child) -> Ran {
    Ran::of(child.wait_with_output().unwrap())
}

/// How many results a run left to be copied later.
fn unpushed(ran: &Ran) -> u64 {
    ran.events().last().unwrap()["unpushed"].as_u64().unwrap_or(0)
}

#[test]
fn each_stage_is_computed_once_for_all_machines_and_a_run_without_work_asks_nothing() {
    let scene = scene();
    let [one, other] = [(); 2].map(|()| Space::with(two_stages("echo small > small")));
    assert_eq!(scene.outcomes(&one), (vec!["big:ran".into(), "small:ran".into()], vec![]));
    assert_eq!((scene.records().len(), scene.records_beside()), (2, 0));
    assert_eq!(scene.outcomes(&other), (vec!["big:hit".into(), "small:hit".into()], vec![]));
    assert_eq!(other.read("big"), "small\nsmall\n");
    scene.server.asked();
    for machine in [&one, &other] {
        assert_eq!(scene.outcomes(machine).0, ["big:up-to-date", "small:up-to-date"]);
    }
    one.remove("big");
    assert_eq!(scene.outcomes(&one).0, ["big:hit", "small:up-to-date"]);
    assert_eq!(scene.server.asked(), []);
}

#[test]
fn a_bucket_is_named_on_the_command_line_or_in_the_environment_and_then_only_read() {
    let scene = scene();
    let [maker, typed, named] = [(); 3].map(|()| Space::with(two_stages("echo small > small")));
    scene.outcomes(&maker);
    [&typed, &named]
        .iter()
        .for_each(|machine| machine.edit("p.toml", "upstream = [{ url = \"s3://cache/team\", push = true }]\n", ""));
    let ran = scene.on(&typed, "run p.toml --shared-cache nowhere --shared-cache s3://cache/team/ --format json");
    let (settled, warnings) = ran.outcomes_and_warnings();
    assert_eq!((settled, warnings.len()), (vec!["big:hit".into(), "small:hit".into()], 1));
    let mut command = scene.command(&named, "run p.toml --format json --force big");
    command.env("INTRADA_SHARED_CACHES", "s3://cache/team:gs://");
    scene.server.asked();
    let (settled, warnings) = Ran::of(command.output().unwrap()).outcomes_and_warnings();
    assert_eq!(settled, ["big:ran", "small:hit"]);
    assert!(warnings.len() == 1 && warnings[0].contains("`gs://` is not used"), "{warnings:?}");
    assert_eq!(scene.puts(), 0);
}

/// A stage whose result is another one each time, and that ends once there is the file `go`.
fn by_chance() -> String {
    format!("touch begun; {}; cat /proc/sys/kernel/random/uuid > small", until("go"))
}

#[test]
fn of_two_that_compute_a_key_at_once_both_go_on_with_the_same_result() {
    let scene = scene();
    let machines = [(); 2].map(|()| Space::with(two_stages(&by_chance())));
    let runs = machines.each_ref().map(|machine| scene.start(machine, "run p.toml --format json"));
    machines.iter().for_each(|machine| machine.wait_for_file("begun"));
    machines.iter().for_each(|machine| machine.write("go", ""));
    let ran = runs.map(ended);
    let [(_, one), (_, other)] = ran.each_ref().map(Ran::outcomes_and_warnings);
    assert_eq!(machines[0].read("big"), machines[1].read("big"));
    assert_eq!((scene.records().len(), scene.records_beside()), (2, 1));
    let told: Vec<String> = one.into_iter().chain(other).collect();
    assert!(told.len() == 1 && told[0].contains("this run goes on with that one"), "{told:?}");
    let keys = ran.each_ref().map(|ran| ran.outcome("big").key);
    assert_eq!(keys[0], keys[1], "keys downstream agree");
    for machine in &machines {
        assert_eq!(scene.outcomes(machine), (vec!["big:up-to-date".into(), "small:up-to-date".into()], vec![]));
    }
}

#[test]
fn what_comes_damaged_is_a_miss_and_is_replaced() {
    let scene = scene();
    let [maker, one, other] = [(); 3].map(|()| Space::with(two_stages("echo small > small")));
    scene.outcomes(&maker);
    let objects = files(&scene.server.file("team/v1/objects"));
    let damaged = objects.iter().find(|path| std::fs::read(path).unwrap() == b"small\nsmall\n").unwrap();
    std::fs::write(damaged, "Small\nsmall\n").unwrap();
    let (settled, warnings) = scene.outcomes(&one);
    assert_eq!(settled, ["big:ran", "small:hit"]);
    let damage = warnings.iter().filter(|warning| warning.contains("is damaged"));
    assert!(damage.count() == 1 && warnings.len() == 2, "{warnings:?}");
    assert_eq!(one.read("big"), "small\nsmall\n");
    assert_eq!(scene.outcomes(&other), (vec!["big:hit".into(), "small:hit".into()], vec![]));
}

#[test]
fn a_bucket_that_goes_away_in_the_middle_costs_a_warning_and_gets_the_rest_later() {
    let mut scene = scene();
    let big = format!("touch begun; {}; cat small small > big", until("go"));
    let pipeline = Pipeline::new().command("small", "echo small > small", [], ["small"]);
    let pipeline =
        pipeline.command("big", &big, ["small"], ["big"]).command("last", "cat big big > last", ["big"], ["last"]);
    let pipeline = pipeline.add("[cache]\nupstream = [{ url = \"s3://cache/team\", push = true }]\n");
    let [one, other] = [(); 2].map(|()| Space::with(&pipeline));
    let run = scene.start(&one, "run p.toml --format json");
    one.wait_for_file("begun");
    scene.server.stop();
    one.write("go", "");
    let ran = ended(run);
    let (settled, warnings) = ran.outcomes_and_warnings();
    assert_eq!(settled, ["big:ran", "last:ran", "small:ran"]);
    assert!(warnings.len() == 1 && warnings[0].contains("`s3://cache/team` fails"), "{warnings:?}");
    assert_eq!(unpushed(&ran), 2);

    let failed = scene.on(&one, "cache push");
    assert_eq!((failed.code, failed.stderr.matches("warning:").count()), (Some(1), 1), "{}", failed.stderr);
    scene.server.restart();
    let pushed = scene.on(&one, "cache push");
    assert_eq!(
        (pushed.code, pushed.stdout.as_str()),
        (Some(0), "2 results copied to s3://cache/team\n"),
        "{}",
        pushed.stderr
    );
    assert_eq!(scene.on(&one, "cache push").stdout, "nothing is to be copied\n");
    assert_eq!(scene.outcomes(&other).0, ["big:hit", "last:hit", "small:hit"]);
}

#[test]
fn a_server_that_is_slow_busy_and_forgetful_costs_only_time() {
    let scene = scene();
    let [one, other] = [(); 2].map(|()| Space::with(two_stages("echo small > small")));
    scene.server.delay(Duration::from_millis(50));
    let mut number = 0;
    scene.server.fault(move |_| {
        number += 1;
        match number % 4 {
            1 => Fault::Status(503),
            2 => Fault::AnswerLost,
            _ => Fault::None,
        }
    });
    assert_eq!(scene.outcomes(&one), (vec!["big:ran".into(), "small:ran".into()], vec![]));
    assert_eq!(scene.outcomes(&other), (vec!["big:hit".into(), "small:hit".into()], vec![]));
    assert_eq!((scene.records().len(), scene.records_beside()), (2, 0));
}

fn sends(asked: &Asked) -> bool {
    asked.method == "PUT"
}

#[test]
fn ctrl_c_leaves_the_copying_for_later_and_loses_no_result() {
    let scene = scene();
    let machine = Space::with(two_stages("echo small > small"));
    scene.server.delay(Duration::from_secs(1));
    let run = scene.start(&machine, "run p.toml --format json");
    wait_until("an object is sent", || scene.server.asked().iter().any(sends));
    let pid = rustix::process::Pid::from_child(&run);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let ran = ended(run);
    assert_eq!((ran.code, unpushed(&ran)), (Some(130), 1), "{}", ran.stdout);
    scene.server.delay(Duration::ZERO);
    assert_eq!(scene.on(&machine, "cache push").stdout, "1 result copied to s3://cache/team\n");
    assert_eq!(scene.outcomes(&machine).0, ["big:ran", "small:up-to-date"]);
}

#[test]
fn while_a_result_is_copied_from_a_bucket_other_stages_run_and_ctrl_c_ends_the_run() {
    let scene = scene();
    let [one, other] = [(); 2].map(|()| Space::with(two_stages("echo small > small")));
    scene.on(&one, "p.toml");
    other.write(
        "p.toml",
        other.read("p.toml") + "[stages.more]\nkind = \"command\"\nshell = \"echo > more\"\noutputs = [\"more\"]\n",
    );
    scene.server.fault(|asked| if asked.path.contains("/objects/") { Fault::Silent } else { Fault::None });
    let run = scene.start(&other, "run p.toml --format json");
    wait_until("the other stage has run", || other.path("more").exists());
    let pid = rustix::process::Pid::from_child(&run);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let ran = ended(run);
    assert_eq!(ran.code, Some(130), "{}", ran.stdout);
    assert!(!other.path("small").exists());
    scene.server.no_faults();
    let outcomes = scene.outcomes(&other).0;
    assert!(["big:hit", "small:hit"].iter().all(|hit| outcomes.contains(&(*hit).to_owned())), "{outcomes:?}");
}

#[test]
fn a_run_that_does_not_wait_ends_and_notes_what_is_missing() {
    let scene = scene();
    let machine = Space::with(two_stages("echo small > small"));
    scene.server.fault(|asked| if sends(asked) { Fault::Status(503) } else { Fault::None });
    let ran = scene.on(&machine, "run p.toml --no-wait-upload --format json");
    assert_eq!((ran.outcomes_and_warnings().0, unpushed(&ran)), (vec!["big:ran".into(), "small:ran".into()], 2));
    let told = scene.on(&machine, "run p.toml --no-wait-upload").stdout;
    assert!(told.contains("2 results are not in all shared caches yet: `intrada-run cache push`"), "{told}");
    scene.server.no_faults();
    assert_eq!(scene.on(&machine, "cache push s3://cache/team").stdout, "2 results copied to s3://cache/team\n");
    assert_eq!(scene.records().len(), 2);
}

#[test]
fn all_results_of_a_cache_go_to_a_new_bucket() {
    let scene = scene();
    let [maker, other] = [(); 2].map(|()| Space::with(two_stages("echo small > small")));
    maker.edit("p.toml", "upstream = [{ url = \"s3://cache/team\", push = true }]\n", "");
    scene.outcomes(&maker);
    assert_eq!(scene.on(&maker, "cache push s3://cache/team").stdout, "nothing is to be copied\n");
    assert_eq!(scene.on(&maker, "cache push s3://cache/team --all").stdout, "2 results copied to s3://cache/team\n");
    assert_eq!(scene.outcomes(&other).0, ["big:hit", "small:hit"]);
}

#[test]
fn a_bucket_is_asked_what_it_can_do() {
    let mut scene = scene();
    let space = Space::new();
    let well = scene.on(&space, "cache check s3://cache/team");
    let said = |ran: &Ran, name: &str| {
        let line = ran.stdout.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_else(|| panic!("no {name}: {}{}", ran.stdout, ran.stderr)).trim().to_owned()
    };
    assert_eq!(well.code, Some(0), "{}{}", well.stdout, well.stderr);
    for name in ["read", "write", "list", "conditions", "delete"] {
        assert!(said(&well, name).starts_with("yes"), "{name}: {}", well.stdout);
    }
    assert!(said(&well, "latency").ends_with(" ms") && said(&well, "throughput").ends_with("back"), "{}", well.stdout);
    assert_eq!(files(&scene.server.file("")).len(), 0, "nothing stays");

    scene.server.fault(|asked| if asked.is_conditional { Fault::Unconditional } else { Fault::None });
    assert!(
        said(&scene.on(&space, "cache check s3://cache/team"), "conditions").starts_with("no: the server overwrites")
    );
    scene.server.fault(|asked| if sends(asked) { Fault::Status(403) } else { Fault::None });
    let read_only = scene.on(&space, "cache check s3://cache/team");
    assert_eq!((said(&read_only, "read"), read_only.code), ("yes".to_owned(), Some(0)));
    assert!(said(&read_only, "write").starts_with("no: access is denied"), "{}", read_only.stdout);
    scene.server.fault(|_| Fault::Status(404));
    let nowhere = scene.on(&space, "cache check s3://cache/team");
    assert_eq!(
        (nowhere.code, &*said(&nowhere, "read")),
        (Some(1), "no: there is no such bucket"),
        "{}",
        nowhere.stdout
    );
    scene.server.stop();
    let away = scene.on(&space, "cache check s3://cache/team");
    assert!(away.code == Some(1) && said(&away, "read").contains("refused"), "{}", away.stdout);
    assert_eq!(scene.on(&space, "cache check cache/team").code, Some(2));
}
