//! Scores, splits and rankings as text files.
//!
//! Numbers are written with enough digits to read back the same float32 or float64, so that a ranking made from the file
//! equals the one made from the scores.

use std::fmt::Write;
use std::path::Path;

use super::{RankError, Ranking, Score};

const SCORES_HEADER: &str = "image,mean_entropy,mean_entropy_eq4_nats,predicted_rare_classes";
const RANKING_HEADER: &str = "image,score,split";

/// `scores.csv`: a header and one line per image.
pub fn scores_csv(scores: &[Score]) -> String {
    let mut text = format!("{SCORES_HEADER}\n");
    for Score { image, mean_entropy, mean_entropy_eq4_nats, predicted_rare_classes } in scores {
        let image = quoted(image);
        writeln!(text, "{image},{mean_entropy},{mean_entropy_eq4_nats},{predicted_rare_classes}")
            .expect("writing to a string does not fail");
    }
    text
}

/// Reads what [`scores_csv`] writes.
///
/// # Errors
/// [`RankError::Io`]; [`RankError::Line`] with the number of the line.
pub fn read_scores(path: &Path) -> Result<Vec<Score>, RankError> {
    let text = read(path)?;
    let wrong = |line: usize, reason: String| RankError::Line { path: path.to_owned(), line: line + 1, reason };
    let mut lines = text.lines().enumerate();
    match lines.next() {
        Some((_, SCORES_HEADER)) => {}
        other => {
            let found = other.map_or("nothing", |(_, line)| line);
            return Err(wrong(0, format!("expected the header {SCORES_HEADER:?}, found {found:?}")));
        }
    }
    lines.map(|(number, line)| score(line).map_err(|reason| wrong(number, reason))).collect()
}

/// A split file: one name per line, in order of score.
pub fn split_text<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    names.into_iter().flat_map(|name| [name, "\n"]).collect()
}

/// Reads a split file, or any list of names: one name per line, without surrounding blanks, empty lines skipped.
///
/// # Errors
/// [`RankError::Io`].
pub fn read_split(path: &Path) -> Result<Vec<String>, RankError> {
    let text = read(path)?;
    Ok(text.lines().map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect())
}

/// `ranking.csv`: all images in order of score, each with its part.
pub fn ranking_csv(ranking: &Ranking) -> String {
    let mut text = format!("{RANKING_HEADER}\n");
    for (split, images) in [("easy", &ranking.easy), ("hard", &ranking.hard)] {
        for ranked in images {
            writeln!(text, "{},{},{split}", quoted(&ranked.image), ranked.score)
                .expect("writing to a string does not fail");
        }
    }
    text
}

fn read(path: &Path) -> Result<String, RankError> {
    std::fs::read_to_string(path).map_err(|source| RankError::Io { path: path.to_owned(), source })
}

/// A field by RFC 4180: in quotes if it contains a comma or a quote, which is then doubled.
fn quoted(field: &str) -> String {
    if field.contains([',', '"']) { format!("\"{}\"", field.replace('"', "\"\"")) } else { field.to_owned() }
}

fn score(line: &str) -> Result<Score, String> {
    // From the right, as numbers contain no comma.
    let fields: Vec<&str> = line.rsplitn(4, ',').collect();
    let &[predicted, nats, mean, image] = fields.as_slice() else {
        return Err(format!("expected 4 fields, found {} in {line:?}", fields.len()));
    };
    Ok(Score {
        image: unquoted(image)?,
        mean_entropy: parse("mean_entropy", mean)?,
        mean_entropy_eq4_nats: parse("mean_entropy_eq4_nats", nats)?,
        predicted_rare_classes: parse("predicted_rare_classes", predicted)?,
    })
}

fn parse<T: std::str::FromStr>(name: &str, text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("{name} is {text:?}, not a number"))
}

fn unquoted(field: &str) -> Result<String, String> {
    let Some(inner) = field.strip_prefix('"') else {
        return if field.contains([',', '"']) { Err(format!("{field:?} needs quotes")) } else { Ok(field.to_owned()) };
    };
    let inner = inner.strip_suffix('"').ok_or_else(|| format!("{field:?} has no closing quote"))?;
    if inner.replace("\"\"", "").contains('"') {
        return Err(format!("{field:?} has a quote that is not doubled"));
    }
    Ok(inner.replace("\"\"", "\""))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop_assert_eq, proptest};

    use super::*;
    use crate::rank::Ranked;

    fn written(text: &str) -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("scores.csv");
        std::fs::write(&path, text).unwrap();
        (folder, path)
    }

    proptest! {
        #[test]
        fn scores_are_read_back_to_the_bit(
            image in "[a-z,\" /._äß-]{1,20}", a in any::<f32>(), b in any::<f32>(), n in any::<u32>(),
        ) {
            let score = Score { image, mean_entropy: a, mean_entropy_eq4_nats: b, predicted_rare_classes: n };
            let (_folder, path) = written(&scores_csv(std::slice::from_ref(&score)));
            let back = read_scores(&path).unwrap().remove(0);
            prop_assert_eq!(back.mean_entropy.to_bits(), a.to_bits());
            prop_assert_eq!(back.mean_entropy_eq4_nats.to_bits(), b.to_bits());
            prop_assert_eq!((back.image, back.predicted_rare_classes), (score.image, n));
        }
    }

    #[test]
    fn scores_have_the_columns_of_the_contract() {
        let score = Score {
            image: "a.png".to_owned(),
            mean_entropy: 0.1,
            mean_entropy_eq4_nats: 1.5,
            predicted_rare_classes: 3,
        };
        assert_eq!(
            scores_csv(&[score]),
            "image,mean_entropy,mean_entropy_eq4_nats,predicted_rare_classes\na.png,0.1,1.5,3\n"
        );
    }

    #[test]
    fn a_wrong_line_is_named_by_its_number() {
        for (line, reason) in [
            ("a.png,0.1,x,3", "mean_entropy_eq4_nats is \"x\", not a number"),
            ("a.png,0.1,3", "expected 4 fields, found 3"),
            ("a,b.png,0.1,1.5,3", "needs quotes"),
            ("\"a,0.1,1.5,3", "no closing quote"),
        ] {
            let (_folder, path) = written(&format!("{SCORES_HEADER}\nfirst,1,1,1\n{line}\n"));
            let error = read_scores(&path).unwrap_err().to_string();
            assert!(error.contains("scores.csv:3: ") && error.contains(reason), "{error}");
        }
        let (_folder, path) = written("name,score\n");
        assert!(read_scores(&path).unwrap_err().to_string().contains("scores.csv:1: expected the header"));
    }

    #[test]
    fn a_split_file_is_a_name_a_line() {
        assert_eq!(split_text(["b.png", "a/c.png"]), "b.png\na/c.png\n");
        let (_folder, path) = written("b.png\r\n\n a/c.png\n");
        assert_eq!(read_split(&path).unwrap(), ["b.png", "a/c.png"]);
        let missing = read_split(Path::new("/nowhere/easy_split.txt")).unwrap_err().to_string();
        assert!(missing.contains("easy_split.txt"), "{missing}");
    }

    #[test]
    fn a_ranking_tells_the_part_of_each_image() {
        let ranked = |image: &str, score| Ranked { image: image.to_owned(), score };
        let ranking = Ranking { easy: vec![ranked("b", 0.25)], hard: vec![ranked("a,1", f64::INFINITY)] };
        assert_eq!(ranking_csv(&ranking), "image,score,split\nb,0.25,easy\n\"a,1\",inf,hard\n");
    }
}
