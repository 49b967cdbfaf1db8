//! `[stages.<name>.matrix]`: the axes of a sweep and their combinations.
//!
//! Knows one stage, not those that it reads. `include` and `exclude` work as in GitHub Actions: an exclusion removes every
//! combination that it matches; an inclusion extends every combination of the axes that it doesn't contradict, else it becomes
//! a new one. A value is read by the rules of its key, at its position in the list.

use std::collections::HashSet;
use std::rc::Rc;

use super::super::execution;
use super::super::problem::Problem;
use super::super::raw::{Entry, Item, Node, Table};
use super::super::read::Reader;
use super::super::read_value::read;
use super::super::sections::is_name;
use super::super::source::Span;
use super::super::value::Value;
use super::super::words::stage_of;
use super::name::text_of;
use crate::kind::{KeySpec, Kind, Runs, all};

/// Maximum members of a sweep. More is a typing error: nobody waits for so many trainings.
pub(super) const MOST: usize = 10_000;

/// The keys of a matrix that aren't axes.
const LISTS: [&str; 2] = ["include", "exclude"];

/// One value of an axis.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Level {
    /// As names show it.
    pub text: String,
    /// The replacement of `${matrix.<axis>}`.
    pub plain: String,
}

impl Level {
    fn of(value: &Value) -> Level {
        let text = text_of(value);
        let plain = value.as_text().map_or_else(|| text.clone(), str::to_owned);
        Level { text, plain }
    }

    /// Equal for levels of equal value, such as `1` in one axis and `1.0` in another.
    pub(super) fn partner(&self) -> String {
        /// Up to here every integer is exact as a float.
        const EXACT: f64 = 9_007_199_254_740_992.0;
        match self.text.parse::<f64>() {
            Ok(number) if number.fract() == 0.0 && number.abs() < EXACT => (number as i64).to_string(),
            _ => self.text.clone(),
        }
    }
}

/// A level, with its position and text.
#[derive(Clone, Debug)]
pub(super) struct Setting {
    pub level: Rc<Level>,
    key_span: Span,
    node: Node,
}

impl Setting {
    pub(super) fn span(&self) -> Span {
        self.node.span
    }
}

/// A key that differs between the members.
#[derive(Clone, Debug)]
pub(super) struct Axis {
    pub name: String,
    pub span: Span,
}

/// An exclusion that names an axis of another stage, applied when all members are known.
pub(super) struct Exclusion {
    pub span: Span,
    /// Axis, its position, and the value.
    pub cells: Vec<(String, Span, Level)>,
}

/// The combinations of one stage. A stage without a matrix has one, without axes.
pub(in crate::pipeline) struct Matrix {
    pub(super) axes: Vec<Axis>,
    /// By axis; an inclusion may leave some out.
    pub(super) combinations: Vec<Vec<Option<Setting>>>,
    pub(super) exclusions: Vec<Exclusion>,
}

impl Matrix {
    /// The stage's table for one combination. Free axes of a command aren't keys.
    pub(super) fn applied(&self, table: &Table, combination: usize, kind: &Kind) -> Table {
        // A free axis that is also set has been reported, so it isn't reported as an unknown key too.
        let is_free = |name: &str| key_of(kind, name).is_none() && self.axes.iter().any(|axis| axis.name == name);
        let own = table.0.iter().filter(|entry| entry.key != "matrix" && !is_free(&entry.key));
        let mut applied = Table(own.cloned().collect());
        for (axis, setting) in self.axes.iter().zip(&self.combinations[combination]) {
            let Some(Setting { key_span, node, .. }) = setting else { continue };
            if key_of(kind, &axis.name).is_none() {
                continue;
            }
            let entry = Entry { key: axis.name.clone(), key_span: *key_span, node: node.clone() };
            match applied.get_mut(&axis.name) {
                Some(typed) => *typed = entry,
                None => applied.0.push(entry),
            }
        }
        applied
    }
}

fn key_of(kind: &Kind, name: &str) -> Option<&'static KeySpec> {
    all(kind.keys).find(|key| key.name == name)
}

