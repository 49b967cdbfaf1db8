//! Weights that somebody else trained, as files: looked at, gone on from and evaluated beside those of a stage.

mod space;

use space::{Space, grey_png};

const PIPELINE: &str = r#"format = 1
[pipeline]
name = "p"
classes = "scenes-8"
threads = 1
device = "cpu"

[datasets.target]
format = "scenes"
style = "target"
seed = 2
count = 6
size = [64, 48]

[models.small]
arch = "small"

[stages.inter]
kind = "inter-training"
method = "source-only"
model = "small"
source = "target"
iterations = 2
"#;

const FROM_FILES: &str = r#"
[stages.entropy]
kind = "entropy-inference"
weights = "published.pth"
model = "small"
images = "target"

[stages.rank]
kind = "ranking"
scores = "entropy"

[stages.pseudo]
kind = "pseudo-labelling"
predictions = "entropy"
images = "rank.easy"

[stages.intra]
kind = "intra-training"
method = "minent"
model = "small"
weights = "weights/published"
easy = "pseudo"
hard = "rank.hard"
iterations = 2

[stages.evaluate]
kind = "evaluation"
weights = ["inter", "intra", "weights/mine.v2.safetensors"]
model = "small"
dataset = "target"
"#;

/// A workspace in which `inter` has run, and its weights lie in files of three names.
fn trained() -> Space {
    let space = Space::with(PIPELINE);
    space.run("p.toml");
    let weights = space.bytes("runs/p/inter/model.safetensors");
    // The content says of what format a file is; its name only that it is one.
    for file in ["published.pth", "weights/published", "weights/mine.v2.safetensors"] {
        space.write(file, &weights);
    }
    space.write("p.toml", format!("{PIPELINE}{FROM_FILES}"));
    space
}

#[test]
fn a_file_serves_wherever_a_training_does_and_measures_the_same() {
    let space = trained();
    let ran = space.intrada("run p.toml");
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let metrics: serde_json::Value = serde_json::from_str(&space.read("runs/p/evaluate/metrics.json")).unwrap();
    assert_eq!(metrics["inter"], metrics["mine.v2"]);
    assert_ne!(metrics["inter"], metrics["intra"]);
    assert!(space.path("runs/p/evaluate/overlays/mine.v2").is_dir());
}

#[test]
fn weights_of_another_network_are_refused_with_the_tensor_and_both_shapes() {
    let space = trained();
    space.edit("p.toml", "classes = \"scenes-8\"", "classes = \"camvid-11\"");
    space.edit(
        "p.toml",
        "format = \"scenes\"\nstyle = \"target\"\nseed = 2\ncount = 6\nsize = [64, 48]",
        "format = \"folder\"\nroot = \"d\"",
    );
    space.write("d/images/a.png", grey_png(64, 48, 90));
    space.write("d/labels/a.png", grey_png(64, 48, 1));
    let ran = space.intrada("run p.toml entropy");
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    let said = ["published.pth", "has shape [8", "expected [11"];
    assert!(said.iter().all(|text| ran.stderr.contains(text)), "{}", ran.stderr);
}
