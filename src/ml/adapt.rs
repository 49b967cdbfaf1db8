//! The adaptation loop: source-only, MinEnt, AdvEnt, AdaptSegNet, DACS, DAFormer and MIC, between domains and within one.
//!
//! IntraDA trains twice: from source to target, then from the easy half of the target to its hard half. The released code
//! has a copy of its training program for the second time; here it is one loop, called with other batches. It doesn't know
//! which of the two it runs, where images come from or where its files end up.
//!
//! Nothing in an iteration depends on anything but the checkpointed state and the batches, which are a function of the
//! iteration's number. Hence a run that is killed at any moment and resumed ends with the same bytes (on CPUs; on CUDA the
//! backward pass of bilinear upsampling adds in no fixed order).
use std::path::Path;
use std::time::{Duration, Instant};

use intrada_data::DataError;
use intrada_data::input_file::InputFile;
use tch::Tensor;

use crate::checkpoint::{self, CheckpointError, Member, Restored};
use crate::data::Batches;
use crate::draws::{Draw, Pass};
use crate::equations::{
    Domain, cross_entropy, cross_entropy_of_all, entropy_loss, feature_distance, label_cells, pseudo_labels, softmax,
};
use crate::mix;
use crate::network::{ImageTooSmall, Network, Normalization};
use crate::operations;

mod choices;
mod discriminators;
mod error;
mod feed;
mod levels;
mod losses;
mod players;
mod readings;
mod self_training;
mod settings;
mod slot;
mod teacher;
mod terms;

pub use choices::{Given, GivenIteration};
pub use discriminators::DiscriminatorInit;
pub use error::AdaptError;
pub use losses::{Loss, LossRow};
pub use players::Companions;
pub use settings::{GeneratorOptimizer, Precision, Settings, SettingsError, Warmup};
pub use slot::SlotError;
pub use terms::{
    Adversary, Augmentation, FeatureDistance, LevelWeights, Map, Masked, MaskedImages, Mean, Method, Mixed, Teacher,
    Terms,
};

use choices::Choices;
use feed::{Fed, Feed};
use losses::Unread;
use players::{Passed, Players};
use readings::Readings;
use self_training::{Changes, Labelled, Weighted};
use slot::Slot;

/// Without `checkpoint_every`: a killed run loses at most about this much work.
const CHECKPOINT_INTERVAL: Duration = Duration::from_secs(20);

/// Opens a stream of batches that begins at the given iteration.
pub type Open<'a> = &'a dyn Fn(u64) -> Result<Box<dyn Batches>, DataError>;

/// What a run works on.
pub struct Run<'a> {
    /// The generator G, built in `settings.precision`, with random or loaded weights. It is trained in place, on the device
    /// where it is.
    pub network: &'a dyn Network,
    /// Further networks like it, where the terms need them.
    pub companions: Companions<'a>,
    /// How the pixels of all images became the network's input.
    pub normalization: Normalization,
    /// Choices to make instead of random ones.
    pub given: Option<&'a Given>,
    /// Labelled images: the source domain, or the easy split with its pseudo-labels.
    pub source: Open<'a>,
    /// Images without labels: the target domain, or the hard split. Not opened if no term looks at it.
    pub target: Option<Open<'a>>,
    /// What the discriminators start from, in the place of random weights.
    pub discriminator_init: Option<DiscriminatorInit>,
    /// The resume slot's folder. Made if missing. The caller keeps one for each run: what is in it is continued.
    pub slot: &'a Path,
    /// An existing folder for `model.safetensors`, `discriminator.safetensors`, `teacher.safetensors` and `losses.jsonl`.
    pub staging: &'a Path,
}

/// Where a network's first weights come from, if not from its seed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Init {
    /// Another run's `model.safetensors`, or a published file of a whole network: [`Network::load_weights`].
    Weights(InputFile),
    /// A published file, perhaps of a part of the network, and which network of it: [`Network::load_pretrained`].
    Pretrained(InputFile, Member),
}

