//! Each finding where it applies, and none elsewhere.

use super::super::ranking::tests::ranking;
use super::super::shares::tests::evaluation;
use super::super::training::{Curve, Evaluated};
use super::*;

fn training(losses: &[(&str, f64)], evaluations: &[f64]) -> Training {
    let column = |(name, loss): &(&str, f64)| ((*name).to_owned(), Curve { points: Vec::new(), end: *loss });
    let evaluated = (1..).zip(evaluations).map(|(iteration, miou)| Evaluated { iteration, miou: *miou });
    Training {
        name: "inter".into(),
        losses: losses.iter().map(column).collect(),
        iterations: 20,
        evaluations: evaluated.collect(),
        resumed_from: None,
        minimises_squares: false,
    }
}

fn classes() -> Vec<Class> {
    ["road", "pole", "person"].map(|name| Class { name: name.into(), colour: [0; 3], rare: false, thing: false }).into()
}

type Check = fn(&Evaluation, &Model, &[Class], Origin) -> Option<Finding>;

fn of_network(check: Check, confusion: &[&[u64]]) -> Option<String> {
    let evaluation = evaluation(confusion);
    check(&evaluation, &evaluation.models[0], &classes(), Origin::File).map(|finding| finding.found)
}

#[test]
fn advice_names_only_what_the_method_has() {
    let all = [Origin::File, Origin::Training(None), Origin::Training(Some("entropy_weight"))];
    let step = |origin, learns_pseudo_labels, is_ranked| Step { origin, learns_pseudo_labels, is_ranked };
    for origin in all {
        let evaluation = evaluation(&[&[60, 0, 0], &[39, 0, 0], &[1, 0, 0]]);
        let model = &evaluation.models[0];
        let found = [one_class(&evaluation, model, &classes(), origin), lost(&evaluation, model, &classes(), origin)];
        let certain = collapsed(&certainty(0.0001), origin);
        let behind = falls_behind(&setting(&[0.4], &[0.3]), &step(origin, false, false));
        for finding in found.into_iter().chain([certain, behind]) {
            let advice = finding.unwrap().advice;
            assert!(!advice.contains("adversarial") && !advice.contains("lambda"), "{origin:?}: {advice}");
            let has_weight = origin == Origin::Training(Some("entropy_weight"));
            assert_eq!(advice.contains("entropy_weight"), has_weight, "{origin:?}: {advice}");
            assert!(origin != Origin::File || !advice.contains("learning_rate"), "{advice}");
        }
    }
    let advice = |ranked| falls_behind(&setting(&[0.4], &[0.3]), &step(all[1], true, ranked)).unwrap().advice;
    assert!(advice(true).ends_with("; try another lambda") && !advice(false).contains("lambda"));
    assert_eq!(
        Cut::default().advice(),
        "classes without pseudo-labels are forgotten: train the network behind them longer"
    );
    let ranked = Cut { is_ranked: true, counts_rare: true, keeps_a_share: true };
    assert!(ranked.advice().ends_with(": raise lambda, or raise keep"), "{}", ranked.advice());
}

#[test]
fn a_discriminator_that_teaches_nothing_is_found_and_one_that_does_is_not() {
    let found = |source, target| {
        discriminator(&training(&[("d_main_s", source), ("d_main_t", target)], &[])).map(|finding| finding.found)
    };
    assert_eq!(found(0.2, 0.3), None);
    assert!(
        found(0.001, 0.002)
            .unwrap()
            .contains("is always right in the last tenth of the iterations: a loss of 0.001 on the source")
    );
    assert!(found(CHANCE, CHANCE).unwrap().contains("no better than chance"));
    assert_eq!(discriminator(&training(&[("seg_main", 0.1)], &[])), None, "it has none");

    let squares = |loss| {
        let losses = [("d_main_s", loss), ("d_main_t", loss)];
        discriminator(&Training { minimises_squares: true, ..training(&losses, &[]) }).map(|finding| finding.found)
    };
    assert!(squares(0.125).unwrap().contains("no better than chance"));
    assert_eq!(squares(CHANCE), None);
}

#[test]
fn a_last_network_is_found_where_it_lies_more_than_three_points_under_the_best() {
    assert_eq!(under_best(&training(&[], &[0.4, 0.43, 0.401])), None);
    let found = under_best(&training(&[], &[0.5, 0.4])).unwrap().found;
    assert_eq!(found, "the last network of inter is 10.0 points below its best, at iteration 1");
}

#[test]
fn a_class_that_occurs_and_is_never_or_never_rightly_predicted_is_named() {
    assert_eq!(of_network(lost, &[&[9, 1, 0], &[1, 1, 0], &[0, 0, 0]]), None, "there are no persons");
    let found = of_network(lost, &[&[9, 0, 1], &[1, 0, 0], &[2, 0, 0]]).unwrap();
    assert_eq!(
        found,
        "inter never predicts pole and is never right where it predicts person on val, although they occur there (evaluate)"
    );
}

