//! SegFormers through every stage, with the real worker, on a few tiny scenes: that they train, predict, are handed on and read
//! back. What they compute is tested in `ml`.

use serde_json::{Map, json};

use crate::pipelines::{Pipeline, method, training};
use crate::space::Space;
use crate::weights::parts;

/// The whole method on the smallest network, and a training by each other method.
fn with_head(head: &str) -> Pipeline {
    let other = |name: &str, more: &str| {
        format!(
            "[stages.{name}]\nkind = \"inter-training\"\nmethod = \"{name}\"\nmodel = \"small\"\nsource = \"source\"\n\
             iterations = 1\n{more}"
        )
    };
    method()
        .set("models.small.arch", "segformer-b0")
        .with("models.small", &format!("head = \"{head}\"\n"))
        .set("stages.inter.iterations", 2)
        .set("stages.intra.iterations", 2)
        .set("datasets.target.count", 4)
        .set("datasets.test.count", 2)
        .add(&other("source-only", ""))
        .add(&other("minent", "target = \"target\"\n"))
        .add(&other("adaptsegnet", "target = \"target\"\ndiscriminator_width = 4\n"))
}

/// A file as programs of self-training save it: two networks under two attributes.
fn self_trained(student: &[u8], teacher: &[u8]) -> Vec<u8> {
    let (mut header, mut all) = (Map::new(), Vec::new());
    for (attribute, file) in [("state_dict.model.", student), ("state_dict.ema_model.", teacher)] {
        let (entries, data) = parts(file);
        for (name, mut entry) in entries.into_iter().filter(|(name, _)| name != "__metadata__") {
            let offsets = entry["data_offsets"].as_array().unwrap().iter();
            let offsets: Vec<u64> = offsets.map(|at| at.as_u64().unwrap() + all.len() as u64).collect();
            entry["data_offsets"] = json!(offsets);
            header.insert(format!("{attribute}{name}"), entry);
        }
        all.extend_from_slice(data);
    }
    let header = serde_json::to_vec(&header).unwrap();
    [&(header.len() as u64).to_le_bytes()[..], &header, &all].concat()
}

#[test]
fn every_method_and_stage_takes_a_segformer_and_its_results_are_read_back() {
    let space = Space::with(with_head("daformer"));
    let ran = space.intrada("p.toml");
    assert_eq!(ran.code, Some(0), "{}\n{}", ran.stdout, ran.stderr);
    assert!(space.read("runs/p/evaluate/metrics.json").contains("intra"));
    let losses = space.read("runs/p/inter/losses.jsonl");
    assert!(losses.contains("adv_main") && !losses.contains("_aux"), "one head: {losses}");

    let exported = space.intrada("export p.toml intra out");
    assert_eq!(exported.code, Some(0), "{}", exported.stderr);
    let file = space.bytes("out/model.safetensors");
    let (header, _) = parts(&file);
    assert!(
        header.contains_key("decode_head.conv_seg.weight") && header.contains_key("backbone.block1.0.attn.kv.weight")
    );
    assert_eq!([&header["__metadata__"]["arch"], &header["__metadata__"]["head"]], ["segformer-b0", "daformer"]);
    assert_eq!(space.json("out/config.json")["align_corners"], false);
    assert!(space.read("out/model.py").contains("class DaFormerHead"));

    // The student of a published file, its teacher, and what a stage makes of each.
    let [student, teacher] = ["inter", "intra"].map(|stage| space.bytes(&format!("runs/p/{stage}/model.safetensors")));
    space.write("w/published.safetensors", self_trained(&student, &teacher));
    let import = |name: &str, part: &str| {
        let keys = "kind = \"checkpoint-import\"\nfile = \"w/published.safetensors\"\nmodel = \"small\"\n";
        format!("[stages.{name}]\n{keys}part = \"{part}\"\n")
    };
    let begun = r#"[models.begun]
arch = "segformer-b0"
head = "daformer"
init = "w/published.safetensors"
part = "teacher"
[stages.on]
kind = "inter-training"
method = "source-only"
model = "begun"
source = "source"
iterations = 1
"#;
    let pipeline = training()
        .set("pipeline.name", "q")
        .set("models.small.arch", "segformer-b0")
        .with("models.small", "head = \"daformer\"\n")
        .add(&import("student", "network"))
        .add(&import("teacher", "teacher"))
        .add(begun);
    space.write("q.toml", pipeline);
    let ran = space.intrada("q.toml student teacher on");
    assert_eq!(ran.code, Some(0), "{}\n{}", ran.stdout, ran.stderr);
    assert!(space.bytes("runs/q/student/model.safetensors") == student);
    assert!(space.bytes("runs/q/teacher/model.safetensors") == teacher);
    let record = space.json("runs/q/teacher/import.json");
    assert_eq!(
        (&record["below"], &record["also_below"][0]),
        (&json!("state_dict.ema_model."), &json!("state_dict.model."))
    );
    let said = space.intrada("log q.toml on").stdout;
    assert!(said.contains("read below `state_dict.ema_model.`"), "{said}");
}

#[test]
fn what_does_not_fit_a_segformer_is_told_before_anything_runs() {
    let of = |model: &str| training().set("models.small.arch", "segformer-b0").with("models.small", model);
    let refused = |pipeline: Pipeline, told: &[&str]| {
        let space = Space::with(pipeline);
        let ran = space.intrada("plan p.toml");
        assert_eq!(ran.code, Some(2), "{}\n{}", ran.stdout, ran.stderr);
        for told in told {
            assert!(ran.stderr.contains(told), "{told}: {}", ran.stderr);
        }
    };
    refused(
        of("multi_level = true\n"),
        &["unknown key `multi_level` in a segformer-b0 model", "remove it: it is a key only if"],
    );
    refused(of("head = \"deeplab\"\n"), &["segformer", "daformer"]);
    refused(
        of("").set("datasets.source.size", [64, 28]),
        &["too small for the network, which needs 29 pixels a side", "`inter` would stop"],
    );
    // After a training that can be done.
    let looked_at =
        |pipeline: Pipeline| pipeline.set("datasets.target.size", [64, 28]).set("stages.inter.crop", [32, 32]);
    let shown = of("").scenes("target", "target", 2, 20).ranked();
    let small = "20 of 20 images of `target` are too small for the network, which needs 29 pixels a side";
    refused(looked_at(shown.clone()), &[small, "`entropy` would stop at the first of them", "a larger `size`"]);
    refused(
        looked_at(shown.clone()).set("stages.entropy.window", [32, 32]),
        &[small, "`entropy` would stop at the first of them"],
    );
    refused(looked_at(shown.evaluated_on("target")), &[small, "`entropy` would stop", "`evaluate` would stop"]);
    let validated = of("").scenes("target", "target", 2, 20).set("stages.inter.dataset", "target");
    refused(looked_at(validated.set("stages.inter.evaluate_every", 1)), &[small, "`inter` would stop"]);
    let scored = of("").scenes("target", "target", 2, 20).set("stages.inter.candidates", "target");
    refused(looked_at(scored.set("stages.inter.candidates_every", 1)), &[small, "`inter` would stop"]);

    let space = Space::with(of("").adapted().with("stages.inter", "adversarial_weight_aux = 0.5\n"));
    let ran = space.intrada("plan p.toml");
    assert!(
        ran.stderr.contains("`adversarial_weight_aux` has no effect here: segformer-b0 has no auxiliary head"),
        "{}",
        ran.stderr
    );
}
