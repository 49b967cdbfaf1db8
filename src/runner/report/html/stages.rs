//! Pipeline: for each stage its key, parameters, inputs with digests, why it last ran, the end of its log; above them the
//! graph and the last run.
//!
//! Of very many stages only the first [`LISTED`] are described, unfinished ones first: a page must stay small.

use maud::{Markup, html};

use super::workspace::{State, Workspace};
use crate::digest::Key;
use crate::exec;
use crate::measures::{count, date, duration, plural};
use crate::pipeline::{Parameter, StageId};
use crate::shown;
use crate::store::TracedOutput;

/// The maximum number of described stages.
const LISTED: usize = 400;
/// Number of log lines.
const LOG_LINES: usize = 20;
/// Digits of a digest that are unique within a page.
const DIGITS: usize = 12;

/// A stage as the page shows it.
pub(super) struct Card {
    /// The stage.
    pub(super) id: StageId,
    /// Its name.
    pub(super) name: String,
    /// Its kind.
    pub(super) kind: &'static str,
    /// Its state.
    pub(super) state: State,
    /// How long it took to compute, in seconds.
    pub(super) seconds: Option<f64>,
    /// Its producers.
    pub(super) needs: Vec<StageId>,
    /// Why it failed, or why it last ran.
    pub(super) reason: String,
    /// Details; none for most stages of a very large pipeline.
    details: Option<Details>,
}

/// The details of a stage's results.
#[derive(Default)]
struct Details {
    key: Option<Key>,
    /// Names and values of its environment.
    facts: Vec<(String, String)>,
    /// Role, name, digest.
    takes: Vec<[String; 3]>,
    /// Output, digest.
    gives: Vec<[String; 2]>,
    /// Name, value, and whether the file sets it.
    parameters: Vec<(String, String, bool)>,
    /// The end of its log.
    log: Vec<String>,
}

/// All stages, in the order in which they can run.
pub(super) fn gather(workspace: &Workspace) -> Vec<Card> {
    let mut cards: Vec<Card> = workspace.stages().map(|(id, _)| bare(workspace, id)).collect();
    let mut order: Vec<usize> = (0..cards.len()).collect();
    order.sort_by_key(|at| (cards[*at].state == State::Done, *at));
    for at in order.into_iter().take(LISTED) {
        cards[at].details = Some(details(workspace, cards[at].id));
    }
    cards
}

fn bare(workspace: &Workspace, id: StageId) -> Card {
    let stage = workspace.pipeline.stage(id);
    let under_way = workspace.history.going.as_ref().and_then(|going| going.running.get(&stage.name));
    let reason = under_way.map(|it| &it.reason).or(workspace.settled(id).map(|settled| &settled.reason));
    Card {
        id,
        name: stage.name.clone(),
        kind: stage.kind.name,
        state: workspace.state(id),
        seconds: workspace.record(id).map(|record| record.seconds),
        needs: workspace.graph.dependencies(id),
        reason: reason.cloned().unwrap_or_default(),
        details: None,
    }
}

/// Characters of a value: it may be a whole shell script, which is in the pipeline file anyway.
const VALUE: usize = 4000;

fn details(workspace: &Workspace, id: StageId) -> Details {
    let settled = workspace.settled(id);
    let has_results = settled.is_none_or(|settled| settled.outcome.has_results());
    let recorded = workspace.record(id).filter(|_| has_results).map(|record| record.key);
    let key = settled.and_then(|settled| settled.key).or(recorded);
    let mut details = Details { key, ..Details::default() };
    // For a failed or waiting stage the record belongs to an earlier key, with other inputs and outputs.
    if let Some(trace) = workspace.trace(id).filter(|trace| Some(trace.key) == key) {
        let short = |digest: &str| digest.chars().take(DIGITS).collect::<String>();
        details.facts.push(("computed".to_owned(), date(trace.started + trace.seconds)));
        details.facts.extend(trace.resumed_from.map(|at| ("resumed at".to_owned(), count(at))));
        details.facts.extend(trace.note.iter().map(|(name, value)| (name.clone(), value.clone())));
        for (role, input) in trace.manifest["inputs"].as_object().into_iter().flatten() {
            let part = |name: &str| input[name].as_str().unwrap_or_default();
            details.takes.push([role.clone(), part("what").to_owned(), short(part("digest"))]);
        }
        let given = |output: &TracedOutput| [output.name.clone(), short(&output.artifact.digest().to_string())];
        details.gives = trace.outputs.iter().map(given).collect();
    }
    let stage = workspace.pipeline.stage(id);
    // A default has the position of the stage's name.
    let value = |it: &Parameter| shown::brief(&it.value.canonical(), VALUE).into_owned();
    let parameter = |it: &Parameter| (it.name.clone(), value(it), it.span != stage.span);
    details.parameters = stage.parameters.iter().map(parameter).collect();
    details.log = key.and_then(|key| exec::tail(&workspace.store.log_path(key), LOG_LINES).ok()).unwrap_or_default();
    details
}

