//! Entropy inference looks at the images that are new, and gives the bytes of a run that looked at all of them.

use std::process::{Child, Stdio};

use crate::pipelines::{Pipeline, training};
use crate::space::processes::kill;
use crate::space::{Ran, Space, files, grey_png};

fn pipeline() -> Pipeline {
    training().set("pipeline.device", "cpu").set("stages.inter.iterations", 1).folder("target").inferred()
}

/// With so many images, each of another grey.
fn space_with(images: u8) -> Space {
    let space = Space::with(pipeline());
    (0..images).for_each(|number| add(&space, number, 10 * number));
    space
}

fn add(space: &Space, number: u8, grey: u8) {
    space.write(&format!("target/images/town/{number:03}.png"), grey_png(64, 32, grey));
}

fn summary(ran: &Ran) -> String {
    assert_eq!(ran.code, Some(0), "{}\n{}", ran.stdout, ran.stderr);
    let events = ran.events();
    let finished = events.iter().find(|event| event["event"] == "stage-finished" && event["stage"] == "entropy");
    let finished = finished.expect("the stage settles");
    assert_eq!(finished["outcome"], "ran", "{finished}");
    finished["notes"]["summary"].as_str().expect("it says what it did").to_owned()
}

/// Runs the stage, which must be necessary, and says what it looked at.
fn run(space: &Space, more: &str) -> String {
    summary(&space.intrada(&format!("run p.toml entropy --format json {more}")))
}

fn outputs(space: &Space) -> Vec<(String, Vec<u8>)> {
    let top = space.path("runs/p/entropy");
    let relative = |path: &std::path::PathBuf| path.strip_prefix(&top).unwrap().display().to_string();
    files(&top).iter().map(|path| (relative(path), std::fs::read(path).unwrap())).collect()
}

/// That the outputs are those of a cache that knows nothing.
fn assert_as_if_fresh(space: &Space) {
    let found = outputs(space);
    let fresh = space.path("fresh").display().to_string();
    assert!(!run(space, &format!("--cache {fresh}")).contains("reused"));
    let expected = outputs(space);
    space.remove("fresh");
    assert!(found.len() > 2);
    for (a, b) in found.iter().zip(&expected) {
        assert!(a == b, "{} differs from {}", a.0, b.0);
    }
    assert_eq!(found.len(), expected.len());
}

#[test]
fn the_network_looks_at_images_that_are_new_or_changed_and_at_no_other() {
    let space = space_with(5);
    assert_eq!(run(&space, ""), "5 images");
    assert_as_if_fresh(&space);

    add(&space, 7, 200);
    assert_eq!(run(&space, ""), "6 images, 5 reused");
    assert_as_if_fresh(&space);

    add(&space, 1, 201);
    assert_eq!(run(&space, ""), "6 images, 5 reused");
    space.remove("target/images/town/000.png");
    assert_eq!(run(&space, ""), "5 images, 5 reused");
    assert_as_if_fresh(&space);

    // Neither its name nor its place among the others is what an image is.
    std::fs::rename(space.path("target/images/town/003.png"), space.path("target/images/a, \"b\".png")).unwrap();
    assert_eq!(run(&space, ""), "5 images, 5 reused");
    assert!(space.read("runs/p/entropy/scores.csv").contains("\"a, \"\"b\"\".png\","));
    assert!(space.bytes("runs/p/entropy/photographs/a, \"b\".jpg").starts_with(b"\xff\xd8"), "a JPEG");
    assert_as_if_fresh(&space);

    add(&space, 8, 202);
    assert_eq!(run(&space, "--force entropy"), "6 images");
}

#[test]
fn what_determines_a_result_besides_the_image_leaves_nothing_to_reuse() {
    let space = space_with(3);
    run(&space, "");
    space.edit("p.toml", "root = \"target\"", "root = \"target\"\nsize = [32, 16]");
    assert_eq!(run(&space, ""), "3 images");
    space.edit("p.toml", "\nsize = [32, 16]", "");
    space.edit("p.toml", "iterations = 1", "iterations = 2");
    assert_eq!(run(&space, ""), "3 images", "other weights");
    space.edit("p.toml", "iterations = 2", "iterations = 1");
    add(&space, 5, 200);
    assert_eq!(run(&space, ""), "4 images, 3 reused", "the weights of before are back");
    // Sums come out in another order: a table would be half from here and half from there.
    space.edit("p.toml", "threads = 1", "threads = 2");
    add(&space, 6, 201);
    assert_eq!(run(&space, ""), "5 images");
}

