//! Sweep: the mIoU of its members over the swept parameter, one dot per seed and the mean; and the verdict on a difference
//! over seeds.
//!
//! Knows coordinates, no axis by name except one: members that differ only by `seed` are one setting, evaluated several
//! times.

use std::collections::BTreeMap;

use maud::{Markup, Render as _, html};

use super::chart::{Line, Range, draw};
use super::evaluation::{Evaluation, Model, anchor};
use super::markup::{signed, table};
use super::workspace::Workspace;
use crate::pipeline::StageId;
use crate::results::compare::{SEEDS_FOR_A_GAIN, Spread};
use crate::results::metrics::CHANCE;

/// One setting of one evaluation, over its seeds.
pub(super) struct Setting {
    /// The evaluation, as named in the file.
    pub(super) family: String,
    /// The data set.
    pub(super) dataset: String,
    /// Axis and value, without the seed; empty if nothing else was swept.
    pub(super) coordinates: Vec<(String, String)>,
    /// The networks, as named in the file, in its order; by seed, mIoU from 0 to 1.
    pub(super) networks: Vec<(String, Vec<Option<f64>>)>,
    /// The names of those that were selected with labels.
    pub(super) with_labels: Vec<String>,
    /// Those that the sentence is about, by index: as in [`Evaluation::compared`].
    pub(super) compared: Option<(usize, usize)>,
    /// The evaluations, by seed.
    pub(super) members: Vec<StageId>,
}

/// The evaluations; those that differ only by the seed are one.
pub(super) fn gather(workspace: &Workspace, evaluations: &[Evaluation]) -> Vec<Setting> {
    let mut settings: Vec<Setting> = Vec::new();
    for evaluation in evaluations {
        let stage = workspace.pipeline.stage(evaluation.stage);
        let swept = stage.coordinates.iter().filter(|coordinate| coordinate.axis != "seed");
        let coordinates: Vec<_> = swept.map(|at| (at.axis.clone(), at.value.clone())).collect();
        let name = |model: &Model| match model.training {
            Some(training) => {
                let training = workspace.pipeline.stage(training);
                model.name.replacen(&training.name, &training.family, 1)
            }
            None => model.name.clone(),
        };
        let networks = evaluation.models.iter().map(|model| (name(model), model.measured.miou));
        let known =
            settings.iter_mut().find(|setting| setting.family == stage.family && setting.coordinates == coordinates);
        match known {
            Some(setting) => {
                setting.members.push(evaluation.stage);
                for (network, (_, seeds)) in networks.zip(&mut setting.networks) {
                    seeds.push(network.1);
                }
            }
            None => settings.push(Setting {
                family: stage.family.clone(),
                dataset: evaluation.dataset.clone(),
                coordinates,
                networks: networks.map(|(name, miou)| (name, vec![miou])).collect(),
                with_labels: evaluation.models.iter().filter(|model| model.chosen_on.is_some()).map(name).collect(),
                compared: evaluation.compared(),
                members: vec![evaluation.stage],
            }),
        }
    }
    settings
}

impl Setting {
    /// The number of seeds.
    pub(super) fn seeds(&self) -> usize {
        self.networks.iter().map(|(_, seeds)| seeds.len()).max().unwrap_or(0)
    }

    /// The sentence about the judged network and its baseline; none without a baseline.
    pub(super) fn sentence(&self) -> Option<String> {
        let ((before, old), (judged, new)) =
            self.compared.map(|(old, new)| (&self.networks[old], &self.networks[new]))?;
        let differences = differences(old, new);
        let Spread { mean, sd, .. } = Spread::of(&differences)?;
        let place = match &self.coordinates[..] {
            [] => String::new(),
            at => format!(
                " ({})",
                at.iter().map(|(axis, value)| format!("{axis} {value}")).collect::<Vec<_>>().join(", ")
            ),
        };
        let chosen = if self.with_labels.contains(judged) { ", both chosen with labels" } else { "" };
        let start =
            format!("{judged} {} against {before} {} on {}{place}{chosen}", shown(new), shown(old), self.dataset);
        Some(match (differences.len(), sd) {
            (1, _) if mean.abs() < CHANCE => {
                format!("{start}, one seed: a difference of {} points may be chance.", signed(mean))
            }
            (1, _) => format!("{start}, one seed: a difference of {} points.", signed(mean)),
            (seeds, Some(sd)) if seeds >= SEEDS_FOR_A_GAIN && mean > sd => {
                format!("{start}, {seeds} seeds: a gain of {mean:.1} ± {sd:.1} points.")
            }
            (seeds, Some(sd)) if seeds >= SEEDS_FOR_A_GAIN && -mean > sd => {
                format!("{start}, {seeds} seeds: a loss of {:.1} ± {sd:.1} points.", -mean)
            }
            (seeds, Some(sd)) if seeds >= SEEDS_FOR_A_GAIN => {
                format!("{start}, {seeds} seeds: {} ± {sd:.1} points, no gain beyond the spread.", signed(mean))
            }
            (seeds, _) => {
                format!("{start}, {seeds} seeds: {} points, too few seeds for a verdict.", signed(mean))
            }
        })
    }
}

