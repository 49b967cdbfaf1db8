//! `watch`: a `run` that repeats whenever the pipeline file, an input or an output changes.

use std::io::stderr;

use anyhow::Context;
use clap::Args;

use super::result::Before;
use super::run::{Conduct, pass_on_signals, views, warn};
use super::screen::Screen;
use super::{Answer, Format, INTERRUPTED, Refusal, Source, is_coloured, report, tell};
use crate::pipeline::Problems;
use crate::sched::live::{self, Front, Opened};
use crate::sched::session::{Access, Session};
use crate::sched::{Ended, Interrupt, Options};

/// Run changed stages; repeat when a file changes; Ctrl-C stops
#[derive(Args)]
#[command(after_help = "Examples:
  intrada-run watch p.toml             while editing the pipeline
  intrada-run watch p.toml evaluate    one stage and what it needs")]
pub(super) struct Watch {
    #[command(flatten)]
    source: Source,
    #[command(flatten)]
    conduct: Conduct,
    /// Where events are shown.
    #[arg(skip)]
    screen: Screen,
}

impl Watch {
    pub(super) fn answer(mut self) -> Answer {
        let interrupt = Interrupt::default();
        self.screen = Screen::new();
        pass_on_signals(interrupt.clone(), self.screen.clone());
        let file = self.source.file.clone();
        live::watch(&file, &mut self, &interrupt).context("the watch has ended").map_err(explained)?;
        Ok(INTERRUPTED)
    }

    fn try_open(&self) -> Result<Opened, Refusal> {
        let session = self.source.open_for(&self.conduct.place, Access::Run)?;
        let options = self.conduct.options(&session, &[])?;
        let screen = self.conduct.reporter(&self.screen, &session, &options);
        let mut reporter = views(screen, &session, &options);
        warn(&session, &mut reporter);
        Ok(Opened { session, options, reporter: Box::new(reporter) })
    }

    fn say(&self, refusal: &Refusal) {
        self.screen.rest();
        tell(refusal, is_coloured(&stderr()));
        self.rests();
    }

    fn rests(&self) {
        if self.conduct.format == Format::Text && !self.conduct.quiet {
            talk!("watching for changes");
        }
    }
}

impl Front for Watch {
    fn open(&mut self) -> Option<Opened> {
        self.try_open().map_err(|refusal| self.say(&refusal)).ok()
    }

    fn refuse(&mut self, problems: &Problems) {
        self.say(&Refusal::Problems(Box::new(problems.clone())));
    }

    fn rest(&mut self, session: &mut Session, options: &Options, ended: &Ended) {
        report::keep(session, options, ended);
        if ended.totals.ran + ended.totals.hit > 0 {
            // A closed stdout doesn't end the watch.
            let _ = self.conduct.show_tables(session, options, ended, &Before::default());
        }
        if !ended.interrupted {
            self.rests();
        }
    }
}

/// Names the kernel setting behind an inotify limit, which the system's own message doesn't.
fn explained(error: anyhow::Error) -> anyhow::Error {
    let is_full = error.chain().any(|cause| cause.to_string().contains("limit"));
    if is_full && cfg!(target_os = "linux") {
        error.context("too many folders to watch: raise the kernel's fs.inotify.max_user_watches")
    } else {
        error
    }
}
