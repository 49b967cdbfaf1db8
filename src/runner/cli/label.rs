//! `label`: chooses images of a target to label, for a label tool; and reads what the tool exports as a data set.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use clap::builder::{PossibleValue, PossibleValuesParser};

use super::counting::Counting;
use super::predict::stop_on_signals;
use super::report::seen_from_here;
use super::{Answer, DONE, Format, INTERRUPTED, Options, Refusal, Source, export, open, place, show, show_json};
use crate::exec::control::Control;
use crate::export::format as exports;
use crate::label::folder::{Description, LABELS};
use crate::label::format::{self, Format as Form};
use crate::label::mixture::{Mixture, Rule};
use crate::label::read;
use crate::label::taken::{self, Taken};
use crate::label::{self, Error, Wanted};
use crate::measures::{count, plural};
use crate::pipeline::chosen::{LABELLED, NOT_RANDOM, RANDOM};
use crate::pipeline::{Pipeline, load};
use crate::predict;

/// Choose target images to label, and read the labels back
#[derive(Args)]
#[command(
    override_usage = "intrada-run label PIPELINE.toml --out DIR [OPTIONS]\n       intrada-run label --read EXPORT --out DIR [OPTIONS]",
    after_help = "Rules: random (each image alike; only these give an estimate of mIoU for all),
uncertain (highest mean entropy: where the network fails), diverse (unlike each
other and what is labelled: rare views). Labelled images are not chosen again.

Examples:
  intrada-run label p.toml --count 20 --out to-label
  intrada-run label p.toml --by random=10,uncertain=5,diverse=5 --out to-label
  intrada-run label --read export.zip --out to-label"
)]
pub(super) struct Label {
    /// The pipeline file; with --read only for its classes
    #[arg(value_name = "PIPELINE.toml", required_unless_present = "read")]
    file: Option<PathBuf>,
    /// Folder for the images; with --read, that of the images
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Images to choose; default: 20
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..), conflicts_with = "read")]
    count: Option<u32>,
    /// Rules, shared alike or with numbers
    #[arg(long, value_name = "RULES", default_value = "random", conflicts_with = "read")]
    by: String,
    /// Seed of the random draw; default: that of the pipeline
    #[arg(long, value_name = "N", conflicts_with = "read")]
    seed: Option<u64>,
    /// Network for masks and entropies; default: the last that adapts
    #[arg(long, value_name = "NAME", conflicts_with = "read")]
    stage: Option<String>,
    /// Data set to choose from; default: that network's target
    #[arg(long, value_name = "NAME", conflicts_with = "read")]
    dataset: Option<String>,
    /// Tool to write files for: cvat, label-studio, or both
    #[arg(long = "for", value_name = "TOOL", default_value = BOTH, value_parser = tools(), conflicts_with = "read")]
    #[arg(hide_possible_values = true)]
    tool: String,
    /// An earlier DIR whose images are not chosen again; may be repeated
    #[arg(long, value_name = "DIR", conflicts_with = "read")]
    not_in: Vec<PathBuf>,
    /// What the tool exported: an archive, its folder, or JSON
    #[arg(long, value_name = "EXPORT")]
    read: Option<PathBuf>,
    /// A label that is no class, to be left unlabelled; may be repeated
    #[arg(long, value_name = "LABEL", requires = "read")]
    ignore: Vec<String>,
    /// Replace labels that were read before
    #[arg(long, requires = "read")]
    overwrite: bool,
    /// Device: auto, cpu, cuda, cuda:1
    #[arg(long, default_value = "auto", value_parser = place::named)]
    device: String,
    /// CPU threads; default: all cores
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,
    /// Override a value of the file, as in pipeline.seed=2
    #[arg(long, value_name = "PATH=VALUE")]
    set: Vec<String>,
    /// Cache folder; also INTRADA_CACHE
    #[arg(long, value_name = "DIR")]
    cache: Option<PathBuf>,
    /// Output format
    #[arg(long, default_value = "text")]
    format: Format,
}

/// The name for all formats.
const BOTH: &str = "both";

fn tools() -> PossibleValuesParser {
    let all = PossibleValue::new(BOTH).help("all of them");
    let each = format::ALL.iter().map(|format| PossibleValue::new(format.name).help(format.about));
    each.chain([all]).collect::<Vec<_>>().into()
}