/// By seed, by how many points a network exceeds another.
pub(super) fn differences(old: &[Option<f64>], new: &[Option<f64>]) -> Vec<f64> {
    old.iter().zip(new).filter_map(|(old, new)| Some(100.0 * ((*new)? - (*old)?))).collect()
}

/// In %: `45.4`, `45.4 ± 0.7`. Values that are equal to the last bit come from one network that all seeds share: they have
/// no spread.
fn shown(seeds: &[Option<f64>]) -> String {
    let mut known: Vec<f64> = seeds.iter().flatten().copied().collect();
    if known.windows(2).all(|pair| pair[0] == pair[1]) {
        known.truncate(1);
    }
    Spread::of(&known).map_or("–".to_owned(), |spread| spread.percent())
}

/// The section; none without a sweep.
pub(super) fn render(settings: &[Setting]) -> Option<Markup> {
    let mut families: BTreeMap<&str, Vec<&Setting>> = BTreeMap::new();
    for setting in settings {
        families.entry(&setting.family).or_default().push(setting);
    }
    families.retain(|_, settings| settings.len() > 1 || settings.iter().any(|setting| setting.seeds() > 1));
    (!families.is_empty()).then(|| html! { @for (name, settings) in &families { (one(name, settings)) } })
}

fn one(family: &str, settings: &[&Setting]) -> Markup {
    let first = settings[0];
    let axes: Vec<&str> = first.coordinates.iter().map(|(axis, _)| axis.as_str()).collect();
    let networks: Vec<&str> = first.networks.iter().map(|(name, _)| name.as_str()).collect();
    let difference = first.compared.map(|(old, new)| format!("{} − {}", networks[new], networks[old]));
    let mut heads: Vec<&str> = [&axes[..], &["seeds"], &networks].concat();
    heads.extend(difference.as_deref());
    heads.push("evaluations");
    let rows: Vec<Vec<Markup>> = settings.iter().map(|setting| row(setting)).collect();
    html! {
        h3 {
            (family) " "
            small { "mIoU in % on " (first.dataset) ", mean ± standard deviation over seeds" }
        }
        "\n"
        div.beside.swept {
            div {
                (table(&heads, &rows))
                @if !first.with_labels.is_empty() {
                    p.note { "Chosen on labelled target images: " (first.with_labels.join(", ")) "." }
                }
            }
            div { @for chart in axes.iter().filter_map(|axis| chart(axis, settings)) { (chart) } }
        }
        "\n"
    }
}

/// Coordinates, seeds, networks, difference, and links to each evaluation.
fn row(setting: &Setting) -> Vec<Markup> {
    let mut row: Vec<Markup> = setting.coordinates.iter().map(|(_, value)| value.render()).collect();
    row.push(setting.seeds().to_string().render());
    row.extend(setting.networks.iter().map(|(_, seeds)| shown(seeds).render()));
    if let Some((old, new)) = setting.compared {
        let difference = Spread::of(&differences(&setting.networks[old].1, &setting.networks[new].1));
        let difference = match difference {
            None => "–".to_owned(),
            Some(Spread { mean, sd: None, .. }) => signed(mean),
            Some(Spread { mean, sd: Some(sd), .. }) => format!("{} ± {sd:.1}", signed(mean)),
        };
        row.push(difference.render());
    }
    row.push(html! {
        @for (at, id) in setting.members.iter().enumerate() {
            @if at > 0 { " " }
            a href={ "#" (anchor(*id)) } { (at + 1) }
        }
    });
    row
}

