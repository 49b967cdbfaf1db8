//! Laws of the graph: order, ancestors, cycles with their whole path, and depth without recursion.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::fs;
use std::time::Instant;

use proptest::prelude::{Strategy, prop};
use proptest::{prop_assert, prop_assert_eq, proptest};

use super::*;
use crate::pipeline::Look;

/// A pipeline of commands: stage `s<i>` writes `out/<i>` and reads the outputs of `reads[i]`.
fn commands(reads: &[Vec<usize>]) -> String {
    let mut text = String::from("format = 1\n");
    for (stage, reads) in reads.iter().enumerate() {
        let inputs: Vec<String> = reads.iter().map(|read| format!("\"out/{read}\"")).collect();
        let inputs = inputs.join(", ");
        writeln!(
            text,
            "[stages.s{stage}]\nkind = \"command\"\nshell = \"true\"\ninputs = [{inputs}]\noutputs = [\"out/{stage}\"]"
        )
        .unwrap();
    }
    text
}

fn try_load(text: &str) -> Result<(Pipeline, StageGraph), Problems> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("p.toml");
    fs::write(&file, text).unwrap();
    load(&file, &[])
}

fn screen(reads: &[Vec<usize>]) -> String {
    let screen = try_load(&commands(reads)).unwrap_err().render(Look::Plain);
    // The folder has another name each time.
    screen.lines().filter(|line| !line.contains("/p.toml")).collect::<Vec<_>>().join("\n")
}

/// Graphs whose stages read only stages before them; the file's order is shuffled.
fn acyclic() -> impl Strategy<Value = Vec<Vec<usize>>> {
    (1..12usize).prop_flat_map(|stages| {
        let edges = prop::collection::vec((0..stages, 0..stages), 0..24);
        let names = prop::sample::subsequence((0..stages).collect::<Vec<_>>(), stages).prop_shuffle();
        (edges, names).prop_map(move |(edges, names)| {
            let mut reads = vec![Vec::new(); stages];
            for (a, b) in edges {
                if a != b {
                    reads[names[a.max(b)]].push(names[a.min(b)]);
                }
            }
            reads
        })
    })
}

/// All stages that a stage waits for, by following the lists naively.
fn closure(reads: &[Vec<usize>], from: usize) -> HashSet<usize> {
    let mut found = HashSet::from([from]);
    let mut open = vec![from];
    while let Some(stage) = open.pop() {
        open.extend(reads[stage].iter().filter(|read| found.insert(**read)));
    }
    found
}

proptest! {
    #[test]
    fn a_stage_comes_after_all_that_it_waits_for(reads in acyclic()) {
        let (pipeline, graph) = try_load(&commands(&reads)).unwrap();
        let mut done = HashSet::new();
        for stage in graph.order() {
            prop_assert!(reads[stage.index()].iter().all(|read| done.contains(read)));
            done.insert(stage.index());
        }
        prop_assert_eq!(done.len(), pipeline.stages.len());
    }

    #[test]
    fn the_ancestors_of_a_stage_are_its_closure_and_dependents_mirror_dependencies(reads in acyclic()) {
        let (pipeline, graph) = try_load(&commands(&reads)).unwrap();
        for stage in pipeline.stage_ids() {
            let ancestors: HashSet<usize> = graph.ancestors(&[stage]).into_iter().map(StageId::index).collect();
            prop_assert_eq!(ancestors, closure(&reads, stage.index()));
            for read in graph.dependencies(stage) {
                prop_assert!(reads[stage.index()].contains(&read.index()));
                prop_assert!(graph.dependents(read).contains(&stage));
            }
        }
    }

    #[test]
    fn whatever_closes_a_circle_is_reported_as_one(reads in acyclic(), choice in 0..1000usize) {
        let mut reads = reads;
        let stage = choice % reads.len();
        let ancestors: Vec<usize> = closure(&reads, stage).into_iter().collect();
        let first = ancestors[choice / reads.len() % ancestors.len()];
        reads[first].push(stage);
        let problems = try_load(&commands(&reads)).unwrap_err();
        prop_assert_eq!(problems.errors(), 1);
        let title = &problems.iter().next().unwrap().title;
        let alone = format!("stage `s{stage}` waits for itself");
        let told = title.contains("the stages form a cycle: ") || *title == alone;
        prop_assert!(told, "{}", title);
    }
}

