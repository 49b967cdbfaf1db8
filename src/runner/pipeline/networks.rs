//! The networks that an evaluation measures, the origin of each, and whether it was chosen with labels or learnt from those of the
//! target.
//!
//! Knows the pipeline file and no result. The closing table, `compare`, the report and an export all use this, so that they
//! agree on what each number measures.

use std::collections::BTreeSet;

use super::chosen::have_images_in_common;
use super::{DatasetId, Format, Input, InputSource, OutputId, Pipeline, Stage, StageId};
use crate::kind::OutputRole;
use crate::kind::training::{BEST, CHOSEN, LABELLED, TARGET, TEACHER, is_learnt_from};

/// A network that an evaluation measures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MeasuredNetwork<'p> {
    /// Its name in the evaluation and in `metrics.json`: `inter`, `inter.best`, a file's name.
    pub name: &'p str,
    /// The stage output that holds it; `None` if it is a file.
    pub output: Option<OutputId>,
    /// Which network of its training it is.
    pub which: Which,
    /// The data set by whose labels it was chosen, if any: its number then isn't that of a method without labels.
    pub chosen_on: Option<DatasetId>,
}

/// Which of a training's networks. A number of one is never shown as that of another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Which {
    /// The one after the last step.
    #[default]
    Last,
    /// The best on labelled images.
    Best,
    /// The one with the best score on images without labels.
    Chosen,
    /// The last one's average over time.
    Teacher,
}

impl Which {
    /// Of an output of a training, by its name; the last one's of everything else.
    pub fn of(output: &str) -> Which {
        match output {
            BEST => Which::Best,
            CHOSEN => Which::Chosen,
            TEACHER => Which::Teacher,
            _ => Which::Last,
        }
    }

    /// The name of a row for this network of a training, which its last and its best network share.
    pub fn row(self, training: &str) -> String {
        match self {
            Which::Last | Which::Best => training.to_owned(),
            Which::Chosen => format!("{training}.{CHOSEN}"),
            Which::Teacher => format!("{training}.{TEACHER}"),
        }
    }

    /// Whether its row is that of its training, with the last and the best network.
    pub fn shares_row(self) -> bool {
        matches!(self, Which::Last | Which::Best)
    }
}

impl MeasuredNetwork<'_> {
    /// The stage that trained it.
    pub fn training(&self) -> Option<StageId> {
        self.output.map(|output| output.stage)
    }

    /// Whether labels have chosen it: it is the best of its training, and not the last.
    pub fn is_chosen(&self) -> bool {
        self.chosen_on.is_some()
    }
}

impl Pipeline {
    /// The stages that measure networks, in the order of the file.
    pub fn evaluations(&self) -> impl Iterator<Item = StageId> {
        let measures = |id: &StageId| self.stage(*id).outputs.iter().any(|output| output.role == OutputRole::Metrics);
        self.stage_ids().filter(measures)
    }

    /// The networks that an evaluation measures, in its order; empty for other stages.
    pub fn measured_by<'p>(&'p self, evaluation: &'p Stage) -> impl Iterator<Item = MeasuredNetwork<'p>> {
        evaluation.inputs.iter().filter_map(|input| {
            let name = input.role.strip_prefix("weights.")?;
            let InputSource::Output { output, .. } = input.from else {
                return Some(MeasuredNetwork { name, output: None, which: Which::Last, chosen_on: None });
            };
            let training = self.stage(output.stage);
            let which = Which::of(&training.outputs[output.output].name);
            let chosen_on = self.dataset_of(training).filter(|_| which == Which::Best);
            Some(MeasuredNetwork { name, output: Some(output), which, chosen_on })
        })
    }

    /// The labelled data set on which a stage measures networks: of an evaluation, or of a training that chooses its best.
    pub fn dataset_of(&self, stage: &Stage) -> Option<DatasetId> {
        stage.input("dataset")?.dataset()
    }

    /// The names of the data sets whose labels of the target these stages learn from, sorted.
    pub fn target_labels(&self, stages: &[StageId]) -> Vec<&str> {
        let sets = self.inputs_of_trainings(stages).filter_map(|input| self.gives_target_labels(input));
        let sets: BTreeSet<&str> = sets.map(|dataset| self.dataset(dataset).name.as_str()).collect();
        sets.into_iter().collect()
    }

    /// Whether a data set is of the domain that trainings adapt from, and of none that they adapt to: another part of a data set that
    /// is a `source`, in the same place. Adaptation usually costs accuracy there, and is not judged by it. If no training adapts, that
    /// is any source.
    pub fn is_of_a_source_domain(&self, dataset: DatasetId) -> bool {
        let domains = self.domains();
        domains.are_source(self, dataset) && !domains.are_target(self, dataset)
    }

