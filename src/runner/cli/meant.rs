//! Handles command lines without a command: the default `run`, or a typing error.
//!
//! `intrada-run p.toml` is short for `intrada-run run p.toml`. A first word that is neither command, option nor file is
//! probably a typing error; the message suggests the nearest command or file instead of reporting a missing file.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use clap::CommandFactory;

use super::Cli;
use crate::pipeline::{near_file, nearest};
use crate::shell;

/// The command line with the command filled in.
///
/// # Errors
/// The first word is neither a command nor a file; the text suggests the nearest one.
pub(super) fn with_command(mut arguments: Vec<OsString>) -> Result<Vec<OsString>, String> {
    let Some(first) = arguments.get(1) else { return Ok(arguments) };
    let word = first.to_string_lossy();
    let own = ["-h", "--help", "-V", "--version"];
    if own.contains(&&*word) || Cli::command().find_subcommand(&*word).is_some() {
        return Ok(arguments);
    }
    if !may_be_a_file(first) {
        return Err(neither(&word, &arguments[2..]));
    }
    arguments.insert(1, "run".into());
    Ok(arguments)
}

/// Whether `run` should read the word as a file. A missing `.toml` file is reported by the reader.
fn may_be_a_file(word: &OsStr) -> bool {
    let path = Path::new(word);
    let is_option = word.as_encoded_bytes().starts_with(b"-");
    is_option || path.extension().is_some_and(|extension| extension == "toml") || path.symlink_metadata().is_ok()
}

fn neither(word: &str, others: &[OsString]) -> String {
    let said = format!("there is no command and no file `{word}`");
    if let Some(file) = others.iter().find(|other| Path::new(other).extension().is_some_and(|end| end == "toml"))
        && near_command(word).is_none()
    {
        let file = file.to_string_lossy();
        return format!(
            "{said}; the pipeline file comes before stages: intrada-run {} {}",
            shell::word(&file),
            shell::word(word)
        );
    }
    match (near_file(Path::new(word)), near_command(word)) {
        (Some(file), _) => format!("{said}; did you mean `{}`?", file.display()),
        (None, Some(command)) => format!("{said}; did you mean `{command}`?"),
        (None, None) => format!("{said}; `intrada-run --help` lists the commands"),
    }
}

/// Commands of other programs and their equivalents here.
const ELSEWHERE: &[(&[&str], &str)] = &[
    (&["gc", "clean", "prune", "purge"], "cache gc"),
    (&["verify", "fsck"], "cache verify"),
    (&["stats", "du"], "cache stats"),
    (&["pin"], "cache pin"),
    (&["unpin"], "cache unpin"),
    (&["check", "validate", "lint", "ls", "list", "dry-run"], "plan"),
    (&["diff"], "compare"),
    (&["runs", "experiments"], "history"),
    (&["explain", "reason"], "why"),
    (&["dag", "dot", "draw"], "graph"),
    (&["logs", "tail"], "log"),
    (&["new", "create"], "init"),
    (&["start", "train", "exec", "repro", "make", "resume"], "run"),
];

fn near_command(word: &str) -> Option<String> {
    let known = ELSEWHERE.iter().find(|(words, _)| words.contains(&word));
    if let Some((_, command)) = known {
        return Some((*command).to_owned());
    }
    let cli = Cli::command();
    nearest(word, cli.get_subcommands().map(clap::Command::get_name)).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn completed(line: &str) -> Result<String, String> {
        let words = line.split_whitespace().map(OsString::from).collect();
        with_command(words).map(|words| words.join(&OsString::from(" ")).into_string().unwrap())
    }

    #[test]
    fn what_another_program_s_command_is_called_here_is_a_command() {
        for (_, command) in ELSEWHERE {
            let mut found = Cli::command();
            for word in command.split(' ') {
                found = found.find_subcommand(word).unwrap_or_else(|| panic!("{command}")).clone();
            }
        }
    }

    #[test]
    fn run_is_meant_where_no_command_is_named() {
        assert_eq!(completed("intrada-run p.toml rank").unwrap(), "intrada-run run p.toml rank");
        assert_eq!(completed("intrada-run --quiet p.toml").unwrap(), "intrada-run run --quiet p.toml");
        assert_eq!(completed("intrada-run Cargo.toml").unwrap(), "intrada-run run Cargo.toml");
        for line in ["intrada-run", "intrada-run plan p.toml", "intrada-run --help", "intrada-run run p.toml"] {
            assert_eq!(completed(line).unwrap(), line);
        }
    }

    #[test]
    fn what_is_neither_command_nor_file_is_answered_with_what_is_near() {
        let said = |line| completed(line).unwrap_err();
        assert!(said("intrada-run comapre p.toml").ends_with("`comapre`; did you mean `compare`?"));
        assert!(said("intrada-run gc").ends_with("`gc`; did you mean `cache gc`?"));
        assert!(said("intrada-run check p.toml").ends_with("did you mean `plan`?"));
        assert!(said("intrada-run Plan p.toml").ends_with("did you mean `plan`?"));
        assert!(said("intrada-run Cargo.tmol").ends_with("did you mean `Cargo.toml`?"));
        assert!(said("intrada-run rank p.toml").ends_with("before stages: intrada-run p.toml rank"));
        assert!(said("intrada-run xyzzy").ends_with("`intrada-run --help` lists the commands"));
    }
}
