//! The command line: one file per command. The only room that prints or sets exit statuses.
//!
//! Knows nothing about pipelines: each command opens a session, calls another room and prints the answer. Data goes to stdout,
//! messages to stderr.

/// Prints a line to stderr, with control sequences removed. Write errors are ignored: a closed pipe (`2>&1 | head`) changes
/// neither the work nor the exit status.
macro_rules! talk {
    ($($line:tt)*) => {{
        let line = format!($($line)*);
        let line = $crate::shown::line(&line);
        let _ = std::io::Write::write_fmt(&mut std::io::stderr().lock(), format_args!("{line}\n"));
    }};
}

mod assess;
mod cache;
mod choices;
mod compare;
mod completions;
mod counting;
mod doctor;
mod drive;
mod export;
mod graph;
mod help;
mod history;
mod init;
mod inspect;
mod keyring;
mod label;
mod lineage;
mod log;
mod meant;
mod memory;
mod open;
mod place;
mod plan;
mod predict;
mod reading;
mod report;
mod result;
mod run;
mod schema;
mod screen;
mod several;
mod status;
mod watch;
mod why;

use std::ffi::OsString;
use std::io::{ErrorKind, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};

use crate::event::full_disk;
use crate::exec::batch::node;
use crate::exec::local::{itself, supervisor};
use crate::pipeline::{Look, Pipeline, Problems, Upstream};
use crate::shell;
use crate::shown;
use crate::store::upstream::{Location, Shared};

/// Success, also when there was nothing to do.
const DONE: u8 = 0;
/// A stage failed, or `doctor` found that one would fail.
const STAGE_FAILED: u8 = 1;
/// The command line or the pipeline file is wrong; nothing was run.
const USAGE: u8 = 2;
/// Interrupted.
const INTERRUPTED: u8 = 130;

/// Runs pipelines for unsupervised intra-domain adaptation. Re-runs only what changed and resumes after a crash
#[derive(Parser)]
#[command(
    name = "intrada-run",
    version,
    arg_required_else_help = true,
    disable_help_subcommand = true,
    disable_help_flag = true
)]
#[command(override_usage = "intrada-run PIPELINE.toml [STAGE…] [OPTIONS]\n       intrada-run COMMAND …")]
#[command(after_help = "The default command is `run`.

Examples:
  intrada-run pipelines/quickstart.toml                    run what changed
  intrada-run plan p.toml --set stages.rank.lambda=0.6     what would happen
  intrada-run why p.toml intra                             why it would run
  intrada-run help ranking                                 the keys of a kind")]
struct Cli {
    /// Print help
    // One form only, one option per line, so that it fits on a screen.
    #[arg(short, long, global = true, action = ArgAction::HelpShort)]
    help: Option<bool>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Run(run::Run),
    Watch(watch::Watch),
    Plan(plan::Plan),
    Status(status::Status),
    Why(why::Why),
    Compare(compare::Compare),
    Assess(assess::Assess),
    Choices(choices::Choices),
    Graph(graph::Graph),
    History(history::History),
    Log(log::Log),
    Inspect(inspect::Inspect),
    Report(report::Report),
    Export(export::Export),
    Predict(predict::Predict),
    Label(label::Label),
    Lineage(lineage::Lineage),
    #[command(subcommand)]
    Cache(cache::Cache),
    Doctor(doctor::Doctor),
    Schema(schema::Schema),
    Init(init::Init),
    Completions(completions::Completions),
    #[command(display_order = 100)]
    Help(help::Help),
}

/// Arguments of every command that reads a pipeline.
#[derive(Args, Clone)]
struct Source {
    /// The pipeline file
    #[arg(value_name = "PIPELINE.toml")]
    file: PathBuf,
    #[command(flatten)]
    options: Options,
}

/// What changes how a pipeline is read, and where its results are.
#[derive(Args, Clone, Default)]
struct Options {
    /// Override a value of the file, as in stages.rank.lambda=0.6; TOML syntax
    #[arg(long, value_name = "PATH=VALUE")]
    set: Vec<String>,
    /// Cache folder; default: cache/ in the workspace; also INTRADA_CACHE
    #[arg(long, value_name = "DIR")]
    cache: Option<PathBuf>,
    /// Read-only fallback cache: a folder or s3://…; may be repeated; also INTRADA_SHARED_CACHES, a list like PATH
    #[arg(long, value_name = "DIR|URL")]
    shared_cache: Vec<OsString>,
}

impl Source {
    /// These arguments quoted for a shell, so that a suggested command reads the same pipeline and cache.
    fn in_shell(&self) -> String {
        let path = |path: &PathBuf| path.to_string_lossy().into_owned();
        let Options { set, cache, shared_cache } = &self.options;
        let sets = set.iter().map(|set| ("--set", set.clone()));
        let cache = cache.iter().map(|cache| ("--cache", path(cache)));
        let shared = shared_cache.iter().map(|cache| ("--shared-cache", cache.to_string_lossy().into_owned()));
        let options =
            sets.chain(cache).chain(shared).map(|(option, value)| format!(" {option} {}", shell::word(&value)));
        format!("{}{}", shell::word(&path(&self.file)), options.collect::<String>())
    }
}