#[test]
fn a_cycle_is_shown_with_its_lines_and_with_all_other_mistakes() {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("wrong");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    for name in ["cycle", "cycle-and-more"] {
        let problems = load(Path::new(&format!("graph/wrong/{name}.toml")), &[]).unwrap_err();
        settings.bind(|| insta::assert_snapshot!(name, problems.render(Look::Plain)));
    }
}

#[test]
fn every_shipped_pipeline_is_right_without_a_warning() {
    let files = fs::read_dir("../../pipelines").unwrap().map(|entry| entry.unwrap().path());
    let files: Vec<_> = files.filter(|file| file.extension().is_some_and(|ending| ending == "toml")).collect();
    assert!(files.len() >= 2);
    for file in files {
        let (pipeline, graph) = load(&file, &[]).unwrap_or_else(|problems| panic!("{problems}"));
        assert_eq!(pipeline.warnings, []);
        assert_eq!(graph.order().len(), pipeline.stages.len());
    }
}

#[test]
fn where_there_is_a_choice_the_order_is_that_of_the_file() {
    let (_, graph) = try_load(&commands(&[vec![3], vec![], vec![1], vec![], vec![0]])).unwrap();
    assert_eq!(graph.order().iter().map(|stage| stage.0).collect::<Vec<_>>(), [1, 2, 3, 0, 4]);
}

