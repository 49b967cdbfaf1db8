//! What results know of one image: its score and its place, what its pixels were labelled, how well each network did on it.
//!
//! Knows the tables and maps that the kinds write, and neither pipelines nor the cache: it is handed their bytes. A table that
//! doesn't hold the image has nothing to say.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;

use super::html::{self, named};
use super::map::Map;
use super::measures::{brief, count};
use crate::kind::Gives;
use crate::spec::Class;

/// A line of `images.jsonl`.
#[derive(Deserialize)]
struct Measured {
    image: String,
    miou: BTreeMap<String, Option<f64>>,
}

/// The names of the images in a table that gives this, in its order; none where it is no table of images.
pub fn names(gives: Gives, table: &str) -> Vec<String> {
    match gives {
        Gives::Scores => table.lines().skip(1).filter_map(|line| Some(named(line, 3)?.0)).collect(),
        Gives::RankingTable => table.lines().skip(1).filter_map(|line| Some(named(line, 2)?.0)).collect(),
        Gives::ImageScores => table.lines().filter_map(measured).map(|measured| measured.image).collect(),
        _ => Vec::new(),
    }
}

/// What such a table says of the image.
pub fn told(gives: Gives, table: &str, image: &str) -> Option<String> {
    match gives {
        Gives::Scores => scored(table, image),
        Gives::RankingTable => ranked(table, image),
        Gives::ImageScores => {
            let line = table.lines().filter_map(measured).find(|line| line.image == image)?;
            let percent = |miou: &Option<f64>| miou.map_or("–".to_owned(), |miou| format!("{:.1}", 100.0 * miou));
            let parts = line.miou.iter().map(|(name, miou)| format!("{name} {}", percent(miou)));
            Some(format!("mean IoU in %: {}", parts.collect::<Vec<_>>().join(", ")))
        }
        _ => None,
    }
}

fn measured(line: &str) -> Option<Measured> {
    serde_json::from_str(line).ok()
}

/// Of `scores.csv`.
fn scored(table: &str, image: &str) -> Option<String> {
    let line = table.lines().skip(1).find(|line| named(line, 3).is_some_and(|(name, _)| name == image))?;
    let (_, fields) = named(line, 3)?;
    let score: f64 = fields[0].parse().ok()?;
    Some(format!("mean entropy {}, rare classes predicted: {}", brief(score), fields[2]))
}

/// Of `ranking.csv`, which is in order of the scores: the hard ones follow the easy ones.
fn ranked(table: &str, image: &str) -> Option<String> {
    let lines: Vec<(String, Vec<&str>)> = table.lines().skip(1).filter_map(|line| named(line, 2)).collect();
    let place = lines.iter().position(|(name, _)| name == image)?;
    let score = |at: usize| lines[at].1[0].parse::<f64>().ok().map(brief);
    let cut = lines.iter().position(|(_, fields)| fields[1] == "hard").and_then(score);
    let cut = cut.map(|cut| format!(", the cut lies at {cut}")).unwrap_or_default();
    let (number, all, side) = (count(place as u64 + 1), count(lines.len() as u64), lines[place].1[1]);
    Some(format!("{side}: place {number} of {all}, score {}{cut}", score(place)?))
}

/// The file of an image's map in a folder with a map an image.
pub fn map_file(image: &str) -> PathBuf {
    html::map_file(image)
}

/// The classes of a label map with their shares of its pixels, the largest first, and what is ignored.
pub fn shares(map: &[u8], classes: &[Class]) -> Option<String> {
    let shares = Map::decode(map)?.shares();
    let name = |index: usize| match classes.get(index) {
        Some(class) => class.name.clone(),
        None if index == 255 => "ignored".to_owned(),
        None => format!("value {index}"),
    };
    let mut found: Vec<(usize, f64)> = shares.into_iter().enumerate().filter(|(_, share)| *share > 0.0).collect();
    found.sort_by(|(_, one), (_, other)| other.total_cmp(one));
    let parts = found.iter().map(|(index, share)| format!("{} {:.1} %", name(*index), 100.0 * share));
    Some(parts.collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ranking_tells_the_place_the_side_and_the_cut() {
        let table = "image,score,split\nb.png,0.1,easy\n\"a, \"\"1\"\".png\",0.2,easy\nc.png,0.3,hard\n";
        let said = |image: &str| told(Gives::RankingTable, table, image);
        assert_eq!(said("a, \"1\".png").unwrap(), "easy: place 2 of 3, score 0.200, the cut lies at 0.300");
        assert_eq!(said("c.png").unwrap(), "hard: place 3 of 3, score 0.300, the cut lies at 0.300");
        assert_eq!(said("d.png"), None);
        assert_eq!(names(Gives::RankingTable, table), ["b.png", "a, \"1\".png", "c.png"]);
    }

    #[test]
    fn scores_and_measurements_are_told_with_what_is_undefined() {
        let scores = "image,mean_entropy,mean_entropy_eq4_nats,predicted_rare_classes\na.png,0.0125,0.2,3\n";
        assert_eq!(told(Gives::Scores, scores, "a.png").unwrap(), "mean entropy 0.013, rare classes predicted: 3");
        let lines = "{\"image\":\"a.png\",\"miou\":{\"inter\":0.5,\"intra\":null},\"entropy\":{\"inter\":0.1}}\n";
        assert_eq!(told(Gives::ImageScores, lines, "a.png").unwrap(), "mean IoU in %: inter 50.0, intra –");
        assert_eq!(
            (names(Gives::ImageScores, lines), told(Gives::Losses, lines, "a.png")),
            (vec!["a.png".into()], None)
        );
    }

    #[test]
    fn a_label_map_is_told_by_its_classes_the_largest_first() {
        let mut file = Vec::new();
        let mut encoder = png::Encoder::new(&mut file, 2, 2);
        encoder.set_color(png::ColorType::Grayscale);
        encoder.write_header().unwrap().write_image_data(&[1, 1, 255, 0]).unwrap();
        let class = |name: &str| Class { name: name.to_owned(), colour: [0; 3], rare: false };
        assert_eq!(shares(&file, &[class("sky"), class("road")]).unwrap(), "road 50.0 %, sky 25.0 %, ignored 25.0 %");
        assert_eq!(shares(b"no picture", &[]), None);
    }
}
