//! `init`: from two folders of images to a pipeline that plans as it stands.

use crate::space::{Space, grey_png};

const FOLDERS: &str = "--source synth/images --labels synth/labels --target photos";

/// A labelled source, a target without labels, and two labelled target images to measure on.
fn own_folders() -> Space {
    let space = Space::new();
    for (folder, count, value) in [
        ("synth/images", 3, 90),
        ("synth/labels", 3, 1),
        ("photos", 4, 50),
        ("test/images", 2, 60),
        ("test/labels", 2, 2),
    ] {
        for i in 0..count {
            space.write(&format!("{folder}/{i}.png"), grey_png(64, 32, value));
        }
    }
    space
}

#[test]
fn own_folders_become_a_pipeline_that_plans_as_it_stands() {
    let space = own_folders();
    space.write("synth/labels/1.png", grey_png(64, 32, 34));
    let test = "--test test/images --test-labels test/labels";
    let ran = space.intrada(&format!("init mine {FOLDERS} {test} --classes road,car,person"));
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_eq!(
        ran.stderr,
        "  source  3 images, 64 × 32, values 1 34
          ignored, as there are 3 classes: map = { 34 = 255 }
  target  4 images, no labels are needed
  test    2 images, 64 × 32, values 2
wrote mine/pipeline.toml
next  intrada-run mine/pipeline.toml
"
    );
    let plan = space.intrada("plan mine/pipeline.toml");
    assert_eq!(plan.code, Some(0), "{}", plan.stderr);
    assert!(plan.stdout.contains("evaluate"), "{}", plan.stdout);
    // Nothing is amiss with the pipeline; these labels are of one value each.
    let told: Vec<&str> = plan.stderr.lines().filter(|line| line.starts_with(char::is_alphabetic)).collect();
    let source = "warning: no label of `source` holds road (0), person (2)";
    assert_eq!(told, [source, "warning: no label of `test` holds road (0), car (1)"], "{}", plan.stderr);
}

#[test]
fn without_images_to_measure_on_there_is_no_evaluation_and_that_is_said() {
    let space = own_folders();
    let ran = space.intrada(&format!("init mine {FOLDERS} --classes cityscapes-19"));
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(ran.stderr.contains("no evaluation, as --test and --test-labels are missing"), "{}", ran.stderr);
    let plan = space.intrada("plan mine/pipeline.toml");
    assert_eq!(plan.code, Some(0), "{}", plan.stderr);
    assert!(!plan.stdout.contains("evaluate"), "{}", plan.stdout);
}

/// A label of 64 × 32 that is one value after the other.
fn label(values: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, 64, 32);
    encoder.set_color(png::ColorType::Grayscale);
    let pixels: Vec<u8> = values.iter().copied().cycle().take(64 * 32).collect();
    encoder.write_header().unwrap().write_image_data(&pixels).unwrap();
    bytes
}

#[test]
fn labels_that_are_counted_or_marked_otherwise_get_the_map_that_reads_them_and_the_file_plans_without_a_warning() {
    for (classes, values, map) in [
        ("ground,lesion", &[0, 255][..], "map = { 255 = 1 }   # if 255 is lesion"),
        ("ground,lesion", &[0, 1], ""),
        ("a,b,c", &[1, 2, 3], "map = { 0 = 255, 1 = 0, 2 = 1, 3 = 2 }   # if 0 means unlabelled"),
        ("a,b,c", &[0, 1, 2, 3], "map = { 3 = 255 }   # if 3 means unlabelled"),
        ("a,b,c", &[0, 1, 2, 255], ""),
        ("a,b,c", &[0, 1, 2, 34], "map = { 34 = 255 }   # if 34 means unlabelled"),
        (
            "a,b,c",
            &[0, 100, 200],
            "map = { 100 = 1, 200 = 2 }   # if the values from 0 to 200 are the classes in their order",
        ),
        ("road,sky,car", &[0, 7, 23, 26], "26 = 2"),
    ] {
        let space = own_folders();
        for folder in ["synth/labels", "test/labels"] {
            for i in 0..3 {
                space.write(&format!("{folder}/{i}.png"), label(values));
            }
        }
        space.remove("test/labels/2.png");
        let test = "--test test/images --test-labels test/labels";
        let ran = space.intrada(&format!("init mine {FOLDERS} {test} --classes {classes}"));
        assert_eq!(ran.code, Some(0), "{values:?}: {}", ran.stderr);
        let file = space.read("mine/pipeline.toml");
        let maps = file.lines().filter(|line| line.starts_with("map = ")).count();
        assert_eq!(maps, if map.is_empty() { 0 } else { 2 }, "{values:?}: {file}");
        assert!(file.contains(map), "{values:?}: {file}");
        let plan = space.intrada("plan mine/pipeline.toml");
        assert_eq!((plan.code, plan.stderr.as_str()), (Some(0), ""), "{values:?}");
    }
}

