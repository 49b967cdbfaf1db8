//! Resolves names to edges: the stage outputs, data sets and files that each stage reads.
//!
//! Knows no TOML and no file system. `lineage` derives further values from the edges.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use super::meant_file::did_you_mean_the_file;
use super::models::Model;
use super::names::{Names, known_names, named};
use super::near::{WORTH, did_you_mean};
use super::paths::{Writers, is_file, normalize};
use super::problem::Problem;
use super::source::Span;
use super::stages::StageTable;
use super::sweep::{Reference, Sweeps, member_name};
use super::typed::Typed;
use super::value::Value;
use super::words::alternatives;
use super::words::stage_of;
use super::{Dataset, DatasetId, Input, InputSource, OutputId, Parameter, Stage, StageId};
use crate::kind::{self, KeySpec, OutputRole, Presence, Role, ValueType, all};

/// Everything that a stage can name.
pub(super) struct Resolver<'a> {
    pub root: &'a Path,
    pub seed: u64,
    pub tables: &'a [StageTable],
    /// Stages by their names in the file; the members of a sweep share one.
    pub families: Names<usize>,
    pub sweeps: &'a Sweeps,
    pub datasets: Names<DatasetId>,
    pub models: Names<usize>,
    pub dataset_list: &'a [Dataset],
    pub model_list: &'a [Model],
    pub writers: &'a Writers,
    pub used_datasets: Vec<bool>,
    pub used_models: Vec<bool>,
    pub problems: Vec<Problem>,
    /// Positions of unknown stage names: equal errors of several members are reported once.
    pub unknown: HashSet<Span>,
}

/// A stage being resolved.
pub(super) struct Building<'a> {
    /// Its number.
    pub place: usize,
    pub table: &'a StageTable,
    pub stage: Stage,
    /// The parameters of its model or models; they come after its own.
    pub model: Vec<Parameter>,
}

