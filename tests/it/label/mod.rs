//! `label`: images out to a label tool, and corrected labels back in, with the real programs.

mod readers;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::{Value, json};

use crate::pipelines::{Pipeline, training};
use crate::space::processes::kill_with_jobs;
use crate::space::waiting::wait_until;
use crate::space::{Ran, Space, files};

const SIZE: [u32; 2] = [64, 32];

fn png(size: [u32; 2], color: png::ColorType, bytes: &[u8]) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, size[0], size[1]);
    encoder.set_color(color);
    encoder.write_header().unwrap().write_image_data(bytes).unwrap();
    file
}

fn decoded(file: &[u8]) -> Vec<u8> {
    let mut reader = png::Decoder::new(std::io::Cursor::new(file)).read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let frame = reader.next_frame(&mut pixels).unwrap();
    pixels.truncate(frame.buffer_size());
    pixels
}

/// A photograph, other for another number.
fn photograph(number: u32) -> Vec<u8> {
    let pixel = |x: u32, y: u32| [x * 3 + number * 31, y * 5 + (x / (5 + number % 7) % 2) * 90, (x ^ y) + number * 7];
    let [width, height] = SIZE;
    let pixels = (0..height).flat_map(|y| (0..width).flat_map(move |x| pixel(x, y).map(|value| value as u8)));
    png(SIZE, png::ColorType::Rgb, &pixels.collect::<Vec<u8>>())
}

/// A network that adapts to `count` photographs in two folders, `target`; it knows what a few classes look like.
fn adapted(count: u32, change: impl FnOnce(Pipeline) -> Pipeline) -> Space {
    let steps = "batch = 2\noptimizer = \"adam\"\nlearning_rate = 5e-3\n";
    let pipeline = training().adapted().folder("target").set("stages.inter.iterations", 8).with("stages.inter", steps);
    let space = Space::with(change(pipeline.set("datasets.target.size", json!(SIZE))));
    (0..count).for_each(|i| space.write(&format!("target/images/{}/{i:02}.png", i % 2), photograph(i)));
    space.run("p.toml");
    space
}

#[track_caller]
fn done(ran: &Ran) {
    assert_eq!(ran.code, Some(0), "{}{}", ran.stdout, ran.stderr);
}

