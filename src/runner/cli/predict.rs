//! `predict`: class maps and other pictures of any images, by a trained network.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use clap::builder::{PossibleValue, PossibleValuesParser};
use intrada_picture::PIXELS_AT_MOST;

use super::counting::Counting;
use super::report::seen_from_here;
use super::{
    Answer, DONE, Format, INTERRUPTED, Options, Refusal, STAGE_FAILED, Source, export, open, place, show, show_json,
};
use crate::exec::control::Control;
use crate::exec::job::predict::{Image, Output};
use crate::exec::local::signals;
use crate::export::format;
use crate::measures::{count, plural};
use crate::predict::folder::{Fault, Folder};
use crate::predict::images::{self, Found};
use crate::predict::network::Network;
use crate::predict::{self, Ended, Error, Seeing, Size, Wanted, exported};

/// Predict images with a trained network
#[derive(Args)]
#[command(
    override_usage = "intrada-run predict PIPELINE.toml STAGE IMAGES… --out DIR [OPTIONS]\n       intrada-run predict EXPORTED IMAGES… --out DIR [OPTIONS]",
    after_help = "Resumes where it was stopped, and skips images that are done. Exit status 1 if an image failed.

Examples:
  intrada-run predict p.toml intra photos/ --out out           by the last network of a training
  intrada-run predict p.toml inter.best photos/ --out out      by its best one; also inter.teacher
  intrada-run predict exported a.jpg b.tif --out out --outputs classes,overlay,entropy"
)]
pub(super) struct Predict {
    /// A network (a pipeline file and a training, or an exported folder), then images and folders of images
    #[arg(value_name = "NETWORK IMAGES", required = true, num_args = 1..)]
    words: Vec<PathBuf>,
    /// Folder for the predictions; new, empty, or one of this network's predictions
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Pictures to write of each image, at its own size
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "classes", value_parser = outputs())]
    outputs: Vec<String>,
    /// Size at which the network sees images: trained, own, or WIDTHxHEIGHT
    #[arg(long, default_value = "trained", value_parser = size)]
    size: Size,
    /// Window for all images; default: 1024x1024 for those above 2048 × 2048 pixels
    #[arg(long, value_name = "WxH", value_parser = pair)]
    window: Option<[u32; 2]>,
    /// From one window to the next; default: three quarters of it
    #[arg(long, value_name = "XxY", value_parser = pair)]
    stride: Option<[u32; 2]>,
    /// Take the mean with the mirror image; twice the time
    #[arg(long)]
    flip_test: bool,
    /// Write into a folder with other files, or predict all images again
    #[arg(long)]
    overwrite: bool,
    /// Device: auto, cpu, cuda, cuda:1
    #[arg(long, default_value = "auto", value_parser = place::named)]
    device: String,
    /// CPU threads; default: all cores
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,
    /// Override a value of the file, as in stages.rank.lambda=0.6; TOML syntax
    #[arg(long, value_name = "PATH=VALUE")]
    set: Vec<String>,
    /// Cache folder; default: cache/ in the workspace; also INTRADA_CACHE
    #[arg(long, value_name = "DIR")]
    cache: Option<PathBuf>,
    /// Output format
    #[arg(long, default_value = "text")]
    format: Format,
}

fn outputs() -> PossibleValuesParser {
    Output::ALL.map(|output| PossibleValue::new(output.name())).into()
}

fn size(text: &str) -> Result<Size, String> {
    match text {
        "trained" => Ok(Size::Trained),
        "own" => Ok(Size::Own),
        _ => match pair(text) {
            Ok([width, height]) if u64::from(width) * u64::from(height) > PIXELS_AT_MOST => {
                Err(format!("an image has at most {PIXELS_AT_MOST} pixels"))
            }
            Ok(size) => Ok(Size::Given(size)),
            Err(_) => Err("expected trained, own, or WIDTHxHEIGHT as in 1024x512".to_owned()),
        },
    }
}

