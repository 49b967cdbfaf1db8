//! Derives the members of a stage from those that it reads: a natural join over shared axes.
//!
//! Knows no keys and no files: stages are numbers, and their references are [`Read`]s. A column of the join is an axis of one
//! stage. Members that depend on the same swept stage share its column, so each joins only with its own kin; axes of the same
//! name of two stages are compared by value. Linear in the number of resulting members.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use super::matrix::{Level, MOST, Matrix};
use super::name::is_same;

/// An axis: the position of its stage, and its position among that stage's axes.
pub(super) type Column = (usize, usize);

/// A member's value on one axis; empty if an inclusion omits the axis.
pub(super) type Cell = Option<Rc<Level>>;
/// The same for several axes.
pub(super) type Cells = Vec<Cell>;

/// A reference of one stage to members of another.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Read {
    /// The name as typed.
    pub typed: String,
    /// The position of the stage that is read.
    pub family: usize,
    /// Reads only members with these values; the reader doesn't inherit these axes.
    pub fixed: Vec<(String, String)>,
    /// Axes along which all members are read together; the reader doesn't inherit these either.
    pub gathered: Vec<String>,
    /// Reads all members together.
    pub all: bool,
    /// The reader inherits only these axes; `None`: all but the above.
    pub only: Option<Vec<String>>,
}

impl Read {
    fn takes_over(&self, axis: &str) -> bool {
        !self.all
            && !self.gathered.iter().any(|name| name == axis)
            && !self.fixed.iter().any(|(name, _)| name == axis)
            && self.only.as_ref().is_none_or(|only| only.iter().any(|name| name == axis))
    }

    fn admits(&self, members: &Members, axes: &Axes<'_>, row: &Row) -> bool {
        self.fixed.iter().all(|(axis, value)| {
            let mut cells = members.columns.iter().zip(&row.cells).filter(|(column, _)| axes.name(**column) == axis);
            cells.any(|(_, cell)| cell.as_ref().is_some_and(|level| is_same(value, &level.text)))
        })
    }
}

/// The members of one stage.
#[derive(Default)]
pub(super) struct Members {
    /// In file order.
    pub columns: Vec<Column>,
    pub rows: Vec<Row>,
    /// What each row's `reads` are about.
    pub reads: Vec<Rc<[Read]>>,
}

impl Members {
    /// The single member of a stage without sweep.
    pub(super) fn single() -> Members {
        let row = Row { combination: 0, cells: Vec::new(), group: 0, reads: Vec::new() };
        Members { rows: vec![row], ..Members::default() }
    }
}

/// One member.
#[derive(Clone)]
pub(super) struct Row {
    /// Of its own matrix.
    pub combination: usize,
    /// By column.
    pub cells: Cells,
    /// The position in [`Members::reads`] of the list that it was joined over.
    pub group: usize,
    /// For each of that list, the rows of that stage that are read; empty if the stage isn't known yet (a cycle).
    pub reads: Vec<Rc<[usize]>>,
}

/// The names of all axes.
#[derive(Clone, Copy)]
pub(super) struct Axes<'m>(pub &'m [Matrix]);

impl<'m> Axes<'m> {
    pub(super) fn name(self, (family, axis): Column) -> &'m str {
        &self.0[family].axes[axis].name
    }
}

/// Joins one stage's combinations with the members that they read. `reads` is by combination, `known` by stage (`None` in a
/// cycle). Returns `None` if there would be more than [`MOST`].
pub(super) fn join(family: usize, axes: Axes<'_>, reads: &[Rc<[Read]>], known: &[Option<Members>]) -> Option<Members> {
    let own: Vec<Column> = (0..axes.0[family].axes.len()).map(|axis| (family, axis)).collect();
    let mut groups: Vec<(Rc<[Read]>, Vec<usize>)> = Vec::new();
    let mut places: HashMap<&[Read], usize> = HashMap::new();
    for (combination, list) in reads.iter().enumerate() {
        let place = *places.entry(list).or_insert(groups.len());
        if place == groups.len() {
            groups.push((list.clone(), Vec::new()));
        }
        groups[place].1.push(combination);
    }
    let mut joined = Vec::with_capacity(groups.len());
    for (group, (list, combinations)) in groups.iter().enumerate() {
        let row = |&combination: &usize| {
            let settings = &axes.0[family].combinations[combination];
            let cells = settings.iter().map(|setting| Some(setting.as_ref()?.level.clone())).collect();
            Row { combination, cells, group, reads: Vec::with_capacity(list.len()) }
        };
        let mut relation = (own.clone(), combinations.iter().map(row).collect::<Vec<Row>>());
        for read in list.iter() {
            relation = with(relation, read, axes, known[read.family].as_ref())?;
        }
        joined.push(relation);
    }
    Some(unite(joined, groups.into_iter().map(|(list, _)| list).collect(), axes))
}

