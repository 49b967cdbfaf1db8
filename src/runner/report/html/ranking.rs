//! Ranking: the sorted scores with the cut between easy and hard, and the images at both ends and at the cut.
//!
//! Knows `ranking.csv` and the pictures of the ranked entropy inference.

use maud::{Markup, html};
use serde_json::json;

use super::certainty::entropy_scale;
use super::chart::{Line, Range, draw_wide};
use super::evaluation::IN_FULL;
use super::inference::{Inference, Seen};
use super::markup::{Part, parts};
use super::photographs::Photographs;
use super::picture::{Scale, key};
use super::workspace::Workspace;
use crate::kind::OutputRole;
use crate::measures::count;
use crate::pipeline::{Class, Coordinate, Stage, StageId, Value};
use crate::results::image::named;

/// Images at each position.
const EACH: usize = 6;
/// For how many rankings images are shown: those of a sweep's members are similar.
const IN_PICTURES: usize = 3;

/// One ranking.
pub(super) struct Ranking {
    /// The stage.
    stage: StageId,
    /// Its name.
    pub(super) name: String,
    /// Its name in the file.
    pub(super) family: String,
    /// Its coordinates in its sweep.
    pub(super) coordinates: Vec<Coordinate>,
    /// Axis and value, without the seed.
    pub(super) setting: Vec<(String, String)>,
    /// The data set of the ranked images.
    pub(super) dataset: String,
    /// λ.
    lambda: f64,
    /// The command that tries another λ: the text before and after it.
    command: [String; 2],
    /// Ascending: the easiest first.
    ranked: Vec<Ranked>,
    /// See [`entropy_scale`].
    scale: f64,
    /// Position in words, and the images there; none if others represent it.
    shown: Vec<(&'static str, Vec<Example>)>,
}

struct Ranked {
    image: String,
    score: f64,
    is_easy: bool,
}

struct Example {
    /// From 1, the easiest.
    place: usize,
    score: f64,
    seen: Seen,
}

/// Rankings with current results; of a large sweep the first.
pub(super) fn gather(workspace: &Workspace, photographs: &mut Photographs) -> Vec<Ranking> {
    let mut rankings: Vec<Ranking> = Vec::new();
    for (id, _) in workspace.stages() {
        if rankings.len() < IN_FULL
            && let Some(mut ranking) = ranking(workspace, id)
        {
            if rankings.len() < IN_PICTURES {
                ranking.shown = examples(workspace, id, &ranking, photographs);
            }
            rankings.push(ranking);
        }
    }
    rankings
}

/// The images at the ends and at the cut.
fn examples(
    workspace: &Workspace,
    id: StageId,
    ranking: &Ranking,
    photographs: &mut Photographs,
) -> Vec<(&'static str, Vec<Example>)> {
    let inference = Inference::of(workspace, workspace.producer(workspace.pipeline.stage(id), "scores"));
    let (images, cut) = (ranking.images(), ranking.easy().count());
    let around = cut.saturating_sub(EACH / 2)..(cut + EACH / 2).min(images);
    let places =
        [("easiest", 0..EACH.min(images)), ("at the cut", around), ("hardest", images.saturating_sub(EACH)..images)];
    let mut example = |at: usize| {
        let Ranked { image, score, .. } = &ranking.ranked[at];
        Example { place: at + 1, score: *score, seen: inference.seen(workspace, image, photographs) }
    };
    places.map(|(word, range)| (word, range.map(&mut example).collect())).into()
}

fn ranking(workspace: &Workspace, id: StageId) -> Option<Ranking> {
    let stage = workspace.pipeline.stage(id);
    let bytes = workspace.bytes(id, OutputRole::RankingTable)?;
    let ranked: Vec<Ranked> = std::str::from_utf8(&bytes).ok()?.lines().skip(1).filter_map(line).collect();
    let scored = workspace.producer(stage, "scores");
    let swept = stage.coordinates.iter().filter(|at| at.axis != "seed");
    Some(Ranking {
        stage: id,
        name: stage.name.clone(),
        family: stage.family.clone(),
        dataset: scored
            .and_then(|scored| workspace.dataset_name(workspace.pipeline.stage(scored), "images"))
            .unwrap_or_default()
            .to_owned(),
        lambda: match stage.parameter("lambda") {
            Some(Value::Number(lambda)) => *lambda,
            _ => f64::NAN,
        },
        command: command(workspace, stage),
        coordinates: stage.coordinates.clone(),
        setting: swept.map(|at| (at.axis.clone(), at.value.clone())).collect(),
        shown: Vec::new(),
        scale: entropy_scale(workspace.pipeline.classes.len()),
        ranked,
    })
}

/// If a key is set twice, the last one wins. If λ is swept, the sweep's one value is replaced.
fn command(workspace: &Workspace, stage: &Stage) -> [String; 2] {
    let is_swept = stage.coordinates.iter().any(|at| at.axis == "lambda");
    let (matrix, open, close) = if is_swept { ("matrix.", "[", "]'") } else { ("", "", "") };
    let quote = if is_swept { "'" } else { "" };
    let again = workspace.command();
    [format!("{again} --set {quote}stages.{}.{matrix}lambda={open}", stage.family), close.to_owned()]
}

/// `image,score,split`.
fn line(line: &str) -> Option<Ranked> {
    let (image, fields) = named(line, 2)?;
    Some(Ranked { image, score: fields[0].parse().ok()?, is_easy: fields[1] == "easy" })
}

impl Ranking {
    /// The number of ranked images.
    pub(super) fn images(&self) -> usize {
        self.ranked.len()
    }

