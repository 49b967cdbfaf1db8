//! `predictions.csv`: a line for each image of a folder of predictions.
//!
//! Knows no picture. Written whole at the end of each run, sorted by name, so that a killed and resumed run leaves the same bytes.

use std::fmt::Write;
use std::path::Path;

use super::folder::Folder;
use super::io_error;
use crate::exec::job::predict::{Answer, Outcome, Predicted};
use crate::plain;
use crate::results::compare::quoted;

/// The name of the file.
pub const FILE: &str = "predictions.csv";

/// Writes the table of a folder with these answers, sorted by name.
///
/// # Errors
/// It can't be written.
pub fn write<'a>(folder: &Folder, answers: impl Iterator<Item = &'a Answer>) -> Result<(), super::Error> {
    let path = folder.path().join(FILE);
    plain::replace(&path, text(&folder.settings().classes, answers).as_bytes())
        .map_err(io_error("write", Path::new(&path)))
}

/// `image,width,height,seen,mean_entropy` and the share of each class in the pixels, 0 to 1, as `share of <class>`.
fn text<'a>(classes: &[String], answers: impl Iterator<Item = &'a Answer>) -> String {
    let shares: String = classes.iter().map(|class| format!(",{}", quoted(&format!("share of {class}")))).collect();
    let mut text = format!("image,width,height,seen,mean_entropy{shares}\n");
    for answer in answers {
        if let Outcome::Predicted(predicted) = &answer.outcome {
            line(&mut text, &answer.name, predicted);
        }
    }
    text
}

fn line(text: &mut String, name: &str, predicted: &Predicted) {
    let Predicted { size: [width, height], seen, window, mean_entropy, pixels, .. } = predicted;
    let seen = match window {
        Some([across, down]) => format!("{}x{} in windows of {across}x{down}", seen[0], seen[1]),
        None => format!("{}x{}", seen[0], seen[1]),
    };
    let _ = write!(text, "{},{width},{height},{seen},{mean_entropy}", quoted(name));
    let all = u64::from(*width) * u64::from(*height);
    for count in pixels {
        let _ = write!(text, ",{:.6}", *count as f64 / all as f64);
    }
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::{Digest, FileDigest};

    #[test]
    fn a_line_holds_size_entropy_and_shares_and_failed_images_have_none() {
        let predicted = Predicted {
            stamp: (0, 0),
            digest: FileDigest(Digest::of(b"")),
            place: Digest::of(b""),
            size: [4, 2],
            seen: [8, 4],
            window: Some([4, 4]),
            mean_entropy: 0.125,
            pixels: vec![6, 2],
            dropped: vec![],
            outputs: vec![],
        };
        let answers = [
            Answer { name: "a, b".into(), outcome: Outcome::Predicted(Box::new(predicted)) },
            Answer { name: "c".into(), outcome: Outcome::Failed { reason: "no".into() } },
        ];
        let classes = ["road".to_owned(), "a \"sign\"".to_owned()];
        assert_eq!(
            text(&classes, answers.iter()),
            "image,width,height,seen,mean_entropy,share of road,\"share of a \"\"sign\"\"\"\n\
             \"a, b\",4,2,8x4 in windows of 4x4,0.125,0.750000,0.250000\n"
        );
    }
}