impl Resolver<'_> {
    /// Turns a table into a stage. Unresolved names are reported and left out.
    pub(super) fn stage(&mut self, place: usize) -> Stage {
        let table = &self.tables[place];
        let stage = Stage {
            name: table.name.clone(),
            family: table.family.clone(),
            coordinates: table.coordinates.clone(),
            kind: table.kind,
            span: table.span,
            parameters: Vec::new(),
            inputs: Vec::new(),
            outputs: table.outputs.clone(),
            execution: table.execution.clone(),
        };
        let mut building = Building { place, table, stage, model: Vec::new() };
        for key in all(table.kind.keys) {
            if table.values.applies(key.only) == Some(true) {
                self.key(&mut building, key);
            }
        }
        self.implied_images(&mut building);
        self.check_counted(&building);
        self.check_candidates(&building);
        self.window(&mut building);
        self.check_mixed(&building);
        let Building { mut stage, model, .. } = building;
        stage.parameters.extend(model);
        stage
    }

    fn key(&mut self, building: &mut Building<'_>, key: &'static KeySpec) {
        let table = building.table;
        let Some(typed) = table.values.get(key.name) else {
            self.default(building, key);
            return;
        };
        match key.value_type {
            ValueType::Model => self.own_model(building, typed),
            ValueType::Dataset { labels } => {
                if let Some(dataset) = self.dataset(typed) {
                    building.input(key.name, InputSource::Dataset { dataset, labels }, typed.span);
                }
            }
            ValueType::Datasets { labels } => self.read_datasets(building, key, labels, typed),
            ValueType::Stage(role)
            | ValueType::Stages(role)
            | ValueType::StageOrFile(role)
            | ValueType::StagesOrFiles(role) => {
                self.read_stages(building, key, role, typed);
            }
            ValueType::Path => building.input(key.name, self.path(typed.text()), typed.span),
            ValueType::Paths => {
                for (i, (path, span)) in typed.texts().into_iter().enumerate() {
                    building.input(&[key.name, "[", &i.to_string(), "]"].concat(), self.path(path), span);
                }
            }
            ValueType::OutputPaths => {}
            _ => building.parameter(key, typed.value.clone(), typed.span),
        }
    }

    fn default(&self, building: &mut Building<'_>, key: &KeySpec) {
        let value = match key.presence {
            // An invalid key has no default and has been reported.
            _ if building.table.values.has(key.name) => None,
            Presence::OfPipeline => Some(Value::Integer(self.seed.try_into().unwrap_or(i64::MAX))),
            Presence::Default(_) | Presence::Required | Presence::Optional => {
                building.table.values.default(key).map(Value::from)
            }
        };
        if let Some(value) = value {
            building.parameter(key, value, building.table.span);
        }
    }

    /// A path: at or inside another stage's output, else a file or folder of the workspace.
    pub(super) fn path(&self, typed: &str) -> InputSource {
        let path = normalize(self.root, typed);
        match self.writers.over(&path) {
            Some((over, output)) => {
                let within = path.strip_prefix(over).ok().filter(|rest| *rest != Path::new("")).map(PathBuf::from);
                InputSource::Output { output, within }
            }
            None => InputSource::Path { producers: self.writers.inside(&path).collect(), path },
        }
    }

    fn dataset(&mut self, typed: &Typed) -> Option<DatasetId> {
        let is_worth_it = self.problems.len() < WORTH;
        let dataset = named(&self.datasets, typed, "data set", is_worth_it)
            .map_err(|problem| self.problems.extend(problem))
            .ok()?;
        self.used_datasets[dataset.index()] = true;
        Some(dataset)
    }

    /// One data set, or several, each once.
    fn read_datasets(&mut self, building: &mut Building<'_>, key: &KeySpec, labels: bool, typed: &Typed) {
        let texts = typed.texts();
        let count = texts.len();
        let mut seen: Vec<DatasetId> = Vec::new();
        for (place, (text, span)) in texts.into_iter().enumerate() {
            let one = Typed { value: Value::Text(text.to_owned()), span, elements: Vec::new() };
            let Some(dataset) = self.dataset(&one) else { continue };
            if seen.contains(&dataset) {
                self.problems.push(Problem::error(format!("`{text}` is listed twice")).at(span, ""));
                continue;
            }
            seen.push(dataset);
            building.input(&role_at(key.name, place, count), InputSource::Dataset { dataset, labels }, span);
        }
    }

    pub(super) fn model(&mut self, typed: &Typed) -> Option<usize> {
        let is_worth_it = self.problems.len() < WORTH;
        let model =
            named(&self.models, typed, "model", is_worth_it).map_err(|problem| self.problems.extend(problem)).ok()?;
        self.used_models[model] = true;
        Some(model)
    }

    fn read_stages(&mut self, building: &mut Building<'_>, key: &KeySpec, role: OutputRole, typed: &Typed) {
        let mut seen: Vec<(String, Option<OutputId>)> = Vec::new();
        let texts = typed.texts();
        let count = texts.len();
        for (place, (typed, span)) in texts.into_iter().enumerate() {
            let file = !matches!(key.value_type, ValueType::Stage(_) | ValueType::Stages(_)) && is_file(typed);
            let found = if file { vec![self.path(typed)] } else { self.references(building, key, role, (typed, span)) };
            for from in found {
                let output = match from {
                    InputSource::Output { output, .. } => Some(output),
                    _ => None,
                };
                let name = match output {
                    Some(output) if !file => self.name_of(output, typed),
                    _ => Path::new(typed).file_stem().unwrap_or_default().to_string_lossy().into_owned(),
                };
                if let Some((_, other)) = seen.iter().find(|(other, _)| *other == name) {
                    self.problems.push(match (output, other) {
                        (Some(output), Some(other)) if output == *other => {
                            Problem::error(format!("`{typed}` is listed twice")).at(span, "")
                        }
                        _ => Problem::error(format!("two of `{}` have the name `{name}`", key.name))
                            .at(span, "")
                            .note("each is named after its stage, or its file without extension")
                            .help("rename one of the files, or import it with a stage of kind \"checkpoint-import\""),
                    });
                    continue;
                }
                let one_of_several = matches!(key.value_type, ValueType::StagesOrFiles(_)).then_some(name.as_str());
                if role == OutputRole::Weights {
                    self.model_of_weights(building, output, one_of_several, span);
                }
                let name_of_input = match key.value_type {
                    ValueType::Stages(_) => role_at(key.name, place, count),
                    _ => input_name(key.name, one_of_several),
                };
                building.input(&name_of_input, from, span);
                seen.push((name, output));
            }
        }
    }

    /// The name of a network in tables and reports: its stage's, with the output's name if references need that. Of a member's
    /// coordinates only those in `typed` are included: read as `intra`, the stage is named as without a sweep.
    fn name_of(&self, output: OutputId, typed: &str) -> String {
        let stage = &self.tables[output.stage.index()];
        let reference = Reference::parse(typed);
        let chosen = stage.coordinates.iter().filter(|coordinate| reference.names(&coordinate.axis));
        let name = member_name(&stage.family, chosen);
        let output = &stage.outputs[output.output];
        if output.by_name { format!("{name}.{}", output.name) } else { name }
    }

    /// Resolves `rank`, `rank.easy` or some members of it to outputs that fit the key.
    fn references(
        &mut self,
        building: &Building<'_>,
        key: &KeySpec,
        role: OutputRole,
        (typed, span): (&str, Span),
    ) -> Vec<InputSource> {
        let wanted = Wanted { table: building.table, key, role, typed, span };
        let members = self.members(building, key, role, (typed, span));
        let output = |stage| Some(InputSource::Output { output: self.output_of(stage, &wanted)?, within: None });
        members.into_iter().filter_map(output).collect()
    }

    /// The stages that a name refers to: one, or the members that its brackets select.
    fn members(
        &mut self,
        building: &Building<'_>,
        key: &KeySpec,
        role: OutputRole,
        (typed, span): (&str, Span),
    ) -> Vec<StageId> {
        let reference = Reference::parse(typed);
        let family = match self.families.get(reference.family) {
            Some(Some(family)) => *family,
            Some(None) => return Vec::new(),
            None if !self.unknown.insert(span) => return Vec::new(),
            None => {
                let may_be_file = !matches!(key.value_type, ValueType::Stage(_) | ValueType::Stages(_));
                let problem = self.no_such_stage(reference.family, role, span, may_be_file.then_some(typed));
                self.problems.push(problem);
                return Vec::new();
            }
        };
        let mut members = self.sweeps.read(building.place, typed);
        members.retain(|stage| reference.admits(&self.tables[stage.index()].coordinates));
        if members.is_empty() {
            let problem = self.no_such_member(family, typed, span);
            self.problems.push(problem);
        } else if members.len() > 1 && !matches!(key.value_type, ValueType::StagesOrFiles(_)) {
            let title = format!("`{typed}` is {} stages, but `{}` takes one", members.len(), key.name);
            let name = &self.tables[members[0].index()].name;
            self.problems.push(Problem::error(title).at(span, "").help(format!("name one, such as `{name}`")));
            return Vec::new();
        }
        members
    }

    /// The output of a stage that fits a key, for `rank` as well as `rank.easy`.
    fn output_of(&mut self, stage: StageId, wanted: &Wanted<'_>) -> Option<OutputId> {
        let part = Reference::parse(wanted.typed).output;
        let role = wanted.role;
        let other = &self.tables[stage.index()];
        let fits = |output: &super::Output| match part {
            Some(part) => output.name == part,
            None => output.role == role && !output.by_name,
        };
        let found: Vec<usize> = (0..other.outputs.len()).filter(|i| fits(&other.outputs[*i])).collect();
        match found.as_slice() {
            [output] if other.outputs[*output].role == role => Some(OutputId { stage, output: *output }),
            found => {
                self.problems.push(wanted.not_given_by(other, part, found));
                None
            }
        }
    }

    /// The family exists, but no member has these coordinates.
    fn no_such_member(&self, family: usize, typed: &str, span: Span) -> Problem {
        let reference = Reference::parse(typed);
        let names = || self.sweeps.all_of(family).map(|stage| self.tables[stage.index()].name.as_str());
        let title = format!("stage `{}` has no such member: `{typed}`", reference.family);
        if self.problems.len() >= WORTH {
            return Problem::error(title).at(span, "");
        }
        let without_output = typed.strip_suffix(reference.output.unwrap_or_default()).unwrap_or(typed);
        let near = did_you_mean(without_output.trim_end_matches('.'), names());
        let all = known_names("its members", names());
        Problem::error(title).at(span, "").help_if(near.or(all))
    }

    /// Suggests only stages with a fitting output.
    fn no_such_stage(&self, name: &str, role: OutputRole, span: Span, perhaps_file: Option<&str>) -> Problem {
        let fits = |table: &&StageTable| table.outputs.iter().any(|output| output.role == role);
        let fitting = || {
            let mut names: Vec<&str> = self.tables.iter().filter(fits).map(|table| table.family.as_str()).collect();
            names.dedup();
            names
        };
        let makes_it = |kind: &&&kind::Kind| kind.outputs.iter().any(|output| output.role == role);
        let kinds: Vec<&str> = kind::ALL.iter().filter(makes_it).map(|kind| kind.name).collect();
        let label = format!("expected a stage that gives {} ({})", role.words(), kinds.join(", "));
        let problem = Problem::error(format!("no stage is called `{name}`")).at(span, label);
        let problem = match (self.datasets.contains_key(name), self.models.contains_key(name)) {
            (true, _) => problem.note(format!("`{name}` is a data set")),
            (_, true) => problem.note(format!("`{name}` is a model")),
            _ => problem,
        };
        if self.problems.len() >= WORTH {
            return problem;
        }
        let file = perhaps_file.and_then(|typed| did_you_mean_the_file(self.root, typed));
        problem.help_if(
            file.or_else(|| did_you_mean(name, fitting())).or_else(|| known_names("stages that do", fitting())),
        )
    }
}

