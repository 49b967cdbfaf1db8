//! The data sets of a job, whole or in part, as intrada-data reads them.

use std::collections::HashMap;
use std::path::PathBuf;

use intrada_data::decode::{Detail, Orientation};
use intrada_data::kept::Keep;
use intrada_data::label::{Encoding, LabelMap, Otherwise};
use intrada_data::margins::Margins;
use intrada_data::resize::{Filter, Fit, Scaling};
use intrada_data::scenes::{self, Style};
use intrada_data::source::{self, Source};
use intrada_picture::Palette;
use intrada_runner::exec::job;
use intrada_runner::kind::dataset;

use crate::work::{Failure, Work, as_planned};

/// A part of a data set.
pub struct Part {
    /// The names of its samples.
    pub names: Vec<String>,
    /// A folder of labels that replaces the data set's own.
    pub labels: Option<PathBuf>,
}

/// Target scenes up to this severity are easy; see [`scenes::severity`].
const EASY_SCENES: f32 = 0.5;

impl Work {
    /// The whole data set of this role.
    pub fn source(&self, role: &str) -> Result<Source, Failure> {
        match self.dataset(role)? {
            job::Dataset::Files {
                samples,
                size,
                scaling,
                map,
                encoding,
                palette,
                orientation,
                margins,
                decode,
                cache,
                ..
            } => {
                let samples = samples.iter().map(|sample| source::Sample {
                    name: sample.name.clone(),
                    image: as_planned(&sample.image),
                    label: sample.label.as_ref().map(as_planned),
                });
                let label_map = LabelMap { pairs: map.clone(), otherwise: Otherwise::Keep };
                let encoding = label_encoding(*encoding, palette);
                Ok(Source::Files {
                    samples: samples.collect(),
                    size: pixels(*size),
                    scaling: picture_scaling(*scaling),
                    label_map: Some(label_map),
                    encoding,
                    orientation: photograph_orientation(*orientation),
                    margins: image_margins(*margins),
                    detail: detail(*decode),
                    keep: self.keep_if(*cache),
                })
            }
            job::Dataset::Scenes { part, .. } => {
                let only = (part != "all").then(|| self.sample_names(role)).transpose()?;
                self.scenes(role, only, None)
            }
        }
    }

    /// The data sets of this key, one or several, in their order.
    pub fn sources(&self, key: &str) -> Result<Vec<Source>, Failure> {
        if self.job.datasets.contains_key(key) {
            return Ok(vec![self.source(key)?]);
        }
        let roles = (0..).map(|place| format!("{key}[{place}]"));
        let there: Vec<String> = roles.take_while(|role| self.job.datasets.contains_key(role)).collect();
        let roles = if there.is_empty() { vec![key.to_owned()] } else { there };
        roles.iter().map(|role| self.source(role)).collect()
    }

    /// Part of the data set of this role, in the order of the part's names.
    pub fn part(&self, role: &str, part: Part) -> Result<Source, Failure> {
        let job::Dataset::Files { samples, size, scaling, orientation, margins, decode, cache, .. } =
            self.dataset(role)?
        else {
            return self.scenes(role, Some(part.names), part.labels);
        };
        let by_name: HashMap<&str, &job::Sample> =
            samples.iter().map(|sample| (sample.name.as_str(), sample)).collect();
        let sample = |name: &String| -> Result<source::Sample, Failure> {
            let Some(sample) = by_name.get(name.as_str()) else {
                let message = format!("`{name}` is in a list, but not in the data set that the list was made from");
                return Err(Failure::advised(message, "lists and images must come from the same data set"));
            };
            let label = part.labels.as_ref().map(|folder| source::map_file(name).map(|file| folder.join(file).into()));
            Ok(source::Sample { name: name.clone(), image: as_planned(&sample.image), label: label.transpose()? })
        };
        let samples = part.names.iter().map(sample).collect::<Result<_, _>>()?;
        let margins = if part.labels.is_some() { Margins::default() } else { image_margins(*margins) };
        // Pseudo-labels already hold classes: the data set's map and encoding apply only to its own labels.
        let orientation = photograph_orientation(*orientation);
        let (size, scaling, encoding) = (pixels(*size), picture_scaling(*scaling), Encoding::Index);
        let (detail, keep) = (detail(*decode), self.keep_if(*cache));
        Ok(Source::Files { samples, size, scaling, label_map: None, encoding, orientation, margins, detail, keep })
    }