/// mIoU over one numeric axis: one dot per member, a line through the means.
fn chart(axis: &str, settings: &[&Setting]) -> Option<Markup> {
    let at = |setting: &Setting| -> Option<f64> {
        let (_, value) = setting.coordinates.iter().find(|(name, _)| name == axis)?;
        value.parse().ok()
    };
    let places: Vec<f64> = settings.iter().map(|setting| at(setting)).collect::<Option<_>>()?;
    let line = |network: usize| {
        let of_place = settings.iter().zip(&places).flat_map(|(setting, place)| {
            let seeds = setting.networks.get(network).map_or(&[][..], |(_, seeds)| seeds);
            seeds.iter().flatten().map(|miou| (*place, 100.0 * miou))
        });
        let mut dots: Vec<(f64, f64)> = of_place.collect();
        dots.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mean = |at: &[(f64, f64)]| (at[0].0, at.iter().map(|(_, miou)| miou).sum::<f64>() / at.len() as f64);
        let points = dots.chunk_by(|a, b| a.0 == b.0).map(mean).collect();
        Line { name: settings[0].networks[network].0.clone(), points, dots, ..Line::default() }
    };
    let lines: Vec<Line> = (0..settings[0].networks.len()).map(line).collect();
    let x = Range::over(places.iter().copied()).filter(|x| x.from < x.to)?;
    let y = Range::over(lines.iter().flat_map(|line| line.dots.iter().map(|(_, y)| *y)))?;
    Some(draw(&format!("mIoU in % over {axis}"), &lines, x.wider(), y.wider(), &[]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setting(old: &[f64], new: &[f64]) -> Setting {
        let some = |values: &[f64]| values.iter().copied().map(Some).collect();
        Setting {
            family: "evaluate".into(),
            dataset: "val".into(),
            coordinates: vec![("lambda".into(), "0.6".into())],
            networks: vec![("inter".into(), some(old)), ("intra".into(), some(new))],
            with_labels: Vec::new(),
            compared: Some((0, 1)),
            members: vec![StageId(0)],
        }
    }

    #[test]
    fn a_gain_is_called_one_over_three_seeds_and_beyond_the_spread_only() {
        let said = |old: &[f64], new: &[f64]| setting(old, new).sentence().unwrap();
        assert!(said(&[0.40], &[0.41]).ends_with("one seed: a difference of +1.0 points may be chance."));
        assert!(said(&[0.5], &[0.4]).ends_with("one seed: a difference of −10.0 points."), "no seed differs so much");
        assert!(said(&[0.4, 0.4], &[0.5, 0.52]).contains("too few seeds"));
        let three = said(&[0.40, 0.41, 0.42], &[0.45, 0.44, 0.46]);
        assert!(three.contains("3 seeds: a gain of 4.0 ± 1.0 points"), "{three}");
        assert!(three.starts_with("intra 45.0 ± 1.0 against inter 41.0 ± 1.0 on val (lambda 0.6)"), "{three}");
        assert!(said(&[0.40, 0.41, 0.42], &[0.45, 0.36, 0.43]).contains("no gain beyond the spread"));
        assert!(said(&[0.45, 0.44, 0.46], &[0.40, 0.41, 0.42]).contains("a loss of 4.0 ± 1.0 points"));
        let chosen = Setting { with_labels: vec!["inter".into(), "intra".into()], ..setting(&[0.4], &[0.5]) };
        assert!(chosen.sentence().unwrap().contains("on val (lambda 0.6), both chosen with labels, one seed"));
    }

    #[test]
    fn a_network_that_all_seeds_have_in_common_has_no_spread() {
        assert_eq!(shown(&[Some(0.507), Some(0.507), Some(0.507)]), "50.7");
        assert_eq!(shown(&[Some(0.40), Some(0.41), Some(0.42)]), "41.0 ± 1.0");
        assert_eq!(shown(&[Some(0.40), Some(0.40), Some(0.43)]), "41.0 ± 1.7", "two of three may be equal by chance");
        assert_eq!(shown(&[None]), "–");
    }
}
