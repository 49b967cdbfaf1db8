//! `cache = true` of a data set: samples that are kept as decoded and resized change no byte of a result, nor a key, and whatever
//! becomes of their files only costs time. And `decode = "reduced"`, which changes both.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::pipelines::{Pipeline, training};
use crate::space::{Space, files, grey_png};

/// A training on labelled images, adapted to others, and what else reads these; all of them with these lines.
fn pipeline(more: &str) -> Pipeline {
    let lines = |name: &str| format!("format = \"folder\"\nroot = \"{name}\"\nsize = [64, 48]\n{more}");
    let all = training().adapted().dataset("source", &lines("source")).dataset("target", &lines("target"));
    all.ranked().intra().evaluated_on("target").set("pipeline.device", "cpu").set("stages.inter.iterations", 5)
}

fn space(more: &str) -> Space {
    let space = Space::with(pipeline(more));
    for name in ["source", "target"] {
        for image in 0..4 {
            let shade = if name == "source" { 50 * image } else { 60 * image + 5 };
            space.write(&format!("{name}/images/{image}.png"), grey_png(128, 64, shade));
            space.write(&format!("{name}/labels/{image}.png"), grey_png(128, 64, image));
        }
    }
    space
}

fn samples(space: &Space) -> Vec<PathBuf> {
    files(&space.path("cache/samples"))
}

/// What the stages have made.
fn made(space: &Space) -> BTreeMap<PathBuf, Vec<u8>> {
    ["inter", "entropy", "rank", "intra", "evaluate"]
        .into_iter()
        .flat_map(|stage| space.results(&format!("runs/p/{stage}")))
        .filter(|(path, _)| !path.to_string_lossy().contains("tfevents"))
        .collect()
}

/// The keys of the last run, and which stages ran.
fn run(space: &Space, arguments: &str) -> (BTreeMap<String, String>, Vec<String>) {
    let settled = space.run(&format!("p.toml {arguments}"));
    let ran = settled.iter().filter(|stage| stage.outcome == "ran").map(|stage| stage.stage.clone()).collect();
    (settled.into_iter().map(|stage| (stage.stage, stage.key)).collect(), ran)
}

fn log(space: &Space, stage: &str) -> String {
    space.intrada(&format!("log p.toml {stage}")).stdout
}

#[test]
fn a_cached_data_set_gives_the_same_bytes_and_whether_it_is_cached_runs_nothing_again() {
    let (plain, cached) = (space(""), space("cache = true\n"));
    let (keys, _) = run(&plain, "");
    assert!(samples(&plain).is_empty() && !plain.path("cache/samples").exists());
    let (keys_of_cached, ran) = run(&cached, "");
    assert_eq!((keys_of_cached, ran.len()), (keys, 6));
    assert!(made(&plain) == made(&cached), "other bytes");
    // Each image of both, and the labels that a training reads.
    assert_eq!(samples(&cached).len(), 3 * 4);
    assert!(log(&cached, "inter").contains("decoded and kept there"), "{}", log(&cached, "inter"));
    assert!(
        log(&cached, "entropy").contains("4 decoded images and labels read from the cache"),
        "{}",
        log(&cached, "entropy")
    );

    plain.write("p.toml", &*pipeline("cache = true\n"));
    cached.write("p.toml", &*pipeline("cache = false\n"));
    for space in [&plain, &cached] {
        assert_eq!(run(space, "").1, [""; 0]);
    }
}

#[test]
fn damaged_samples_are_noticed_and_decoded_again() {
    let space = space("cache = true\n");
    run(&space, "");
    let before = made(&space);
    let damaged = samples(&space);
    let [cut, flipped, empty] = [0, 1, 2].map(|place| &damaged[place]);
    let whole: Vec<Vec<u8>> = damaged.iter().map(|path| fs::read(path).unwrap()).collect();
    fs::write(cut, &whole[0][..100]).unwrap();
    let mut bytes = whole[1].clone();
    bytes[7] ^= 1;
    fs::write(flipped, &bytes).unwrap();
    fs::write(empty, "").unwrap();
    run(&space, "--force inter --force entropy --force intra");
    assert!(before == made(&space), "other bytes");
    let log = log(&space, "inter");
    assert!(log.contains("in the cache was damaged: decoded again"), "{log}");
    assert!(damaged.iter().zip(&whole).all(|(path, whole)| fs::read(path).unwrap() == *whole), "all are whole again");
}

