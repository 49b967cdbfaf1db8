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