/// Reads the matrix of a stage; `None` if it is invalid, which has been reported.
pub(super) fn read_matrix(reader: &mut Reader<'_>, table: &Table, kind: &'static Kind) -> Option<Matrix> {
    let mut matrix = Matrix { axes: Vec::new(), combinations: vec![Vec::new()], exclusions: Vec::new() };
    let Some(entry) = table.get("matrix") else { return Some(matrix) };
    let Item::Table(typed) = &entry.node.item else {
        let title = format!("`matrix` is a table, not {}", entry.node.item.words());
        let label = "expected a list of values for each axis, as in { seed = [1, 2, 3] }";
        reader.problems.push(Problem::error(title).at(entry.node.span, label));
        return None;
    };
    let mut stage = MatrixReader { reader, kind, table };
    let axes: Vec<&Entry> = typed.0.iter().filter(|entry| !LISTS.contains(&&*entry.key)).collect();
    let is_crossed = !axes.is_empty();
    if !is_crossed && typed.get("include").is_none() {
        let problem = Problem::error("this matrix has no axis").at(entry.key_span, "");
        let help = "list the values of a key, as in seed = [1, 2, 3], or remove the matrix";
        stage.reader.problems.push(problem.help(help));
        return None;
    }
    let mut is_broken = false;
    for entry in axes {
        let Some(settings) = stage.axis(entry) else {
            is_broken = true;
            continue;
        };
        matrix.axes.push(Axis { name: entry.key.clone(), span: entry.key_span });
        if matrix.combinations.len() * settings.len() > MOST {
            let title = format!("this matrix has more than {MOST} combinations");
            stage.reader.problems.push(Problem::error(title).at(entry.key_span, ""));
            return None;
        }
        let with = |combination: &Vec<Option<Setting>>, setting: &Setting| {
            combination.iter().cloned().chain([Some(setting.clone())]).collect()
        };
        let before = std::mem::take(&mut matrix.combinations);
        matrix.combinations = before.iter().flat_map(|c| settings.iter().map(move |s| with(c, s))).collect();
    }
    let axes = matrix.axes.len();
    stage.exclude(&mut matrix, typed.get("exclude"));
    if !is_crossed && typed.get("include").is_some() {
        matrix.combinations.clear();
    }
    stage.include(&mut matrix, axes, typed.get("include"));
    if is_broken {
        return None;
    }
    if matrix.combinations.is_empty() {
        let problem = Problem::error("this matrix leaves no combination").at(entry.key_span, "");
        stage.reader.problems.push(problem);
        return None;
    }
    Some(matrix)
}

/// Reads the parts of a matrix.
struct MatrixReader<'r, 'p> {
    reader: &'r mut Reader<'p>,
    kind: &'static Kind,
    table: &'r Table,
}

impl MatrixReader<'_, '_> {
    /// Advice for a key that is set and is an axis.
    fn instead(&self, set: &Entry) -> String {
        let argument = self.reader.sources.of(set.key_span).text.as_str();
        let parts = argument.split_once('=').and_then(|(path, value)| Some((path.rsplit_once('.')?, value)));
        match parts.filter(|_| set.key_span.is_argument()) {
            Some(((stage, key), value)) => format!("for one value of the axis: --set '{stage}.matrix.{key}=[{value}]'"),
            None => "keep one of them".to_owned(),
        }
    }

    /// The values of one axis.
    fn axis(&mut self, entry: &Entry) -> Option<Vec<Setting>> {
        self.allowed(entry)?;
        if let Some(set) = self.table.get(&entry.key) {
            let title = format!("`{}` is both set and an axis of the matrix", entry.key);
            let problem = Problem::error(title).at(entry.key_span, "an axis here").beside(set.key_span, "set here");
            self.reader.problems.push(problem.help(self.instead(set)));
        }
        let nodes = match &entry.node.item {
            Item::List(nodes) if nodes.len() > MOST => {
                self.too_many(nodes.len(), "values in an axis", entry);
                return None;
            }
            Item::List(nodes) if !nodes.is_empty() => nodes,
            item => {
                let title = format!("an axis takes a list of values, not {}", item.words());
                let label = format!("expected a list, as in {} = [ … ]", entry.key);
                self.reader.problems.push(Problem::error(title).at(entry.node.span, label));
                return None;
            }
        };
        let mut settings: Vec<Setting> = Vec::with_capacity(nodes.len());
        let mut seen = std::collections::HashMap::new();
        for node in nodes {
            let Some(setting) = self.setting(entry, node) else { continue };
            match seen.insert(setting.level.clone(), node.span) {
                None => settings.push(setting),
                Some(first) => {
                    let title = format!("`{}` is listed twice in the axis `{}`", setting.level.text, entry.key);
                    self.reader.problems.push(Problem::error(title).at(node.span, "").beside(first, "first here"));
                }
            }
        }
        (!settings.is_empty()).then_some(settings)
    }

