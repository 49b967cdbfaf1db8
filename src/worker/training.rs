//! Both trainings: a job's parameters become the settings of the one adaptation loop.
//!
//! Decides nothing about the method. What differs between inter and intra training is which images play the source and which
//! the target, and that is settled by their kinds' files.

use std::num::NonZeroUsize;
use std::path::Path;

use intrada_data::DataError;
use intrada_data::augment::Augment;
use intrada_data::order::Order;
use intrada_data::source::{LabelUse, Source};
use intrada_ml::adapt::{
    self, AdaptError, Adversary, Augmentation, Companions, Control, DiscriminatorInit, FeatureDistance,
    GeneratorOptimizer, Given, Init, LevelWeights, Loss, Masked, MaskedImages, Mean, Method, Mixed, Observer, Outcome,
    Precision, Progress, Settings, Teacher, Terms, Warmup,
};
use intrada_ml::checkpoint::{Member, Restored};
use intrada_ml::cpu;
use intrada_ml::data::Batches;
use intrada_ml::data::loader::{self, Loader, Part};
use intrada_ml::equations::Gan;
use intrada_ml::network::Network;
use intrada_ml::optim::{DecoupledDecay, Repeats};
use intrada_runner::exec::job::{Event, iterations_kept};
use intrada_runner::kind::losses::LOSSES;
use intrada_work::log::log;
use intrada_work::work::{CHANGED_BACK, ITERATIONS, say};
use intrada_work::{Failure, Notes, Work};
use serde::Deserialize;

use crate::candidates::{CandidateKeys, Candidates};
use crate::course::Course;
use crate::device::{self, GpuKeys};
use crate::labelled::{Labelled, LabelledKeys};
use crate::measure::Subject;
use crate::model::{Model, log_restored};
use crate::pace::{self, Pace};
use crate::snapshots::Snapshots;
use crate::validation::Validation;

/// Progress is said at most so often; a network as small as the quickstart's does dozens of iterations a second.
const PROGRESS_INTERVAL: std::time::Duration = std::time::Duration::from_millis(250);

