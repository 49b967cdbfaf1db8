//! A run on a terminal: finished stages as ordinary lines, and live lines of running stages below.
//!
//! Knows events and a terminal. A separate thread draws at most ten times a second, and once a second without events, to update
//! times and the width. `lines` formats the state of `board`; `terminal` draws without flicker. After a run nothing is drawn until
//! the next event, as `watch` has many rounds.

mod board;
mod lines;
mod terminal;

use std::io::Write;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

pub use board::Expected;
pub use lines::Style;
pub use terminal::size_of;

use super::{closing, plain, reading};
use crate::event::{Event, Finished, Reporter};
use crate::inputs::{Meter, Reading};
use board::Board;
use terminal::Terminal;

/// Minimum time between frames.
const FRAME: Duration = Duration::from_millis(100);
/// Time between frames without events.
const IDLE: Duration = Duration::from_secs(1);

/// The terminal and its capabilities.
pub struct Setting {
    /// Its capabilities.
    pub style: Style,
    /// Whether it shows a percentage in its tab.
    pub has_tab: bool,
    /// The device of the stages, if given: `cpu`, `gpu 1`, `2 gpus`.
    pub device: Option<String>,
    /// Returns its current columns and rows.
    pub size: Box<dyn Fn() -> (usize, usize) + Send>,
    /// Progress of reading source files, which happens before the first event.
    pub meter: Arc<Meter>,
}

/// Draws a run.
pub struct Live {
    shared: Arc<Shared>,
    painter: Option<JoinHandle<()>>,
}

/// Clears the live lines from anywhere, before other output or the end of the program.
#[derive(Clone)]
pub struct Redraw(Arc<Shared>);

struct Shared {
    screen: Mutex<Screen>,
    news: Condvar,
}

struct Screen {
    terminal: Terminal<Box<dyn Write + Send>>,
    setting: Setting,
    board: Board,
    name_width: usize,
    began: Instant,
    /// Permanent lines to write with the next frame.
    lasting: Vec<String>,
    /// The reading progress at the last frame.
    read: Reading,
    has_news: bool,
    phase: Phase,
}

/// Whether anything is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Drawing,
    /// Not before something happens.
    Resting,
    /// Never again.
    Over,
}

impl Live {
    /// For a run of `stages`, in dependency order.
    pub fn new(out: Box<dyn Write + Send>, stages: Vec<Expected>, setting: Setting) -> Live {
        let screen = Screen {
            terminal: Terminal::new(out, setting.has_tab),
            name_width: lines::name_width(stages.iter().map(|stage| stage.name.as_str())),
            board: Board::new(stages).on(setting.device.clone()),
            began: Instant::now(),
            lasting: Vec::new(),
            read: Reading::default(),
            has_news: false,
            phase: Phase::Drawing,
            setting,
        };
        let shared = Arc::new(Shared { screen: Mutex::new(screen), news: Condvar::new() });
        let painter = std::thread::spawn({
            let shared = Arc::clone(&shared);
            move || shared.paint_to_the_end()
        });
        Live { shared, painter: Some(painter) }
    }

    /// A handle to clear it.
    pub fn redraw(&self) -> Redraw {
        Redraw(Arc::clone(&self.shared))
    }
}

impl Reporter for Live {
    fn tell(&mut self, event: &Event) {
        self.shared.lock().hear(event);
        self.shared.news.notify_one();
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.shared.lock().clear(&[], Phase::Over);
        self.shared.news.notify_one();
        if let Some(painter) = self.painter.take() {
            // The thread only draws, so its panic doesn't fail the run.
            let _ = painter.join();
        }
    }
}

impl Redraw {
    /// Clears the live lines for good. Does nothing while this thread is drawing a frame.
    pub fn fall(&self) {
        if let Ok(mut screen) = self.0.screen.try_lock() {
            screen.clear(&[], Phase::Over);
        }
    }

