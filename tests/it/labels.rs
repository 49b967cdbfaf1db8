//! What the values and names of labels tell about a mistake is said before anything runs, with advice that holds when followed.

use crate::pipelines::{Pipeline, training};
use crate::space::Space;
use png::{BitDepth, ColorType};

/// A training on `source` and an evaluation on `test`, with these classes.
fn pipeline(classes: &[&str]) -> Pipeline {
    training().classes(classes.iter().copied()).folder("source").evaluated().folder("test")
}

const SIZE: [u32; 2] = [64, 32];
const THREE: [&str; 3] = ["ground", "sky", "car"];

fn png(color: ColorType, depth: BitDepth, data: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, SIZE[0], SIZE[1]);
    encoder.set_color(color);
    encoder.set_depth(depth);
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(data).unwrap();
    writer.finish().unwrap();
    bytes
}

/// Of these values, one after the other.
fn label(values: &[u8]) -> Vec<u8> {
    let pixels: Vec<u8> = values.iter().copied().cycle().take((SIZE[0] * SIZE[1]) as usize).collect();
    png(ColorType::Grayscale, BitDepth::Eight, &pixels)
}

fn pair(space: &Space, dataset: &str, name: &str, values: &[u8]) {
    space.write(&format!("{dataset}/images/{name}.png"), crate::space::grey_png(SIZE[0], SIZE[1], 90));
    space.write(&format!("{dataset}/labels/{name}.png"), label(values));
}

/// Two labelled images in `source`, all of whose values are these; one in `test` that holds every class.
fn space(classes: &[&str], values: &[u8]) -> Space {
    let space = Space::with(pipeline(classes));
    pair(&space, "source", "a", values);
    pair(&space, "source", "b", &values[..1]);
    pair(&space, "test", "t", &(0..classes.len() as u8).collect::<Vec<_>>());
    // No image that is learnt from.
    space.write("test/images/t.png", crate::space::grey_png(SIZE[0], SIZE[1], 91));
    space
}

/// Puts the first map that is advised into the data set.
fn follow(space: &Space, said: &str, dataset: &str) -> String {
    let from = said.find("`map = ").unwrap_or_else(|| panic!("no map is advised in\n{said}")) + 1;
    let map = said[from..].split('`').next().unwrap().to_owned();
    space.edit("p.toml", &format!("root = \"{dataset}\""), &format!("root = \"{dataset}\"\n{map}"));
    map
}

#[test]
fn an_advised_map_when_followed_is_accepted_and_every_class_is_in_the_labels() {
    let many: Vec<String> = (0..5).map(|class| format!("class-{class}")).collect();
    let five: Vec<&str> = many.iter().map(String::as_str).collect();
    for (classes, values) in [
        (&["background", "lesion"][..], &[0, 255][..]),
        (&["background", "lesion"], &[0, 1, 2]),
        (&["background", "lesion"], &[1, 2]),
        (&["background", "lesion"], &[0, 128, 255]),
        (&THREE, &[1, 2, 3]),
        (&THREE, &[0, 1, 2, 3]),
        (&THREE, &[1, 2, 3, 255]),
        (&THREE, &[0, 128, 255]),
        (&THREE, &[10, 20, 30, 255]),
        (&five, &[0, 50, 100, 150, 200]),
        (&["sky", "road", "car"], &[0, 7, 23, 26]),
    ] {
        let space = space(classes, values);
        let first = space.intrada("plan p.toml");
        let doctor = space.intrada("doctor p.toml");
        let map = follow(&space, &first.stderr, "source");
        assert!(doctor.stdout.contains(&map), "the doctor says the same: {}", doctor.stdout);
        let then = space.intrada("plan p.toml");
        assert_eq!(then.code, Some(0), "{values:?}, {map}: {}", then.stderr);
        assert!(!then.stderr.contains("no label of"), "{values:?}, {map}: {}", then.stderr);
    }
}

#[test]
fn a_class_that_no_label_holds_is_told_before_the_training_and_trained_all_the_same() {
    let space = space(&THREE, &[0, 1]);
    let said = "warning: no label of `source` holds car (2)";
    let plan = space.intrada("plan p.toml");
    assert!(plan.stderr.contains(said) && plan.stderr.contains("`inter` can't learn this class"), "{}", plan.stderr);
    assert!(!plan.stderr.contains("map ="), "nothing tells where it is: {}", plan.stderr);
    assert!(space.intrada("doctor p.toml").stdout.contains("no label of `source` holds car (2)"));
    let ran = space.intrada("p.toml inter");
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!((ran.stdout.clone() + &ran.stderr).contains(said), "{}{}", ran.stdout, ran.stderr);
    // What is remembered of the labels tells it again.
    assert!(space.intrada("plan p.toml").stderr.contains(said));
}