/// The shared caches: those of the command line, then those of the pipeline file, then those of the environment.
fn shared_caches(typed: &[OsString], pipeline: Option<&Pipeline>) -> Vec<Shared> {
    let list = std::env::var_os("INTRADA_SHARED_CACHES").unwrap_or_default();
    let typed = typed.iter().map(|text| Shared::to_read(Location::read(text)));
    let named = pipeline.into_iter().flat_map(|pipeline| {
        let shared = |upstream: &Upstream| Shared {
            at: Location::read(upstream.url.as_ref()).below(&pipeline.root),
            push: upstream.push,
            is_trusted: upstream.trusted,
        };
        pipeline.upstreams.iter().map(shared)
    });
    typed.chain(named).chain(Location::list(&list).into_iter().map(Shared::to_read)).collect()
}

/// The cache folder of the command line, else of the environment.
fn cache_folder(typed: Option<&PathBuf>) -> Option<PathBuf> {
    typed.cloned().or_else(|| std::env::var_os("INTRADA_CACHE").filter(|path| !path.is_empty()).map(PathBuf::from))
}

/// Output format.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    #[default]
    Text,
    /// For programs
    Json,
}

/// Why a command failed.
enum Refusal {
    /// The pipeline file or its data are wrong: exit 2.
    Problems(Box<Problems>),
    /// The command line is wrong in a way that clap can't detect: exit 2.
    Usage(String),
    /// Any other error: exit 1.
    Other(anyhow::Error),
}

impl From<Problems> for Refusal {
    fn from(problems: Problems) -> Refusal {
        Refusal::Problems(Box::new(problems))
    }
}

impl From<anyhow::Error> for Refusal {
    fn from(error: anyhow::Error) -> Refusal {
        Refusal::Other(error)
    }
}

type Answer = Result<u8, Refusal>;

/// Parses the command line, runs the command and returns the exit status. `perform` performs the job in a file, if it needs no tensor:
/// that code uses this crate.
pub fn main(perform: itself::Perform) -> ExitCode {
    if let Some(status) = supervisor::answer_runner().or_else(|| itself::answer_runner(perform)) {
        return status;
    }
    let status = act();
    supervisor::dismiss();
    status
}

fn act() -> ExitCode {
    if let Some(status) = node::answer_batch_system() {
        return status;
    }
    memory::take_large_pages();
    completions::answer_shell();
    // At a file size limit (`ulimit -f`) the write then fails with an error that names the file, instead of killing the process.
    // Child processes don't inherit this handler.
    let _ = signal_hook::flag::register(rustix::process::Signal::XFSZ.as_raw(), std::sync::Arc::default());
    let arguments = match meant::with_command(std::env::args_os().collect()) {
        Ok(arguments) => arguments,
        Err(text) => return ExitCode::from(tell(&Refusal::Usage(text), false)),
    };
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => return ExitCode::from(explain(&error)),
    };
    let status = answer(cli.command).unwrap_or_else(|refusal| tell(&refusal, is_coloured(&std::io::stderr())));
    ExitCode::from(status)
}

/// Prints clap's output: help if requested, else the usage error. The error may contain file names, so it is escaped.
fn explain(error: &clap::Error) -> u8 {
    let (stdout, stderr) = (std::io::stdout(), std::io::stderr());
    let text = |is_terminal: bool| explained(error, is_terminal && are_plain(std::env::args_os()));
    if !error.use_stderr() {
        let _ = stdout.lock().write_all(text(is_coloured(&stdout)).as_bytes());
        return DONE;
    }
    let _ = stderr.lock().write_all(text(is_coloured(&stderr)).as_bytes());
    USAGE
}

fn explained(error: &clap::Error, is_coloured: bool) -> String {
    let text = error.render();
    if is_coloured {
        shown::painted(&shown::brief(&text.ansi().to_string(), 10 * SAID)).into_owned()
    } else {
        shown::lines(&shown::brief(&text.to_string(), 10 * SAID)).into_owned()
    }
}

/// Whether no argument contains an escape sequence, which couldn't be told apart from the message's own colours.
fn are_plain(mut words: impl Iterator<Item = OsString>) -> bool {
    words.all(|word| !word.as_encoded_bytes().contains(&b'\x1b'))
}

/// Maximum characters of a message: an argument may have a hundred thousand.
const SAID: usize = 2000;

