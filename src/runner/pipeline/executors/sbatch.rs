//! Options of `sbatch` that a pipeline file adds.
//!
//! Knows those that the program sets itself, no others: `sbatch` refuses what it doesn't know when a job is submitted.

use super::super::problem::Problem;
use super::super::read::Reader;
use super::super::source::Span;
use crate::kind::executor::{TAKEN, Taken};

/// Reports what can't be among the arguments of `sbatch`.
pub(super) fn check(reader: &mut Reader<'_>, extra: &[(&str, Span)]) {
    let mut may_be_value = false;
    for (argument, span) in extra {
        let problem = problem(argument, may_be_value);
        reader.problems.extend(problem.map(|problem| problem.at(*span, "")));
        may_be_value = argument.starts_with('-') && !argument.contains('=');
    }
}

/// What is wrong with an argument. `may_be_value`: it may belong to the option before it.
fn problem(argument: &str, may_be_value: bool) -> Option<Problem> {
    if argument.contains(['\n', '\r']) {
        return Some(Problem::error("an option of `sbatch` is one line"));
    }
    if !argument.starts_with('-') {
        let help = format!("options begin with a hyphen: `--{argument}`");
        return (!may_be_value).then(|| Problem::error(format!("`{argument}` isn't an option of `sbatch`")).help(help));
    }
    if let Some(taken) = TAKEN.iter().find(|taken| is_it(taken, argument)) {
        let title = format!("`extra` can't have `{argument}`: the program sets `{}` itself", taken.long);
        return Some(Problem::error(title).note(taken.reason));
    }
    let (name, value) = argument.split_once([' ', '=']).unwrap_or((argument, ""));
    let is_cut = argument[name.len()..].starts_with(' ');
    let help = format!("write \"{name}={}\"", value.trim_start());
    let title = format!("`{argument}` is an option and its value in one string");
    (is_cut && name.starts_with("--")).then(|| Problem::error(title).help(help))
}

/// Whether `sbatch` would read an argument as this option. It accepts the beginnings of long options, and the value of a short
/// one directly after it.
fn is_it(taken: &Taken, argument: &str) -> bool {
    let name = argument.split([' ', '=']).next().unwrap_or_default();
    let is_long = name.len() > "--".len() && taken.long.starts_with(name);
    is_long || taken.short.is_some_and(|short| argument.starts_with(short))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_option_that_the_program_sets_is_refused_however_it_is_written() {
        for argument in
            ["--job-name=x", "--job-name", "--job-n=x", "-J", "-Jx", "--export=ALL", "--no-requeue", "--arr=1-3"]
        {
            let problem = problem(argument, false).unwrap_or_else(|| panic!("{argument} is accepted"));
            assert!(problem.title.contains("the program sets") && !problem.notes.is_empty(), "{problem:?}");
        }
    }

    #[test]
    fn other_options_are_left_to_sbatch() {
        for argument in [
            "--reservation=night",
            "--gres=lustre:1",
            "-x",
            "-C a100|h100",
            "--exclusive",
            "--export-file=f",
            "--mail-type=END",
        ] {
            assert_eq!(problem(argument, false), None, "{argument}");
        }
        assert_eq!(problem("node[1-3]", true), None, "the value of the option before it");
    }

    #[test]
    fn what_sbatch_would_take_for_a_script_is_refused() {
        assert!(problem("reservation=night", false).unwrap().help[0].contains("--reservation=night"));
        assert!(problem("--reservation night", true).unwrap().help[0].contains("\"--reservation=night\""));
        assert!(problem("--exclusive\n#SBATCH", false).is_some());
    }
}
