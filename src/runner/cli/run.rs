//! `run`: runs changed stages, restores cached results, prints the results.

use std::rc::Rc;

use clap::Args;

use super::drive::{self, Driven};
use super::place::{self, Place};
use super::report::{Kept, from_here};
use super::result::{self, Before};
use super::screen::Screen;
use super::{Answer, DONE, Format, INTERRUPTED, Refusal, STAGE_FAILED, Source, open, plan, report, show};
use crate::event::Reporter;
use crate::exec::local::signals;
use crate::report::views::Views;
use crate::sched::session::{Access, Session};
use crate::sched::{self, Ended, Interrupt, Options};

/// Run changed stages and reuse cached results
#[derive(Args)]
#[command(
    after_help = "Exit status: 0 done, 1 a stage failed, 2 the command line or the file is wrong, 130 interrupted.

Examples:
  intrada-run p.toml                                    all of it
  intrada-run p.toml intra --set stages.intra.seed=2    one stage and what it needs
  intrada-run p.toml --jobs 2 --format json             events for another program"
)]
pub(super) struct Run {
    #[command(flatten)]
    source: Source,
    #[command(flatten)]
    conduct: Conduct,
    /// Run this stage even if nothing changed; may be repeated
    #[arg(long, value_name = "STAGE")]
    force: Vec<String>,
    /// Submit what is ready, end; run again to go on
    #[arg(long)]
    detach: bool,
    /// With --detach: let a small job submit the rest
    #[arg(long, requires = "detach")]
    driver: bool,
    /// This run is such a job
    #[arg(long, hide = true, value_name = "EXECUTOR")]
    driven: Option<String>,
    /// No effect: always on (kept for compatibility)
    #[arg(long)]
    keep_going: bool,
    /// Show what would happen and change nothing; same as `plan`
    #[arg(long)]
    dry_run: bool,
}

/// Arguments of every command that runs stages.
#[derive(Args)]
pub(super) struct Conduct {
    /// Run only these stages and their dependencies
    #[arg(value_name = "STAGE")]
    stages: Vec<String>,
    /// Maximum number of concurrent jobs
    #[arg(long, short, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    jobs: Option<u16>,
    #[command(flatten)]
    pub(super) place: Place,
    /// Don't wait until results are in shared caches; `cache push` copies the rest
    #[arg(long)]
    no_wait_upload: bool,
    /// Text for people, or JSON Lines on stdout
    #[arg(long, default_value = "text")]
    pub(super) format: Format,
    /// Print only failures and results
    #[arg(long, short)]
    pub(super) quiet: bool,
}

impl Run {
    pub(super) fn answer(self) -> Answer {
        if self.dry_run {
            let Conduct { stages, place, format, .. } = &self.conduct;
            return plan::answer(&self.source, stages, &self.force, place, *format);
        }
        let mut session = self.source.open_for(&self.conduct.place, Access::Run)?;
        let options = Options { detach: self.detach, ..self.conduct.options(&session, &self.force)? };
        if self.driver {
            drive::submit(&session, &options.needed(&session.graph))?;
            return Ok(DONE);
        }
        let driven = self.driven.as_deref().map(Driven::new);
        let before = result::before(&session, &options.needed(&session.graph));
        let screen = Screen::new();
        let reporter = self.conduct.reporter(&screen, &session, &options);
        let mut reporter = views(reporter, &session, &options);
        warn(&session, &mut reporter);
        let interrupt = Interrupt::default();
        match &driven {
            Some(driven) => driven.heed_signals(interrupt.clone()),
            None => pass_on_signals(interrupt.clone(), screen),
        }
        let ended = sched::run(&mut session, &options, &mut reporter, &interrupt);
        // Clears the live lines from the terminal before anything else is written.
        drop(reporter);
        let ended = ended?;
        if let Some(driven) = driven {
            driven.hand_over(&session, ended.has_left)?;
        }
        self.conduct.show_tables(&session, &options, &ended, &before)?;
        let kept = report::keep(&mut session, &options, &ended);
        self.name_next(&session, &options, &ended, kept);
        let status = match ended {
            _ if ended.interrupted => INTERRUPTED,
            _ if ended.totals.failed + ended.totals.skipped > 0 => STAGE_FAILED,
            _ => DONE,
        };
        std::mem::forget(ended);
        session.end();
        Ok(status)
    }
}