    /// The data set of an input of a training, if it gives it labels of the target: `labelled` images, unless a training that adapts
    /// has them as its source (an intra step that keeps them, so as not to forget); or a source that another training adapts to, or that
    /// is in the same place as such a one and not in that of a source.
    pub fn gives_target_labels(&self, input: &Input) -> Option<DatasetId> {
        let dataset = input.dataset().filter(|_| is_learnt_from(&input.role))?;
        let domains = self.domains();
        let is_target = domains.targets.contains(&dataset)
            || input.role == LABELLED && !domains.sources_of_adaptation.contains(&dataset)
            || input.role != LABELLED
                && domains.are_target(self, dataset)
                && !domains.sources_of_adaptation.iter().any(|source| self.are_together(*source, dataset));
        is_target.then_some(dataset)
    }

    /// Whether all labels that these trainings learn from are of the domain that the pipeline adapts from.
    pub fn learns_from_the_source_alone(&self, stages: &[StageId]) -> bool {
        let domains = self.domains();
        let learnt = self.inputs_of_trainings(stages).filter(|input| is_learnt_from(&input.role));
        learnt.filter_map(Input::dataset).all(|dataset| domains.are_source(self, dataset))
    }

    fn inputs_of_trainings(&self, stages: &[StageId]) -> impl Iterator<Item = &Input> {
        stages.iter().map(|id| self.stage(*id)).filter(|stage| stage.is_training()).flat_map(|stage| &stage.inputs)
    }

    /// Whether two data sets are in the same place: in one folder, or scenes of one style.
    fn are_together(&self, one: DatasetId, other: DatasetId) -> bool {
        match (&self.dataset(one).format, &self.dataset(other).format) {
            (
                Format::Folder { root: one, .. } | Format::Published { root: one, .. },
                Format::Folder { root: other, .. } | Format::Published { root: other, .. },
            ) => one == other,
            (Format::Scenes { style: one, .. }, Format::Scenes { style: other, .. }) => one == other,
            _ => false,
        }
    }

    /// Found once: a report asks for each network of a sweep.
    fn domains(&self) -> &Domains {
        self.domains.get_or_init(|| self.find_domains())
    }

    fn find_domains(&self) -> Domains {
        let mut domains = Domains::default();
        for stage in self.stages.iter().filter(|stage| stage.is_training()) {
            let target = stage.input(TARGET).and_then(Input::dataset);
            for input in stage.inputs.iter().filter(|input| input.role != LABELLED && is_learnt_from(&input.role)) {
                let Some(dataset) = input.dataset() else { continue };
                domains.sources.insert(dataset);
                if stage.input(TARGET).is_some() {
                    domains.sources_of_adaptation.insert(dataset);
                }
            }
            domains.targets.extend(target);
        }
        domains
    }

    /// Whether labels of a data set's images have taught or chosen a network: `came_from` are its training with all ancestors,
    /// `chosen_on` the data set by whose labels it was chosen.
    pub fn has_learnt_from(&self, came_from: &[StageId], chosen_on: Option<DatasetId>, dataset: DatasetId) -> bool {
        let learnt_from = |id: &StageId| {
            self.stage(*id).inputs.iter().filter_map(|input| match input.from {
                InputSource::Dataset { dataset, labels: true } if is_learnt_from(&input.role) => Some(dataset),
                _ => None,
            })
        };
        let own = self.dataset(dataset);
        let is_shared = |set: DatasetId| set == dataset || have_images_in_common(own, self.dataset(set));
        came_from.iter().flat_map(learnt_from).chain(chosen_on).any(is_shared)
    }

    /// Whether one of these trainings learns from labels of images that a training of this pipeline adapts to, as an upper bound
    /// does.
    pub fn learns_from_the_target(&self, stages: &[StageId]) -> bool {
        self.inputs_of_trainings(stages).any(|input| self.gives_target_labels(input).is_some())
    }
}

/// The data sets that trainings learn from and adapt to.
#[derive(Clone, Debug, Default)]
pub(super) struct Domains {
    /// Whose labels are learnt from, but for `labelled`.
    sources: BTreeSet<DatasetId>,
    /// The same of trainings that adapt to others.
    sources_of_adaptation: BTreeSet<DatasetId>,
    /// That are adapted to.
    targets: BTreeSet<DatasetId>,
}

impl Domains {
    fn are_source(&self, pipeline: &Pipeline, dataset: DatasetId) -> bool {
        let adapts = !self.sources_of_adaptation.is_empty();
        let sources = if adapts { &self.sources_of_adaptation } else { &self.sources };
        sources.iter().any(|source| pipeline.are_together(*source, dataset))
    }

