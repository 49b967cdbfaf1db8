//! `completions`: prints a shell's completion script and answers its queries.
//!
//! The script calls the program at each Tab, so that stages of the pipeline file on the command line can be offered. It
//! queries through an environment variable, as the arguments are the command line being completed.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::builder::StyledStr;
use clap::{Args, Command, CommandFactory};
use clap_complete::CompletionCandidate;
use clap_complete::engine::{ArgValueCandidates, ArgValueCompleter, PathCompleter};
use clap_complete::env::{CompleteEnv, Shells};

use super::run::Run;
use super::{Answer, Cli, DONE, write};
use crate::graph;
use crate::kind::executor::LOCAL;
use crate::pipeline::{Pipeline, manual};

/// The variable that marks a query of the script.
const VARIABLE: &str = "INTRADA_COMPLETE";

/// Print a completion script for a shell
#[derive(Args)]
#[command(after_help = "Examples:
  source <(intrada-run completions bash)          in ~/.bashrc; zsh likewise
  intrada-run completions fish | source           in ~/.config/fish/config.fish")]
pub(super) struct Completions {
    /// The shell
    #[arg(value_parser = ["bash", "zsh", "fish", "elvish", "powershell"])]
    shell: String,
}

impl Completions {
    pub(super) fn answer(self) -> Answer {
        let shells = Shells::builtins();
        let shell = shells.completer(&self.shell).expect("clap takes only these shells");
        let name = "intrada-run";
        let mut script = Vec::new();
        shell.write_registration(VARIABLE, name, name, name, &mut script).context("failed to make the script")?;
        let script = String::from_utf8_lossy(&script);
        // Our own text, for a shell: not escaped.
        match self.shell.as_str() {
            "zsh" => write(&with_compinit(&script))?,
            _ => write(&script)?,
        }
        Ok(DONE)
    }
}

/// Loads zsh's completion system, which defines `compdef`, if `~/.zshrc` hasn't. The script's first line stays first, as zsh
/// needs it there when the script is a file of its own.
fn with_compinit(script: &str) -> String {
    let (first, rest) = script.split_once('\n').unwrap_or((script, ""));
    format!("{first}\n(( $+functions[compdef] )) || {{ autoload -Uz compinit && compinit; }}\n{rest}")
}

/// Answers a query of the script and exits; returns if there is none.
pub(super) fn answer_shell() {
    CompleteEnv::with_factory(completed).var(VARIABLE).complete();
}

/// The command line with completion candidates: stages, keys for `--set`, pipeline files.
fn completed() -> Command {
    // `intrada-run p.toml` is short for `intrada-run run p.toml`, so the arguments of `run` are accepted without a command.
    let with_run = Run::augment_args(Cli::command()).args_conflicts_with_subcommands(true);
    with_candidates(with_run).mut_subcommands(with_candidates)
}

fn with_candidates(command: Command) -> Command {
    command.mut_args(|arg| {
        let takes = arg.get_value_names().and_then(<[_]>::first).map(|name| name.to_string());
        match takes.as_deref() {
            Some("WORD") => arg.add(ArgValueCandidates::new(pages)),
            Some("NAME") if arg.get_id() == "executor" => arg.add(ArgValueCandidates::new(executors)),
            Some("STAGE") => arg.add(ArgValueCandidates::new(stages)),
            Some("PATH=VALUE") => arg.add(ArgValueCandidates::new(values)),
            Some("PIPELINE.toml") => arg.add(ArgValueCompleter::new(PathCompleter::file().filter(may_hold_a_pipeline))),
            _ => arg,
        }
    })
}

/// The topics of `help`: commands and manual pages.
fn pages() -> Vec<CompletionCandidate> {
    let commands = Cli::command();
    let commands =
        commands.get_subcommands().map(|command| (command.get_name().to_owned(), command.get_about().cloned()));
    let pages = manual::pages();
    let pages = pages.iter().map(|page| (page.name.to_owned(), Some(StyledStr::from(page.summary))));
    commands.chain(pages).map(|(name, about)| CompletionCandidate::new(name).help(about)).collect()
}

fn may_hold_a_pipeline(path: &Path) -> bool {
    path.is_dir() || path.extension().is_some_and(|extension| extension == "toml")
}

/// The stages of the pipeline on the command line, with their kinds.
fn stages() -> Vec<CompletionCandidate> {
    let Some(pipeline) = pipeline() else { return Vec::new() };
    let candidate =
        |(name, kind): (&str, &str)| CompletionCandidate::new(name).help(Some(StyledStr::from(kind.to_owned())));
    pipeline.stages.iter().map(|stage| candidate((&stage.name, stage.kind.name))).collect()
}

/// The executors of the pipeline on the command line, and this machine.
fn executors() -> Vec<CompletionCandidate> {
    let Some(pipeline) = pipeline() else { return Vec::new() };
    let names = pipeline.executors.iter().map(|executor| executor.name.as_str());
    names.chain([LOCAL]).map(CompletionCandidate::new).collect()
}

/// The paths that `--set` accepts, up to the `=`.
fn values() -> Vec<CompletionCandidate> {
    let Some(pipeline) = pipeline() else { return Vec::new() };
    let of_pipeline =
        ["seed", "device", "executor", "threads", "instruction_set"].map(|key| format!("pipeline.{key}="));
    let of_stages = pipeline.stages.iter().flat_map(|stage| {
        let own = stage.parameters.iter().filter(|parameter| !parameter.name.contains('.'));
        own.map(|parameter| format!("stages.{}.{}=", stage.name, parameter.name))
    });
    of_pipeline.into_iter().chain(of_stages).map(CompletionCandidate::new).collect()
}

/// The pipeline on the command line. An invalid file, as while it is edited, offers nothing.
fn pipeline() -> Option<Pipeline> {
    let words = std::env::args_os().skip_while(|word| word != "--");
    let file = words.map(PathBuf::from).find(|word| word.extension().is_some_and(|extension| extension == "toml"))?;
    graph::load(&file, &[]).ok().map(|(pipeline, _)| pipeline)
}
