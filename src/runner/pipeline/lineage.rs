//! Derives values from the edges that users would otherwise have to repeat.
//!
//! The network of some weights is that of their training; the images behind an image list or pseudo-labels are those that were
//! scored. Such chains have at most four stages, so a cycle in the file can't cause an endless loop.

use super::effects::without_effect;
use super::models::Model;
use super::paths::is_file;
use super::problem::Problem;
use super::resolve::{Building, Resolver, input_name};
use super::source::Span;
use super::stages::StageTable;
use super::typed::Typed;
use super::value::Value;
use super::words::stage_of;
use super::{DatasetId, InputSource, OutputId, Parameter, Stage};
use crate::kind::model::OF_TRAININGS;
use crate::kind::training::FEATURE_DISTANCE;
use crate::kind::{KeySpec, OutputRole, Presence, Role, ValueType, all};

impl Resolver<'_> {
    /// The model that a stage names: its parameters, and what it starts from unless `weights` says otherwise. Where there
    /// are several weights, it goes with those that need one.
    pub(super) fn own_model(&mut self, building: &mut Building<'_>, typed: &Typed) {
        let Some(index) = self.model(typed) else { return };
        let model = &self.model_list[index];
        let weights = building.table.values.get("weights");
        if all(building.table.kind.keys).any(|key| matches!(key.value_type, ValueType::StagesOrFiles(_))) {
            if weights.is_some_and(|weights| !weights.texts().iter().any(|(typed, _)| is_file(typed))) {
                let title =
                    "`model` has no effect here: none of the `weights` is a file, and a training has its own model";
                self.problems.push(Problem::warning(title).at(typed.span, ""));
            }
            return;
        }
        // The feature distance is measured from `init`, whatever the training begins with.
        let is_compared = building.table.values.applies(Some(FEATURE_DISTANCE)) == Some(true);
        let is_begun_with = building.stage.is_training() && (weights.is_none() || is_compared);
        if let (true, Some((init, span))) = (is_begun_with, &model.init) {
            let from = self.path(init);
            self.problems.extend(self.otherwise_than_trained(model, &from, *span));
            building.input("model.init", from, *span);
            building.model.extend(model.part.iter().map(|part| parameter_of("model", part, Role::Meaning)));
        }
        if is_compared && model.init.is_none() {
            self.problems.push(without_reference(building.table, typed, model));
        }
        if building.stage.is_training() {
            self.problems.extend(without_effect(&building.table.values, model));
        }
        building.model.extend(parameters_of(model, "model", &building.stage));
    }

    /// What a model has otherwise than the network of the stage that it begins with, where the tensors don't tell.
    fn otherwise_than_trained(&self, model: &Model, from: &InputSource, span: Span) -> Option<Problem> {
        let InputSource::Output { output, .. } = from else { return None };
        let table = &self.tables[output.stage.index()];
        let typed = table.values.get("model").filter(|_| table.outputs[output.output].role == OutputRole::Weights)?;
        let other = &self.model_list[self.models.get(typed.text()).copied().flatten()?];
        let differs = |(name, value, _): &(String, Value, Span)| {
            let theirs = other.parameters.iter().find(|(other, ..)| other == name).map(|(_, theirs, _)| theirs)?;
            let setting = |value: &Value| format!("`{name} = {}`", value.canonical());
            let is_hidden = ["branches", "output_stride"].contains(&name.as_str());
            (is_hidden && theirs != value).then(|| (setting(theirs), setting(value)))
        };
        let (theirs, own) = model.parameters.iter().find_map(differs)?;
        let title = format!(
            "`{}` starts from the network of `{}`, which has {theirs}, but has {own}",
            model.name, table.family
        );
        let problem = Problem::error(title).at(span, "").beside(other.span, "the model of that network");
        Some(problem.help(format!("give `{}` {theirs}", model.name)))
    }

    /// The network that belongs to weights is the one that their training names; where the stage names one too, they
    /// agree. Of several weights each has its own, and those that are files have the stage's.
    pub(super) fn model_of_weights(
        &mut self,
        building: &mut Building<'_>,
        output: Option<OutputId>,
        one_of_several: Option<&str>,
        span: Span,
    ) {
        let table = building.table;
        let of = |output: OutputId| &self.tables[output.stage.index()];
        let training = output.map(of).filter(|table| table.values.has("model"));
        let typed = match (training, table.values.get("model")) {
            (Some(training), Some(own)) if one_of_several.is_none() => {
                let other = training.values.get("model").filter(|other| other.text() != own.text());
                if let Some(other) = other {
                    let title =
                        format!("`{}` trained the model `{}`, not `{}`", training.family, other.text(), own.text());
                    let problem = Problem::error(title).at(own.span, "another model here");
                    self.problems.push(problem.beside(other.span, format!("{} trains this one", training.family)));
                }
                return;
            }
            // `own_model` has done it.
            (None, Some(_)) if one_of_several.is_none() => return,
            (Some(training), _) => training.values.get("model"),
            (None, Some(own)) => Some(own),
            (None, None) => {
                let is_optional = |key: &KeySpec| key.name == "model" && key.presence == Presence::Optional;
                if all(table.kind.keys).any(is_optional) && !table.values.has("model") {
                    let title = format!("{} needs `model` if `weights` is a file", stage_of(table.kind));
                    self.problems.push(Problem::error(title).at(span, "no stage defines the network of these"));
                }
                return;
            }
        };
        let model = typed.and_then(|typed| self.models.get(typed.text()).copied().flatten());
        let parameters = model
            .map(|index| parameters_of(&self.model_list[index], &input_name("model", one_of_several), &building.stage));
        building.model.extend(parameters.into_iter().flatten());
    }

    /// A training on lists reads the images behind them; every stage reads those of one data set only.
    pub(super) fn implied_images(&mut self, building: &mut Building<'_>) {
        let behind = |input: &super::Input| match input.from {
            InputSource::Output { output, .. } => Some((self.images_behind(output)?, input.span)),
            _ => None,
        };
        let origins: Vec<(DatasetId, Span)> = building.stage.inputs.iter().filter_map(behind).collect();
        let Some(&(dataset, span)) = origins.first() else { return };
        if let Some((other, other_span)) = origins.iter().find(|(other, _)| *other != dataset) {
            let name = |dataset: DatasetId| &self.dataset_list[dataset.index()].name;
            let (first, second) = (name(dataset), name(*other));
            let kind = stage_of(building.table.kind);
            let title = format!("{kind} reads images of one data set, but these are of `{first}` and `{second}`");
            let problem = Problem::error(title).at(*other_span, format!("from `{second}`"));
            self.problems.push(problem.beside(span, format!("from `{first}`")));
        }
        if building.stage.is_training() {
            building.input("images", InputSource::Dataset { dataset, labels: false }, span);
        }
    }

    /// The data set whose images an output is about: that of the entropy-inference which it came from.
    fn images_behind(&self, output: OutputId) -> Option<DatasetId> {
        let mut place = output.stage.index();
        let mut table: &StageTable = &self.tables[place];
        if table.outputs.get(output.output)?.role == OutputRole::Weights {
            return None;
        }
        // class-statistics → pseudo-labelling → ranking or entropy-inference → its images
        for _ in 0..4 {
            if let Some(images) = table.values.get("images").filter(|_| table.values.has("weights")) {
                return self.datasets.get(images.text()).copied().flatten();
            }
            let from = ["predictions", "scores", "labels"].into_iter().find_map(|key| table.values.get(key))?;
            place = self.sweeps.read(place, from.text()).first()?.index();
            table = &self.tables[place];
        }
        None
    }
}

fn without_reference(table: &StageTable, typed: &Typed, model: &Model) -> Problem {
    let title = format!(
        "`{}` keeps its features near those of the model's `init`, and `{}` has none",
        table.family, model.name
    );
    let help =
        "name a file of pretrained weights as the model's `init`, or set `feature_distance = false` in the stage";
    Problem::error(title).at(typed.span, "").beside(model.span, "this model").help(help)
}

/// In a stage that doesn't train, what only a training does with the network enters no key.
fn parameters_of(model: &Model, prefix: &str, stage: &Stage) -> Vec<Parameter> {
    let has_no_effect = |name: &str| !stage.is_training() && OF_TRAININGS.contains(&name);
    let role = |name: &str| if has_no_effect(name) { Role::Execution } else { Role::Meaning };
    model.parameters.iter().map(|parameter| parameter_of(prefix, parameter, role(&parameter.0))).collect()
}

fn parameter_of(prefix: &str, (name, value, span): &(String, Value, Span), role: Role) -> Parameter {
    Parameter { name: format!("{prefix}.{name}"), value: value.clone(), role, span: *span }
}
