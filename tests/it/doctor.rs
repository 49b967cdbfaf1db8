//! `doctor`: what would stand in a run's way is told before it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::pipelines::{Pipeline, training};
use crate::space::{Ran, Space, grey_png};
use intrada_runner::exec::job::FORMAT;

/// A source with labels, a target without and weights in a file; nothing of it is ever run here.
fn pipeline() -> Pipeline {
    let pipeline = training().set("pipeline.classes", "cityscapes-19").folder("source").adapted().folder("target");
    let pipeline = pipeline.set("stages.inter.method", "minent").without("stages.inter.discriminator_width");
    pipeline.inferred().with("stages.entropy", "weights = \"published.safetensors\"\nmodel = \"small\"\n")
}

/// A worker that finds what a real one would, without libtorch: tests of the data have no use for that.
fn worker() -> String {
    let said = format!(r#"{{"format":{FORMAT},"libtorch":"2.11.0","file":null,"cuda":false,"gpus":[]}}"#);
    let tried = format!(r#"{{"format":{FORMAT},"faults":[null],"warnings":[[]]}}"#);
    format!(
        "#!/bin/sh\necho a library says hello\n\
         case $1 in --describe) echo '{said}';; --try-weights) echo '{tried}';; *) exit 9;; esac\n"
    )
}

/// A label of 8 × 4 pixels that holds each of the 19 classes.
fn all_classes() -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, 8, 4);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.write_header().unwrap().write_image_data(&(0..32).map(|i| i % 19).collect::<Vec<u8>>()).unwrap();
    bytes
}

fn healthy() -> Space {
    let space = Space::with(pipeline());
    for i in 0..3 {
        space.write(&format!("source/images/{i}.png"), grey_png(8, 4, 90));
        space.write(&format!("source/labels/{i}.png"), all_classes());
        space.write(&format!("target/images/{i}.png"), grey_png(8, 4, 50));
    }
    space.write("published.safetensors", crate::weights::safetensors(&[("w".to_owned(), vec![1])], "", ""));
    space.write("worker", worker());
    fs::set_permissions(space.path("worker"), fs::Permissions::from_mode(0o755)).unwrap();
    space
}

fn doctor(space: &Space, arguments: &str) -> Ran {
    let mut command = space.command(&format!("doctor {arguments}"));
    Ran::of(command.env("INTRADA_WORKER", space.path("worker")).output().unwrap())
}

#[test]
fn a_healthy_space_is_told_line_by_line_and_left_as_it_is() {
    let space = healthy();
    let before = crate::space::files(&space.path(""));
    let ran = doctor(&space, "p.toml");
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{}", ran.stdout);
    for line in [
        "  ok    libtorch: 2.11.0 (CPU build), found by the worker in ",
        "  ok    cores: ",
        "cache (created by the first run): ",
        "  ok    source: 3 images, 3 labels, values 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18, 8 × 4\n",
        "  ok    target: 3 images, no labels needed, 8 × 4\n",
        "  ok    1 other input: found, 66 bytes in files\n",
        "  ok    1 weight file: loaded into the networks of the stages that name them\n",
    ] {
        assert!(ran.stdout.contains(line), "{line:?} is missing in\n{}", ran.stdout);
    }
    assert_eq!(crate::space::files(&space.path("")), before);
}

#[test]
fn the_real_worker_tells_its_libtorch() {
    let space = Space::new();
    let ran = Ran::of(space.command("doctor").env_remove("INTRADA_WORKER").output().unwrap());
    // Built without libtorch there is none, unless an earlier build left one.
    if Path::new(env!("CARGO_BIN_EXE_intrada-run")).with_file_name("intrada-worker").exists() {
        assert_eq!(ran.code, Some(0), "{}", ran.stdout);
        assert!(ran.stdout.contains("libtorch: 2."), "{}", ran.stdout);
    } else {
        assert_eq!(ran.code, Some(1), "{}", ran.stdout);
        assert!(ran.stdout.contains("FAIL  worker: there is no intrada-worker beside intrada-run"), "{}", ran.stdout);
    }
}

