//! The pipelines of the papers: that they say the papers' numbers, what they expect, and that each runs to its end, shortened,
//! on data sets of a few pictures in their true layouts.

use std::path::Path;

use crate::space::Space;
use intrada_runner::pipeline;

/// A pipeline of this repository in a workspace of its own.
fn pipeline(name: &str) -> Space {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("pipelines").join(name)).unwrap();
    Space::with(&text)
}

/// All that any of the pipelines needs, as small as can be. The target's training images have no labels.
fn data(space: &Space) {
    let ids: Vec<u8> = (0..=33).collect();
    crate::trees::gta5(space, "data/GTA5", &[1, 2], &ids);
    crate::trees::synthia(space, "data/SYNTHIA", 2, &(0..=22).collect::<Vec<_>>());
    crate::trees::synscapes(space, "data/Synscapes", &[1, 2], &ids);
    let names = ["aachen_000000_000019", "aachen_000001_000019", "ulm_000000_000019"];
    crate::trees::cityscapes(space, "data/Cityscapes", "train", &names, None);
    crate::trees::cityscapes(space, "data/Cityscapes", "val", &["lindau_000000_000019"], Some(&ids));
}

/// The smallest network like that of DAFormer and MIC, in the place of theirs and of its pretrained weights.
fn with_small_transformer(space: &Space) {
    let network = "arch = \"segformer-b0\"\nhead = \"daformer\"\n";
    let pretraining = format!(
        "format = 1\n[pipeline]\nname = \"pre\"\nclasses = \"cityscapes-19\"\n[datasets.val]\nformat = \"cityscapes\"\n\
         root = \"data/Cityscapes\"\nsplit = \"val\"\nsize = [64, 32]\n[models.m]\n{network}\
         [stages.pre]\nkind = \"inter-training\"\nmethod = \"source-only\"\nmodel = \"m\"\nsource = \"val\"\niterations = 1\n"
    );
    space.write("pre.toml", pretraining);
    space.run("pre.toml");
    space.write("weights/mit.safetensors", space.bytes("runs/pre/pre/model.safetensors"));
    let text = space.read("p.toml").replace("weights/mit_b5.pth", "weights/mit.safetensors");
    space.write("p.toml", text.replace("segformer-b5", "segformer-b0"));
}

/// The arguments that shorten self-training to two iterations on small crops.
fn shortened_self_training(datasets: &[&str]) -> String {
    let trainings = ["inter", "intra"].iter().flat_map(|stage| {
        let set = |key: &str, value: &str| format!("--set stages.{stage}.{key}={value}");
        [set("iterations", "2"), set("crop", "[32,32]"), set("rare_class_min_pixels", "0")]
    });
    let datasets = datasets.iter().map(|dataset| format!("--set datasets.{dataset}.size=[64,32]"));
    trainings.chain(datasets).collect::<Vec<_>>().join(" ")
}

/// The arguments that shorten these trainings to two iterations, and shrink these data sets.
fn shortened(trainings: &[&str], datasets: &[&str]) -> String {
    let trainings = trainings.iter().flat_map(|stage| {
        let set = |key: &str, value: u32| format!("--set stages.{stage}.{key}={value}");
        [set("iterations", 2), set("evaluate_every", 2)]
    });
    let datasets = datasets.iter().map(|dataset| format!("--set datasets.{dataset}.size=[64,32]"));
    trainings.chain(datasets).collect::<Vec<_>>().join(" ")
}

/// A network that fits a test, in the place of the papers'.
fn with_small_network(space: &Space) {
    let text = space.read("p.toml");
    let keep = |line: &&str| !["init = ", "branches = "].iter().any(|key| line.starts_with(key));
    let text: String = text.lines().filter(keep).map(|line| format!("{line}\n")).collect();
    space.write("p.toml", text.replace("\"deeplabv2-resnet101\"", "\"small\""));
}