/// The keys of a training as they arrive. Those that a method or optimiser doesn't have are absent.
#[derive(Deserialize)]
struct Parameters {
    #[serde(flatten)]
    model: Model,
    /// Which network of the file that the model begins with.
    #[serde(rename = "model.part")]
    init_part: Option<Member>,
    method: Method,
    iterations: u64,
    schedule_iterations: u64,
    power: f64,
    batch: NonZeroUsize,
    order: Order,
    seed: u64,
    optimizer: Optimizer,
    learning_rate: f64,
    head_factor: f64,
    momentum: Option<f64>,
    weight_decay: Option<f64>,
    no_decay: Option<Vec<String>>,
    parameter_repeats: Option<Repeats>,
    betas: Option<(f64, f64)>,
    warmup_iterations: u64,
    warmup_ratio: f64,
    clip_gradient: Option<f64>,
    cross_entropy_mean: Mean,
    segmentation_weight: f64,
    segmentation_weight_aux: f64,
    entropy_weight: Option<f64>,
    entropy_weight_aux: Option<f64>,
    adversarial_weight: Option<f64>,
    adversarial_weight_aux: Option<f64>,
    discriminator_learning_rate: Option<f64>,
    discriminator_betas: Option<(f64, f64)>,
    gan: Option<Gan>,
    discriminator_width: Option<i64>,
    mixed: bool,
    mixed_weight: Option<f64>,
    masked: bool,
    masked_images: Option<MaskedImages>,
    masked_block: Option<i64>,
    masked_ratio: Option<f64>,
    masked_weight: Option<f64>,
    teacher: bool,
    teacher_alpha: Option<f64>,
    teacher_threshold: Option<f64>,
    strong_colour_probability: Option<f64>,
    strong_colour_strength: Option<f64>,
    strong_blur_probability: Option<f64>,
    strong_blur_sigma: Option<(f64, f64)>,
    feature_distance: bool,
    feature_distance_weight: Option<f64>,
    feature_distance_share: Option<f64>,
    flip: bool,
    crop: Option<[usize; 2]>,
    colour_jitter: f32,
    crop_max_share: Option<f64>,
    #[serde(flatten)]
    labelled: LabelledKeys,
    precision: Precision,
    #[serde(flatten)]
    gpu: GpuKeys,
    checkpoint_every: Option<u64>,
    evaluate_every: Option<u64>,
    #[serde(flatten)]
    candidates: CandidateKeys,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Optimizer {
    Sgd,
    Adam,
    AdamW,
}

/// Trains on the data sets `own`, which have labels, and adapts to `target`, of which none are read.
pub(crate) fn train(work: &Work, own: Vec<Source>, target: Option<&Source>) -> Result<Notes, Failure> {
    let parameters: Parameters = work.parameters()?;
    parameters.gpu.apply(device::of(&work.job));
    let labelled = Labelled::new(work, own, &parameters.labelled)?;
    let network = parameters.model.fresh(work, parameters.seed, parameters.precision.kind())?;
    let mut notes = Notes::new();
    labelled.note(work, &mut notes)?;
    if let Some(init) = init(work, parameters.init_part) {
        notes.insert("init".to_owned(), log_restored(&load(work, &parameters.model, &init, network.as_ref())?));
    }
    notes.insert("instruction_set".to_owned(), over_attempts(&work.job.slot, &cpu::instruction_set()));
    let companions = Beside::build(work, &parameters)?;
    let given = choices(work)?;
    let labels = LabelUse::Required { classes: work.class_count()? };
    let open_source = |from: u64| open(&parameters, &labelled.parts(), labels, Side::Source, from);
    let open_target = |from: u64| match target {
        Some(target) => open(&parameters, &[Part::whole(target)], LabelUse::Ignored, Side::Target, from),
        None => Err(DataError::Settings("there is no target".to_owned())),
    };
    let run = adapt::Run {
        network: network.as_ref(),
        companions: companions.borrowed(),
        normalization: parameters.model.arch.normalization(),
        given: given.as_ref(),
        source: &open_source,
        target: target.map(|_| &open_target as adapt::Open),
        discriminator_init: discriminator_init(work),
        slot: &work.job.slot,
        staging: &work.job.staging,
    };
    let settings = settings(work, &parameters)?;
    let (normalization, kind) = (parameters.model.arch.normalization(), parameters.precision.kind());
    let subject = Subject { name: &work.job.stage, network: network.as_ref(), normalization, kind };
    let looks = Looks {
        snapshots: Snapshots::new(work, subject, target.unwrap_or(labelled.first()))?,
        validation: parameters.evaluate_every.map(|every| Validation::new(work, subject, every)),
        candidates: Candidates::new(work, subject, parameters.candidates)?,
        failure: None,
    };
    let speaker = Speaker { last: None, first: true, work };
    let mut watch = Watch { work, looks, speaker, course: Course::new(&work.job), pace: Pace::new() };
    match adapt::adapt(&run, &settings, &mut watch).map_err(advised)? {
        Outcome::Interrupted { iteration } => match watch.looks.failure {
            None | Some(Failure::Interrupted { .. }) => Err(Failure::Interrupted { at: iteration }),
            Some(failed) => Err(failed),
        },
        Outcome::Finished => {
            if let Some(words) = watch.pace.in_words(settings.precision, pace::card(device::of(&work.job)).as_deref()) {
                log(&words);
            }
            watch.looks.finish(&mut notes)?;
            let mut summary = format!("{} iterations", settings.iterations);
            if parameters.feature_distance && note_of_distance(work, settings.iterations, &mut notes)? == 0 {
                summary += ", none with a feature distance";
            }
            notes.insert("summary".to_owned(), summary);
            Ok(notes)
        }
    }
}

/// Notes in how many iterations there was a feature distance, and gives their number. If there was none, it did nothing.
fn note_of_distance(work: &Work, iterations: u64, notes: &mut Notes) -> Result<usize, Failure> {
    let losses = std::fs::read_to_string(work.job.staging.join("losses.jsonl"))?;
    let key = format!("\"{}\"", Loss::FeatureDistance);
    let with = losses.lines().filter(|line| line.contains(&key)).count();
    notes.insert("feature_distance".to_owned(), format!("in {with} of {iterations} iterations"));
    if with == 0 {
        work.warn(
            "there was no feature distance in any iteration, as no cell of the source showed a thing; larger images or a smaller \
             `feature_distance_share` help"
                .to_owned(),
        );
    }
    Ok(with)
}

/// Reads the files of first weights that the job names, as [`train`] does.
pub(crate) fn try_weights(work: &Work) -> Result<(), Failure> {
    let parameters: Parameters = work.parameters()?;
    let network = parameters.model.fresh(work, parameters.seed, parameters.precision.kind())?;
    if let Some(init) = init(work, parameters.init_part) {
        load(work, &parameters.model, &init, network.as_ref())?;
    }
    if work.optional_file("weights").is_some() && work.optional_file("model.init").is_some() {
        reference(work, &parameters)?;
    }
    if let Some(init) = discriminator_init(work) {
        adapt::try_discriminators(network.as_ref(), &settings(work, &parameters)?, &init)?;
    }
    Ok(())
}

/// The instructions that this attempt computes with, after those of the attempts that it goes on from: a training that began on
/// another CPU is neither's alone.
fn over_attempts(slot: &Path, set: &str) -> String {
    let file = slot.join("instruction_sets");
    let goes_on = iterations_kept(slot).is_some();
    let before = if goes_on { std::fs::read_to_string(&file).unwrap_or_default() } else { String::new() };
    let mut all: Vec<&str> = before.lines().collect();
    if all.last() != Some(&set) {
        all.push(set);
    }
    // A note is not worth a training.
    let _ = std::fs::write(&file, all.join("\n"));
    all.join(", then ")
}

/// What to do about a training that went astray.
fn advised(error: AdaptError) -> Failure {
    match error {
        AdaptError::LossNotFinite { .. } | AdaptError::StateNotFinite { .. } => {
            Failure::advised(error.to_string(), "running it again gives the same error; try a lower `learning_rate`")
        }
        AdaptError::PartialCells { stride, .. } => Failure::advised(
            error.to_string(),
            format!(
                "set a `crop` or a `size` with sides that are multiples of {stride}, or `feature_distance = false`"
            ),
        ),
        AdaptError::UnlikeSizes { .. } => {
            Failure::advised(error.to_string(), "set a `crop` in the training, or the same `size` for both data sets")
        }
        AdaptError::Batch { source: DataError::Changed(_), .. } => error.into(),
        AdaptError::Batch { source: DataError::Io { .. }, .. } => Failure::advised(error.to_string(), CHANGED_BACK),
        AdaptError::Batch { .. } => Failure::advised(
            error.to_string(),
            "a mended picture makes another data set, and a training on it begins at the beginning",
        ),
        error => error.into(),
    }
}

fn discriminator_init(work: &Work) -> Option<DiscriminatorInit> {
    let [aux, main] = ["discriminator_init_aux", "discriminator_init_main"].map(|role| work.optional_file(role));
    let apart = (aux.is_some() || main.is_some()).then_some(DiscriminatorInit::Apart { aux, main });
    work.optional_file("discriminator_init").map(DiscriminatorInit::Together).or(apart)
}

/// Copies first weights into a network, if they are those of one like it.
fn load(work: &Work, model: &Model, init: &Init, network: &dyn Network) -> Result<Restored, Failure> {
    let (Init::Weights(file) | Init::Pretrained(file, _)) = init;
    model.checked(work, file, || init.load(network))
}

/// The networks beside the one that is trained, where the terms need them.
struct Beside {
    teacher: Option<Box<dyn Network>>,
    reference: Option<Box<dyn Network>>,
}

impl Beside {
    fn build(work: &Work, parameters: &Parameters) -> Result<Beside, Failure> {
        let kind = parameters.precision.kind();
        let teacher = parameters.teacher.then(|| parameters.model.fresh(work, parameters.seed, kind)).transpose()?;
        let reference = parameters.feature_distance.then(|| reference(work, parameters)).transpose()?;
        Ok(Beside { teacher, reference })
    }