#[track_caller]
fn refused(ran: &Ran, text: &str) {
    assert_eq!(ran.code, Some(2), "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stderr.contains(text), "{text}: {}", ran.stderr);
}

/// The chosen images, as the folder describes them.
fn chosen(space: &Space, folder: &str) -> Vec<Value> {
    space.json(&format!("{folder}/choice.json"))["images"].as_array().unwrap().clone()
}

fn texts(images: &[Value], key: &str) -> Vec<String> {
    images.iter().map(|image| image[key].as_str().unwrap().to_owned()).collect()
}

fn stem(file: &str) -> &str {
    file.rsplit_once('.').unwrap().0
}

/// The files of an archive whose files aren't compressed.
fn unpacked(archive: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let number = |at: usize, bytes: usize| {
        archive[at..at + bytes].iter().rev().fold(0_usize, |number, byte| number << 8 | usize::from(*byte))
    };
    let mut files = BTreeMap::new();
    let mut at = 0;
    while archive[at..].starts_with(b"PK\x03\x04") {
        assert_eq!(number(at + 8, 2), 0, "the test reads what is stored");
        let (size, name, extra) = (number(at + 18, 4), number(at + 26, 2), number(at + 28, 2));
        let begin = at + 30 + name + extra;
        let name = String::from_utf8(archive[at + 30..at + 30 + name].to_vec()).unwrap();
        files.insert(name, archive[begin..begin + size].to_vec());
        at = begin + size;
    }
    files
}

/// The colours of the label map of an archive, by name.
fn colours(files: &BTreeMap<String, Vec<u8>>) -> BTreeMap<String, [u8; 3]> {
    let text = String::from_utf8(files["labelmap.txt"].clone()).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let label = |line: &str| {
        let fields: Vec<&str> = line.split(':').collect();
        let numbers: Vec<u8> = fields[1].split(',').map(|number| number.parse().unwrap()).collect();
        (fields[0].to_owned(), [numbers[0], numbers[1], numbers[2]])
    };
    lines.map(label).collect()
}

const CLASSES: [&str; 8] = ["sky", "building", "road", "pavement", "tree", "car", "pole", "person"];

/// The network's masks as somebody corrects them: the left quarter is a car, the upper left pixel has no label.
fn corrected(mask: &[u8]) -> Vec<u8> {
    let value = |(at, value): (usize, &u8)| match at {
        0 => 255,
        at if at % 64 < 16 => 5,
        _ => *value,
    };
    mask.iter().enumerate().map(value).collect()
}

/// What CVAT exports after the masks were corrected: an unpacked archive.
fn correct_in_cvat(space: &Space, folder: &str, export: &str, only: impl Fn(&str) -> bool) {
    let files = unpacked(&space.bytes(&format!("{folder}/cvat.zip")));
    let colours = colours(&files);
    space.write(&format!("{export}/labelmap.txt"), &files["labelmap.txt"]);
    for image in texts(&chosen(space, folder), "file").iter().filter(|file| only(file)) {
        let mask = corrected(&decoded(&space.bytes(&format!("{folder}/network/{}.png", stem(image)))));
        let colour = |value: &u8| CLASSES.get(usize::from(*value)).map_or(colours["background"], |name| colours[*name]);
        let pixels: Vec<u8> = mask.iter().flat_map(colour).collect();
        let file = format!("{export}/SegmentationClass/{}.png", stem(image));
        space.write(&file, png(SIZE, png::ColorType::Rgb, &pixels));
    }
}

/// The run-length code of a region, as Label Studio reads it: each pixel a run.
fn brush(region: impl ExactSizeIterator<Item = bool>) -> Vec<u8> {
    let mut bits: Vec<bool> = Vec::new();
    let mut push = |count: u32, number: usize| bits.extend((0..count).rev().map(|bit| number >> bit & 1 == 1));
    push(32, region.len() * 4);
    push(5, 7);
    [2, 3, 7, 15].into_iter().for_each(|size| push(4, size));
    for inside in region {
        push(1, 1);
        push(2, 0);
        push(3, 3);
        push(8, if inside { 255 } else { 0 });
    }
    bits.chunks(8).map(|byte| (0..8).fold(0, |all, bit| all << 1 | u8::from(byte.get(bit) == Some(&true)))).collect()
}

/// What Label Studio exports after somebody has submitted corrected masks.
fn correct_in_label_studio(space: &Space, folder: &str, export: &str) {
    let mut tasks = space.json(&format!("{folder}/label-studio-tasks.json"));
    for (id, task) in tasks.as_array_mut().unwrap().iter_mut().enumerate() {
        let file = task["data"]["file"].as_str().unwrap().to_owned();
        let mask = corrected(&decoded(&space.bytes(&format!("{folder}/network/{}.png", stem(&file)))));
        let region = |class: usize| {
            let code = brush(mask.iter().map(|value| usize::from(*value) == class).collect::<Vec<_>>().into_iter());
            json!({"type": "brushlabels", "original_width": SIZE[0], "original_height": SIZE[1], "image_rotation": 0,
                "value": {"format": "rle", "rle": code, "brushlabels": [CLASSES[class]]}})
        };
        task["id"] = json!(id);
        task["annotations"] =
            json!([{"was_cancelled": false, "result": (0..CLASSES.len()).map(region).collect::<Vec<_>>()}]);
    }
    space.write(export, tasks.to_string());
}

/// The labels are the corrected masks.
#[track_caller]
fn are_corrected(space: &Space, folder: &str) {
    for file in texts(&chosen(space, folder), "file") {
        let name = stem(&file);
        let [network, label] =
            ["network", "labels"].map(|of| decoded(&space.bytes(&format!("{folder}/{of}/{name}.png"))));
        assert!(label == corrected(&network), "{name}");
    }
}

#[test]
fn twenty_images_go_out_and_come_back_corrected_into_a_training_whose_key_names_them() {
    let space = adapted(30, |pipeline| pipeline);
    let ran = space.intrada("label p.toml --by random=10,uncertain=5,diverse=5 --out to-label");
    done(&ran);
    assert!(ran.stdout.starts_with("20 of 30 images of `target`\n"), "{}", ran.stdout);
    let images = chosen(&space, "to-label");
    let rules = texts(&images, "rule");
    let of = |rule: &str| rules.iter().filter(|other| *other == rule).count();
    assert_eq!((images.len(), of("random"), of("uncertain"), of("diverse")), (20, 10, 5, 5));
    let names: BTreeSet<String> = texts(&images, "image").into_iter().collect();
    assert_eq!(names.len(), 20, "no image twice");
    for image in &images {
        // 0/02.png becomes 0_02-ab12cd34.png, of the same bytes.
        let (file, name) = (image["file"].as_str().unwrap(), image["image"].as_str().unwrap());
        assert!(
            space.bytes(&format!("to-label/images/{file}")) == space.bytes(&format!("target/images/{name}")),
            "{file}"
        );
    }
    assert!(!space.path("to-label/.intrada-label").exists());
    let again = space.intrada("label p.toml --by random=10,uncertain=5,diverse=5 --out to-label");
    assert_eq!(again.stdout, "to-label is up to date: 20 images\n", "{}", again.stderr);

    correct_in_cvat(&space, "to-label", "export", |_| true);
    let read = space.intrada("label --read export --out to-label");
    done(&read);
    assert!(read.stdout.starts_with("20 labels written; 20 of 20 images have labels; 0.0 % of"), "{}", read.stdout);
    are_corrected(&space, "to-label");

    // What it says for the pipeline file is a data set.
    let (_, datasets) = read.stdout.split_once("For the pipeline file:\n").unwrap();
    let (datasets, _) = datasets.split_once("\nlabels: ").unwrap();
    let before = space.read("p.toml");
    assert!(before.contains("[stages.inter]\n"));
    let with = before.replace("[stages.inter]\n", "[stages.inter]\nlabelled = \"labelled\"\n");
    space.write("p.toml", format!("{with}{datasets}"));
    space.run("p.toml inter");
    let notes = space.intrada("log p.toml inter").stdout + &space.intrada("inspect p.toml inter").stdout;
    assert!(notes.contains("learns from labels of labelled (20 images)"), "{notes}");
    // Only the images drawn at random give an estimate, and none for a network that has learnt from them.
    let estimates = |list: &str| {
        let dataset =
            datasets.split("\n\n").find(|part| part.contains(list)).unwrap().replace("[datasets.", "[datasets.on-");
        let name = dataset.split(['[', ']']).nth(1).unwrap().strip_prefix("datasets.").unwrap().to_owned();
        let stages = format!(
            "\n[stages.estimate]\nkind = \"evaluation\"\nweights = \"inter\"\ndataset = \"{name}\"\noverlays = 0\n"
        );
        space.write("before.toml", format!("{before}{dataset}{stages}"));
        space.write("after.toml", format!("{with}{datasets}{dataset}{stages}"));
        ["before.toml", "after.toml"].map(|file| {
            let ran = space.intrada(&format!("run {file}"));
            done(&ran);
            ran.stdout + &ran.stderr
        })
    };
    let [at_random, learnt] = estimates("random.txt");
    let all = "estimate for the 30 images of `target`, from 10 drawn at random: mIoU [95 % interval]\n    inter  ";
    let interval = at_random.split_once(all).unwrap_or_else(|| panic!("{at_random}")).1.lines().next().unwrap();
    assert!(interval.ends_with(']') && interval.contains(" ["), "{interval}");
    assert!(learnt.contains("inter  none, as labels of these images have taught or chosen it"), "{learnt}");
    let [others, _] = estimates("not-random.txt");
    assert!(others.contains("no estimate for `target`: these images weren't all drawn at random"), "{others}");
    // What is labelled is not chosen again.
    let second = space.intrada("label p.toml --count 10 --out second");
    done(&second);
    assert!(second.stdout.contains("; 20 labelled already, in data set `labelled`"), "{}", second.stdout);
    assert!(texts(&chosen(&space, "second"), "image").iter().all(|image| !names.contains(image)));
    let one = names_of_list(&space, "to-label/labelled.txt")[3].clone();
    let label = format!("to-label/labels/{}.png", stem(&one));
    let mut pixels = decoded(&space.bytes(&label));
    pixels[77] = 6;
    space.write(&label, png(SIZE, png::ColorType::Grayscale, &pixels));
    let why = space.intrada("why p.toml inter");
    assert!(why.stdout.contains(&one), "the key's manifest names the image: {}{}", why.stdout, why.stderr);
}

fn names_of_list(space: &Space, list: &str) -> Vec<String> {
    space.read(list).lines().map(str::to_owned).collect()
}

#[test]
fn what_label_studio_exports_gives_the_same_labels() {
    let space = adapted(8, |pipeline| pipeline);
    done(&space.intrada("label p.toml --count 4 --out to-label --for label-studio"));
    assert!(!space.path("to-label/cvat.zip").exists());
    correct_in_label_studio(&space, "to-label", "export.json");
    done(&space.intrada("label --read export.json --out to-label"));
    are_corrected(&space, "to-label");
    // The predictions alone are nobody's labels.
    let unsubmitted = space.json("to-label/label-studio-tasks.json");
    let tasks: Vec<Value> = unsubmitted.as_array().unwrap().to_vec();
    let with = |mut task: Value| {
        task["annotations"] = json!([]);
        task
    };
    space.write("none.json", Value::Array(tasks.into_iter().map(with).collect()).to_string());
    refused(&space.intrada("label --read none.json --out to-label"), "it holds no labels");
}

#[test]
fn scenes_are_painted_without_their_labels_and_are_not_chosen_twice() {
    let space = Space::with(training().adapted().set("datasets.target.count", 12));
    space.run("p.toml");
    done(&space.intrada("label p.toml --count 5 --out first"));
    let first = chosen(&space, "first");
    assert!(texts(&first, "file").iter().all(|file| space.path(&format!("first/images/{file}")).is_file()));
    let below: Vec<_> = files(&space.path("first"));
    assert!(!below.iter().any(|file| file.starts_with(space.path("first/labels"))), "{below:?}");
    // By a folder of before, and by the labelled data set of a training.
    let second = space.intrada("label p.toml --count 5 --out second --not-in first --seed 9");
    done(&second);
    assert!(second.stdout.contains("; 5 chosen before, in first"), "{}", second.stdout);
    refused(
        &space.intrada("label p.toml --count 1 --out of-source --dataset source"),
        "the images of data set `source` have labels: `inter` reads it with them",
    );
    let names = |folder: &str| texts(&chosen(&space, folder), "image").into_iter().collect::<BTreeSet<_>>();
    assert!(names("first").is_disjoint(&names("second")));
    let dataset = "[datasets.few]\nformat = \"folder\"\nroot = \"first\"\nsize = [64, 32]\n";
    space.write("p.toml", format!("{}{dataset}", space.read("p.toml")));
    let used = "\n[stages.count]\nkind = \"class-statistics\"\ndataset = \"few\"\n";
    space.write("p.toml", format!("{}{used}", space.read("p.toml")));
    let third = space.intrada("label p.toml --count 7 --out third --seed 9");
    done(&third);
    assert!(third.stdout.contains("5 labelled already, in data set `few`"), "{}", third.stdout);
    assert!(names("first").is_disjoint(&names("third")));
    refused(
        &space.intrada("label p.toml --count 8 --out fourth"),
        "8 images are wanted, and 7 of the 12 images of `target`",
    );
    assert!(!space.path("fourth").exists());
}

#[test]
fn an_inference_that_has_seen_the_images_gives_the_entropies() {
    let space = adapted(12, Pipeline::inferred);
    let ran = space.intrada("label p.toml --by uncertain --count 4 --out to-label");
    done(&ran);
    assert!(ran.stdout.contains("from `entropy`, which has seen the images before"), "{}", ran.stdout);
    let mut scores: Vec<(String, String)> = space
        .read("runs/p/entropy/scores.csv")
        .lines()
        .skip(1)
        .map(|line| (line.split(',').nth(1).unwrap().to_owned(), line.split(',').next().unwrap().to_owned()))
        .collect();
    scores.sort_by(|a, b| b.0.parse::<f32>().unwrap().total_cmp(&a.0.parse::<f32>().unwrap()));
    let highest: Vec<&str> = scores.iter().take(4).map(|(_, image)| image.as_str()).collect();
    assert_eq!(texts(&chosen(&space, "to-label"), "image"), highest);
    let table = space.read("to-label/chosen.csv");
    assert!(scores.iter().take(4).all(|(score, _)| table.contains(&format!(",{score},"))), "{table}\n{scores:?}");
}

#[test]
fn a_random_part_counts_only_when_it_is_complete() {
    let space = adapted(12, |pipeline| pipeline);
    done(&space.intrada("label p.toml --by random=3,uncertain=2 --out to-label"));
    let random: Vec<String> = texts(&chosen(&space, "to-label")[..3], "file");
    let last = random[2].clone();
    correct_in_cvat(&space, "to-label", "part", |file| file != last);
    let part = space.intrada("label --read part --out to-label");
    done(&part);
    assert!(part.stderr.contains("2 of the 3 images drawn at random have labels"), "{}", part.stderr);
    assert!(!space.path("to-label/random.txt").exists());
    assert_eq!(names_of_list(&space, "to-label/labelled.txt").len(), 4);
    correct_in_cvat(&space, "to-label", "rest", |file| file == last);
    let rest = space.intrada("label --read rest --out to-label");
    done(&rest);
    assert!(rest.stdout.starts_with("1 label written; 5 of 5"), "{}", rest.stdout);
    let listed: BTreeSet<String> = names_of_list(&space, "to-label/random.txt").into_iter().collect();
    assert_eq!(listed, random.into_iter().collect());
    assert_eq!(names_of_list(&space, "to-label/not-random.txt").len(), 2);
}

#[test]
fn nothing_of_anyone_s_is_replaced_without_being_asked() {
    let space = adapted(8, |pipeline| pipeline);
    space.write("thesis/chapter.txt", "mine");
    refused(&space.intrada("label p.toml --count 2 --out thesis"), "holds other files");
    done(&space.intrada("label p.toml --count 2 --out to-label"));
    refused(&space.intrada("label p.toml --count 3 --out to-label"), "holds images chosen by random=2, now random=3");
    refused(&space.intrada("label p.toml --count 2 --seed 5 --out to-label"), ", now 5; name another folder");
    correct_in_cvat(&space, "to-label", "export", |_| true);
    done(&space.intrada("label --read export --out to-label"));
    let again = space.intrada("label --read export --out to-label");
    assert!(again.stdout.starts_with("0 labels written, 2 as before"), "{}{}", again.stdout, again.stderr);
    // Somebody has corrected a label since, by hand.
    let file = texts(&chosen(&space, "to-label"), "file").remove(0);
    let label = format!("to-label/labels/{}.png", stem(&file));
    let own = png(SIZE, png::ColorType::Grayscale, &[3; 64 * 32]);
    space.write(&label, &own);
    refused(
        &space.intrada("label --read export --out to-label"),
        &format!("has other labels for {file}; add --overwrite"),
    );
    assert!(space.bytes(&label) == own);
    done(&space.intrada("label --read export --out to-label --overwrite"));
    are_corrected(&space, "to-label");
    refused(&space.intrada("label --read export --out thesis"), "holds no chosen images");
}

#[test]
fn what_an_export_holds_that_means_nothing_is_told_with_its_file() {
    let space = adapted(8, |pipeline| pipeline);
    done(&space.intrada("label p.toml --count 2 --out to-label"));
    let [first, second] = &texts(&chosen(&space, "to-label"), "file")[..] else { panic!("two") };
    correct_in_cvat(&space, "to-label", "export", |_| true);
    let read = |more: &str| space.intrada(&format!("label --read export --out to-label{more}"));
    let map = space.read("export/labelmap.txt");

    // A label that somebody has made in the tool.
    space.write("export/labelmap.txt", format!("{map}dog:9,9,9::\n"));
    let mask = format!("export/SegmentationClass/{}.png", stem(first));
    let good = space.bytes(&mask);
    let mut pixels = decoded(&good);
    pixels[..6].copy_from_slice(&[9; 6]);
    space.write(&mask, png(SIZE, png::ColorType::Rgb, &pixels));
    let dog = format!(
        "SegmentationClass/{}.png: 2 pixels have the label `dog`, which is no class (sky, building,",
        stem(first)
    );
    refused(&read(""), &dog);
    assert!(!space.path("to-label/labels").exists(), "nothing is written");
    let ignored = read(" --ignore dog");
    done(&ignored);
    assert!(ignored.stderr.contains("2 pixels of the label `dog` are left unlabelled"), "{}", ignored.stderr);
    space.remove("to-label/labels");

    // A colour of no label, a mask of another size, an image of somebody else's.
    space.write("export/labelmap.txt", &map);
    refused(&read(""), "2 pixels, the first at 0, 0, have the colour [9, 9, 9], which labelmap.txt doesn't have");
    space.write(&mask, png([63, 32], png::ColorType::Rgb, &vec![0; 63 * 32 * 3]));
    refused(&read(""), &format!("it has 63 × 32 pixels, the image {first} has 64 × 32"));
    space.write(&mask, good);
    space.write("export/SegmentationClass/other.png", png(SIZE, png::ColorType::Rgb, &[0; 64 * 32 * 3]));
    let others = read("");
    done(&others);
    assert!(others.stderr.contains("left out, as they were not chosen into this folder: SegmentationClass/other.png"));
    space.write("text.json", "{\"a\": 1}");
    refused(&space.intrada("label --read text.json --out to-label"), "it is neither what CVAT exports");
    let _ = second;
}

#[test]
fn images_whose_names_are_not_ascii_keep_their_labels_apart_from_those_of_another_folder() {
    let space = adapted(4, |pipeline| pipeline);
    space.remove("target/images");
    for (name, number) in ["東京", "京都", "大阪", "奈良"].into_iter().zip(0..) {
        space.write(&format!("target/images/{name}.png"), photograph(number));
    }
    space.run("p.toml");
    done(&space.intrada("label p.toml --count 2 --out first"));
    done(&space.intrada("label p.toml --count 2 --out second --not-in first"));
    correct_in_cvat(&space, "first", "export", |_| true);
    refused(&space.intrada("label --read export --out second"), "none of its images was chosen into second");
    assert!(!space.path("second/labels").exists());
    done(&space.intrada("label --read export --out first"));
    are_corrected(&space, "first");
}

#[test]
fn an_image_that_has_become_empty_loses_its_label_when_labels_may_be_replaced() {
    let space = adapted(8, |pipeline| pipeline);
    done(&space.intrada("label p.toml --count 3 --out to-label"));
    let black = png(SIZE, png::ColorType::Rgb, &[0; 64 * 32 * 3]);
    correct_in_cvat(&space, "to-label", "nothing", |_| true);
    for file in texts(&chosen(&space, "to-label"), "file") {
        space.write(&format!("nothing/SegmentationClass/{}.png", stem(&file)), &black);
    }
    let read = space.intrada("label --read nothing --out to-label");
    let told = "0 labels written; 0 of 3 images have labels; 100.0 % of the pixels read have none; 3 images came back without any label\n";
    assert!(
        read.stdout.starts_with(told) && read.stdout.contains("nothing for the pipeline file yet"),
        "{}",
        read.stdout
    );
    correct_in_cvat(&space, "to-label", "export", |_| true);
    done(&space.intrada("label --read export --out to-label"));
    let file = texts(&chosen(&space, "to-label"), "file").remove(0);
    space.write(&format!("export/SegmentationClass/{}.png", stem(&file)), black);
    let label = space.path(&format!("to-label/labels/{}.png", stem(&file)));
    let read = space.intrada("label --read export --out to-label");
    assert!(read.stdout.starts_with("0 labels written, 2 as before; 3 of 3"), "{}{}", read.stdout, read.stderr);
    let stays = "1 image without any labelled pixel; the labels read before stay, --overwrite removes them";
    assert!(read.stderr.contains(stays) && label.exists(), "{}", read.stderr);
    let read = space.intrada("label --read export --out to-label --overwrite");
    assert!(read.stdout.starts_with("0 labels written, 2 as before; 2 of 3"), "{}{}", read.stdout, read.stderr);
    assert!(read.stderr.contains("so the labels read before are removed"), "{}", read.stderr);
    assert!(!label.exists() && !space.path("to-label/random.txt").exists());
    assert!(!names_of_list(&space, "to-label/labelled.txt").contains(&file));
    // Once it has none, there is nothing to remove.
    let read = space.intrada("label --read export --out to-label --overwrite");
    assert!(read.stderr.contains("so left without labels"), "{}", read.stderr);
}

#[test]
fn a_folder_among_the_images_of_the_data_set_is_refused_through_links_too() {
    let space = adapted(4, |pipeline| pipeline);
    std::os::unix::fs::symlink(space.path("target/images"), space.path("link")).unwrap();
    for folder in ["target/images/new/to-label", "target/images", "target/labels/to-label", "link/to-label"] {
        let ran = space.intrada(&format!("label p.toml --count 2 --out {folder}"));
        refused(&ran, "a folder of data set `target`: images there would be added to it");
    }
    assert!(!space.path("target/images/new").exists() && !space.path("target/images/to-label").exists());
    done(&space.intrada("label p.toml --count 2 --out target/to-label"));
}

#[test]
fn a_folder_that_lacks_chosen_images_is_not_up_to_date() {
    let space = adapted(6, |pipeline| pipeline);
    done(&space.intrada("label p.toml --count 3 --out to-label"));
    let files = texts(&chosen(&space, "to-label"), "file");
    space.remove(&format!("to-label/images/{}", files[0]));
    space.write(&format!("to-label/images/{}", files[1]), "text");
    space.write(&format!("to-label/network/{}.png", stem(&files[2])), "text");
    let ran = space.intrada("label p.toml --count 3 --out to-label");
    refused(&ran, &format!("missing: images/{}; altered: ", files[0]));
    assert!(ran.stderr.contains(&format!("images/{}", files[1])), "{}", ran.stderr);
    assert!(ran.stderr.contains(&format!("network/{}.png", stem(&files[2]))), "{}", ran.stderr);
    // What it says to do gives the same images again.
    std::fs::rename(space.path("to-label"), space.path("away")).unwrap();
    done(&space.intrada("label p.toml --count 3 --out to-label"));
    assert_eq!(texts(&chosen(&space, "to-label"), "file"), files);
}

#[test]
fn too_many_images_are_refused_before_any_is_predicted() {
    let space = adapted(6, |pipeline| pipeline);
    // No machine has this device: a prediction would fail.
    refused(
        &space.intrada("label p.toml --by random=4,diverse=3 --out to-label --device cuda:99"),
        "7 images are wanted, and 6 of the 6 images of `target`",
    );
    assert!(!space.path("to-label").exists());
}

#[test]
fn a_choice_that_was_killed_goes_on_and_ends_with_the_same_files() {
    let space = adapted(60, |pipeline| pipeline);
    done(&space.intrada("label p.toml --by uncertain=3,diverse=3 --out whole --threads 1"));
    let answers = space.path("out/.intrada-label/predictions/.intrada-predict/answers.jsonl");
    let answered = || std::fs::read_to_string(&answers).unwrap_or_default().lines().count();
    let mut run = space.start("label p.toml --by uncertain=3,diverse=3 --out out --threads 1");
    wait_until("answers", || answered() > 5 || run.try_wait().unwrap().is_some());
    kill_with_jobs(&mut run);
    assert!(answered() < 60, "the test needs one that isn't done");
    done(&space.intrada("label p.toml --by uncertain=3,diverse=3 --out out --threads 1"));
    let contents = |folder: &str| -> BTreeMap<_, _> {
        let all = files(&space.path(folder)).into_iter();
        let but_readme = all.filter(|file| !file.ends_with("README.txt"));
        but_readme
            .map(|file| (file.strip_prefix(space.path(folder)).unwrap().to_owned(), std::fs::read(file).unwrap()))
            .collect()
    };
    assert!(contents("whole") == contents("out"));
}

#[test]
fn masks_that_nobody_has_changed_are_told() {
    let space = adapted(6, |pipeline| pipeline);
    done(&space.intrada("label p.toml --count 2 --out to-label"));
    // The archive that was written for CVAT, taken for an export.
    let read = space.intrada("label --read to-label/cvat.zip --out to-label");
    done(&read);
    assert!(read.stderr.contains("2 images exactly what the network saw; was it looked at?"), "{}", read.stderr);
    for file in texts(&chosen(&space, "to-label"), "file") {
        let [network, label] =
            ["network", "labels"].map(|of| space.bytes(&format!("to-label/{of}/{}.png", stem(&file))));
        assert!(network == label);
    }
}

#[test]
fn the_last_adapted_network_is_taken_and_where_several_are_one_must_be_named() {
    let space = adapted(6, Pipeline::ranked);
    let ran = space.intrada("label p.toml --count 1 --out one");
    done(&ran);
    assert!(ran.stderr.contains("by the network of `inter`"), "{}", ran.stderr);
    let more = "[stages.other]\nkind = \"inter-training\"\nmethod = \"minent\"\nmodel = \"small\"\nsource = \"source\"\n\
                target = \"target\"\niterations = 1\n";
    let text = space.read("p.toml");
    let model = text.lines().find(|line| line.starts_with("model = ")).unwrap();
    space.write("p.toml", format!("{text}{}", more.replace("model = \"small\"", model)));
    space.run("p.toml other");
    refused(
        &space.intrada("label p.toml --count 1 --out two"),
        "several trainings adapt and are up to date: inter, other",
    );
    done(&space.intrada("label p.toml --count 1 --out two --stage other"));
    refused(
        &space.intrada("label p.toml --count 1 --out three --stage other --dataset no"),
        "there is no data set `no`",
    );
    assert!(!Path::new(&space.path("three")).exists());
}
