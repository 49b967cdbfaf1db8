//! Sweep: the mIoU of its members over the swept parameter, one dot per seed and the mean; and what the steps of an adaptation
//! gave, over seeds and images.
//!
//! Knows coordinates, no axis by name except one: members that differ only by `seed` are one setting, evaluated several
//! times.

use std::collections::BTreeMap;

use maud::{Markup, Render as _, html};

use super::chart::{Line, Range, draw};
use super::evaluation::{Evaluation, Model, anchor};
use super::workspace::Workspace;
use crate::measures::plural;
use crate::pipeline::{Pipeline, StageId};
use crate::results::evidence;
use crate::results::metrics::CHANCE;
use intrada_statistics::evidence::{Difference, Pair, SEEDS_FOR_A_VERDICT, TENTH, Verdict};
use intrada_statistics::spread::Spread;

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
    /// The number of evaluated images, if it is the same of all seeds.
    pub(super) images: Option<u64>,
    /// The networks that tell what adaptation did, in its order; empty without a baseline.
    pub(super) steps: Vec<Step>,
    /// Whether the data set is of the source domain, by which an adaptation isn't judged.
    pub(super) is_of_source: bool,
    /// Classes on which the judged network is worse than the first of the story by more than chance, worst first.
    pub(super) lost: Vec<(String, Difference)>,
    /// The evaluations, by seed.
    pub(super) members: Vec<StageId>,
}

/// A step of an adaptation: indices of networks, and the difference of the second to the first.
#[derive(Clone, Debug)]
pub(super) struct Step {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) difference: Difference,
    /// Whether the second is worse by more than chance: see [`is_worse`].
    pub(super) is_worse: bool,
}

impl Step {
    /// From the two networks of each seed; none without a pair.
    pub(super) fn of(from: usize, to: usize, pairs: &[Pair<'_>]) -> Option<Step> {
        let difference = Difference::of(pairs)?;
        let of_seed = |at: usize| Difference::of(&pairs[at..=at]);
        Some(Step { from, to, difference, is_worse: is_worse(&difference, of_seed) })
    }
}

/// Whether a difference is a loss that is worth a look: beyond its interval, and with fewer seeds than a verdict takes on
/// each of them alone. Without an interval by more than seeds usually differ.
fn is_worse(difference: &Difference, of_seed: impl Fn(usize) -> Option<Difference>) -> bool {
    let is_beyond = |one: &Difference| match one.interval() {
        Some(_) => one.is_worse_than_chance(),
        None => 100.0 * one.spread.mean < -CHANCE,
    };
    let seeds = difference.spread.count;
    let on_each = || (0..seeds).all(|seed| of_seed(seed).is_some_and(|one| is_beyond(&one)));
    is_beyond(difference) && (difference.all.is_some() || seeds == 1 || on_each())
}

/// In IoU of a class, 0 to 1: less is not worth a sentence, however sure it is.
const LOST: f64 = 0.01;

/// Axis and value, without the seed.
type Coordinates = Vec<(String, String)>;

/// The evaluations by family and coordinates: those that differ only by the seed are one.
pub(super) fn grouped<'a>(
    workspace: &'a Workspace,
    evaluations: &'a [Evaluation],
) -> Vec<(&'a str, Coordinates, Vec<&'a Evaluation>)> {
    let mut settings: Vec<(&str, Coordinates, Vec<&Evaluation>)> = Vec::new();
    for evaluation in evaluations {
        let stage = workspace.pipeline.stage(evaluation.stage);
        let swept = stage.coordinates.iter().filter(|coordinate| coordinate.axis != "seed");
        let coordinates: Vec<_> = swept.map(|at| (at.axis.clone(), at.value.clone())).collect();
        let known = settings.iter_mut().find(|(family, at, _)| *family == stage.family && *at == coordinates);
        match known {
            Some((_, _, members)) => members.push(evaluation),
            None => settings.push((&stage.family, coordinates, vec![evaluation])),
        }
    }
    settings
}

/// The settings of these evaluations.
pub(super) fn gather(workspace: &Workspace, evaluations: &[Evaluation]) -> Vec<Setting> {
    let classes: Vec<&str> = workspace.pipeline.classes.iter().map(|class| class.name.as_str()).collect();
    let one = |(family, coordinates, members)| setting(workspace, &classes, family, coordinates, members);
    grouped(workspace, evaluations).into_iter().map(one).collect()
}

