//! Problems of colours in labels: strange to the data set's palette, or there without a palette.
//!
//! Reads no label: takes what `dataset::labels` found in each. Strange colours are told once for all labels, the most frequent
//! first.

use std::collections::HashMap;
use std::path::Path;

use intrada_picture::Strange;

use super::Survey;
use crate::dataset::colours::{Colours, colour};
use crate::dataset::labels::LabelError;
use crate::kind::palettes;
use crate::measures::count;
use crate::pipeline::{Format, Problem};

/// How many colours are named.
const NAMED: usize = 5;
/// More strange colours than a palette has forgotten.
const MANY: usize = 64;
/// The largest known class number of street scenes.
const ID: u8 = 34;

/// A strange colour in all labels.
struct Tally<'a> {
    colour: [u8; 3],
    pixels: u64,
    labels: u64,
    file: &'a Path,
    first: [usize; 2],
}

impl Survey<'_> {
    /// The problem of the labels with colours that the palette doesn't have, if there are any.
    pub(super) fn strange_colours(&self, wrong: &[LabelError]) -> Option<Problem> {
        let mut files: Vec<(&Path, &Colours)> = Vec::new();
        for error in wrong {
            if let LabelError::StrangeColours { path, colours } = error {
                files.push((path, colours));
            }
        }
        let tallies = tallied(&files);
        if tallies.is_empty() {
            return None;
        }
        let at_least =
            if files.iter().any(|(_, colours)| colours.count > colours.first.len()) { "at least " } else { "" };
        let (labels, hold) = if files.len() == 1 { ("label", "holds") } else { ("labels", "hold") };
        let (colours, those) = (tallies.len() as u64, if tallies.len() == 1 { "colour" } else { "colours" });
        let title = format!(
            "{} {labels} of `{}` {hold} {at_least}{} {those} that `palette` doesn't have",
            count(files.len() as u64),
            self.dataset.name,
            count(colours),
        );
        let mut problem = self.read_by(Problem::error(title).at(self.dataset.span, "this data set"));
        for one in tallies.iter().take(NAMED) {
            problem = problem.note(one.shown());
        }
        if let Some(more) = tallies.len().checked_sub(NAMED).filter(|more| *more > 0) {
            problem = problem.note(format!("{} more", count(more as u64)));
        }
        Some(problem.help(advice(&tallies)))
    }

    /// How to read labels of colours in a data set without a palette.
    pub(super) fn help_to_paint(&self, colours: &Colours) -> String {
        const BESIDE: &str = "the class index label is often next to this colour picture";
        if !matches!(self.dataset.format, Format::Folder { .. }) {
            return BESIDE.to_owned();
        }
        let found: Vec<[u8; 3]> = colours.first.iter().map(|one| one.colour).collect();
        let classes = &self.surveyor.pipeline.classes;
        let fits = |palette: &&palettes::Palette| {
            let has = |wanted: &[u8; 3]| palette.colours.iter().any(|(colour, _)| colour == wanted);
            let names = |class: &str| palette.colours.iter().any(|(_, name)| *name == Some(class));
            found.iter().all(has) && classes.iter().all(|class| names(&class.name))
        };
        match palettes::PALETTES.iter().find(fits).filter(|_| colours.count == found.len()) {
            Some(palette) => {
                format!("`palette = \"{}\"` in the data set reads them: all colours are in it", palette.name)
            }
            None if colours.count > MANY => format!(
                "{} colours are those of a photograph, or of a label that was resized or stored with loss; {BESIDE}",
                count(colours.count as u64)
            ),
            None => {
                let shown = found.iter().take(NAMED).map(|one| format!("\"{}\" = \"…\"", colour(*one)));
                let rest = if found.len() > NAMED { ", …" } else { "" };
                let shown = shown.collect::<Vec<_>>().join(", ") + rest;
                format!("`palette = {{ {shown} }}` in the data set names the class of each colour; or {BESIDE}")
            }
        }
    }
}

/// The colours of all labels, the most frequent first.
fn tallied<'a>(files: &[(&'a Path, &Colours)]) -> Vec<Tally<'a>> {
    let mut tallies: HashMap<[u8; 3], Tally<'a>> = HashMap::new();
    for (file, colours) in files {
        for Strange { colour, pixels, first } in &colours.first {
            let new = || Tally { colour: *colour, pixels: 0, labels: 0, file, first: *first };
            let tally = tallies.entry(*colour).or_insert_with(new);
            tally.pixels += pixels;
            tally.labels += 1;
        }
    }
    let mut tallies: Vec<Tally<'a>> = tallies.into_values().collect();
    tallies.sort_unstable_by_key(|one| (std::cmp::Reverse(one.pixels), one.colour));
    tallies
}

impl Tally<'_> {
    fn shown(&self) -> String {
        let several =
            |number: u64, what: &str| format!("{} {what}{}", count(number), if number == 1 { "" } else { "s" });
        let [column, row] = self.first;
        format!(
            "{}: {} in {}, first at column {column}, row {row} of `{}`",
            colour(self.colour),
            several(self.pixels, "pixel"),
            several(self.labels, "label"),
            self.file.display()
        )
    }
}

fn advice(tallies: &[Tally<'_>]) -> String {
    let is_index = |one: &Tally<'_>| {
        let [red, green, blue] = one.colour;
        red == green && green == blue && (red <= ID || red == u8::MAX)
    };
    let first = colour(tallies[0].colour);
    let ignored = format!("`\"{first}\" = \"ignore\"` ignores such pixels");
    if tallies.iter().all(is_index) {
        // One grey among colours is usually what nobody has labelled.
        let one =
            if tallies.len() == 1 { format!("name its class in `palette`; {ignored}. Or ") } else { String::new() };
        return format!("{one}these are greys like class indices: if the labels hold indices, leave `palette` out");
    }
    if tallies.len() > MANY {
        return "so many colours are those of photographs, or of labels that were resized with interpolation, painted with soft \
                edges or stored with loss: export them again without"
            .to_owned();
    }
    format!("name the class of each in `palette`; {ignored}")
}