/// Gives all groups the same columns, and sorts the rows in file order.
fn unite(groups: Vec<(Vec<Column>, Vec<Row>)>, reads: Vec<Rc<[Read]>>, axes: Axes<'_>) -> Members {
    let mut columns: Vec<Column> = groups.iter().flat_map(|(columns, _)| columns.iter().copied()).collect();
    columns.sort_unstable();
    columns.dedup();
    let place: Vec<HashMap<Rc<Level>, usize>> = columns.iter().map(|column| places(axes, *column)).collect();
    let mut rows = Vec::new();
    for (own, of_group) in groups {
        let from: Vec<Option<usize>> = columns.iter().map(|column| own.iter().position(|c| c == column)).collect();
        rows.extend(of_group.into_iter().map(|row| {
            let cells = from.iter().map(|from| row.cells[(*from)?].clone()).collect();
            Row { cells, ..row }
        }));
    }
    // Omitted axes come last.
    let order = |cell: &Cell, place: &HashMap<Rc<Level>, usize>| {
        cell.as_ref().and_then(|level| place.get(level)).copied().unwrap_or(usize::MAX)
    };
    rows.sort_by_cached_key(|row| -> Vec<usize> {
        row.cells.iter().zip(&place).map(|(cell, place)| order(cell, place)).collect()
    });
    Members { columns, rows, reads }
}

/// The order of an axis's levels.
fn places(axes: Axes<'_>, (family, axis): Column) -> HashMap<Rc<Level>, usize> {
    let mut places = HashMap::new();
    for setting in axes.0[family].combinations.iter().filter_map(|settings| settings[axis].as_ref()) {
        let next = places.len();
        places.entry(setting.level.clone()).or_insert(next);
    }
    places
}

/// The referenced rows, by the columns that the reader inherits.
struct Offered {
    columns: Vec<Column>,
    /// The cells and the rows that have them.
    rows: Vec<(Cells, Vec<usize>)>,
}

fn offered(read: &Read, axes: Axes<'_>, members: &Members) -> Offered {
    let places: Vec<usize> =
        (0..members.columns.len()).filter(|place| read.takes_over(axes.name(members.columns[*place]))).collect();
    let mut rows: Vec<(Cells, Vec<usize>)> = Vec::new();
    let mut seen: HashMap<Cells, usize> = HashMap::new();
    for (index, row) in members.rows.iter().enumerate().filter(|(_, row)| read.admits(members, &axes, row)) {
        let cells: Vec<_> = places.iter().map(|place| row.cells[*place].clone()).collect();
        let at = *seen.entry(cells.clone()).or_insert(rows.len());
        if at == rows.len() {
            rows.push((cells, Vec::new()));
        }
        rows[at].1.push(index);
    }
    Offered { columns: places.iter().map(|place| members.columns[*place]).collect(), rows }
}

/// The natural join of the rows so far with one more reference.
fn with(
    (columns, rows): (Vec<Column>, Vec<Row>),
    read: &Read,
    axes: Axes<'_>,
    members: Option<&Members>,
) -> Option<(Vec<Column>, Vec<Row>)> {
    let nothing = || -> Rc<[usize]> { Rc::new([]) };
    let Some(members) = members else {
        let rows = rows.into_iter().map(|mut row| {
            row.reads.push(nothing());
            row
        });
        return Some((columns, rows.collect()));
    };
    let offered = offered(read, axes, members);
    if offered.rows.is_empty() {
        // Brackets that match nothing are reported where the name is resolved.
        return with((columns, rows), read, axes, None);
    }
    let pairs = Pairs::new(&columns, &rows, &offered, axes);
    let mut index: HashMap<Vec<Key>, Vec<usize>> = HashMap::new();
    for (at, (cells, _)) in offered.rows.iter().enumerate() {
        index.entry(pairs.key(cells, |pair| pair.right)).or_default().push(at);
    }
    let added: Vec<usize> = (0..offered.columns.len()).filter(|at| !columns.contains(&offered.columns[*at])).collect();
    let members: Vec<Rc<[usize]>> = offered.rows.iter().map(|(_, rows)| rows.as_slice().into()).collect();
    let mut out = Vec::new();
    for row in &rows {
        for &at in index.get(&pairs.key(&row.cells, |pair| pair.left)).into_iter().flatten() {
            let cells = &offered.rows[at].0;
            if !pairs.agree(&row.cells, cells) {
                continue;
            }
            if out.len() == MOST {
                return None;
            }
            let mut row = row.clone();
            row.cells.extend(added.iter().map(|column| cells[*column].clone()));
            row.reads.push(members[at].clone());
            out.push(row);
        }
    }
    let columns = columns.into_iter().chain(added.iter().map(|at| offered.columns[*at])).collect();
    Some((columns, out))
}

