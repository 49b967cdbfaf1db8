//! What stands in the way of an output is told before anything runs: by `plan`, by `doctor`, and by a run that then runs nothing.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::Command;

use crate::pipelines::{Pipeline, training};
use crate::space::Space;
use crate::space::mounts::with_mounts;

/// A stage that takes its time, and one whose output lies in a folder.
fn slow() -> Pipeline {
    let pipeline = Pipeline::new().command("slow", "echo >> tries; echo > slow.txt", [], ["slow.txt"]);
    pipeline.command("last", "cat slow.txt > out/deep/er.txt", ["slow.txt"], ["out/deep/er.txt"])
}

type Obstacle = (&'static str, fn(&std::path::Path));

const OBSTACLES: &[Obstacle] = &[
    ("a file", |place| fs::write(place, "mine").unwrap()),
    ("a pipe", |place| assert!(Command::new("mkfifo").arg(place).status().unwrap().success())),
    ("a socket", |place| drop(std::os::unix::net::UnixListener::bind(place).unwrap())),
    ("a device", |place| symlink("/dev/null", place).unwrap()),
    ("a link to `nowhere`, which doesn't exist", |place| symlink("nowhere", place).unwrap()),
    ("a link to ", |place| symlink(place.file_name().unwrap(), place).unwrap()),
];

/// What is told of `place`, which is refused by whoever is asked, with a cure.
fn is_refused(space: &Space, place: &str, what: &str) {
    for arguments in ["plan p.toml", "run p.toml", "p.toml --format json"] {
        let ran = space.intrada(arguments);
        assert_eq!(ran.code, Some(2), "{arguments}: {what}: {}{}", ran.stdout, ran.stderr);
        let said = format!("`{place}` is {what}");
        assert!(ran.stderr.contains(&said) && ran.stderr.contains("help: "), "{arguments}: {said}: {}", ran.stderr);
        assert!(ran.stderr.contains("p.toml:"), "{arguments}: {}", ran.stderr);
    }
    let doctor = space.intrada("doctor p.toml");
    assert!(
        doctor.code == Some(1) && doctor.stdout.contains(&format!("FAIL  outputs: `{place}` is {what}")),
        "{}",
        doctor.stdout
    );
}

#[test]
fn whatever_is_no_folder_on_the_way_to_an_output_is_told_before_anything_runs() {
    for (what, make) in OBSTACLES {
        // Of a training the program itself puts the outputs in place.
        let folders: [&[&str]; 2] = [&["out", "out/deep"], &["runs", "runs/p", "runs/p/inter"]];
        for (file, places) in [slow(), training()].iter().zip(folders) {
            for place in places {
                let space = Space::with(file);
                let above = space.path(place);
                fs::create_dir_all(above.parent().unwrap()).unwrap();
                make(&above);
                is_refused(&space, place, what);
                assert!(!space.path("tries").exists(), "{place}, {what}: something ran");
                assert!(fs::symlink_metadata(&above).is_ok(), "{place}, {what}: it is gone");
            }
        }
    }
}

#[test]
fn what_lies_in_the_place_itself_is_put_aside_whatever_it_is() {
    for (what, make) in OBSTACLES {
        let space = Space::with(slow());
        fs::create_dir_all(space.path("out/deep")).unwrap();
        make(&space.path("out/deep/er.txt"));
        let ran = space.intrada("p.toml");
        assert_eq!((ran.code, space.read("out/deep/er.txt").as_str()), (Some(0), "\n"), "{what}: {}", ran.stderr);
    }
}

#[test]
fn a_folder_that_nobody_may_write_to_is_told_before_anything_runs() {
    let space = Space::new();
    space.write("p.toml", slow());
    fs::create_dir(space.path("out")).unwrap();
    let mut script = "touch mounted; mount -t tmpfs none out; mkdir out/deep; mount -o remount,ro out\n".to_owned();
    for (name, arguments) in [("run", "p.toml --cache cache"), ("plan", "plan p.toml"), ("doctor", "doctor p.toml")] {
        script += &format!("c=0; $RUN {arguments} > {name} 2>&1 || c=$?; echo $c > {name}.code\n");
    }
    let Some(_) = with_mounts(&space, &script) else { return };
    for (name, code) in [("run", "2\n"), ("plan", "2\n"), ("doctor", "1\n")] {
        let said = space.read(name);
        assert_eq!(space.read(&format!("{name}.code")), code, "{name}: {said}");
        assert!(said.contains("`out/deep` is on a read-only file system"), "{name}: {said}");
    }
    assert!(!space.path("tries").exists());
}

#[test]
fn a_folder_without_the_right_to_write_is_told_to_whoever_is_not_root() {
    let space = Space::with(slow());
    fs::create_dir_all(space.path("out/deep")).unwrap();
    fs::set_permissions(space.path("out/deep"), fs::Permissions::from_mode(0o555)).unwrap();
    if fs::write(space.path("out/deep/try"), "").is_ok() {
        fs::remove_file(space.path("out/deep/try")).unwrap();
        return eprintln!("skipped: nothing is forbidden to root");
    }
    let ran = space.intrada("p.toml");
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    assert!(
        ran.stderr.contains("`out/deep` is not writable") && ran.stderr.contains("chmod u+wx out/deep"),
        "{}",
        ran.stderr
    );
    assert!(!space.path("tries").exists());
}

#[test]
fn what_is_in_place_already_needs_no_way_in() {
    let space = Space::with(slow());
    assert_eq!(space.outcomes(), ["last:ran", "slow:ran"]);
    assert_eq!(space.outcomes(), ["last:up-to-date", "slow:up-to-date"]);
    // A stage that nobody asks for keeps nobody from another.
    fs::remove_dir_all(space.path("out")).unwrap();
    space.write("out", "mine");
    let ran = space.intrada("p.toml slow --format json");
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
}