impl Init {
    /// Copies the weights into `network`.
    ///
    /// # Errors
    /// An unreadable file, or one of another network.
    pub fn load(&self, network: &dyn Network) -> Result<Restored, CheckpointError> {
        match self {
            Init::Weights(file) => network.load_weights(file, Member::Student),
            Init::Pretrained(file, member) => network.load_pretrained(file, *member),
        }
    }
}

/// Whether the discriminators of a run of these settings can begin with `init`, which is read and forgotten.
///
/// # Errors
/// As where the run begins: an unreadable file, or one of other discriminators.
pub fn try_discriminators(
    network: &dyn Network,
    settings: &Settings,
    init: &DiscriminatorInit,
) -> Result<(), CheckpointError> {
    let terms = Terms { adversary: settings.terms.adversary, ..Terms::default() };
    let settings = Settings { terms, ..settings.clone() };
    Players::new(network, Companions::default(), &settings).load_discriminators(init)
}

/// How far a run is.
#[derive(Debug)]
pub struct Progress<'a> {
    /// Iterations done, this one included.
    pub done: u64,
    /// Iterations in all.
    pub total: u64,
    /// The losses that were read since the observer was last told: of this iteration and those before it, or none, as they are read
    /// some iterations at a time.
    pub losses: &'a [LossRow],
    /// Images that went through the network since this process began, source and target together.
    pub images: u64,
    /// Floating-point operations of a step: those of the first one of this process, as [`operations`] counts them.
    pub operations: u64,
}

/// Who follows a run. A function is one that needs no losses at any particular time.
pub trait Observer {
    /// Whether it needs the losses of all iterations up to this one, which is done: to tell them, or because it is about to look at the
    /// network, which must not be one that a loss that is no number has led to. A GPU is waited for then.
    fn needs_losses(&mut self, progress: &Progress) -> bool {
        let _ = progress;
        false
    }

    /// Hears of every iteration.
    fn hear(&mut self, progress: &Progress) -> Control;
}

impl<F: FnMut(&Progress) -> Control> Observer for F {
    fn hear(&mut self, progress: &Progress) -> Control {
        self(progress)
    }
}

/// An observer's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Control {
    /// Go on.
    Continue,
    /// Save a checkpoint and go on.
    Save,
    /// Save a checkpoint and return.
    Stop,
    /// Return as after a kill: the last checkpoint counts.
    Abandon,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The results are in the staging folder.
    Finished,
    /// The observer stopped it; the slot holds what is needed to go on.
    Interrupted {
        /// Iterations that needn't be done again.
        iteration: u64,
    },
}

