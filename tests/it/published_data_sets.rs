//! The published data sets from their folders to the numbers of an evaluation: layouts, label values, what may be missing.

use crate::pipelines::{Pipeline, training};
use crate::space::Space;
use crate::trees::{Label, pixels_of};

/// Trains one iteration on `source` and evaluates on it.
fn pipeline(classes: &str, data: &str) -> Pipeline {
    training_on(classes, data).evaluated_on("source")
}

fn training_on(classes: &str, data: &str) -> Pipeline {
    let pipeline = training().set("pipeline.classes", classes).set("stages.inter.iterations", 1);
    pipeline.dataset("source", &format!("{data}\nsize = [64, 32]\n"))
}

/// The pixels of each class that the evaluation counted: the sums of the confusion matrix's rows.
fn counted(space: &Space) -> Vec<i64> {
    let ran = space.intrada("run p.toml");
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let metrics = space.json("runs/p/evaluate/metrics.json");
    let rows = metrics["inter"]["confusion"].as_array().unwrap();
    rows.iter().map(|row| row.as_array().unwrap().iter().map(|n| n.as_i64().unwrap()).sum()).collect()
}

/// Every Cityscapes id, the void value 34 of GTA5 and one that nothing defines, more often for the later ones so that each
/// has a number of pixels of its own.
fn ids(last: u8) -> Vec<u8> {
    (0..=last).chain([200]).flat_map(|id| vec![id; usize::from(id % 50) + 1]).collect()
}

const TRAIN_IDS: [u8; 19] = [7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33];
const SYNTHIA_16: [u8; 16] = [3, 4, 2, 21, 5, 7, 15, 9, 6, 1, 10, 17, 8, 19, 12, 11];

#[test]
fn each_format_counts_the_pixels_of_every_id_at_the_size_of_its_labels() {
    let cityscapes_ids = ids(34);
    let expected = |images: i64, order: &[u8], values: &[u8]| -> Vec<i64> {
        order.iter().map(|id| images * pixels_of(values, *id)).collect()
    };

    let space = Space::with(pipeline("cityscapes-19", "format = \"cityscapes\"\nroot = \"C\"\nsplit = \"val\""));
    let names = ["lindau_000000_000019", "munster_000001_000019"];
    crate::trees::cityscapes(&space, "C", "val", &names, Some(&cityscapes_ids));
    crate::trees::cityscapes(&space, "C", "train", &["ulm_000000_000019"], None);
    assert_eq!(counted(&space), expected(2, &TRAIN_IDS, &cityscapes_ids));

    let space = Space::with(pipeline("cityscapes-19", "format = \"gta5\"\nroot = \"G\""));
    crate::trees::gta5(&space, "G", &[1, 24_966], &cityscapes_ids);
    assert_eq!(counted(&space), expected(2, &TRAIN_IDS, &cityscapes_ids));

    let space = Space::with(pipeline("cityscapes-19", "format = \"synscapes\"\nroot = \"S\""));
    crate::trees::synscapes(&space, "S", &[1, 2, 10], &cityscapes_ids);
    assert_eq!(counted(&space), expected(3, &TRAIN_IDS, &cityscapes_ids));
    let listing = space.intrada("inspect p.toml inter").stdout;
    assert!(listing.contains("source"), "{listing}");

    let space = Space::with(pipeline("cityscapes-16", "format = \"synthia\"\nroot = \"S\""));
    let synthia_ids = ids(22);
    crate::trees::synthia(&space, "S", 2, &synthia_ids);
    assert_eq!(counted(&space), expected(2, &SYNTHIA_16, &synthia_ids));

    let space = Space::with(pipeline("camvid-11", "format = \"camvid\"\nroot = \"V\"\nsplit = \"test\""));
    let camvid_ids = ids(11);
    crate::trees::camvid(&space, "V", "test", &["0001TP_008550"], &camvid_ids);
    assert_eq!(counted(&space), expected(1, &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10], &camvid_ids));
}

/// An adaptation from GTA5 to the images of Cityscapes that a list names, and what it makes of those.
fn adaptation() -> Pipeline {
    let pipeline = training_on("cityscapes-19", "format = \"gta5\"\nroot = \"G\"").adapted().inferred();
    let target = "format = \"cityscapes\"\nroot = \"C\"\nsplit = \"train\"\nlist = \"train.txt\"\nsize = [64, 32]\n";
    pipeline.dataset("target", target)
}

