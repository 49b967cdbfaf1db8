//! Pictures: of the images that an evaluation found most telling, the label and what each network makes of it.
//!
//! Knows the folder `pictures` of an evaluation, which chose them. A photograph is in the page once; every map is laid over
//! it in a cell of the same size, so that nothing can be misaligned, and a slider makes the maps transparent.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::markup::{percent, section, text};
use super::picture::{Map, class_palette, entropy_legend, error_palette, image, viridis};
use super::results::{Evaluation, IN_FULL, legend};
use super::workspace::Workspace;
use crate::digest::FileDigest;
use crate::kind::Gives;
use crate::spec::Class;

/// The pictures of one evaluation.
pub(super) struct Shown {
    /// The stage.
    evaluation: String,
    /// Its networks, in the order of the file.
    networks: Vec<String>,
    rows: Vec<Row>,
}

/// One image.
struct Row {
    image: String,
    /// Why it is shown.
    reason: String,
    miou: BTreeMap<String, Option<f64>>,
    photograph: Option<Vec<u8>>,
    truth: Option<Map>,
    predictions: HashMap<String, Map>,
    entropy: HashMap<String, Map>,
}

/// A line of `images.jsonl`.
#[derive(Deserialize)]
struct Line {
    image: String,
    miou: BTreeMap<String, Option<f64>>,
    shown: Option<String>,
}

/// The pictures of these evaluations.
pub(super) fn gather(workspace: &Workspace, evaluations: &[Evaluation]) -> Vec<Shown> {
    evaluations.iter().take(IN_FULL).filter_map(|evaluation| shown(workspace, evaluation)).collect()
}

fn shown(workspace: &Workspace, evaluation: &Evaluation) -> Option<Shown> {
    let lines = workspace.bytes(evaluation.stage, Gives::ImageScores)?;
    let lines = serde_json::Deserializer::from_slice(&lines).into_iter::<Line>().map_while(Result::ok);
    let files: HashMap<PathBuf, FileDigest> = workspace.files(evaluation.stage, Gives::Pictures).into_iter().collect();
    let file = |path: &Path| workspace.object(*files.get(path)?);
    let map = |path: &Path| Map::decode(&file(path)?);
    let networks: Vec<String> = evaluation.models.iter().map(|model| model.name.clone()).collect();
    let row = |line: Line| {
        let name = map_file(&line.image);
        let of_each = |folder: &str| {
            let one = |network: &String| Some((network.clone(), map(&Path::new(folder).join(network).join(&name))?));
            networks.iter().filter_map(one).collect()
        };
        Some(Row {
            reason: line.shown?,
            photograph: file(&Path::new("photograph").join(&name).with_extension("jpg")),
            truth: map(&Path::new("truth").join(&name)),
            predictions: of_each("prediction"),
            entropy: of_each("entropy"),
            image: line.image,
            miou: line.miou,
        })
    };
    let mut rows: Vec<Row> = lines.filter_map(row).collect();
    let place = |row: &Row| ["best", "median", "worst", "differ"].iter().position(|reason| *reason == row.reason);
    rows.sort_by_key(place);
    tell_gains(&mut rows, &networks);
    Some(Shown { evaluation: evaluation.name.clone(), networks, rows })
}

/// An evaluation shows what any network gained and lost most over any other, as the order of the networks is no part of its key.
/// Here it is known: of those images only the ones of the last two networks stay, the step that is to be judged.
fn tell_gains(rows: &mut Vec<Row>, networks: &[String]) {
    let [.., before, last] = networks else { return };
    let gain = |row: &Row| Some(row.miou.get(last).copied()?? - row.miou.get(before).copied()??);
    let most = |rows: &[Row], sign: f64| {
        let gains = rows.iter().enumerate().filter_map(|(at, row)| Some((at, sign * gain(row)?)));
        gains.filter(|(_, gain)| *gain > 0.0).max_by(|a, b| a.1.total_cmp(&b.1)).map(|(at, _)| at)
    };
    let ends = [(most(rows, 1.0), "gained"), (most(rows, -1.0), "lost")];
    for (at, row) in rows.iter_mut().enumerate() {
        let end = ends.iter().find(|(end, _)| *end == Some(at));
        let end = end.map(|(_, did)| format!("{last} {did} most over {before}"));
        let own = Some(std::mem::take(&mut row.reason)).filter(|reason| reason != "differ");
        row.reason = own.into_iter().chain(end).collect::<Vec<_>>().join("; ");
    }
    rows.retain(|row| !row.reason.is_empty());
}

/// Where the map of an image lies in a folder of maps: at its name, an image's ending replaced.
pub(super) fn map_file(image: &str) -> PathBuf {
    let is_image = |ending: &str| ["png", "jpg", "jpeg"].contains(&ending.to_ascii_lowercase().as_str());
    let stem = image.rsplit_once('.').filter(|(_, ending)| is_image(ending)).map_or(image, |(stem, _)| stem);
    PathBuf::from(format!("{stem}.png"))
}

