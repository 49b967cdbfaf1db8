//! Stages on a batch system: a real Slurm with two nodes, if there is one here.
//!
//! The laws: a pipeline gives the same bytes there as on this machine, whatever is lost meanwhile (a node, the controller, the
//! runner, a place in the queue), and nothing that had finished is computed again.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Stdio;

use crate::pipelines::{Pipeline, method, training};
use crate::space::chance::{Chance, number};
use crate::space::processes::{Held, hold_workers, kill};
use crate::space::slurm::Slurm;
use crate::space::waiting::{wait_for, wait_until};
use crate::space::{Ran, Space};

const CLUSTER: &str =
    "\n[executors.cluster]\nkind = \"slurm\"\npartition = \"low\"\npoll = \"0.2 s\"\nlatency = \"3 s\"\n";

fn on_cluster(pipeline: &Pipeline) -> Pipeline {
    pipeline.clone().set("pipeline.executor", "cluster").add(CLUSTER)
}

/// A training that lasts for seconds and saves often.
pub fn long() -> Pipeline {
    training().with("stages.inter", "iterations = 120\ncheckpoint_every = 2\n")
}

fn ran(space: &Space, slurm: &Slurm, arguments: &str) -> Ran {
    Ran::of(space.on(slurm, arguments).output().unwrap())
}

pub fn results(space: &Space) -> BTreeMap<PathBuf, Vec<u8>> {
    space.results("runs")
}

pub fn expected(pipeline: &Pipeline) -> BTreeMap<PathBuf, Vec<u8>> {
    let space = Space::with(pipeline);
    space.run("p.toml");
    results(&space)
}

/// Waits until the training has saved.
fn wait_for_checkpoint(space: &Space) {
    wait_until("a checkpoint", || {
        let slots = crate::space::files(&space.path("cache/slots"));
        slots.iter().any(|path| path.ends_with("checkpoint.safetensors"))
    });
}

/// Waits until the training has saved, and stops it there.
pub fn hold_at_checkpoint(space: &Space) -> Held {
    wait_for_checkpoint(space);
    hold_workers(&space.path(""))
}

#[test]
fn a_pipeline_gives_the_same_bytes_on_nodes_as_here_and_leaves_nothing_behind() {
    let Some(slurm) = Slurm::start() else { return };
    let pipeline = method().command("note", "echo $(hostname) > /dev/null; echo done > note.txt", [], ["note.txt"]);
    let space = Space::with(on_cluster(&pipeline));
    let first = ran(&space, &slurm, "p.toml");
    assert_eq!(first.code, Some(0), "{}", first.stderr);
    assert_eq!(results(&space), expected(&pipeline));
    assert!(first.stderr.contains("of `cluster` runs on n"), "{}", first.stderr);
    let jobs = slurm.jobs().len();
    let again = ran(&space, &slurm, "p.toml");
    assert!(again.stderr.contains("up to date"), "{}", again.stderr);
    assert_eq!(slurm.jobs().len(), jobs, "nothing was submitted for nothing");
    assert!(crate::space::files(&space.path("cache/exec")).is_empty());
    assert!(crate::space::files(&space.path("cache/slots")).is_empty());
}

#[test]
fn a_preempted_training_resumes_and_ends_with_the_same_bytes() {
    let Some(slurm) = Slurm::start() else { return };
    let space = Space::with(on_cluster(&long()));
    let run = space.on(&slurm, "p.toml").stderr(Stdio::piped()).spawn().unwrap();
    let held = hold_at_checkpoint(&space);
    let mut above = slurm.command("sbatch");
    above.args(["--parsable", "-p", "high", "-N2", "--exclusive", "-o", "/dev/null", "--wrap", "sleep 1"]);
    assert!(above.stdout(Stdio::null()).status().unwrap().success());
    held.until_asked_to_end();
    let output = run.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("resumed at"), "{said}");
    assert_eq!(results(&space), expected(&long()));
}

#[test]
fn a_runner_that_was_killed_adopts_its_jobs_and_submits_none_twice() {
    let Some(slurm) = Slurm::start() else { return };
    let space = Space::with(on_cluster(&long()));
    let mut run = space.on(&slurm, "p.toml").stderr(Stdio::null()).spawn().unwrap();
    let held = hold_at_checkpoint(&space);
    assert!(kill(run.id(), "-KILL"));
    run.wait().unwrap();
    drop(held);
    let again = ran(&space, &slurm, "p.toml");
    assert_eq!(again.code, Some(0), "{}", again.stderr);
    assert_eq!(slurm.jobs().len(), 1, "{}", again.stderr);
    assert_eq!(results(&space), expected(&long()));
}