fn setting(
    workspace: &Workspace,
    classes: &[&str],
    family: &str,
    coordinates: Vec<(String, String)>,
    members: Vec<&Evaluation>,
) -> Setting {
    let first = members[0];
    let name = |model: &Model| family_name(workspace.pipeline, model);
    let of_seeds = |(at, model): (usize, &Model)| {
        let seeds = members.iter().map(|member| member.models.get(at).and_then(|model| model.measured.miou));
        (name(model), seeds.collect())
    };
    let told = first.steps();
    let step = |pair: &[usize]| {
        let (from, to) = (pair[0], pair[1]);
        Step::of(from, to, &pairs(&members, from, to))
    };
    let images = |member: &&Evaluation| member.models.first().map(|model| model.measured.images);
    let whole = told.first().zip(told.last());
    Setting {
        family: family.to_owned(),
        dataset: first.dataset.clone(),
        coordinates,
        networks: first.models.iter().enumerate().map(of_seeds).collect(),
        images: images(&first).filter(|_| members.iter().all(|member| images(member) == images(&first))),
        with_labels: first.models.iter().filter(|model| model.chosen_on.is_some()).map(name).collect(),
        steps: told.windows(2).filter_map(step).collect(),
        is_of_source: first.is_of_source,
        lost: whole.map(|(from, to)| lost(&members, *from, *to, classes)).unwrap_or_default(),
        members: members.iter().map(|member| member.stage).collect(),
    }
}

/// A network's name as in the file, without the coordinates of its training.
pub(super) fn family_name(pipeline: &Pipeline, model: &Model) -> String {
    match model.training.map(|training| pipeline.stage(training)) {
        Some(training) => model.name.replacen(&training.name, &training.family, 1),
        None => model.name.clone(),
    }
}

/// Two networks of each seed.
pub(super) fn pairs<'a>(members: &[&'a Evaluation], from: usize, to: usize) -> Vec<Pair<'a>> {
    let network = |member: &'a Evaluation, at: usize| {
        let model = member.models.get(at)?;
        Some((model.measured.miou?, &model.pixels))
    };
    members.iter().filter_map(|member| Some(Pair { base: network(member, from)?, own: network(member, to)? })).collect()
}

/// See [`Setting::lost`].
fn lost(members: &[&Evaluation], from: usize, to: usize, classes: &[&str]) -> Vec<(String, Difference)> {
    let of_class = |(at, class): (usize, &&str)| {
        let pair = |member: &&'_ Evaluation| {
            let iou = |model: &Model| model.measured.iou.get(*class).copied().flatten();
            let (base, own) = (member.models.get(from)?, member.models.get(to)?);
            Some((iou(base)?, iou(own)?))
        };
        let ious: Vec<(f64, f64)> = members.iter().filter_map(pair).collect();
        let mean = ious.iter().map(|(base, own)| own - base).sum::<f64>() / ious.len() as f64;
        // Most classes gain, and need no draws.
        if ious.len() < members.len() || mean > -LOST {
            return None;
        }
        Some(((*class).to_owned(), lost_class(&pairs(members, from, to), &ious, at)?))
    };
    let mut lost: Vec<(String, Difference)> = classes.iter().enumerate().filter_map(of_class).collect();
    lost.sort_by(|(_, one), (_, other)| one.spread.mean.total_cmp(&other.spread.mean));
    lost
}

/// The difference of one class if it was lost, by the same rule as a step; never without an interval. `ious` are those of
/// the pairs.
fn lost_class(pairs: &[Pair<'_>], ious: &[(f64, f64)], class: usize) -> Option<Difference> {
    let difference = Difference::of_class(pairs, ious, class)?;
    let of_seed = |at: usize| Difference::of_class(pairs.get(at..=at)?, ious.get(at..=at)?, class);
    (difference.is_worse_than_chance() && is_worse(&difference, of_seed)).then_some(difference)
}

/// `lambda 0.6, keep 0.5`.
pub(super) fn in_words<'a>(coordinates: impl IntoIterator<Item = &'a (String, String)>) -> String {
    let words: Vec<String> = coordinates.into_iter().map(|(axis, value)| format!("{axis} {value}")).collect();
    words.join(", ")
}