/// The section, and the style rules that hold its photographs.
pub(super) fn render(shown: &[Shown], classes: &[Class]) -> (String, String) {
    let (mut body, mut style) = (String::new(), String::new());
    let palette = class_palette(classes.iter().map(|class| class.colour));
    for (at, evaluation) in shown.iter().filter(|evaluation| !evaluation.rows.is_empty()).enumerate() {
        let _ = writeln!(
            body,
            "<h3>{}</h3><div class=\"wide\"><table class=\"pictures\"><thead><tr>",
            text(&evaluation.evaluation)
        );
        for head in ["image", "label"].into_iter().chain(evaluation.networks.iter().map(String::as_str)) {
            let _ = write!(body, "<th>{}</th>", text(head));
        }
        if let Some(last) = evaluation.networks.last() {
            let _ = write!(body, "<th>entropy of {0}</th><th>errors of {0}</th>", text(last));
        }
        body += "</tr></thead><tbody>\n";
        for (i, row) in evaluation.rows.iter().enumerate() {
            let class = format!("p{at}-{i}");
            if let Some(photograph) = &row.photograph {
                let element = image("image/jpeg", photograph, "");
                let data = element.split('"').nth(1).unwrap_or_default();
                let _ = writeln!(style, ".{class}{{background-image:url({data})}}");
            }
            body += &one(row, &evaluation.networks, &class, &palette);
        }
        body += "</tbody></table></div>\n";
    }
    if body.is_empty() {
        return (body, style);
    }
    let head = format!(
        "{}{}<p class=\"legend noprint\"><label>maps over the photograph <input type=\"range\" id=\"opacity\" min=\"0\" max=\"100\" \
         value=\"100\"></label> <span class=\"key wrong\">wrong pixels</span></p>\n",
        legend(classes),
        entropy_legend()
    );
    (section("pictures", "Pictures", &(head + &body)), style)
}

fn one(row: &Row, networks: &[String], class: &str, palette: &[[u8; 3]; 256]) -> String {
    let about = |what: &str| format!("{what} of {}", row.image);
    let cell = |map: Option<&Map>, palette: &[[u8; 3]; 256], what: &str, below: String| {
        let picture = map.map(|map| map.image(palette, &about(what))).unwrap_or_default();
        format!("<td><div class=\"over {class}\">{picture}</div><small>{below}</small></td>")
    };
    // The photograph's own cell takes its size from the label's map, which stays invisible there.
    let mut html = format!(
        "<tr><td><div class=\"over bare {class}\">{}</div><small>{}<br>{}</small></td>",
        row.truth.as_ref().map(|truth| truth.image(palette, &about("photograph"))).unwrap_or_default(),
        text(&row.image),
        text(&row.reason)
    );
    html += &cell(row.truth.as_ref(), palette, "label", String::new());
    for network in networks {
        let miou = percent(row.miou.get(network).copied().flatten());
        html += &cell(row.predictions.get(network), palette, network, format!("mIoU {miou}"));
    }
    if let Some(last) = networks.last() {
        html += &cell(row.entropy.get(last), &viridis(), "entropy", String::new());
        let errors = row.predictions.get(last).zip(row.truth.as_ref()).and_then(|(is, should)| is.errors(should));
        let wrong = errors.as_ref().map(|errors| {
            let shares = errors.shares();
            format!("{} % wrong", percent(Some(shares[1] / (shares[0] + shares[1]).max(f64::MIN_POSITIVE))))
        });
        html += &cell(errors.as_ref(), &error_palette(), "errors", wrong.unwrap_or_default());
    }
    html + "</tr>\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_on_which_networks_differ_is_shown_where_it_is_the_last_ones_greatest_gain_or_loss() {
        let row = |image: &str, reason: &str, mious: [f64; 3]| Row {
            image: image.to_owned(),
            reason: reason.to_owned(),
            miou: ["source-only", "inter", "intra"].map(str::to_owned).into_iter().zip(mious.map(Some)).collect(),
            photograph: None,
            truth: None,
            predictions: HashMap::new(),
            entropy: HashMap::new(),
        };
        let mut rows = vec![
            row("a", "best", [0.9, 0.9, 0.9]),
            row("b", "worst", [0.1, 0.1, 0.4]),
            row("c", "differ", [0.1, 0.5, 0.4]),
            row("d", "differ", [0.1, 0.6, 0.6]),
        ];
        tell_gains(&mut rows, &["source-only", "inter", "intra"].map(str::to_owned));
        let shown: Vec<(&str, &str)> = rows.iter().map(|row| (&*row.image, &*row.reason)).collect();
        let gained = "worst; intra gained most over inter";
        assert_eq!(shown, [("a", "best"), ("b", gained), ("c", "intra lost most over inter")]);
    }

    #[test]
    fn the_map_of_an_image_has_its_name_and_only_an_images_ending_goes() {
        assert_eq!(map_file("town/a.JPG"), Path::new("town/a.png"));
        assert_eq!(map_file("scene.0001"), Path::new("scene.0001.png"));
    }
}
