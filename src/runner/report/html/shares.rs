//! Shares: each class's share of the pixels, side by side in pseudo-labels, predictions and labels.
//!
//! Knows counts, no map. True shares come from confusion matrices, whose row sums are the labels' counts: no label is read.

use maud::{Markup, html};

use super::evaluation::Evaluation;
use super::markup::{colour, swatch, table};
use crate::measures::count;
use crate::pipeline::Class;

/// How many classes are listed: those with the largest shares; the others are behind a click.
const LISTED: usize = 24;
/// The maximum number of label columns: further data sets add nothing.
const TRUTHS: usize = 3;
/// A share below half of every true one is highlighted.
const FEW: f64 = 0.5;

/// The class shares in one set of maps.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Shares {
    /// Its name, as text.
    pub(super) name: String,
    /// In the order of the classes, 0 to 1.
    pub(super) of_class: Vec<f64>,
}

/// The shares in the labels of each evaluated data set.
pub(super) fn truths(evaluations: &[Evaluation]) -> Vec<Shares> {
    let mut truths: Vec<Shares> = Vec::new();
    for evaluation in evaluations {
        let name = format!("labels of {}", evaluation.dataset);
        let Some(model) = evaluation.models.first().filter(|_| truths.iter().all(|known| known.name != name)) else {
            continue;
        };
        let rows: Vec<u64> = model.measured.confusion.iter().map(|row| row.iter().sum()).collect();
        let all = rows.iter().sum::<u64>() as f64;
        if all > 0.0 {
            truths.push(Shares { name, of_class: rows.iter().map(|row| *row as f64 / all).collect() });
        }
    }
    truths.truncate(TRUTHS);
    truths
}

/// A table of these next to the true shares, one row per class. `pixels` are those that the shares are of.
pub(super) fn beside(shown: &[Shares], truths: &[Shares], classes: &[Class], pixels: &str) -> Markup {
    let all: Vec<&Shares> = shown.iter().chain(truths).filter(|of| of.of_class.len() == classes.len()).collect();
    let largest = |class: usize| all.iter().map(|of| of.of_class[class]).fold(0.0, f64::max);
    let scale = (0..classes.len()).map(largest).fold(0.0, f64::max);
    if scale == 0.0 {
        return html! {};
    }
    let mut order: Vec<usize> = (0..classes.len()).collect();
    if classes.len() > LISTED {
        order.sort_by(|a, b| largest(*b).total_cmp(&largest(*a)));
    }
    let row = |class: &usize| {
        let Class { name, colour, .. } = &classes[*class];
        let least = truths.iter().map(|of| of.of_class[*class]).fold(f64::INFINITY, f64::min);
        let cell = |(at, of): (usize, &&Shares)| {
            let share = of.of_class[*class];
            match (100.0 * share, at < shown.len()) {
                (0.0, true) => html! { b.lacking { "none" } },
                (percent, true) if share < FEW * least && least.is_finite() => {
                    html! { b.lacking { (format_args!("{percent:.2}")) } }
                }
                (percent, _) => html! { (format_args!("{percent:.2}")) },
            }
        };
        let name = html! { (swatch(*colour)) "\u{a0}" (name) };
        let bars = bars(all.iter().map(|of| of.of_class[*class] / scale), *colour);
        std::iter::once(name).chain(all.iter().enumerate().map(cell)).chain([bars]).collect::<Vec<_>>()
    };
    let heads: Vec<&str> = ["class"].into_iter().chain(all.iter().map(|of| of.name.as_str())).chain([""]).collect();
    let (listed, rest) = order.split_at(order.len().min(LISTED));
    let rows = |classes: &[usize]| classes.iter().map(row).collect::<Vec<_>>();
    html! {
        (table(&heads, &rows(listed)))
        @if !rest.is_empty() {
            details { summary { (count(rest.len() as u64)) " more classes" } (table(&heads, &rows(rest))) } "\n"
        }
        p.note { "% of the " (pixels) "; bars in the order of the columns." }
    }
}

