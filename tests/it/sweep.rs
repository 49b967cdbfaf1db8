//! Sweeps of commands from outside: members run, are named, are shared with the same pipeline without a matrix.

use crate::pipelines::Pipeline;
use crate::space::Space;

/// One stage before the sweep, two in it, one that gathers.
fn pipeline() -> Pipeline {
    let head = "head -n ${matrix.lines} words.txt > head/${matrix.lines}.txt; echo head ${matrix.lines} >> runs.log";
    Pipeline::new()
        .command("words", "printf 'b\na\nc\n' > words.txt; echo words >> runs.log", [], ["words.txt"])
        .command("head", head, ["words.txt"], ["head/${matrix.lines}.txt"])
        .add("[stages.head.matrix]\nlines = [1, 2]\n")
        .program(
            "sorted",
            &["sh", "-c", "sort head/${matrix.lines}.txt > sorted/${matrix.lines}.txt"],
            ["head/${matrix.lines}.txt"],
            ["sorted/${matrix.lines}.txt"],
        )
        .command("all", "cat sorted/* > all.txt", ["sorted"], ["all.txt"])
}

fn decisions(space: &Space, arguments: &str) -> Vec<String> {
    let plan = space.intrada(&format!("plan {arguments} --format json"));
    assert_eq!(plan.code, Some(0), "{}", plan.stderr);
    plan.events().iter().map(|event| format!("{}:{}", event["stage"], event["decision"]).replace('"', "")).collect()
}

#[test]
fn a_sweep_runs_what_it_shares_once_and_gathers_what_came_out() {
    let space = Space::with(pipeline());
    assert_eq!(
        space.outcomes(),
        [
            "all:ran",
            "head[lines=1]:ran",
            "head[lines=2]:ran",
            "sorted[lines=1]:ran",
            "sorted[lines=2]:ran",
            "words:ran"
        ]
    );
    assert_eq!(space.read("all.txt"), "b\na\nb\n");
    assert_eq!(space.read("runs.log").matches("words").count(), 1);
    // One more value runs one more member, and what gathers.
    space.edit("p.toml", "lines = [1, 2]", "lines = [3, 2, 1]");
    let ran: Vec<String> = space.outcomes().into_iter().filter(|outcome| outcome.ends_with(":ran")).collect();
    assert_eq!(ran, ["all:ran", "head[lines=3]:ran", "sorted[lines=3]:ran"]);
}

#[test]
fn a_member_has_the_key_of_the_stage_that_is_written_by_hand() {
    let space = Space::with(pipeline());
    let swept = space.run("p.toml");
    let by_hand = pipeline().replace("[stages.head.matrix]\nlines = [1, 2]\n", "").replace("${matrix.lines}", "2");
    space.write("p.toml", by_hand);
    let plain = space.run("p.toml head sorted");
    let key =
        |settled: &[crate::space::Settled], name: &str| settled.iter().find(|s| s.stage == name).unwrap().key.clone();
    for name in ["head", "sorted"] {
        assert_eq!(key(&plain, name), key(&swept, &format!("{name}[lines=2]")));
    }
    assert!(plain.iter().all(|settled| settled.outcome != "ran"), "{plain:?}");
    space.write("p.toml", pipeline());
    assert!(space.run("p.toml").iter().all(|settled| settled.outcome != "ran"));
}

#[test]
fn members_are_named_on_the_command_line() {
    let space = Space::with(pipeline());
    assert_eq!(decisions(&space, "p.toml head[lines=2]"), ["words:run", "head[lines=2]:depends"]);
    assert_eq!(decisions(&space, "p.toml sorted").len(), 5);
    assert_eq!(
        decisions(&space, "p.toml --set stages.head.matrix.lines=[3] sorted").last().unwrap(),
        "sorted[lines=3]:depends"
    );
    space.run("p.toml");
    let forced = space.run("p.toml --force head[lines=1]");
    let ran: Vec<&str> = forced.iter().filter(|s| s.outcome == "ran").map(|s| s.stage.as_str()).collect();
    assert_eq!(ran, ["head[lines=1]"], "the same bytes cut off what follows");
    for (command, expected) in [
        ("why p.toml head[lines=1]", "head[lines=1] is up to date"),
        ("inspect p.toml sorted[lines=2]", "sorted/2.txt"),
        ("graph p.toml", "sorted[lines=2]  command  head[lines=2]"),
    ] {
        let shown = space.intrada(command);
        assert_eq!(shown.code, Some(0), "{}", shown.stderr);
        assert!(shown.stdout.contains(expected), "{command}: {}", shown.stdout);
    }
    assert_eq!(space.intrada("log p.toml head[lines=2]").code, Some(0));
}

#[test]
fn a_name_that_is_no_member_is_answered_with_those_there_are() {
    let space = Space::with(pipeline());
    for (command, expected) in [
        ("plan p.toml head[lines=3]", "did you mean `head[lines=1]`?"),
        ("plan p.toml haed[lines=2]", "did you mean `head[lines=2]`?"),
        ("plan p.toml head[x=7]", "there are head[lines=1], head[lines=2]"),
        ("why p.toml head", "`head` is a sweep; name one member, from `head[lines=1]` to `head[lines=2]`"),
    ] {
        let refused = space.intrada(command);
        assert_eq!(refused.code, Some(2), "{command}");
        assert!(refused.stderr.contains(expected), "{command}: {}", refused.stderr);
    }
}

#[test]
fn a_value_that_looks_like_a_path_or_a_shell_word_stays_one_value() {
    let line = "printf %s \"$1\" > out-$2";
    let command = ["sh", "-c", line, "sh", "${matrix.word}", "${matrix.n}"];
    let pipeline = Pipeline::new().program("a", &command, [], ["out-${matrix.n}"]);
    let members = r#"[{ n = 1, word = "../../x" }, { n = 2, word = "a, b]=$(touch pwned)" }]"#;
    let space = Space::with(pipeline.add(&format!("[stages.a.matrix]\ninclude = {members}\n")));
    let settled = space.run("p.toml");
    assert_eq!(settled.len(), 2);
    assert_eq!([space.read("out-1"), space.read("out-2")], ["../../x", "a, b]=$(touch pwned)"]);
    assert!(!space.path("pwned").exists());
    assert!(settled.iter().any(|s| s.stage == "a[n=1,word=..%2F..%2Fx]"), "{settled:?}");
}
