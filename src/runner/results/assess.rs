//! Whether adaptation is worth it: keep the network without adaptation, adapt, or label some images of the target.
//!
//! Knows differences and costs, no pipeline. **The rule**, with A the adapted network, S the one without adaptation, and L one that
//! has learnt from k labelled images of the target:
//!
//! 1. A difference is *shown* if it is a gain or a loss by the rule of `intrada_statistics::evidence`, or if it is at least [`CHANCE`]
//!    points, as much as seeds usually differ, on each of three seeds or more: where one of the networks varies by ten points from
//!    seed to seed, the interval over three seeds holds 0 whatever they say. With fewer than three seeds there is no verdict: it
//!    then is shown if its interval over the images doesn't hold 0 and it is at least [`CHANCE`] points.
//! 2. A *helps* if A − S is a shown gain; L helps if L − S is a shown gain of at least [`WORTH`] point. What can't be shown to help is
//!    not worth its cost.
//! 3. If neither helps: **keep** S. If one helps: that one (**adapt** or **label**).
//! 4. If both help: **label** if L is at least [`WORTH`] point above A on average, else **adapt**. This difference needn't be shown: that
//!    both help is, one of the two has to be taken, and doubt is no argument for the lower one.
//!
//! It doesn't weigh points against hours, as only the user knows what a point is worth: the hours stand beside it.

use intrada_statistics::evidence::{Difference, SEEDS_FOR_A_VERDICT, Verdict};
use serde::Serialize;

use super::evidence;
use super::metrics::CHANCE;
use crate::measures::plural;

/// In points of mIoU: labelling costs hours of people, so less is no reason for it.
pub const WORTH: f64 = 1.0;

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Advice {
    /// Keep the network that was trained on the source alone.
    KeepSourceOnly,
    /// Use the adapted network.
    Adapt,
    /// Label images of the target.
    Label,
}

impl Advice {
    /// `keep source-only`, `adapt`, `label`.
    pub fn words(self) -> &'static str {
        match self {
            Advice::KeepSourceOnly => "keep source-only",
            Advice::Adapt => "adapt",
            Advice::Label => "label",
        }
    }
}

/// What is known of a difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// The second network is better.
    Better,
    /// It is worse.
    Worse,
    /// Neither is shown.
    NotShown,
}

/// By point 1 of the rule.
pub fn standing(difference: &Difference) -> Standing {
    let mean = difference.spread.mean;
    let is_shown = match (difference.verdict(), difference.interval()) {
        (Some(Verdict::Gain | Verdict::Loss), _) => true,
        (Some(Verdict::WithinChance), _) if on_each_seed(difference).is_some() => true,
        (Some(Verdict::WithinChance), _) | (None, None) => false,
        (None, Some(interval)) => !interval.holds_zero() && 100.0 * mean.abs() >= CHANCE,
    };
    let shown = if mean > 0.0 { Standing::Better } else { Standing::Worse };
    if is_shown { shown } else { Standing::NotShown }
}

/// By how many points at least all seeds, three or more, agree; none if that is less than [`CHANCE`].
fn on_each_seed(difference: &Difference) -> Option<f64> {
    let [least, most] = difference.range.map(|one| 100.0 * one);
    let agreed = if least > 0.0 { least } else { -most };
    (difference.spread.count >= SEEDS_FOR_A_VERDICT && agreed >= CHANCE).then_some(agreed)
}

/// A network that learnt from labels of the target.
#[derive(Clone, Copy, Debug)]
pub struct Labelled<'a> {
    /// Its name.
    pub name: &'a str,
    /// How many labelled images of the target it learnt from, if known.
    pub images: Option<u64>,
    /// Its mIoU minus that of the network without adaptation.
    pub over_source_only: &'a Difference,
    /// Minus that of the adapted one.
    pub over_adapted: &'a Difference,
}

/// The networks that are weighed.
#[derive(Clone, Copy, Debug)]
pub struct Weighed<'a> {
    /// The name of the network without adaptation.
    pub source_only: &'a str,
    /// That of the adapted one.
    pub adapted: &'a str,
    /// Adapted minus source-only.
    pub gain: &'a Difference,
    /// The best of those with labels, if there is one.
    pub labelled: Option<Labelled<'a>>,
    /// Minutes to label an image.
    pub minutes: f64,
}

