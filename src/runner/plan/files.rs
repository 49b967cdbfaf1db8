//! A file-based data set → its digest, its samples, and its problems.
//!
//! Knows no format: `dataset` lists the files and the meaning of their label values. Each label is decoded once and each
//! photograph read once, then the index has their contents; so a wrong data set is reported before hours of training.

pub(super) mod away;
mod colours;
mod labels;
mod photographs;
pub(super) mod sampled;
pub(super) mod sizes;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use intrada_picture::{Format as PictureFormat, Palette};

use crate::dataset::labels::Form;
use crate::dataset::{self, DatasetError, Layout, Naming, Place, Sample, folder};
use crate::digest::{ArtifactDigest, Encoder, FileDigest};
use crate::exec::job;
use crate::inputs::listing;
use crate::inputs::seen::Seen;
use crate::kind::dataset::{Decode, Encoding, Fit, Margins, Orientation, Resize, Selection};
use crate::kind::palettes;
use crate::pipeline::{Dataset, FolderSpans, Format, Problem, Span, StageId};
use crate::store::index::FileRecord;

use self::photographs::Photograph;
use super::found::{Content, Found, Surveyor, encode_size, input_problem, object_of};
use super::links::dead_links;
use super::manifest::Ingredient;

/// The revision of the JPEG decoder, as `why` calls it.
const JPEG: &str = "the JPEG decoder's revision";
/// The same of the WebP decoder.
const WEBP: &str = "the WebP decoder's revision";
/// The decoders whose revision is among the options if an image needs them, with their present revisions.
pub(super) const DECODERS: [(&str, u32); 2] =
    [(JPEG, intrada_picture::JPEG_REVISION), (WEBP, intrada_picture::WEBP_REVISION)];
/// The names of the images in their order, as `why` calls them.
pub(super) const ORDER: &str = "the order of its images";

/// A file-based data set to be read.
pub(super) struct Survey<'a> {
    surveyor: &'a Surveyor<'a>,
    dataset: &'a Dataset,
    /// Whether its labels are read.
    labels: bool,
    /// The stages that read it, with the positions of their inputs.
    readers: &'a [(StageId, Span)],
    place: Place,
    spans: FolderSpans,
    /// For a published data set.
    published: Option<Published<'a>>,
    /// Label value → class. Empty if labels aren't read: their meaning must not affect the key then.
    map: Vec<(u8, u8)>,
}

/// The revisions of the lossy decoders that images of a data set need; the others give the one possible result.
#[derive(Clone, Copy, Default)]
struct Decoders {
    jpeg: Option<u32>,
    webp: Option<u32>,
}

impl Decoders {
    fn of(seen: &[Photograph<'_>]) -> Decoders {
        let any = |format| seen.iter().any(|one| one.facts.is_some_and(|facts| facts.format == format));
        Decoders {
            jpeg: any(PictureFormat::Jpeg).then_some(intrada_picture::JPEG_REVISION),
            webp: any(PictureFormat::WebP).then_some(intrada_picture::WEBP_REVISION),
        }
    }
}

#[derive(Clone, Copy)]
struct Published<'a> {
    layout: &'static Layout,
    root: &'a Path,
    selection: &'a Selection,
    missing: &'a str,
}

