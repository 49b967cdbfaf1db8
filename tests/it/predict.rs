//! `predict`: any images, by the network of a stage or of an exported folder.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::pipelines::training;
use crate::space::processes::kill_with_jobs;
use crate::space::{Ran, Space, files, grey_png};

/// A photograph: a gradient with a pattern, other for another number.
fn photograph(width: u32, height: u32, number: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(png::ColorType::Rgb);
    let pixel = |x: u32, y: u32| [x * 2 + number * 31, y * 3 + (x / 9 % 2) * 60, (x ^ y) + number * 7].map(|v| v as u8);
    let pixels: Vec<u8> = (0..height).flat_map(|y| (0..width).flat_map(move |x| pixel(x, y))).collect();
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(&pixels).unwrap();
    writer.finish().unwrap();
    bytes
}

/// A trained network and photographs of the size of its training, which is 64 × 32.
fn trained(photographs: u32) -> Space {
    let space = Space::with(training());
    (0..photographs).for_each(|i| space.write(&format!("photos/{}/{i:03}.png", i % 2), photograph(64, 32, i)));
    space.run("p.toml");
    space
}

/// All files of a folder of predictions that are for the user, with their contents.
fn contents(space: &Space, folder: &str) -> BTreeMap<PathBuf, Vec<u8>> {
    let folder = space.path(folder);
    let all = files(&folder).into_iter().map(|file| (file.strip_prefix(&folder).unwrap().to_owned(), file));
    all.filter(|(name, _)| !name.starts_with(".intrada-predict"))
        .map(|(name, file)| (name, std::fs::read(file).unwrap()))
        .collect()
}

fn decoded(png: &[u8]) -> ([u32; 2], Vec<u8>) {
    let mut reader = png::Decoder::new(std::io::Cursor::new(png)).read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let frame = reader.next_frame(&mut pixels).unwrap();
    ([frame.width, frame.height], pixels)
}

