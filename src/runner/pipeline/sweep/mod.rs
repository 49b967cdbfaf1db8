//! Sweeps: expands a stage with a `matrix`, and its dependents, into one stage per combination.
//!
//! Knows the types of keys, not their meaning. Each member is then a normal stage: its table is read as if it had been written
//! separately, so its cache key is that of the same stage without a matrix. An error that several members share is reported
//! once.

mod check;
mod join;
mod matrix;
mod name;
mod placeholder;
mod reads;

use std::collections::HashMap;
use std::path::Path;
use std::rc::Rc;

use super::execution::{self, Execution, read_execution};
use super::header::Header;
use super::problem::Problem;
use super::raw::{Entry, Table};
use super::read::{Reader, Values};
use super::source::Span;
use super::words::stage_of;
use super::{Coordinate, StageId, across};
use crate::kind::Kind;
use join::{Axes, Members, Read, Row};
use matrix::Matrix;
use placeholder::Filling;
use reads::Readings;

pub(super) use name::{Reference, member_name};
pub(super) use placeholder::OPEN as PLACEHOLDER;

/// A stage of the file: one table, for one or several combinations.
pub(super) struct Family {
    pub name: String,
    pub span: Span,
    pub kind: &'static Kind,
    pub execution: Execution,
    /// By combination.
    values: Vec<Rc<Values>>,
}

/// Reads a stage's table once per combination of its matrix; `None` if the matrix is invalid.
pub(super) fn read_family(
    reader: &mut Reader<'_>,
    (entry, table): (&Entry, &Table),
    kind: &'static Kind,
    header: &Header,
) -> Option<(Family, Matrix)> {
    let beside: Vec<&str> = execution::names().chain(["kind", "matrix"]).collect();
    let execution = read_execution(reader, table, (&header.resources, &header.executors), entry.key_span);
    let matrix = matrix::read_matrix(reader, table, kind)?;
    let count = matrix.combinations.len();
    let mut told: Vec<(Problem, usize)> = Vec::new();
    let mut places: HashMap<Problem, usize> = HashMap::new();
    let mut values = Vec::with_capacity(count);
    for combination in 0..count {
        let mut problems = Vec::new();
        let mut one = Reader { sources: reader.sources, problems: &mut problems };
        let applied = (!matrix.axes.is_empty()).then(|| matrix.applied(table, combination, kind));
        let table = applied.as_ref().unwrap_or(table);
        let read = one.table(table, kind.keys, &beside, &stage_of(kind), entry.key_span);
        across::check(&mut one, kind, &read);
        values.push(Rc::new(read));
        for problem in problems {
            match places.get(&problem) {
                Some(place) => told[*place].1 += 1,
                None => {
                    places.insert(problem.clone(), told.len());
                    told.push((problem, 1));
                }
            }
        }
    }
    // A key without effect in some members may have one in others.
    let in_all = |(problem, times): (Problem, usize)| (problem.is_error() || times == count).then_some(problem);
    reader.problems.extend(told.into_iter().filter_map(in_all));
    Some((Family { name: entry.key.clone(), span: entry.key_span, kind, execution, values }, matrix))
}

/// A stage of the pipeline, before the names in its table are resolved.
pub(super) struct Member {
    pub name: String,
    pub coordinates: Vec<Coordinate>,
    pub values: Rc<Values>,
}

/// All members, and which of them each stage reads.
pub(super) struct Sweeps {
    pub families: Vec<Family>,
    places: HashMap<String, usize>,
    matrices: Vec<Matrix>,
    members: Vec<Members>,
    /// The number of each family's first member.
    first: Vec<usize>,
    /// The family and the row of each stage.
    stages: Vec<(usize, usize)>,
}

impl Sweeps {
    /// Joins the families. A family without members has been reported.
    pub(super) fn new(
        reader: &mut Reader<'_>,
        (families, matrices): (Vec<Family>, Vec<Matrix>),
        root: &Path,
        pipeline: &str,
    ) -> Sweeps {
        let places = families.iter().enumerate().map(|(place, family)| (family.name.clone(), place)).collect();
        let is_plain = |matrix: &Matrix| matrix.axes.is_empty() && matrix.exclusions.is_empty();
        let members = if matrices.iter().all(is_plain) {
            (0..families.len()).map(|_| Members::single()).collect()
        } else {
            joined(reader, &families, &matrices, &Readings::new(&families, &places, root, pipeline))
        };
        let mut first = Vec::with_capacity(families.len());
        let mut stages = Vec::new();
        for (place, members) in members.iter().enumerate() {
            first.push(stages.len());
            stages.extend((0..members.rows.len()).map(|row| (place, row)));
        }
        let sweeps = Sweeps { families, places, matrices, members, first, stages };
        check::names(reader, &sweeps);
        sweeps
    }