#[test]
fn a_class_that_an_evaluation_lacks_is_told_as_what_it_does_to_the_measure() {
    let space = space(&THREE, &[0, 1, 2]);
    space.write("test/labels/t.png", label(&[0, 1]));
    let plan = space.intrada("plan p.toml");
    assert_eq!(plan.code, Some(0), "{}", plan.stderr);
    assert!(plan.stderr.contains("no label of `test` holds car (2)"), "{}", plan.stderr);
    assert!(plan.stderr.contains("its IoU is 0") && !plan.stderr.contains("can't learn"), "{}", plan.stderr);
    assert!(!plan.stderr.contains("no label of `source`"), "{}", plan.stderr);
}

#[test]
fn labels_of_another_size_are_told_only_where_a_training_learns_from_them() {
    let space = space(&THREE, &[0, 1, 2]);
    space.write("test/images/t.png", crate::space::grey_png(32, 32, 90));
    assert!(!space.intrada("plan p.toml").stderr.contains("another size"));
    space.write("source/images/a.png", crate::space::grey_png(32, 32, 90));
    let plan = space.intrada("plan p.toml").stderr;
    assert!(plan.contains("1 of 2 labels of `source` has another size"), "{plan}");
}

#[test]
fn what_a_training_meets_for_certain_is_an_error_and_what_it_may_meet_a_warning() {
    let space = space(&THREE, &[0, 1, 2]);
    pair(&space, "source", "c", &[0, 1, 2]);
    space.write("source/images/a.png", crate::space::grey_png(32, 32, 90));
    let told = |set: &str, code: i32, text: &str| {
        let plan = space.intrada(&format!("plan p.toml{set}"));
        assert_eq!(plan.code, Some(code), "{set}: {}", plan.stderr);
        assert!(plan.stderr.contains(text), "{set}: {}", plan.stderr);
        let doctor = space.intrada(&format!("doctor p.toml{set}"));
        assert!(
            doctor.stdout.contains(&text.replace("warning: ", "").replace("error: ", "")),
            "{set}: {}",
            doctor.stdout
        );
    };
    let one = "1 of 3 labels of `source` has another size than its image";
    told("", 0, &format!("warning: {one}"));
    told(" --set stages.inter.iterations=3", 2, &format!("error: {one}"));
    told(" --set stages.inter.batch=2", 2, &format!("error: {one}"));
    for name in ["b", "c"] {
        space.write(&format!("source/images/{name}.png"), crate::space::grey_png(32, 32, 90));
    }
    told(" --set stages.inter.iterations=1", 2, "error: 3 of 3 labels of `source` have another size than their image");
    // A batch of two of three sizes, and of one that fills no batch.
    for (name, side) in [("a", 32), ("b", 40), ("c", 48)] {
        for folder in ["images", "labels"] {
            space.write(&format!("source/{folder}/{name}.png"), crate::space::grey_png(side, side, 1));
        }
    }
    let mixed =
        "images of `source` have different sizes, which a batch of 2 can't hold: `a.png` is 32 × 32, `b.png` 40 × 40";
    told(" --set stages.inter.batch=2 --set stages.inter.iterations=1", 2, &format!("error: {mixed}"));
    for folder in ["images", "labels"] {
        space.write(&format!("source/{folder}/c.png"), crate::space::grey_png(40, 40, 1));
    }
    told(" --set stages.inter.batch=2", 0, &format!("warning: {mixed}"));
    let in_order = " --set stages.inter.batch=2 --set stages.inter.order=\"sequential\"";
    told(in_order, 2, &format!("error: {mixed}"));
    assert!(
        !space
            .intrada("plan p.toml --set stages.inter.batch=2 --set stages.inter.crop=[32,32]")
            .stderr
            .contains("sizes")
    );
}