    fn keep_if(&self, cache: bool) -> Option<Keep> {
        self.keep().filter(|_| cache)
    }

    fn scenes(&self, role: &str, only: Option<Vec<String>>, labels: Option<PathBuf>) -> Result<Source, Failure> {
        let job::Dataset::Scenes { style, seed, count, size, margins, .. } = self.dataset(role)? else {
            unreachable!("the caller has matched the format");
        };
        Ok(Source::Scenes {
            style: scene_style(style),
            seed: *seed,
            first: 0,
            count: (*count).into(),
            only,
            // The margins concern what has no labels from a file.
            margins: if labels.is_some() { Margins::default() } else { image_margins(*margins) },
            labels,
            size: pixels(Some(*size)),
        })
    }

    /// The names of all samples of the data set of this role, in order.
    pub fn sample_names(&self, role: &str) -> Result<Vec<String>, Failure> {
        Ok(match self.dataset(role)? {
            job::Dataset::Files { samples, .. } => samples.iter().map(|sample| sample.name.clone()).collect(),
            job::Dataset::Scenes { part, seed, count, .. } => {
                let wanted = |index: &u64| match part.as_str() {
                    "easy" => scenes::severity(*seed, *index) < EASY_SCENES,
                    "hard" => scenes::severity(*seed, *index) >= EASY_SCENES,
                    _ => true,
                };
                (0..u64::from(*count)).filter(wanted).map(scenes::name).collect()
            }
        })
    }

    fn dataset(&self, role: &str) -> Result<&job::Dataset, Failure> {
        self.job.datasets.get(role).ok_or_else(|| {
            Failure::advised(
                format!("the job for `{}` names no data set for `{role}`", self.job.stage),
                "build intrada-run and intrada-worker from the same sources",
            )
        })
    }
}

/// The style of scenes of this name.
pub fn scene_style(name: &str) -> Style {
    if name == "source" { Style::Source } else { Style::Target }
}

fn label_encoding(encoding: dataset::Encoding, palette: &Palette) -> Encoding {
    match encoding {
        dataset::Encoding::Index => Encoding::Index,
        dataset::Encoding::Synthia16 => Encoding::Synthia16,
        dataset::Encoding::Palette(_) => Encoding::Palette(palette.clone()),
    }
}

fn detail(decode: dataset::Decode) -> Detail {
    match decode {
        dataset::Decode::Full => Detail::Full,
        dataset::Decode::Reduced => Detail::Reduced,
    }
}

fn photograph_orientation(orientation: dataset::Orientation) -> Orientation {
    match orientation {
        dataset::Orientation::Ignore => Orientation::Ignore,
        dataset::Orientation::Apply => Orientation::Apply,
    }
}

/// How a data set's images take its `size`.
pub fn picture_scaling(scaling: dataset::Scaling) -> Scaling {
    Scaling {
        fit: match scaling.fit {
            dataset::Fit::Exact => Fit::Exact,
            dataset::Fit::Box => Fit::Box,
        },
        filter: match scaling.resize {
            dataset::Resize::Bicubic => Filter::Bicubic,
            dataset::Resize::Bilinear => Filter::Bilinear,
        },
    }
}

fn image_margins(margins: dataset::Margins) -> Margins {
    let dataset::Margins { top, bottom, left, right } = margins;
    let [top, bottom, left, right] = [top, bottom, left, right].map(|pixels| pixels as usize);
    Margins { top, bottom, left, right }
}

fn pixels(size: Option<[u32; 2]>) -> Option<[usize; 2]> {
    size.map(|size| size.map(|side| side as usize))
}
