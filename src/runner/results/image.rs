//! What results say about one image: its score and rank, its labelled pixels, each network's IoU on it.
//!
//! Knows the formats of the tables and folders that the kinds write, and neither pipelines nor the cache: the caller passes
//! their bytes. A table without the image gives nothing.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;

use super::map::Map;
use crate::kind::OutputRole;
use crate::measures::{brief, count};
use crate::pipeline::Class;
use crate::shown;
use intrada_statistics::bootstrap::Pixels;

/// An evaluation's result for one image: a line of `images.jsonl`.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct ImageScore {
    /// Its name.
    pub image: String,
    /// By network: the mean IoU over the classes that occur in it or were predicted, 0 to 1.
    pub miou: BTreeMap<String, Option<f64>>,
    /// By network: the mean entropy that a ranking would use. None if the network has diverged.
    #[serde(default)]
    pub entropy: BTreeMap<String, Option<f64>>,
    /// Its labelled pixels by class, in the order of the classes.
    #[serde(default)]
    pub truth: Vec<u64>,
    /// By network: the pixels that it predicted.
    #[serde(default)]
    pub counts: BTreeMap<String, ClassPixels>,
    /// Why there are pictures of it, if there are.
    #[serde(default)]
    pub shown: Option<String>,
}

/// A network's pixels in one image by class, in the order of the classes, among those that are labelled.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct ClassPixels {
    /// Predicted and labelled as this class.
    pub intersection: Vec<u64>,
    /// Predicted as it.
    pub prediction: Vec<u64>,
}

impl ImageScore {
    /// A network's pixels in it. None if the line doesn't have them, or has lists of different lengths.
    pub fn pixels(&self, network: &str) -> Option<Pixels> {
        let ClassPixels { intersection, prediction } = self.counts.get(network)?;
        Pixels::new(intersection, prediction, &self.truth)
    }

    /// A network's IoU on it.
    pub fn miou(&self, network: &str) -> Option<f64> {
        self.miou.get(network).copied().flatten()
    }
}

/// The lines of `images.jsonl`.
pub fn scores(table: &str) -> impl Iterator<Item = ImageScore> {
    table.lines().filter_map(|line| serde_json::from_str(line).ok())
}

/// The names of the images in a table of this role, in its order; none if it is no table of images.
pub fn names(role: OutputRole, table: &str) -> Vec<String> {
    match role {
        OutputRole::Scores => table.lines().skip(1).filter_map(|line| Some(named(line, 3)?.0)).collect(),
        OutputRole::RankingTable => table.lines().skip(1).filter_map(|line| Some(named(line, 2)?.0)).collect(),
        OutputRole::ImageScores => scores(table).map(|score| score.image).collect(),
        _ => Vec::new(),
    }
}

/// What such a table says about the image.
pub fn describe(role: OutputRole, table: &str, image: &str) -> Option<String> {
    match role {
        OutputRole::Scores => scored(table, image),
        OutputRole::RankingTable => ranked(table, image),
        OutputRole::ImageScores => {
            let score = scores(table).find(|score| score.image == image)?;
            let percent = |miou: &Option<f64>| miou.map_or("–".to_owned(), |miou| format!("{:.1}", 100.0 * miou));
            let parts = score.miou.iter().map(|(name, miou)| format!("{name} {}", percent(miou)));
            Some(format!("mean IoU in %: {}", parts.collect::<Vec<_>>().join(", ")))
        }
        _ => None,
    }
}

/// A line of a table of images: the name, and this many fields after it. A name may contain a comma (then it is quoted, and
/// its own quotes are doubled: RFC 4180), the fields can't.
pub(crate) fn named(line: &str, fields: usize) -> Option<(String, Vec<&str>)> {
    let mut parts: Vec<&str> = line.rsplitn(fields + 1, ',').collect();
    let image = parts.pop().filter(|_| parts.len() == fields)?;
    parts.reverse();
    let image = match image.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(quoted) => quoted.replace("\"\"", "\""),
        None => image.to_owned(),
    };
    Some((image, parts))
}

/// Of `scores.csv`.
fn scored(table: &str, image: &str) -> Option<String> {
    let line = table.lines().skip(1).find(|line| named(line, 3).is_some_and(|(name, _)| name == image))?;
    let (_, fields) = named(line, 3)?;
    let score: f64 = fields[0].parse().ok()?;
    Some(format!("mean entropy {}, rare classes predicted: {}", brief(score), fields[2]))
}