/// How two cells are compared: in one column by level or absence, in two columns of the same name by value.
#[derive(PartialEq, Eq, Hash)]
enum Key {
    Same(Cell),
    Partner(String),
}

/// Two columns that must agree.
#[derive(Clone, Copy)]
struct Pair {
    left: usize,
    right: usize,
    is_one_column: bool,
}

/// All column pairs that must agree: by lookup, or by comparison.
struct Pairs {
    keyed: Vec<Pair>,
    /// Pairs in which a cell may be empty, which agrees with everything.
    loose: Vec<Pair>,
}

impl Pairs {
    fn new(columns: &[Column], rows: &[Row], offered: &Offered, axes: Axes<'_>) -> Pairs {
        let mut pairs = Pairs { keyed: Vec::new(), loose: Vec::new() };
        for (left, column) in columns.iter().enumerate() {
            for (right, other) in offered.columns.iter().enumerate() {
                let is_one_column = column == other;
                if !is_one_column && axes.name(*column) != axes.name(*other) {
                    continue;
                }
                let is_full = || {
                    rows.iter().all(|row| row.cells[left].is_some())
                        && offered.rows.iter().all(|(cells, _)| cells[right].is_some())
                };
                let to = if is_one_column || is_full() { &mut pairs.keyed } else { &mut pairs.loose };
                to.push(Pair { left, right, is_one_column });
            }
        }
        pairs
    }

    fn key(&self, cells: &[Cell], side: impl Fn(&Pair) -> usize) -> Vec<Key> {
        let key = |pair: &Pair| match &cells[side(pair)] {
            Some(level) if !pair.is_one_column => Key::Partner(level.partner()),
            cell => Key::Same(cell.clone()),
        };
        self.keyed.iter().map(key).collect()
    }

    fn agree(&self, left: &[Cell], right: &[Cell]) -> bool {
        self.loose.iter().all(|pair| match (&left[pair.left], &right[pair.right]) {
            (Some(left), Some(right)) => left.partner() == right.partner(),
            _ => true,
        })
    }
}

/// The rows of a stage that a member reads within a cycle, where the join can't know them.
pub(super) fn by_looking(read: &Read, axes: Axes<'_>, reader: (&Members, &Row), members: &Members) -> Vec<usize> {
    let own: HashMap<Column, &Cell> = reader.0.columns.iter().copied().zip(&reader.1.cells).collect();
    // A member that reads another of its own sweep differs from it on that axis.
    let is_free = |column: &Column| column.0 == read.family && !read.fixed.is_empty();
    let agrees = |row: &Row| {
        members.columns.iter().zip(&row.cells).filter(|(column, _)| !is_free(column)).all(|(column, cell)| {
            !read.takes_over(axes.name(*column)) || own.get(column).is_none_or(|own| *own == cell)
        })
    };
    let rows = members.rows.iter().enumerate();
    rows.filter(|(_, row)| read.admits(members, &axes, row) && agrees(row)).map(|(index, _)| index).collect()
}

/// The stages in dependency order; those of a cycle come last.
pub(super) fn order(reads: &[Vec<Rc<[Read]>>]) -> Vec<usize> {
    let mut waits = vec![0; reads.len()];
    let mut readers: Vec<Vec<usize>> = vec![Vec::new(); reads.len()];
    for (family, lists) in reads.iter().enumerate() {
        // Members of a sweep may read others of it, which isn't a cycle.
        let all = lists.iter().flat_map(|list| list.iter().map(|read| read.family));
        let read: HashSet<usize> = all.filter(|other| *other != family).collect();
        waits[family] = read.len();
        read.into_iter().for_each(|other| readers[other].push(family));
    }
    let mut order: Vec<usize> = (0..reads.len()).filter(|family| waits[*family] == 0).collect();
    let mut next = 0;
    while let Some(&family) = order.get(next) {
        next += 1;
        for &reader in &readers[family] {
            waits[reader] -= 1;
            if waits[reader] == 0 {
                order.push(reader);
            }
        }
    }
    order.extend((0..reads.len()).filter(|family| waits[*family] > 0));
    order
}