impl Setting {
    /// The number of seeds.
    pub(super) fn seeds(&self) -> usize {
        self.networks.iter().map(|(_, seeds)| seeds.len()).max().unwrap_or(0)
    }

    /// The step that the judged network came from.
    pub(super) fn last_step(&self) -> Option<&Step> {
        self.steps.last()
    }

    /// Where the numbers are from: `on target-test (lambda 0.6), 204 images, 3 seeds`.
    pub(super) fn place(&self) -> String {
        let at = in_words(&self.coordinates);
        let at = if at.is_empty() { at } else { format!(" ({at})") };
        let images = self.images.map(|images| format!(", {}", plural(images as usize, "image"))).unwrap_or_default();
        let seeds = match self.seeds() {
            1 => "one seed".to_owned(),
            seeds => plural(seeds, "seed"),
        };
        let chosen = self.last_step().is_some_and(|step| self.with_labels.contains(&self.networks[step.to].0));
        let chosen = if chosen { ", chosen with labels" } else { "" };
        format!("on {}{at}{images}, {seeds}{chosen}", self.dataset)
    }

    /// The networks of the story in its order, with the mIoU of each in % and the step that led to it.
    pub(super) fn story(&self) -> Vec<(&str, String, Option<&Step>)> {
        let network = |at: usize| (self.networks[at].0.as_str(), shown(&self.networks[at].1));
        let Some(first) = self.steps.first() else { return Vec::new() };
        let (name, miou) = network(first.from);
        let rest = self.steps.iter().map(|step| {
            let (name, miou) = network(step.to);
            (name, miou, Some(step))
        });
        [(name, miou, None)].into_iter().chain(rest).collect()
    }

    /// The story in sentences: the numbers, then what each step may be called. Empty without a baseline.
    pub(super) fn sentences(&self) -> Vec<String> {
        let told: Vec<String> = self.story().iter().map(|(name, miou, _)| format!("{name} {miou}")).collect();
        if told.is_empty() {
            return Vec::new();
        }
        let remark =
            if self.is_of_source { "On the source domain, where adaptation usually costs accuracy: " } else { "" };
        let mut sentences = vec![format!("{remark}mIoU in %: {}; {}.", told.join(" → "), self.place())];
        if !self.is_of_source {
            sentences.extend(self.steps.iter().map(|step| self.verdict(step)));
            sentences.extend(self.losses());
        }
        sentences
    }

    /// What the steps may be called, without the numbers: once, if it is the same of all.
    pub(super) fn verdicts(&self) -> Vec<String> {
        let of_step = |step: &Step| (called(&step.difference), [step.from, step.to].map(|at| &self.networks[at].0));
        let all: Vec<(String, [&String; 2])> = self.steps.iter().map(of_step).collect();
        let is_one = all.windows(2).all(|pair| pair[0].0 == pair[1].0);
        let sentence = |(called, [from, to]): &(String, [&String; 2])| format!("{to} − {from}: {called}.");
        let steps: Vec<String> = match &all[..] {
            [(called, _), _, ..] if is_one => vec![format!("Each difference: {called}.")],
            _ => all.iter().map(sentence).collect(),
        };
        steps.into_iter().chain(self.losses()).collect()
    }

    /// `intra − inter: +1.4 [+0.6, +2.2] over 204 images: …`
    pub(super) fn verdict(&self, step: &Step) -> String {
        let difference = &step.difference;
        let [from, to] = [step.from, step.to].map(|at| self.networks[at].0.as_str());
        let over = evidence::over(difference).map(|over| format!(" {over}")).unwrap_or_default();
        format!("{to} − {from}: {} points{over}: {}.", typographic(&evidence::points(difference)), called(difference))
    }