    /// All stages, each as the position of its family and its row there.
    pub(super) fn stages(&self) -> &[(usize, usize)] {
        &self.stages
    }

    /// A stage, with the placeholders in its strings filled in.
    pub(super) fn member(&self, reader: &mut Reader<'_>, (place, row): (usize, usize)) -> Member {
        let family = &self.families[place];
        let row = &self.members[place].rows[row];
        let (coordinates, plain) = self.coordinates(place, row);
        let filling = Filling { family: &family.name, kind: family.kind, coordinates: &coordinates, plain: &plain };
        let values = filling.fill(reader, &family.values[row.combination]);
        Member { name: name::member_name(&family.name, &coordinates), coordinates, values }
    }

    /// The coordinates of a row, and the replacement of each axis in a string.
    fn coordinates<'m>(&self, place: usize, row: &'m Row) -> (Vec<Coordinate>, Vec<&'m str>) {
        let mut coordinates: Vec<Coordinate> = Vec::new();
        let mut plain = Vec::new();
        for (column, level) in self.members[place].columns.iter().zip(&row.cells) {
            let axis = Axes(&self.matrices).name(*column);
            let Some(level) = level.as_ref().filter(|_| coordinates.iter().all(|other| other.axis != axis)) else {
                continue;
            };
            coordinates.push(Coordinate { axis: axis.to_owned(), value: level.text.clone() });
            plain.push(level.plain.as_str());
        }
        (coordinates, plain)
    }

    /// The members that `stage` reads as `typed`; empty if the brackets match nothing.
    pub(super) fn read(&self, stage: usize, typed: &str) -> Vec<StageId> {
        let (reader, row) = self.stages[stage];
        let reference = Reference::parse(typed);
        let Some(&place) = self.places.get(reference.family) else { return Vec::new() };
        let members = &self.members[place];
        let stages = |rows: &[usize]| rows.iter().map(|row| StageId::at(self.first[place] + row)).collect();
        if members.columns.is_empty() && reference.chosen.is_empty() {
            return stages(&[0][..members.rows.len()]);
        }
        let row = &self.members[reader].rows[row];
        let reads: &[Read] = self.members[reader].reads.get(row.group).map_or(&[], |reads| reads);
        let Some(at) = reads.iter().position(|read| read.typed == typed) else { return Vec::new() };
        match &*row.reads[at] {
            [] => stages(&join::by_looking(&reads[at], Axes(&self.matrices), (&self.members[reader], row), members)),
            rows => stages(rows),
        }
    }

    /// The numbers of all members of a family.
    pub(super) fn all_of(&self, place: usize) -> impl Iterator<Item = StageId> + use<> {
        let first = self.first[place];
        (first..first + self.members[place].rows.len()).map(StageId::at)
    }
}

/// The members of each family, in dependency order.
fn joined(reader: &mut Reader<'_>, families: &[Family], matrices: &[Matrix], readings: &Readings<'_>) -> Vec<Members> {
    let of = |family: &Family| family.values.iter().map(|values| readings.of(family.kind, values)).collect();
    let reads: Vec<Vec<Rc<[Read]>>> = families.iter().map(of).collect();
    let mut known: Vec<Option<Members>> = families.iter().map(|_| None).collect();
    for place in join::order(&reads) {
        let errors = |problems: &[Problem]| problems.iter().filter(|problem| problem.is_error()).count();
        let before = errors(reader.problems);
        let mut members = join::join(place, Axes(matrices), &reads[place], &known).unwrap_or_else(|| {
            let title = format!("`{}` would have more than {} members", families[place].name, matrix::MOST);
            reader.problems.push(Problem::error(title).at(families[place].span, ""));
            Members::default()
        });
        check::partners(reader, &members, place, families, matrices);
        check::exclude(reader, &mut members, place, families, matrices);
        let is_upstream_empty = reads[place]
            .iter()
            .flat_map(|list| list.iter())
            .any(|read| known[read.family].as_ref().is_some_and(|members| members.rows.is_empty()));
        if members.rows.is_empty() && errors(reader.problems) == before && !is_upstream_empty {
            let title = format!("`{}` has no combination left", families[place].name);
            reader.problems.push(Problem::error(title).at(families[place].span, ""));
        }
        known[place] = Some(members);
    }
    known.into_iter().map(Option::unwrap_or_default).collect()
}

#[cfg(test)]
mod tests;