fn metrics(space: &Space, pipeline: &str) -> serde_json::Map<String, serde_json::Value> {
    serde_json::from_slice(&space.bytes(&format!("runs/{pipeline}/evaluate/metrics.json"))).unwrap()
}

#[test]
fn gta5_to_cityscapes_runs_with_the_network_of_the_paper() {
    let space = pipeline("gta5-cityscapes.toml");
    data(&space);
    // The weights are their authors' to hand out; without them the network starts from random numbers.
    space.edit("p.toml", "init = \"weights/DeepLab_resnet_pretrained_imagenet.pth\"\n", "");
    let arguments = shortened(&["inter", "intra"], &["gta5", "cityscapes", "cityscapes-val"]);
    let ran = space.intrada(&format!("run p.toml {arguments}"));
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let runs = |path: &str| space.path(&format!("runs/gta5-cityscapes/{path}"));
    assert_eq!(crate::space::files(&runs("entropy/predictions")).len(), 3);
    assert_eq!(crate::space::files(&runs("pseudo/labels")).len(), 2, "trunc(3 · 0.67)");
    assert_eq!(metrics(&space, "gta5-cityscapes").len(), 4);
    assert!(ran.stdout.contains("intra.best was chosen by its mIoU on cityscapes-val: with labels"), "{}", ran.stdout);
    let labels = (0..=33).collect::<Vec<u8>>();
    let rows: Vec<i64> = metrics(&space, "gta5-cityscapes")["intra"]["confusion"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row.as_array().unwrap().iter().map(|n| n.as_i64().unwrap()).sum())
        .collect();
    assert_eq!((rows[0], rows[18]), (crate::trees::pixels_of(&labels, 7), crate::trees::pixels_of(&labels, 33)));
}

#[test]
fn every_other_pipeline_of_the_papers_runs_to_its_end() {
    let space = pipeline("gta5-cityscapes-inter.toml");
    data(&space);
    with_small_network(&space);
    let arguments = shortened(&["source-only", "minent", "adaptsegnet"], &["gta5", "cityscapes", "cityscapes-val"]);
    space.run(&format!("p.toml {arguments}"));
    assert_eq!(metrics(&space, "gta5-cityscapes-inter").len(), 3);

    let space = pipeline("gta5-cityscapes-ablation.toml");
    data(&space);
    with_small_network(&space);
    let trainings = ["inter", "self-training", "intra-normalised"];
    space.run(&format!("p.toml {}", shortened(&trainings, &["gta5", "cityscapes", "cityscapes-val"])));
    assert_eq!(metrics(&space, "gta5-cityscapes-ablation").len(), 3);
    let labelled =
        |stage: &str| crate::space::files(&space.path(&format!("runs/gta5-cityscapes-ablation/{stage}/labels"))).len();
    assert_eq!((labelled("pseudo-all"), labelled("pseudo-normalised")), (3, 2));

    for source in ["synthia", "synscapes"] {
        let name = format!("{source}-cityscapes");
        let space = pipeline(&format!("{name}.toml"));
        data(&space);
        with_small_network(&space);
        let arguments = shortened(&["inter", "intra"], &[source, "cityscapes", "cityscapes-val"]);
        space.run(&format!("p.toml {arguments}"));
        let metrics = metrics(&space, &name);
        assert_eq!(metrics.len(), 4);
        let protocols = metrics["intra.best"].as_object().unwrap().keys().filter(|key| key.starts_with("miou"));
        match source {
            "synthia" => assert_eq!(protocols.collect::<Vec<_>>(), ["miou", "miou_13"], "the 16 are all its classes"),
            _ => assert_eq!(protocols.collect::<Vec<_>>(), ["miou", "miou_13", "miou_16"]),
        }
    }
}

