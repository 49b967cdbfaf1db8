//! Which networks of an evaluation tell the story of an adaptation: without it, with it, and after each further step.
//!
//! Knows where networks come from, and no number. The closing table, the page and `assess` all use this, so that they speak of
//! the same networks.

use crate::graph::StageGraph;
use crate::kind::training::SOURCE_ONLY;
use crate::pipeline::{DatasetId, MeasuredNetwork, Pipeline, StageId, Which};

/// What must be known of a network.
#[derive(Clone, Debug, Default)]
pub struct Origin {
    /// The training that it comes from; none for a file.
    pub training: Option<StageId>,
    /// All ancestors of that training, and itself.
    pub came_from: Vec<StageId>,
    /// Which network of its training it is.
    pub which: Which,
    /// Whether it was selected by labels.
    pub is_chosen: bool,
    /// Whether labels of the evaluated images have taught it: its numbers say nothing about others, so no story has it.
    pub has_learnt_these: bool,
    /// Whether it, or an ancestor, has learnt from labels of the target.
    pub is_supervised: bool,
    /// Whether it, or an ancestor, adapts.
    pub is_adapted: bool,
    /// Whether it is of a training on the source alone, as are all its ancestors.
    pub is_source_only: bool,
}

impl Origin {
    /// Of a network that an evaluation measures.
    /// `dataset` has the evaluated images.
    pub fn of(
        pipeline: &Pipeline,
        graph: &StageGraph,
        network: &MeasuredNetwork<'_>,
        dataset: Option<DatasetId>,
    ) -> Origin {
        let training = network.training();
        let came_from = training.map(|training| graph.ancestors(&[training])).unwrap_or_default();
        let is_adapted = |id: &StageId| {
            let stage = pipeline.stage(*id);
            stage.is_training() && stage.parameter("method").and_then(|method| method.as_text()) != Some(SOURCE_ONLY)
        };
        let is_supervised = pipeline.learns_from_the_target(&came_from);
        let is_adapted = came_from.iter().any(is_adapted);
        // On images of the source all networks have learnt from them alike.
        let is_told_apart = |dataset| is_supervised || !pipeline.is_of_a_source_domain(dataset);
        Origin {
            training,
            which: network.which,
            is_chosen: network.is_chosen(),
            is_supervised,
            is_adapted,
            has_learnt_these: dataset
                .is_some_and(|dataset| is_told_apart(dataset) && pipeline.has_learnt_from(&came_from, None, dataset)),
            is_source_only: training.is_some()
                && !is_adapted
                && !is_supervised
                && pipeline.learns_from_the_source_alone(&came_from),
            came_from,
        }
    }

    /// Whether it is the network with which a story begins: the last one without adaptation.
    pub fn is_baseline(&self) -> bool {
        self.is_source_only && self.which == Which::Last && !self.has_learnt_these
    }

    fn is_alike(&self, other: &Origin) -> bool {
        !self.has_learnt_these
            && !other.has_learnt_these
            && self.is_chosen == other.is_chosen
            && self.which == other.which
    }

    fn is_derived_from(&self, other: &Origin) -> bool {
        other.training != self.training && other.training.is_some_and(|training| self.came_from.contains(&training))
    }
}

/// The indices of the baseline and of the judged network. The judged network is the last one that was derived from another, like
/// intra training from the network that ranked the images, and the baseline its nearest ancestor; if there is no such pair, the
/// last network that adapts, or the last one, and the nearest one before it. One that has learnt from labels of the target is judged
/// only if there is no other. Both are the same network of their training: the last, the best, the one chosen without labels, or the
/// teacher. Where the evaluation has several of a training, the last one is judged, as in the papers, whatever their order.
pub fn compared(networks: &[Origin]) -> Option<(usize, usize)> {
    let nearest = |judged: usize, fits: &dyn Fn(&Origin) -> bool| {
        let is_one = |at: &usize| networks[judged].is_alike(&networks[*at]) && fits(&networks[*at]);
        Some(((0..judged).rev().find(is_one)?, judged))
    };
    let last = networks.iter().rposition(|network| !network.has_learnt_these)?;
    let derived = |at: usize| nearest(at, &|other| networks[at].is_derived_from(other));
    // What labels of the target have taught may begin with another network, too, but is no step of the adaptation.
    let adapted = |at: &usize| !networks[*at].is_supervised;
    let by_adaptation = (0..=last).rev().filter(adapted).find_map(derived);
    let before = |at: usize| derived(at).or_else(|| nearest(at, &|_| true));
    let last_adapted = (0..=last).rev().filter(|at| networks[*at].is_adapted).find(adapted);
    let found = by_adaptation
        .or_else(|| before(last_adapted?))
        .or_else(|| (0..=last).rev().find_map(derived))
        .or_else(|| before(last))?;
    let is_last_of_it = |network: &Origin| {
        network.training.is_some()
            && network.training == networks[found.1].training
            && network.which == Which::Last
            && !network.has_learnt_these
    };
    networks.iter().position(is_last_of_it).and_then(before).or(Some(found))
}