#[test]
fn a_target_needs_no_labels_and_keeps_the_order_of_a_list_of_the_released_code() {
    let space = Space::with(adaptation());
    crate::trees::gta5(&space, "G", &[1], &ids(34));
    crate::trees::cityscapes(
        &space,
        "C",
        "train",
        &["ulm_000000_000019", "aachen_000000_000019", "aachen_000001_000019"],
        None,
    );
    let list = "ulm/ulm_000000_000019_leftImg8bit.png\naachen/aachen_000001_000019_leftImg8bit.png\n";
    space.write("train.txt", list);
    assert_eq!(space.outcomes(), ["entropy:ran", "inter:ran"]);
    let scores = space.read("runs/p/entropy/scores.csv");
    let names: Vec<&str> = scores.lines().skip(1).map(|line| line.split(',').next().unwrap()).collect();
    assert_eq!(names.join("\n") + "\n", list);
    // Labels that arrive later are none of its business.
    crate::trees::cityscapes(&space, "C", "train", &["ulm_000000_000019"], Some(&[7]));
    assert_eq!(space.outcomes(), ["entropy:up-to-date", "inter:up-to-date"]);
}

#[test]
fn the_published_gaps_of_gta5_are_left_out_with_a_warning_and_others_are_an_error() {
    let space = Space::with(pipeline("cityscapes-19", "format = \"gta5\"\nroot = \"G\""));
    crate::trees::gta5(&space, "G", &[2153, 2154, 2155, 2159], &[7]);
    space.remove("G/labels/02154.png");
    space.remove("G/labels/02155.png");
    let plan = space.intrada("plan p.toml");
    assert_eq!(plan.code, Some(0), "{}", plan.stderr);
    let told = "warning: `source` leaves out 2 images without label: 02154.png, 02155.png";
    assert!(plan.stderr.contains(told) && plan.stderr.contains("2 pairs are left"), "{}", plan.stderr);

    space.edit("p.toml", "root = \"G\"", "root = \"G\"\nmissing = \"error\"");
    let plan = space.intrada("plan p.toml");
    assert_eq!(plan.code, Some(2), "{}", plan.stderr);
    assert!(plan.stderr.contains("`G/labels` holds no label for 2 images of 4: 02154.png, 02155.png"));

    space.edit("p.toml", "missing = \"error\"", "missing = \"known\"");
    space.remove("G/labels/02159.png");
    let plan = space.intrada("plan p.toml");
    assert_eq!(plan.code, Some(2), "{}", plan.stderr);
    assert!(plan.stderr.contains("`G/labels` holds no label for 1 image of 4: 02159.png"), "{}", plan.stderr);
    assert!(plan.stderr.contains("`missing = \"skip\"` leaves out every image without label"), "{}", plan.stderr);

    space.edit("p.toml", "missing = \"known\"", "missing = \"skip\"");
    let ran = space.intrada("run p.toml");
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(
        ran.stderr.contains("leaves out 3 images without label: 02154.png, 02155.png, 02159.png"),
        "{}",
        ran.stderr
    );
}

#[test]
fn what_is_missing_is_told_in_a_line_a_data_set_with_the_place_where_it_is_expected() {
    let space = Space::with(adaptation());
    crate::trees::cityscapes(&space, "C", "val", &["ulm_000000_000019"], None);
    space.write("train.txt", "x\n");
    let plan = space.intrada("plan p.toml");
    assert_eq!(plan.code, Some(2));
    let lines: Vec<&str> = plan.stderr.lines().filter(|line| line.starts_with("error")).collect();
    let root = std::fs::canonicalize(space.path("")).unwrap();
    let root = format!("; paths are relative to the workspace root, `{}`", root.display());
    let gta5 = format!("error: `G/images` does not exist; `.` holds C, p.toml, train.txt{root}");
    let target = format!("error: `C/leftImg8bit/train` does not exist; `C/leftImg8bit` holds val{root}");
    assert_eq!(lines, [gta5, target], "{}", plan.stderr);
    for expectation in [
        "a gta5 data set holds files such as G/images/00001.png and G/labels/00001.png",
        "a cityscapes data set holds files such as C/leftImg8bit/train/aachen/aachen_000000_000019_leftImg8bit.png",
    ] {
        assert!(plan.stderr.contains(expectation), "{}", plan.stderr);
    }
    assert!(!space.path("cache").exists(), "nothing was changed");
}