/// Trains a network, going on from the slot's checkpoint if there is one, and writes the results.
///
/// # Errors
/// See [`AdaptError`]. The slot then still holds the last checkpoint, from which a later call continues.
pub fn adapt(run: &Run, settings: &Settings, observer: &mut dyn Observer) -> Result<Outcome, AdaptError> {
    settings.check()?;
    let mut players = Players::new(run.network, run.companions, settings);
    if let Some(init) = &run.discriminator_init {
        players.load_discriminators(init)?;
    }
    let mut slot = Slot::open(run.slot, &players.state())?;
    let begin = slot.kept().unwrap_or(0);
    if begin > settings.iterations {
        return Err(AdaptError::SlotAhead { done: begin, iterations: settings.iterations });
    }
    players.set_steps(begin);
    let source = (run.source)(begin)?;
    let target =
        if settings.terms.need_target() { Some((run.target.ok_or(AdaptError::NoTarget)?)(begin)?) } else { None };
    let left = settings.iterations - begin;
    let mut feed = Feed::new(source, target, players.device(), settings.copies_ahead, left);
    let (mut images, mut readings, mut last_save) = (0, Readings::default(), Instant::now());
    let mut of_first = None;
    for iteration in begin..settings.iterations {
        let (source, target) = match feed.next() {
            Ok(batches) => batches,
            Err(source) => {
                readings.read(&mut slot)?;
                // All that was done so far came from what it should have come from. What can't be saved isn't the trouble.
                if iteration > begin {
                    let _ = save(&mut slot, &players, iteration);
                }
                return Err(AdaptError::Batch { iteration, source, kept: slot.kept() });
            }
        };
        images += source.images.size()[0] as u64 + target.as_ref().map_or(0, |batch| batch.images.size()[0] as u64);
        let by = Iteration { number: iteration, settings, normalization: &run.normalization, given: run.given };
        let mut step = || gradients(&mut players, &by, &source, target.as_ref());
        let result = if of_first.is_some() {
            step()
        } else {
            let (result, count) = operations::counted(step);
            of_first = Some(count);
            result
        };
        match result {
            Ok(losses) => readings.take(losses),
            Err(error) => {
                // Earlier trouble may be the cause.
                readings.read(&mut slot)?;
                return Err(error);
            }
        }
        players.step(settings, iteration);

        let done = iteration + 1;
        let (total, is_last) = (settings.iterations, done == settings.iterations);
        let operations = of_first.unwrap_or(0);
        let is_due = match settings.checkpoint_every {
            Some(every) => done.is_multiple_of(every),
            None => last_save.elapsed() >= CHECKPOINT_INTERVAL,
        };
        let is_asked = observer.needs_losses(&Progress { done, total, losses: &[], images, operations });
        if is_due || is_last || is_asked || readings.are_many() {
            readings.read(&mut slot)?;
        }
        let answer = observer.hear(&Progress { done, total, losses: &readings.tell(), images, operations });
        if answer == Control::Abandon {
            return Ok(Outcome::Interrupted { iteration: slot.kept().unwrap_or(0) });
        }
        let stop = answer == Control::Stop && !is_last;
        if is_due || stop || answer == Control::Save {
            // Before, as a checkpoint counts on the lines of the log, and must not hold what a loss that is no number has led to.
            readings.read(&mut slot)?;
            save(&mut slot, &players, done)?;
            last_save = Instant::now();
        }
        if stop {
            return Ok(Outcome::Interrupted { iteration: done });
        }
    }
    write_results(run, &players, &mut slot, settings.iterations)?;
    Ok(Outcome::Finished)
}

/// What an iteration is computed by, beside its batches.
struct Iteration<'a> {
    number: u64,
    settings: &'a Settings,
    normalization: &'a Normalization,
    given: Option<&'a Given>,
}

impl Iteration<'_> {
    fn draw(&self, pass: Pass) -> Draw {
        Draw { seed: self.settings.seed, iteration: self.number, pass }
    }

    fn changes(&self) -> Changes<'_> {
        let choices = Choices { seed: self.settings.seed, iteration: self.number, given: self.given };
        Changes { choices, augmentation: &self.settings.terms.augmentation, normalization: self.normalization }
    }
}

