//! Laws of the ranking, and the golden splits.

use std::path::Path;

use proptest::prelude::{Just, Strategy, any, prop_assert, prop_assert_eq, proptest};

use super::*;

fn score(image: &str, mean_entropy: f32, predicted_rare_classes: u32) -> Score {
    Score { image: image.to_owned(), mean_entropy, mean_entropy_eq4_nats: 0.0, predicted_rare_classes }
}

fn names(ranked: &[Ranked]) -> Vec<&str> {
    ranked.iter().map(|ranked| ranked.image.as_str()).collect()
}

/// Scores with distinct names and many ties, and the same in another order.
fn scores_twice() -> impl Strategy<Value = (Vec<Score>, Vec<Score>)> {
    let scores = proptest::collection::vec((0u8..12, 0u32..4), 4..40).prop_map(|list| {
        let one = |(i, (entropy, rare)): (usize, (u8, u32))| score(&format!("{i:02}"), f32::from(entropy) / 12.0, rare);
        list.into_iter().enumerate().map(one).collect::<Vec<_>>()
    });
    scores.prop_flat_map(|scores| (Just(scores.clone()), Just(scores).prop_shuffle()))
}

const ALL: [Normalize; 3] = [Normalize::None, Normalize::RareClassesPaper, Normalize::RareClassesCode];

proptest! {
    #[test]
    fn the_order_of_the_scores_does_not_matter((scores, shuffled) in scores_twice(), kind in 0usize..3) {
        prop_assert_eq!(rank(&scores, 0.5, ALL[kind], 11).unwrap(), rank(&shuffled, 0.5, ALL[kind], 11).unwrap());
    }

    #[test]
    fn no_easy_image_is_less_certain_than_a_hard_one((scores, _) in scores_twice(), lambda in 0.3f64..0.7, kind in 0usize..3) {
        let ranking = rank(&scores, lambda, ALL[kind], 11).unwrap();
        prop_assert_eq!(ranking.easy.len(), (scores.len() as f64 * lambda) as usize);
        prop_assert_eq!(ranking.easy.len() + ranking.hard.len(), scores.len());
        let most = ranking.easy.iter().map(|ranked| ranked.score).fold(0.0, f64::max);
        prop_assert!(ranking.hard.iter().all(|ranked| ranked.score >= most));
    }

    #[test]
    fn a_larger_lambda_only_adds_easy_images((scores, _) in scores_twice(), a in 0.3f64..0.7, b in 0.3f64..0.7) {
        let easy = |lambda| rank(&scores, lambda, Normalize::None, 0).unwrap().easy;
        let (fewer, more) = (easy(a.min(b)), easy(a.max(b)));
        prop_assert_eq!(&more[..fewer.len()], &fewer[..]);
    }

    #[test]
    fn lambda_must_be_a_share(lambda in any::<f64>()) {
        let scores = [score("a", 0.1, 0), score("b", 0.2, 0)];
        let allowed = (0.0..=1.0).contains(&lambda);
        prop_assert_eq!(matches!(rank(&scores, lambda, Normalize::None, 0), Err(RankError::Lambda(_))), !allowed);
    }
}

#[test]
fn the_split_point_is_truncated_in_double_precision() {
    assert_eq!(split_point(2975, 0.67).unwrap(), 1993);
    assert_eq!(split_point(100, 0.29).unwrap(), 28);
}

#[test]
fn an_empty_part_is_refused_with_the_numbers() {
    let scores = [score("a", 0.1, 0), score("b", 0.2, 0)];
    let error = rank(&scores, 0.4, Normalize::None, 0).unwrap_err().to_string();
    assert_eq!(error, "lambda = 0.4 makes 0 of 2 images easy and 2 hard; each part needs at least one");
    assert!(matches!(rank(&scores, 1.0, Normalize::None, 0), Err(RankError::Degenerate { easy: 2, hard: 0, .. })));
    assert!(matches!(rank(&[], 0.5, Normalize::None, 0), Err(RankError::Degenerate { images: 0, .. })));
}

#[test]
fn what_cannot_be_ranked_is_refused_by_name() {
    let with =
        |bad: Score| rank(&[score("a", 0.1, 0), bad], 0.5, Normalize::RareClassesCode, 2).unwrap_err().to_string();
    assert_eq!(with(score("b", f32::NAN, 0)), "the mean entropy of b is NaN: the network that gave it has diverged");
    assert_eq!(with(score("a", 0.2, 0)), "a is scored twice");
    assert_eq!(with(score("b", 0.2, 3)), "b has 3 rare classes predicted, of 2 that there are");
    let none = rank(&[score("a", 0.1, 0), score("b", 0.2, 0)], 0.5, Normalize::RareClassesPaper, 0);
    assert!(matches!(none, Err(RankError::NoRareClasses)));
}

#[test]
fn images_without_rare_classes_come_last_in_the_papers_normalisation() {
    let scores = [score("none-a", 0.02, 0), score("none-b", 0.01, 0), score("one", 0.3, 1), score("two", 0.5, 2)];
    let ranking = rank(&scores, 0.5, Normalize::RareClassesPaper, 11).unwrap();
    assert_eq!((names(&ranking.easy), names(&ranking.hard)), (vec!["two", "one"], vec!["none-b", "none-a"]));
}

#[test]
fn the_codes_factor_goes_from_three_halves_to_one_half() {
    let factor = |predicted| Normalize::RareClassesCode.apply(&score("a", 1.0, predicted), 11);
    assert_eq!([factor(0), factor(11)], [1.5, 0.5]);
    assert_eq!(factor(3), 1.227_272_727_272_727_3);
}

#[test]
fn zero_and_minus_zero_are_a_tie_that_names_decide() {
    let ranking = rank(&[score("b", -0.0, 0), score("a", 0.0, 0)], 0.5, Normalize::None, 0).unwrap();
    assert_eq!(names(&ranking.easy), ["a"]);
}

#[test]
fn the_golden_splits_are_reproduced() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/golden/golden.json");
    let Ok(json) = std::fs::read_to_string(&path) else {
        eprintln!("skipped: no golden vectors at {}", path.display());
        return;
    };
    let golden = &serde_json::from_str::<serde_json::Value>(&json).unwrap()["ranking"];
    let of = |image: &serde_json::Value| {
        let entropy = image["mean_entropy"].as_f64().unwrap() as f32;
        score(image["name"].as_str().unwrap(), entropy, image["rare_predicted"].as_u64().unwrap() as u32)
    };
    let scores: Vec<Score> = golden["images"].as_array().unwrap().iter().map(of).collect();
    let splits = golden["splits"].as_array().unwrap();
    assert!(!splits.is_empty());
    for split in splits {
        let normalize =
            if split["normalize"].as_bool().unwrap() { Normalize::RareClassesCode } else { Normalize::None };
        let ranking = rank(&scores, split["lambda"].as_f64().unwrap(), normalize, 11).unwrap();
        let wanted =
            |part: &str| split[part].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect::<Vec<_>>();
        assert_eq!(names(&ranking.easy), wanted("easy"), "{split}");
        assert_eq!(names(&ranking.hard), wanted("hard"), "{split}");
    }
}