    fn borrowed(&self) -> Companions<'_> {
        Companions { teacher: self.teacher.as_deref(), reference: self.reference.as_deref() }
    }
}

/// The network as its model begins, whatever this training begins with.
fn reference(work: &Work, parameters: &Parameters) -> Result<Box<dyn Network>, Failure> {
    let network = parameters.model.fresh(work, parameters.seed, parameters.precision.kind())?;
    let init = Init::Pretrained(work.file("model.init")?, parameters.init_part.unwrap_or_default());
    load(work, &parameters.model, &init, network.as_ref())?;
    Ok(network)
}

/// Choices that another program made, for comparisons.
fn choices(work: &Work) -> Result<Option<Given>, Failure> {
    let Some(file) = work.optional_file("choices") else { return Ok(None) };
    let bytes = file.read()?;
    serde_json::from_slice(&bytes).map(Some).map_err(|error| {
        let path = file.path().display();
        Failure::advised(format!("{path} isn't a file of choices: {error}"), "docs/paper.md shows one")
    })
}

/// Weights of another training win over the model's own `init`, which is sent beside them only for a feature distance.
fn init(work: &Work, member: Option<Member>) -> Option<Init> {
    let weights = work.optional_file("weights").map(Init::Weights);
    let pretrained = |file| Init::Pretrained(file, member.unwrap_or_default());
    weights.or_else(|| work.optional_file("model.init").map(pretrained))
}