/// Leaves in every parameter the gradient of one iteration, in the order of the released code: all players see the same
/// weights, since nobody but the teacher, which follows at the start, moves before the end, and the discriminators judge the very
/// maps that the generator was trained with, without a second forward pass.
///
/// A term is a block here. Those that share a forward pass are summed and go backward at once, since a backward pass frees the
/// graph; the order of forward passes counts, because each moves the running statistics of batch normalisation.
fn gradients(players: &mut Players, by: &Iteration, source: &Fed, target: Option<&Fed>) -> Result<Unread, AdaptError> {
    let (iteration, settings, terms) = (by.number, by.settings, &by.settings.terms);
    let too_small = |fed: &Fed| {
        let names = fed.batch.names.clone();
        move |source| AdaptError::MapTooSmall { iteration, names, source }
    };
    for Fed { batch, images, .. } in [Some(source), target].into_iter().flatten() {
        let too_small = |source| AdaptError::ImageTooSmall { iteration, names: batch.names.clone(), source };
        ImageTooSmall::check(players.network(), images).map_err(too_small)?;
    }
    let mut losses = Vec::new();
    players.zero_grad();
    if let Some(teacher) = &mut players.teacher {
        teacher.follow(iteration);
    }

    // G on labelled images: equation (1), or (5).
    let names = &source.batch.names;
    let (Some(labels), Some(labels_on_host)) = (&source.labels, &source.batch.labels) else {
        return Err(AdaptError::Unlabelled { iteration, name: names.first().cloned().unwrap_or_default() });
    };
    let images_s = &source.images;
    let Passed { logits: logits_s, features } = players.forward(images_s, by.draw(Pass::Source));
    let seg = logits_s.map(|z| match settings.mean {
        Mean::Labelled => cross_entropy(z, labels),
        Mean::All => cross_entropy_of_all(z, labels, None),
    });
    let mut on_source = vec![seg.weighted(settings.segmentation)];
    losses.extend(seg.named([Loss::SegAux, Loss::SegMain]));
    if let Some(how) = &terms.feature_distance
        && let Some(distance) =
            distance_of_things(players, how, (iteration, names), (images_s, &features, labels_on_host))?
    {
        on_source.push(&distance * how.weight);
        losses.push((Loss::FeatureDistance, distance));
    }
    backward_of_sum(on_source);
    drop(features);

    if let Some(target) = target.filter(|_| terms.entropy.is_some() || terms.adversary.is_some()) {
        // G on unlabelled images. A D stands still, so that it gets no gradient from G's loss.
        let logits_t = players.forward(&target.images, by.draw(Pass::Target)).logits;
        let maps_t = players.discriminators.as_ref().map(|d| d.maps(&logits_t));
        let mut on_target = Vec::new();
        if let Some(weights) = terms.entropy {
            let ent = logits_t.adapted(weights).map(|z| entropy_loss(&softmax(z)));
            on_target.push(ent.weighted(weights));
            losses.extend(ent.named([Loss::EntAux, Loss::EntMain]));
        }
        if let Some((d, maps)) = players.discriminators.as_ref().zip(maps_t.as_ref()) {
            // Equation (3), or (6): to pass the maps off as source.
            d.train(false);
            let adv = d.judge(maps, Domain::Source).map_err(too_small(target))?;
            on_target.push(adv.weighted(d.adversary.weights));
            losses.extend(adv.named([Loss::AdvAux, Loss::AdvMain]));
        }
        backward_of_sum(on_target);

        // D on both, with G cut off: equation (3), or (6), each side halved. Before the passes of self-training, so that these maps
        // needn't be kept; it moves nothing that they see.
        if let Some((d, maps_t)) = players.discriminators.as_ref().zip(maps_t) {
            d.train(true);
            let sides = [
                (d.maps(&logits_s.map(Tensor::detach)), Domain::Source, source, [Loss::DAuxS, Loss::DMainS]),
                (maps_t.map(Tensor::detach), Domain::Target, target, [Loss::DAuxT, Loss::DMainT]),
            ];
            for (maps, domain, batch, names) in sides {
                let loss = d.judge(&maps, domain).map_err(too_small(batch))?;
                let loss = loss.map(|loss| loss * 0.5);
                loss.weighted(LevelWeights { main: 1.0, aux: 1.0 }).backward();
                losses.extend(loss.named(names));
            }
        }
    }
    drop(logits_s);

    // The teacher labels target images as they are.
    let of_target = target.filter(|_| terms.ask_teacher()).zip(terms.teacher).map(|(target, teacher)| {
        let logits = players.taught(&target.images).expect("there is a teacher, as a term asks it");
        (&target.images, pseudo_labels(&logits, teacher.threshold, target.inside.as_ref()))
    });
    if let Some((images, pseudo)) = &of_target {
        losses.push((Loss::Sure, pseudo.share.shallow_clone()));
        check_sizes(terms, iteration, images_s, images)?;
    }
    let labelled = Labelled { images: images_s, labels };
    let weighted = |players: &Players, batch: &Weighted, pass| {
        let logits = players.forward(&batch.images, by.draw(pass)).logits;
        logits.map(|z| cross_entropy_of_all(z, &batch.labels, batch.weights.as_ref()))
    };
    if let Some((mixed, (images, pseudo))) = terms.teacher.and_then(|teacher| teacher.mixed).zip(of_target.as_ref()) {
        // G on mixed images: DAFormer's equation (5).
        let batch = self_training::mixed(&labelled, images, pseudo, &mix::present(labels_on_host), &by.changes());
        let loss = weighted(players, &batch, Pass::Mixed);
        (loss.weighted(settings.segmentation) * mixed.weight).backward();
        losses.extend(loss.named([Loss::MixedAux, Loss::MixedMain]));
    }
    if let Some(how) = &terms.masked {
        // G on images of which patches are hidden: MIC's equation (5).
        let target = of_target.as_ref().map(|(images, pseudo)| (*images, pseudo));
        let batch = self_training::masked(&labelled, target, how, &by.changes())?;
        let loss = weighted(players, &batch, Pass::Masked);
        (loss.weighted(settings.segmentation) * how.weight).backward();
        losses.extend(loss.named([Loss::MaskedAux, Loss::MaskedMain]));
    }
    Ok(Unread::new(iteration, players.generator_rate(settings, iteration), &losses))
}