#[test]
fn of_many_labels_the_one_of_another_size_is_found() {
    let space = space(&THREE, &[0, 1, 2]);
    for i in 0..450 {
        pair(&space, "source", &format!("n{i:03}"), &[0, 1, 2]);
    }
    space.write("source/images/n101.png", crate::space::grey_png(32, 32, 90));
    for said in [space.intrada("plan p.toml"), space.intrada("plan p.toml"), space.intrada("doctor p.toml")] {
        let said = said.stdout + &said.stderr;
        assert!(said.contains("1 of 452 labels of `source` has another size than its image: `n101.png`"), "{said}");
    }
}

#[test]
fn values_that_are_a_picture_are_called_so_and_strangers_are_named_in_the_advice() {
    let space = space(&["background", "lesion"], &(0..=254).step_by(2).collect::<Vec<u8>>());
    let plan = space.intrada("plan p.toml");
    assert_eq!(plan.code, Some(2));
    assert!(plan.stderr.contains("128 different values for 2 classes are those of a picture"), "{}", plan.stderr);
    let space = self::space(&THREE, &[0, 1, 40, 41, 2]);
    let plan = space.intrada("plan p.toml");
    assert_eq!(plan.code, Some(2));
    assert_eq!(follow(&space, &plan.stderr, "source"), "map = { 40 = 255, 41 = 255 }");
    assert_eq!(space.intrada("plan p.toml").code, Some(0));
}

/// A training on Cityscapes' classes, on a data set of these lines.
fn street(dataset: &str) -> Pipeline {
    let lines = format!("{dataset}\nsize = [64, 32]\n");
    training().set("pipeline.classes", "cityscapes-19").dataset("source", &lines)
}

#[test]
fn train_ids_in_the_place_of_label_ids_are_told_in_every_format_and_the_advice_reads_them() {
    let train_ids: Vec<u8> = (0..=18).chain([255]).collect();
    let plan = |format: &str, plant: &dyn Fn(&Space, &[u8])| {
        let space = Space::with(street(format));
        plant(&space, &train_ids);
        let said = space.intrada("plan p.toml");
        assert_eq!(said.code, Some(0), "{}", said.stderr);
        assert!(
            said.stderr.contains("the labels of `source` look like Cityscapes' train ids"),
            "{format}: {}",
            said.stderr
        );
        assert!(space.intrada("doctor p.toml").stdout.contains("look like Cityscapes' train ids"));
        (space, said.stderr)
    };
    let cityscapes = |space: &Space, values: &[u8]| {
        crate::trees::cityscapes(space, "D", "train", &["ulm_000000_000019"], Some(values));
    };
    plan("format = \"cityscapes\"\nroot = \"D\"\nsplit = \"train\"", &cityscapes);
    plan("format = \"synthia\"\nroot = \"D\"", &|space, values| crate::trees::synthia(space, "D", 2, values));
    for (format, plant) in [
        (
            "gta5",
            &(|space: &Space, values: &[u8]| crate::trees::gta5(space, "D", &[1, 2], values)) as &dyn Fn(&Space, &[u8]),
        ),
        ("synscapes", &|space, values| crate::trees::synscapes(space, "D", &[1, 2], values)),
    ] {
        let typed = format!("format = \"{format}\"\nroot = \"D\"");
        let (space, said) = plan(&typed, plant);
        let advice = said.split("to read Cityscapes' train ids: ").nth(1).unwrap().lines().next().unwrap().to_owned();
        let keys = advice.replace("`, `", "\n").replace('`', "");
        space.edit("p.toml", &typed, &format!("root = \"D\"\n{keys}"));
        let then = space.intrada("plan p.toml");
        assert_eq!((then.code, then.stderr.as_str()), (Some(0), ""), "{keys}");
    }
}

#[test]
fn labels_of_one_data_set_in_the_folders_of_another_are_told() {
    let told = |format: &str, plant: &dyn Fn(&Space), text: &str| {
        let space = Space::with(street(&format!("format = \"{format}\"\nroot = \"D\"")));
        plant(&space);
        for said in [space.intrada("plan p.toml").stderr, space.intrada("doctor p.toml").stdout] {
            assert!(said.contains(text), "{format}: {said}");
        }
    };
    let ids = "look like Cityscapes' label ids: no synthia label holds values such as 23 26";
    told("synthia", &|space| crate::trees::synthia(space, "D", 2, &[7, 23, 26]), ids);
    let of_synthia = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 15, 17, 19, 21, 22];
    let like = "look like SYNTHIA's ids, not like those of a gta5 data set";
    told("gta5", &|space| crate::trees::gta5(space, "D", &[1, 2], &of_synthia), like);
    // A first part of SYNTHIA has no wall, no bus and no lane marking.
    let space = Space::with(street("format = \"synthia\"\nroot = \"D\""));
    crate::trees::synthia(&space, "D", 1, &[0, 1, 2, 3, 4, 6, 7, 8, 9, 10, 13]);
    let said = space.intrada("plan p.toml").stderr;
    assert!(!said.contains("look like") && !said.contains("archive"), "{said}");
}