/// Two sides in pixels.
fn pair(text: &str) -> Result<[u32; 2], String> {
    let sides = text.split_once(['x', ',', '×']);
    let sides = sides.and_then(|(a, b)| Some([a.trim().parse().ok()?, b.trim().parse().ok()?]));
    // As large as an image may be.
    sides
        .filter(|sides: &[u32; 2]| sides.iter().all(|side| (1..=1 << 20).contains(side)))
        .ok_or("expected two numbers of pixels, as in 1024x512".to_owned())
}

impl Predict {
    pub(super) fn answer(self) -> Answer {
        let seeing = self.seeing()?;
        let outputs: Vec<Output> =
            Output::ALL.into_iter().filter(|output| self.outputs.iter().any(|name| name == output.name())).collect();
        let (network, places) = self.network()?;
        predict::check(&network, &outputs, &seeing)?;
        let Found { images, others, circles, predictions, refused } =
            images::find(places, &self.out).map_err(Error::from)?;
        if others > 0 {
            talk!("note: left out {} with names that don't end as those of images do", plural(others, "file"));
        }
        if circles > 0 {
            talk!("note: left out {} to a folder that contains it", plural(circles, "link"));
        }
        if predictions > 0 {
            talk!("note: left out {} with predictions", plural(predictions, "folder"));
        }
        let settings = predict::settings(&network, &seeing);
        let mut folder = Folder::open(&self.out, &network.name, settings, &outputs, self.overwrite)?;
        let control = Arc::<Control>::default();
        stop_on_signals(Arc::clone(&control));
        let threads = self.threads.map_or_else(predict::all_cores, u32::from);
        let wanted = Wanted { network: &network, images: &images, device: &self.device, threads };
        let mut counting = Counting::new(self.format == Format::Json);
        let ended = predict::predict(&wanted, &mut folder, &control, &mut |progress| counting.show(progress));
        counting.finish();
        let mut ended = ended?;
        let refused = refused.into_iter().map(|(path, reason)| (path.display().to_string(), reason));
        ended.failed = refused.chain(named(&images, ended.failed)).collect();
        self.report(&ended, &folder)?;
        Ok(match ended {
            _ if ended.interrupted => INTERRUPTED,
            _ if !ended.failed.is_empty() => STAGE_FAILED,
            _ => DONE,
        })
    }

    fn seeing(&self) -> Result<Seeing, Refusal> {
        let Predict { size, window, stride, flip_test, .. } = *self;
        let largest = window.unwrap_or(predict::WINDOW);
        if let Some(stride) = stride.filter(|stride| (0..2).any(|axis| stride[axis] > largest[axis])) {
            let text = format!(
                "a stride of {stride:?} is more than the window of {largest:?}, so that pixels would not be seen"
            );
            return Err(Refusal::Usage(text));
        }
        Ok(Seeing { size, window, stride, flip_test })
    }

    /// The network, and the words that follow it.
    fn network(&self) -> Result<(Network, &[PathBuf]), Refusal> {
        let (first, rest) = self.words.split_first().expect("clap requires a word");
        if first.is_dir() {
            let network = exported::network(first).map_err(Error::from)?;
            return Ok((network, some(rest, "after the exported folder")?));
        }
        let Some((stage, rest)) = rest.split_first() else {
            let text = format!(
                "name a stage after {}, then images: intrada-run predict p.toml intra photos/ --out out",
                first.display()
            );
            return Err(Refusal::Usage(text));
        };
        let options = Options { set: self.set.clone(), cache: self.cache.clone(), ..Options::default() };
        let source = Source { file: first.clone(), options };
        let mut session = source.open_results()?;
        let name = stage.to_string_lossy();
        if session.pipeline.select(&name).is_empty() && stage.exists() {
            let names: Vec<&str> = session.pipeline.stages.iter().map(|stage| stage.name.as_str()).take(8).collect();
            let text = format!("name a stage of {} before the images; there are {}", first.display(), names.join(", "));
            return Err(Refusal::Usage(text));
        }
        let output = export::output(&session, &name, format::ALL[0], |_| None)?;
        let network = Network::of_stage(&mut session, output, &name);
        open::tell_not_here(&session);
        Ok((network?, some(rest, "after the stage")?))
    }