#[test]
fn a_network_that_predicts_one_class_is_found_unless_that_is_what_there_is() {
    let found = of_network(one_class, &[&[60, 0, 0], &[39, 1, 0], &[0, 0, 0]]).unwrap();
    assert_eq!(found, "inter predicts road for 99.0 % of all pixels on val; 60.0 % are labelled so");
    assert_eq!(of_network(one_class, &[&[95, 1, 0], &[0, 4, 0], &[0, 0, 0]]), None);
}

fn certainty(mean: f64) -> Certainty {
    Certainty {
        stage: StageId(0),
        name: "entropy".into(),
        network: "inter".into(),
        dataset: "target".into(),
        entropies: vec![mean],
        mean,
    }
}

/// Two networks by seed.
fn setting(old: &[f64], new: &[f64]) -> Setting {
    let some = |values: &[f64]| values.iter().copied().map(Some).collect();
    let networks = vec![("inter".to_owned(), some(old)), ("intra".to_owned(), some(new))];
    Setting {
        family: "evaluate".into(),
        dataset: "val".into(),
        coordinates: Vec::new(),
        networks,
        compared: Some((0, 1)),
        with_labels: Vec::new(),
        members: Vec::new(),
    }
}

#[test]
fn a_network_that_is_sure_of_everything_is_found() {
    assert_eq!(collapsed(&certainty(0.05), Origin::File), None);
    assert!(collapsed(&certainty(0.0004), Origin::File).unwrap().found.contains("a mean entropy of 0.0004"));
}

#[test]
fn splits_of_two_seeds_are_compared_with_each_other_and_with_chance() {
    let of_seed = |name: &str, seed: &str, easy: &[&str], hard: &[&str]| {
        ranking(name, &[("seed", seed), ("lambda", "0.5")], easy, hard)
    };
    let one = of_seed("rank[seed=1]", "1", &["a", "b", "c"], &["d", "e", "f"]);
    let alike = of_seed("rank[seed=2]", "2", &["a", "b", "c"], &["d", "e", "f"]);
    let unlike = of_seed("rank[seed=3]", "3", &["c", "d", "e"], &["a", "b", "f"]);
    let other_lambda = ranking("rank", &[("lambda", "0.2")], &["f"], &["a", "b", "c", "d", "e"]);
    assert_eq!(unlike_splits(&[one, alike, other_lambda]), None);
    let one = of_seed("rank[seed=1]", "1", &["a", "b", "c"], &["d", "e", "f"]);
    let found = unlike_splits(&[one, unlike]).unwrap().found;
    assert_eq!(
        found,
        "the split depends on the seed: of the easy images of rank[seed=1], 33.3 % are easy in rank[seed=3]; by chance \
         50.0 % would be"
    );
}

#[test]
fn intra_under_inter_is_found_and_so_are_few_seeds() {
    let falls_behind = |setting: &Setting| {
        falls_behind(setting, &Step { origin: Origin::File, learns_pseudo_labels: true, is_ranked: true })
    };
    assert_eq!(falls_behind(&setting(&[0.4, 0.4], &[0.41, 0.4])), None);
    let found = falls_behind(&setting(&[0.4, 0.4], &[0.39, 0.37])).unwrap().found;
    assert_eq!(found, "intra is 2.0 points below inter on val (2 seeds)");
    let mut of_three = setting(&[0.4], &[0.3]);
    of_three.networks.insert(1, ("inter.best".to_owned(), vec![Some(0.2)]));
    of_three.compared = Some((0, 2));
    assert!(falls_behind(&of_three).unwrap().found.starts_with("intra is 10.0 points below inter on"));
    assert!(few_seeds(&setting(&[0.4, 0.4], &[0.4, 0.4])).unwrap().found.starts_with("these numbers are of 2 seeds"));
    assert_eq!(few_seeds(&setting(&[0.4; 3], &[0.4; 3])), None);
}

#[test]
fn findings_link_to_where_they_are_seen_and_a_sweep_does_not_fill_the_page() {
    let of = |found: &str, advice: &str| Finding { found: found.into(), advice: advice.into(), section: "training" };
    let html = render(&[of("a < b", "try \"c\""), of("d", "e")]).unwrap().into_string();
    let first = "<li>a &lt; b<small>try &quot;c&quot;; see <a href=\"#training\">training</a></small></li>";
    assert!(html.contains(first) && html.matches("<li>").count() == 2, "{html}");
    let html = render(&vec![of("alike", "e"); LISTED + 3]).unwrap().into_string();
    assert!(html.contains("<li>alike<br>alike<details><summary>and 25 alike</summary>"), "{html}");
    assert!(
        html.matches("alike<br>").count() <= LISTED && html.contains("the others are in the page's data"),
        "{html}"
    );
    assert!(render(&[]).is_none());
}
