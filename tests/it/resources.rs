//! Stages side by side: who runs with whom, and who sees which GPU. Told by what the stages find, never by the time it takes.

use crate::pipelines::{Pipeline, training, until};
use crate::space::{Ran, Space};

/// A stage that says it is there, and waits until the other one is there too.
fn meets(pipeline: Pipeline, own: &str, other: &str, resources: &str) -> Pipeline {
    let shell = format!("touch {own}.here; {}; touch {own}.out", until(&format!("{other}.here")));
    takes(pipeline.command(own, &shell, [], [&format!("{own}.out")]), own, resources)
}

fn takes(pipeline: Pipeline, stage: &str, resources: &str) -> Pipeline {
    pipeline.with(&format!("stages.{stage}"), &format!("resources = {{ {resources} }}\n"))
}

/// A file without stages that says what there is.
fn there_is(resources: &str) -> Pipeline {
    Pipeline::new().add(&format!("[resources]\n{resources}\n"))
}

/// A stage that fails if another one of its sort is there while it is.
fn alone(pipeline: Pipeline, own: &str, resources: &str) -> Pipeline {
    let shell = format!("mkdir taken || exit 9; sleep 0.1; rmdir taken; touch {own}.out");
    takes(pipeline.command(own, &shell, [], [&format!("{own}.out")]), own, resources)
}

/// A stage that writes down which GPUs it sees.
fn sees<const I: usize>(pipeline: Pipeline, own: &str, inputs: [&str; I]) -> Pipeline {
    let gpus = format!("{own}.gpus");
    pipeline.command(own, &format!("echo ${{CUDA_VISIBLE_DEVICES-unset}} > {gpus}"), inputs, [&gpus])
}

#[test]
fn stages_that_do_not_wait_for_each_other_run_at_once() {
    let pipeline = meets(there_is("cpu = 2"), "a", "b", "cpu = 1");
    let space = Space::with(meets(pipeline, "b", "a", "cpu = 1"));
    assert_eq!(space.outcomes(), ["a:ran", "b:ran"]);
}

#[test]
fn what_there_is_once_is_held_by_one_stage_at_a_time() {
    let all = ["a", "b", "c", "d"].iter();
    let space = Space::with(all.fold(there_is("cpu = 8\nlicence = 1"), |all, name| alone(all, name, "licence = 1")));
    assert_eq!(space.outcomes(), ["a:ran", "b:ran", "c:ran", "d:ran"]);
}

#[test]
fn memory_is_shared_out() {
    let both = ["a", "b"].iter();
    let there = there_is("cpu = 8\nmemory = \"8 GiB\"");
    let space = Space::with(both.fold(there, |all, name| alone(all, name, "memory = \"5 GiB\"")));
    assert_eq!(space.outcomes(), ["a:ran", "b:ran"]);
}

#[test]
fn a_stage_sees_the_gpus_that_it_is_lent_and_no_others() {
    let pipeline = takes(sees(there_is("gpus = [\"4\", \"7\"]"), "both", []), "both", "gpus = 2");
    let pipeline = takes(sees(pipeline, "one", ["both.gpus"]), "one", "gpus = 1");
    let space = Space::with(sees(pipeline, "none", []));
    space.outcomes();
    assert_eq!(["both", "none"].map(|name| space.read(&format!("{name}.gpus"))), ["4,7\n", "\n"]);
    assert!(["4\n", "7\n"].contains(&&*space.read("one.gpus")));
    // Another machine has other GPUs: the same results.
    space.edit("p.toml", "gpus = [\"4\", \"7\"]", "gpus = [\"0\", \"1\", \"2\"]");
    assert_eq!(space.outcomes(), ["both:up-to-date", "none:up-to-date", "one:up-to-date"]);
}

#[test]
fn without_a_list_of_gpus_the_environment_is_left_alone() {
    let space = Space::with(sees(Pipeline::new(), "a", []));
    space.outcomes();
    assert_eq!(space.read("a.gpus"), "unset\n");
}

