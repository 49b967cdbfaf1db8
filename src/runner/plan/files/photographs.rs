//! Problems of photographs, and properties that a network doesn't see: reported before anything runs.
//!
//! A run reads each once, right after computing its digest, and the index records its properties: an up-to-date run opens
//! none. `doctor` checks the beginning and the end of all and decodes some. The rules are those of [`intrada_picture`],
//! with which the worker decodes.

use std::collections::HashSet;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use intrada_picture::{Ends, Facts, Fault};
use rayon::iter::{IndexedParallelIterator, IntoParallelRefIterator, ParallelIterator};

use super::Survey;
use super::labels::FILES_NAMED;
use crate::dataset::{Sample, survey};
use crate::exec::with_causes;
use crate::kind::dataset::Orientation;
use crate::pipeline::{Format, Problem};
use crate::plain;
use crate::store::index::FileRecord;

/// How much of a file's beginning contains its size, unless a large block of metadata comes first.
const HEAD: u64 = 16 << 10;
/// How much of a file's end contains its last chunk or marker.
const TAIL: u64 = 16;

/// A readable photograph, as far as it was checked.
pub(super) struct Photograph<'a> {
    pub(super) sample: &'a Sample,
    /// Width and height as the network sees it, before the data set's `size`.
    pub(super) size: [u32; 2],
    /// If the whole file was read.
    pub(super) facts: Option<Facts>,
}

/// Why one can't be read.
enum Wrong {
    Unreadable(io::Error),
    Fault(Fault),
}

impl From<io::Error> for Wrong {
    fn from(error: io::Error) -> Wrong {
        Wrong::Unreadable(error)
    }
}

impl From<Fault> for Wrong {
    fn from(fault: Fault) -> Wrong {
        Wrong::Fault(fault)
    }
}

impl<'a> Survey<'a> {
    /// Reads a photograph whose digest was just computed, unless the index has its properties.
    pub(super) fn go_through(&self, file: &Path, record: &FileRecord) {
        if record.photograph.is_none()
            && let Ok(facts) = whole(&self.surveyor.pipeline.root.join(file))
        {
            self.surveyor.inputs.note_photograph(file, record.digest, facts);
        }
    }