    fn too_many(&mut self, number: usize, what: &str, entry: &Entry) {
        let title = format!("at most {MOST} {what}: this has {number}");
        self.reader.problems.push(Problem::error(title).at(entry.key_span, ""));
    }

    /// Whether a key of this name may differ between members.
    fn allowed(&mut self, entry: &Entry) -> Option<()> {
        let known = key_of(self.kind, &entry.key).is_some();
        let is_shared = |name: &str| ["kind", "matrix"].contains(&name) || execution::names().any(|key| key == name);
        let free = self.kind.runs == Runs::Command && !is_shared(&entry.key);
        if known || free && is_name(&entry.key) {
            return Some(());
        }
        if is_shared(&entry.key) {
            let problem = Problem::error(format!("`{}` can't be an axis: it is the same for all members", entry.key));
            self.reader.problems.push(problem.at(entry.key_span, ""));
        } else if free {
            let title = format!("`{}` can't be the name of an axis", entry.key);
            let rule = "expected letters, digits, `-` and `_`, at most 100";
            self.reader.problems.push(Problem::error(title).at(entry.key_span, rule));
        } else {
            let names = all(self.kind.keys).map(|key| key.name).chain(LISTS);
            self.reader.unknown_key(entry, names, &format!("the matrix of {}", stage_of(self.kind)));
        }
        None
    }

    fn setting(&mut self, entry: &Entry, node: &Node) -> Option<Setting> {
        let value = match key_of(self.kind, &entry.key) {
            Some(key) => read(key, node).map(|typed| typed.value),
            None => scalar(&entry.key, node),
        };
        let value = value.map_err(|problem| self.reader.problems.push(*problem)).ok()?;
        Some(Setting { level: Rc::new(Level::of(&value)), key_span: entry.key_span, node: node.clone() })
    }

