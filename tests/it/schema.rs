//! The JSON Schema, asked by somebody else's validator: what the program takes it takes, and what a schema can know to be wrong
//! it refuses, as an editor would while one types.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::space::Space;

/// Prints of each TOML file how many mistakes the schema finds; `toml` where it is none.
const VALIDATE: &str = r#"
import json, sys, tomllib, jsonschema
schema = json.load(open(sys.argv[1]))
jsonschema.Draft202012Validator.check_schema(schema)
validator = jsonschema.Draft202012Validator(schema)
for path in sys.argv[2:]:
    try:
        found = len(list(validator.iter_errors(tomllib.load(open(path, "rb")))))
    except tomllib.TOMLDecodeError:
        found = "toml"
    print(found)
"#;

/// Wrong files about which one table alone says nothing: names that don't exist, rules between stages, paths, `--set`.
const ONLY_THE_PROGRAM_KNOWS: &[&str] = &[
    "executor-argument",
    "executor-local",
    "matrix-members",
    "matrix-partners",
    "model-of-other-weights",
    "no-classes",
    "no-such-output",
    "outputs-outside",
    "outputs-too-long",
    "scenes-with-other-classes",
    "set-beside-an-axis",
    "set-number",
    "set-unknown-key",
    "set-wrong-value",
    "tags",
    "things",
    "too-many-iterations",
    "two-data-sets-in-one-split",
    "two-discriminator-inits",
    "two-outputs-fit",
    "two-writers",
    "unused",
    "wrong-output",
];

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn pipelines(folder: &Path) -> Vec<PathBuf> {
    let mut files = crate::space::files(folder);
    files.retain(|file| file.extension().is_some_and(|ending| ending == "toml"));
    files.sort();
    files
}

/// How many mistakes the schema finds in each file; none where it is no TOML. `None`, with a reason, without a validator.
fn mistakes(space: &Space, files: &[PathBuf]) -> Option<Vec<Option<usize>>> {
    space.write("schema.json", space.intrada("schema").stdout);
    let output = Command::new("python3").args(["-c", VALIDATE]).arg(space.path("schema.json")).args(files).output();
    let output = match output {
        Ok(output) if output.status.success() => output,
        Ok(output) if String::from_utf8_lossy(&output.stderr).contains("ModuleNotFoundError") => {
            eprintln!("skipped: Python has no jsonschema or no tomllib here");
            return None;
        }
        Ok(output) => panic!("{}", String::from_utf8_lossy(&output.stderr)),
        Err(error) => {
            eprintln!("skipped: there is no python3: {error}");
            return None;
        }
    };
    let found: Vec<_> = String::from_utf8(output.stdout).unwrap().lines().map(|line| line.parse().ok()).collect();
    assert_eq!(found.len(), files.len());
    Some(found)
}

#[test]
fn every_pipeline_of_the_repository_and_what_init_writes_is_valid() {
    let space = Space::new();
    assert_eq!(space.intrada("init scenes").code, Some(0));
    let mut files = pipelines(&repository().join("pipelines"));
    files.extend(pipelines(&repository().join("examples")));
    files.push(space.path("scenes/pipeline.toml"));
    assert!(files.len() > 8);
    let Some(found) = mistakes(&space, &files) else { return };
    let wrong: Vec<_> = files.iter().zip(found).filter(|(_, mistakes)| *mistakes != Some(0)).collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn every_wrong_file_is_refused_but_for_what_only_the_program_can_know() {
    let space = Space::new();
    let files = pipelines(&repository().join("src/runner/pipeline/wrong"));
    let Some(found) = mistakes(&space, &files) else { return };
    let name = |file: &PathBuf| file.file_stem().unwrap().to_str().unwrap().to_owned();
    let accepted: Vec<String> =
        files.iter().zip(&found).filter(|(_, mistakes)| **mistakes == Some(0)).map(|(file, _)| name(file)).collect();
    assert_eq!(accepted, ONLY_THE_PROGRAM_KNOWS);
    assert!(found.iter().filter(|mistakes| mistakes.is_some_and(|count| count > 0)).count() >= 18);
}