/// One bar each, the first in the class's colour. `shares` are relative to the longest bar.
fn bars(shares: impl ExactSizeIterator<Item = f64>, of: [u8; 3]) -> Markup {
    const BAR: usize = 5;
    let height = shares.len() * BAR;
    let first = |at: usize| (at == 0).then(|| colour(of));
    let other = |at: usize| (at > 0).then_some("other");
    html! {
        svg.share viewBox={ "0 0 100 " (height) } height=(height * 6 / BAR) preserveAspectRatio="none" aria-hidden="true" {
            @for (at, share) in shares.enumerate() {
                rect y=(at * BAR) width=(format_args!("{:.2}", 100.0 * share)) height=(BAR - 1)
                    fill=[first(at)] class=[other(at)] {}
            }
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeMap;

    use super::super::evaluation::Model;
    use super::*;
    use crate::pipeline::StageId;
    use crate::results::metrics::Measured;

    /// Of one network, `inter`, on `val`.
    pub(in super::super) fn evaluation(confusion: &[&[u64]]) -> Evaluation {
        let confusion = confusion.iter().map(|row| row.to_vec()).collect();
        let measured =
            Measured { images: 1, miou: None, miou_16: None, miou_13: None, iou: BTreeMap::new(), confusion };
        let model = Model {
            name: "inter".into(),
            member: "inter".into(),
            training: None,
            chosen_on: None,
            origin: Default::default(),
            measured,
            pixels: Default::default(),
            best: None,
        };
        let (name, dataset) = ("evaluate".into(), "val".into());
        let raw = serde_json::Value::Null;
        Evaluation { stage: StageId(0), name, dataset, is_of_source: false, raw, models: vec![model] }
    }

    fn classes(count: usize) -> Vec<Class> {
        (0..count)
            .map(|i| Class { name: format!("class {i}"), colour: [i as u8; 3], rare: false, thing: false })
            .collect()
    }

    fn shares(name: &str, of_class: &[f64]) -> Shares {
        Shares { name: name.into(), of_class: of_class.to_vec() }
    }

    #[test]
    fn true_shares_are_the_rows_of_a_confusion_matrix_once_a_data_set() {
        let truths = truths(&[evaluation(&[&[2, 1], &[0, 9]]), evaluation(&[&[12, 0], &[0, 0]])]);
        assert_eq!(truths, [shares("labels of val", &[0.25, 0.75])]);
    }

    #[test]
    fn a_class_that_is_missing_or_has_less_than_half_of_what_is_true_stands_out() {
        let html = beside(
            &[shares("pseudo", &[0.9, 0.1, 0.0])],
            &[shares("labels of val", &[0.5, 0.25, 0.25])],
            &classes(3),
            "pixels",
        );
        let html = html.into_string();
        assert!(html.contains("<td>90.00</td><td>50.00</td>"), "{html}");
        assert!(html.contains("<td><b class=\"lacking\">10.00</b></td><td>25.00</td>"), "{html}");
        assert!(html.contains("<td><b class=\"lacking\">none</b></td>"), "{html}");
        let alone = beside(&[shares("pseudo", &[0.9, 0.1, 0.0])], &[], &classes(3), "predicted pixels").into_string();
        assert_eq!(alone.matches("lacking").count(), 1, "what is little is not known without truth");
    }

    #[test]
    fn of_many_classes_the_largest_are_listed_and_none_is_left_out() {
        let of_class: Vec<f64> = (0..100).map(|i| f64::from(i) / 4950.0).collect();
        let html = beside(&[shares("pseudo", &of_class)], &[], &classes(100), "pixels").into_string();
        let (listed, rest) = html.split_once("<details><summary>76 more classes").unwrap();
        assert!(listed.contains("class 99<") && !listed.contains("class 1<") && rest.contains("class 1<"));
    }
}