#[test]
fn wrong_labels_and_images_without_label_are_told_in_one_go() {
    let space = healthy();
    space.write("source/labels/0.png", grey_png(8, 4, 0));
    space.write("source/labels/1.png", grey_png(8, 4, 33));
    space.remove("source/labels/2.png");
    let ran = doctor(&space, "p.toml");
    assert_eq!(ran.code, Some(1), "{}", ran.stdout);
    for part in [
        "  FAIL  source: 3 images, 2 labels, values 0 33, 8 × 4\n",
        "`source/labels` holds no label for 1 image of 3: 2.png",
        "1 of 2 labels holds values that are no class: 33; the classes are 0 to 18, and 255 is ignored",
        "labels/1.png`: value 33 is not one of the 19 classes: 32 pixels, first at column 0, row 0",
        "it is read by inter",
        "help: if these are Cityscapes' label ids: `map = { 0 = 255, 1 = 255, ",
        "help: `format` reads label ids as they are: cityscapes, ",
    ] {
        assert!(ran.stdout.contains(part), "{part:?} is missing in\n{}", ran.stdout);
    }
    let refused = space.intrada("plan p.toml");
    assert_eq!(refused.code, Some(2), "doctor fails where a run would: {}", refused.stdout);
}

#[test]
fn a_label_of_another_size_than_its_image_is_told_before_a_training_meets_it() {
    let space = healthy();
    space.write("source/labels/1.png", grey_png(4, 4, 1));
    let told = "1 of 3 labels of `source` has another size than its image: `1.png` is 8 × 4, its label 4 × 4";
    let asked = |arguments: &str| {
        let ran = Ran::of(space.command(arguments).env("INTRADA_WORKER", space.path("worker")).output().unwrap());
        ran.stdout + &ran.stderr
    };
    for arguments in ["doctor p.toml", "plan p.toml"] {
        assert!(asked(arguments).contains(told), "{}", asked(arguments));
    }
    space.edit("p.toml", "root = \"source\"", "root = \"source\"\nsize = [8, 4]");
    assert!(!asked("plan p.toml").contains("another size"), "both are brought to one size");
}

#[test]
fn of_many_labels_200_are_read_unless_all_are_asked_for() {
    let space = healthy();
    for i in 3..401 {
        space.write(&format!("source/images/{i:03}.png"), grey_png(8, 4, 90));
        space.write(&format!("source/labels/{i:03}.png"), grey_png(8, 4, 0));
    }
    // The last of the sorted names: no multiple of the stride.
    space.write("source/labels/400.png", grey_png(8, 4, 99));
    let ran = doctor(&space, "p.toml");
    assert!(
        ran.stdout.contains(
            "401 images, 401 labels, 134 of them read: values 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18, 8 × 4"
        ),
        "{}",
        ran.stdout
    );
    let all = doctor(&space, "p.toml --all-labels");
    assert_eq!(all.code, Some(1), "{}", all.stdout);
    assert!(all.stdout.contains("1 of 401 labels holds values that are no class: 99;"), "{}", all.stdout);
}

#[test]
fn what_a_pipeline_names_and_is_not_there_fails() {
    let space = healthy();
    space.remove("published.safetensors");
    fs::rename(space.path("target"), space.path("pictures")).unwrap();
    let ran = doctor(&space, "p.toml");
    assert_eq!(ran.code, Some(1), "{}", ran.stdout);
    assert!(ran.stdout.contains("FAIL  input: `published.safetensors` does not exist"), "{}", ran.stdout);
    assert!(ran.stdout.contains("FAIL  target: `target/images` does not exist; `.` holds"), "{}", ran.stdout);
    space.write("published.safetensors", "");
    let ran = doctor(&space, "p.toml");
    assert!(ran.stdout.contains("FAIL  input: `published.safetensors` is empty"), "{}", ran.stdout);
}

#[test]
fn a_data_set_that_no_stage_uses_is_told_and_stands_in_no_way() {
    let space = healthy();
    space.write("p.toml", pipeline().dataset("spare", "format = \"folder\"\nroot = \"nowhere\"\n"));
    let ran = doctor(&space, "p.toml");
    assert_eq!(ran.code, Some(0), "{}", ran.stdout);
    assert!(ran.stdout.contains("  ok    spare: no stage uses it; `nowhere/images` does not exist"), "{}", ran.stdout);
}