#[test]
fn values_that_nothing_explains_are_asked_for_and_no_map_is_advised_that_ignores_all() {
    for (values, map) in [(&[218, 228][..], ""), (&[255], ""), (&[0, 1, 2], "map = { 0 = 255, 1 = 255, 2 = 255 }")] {
        let space = space(&THREE, values);
        space.edit("p.toml", "root = \"source\"", &format!("root = \"source\"\n{map}"));
        let said = space.intrada("plan p.toml");
        assert_eq!(said.code, Some(2), "{}", said.stderr);
        assert!(!said.stderr.contains("`map = {"), "{values:?}: {}", said.stderr);
        let advice = if map.is_empty() { "do the values" } else { "leave `map` out" };
        assert!(
            said.stderr.contains(advice) || said.stderr.contains("what does the value 255 mean?"),
            "{values:?}: {}",
            said.stderr
        );
        assert!(space.intrada("doctor p.toml").stdout.contains("help: "));
    }
}

#[test]
fn an_advised_map_is_never_an_empty_one() {
    let space = space(&["background", "lesion"], &[0, 1]);
    space.edit("p.toml", "root = \"source\"", "root = \"source\"\nmap = { 1 = 0 }");
    let said = space.intrada("plan p.toml").stderr;
    assert!(!said.contains("map = {"), "{said}");
    assert!(said.contains("if 1 is lesion: leave `map` out"), "{said}");
}

#[test]
fn images_that_are_learnt_from_and_measured_on_are_told_whatever_they_are_called() {
    let space = space(&THREE, &[0, 1, 2]);
    space.write("test/images/t.png", crate::space::grey_png(64, 32, 17));
    assert_eq!(space.intrada("plan p.toml").stderr, "");
    space.write("source/images/b.png", crate::space::grey_png(64, 32, 17));
    let told = "warning: 1 of 1 different images of `test` is in `source` as well";
    let plan = space.intrada("plan p.toml");
    assert_eq!(plan.code, Some(0));
    assert!(plan.stderr.contains(told) && plan.stderr.contains("`inter` trains on these"), "{}", plan.stderr);
    let ran = space.intrada("p.toml");
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!((ran.stdout + &ran.stderr).contains(told));
    // Whoever names one data set twice knows.
    assert_eq!(
        space
            .intrada("plan p.toml --set stages.evaluate.dataset=\"source\" --set datasets.test.root=\"source\"")
            .stderr
            .matches("as well")
            .count(),
        0
    );
}

#[test]
fn a_label_that_is_no_png_is_told_with_what_to_do_about_it() {
    let space = space(&THREE, &[0, 1, 2]);
    let whole = label(&[0, 1, 2]);
    for (bytes, cure) in [
        (&b"version https://git-lfs.github.com/pipeline/v1\noid sha256:0\n"[..], "git lfs pull"),
        (b"<!DOCTYPE html><html>", "download"),
        (&whole[..whole.len() / 2], "copy or download the file again"),
    ] {
        space.write("source/labels/a.png", bytes);
        for said in [space.intrada("plan p.toml").stderr, space.intrada("doctor p.toml").stdout] {
            assert!(said.contains("source/labels/a.png") && said.contains(cure), "{said}");
        }
    }
}