impl Label {
    pub(super) fn answer(self) -> Answer {
        match (&self.read, &self.file) {
            (Some(export), _) => self.read_back(export),
            (None, Some(file)) => self.choose(file),
            (None, None) => unreachable!("clap requires one of them"),
        }
    }

    fn choose(&self, file: &Path) -> Answer {
        let by = Mixture::parse(&self.by, self.count.map(|count| count as usize)).map_err(Refusal::Usage)?;
        let options = Options { set: self.set.clone(), cache: self.cache.clone(), ..Options::default() };
        let source = Source { file: file.to_owned(), options };
        let mut session = source.open_results()?;
        let network = match &self.stage {
            Some(name) => Some((export::output(&session, name, exports::ALL[0], |_| None)?, name.clone())),
            None => None,
        };
        let taken = taken::take(&mut session, network, self.dataset.as_deref())?;
        let is_json = self.format == Format::Json;
        taken.said.iter().for_each(|line| talk!("note: {line}"));
        let formats: Vec<&'static Form> = match format::named(&self.tool) {
            Some(format) => vec![format],
            None => format::ALL.to_vec(),
        };
        let wanted = Wanted {
            taken: &taken,
            by,
            seed: self.seed.unwrap_or(session.pipeline.seed),
            not_in: &self.not_in,
            formats: &formats,
            folder: &self.out,
            device: &self.device,
            threads: self.threads.map_or_else(predict::all_cores, u32::from),
        };
        let control = Arc::<Control>::default();
        stop_on_signals(Arc::clone(&control));
        let mut counting = Counting::new(is_json);
        let ended = label::choose(&mut session, &wanted, &control, &mut |progress| counting.show(progress));
        counting.finish();
        open::tell_not_here(&session);
        let label::Ended { description, was_done, notes } = match ended {
            Err(Error::Interrupted) => {
                talk!("{}", Error::Interrupted);
                return Ok(INTERRUPTED);
            }
            ended => ended?,
        };
        notes.iter().for_each(|note| talk!("note: {note}"));
        if is_json {
            let folder = seen_from_here(&std::path::absolute(&self.out).unwrap_or_else(|_| self.out.clone()));
            let answer = serde_json::json!({"folder": folder, "up_to_date": was_done, "choice": description});
            show_json(&format!("{answer}\n"))?;
        } else {
            show(&self.chosen(&taken, &description, was_done))?;
        }
        Ok(DONE)
    }

    fn chosen(&self, taken: &Taken, description: &Description, was_done: bool) -> String {
        let out = self.out.display();
        if was_done {
            return format!("{out} is up to date: {} images\n", description.images.len());
        }
        let before = match description.labelled_before {
            0 => String::new(),
            before => {
                let by: Vec<&str> = description.labelled_by.iter().map(String::as_str).collect();
                format!("; {} {}, in {}", count(before as u64), left_out(description), by.join(", "))
            }
        };
        let pool = count(description.pool as u64);
        let mut text = format!("{} of {pool} images of `{}`{before}\n", description.images.len(), taken.dataset_name);
        for (rule, number) in description.asked.by.parts() {
            let how = match rule {
                Rule::Random => format!("drawn at random with seed {}", description.asked.seed),
                Rule::Uncertain => format!("by the highest mean entropy, {}", description.entropy),
                Rule::Diverse => "unlike each other, by what the network sees where".to_owned(),
            };
            text += &format!("  {:<10}{number:>4}  {how}\n", rule.name());
        }
        text + &format!("next steps: {out}/README.txt\n")
    }

    fn read_back(&self, export: &Path) -> Answer {
        let pipeline = self.file.as_ref().map(|file| load(file, &self.set)).transpose()?;
        let classes =
            pipeline.as_ref().map(|pipeline| pipeline.classes.iter().map(|class| class.name.clone()).collect());
        let wanted =
            read::Wanted { export, folder: &self.out, classes, ignore: &self.ignore, overwrite: self.overwrite };
        let ended = read::read(&wanted)?;
        for (what, files) in [
            ("left out, as they were not chosen into this folder", &ended.foreign),
            ("without any labelled pixel, so left without labels", &ended.empty),
            ("without any labelled pixel, so the labels read before are removed", &ended.removed),
            ("without any labelled pixel; the labels read before stay, --overwrite removes them", &ended.kept),
            ("exactly what the network saw; was it looked at?", &ended.unchanged),
        ] {
            if !files.is_empty() {
                talk!("note: {} {what}: {}", plural(files.len(), "image"), read::some(files));
            }
        }
        ended.notes.iter().for_each(|note| talk!("note: {note}"));
        for (label, pixels) in &ended.ignored_labels {
            talk!("note: {} pixels of the label `{label}` are left unlabelled", count(*pixels));
        }
        let [drawn, labelled] = ended.random;
        if (1..drawn).contains(&labelled) {
            talk!(
                "note: {labelled} of the {drawn} images drawn at random have labels, so there is no {RANDOM} yet: a part of \
                 them is no random sample"
            );
        }
        if self.format == Format::Json {
            let lists: serde_json::Map<String, serde_json::Value> =
                ended.lists.iter().map(|(name, images)| ((*name).to_owned(), (*images).into())).collect();
            let answer = serde_json::json!({
                "folder": self.out, "format": ended.format, "written": ended.written, "same": ended.same,
                "labelled": ended.labelled, "images": ended.images, "pixels": ended.pixels, "ignored_pixels": ended.ignored,
                "ignored_labels": ended.ignored_labels, "unchanged": ended.unchanged, "empty": ended.empty,
                "removed": ended.removed, "kept": ended.kept, "foreign": ended.foreign, "notes": ended.notes,
                "lists": lists,
            });
            return show_json(&format!("{answer}\n")).map(|()| DONE);
        }
        show(&self.read_and(&ended, pipeline.as_ref()))?;
        Ok(DONE)
    }

    fn read_and(&self, ended: &read::Ended, pipeline: Option<&Pipeline>) -> String {
        let same = if ended.same > 0 { format!(", {} as before", ended.same) } else { String::new() };
        let percent = 100.0 * ended.ignored as f64 / ended.pixels.max(1) as f64;
        let empty = match ended.without_labels() {
            0 => String::new(),
            images => format!("; {} came back without any label", plural(images, "image")),
        };
        let mut text = format!(
            "{} written{same}; {} of {} images have labels; {percent:.1} % of the pixels read have none{empty}\n",
            plural(ended.written, "label"),
            ended.labelled,
            ended.images
        );
        if ended.lists.is_empty() {
            return text
                + "\nThere is nothing for the pipeline file yet, as no image has a label: label images in the tool, save or submit \
                   them there, export again, and read that export\n";
        }
        let Some(description) = &ended.description else { return text };
        let root = std::path::absolute(&self.out).unwrap_or_else(|_| self.out.clone());
        // Else absolute: where the pipeline file will be isn't known, and its paths are relative to its workspace.
        let below = pipeline.and_then(|pipeline| root.strip_prefix(&pipeline.root).ok()).map(Path::to_owned);
        let root = below.unwrap_or(root);
        text += "\nFor the pipeline file:\n";
        for (name, list) in [("labelled", LABELLED), ("random", RANDOM), ("not-random", NOT_RANDOM)] {
            if ended.lists.iter().any(|(written, _)| *written == list) {
                text += &format!("\n{}", read::dataset(description, &root.to_string_lossy(), name, list));
            }
        }
        text + &format!("\nlabels: {}\n", self.out.join(LABELS).display())
    }
}

/// What the images are that could not be chosen.
fn left_out(description: &Description) -> &'static str {
    let is_folder = |by: &String| description.asked.not_in.iter().any(|folder| folder.display().to_string() == *by);
    let by_folders = description.labelled_by.iter().filter(|by| is_folder(by)).count();
    match by_folders {
        0 => "labelled already",
        all if all == description.labelled_by.len() => "chosen before",
        _ => "labelled already or chosen before",
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Refusal {
        match error {
            Error::Predict(error) => error.into(),
            error @ Error::Io { .. } => Refusal::Other(error.into()),
            error => Refusal::Usage(error.to_string()),
        }
    }
}
