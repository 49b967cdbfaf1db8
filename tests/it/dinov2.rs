//! DINOv2 through the stages, with the real worker, on a few tiny scenes: that it trains, predicts, is handed on and read back.
//! What it computes is tested in `ml`.

use crate::pipelines::{Pipeline, training};
use crate::space::Space;

fn of(arch: &str, model: &str) -> Pipeline {
    training().set("models.small.arch", arch).with("models.small", model).set("stages.inter.iterations", 1)
}

#[test]
fn a_dinov2_is_trained_measured_exported_and_begun_from() {
    // 64×32 pixels are no whole patches.
    let pipeline = of("dinov2-vits14-reg", "head = \"linear-4\"\n").adapted().inferred().evaluated();
    let space = Space::with(pipeline.set("datasets.target.count", 2).set("datasets.test.count", 1));
    let ran = space.intrada("p.toml");
    assert_eq!(ran.code, Some(0), "{}\n{}", ran.stdout, ran.stderr);
    assert!(space.read("runs/p/evaluate/metrics.json").contains("inter"));
    let losses = space.read("runs/p/inter/losses.jsonl");
    assert!(losses.contains("adv_main") && !losses.contains("_aux"), "one head: {losses}");

    let exported = space.intrada("export p.toml inter out");
    assert_eq!(exported.code, Some(0), "{}", exported.stderr);
    let config = space.json("out/config.json");
    assert_eq!((&config["align_corners"], &config["head"]), (&false.into(), &"linear-4".into()));
    assert!(space.read("out/model.py").contains("class LinearHead"));

    let begun = |arch: &str, head: &str| {
        let model = format!("head = \"{head}\"\ninit = \"out/model.safetensors\"\ndrop_path = 0.1\n");
        of(arch, &model).set("pipeline.name", "q").set("datasets.source.size", [56, 28])
    };
    space.write("q.toml", begun("dinov2-vits14-reg", "linear-4"));
    let ran = space.intrada("q.toml");
    assert_eq!(ran.code, Some(0), "{}\n{}", ran.stdout, ran.stderr);
    let said = space.intrada("log q.toml inter").stdout;
    assert!(said.contains("tensors loaded, 0 skipped, 0 missing"), "{said}");
    for (arch, head, told) in [
        ("dinov2-vits14", "linear-4", "holds a ViT-S/14 with registers"),
        ("dinov2-vits14-reg", "linear", "a whole network whose head isn't this model's"),
    ] {
        space.write("q.toml", begun(arch, head));
        let ran = space.intrada("q.toml");
        assert!(ran.code != Some(0) && ran.stderr.contains(told), "{told}: {}\n{}", ran.stdout, ran.stderr);
    }
}

#[test]
fn what_does_not_fit_a_dinov2_is_told_before_anything_runs() {
    let refused = |pipeline: Pipeline, told: &[&str]| {
        let space = Space::with(pipeline);
        let ran = space.intrada("plan p.toml");
        assert_eq!(ran.code, Some(2), "{}\n{}", ran.stdout, ran.stderr);
        for told in told {
            assert!(ran.stderr.contains(told), "{told}: {}", ran.stderr);
        }
    };
    refused(of("dinov2-vits14", "multi_level = true\n"), &["unknown key `multi_level` in a dinov2-vits14 model"]);
    refused(of("dinov2-vits14", "head = \"daformer\"\n"), &["\"linear\"", "\"linear-4\""]);
    refused(
        of("dinov2-vits14", "").set("datasets.source.size", [64, 14]),
        &["too small for the network, which needs 15 pixels a side"],
    );
}