    /// For programs, and for the script that shows the effect of another λ: scores with sufficient digits.
    pub(super) fn data(&self) -> serde_json::Value {
        let rounded = |score: f64| format!("{score:.5e}").parse::<f64>().unwrap_or(score);
        json!({
            "lambda": self.lambda,
            "easy": self.easy().count(),
            "images": self.ranked.iter().map(|ranked| ranked.image.as_str()).collect::<Vec<_>>(),
            "scores": self.ranked.iter().map(|ranked| rounded(ranked.score)).collect::<Vec<_>>(),
        })
    }

    /// The size of the easy part.
    pub(super) fn easy(&self) -> impl Iterator<Item = &str> {
        self.ranked.iter().filter(|ranked| ranked.is_easy).map(|ranked| ranked.image.as_str())
    }
}

/// The section; none without a ranking.
pub(super) fn render(rankings: &[Ranking], classes: &[Class]) -> Option<Markup> {
    (!rankings.is_empty()).then(|| {
        html! {
            (key(classes))
            p.note {
                "Entropies are from 0 (certain) to 1 (all classes equally likely), on the whole page. The scores in scores.csv \
                 are those of the released code: the same divided by the number of classes."
            }
            (parts(&rankings.iter().map(|ranking| one(ranking, classes)).collect::<Vec<_>>()))
            @if rankings.len() > IN_PICTURES {
                p.note { "Images are those of the first " (IN_PICTURES) " rankings." }
            }
        }
    })
}

fn one(ranking: &Ranking, classes: &[Class]) -> Part {
    let (easy, images) = (ranking.easy().count(), ranking.images());
    let entropy = |ranked: &Ranked| ranked.score * ranking.scale;
    let points = (1..).zip(&ranking.ranked).map(|(rank, ranked)| (f64::from(rank), entropy(ranked)));
    let line = Line { name: "mean entropy".to_owned(), points: points.collect(), ..Line::default() };
    let x = Range { from: 0.0, to: images.max(1) as f64, logarithmic: false };
    let y = Range::over(ranking.ranked.iter().map(entropy).chain([0.0]));
    let cut = format!("λ = {}", ranking.lambda);
    let scale = Scale::classes(classes);
    let column = |example: &Example| {
        let (place, part) = (count(example.place as u64), if example.place <= easy { "easy" } else { "hard" });
        let below = format!("{place} of {}, {part}, {:.4}", count(images as u64), example.score * ranking.scale);
        example.seen.column(&scale, "prediction", &below)
    };
    let about =
        format!("{} easy, {} hard images of {}", count(easy as u64), count((images - easy) as u64), ranking.dataset);
    let body = html! {
        @if let Some(y) = y {
            (draw_wide("mean entropy of the images, from 0 to 1, the easiest first", &[line], x, y, &[(easy as f64, &cut)]))
        }
        (slider(ranking))
        @for (word, examples) in &ranking.shown {
            h4 { (word) }
            div.columns { @for example in examples { (column(example)) } } "\n"
        }
    };
    Part { id: format!("ranking-{}", ranking.stage.0), name: ranking.name.clone(), about, body }
}

/// The effect of another λ, computed by the script from the page's data.
fn slider(ranking: &Ranking) -> Markup {
    let [command, rest] = &ranking.command;
    html! {
        div.lambda.noprint.scripted hidden data-ranking=(ranking.name) data-scale=(ranking.scale)
            data-command=(command) data-rest=(rest)
        {
            label { "another λ " input type="range" min="0.01" max="0.99" step="0.01" value=(ranking.lambda); }
            " "
            output { "where it would cut, and which images would change sides" }
        }
        "\n"
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) fn coordinate(axis: &str, value: &str) -> Coordinate {
        Coordinate { axis: axis.to_owned(), value: value.to_owned() }
    }

    /// A member of a sweep with these images.
    pub(in super::super) fn ranking(name: &str, at: &[(&str, &str)], easy: &[&str], hard: &[&str]) -> Ranking {
        let parts = easy.iter().map(|image| (image, true)).chain(hard.iter().map(|image| (image, false)));
        let ranked = (0..).zip(parts).map(|(place, (image, is_easy))| Ranked {
            image: (*image).to_owned(),
            score: f64::from(place),
            is_easy,
        });
        let swept = at.iter().filter(|(axis, _)| *axis != "seed");
        Ranking {
            stage: StageId(0),
            name: name.to_owned(),
            family: "rank".to_owned(),
            dataset: "target".to_owned(),
            lambda: 0.5,
            command: ["intrada-run p.toml --set stages.rank.lambda=".to_owned(), String::new()],
            coordinates: at.iter().map(|(axis, value)| coordinate(axis, value)).collect(),
            setting: swept.map(|(axis, value)| ((*axis).to_owned(), (*value).to_owned())).collect(),
            ranked: ranked.collect(),
            scale: 1.0,
            shown: Vec::new(),
        }
    }

    #[test]
    fn the_data_holds_every_image_with_five_digits_of_its_score() {
        let mut ranking = ranking("rank", &[], &["a"], &["b", "c"]);
        ranking.ranked[0].score = 0.006_253_281_608;
        ranking.ranked[2].score = f64::INFINITY;
        let data = ranking.data();
        assert_eq!(data["images"], json!(["a", "b", "c"]));
        assert_eq!(data["scores"], json!([0.006_253_28, 1.0, null]));
        assert_eq!((&data["easy"], &data["lambda"]), (&json!(1), &json!(0.5)));
    }

    #[test]
    fn a_line_of_the_ranking_has_image_score_and_part() {
        let ranked = line("\"a, \"\"b\"\".png\",0.25,hard").unwrap();
        assert_eq!((ranked.image.as_str(), ranked.score, ranked.is_easy), ("a, \"b\".png", 0.25, false));
        assert!(line("a.png,1e-3,easy").unwrap().is_easy);
        assert!(line("a.png").is_none());
    }
}
