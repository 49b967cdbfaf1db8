//! Pipeline: the graph with states and times, and of each stage its key, parameters, why it last ran and its log's end.
//!
//! A graph of more than [`DRAWN`] stages can't be read and isn't drawn. Of very many stages only the first [`LISTED`] are
//! described, those that aren't done before all others: a page must open.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;

use super::markup::{section, text};
use super::workspace::{State, Workspace};
use crate::exec;
use crate::report::measures::{count, duration, plural};
use crate::spec::StageId;

/// Stages up to which the graph is drawn.
const DRAWN: usize = 150;
/// Stages that are described.
const LISTED: usize = 400;
/// Lines of a log's end.
const LOG_LINES: usize = 20;

/// A stage as the page shows it.
pub(super) struct Card {
    /// Which.
    pub(super) id: StageId,
    /// Its name.
    pub(super) name: String,
    /// Its kind's.
    pub(super) kind: &'static str,
    /// How it stands.
    pub(super) state: State,
    /// How long it took to compute, in seconds.
    pub(super) seconds: Option<f64>,
    /// The stages that it waits for.
    pub(super) needs: Vec<StageId>,
    /// Names and values of what is worth knowing.
    facts: Vec<(String, String)>,
    /// Why it failed, or why it last ran.
    pub(super) reason: String,
    /// The end of its log.
    log: Vec<String>,
}

/// All stages, in the order in which they can run.
pub(super) fn gather(workspace: &Workspace) -> Vec<Card> {
    let mut cards: Vec<Card> = workspace.stages().map(|(id, _)| bare(workspace, id)).collect();
    let mut order: Vec<usize> = (0..cards.len()).collect();
    order.sort_by_key(|at| (cards[*at].state == State::Done, *at));
    for at in order.into_iter().take(LISTED) {
        describe(workspace, &mut cards[at]);
    }
    cards
}

fn bare(workspace: &Workspace, id: StageId) -> Card {
    let stage = workspace.pipeline.stage(id);
    Card {
        id,
        name: stage.name.clone(),
        kind: stage.kind.name,
        state: workspace.state(id),
        seconds: workspace.record(id).map(|record| record.seconds),
        needs: workspace.graph.dependencies(id),
        facts: Vec::new(),
        reason: String::new(),
        log: Vec::new(),
    }
}

fn describe(workspace: &Workspace, card: &mut Card) {
    let settled = workspace.settled(card.id);
    let record = workspace.record(card.id);
    let key = settled.and_then(|settled| settled.key).or(record.map(|record| record.key));
    let mut facts: Vec<(String, String)> = Vec::new();
    facts.extend(key.map(|key| ("key".to_owned(), key.to_string())));
    if let Some(trace) = workspace.trace(card.id) {
        facts.extend(trace.note.iter().map(|(name, value)| (name.clone(), value.clone())));
        facts.extend(trace.resumed_from.map(|at| ("resumed at".to_owned(), count(at))));
        for (role, input) in trace.manifest["inputs"].as_object().into_iter().flatten() {
            let digest: String = input["digest"].as_str().unwrap_or("").chars().take(12).collect();
            facts.push((format!("takes {role}"), format!("{} ({digest})", input["what"].as_str().unwrap_or(""))));
        }
        for output in &trace.outputs {
            facts.push((format!("gives {}", output.name), output.artifact.digest().to_string()));
        }
    }
    let stage = workspace.pipeline.stage(card.id);
    facts.extend(stage.parameters.iter().map(|parameter| (parameter.name.clone(), parameter.value.canonical())));
    card.facts = facts;
    let under_way = workspace.history.going.as_ref().and_then(|going| going.running.get(&card.name));
    let reason = under_way.map(|under_way| &under_way.reason).or(settled.map(|settled| &settled.reason));
    card.reason = reason.cloned().unwrap_or_default();
    card.log = key.and_then(|key| exec::tail(&workspace.store.log_path(key), LOG_LINES).ok()).unwrap_or_default();
}

/// The section.
pub(super) fn render(cards: &[Card]) -> String {
    let mut body = if cards.len() <= DRAWN {
        drawing(cards)
    } else {
        format!("<p>{} are too many to be drawn.</p>\n", plural(cards.len(), "stage"))
    };
    let described: Vec<&Card> = cards.iter().filter(|card| !card.facts.is_empty()).collect();
    body.extend(described.iter().map(|card| details(card)));
    if described.len() < cards.len() {
        let _ = writeln!(body, "<p>{} more are done.</p>", plural(cards.len() - described.len(), "stage"));
    }
    section("pipeline", "Pipeline", &body)
}

fn details(card: &Card) -> String {
    let seconds = card.seconds.filter(|_| card.state == State::Done).map(duration).unwrap_or_default();
    let mut html = format!(
        "<details id=\"stage-{}\"><summary><b>{}</b> {} <span class=\"state {}\">{}</span> {seconds}</summary>\n",
        card.id.0,
        text(&card.name),
        card.kind,
        card.state.name().replace(' ', "-"),
        card.state.name(),
    );
    if !card.reason.is_empty() {
        let what = if card.state == State::Done { "last ran" } else { "why" };
        let _ = writeln!(html, "<p>{what}: {}</p>", text(&card.reason));
    }
    html += "<dl>";
    for (name, value) in &card.facts {
        let _ = write!(html, "<dt>{}</dt><dd>{}</dd>", text(name), text(value));
    }
    html += "</dl>\n";
    if !card.log.is_empty() {
        let _ = writeln!(html, "<pre>{}</pre>", text(&card.log.join("\n")));
    }
    html + "</details>\n"
}

