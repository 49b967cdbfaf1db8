//! What people find in a folder of chosen images: `README.txt` with the next steps, and `chosen.csv` with why each image is in it.

use std::fmt::Write;

use super::Error;
use super::folder::{IMAGES, LABELS, NETWORK, write as write_file};
use super::format::{Format, Set};
use super::mixture::Rule;
use crate::results::compare::quoted;
use crate::shell::word;

/// The table.
const TABLE: &str = "chosen.csv";

/// Writes both.
///
/// # Errors
/// They can't be written.
pub(super) fn write(set: &Set<'_>, formats: &[&Format]) -> Result<(), Error> {
    write_file(&set.folder.join(TABLE), table(set).as_bytes())?;
    write_file(&set.folder.join("README.txt"), readme(set, formats).as_bytes())
}

fn table(set: &Set<'_>) -> String {
    let mut text = "file,image,rule,why,mean_entropy,probability\n".to_owned();
    for image in set.images() {
        let probability = image.probability.map(|probability| format!("{probability:.6}")).unwrap_or_default();
        let (name, why, rule) = (quoted(&image.image), quoted(&image.why), image.rule.name());
        let _ = writeln!(text, "{},{name},{rule},{why},{},{probability}", image.file, image.mean_entropy);
    }
    text
}

fn readme(set: &Set<'_>, formats: &[&Format]) -> String {
    let asked = &set.description.asked;
    let folder = word(&set.folder.to_string_lossy()).into_owned();
    let parts: Vec<String> = asked.by.parts().iter().map(|(rule, count)| format!("{count} {}", rule.name())).collect();
    let mut text = format!(
        "{} images of the data set {} to label: {}.
{TABLE} says why each was chosen. {IMAGES}/ holds the images, {NETWORK}/ what the
network of {} sees in them: correct that, it is faster than drawing. Look at
every image: a mask that nobody has looked at is no label.

",
        set.images().len(),
        asked.dataset,
        parts.join(", "),
        asked.network,
    );
    for format in formats {
        text += &(format.steps)(set);
        text.push('\n');
    }
    let _ = write!(
        text,
        "Then read the export:
   intrada-run label --read EXPORT --out {folder}
It writes {LABELS}/ and says how a pipeline reads them. Parts can be read one
after the other.
",
    );
    if asked.by.of(Rule::Random) > 0 {
        text += "
Label all images that were drawn at random, the hard ones too: only then do
they tell how good a network is on the whole data set. The others were chosen
because they are special, and tell nothing about the rest.
";
    }
    text
}
