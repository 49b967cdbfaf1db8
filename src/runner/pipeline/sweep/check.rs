//! Rules between the members of sweeps.
//!
//! Each error is reported at its position, once for all members that share it.

use std::collections::HashSet;

use super::super::near::did_you_mean;
use super::super::problem::Problem;
use super::super::read::Reader;
use super::super::source::Span;
use super::join::{Axes, Column, Members};
use super::matrix::Matrix;
use super::name::{LONGEST, is_same, member_name};
use super::{Family, Sweeps};

/// Axes of the same name are one axis in a stage that reads both, so they need the same values.
pub(super) fn partners(
    reader: &mut Reader<'_>,
    members: &Members,
    place: usize,
    families: &[Family],
    matrices: &[Matrix],
) {
    let axes = Axes(matrices);
    for (at, &left) in members.columns.iter().enumerate() {
        for &right in &members.columns[at + 1..] {
            if axes.name(left) != axes.name(right) {
                continue;
            }
            let found = lonely(left, right, matrices).or_else(|| lonely(right, left, matrices));
            let Some((problem, of)) = found else { continue };
            let (one, other) = (&families[left.0].name, &families[right.0].name);
            let title =
                format!("the axis `{}` of `{one}` and that of `{other}` have different values", axes.name(left));
            let met = format!("`{}` reads members of both and pairs those of equal value", families[place].name);
            let problem = Problem { title, ..problem }.beside(axis_span(of, matrices), "not here").note(met);
            if !reader.problems.iter().any(|told| told.title == problem.title) {
                reader.problems.push(problem.help("give both the same values"));
            }
        }
    }
}

fn axis_span((family, axis): Column, matrices: &[Matrix]) -> Span {
    matrices[family].axes[axis].span
}

/// A value of one axis that is missing in the other: the error at its position, and the other axis.
fn lonely(one: Column, other: Column, matrices: &[Matrix]) -> Option<(Problem, Column)> {
    let settings = |(family, axis): Column| {
        matrices[family].combinations.iter().filter_map(move |settings| settings[axis].as_ref())
    };
    let partners: HashSet<String> = settings(other).map(|setting| setting.level.partner()).collect();
    let setting = settings(one).find(|setting| !partners.contains(&setting.level.partner()))?;
    Some((Problem::error("").at(setting.span(), format!("`{}` is here", setting.level.text)), other))
}

/// The exclusions that name an axis of another stage.
pub(super) fn exclude(
    reader: &mut Reader<'_>,
    members: &mut Members,
    place: usize,
    families: &[Family],
    matrices: &[Matrix],
) {
    let axes = Axes(matrices);
    'exclusions: for exclusion in &matrices[place].exclusions {
        for (axis, span, _) in &exclusion.cells {
            let mut names = members.columns.iter().map(|column| axes.name(*column));
            if !names.clone().any(|name| name == axis) {
                let help = did_you_mean(axis, names.clone()).unwrap_or_else(|| {
                    let known = names.by_ref().collect::<Vec<_>>().join("`, `");
                    if known.is_empty() { "it is in no sweep".to_owned() } else { format!("it has `{known}`") }
                });
                let title = format!("stage `{}` has no axis `{axis}`", families[place].name);
                reader.problems.push(Problem::error(title).at(*span, "").help(help));
                continue 'exclusions;
            }
        }
        let before = members.rows.len();
        let columns = &members.columns;
        members.rows.retain(|row| {
            !exclusion.cells.iter().all(|(axis, _, level)| {
                let mut own = columns.iter().zip(&row.cells).filter(|(column, _)| axes.name(**column) == axis);
                own.any(|(_, cell)| cell.as_ref().is_some_and(|cell| is_same(&level.text, &cell.text)))
            })
        });
        if members.rows.len() == before {
            let title = "this exclusion matches no combination";
            reader.problems.push(Problem::warning(title).at(exclusion.span, ""));
        }
    }
}

/// Names are folder names and must be distinct.
pub(super) fn names(reader: &mut Reader<'_>, sweeps: &Sweeps) {
    for (place, family) in sweeps.families.iter().enumerate() {
        let members = &sweeps.members[place];
        if members.columns.is_empty() {
            continue;
        }
        let mut seen = HashSet::new();
        for row in &members.rows {
            let (coordinates, _) = sweeps.coordinates(place, row);
            let name = member_name(&family.name, &coordinates);
            if name.len() > LONGEST {
                let title =
                    format!("a member of `{}` has a name of {} bytes, at most {LONGEST} fit", family.name, name.len());
                let problem = Problem::error(title).at(family.span, "").note(format!("it is `{name}`"));
                reader.problems.push(problem.help("names contain the values: use shorter ones, or fewer axes"));
                break;
            }
            if !seen.insert(name.clone()) {
                let title = format!("two members would have the name `{name}`");
                reader.problems.push(Problem::error(title).at(family.span, ""));
                break;
            }
        }
    }
}
