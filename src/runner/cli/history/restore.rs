//! `history --restore`: the results of an earlier run beside the current ones, with their report and pipeline file.

use super::super::report::from_here;
use super::super::{Answer, DONE, Refusal, STAGE_FAILED, Source, show};
use super::{find, shown};
use crate::event::full_disk;
use crate::graph;
use crate::measures::{plural, size};
use crate::pipeline::root_of;
use crate::report::html::Workspace;
use crate::report::views::page;
use crate::sched::past::{Past, Standing};
use crate::sched::restored::{self, Restored};
use crate::sched::session::{Access, Session};
use crate::shell;

/// Restores a run.
pub(super) fn restore(source: &Source, number: u32) -> Answer {
    let mut session = source.open(Access::Run)?;
    let past = find(&session, number)?;
    if past.standing == Standing::Running {
        return Err(Refusal::Usage(format!(
            "run {number} is still running; its results are in runs/{}",
            session.pipeline.name
        )));
    }
    let restored = restored::restore(&mut session, &past, &shown::comments(&past)).map_err(anyhow::Error::new)?;
    for (path, to) in &restored.set_aside {
        talk!("note: {} lay there with other contents, and is now {}", path.display(), to.display());
    }
    let place = |path| from_here(&session.pipeline, path).display().to_string();
    show(&format!("{}\n", place(&restored.folder)))?;
    talk!("{} of run {number}, {}", plural(restored.stages.len(), "result"), size(restored.bytes));
    for (stage, why) in &restored.gone {
        talk!("gone    {stage}: {why}");
    }
    write_page(&session, &past, &restored);
    let file = place(&restored.file);
    if root_of(&session.pipeline.root.join(&restored.file)).is_ok_and(|root| root == session.pipeline.root) {
        let set = past.run.head.set.iter().map(|set| format!(" --set {}", shell::word(set))).collect::<String>();
        talk!("next    intrada-run compare {} {}", source.in_shell(), shell::word(&file));
        if !set.is_empty() {
            talk!("note: that run had{set}, which its file doesn't contain");
        }
    } else {
        talk!(
            "note: copy {file} beside {} to use it: paths in it are relative to the workspace",
            source.file.display()
        );
    }
    Ok(if restored.gone.is_empty() { DONE } else { STAGE_FAILED })
}

/// Writes the report of the run as it was. One that can't be written is a warning: the results are there.
fn write_page(session: &Session, past: &Past, restored: &Restored) {
    let pipeline = match &restored.pipeline {
        Ok(pipeline) => pipeline,
        Err(why) => return talk!("note: there is no report of that run: {why}"),
    };
    let Ok(graph) = graph::build(pipeline) else { return };
    let history = restored::history_of(past);
    let workspace = Workspace {
        pipeline,
        graph: &graph,
        store: &session.store,
        index: &session.index,
        history: &history,
        stale: &[],
        not_here: &[],
    };
    match page::write(&workspace) {
        Ok(_) => talk!("report  {}", from_here(pipeline, &page::place(pipeline)).display()),
        Err(error) => {
            let help = full_disk::help(&error);
            talk!("warning: failed to write the report: {:#}", anyhow::Error::new(error));
            help.inspect(|help| talk!("help: {help}"));
        }
    }
}