#[test]
fn a_root_that_is_a_folder_too_high_or_too_low_is_told_with_the_right_one() {
    for root in ["E/D/leftImg8bit", "E/D/leftImg8bit/train", "E", "E/D"] {
        let data = format!("format = \"cityscapes\"\nroot = \"{root}\"\nsplit = \"train\"");
        let space = Space::with(pipeline("cityscapes-19", &data));
        crate::trees::cityscapes(&space, "E/D", "train", &["ulm_000000_000019"], Some(&ids(33)));
        let said = space.intrada("plan p.toml").stderr;
        assert_eq!(said.contains("it is in another folder: `root = \"E/D\"`"), root != "E/D", "{root}: {said}");
    }
}

#[test]
fn a_label_of_another_kind_is_named_where_the_one_that_is_meant_is_missing() {
    let data = "format = \"cityscapes\"\nroot = \"D\"\nsplit = \"train\"";
    let space = Space::with(pipeline("cityscapes-19", data));
    crate::trees::cityscapes(&space, "D", "train", &["ulm_000000_000019"], Some(&ids(33)));
    let stem = "D/gtFine/train/ulm/ulm_000000_000019_gtFine";
    space.write(&format!("{stem}_labelTrainIds.png"), space.bytes(&format!("{stem}_labelIds.png")));
    space.remove(&format!("{stem}_labelIds.png"));
    let said = space.intrada("plan p.toml").stderr;
    assert!(said.contains("there is `ulm/ulm_000000_000019_gtFine_labelTrainIds.png`"), "{said}");
    assert!(said.contains("`ulm/ulm_000000_000019_gtFine_labelIds.png`"), "{said}");
}

#[test]
fn a_list_that_names_images_which_are_not_there_is_answered_with_their_number() {
    let space = Space::with(adaptation());
    crate::trees::gta5(&space, "G", &[1], &[7]);
    crate::trees::cityscapes(&space, "C", "train", &["ulm_000000_000019"], None);
    space.write("train.txt", "ulm/ulm_000000_000019_leftImg8bit.png\nulm/ulm_000001_000019_leftImg8bit.png\n");
    let plan = space.intrada("plan p.toml");
    assert_eq!(plan.code, Some(2));
    let told =
        "`train.txt` names 1 image that `C/leftImg8bit/train` does not have: ulm/ulm_000001_000019_leftImg8bit.png";
    assert!(plan.stderr.contains(told), "{}", plan.stderr);
}

#[test]
fn labels_of_another_data_set_are_refused() {
    // Classes that these labels don't know.
    let space = Space::with(pipeline("camvid-11", "format = \"cityscapes\"\nroot = \"C\"\nsplit = \"val\""));
    crate::trees::cityscapes(&space, "C", "val", &["ulm_000000_000019"], Some(&[7]));
    let plan = space.intrada("plan p.toml");
    assert_eq!(plan.code, Some(2));
    let told =
        "the labels of a cityscapes data set have no classes `pavement`, `tree`, `sign`, `pedestrian`, `bicyclist`";
    assert!(plan.stderr.contains(told), "{}", plan.stderr);

    // 8-bit labels where SYNTHIA's are meant.
    let space = Space::with(pipeline("cityscapes-16", "format = \"synthia\"\nroot = \"S\""));
    crate::trees::synthia(&space, "S", 1, &[3]);
    space.write("S/GT/LABELS/0000000.png", Label::Grey.of(&[3]));
    let plan = space.intrada("plan p.toml");
    assert_eq!(plan.code, Some(2));
    assert!(plan.stderr.contains("S/GT/LABELS/0000000.png` is a PNG of one channel"), "{}", plan.stderr);

    // Values that are all ignored: train ids would be such a case, if there were none above 6.
    let space = Space::with(pipeline("cityscapes-19", "format = \"gta5\"\nroot = \"G\""));
    crate::trees::gta5(&space, "G", &[1], &[0, 1, 2, 255]);
    let plan = space.intrada("plan p.toml");
    assert_eq!(plan.code, Some(2));
    assert!(
        plan.stderr.contains("no label of `source` holds a class: the values found are 0 1 2 255"),
        "{}",
        plan.stderr
    );
}

/// The pixels of each of the 19 classes that labels of these values have, where each class has these values.
fn by_class(images: i64, of_classes: &[&[u8]], values: &[u8]) -> Vec<i64> {
    let pixels = |of: &&[u8]| of.iter().map(|value| images * pixels_of(values, *value)).sum();
    of_classes.iter().map(pixels).collect()
}

