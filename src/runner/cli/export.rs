//! `export`: writes a network with model card and lineage, or predictions for a benchmark, into a new folder.

use std::path::PathBuf;

use clap::Args;
use clap::builder::{PossibleValue, PossibleValuesParser};

use super::{Answer, DONE, Refusal, Source, open, show};
use crate::export::{Error, Format, Output, Wishes, format};
use crate::kind::OutputRole;
use crate::pipeline::{OutputId, Stage, StageId, nearest};
use crate::sched::session::Session;

/// Export a trained network, or predictions for a benchmark
#[derive(Args)]
#[command(after_help = "Examples:
  intrada-run export p.toml intra out                    the last network of a training
  intrada-run export p.toml intra.best out               the best one on labelled images
  intrada-run export p.toml intra out --as onnx          one graph from pixels to classes
  intrada-run export p.toml intra out --as transformers  a SegFormer or DINOv2 for Hugging Face's transformers
  intrada-run export p.toml entropy out --as cityscapes  label ids at 2048 × 1024")]
pub(super) struct Export {
    #[command(flatten)]
    source: Source,
    /// A training or an entropy inference
    stage: String,
    /// The folder to create; may exist if it is empty
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Export format
    #[arg(long = "as", value_name = "FORMAT", default_value = format::ALL[0].name, value_parser = formats())]
    form: String,
    /// Outputs of a graph beside the classes, with --as onnx
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = outputs())]
    outputs: Vec<String>,
    /// Compute the network in half precision, with --as onnx
    #[arg(long)]
    fp16: bool,
    /// Test a graph on these images instead of drawn ones, with --as onnx
    #[arg(long, value_name = "DIR")]
    test_images: Option<PathBuf>,
    /// The former name of `--as cityscapes`
    #[arg(long, hide = true, conflicts_with = "form")]
    cityscapes_submission: bool,
}

fn formats() -> PossibleValuesParser {
    let value = |format: &&Format| PossibleValue::new(format.name).aliases(format::former(format)).help(format.about);
    format::ALL.iter().map(value).collect::<Vec<_>>().into()
}

fn outputs() -> PossibleValuesParser {
    Output::ALL.map(|output| PossibleValue::new(output.name())).into()
}

impl Export {
    /// What is wanted of a graph.
    ///
    /// # Errors
    /// The format is none.
    fn wishes(&self, format: &Format) -> Result<Wishes, Refusal> {
        let is_named = |output: &Output| self.outputs.iter().any(|name| name == output.name());
        let outputs: Vec<Output> = Output::ALL.into_iter().filter(is_named).collect();
        let wishes = Wishes { outputs, half: self.fp16, test_images: self.test_images.clone() };
        if !format.is_graph && wishes != Wishes::default() {
            let text = "--outputs, --fp16 and --test-images are for graphs: add --as onnx".to_owned();
            return Err(Refusal::Usage(text));
        }
        Ok(wishes)
    }

    pub(super) fn answer(self) -> Answer {
        let mut session = self.source.open_results()?;
        let name = if self.cityscapes_submission { "cityscapes" } else { &self.form };
        let format = format::named(name).expect("the command line takes these names alone");
        let wishes = self.wishes(format)?;
        let output = output(&session, &self.stage, format, in_another_format)?;
        let written = (format.write)(&mut session, output, &self.folder, &wishes);
        open::tell_not_here(&session);
        let written = written?;
        let told: String = written.iter().map(|line| format!("{line}\n")).collect();
        show(&told)?;
        Ok(DONE)
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Refusal {
        match error {
            Error::Sources(problems) => Refusal::Problems(problems),
            Error::Predict(error) => error.into(),
            error @ (Error::Store(_) | Error::Io { .. } | Error::Disagrees { .. }) => Refusal::Other(error.into()),
            error => Refusal::Usage(error.to_string()),
        }
    }
}

/// The output of a name: `intra` means its last weights, `intra.best` its best ones.
/// `otherwise`: what else can be done with a stage that has none, to be added to the message.
pub(super) fn output(
    session: &Session,
    name: &str,
    format: &Format,
    otherwise: fn(&Stage) -> Option<String>,
) -> Result<OutputId, Refusal> {
    let (stage, typed) = match name.rsplit_once('.') {
        // A coordinate of a sweep may contain dots, so the whole name is tried first.
        Some((stage, output)) if session.pipeline.select(name).is_empty() => {
            (open::stage(session, stage)?, Some(output))
        }
        _ => (open::stage(session, name)?, None),
    };
    find(session, stage, typed, format.exports).ok_or_else(|| {
        let stage = session.pipeline.stage(stage);
        if let Some(text) = typed.and_then(|typed| absent(stage, typed)) {
            return Refusal::Usage(text);
        }
        let kind = stage.kind.name;
        let other = otherwise(stage).unwrap_or_default();
        Refusal::Usage(format!(
            "`{name}` of kind {kind} has no {}; name {}{other}",
            format.exports.words(),
            format.stage
        ))
    })
}

/// How a stage without what was wanted can be exported, if it can.
fn in_another_format(stage: &Stage) -> Option<String> {
    let gives = |other: &&&Format| stage.outputs.iter().any(|output| output.role == other.exports);
    format::ALL.iter().find(gives).map(|other| format!(", or use --as {}", other.name))
}

/// Why the stage has no output of this name; `None` if it has one.
fn absent(stage: &Stage, typed: &str) -> Option<String> {
    let name = &stage.name;
    if stage.outputs.iter().any(|output| output.name == typed) {
        return None;
    }
    let of_kind = stage.kind.outputs.iter().find(|output| output.name == typed);
    Some(match of_kind.and_then(|output| output.only) {
        Some(only) if typed == "teacher" => {
            format!(
                "`{name}` has no teacher; set its `{} = true` and run it, or name the network itself: `{name}`",
                only.key
            )
        }
        Some(only) if of_kind.is_some_and(|output| output.by_name) => format!(
            "`{name}` has no best network, as it has no labelled images to choose one on; set its `{}` and run it, or name the \
             last network: `{name}`",
            only.key
        ),
        Some(only) => format!("`{name}` has no output `{typed}`: that needs another `{}`", only.key),
        None => {
            let names = || stage.outputs.iter().map(|output| output.name.as_str());
            let near = nearest(typed, names()).map(|near| format!("did you mean `{name}.{near}`?"));
            let all = || format!("its outputs are {}", names().collect::<Vec<_>>().join(", "));
            format!("`{name}` has no output `{typed}`; {}", near.unwrap_or_else(all))
        }
    })
}

fn find(session: &Session, stage: StageId, typed: Option<&str>, wanted: OutputRole) -> Option<OutputId> {
    let outputs = session.pipeline.stage(stage).outputs.iter();
    let place = outputs
        .enumerate()
        .find(|(_, output)| output.role == wanted && typed.map_or(!output.by_name, |typed| typed == output.name));
    place.map(|(output, _)| OutputId { stage, output })
}
