//! Laws of the synthetic scenes: functions of their seed, with the classes and the difficulty that the method needs.

use super::*;

/// The share of each class over some scenes.
fn shares(style: Style) -> [f32; 8] {
    let mut counts = [0.0; 8];
    for index in 0..40 {
        for &class in scene(style, 3, index).1.bytes() {
            counts[usize::from(class)] += 1.0;
        }
    }
    counts.map(|count| count / (40 * WIDTH * HEIGHT) as f32)
}

#[test]
fn a_scene_is_a_function_of_seed_index_and_style() {
    let (image, label) = scene(Style::Target, 1, 5);
    assert_eq!(scene(Style::Target, 1, 5), (image.clone(), label.clone()));
    for other in [scene(Style::Target, 2, 5), scene(Style::Target, 1, 6), scene(Style::Source, 1, 5)] {
        assert_ne!(other.0, image);
        assert_ne!(other.1, label);
    }
}

#[test]
fn every_class_occurs_in_its_usual_share() {
    for style in [Style::Source, Style::Target] {
        let shares = shares(style);
        let bounds = [
            (0.1, 0.4),
            (0.1, 0.35),
            (0.2, 0.5),
            (0.05, 0.3),
            (0.01, 0.15),
            (0.01, 0.12),
            (0.004, 0.04),
            (0.003, 0.04),
        ];
        for ((share, (least, most)), (name, _)) in shares.iter().zip(bounds).zip(CLASSES) {
            assert!(*share > least && *share < most, "{style:?}: {name} {share}");
        }
    }
}

#[test]
fn three_fifths_of_the_target_are_easy() {
    let easy = (0..2000).filter(|&index| severity(7, index) < 0.3).count();
    let hard = (0..2000).filter(|&index| severity(7, index) >= 0.6).count();
    assert_eq!(easy + hard, 2000);
    assert!((1130..1270).contains(&easy), "{easy}");
}

#[test]
fn hard_scenes_are_farther_from_the_source_than_easy_ones() {
    let mean_colour = |style, class: Class, wanted: fn(f32) -> bool| {
        let (mut sum, mut n) = ([0.0f64; 3], 0.0);
        for index in (0..80).filter(|&index| style == Style::Source || wanted(severity(11, index))) {
            let (image, label) = scene(style, 11, index);
            for (pixel, _) in image.pixels().iter().zip(label.bytes()).filter(|(_, c)| **c == class as u8) {
                n += 1.0;
                for (sum, &byte) in sum.iter_mut().zip(pixel) {
                    *sum += f64::from(byte);
                }
            }
        }
        sum.map(|sum| sum / n)
    };
    let apart = |a: [f64; 3], b: [f64; 3]| (0..3).map(|i| (a[i] - b[i]).powi(2)).sum::<f64>().sqrt();
    for class in [Class::Sky, Class::Building, Class::Tree] {
        let source = mean_colour(Style::Source, class, |_| true);
        let easy = apart(source, mean_colour(Style::Target, class, |s| s < 0.3));
        let hard = apart(source, mean_colour(Style::Target, class, |s| s >= 0.6));
        assert!(easy > 5.0 && hard > 1.3 * easy, "{class:?}: easy {easy}, hard {hard}");
    }
}

#[test]
fn names_tell_the_index_and_nothing_else() {
    assert_eq!(name(42), "scene-00042");
}

#[test]
fn written_scenes_are_read_back_as_they_were_painted() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), Style::Source, 4, 2..4).unwrap();
    let (image, label) = scene(Style::Source, 4, 3);
    assert_eq!(super::super::decode::photograph(&folder.path().join("images/scene-00003.png")).unwrap(), image);
    assert_eq!(super::super::decode::label(&folder.path().join("labels/scene-00003.png")).unwrap(), label);
    assert_eq!(std::fs::read_dir(folder.path().join("images")).unwrap().count(), 2);
}