#[test]
fn a_device_by_number_and_lent_gpus_contradict_each_other() {
    let space = Space::with(sees(there_is("gpus = [\"0\"]"), "a", []));
    let ran = space.intrada("run p.toml --device cuda:1");
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr.contains("use --device cuda"), "{}", ran.stderr);
}

#[test]
fn a_resource_that_is_missing_or_has_its_name_from_elsewhere_is_told_how_it_is_meant() {
    let space = Space::with(takes(there_is("cpu = 2").command("a", "touch a.out", [], ["a.out"]), "a", "cpu = 1"));
    for (set, told) in [
        ("stages.a.resources={gpus=2}", "declare them: [resources] gpus = [\"0\", \"1\"]"),
        ("stages.a.resources={licence=3}", "declare it: [resources] licence = 3"),
        ("stages.a.resources={gpu=1}", "did you mean `gpus`?"),
        ("stages.a.resources={threads=2}", "did you mean `cpu`?"),
        ("stages.a.gpus=1", "`gpus` is a key of a stage's `resources = { … }`"),
        ("stages.a.time=1", "`time` is a key of a stage's `resources = { … }`"),
        ("stages.a.threads=1", "`threads` is a key of `[pipeline]`"),
        ("stages.a.lr=1", "`lr` is called `learning_rate` here"),
    ] {
        let ran = Ran::of(space.command("plan p.toml").args(["--set", set]).output().unwrap());
        assert_eq!(ran.code, Some(2), "{set}");
        assert!(ran.stderr.contains(told), "{set}: {told}\n{}", ran.stderr);
    }
    let ran = space.intrada("plan p.toml --set resources.cpus=4");
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(ran.stderr.contains("`cpus` is a custom resource here, not the machine's `cpu`"), "{}", ran.stderr);
}

#[test]
fn the_longest_way_to_the_end_is_begun_first() {
    let stage = |pipeline: Pipeline, name: &str, input: Option<&str>| {
        let shell = format!("echo {name} >> order; touch {name}.out");
        let pipeline = pipeline.command(name, &shell, [], [&format!("{name}.out")]);
        input.into_iter().fold(pipeline, |pipeline, input| pipeline.set(&format!("stages.{name}.inputs"), [input]))
    };
    // In the order of the file `short` would come first.
    let stages = [("short", None), ("long", None), ("longer", Some("long.out")), ("end", Some("longer.out"))];
    let pipeline = stages.iter().fold(there_is("cpu = 1"), |pipeline, (name, input)| stage(pipeline, name, *input));
    let space = Space::with(pipeline);
    space.outcomes();
    assert_eq!(space.read("order"), "long\nlonger\nshort\nend\n");
}

/// A command, and a training that needs nothing of it, on a GPU that no machine for tests has.
fn on_the_eighth_gpu() -> Space {
    let pipeline = training().set("pipeline.device", "cuda:7");
    let space = Space::with(pipeline.command("first", "touch first.out", [], ["first.out"]));
    let plan = space.intrada("plan p.toml --device cpu");
    assert_eq!(plan.code, Some(0), "{}", plan.stderr);
    space
}

#[test]
fn a_gpu_that_is_not_there_is_told_before_anything_runs_where_a_stage_needs_it() {
    let space = on_the_eighth_gpu();
    for command in ["plan p.toml", "p.toml --dry-run", "p.toml", "plan p.toml --device cuda:6"] {
        let ran = space.intrada(command);
        assert_eq!(ran.code, Some(2), "{command}: {}{}", ran.stdout, ran.stderr);
        let gpu = if command.ends_with("cuda:6") { "cuda:6" } else { "cuda:7" };
        for said in
            [format!("error: `{gpu}` was requested, but libtorch finds "), "this stage has to run there".to_owned()]
        {
            assert!(ran.stderr.contains(&said), "{command}: {}", ran.stderr);
        }
        assert_eq!(ran.stderr.contains("p.toml:6:"), gpu == "cuda:7", "{command}: {}", ran.stderr);
        assert!(!space.path("first.out").exists(), "{command}: a stage has run");
    }
    let ran = space.intrada("p.toml first");
    assert_eq!(ran.code, Some(0), "only what needs it: {}", ran.stderr);
    let ran = space.intrada("p.toml --device cpu");
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let ran = space.intrada("p.toml");
    assert_eq!(ran.code, Some(0), "nothing has to run: {}", ran.stderr);
}

