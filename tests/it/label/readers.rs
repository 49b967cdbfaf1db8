//! Round trips with other programs' readers and writers: datumaro, which is CVAT's, and the converter of Label Studio.
//!
//! They need more than 600 MB, so `check` doesn't install them: docs/label.md has the command. Without them the test is skipped.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{adapted, are_corrected, correct_in_label_studio, done, unpacked};
use crate::space::{Ran, Space};

fn checkout(relative: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(relative)
}

/// Python with this module, from `target/label`. `None`, and it is said, where there is none.
fn python(modules: &str) -> Option<Command> {
    let made = || {
        let mut python = Command::new("python3");
        let packages = checkout("target/label");
        if packages.is_dir() {
            python.env("PYTHONPATH", packages);
        }
        python
    };
    let needs = format!("import {modules}");
    let has = made().args(["-c", &needs]).output().is_ok_and(|ran| ran.status.success());
    if !has {
        println!("skipped: no python3 that can `{needs}`; docs/label.md says how to install it");
    }
    has.then(made)
}

fn run(mut python: Command, space: &Space, arguments: &[&str]) {
    let ran = python.arg(checkout("tests/it/label/readers.py")).args(arguments).current_dir(space.path("")).output();
    let ran = Ran::of(ran.unwrap());
    assert_eq!(ran.code, Some(0), "{}{}", ran.stdout, ran.stderr);
}

#[test]
fn datumaro_reads_each_pixel_of_the_masks_and_what_it_writes_is_read() {
    let Some(python) = python("datumaro") else { return };
    let space = adapted(8, |pipeline| pipeline);
    done(&space.intrada("label p.toml --count 5 --out to-label --for cvat"));
    for (name, bytes) in unpacked(&space.bytes("to-label/cvat.zip")) {
        space.write(&format!("cvat/{name}"), bytes);
    }
    run(python, &space, &["cvat", "to-label", "cvat", "written"]);
    done(&space.intrada("label --read written --out to-label"));
    are_corrected(&space, "to-label");
}

#[test]
fn the_converter_of_label_studio_reads_each_pixel_of_the_predictions_and_what_it_encodes_is_read() {
    let Some(python) = python("label_studio_sdk.converter.brush") else { return };
    let space = adapted(8, |pipeline| pipeline);
    done(&space.intrada("label p.toml --count 5 --out to-label --for label-studio"));
    // The form of an export; the codes of its regions are then those of the converter.
    correct_in_label_studio(&space, "to-label", "export.json");
    run(python, &space, &["label-studio", "to-label", "export.json"]);
    done(&space.intrada("label --read export.json --out to-label"));
    are_corrected(&space, "to-label");
}
