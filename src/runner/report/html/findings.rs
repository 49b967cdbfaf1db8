//! Findings: what is worth worrying about, with its numbers, worst first.
//!
//! Knows the other sections' data and looks nothing up. Each check is about one way in which adversarial adaptation is known
//! to go wrong; what can't be checked is no finding.

use super::markup::{section, text};
use super::pseudo_labels::PseudoLabels;
use super::results::Evaluation;
use super::sweep::{SEEDS, Setting};
use super::training::{Training, best};
use crate::spec::Class;

/// In points of mIoU: adversarial training is known to swing by more between checkpoints.
const FAR_UNDER_BEST: f64 = 3.0;
/// Of a discriminator that can't tell the domains apart: half of ln 2, as each of its two terms is halved.
const CHANCE: f64 = std::f64::consts::LN_2 / 2.0;

/// Findings that are listed: the worst come first, and those of a sweep are alike.
const LISTED: usize = 12;

/// All findings as sentences, worst first.
pub(super) fn gather(
    evaluations: &[Evaluation],
    trainings: &[Training],
    pseudo_labels: &[PseudoLabels],
    settings: &[Setting],
    classes: &[Class],
) -> Vec<String> {
    let mut found: Vec<String> =
        evaluations.iter().flat_map(|evaluation| never_predicted(evaluation, classes)).collect();
    found.extend(pseudo_labels.iter().filter_map(|labels| missing(labels, classes)));
    found.extend(trainings.iter().filter_map(under_best));
    found.extend(trainings.iter().filter_map(discriminator));
    found.extend(settings.iter().filter_map(falls_behind));
    found.extend(settings.first().filter(|setting| setting.seeds() < SEEDS).map(|setting| {
        let seeds = if setting.seeds() == 1 {
            "one seed stands".to_owned()
        } else {
            format!("{} seeds stand", setting.seeds())
        };
        format!("{seeds} behind these numbers; adversarial training differs by about 2 points from seed to seed")
    }));
    found
}

fn never_predicted<'a>(evaluation: &'a Evaluation, classes: &'a [Class]) -> impl Iterator<Item = String> + 'a {
    evaluation.models.iter().filter_map(|model| {
        let confusion = &model.measured.confusion;
        let is_blind = |class: &usize| {
            let labelled: u64 = confusion[*class].iter().sum();
            labelled > 0 && confusion.iter().all(|row| row.get(*class) == Some(&0))
        };
        let names: Vec<&str> = (0..confusion.len().min(classes.len()))
            .filter(is_blind)
            .map(|class| classes[class].name.as_str())
            .collect();
        let (network, dataset, stage) = (&model.name, &evaluation.dataset, &evaluation.name);
        (!names.is_empty())
            .then(|| format!("{network} never predicts {} on {dataset}, where it occurs ({stage})", names.join(", ")))
    })
}

fn missing(labels: &PseudoLabels, classes: &[Class]) -> Option<String> {
    let absent = classes.iter().zip(&labels.shares).filter(|(_, share)| **share == 0.0);
    let names: Vec<&str> = absent.map(|(class, _)| class.name.as_str()).collect();
    (!names.is_empty()).then(|| format!("the labels of {} hold no {} (under 0.01 %)", labels.name, names.join(", ")))
}

fn under_best(training: &Training) -> Option<String> {
    let (best, last) = (best(&training.evaluations)?, training.evaluations.last()?);
    let under = 100.0 * (best.miou - last.miou);
    (under > FAR_UNDER_BEST).then(|| {
        format!(
            "the last network of {} lies {under:.1} points under its best, of iteration {}",
            training.name, best.iteration
        )
    })
}

/// A discriminator that is always right or no better than a coin teaches nothing.
fn discriminator(training: &Training) -> Option<String> {
    let mean = |column: &str| {
        let losses = training.losses.get(column)?;
        let tenth = &losses[losses.len() - losses.len().div_ceil(10)..];
        (!tenth.is_empty()).then(|| tenth.iter().map(|(_, loss)| loss).sum::<f64>() / tenth.len() as f64)
    };
    let (source, target) = (mean("d_main_s")?, mean("d_main_t")?);
    let numbers = format!("{source:.3} on the source, {target:.3} on the target");
    if source < 0.01 && target < 0.01 {
        Some(format!(
            "the discriminator of {} is always right in the last tenth ({numbers}): it teaches nothing",
            training.name
        ))
    } else if (source - CHANCE).abs() < 0.003 && (target - CHANCE).abs() < 0.003 {
        Some(format!("the discriminator of {} is no better than chance in the last tenth ({numbers})", training.name))
    } else {
        None
    }
}

fn falls_behind(setting: &Setting) -> Option<String> {
    let [.., (before, old), (last, new)] = &setting.networks[..] else { return None };
    let differences: Vec<f64> =
        old.iter().zip(new).filter_map(|(old, new)| Some(100.0 * ((*new)? - (*old)?))).collect();
    let mean = differences.iter().sum::<f64>() / differences.len().max(1) as f64;
    (mean < 0.0).then(|| format!("{last} lies {:.1} points under {before} on {}", -mean, setting.dataset))
}

/// The section; empty where nothing was found.
pub(super) fn render(findings: &[String]) -> String {
    if findings.is_empty() {
        return String::new();
    }
    let items: String = findings.iter().take(LISTED).map(|finding| format!("<li>{}</li>\n", text(finding))).collect();
    let more = findings.len().saturating_sub(LISTED);
    let items = if more > 0 { format!("{items}<li>and {more} more, in the page's data</li>\n") } else { items };
    section("findings", "Findings", &format!("<ul>{items}</ul>\n"))
}

#[cfg(test)]
mod tests {
    use super::super::training::Evaluated;
    use super::*;

    fn training(losses: &[(&str, f64)], evaluations: &[f64]) -> Training {
        let column =
            |(name, loss): &(&str, f64)| ((*name).to_owned(), (0..20).map(|i| (f64::from(i), *loss)).collect());
        let evaluated = (1..).zip(evaluations).map(|(iteration, miou)| Evaluated { iteration, miou: *miou });
        Training {
            name: "inter".into(),
            losses: losses.iter().map(column).collect(),
            evaluations: evaluated.collect(),
            resumed_from: None,
        }
    }

    #[test]
    fn a_training_that_went_wrong_is_found_and_one_that_did_not_is_not() {
        let fine = training(&[("d_main_s", 0.2), ("d_main_t", 0.3)], &[0.4, 0.43, 0.42]);
        assert_eq!(gather(&[], &[fine], &[], &[], &[]), [""; 0]);
        let right = training(&[("d_main_s", 0.001), ("d_main_t", 0.002)], &[0.5, 0.4]);
        let found = gather(&[], &[right], &[], &[], &[]);
        assert_eq!(found.len(), 2);
        assert!(found[0].contains("10.0 points under its best, of iteration 1"), "{found:?}");
        assert!(found[1].contains("always right"), "{found:?}");
        let coin = training(&[("d_main_s", CHANCE), ("d_main_t", CHANCE)], &[]);
        assert!(gather(&[], &[coin], &[], &[], &[])[0].contains("no better than chance"));
    }
}
