//! `init`: from two folders of images to a pipeline that plans as it stands.

mod space;

use space::{Space, grey_png};

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
          ignored, as there are 3 classes: 34
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
    assert!(ran.stderr.contains("without --test and --test-labels nothing is measured"), "{}", ran.stderr);
    let plan = space.intrada("plan mine/pipeline.toml");
    assert_eq!(plan.code, Some(0), "{}", plan.stderr);
    assert!(!plan.stdout.contains("evaluate"), "{}", plan.stdout);
}

#[test]
fn a_wrong_folder_is_named_and_nothing_is_written() {
    let space = own_folders();
    for (arguments, said) in [
        (FOLDERS.replace("photos", "nowhere") + " --classes a,b", "nowhere"),
        (format!("{FOLDERS} --classes cityscapes"), "cityscapes-19"),
        ("--source synth/images".to_owned(), "--labels"),
        (FOLDERS.replace("synth/labels", "test/labels") + " --classes a,b", "2.png"),
    ] {
        let ran = space.intrada(&format!("init mine {arguments}"));
        assert_eq!(ran.code, Some(2), "{}", ran.stderr);
        assert!(ran.stderr.contains(said), "{arguments}: {}", ran.stderr);
        assert!(!space.path("mine").exists());
    }
}