    /// Which classes adaptation lost.
    fn losses(&self) -> Option<String> {
        let base = &self.networks[self.steps.first()?.from].0;
        let judged = &self.networks[self.steps.last()?.to].0;
        let class = |(name, difference): &(String, Difference)| {
            format!("{name} {}", typographic(&evidence::points(difference)))
        };
        let classes: Vec<String> = self.lost.iter().map(class).collect();
        // Fewer seeds give no verdict, and the list has what each of them shows.
        let seeds = match self.seeds() {
            1 => " (one seed)".to_owned(),
            seeds if seeds < SEEDS_FOR_A_VERDICT => format!(" ({seeds} seeds, on each)"),
            _ => String::new(),
        };
        (!classes.is_empty())
            .then(|| format!("Classes that {judged} lost against {base}{seeds}: {}.", classes.join(", ")))
    }

    /// Whether one of the differences has an interval.
    pub(super) fn has_interval(&self) -> bool {
        self.steps.iter().any(|step| step.difference.interval().is_some())
    }
}

/// What a difference may be called, by the rule of `results::evidence`.
fn called(difference: &Difference) -> String {
    let mean = difference.spread.mean.abs();
    match (difference.verdict(), difference.interval()) {
        (Some(Verdict::Gain), _) => "a gain".to_owned(),
        (Some(Verdict::Loss), _) => "a loss".to_owned(),
        (Some(Verdict::WithinChance), _) => "no more than chance".to_owned(),
        (None, Some(_)) if mean < TENTH => "no difference worth a word".to_owned(),
        (None, Some(interval)) if interval.holds_zero() => "other images could show the opposite".to_owned(),
        (None, Some(_)) if difference.range[0] < 0.0 && difference.range[1] > 0.0 => {
            "more than chance over these images, but not of one sign on each seed".to_owned()
        }
        (None, Some(_)) if 100.0 * mean < CHANCE => {
            format!("more than chance over these images, but another seed may differ by {CHANCE:.0} points")
        }
        (None, Some(_)) => "more than chance over these images; three seeds are needed for a verdict".to_owned(),
        (None, None) => "too few seeds and images for a verdict".to_owned(),
    }
}

/// With a minus sign in place of a hyphen before a number; not in a name such as `source-only`, or `stage-2`.
pub(super) fn typographic(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut before = ' ';
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        let is_sign = c == '-' && matches!(before, ' ' | '[') && rest.peek().is_some_and(char::is_ascii_digit);
        out.push(if is_sign { '−' } else { c });
        before = c;
    }
    out
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
    let families = families(settings);
    (!families.is_empty()).then(|| html! { @for (name, settings) in &families { (one(name, settings)) } })
}

/// The settings that the section shows, by evaluation.
fn families(settings: &[Setting]) -> BTreeMap<&str, Vec<&Setting>> {
    let mut families: BTreeMap<&str, Vec<&Setting>> = BTreeMap::new();
    for setting in settings {
        families.entry(&setting.family).or_default().push(setting);
    }
    families.retain(|_, settings| settings.len() > 1 || settings.iter().any(|setting| setting.seeds() > 1));
    families
}

/// Whether the section shows all settings of this evaluation.
pub(super) fn has(settings: &[Setting], family: &str) -> bool {
    families(settings).contains_key(family)
}

fn one(family: &str, settings: &[&Setting]) -> Markup {
    let first = settings[0];
    let axes: Vec<&str> = first.coordinates.iter().map(|(axis, _)| axis.as_str()).collect();
    let networks: Vec<&str> = first.networks.iter().map(|(name, _)| name.as_str()).collect();
    let difference = |step: &Step| format!("{} − {}", networks[step.to], networks[step.from]);
    let differences: Vec<String> = first.steps.iter().map(difference).collect();
    let mut heads: Vec<&str> = [&axes[..], &["seeds"], &networks].concat();
    heads.extend(differences.iter().map(String::as_str));
    heads.push("evaluations");
    let classes = classes(first, heads.len());
    let charts: Vec<Markup> = axes.iter().filter_map(|axis| chart(axis, settings)).collect();
    html! {
        h3 {
            (family) " "
            small {
                "mIoU in % on " (first.dataset) ", mean ± standard deviation over seeds"
                @if settings.iter().any(|setting| setting.has_interval()) { "; [95 % interval]" }
            }
        }
        "\n"
        div.swept {
            div {
                div.wide {
                    table.sweep {
                        thead { tr { @for (head, class) in heads.iter().zip(&classes) { th class=[*class] { (head) } } } }
                        tbody {
                            @for setting in settings {
                                tr { @for (cell, class) in row(setting, first).iter().zip(&classes) { td class=[*class] { (cell) } } }
                                "\n"
                            }
                        }
                    }
                }
                "\n"
                @if !first.with_labels.is_empty() {
                    p.note { "Chosen on labelled target images: " (first.with_labels.join(", ")) "." }
                }
            }
            @if !charts.is_empty() { div.charts { @for chart in &charts { (chart) } } }
        }
        "\n"
    }
}