#[test]
fn a_detached_run_ends_while_its_jobs_go_on_and_a_later_run_takes_their_results() {
    let Some(slurm) = Slurm::start() else { return };
    let pipeline = long().scenes("target", "target", 2, 4).inferred();
    let space = Space::with(on_cluster(&pipeline));
    let left = ran(&space, &slurm, "p.toml --detach");
    assert_eq!(left.code, Some(0), "{}", left.stderr);
    assert!(left.stderr.contains("submitted") && left.stderr.contains("pending"), "{}", left.stderr);
    let job = slurm.jobs().pop().unwrap();
    wait_until("the end of the job", || slurm.says("squeue", &format!("-h -t all -j {job} -o %T")) == "COMPLETED");
    let done = ran(&space, &slurm, "p.toml");
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    assert_eq!(slurm.jobs().len(), 2, "one for each stage");
    assert_eq!(results(&space), expected(&pipeline));
}

#[test]
fn an_interrupt_cancels_the_jobs_which_save_and_the_same_command_resumes() {
    let Some(slurm) = Slurm::start() else { return };
    let space = Space::with(on_cluster(&long()));
    let run = space.on(&slurm, "p.toml").stderr(Stdio::piped()).spawn().unwrap();
    let held = hold_at_checkpoint(&space);
    assert!(kill(run.id(), "-INT"));
    held.until_asked_to_end();
    let output = run.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(130), "{said}");
    assert!(said.contains("the same command resumes there"), "{said}");
    assert_eq!(slurm.says("squeue", "-h -o %i"), "", "nothing is left in the queue");
    let again = ran(&space, &slurm, "p.toml");
    assert!(again.stderr.contains("resumed at"), "{}", again.stderr);
    assert_eq!(results(&space), expected(&long()));
}

#[test]
fn a_node_that_dies_and_a_controller_that_is_away_cost_time_and_no_result() {
    let Some(mut slurm) = Slurm::start() else { return };
    let space = Space::with(on_cluster(&long()));
    let run = space.on(&slurm, "p.toml").stderr(Stdio::piped()).spawn().unwrap();
    let held = hold_at_checkpoint(&space);
    let node = wait_for("the job's node", || slurm.says("squeue", "-h -o %N").strip_prefix('n')?.parse().ok());
    slurm.kill_controller();
    slurm.start_controller();
    slurm.kill_node(node);
    drop(held);
    let output = run.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert_eq!(results(&space), expected(&long()));
}

#[test]
fn failures_on_a_node_say_what_happened_there() {
    let Some(slurm) = Slurm::start() else { return };
    let fails = |script: &str| {
        let pipeline = Pipeline::new().named("p").command("s", script, [], ["out.txt"]);
        let space = Space::with(on_cluster(&pipeline));
        let ran = ran(&space, &slurm, "p.toml");
        assert_eq!(ran.code, Some(1), "{}", ran.stderr);
        ran.stderr
    };
    let said = fails("echo last words >&2; exit 3");
    assert!(said.contains("ended with exit status 3") && said.contains("| last words"), "{said}");
    let said = fails("kill -SEGV $$");
    assert!(said.contains("signal 11"), "{said}");
    let space = Space::with(on_cluster(&training()).set("executors.cluster.partition", "nowhere"));
    let said = ran(&space, &slurm, "p.toml").stderr;
    assert!(said.contains("refused the job") && said.contains("partition"), "{said}");
}