#[test]
fn daformer_and_mic_run_to_their_end_with_an_intra_step_on_top() {
    for (name, losses) in
        [("gta5-cityscapes-daformer", &["mixed_main"][..]), ("gta5-cityscapes-mic", &["mixed_main", "masked_main"])]
    {
        let space = pipeline(&format!("{name}.toml"));
        data(&space);
        with_small_transformer(&space);
        // Rows at the edges are counted in images of 512.
        let margins = "--set datasets.cityscapes.margin_top=1 --set datasets.cityscapes.margin_bottom=7";
        let arguments = shortened_self_training(&["gta5", "cityscapes", "cityscapes-val"]);
        space.run(&format!("p.toml {arguments} {margins}"));
        let metrics = metrics(&space, name);
        assert_eq!(metrics.keys().collect::<Vec<_>>(), ["inter", "inter.teacher", "intra", "intra.teacher"]);
        for stage in ["inter", "intra"] {
            let lines = space.read(&format!("runs/{name}/{stage}/losses.jsonl"));
            assert!(losses.iter().all(|loss| lines.contains(loss)), "{name} {stage}: {lines}");
        }
        let counts = space.read(&format!("runs/{name}/counts/class_counts.jsonl"));
        assert!(counts.contains("00001"), "{counts}");
    }
}

#[test]
fn mic_from_cityscapes_to_acdc_masks_an_image_of_each() {
    let name = "cityscapes-acdc-mic";
    let space = pipeline(&format!("{name}.toml"));
    let ids: Vec<u8> = (0..=33).collect();
    let train: Vec<u8> = (0..=18).collect();
    for split in ["train", "val"] {
        crate::trees::cityscapes(
            &space,
            "data/Cityscapes",
            split,
            &["ulm_000000_000019", "ulm_000001_000019"],
            Some(&ids),
        );
        crate::trees::acdc(&space, "data/ACDC", split, &["fog", "night", "rain", "snow"], Some(&train));
    }
    with_small_transformer(&space);
    space.run(&format!("p.toml {}", shortened_self_training(&["cityscapes", "acdc", "acdc-val"])));
    assert_eq!(metrics(&space, name).len(), 4);
    assert_eq!(crate::space::files(&space.path(&format!("runs/{name}/entropy/predictions"))).len(), 4);
}

#[test]
fn the_sweep_of_lambda_takes_from_the_cache_what_the_paper_s_pipeline_computed() {
    let space = pipeline("gta5-cityscapes.toml");
    data(&space);
    with_small_network(&space);
    let datasets = ["gta5", "cityscapes", "cityscapes-val"];
    space.run(&format!("p.toml {}", shortened(&["inter", "intra"], &datasets)));
    let sweep = pipeline("gta5-cityscapes-lambda.toml");
    space.write("p.toml", sweep.read("p.toml"));
    with_small_network(&space);
    let settled = space.run(&format!("p.toml {}", shortened(&["inter", "intra"], &datasets)));
    let outcome = |stage: &str| settled.iter().find(|s| s.stage == stage).map(|s| s.outcome.as_str()).unwrap();
    let of_paper = ["inter", "entropy", "rank[lambda=0.67]", "pseudo[lambda=0.67]", "intra[lambda=0.67]"];
    assert_eq!(of_paper.map(outcome), ["hit"; 5]);
    assert_eq!(["rank[lambda=0.5]", "rank[lambda=0.6]", "evaluate"].map(outcome), ["ran"; 3]);
    // Of three images a λ of 0.7 makes two easy ones as 0.67 does, and 0.5 one as 0.6: equal splits are trained on once.
    assert_eq!(outcome("intra[lambda=0.7]"), "hit");
    let mut equal = ["intra[lambda=0.5]", "intra[lambda=0.6]"].map(outcome);
    equal.sort_unstable();
    assert_eq!(equal, ["hit", "ran"]);
    let metrics = metrics(&space, "gta5-cityscapes-lambda");
    let mut evaluated = ["0.5", "0.6", "0.67", "0.7"].map(|lambda| format!("intra[lambda={lambda}].best")).to_vec();
    evaluated.push("inter.best".to_owned());
    evaluated.sort();
    assert_eq!(metrics.keys().collect::<Vec<_>>(), evaluated.iter().collect::<Vec<_>>());
}