#[test]
fn where_samples_cannot_be_kept_the_log_says_so_in_a_sentence_and_the_result_is_the_same() {
    let (plain, cached) = (space(""), space("cache = true\n"));
    run(&plain, "");
    fs::create_dir_all(cached.path("cache")).unwrap();
    // A file system without room.
    std::os::unix::fs::symlink("/proc", cached.path("cache/samples")).unwrap();
    fs::write(cached.path("cache/CACHEDIR.TAG"), fs::read(plain.path("cache/CACHEDIR.TAG")).unwrap()).unwrap();
    fs::write(cached.path("cache/version"), fs::read(plain.path("cache/version")).unwrap()).unwrap();
    assert_eq!(run(&cached, "").1.len(), 6);
    assert!(made(&plain) == made(&cached), "other bytes");
    let log = log(&cached, "inter");
    assert_eq!(log.matches("no more samples are kept in ").count(), 1, "{log}");
}

#[test]
fn gc_lets_go_of_samples_before_results_and_stats_count_them() {
    let space = space("cache = true\n");
    run(&space, "");
    let number = samples(&space).len();
    let json = |arguments: &str| -> serde_json::Value {
        serde_json::from_str(&space.intrada(&format!("cache {arguments} p.toml --format json")).stdout).unwrap()
    };
    assert_eq!(json("stats")["samples"]["files"], number);
    let usage: u64 = samples(&space).iter().map(|path| path.metadata().unwrap().len()).sum();
    let dry = json("gc --dry-run --max-size 1TiB");
    assert_eq!((&dry["samples"]["files"], &dry["samples_kept"]["bytes"]), (&0.into(), &usage.into()));
    assert_eq!(json("gc")["samples"]["files"], 0, "without a limit all stay");
    let results = json("stats")["objects"]["bytes"].as_u64().unwrap();
    let gone = json(&format!("gc --max-size {}KiB", (results + usage / 2) / 1024));
    assert!(gone["results"].as_array().unwrap().iter().all(|result| result["goes"] == false), "{gone}");
    let left = samples(&space).len();
    assert!(0 < left && left < number, "{left} of {number}");
    let then = std::time::SystemTime::now() - std::time::Duration::from_secs(40 * 24 * 3600);
    samples(&space).iter().for_each(|path| fs::File::open(path).unwrap().set_modified(then).unwrap());
    assert_eq!(json("gc --older-than 30d")["samples"]["files"], left);
    assert_eq!((samples(&space).len(), run(&space, "").1), (0, Vec::new()));
}

#[test]
fn reduced_decoding_is_part_of_the_keys_only_where_it_is_set_and_changes_what_is_trained_on() {
    let jpeg = fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/picture/golden/420.jpg")).unwrap();
    let pipeline = |more: &str| {
        let lines = format!("format = \"folder\"\nroot = \"target\"\nsize = [32, 16]\n{more}");
        training().dataset("target", &lines).inferred().set("pipeline.device", "cpu")
    };
    let space = Space::with(pipeline(""));
    (0..3).for_each(|image| space.write(&format!("target/images/{image}.jpg"), &jpeg));
    let (full, _) = run(&space, "");
    let scores = space.read("runs/p/entropy/scores.csv");
    space.write("p.toml", &*pipeline("decode = \"full\"\n"));
    assert_eq!(run(&space, ""), (full.clone(), Vec::new()), "a default that is written down is no change");
    space.write("p.toml", &*pipeline("decode = \"reduced\"\n"));
    let (reduced, ran) = run(&space, "");
    assert!(full["entropy"] != reduced["entropy"] && ran.contains(&"entropy".to_owned()), "{ran:?}");
    assert_ne!(scores, space.read("runs/p/entropy/scores.csv"));
    let made = |stage: &str| space.results(&format!("runs/p/{stage}"));
    let before = made("entropy");
    // Kept ones have the same pixels, and not those of full decoding.
    space.write("p.toml", &*pipeline("decode = \"reduced\"\ncache = true\n"));
    run(&space, "--force entropy");
    run(&space, "--force entropy");
    assert!(before == made("entropy"));
    assert_eq!(samples(&space).len(), 1, "three images of one content");
}

#[test]
fn scenes_which_the_program_paints_are_not_cached() {
    let space = Space::with(training().with("datasets.source", "cache = true"));
    let refused = space.intrada("plan p.toml");
    assert_eq!(refused.code, Some(2), "{}", refused.stderr);
    assert!(refused.stderr.contains("`cache`"), "{}", refused.stderr);
}