#[test]
fn a_missing_worker_fails_and_only_warns_where_commands_alone_are_run() {
    let space = healthy();
    let run = |arguments: &str, worker: &str| {
        Ran::of(space.command(arguments).env("INTRADA_WORKER", worker).output().unwrap())
    };
    let ran = run("doctor p.toml", "/nowhere/intrada-worker");
    assert_eq!(ran.code, Some(1), "{}", ran.stdout);
    assert!(
        ran.stdout.contains("FAIL  worker: INTRADA_WORKER names /nowhere/intrada-worker, which does not exist"),
        "{}",
        ran.stdout
    );
    let ran = run("doctor p.toml", "/bin/false");
    assert!(ran.stdout.contains("FAIL  worker: /bin/false ended with exit status 1"), "{}", ran.stdout);
    let ran = run("doctor p.toml", "/bin/echo");
    assert!(ran.stdout.contains("FAIL  worker: /bin/echo is not the worker of this intrada-run"), "{}", ran.stdout);
    space.write("commands.toml", Pipeline::new().named("c").command("a", "true > a", [], ["a"]));
    let ran = run("doctor commands.toml", "/nowhere/intrada-worker");
    assert_eq!(ran.code, Some(0), "{}\n{}", ran.stdout, ran.stderr);
    assert!(ran.stdout.contains("warn  worker: "), "{}", ran.stdout);
}

#[test]
fn a_device_that_is_not_there_fails_before_the_run() {
    let space = healthy();
    let ran = doctor(&space, "p.toml --set pipeline.device=\"cuda\"");
    assert_eq!(ran.code, Some(1), "{}{}", ran.stdout, ran.stderr);
    assert!(
        ran.stdout.contains("FAIL  device: the pipeline asks for `cuda`, but libtorch finds 0 GPUs"),
        "{}",
        ran.stdout
    );
}

#[test]
fn a_cache_that_no_run_could_use_fails() {
    let space = healthy();
    space.write("other/thesis.tex", "");
    let ran = doctor(&space, "p.toml --cache other");
    assert_eq!(ran.code, Some(1), "{}", ran.stdout);
    assert!(ran.stdout.contains("FAIL  cache: `other` is no cache and not empty"), "{}", ran.stdout);
    space.write("newer/version", "intrada store 99\n");
    let ran = doctor(&space, "p.toml --cache newer");
    assert!(ran.stdout.contains("FAIL  cache: the cache `newer` has version 99"), "{}", ran.stdout);
    // What nobody, not even root, can write into.
    let ran = doctor(&space, "p.toml --cache /proc/intrada");
    assert_eq!(ran.code, Some(1), "{}", ran.stdout);
    assert!(ran.stdout.contains("FAIL  cache: "), "{}", ran.stdout);
}

#[test]
fn json_has_a_line_a_check_and_a_wrong_file_is_exit_2() {
    let space = healthy();
    let ran = doctor(&space, "p.toml --format json");
    let states: Vec<(String, String)> = ran
        .events()
        .iter()
        .map(|line| (line["check"].as_str().unwrap().to_owned(), line["state"].as_str().unwrap().to_owned()))
        .collect();
    assert!(states.contains(&("source".to_owned(), "ok".to_owned())), "{states:?}");
    space.write("wrong.toml", "format = 1\n[stages.a]\nkind = \"comand\"\n");
    let ran = doctor(&space, "wrong.toml");
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{}", ran.stderr);
}

/// The program under `strace`, which plays a file system that refuses these calls. `None`, with a reason, where there is none.
fn with_refusals(space: &Space, calls: &[String], arguments: &str) -> Option<Ran> {
    let mut command = std::process::Command::new("strace");
    command.args(["-f", "-qq", "-o", "/dev/null"]).args(calls).arg(env!("CARGO_BIN_EXE_intrada-run"));
    command.args(arguments.split_whitespace()).current_dir(space.path("")).env_remove("INTRADA_CACHE");
    match command.output() {
        Ok(output) => Some(Ran::of(output)),
        Err(error) => {
            eprintln!("skipped: there is no `strace`: {error}");
            None
        }
    }
}

