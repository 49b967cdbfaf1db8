//! A command in the workspace: earlier outputs are moved aside, and the files that it reads must not change.
//!
//! Knows the order; decides whether what a program wrote belongs to the key. [`super::super::guard`] says why a touched file is
//! suspicious.

use std::path::PathBuf;
use std::time::Instant;

use crate::digest::Key;
use crate::exec::executor::Start;
use crate::exec::{Failure, Finished};
use crate::store::tree::{Links, Shape, Tree};
use crate::store::{Durable, Store, Take};

use super::super::aside::Aside;
use super::super::failure::failed;
use super::super::guard::names::Names;
use super::super::guard::{Since, Touched};
use super::super::news::News;
use super::{Context, Order, Stored};

impl Order {
    /// Runs the program until none of the files that it reads was touched meanwhile. A touch can't be told from an edit that was
    /// reverted, so the program is run again; files touched twice but never written are touched by the program itself.
    pub(super) fn perform_undisturbed(
        &mut self,
        context: &Context<'_>,
        start: &Start<'_>,
        began: Instant,
        resumes: bool,
    ) -> Result<(Finished, Stored), Failure> {
        let Context { store, control, tell, .. } = *context;
        let durable = |order: &Order| order.durable(began, resumes, context.executor.is_batch());
        let mut first: Option<Disturbed> = None;
        loop {
            self.guard.set()?;
            self.trust_slot(store, tell)?;
            let disturbed = match self.perform_in_place(context, start, first.as_ref(), &durable)? {
                Ok(stored) => {
                    self.tell_of_links_that_lead_out(tell);
                    return Ok(stored);
                }
                Err(disturbed) => disturbed,
            };
            let names = self.guard.named(&disturbed.files);
            // The program may have filled the slot from other content.
            empty(store, self.key)?;
            if first.is_some() || control.is_stopping() {
                return Err(Failure::new(format!(
                    "{names} was written to or replaced while the stage ran, so its result is not kept, though it holds what it held before"
                ))
                .with_help("run again; a stage can't write to what it reads"));
            }
            tell(News::Remark(format!("runs again, as {names} was touched or changed back while it ran")));
            first = Some(Disturbed { names: Names::of(disturbed.files.clone()), touched: disturbed });
        }
    }

    /// Warns of links in an output that lead out of it: their targets are not part of the result.
    fn tell_of_links_that_lead_out(&self, tell: &dyn Fn(News)) {
        for output in &self.outputs {
            let top = self.root.join(&output.path);
            let (Ok(tree), Ok(real)) = (Tree::survey(&top, Links::Kept), std::fs::canonicalize(&top)) else { continue };
            let leads_out =
                |name: &PathBuf| std::fs::canonicalize(top.join(name)).is_ok_and(|target| !target.starts_with(&real));
            let links = tree.shapes().filter(|(_, shape)| matches!(shape, Shape::Link { .. }));
            let mut out: Vec<PathBuf> = links.map(|(name, _)| name).filter(leads_out).collect();
            out.sort_unstable();
            if let Some(first) = out.first() {
                let more = if out.len() > 1 { format!(" and {} more links", out.len() - 1) } else { String::new() };
                tell(News::Remark(format!(
                    "gave `{}`{more}, a link out of its output: what lies behind it is not kept in the cache; \
                     stages that read it run again when it changes",
                    output.path.join(first).display()
                )));
            }
        }
    }

    /// Offers the slot of an earlier attempt only if no file that the program reads was touched since that attempt began: it may
    /// have read an edit that was reverted.
    fn trust_slot(&self, store: &Store, tell: &dyn Fn(News)) -> Result<(), Failure> {
        let slot = store.slot(self.key);
        if slot.exists() && !slot.basis().is_some_and(|basis| self.guard.fits(&basis)) {
            tell(News::Remark(
                "starts from the beginning, as what it reads was touched since it was interrupted".to_owned(),
            ));
            empty(store, self.key)?;
        }
        // If this fails, the slot is not offered again.
        let _ = slot.set_basis(&self.guard.basis());
        Ok(())
    }

    /// Moves the outputs of an earlier run aside, runs the program, and moves them back if it fails or if a file that it reads was
    /// touched. `before`: what was touched in an earlier attempt.
    fn perform_in_place(
        &self,
        context: &Context<'_>,
        start: &Start<'_>,
        before: Option<&Disturbed>,
        durable: &dyn Fn(&Order) -> Durable,
    ) -> Result<Result<(Finished, Stored), Touched>, Failure> {
        let Context { store, tell, .. } = *context;
        let aside = Aside::make(store, self)?;
        let collect = |finished| Ok(Ok((finished, self.collect(store, &self.root, Take::Copy, durable(self))?)));
        let result = self.run(context, start).and_then(|finished| match self.guard.since() {
            Since::Untouched => collect(finished),
            Since::Touched(now) if before.is_some_and(|before| before.explains(&now)) => collect(finished),
            Since::Touched(touched) => Ok(Err(touched)),
            Since::Changed(changed) => Err(self.guard.overtaken(&changed)),
        });
        match result {
            Ok(Ok(_)) => {
                for (output, to) in aside.discard(store) {
                    let unfinished = self.unfinished.contains(&output);
                    tell(News::PutAside { output, to, unfinished });
                }
            }
            Ok(Err(_)) => aside.put_back_all(store, self),
            _ => aside.put_back(store),
        }
        result
    }
}

/// An attempt in which a file that the program reads was touched.
struct Disturbed {
    touched: Touched,
    /// Watches for changed names during the next attempt.
    names: Option<Names>,
}

impl Disturbed {
    /// Whether the program itself touches the files each time: the same ones as before change modes or links, and none is
    /// replaced.
    fn explains(&self, now: &Touched) -> bool {
        let stayed = self.names.as_ref().is_some_and(|names| names.stayed(&now.files));
        self.touched.unwritten && now.unwritten && stayed
    }
}

/// Empties the slot.
fn empty(store: &Store, key: Key) -> Result<(), Failure> {
    let slot = store.slot(key);
    slot.remove().and_then(|()| slot.create()).map_err(failed)
}