#[test]
fn a_scene_is_known_when_there_are_more_of_them() {
    let space = space_with(0);
    space.write("p.toml", pipeline().scenes("target", "target", 2, 3));
    assert_eq!(run(&space, ""), "3 images");
    space.edit("p.toml", "count = 3", "count = 4");
    assert_eq!(run(&space, ""), "4 images, 3 reused");
    assert_as_if_fresh(&space);
    space.edit("p.toml", "seed = 2\ncount", "seed = 3\ncount");
    assert_eq!(run(&space, ""), "4 images");
}

#[test]
fn a_result_that_is_damaged_is_computed_again() {
    let space = space_with(4);
    run(&space, "");
    let damaged = std::fs::read(space.path("runs/p/entropy/predictions/town/002.png")).unwrap();
    let [before, after] = [6, 7];
    for object in space.objects() {
        if std::fs::read(&object).unwrap() == damaged {
            std::fs::remove_file(&object).unwrap();
            std::fs::write(&object, "nothing like it").unwrap();
        }
    }
    let findings = files(&space.path("cache/items"));
    let [setting] = &findings[..] else { panic!("one setting: {findings:?}") };
    let mut bytes = std::fs::read(setting).unwrap();
    bytes[200] ^= 1;
    std::fs::remove_file(setting).unwrap();
    std::fs::write(setting, bytes).unwrap();
    space.remove("runs");
    add(&space, before, 200);
    // All greys may have the same map, so at least one is looked at again, and a line more is lost.
    let said = run(&space, "");
    let reused: u32 = said.split(", ").nth(1).and_then(|part| part.split(' ').next()?.parse().ok()).unwrap_or(0);
    assert!(said.starts_with("5 images") && reused <= 2, "{said}");
    assert_as_if_fresh(&space);
    add(&space, after, 201);
    assert_eq!(run(&space, ""), "6 images, 5 reused", "all is whole again");
}

/// Images large enough for a pass to be caught in the middle of it.
fn space_with_large_images() -> Space {
    let space = Space::with(pipeline());
    (0..40u8).for_each(|number| add_large(&space, number));
    space.run("p.toml inter");
    space
}

fn add_large(space: &Space, number: u8) {
    space.write(&format!("target/images/{number:03}.png"), grey_png(512, 256, 6 * number));
}

/// Starts a run and waits until so many images have been looked at.
fn started(space: &Space, images: usize) -> Child {
    let run = space.command("run p.toml --format json").stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
    let mut run = run.unwrap();
    space.wait_for_lines(&mut run, "items/findings", images);
    assert!(run.try_wait().unwrap().is_none(), "the pass ended before it was to be disturbed");
    run
}

fn reused(said: &str) -> u32 {
    let reused = said.strip_prefix("40 images, ").and_then(|rest| rest.split(' ').next()?.parse().ok());
    reused.unwrap_or_else(|| panic!("{said}"))
}

#[test]
fn a_pass_that_is_killed_or_interrupted_goes_on_where_it_was() {
    let space = space_with_large_images();
    for (signal, images) in [("-KILL", 3), ("-INT", 8)] {
        let mut run = started(&space, images);
        assert!(kill(run.id(), signal));
        run.wait().unwrap();
    }
    // What was found belongs to the images: it is there for another data set that has them, too.
    space.remove("target/images/039.png");
    add_large(&space, 41);
    assert!((8..40).contains(&reused(&run(&space, ""))));
    assert_as_if_fresh(&space);

    // And to the unfinished pass, whatever becomes of the cache meanwhile.
    space.remove("target/images/041.png");
    add_large(&space, 39);
    space.remove("cache/items");
    space.remove("cache/objects");
    assert!((8..40).contains(&reused(&run(&space, ""))));
    assert_as_if_fresh(&space);
}

#[test]
fn an_image_that_is_edited_during_the_pass_is_not_taken_for_what_it_was() {
    let space = space_with_large_images();
    let disturbed = started(&space, 2);
    let last = space.bytes("target/images/039.png");
    space.write("target/images/039.png", grey_png(512, 256, 251));
    let ran = Ran::of(disturbed.wait_with_output().unwrap());
    assert_eq!(ran.outcome("entropy").outcome, "failed", "{}", ran.stdout);
    // As if it had never been edited: but the pass saw another image.
    space.write("target/images/039.png", last);
    assert_eq!(run(&space, ""), "40 images, 39 reused");
    assert_as_if_fresh(&space);
}
