//! The Python package `intrada`: its own tests, with the real program and the results of a real pipeline.
//!
//! They are Python files, run by `unittest` alone. Skipped without numpy; a test that needs another package skips itself, and
//! says so.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::pipelines::method;
use crate::space::{Ran, Space};

fn checkout(relative: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(relative)
}

/// Python with the package of this checkout, which starts the program under test. None without a Python that has numpy.
fn python() -> Option<Command> {
    let mut path = vec![checkout("src/python")];
    path.extend(std::env::var_os("PYTHONPATH").iter().flat_map(std::env::split_paths));
    let with_packages = || {
        let mut command = Command::new("python3");
        command.env("PYTHONPATH", std::env::join_paths(&path).unwrap()).env("PYTHONDONTWRITEBYTECODE", "1");
        command.env("INTRADA_RUN", env!("CARGO_BIN_EXE_intrada-run")).env_remove("INTRADA_CACHE").env("NO_COLOR", "1");
        command
    };
    let has = with_packages().args(["-c", "import numpy"]).output().is_ok_and(|ran| ran.status.success());
    if !has {
        println!("skipped: there is no python3 with numpy");
        return None;
    }
    Some(with_packages())
}

/// The tests of one file pass; what they skipped is printed.
fn pass(mut python: Command, file: &str) {
    let discover = ["-W", "error::ResourceWarning", "-m", "unittest", "discover", "--verbose", "--start-directory"];
    let ran = python.args(discover).arg(checkout("src/python/tests")).args(["--pattern", file]).output().unwrap();
    let ran = Ran::of(ran);
    assert_eq!(ran.code, Some(0), "{}\n{}", ran.stdout, ran.stderr);
    let is_skip = |line: &&str| line.contains("skipped");
    ran.stdout.lines().chain(ran.stderr.lines()).filter(is_skip).for_each(|line| println!("{line}"));
    let number = ran.stderr.lines().find_map(|line| line.strip_prefix("Ran ")?.split(' ').next()?.parse().ok());
    assert!(number > Some(0), "{}", ran.stderr);
}

#[test]
fn values_events_and_exported_folders_are_read_as_documented_and_a_wheel_promises_what_it_keeps() {
    for file in ["test_values.py", "test_network.py", "test_wheel.py"] {
        let Some(python) = python() else { return };
        pass(python, file);
    }
}

#[test]
fn tables_and_pictures_hold_what_a_run_wrote_and_runs_are_told_started_and_interrupted() {
    let Some(mut python) = python() else { return };
    let looks = "dataset = \"test\"\nevaluate_every = 2\ncandidates_every = 2\n";
    let space = Space::with(method().with("stages.intra", looks));
    space.run("p.toml");
    python.env("INTRADA_TEST_SPACE", space.path(""));
    pass(python, "test_results.py");
}

/// The quickstart, of less than a tenth of its size.
#[test]
fn the_notebook_runs_from_its_first_cell_to_its_last() {
    let Some(mut python) = python() else { return };
    let space = Space::new();
    space.write("examples/notebook.ipynb", std::fs::read(checkout("examples/notebook.ipynb")).unwrap());
    space.write("cache/CACHEDIR.TAG", std::fs::read(checkout("cache/CACHEDIR.TAG")).unwrap());
    let quickstart = std::fs::read_to_string(checkout("pipelines/quickstart.toml")).unwrap();
    let small: String = quickstart.lines().map(|line| smaller(line) + "\n").collect();
    assert_ne!(small, quickstart);
    space.write("pipelines/quickstart.toml", small);
    python.env("INTRADA_TEST_NOTEBOOK", space.path(""));
    pass(python, "test_notebook.py");
}

/// A line of a pipeline file with fewer iterations and images.
fn smaller(line: &str) -> String {
    match line.split_once(" = ") {
        Some((key @ ("iterations" | "schedule_iterations"), _)) => format!("{key} = 12"),
        Some(("count", _)) => "count = 12".to_owned(),
        _ => line.to_owned(),
    }
}

#[test]
fn the_package_is_started_as_the_program_is() {
    let Some(mut python) = python() else { return };
    let space = Space::with("format = 1\n");
    let ran =
        Ran::of(python.args(["-m", "intrada", "graph", "nowhere.toml"]).current_dir(space.path("")).output().unwrap());
    let own = space.intrada("graph nowhere.toml");
    assert_eq!((ran.code, ran.stderr), (own.code, own.stderr));
}
