//! Chooses a run's screen: live lines on a capable terminal, plain lines elsewhere, or JSON.
//!
//! Reads the environment; the room `screen` defines what each screen looks like. `NO_COLOR` removes colours, not the bars, as
//! its specification says.

use std::collections::HashMap;
use std::env;
use std::ffi::OsString;
use std::io::{IsTerminal, stderr, stdout};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::reading::Beside;
use super::{Format, is_coloured};
use crate::event::{Quiet, Reporter};
use crate::measures::plural;
use crate::pipeline::StageId;
use crate::sched::Options;
use crate::sched::session::Session;
use crate::screen::harmless::Harmless;
use crate::screen::json::JsonLines;
use crate::screen::live::{Expected, Live, Redraw, Setting, Style, size_of};
use crate::screen::plain::Plain;

/// The live lines on the terminal, if any, shared with everyone who clears them or writes beside them. In `watch`, the lines of
/// a finishing run and of the re-read pipeline may exist at the same time.
#[derive(Clone, Default)]
pub(super) struct Screen(Arc<Mutex<Vec<Redraw>>>);

impl Screen {
    /// No live lines yet. Installs a panic hook that clears them, as the next frame would overwrite the panic's message.
    pub(super) fn new() -> Screen {
        let screen = Screen::default();
        let (earlier, drawn) = (std::panic::take_hook(), screen.clone());
        std::panic::set_hook(Box::new(move |panic| {
            drawn.fall();
            earlier(panic);
        }));
        screen
    }

    /// A reporter for a run with these options. Lines of another run reappear only when that has new events.
    pub(super) fn open(&self, session: &Session, options: &Options, format: Format, quiet: bool) -> Box<dyn Reporter> {
        let needed = &*options.needed(&session.graph);
        let can_move = stderr().is_terminal() && env::var_os("TERM").is_none_or(|term| term != "dumb");
        if format == Format::Json || quiet || !can_move {
            return lines(session, needed, format, quiet);
        }
        let live = Live::new(Box::new(stderr()), expected(session, needed), setting(session, options));
        self.rest();
        let mut redraws = self.lock();
        redraws.retain(|redraw| !redraw.has_fallen());
        redraws.push(live.redraw());
        Box::new(Harmless(live))
    }

    /// Clears the live lines until the next event, as something else is about to be written.
    pub(super) fn rest(&self) {
        self.lock().iter().for_each(Redraw::rest);
    }

    /// Clears the live lines for good, unless this thread is drawing them.
    pub(super) fn fall(&self) {
        if let Ok(redraws) = self.0.try_lock() {
            redraws.iter().for_each(Redraw::fall);
        }
    }

    /// Redraws after SIGCONT: others have written to the terminal meanwhile.
    pub(super) fn reopen(&self) {
        self.lock().iter().for_each(Redraw::reopen);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Redraw>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Plain lines, never redrawn.
fn lines(session: &Session, needed: &[StageId], format: Format, quiet: bool) -> Box<dyn Reporter> {
    if format == Format::Json {
        return Box::new(JsonLines(stdout()));
    }
    let names = needed.iter().map(|stage| session.pipeline.stage(*stage).name.as_str());
    let plain = Plain::new(stderr(), names, is_coloured(&stderr())).answering(Box::new(stdout()));
    let plain = Harmless(plain);
    if quiet { Box::new(Quiet(plain)) } else { Box::new(Beside::new(plain, Arc::clone(&session.meter))) }
}

/// The stages of the run, with their duration when they last ran in this workspace.
fn expected(session: &Session, needed: &[StageId]) -> Vec<Expected> {
    let places: HashMap<StageId, usize> = needed.iter().enumerate().map(|(place, stage)| (*stage, place)).collect();
    let expect = |id: &StageId| {
        let stage = session.pipeline.stage(*id);
        Expected {
            name: stage.name.clone(),
            needs: session.graph.dependencies(*id).iter().filter_map(|need| places.get(need).copied()).collect(),
            seconds: session.index.stages.get(&session.record_name(stage)).map(|record| record.seconds),
        }
    };
    needed.iter().map(expect).collect()
}

fn setting(session: &Session, options: &Options) -> Setting {
    Setting {
        style: Style { colour: is_coloured(&stderr()), unicode: is_unicode(|name| env::var_os(name)) },
        has_tab: has_tab(|name| env::var_os(name)),
        device: device(session, options),
        size: Box::new(|| size_of(stderr())),
        meter: session.meter.clone(),
    }
}

/// The device of the stages, if it is given.
fn device(session: &Session, options: &Options) -> Option<String> {
    match options.device.as_ref().unwrap_or(&session.pipeline.device).as_str() {
        "cpu" => Some("cpu".to_owned()),
        name if name.starts_with("cuda:") => Some(name.replace("cuda:", "gpu ")),
        _ => session.pipeline.resources.gpus.as_ref().map(|gpus| plural(gpus.len(), "gpu")),
    }
}

/// Whether the locale says that text is UTF-8. The first of these variables that is set decides (POSIX, XBD 8.2).
fn is_unicode(variable: impl Fn(&str) -> Option<OsString>) -> bool {
    let set = |name: &&str| variable(name).filter(|value| !value.is_empty());
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].iter().find_map(set);
    locale.is_some_and(|locale| {
        let locale = locale.to_string_lossy().to_lowercase();
        locale.ends_with("utf-8") || locale.ends_with("utf8")
    })
}

/// Whether the terminal is known to show a percentage in its tab, by the variables with which it identifies itself. Others show
/// the sequence as a notification (iTerm2 before 3.6) or ignore it.
fn has_tab(variable: impl Fn(&str) -> Option<OsString>) -> bool {
    // In tmux and screen these variables describe the outer terminal, which doesn't get the sequence.
    let is_within_another = variable("TMUX").is_some() || variable("STY").is_some();
    let says = |name: &str, value: &str| variable(name).is_some_and(|said| said == value);
    let is_known = variable("WT_SESSION").is_some()
        || says("ConEmuANSI", "ON")
        || says("TERM_PROGRAM", "WezTerm")
        || says("TERM_PROGRAM", "ghostty");
    is_known && !is_within_another
}

#[cfg(test)]
mod tests {
    use super::*;

    fn among(set: &[(&str, &str)]) -> impl Fn(&str) -> Option<OsString> {
        let set: Vec<(String, OsString)> =
            set.iter().map(|(name, value)| ((*name).to_owned(), OsString::from(value))).collect();
        move |name| set.iter().find(|(other, _)| other == name).map(|(_, value)| value.clone())
    }

    #[test]
    fn the_first_locale_variable_that_is_set_decides_about_letters() {
        assert!(is_unicode(among(&[("LANG", "en_GB.UTF-8")])));
        assert!(is_unicode(among(&[("LC_ALL", ""), ("LC_CTYPE", "C.utf8"), ("LANG", "C")])));
        assert!(!is_unicode(among(&[("LC_ALL", "C"), ("LANG", "en_GB.UTF-8")])));
        assert!(!is_unicode(among(&[])));
    }

    #[test]
    fn a_percentage_in_the_tab_is_for_terminals_known_to_show_one() {
        assert!(has_tab(among(&[("TERM_PROGRAM", "ghostty")])));
        assert!(has_tab(among(&[("WT_SESSION", "6f")])));
        assert!(!has_tab(among(&[("TERM_PROGRAM", "ghostty"), ("TMUX", "/tmp/tmux")])));
        assert!(!has_tab(among(&[("TERM_PROGRAM", "iTerm.app")])));
    }
}
