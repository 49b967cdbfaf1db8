//! Findings about the course of a training.
//!
//! Knows losses and evaluations by iteration.

use super::super::training::{Training, best};
use super::finding::Finding;
use crate::measures::count;

/// In points of mIoU: adversarial training is known to vary by more between checkpoints.
const FAR_UNDER_BEST: f64 = 3.0;
/// Share of a loss by which it falls within a fifth of a training. Schedules that end at 0 make it level long before.
const STILL_FALLING: f64 = 0.15;
/// The loss of a discriminator that can't tell the domains apart, with `gan = "vanilla"`: half of ln 2, as each of its two
/// terms is halved.
pub(super) const BY_CHANCE: f64 = std::f64::consts::LN_2 / 2.0;
/// The same with `gan = "ls"`: half of the squared distance from 0.5 to 0 or 1.
const CHANCE_OF_SQUARES: f64 = 0.125;

/// A discriminator that is always right or at chance gives no useful gradient.
pub(super) fn discriminator(training: &Training) -> Option<Finding> {
    let (source, target) = (training.losses.get("d_main_s")?.end, training.losses.get("d_main_t")?.end);
    let chance = if training.minimises_squares { CHANCE_OF_SQUARES } else { BY_CHANCE };
    let (what, advice) = if source < 0.01 && target < 0.01 {
        (
            "always right",
            "the generator learns nothing from it: lower discriminator_learning_rate or discriminator_width",
        )
    } else if (source - chance).abs() < 0.003 && (target - chance).abs() < 0.003 {
        (
            "no better than chance",
            "either the domains are already aligned, or the discriminator learns too slowly: raise discriminator_learning_rate",
        )
    } else {
        return None;
    };
    Some(Finding {
        found: format!(
            "the discriminator of {} is {what} in the last tenth of the iterations: a loss of {source:.3} on the source, \
             {target:.3} on the target",
            training.name
        ),
        advice: advice.to_owned(),
        section: "training",
        says: what.to_owned(),
    })
}

pub(super) fn under_best(training: &Training) -> Option<Finding> {
    let (best, last) = (best(&training.evaluations)?, training.evaluations.last()?);
    let under = 100.0 * (best.miou - last.miou);
    (under > FAR_UNDER_BEST).then(|| Finding {
        found: format!(
            "the last network of {} is {under:.1} points below its best, at iteration {}",
            training.name,
            count(best.iteration)
        ),
        advice: "stopping there would need labels: lower learning_rate, or train for fewer iterations".to_owned(),
        section: "training",
        says: String::new(),
    })
}

/// A network that is still learning when its training ends.
pub(super) fn still_falling(training: &Training) -> Option<Finding> {
    let curve = training.losses.get("seg_main")?;
    let fall = curve.late_fall?;
    (fall > STILL_FALLING).then(|| Finding {
        found: format!(
            "the loss of {} still falls at the end: by {:.0} % from the last fifth but one of the iterations to the last",
            training.name,
            100.0 * fall
        ),
        advice: "raise iterations and schedule_iterations: the network has not learnt all it can".to_owned(),
        section: "training",
        says: String::new(),
    })
}