/// Vistas v1.2, by the rules that Rein publishes.
const VISTAS: [&[u8]; 19] = [
    &[7, 8, 10, 13, 14, 23, 24],
    &[2, 9, 11, 15],
    &[17],
    &[6],
    &[3],
    &[44, 45, 47],
    &[48],
    &[46, 49, 50],
    &[30],
    &[29],
    &[27],
    &[19],
    &[20, 21, 22],
    &[55],
    &[61],
    &[54],
    &[58],
    &[57],
    &[52],
];

/// Level 3 of IDD, in which no value is trains alone.
const LEVEL_3: [&[u8]; 19] = [
    &[0],
    &[2],
    &[22],
    &[14],
    &[15],
    &[20],
    &[19],
    &[18],
    &[24],
    &[3],
    &[25],
    &[4],
    &[5],
    &[9],
    &[10],
    &[11],
    &[],
    &[6],
    &[7],
];

#[test]
fn data_sets_of_other_places_and_weather_count_the_pixels_of_every_value() {
    let train_ids: Vec<Vec<u8>> = (0..19).map(|id| vec![id]).collect();
    let train_ids: Vec<&[u8]> = train_ids.iter().map(Vec::as_slice).collect();
    let values = [ids(18), vec![255; 7]].concat();
    let of = |data: &str| Space::with(pipeline("cityscapes-19", data));

    let space = of("format = \"acdc\"\nroot = \"A\"\nsplit = \"val\"");
    crate::trees::acdc(&space, "A", "val", &["fog", "night", "rain", "snow"], Some(&values));
    crate::trees::acdc(&space, "A", "train", &["fog"], Some(&[0]));
    assert_eq!(counted(&space), by_class(4, &train_ids, &values));
    space.edit("p.toml", "split = \"val\"", "split = \"val\"\nconditions = [\"snow\", \"fog\"]");
    assert_eq!(counted(&space), by_class(2, &train_ids, &values));

    let space = of("format = \"dark-zurich\"\nroot = \"Z\"\nsplit = \"val\"");
    crate::trees::dark_zurich(&space, "Z", "val", "night", &[321, 322], Some(&values));
    crate::trees::dark_zurich(&space, "Z", "train", "night", &[1], None);
    assert_eq!(counted(&space), by_class(2, &train_ids, &values));

    let space = of("format = \"bdd100k\"\nroot = \"bdd100k\"\nsplit = \"train\"");
    crate::trees::bdd100k(&space, "bdd100k", "train", &["0004a4c0-d4dff0ad", "0004a4c0-d4dff0ae"], Some(&values));
    assert_eq!(counted(&space), by_class(2, &train_ids, &values));

    let space = of("format = \"urbansyn\"\nroot = \"U\"");
    let with_19 = [values.clone(), vec![19; 5]].concat();
    crate::trees::urbansyn(&space, "U", &[1, 7539], &with_19);
    assert_eq!(counted(&space), by_class(2, &train_ids, &with_19));

    let space = of("format = \"mapillary\"\nroot = \"M\"\nsplit = \"val\"");
    let of_66: Vec<u8> = (0..66).flat_map(|id| vec![id; usize::from(id % 23) + 1]).collect();
    crate::trees::mapillary(&space, "M", "validation", &["a-0", "b_1"], Some(("v1.2/labels", &of_66)));
    assert_eq!(counted(&space), by_class(2, &VISTAS, &of_66));

    let space = of("format = \"idd\"\nroot = \"I\"\nsplit = \"val\"");
    let level_3 = [ids(25), vec![255; 9]].concat();
    crate::trees::idd(&space, "I", "val", &["frame0029", "frame0030"], Some(("level3Id", &level_3)));
    assert_eq!(counted(&space), by_class(2, &LEVEL_3, &level_3));

    let space = Space::with(pipeline("idd-7", "format = \"idd-lite\"\nroot = \"idd20k_lite\"\nsplit = \"train\""));
    let lite = [ids(6), vec![255; 3]].concat();
    crate::trees::idd_lite(&space, "idd20k_lite", "train", &["024541", "024703"], Some(&lite));
    assert_eq!(counted(&space), by_class(2, &train_ids[..7], &lite));
}