impl Run {
    /// Prints the worst findings, the path of the report and, for a sweep, the `compare` command.
    fn name_next(&self, session: &Session, options: &Options, ended: &Ended, kept: Option<Kept>) {
        /// Number of findings printed; the others are in the report.
        const TOLD: usize = 2;
        if self.conduct.format == Format::Json || self.conduct.quiet {
            return;
        }
        if let Some(Kept { page, findings }) = kept {
            findings.iter().take(TOLD).for_each(|finding| talk!("note: {finding}"));
            match findings.len().saturating_sub(TOLD) {
                0 => {}
                more => talk!("note: and {more} more, under Findings in the report"),
            }
            talk!("report  {}", from_here(&session.pipeline, &page).display());
        }
        if ended.has_left {
            talk!(
                "next    intrada-run {}   takes what has ended, and submits what then can run",
                self.source.in_shell()
            );
        }
        let is_done = !ended.interrupted && !ended.has_left && ended.totals.failed + ended.totals.skipped == 0;
        if is_done && result::are_comparable(session, &options.needed(&session.graph)) {
            talk!("next    intrada-run compare {}", self.source.in_shell());
        }
    }
}

impl Conduct {
    /// The scheduler's options.
    pub(super) fn options(&self, session: &Session, force: &[String]) -> Result<Options, Refusal> {
        place::check(session, self.place.device.as_deref())?;
        Ok(Options {
            targets: open::stages(session, &self.stages)?,
            force: open::stages(session, force)?,
            jobs: self.jobs.map(usize::from),
            device: self.place.device.clone(),
            detach: false,
            pushes_later: self.no_wait_upload,
        })
    }

    pub(super) fn reporter(&self, screen: &Screen, session: &Session, options: &Options) -> Box<dyn Reporter> {
        screen.open(session, options, self.format, self.quiet)
    }

    /// Prints the result tables, unless the format is JSON.
    pub(super) fn show_tables(
        &self,
        session: &Session,
        options: &Options,
        ended: &Ended,
        before: &Before,
    ) -> Result<(), Refusal> {
        if self.format == Format::Json {
            return Ok(());
        }
        result::tables(session, &options.needed(&session.graph), ended, before)
            .iter()
            .try_for_each(|table| show(&format!("\n{table}")))
    }
}

/// SIGINT (Ctrl-C), SIGTERM (batch systems) and SIGHUP (closed terminal) stop the run; before its start and after its end they
/// end the program. Signals that the caller ignores (`nohup`, `&` in a script) stay ignored.
pub(super) fn pass_on_signals(interrupt: Interrupt, screen: Screen) {
    use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGTERM};
    // If registration fails, Ctrl-C kills the runner and its jobs at once; their checkpoints are kept.
    let heeded = signals::heeded(&[SIGINT, SIGTERM, SIGHUP, SIGCONT]);
    if let Ok(mut signals) = signal_hook::iterator::Signals::new(heeded) {
        std::thread::spawn(move || {
            for signal in signals.forever() {
                // After Ctrl-Z the shell has written below the live lines.
                if signal == SIGCONT {
                    screen.reopen();
                } else if !interrupt.now() {
                    screen.fall();
                    std::process::exit(INTERRUPTED.into());
                }
            }
        });
    }
}

/// The screen, together with the views in `runs/` (report and TensorBoard events).
pub(super) fn views<R: Reporter>(screen: R, session: &Session, options: &Options) -> Views<R> {
    let needed = options.needed(&session.graph).into_iter().collect();
    let history = (Rc::clone(session.history()), session.history_path());
    Views::new(screen, &session.pipeline, &session.graph, &session.store, history, needed)
}

pub(super) fn warn(session: &Session, reporter: &mut dyn Reporter) {
    for problem in &session.pipeline.warnings {
        reporter.tell(&sched::warning(session, problem));
    }
}