    /// The tables of `include` or `exclude`.
    fn tables<'e>(&mut self, list: Option<&'e Entry>) -> Vec<(&'e Table, Span)> {
        let Some(entry) = list else { return Vec::new() };
        let Item::List(nodes) = &entry.node.item else {
            let title = format!("`{}` is a list of tables, not {}", entry.key, entry.node.item.words());
            let label = format!("expected {} = [{{ … }}]", entry.key);
            self.reader.problems.push(Problem::error(title).at(entry.node.span, label));
            return Vec::new();
        };
        if nodes.len() > MOST {
            self.too_many(nodes.len(), &format!("tables in `{}`", entry.key), entry);
            return Vec::new();
        }
        let mut tables = Vec::with_capacity(nodes.len());
        for node in nodes {
            match &node.item {
                Item::Table(table) if !table.0.is_empty() => tables.push((table, node.span)),
                item => {
                    let what = if matches!(item, Item::Table(_)) { "an empty one".to_owned() } else { item.words() };
                    let title = format!("`{}` is a list of tables, not {what}", entry.key);
                    self.reader.problems.push(Problem::error(title).at(node.span, "expected { axis = value }"));
                }
            }
        }
        tables
    }

    fn exclude(&mut self, matrix: &mut Matrix, list: Option<&Entry>) {
        for (table, span) in self.tables(list) {
            let mut own = Vec::new();
            let mut of_others = Vec::new();
            for entry in &table.0 {
                match matrix.axes.iter().position(|axis| axis.name == entry.key) {
                    Some(axis) => own.extend(self.setting(entry, &entry.node).map(|setting| (axis, entry, setting))),
                    None => match scalar(&entry.key, &entry.node) {
                        Ok(value) => of_others.push((entry.key.clone(), entry.key_span, Level::of(&value))),
                        Err(problem) => self.reader.problems.push(*problem),
                    },
                }
            }
            if own.len() + of_others.len() < table.0.len() {
                continue;
            }
            if !of_others.is_empty() {
                let own = own.into_iter().map(|(_, entry, s)| (entry.key.clone(), entry.key_span, (*s.level).clone()));
                matrix.exclusions.push(Exclusion { span, cells: own.chain(of_others).collect() });
                continue;
            }
            let before = matrix.combinations.len();
            matrix.combinations.retain(|combination| !own.iter().all(|(axis, _, s)| is_at(combination, *axis, s)));
            if matrix.combinations.len() == before {
                let title = "this exclusion matches no combination";
                self.reader.problems.push(Problem::warning(title).at(span, ""));
            }
        }
    }

    /// `axes`: how many of them were crossed; what inclusions add to these are axes as well.
    fn include(&mut self, matrix: &mut Matrix, axes: usize, list: Option<&Entry>) {
        let crossed = matrix.combinations.len();
        let mut there: HashSet<Levels> = matrix.combinations.iter().map(|combination| levels(combination)).collect();
        for (table, span) in self.tables(list) {
            let mut cells = Vec::new();
            for entry in &table.0 {
                let Some(setting) = self.allowed(entry).and_then(|()| self.setting(entry, &entry.node)) else {
                    continue;
                };
                let known = matrix.axes.iter().position(|axis| axis.name == entry.key);
                let axis = known.unwrap_or_else(|| {
                    matrix.axes.push(Axis { name: entry.key.clone(), span: entry.key_span });
                    matrix.axes.len() - 1
                });
                cells.push((axis, setting));
            }
            if cells.len() < table.0.len() {
                continue;
            }
            let (fixed, added): (Vec<_>, Vec<_>) = cells.into_iter().partition(|(axis, _)| *axis < axes);
            let mut fits = 0;
            for combination in &mut matrix.combinations[..crossed] {
                if fixed.iter().all(|(axis, setting)| is_at(combination, *axis, setting)) {
                    added.iter().for_each(|(axis, setting)| set(combination, *axis, setting));
                    there.insert(levels(combination));
                    fits += 1;
                }
            }
            if fits == 0 {
                let mut combination = Vec::new();
                fixed.iter().chain(&added).for_each(|(axis, setting)| set(&mut combination, *axis, setting));
                self.add(matrix, combination, &mut there, span);
            }
        }
        for combination in &mut matrix.combinations {
            combination.resize(matrix.axes.len(), None);
        }
    }

    fn add(&mut self, matrix: &mut Matrix, combination: Vec<Option<Setting>>, there: &mut HashSet<Levels>, span: Span) {
        if !there.insert(levels(&combination)) {
            self.reader.problems.push(Problem::error("this combination exists already").at(span, ""));
        } else if matrix.combinations.len() >= MOST {
            let title = format!("this matrix has more than {MOST} combinations");
            self.reader.problems.push(Problem::error(title).at(span, ""));
        } else {
            matrix.combinations.push(combination);
        }
    }
}

/// The axes that a combination sets, with positions.
type Levels = Vec<(usize, Rc<Level>)>;

fn levels(combination: &[Option<Setting>]) -> Levels {
    let set = combination.iter().enumerate();
    set.filter_map(|(axis, setting)| Some((axis, setting.as_ref()?.level.clone()))).collect()
}

fn is_at(combination: &[Option<Setting>], axis: usize, setting: &Setting) -> bool {
    combination.get(axis).and_then(Option::as_ref).is_some_and(|own| own.level == setting.level)
}

fn set(combination: &mut Vec<Option<Setting>>, axis: usize, setting: &Setting) {
    if combination.len() <= axis {
        combination.resize(axis + 1, None);
    }
    combination[axis] = Some(setting.clone());
}

/// The value of an axis that isn't a key.
fn scalar(axis: &str, node: &Node) -> Result<Value, Box<Problem>> {
    match &node.item {
        Item::Flag(flag) => Ok(Value::Flag(*flag)),
        Item::Integer(number) => Ok(Value::Integer(*number)),
        // Adding 0 turns -0 into 0, as equal numbers need equal texts.
        Item::Number(number) if number.is_finite() => Ok(Value::Number(number + 0.0)),
        Item::Text(text) if !text.contains('\0') => Ok(Value::Text(text.clone())),
        item => {
            let title = format!("`{axis}` can't be {} here", item.words());
            Err(Box::new(Problem::error(title).at(node.span, "expected a string, a number, true or false")))
        }
    }
}
