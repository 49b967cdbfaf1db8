//! Ranking: the sorted scores with the cut between easy and hard, and the images at its ends and at the cut.
//!
//! Knows `ranking.csv` and the maps of the entropy inference that was ranked. The images themselves may be anywhere or, as
//! drawn scenes, nowhere; so what the network made of them is shown.

use super::chart::{Line, Range, draw};
use super::markup::{section, table, text};
use super::picture::{Map, class_palette, entropy_legend, viridis};
use super::pictures::map_file;
use super::results::{IN_FULL, legend};
use super::workspace::Workspace;
use crate::kind::Gives;
use crate::report::measures::count;
use crate::spec::{Class, StageId};

/// Images at each place of the order.
const EACH: usize = 4;

/// One ranking.
pub(super) struct Ranking {
    name: String,
    /// Ascending: the easiest first.
    ranked: Vec<Ranked>,
    shown: Vec<(&'static str, Vec<Example>)>,
}

struct Ranked {
    image: String,
    score: f64,
    is_easy: bool,
}

struct Example {
    image: String,
    score: f64,
    prediction: Option<Map>,
    entropy: Option<Map>,
}

/// Rankings whose results count; of a large sweep the first.
pub(super) fn gather(workspace: &Workspace) -> Vec<Ranking> {
    workspace.stages().filter_map(|(id, _)| ranking(workspace, id)).take(IN_FULL).collect()
}

fn ranking(workspace: &Workspace, id: StageId) -> Option<Ranking> {
    let stage = workspace.pipeline.stage(id);
    let bytes = workspace.bytes(id, Gives::RankingTable)?;
    let ranked: Vec<Ranked> = std::str::from_utf8(&bytes).ok()?.lines().skip(1).filter_map(line).collect();
    let inference = workspace.producer(stage, "scores");
    let maps = |gives| Maps::of(workspace, inference, gives);
    let (predictions, entropies) = (maps(Gives::Predictions), maps(Gives::EntropyMaps));
    let example = |ranked: &Ranked| Example {
        image: ranked.image.clone(),
        score: ranked.score,
        prediction: predictions.get(workspace, &ranked.image),
        entropy: entropies.get(workspace, &ranked.image),
    };
    let cut = ranked.iter().filter(|ranked| ranked.is_easy).count();
    let around = cut.saturating_sub(EACH / 2)..(cut + EACH / 2).min(ranked.len());
    let last = ranked.len().saturating_sub(EACH)..ranked.len();
    let places = [("easiest", 0..EACH.min(ranked.len())), ("at the cut", around), ("hardest", last)];
    let shown = places.map(|(word, range)| (word, ranked[range].iter().map(example).collect()));
    Some(Ranking { name: stage.name.clone(), shown: shown.into(), ranked })
}

/// `image,score,split`; an image's name may hold a comma, the others can't.
fn line(line: &str) -> Option<Ranked> {
    let mut parts = line.rsplitn(3, ',');
    let (split, score, image) = (parts.next()?, parts.next()?, parts.next()?);
    let image = match image.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(quoted) => quoted.replace("\"\"", "\""),
        None => image.to_owned(),
    };
    Some(Ranked { image, score: score.parse().ok()?, is_easy: split == "easy" })
}

/// The maps of an entropy inference, found by the name of their image.
pub(super) struct Maps(std::collections::HashMap<std::path::PathBuf, crate::digest::FileDigest>);

impl Maps {
    /// None where there is no such stage.
    pub(super) fn of(workspace: &Workspace, stage: Option<StageId>, gives: Gives) -> Maps {
        Maps(stage.map(|stage| workspace.files(stage, gives).into_iter().collect()).unwrap_or_default())
    }

    /// The map of an image, small.
    pub(super) fn get(&self, workspace: &Workspace, image: &str) -> Option<Map> {
        let file = workspace.object(*self.0.get(&map_file(image))?)?;
        Some(Map::decode(&file)?.small())
    }
}

/// The section; empty where nothing was ranked.
pub(super) fn render(rankings: &[Ranking], classes: &[Class]) -> String {
    if rankings.is_empty() {
        return String::new();
    }
    let body: String = rankings.iter().map(|ranking| one(ranking, classes)).collect();
    section("ranking", "Ranking", &(legend(classes) + &entropy_legend() + &body))
}

fn one(ranking: &Ranking, classes: &[Class]) -> String {
    let easy = ranking.ranked.iter().filter(|ranked| ranked.is_easy).count();
    let points = (1..).zip(&ranking.ranked).map(|(rank, ranked)| (f64::from(rank), ranked.score));
    let line = Line { name: "score".to_owned(), points: points.collect(), dots: false };
    let x = Range { from: 0.0, to: ranking.ranked.len().max(1) as f64, logarithmic: false };
    let y = Range::over(ranking.ranked.iter().map(|ranked| ranked.score).chain([0.0]));
    let mut html = format!(
        "<h3>{} <small>{} easy, {} hard</small></h3>\n<div class=\"charts\">",
        text(&ranking.name),
        count(easy as u64),
        count((ranking.ranked.len() - easy) as u64)
    );
    if let Some(y) = y {
        html += &draw("score by place, easiest first", &[line], x, y, &[(easy as f64, "cut")]);
    }
    html += "</div>\n";
    let palette = class_palette(classes.iter().map(|class| class.colour));
    for (word, examples) in &ranking.shown {
        let picture = |map: &Option<Map>, palette: &[[u8; 3]; 256], what: &str, image: &str| {
            map.as_ref().map(|map| map.image(palette, &format!("{what} of {image}"))).unwrap_or_default()
        };
        let cell = |example: &Example| {
            format!(
                "<div class=\"pair\">{}{}</div><small>{}<br>{:.4}</small>",
                picture(&example.prediction, &palette, "prediction", &example.image),
                picture(&example.entropy, &viridis(), "entropy", &example.image),
                text(&example.image),
                example.score
            )
        };
        let mut heads = vec![*word];
        heads.resize(examples.len().max(1), "");
        html +=
            &table(&heads, &[examples.iter().map(cell).collect()]).replacen("<table>", "<table class=\"pictures\">", 1);
    }
    html
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_ranking_is_read_from_its_end() {
        let ranked = line("\"a, \"\"b\"\".png\",0.25,hard").unwrap();
        assert_eq!((ranked.image.as_str(), ranked.score, ranked.is_easy), ("a, \"b\".png", 0.25, false));
        assert!(line("a.png,1e-3,easy").unwrap().is_easy);
        assert!(line("a.png").is_none());
    }
}
