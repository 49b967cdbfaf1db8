//! A place has one name in a pipeline: what two paths reach, one of them through a symbolic link, is told before anything runs.

use std::os::unix::fs::symlink;

use crate::pipelines::Pipeline;
use crate::space::{Ran, Space};

fn two(input: &str, output: &str) -> Pipeline {
    let pipeline = Pipeline::new().command("a", "mkdir -p real/o; echo a > real/o/x", [], ["real/o"]);
    pipeline.command("b", "cat IN > b.txt", [input], [output])
}

/// With an input and an output of the second stage, and links.
fn space(input: &str, output: &str, links: &[(&str, &str)]) -> Space {
    let space = Space::with(two(input, output));
    for folder in ["real", "in", "sub"] {
        std::fs::create_dir(space.path(folder)).unwrap();
    }
    space.write("in/file", "f");
    for (target, link) in links {
        symlink(target, space.path(link)).unwrap();
    }
    space
}

/// `plan` and a run refuse it with these words, at a line of the file, and nothing runs.
fn is_refused(space: &Space, words: &[&str]) {
    for arguments in ["plan p.toml", "p.toml"] {
        let Ran { code, stderr, .. } = space.intrada(arguments);
        assert_eq!(code, Some(2), "{arguments}: {stderr}");
        for word in words.iter().chain(&["p.toml:", "symbolic link"]) {
            assert!(stderr.contains(word), "{arguments}: no {word:?} in {stderr}");
        }
    }
    assert!(!space.path("real/o").exists());
}

#[test]
fn two_outputs_that_are_one_place_through_a_link_are_refused() {
    for (output, links) in [
        ("lk/o", &[("real", "lk")][..]),
        ("lk/o/x", &[("real", "lk")]),
        ("lk", &[("real/o", "lk")]),
        ("sub/lk/o", &[("../second", "sub/lk"), ("real", "second")]),
    ] {
        let output = if output == "lk" { "lk/b.txt" } else { output };
        is_refused(&space("in", output, links), &["`real/o`", "overlap"]);
    }
    let space = space("in", "lk/b.txt", &[("cache", "lk")]);
    is_refused(&space, &["`lk/b.txt`", "the cache"]);
}

#[test]
fn an_output_that_is_read_under_another_name_is_named_with_its_own() {
    for (input, links) in [
        ("lk", &[("real/o", "lk")][..]),
        ("lk/o", &[("real", "lk")]),
        ("lk/o/x", &[("real", "lk")]),
        ("lk", &[("real", "lk")]),
        ("in", &[("../real/o", "in/l")]),
        ("in", &[("../real/o/x", "in/l")]),
        ("in", &[("../sub", "in/l"), ("../real/o", "sub/deep")]),
    ] {
        is_refused(&space(input, "b.txt", links), &["`a`", "name it `real/o`"]);
    }
}

#[test]
fn links_that_lead_to_no_output_are_followed_as_ever() {
    let space = space("in", "out/b.txt", &[("../real", "in/l"), ("sub", "out")]);
    space.edit("p.toml", "cat IN > b.txt", "cat in/file > out/b.txt");
    space.edit("p.toml", "[stages.a]\nkind = \"command\"\nshell = \"mkdir -p real/o; echo a > real/o/x\"\ninputs = []\noutputs = [\"real/o\"]\n", "");
    // Into what it reads no stage writes.
    symlink("../sub", space.path("in/own")).unwrap();
    let ran = space.intrada("p.toml");
    assert!(ran.code == Some(2) && ran.stderr.contains("into what it reads"), "{}", ran.stderr);
    std::fs::remove_file(space.path("in/own")).unwrap();
    let ran = space.intrada("p.toml");
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_eq!(space.read("sub/b.txt"), "f");
}

#[test]
fn no_output_is_one_of_the_program_s_own_files() {
    for output in ["in/.intrada/x", ".intrada", ".intrada-x", "d/.x.intrada-aside"] {
        let ran = space("in", output, &[]).intrada("plan p.toml");
        assert!(ran.code == Some(2) && ran.stderr.contains("reserved for the program"), "{output}: {}", ran.stderr);
    }
}