#[test]
fn a_second_round_takes_the_first_from_the_quickstarts_cache_and_looks_with_the_intra_model() {
    let shortened = |trainings: &[&str]| {
        let trainings = trainings.iter().map(|stage| format!("--set stages.{stage}.iterations=2"));
        let datasets = ["source", "target", "target-evaluation"].map(|name| format!("--set datasets.{name}.count=5"));
        trainings.chain(datasets).collect::<Vec<_>>().join(" ")
    };
    let first = ["source-only", "inter", "intra"];
    let space = pipeline("quickstart.toml");
    space.run(&format!("p.toml intra {}", shortened(&first)));
    space.write("p.toml", pipeline("quickstart-two-rounds.toml").read("p.toml"));
    let settled = space.run(&format!("p.toml {}", shortened(&[&first[..], &["intra-2"]].concat())));
    let outcome = |stage: &str| settled.iter().find(|s| s.stage == stage).map(|s| s.outcome.as_str()).unwrap();
    assert_eq!(["inter", "entropy", "rank", "pseudo", "intra"].map(outcome), ["hit"; 5]);
    assert_eq!(["entropy-2", "rank-2", "pseudo-2", "intra-2", "evaluate"].map(outcome), ["ran"; 5]);
    let scores = |stage: &str| space.read(&format!("runs/quickstart-two-rounds/{stage}/scores.csv"));
    assert_ne!(scores("entropy"), scores("entropy-2"));
    assert_eq!(metrics(&space, "quickstart-two-rounds").len(), 4);
}

/// Fails where a stage of a pipeline has another value than these, `key value`, as a key of the cache has them.
fn says(name: &str, stage: &str, values: &[&str]) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("pipelines").join(name);
    let pipeline = pipeline::load(&file, &[]).unwrap_or_else(|problems| panic!("{problems}"));
    let stage = pipeline.stage(pipeline.find(stage).unwrap());
    for expected in values {
        let (key, value) = expected.split_once(' ').unwrap();
        let found = stage.parameter(key).unwrap_or_else(|| panic!("{name}: {stage} has no {key}"));
        assert_eq!(found.canonical().trim_matches('"'), value, "{name}: {key} of {stage}");
    }
}

