//! What is damaged in the cache heals, and what can't be read in a workspace is named: nothing that lies in the place of a record
//! keeps a run from its work, and nothing is waited for.

use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::pipelines::{Pipeline, training};
use crate::space::{Ran, Space, files, grey_png};

/// What may lie in the place of a file.
const STRANGE: [&str; 6] = ["folder", "full folder", "link", "dangling link", "pipe", "socket"];

fn two_stages() -> Space {
    let pipeline = Pipeline::new().command("a", "mkdir -p d; cat in.txt > d/f", ["in.txt"], ["d"]);
    let space = Space::with(pipeline.command("b", "cat d/f > b.txt", ["d"], ["b.txt"]));
    space.write("in.txt", "hello\n");
    space
}

fn mkfifo(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

/// Puts something strange at `path`, in the place of what is there.
fn put(what: &str, path: &Path) {
    if path.symlink_metadata().is_ok() {
        if path.is_dir() && !path.is_symlink() { fs::remove_dir_all(path) } else { fs::remove_file(path) }.unwrap();
    }
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    match what {
        "folder" => fs::create_dir(path).unwrap(),
        "full folder" => fs::create_dir_all(path.join("deep")).unwrap(),
        "link" => symlink("/etc/hostname", path).unwrap(),
        "dangling link" => symlink("nowhere", path).unwrap(),
        "pipe" => mkfifo(path),
        // The name is bound and nobody listens. A path of a socket has at most 107 bytes.
        "socket" => {
            let short = std::env::temp_dir().join(format!("socket-{}", std::process::id()));
            let _ = fs::remove_file(&short);
            drop(UnixListener::bind(&short).unwrap());
            if fs::rename(&short, path).is_err() {
                mkfifo(path);
            }
        }
        "file" => fs::write(path, "garbage").unwrap(),
        "empty" => fs::write(path, "").unwrap(),
        _ => unreachable!("{what}"),
    }
}

/// Like [`Space::intrada`], and fails where it doesn't end.
fn in_time(space: &Space, arguments: &str) -> Ran {
    let mut child = space.command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let start = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if start.elapsed() > Duration::from_secs(120) {
            child.kill().unwrap();
            panic!("`{arguments}` waits for somebody");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ran::of(child.wait_with_output().unwrap())
}

/// Every record of a cache in which two stages have run, relative to the workspace, with a lock, a pin and a slot.
fn records(space: &Space) -> Vec<PathBuf> {
    let cache = space.path("cache");
    let mut records = files(&cache);
    let key = space.run("p.toml")[0].key.clone();
    records.extend(["slots", "locks", "pins"].map(|folder| cache.join(folder).join(&key)));
    records.push(cache.join(format!("logs/{key}.log")));
    records.sort();
    records.dedup();
    records.iter().map(|path| path.strip_prefix(space.path("")).unwrap().to_owned()).collect()
}

#[test]
fn whatever_lies_in_the_place_of_a_record_the_next_run_ends_well_with_the_right_outputs() {
    let space = two_stages();
    space.outcomes();
    let records = records(&space);
    assert!(records.len() > 12, "{records:?}");
    for (round, record) in records.iter().enumerate() {
        for what in STRANGE.iter().chain(&["file", "empty"]) {
            put(what, &space.path("").join(record));
            // Once as it lies, once with the outputs to be restored or made anew.
            for force in ["", " --force a"] {
                let ran = in_time(&space, &format!("p.toml{force} --format json"));
                assert_eq!(ran.code, Some(0), "{what} at {}: {}{}", record.display(), ran.stdout, ran.stderr);
            }
            let _ = fs::remove_dir_all(space.path("d"));
            let ran = in_time(&space, "p.toml --quiet");
            assert_eq!(ran.code, Some(0), "{what} at {}: {}", record.display(), ran.stderr);
            assert_eq!((space.read("d/f"), space.read("b.txt")), ("hello\n".into(), "hello\n".into()));
        }
        // Others look at it, too.
        if round % 4 == 0 {
            put("pipe", &space.path("").join(record));
            for command in
                ["cache stats", "cache gc --dry-run", "cache verify", "why p.toml a", "log p.toml a", "plan p.toml"]
            {
                let ran = in_time(&space, command);
                assert!(matches!(ran.code, Some(0..=2)), "{command}: {}", ran.stderr);
            }
            assert_eq!(in_time(&space, "p.toml --quiet").code, Some(0));
        }
    }
    let verified = in_time(&space, "cache verify");
    assert_eq!(verified.code, Some(0), "{}{}", verified.stdout, verified.stderr);
}

#[test]
fn a_file_or_a_link_in_the_place_of_any_folder_of_the_cache_is_moved_away() {
    let folders =
        ["objects", "traces", "items", "slots", "locks", "logs", "workspaces", "tmp", "quarantine", "orphans", "pins"];
    for folder in folders {
        for what in ["file", "dangling link", "pipe"] {
            let space = two_stages();
            space.outcomes();
            put(what, &space.path("cache").join(folder));
            let ran = in_time(&space, "p.toml --force a --quiet");
            assert_eq!(ran.code, Some(0), "{what} at {folder}: {}", ran.stderr);
            assert!(space.path("cache").join(folder).is_dir());
        }
    }
}

#[test]
fn a_file_in_the_place_of_a_folder_of_objects_or_traces_is_moved_away() {
    let shards = |space: &Space| {
        let of = |part: &str| fs::read_dir(space.path("cache").join(part)).unwrap().map(|shard| shard.unwrap().path());
        of("objects").chain(of("traces")).collect::<Vec<PathBuf>>()
    };
    let first = two_stages();
    assert_eq!(first.intrada("p.toml").code, Some(0));
    for place in 0..shards(&first).len() {
        let space = two_stages();
        assert_eq!(space.intrada("p.toml").code, Some(0));
        let mut shards = shards(&space);
        shards.sort();
        put("pipe", &shards[place]);
        space.remove("b.txt");
        space.remove("d");
        let ran = in_time(&space, "p.toml");
        assert_eq!(
            (ran.code, space.read("b.txt").as_str()),
            (Some(0), "hello\n"),
            "{:?}: {}",
            shards[place],
            ran.stderr
        );
        let verified = in_time(&space, "cache verify");
        assert_eq!(verified.code, Some(0), "{}{}", verified.stdout, verified.stderr);
    }
}

#[test]
fn a_version_that_was_lost_is_written_again_by_every_command_that_works_and_a_newer_one_is_refused() {
    let space = two_stages();
    space.outcomes();
    for text in ["", "intrada st", "intrada store \n", "garbage", "intrada store x\n"] {
        for command in ["cache verify", "p.toml", "cache gc", "cache stats", "plan p.toml"] {
            put("empty", &space.path("cache/version"));
            space.write("cache/version", text);
            let ran = in_time(&space, command);
            assert_eq!(ran.code, Some(0), "{command} with {text:?}: {}", ran.stderr);
        }
        in_time(&space, "p.toml");
        assert_eq!(space.read("cache/version"), "intrada store 1\n");
    }
    fs::remove_file(space.path("cache/version")).unwrap();
    space.write("cache/version", "intrada store 2\n");
    let ran = space.intrada("p.toml");
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr.contains("version 2") && ran.stderr.contains("--cache"), "{}", ran.stderr);
}

#[test]
fn a_pipe_or_a_socket_in_an_output_is_put_right() {
    for what in ["pipe", "socket"] {
        let space = two_stages();
        space.outcomes();
        put(what, &space.path("d/strange"));
        assert_eq!(space.outcomes(), ["a:hit", "b:up-to-date"]);
        assert!(!space.path("d/strange").exists());
        // In the place of an output, and where what it was made from has changed as well.
        put(what, &space.path("b.txt"));
        assert_eq!(in_time(&space, "p.toml").code, Some(0));
        assert_eq!(space.read("b.txt"), "hello\n");
        put(what, &space.path("d/strange"));
        put(what, &space.path("b.txt"));
        space.write("in.txt", "other\n");
        let ran = in_time(&space, "p.toml");
        assert_eq!(ran.code, Some(0), "{what}: {}", ran.stderr);
        assert_eq!(space.read("b.txt"), "other\n");
        assert!(!space.path("d/strange").exists());
        space.write("in.txt", "hello\n");
    }
}

#[test]
fn what_is_no_file_is_named_wherever_a_pipeline_reads_one() {
    let images = |space: &Space| {
        for i in 0..2 {
            space.write(&format!("source/images/{i}.png"), grey_png(64, 32, 9));
            space.write(&format!("source/labels/{i}.png"), grey_png(64, 32, 0));
        }
        space.write("list.txt", "0.png\n1.png\n");
        space.write("weights.safetensors", "nothing");
        space.write("in.txt", "hello\n");
        let pipeline = training().classes(["ground", "sky"]).folder("source").evaluated_on("source");
        let pipeline = pipeline.set("datasets.source.list", "list.txt").set("stages.evaluate.model", "small");
        let pipeline = pipeline.set("stages.evaluate.weights", "weights.safetensors");
        space.write("p.toml", pipeline.command("a", "cat in.txt > out.txt", ["in.txt"], ["out.txt"]));
    };
    for place in ["p.toml", "in.txt", "list.txt", "weights.safetensors", "source/images/1.png", "source/labels/1.png"] {
        for what in ["pipe", "socket"] {
            let space = Space::new();
            images(&space);
            put(what, &space.path(place));
            for command in ["plan p.toml", "doctor p.toml", "p.toml"] {
                if command.starts_with("doctor") && place == "source/images/1.png" {
                    // It looks at images no closer than a run that has not begun.
                    continue;
                }
                let ran = in_time(&space, command);
                assert!(
                    matches!(ran.code, Some(1 | 2)),
                    "{command} with a {what} at {place}: {}{}",
                    ran.stdout,
                    ran.stderr
                );
                let name = Path::new(place).file_name().and_then(OsStr::to_str).unwrap();
                let said = ran.stdout.clone() + &ran.stderr;
                assert!(said.contains(name), "{command} with a {what} at {place}: {said}");
            }
            assert!(!space.path("out.txt").exists() && !space.path("cache").exists());
        }
    }
}

#[test]
fn a_record_that_cannot_be_read_is_made_again() {
    let space = two_stages();
    space.outcomes();
    let all: Vec<PathBuf> =
        ["traces", "objects"].iter().flat_map(|folder| files(&space.path("cache").join(folder))).collect();
    all.iter().for_each(|path| fs::set_permissions(path, Permissions::from_mode(0o000)).unwrap());
    if fs::read(&all[0]).is_ok() {
        return eprintln!("skipped: this user may read everything");
    }
    space.remove("b.txt");
    let ran = space.intrada("p.toml");
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_eq!(space.read("b.txt"), "hello\n");
}

#[test]
fn names_as_long_as_file_systems_take_them_go_through_the_cache_and_back() {
    let space = Space::new();
    let [file, folder, inside] = ["f", "d", "i"].map(|letter| letter.repeat(255));
    space.write("in.txt", "hello\n");
    let stage = "s".repeat(100);
    space.write(
        "p.toml",
        Pipeline::new().named(&stage).command(
            &stage,
            &format!("cat in.txt > {file}; mkdir -p {folder}; cat in.txt > {folder}/{inside}"),
            ["in.txt"],
            [&file, &folder],
        ),
    );
    assert_eq!(space.run("p.toml")[0].outcome, "ran");
    let is_right = |content: &str| {
        assert_eq!((space.read(&file), space.read(&format!("{folder}/{inside}"))), (content.into(), content.into()));
    };
    is_right("hello\n");
    // Edited, so that it is put aside, and restored.
    space.write(&file, "mine\n");
    space.write(&format!("{folder}/{inside}"), "mine\n");
    assert_eq!(space.run("p.toml")[0].outcome, "hit");
    is_right("hello\n");
    assert_eq!(space.intrada(&format!("log p.toml {stage}")).code, Some(0));
}

#[test]
fn outputs_that_are_the_program_s_own_files_are_refused_at_their_place_in_the_file() {
    for output in [
        "runs",
        "runs/mine",
        "runs/mine/report.html",
        "runs/other/report.html",
        "cache",
        "cache/version",
        "p.toml",
        ".",
    ] {
        let space = Space::new();
        space.write("p.toml", Pipeline::new().named("mine").command("a", "true", [], [output]));
        for command in ["plan p.toml", "p.toml"] {
            let ran = space.intrada(command);
            assert_eq!(ran.code, Some(2), "{output}: {}", ran.stdout);
            assert!(ran.stderr.contains("p.toml:8:12") && ran.stderr.contains("can't be an output"), "{}", ran.stderr);
        }
        assert_eq!(fs::read_dir(space.path("")).unwrap().count(), 1, "{output}");
    }
}

#[test]
fn what_a_power_failure_took_of_the_last_result_is_computed_again_and_nothing_else() {
    let append = |from: &str, to: &str| format!("(cat {from}; echo {to}) > {to}");
    let last = format!("echo > begun; while [ ! -e go ]; do sleep 0.02; done; {}", append("b", "c"));
    // Of a file whose content was not written when the power failed the name is gone, or leads to an empty file.
    for (lost, what) in [("object", "empty"), ("object", "gone"), ("record", "empty"), ("record", "gone")] {
        let pipeline = Pipeline::new()
            .command("a", &append("in.txt", "a"), ["in.txt"], ["a"])
            .command("b", &append("a", "b"), ["a"], ["b"])
            .command("c", &last, ["b"], ["c"]);
        let space = Space::with(pipeline);
        space.write("in.txt", "in\n");
        let mut run = space.start("p.toml");
        space.wait_for_file("begun");
        run.kill().unwrap();
        run.wait().unwrap();
        let of_b = |path: &PathBuf| {
            let text = fs::read_to_string(path).unwrap_or_default();
            if lost == "object" { text == "in\na\nb\n" } else { text.contains("\"stage\": \"b\"") }
        };
        let folder = space.path(if lost == "object" { "cache/objects" } else { "cache/traces" });
        let path = files(&folder).into_iter().find(of_b).unwrap();
        fs::remove_file(&path).unwrap();
        if what == "empty" {
            fs::write(&path, "").unwrap();
        }
        space.write("b", "");
        space.write("go", "");
        let settled = space.run("p.toml");
        let of = |stage: &str| settled.iter().find(|settled| settled.stage == stage).unwrap().outcome.clone();
        assert_eq!((of("b"), of("c")), ("ran".into(), "ran".into()), "{lost} {what}");
        assert_ne!(of("a"), "ran", "{lost} {what}");
        assert_eq!(space.read("c"), "in\na\nb\nc\n");
    }
}