/// The folder of each split without public labels, in its layout.
fn unlabelled(space: &Space) -> [&'static str; 6] {
    crate::trees::acdc(space, "T/A", "test", &["fog", "night", "rain", "snow"], None);
    crate::trees::dark_zurich(space, "T/Z", "train", "night", &[1], None);
    crate::trees::bdd100k(space, "T/B", "test", &["a"], None);
    crate::trees::mapillary(space, "T/M", "testing", &["a"], None);
    crate::trees::idd(space, "T/I", "test", &["a", "b"], None);
    crate::trees::idd_lite(space, "T/L", "test", &["a"], None);
    [
        "format = \"acdc\"\nroot = \"T/A\"\nsplit = \"test\"\n",
        "format = \"dark-zurich\"\nroot = \"T/Z\"\nsplit = \"train\"\n",
        "format = \"bdd100k\"\nroot = \"T/B\"\nsplit = \"test\"\n",
        "format = \"mapillary\"\nroot = \"T/M\"\nsplit = \"test\"\n",
        "format = \"idd\"\nroot = \"T/I\"\nsplit = \"test\"\n",
        "format = \"idd-lite\"\nroot = \"T/L\"\nsplit = \"test\"\n",
    ]
}

#[test]
fn a_split_without_public_labels_is_a_target_and_never_labelled() {
    let space = Space::new();
    let adaptation = training_on("cityscapes-19", "format = \"urbansyn\"\nroot = \"U\"").adapted();
    crate::trees::urbansyn(&space, "U", &[1], &ids(18));
    for data in unlabelled(&space) {
        let target = format!("{data}size = [64, 32]\n");
        space.write("p.toml", adaptation.clone().dataset("target", &target));
        let plan = space.intrada("plan p.toml");
        assert_eq!(plan.code, Some(0), "{data}{}", plan.stderr);
        assert!(!plan.stderr.contains("without label"), "{data}{}", plan.stderr);

        let classes = if data.contains("idd-lite") { "idd-7" } else { "cityscapes-19" };
        space.write("p.toml", pipeline(classes, data.trim_end()));
        let plan = space.intrada("plan p.toml");
        assert_eq!(plan.code, Some(2), "{data}{}", plan.stderr);
        let format = data.split('"').nth(1).unwrap();
        assert!(plan.stderr.contains(&format!("{format} data set holds files such as T/")), "{}", plan.stderr);
        let told = plan.stderr.contains("does not exist") || plan.stderr.contains("holds no label for");
        assert!(told, "{data}{}", plan.stderr);
    }
}

#[test]
fn another_layout_is_answered_with_the_files_that_are_expected_and_the_root_that_has_them() {
    for (data, wrong, expected) in [
        (
            "format = \"acdc\"\nroot = \"R\"\nsplit = \"val\"",
            "R/rgb_anon/val/GOPR0475_frame_000041_rgb_anon.png",
            "`R/rgb_anon/fog/val` does not exist; `R/rgb_anon` holds val|R/rgb_anon/fog/val/GOPR0475/",
        ),
        (
            "format = \"dark-zurich\"\nroot = \"R\"\nsplit = \"val\"\ntime = \"day\"",
            "R/rgb_anon/val/night/GOPR0356/GOPR0356_frame_000321_rgb_anon.png",
            "`R/rgb_anon/val/day` does not exist; `R/rgb_anon/val` holds night|only `val` at night has public labels",
        ),
        (
            "format = \"bdd100k\"\nroot = \"R\"\nsplit = \"val\"",
            "R/bdd100k/images/10k/val/a.jpg",
            "`R/images/10k/val` does not exist; `R` holds bdd100k|it is in another folder: `root = \"R/bdd100k\"`",
        ),
        (
            "format = \"mapillary\"\nroot = \"R/training\"\nsplit = \"train\"",
            "R/training/images/a.jpg",
            "`R/training/training/images` does not exist; `R/training` holds images|it is in another folder: `root = \"R\"`",
        ),
        (
            "format = \"idd\"\nroot = \"R\"\nsplit = \"val\"",
            "R/leftImg8bit/val/0/1_image.jpg",
            "`R/leftImg8bit/val` holds no image|R/gtFine/val/201/frame0029_gtFine_labellevel3Ids.png",
        ),
        (
            "format = \"urbansyn\"\nroot = \"R\"",
            "R/RGB/rgb_0001.png",
            "`R/rgb` does not exist; `R` holds RGB|R/rgb/rgb_0001.png and R/ss/ss_0001.png",
        ),
    ] {
        let space = Space::with(pipeline("cityscapes-19", data));
        space.write(wrong, crate::trees::picture(1));
        let plan = space.intrada("plan p.toml");
        assert_eq!(plan.code, Some(2), "{data}\n{}", plan.stderr);
        for text in expected.split('|') {
            assert!(plan.stderr.contains(text), "{text} is not in\n{}", plan.stderr);
        }
    }
}