fn injected(calls: &str, error: &str) -> Vec<String> {
    // A call that this machine doesn't have is no mistake.
    let known = calls.split(',').map(|call| format!("?{call}")).collect::<Vec<_>>().join(",");
    vec!["-e".to_owned(), format!("inject={known}:error={error}")]
}

fn copied() -> Pipeline {
    Pipeline::new().command("a", "cat in.txt > a.txt", ["in.txt"], ["a.txt"])
}

#[test]
fn what_a_file_system_refuses_and_a_run_can_do_without_is_done_without_and_told_by_doctor() {
    let cases = [
        ("chmod,fchmod,fchmodat,fchmodat2", "EPERM", "can't be write-protected"),
        ("chmod,fchmod,fchmodat,fchmodat2", "EOPNOTSUPP", "can't be write-protected"),
        ("utimensat,futimesat,utimes", "EPERM", "times of files can't be set"),
        ("link,linkat", "EPERM", "hard links)"),
        ("syncfs", "EINVAL", ""),
        ("symlink,symlinkat", "EPERM", "no symbolic links"),
        ("fsync of folders", "EINVAL", "folders can't be synced"),
        ("fsync of folders", "EOPNOTSUPP", "folders can't be synced"),
    ];
    for (calls, error, told) in cases {
        let space = Space::with(copied());
        space.write("in.txt", "hello\n");
        let options = match calls {
            "fsync of folders" => {
                let folders = ["", "/tmp", "/objects", "/traces", "/workspaces", "/slots"];
                let root = space.path("").canonicalize().unwrap();
                let of = |folder: &&str| ["-P".to_owned(), format!("{}/cache{folder}", root.display())];
                let mut options: Vec<String> = folders.iter().flat_map(of).collect();
                options.extend(["-e".to_owned(), "trace=fsync,fdatasync".to_owned()]);
                options.extend(injected("fsync,fdatasync", error));
                options
            }
            calls => injected(calls, error),
        };
        for (round, content) in ["hello\n", "hello\n", "other\n"].iter().enumerate() {
            space.write("in.txt", content);
            let Some(ran) = with_refusals(&space, &options, "p.toml --format json") else { return };
            assert_eq!(ran.code, Some(0), "{calls} {error}: {}{}", ran.stdout, ran.stderr);
            assert_eq!(ran.outcome("a").outcome == "ran", round != 1, "{calls}, round {round}: {}", ran.stdout);
            assert_eq!(&space.read("a.txt"), content);
        }
        // A write within the tick of the clock in which it was put in place is seen all the same.
        space.write("a.txt", "OTHER\n");
        let Some(ran) = with_refusals(&space, &options, "p.toml --format json") else { return };
        assert_eq!((ran.code, space.read("a.txt").as_str()), (Some(0), "other\n"), "{calls}: {}", ran.stdout);
        // Where `doctor` tries has a name of its own, so strace can't tell its folder apart.
        if calls != "fsync of folders" {
            let Some(doctor) = with_refusals(&space, &options, "doctor p.toml") else { return };
            assert_eq!(doctor.code, Some(0), "{}", doctor.stdout);
            assert!(doctor.stdout.contains(told), "{calls}: {}", doctor.stdout);
        }
    }
}

#[test]
fn what_a_run_cannot_do_without_is_told_by_doctor_and_by_the_run_with_the_way_out() {
    let cases =
        [("flock", "ENOLCK"), ("flock", "EOPNOTSUPP"), ("flock", "ENOSYS"), ("rename,renameat,renameat2", "EPERM")];
    for (calls, error) in cases {
        let space = Space::with(copied());
        space.write("in.txt", "hello\n");
        let options = injected(calls, error);
        let Some(doctor) = with_refusals(&space, &options, "doctor p.toml") else { return };
        assert_eq!(doctor.code, Some(1), "{calls} {error}: {}", doctor.stdout);
        assert!(doctor.stdout.contains("--cache"), "{calls} {error}: {}", doctor.stdout);
        let Some(ran) = with_refusals(&space, &options, "p.toml") else { return };
        assert!(matches!(ran.code, Some(1 | 2)), "{calls} {error}: {}{}", ran.stdout, ran.stderr);
        assert!(ran.stderr.contains("--cache"), "{calls} {error}: {}", ran.stderr);
        assert!(!space.path("a.txt").exists());
    }
}
