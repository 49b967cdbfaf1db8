//! The graph of the stages as a drawing: boxes with states and times, each linked to its stage's details.
//!
//! A graph of more than [`DRAWN`] stages is unreadable and isn't drawn. Knows cards and no file. Edges implied by others
//! are left out, or a sweep's drawing would be all lines.

use std::collections::{HashMap, HashSet};

use maud::{Markup, html};

use super::stages::Card;
use super::workspace::State;
use crate::measures::{duration, plural};
use crate::pipeline::StageId;

/// The maximum number of stages drawn.
const DRAWN: usize = 150;

const BOX: (usize, usize) = (150, 46);
const GAP: (usize, usize) = (36, 14);

/// Boxes in columns: a stage is right of all that it waits for. Implied edges are not drawn.
pub(super) fn drawing(cards: &[Card]) -> Markup {
    if cards.len() > DRAWN {
        return html! { p { (plural(cards.len(), "stage")) " are too many to draw." } };
    }
    let (place, filled) = places(cards);
    let above = ancestors(cards);
    let at = |id: &StageId| {
        let (column, row) = place[id];
        (column * (BOX.0 + GAP.0) + 2, row * (BOX.1 + GAP.1) + 2)
    };
    let (width, height) = (filled.len() * (BOX.0 + GAP.0), filled.iter().max().unwrap_or(&0) * (BOX.1 + GAP.1));
    html! {
        div.wide {
            svg.graph width=(width) height=(height) viewBox={ "0 0 " (width) " " (height) } role="group"
                aria-label="graph of the stages"
            {
                @for card in cards {
                    @for need in direct(card, &above) { path.edge d=(edge(at(need), at(&card.id))) {} }
                }
                @for card in cards { (boxed(card, at(&card.id))) }
            }
        }
        "\n"
    }
}

/// A curve from the right side of one box to the left side of another.
fn edge(from: (usize, usize), (x, y): (usize, usize)) -> String {
    let (from_x, from_y) = (from.0 + BOX.0, from.1 + BOX.1 / 2);
    let (to_y, bend) = (y + BOX.1 / 2, GAP.0 / 2);
    format!("M{from_x} {from_y}C{} {from_y} {} {to_y} {x} {to_y}", from_x + bend, x.saturating_sub(bend))
}

fn boxed(card: &Card, (x, y): (usize, usize)) -> Markup {
    let state = card.state.name();
    let below = match (card.state, card.seconds) {
        (State::Done, Some(seconds)) => duration(seconds),
        _ => state.to_owned(),
    };
    let (name, member) = match card.name.split_once('[') {
        Some((family, member)) => (family, ending(member.trim_end_matches(']'), 18) + " · "),
        None => (card.name.as_str(), String::new()),
    };
    html! {
        a href={ "#stage-" (card.id.0) } {
            title { (card.name) ": " (card.kind) ", " (state) }
            rect class={ "box " (card.state.class()) } x=(x) y=(y) width=(BOX.0) height=(BOX.1) rx="4" {}
            text x=(x + 10) y=(y + 19) { (ending(name, 20)) }
            text.small x=(x + 10) y=(y + 36) { (member) (below) }
        }
    }
}

/// Column and row of each stage, and the number of stages in each column. A stage without inputs is as close to its readers
/// as possible, so that lines don't cross unrelated boxes.
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

/// All ancestors of each stage.
fn ancestors(cards: &[Card]) -> HashMap<StageId, HashSet<StageId>> {
    let mut above: HashMap<StageId, HashSet<StageId>> = HashMap::new();
    for card in cards {
        let further = card.needs.iter().filter_map(|need| above.get(need)).flatten().copied();
        let all = further.chain(card.needs.iter().copied()).collect();
        above.insert(card.id, all);
    }
    above
}

/// The direct producers of a stage that are not ancestors of its other producers.
fn direct<'a>(card: &'a Card, above: &HashMap<StageId, HashSet<StageId>>) -> impl Iterator<Item = &'a StageId> {
    let follows = move |need: &StageId| card.needs.iter().any(|other| above[other].contains(need));
    card.needs.iter().filter(move |need| !follows(need)).collect::<Vec<_>>().into_iter()
}

/// The end of a long name, where the names of a sweep differ.
fn ending(name: &str, longest: usize) -> String {
    let length = name.chars().count();
    if length <= longest {
        name.to_owned()
    } else {
        std::iter::once('…').chain(name.chars().skip(length + 1 - longest)).collect()
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
}
