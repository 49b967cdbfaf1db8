//! The mark of a page: a digest of its inputs, in its first lines, which shows whether the page is up to date.
//!
//! Knows nothing of the page's content, only what determines it: the pipeline's texts with `--set`, the outputs in place,
//! the outcomes of stages. A page written during a run has no mark: it is never final.

use maud::{Markup, html};

use super::workspace::Workspace;
use crate::digest::{Digest, Encoder};

/// The digests of a page's inputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// All inputs but the out-of-date stages, which a run of some stages doesn't know.
    pub but_stale: Digest,
    /// All inputs.
    pub all: Digest,
}

impl Mark {
    /// Number of bytes at the beginning of a page that contain its mark.
    pub const WITHIN: u64 = 512;

    /// The mark of the current page.
    pub fn of(workspace: &Workspace) -> Option<Mark> {
        let history = workspace.history;
        if history.going.is_some() {
            return None;
        }
        let mut encoder = Encoder::new("intrada/page/1");
        encoder.field("version", env!("CARGO_PKG_VERSION").as_bytes());
        for source in workspace.pipeline.sources.decisive() {
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
        // Once its sources are here again, such a page is out of date.
        for line in workspace.not_here {
            encoder.field("not here", line.as_bytes());
        }
        let but_stale = encoder.finish();
        encoder.list("out of date", workspace.stale.len());
        for stale in workspace.stale {
            encoder.field("stale", workspace.pipeline.stage(*stale).name.as_bytes());
        }
        Some(Mark { but_stale, all: encoder.finish() })
    }

    /// As written in a page.
    pub(super) fn render(self) -> Markup {
        html! { meta name="made-from" content={ (self.but_stale) " " (self.all) }; }
    }
}