#[test]
fn labels_of_a_data_set_are_found_in_the_version_that_is_asked_for() {
    let space = Space::with(pipeline("cityscapes-19", "format = \"mapillary\"\nroot = \"M\"\nsplit = \"train\""));
    let of_124: Vec<u8> = (0..124).collect();
    crate::trees::mapillary(&space, "M", "training", &["a"], Some(("v2.0/labels", &of_124)));
    let plan = space.intrada("plan p.toml");
    assert!(
        plan.stderr.contains("`M/training/v1.2/labels` does not exist; `M/training` holds images, v2.0"),
        "{}",
        plan.stderr
    );
    space.edit("p.toml", "split = \"train\"", "split = \"train\"\nlabels = \"v2.0\"");
    let plan = space.intrada("plan p.toml");
    assert_eq!((plan.code, plan.stderr.as_str()), (Some(0), ""));

    let space = Space::with(pipeline("cityscapes-19", "format = \"idd\"\nroot = \"I\"\nsplit = \"val\""));
    crate::trees::idd(&space, "I", "val", &["a", "b"], Some(("csTrainId", &ids(18)[..190])));
    let plan = space.intrada("plan p.toml");
    assert_eq!(plan.code, Some(2));
    for text in ["there is `201/a_gtFine_labelcsTrainIds.png`", "`createLabels.py --id-type level3Id`"] {
        assert!(plan.stderr.contains(text), "{text} is not in\n{}", plan.stderr);
    }
    space.edit("p.toml", "split = \"val\"", "split = \"val\"\nlabels = \"csTrainId\"");
    let plan = space.intrada("plan p.toml");
    assert_eq!((plan.code, plan.stderr.as_str()), (Some(0), ""));

    // Level 3 has no trains: a remark, not an error.
    space.edit("p.toml", "csTrainId", "level3Id");
    crate::trees::idd(&space, "I", "val", &["a", "b"], Some(("level3Id", &(0..26).collect::<Vec<u8>>())));
    let plan = space.intrada("plan p.toml");
    assert_eq!(plan.code, Some(0), "{}", plan.stderr);
    assert!(plan.stderr.contains("no label of `source` holds train (16)"), "{}", plan.stderr);
    assert!(plan.stderr.contains("no label of an idd data set has train"), "{}", plan.stderr);
}

#[test]
fn what_does_not_pair_is_told_by_plan_and_doctor_alike() {
    let space = Space::with(pipeline("cityscapes-19", "format = \"acdc\"\nroot = \"A\"\nsplit = \"val\""));
    let values: Vec<u8> = (0..19).collect();
    crate::trees::acdc(&space, "A", "val", &["fog", "night", "rain", "snow"], Some(&values));
    let spare = "A/gt/rain/val/GOPR0402/GOPR0402_frame_000100_gt_labelTrainIds.png";
    space.write(spare, Label::Grey.of(&values));
    let told = "`A/gt` holds 1 label without an image: rain/val/GOPR0402/GOPR0402_frame_000100_gt_labelTrainIds.png";
    for command in ["plan p.toml", "doctor p.toml"] {
        let ran = space.intrada(command);
        assert!((ran.stdout.clone() + &ran.stderr).contains(told), "{}{}", ran.stdout, ran.stderr);
    }
    assert!(space.intrada("doctor p.toml").stdout.contains("source: 4 images, 4 labels, values 0 1 2 "));

    space.remove("A/gt/night/val/GOPR0475/GOPR0475_frame_000041_gt_labelTrainIds.png");
    for command in ["plan p.toml", "doctor p.toml"] {
        let ran = space.intrada(command);
        let said = ran.stdout + &ran.stderr;
        let told = "`A/gt` holds no label for 1 image of 4: night/val/GOPR0475/GOPR0475_frame_000041_rgb_anon.png";
        assert!(said.contains(told) && said.contains("frame_000041_gt_label"), "{said}");
    }

    // Label ids where train ids are meant.
    let space = Space::with(pipeline("cityscapes-19", "format = \"bdd100k\"\nroot = \"B\"\nsplit = \"val\""));
    crate::trees::bdd100k(&space, "B", "val", &["a", "b"], Some(&(0..=33).collect::<Vec<u8>>()));
    for command in ["plan p.toml", "doctor p.toml"] {
        let ran = space.intrada(command);
        let said = ran.stdout + &ran.stderr;
        assert!(
            said.contains("look like Cityscapes' label ids: no bdd100k label holds values such as 19 20 21"),
            "{said}"
        );
    }
}