#[test]
fn the_numbers_are_those_of_the_released_code() {
    let optimized = ["learning_rate 0.00025", "head_factor 10.0", "momentum 0.9", "weight_decay 0.0005", "power 0.9"];
    let run = ["batch 1", "seed 1234", "schedule_iterations 250000", "parameter_repeats released"];
    let discriminators = ["discriminator_learning_rate 0.0001", "discriminator_betas [0.9,0.99]"];
    let segmentation = ["segmentation_weight 1.0", "segmentation_weight_aux 0.1"];
    let adversarial = ["adversarial_weight 0.001", "adversarial_weight_aux 0.0002"];
    let network = ["model.arch deeplabv2-resnet101", "model.multi_level true"];
    let all = [&optimized[..], &run, &discriminators, &segmentation, &adversarial, &network].concat();
    for name in ["gta5-cityscapes.toml", "synscapes-cityscapes.toml"] {
        for stage in ["inter", "intra"] {
            says(name, stage, &all);
            says(name, stage, &["iterations 120000", "evaluate_every 2000"]);
        }
        says(name, "rank", &["lambda 0.67", "normalize none"]);
    }
    says("gta5-cityscapes.toml", "inter", &["method advent"]);
    says("synscapes-cityscapes.toml", "inter", &["method adaptsegnet"]);
    says("synthia-cityscapes.toml", "inter", &["iterations 90000", "schedule_iterations 90000", "method advent"]);
    says("synthia-cityscapes.toml", "intra", &all);
    let name = "gta5-cityscapes-ablation.toml";
    says(name, "self-training", &["method source-only", "iterations 120000", "parameter_repeats released"]);
    says(name, "rank-normalised", &["lambda 0.67", "normalize rare-classes-code"]);
    says(name, "intra-normalised", &all);
    let name = "gta5-cityscapes-inter.toml";
    says(name, "minent", &["entropy_weight 0.001", "entropy_weight_aux 0.0002", "iterations 120000"]);
    says(name, "adaptsegnet", &["iterations 150000", "model.branches 2", "evaluate_every 5000"]);
    says(name, "adaptsegnet", &adversarial);
    let optimized =
        ["optimizer adamw", "learning_rate 6e-5", "head_factor 10.0", "weight_decay 0.01", "betas [0.9,0.999]"];
    let schedule =
        ["iterations 40000", "schedule_iterations 40000", "power 1.0", "warmup_iterations 1500", "warmup_ratio 1e-6"];
    let teacher = [
        "teacher_alpha 0.999",
        "teacher_threshold 0.968",
        "strong_colour_probability 0.8",
        "strong_blur_probability 0.5",
    ];
    let rare =
        ["rare_class_sampling true", "rare_class_temperature 0.01", "rare_class_crop_share 0.5", "crop_max_share 0.75"];
    let distance =
        ["feature_distance true", "feature_distance_weight 0.005", "feature_distance_share 0.75", "crop [512,512]"];
    let network = ["model.arch segformer-b5", "model.head daformer", "batch 2", "flip true", "cross_entropy_mean all"];
    let all = [&optimized[..], &schedule, &teacher, &rare, &distance, &network].concat();
    for stage in ["inter", "intra"] {
        says("gta5-cityscapes-daformer.toml", stage, &all);
        says("gta5-cityscapes-daformer.toml", stage, &["method daformer", "masked false"]);
        let masked = ["method mic", "masked_block 32", "masked_ratio 0.7", "masked_weight 1.0", "seed 0"];
        for (name, images) in [("gta5-cityscapes-mic.toml", "target"), ("cityscapes-acdc-mic.toml", "both")] {
            says(name, stage, &[&all[..], &masked].concat());
            says(name, stage, &[&format!("masked_images {images}")]);
        }
    }
    for lambda in ["0.5", "0.6", "0.67", "0.7"] {
        says("gta5-cityscapes-lambda.toml", &format!("rank[lambda={lambda}]"), &[&format!("lambda {lambda}")]);
    }
}

#[test]
fn without_data_each_pipeline_says_what_it_expects_and_where() {
    for (name, expected) in [
        (
            "gta5-cityscapes",
            &["data/GTA5/images", "data/Cityscapes/leftImg8bit/train", "data/Cityscapes/leftImg8bit/val"][..],
        ),
        ("gta5-cityscapes-inter", &["data/GTA5/images"]),
        ("gta5-cityscapes-ablation", &["data/GTA5/images"]),
        ("gta5-cityscapes-lambda", &["data/GTA5/images"]),
        ("synthia-cityscapes", &["data/SYNTHIA/RGB"]),
        ("synscapes-cityscapes", &["data/Synscapes/img/rgb"]),
        ("gta5-cityscapes-daformer", &["data/GTA5/images"]),
        ("gta5-cityscapes-mic", &["data/GTA5/images"]),
        ("cityscapes-acdc-mic", &["data/Cityscapes/leftImg8bit/train"]),
    ] {
        let space = pipeline(&format!("{name}.toml"));
        let plan = space.intrada("plan p.toml");
        assert_eq!(plan.code, Some(2), "{name}: {}", plan.stderr);
        let is_modern = name.ends_with("daformer") || name.ends_with("mic");
        let weights = if is_modern { "weights/mit_b5.pth" } else { "weights/DeepLab_resnet_pretrained_imagenet.pth" };
        for path in expected.iter().copied().chain([weights]) {
            assert!(plan.stderr.contains(&format!("error: `{path}` does not exist")), "{name}: {}", plan.stderr);
        }
        // Three data sets and the weights, and nothing else is wrong with it.
        let errors = plan.stderr.lines().filter(|line| line.starts_with("error")).count();
        assert_eq!(errors, 4, "{name}: {}", plan.stderr);
    }
}
