//! Stages side by side: who runs with whom, and who sees which GPU. Told by what the stages find, never by the time it takes.

use crate::space::Space;

/// A stage that says it is there, and waits until the other one is there too.
fn meets(own: &str, other: &str, resources: &str) -> String {
    format!(
        "[stages.{own}]\nkind = \"command\"\nresources = {{ {resources} }}\noutputs = [\"{own}.out\"]\n\
         shell = \"touch {own}.here; until [ -e {other}.here ]; do sleep 0.05; done; touch {own}.out\"\n"
    )
}

/// A stage that fails if another one of its sort is there while it is.
fn alone(own: &str, resources: &str) -> String {
    format!(
        "[stages.{own}]\nkind = \"command\"\nresources = {{ {resources} }}\noutputs = [\"{own}.out\"]\n\
         shell = \"mkdir taken || exit 9; sleep 0.1; rmdir taken; touch {own}.out\"\n"
    )
}

/// A stage that writes down which GPUs it sees.
fn sees(own: &str, more: &str) -> String {
    format!(
        "[stages.{own}]\nkind = \"command\"\n{more}\noutputs = [\"{own}.gpus\"]\n\
         shell = \"echo ${{CUDA_VISIBLE_DEVICES-unset}} > {own}.gpus\"\n"
    )
}

#[test]
fn stages_that_do_not_wait_for_each_other_run_at_once() {
    let stages = [meets("a", "b", "cpu = 1"), meets("b", "a", "cpu = 1")].concat();
    let space = Space::with(&format!("format = 1\n[resources]\ncpu = 2\n{stages}"));
    assert_eq!(space.outcomes(), ["a:ran", "b:ran"]);
}

#[test]
fn what_there_is_once_is_held_by_one_stage_at_a_time() {
    let stages: String = ["a", "b", "c", "d"].iter().map(|name| alone(name, "licence = 1")).collect();
    let space = Space::with(&format!("format = 1\n[resources]\ncpu = 8\nlicence = 1\n{stages}"));
    assert_eq!(space.outcomes(), ["a:ran", "b:ran", "c:ran", "d:ran"]);
}

#[test]
fn memory_is_shared_out() {
    let stages: String = ["a", "b"].iter().map(|name| alone(name, "memory = \"5 GiB\"")).collect();
    let space = Space::with(&format!("format = 1\n[resources]\ncpu = 8\nmemory = \"8 GiB\"\n{stages}"));
    assert_eq!(space.outcomes(), ["a:ran", "b:ran"]);
}

#[test]
fn a_stage_sees_the_gpus_that_it_is_lent_and_no_others() {
    let stages = [
        sees("both", "resources = { gpus = 2 }"),
        sees("one", "resources = { gpus = 1 }\ninputs = [\"both.gpus\"]"),
        sees("none", ""),
    ];
    let space = Space::with(&format!("format = 1\n[resources]\ngpus = [\"4\", \"7\"]\n{}", stages.concat()));
    space.outcomes();
    assert_eq!(["both", "none"].map(|name| space.read(&format!("{name}.gpus"))), ["4,7\n", "\n"]);
    assert!(["4\n", "7\n"].contains(&&*space.read("one.gpus")));
    // Another machine has other GPUs: the same results.
    space.edit("p.toml", "gpus = [\"4\", \"7\"]", "gpus = [\"0\", \"1\", \"2\"]");
    assert_eq!(space.outcomes(), ["both:up-to-date", "none:up-to-date", "one:up-to-date"]);
}

#[test]
fn without_a_list_of_gpus_the_environment_is_left_alone() {
    let space = Space::with(&format!("format = 1\n{}", sees("a", "")));
    space.outcomes();
    assert_eq!(space.read("a.gpus"), "unset\n");
}

#[test]
fn a_device_by_number_and_lent_gpus_contradict_each_other() {
    let space = Space::with(&format!("format = 1\n[resources]\ngpus = [\"0\"]\n{}", sees("a", "")));
    let ran = space.intrada("run p.toml --device cuda:1");
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr.contains("use --device cuda"), "{}", ran.stderr);
}

#[test]
fn the_longest_way_to_the_end_is_begun_first() {
    let stage = |name: &str, inputs: &str| {
        format!(
            "[stages.{name}]\nkind = \"command\"\ninputs = [{inputs}]\noutputs = [\"{name}.out\"]\n\
             shell = \"echo {name} >> order; touch {name}.out\"\n"
        )
    };
    // In the order of the file `short` would come first.
    let stages =
        [stage("short", ""), stage("long", ""), stage("longer", "\"long.out\""), stage("end", "\"longer.out\"")];
    let space = Space::with(&format!("format = 1\n[resources]\ncpu = 1\n{}", stages.concat()));
    space.outcomes();
    assert_eq!(space.read("order"), "long\nlonger\nshort\nend\n");
}

/// A command, and a training that needs nothing of it, on a GPU that no machine for tests has.
fn on_the_eighth_gpu() -> Space {
    let space = Space::with(
        r#"format = 1
[pipeline]
name = "p"
device = "cuda:7"
threads = 1
classes = "scenes-8"
[datasets.source]
format = "scenes"
style = "source"
seed = 1
count = 2
size = [64, 32]
[models.small]
arch = "small"
[stages.first]
kind = "command"
shell = "touch first.out"
outputs = ["first.out"]
[stages.inter]
kind = "inter-training"
method = "source-only"
model = "small"
source = "source"
iterations = 1
"#,
    );
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
        assert_eq!(ran.stderr.contains("p.toml:4:"), gpu == "cuda:7", "{command}: {}", ran.stderr);
        assert!(!space.path("first.out").exists(), "{command}: a stage has run");
    }
    let ran = space.intrada("p.toml first");
    assert_eq!(ran.code, Some(0), "only what needs it: {}", ran.stderr);
    let ran = space.intrada("p.toml --device cpu");
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let ran = space.intrada("p.toml");
    assert_eq!(ran.code, Some(0), "nothing has to run: {}", ran.stderr);
}