/// Of terms that share a forward pass, whose graph a backward pass frees.
fn backward_of_sum(terms: Vec<Tensor>) {
    if let Some(sum) = terms.into_iter().reduce(|sum, loss| sum + loss) {
        sum.backward();
    }
}

/// The mean distance of the source's features from the reference's in cells of things; none if there is no such cell. Which cells
/// show things is found on the host, where the labels come from.
fn distance_of_things(
    players: &Players,
    how: &FeatureDistance,
    (iteration, names): (u64, &[String]),
    (images, features, labels): (&Tensor, &Tensor, &Tensor),
) -> Result<Option<Tensor>, AdaptError> {
    let (stride, size) = (players.network().feature_stride(), images.size());
    let [height, width] = [size[2], size[3]];
    if height % stride != 0 || width % stride != 0 {
        return Err(AdaptError::PartialCells { iteration, names: names.to_vec(), width, height, stride });
    }
    let grid = [features.size()[2], features.size()[3]];
    let cells = label_cells(labels, grid, players.network().classes(), how.least);
    let things = Tensor::isin(&cells, &Tensor::from_slice(&how.things), true, false);
    let reference = players.reference_features(images).expect("there is a reference, as a term needs it");
    Ok(feature_distance(features, &reference, &things))
}

/// Where pixels of both sides come into one image or batch, their sizes must agree.
fn check_sizes(terms: &Terms, iteration: u64, source: &Tensor, target: &Tensor) -> Result<(), AdaptError> {
    let is_together = terms.teacher.is_some_and(|teacher| teacher.mixed.is_some())
        || terms.masked.is_some_and(|masked| masked.images == MaskedImages::Both);
    let [source_size, target_size] = [source, target].map(|images| [images.size()[3], images.size()[2]]);
    if is_together && source_size != target_size {
        return Err(AdaptError::UnlikeSizes { iteration, source_size, target_size });
    }
    Ok(())
}

/// Replaces the slot's checkpoint, unless the new one would hold a broken number.
fn save(slot: &mut Slot, players: &Players, done: u64) -> Result<(), AdaptError> {
    let state = players.state();
    check_finite(slot, &state, done)?;
    Ok(slot.save(done, &state)?)
}

fn write_results(run: &Run, players: &Players, slot: &mut Slot, done: u64) -> Result<(), AdaptError> {
    check_finite(slot, &players.state(), done)?;
    checkpoint::write(&run.staging.join("model.safetensors"), &run.network.state(), None)?;
    let discriminators = players.discriminator_weights();
    if !discriminators.is_empty() {
        checkpoint::write(&run.staging.join("discriminator.safetensors"), &discriminators, None)?;
    }
    let teacher = players.teacher_state();
    if !teacher.is_empty() {
        checkpoint::write(&run.staging.join("teacher.safetensors"), &teacher, None)?;
    }
    Ok(slot.copy_log(&run.staging.join("losses.jsonl"))?)
}

fn check_finite(slot: &Slot, state: &[(String, Tensor)], done: u64) -> Result<(), AdaptError> {
    match slot::not_finite(state) {
        None => Ok(()),
        Some(tensor) => {
            let (iteration, tensor) = (done - 1, tensor.to_owned());
            Err(AdaptError::StateNotFinite { iteration, tensor, kept: slot.kept() })
        }
    }
}

#[cfg(test)]
mod tests;
