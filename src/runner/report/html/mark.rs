//! The mark of a page: what it was made from, in its first lines, so that whoever finds the page can tell whether it would come
//! out the same.
//!
//! Knows nothing of what is shown, only what decides it: the pipeline's texts with `--set`, what lies in place, how stages
//! came out. A page of a run that goes on has no mark: it never is the last word.

use maud::{Markup, html};

use super::workspace::Workspace;
use crate::digest::{Digest, Encoder};

/// What a page is made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// All but which stages would run again: that isn't known to a run of some of them.
    pub but_stale: Digest,
    /// All.
    pub all: Digest,
}

impl Mark {
    /// Bytes at the beginning of a page among which its mark is.
    pub const WITHIN: u64 = 512;

    /// Of the page that would be made now.
    pub fn of(workspace: &Workspace) -> Option<Mark> {
        let history = workspace.history;
        if history.going.is_some() {
            return None;
        }
        let mut encoder = Encoder::new("intrada/page/1");
        encoder.field("version", env!("CARGO_PKG_VERSION").as_bytes());
        for source in workspace.pipeline.sources.all() {
            encoder.field("text", source.text.as_bytes());
        }
        encoder.field("run", &history.ended.to_le_bytes()).field("interrupted", &[u8::from(history.interrupted)]);
        for (id, stage) in workspace.stages() {
            encoder.field("stage", stage.name.as_bytes());
            if let Some(record) = workspace.record(id) {
                encoder.field("key", record.key.to_string().as_bytes());
            }
            if let Some(settled) = workspace.settled(id) {
                // Whether it ran or was up to date already, it is done.
                let outcome = if settled.outcome.has_results() { "done" } else { settled.outcome.name() };
                encoder.field("outcome", outcome.as_bytes()).field("reason", settled.reason.as_bytes());
            }
        }
        let but_stale = encoder.finish();
        encoder.list("out of date", workspace.stale.len());
        for stale in workspace.stale {
            encoder.field("stale", workspace.pipeline.stage(*stale).name.as_bytes());
        }
        Some(Mark { but_stale, all: encoder.finish() })
    }

    /// As it stands in a page.
    pub(super) fn render(self) -> Markup {
        html! { meta name="made-from" content={ (self.but_stale) " " (self.all) }; }
    }
}
