//! Redraws a few live lines at the bottom of a terminal, below ordinary lines.
//!
//! Knows escape sequences and nothing of a run. Uses no alternate screen, and leaves the cursor visible at the start of the line
//! below the last, so that a program killed between two frames leaves a working terminal. A frame is one write, and each line is
//! overwritten before its rest is cleared, so that nothing flickers.

use std::fmt::Write as _;
use std::io::Write;
use std::os::fd::AsFd;

use super::lines::Line;

/// The assumed columns and rows of a terminal of unknown size.
const USUAL: (usize, usize) = (80, 24);

/// Columns and rows of the terminal.
pub fn size_of(terminal: impl AsFd) -> (usize, usize) {
    match rustix::termios::tcgetwinsize(terminal) {
        Ok(size) if size.ws_col > 0 && size.ws_row > 0 => (size.ws_col.into(), size.ws_row.into()),
        _ => USUAL,
    }
}

/// The terminal and its live lines.
pub(super) struct Terminal<W> {
    out: W,
    /// The widths in columns of the live lines drawn last.
    drawn: Vec<usize>,
    /// Whether it supports ConEmu's sequence OSC 9;4 for progress in the tab or task bar.
    has_tab: bool,
    /// The percentage shown there.
    shown: Option<u8>,
}

impl<W: Write> Terminal<W> {
    pub(super) fn new(out: W, has_tab: bool) -> Terminal<W> {
        Terminal { out, drawn: Vec::new(), has_tab, shown: None }
    }

    /// Writes the permanent lines `lasting`, and replaces the live lines by `foot`. `columns` is the current width: a narrower
    /// terminal has wrapped the old lines.
    pub(super) fn draw(&mut self, lasting: &[String], foot: &[Line], percent: Option<u8>, columns: usize) {
        let rows: usize = self.drawn.iter().map(|width| width.div_ceil(columns.max(1)).max(1)).sum();
        let mut frame = String::new();
        if rows > 0 {
            let _ = write!(frame, "\r\x1b[{rows}A");
        }
        // Permanent lines may be as wide as the screen, where clearing after them would delete their last letter, so everything
        // is cleared before them. From the second row on, as tmux saves a copy of a screen that is cleared from its first.
        let clears_first = rows > 0 && (!lasting.is_empty() || foot.is_empty());
        if clears_first {
            frame += "\x1b[K\n\x1b[J\x1b[A";
        }
        lasting.iter().for_each(|line| frame = std::mem::take(&mut frame) + line + "\n");
        foot.iter().for_each(|line| frame = std::mem::take(&mut frame) + &line.text + "\x1b[K\n");
        if rows > 0 && !clears_first {
            frame += "\x1b[J";
        }
        self.drawn = foot.iter().map(|line| line.width).collect();
        frame += &self.tab(percent);
        self.write(&frame);
    }

    /// Forgets the live lines, as others have written since.
    pub(super) fn forget(&mut self) {
        self.drawn.clear();
    }

    fn tab(&mut self, percent: Option<u8>) -> String {
        if !self.has_tab || self.shown == percent {
            return String::new();
        }
        self.shown = percent;
        match percent {
            Some(percent) => format!("\x1b]9;4;1;{percent}\x1b\\"),
            None => "\x1b]9;4;0;\x1b\\".to_owned(),
        }
    }

    /// Ignores write errors: a closed terminal doesn't stop a training.
    fn write(&mut self, text: &str) {
        if !text.is_empty() {
            let _ = self.out.write_all(text.as_bytes()).and_then(|()| self.out.flush());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn foot(texts: &[&str]) -> Vec<Line> {
        texts.iter().map(|text| Line { text: (*text).to_owned(), width: text.len() }).collect()
    }

    fn lasting(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    /// What a terminal of so many rows and columns shows, and what has scrolled out of it.
    fn shown(bytes: &[u8], rows: u16, columns: u16) -> String {
        let mut parser = vt100::Parser::new(rows, columns, 100);
        // The line discipline of a terminal turns a line feed into both.
        parser.process(String::from_utf8(bytes.to_vec()).unwrap().replace('\n', "\r\n").as_bytes());
        parser.screen().contents()
    }

    #[test]
    fn lasting_lines_stay_and_the_foot_is_drawn_over() {
        let mut out = Vec::new();
        let mut terminal = Terminal::new(&mut out, false);
        terminal.draw(&[], &foot(&["a long line", "b", "c"]), None, 20);
        terminal.draw(&lasting(&["first"]), &foot(&["a", "c"]), None, 20);
        terminal.draw(&lasting(&["exactly twenty wide!"]), &foot(&["c"]), None, 20);
        terminal.draw(&[], &[], None, 20);
        assert_eq!(shown(&out, 10, 20), "first\nexactly twenty wide!");
    }

    #[test]
    fn nothing_is_lost_when_the_screen_scrolls() {
        let mut out = Vec::new();
        let mut terminal = Terminal::new(&mut out, false);
        for number in 0..20 {
            terminal.draw(&lasting(&[&format!("stage {number}")]), &foot(&["bar", "whole"]), None, 20);
        }
        terminal.draw(&[], &[], None, 20);
        let text: Vec<String> = (0..20).map(|number| format!("stage {number}")).collect();
        assert_eq!(shown(&out, 30, 20), text.join("\n"));
        assert_eq!(shown(&out, 5, 20), text[18..].join("\n"));
    }

    #[test]
    fn the_foot_is_found_again_after_a_narrower_screen_has_broken_it() {
        let mut out = Vec::new();
        let mut terminal = Terminal::new(&mut out, false);
        // As if drawn when the screen had 30 columns: a screen of 20 shows it in two rows.
        terminal.draw(&lasting(&["above"]), &foot(&["123456789012345678901234567", "whole"]), None, 30);
        terminal.draw(&[], &foot(&["123", "whole"]), None, 20);
        assert_eq!(shown(&out, 10, 20), "above\n123\nwhole");
    }

    #[test]
    fn the_percentage_in_the_tab_is_said_when_it_changes_and_taken_back() {
        let mut out = Vec::new();
        let mut terminal = Terminal::new(&mut out, true);
        for percent in [Some(7), Some(7), Some(8), None] {
            terminal.draw(&[], &[], percent, 80);
        }
        assert_eq!(String::from_utf8(out).unwrap(), "\x1b]9;4;1;7\x1b\\\x1b]9;4;1;8\x1b\\\x1b]9;4;0;\x1b\\");
    }
}