/// What follows from the numbers.
pub fn advise(weighed: &Weighed<'_>) -> Advice {
    let is_worth = |difference: &Difference| 100.0 * difference.spread.mean >= WORTH;
    let adaptation_helps = standing(weighed.gain) == Standing::Better;
    let labels = weighed.labelled.filter(|labelled| {
        standing(labelled.over_source_only) == Standing::Better && is_worth(labelled.over_source_only)
    });
    match labels {
        Some(labelled) if !adaptation_helps || is_worth(labelled.over_adapted) => Advice::Label,
        _ if adaptation_helps => Advice::Adapt,
        _ => Advice::KeepSourceOnly,
    }
}

/// The advice with its reasons, as a paragraph.
pub fn paragraph(weighed: &Weighed<'_>) -> String {
    let advice = advise(weighed);
    let Weighed { source_only, adapted, gain, labelled, .. } = *weighed;
    let told = |difference: &Difference| {
        let over = evidence::over(difference).map(|over| format!(" {over}")).unwrap_or_default();
        let each = on_each_seed(difference).filter(|_| difference.verdict() == Some(Verdict::WithinChance));
        let each = each.map(|least| format!(", at least {least:.1} on each seed")).unwrap_or_default();
        format!("{} points{over}{each}", evidence::points(difference))
    };
    let adaptation = match standing(gain) {
        Standing::Better => format!("Adaptation helps: {adapted} against {source_only} {}.", told(gain)),
        Standing::Worse => format!("Adaptation harms: {adapted} against {source_only} {}.", told(gain)),
        Standing::NotShown => {
            format!("Adaptation is not shown to help: {adapted} against {source_only} {}.", told(gain))
        }
    };
    let labelling = labelled.map(|labelled| labelling(&labelled, weighed, told));
    let labelling = labelling.unwrap_or_else(|| {
        "No network that is compared here has learnt from labelled images of the target, so whether labelling would do more is not known: \
         `intrada-run label` chooses images for it."
            .to_owned()
    });
    let to_do = match (advice, labelled) {
        (Advice::KeepSourceOnly, _) => format!("Keep {source_only}."),
        (Advice::Adapt, _) => format!("Use {adapted}."),
        (Advice::Label, Some(Labelled { images: Some(images), .. })) => {
            format!("Label {} of the target.", plural(images as usize, "image"))
        }
        (Advice::Label, _) => "Label images of the target.".to_owned(),
    };
    let seeds = gain.spread.count;
    let caution = if gain.all.is_some() {
        String::new()
    } else {
        format!(
            " This is from {}: another training may differ by {CHANCE} points, so repeat it with three.",
            plural(seeds, "seed")
        )
    };
    format!("{to_do} {adaptation} {labelling}{caution}")
}

/// `30 hours`, `40 minutes`.
pub fn hours_in_words(hours: f64) -> String {
    if hours < 1.5 { plural((60.0 * hours).round() as usize, "minute") } else { plural(hours.round() as usize, "hour") }
}

fn labelling(labelled: &Labelled<'_>, weighed: &Weighed<'_>, told: impl Fn(&Difference) -> String) -> String {
    let hours = labelled.images.map(|images| images as f64 * weighed.minutes / 60.0);
    let cost = hours.map(|hours| format!(", for about {} of labelling", hours_in_words(hours))).unwrap_or_default();
    let from =
        labelled.images.map(|images| format!(", from {} of the target,", plural(images as usize, "labelled image")));
    let effect = match standing(labelled.over_source_only) {
        Standing::Better => "help",
        Standing::Worse => "harm",
        Standing::NotShown => "are not shown to help",
    };
    let chance = if standing(labelled.over_adapted) == Standing::NotShown { ", which may be chance" } else { "" };
    format!(
        "Labels {effect}: {}{} against {} {}{cost}. Against {} it is {}{chance}.",
        labelled.name,
        from.unwrap_or_default(),
        weighed.source_only,
        told(labelled.over_source_only),
        weighed.adapted,
        told(labelled.over_adapted)
    )
}

#[cfg(test)]
mod tests {
    use intrada_statistics::evidence::{ByImage, Pair};

    use super::*;