/// The indices of the networks that tell the story, in its order: source-only, then each step up to the judged network. Two at
/// least; empty if there is no baseline.
pub fn steps(networks: &[Origin]) -> Vec<usize> {
    let Some((base, judged)) = compared(networks) else { return Vec::new() };
    let own = &networks[judged];
    let is_step = |at: &usize| own.is_alike(&networks[*at]) && own.is_derived_from(&networks[*at]);
    let mut steps: Vec<usize> = (0..judged).filter(is_step).collect();
    steps.sort_by_key(|at| networks[*at].came_from.len());
    if !steps.contains(&base) {
        steps.insert(0, base);
    }
    // An evaluation of teachers or of chosen networks is compared with the same baseline: it has no other.
    let is_told = steps.iter().any(|at| networks[*at].is_source_only);
    if let Some(source_only) = networks.iter().position(Origin::is_baseline).filter(|_| !is_told && !own.is_source_only)
    {
        steps.insert(0, source_only);
    }
    steps.push(judged);
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(training: u32, came_from: &[u32]) -> Origin {
        let came_from = came_from.iter().chain([&training]).map(|id| StageId(*id)).collect();
        Origin { training: Some(StageId(training)), came_from, ..Origin::default() }
    }

    #[test]
    fn what_was_chosen_with_labels_is_compared_with_nothing_that_was_not() {
        let best = |training| Origin { which: Which::Best, is_chosen: true, ..from(training, &[]) };
        assert_eq!(compared(&[from(0, &[]), best(0), from(1, &[])]), Some((0, 2)));
        assert_eq!(compared(&[from(0, &[]), best(0)]), None);
        assert_eq!(compared(&[from(0, &[])]), None);
    }

    #[test]
    fn what_was_chosen_without_labels_is_compared_with_what_was_chosen_so_and_begins_with_source_only() {
        let source_only = || Origin { is_source_only: true, ..from(0, &[]) };
        let chosen = |training, came_from| Origin { which: Which::Chosen, ..from(training, came_from) };
        let source_only_chosen = || Origin { which: Which::Chosen, ..source_only() };
        let all = [source_only_chosen(), source_only(), from(1, &[]), chosen(1, &[]), from(2, &[1]), chosen(2, &[1])];
        assert_eq!(compared(&all), Some((2, 4)), "the last network of a training comes first, if it is evaluated");
        let all = [source_only_chosen(), source_only(), chosen(1, &[]), chosen(2, &[1])];
        assert_eq!(compared(&all), Some((2, 3)));
        assert_eq!(steps(&all), [1, 2, 3], "the last network of source-only, as of all methods");
        assert_eq!(compared(&[source_only(), chosen(1, &[])]), None);
    }

    #[test]
    fn what_has_learnt_from_the_evaluated_images_is_in_no_story() {
        let source_only = || Origin { is_source_only: true, ..from(0, &[]) };
        let taught = |training, came_from| Origin { has_learnt_these: true, ..from(training, came_from) };
        assert_eq!(compared(&[source_only(), from(1, &[]), taught(2, &[0])]), Some((0, 1)));
        assert_eq!(steps(&[source_only(), taught(1, &[0])]), [0; 0]);
    }

    #[test]
    fn an_upper_bound_is_no_step_of_the_method_whatever_its_position() {
        let source_only = Origin { is_source_only: true, ..from(0, &[]) };
        let supervised = Origin { is_supervised: true, ..from(3, &[]) };
        let all = [source_only, from(1, &[]), from(2, &[1]), supervised];
        assert_eq!(compared(&all), Some((1, 2)));
        assert_eq!(steps(&all), [0, 1, 2]);
        // Nor are some labels, even if that training goes on from source-only.
        let labelled = Origin { is_supervised: true, ..from(3, &[0]) };
        let all = [Origin { is_source_only: true, ..from(0, &[]) }, from(1, &[0]), from(2, &[0, 1]), labelled];
        assert_eq!(steps(&all), [0, 1, 2]);
    }

    #[test]
    fn without_a_derived_network_the_last_that_adapts_is_judged() {
        let source_only = Origin { is_source_only: true, ..from(0, &[]) };
        let adapted = Origin { is_adapted: true, ..from(1, &[]) };
        let bound = Origin { is_supervised: true, ..from(2, &[]) };
        let elsewhere = from(3, &[]);
        let labelled = Origin { is_supervised: true, ..from(4, &[0]) };
        assert_eq!(compared(&[source_only, adapted, bound, elsewhere, labelled]), Some((0, 1)));
    }

    #[test]
    fn the_story_has_every_step_between_the_baseline_and_the_judged_network() {
        let source_only = || Origin { is_source_only: true, ..from(0, &[]) };
        let teacher = |training, came_from| Origin { which: Which::Teacher, ..from(training, came_from) };
        // Two rounds, named in any order.
        assert_eq!(steps(&[from(1, &[]), source_only(), from(2, &[1]), from(3, &[1, 2])]), [1, 0, 2, 3]);
        // Without a source-only network the first step is the baseline.
        assert_eq!(steps(&[from(1, &[]), from(2, &[1])]), [0, 1]);
        assert_eq!(steps(&[source_only(), from(1, &[])]), [0, 1]);
        assert_eq!(steps(&[source_only()]), [0; 0]);
        // A teacher has no student's baseline but source-only.
        assert_eq!(steps(&[source_only(), teacher(1, &[]), teacher(2, &[1])]), [0, 1, 2]);
        // If both are there, the student is judged: it is what a training hands on.
        let both = [source_only(), from(1, &[]), teacher(1, &[]), from(2, &[1]), teacher(2, &[1])];
        assert_eq!(steps(&both), [0, 1, 3]);
        let teachers_first = [source_only(), teacher(1, &[]), from(1, &[]), teacher(2, &[1]), from(2, &[1])];
        assert_eq!(steps(&teachers_first), [0, 2, 4]);
    }
}