#[test]
fn folders_that_are_the_wrong_way_round_or_one_and_the_same_are_called_so() {
    let space = space(&THREE, &[0, 1, 2]);
    let colours = |space: &Space| {
        for name in ["a", "b"] {
            let pixels: Vec<u8> = (0..3 * SIZE[0] * SIZE[1]).map(|i| (i % 251) as u8).collect();
            space.write(&format!("source/images/{name}.png"), png(ColorType::Rgb, BitDepth::Eight, &pixels));
        }
    };
    let told = |set: &str, text: &str| {
        let plan = space.intrada(&format!("plan p.toml{set}"));
        assert_eq!(plan.code, Some(2), "{}", plan.stderr);
        let doctor = space.intrada(&format!("doctor p.toml{set}"));
        for said in [plan.stderr, doctor.stdout] {
            assert!(said.contains(text), "{set}: {said}");
        }
    };
    let swapped = " --set datasets.source.images=\"labels\" --set datasets.source.labels=\"images\"";
    let asked = "are `images` and `labels` swapped? `source/labels/a.png` holds class indices: 0 1 2";
    told(swapped, asked);
    colours(&space);
    told(swapped, asked);
    let own = "`source/labels` is the folder of the images and of the labels, and 2 images would be their own label";
    told(" --set datasets.source.images=\"labels\"", own);
    told(" --set datasets.source.labels=\"images\"", &own.replace("source/labels", "source/images"));
    assert_eq!(space.intrada("plan p.toml --set datasets.source.root=\"source/images/..\"").code, Some(0));
}

#[test]
fn label_ids_are_no_train_ids() {
    let ids: Vec<u8> = (0..=33).collect();
    let space = Space::with(street("format = \"gta5\"\nroot = \"D\""));
    crate::trees::gta5(&space, "D", &[1], &ids);
    assert_eq!(space.intrada("plan p.toml").stderr, "");
    // The classes that SYNTHIA has no label of are named as such.
    let space = Space::with(street("format = \"synthia\"\nroot = \"D\""));
    crate::trees::synthia(&space, "D", 1, &(0..=22).filter(|id| ![16, 18, 20].contains(id)).collect::<Vec<u8>>());
    let said = space.intrada("plan p.toml").stderr;
    assert!(said.contains("no label of `source` holds terrain (9), truck (14), train (16)"), "{said}");
    assert!(said.contains("no label of a synthia data set has terrain, truck, train"), "{said}");
}

#[test]
fn label_ids_in_a_plain_folder_are_told_with_the_map_that_reads_them() {
    let space = Space::with(street("format = \"folder\"\nroot = \"source\""));
    let ids = [7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33];
    pair(&space, "source", "a", &ids);
    let said = space.intrada("plan p.toml");
    assert_eq!(said.code, Some(2), "{}", said.stderr);
    assert!(follow(&space, &said.stderr, "source").contains(", 26 = 13, "));
    let then = space.intrada("plan p.toml");
    assert_eq!((then.code, then.stderr.as_str()), (Some(0), ""));
}

#[test]
fn names_in_another_unicode_form_are_read_and_told_and_change_no_key() {
    let (composed, decomposed) = ("\u{fc}bung", "u\u{308}bung");
    let space = space(&THREE, &[0, 1, 2]);
    pair(&space, "source", composed, &[0, 1, 2]);
    space.edit("p.toml", "root = \"source\"", "root = \"source\"\nlist = \"l.txt\"");
    space.write("l.txt", format!("a.png\n{composed}.png\n"));
    space.run("p.toml inter");
    space.write("l.txt", format!("./a.png\nimages/{decomposed}.png labels/{decomposed}.png\n"));
    let plan = space.intrada("plan p.toml");
    assert!(plan.stderr.contains("`l.txt` names 1 image in another Unicode form"), "{}", plan.stderr);
    let settled = space.run("p.toml inter");
    assert_eq!((settled[0].stage.as_str(), settled[0].outcome.as_str()), ("inter", "up-to-date"));
    assert!(space.intrada("doctor p.toml").stdout.contains("in another Unicode form"));
}

#[test]
fn why_names_the_option_of_a_data_set_that_is_another_one() {
    let space = Space::with(training().classes(["a", "b"]).folder("source"));
    for name in ["0", "1"] {
        space.write(&format!("source/images/{name}.png"), crate::space::grey_png(64, 32, 9));
        space.write(&format!("source/labels/{name}.png"), crate::space::grey_png(64, 32, 1));
    }
    space.write("l.txt", "1\n0\n");
    space.run("p.toml");
    for (set, told) in [
        ("datasets.source.size=[32,32]", "size: – → [32, 32]"),
        ("datasets.source.map={1=0}", "map: – → { 1 = 0 }"),
        ("datasets.source.list=\"l.txt\"", "the order of its images: "),
    ] {
        let why = space.intrada(&format!("why p.toml inter --set {set}")).stdout;
        assert!(why.contains(told) && !why.contains("executable bit"), "{set}: {why}");
    }
}