    fn report(&self, ended: &Ended, folder: &Folder) -> Result<(), Refusal> {
        if self.format == Format::Json {
            let failed =
                ended.failed.iter().map(|(image, reason)| serde_json::json!({"image": image, "reason": reason}));
            let answer = serde_json::json!({
                "folder": folder.path(),
                "predicted": ended.predicted,
                "up_to_date": ended.up_to_date,
                "in_windows": ended.in_windows,
                "failed": failed.collect::<Vec<_>>(),
                "interrupted": ended.interrupted,
            });
            return show_json(&format!("{answer}\n"));
        }
        for (image, reason) in &ended.failed {
            talk!("failed: {image}: {reason}");
        }
        for (what, images) in &ended.dropped {
            talk!("note: {}: {what}", plural(*images, "image"));
        }
        if ended.in_windows > 0 {
            let settings = folder.settings();
            let [window, stride] = [settings.window, settings.stride].map(|[x, y]| format!("{x} × {y}"));
            talk!(
                "note: {} seen through windows of {window} every {stride} pixels",
                plural(ended.in_windows, "large image")
            );
        }
        let failed = ended.failed.len();
        let counts = [(ended.predicted, "predicted"), (ended.up_to_date, "up to date"), (failed, "failed")];
        let counts: Vec<String> = counts
            .iter()
            .filter(|(number, _)| *number > 0)
            .map(|(number, what)| format!("{} {what}", count(*number as u64)))
            .collect();
        let state = if ended.interrupted { "interrupted, the same command resumes: " } else { "" };
        show(&format!("{state}{}\n{}\n", counts.join(", "), seen_from_here(folder.path()).display()))
    }
}

/// The images' own paths in place of the names of their outputs, by which the images are sorted.
fn named<'a>(images: &'a [Image], failed: Vec<(String, String)>) -> impl Iterator<Item = (String, String)> + use<'a> {
    failed.into_iter().map(|(name, reason)| {
        let place = images.binary_search_by(|image| image.name.cmp(&name));
        (place.map_or(name, |place| seen_from_here(&images[place].path).display().to_string()), reason)
    })
}

fn some<'a>(images: &'a [PathBuf], place: &str) -> Result<&'a [PathBuf], Refusal> {
    if images.is_empty() {
        Err(Refusal::Usage(format!("name images, or folders of images, {place}")))
    } else {
        Ok(images)
    }
}

/// The first signal lets the worker finish its image, the second ends it.
pub(super) fn stop_on_signals(control: Arc<Control>) {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    let heeded = signals::heeded(&[SIGINT, SIGTERM, SIGHUP]);
    if let Ok(mut signals) = signal_hook::iterator::Signals::new(heeded) {
        std::thread::spawn(move || {
            for (before, _) in signals.forever().enumerate() {
                match before {
                    0 => control.stop(),
                    _ => control.kill(),
                }
            }
        });
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Refusal {
        match error {
            Error::Sources(problems) => Refusal::Problems(problems),
            error @ (Error::Store(_) | Error::Io { .. } | Error::Worker { .. } | Error::Folder(Fault::Busy { .. })) => {
                Refusal::Other(error.into())
            }
            error => Refusal::Usage(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_words_or_two_numbers() {
        assert_eq!(size("own"), Ok(Size::Own));
        assert_eq!(size("1024x512"), Ok(Size::Given([1024, 512])));
        assert_eq!(pair("1024,512"), Ok([1024, 512]));
        for wrong in ["", "1024", "0x5", "axb", "-1x2", "4294967296x1"] {
            assert!(pair(wrong).is_err() && size(wrong).is_err(), "{wrong}");
        }
        assert!(size("100000x100000").is_err(), "more than any image");
    }
}