impl<'a> Survey<'a> {
    /// For a data set that isn't synthetic.
    ///
    /// # Errors
    /// The labels are to be read but don't have one of the pipeline's classes.
    pub(super) fn new(
        surveyor: &'a Surveyor<'a>,
        dataset: &'a Dataset,
        labels: bool,
        readers: &'a [(StageId, Span)],
    ) -> Result<Survey<'a>, Vec<Problem>> {
        let (place, spans, published) = match &dataset.format {
            Format::Folder { images, labels, list, spans, .. } => {
                let (images, labels) = (images.clone(), labels.clone());
                (Place { images, labels, within: Vec::new(), list: list.clone() }, *spans, None)
            }
            Format::Published { format, root, selection, list, missing, spans } => {
                let layout = dataset::version(format, &selection.labels);
                let layout = layout.expect("each published format of the tables has a layout");
                let published = Published { layout, root, selection, missing };
                (layout.place(root, selection, list.as_deref()), *spans, Some(published))
            }
            Format::Scenes { .. } => unreachable!("scenes are drawn"),
        };
        let map = if labels { dataset.map.clone() } else { Vec::new() };
        let mut survey = Survey { surveyor, dataset, labels, readers, place, spans, published, map };
        if let (true, Some(published)) = (labels, published) {
            survey.map = survey.map_of(published.layout)?;
        }
        Ok(survey)
    }

    /// By the names of the pipeline's classes. A class missing from these labels would not be trained.
    fn map_of(&self, layout: &'static Layout) -> Result<Vec<(u8, u8)>, Vec<Problem>> {
        let classes: Vec<&str> = self.surveyor.pipeline.classes.iter().map(|class| class.name.as_str()).collect();
        let known: Vec<&str> = layout.classes().collect();
        let unknown: Vec<String> =
            classes.iter().filter(|class| !known.contains(class)).map(|class| format!("`{class}`")).collect();
        if unknown.is_empty() {
            return Ok(layout.map(&classes));
        }
        let noun = if unknown.len() == 1 { "class" } else { "classes" };
        let title = format!("the labels of {} have no {noun} {}", layout.called(), unknown.join(", "));
        let problem = Problem::error(title).at(self.dataset.span, format!("data set `{}`", self.dataset.name));
        Err(vec![self.read_by(problem).note(format!("its classes are {}", known.join(", ")))])
    }

    /// Lists the files, digests them, and checks the labels.
    ///
    /// # Errors
    /// The problems, each with its line.
    pub(super) fn found(&self) -> Result<Found, Vec<Problem>> {
        let listed = self.listed(false).map_err(|error| vec![self.dataset_problem(&error)])?;
        let mut warnings = self.not_taken(&listed);
        let images: Vec<PathBuf> = listed.samples.iter().map(|sample| sample.image.clone()).collect();
        let labels: Vec<PathBuf> = listed.samples.iter().filter_map(|sample| sample.label.clone()).collect();
        let inputs = self.surveyor.inputs;
        let image_records = inputs
            .digest_each(&images, |file, record| self.go_through(file, record))
            .map_err(|error| vec![input_problem(&error, self.spans.images)])?;
        let needs_sizes = self.needs_sizes_of_labels();
        let after = |file: &Path, record: &FileRecord| {
            if needs_sizes {
                self.go_through(file, record)
            }
        };
        let label_records =
            inputs.digest_each(&labels, after).map_err(|error| vec![input_problem(&error, self.spans.labels)])?;
        let digests = |records: &[FileRecord]| records.iter().map(|record| record.digest).collect::<Vec<FileDigest>>();
        let (image_digests, label_digests) = (digests(&image_records), digests(&label_records));
        let seen = match (self.photographs(&listed.samples), self.check_labels(&labels, &label_digests)) {
            (Ok(seen), Ok(of_labels)) => {
                warnings.extend(of_labels.into_iter().chain(self.check_images(&seen)?));
                seen
            }
            (Err(wrong), Ok(_)) => return Err(wrong),
            (wrong, Err(mut of_labels)) => {
                self.ask_whether_swapped(&listed.samples, &mut of_labels);
                return Err(wrong.err().unwrap_or_default().into_iter().chain(of_labels).collect());
            }
        };
        let decoders = Decoders::of(&seen);
        let size = self.one_size(&seen);
        let (digest, listing) = self.digest(&listed.samples, &image_digests, &label_digests, decoders);
        let ingredient = Ingredient {
            digest,
            what: format!("data set {}", self.dataset.name),
            listing: Some(object_of(&listing)),
            options: self.options(&listed.samples, decoders),
            named: self.named(),
        };
        let content = self.for_job(listed.samples, &image_digests, &label_digests, decoders);
        let files = images.into_iter().zip(image_records).chain(labels.into_iter().zip(label_records));
        let seen = Seen { files: files.collect(), folder: None };
        Ok(Found { ingredient, content: Content::Dataset(content), seen, listing: Some(listing), size, warnings })
    }

    /// The data set for the worker's job.
    fn for_job(
        &self,
        samples: Vec<Sample>,
        images: &[FileDigest],
        labels: &[FileDigest],
        decoders: Decoders,
    ) -> job::Dataset {
        let root = &self.surveyor.pipeline.root;
        let source = |path: &Path, content: FileDigest| job::Source { path: root.join(path), content };
        let sample = |(place, sample): (usize, Sample)| job::Sample {
            image: source(&sample.image, images[place]),
            label: sample.label.as_deref().zip(labels.get(place)).map(|(path, content)| source(path, *content)),
            name: sample.name,
        };
        job::Dataset::Files {
            samples: samples.into_iter().enumerate().map(sample).collect(),
            size: self.dataset.size,
            scaling: self.dataset.scaling,
            map: self.map.clone(),
            encoding: self.form().encoding(),
            palette: self.palette().cloned().unwrap_or_default(),
            orientation: self.dataset.orientation,
            jpeg: decoders.jpeg,
            webp: decoders.webp,
            margins: Margins::default(),
            decode: self.dataset.decode,
            cache: self.dataset.cache,
        }
    }

    /// What enters the digest besides the files, with its name in `why`.
    fn options(&self, samples: &[Sample], decoders: Decoders) -> BTreeMap<String, String> {
        let names: Vec<&str> = samples.iter().map(|sample| sample.name.as_str()).collect();
        let map: Vec<String> = self.map.iter().map(|(from, to)| format!("{from} = {to}")).collect();
        let Dataset { orientation, scaling, decode, .. } = *self.dataset;
        let options = [
            ("size", self.dataset.size.map(|size| format!("{size:?}"))),
            ("fit", (scaling.fit != Fit::Exact).then(|| format!("{:?}", scaling.fit).to_lowercase())),
            ("resize", (scaling.resize != Resize::Bicubic).then(|| format!("{:?}", scaling.resize).to_lowercase())),
            ("decode", (decode != Decode::Full).then(|| format!("{decode:?}").to_lowercase())),
            ("map", (!map.is_empty()).then(|| format!("{{ {} }}", map.join(", ")))),
            ("palette", self.palette().map(|palette| self.shown(palette))),
            ("orientation", (orientation != Default::default()).then(|| format!("{orientation:?}").to_lowercase())),
            (JPEG, decoders.jpeg.map(|revision| revision.to_string())),
            (WEBP, decoders.webp.map(|revision| revision.to_string())),
            (ORDER, Some(object_of(names.join("\n").as_bytes()).0.short())),
        ];
        options.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
    }

    /// Remarks on readable images.
    ///
    /// # Errors
    /// A stage would refuse an image.
    fn check_images(&self, seen: &[Photograph<'_>]) -> Result<Vec<Problem>, Vec<Problem>> {
        let (mut errors, warnings): (Vec<Problem>, Vec<Problem>) =
            self.lost(seen).into_iter().chain(self.of_sizes(seen)).partition(Problem::is_error);
        if errors.is_empty() {
            return Ok(warnings);
        }
        // A warning may explain an error: a rotated image has another size than its label.
        errors.extend(warnings);
        Err(errors)
    }

    /// Lists the files. `lenient`: any image may lack its label.
    fn listed(&self, lenient: bool) -> Result<dataset::Listed, DatasetError> {
        let root = &self.surveyor.pipeline.root;
        dataset::list(root, &self.place, self.naming(), self.labels, &|stem| lenient || self.may_lack(stem))
    }

    fn digest(
        &self,
        samples: &[Sample],
        images: &[FileDigest],
        labels: &[FileDigest],
        decoders: Decoders,
    ) -> (ArtifactDigest, Vec<u8>) {
        let mut encoder = Encoder::new("intrada/data set/1");
        encoder.field("format", b"files").field("size", &encode_size(self.dataset.size));
        encoder.field("map", &self.map.iter().flat_map(|(from, to)| [*from, *to]).collect::<Vec<u8>>());
        // All of these are absent for older results, so that these are still found.
        if let Some(revision) = decoders.jpeg {
            encoder.field("jpeg", &revision.to_le_bytes());
        }
        if let Some(revision) = decoders.webp {
            encoder.field("webp", &revision.to_le_bytes());
        }
        if self.dataset.orientation == Orientation::Apply {
            encoder.field("orientation", b"apply");
        }
        if self.dataset.scaling.fit == Fit::Box {
            encoder.field("fit", b"box");
        }
        if self.dataset.scaling.resize == Resize::Bilinear {
            encoder.field("resize", b"bilinear");
        }
        if self.dataset.decode == Decode::Reduced {
            encoder.field("decode", b"reduced");
        }
        if let Some(palette) = self.palette() {
            let pairs = palette.pairs().iter().flat_map(|([red, green, blue], value)| [*red, *green, *blue, *value]);
            encoder.field("palette", &pairs.collect::<Vec<u8>>());
        }
        encoder.list("samples", samples.len());
        let mut lines = Vec::new();
        for (i, sample) in samples.iter().enumerate() {
            encoder.field("name", sample.name.as_bytes()).field("image", images[i].0.as_bytes());
            lines.push((sample.name.clone(), images[i].0));
            if let Some(digest) = labels.get(i) {
                encoder.field("label", digest.0.as_bytes());
                lines.push((listing::label_of(&sample.name), digest.0));
            }
        }
        (ArtifactDigest(encoder.finish()), listing::encode(lines.into_iter()))
    }

    fn naming(&self) -> &'static Naming {
        let own = || if self.palette().is_some() { &folder::PAINTED } else { &folder::NAMING };
        self.published.map_or_else(own, |published| &published.layout.naming)
    }

    /// How its labels are read.
    fn form(&self) -> Form<'_> {
        match (self.palette(), self.published.map(|published| published.layout.encoding)) {
            (Some(palette), _) => Form::Painted(palette),
            (None, Some(Encoding::Synthia16)) => Form::Synthia16,
            (None, _) => Form::Index,
        }
    }

    /// The palette, if labels are read by one.
    fn palette(&self) -> Option<&Palette> {
        Some(&self.dataset.palette).filter(|palette| self.labels && !palette.is_empty())
    }

    /// A palette as in the pipeline file.
    fn shown(&self, palette: &Palette) -> String {
        let classes = &self.surveyor.pipeline.classes;
        let class = |value: u8| classes.get(usize::from(value)).map_or(palettes::IGNORE, |class| &class.name);
        let pairs = palette
            .pairs()
            .iter()
            .map(|(colour, value)| format!("\"{}\" = \"{}\"", dataset::colours::colour(*colour), class(*value)));
        format!("{{ {} }}", pairs.collect::<Vec<_>>().join(", "))
    }

    fn may_lack(&self, stem: &str) -> bool {
        self.published.is_some_and(|published| match published.missing {
            "skip" => true,
            "known" => published.layout.is_gap(stem),
            _ => false,
        })
    }

    /// Files in the folders that are not samples.
    fn not_taken(&self, listed: &dataset::Listed) -> Vec<Problem> {
        let left_out = listed.left_out.as_ref().map(|names| self.left_out(names, listed.samples.len()));
        let passed_over = listed.passed_over.as_ref().map(|names| {
            let title = format!("`{}` skips {} of unsupported formats: {names}", self.dataset.name, names.counted());
            let label = match listed.samples.len() {
                1 => "1 image is taken".to_owned(),
                taken => format!("{taken} images are taken"),
            };
            let problem = self.read_by(Problem::warning(title).at(self.spans.images, label));
            problem.help("convert them to PNG, or name the images to take in a `list`")
        });
        left_out
            .into_iter()
            .chain(passed_over)
            .chain(dead_links(listed.dead_links.iter().cloned(), self.dataset.span))
            .chain(self.remarks(&listed.remarks))
            .collect()
    }

    fn left_out(&self, names: &dataset::Names, left: usize) -> Problem {
        let title = format!("`{}` leaves out {} without label: {names}", self.dataset.name, names.counted());
        let left = if left == 1 { "1 pair is left".to_owned() } else { format!("{left} pairs are left") };
        Problem::warning(title).at(self.dataset.span, left)
    }

    /// Remarks on the list and the labels.
    fn remarks(&self, remarks: &[dataset::Remark]) -> Vec<Problem> {
        let span = |remark: &dataset::Remark| match remark {
            dataset::Remark::Spelled { place, .. } if Some(place) == self.place.list.as_ref() => self.spans.list,
            _ => self.spans.labels,
        };
        let problem = |remark: &dataset::Remark| {
            let label = format!("data set `{}`", self.dataset.name);
            self.read_by(Problem::warning(remark.to_string()).at(span(remark), label))
        };
        remarks.iter().map(problem).collect()
    }

    fn dataset_problem(&self, error: &DatasetError) -> Problem {
        let span = match error.concerns() {
            dataset::Concerns::Images => self.spans.images,
            dataset::Concerns::Labels => self.spans.labels,
            dataset::Concerns::List => self.spans.list,
        };
        let problem = Problem::error(error.to_string()).at(span, format!("data set `{}`", self.dataset.name));
        let problem = problem.help_if(error.hint().map(str::to_owned));
        let problem = match (self.published, error) {
            (Some(Published { missing: "known", .. }), DatasetError::Unlabelled { .. }) => {
                problem.help("`missing = \"skip\"` leaves out every image without label")
            }
            (Some(published), _) if error.concerns() != dataset::Concerns::List => {
                let Published { layout, root, selection, .. } = published;
                let is_missing = matches!(error, DatasetError::Missing { .. });
                let nearby =
                    is_missing.then(|| layout.root_nearby(&self.surveyor.pipeline.root, root, selection)).flatten();
                let shown =
                    |path: &Path| if path.as_os_str().is_empty() { ".".to_owned() } else { path.display().to_string() };
                let help = nearby.map(|nearby| format!("it is in another folder: `root = \"{}\"`", shown(&nearby)));
                problem.note(layout.expectation(root, selection)).help_if(help)
            }
            _ => problem,
        };
        self.read_by(problem)
    }

    fn read_by(&self, problem: Problem) -> Problem {
        // The members of a sweep share a family, which is reported once.
        let name = |(stage, _): &(StageId, Span)| self.surveyor.pipeline.stage(*stage).family.as_str();
        let names: BTreeSet<&str> = self.readers.iter().map(name).collect();
        if names.is_empty() {
            problem
        } else {
            problem.note(format!("it is read by {}", names.into_iter().collect::<Vec<_>>().join(", ")))
        }
    }
}