    /// Clears the live lines until the next event.
    pub fn rest(&self) {
        self.0.lock().clear(&[], Phase::Resting);
    }

    /// Whether nothing will be drawn any more.
    pub fn has_fallen(&self) -> bool {
        self.0.lock().phase == Phase::Over
    }

    /// Redraws after SIGCONT: others have written to the terminal meanwhile.
    pub fn reopen(&self) {
        self.0.lock().terminal.forget();
    }
}

impl Shared {
    /// Ignores a poisoned lock: the next frame repairs the drawing.
    fn lock(&self) -> MutexGuard<'_, Screen> {
        self.screen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn paint_to_the_end(&self) {
        // A run without work ends before anything was drawn.
        std::thread::sleep(FRAME);
        loop {
            let mut screen = self.lock();
            screen = match screen.phase {
                Phase::Resting => self.news.wait(screen).unwrap_or_else(PoisonError::into_inner),
                Phase::Drawing if !screen.has_news => {
                    self.news.wait_timeout(screen, IDLE).unwrap_or_else(PoisonError::into_inner).0
                }
                _ => screen,
            };
            match screen.phase {
                Phase::Over => return,
                Phase::Resting => continue,
                Phase::Drawing => screen.paint(),
            }
            drop(screen);
            std::thread::sleep(FRAME);
        }
    }
}

impl Screen {
    fn hear(&mut self, event: &Event) {
        if self.phase == Phase::Over {
            return;
        }
        self.phase = Phase::Drawing;
        let (columns, _) = (self.setting.size)();
        match event {
            Event::Finished(finished) => self.settle(finished, columns),
            Event::Changed { paths } => self.lasting.push(plain::changed(paths)),
            Event::Dropped { stage } => {
                self.lasting.push(lines::dropped(stage, self.name_width, self.setting.style));
            }
            Event::Warning(text) => self.lasting.extend(format!("warning: {text}").lines().map(str::to_owned)),
            Event::PutAside { stage, output, to, unfinished } => {
                let (width, style) = (self.name_width, self.setting.style);
                self.lasting.push(lines::put_aside(stage, &plain::put_aside(output, to, *unfinished), width, style));
            }
            Event::Retrying { stage, attempt, of, reason } => {
                self.lasting.push(lines::retrying(stage, *attempt, *of, reason, self.name_width, self.setting.style));
            }
            Event::Closed(totals) => self.clear(&closing::lines(totals), Phase::Resting),
            _ => {}
        }
        self.board.hear(event, self.began.elapsed());
        self.has_news = true;
    }

    fn settle(&mut self, finished: &Finished, columns: usize) {
        let resumed_at = self.board.resumed_at(&finished.stage);
        let lines = lines::settled(finished, resumed_at, self.name_width, columns, self.setting.style);
        self.lasting.extend(lines);
    }

    fn paint(&mut self) {
        let size = (self.setting.size)();
        let reading = self.reading();
        let foot = lines::under_way(&self.board, reading.as_deref(), self.began.elapsed(), size, self.setting.style);
        let percent = (self.board.share() * 100.0).floor() as u8;
        self.terminal.draw(&std::mem::take(&mut self.lasting), &foot, Some(percent), size.0);
        self.has_news = false;
    }

    /// The reading progress, if it changed since the last frame.
    fn reading(&mut self) -> Option<String> {
        let read = self.setting.meter.read();
        let has_grown = std::mem::replace(&mut self.read, read) != read;
        has_grown.then(|| reading::line(&read))
    }

    /// Clears the live lines and writes `last` below the permanent ones.
    fn clear(&mut self, last: &[String], then: Phase) {
        if self.phase == Phase::Over {
            return;
        }
        self.phase = then;
        self.lasting.extend_from_slice(last);
        let (columns, _) = (self.setting.size)();
        self.terminal.draw(&std::mem::take(&mut self.lasting), &[], None, columns);
    }
}

#[cfg(test)]
mod tests;
