//! Options of data sets: what of them runs a stage again, and that the options reach the pictures.

use crate::pipelines::{Pipeline, training};
use crate::space::{Space, grey_png};

/// With a teacher, whose labels are the only ones that margins concern. It is sure of nothing.
fn taught(pipeline: Pipeline) -> Pipeline {
    pipeline.with("stages.inter", "mixed = true\nteacher_threshold = 1.0\n").set("pipeline.device", "cpu")
}

/// A training on target images, and what else reads these.
fn adapted() -> Pipeline {
    taught(training().adapted()).ranked().evaluated_on("target")
}

/// The stages that had to be looked up or run because their key is another than before.
fn other_keys(space: &Space, before: &[crate::space::Settled]) -> Vec<String> {
    let now = space.run("p.toml");
    let key = |stage: &str| before.iter().find(|settled| settled.stage == stage).map(|settled| &settled.key);
    let mut others: Vec<String> =
        now.iter().filter(|now| key(&now.stage) != Some(&now.key)).map(|now| now.stage.clone()).collect();
    others.sort();
    others
}

#[test]
fn other_margins_run_the_training_on_this_target_again_and_neither_inference_nor_ranking_nor_evaluation() {
    let space = Space::with(adapted());
    let before = space.run("p.toml");
    space.write("p.toml", &*adapted().with("datasets.target", "margin_top = 2\nmargin_bottom = 9"));
    // Pixels outside of them weigh nothing as well, so its weights are the same and what follows is up to date.
    assert_eq!(other_keys(&space, &before), ["inter"]);
    space.write("p.toml", &*adapted().with("datasets.source", "margin_top = 2"));
    assert_eq!(other_keys(&space, &before), [""; 0]);
}

#[test]
fn a_training_of_which_an_image_is_all_margin_does_not_start() {
    let pipeline = taught(training().adapted()).folder("target");
    let space = Space::with(pipeline.with("datasets.target", "margin_left = 40\nmargin_right = 24"));
    (0..3).for_each(|image| space.write(&format!("target/images/{image}.png"), grey_png(64, 32, 10 * image)));
    let ran = space.intrada("run p.toml");
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    assert!(ran.stderr.contains("3 of 3 images of `target` are all margin: `0.png` is 64 × 32"), "{}", ran.stderr);
}

#[test]
fn images_that_differ_in_a_box_are_reported_before_a_batch_meets_them() {
    let pipeline = |fit: &str| {
        let lines = format!("format = \"folder\"\nroot = \"target\"\nsize = [64, 48]\nfit = \"{fit}\"\n");
        training().adapted().dataset("target", &lines).set("stages.inter.batch", 2).set("pipeline.device", "cpu")
    };
    let space = Space::with(pipeline("box"));
    space.write("target/images/0.png", grey_png(128, 64, 10));
    space.write("target/images/1.png", grey_png(64, 64, 10));
    let plan = space.intrada("plan p.toml");
    assert_eq!(plan.code, Some(2), "{}{}", plan.stdout, plan.stderr);
    assert!(plan.stderr.contains("`0.png` is 64 × 32, `1.png` 48 × 48"), "{}", plan.stderr);
    space.write("p.toml", &*pipeline("exact"));
    let plan = space.intrada("plan p.toml");
    assert_eq!(plan.code, Some(0), "{}{}", plan.stdout, plan.stderr);
}

#[test]
fn images_fit_into_a_box_and_are_resized_as_said_in_inference_and_evaluation_and_training() {
    let pipeline = |more: &str| {
        let lines = format!("format = \"folder\"\nroot = \"target\"\nsize = [64, 48]\n{more}");
        training()
            .adapted()
            .dataset("target", &lines)
            .ranked()
            .intra()
            .evaluated_on("target")
            .set("pipeline.device", "cpu")
    };
    let space = Space::with(pipeline(""));
    for image in 0..4 {
        space.write(&format!("target/images/{image}.png"), grey_png(128, 64, 60 * image));
        space.write(&format!("target/labels/{image}.png"), grey_png(128, 64, image));
    }
    let size = || {
        let bytes = space.bytes("runs/p/entropy/predictions/0.png");
        let side = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
        [side(16), side(20)]
    };
    let before = space.run("p.toml");
    assert_eq!(size(), [64, 48]);
    // A default that is written down is no change.
    space.write("p.toml", &*pipeline("fit = \"exact\"\nresize = \"bicubic\"\n"));
    assert_eq!(other_keys(&space, &before), [""; 0]);
    space.write("p.toml", &*pipeline("fit = \"box\"\n"));
    let boxed = other_keys(&space, &before);
    assert!(
        ["entropy", "evaluate", "inter", "intra"].iter().all(|stage| boxed.iter().any(|other| other == stage)),
        "{boxed:?}"
    );
    assert_eq!(size(), [64, 32]);
    let in_box = space.run("p.toml");
    space.write("p.toml", &*pipeline("fit = \"box\"\nresize = \"bilinear\"\n"));
    let bilinear = other_keys(&space, &in_box);
    assert!(
        ["entropy", "evaluate", "inter"].iter().all(|stage| bilinear.iter().any(|other| other == stage)),
        "{bilinear:?}"
    );
}