    /// The properties of the images that were read.
    ///
    /// # Errors
    /// Problems of some images.
    pub(super) fn photographs<'s>(&self, samples: &'s [Sample]) -> Result<Vec<Photograph<'s>>, Vec<Problem>> {
        let see = |sample: &'s Sample| {
            let known = self.surveyor.inputs.photograph(&sample.image);
            let facts = known.map_or_else(|| whole(&self.surveyor.pipeline.root.join(&sample.image)), Ok)?;
            Ok(self.seen(sample, facts))
        };
        let (seen, wrong) =
            self.parted(samples.par_iter().with_min_len(64).map(|sample| (sample, see(sample))).collect());
        if wrong.is_empty() { Ok(seen) } else { Err(wrong) }
    }

    /// A quick check: beginning and end of all, and `most` of them decoded, evenly spaced; `None`: all.
    pub(super) fn glanced_at<'s>(
        &self,
        samples: &'s [Sample],
        most: Option<usize>,
    ) -> (Vec<Photograph<'s>>, Vec<Problem>) {
        let decoded: HashSet<&str> =
            survey::spread(samples, most.unwrap_or(usize::MAX)).map(|sample| sample.name.as_str()).collect();
        let see = |sample: &'s Sample| {
            let path = self.surveyor.pipeline.root.join(&sample.image);
            if decoded.contains(sample.name.as_str()) {
                let bytes = plain::read(&path)?;
                let facts = intrada_picture::look(&bytes)?;
                intrada_picture::photograph(&bytes)?;
                return Ok(self.seen(sample, facts));
            }
            // The orientation is only known from the whole file.
            let at_a_glance = if self.dataset.orientation.is_ignore() { glance(&path)? } else { None };
            match at_a_glance {
                Some(size) => Ok(Photograph { sample, size, facts: None }),
                None => Ok(self.seen(sample, whole(&path)?)),
            }
        };
        self.parted(samples.par_iter().map(|sample| (sample, see(sample))).collect())
    }

    fn seen<'s>(&self, sample: &'s Sample, facts: Facts) -> Photograph<'s> {
        let size = match self.dataset.orientation {
            Orientation::Ignore => facts.size,
            Orientation::Apply => facts.orientation.upright(facts.size),
        };
        Photograph { sample, size, facts: Some(facts) }
    }

    /// The readable ones, and the problems of the others.
    fn parted<'s>(
        &self,
        looked: Vec<(&'s Sample, Result<Photograph<'s>, Wrong>)>,
    ) -> (Vec<Photograph<'s>>, Vec<Problem>) {
        let (mut seen, mut wrong) = (Vec::with_capacity(looked.len()), Vec::new());
        for (sample, looked) in looked {
            match looked {
                Ok(one) => seen.push(one),
                Err(error) => wrong.push((sample, error)),
            }
        }
        (seen, self.wrong_photographs(&wrong))
    }

    fn wrong_photographs(&self, wrong: &[(&Sample, Wrong)]) -> Vec<Problem> {
        let mut helped = HashSet::new();
        let mut problem = |(sample, wrong): &(&Sample, Wrong)| {
            let image = sample.image.display();
            let (title, help) = match wrong {
                Wrong::Unreadable(error) => (format!("failed to read image `{image}`: {}", with_causes(error)), None),
                Wrong::Fault(fault) => (format!("image `{image}` can't be read: {fault}"), fault.help()),
            };
            let problem = self.read_by(Problem::error(title).at(self.spans.images, "this data set"));
            problem.help_if(help.filter(|help| helped.insert(*help)).map(str::to_owned))
        };
        let mut problems: Vec<Problem> = wrong.iter().take(FILES_NAMED).map(&mut problem).collect();
        if let Some(more) = wrong.len().checked_sub(FILES_NAMED + 1) {
            let title = match more + 1 {
                1 => "1 more image can't be read".to_owned(),
                more => format!("{more} more images can't be read"),
            };
            problems.push(Problem::error(title).at(self.spans.images, "this data set"));
        }
        problems
    }

    /// Properties of readable images that a network doesn't see.
    pub(super) fn lost(&self, seen: &[Photograph<'_>]) -> Vec<Problem> {
        let known: Vec<(&str, Facts)> =
            seen.iter().filter_map(|one| Some((one.sample.name.as_str(), one.facts?))).collect();
        [self.of_16_bits(&known), self.see_through(&known), self.turned(&known)].into_iter().flatten().collect()
    }

    fn of_16_bits(&self, known: &[(&str, Facts)]) -> Option<Problem> {
        let deep: Vec<(&str, u16)> = known.iter().filter_map(|(name, facts)| Some((*name, facts.brightest?))).collect();
        let brightest = deep.iter().map(|(_, brightest)| *brightest).max()?;
        let what = ["has", "have"].map(|verb| format!("{verb} 16 bits a sample, of which the upper 8 are taken"));
        let first = deep.first().map(|(name, _)| format!("`{name}`"))?;
        let problem = self.worth_knowing(what, [deep.len(), known.len()], first);
        let problem = problem.note(format!(
            "the largest sample is {brightest} of 65535, so the network sees values up to {} of 255",
            brightest >> 8
        ));
        let is_dark = brightest < 1 << 14;
        Some(problem.help_if(
            is_dark.then(|| "store 8 bits a sample, or scale the samples so that they reach 65535".to_owned()),
        ))
    }

    fn see_through(&self, known: &[(&str, Facts)]) -> Option<Problem> {
        let those: Vec<&str> = known.iter().filter(|(_, facts)| facts.see_through).map(|(name, _)| *name).collect();
        let first = those.first()?;
        let what = ["has", "have"]
            .map(|verb| format!("{verb} transparent pixels, whose colours are taken as they are stored"));
        Some(self.worth_knowing(what, [those.len(), known.len()], format!("`{first}`")))
    }

    fn turned(&self, known: &[(&str, Facts)]) -> Option<Problem> {
        if self.dataset.orientation == Orientation::Apply {
            return None;
        }
        let those: Vec<&(&str, Facts)> = known.iter().filter(|(_, facts)| facts.orientation.is_turned()).collect();
        let (first, facts) = those.first()?;
        let what = ["has", "have"].map(|verb| format!("{verb} an orientation tag, which is not applied"));
        let example = format!("`{first}` would be {}", facts.orientation);
        let problem = self.worth_knowing(what, [those.len(), known.len()], example);
        Some(problem.help_if(self.help_to_turn()))
    }

    /// If the data set has the key.
    pub(super) fn help_to_turn(&self) -> Option<String> {
        let help = "`orientation = \"apply\"` in the data set turns such images upright, but no label";
        matches!(self.dataset.format, Format::Folder { .. }).then(|| help.to_owned())
    }

    /// `what`: for one image, and for several.
    fn worth_knowing(&self, [of_one, of_several]: [String; 2], [some, all]: [usize; 2], example: String) -> Problem {
        let what = if some == 1 { of_one } else { of_several };
        let title = format!("{some} of {all} images of `{}` {what}: {example}", self.dataset.name);
        self.read_by(Problem::warning(title).at(self.spans.images, "this data set"))
    }
}

/// The properties of a file that is read completely.
fn whole(path: &Path) -> Result<Facts, Wrong> {
    Ok(intrada_picture::look(&plain::read(path)?)?)
}

/// The size of an image from its beginning and its end. `None`: these are not enough.
fn glance(path: &Path) -> Result<Option<[u32; 2]>, Wrong> {
    let mut file = plain::open(path)?;
    let mut head = Vec::new();
    file.by_ref().take(HEAD).read_to_end(&mut head)?;
    let length = file.metadata()?.len();
    let mut tail = Vec::new();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL)))?;
    file.take(TAIL).read_to_end(&mut tail)?;
    Ok(Ends { head: &head, tail: &tail, length }.size()?)
}

/// The size of a label from its beginning.
pub(super) fn label_size(path: &Path) -> Option<[u32; 2]> {
    let mut head = Vec::new();
    plain::open(path).ok()?.take(HEAD).read_to_end(&mut head).ok()?;
    intrada_picture::size_of(&head)
}