    fn difference(by_seed: &[f64]) -> Difference {
        let nothing = ByImage::new();
        let pairs = by_seed.iter().map(|own| Pair { base: (0.4, &nothing), own: (0.4 + own, &nothing) });
        Difference::of(&pairs.collect::<Vec<_>>()).unwrap()
    }

    fn weighed<'a>(gain: &'a Difference, labelled: Option<(&'a Difference, &'a Difference)>) -> Weighed<'a> {
        let labelled = labelled.map(|(over_source_only, over_adapted)| Labelled {
            name: "few",
            images: Some(20),
            over_source_only,
            over_adapted,
        });
        Weighed { source_only: "source-only", adapted: "intra", gain, labelled, minutes: 90.0 }
    }

    #[test]
    fn the_advice_follows_the_written_rule() {
        let (gain, small) = (difference(&[0.03, 0.031, 0.029]), difference(&[0.005, 0.0051, 0.0049]));
        let (loss, chance) = (difference(&[-0.03, -0.031, -0.029]), difference(&[0.05, -0.05, 0.01]));
        let advice = |gain: &Difference, labelled| advise(&weighed(gain, labelled));
        assert_eq!(advice(&gain, None), Advice::Adapt);
        assert_eq!(advice(&loss, None), Advice::KeepSourceOnly);
        assert_eq!(advice(&chance, None), Advice::KeepSourceOnly);
        assert_eq!(advice(&gain, Some((&gain, &gain))), Advice::Label);
        assert_eq!(
            advice(&gain, Some((&gain, &small))),
            Advice::Adapt,
            "less than a point is not worth a day of labelling"
        );
        assert_eq!(
            advice(&loss, Some((&chance, &gain))),
            Advice::KeepSourceOnly,
            "better than a bad adaptation is not enough"
        );
        assert_eq!(advice(&loss, Some((&gain, &gain))), Advice::Label);
        assert_eq!(advice(&chance, Some((&gain, &loss))), Advice::Label, "the adapted network is not shown to help");
        assert_eq!(advice(&gain, Some((&chance, &gain))), Advice::Adapt, "nor are the labels here");
        assert_eq!(advice(&chance, Some((&small, &gain))), Advice::KeepSourceOnly);
        let doubtful = difference(&[0.2, 0.01, 0.07]);
        assert_eq!(standing(&doubtful), Standing::NotShown);
        let agreed = difference(&[0.43, 0.15, 0.24]);
        assert_eq!(agreed.verdict(), Some(Verdict::WithinChance));
        assert_eq!(standing(&agreed), Standing::Better, "each seed says so");
        assert_eq!(standing(&difference(&[-0.43, -0.15, -0.04])), Standing::Worse);
        assert_eq!(
            advice(&gain, Some((&gain, &doubtful))),
            Advice::Label,
            "both help, so the one that is better on average, shown or not"
        );
        assert_eq!(advice(&gain, Some((&gain, &chance))), Advice::Adapt, "0.3 points on average");
    }

    #[test]
    fn one_seed_without_images_shows_nothing() {
        assert_eq!(standing(&difference(&[0.2])), Standing::NotShown);
        assert_eq!(standing(&difference(&[0.2, 0.21])), Standing::NotShown);
    }

    #[test]
    fn the_paragraph_says_what_to_do_why_and_what_it_costs() {
        let (gain, more) = (difference(&[0.03, 0.031, 0.029]), difference(&[0.04, 0.041, 0.039]));
        assert_eq!(
            paragraph(&weighed(&gain, Some((&more, &more)))),
            "Label 20 images of the target. Adaptation helps: intra against source-only +3.0 ± 0.1 [+2.8, +3.2] points over 3 \
             seeds. Labels help: few, from 20 labelled images of the target, against source-only +4.0 ± 0.1 [+3.8, +4.2] points \
             over 3 seeds, for about 30 hours of labelling. Against intra it is +4.0 ± 0.1 [+3.8, +4.2] points over 3 seeds."
        );
        let one = paragraph(&weighed(&difference(&[0.01]), None));
        assert!(
            one.starts_with(
                "Keep source-only. Adaptation is not shown to help: intra against source-only +1.0 points."
            ),
            "{one}"
        );
        assert!(
            one.ends_with("This is from 1 seed: another training may differ by 2 points, so repeat it with three."),
            "{one}"
        );
    }
}