#[test]
fn two_circles_are_two_mistakes_and_a_long_one_is_abridged() {
    let long: Vec<Vec<usize>> = (0..30).map(|stage| vec![(stage + 29) % 30]).collect();
    insta::assert_snapshot!(screen(&long), @r#"
    error: the stages form a cycle: s0 → s1 → s2 → s3 → s4 → … → s26 → s27 → s28 → s29 → s0
       |
     5 | inputs = ["out/29"]
       |           ^^^^^^^^ s0 reads s29
    ...
    10 | inputs = ["out/0"]
       |           ^^^^^^^ s1 reads s0
       |
       = note: s2 reads s1 (line 15), s3 reads s2 (line 20), s4 reads s3 (line 25), s5 reads s4 (line 30), s6 reads s5 (line 35), s7 reads s6 (line 40), s8 reads s7 (line 45), s9 reads s8 (line 50), s10 reads s9 (line 55), s11 reads s10 (line 60), and 18 more
    "#);
    let two = try_load(&commands(&[vec![1], vec![0], vec![2], vec![0, 2]])).unwrap_err();
    let titles: Vec<&str> = two.iter().map(|problem| problem.title.as_str()).collect();
    assert_eq!(titles, ["the stages form a cycle: s0 → s1 → s0", "stage `s2` waits for itself"]);
}

#[test]
fn an_edge_tells_which_output_is_read_and_what_is_only_waited_for() {
    let (_, graph) = try_load(
        "format = 1\n[stages.a]\nkind = \"command\"\nshell = \"true\"\noutputs = [\"d/x\", \"e\"]\n\
         [stages.b]\nkind = \"command\"\nshell = \"true\"\ninputs = [\"d\", \"e\"]\noutputs = [\"y\"]\n",
    )
    .unwrap();
    let edge =
        |output, input, reads| Edge { output: OutputId { stage: StageId(0), output }, to: StageId(1), input, reads };
    assert_eq!(graph.into_stage(StageId(1)), [edge(0, 0, false), edge(1, 1, true)]);
}

#[test]
fn on_a_narrow_screen_what_a_stage_reads_takes_several_lines() {
    let (pipeline, graph) = try_load(
        "format = 1\n[stages.first]\nkind = \"command\"\nshell = \"true\"\ninputs = []\noutputs = [\"one\", \"two\", \"three\"]\n\
         [stages.second]\nkind = \"command\"\nshell = \"true\"\ninputs = [\"one\", \"two\", \"three\"]\noutputs = [\"four\"]\n",
    )
    .unwrap();
    insta::assert_snapshot!(graph.draw(&pipeline, Picture::Text { columns: Some(40) }), @r"
    first   command
    second  command  first.one, first.two,
                     first.three
    ");
}

#[test]
fn the_pictures_of_a_small_pipeline() {
    let (pipeline, graph) = try_load(
        "format = 1\n[pipeline]\nname = \"small\"\nclasses = \"scenes-8\"\n\
         [datasets.d]\nformat = \"scenes\"\nstyle = \"target\"\nseed = 1\ncount = 1\n[models.m]\narch = \"small\"\n\
         [stages.look]\nkind = \"command\"\nshell = \"true\"\n\
         inputs = [\"runs/small/see/entropy\"]\noutputs = [\"a\\\"<b>\"]\n\
         [stages.see]\nkind = \"entropy-inference\"\nweights = \"w/m.safetensors\"\nmodel = \"m\"\nimages = \"d\"\n\
         [stages.last]\nkind = \"command\"\nshell = \"true\"\ninputs = [\"a\\\"<b>\"]\noutputs = [\"c\"]\n",
    )
    .unwrap();
    insta::assert_snapshot!(graph.draw(&pipeline, Picture::Text { columns: None }), @r#"
    see   entropy-inference  [d]
    look  command            see.entropy
    last  command            look.a"<b>
    "#);
    insta::assert_snapshot!(graph.draw(&pipeline, Picture::Dot), @r#"
    digraph pipeline {
      rankdir = LR
      node [shape = box]
      s1 [label = "see\nentropy-inference"]
      s0 [label = "look\ncommand"]
      s2 [label = "last\ncommand"]
      s1 -> s0 [label = "entropy"]
      s0 -> s2 [label = "a\"<b>"]
    }
    "#);
    insta::assert_snapshot!(graph.draw(&pipeline, Picture::Mermaid), @r#"
    flowchart LR
      s1["see<br>entropy-inference"]
      s0["look<br>command"]
      s2["last<br>command"]
      s1 -- "entropy" --> s0
      s0 -- "a#34;#60;b#62;" --> s2
    "#);
    let json: serde_json::Value = serde_json::from_str(&graph.draw(&pipeline, Picture::Json)).unwrap();
    assert_eq!(json["stages"][1]["reads"], serde_json::json!(["see.entropy"]));
    assert_eq!(json["stages"][0]["datasets"], serde_json::json!(["d"]));
}

/// No recursion anywhere: the stack of a test thread is 2 MiB.
#[test]
#[ignore = "takes seconds where nothing is optimised; run it with --release"]
fn a_chain_of_a_hundred_thousand_stages_loads_orders_and_closes_into_a_circle() {
    const STAGES: usize = 100_000;
    let mut reads: Vec<Vec<usize>> = (0..STAGES).map(|stage| stage.checked_sub(1).into_iter().collect()).collect();
    let start = Instant::now();
    let (pipeline, graph) = try_load(&commands(&reads)).unwrap();
    assert_eq!(graph.order().len(), STAGES);
    assert_eq!(graph.ancestors(&[StageId::at(STAGES - 1)]).len(), STAGES);
    assert_eq!(graph.draw(&pipeline, Picture::Text { columns: None }).lines().count(), STAGES);
    println!("loaded and ordered in {:?}", start.elapsed());
    reads[0].push(STAGES - 1);
    let start = Instant::now();
    let problems = try_load(&commands(&reads)).unwrap_err();
    assert_eq!(problems.errors(), 1);
    assert!(problems.to_string().len() < 10_000);
    println!("refused in {:?}", start.elapsed());
}