/// The classes of the columns: the axes, the judged network and its difference, which remain in sight where the table is wider than
/// the screen.
fn classes(first: &Setting, columns: usize) -> Vec<Option<&'static str>> {
    let (axes, networks) = (first.coordinates.len(), first.networks.len());
    let judged = first.last_step().map(|step| axes + 1 + step.to);
    let gain = first.last_step().map(|_| axes + networks + first.steps.len());
    let class = |at: usize| {
        if Some(at) == judged {
            Some("judged")
        } else if Some(at) == gain {
            Some("gain")
        } else {
            (at < axes).then_some("axis")
        }
    };
    (0..columns).map(class).collect()
}

/// Coordinates, seeds, networks, the differences of the first setting's steps, and links to each evaluation.
fn row(setting: &Setting, first: &Setting) -> Vec<Markup> {
    let difference = |step: &Step| {
        let own = setting.steps.iter().find(|own| (own.from, own.to) == (step.from, step.to));
        own.map_or("–".to_owned(), |own| typographic(&evidence::points(&own.difference))).render()
    };
    let mut row: Vec<Markup> = setting.coordinates.iter().map(|(_, value)| value.render()).collect();
    row.push(setting.seeds().to_string().render());
    row.extend(setting.networks.iter().map(|(_, seeds)| shown(seeds).render()));
    row.extend(first.steps.iter().map(difference));
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
        let nothing = intrada_statistics::evidence::ByImage::new();
        let pairs = old.iter().zip(new).map(|(old, new)| Pair { base: (*old, &nothing), own: (*new, &nothing) });
        let step = Step::of(0, 1, &pairs.collect::<Vec<_>>()).unwrap();
        Setting {
            family: "evaluate".into(),
            dataset: "val".into(),
            coordinates: vec![("lambda".into(), "0.6".into())],
            networks: vec![("inter".into(), some(old)), ("intra".into(), some(new))],
            with_labels: Vec::new(),
            images: None,
            steps: vec![step],
            is_of_source: false,
            lost: Vec::new(),
            members: vec![StageId(0)],
        }
    }

    #[test]
    fn a_difference_is_called_a_gain_over_three_seeds_and_beyond_chance_only() {
        let said = |old: &[f64], new: &[f64]| setting(old, new).sentences();
        let one = said(&[0.40], &[0.41]);
        assert_eq!(one[0], "mIoU in %: inter 40.0 → intra 41.0; on val (lambda 0.6), one seed.");
        assert_eq!(one[1], "intra − inter: +1.0 points: too few seeds and images for a verdict.");
        assert!(said(&[0.4, 0.4], &[0.5, 0.52])[1].contains("too few seeds"));
        let three = said(&[0.40, 0.41, 0.42], &[0.44, 0.45, 0.465]);
        assert_eq!(three[1], "intra − inter: +4.2 ± 0.3 [+3.4, +4.9] points over 3 seeds: a gain.");
        let wide = said(&[0.40, 0.41, 0.42], &[0.45, 0.36, 0.43]);
        assert!(wide[1].ends_with("over 3 seeds: no more than chance."), "{wide:?}");
        assert!(
            said(&[0.44, 0.45, 0.465], &[0.40, 0.41, 0.42])[1]
                .contains("−4.2 ± 0.3 [−4.9, −3.4] points over 3 seeds: a loss")
        );
        let chosen = Setting { with_labels: vec!["inter".into(), "intra".into()], ..setting(&[0.4], &[0.5]) };
        assert!(chosen.sentences()[0].contains("on val (lambda 0.6), one seed, chosen with labels"));
    }

    /// Twenty equal images, of whose pixels of the one class this many are right.
    fn right(pixels: u64) -> intrada_statistics::evidence::ByImage {
        let pixels = intrada_statistics::bootstrap::Pixels::new(&[pixels], &[pixels], &[1000]).unwrap();
        (0..20).map(|at: usize| (at.to_string(), pixels.clone())).collect()
    }

    /// Whether a step is worse, and the class that it has, with the differences of each seed in thousandths.
    fn worse(by_seed: &[i64]) -> (bool, bool) {
        let base = right(500);
        let own: Vec<_> = by_seed.iter().map(|by| right((500 + by) as u64)).collect();
        let ious: Vec<(f64, f64)> = by_seed.iter().map(|by| (0.5, 0.5 + *by as f64 / 1000.0)).collect();
        let both = own.iter().zip(&ious);
        let pairs: Vec<Pair<'_>> =
            both.map(|(own, (_, miou))| Pair { base: (0.5, &base), own: (*miou, own) }).collect();
        (Step::of(0, 1, &pairs).unwrap().is_worse, lost_class(&pairs, &ious, 0).is_some())
    }

    #[test]
    fn with_fewer_than_three_seeds_only_what_each_of_them_shows_is_worse() {
        assert_eq!(worse(&[3, -16]), (false, false));
        assert_eq!(worse(&[0, -16]), (false, false));
        assert_eq!(worse(&[-4, -16]), (true, true));
        assert_eq!(worse(&[-16]), (true, true));
        assert_eq!(worse(&[-16, -17, -16]), (true, true));
        assert_eq!(worse(&[3, -16, -20]), (false, false), "three have an interval of their own");
        // Without images by more than seeds usually differ.
        let is_worse = |new: &[f64]| setting(&[0.4, 0.4], new).steps[0].is_worse;
        assert!(is_worse(&[0.37, 0.35]) && !is_worse(&[0.385, 0.33]));
    }

    #[test]
    fn a_list_of_lost_classes_says_that_it_is_of_few_seeds() {
        let listed = |old: &[f64], new: &[f64]| {
            let setting = setting(old, new);
            let lost = vec![("pole".to_owned(), setting.steps[0].difference)];
            Setting { lost, ..setting }.sentences().pop().unwrap()
        };
        assert!(listed(&[0.4], &[0.3]).starts_with("Classes that intra lost against inter (one seed): pole −10.0"));
        let two = listed(&[0.4, 0.4], &[0.3, 0.31]);
        assert!(two.starts_with("Classes that intra lost against inter (2 seeds, on each): pole −9.5 ± 0.7"), "{two}");
        let three = listed(&[0.4; 3], &[0.3, 0.31, 0.3]);
        assert!(three.starts_with("Classes that intra lost against inter: pole −9.7"), "{three}");
    }

    #[test]
    fn the_judged_network_and_its_difference_are_marked_in_every_row() {
        let settings = [setting(&[0.4], &[0.5]), Setting { steps: Vec::new(), ..setting(&[0.3], &[0.2]) }];
        let html = render(&settings).unwrap().into_string();
        assert!(
            html.contains("<th class=\"axis\">lambda</th><th>seeds</th><th>inter</th><th class=\"judged\">intra</th>"),
            "{html}"
        );
        assert!(html.contains("<th class=\"gain\">intra − inter</th><th>evaluations</th>"), "{html}");
        assert!(
            html.contains("<td class=\"judged\">20.0</td><td class=\"gain\">–</td>"),
            "a setting without it: {html}"
        );
    }

    #[test]
    fn a_loss_on_the_source_domain_is_a_remark_without_a_verdict() {
        let source = Setting { is_of_source: true, ..setting(&[0.5], &[0.4]) };
        let said = source.sentences();
        assert_eq!(said.len(), 1);
        assert!(said[0].starts_with("On the source domain, where adaptation usually costs accuracy"), "{said:?}");
    }

    #[test]
    fn a_network_that_all_seeds_have_in_common_has_no_spread() {
        assert_eq!(shown(&[Some(0.507), Some(0.507), Some(0.507)]), "50.7");
        assert_eq!(shown(&[Some(0.40), Some(0.41), Some(0.42)]), "41.0 ± 1.0");
        assert_eq!(shown(&[Some(0.40), Some(0.40), Some(0.43)]), "41.0 ± 1.7", "two of three may be equal by chance");
        assert_eq!(shown(&[None]), "–");
    }
}
