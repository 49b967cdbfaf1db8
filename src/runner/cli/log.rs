//! `log`: prints the output of a stage.
//!
//! Into a file or a pipe unchanged; on a terminal only colours and progress bars are kept of the control sequences.

use std::io::{ErrorKind, IsTerminal, Read, Seek, SeekFrom, Write, stdout};
use std::time::Duration;

use anyhow::Context;
use clap::Args;

use super::{Answer, DONE, Refusal, Source, open};
use crate::digest::Key;
use crate::sched::session::Access;
use crate::shell;
use crate::shown::Stream;
use crate::store::Attempt;

/// Show the log of a stage's last run
#[derive(Args)]
#[command(after_help = "Examples:
  intrada-run log p.toml intra             the whole log
  intrada-run log p.toml intra --follow    and new lines while it runs")]
pub(super) struct Log {
    #[command(flatten)]
    source: Source,
    /// The stage
    stage: String,
    /// Keep printing while the stage runs
    #[arg(long, short)]
    follow: bool,
}

impl Log {
    pub(super) fn answer(self) -> Answer {
        let session = self.source.open(Access::Look)?;
        let stage = session.pipeline.stage(open::stage(&session, &self.stage)?);
        let noted = session.attempted(stage);
        let recorded = session.index.stages.get(&session.record_name(stage)).map(|record| record.key);
        let Some(key): Option<Key> = noted.or(recorded) else {
            return Err(Refusal::Usage(format!("`{}` has not run in this workspace, so it has no log", self.stage)));
        };
        let path = session.store.log_path(key);
        let mut file = match crate::plain::open(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(Refusal::Usage(self.gone(session.store.has_record(key))));
            }
            opened => opened.with_context(|| format!("failed to read {}", path.display()))?,
        };
        let mut screen = stdout().is_terminal().then(Stream::default);
        loop {
            // Checked before reading, so that output written before the end isn't missed.
            let runs = self.follow && matches!(session.store.try_lease(key), Ok(Attempt::Busy(_)));
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes).with_context(|| format!("failed to read {}", path.display()))?;
            let mut shown = screen.as_mut().map_or(bytes.clone(), |screen| screen.push(&bytes).into_bytes());
            if !runs {
                shown.extend(screen.as_mut().map(Stream::finish).unwrap_or_default().into_bytes());
            }
            if stdout().write_all(&shown).and_then(|()| stdout().flush()).is_err() || !runs {
                return Ok(DONE);
            }
            std::thread::sleep(Duration::from_millis(200));
            // A new attempt truncates it.
            if file.metadata().is_ok_and(|now| file.stream_position().is_ok_and(|at| now.len() < at)) {
                let _ = file.seek(SeekFrom::Start(0));
            }
        }
    }

    /// What is said where there is no log of a stage that has run.
    fn gone(&self, has_result: bool) -> String {
        let stage = &self.stage;
        if has_result {
            return format!("the cache has the result of `{stage}`, but no log of it: it was computed elsewhere");
        }
        let run = format!("intrada-run {} {}", self.source.in_shell(), shell::word(stage));
        format!(
            "the log of `{stage}` was deleted from the cache, and its result with it, if it had one; to compute it again, delete what \
             is left of its outputs, then: {run}"
        )
    }
}