    fn are_target(&self, pipeline: &Pipeline, dataset: DatasetId) -> bool {
        self.targets.iter().any(|target| pipeline.are_together(*target, dataset))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_of_the_source_that_a_later_training_keeps_are_no_labels_of_the_target() {
        let dir = tempfile::tempdir().unwrap();
        let scenes = |name: &str, style: &str| {
            format!(
                "[datasets.{name}]\nformat = \"scenes\"\nstyle = \"{style}\"\nseed = 1\ncount = 2\nsize = [64, 48]\n"
            )
        };
        let training = |name: &str, rest: &str| {
            format!("[stages.{name}]\nkind = \"inter-training\"\nmodel = \"m\"\nmethod = \"minent\"\n{rest}\n")
        };
        let file = dir.path().join("p.toml");
        let text = [
            "format = 1\n[pipeline]\nclasses = \"scenes-8\"\n[models.m]\narch = \"small\"\n".to_owned(),
            scenes("s", "source") + &scenes("t", "target") + &scenes("few", "target"),
            training("inter", "source = \"s\"\ntarget = \"t\""),
            training("kept", "source = \"s\"\ntarget = \"t\"\nlabelled = \"s\""),
            training("some", "source = \"s\"\ntarget = \"t\"\nlabelled = \"few\""),
            training("all", "source = \"t\"\ntarget = \"t\""),
        ];
        std::fs::write(&file, text.concat()).unwrap();
        let pipeline = crate::pipeline::load(&file, &[]).unwrap_or_else(|problems| panic!("{problems}"));
        let of = |name: &str| {
            let stage = [pipeline.find(name).unwrap()];
            (pipeline.learns_from_the_target(&stage), pipeline.target_labels(&stage))
        };
        assert_eq!(of("kept"), (false, Vec::new()));
        assert_eq!(of("some"), (true, vec!["few"]));
        assert_eq!(of("all"), (true, vec!["t"]));
    }

    #[test]
    fn labels_of_other_images_of_the_target_are_labels_of_the_target_too() {
        let dir = tempfile::tempdir().unwrap();
        let folder = |name: &str, root: &str| format!("[datasets.{name}]\nformat = \"folder\"\nroot = \"{root}\"\n");
        let training =
            |name: &str, rest: &str| format!("[stages.{name}]\nkind = \"inter-training\"\nmodel = \"m\"\n{rest}\n");
        let file = dir.path().join("p.toml");
        let text = [
            "format = 1\n[pipeline]\nclasses = \"scenes-8\"\n[models.m]\narch = \"small\"\n".to_owned(),
            folder("s", "day")
                + &folder("s2", "day")
                + &folder("t", "dusk")
                + &folder("t2", "dusk")
                + &folder("x", "else"),
            training("before", "method = \"source-only\"\nsource = \"s2\""),
            training("inter", "method = \"minent\"\nsource = \"s\"\ntarget = \"t\""),
            training("bound", "method = \"source-only\"\nsource = \"t2\""),
            training("other", "method = \"source-only\"\nsource = \"x\""),
        ];
        std::fs::write(&file, text.concat()).unwrap();
        let pipeline = crate::pipeline::load(&file, &[]).unwrap_or_else(|problems| panic!("{problems}"));
        let of = |name: &str| {
            let stage = [pipeline.find(name).unwrap()];
            (pipeline.target_labels(&stage), pipeline.learns_from_the_source_alone(&stage))
        };
        assert_eq!(of("before"), (vec![], true));
        assert_eq!(of("inter"), (vec![], true));
        assert_eq!(of("bound"), (vec!["t2"], false));
        assert_eq!(of("other"), (vec![], false), "not of the target, but no baseline of the adaptation either");
        let dataset = |name: &str| DatasetId::at(pipeline.datasets.iter().position(|it| it.name == name).unwrap());
        let is_source = |name: &str| pipeline.is_of_a_source_domain(dataset(name));
        assert_eq!(["s", "s2", "t", "t2", "x"].map(is_source), [true, true, false, false, false]);
    }

    #[test]
    fn a_network_of_a_file_is_called_after_the_file_and_was_chosen_by_nobody_whatever_that_is_called() {
        let dir = tempfile::tempdir().unwrap();
        let scenes = |name: &str| {
            format!(
                "[datasets.{name}]\nformat = \"scenes\"\nstyle = \"source\"\nseed = 1\ncount = 2\nsize = [64, 48]\n"
            )
        };
        let file = dir.path().join("p.toml");
        let text = format!(
            "format = 1\n[pipeline]\nclasses = \"scenes-8\"\n{}{}{}{}",
            scenes("s"),
            scenes("v"),
            "[models.m]\narch = \"small\"\n[stages.inter]\nkind = \"inter-training\"\nmethod = \"source-only\"\nmodel = \"m\"\n\
             source = \"s\"\ntarget = \"s\"\ndataset = \"v\"\nevaluate_every = 1\n",
            "[stages.e]\nkind = \"evaluation\"\nmodel = \"m\"\ndataset = \"s\"\n\
             weights = [\"inter\", \"inter.best\", \"w/other.best.safetensors\"]\n"
        );
        std::fs::write(&file, text).unwrap();
        let pipeline = crate::pipeline::load(&file, &[]).unwrap_or_else(|problems| panic!("{problems}"));
        let evaluation = pipeline.stage(pipeline.evaluations().next().unwrap());
        let networks: Vec<_> = pipeline.measured_by(evaluation).collect();
        let validation = pipeline.datasets.iter().position(|dataset| dataset.name == "v").map(DatasetId::at);
        let seen: Vec<_> =
            networks.iter().map(|network| (network.name, network.training(), network.chosen_on)).collect();
        let inter = pipeline.find("inter");
        assert_eq!(seen, [("inter", inter, None), ("inter.best", inter, validation), ("other.best", None, None)]);
    }
}