/// The section. `drawing` of the graph and `timeline` come first.
pub(super) fn render(cards: &[Card], drawing: &Markup, timeline: &Markup) -> Markup {
    let described: Vec<(&Card, &Details)> =
        cards.iter().filter_map(|card| Some((card, card.details.as_ref()?))).collect();
    html! {
        (drawing)
        (timeline)
        h3 { "Stages" }
        @for (card, details) in &described { (one(card, details)) }
        @if described.len() < cards.len() {
            p { (plural(cards.len() - described.len(), "stage")) " more are done." }
        }
    }
}

fn one(card: &Card, details: &Details) -> Markup {
    let seconds = card.seconds.filter(|_| card.state == State::Done).map(duration).unwrap_or_default();
    let why = if matches!(card.state, State::Done | State::Stale) { "why it last ran" } else { "why" };
    let class = |typed: bool| if typed { "typed" } else { "default" };
    html! {
        details id={ "stage-" (card.id.0) } {
            summary {
                b { (card.name) } " " span.kind { (card.kind) } " "
                span class={ "state " (card.state.class()) } { (card.state.name()) } " " (seconds)
            }
            "\n"
            dl {
                @if !card.reason.is_empty() { dt { (why) } dd { (card.reason) } }
                @if let Some(key) = details.key { dt { "key" } dd { code { (key) } } }
                @for [role, what, digest] in &details.takes {
                    dt { "input " (role) } dd { (what) " " code { (digest) } }
                }
                @for [output, digest] in &details.gives { dt { "output " (output) } dd { code { (digest) } } }
                @if !details.parameters.is_empty() {
                    dt { "parameters" }
                    dd {
                        @for (at, (name, value, typed)) in typed_first(&details.parameters).enumerate() {
                            @if at > 0 { " " }
                            code class=(class(*typed)) { (name) " = " (value) }
                        }
                    }
                }
                @for (name, value) in &details.facts { @if !value.is_empty() { dt { (name) } dd { (value) } } }
            }
            "\n"
            @if !details.log.is_empty() { pre { (details.log.join("\n")) } "\n" }
        }
        "\n"
    }
}

/// Explicit values before defaults, which are grey.
fn typed_first(parameters: &[(String, String, bool)]) -> impl Iterator<Item = &(String, String, bool)> {
    let of_kind = |typed: bool| parameters.iter().filter(move |parameter| parameter.2 == typed);
    of_kind(true).chain(of_kind(false))
}

#[cfg(test)]
mod tests {
    use super::super::graph::drawing;
    use super::*;

    #[test]
    fn a_stage_stands_right_of_what_it_needs_and_links_to_its_description() {
        let card = |id: u32, name: &str, needs: &[u32]| Card {
            id: StageId(id),
            name: name.to_owned(),
            kind: "command",
            state: State::Done,
            seconds: Some(2.0),
            needs: needs.iter().map(|need| StageId(*need)).collect(),
            reason: String::new(),
            details: Some(Details {
                parameters: vec![("lambda".into(), "0.67".into(), false), ("seed".into(), "1".into(), true)],
                log: vec!["<b>".into()],
                ..Details::default()
            }),
        };
        let cards = [card(0, "a", &[]), card(1, "b", &[0]), card(2, "c\"<", &[0, 1])];
        let html = render(&cards, &drawing(&cards), &html! {}).into_string();
        assert_eq!(html.matches("class=\"edge\"").count(), 2, "c needs a because it needs b");
        assert!(html.contains("href=\"#stage-2\"") && html.contains("id=\"stage-2\""));
        assert!(html.contains("c&quot;&lt;") && html.contains("&lt;b&gt;"));
        let (typed, default) = (html.find("typed\">seed = 1"), html.find("default\">lambda = 0.67"));
        assert!(typed.is_some() && typed < default);
        let many: Vec<Card> = (0..400).map(|id| card(id, "x", &[])).collect();
        assert!(!drawing(&many).into_string().contains("<svg"));
    }
}