#[test]
fn of_two_maps_that_may_be_right_the_one_that_shifts_nothing_is_taken_and_the_other_is_shown_and_written_beside_it() {
    for (classes, values, last) in [("a,b", &[0, 1, 2][..], "2 = 255"), ("a,b,c,d", &[0, 1, 2, 3, 4], "4 = 255")] {
        let space = own_folders();
        // The same values, however the others are spread over the files.
        for (folder, count) in [("synth/labels", 3), ("test/labels", 2)] {
            for i in 0..count {
                space.write(&format!("{folder}/{i}.png"), label(&values[usize::from(i == 0 && count == 3)..]));
            }
        }
        let test = "--test test/images --test-labels test/labels";
        let ran = space.intrada(&format!("init mine {FOLDERS} {test} --classes {classes}"));
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        let file = space.read("mine/pipeline.toml");
        assert_eq!(file.matches(&format!("\nmap = {{ {last} }}   # if ")).count(), 2, "{file}");
        assert_eq!(file.matches("\n# map = { 0 = 255, 1 = 0, 2 = 1").count(), 2, "{file}");
        assert_eq!(ran.stderr.matches(&format!("map = {{ {last} }}")).count(), 2, "{}", ran.stderr);
        assert_eq!(ran.stderr.matches("but if 0 means unlabelled").count(), 2, "{}", ran.stderr);
    }
}

#[test]
fn a_value_that_both_have_means_the_same_in_both() {
    let space = own_folders();
    // By themselves 0 and 255 would be two classes.
    for (folder, values, count) in [("synth/labels", &[0, 1, 255][..], 3), ("test/labels", &[0, 255], 2)] {
        for i in 0..count {
            space.write(&format!("{folder}/{i}.png"), label(values));
        }
    }
    let test = "--test test/images --test-labels test/labels";
    assert_eq!(space.intrada(&format!("init mine {FOLDERS} {test} --classes ground,lesion")).code, Some(0));
    let file = space.read("mine/pipeline.toml");
    assert_eq!(file.matches("\nmap = ").count(), 0, "{file}");
}

#[test]
fn a_shift_of_the_source_is_not_found_in_test_labels_that_fit_its_reading_otherwise() {
    let space = own_folders();
    // By themselves the values from 1 to 3 would be three classes, of which the last is 3.
    for (folder, values, count) in [("synth/labels", &[0, 1, 2, 3][..], 3), ("test/labels", &[1, 2, 3], 2)] {
        for i in 0..count {
            space.write(&format!("{folder}/{i}.png"), label(values));
        }
    }
    let test = "--test test/images --test-labels test/labels";
    assert_eq!(space.intrada(&format!("init mine {FOLDERS} {test} --classes a,b,c")).code, Some(0));
    assert_eq!(space.read("mine/pipeline.toml").matches("\nmap = { 3 = 255 }").count(), 2);
}

