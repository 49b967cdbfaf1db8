//! Head: the pipeline, its state and cost, and one sentence about the result.
//!
//! Knows states and settings, no file. The page of an unfinished pipeline says so first.

use maud::{Markup, html};

use super::provenance::Provenance;
use super::stages::Card;
use super::sweep::{Setting, Step, has, typographic};
use super::workspace::{State, Workspace};
use crate::measures::{date, duration, plural};
use crate::pipeline::About;
use crate::results::evidence;

/// What the head shows.
pub(super) struct Head {
    /// The pipeline's name.
    pub(super) name: String,
    /// What it is for, in its author's words.
    pub(super) about: About,
    /// Its state, in words.
    pub(super) state: String,
    /// Whether all stages are done.
    pub(super) is_done: bool,
    /// Whether a run is in progress.
    pub(super) is_going: bool,
    /// When this was written, in seconds since the Unix epoch.
    pub(super) written: f64,
    /// Times.
    cost: Vec<String>,
    /// The sentences about the result.
    pub(super) sentences: Vec<String>,
    /// What adaptation did on the target, network by network.
    stories: Vec<Story>,
    /// The settings that have no story here.
    untold: Option<Untold>,
    /// The reasons: each stage that failed or was stopped, and what to do; first those that failed.
    troubles: [Vec<(String, String)>; 2],
    /// The sources that could not be compared.
    not_here: Vec<String>,
}

/// The networks of one setting.
struct Story {
    /// Their names, mIoU in %, and the difference to the one before.
    networks: Vec<(String, String, Option<String>)>,
    place: String,
    /// What each difference may be called, and which classes were lost.
    verdicts: Vec<String>,
    /// Whether one of the differences has an interval.
    has_interval: bool,
}

/// Settings that are in another section only.
struct Untold {
    /// How many.
    settings: usize,
    /// That section, and its id.
    section: (&'static str, &'static str),
}

/// How many settings are told; a large sweep has its own section.
const TOLD: usize = 3;
/// How many stages that failed, and how many that were stopped, are shown directly.
const OPEN: usize = 5;

/// Collects it.
pub(super) fn gather(
    workspace: &Workspace,
    cards: &[Card],
    settings: &[Setting],
    provenance: &Provenance,
    written: f64,
) -> Head {
    let with = |state: State| cards.iter().filter(move |card| card.state == state);
    let names = |state| with(state).map(|card| card.name.as_str()).collect::<Vec<_>>().join(", ");
    let done = with(State::Done).count();
    let all = plural(cards.len(), "stage");
    let going = workspace.history.going.as_ref();
    let (state, is_done) = if let Some(going) = going {
        let hint = "this page reloads itself";
        (format!("running since {}; {done} of {all} done when this was written; {hint}", date(going.began)), false)
    } else if with(State::Failed).next().is_some() {
        (format!("failed at {}; {done} of {all} done", names(State::Failed)), false)
    } else if workspace.history.interrupted && done < cards.len() {
        (format!("interrupted; {done} of {all} done"), false)
    } else if done < cards.len() {
        (format!("not finished: {done} of {all} done"), false)
    } else {
        (format!("done, {all}"), true)
    };
    let mut cost = Vec::new();
    let seconds: f64 = with(State::Done).filter_map(|card| card.seconds).sum();
    if seconds > 0.0 {
        cost.push(format!("computed in {}", duration(seconds)));
    }
    if workspace.history.ended > 0.0 && going.is_none() {
        cost.push(format!(
            "last run took {}, ended {}",
            duration(workspace.history.seconds),
            date(workspace.history.ended)
        ));
    }
    if workspace.history.saved >= 1.0 && going.is_none() {
        cost.push(format!("of which the cache saved {}", duration(workspace.history.saved)));
    }
    cost.extend(provenance.commit().map(|commit| format!("commit {commit}")));
    let trouble = |card: &Card| {
        let help = workspace.settled(card.id).map(|settled| settled.help.join("; ")).unwrap_or_default();
        let help = if help.is_empty() { help } else { format!(" — {help}") };
        (card.name.clone(), format!("{}{help}", card.reason))
    };
    let untold = untold(settings);
    let last = untold.as_ref().map(|untold| format!("And {}: see {}.", untold.words(), untold.section.0));
    Head {
        name: workspace.pipeline.name.clone(),
        about: workspace.pipeline.about.clone(),
        state,
        is_done,
        is_going: going.is_some(),
        written,
        cost,
        sentences: told(settings).take(TOLD).flat_map(Setting::sentences).chain(last).collect(),
        stories: told(settings).take(TOLD).map(story).collect(),
        untold,
        troubles: [State::Failed, State::Stopped].map(|state| with(state).map(trouble).collect()),
        not_here: workspace.not_here.to_vec(),
    }
}