#[track_caller]
fn refused(ran: &Ran, code: i32, text: &str) {
    assert_eq!(ran.code, Some(code), "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stderr.contains(text), "{text}: {}", ran.stderr);
}

#[test]
fn any_images_get_the_class_maps_that_a_stage_would_give_them() {
    let space = trained(6);
    let predicted = space.intrada("predict p.toml inter photos --out out --threads 1 --outputs classes,entropy");
    assert_eq!(
        (predicted.code, predicted.stdout.lines().next()),
        (Some(0), Some("6 predicted")),
        "{}",
        predicted.stderr
    );

    let stage = "[datasets.own]\nformat = \"folder\"\nroot = \"photos\"\nimages = \".\"\n\
                 [stages.entropy]\nkind = \"entropy-inference\"\nweights = \"inter\"\nimages = \"own\"\n";
    space.write("p.toml", format!("{}{stage}", space.read("p.toml")));
    space.run("p.toml entropy");
    for i in 0..6 {
        let file = format!("{}/{i:03}.png", i % 2);
        for [of_predict, of_stage] in [["classes", "predictions"], ["entropy", "entropy"]] {
            let ours = space.bytes(&format!("out/{of_predict}/{file}"));
            assert!(ours == space.bytes(&format!("runs/p/entropy/{of_stage}/{file}")), "{of_predict} of {file}");
        }
    }
    let table = space.read("out/predictions.csv");
    let scores = space.read("runs/p/entropy/scores.csv");
    let entropies = |text: &str, column: usize| -> Vec<String> {
        text.lines().skip(1).map(|line| line.split(',').nth(column).unwrap().to_owned()).collect()
    };
    assert_eq!(entropies(&table, 4), entropies(&scores, 1), "{table}\n{scores}");

    // An exported folder is the same network.
    assert_eq!(space.intrada("export p.toml inter exported").code, Some(0));
    let exported = space.intrada("predict exported photos --out again --threads 1 --outputs classes,entropy");
    assert_eq!(exported.code, Some(0), "{}", exported.stderr);
    let but_name = |folder| {
        let mut files = contents(&space, folder);
        files.remove(std::path::Path::new("predict.json"));
        files
    };
    assert!(but_name("out") == but_name("again"));
}

#[test]
fn pictures_have_the_size_of_the_image_whatever_the_network_sees() {
    let space = trained(0);
    space.write("photos/wide.png", photograph(301, 77, 1));
    space.write("photos/deep/one.png", photograph(5, 9, 2));
    let all = "classes,colour,overlay,entropy,confidence,label-ids";
    let predicted = space.intrada(&format!("predict p.toml inter photos --out out --outputs {all}"));
    assert_eq!(predicted.code, Some(0), "{}", predicted.stderr);
    for output in all.split(',') {
        for (name, size) in [("wide", [301, 77]), ("deep/one", [5, 9])] {
            assert_eq!(decoded(&space.bytes(&format!("out/{output}/{name}.png"))).0, size, "{output} of {name}");
        }
    }
    // The scenes' labels are class indices.
    let pixels = |output: &str| decoded(&space.bytes(&format!("out/{output}/wide.png"))).1;
    assert_eq!(pixels("classes"), pixels("label-ids"));
    assert_eq!(pixels("classes"), pixels("colour"), "a palette's indices are the classes");
    let shares: f64 = space
        .read("out/predictions.csv")
        .lines()
        .nth(2)
        .unwrap()
        .split(',')
        .skip(5)
        .map(|share| share.parse::<f64>().unwrap())
        .sum();
    assert!((shares - 1.0).abs() < 1e-5, "{shares}");
}

#[test]
fn a_run_that_was_killed_twice_leaves_the_files_of_one_that_was_not() {
    let space = trained(80);
    let whole = space.intrada("predict p.toml inter photos --out whole --threads 1 --outputs classes,overlay");
    assert_eq!(whole.code, Some(0), "{}", whole.stderr);
    let answers = || std::fs::read_to_string(space.path("out/.intrada-predict/answers.jsonl")).unwrap_or_default();
    for kill in 1..=2 {
        let mut run = space.start("predict p.toml inter photos --out out --threads 1 --outputs classes,overlay");
        crate::space::waiting::wait_until("answers", || {
            answers().lines().count() > 12 * kill || run.try_wait().unwrap().is_some()
        });
        kill_with_jobs(&mut run);
    }
    let before = answers().lines().count();
    let last = space.intrada("predict p.toml inter photos --out out --threads 1 --outputs classes,overlay");
    assert_eq!(last.code, Some(0), "{}", last.stderr);
    assert!(before < 80 && last.stdout.contains("up to date"), "{before}: {}", last.stdout);
    assert!(contents(&space, "whole") == contents(&space, "out"));
    let again = space.intrada("predict p.toml inter photos --out out --threads 1");
    assert_eq!(again.stdout.lines().next(), Some("80 up to date"));
}

#[test]
fn what_cannot_be_predicted_is_named_each_time_and_the_rest_is_done() {
    let space = trained(3);
    let good = photograph(64, 32, 9);
    space.write("photos/cut.png", &good[..good.len() / 2]);
    space.write("photos/text.jpg", "hello");
    space.write("photos/notes.txt", "");
    std::fs::create_dir(space.path("photos/folder.png")).unwrap();
    for count in ["3 predicted, 2 failed", "3 up to date, 2 failed"] {
        let predicted = space.intrada("predict p.toml inter photos --out out");
        refused(&predicted, 1, "failed: photos/cut.png: it is cut short");
        refused(&predicted, 1, "failed: photos/text.jpg: it is a text");
        refused(&predicted, 1, "left out 1 file with");
        assert_eq!(predicted.stdout.lines().next(), Some(count));
    }
    space.write("photos/cut.png", &good);
    space.remove("photos/text.jpg");
    let line = |name: &str| space.read("out/predictions.csv").lines().any(|line| line.starts_with(&format!("{name},")));
    assert_eq!(
        space.intrada("predict p.toml inter photos --out out").stdout.lines().next(),
        Some("1 predicted, 3 up to date")
    );
    assert!(line("cut") && space.path("out/classes/cut.png").exists());
    space.write("photos/cut.png", "no more");
    assert_eq!(space.intrada("predict p.toml inter photos --out out").code, Some(1));
    assert!(!line("cut") && !space.path("out/classes/cut.png").exists(), "nothing is left of what it was");
}

#[test]
fn nothing_of_anyone_s_is_overwritten_without_being_asked() {
    let space = trained(2);
    space.write("thesis/chapter.txt", "mine");
    let into = |folder: &str, more: &str| space.intrada(&format!("predict p.toml inter photos --out {folder}{more}"));
    refused(&into("thesis", ""), 2, "holds other files");
    refused(&into("photos", ""), 2, "--out names the folder of the images");
    assert_eq!(files(&space.path("thesis")).len(), 1);
    assert_eq!(into("thesis", " --overwrite").code, Some(0));
    assert_eq!(space.read("thesis/chapter.txt"), "mine");

    space.write("data/classes/a.png", photograph(64, 32, 5));
    for more in ["", " --overwrite"] {
        let onto = space.intrada(&format!("predict p.toml inter data/classes --out data{more}"));
        refused(&onto, 2, if more.is_empty() { "holds other files" } else { "which is an image; name another folder" });
    }
    assert!(space.bytes("data/classes/a.png") == photograph(64, 32, 5));

    assert_eq!(into("out", "").code, Some(0));
    space.write("others/0/000.png", photograph(64, 32, 77));
    refused(
        &space.intrada("predict p.toml inter others --out out"),
        2,
        "the prediction of another image named `0/000`",
    );
    refused(&into("out", " --size own"), 2, "seen at 64 × 32, now at its own size");
    refused(&into("out", " --set pipeline.seed=9"), 2, "is not up to date, so it has no network");
    assert_eq!(into("out", " --size own --overwrite").stdout.lines().next(), Some("2 predicted"));
}

#[test]
fn a_folder_that_was_altered_is_no_network() {
    let space = trained(1);
    assert_eq!(space.intrada("export p.toml inter exported").code, Some(0));
    let mut weights = space.bytes("exported/model.safetensors");
    let middle = weights.len() / 2;
    weights[middle] ^= 1;
    space.write("exported/model.safetensors", &weights);
    let predict = || space.intrada("predict exported photos --out out");
    refused(&predict(), 2, "model.safetensors was altered or damaged");
    // Without a list of digests, the worker still compares names and shapes.
    space.remove("exported/SHA256SUMS");
    space.write("exported/model.safetensors", space.bytes("runs/p/inter/model.safetensors"));
    let mut config = space.json("exported/config.json");
    config["arch"] = "segformer-b0".into();
    space.write("exported/config.json", config.to_string());
    refused(&predict(), 1, "model.safetensors");
    space.write("exported/config.json", "{}");
    refused(&predict(), 2, "config.json: missing field");
    space.remove("exported/config.json");
    refused(&predict(), 2, "is not an exported network: it has no config.json");
    assert!(!space.path("out/classes").exists());
}

#[test]
fn large_images_are_seen_through_windows_and_that_is_said() {
    let space = trained(0);
    space.write("photos/large.png", grey_png(2400, 1800, 120));
    space.write("photos/small.png", photograph(64, 32, 1));
    let predicted = space.intrada("predict p.toml inter photos --out out --size own");
    assert_eq!(predicted.code, Some(0), "{}", predicted.stderr);
    assert!(predicted.stderr.contains("1 large image seen through windows of 1024 × 1024"), "{}", predicted.stderr);
    let table = space.read("out/predictions.csv");
    assert!(table.contains("2400x1800 in windows of 1024x1024") && table.contains(",64x32,"), "{table}");
    assert_eq!(decoded(&space.bytes("out/classes/large.png")).0, [2400, 1800]);
}

#[test]
fn photographs_of_other_formats_are_read_and_what_is_dropped_of_them_is_said() {
    let space = trained(0);
    let golden = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/picture/golden");
    for name in ["small.clear.webp", "small.deep.tif", "small.plain.bmp", "others/turned.webp"] {
        let file = std::path::Path::new(name).file_name().unwrap().to_str().unwrap();
        space.write(&format!("photos/{file}"), std::fs::read(golden.join(name)).unwrap());
    }
    let predicted = space.intrada("predict p.toml inter photos --out out");
    assert_eq!(predicted.code, Some(0), "{}", predicted.stderr);
    for text in ["1 image: transparent pixels have", "1 image: of 16-bit samples the upper 8 bits are taken"] {
        assert!(predicted.stderr.contains(text), "{text}: {}", predicted.stderr);
    }
    let table = space.read("out/predictions.csv");
    let turned = intrada_picture::photograph(&space.bytes("photos/turned.webp")).unwrap();
    assert!(turned.orientation.is_turned(), "the test needs one");
    let [width, height] = turned.upright().size;
    assert!(table.contains(&format!("turned,{width},{height},")), "turned upright: {table}");
}