#[test]
fn test_labels_that_hold_fewer_classes_are_read_as_those_of_the_source() {
    let space = own_folders();
    for (folder, values) in [("synth/labels", &[1, 2, 3][..]), ("test/labels", &[1, 2])] {
        for i in 0..2 {
            space.write(&format!("{folder}/{i}.png"), label(values));
        }
    }
    let test = "--test test/images --test-labels test/labels";
    assert_eq!(space.intrada(&format!("init mine {FOLDERS} {test} --classes a,b,c")).code, Some(0));
    let maps = space.read("mine/pipeline.toml").matches("\nmap = { 0 = 255, 1 = 0, 2 = 1, 3 = 2 }").count();
    assert_eq!(maps, 2);
}

#[test]
fn labels_that_nothing_explains_are_refused_with_their_values_and_nothing_is_written() {
    for values in [&[218, 228][..], &[255]] {
        let space = own_folders();
        for i in 0..3 {
            space.write(&format!("synth/labels/{i}.png"), label(values));
        }
        let ran = space.intrada(&format!("init mine {FOLDERS} --classes a,b,c"));
        assert_eq!(ran.code, Some(2), "{}", ran.stderr);
        assert!(
            ran.stderr.contains(&values[0].to_string()) && ran.stderr.contains("can't be guessed"),
            "{}",
            ran.stderr
        );
        assert!(!space.path("mine").exists());
    }
}

#[test]
fn what_lies_beside_the_pipeline_is_named_from_there_and_what_was_typed_in_full_stays_so() {
    let space = own_folders();
    let here = space.path("photos").canonicalize().unwrap().parent().unwrap().display().to_string();
    let folders = format!("--source ./synth/images --labels test/../synth/labels --target {here}/photos");
    let ran = space.intrada(&format!("init mine/deep {folders} --classes road,car,person"));
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let file = space.read("mine/deep/pipeline.toml");
    assert!(file.contains("root = \"../../synth\"") && file.contains(&format!("root = \"{here}\"")), "{file}");
    let plan = space.intrada("plan mine/deep/pipeline.toml");
    assert_eq!(plan.code, Some(0), "{}", plan.stderr);
}

#[test]
fn a_file_in_the_place_of_the_folder_is_told_with_what_to_do() {
    let space = own_folders();
    space.write("p.toml", "mine");
    for place in ["p.toml", "p.toml/below"] {
        let ran = space.intrada(&format!("init {place}"));
        assert_eq!(ran.code, Some(2), "{}", ran.stderr);
        assert!(ran.stderr.contains("help: name a folder"), "{}", ran.stderr);
    }
    assert_eq!(space.read("p.toml"), "mine");
}

#[test]
fn a_wrong_folder_is_named_and_nothing_is_written() {
    let space = own_folders();
    for (arguments, said) in [
        (FOLDERS.replace("photos", "nowhere") + " --classes a,b", "nowhere"),
        (format!("{FOLDERS} --classes cityscapes"), "cityscapes-19"),
        ("--source synth/images".to_owned(), "--labels"),
        (format!("{FOLDERS} --classes road,car,road"), "names \"road\" twice, as classes 0 and 2"),
        (format!("{FOLDERS} --classes road,,car"), "class 1 of --classes has no name"),
        (format!("{FOLDERS} --classes road,car,"), "class 2 of --classes has no name"),
        (FOLDERS.replace("synth/labels", "test/labels") + " --classes a,b", "2.png"),
    ] {
        let ran = space.intrada(&format!("init mine {arguments}"));
        assert_eq!(ran.code, Some(2), "{}", ran.stderr);
        assert!(ran.stderr.contains(said), "{arguments}: {}", ran.stderr);
        assert!(!space.path("mine").exists());
    }
}

#[test]
fn labels_of_colours_are_refused_with_the_palette_to_write() {
    let space = own_folders();
    let coloured = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/picture/golden/small.png");
    space.write("synth/labels/1.png", std::fs::read(coloured).unwrap());
    let ran = space.intrada(&format!("init mine {FOLDERS} --classes road,car,person"));
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    for text in ["label `synth/labels/1.png` is a PNG of colours", "`palette = { \"", "\" = \"…\", …"] {
        assert!(ran.stderr.contains(text), "{}", ran.stderr);
    }
    assert!(!space.path("mine").exists());
}