#[derive(Clone, Copy)]
enum Side {
    Source,
    Target,
}

fn open(
    parameters: &Parameters,
    parts: &[Part<'_>],
    labels: LabelUse,
    side: Side,
    from: u64,
) -> Result<Box<dyn Batches>, DataError> {
    // The two streams must not be in step, or image i of the source would always meet image i of the target.
    let seed = match side {
        Side::Source => parameters.seed,
        Side::Target => parameters.seed ^ 0x7461_7267_6574,
    };
    let settings = loader::Settings {
        order: parameters.order,
        batch: parameters.batch,
        seed,
        start_iteration: from,
        iterations: parameters.iterations,
        augment: Augment {
            flip: parameters.flip,
            crop: parameters.crop,
            jitter: parameters.colour_jitter,
            max_share: parameters.crop_max_share.filter(|share| *share < 1.0 && matches!(side, Side::Source)),
        },
        normalization: parameters.model.arch.normalization(),
        labels,
        threads: LOADER_THREADS,
    };
    Ok(Box::new(Loader::open_parts(parts, settings)?))
}

/// Of each stream. The batches are the same for any number; two keep ahead of a training step on a CPU.
const LOADER_THREADS: NonZeroUsize = NonZeroUsize::new(2).expect("two is not zero");

fn settings(work: &Work, parameters: &Parameters) -> Result<Settings, Failure> {
    let betas = parameters.betas.unwrap_or((0.9, 0.999));
    Ok(Settings {
        iterations: parameters.iterations,
        schedule_iterations: parameters.schedule_iterations,
        power: parameters.power,
        generator_rate: parameters.learning_rate,
        head_factor: parameters.head_factor,
        generator: match parameters.optimizer {
            Optimizer::Sgd => GeneratorOptimizer::Sgd {
                momentum: parameters.momentum.unwrap_or(0.9),
                weight_decay: parameters.weight_decay.unwrap_or(5e-4),
                repeats: parameters.parameter_repeats.unwrap_or_default(),
            },
            Optimizer::Adam => GeneratorOptimizer::Adam { betas },
            Optimizer::AdamW => GeneratorOptimizer::AdamW {
                betas,
                decay: DecoupledDecay {
                    decay: parameters.weight_decay.unwrap_or(0.01),
                    exempt: parameters.no_decay.clone().unwrap_or_default(),
                },
            },
        },
        warmup: Warmup { iterations: parameters.warmup_iterations, ratio: parameters.warmup_ratio },
        clip: parameters.clip_gradient,
        segmentation: LevelWeights { main: parameters.segmentation_weight, aux: parameters.segmentation_weight_aux },
        mean: parameters.cross_entropy_mean,
        terms: terms(parameters, things(work, parameters)?),
        precision: parameters.precision,
        seed: parameters.seed,
        checkpoint_every: parameters.checkpoint_every,
        copies_ahead: parameters.gpu.copies_ahead(device::of(&work.job)),
    })
}

/// The classes whose features stay near those of `init`.
fn things(work: &Work, parameters: &Parameters) -> Result<Vec<i64>, Failure> {
    let things = work.things();
    if parameters.feature_distance && things.is_empty() {
        return Err(Failure::advised(
            "no class is a thing, and the feature distance is taken where things are",
            "name the classes that are in `things` of `[pipeline]`, or set `feature_distance = false`",
        ));
    }
    Ok(things)
}

/// The method's terms, with the job's numbers in the place of the papers'.
fn terms(parameters: &Parameters, things: Vec<i64>) -> Terms {
    let level = |main: Option<f64>, aux: Option<f64>, or: LevelWeights| LevelWeights {
        main: main.unwrap_or(or.main),
        aux: aux.unwrap_or(or.aux),
    };
    // The runner says of each further term whether the training has it, whatever its method is.
    let Terms { entropy, adversary, .. } = parameters.method.terms();
    let (teacher, masked, augmentation) = (Teacher::default(), Masked::default(), Augmentation::default());
    let distance = FeatureDistance::default();
    Terms {
        entropy: entropy.map(|or| level(parameters.entropy_weight, parameters.entropy_weight_aux, or)),
        adversary: adversary.map(|or| Adversary {
            map: or.map,
            gan: parameters.gan.unwrap_or(or.gan),
            weights: level(parameters.adversarial_weight, parameters.adversarial_weight_aux, or.weights),
            rate: parameters.discriminator_learning_rate.unwrap_or(or.rate),
            betas: parameters.discriminator_betas.unwrap_or(or.betas),
            width: parameters.discriminator_width.unwrap_or(or.width),
        }),
        teacher: parameters.teacher.then(|| Teacher {
            alpha: parameters.teacher_alpha.unwrap_or(teacher.alpha),
            threshold: parameters.teacher_threshold.unwrap_or(teacher.threshold),
            mixed: parameters.mixed.then(|| Mixed { weight: parameters.mixed_weight.unwrap_or(1.0) }),
        }),
        masked: parameters.masked.then(|| Masked {
            images: parameters.masked_images.unwrap_or(masked.images),
            block: parameters.masked_block.unwrap_or(masked.block),
            ratio: parameters.masked_ratio.unwrap_or(masked.ratio),
            weight: parameters.masked_weight.unwrap_or(masked.weight),
        }),
        feature_distance: parameters.feature_distance.then(|| FeatureDistance {
            weight: parameters.feature_distance_weight.unwrap_or(distance.weight),
            least: parameters.feature_distance_share.unwrap_or(distance.least),
            things,
        }),
        augmentation: Augmentation {
            strength: parameters.strong_colour_strength.unwrap_or(augmentation.strength),
            colour_probability: parameters.strong_colour_probability.unwrap_or(augmentation.colour_probability),
            blur_probability: parameters.strong_blur_probability.unwrap_or(augmentation.blur_probability),
            blur_sigma: parameters.strong_blur_sigma.unwrap_or(augmentation.blur_sigma),
        },
    }
}

/// Another attempt has begun elsewhere, and writes the checkpoints from now on.
fn superseded() -> Failure {
    Failure::Failed {
        message: "another attempt of this job has begun elsewhere".to_owned(),
        help: Vec::new(),
        error: None,
    }
}

/// All that follows a training.
struct Watch<'a> {
    work: &'a Work,
    looks: Looks<'a>,
    speaker: Speaker<'a>,
    course: Course<'a>,
    pace: Pace,
}