#[test]
fn status_says_where_each_stage_is() {
    let Some(slurm) = Slurm::start() else { return };
    let pipeline = long().set("stages.inter.iterations", 100_000).scenes("target", "target", 2, 4).inferred();
    let space = Space::with(on_cluster(&pipeline));
    assert_eq!(ran(&space, &slurm, "p.toml --detach").code, Some(0));
    wait_for_checkpoint(&space);
    let status = ran(&space, &slurm, "status p.toml");
    let line = |stage: &str| status.stdout.lines().find(|line| line.contains(stage)).unwrap_or_default().to_owned();
    assert!(line("inter").contains("running") && line("inter").contains("of 100,000 iterations"), "{}", status.stdout);
    assert!(line("entropy").contains("depends"), "{}", status.stdout);
    space.edit("p.toml", "iterations = 100000", "iterations = 4");
    let other = ran(&space, &slurm, "status p.toml --format json");
    let stages = other.events().into_iter().filter(|line| line["event"] == "stage-status");
    let states = stages.map(|line| line["state"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
    assert_eq!(states, ["to run", "depends", "unwanted"], "{}", other.stdout);
}

#[test]
fn a_driver_runs_stage_after_stage_while_nobody_watches_and_there_is_one_at_a_time() {
    let Some(slurm) = Slurm::start() else { return };
    let pipeline = long().scenes("target", "target", 2, 4).inferred();
    let space = Space::with(on_cluster(&pipeline));
    let submitted = ran(&space, &slurm, "p.toml --detach --driver");
    assert_eq!(submitted.code, Some(0), "{}", submitted.stderr);
    let again = ran(&space, &slurm, "p.toml --detach --driver");
    assert!(again.stderr.contains("already runs this pipeline"), "{}", again.stderr);
    wait_until("the end of all jobs", || slurm.jobs().len() == 3 && slurm.says("squeue", "-h -o %i").is_empty());
    let done = ran(&space, &slurm, "p.toml");
    assert_eq!(done.stderr.matches("up to date").count(), 2, "{}", done.stderr);
    assert_eq!(results(&space), expected(&pipeline));
}

#[test]
fn members_of_a_sweep_that_are_ready_together_are_few_submissions() {
    let Some(slurm) = Slurm::start() else { return };
    let members: Vec<String> = (0..24).map(|member| member.to_string()).collect();
    let place = "given/${matrix.n}.txt";
    let pipeline = Pipeline::new().named("p").command("s", &format!("echo ${{matrix.n}} > {place}"), [], [place]);
    let sweep = format!("[stages.s.matrix]\nn = [{}]\n", members.join(", "));
    let space = Space::with(on_cluster(&pipeline.add(&sweep)));
    space.write("given/kept", "");
    let calls = space.path("calls");
    for program in ["sbatch", "squeue"] {
        let script = format!("#!/bin/sh\necho {program} >> {}\nexec /usr/bin/{program} \"$@\"\n", calls.display());
        space.write(&format!("bin/{program}"), script);
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(space.path(&format!("bin/{program}")), mode).unwrap();
    }
    let path = format!("{}:{}", space.path("bin").display(), std::env::var("PATH").unwrap());
    let run = Ran::of(space.on(&slurm, "p.toml").env("PATH", path).output().unwrap());
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let submissions = space.read("calls").lines().filter(|line| *line == "sbatch").count();
    assert!(submissions <= 4, "{submissions} for 24 members");
}

/// What is done to a run while it works.
const FAULTS: [&str; 7] = ["runner", "node", "controller", "worker", "preemption", "requeue", "cancellation"];

/// Does one of them. A fault that finds nothing to hit does nothing.
fn disturb(slurm: &mut Slurm, fault: &str, runner: u32, chance: &mut Chance) {
    match fault {
        "runner" => {
            kill(runner, "-KILL");
        }
        "node" => {
            let node = 1 + chance.one_of(2);
            slurm.kill_node(node);
            slurm.start_node(node);
        }
        "controller" => {
            slurm.kill_controller();
            slurm.start_controller();
        }
        "worker" => {
            if let Some(pid) = slurm.processes("intrada-worker").first() {
                kill(*pid, "-KILL");
            }
        }
        "preemption" => {
            let mut above = slurm.command("sbatch");
            above.args(["--parsable", "-p", "high", "-N2", "--exclusive", "-o", "/dev/null", "--wrap", "sleep 1"]);
            above.stdout(Stdio::null()).status().unwrap();
        }
        _ => {
            let said = slurm.says("squeue", "-h -r -t R -p low -o %i");
            if let Some(job) = said.lines().next() {
                let arguments = if fault == "requeue" { vec!["requeue", job] } else { vec![job] };
                let program = if fault == "requeue" { "scontrol" } else { "scancel" };
                slurm.command(program).args(arguments).output().unwrap();
            }
        }
    }
}

/// `INTRADA_FAULTS=50` is the long form; `INTRADA_SEED` repeats the choices of an earlier one.
#[test]
fn whatever_is_lost_changes_no_byte_and_nothing_finished_is_computed_again() {
    let Some(mut slurm) = Slurm::start() else { return };
    let (faults, seed) = (number("INTRADA_FAULTS").unwrap_or(4), number("INTRADA_SEED").unwrap_or(1));
    let mut chance = Chance(seed);
    let pipeline = long().scenes("target", "target", 2, 6).inferred();
    let expected = expected(&pipeline);
    let mut counts = BTreeMap::<&str, u64>::new();
    while counts.values().sum::<u64>() < faults {
        let space = Space::with(on_cluster(&pipeline));
        let mut known = BTreeMap::<PathBuf, Vec<u8>>::new();
        loop {
            let mut run = space.on(&slurm, "p.toml").stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
            std::thread::sleep(std::time::Duration::from_millis(500 + chance.one_of(4000) as u64));
            if counts.values().sum::<u64>() < faults && run.try_wait().unwrap().is_none() {
                let fault = FAULTS[chance.one_of(FAULTS.len())];
                disturb(&mut slurm, fault, run.id(), &mut chance);
                *counts.entry(fault).or_default() += 1;
            }
            let status = wait_for("the end of the run", || {
                slurm.resume_nodes();
                run.try_wait().unwrap()
            });
            let traces = crate::space::files(&space.path("cache/traces"));
            let now: BTreeMap<_, _> =
                traces.into_iter().map(|path| (path.clone(), std::fs::read(path).unwrap())).collect();
            for (path, bytes) in &known {
                assert!(now.get(path) == Some(bytes), "seed {seed}, {counts:?}: {} was made again", path.display());
            }
            known = now;
            if status.success() {
                break;
            }
        }
        assert!(results(&space) == expected, "seed {seed}, {counts:?}: the results differ");
        assert_eq!(known.len(), 2, "a record a stage");
    }
    println!("{counts:?} (seed {seed}): all results equal");
}
