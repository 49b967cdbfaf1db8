//! Every command of the documents is run, in the order in which a reader meets them.
//!
//! Commands stand in blocks of ```` ```console ````, each on a line that begins with `$ `. They are run for real, on tiny images
//! and with two steps a training, so that what is tested is the document and not the network. A document that needs published
//! data sets stops where these are missing, and must say so.

use std::path::Path;

use crate::space::{Ran, Space, grey_png};

/// The commands of a document in its order.
fn commands(document: &str) -> Vec<String> {
    let mut blocks = document.split("```console\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let lines = blocks.by_ref().flat_map(str::lines).filter_map(|line| line.strip_prefix("$ "));
    lines.map(str::to_owned).collect()
}

fn document(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(name)).unwrap()
}

/// The shipped pipelines and folders of images of one's own.
fn workspace() -> Space {
    let space = Space::new();
    let tag = std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("cache/CACHEDIR.TAG")).unwrap();
    space.write("cache/CACHEDIR.TAG", tag);
    for entry in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("pipelines")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        space.write(&format!("pipelines/{name}"), std::fs::read(&path).unwrap());
    }
    for (folder, count) in [("synth/images", 4), ("photos", 6), ("test/images", 2)] {
        for i in 0..count {
            space.write(&format!("{folder}/{i}.png"), grey_png(64, 32, 40 * i as u8));
        }
    }
    for (folder, count) in [("synth/labels", 4), ("test/labels", 2)] {
        for i in 0..count {
            space.write(&format!("{folder}/{i}.png"), grey_png(64, 32, i as u8 % 3));
        }
    }
    space
}

/// Two steps a training and a few scenes, in every pipeline that is there by now.
fn shorten(space: &Space) {
    for folder in ["pipelines", "mine"] {
        for path in
            crate::space::files(&space.path(folder)).iter().filter(|path| path.extension().is_some_and(|e| e == "toml"))
        {
            let text = std::fs::read_to_string(path).unwrap();
            let short = |line: &str| match line.split_once(" = ") {
                Some((key @ ("iterations" | "schedule_iterations"), _)) => format!("{key} = 2\n"),
                Some(("count", _)) => "count = 4\n".to_owned(),
                _ => format!("{line}\n"),
            };
            std::fs::write(path, text.lines().map(short).collect::<String>()).unwrap();
        }
    }
}

/// Writes what the section says of a sweep, in the place that it names.
fn sweep(space: &Space, section: &str) {
    let (_, rest) = section.split_once("```toml\n[stages.rank.matrix]").unwrap();
    let text = space.read("mine/pipeline.toml");
    let without: String =
        text.lines().filter(|line| !line.starts_with("lambda = ")).map(|line| format!("{line}\n")).collect();
    space.write("mine/pipeline.toml", format!("{without}\n[stages.rank.matrix]{}", rest.split("```").next().unwrap()));
}

fn run(space: &Space, line: &str) -> Ran {
    let words = line.strip_prefix("intrada-run ").unwrap_or_else(|| panic!("not a command of ours: {line}"));
    let mut command = space.command("");
    command.args(words.split_whitespace().map(|word| word.trim_matches('\'')));
    Ran::of(command.output().unwrap())
}

#[test]
fn the_tutorial_runs_from_top_to_bottom() {
    let space = workspace();
    for section in document("tutorial.md").split("\n## ") {
        if section.contains("[stages.rank.matrix]") {
            sweep(&space, section);
        }
        for line in commands(section) {
            let ran = run(&space, &line);
            assert_eq!(ran.code, Some(0), "$ {line}\n{}{}", ran.stdout, ran.stderr);
            shorten(&space);
        }
    }
    assert!(space.path("runs/mine/intra[lambda=0.5,seed=2]").is_dir());
}

#[test]
fn the_commands_for_trouble_run() {
    let space = workspace();
    shorten(&space);
    space.run("pipelines/quickstart.toml");
    for line in commands(&document("troubleshooting.md")) {
        let ran = run(&space, &line);
        assert_eq!(ran.code, Some(0), "$ {line}\n{}{}", ran.stdout, ran.stderr);
    }
}

#[test]
fn the_commands_of_the_migration_name_the_data_that_is_missing() {
    let space = workspace();
    for line in commands(&document("migration.md")) {
        let ran = run(&space, &line);
        assert_eq!(ran.code, Some(2), "$ {line}\n{}{}", ran.stdout, ran.stderr);
        assert!(ran.stderr.contains("data/GTA5"), "{}", ran.stderr);
    }
}