impl Observer for Watch<'_> {
    fn needs_losses(&mut self, progress: &Progress) -> bool {
        self.looks.are_due(progress) || self.speaker.is_due() || self.course.is_due(progress)
    }

    fn hear(&mut self, progress: &Progress) -> Control {
        if self.work.is_superseded() {
            return self.looks.give_up(superseded());
        }
        self.course.hear(progress);
        self.pace.hear(progress);
        let answer = self.speaker.hear(progress);
        let begun = std::time::Instant::now();
        // Also where it is asked to stop: a checkpoint must not pass over a look.
        let answer = self.looks.take(progress, answer);
        let looked = begun.elapsed();
        self.course.leave_out(looked);
        self.pace.leave_out(looked);
        answer
    }
}

/// What is looked at between two steps. No look changes anything about the network.
struct Looks<'a> {
    snapshots: Snapshots<'a>,
    validation: Option<Validation<'a>>,
    candidates: Option<Candidates<'a>>,
    /// Why the training was stopped, if a look was the reason.
    failure: Option<Failure>,
}

impl Looks<'_> {
    /// Whether there are some after an iteration.
    fn are_due(&self, progress: &Progress) -> bool {
        self.snapshots.is_due(progress)
            || self.validation.as_ref().is_some_and(|validation| validation.is_due(progress))
            || self.candidates.as_ref().is_some_and(|candidates| candidates.is_due(progress))
    }

    /// Takes those that are due after an iteration. `answer` is what the loop is told where there is nothing to say.
    fn take(&mut self, progress: &Progress, answer: Control) -> Control {
        match self.take_due(progress) {
            Ok(true) => Control::Save,
            Ok(false) => answer,
            // Not saved: the same command looks at this very network again.
            Err(failure) => self.give_up(failure),
        }
    }

    fn give_up(&mut self, failure: Failure) -> Control {
        self.failure = Some(failure);
        Control::Abandon
    }

    /// Whether something was found that a checkpoint has to follow.
    fn take_due(&mut self, progress: &Progress) -> Result<bool, Failure> {
        if self.snapshots.is_due(progress) {
            self.snapshots.look(progress)?;
        }
        let mut has_found = false;
        if let Some(validation) = self.validation.as_mut().filter(|validation| validation.is_due(progress)) {
            validation.look(progress.done)?;
            validation.last(progress).inspect(|line| log(line));
            has_found = true;
        }
        if let Some(candidates) = self.candidates.as_mut().filter(|candidates| candidates.is_due(progress)) {
            candidates.look(progress.done)?;
            has_found = true;
        }
        Ok(has_found)
    }

    /// Puts what was seen by a training that came to its end among its outputs.
    fn finish(self, notes: &mut Notes) -> Result<(), Failure> {
        self.snapshots.finish()?;
        self.validation.map_or(Ok(()), |validation| validation.finish(notes))?;
        self.candidates.map_or(Ok(()), |candidates| candidates.finish(notes))
    }
}

