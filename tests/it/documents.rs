//! Every command of the documents is run, in the order in which a reader meets them.
//!
//! Commands stand in blocks of ```` ```console ````, each on a line that begins with `$ `. They are run for real, on tiny images
//! and with two steps a training, so that what is tested is the document and not the network. A document that needs published
//! data sets stops where these are missing, and must say so.

use std::path::Path;
use std::process::Command;

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
    folders(&space, "");
    let tag = std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("cache/CACHEDIR.TAG")).unwrap();
    space.write("cache/CACHEDIR.TAG", tag);
    for entry in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("pipelines")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        space.write(&format!("pipelines/{name}"), std::fs::read(&path).unwrap());
    }
    space
}

/// Folders of images of one's own, below this one.
fn folders(space: &Space, below: &str) {
    for (folder, count) in [("synth/images", 4), ("photos", 6), ("test/images", 2)] {
        for i in 0..count {
            space.write(&format!("{below}{folder}/{i}.png"), grey_png(64, 32, 40 * i as u8));
        }
    }
    for (folder, count) in [("synth/labels", 4), ("test/labels", 2)] {
        for i in 0..count {
            space.write(&format!("{below}{folder}/{i}.png"), grey_png(64, 32, i as u8 % 3));
        }
    }
}

/// Two steps a training and a few scenes, in every pipeline that is there by now.
fn shorten(space: &Space) {
    for folder in ["pipelines", "mine", "main/mine"] {
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

/// Runs lines of a document one after the other, in the folder `main`, in a shell that knows the program.
fn in_a_shell(space: &Space, lines: &[String]) -> Ran {
    let program = Path::new(env!("CARGO_BIN_EXE_intrada-run")).parent().unwrap();
    let path = std::env::var("PATH").unwrap_or_default();
    let mut shell = Command::new("sh");
    shell.args(["-exc", &lines.join("\n")]).current_dir(space.path("main")).env_remove("INTRADA_CACHE");
    Ran::of(shell.env("PATH", format!("{}:{path}", program.display())).output().unwrap())
}

/// The same, and must succeed.
fn through_a_shell(space: &Space, lines: &[String]) -> Ran {
    let ran = in_a_shell(space, lines);
    assert_eq!(ran.code, Some(0), "{}{}", ran.stdout, ran.stderr);
    ran
}

#[test]
fn the_commands_for_sharing_run_without_the_data_and_on_two_branches() {
    let space = Space::new();
    folders(&space, "main/");
    through_a_shell(&space, &commands(&document("tutorial.md"))[..1]);
    shorten(&space);
    through_a_shell(&space, &["intrada-run mine/pipeline.toml".to_owned()]);
    let identity = "-c user.name=n -c user.email=n@localhost -c commit.gpgsign=false";
    let repository = ["git init -q .", "git add mine/pipeline.toml", &format!("git {identity} commit -qm first")];
    let repository = in_a_shell(&space, &repository.map(str::to_owned));
    if repository.code != Some(0) {
        return println!("skipped: git is missing or fails: {}", repository.stderr);
    }
    let ran = through_a_shell(&space, &commands(&document("sharing.md")));
    let note = "note: the images of `source`, `target` and `test` are not here and could not be compared";
    assert_eq!(ran.stderr.matches(note).count(), 3, "{}", ran.stderr);
    assert!(space.path("main/network/model.safetensors").exists());
    let (_, both) = ran.stdout.rsplit_once("mIoU in % on test").unwrap();
    assert!(both.contains("  intra        0.67 ") && both.contains("  intra        0.5 "), "{both}");
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