/// A batch system that only the file knows.
const CLUSTER: &str = "[executors.cluster]\nkind = \"slurm\"\npartition = \"night\"\n";

#[test]
fn where_a_stage_runs_changes_no_key() {
    let space = Space::with(sees(Pipeline::new().named("p").add(CLUSTER), "a", []));
    assert_eq!(space.outcomes(), ["a:ran"]);
    let there = "executor = \"cluster\"\nresources = { gpus = 2, cpu = 8, memory = \"1 TiB\", time = \"2 h\" }\n";
    for (from, to) in [
        ("name = \"p\"\n", "name = \"p\"\nexecutor = \"cluster\"\n"),
        ("night", "day"),
        ("[stages.a]\n", &format!("[stages.a]\n{there}")),
        ("name = \"p\"\nexecutor = \"cluster\"\n", "name = \"p\"\nexecutor = \"local\"\n"),
        ("kind = \"slurm\"\n", "kind = \"slurm\"\ntime = \"1 d\"\nmax_jobs = 1\n"),
        (there, "resources = { time = \"2 h\" }\n"),
    ] {
        space.edit("p.toml", from, to);
        assert_eq!(space.outcomes(), ["a:up-to-date"], "{from} -> {to}");
    }
    assert_eq!(space.intrada("plan p.toml --executor cluster").stdout.lines().next(), Some("  up-to-date  a"));
}

/// A training on a batch system and its GPU, which no machine for tests has.
fn on_a_cluster() -> Space {
    Space::with(training().set("pipeline.executor", "cluster").set("pipeline.device", "cuda:7").add(CLUSTER))
}

#[test]
fn a_plan_says_what_would_run_elsewhere_and_asks_for_nothing_of_it_here() {
    let space = on_a_cluster();
    let mut without_worker = space.command("plan p.toml");
    let without_worker = crate::space::Ran::of(without_worker.env("INTRADA_WORKER", "/nowhere").output().unwrap());
    for plan in [space.intrada("plan p.toml"), without_worker] {
        assert_eq!((plan.code, &*plan.stderr), (Some(0), ""), "{}", plan.stdout);
        assert!(plan.stdout.contains("; on cluster\n"), "{}", plan.stdout);
    }
    let planned = space.intrada("plan p.toml --format json").events();
    assert_eq!(planned[0]["executor"], "cluster", "{planned:?}");
    let here = space.intrada("plan p.toml --executor local");
    assert_eq!(here.code, Some(2), "{}{}", here.stdout, here.stderr);
    assert!(here.stderr.contains("error: `cuda:7` was requested"), "{}", here.stderr);
}

#[test]
fn all_stages_run_where_the_command_line_says() {
    let space = Space::with(sees(Pipeline::new().named("p").set("pipeline.executor", "cluster").add(CLUSTER), "a", []));
    let typed = space.intrada("plan p.toml --executor clustr");
    assert_eq!(typed.code, Some(2), "{}", typed.stdout);
    for said in ["no executor is called `clustr`", "--> --executor:1:1", "did you mean `cluster`?"] {
        assert!(typed.stderr.contains(said), "{}", typed.stderr);
    }
    let ran = space.intrada("p.toml --executor local");
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_eq!(space.read("a.gpus"), "unset\n");
    assert_eq!(space.outcomes(), ["a:up-to-date"]);
    assert!(!space.read("runs/p/report.html").contains("--executor"), "a page says what was computed, not where");
}