/// The settings that have something to tell, of which the first are told: those of the target first.
fn told(settings: &[Setting]) -> impl Iterator<Item = &Setting> {
    let of = |is_of_source: bool| settings.iter().filter(move |setting| setting.is_of_source == is_of_source);
    of(false).chain(of(true)).filter(|setting| !setting.steps.is_empty())
}

/// The others; none if all are told.
fn untold(settings: &[Setting]) -> Option<Untold> {
    let others: Vec<&Setting> = told(settings).skip(TOLD).collect();
    let is_sweep = others.iter().all(|setting| has(settings, &setting.family));
    let section = if is_sweep { ("Sweep", "sweep") } else { ("Results", "results") };
    (!others.is_empty()).then_some(Untold { settings: others.len(), section })
}

impl Untold {
    fn words(&self) -> String {
        plural(self.settings, "more setting")
    }
}

fn story(setting: &Setting) -> Story {
    let network = |(name, miou, step): (&str, String, Option<&Step>)| {
        let difference = step.map(|step| typographic(&evidence::points(&step.difference)));
        (name.to_owned(), miou, difference)
    };
    if setting.is_of_source {
        let place = setting.sentences().remove(0);
        return Story { networks: Vec::new(), place, verdicts: Vec::new(), has_interval: false };
    }
    let networks = setting.story().into_iter().map(network).collect();
    Story { networks, place: setting.place(), verdicts: setting.verdicts(), has_interval: setting.has_interval() }
}

/// The head, with links to the existing sections.
pub(super) fn render(head: &Head, sections: &[(&str, &str)]) -> Markup {
    let standing = match (head.is_done, head.is_going) {
        (true, _) => "done",
        (false, true) => "going",
        (false, false) => "undone",
    };
    html! {
        a.skip href="#main" { "to the results" } "\n"
        header {
            h1 { (head.name) }
            @if !head.about.description.is_empty() { p.about { (head.about.description) } }
            @if !head.about.tags.is_empty() { p.tags { @for tag in &head.about.tags { span.tag { (tag) } " " } } }
            p class={ "standing " (standing) } { (head.state) }
            p { @for part in &head.cost { (part) " · " } "written " (date(head.written)) }
            @for line in &head.not_here { p.trouble { (line) } }
            @for story in &head.stories { (told_as(story)) }
            @if let Some(untold) = &head.untold {
                p { "and " (untold.words()) ", in " a href={ "#" (untold.section.1) } { (untold.section.0) } }
            }
            @for troubles in &head.troubles { (in_trouble(troubles)) }
        }
        nav.sections aria-label="sections" { @for (id, name) in sections { a href={ "#" (id) } { (name) } " " } }
        "\n"
    }
}

/// Stages and why; of many the first.
fn in_trouble(troubles: &[(String, String)]) -> Markup {
    let (open, rest) = troubles.split_at(troubles.len().min(OPEN));
    let lines = |of: &[(String, String)]| html! { @for (stage, why) in of { p.trouble { b { (stage) } ": " (why) } } };
    html! {
        (lines(open))
        @if !rest.is_empty() { details { summary { "… and " (rest.len()) " more" } (lines(rest)) } }
    }
}

/// One line of networks with the differences between them, then the verdicts.
fn told_as(story: &Story) -> Markup {
    html! {
        @if !story.networks.is_empty() {
            p.story {
                @for (at, (name, miou, difference)) in story.networks.iter().enumerate() {
                    @if at > 0 { span aria-hidden="true" { " → " } }
                    b { (name) " " (miou) }
                    @if let Some(difference) = difference { " " small { "(" (difference) ")" } }
                }
                " " small { "mIoU in %, " (story.place) @if story.has_interval { "; [95 % interval]" } }
            }
            @for verdict in &story.verdicts { p.sentence { (verdict) } }
        } @else {
            p { (story.place) }
        }
        "\n"
    }
}