/// Boxes in columns: a stage stands right of all that it waits for. What follows from other lines has no line of its own.
fn drawing(cards: &[Card]) -> String {
    const BOX: (usize, usize) = (150, 46);
    const GAP: (usize, usize) = (36, 14);
    let (place, filled) = places(cards);
    let above = ancestors(cards);
    let at = |id: &StageId| {
        let (column, row) = place[id];
        (column * (BOX.0 + GAP.0) + 2, row * (BOX.1 + GAP.1) + 2)
    };
    let (width, height) = (filled.len() * (BOX.0 + GAP.0), filled.iter().max().unwrap_or(&0) * (BOX.1 + GAP.1));
    let mut svg = format!(
        "<div class=\"wide\"><svg class=\"graph\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" role=\"img\">"
    );
    for card in cards {
        let (x, y) = at(&card.id);
        for need in direct(card, &above) {
            let (from_x, from_y) = (at(need).0 + BOX.0, at(need).1 + BOX.1 / 2);
            let (to_y, bend) = (y + BOX.1 / 2, GAP.0 / 2);
            let _ = write!(
                svg,
                "<path class=\"edge\" d=\"M{from_x} {from_y}C{} {from_y} {} {to_y} {x} {to_y}\"/>",
                from_x + bend,
                x.saturating_sub(bend)
            );
        }
    }
    for card in cards {
        let (x, y) = at(&card.id);
        let state = card.state.name();
        let below = match (card.state, card.seconds) {
            (State::Done, Some(seconds)) => duration(seconds),
            _ => state.to_owned(),
        };
        let _ = write!(
            svg,
            "<a href=\"#stage-{}\"><title>{}: {}, {state}</title><rect class=\"box {}\" x=\"{x}\" y=\"{y}\" width=\"{}\" \
             height=\"{}\" rx=\"4\"/><text x=\"{}\" y=\"{}\">{}</text><text class=\"small\" x=\"{}\" y=\"{}\">{}</text></a>",
            card.id.0,
            text(&card.name),
            card.kind,
            state.replace(' ', "-"),
            BOX.0,
            BOX.1,
            x + 10,
            y + 19,
            text(&ending(&card.name, 20)),
            x + 10,
            y + 36,
            text(&below)
        );
    }
    svg + "</svg></div>\n"
}

/// Column and row of each stage, and how many stand in each column. A stage that waits for nothing stands as close to those
/// that wait for it as it can, so that no line runs past boxes that have nothing to do with it.
fn places(cards: &[Card]) -> (HashMap<StageId, (usize, usize)>, Vec<usize>) {
    let mut column: HashMap<StageId, usize> = HashMap::new();
    for card in cards {
        let right_of = card.needs.iter().filter_map(|need| column.get(need)).max();
        column.insert(card.id, right_of.map_or(0, |column| column + 1));
    }
    for card in cards.iter().filter(|card| card.needs.is_empty()) {
        let waiting = cards.iter().filter(|other| other.needs.contains(&card.id));
        if let Some(nearest) = waiting.map(|other| column[&other.id]).min() {
            column.insert(card.id, nearest - 1);
        }
    }
    let mut filled = vec![0; column.values().max().map_or(0, |last| last + 1)];
    let place = cards.iter().map(|card| {
        let column = column[&card.id];
        filled[column] += 1;
        (card.id, (column, filled[column] - 1))
    });
    (place.collect(), filled)
}

/// All that each stage waits for, directly or not.
fn ancestors(cards: &[Card]) -> HashMap<StageId, HashSet<StageId>> {
    let mut above: HashMap<StageId, HashSet<StageId>> = HashMap::new();
    for card in cards {
        let further = card.needs.iter().filter_map(|need| above.get(need)).flatten().copied();
        let all = further.chain(card.needs.iter().copied()).collect();
        above.insert(card.id, all);
    }
    above
}

/// What a stage waits for and no other of what it waits for does.
fn direct<'a>(card: &'a Card, above: &HashMap<StageId, HashSet<StageId>>) -> impl Iterator<Item = &'a StageId> {
    let follows = move |need: &StageId| card.needs.iter().any(|other| above[other].contains(need));
    card.needs.iter().filter(move |need| !follows(need)).collect::<Vec<_>>().into_iter()
}

/// A long name by its end, where names of a sweep differ.
fn ending(name: &str, longest: usize) -> String {
    let length = name.chars().count();
    match length <= longest {
        true => name.to_owned(),
        false => std::iter::once('…').chain(name.chars().skip(length + 1 - longest)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_lose_their_beginning() {
        assert_eq!(ending("intra[lambda=0.6,seed=3]", 12), "…0.6,seed=3]");
        assert_eq!(ending("straße", 6), "straße");
    }

    #[test]
    fn a_stage_stands_right_of_what_it_needs_and_links_to_its_description() {
        let card = |id: u32, name: &str, needs: &[u32]| Card {
            id: StageId(id),
            name: name.to_owned(),
            kind: "command",
            state: State::Done,
            seconds: Some(2.0),
            needs: needs.iter().map(|need| StageId(*need)).collect(),
            facts: vec![("key".into(), "00".into())],
            reason: String::new(),
            log: vec!["<b>".into()],
        };
        let html = render(&[card(0, "a", &[]), card(1, "b", &[0]), card(2, "c\"<", &[0, 1])]);
        assert_eq!(html.matches("class=\"edge\"").count(), 2, "c needs a because it needs b");
        assert!(html.contains("href=\"#stage-2\"") && html.contains("id=\"stage-2\""));
        assert!(html.contains("c&quot;&lt;") && html.contains("&lt;b&gt;"));
        let many: Vec<Card> = (0..400).map(|id| card(id, "x", &[])).collect();
        assert!(!render(&many).contains("<svg"));
    }
}