/// Passes on what the loop says, not too often, and the wish to stop.
struct Speaker<'a> {
    last: Option<std::time::Instant>,
    first: bool,
    work: &'a Work,
}

impl Speaker<'_> {
    /// Whether there is something to say again.
    fn is_due(&self) -> bool {
        self.last.is_none_or(|last| last.elapsed() >= PROGRESS_INTERVAL)
    }

    fn hear(&mut self, progress: &Progress) -> Control {
        if self.first && progress.done > 1 {
            say(&Event::Resumed { at: progress.done - 1 });
        }
        self.first = false;
        // What was read ends with this iteration. If the time came only just now, it is said after the next one.
        if let Some(row) = progress.losses.last().filter(|_| self.is_due()) {
            self.last = Some(std::time::Instant::now());
            let is_shown = |name: &str| LOSSES.iter().any(|loss| loss.name == name && loss.in_progress);
            let losses = row.iter().map(|(loss, value)| (loss.name(), value));
            let values =
                losses.filter(|(name, _)| is_shown(name)).map(|(name, value)| (name.to_owned(), value)).collect();
            self.work.progress(progress.done, progress.total, ITERATIONS, values);
        }
        if self.work.is_stopping() { Control::Stop } else { Control::Continue }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_runner_knows_the_losses_of_the_loop_in_their_order() {
        assert!(Loss::ALL.iter().map(|loss| loss.name()).eq(LOSSES.iter().map(|loss| loss.name)));
    }

    #[test]
    fn the_instructions_of_every_attempt_that_is_gone_on_from_are_noted() {
        let slot = tempfile::tempdir().unwrap();
        assert_eq!(over_attempts(slot.path(), "avx512"), "avx512");
        assert_eq!(over_attempts(slot.path(), "avx2"), "avx2", "nothing was kept of the first attempt");
        let header = r#"{"__metadata__":{"record":"{\"iteration\":3}"}}"#;
        let bytes = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes()].concat();
        std::fs::write(slot.path().join("checkpoint.safetensors"), bytes).unwrap();
        assert_eq!(over_attempts(slot.path(), "avx512"), "avx2, then avx512");
        assert_eq!(over_attempts(slot.path(), "avx512"), "avx2, then avx512");
    }
}
