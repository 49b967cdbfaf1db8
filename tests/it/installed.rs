//! The programs as a Python package installs them: the worker is found, and its torch is looked at before anything runs.
//!
//! The worker is a script that answers as the real one, as nothing here depends on what it computes. tests/install/chroot.sh
//! installs a real wheel.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use crate::pipelines::training;
use crate::space::{Ran, Space};
use intrada_runner::exec::job::FORMAT;

const PACKAGES: &str = "venv/lib/python3.11/site-packages";

/// A workspace with an installation in `venv`, whose torch has this version.
fn installed(torch: Option<&str>) -> Space {
    let space = Space::with(training());
    let said = format!(r#"{{"format":{FORMAT},"libtorch":"2.11.0","file":null,"cuda":false,"gpus":[]}}"#);
    space.write(&format!("{PACKAGES}/intrada/__init__.py"), "");
    let worker = format!("{PACKAGES}/intrada/bin/intrada-worker");
    space.write(
        &worker,
        format!("#!/bin/sh\ncase $1 in --describe) echo '{said}';; *) echo worked >&2; exit 9;; esac\n"),
    );
    fs::set_permissions(space.path(&worker), fs::Permissions::from_mode(0o755)).unwrap();
    if let Some(torch) = torch {
        space.write(&format!("{PACKAGES}/torch/version.py"), format!("__version__ = '{torch}'\n"));
    }
    fs::create_dir_all(space.path("venv/bin")).unwrap();
    let (program, place) = (env!("CARGO_BIN_EXE_intrada-run"), space.path("venv/bin/intrada-run"));
    if fs::hard_link(program, &place).is_err() {
        fs::copy(program, &place).unwrap();
    }
    space
}

fn run(space: &Space, arguments: &str) -> Ran {
    let mut command = Command::new(space.path("venv/bin/intrada-run"));
    command.args(arguments.split(' ')).current_dir(space.path("")).env("NO_COLOR", "1");
    for variable in ["INTRADA_WORKER", "INTRADA_CACHE", "LD_LIBRARY_PATH"] {
        command.env_remove(variable);
    }
    Ran::of(command.output().unwrap())
}

/// The value of a file's line that begins so, up to the quote.
fn pinned(file: &str, beginning: &str) -> String {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap();
    let (_, rest) = text.split_once(beginning).unwrap_or_else(|| panic!("{file} has no {beginning:?}"));
    rest.split('"').next().unwrap().to_owned()
}

#[test]
fn the_torch_that_the_checkout_is_built_with_is_the_one_that_the_package_asks_for_and_takes() {
    let built_with = pinned("fetch-libtorch", "TORCH = \"");
    let asked_for = pinned("pyproject.toml", "\"numpy\", \"torch==");
    assert!(built_with.starts_with(asked_for.strip_suffix('*').unwrap()), "{built_with} is no {asked_for}");
    let space = installed(Some(&format!("{built_with}+cu130")));
    let ran = run(&space, "doctor");
    assert!(ran.stdout.contains("  ok    libtorch: 2.11.0 (CPU build), found by the worker in "), "{}", ran.stdout);
    assert!(run(&space, "p.toml").stderr.contains("worked"), "the worker was started");
}

#[test]
fn a_torch_of_another_version_or_none_is_told_with_the_cure_and_no_worker_is_started() {
    for (torch, what) in [(Some("2.10.0+cpu"), "has torch 2.10.0+cpu"), (None, "has none")] {
        let space = installed(torch);
        let place = fs::canonicalize(space.path(PACKAGES)).unwrap();
        let expected = format!("intrada needs torch 2.11, and {} {what}", place.display());
        for arguments in ["doctor p.toml", "p.toml", "plan p.toml"] {
            let ran = run(&space, arguments);
            let said = format!("{}{}", ran.stdout, ran.stderr);
            assert!(said.contains(&expected), "{arguments}: {said}");
            assert!(said.contains("python3 -m pip install 'torch==2.11.*'"), "{arguments}: {said}");
            assert!(!said.contains("worked"), "{arguments}: {said}");
            assert_eq!(ran.code == Some(0), arguments.starts_with("plan"), "{arguments}: {said}");
        }
    }
}