impl Building<'_> {
    pub(super) fn input(&mut self, role: &str, from: InputSource, span: Span) {
        self.stage.inputs.push(Input { role: role.to_owned(), from, span });
    }

    fn parameter(&mut self, key: &KeySpec, value: Value, span: Span) {
        let is_as_before = key.added && matches!(key.presence, Presence::Default(literal) if value == literal.into());
        let role = if is_as_before { Role::Execution } else { key.role };
        self.stage.parameters.push(Parameter { name: key.name.to_owned(), value, role, span });
    }
}

/// `weights`, or `weights.inter` of several.
pub(super) fn input_name(key: &str, one_of_several: Option<&str>) -> String {
    one_of_several.map_or_else(|| key.to_owned(), |name| format!("{key}.{name}"))
}

/// `source`, or of several data sets or stages whose order counts `source[0]`, `source[1]`.
fn role_at(key: &str, place: usize, count: usize) -> String {
    if count == 1 { key.to_owned() } else { format!("{key}[{place}]") }
}

/// A reference to an output of another stage.
struct Wanted<'a> {
    table: &'a StageTable,
    key: &'a KeySpec,
    role: OutputRole,
    typed: &'a str,
    span: Span,
}

impl Wanted<'_> {
    /// The error for a stage without exactly one fitting output. `found` are the outputs of that name, or those that fit.
    fn not_given_by(&self, other: &StageTable, part: Option<&str>, found: &[usize]) -> Problem {
        let Wanted { table, key, role, typed, span } = self;
        let full = |i: usize| format!("`{}.{}`", other.family, other.outputs[i].name);
        if found.len() > 1 {
            let title = format!("`{typed}` gives {} outputs that `{}` could take", found.len(), key.name);
            return Problem::error(title)
                .at(*span, "")
                .help(format!("write {}", alternatives(found.iter().map(|i| full(*i)))));
        }
        if let (Some(part), []) = (part, found) {
            let names = other.outputs.iter().map(|output| output.name.as_str());
            let all = known_names("it has", other.outputs.iter().map(|output| &output.name));
            let problem = Problem::error(format!("stage `{}` has no output `{part}`", other.family)).at(*span, "");
            return problem.help_if(did_you_mean(part, names).or(all));
        }
        let given = found.first().map_or_else(|| other.outputs.first(), |i| other.outputs.get(*i));
        let given = given.map_or("nothing", |output| output.role.words());
        let title =
            format!("`{}` of {} takes {}; `{typed}` gives {given}", key.name, stage_of(table.kind), role.words());
        let fitting: Vec<usize> = (0..other.outputs.len()).filter(|i| other.outputs[*i].role == *role).collect();
        let help = (!fitting.is_empty()).then(|| format!("write {}", alternatives(fitting.into_iter().map(full))));
        Problem::error(title).at(*span, "").help_if(help)
    }
}
