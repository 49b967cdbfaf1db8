//! Each finding where it applies, and none elsewhere.

use super::super::ranking::tests::ranking;
use super::super::shares::tests::evaluation;
use super::super::sweep::Step;
use super::super::training::{Curve, Evaluated};
use super::of_networks::*;
use super::of_rankings::*;
use super::of_trainings::*;
use super::*;
use crate::pipeline::Class;
use intrada_statistics::evidence::{ByImage, Pair};

fn training(losses: &[(&str, f64)], evaluations: &[f64]) -> Training {
    let column =
        |(name, loss): &(&str, f64)| ((*name).to_owned(), Curve { points: Vec::new(), end: *loss, late_fall: None });
    let evaluated = (1..).zip(evaluations).map(|(iteration, miou)| Evaluated { iteration, miou: *miou });
    Training {
        name: "inter".into(),
        setting: "inter".into(),
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
    let knob = |key: &str| Origin::Training(advice::KNOBS.into_iter().find(|knob| knob.key == key));
    let all = [Origin::File, Origin::Training(None), knob("entropy_weight"), knob("teacher_threshold")];
    let basis = |origin, learns_pseudo_labels, is_ranked| Basis { origin, learns_pseudo_labels, is_ranked };
    let falls_behind = |basis: &Basis| {
        let setting = setting(&[0.4], &[0.3]);
        of_networks::falls_behind(&setting, &setting.steps[0], "", basis)
    };
    for origin in all {
        let evaluation = evaluation(&[&[60, 0, 0], &[39, 0, 0], &[1, 0, 0]]);
        let model = &evaluation.models[0];
        let found = [one_class(&evaluation, model, &classes(), origin), lost(&evaluation, model, &classes(), origin)];
        let certain = collapsed(&certainty(0.0001), origin);
        let behind = falls_behind(&basis(origin, false, false));
        for finding in found.into_iter().chain([certain, behind]) {
            let advice = finding.unwrap().advice;
            assert!(!advice.contains("adversarial") && !advice.contains("lambda"), "{origin:?}: {advice}");
            for key in ["entropy_weight", "teacher_threshold"] {
                assert_eq!(advice.contains(key), origin == knob(key), "{origin:?}: {advice}");
            }
            assert!(origin != Origin::File || !advice.contains("learning_rate"), "{advice}");
        }
    }
    let advice = |ranked| falls_behind(&basis(all[1], true, ranked)).unwrap().advice;
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
    assert!(found(BY_CHANCE, BY_CHANCE).unwrap().contains("no better than chance"));
    assert_eq!(discriminator(&training(&[("seg_main", 0.1)], &[])), None, "it has none");

    let squares = |loss| {
        let losses = [("d_main_s", loss), ("d_main_t", loss)];
        discriminator(&Training { minimises_squares: true, ..training(&losses, &[]) }).map(|finding| finding.found)
    };
    assert!(squares(0.125).unwrap().contains("no better than chance"));
    assert_eq!(squares(BY_CHANCE), None);
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
    let nothing = ByImage::new();
    let pairs = old.iter().zip(new).map(|(old, new)| Pair { base: (*old, &nothing), own: (*new, &nothing) });
    let step = Step::of(0, 1, &pairs.collect::<Vec<_>>()).unwrap();
    Setting {
        family: "evaluate".into(),
        dataset: "val".into(),
        coordinates: Vec::new(),
        networks: vec![("inter".to_owned(), some(old)), ("intra".to_owned(), some(new))],
        images: None,
        steps: vec![step],
        is_of_source: false,
        lost: Vec::new(),
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
fn a_step_is_found_that_made_things_worse_by_more_than_chance_and_so_are_few_seeds() {
    let basis = Basis { origin: Origin::File, learns_pseudo_labels: true, is_ranked: true };
    let behind = |setting: &Setting| falls_behind(setting, &setting.steps[0], "", &basis).map(|finding| finding.found);
    assert_eq!(behind(&setting(&[0.4, 0.4], &[0.41, 0.4])), None);
    assert_eq!(behind(&setting(&[0.4], &[0.3999])), None, "no finding says 0.0 points");
    assert_eq!(behind(&setting(&[0.4, 0.41, 0.39], &[0.39, 0.42, 0.37])), None, "seeds differ by as much");
    let found = behind(&setting(&[0.4, 0.4], &[0.36, 0.37])).unwrap();
    assert_eq!(found, "intra is worse than inter on val: −3.5 ± 0.7 points (2 seeds, worse on each)");
    assert_eq!(behind(&setting(&[0.4, 0.4], &[0.39, 0.33])), None, "on one of two seeds no more than seeds differ");
    let at = setting(&[0.4], &[0.3]);
    let found = falls_behind(&at, &at.steps[0], "lambda 0.6", &basis).unwrap().found;
    assert_eq!(found, "intra is worse than inter on val (lambda 0.6): −10.0 points (one seed)");
    let found = behind(&setting(&[0.4, 0.41, 0.39], &[0.38, 0.392, 0.371])).unwrap();
    assert_eq!(found, "intra is worse than inter on val: −1.9 ± 0.1 [−2.1, −1.7] points over 3 seeds");
    assert_eq!(behind(&Setting { is_of_source: true, ..setting(&[0.6], &[0.3]) }), None);
    assert!(few_seeds(&setting(&[0.4, 0.4], &[0.4, 0.4])).unwrap().found.starts_with("these numbers are of 2 seeds"));
    assert_eq!(few_seeds(&setting(&[0.4; 3], &[0.4; 3])), None);
}

#[test]
fn what_is_said_alike_of_several_members_of_a_sweep_is_told_once_with_the_others() {
    assert_eq!(told(&[("inter", 1, "pole"), ("intra", 1, "pole")]), ["inter 1 lacks pole", "intra 1 lacks pole"]);
    let few = [("inter", 1, "pole"), ("intra", 1, "pole"), ("inter", 2, "pole"), ("inter", 3, "pole")];
    assert_eq!(told(&few), ["inter 1 lacks pole; likewise inter 2, inter 3", "intra 1 lacks pole"]);
    let many: Vec<(&str, u32, &str)> = (1..=24).map(|member| ("inter", member, "pole")).collect();
    assert_eq!(told(&many), ["inter 1 lacks pole; likewise 23 other members of the sweep"]);
}

#[test]
fn members_that_lack_other_classes_are_not_likewise() {
    let all = [("inter", 1, "pole, car"), ("inter", 2, "car"), ("inter", 3, "pole, car"), ("inter", 4, "car")];
    assert_eq!(told(&all), ["inter 1 lacks pole, car; likewise inter 3", "inter 2 lacks car; likewise inter 4"]);
}

#[test]
fn a_network_that_several_evaluations_measure_on_the_same_images_is_told_once() {
    let of = |name: &str, confusion: &[&[u64]]| Evaluation { name: name.into(), ..evaluation(confusion) };
    let without_pole: &[&[u64]] = &[&[9, 0, 0], &[1, 0, 0], &[0, 0, 1]];
    let one = of("one", without_pole);
    let mut other = of("other", without_pole);
    let about = |of: &Evaluation| {
        let model = &of.models[0];
        let about = About { family: format!("{} {}", model.name, of.dataset), member: model.member.clone() };
        (about, lost(of, model, &classes(), Origin::File).unwrap())
    };
    let found = |all: &[&Evaluation]| told_once(all.iter().map(|of| about(of))).len();
    assert_eq!(found(&[&one, &other]), 1);
    assert_eq!(found(&[&one, &of("another", &[&[9, 0, 0], &[1, 0, 0], &[1, 0, 0]])]), 2, "it says more");
    other.dataset = "test".into();
    assert_eq!(found(&[&one, &other]), 2, "other images");
}

/// The findings about networks: name, member, and the classes that it lacks.
fn told(all: &[(&str, u32, &str)]) -> Vec<String> {
    let of = |(name, member, lacks): &(&str, u32, &str)| {
        let member = format!("{name} {member}");
        let found = format!("{member} lacks {lacks}");
        let finding = Finding { found, advice: "a".into(), section: "results", says: (*lacks).to_owned() };
        (About { family: (*name).to_owned(), member }, finding)
    };
    told_once(all.iter().map(of)).into_iter().map(|finding| finding.found).collect()
}

#[test]
fn a_loss_that_still_falls_at_the_end_is_found_and_a_level_one_is_not() {
    let found = |late_fall| {
        let mut training = training(&[("seg_main", 0.5)], &[]);
        training.losses.get_mut("seg_main").unwrap().late_fall = late_fall;
        still_falling(&training).map(|finding| finding.found)
    };
    assert_eq!([found(None), found(Some(0.1))], [None, None]);
    assert!(found(Some(0.2)).unwrap().starts_with("the loss of inter still falls at the end: by 20 %"));
}

#[test]
fn a_teacher_that_is_far_from_its_student_is_found() {
    let of = |teacher: f64, student: f64| {
        let mut evaluation = evaluation(&[&[1]]);
        evaluation.models[0].measured.miou = Some(student);
        evaluation.models[0].member = "inter[seed=2]".into();
        evaluation.models.push({
            let mut model = super::super::shares::tests::evaluation(&[&[1]]).models.remove(0);
            model.name = "inter.teacher".into();
            model.member = "inter[seed=2].teacher".into();
            model.origin.which = crate::pipeline::Which::Teacher;
            model.measured.miou = Some(teacher);
            model
        });
        let found = evaluation.models.iter().find_map(|model| teacher_apart(&evaluation, model));
        found.map(|finding| finding.found)
    };
    assert_eq!(of(0.5, 0.51), None);
    assert_eq!(of(0.5, 0.53).unwrap(), "inter[seed=2] is 3.0 points better than inter[seed=2].teacher on val");
    assert_eq!(of(0.56, 0.53).unwrap(), "inter[seed=2].teacher is 3.0 points better than inter[seed=2] on val");
}

#[test]
fn entropy_that_rises_with_the_miou_is_found() {
    let images = |entropies: [f64; 8]| {
        let mious = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8].map(|miou| (Some(miou), None));
        let mut images = super::super::images::tests::images(&mious);
        for (line, entropy) in images.lines.iter_mut().zip(entropies) {
            line.entropy = [("inter".to_owned(), Some(entropy))].into();
        }
        inverted(&images, &evaluation(&[&[1]]).models[0], 2).map(|finding| finding.found)
    };
    let rising = [0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.07, 0.08];
    assert!(images(rising).unwrap().contains("(ρ = +1.00 over 8 images)"));
    let mut falling = rising;
    falling.reverse();
    assert_eq!(images(falling), None);
}

#[test]
fn findings_link_to_where_they_are_seen_and_a_sweep_does_not_fill_the_page() {
    let of = |found: &str, advice: &str| Finding {
        found: found.into(),
        advice: advice.into(),
        section: "training",
        says: String::new(),
    };
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