/// Of `ranking.csv`, which is sorted by score: the hard ones follow the easy ones.
fn ranked(table: &str, image: &str) -> Option<String> {
    let lines: Vec<(String, Vec<&str>)> = table.lines().skip(1).filter_map(|line| named(line, 2)).collect();
    let place = lines.iter().position(|(name, _)| name == image)?;
    let score = |at: usize| lines[at].1[0].parse::<f64>().ok().map(brief);
    let cut = lines.iter().position(|(_, fields)| fields[1] == "hard").and_then(score);
    let cut = cut.map(|cut| format!(", cut at {cut}")).unwrap_or_default();
    let (number, all, side) = (count(place as u64 + 1), count(lines.len() as u64), lines[place].1[1]);
    Some(format!("{side}: place {number} of {all}, score {}{cut}", score(place)?))
}

/// The path of an image's map in a folder of maps: its name, with another extension.
pub fn map_file(image: &str) -> PathBuf {
    let is_image = |ending: &str| intrada_picture::ENDINGS.contains(&ending.to_ascii_lowercase().as_str());
    let stem = image.rsplit_once('.').filter(|(_, ending)| is_image(ending)).map_or(image, |(stem, _)| stem);
    PathBuf::from(format!("{stem}.png"))
}

/// The classes of a label map with their shares of its pixels, the largest first, and the ignored share.
pub fn shares(map: &[u8], classes: &[Class]) -> Option<String> {
    let shares = Map::decode(map)?.shares();
    let name = |index: usize| match classes.get(index) {
        Some(class) => shown::cut(&class.name, 40),
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
    fn a_line_of_a_table_is_read_from_its_end() {
        assert_eq!(named("\"a, \"\"b\"\".png\",0.25,hard", 2), Some(("a, \"b\".png".into(), vec!["0.25", "hard"])));
        assert_eq!(named("a.png,1e-3,easy", 2).unwrap().1[0], "1e-3");
        assert_eq!(named("a.png", 2), None);
        assert_eq!(named("a.png,1", 2), None);
    }

    #[test]
    fn the_map_of_an_image_has_its_name_and_only_an_images_ending_goes() {
        assert_eq!(map_file("town/a.JPG"), PathBuf::from("town/a.png"));
        assert_eq!(map_file("town/a.b.tif"), PathBuf::from("town/a.b.png"));
        assert_eq!(map_file("scene.0001"), PathBuf::from("scene.0001.png"));
    }

    #[test]
    fn a_ranking_tells_the_place_the_side_and_the_cut() {
        let table = "image,score,split\nb.png,0.1,easy\n\"a, \"\"1\"\".png\",0.2,easy\nc.png,0.3,hard\n";
        let said = |image: &str| describe(OutputRole::RankingTable, table, image);
        assert_eq!(said("a, \"1\".png").unwrap(), "easy: place 2 of 3, score 0.200, cut at 0.300");
        assert_eq!(said("c.png").unwrap(), "hard: place 3 of 3, score 0.300, cut at 0.300");
        assert_eq!(said("d.png"), None);
        assert_eq!(names(OutputRole::RankingTable, table), ["b.png", "a, \"1\".png", "c.png"]);
    }

    #[test]
    fn scores_and_measurements_are_told_with_what_is_undefined() {
        let scores = "image,mean_entropy,mean_entropy_eq4_nats,predicted_rare_classes\na.png,0.0125,0.2,3\n";
        assert_eq!(
            describe(OutputRole::Scores, scores, "a.png").unwrap(),
            "mean entropy 0.013, rare classes predicted: 3"
        );
        let lines = "{\"image\":\"a.png\",\"miou\":{\"inter\":0.5,\"intra\":null},\"entropy\":{\"inter\":0.1}}\n";
        assert_eq!(describe(OutputRole::ImageScores, lines, "a.png").unwrap(), "mean IoU in %: inter 50.0, intra –");
        assert_eq!(
            (names(OutputRole::ImageScores, lines), describe(OutputRole::Losses, lines, "a.png")),
            (vec!["a.png".into()], None)
        );
    }

    #[test]
    fn a_label_map_is_told_by_its_classes_the_largest_first() {
        let mut file = Vec::new();
        let mut encoder = png::Encoder::new(&mut file, 2, 2);
        encoder.set_color(png::ColorType::Grayscale);
        encoder.write_header().unwrap().write_image_data(&[1, 1, 255, 0]).unwrap();
        let class = |name: &str| Class { name: name.to_owned(), colour: [0; 3], rare: false, thing: false };
        assert_eq!(shares(&file, &[class("sky"), class("road")]).unwrap(), "road 50.0 %, sky 25.0 %, ignored 25.0 %");
        assert_eq!(shares(b"no picture", &[]), None);
    }
}