/// Prints why the command failed and returns the exit status.
fn tell(refusal: &Refusal, is_coloured: bool) -> u8 {
    match refusal {
        Refusal::Problems(problems) => {
            tell_of(problems, is_coloured);
            USAGE
        }
        Refusal::Usage(text) => {
            // Help is on its own line.
            let text = shown::brief(text, SAID);
            let (first, rest) = text.split_once("\nhelp: ").map_or((&*text, None), |(first, rest)| (first, Some(rest)));
            talk!("error: {first}");
            rest.inspect(|help| talk!("help: {help}"));
            USAGE
        }
        Refusal::Other(error) => {
            talk!("error: {}", shown::brief(&format!("{error:#}"), SAID));
            if let Some(help) = help_with(error) {
                talk!("help: {help}");
            }
            STAGE_FAILED
        }
    }
}

/// The worker's advice, or advice if the error is a full disk.
fn help_with(error: &anyhow::Error) -> Option<String> {
    if let Some(crate::predict::Error::Worker { help, .. }) = error.downcast_ref() {
        return (!help.is_empty()).then(|| help.join("; "));
    }
    error.chain().find_map(|cause| match cause.downcast_ref() {
        Some(crate::export::Error::Io { path, source, .. }) => full_disk::help_at(Some(path), source),
        _ => full_disk::help(cause),
    })
}

/// Prints errors and warnings, if any.
fn tell_of(problems: &Problems, is_coloured: bool) {
    let text = problems.render(if is_coloured { Look::Coloured } else { Look::Plain });
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}

fn answer(command: Command) -> Answer {
    match command {
        Command::Run(command) => command.answer(),
        Command::Watch(command) => command.answer(),
        Command::Plan(command) => command.answer(),
        Command::Status(command) => command.answer(),
        Command::Why(command) => command.answer(),
        Command::Compare(command) => command.answer(),
        Command::Assess(assess) => assess.answer(),
        Command::Choices(command) => command.answer(),
        Command::Graph(command) => command.answer(),
        Command::History(command) => command.answer(),
        Command::Log(command) => command.answer(),
        Command::Inspect(command) => command.answer(),
        Command::Report(command) => command.answer(),
        Command::Export(command) => command.answer(),
        Command::Predict(command) => command.answer(),
        Command::Label(command) => command.answer(),
        Command::Lineage(command) => command.answer(),
        Command::Cache(command) => command.answer(),
        Command::Doctor(command) => command.answer(),
        Command::Schema(command) => command.answer(),
        Command::Init(command) => command.answer(),
        Command::Completions(command) => command.answer(),
        Command::Help(command) => command.answer(),
    }
}

/// Writes text to stdout, with control sequences removed.
fn show(text: &str) -> Result<(), Refusal> {
    write(&shown::lines(text))
}

/// Writes JSON to stdout, with control characters escaped.
fn show_json(text: &str) -> Result<(), Refusal> {
    write(&shown::json(text))
}

/// Writes to stdout. A closed pipe (`| head`) is not an error.
fn write(text: &str) -> Result<(), Refusal> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(anyhow::Error::new(error).context("failed to write to stdout").into())
        }
        _ => Ok(()),
    }
}

/// Whether to colour the stream: it is a terminal, and neither `NO_COLOR` nor `TERM=dumb` is set.
fn is_coloured(stream: &impl IsTerminal) -> bool {
    let unset = |name| std::env::var_os(name).is_none_or(|value| value.is_empty());
    stream.is_terminal() && unset("NO_COLOR") && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn a_colour_that_was_typed_never_reaches_the_terminal_and_one_s_own_does() {
        let said = |word: &str| {
            let words = ["intrada-run", "plan", "p.toml", word];
            let error = Cli::try_parse_from(words).err().unwrap();
            explained(&error, are_plain(words.iter().map(OsString::from)))
        };
        assert!(said("--sett").contains("\x1b["));
        let typed = said("--s\x1b[31mx=1");
        assert!(!typed.contains('\x1b') && typed.contains("unexpected argument"), "{typed:?}");
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_help_of_each_command_fits_a_screen_and_has_two_examples() {
        fn look(command: &mut clap::Command) {
            let inner: Vec<String> = command.get_subcommands().map(|inner| inner.get_name().to_owned()).collect();
            inner.iter().for_each(|name| look(command.find_subcommand_mut(name).unwrap()));
            let help = command.clone().term_width(80).render_help().to_string();
            let name = command.get_name();
            assert!(help.lines().count() <= 45, "{name}: {} lines\n{help}", help.lines().count());
            let examples = help.split("Examples:\n").nth(1).unwrap_or_default().matches("intrada-run ").count();
            assert!(examples >= 2 || !inner.is_empty(), "{name} has {examples} examples");
        }
        look(&mut Cli::command());
    }

    #[test]
    fn what_was_typed_is_advised_as_a_shell_takes_it() {
        let source = Source {
            file: "my runs/p.toml".into(),
            options: Options {
                set: vec!["stages.rank.lambda=0.6".to_owned()],
                cache: Some("cache".into()),
                shared_cache: Vec::new(),
            },
        };
        assert_eq!(source.in_shell(), "'my runs/p.toml' --set 'stages.rank.lambda=0.6' --cache cache");
    }
}
