//! Makes text from outside safe to print: names, paths, logs, messages of other programs.
//!
//! Knows no command and no table. A terminal interprets what is printed: an escape sequence can move the cursor, rename the
//! window or type for the user, a direction override reorders letters, and a line break in a name can imitate a line of
//! this program. So each such character is replaced by a visible one. All output passes through here: single names where
//! they are inserted into a line, and the whole text once more where it leaves the program.

use std::borrow::Cow;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Replaces a character that must not reach a terminal.
pub const STAND_IN: char = '\u{fffd}';

/// The longest colour sequence that is recognised, in bytes; those of real programs have a third of that.
const LONGEST_SEQUENCE: usize = 64;

/// Whether a terminal could interpret the character as a command, a line break or a change of direction.
pub fn is_harmful(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A name, a path, a message: safe, and always one line.
pub fn line(text: &str) -> Cow<'_, str> {
    replaced(text, is_harmful)
}

/// A text of several lines: safe; line feeds and tabs are kept.
pub fn lines(text: &str) -> Cow<'_, str> {
    replaced(text, |c| is_harmful(c) && c != '\n' && c != '\t')
}

fn replaced(text: &str, is_one: impl Fn(char) -> bool) -> Cow<'_, str> {
    if text.contains(&is_one) {
        Cow::Owned(text.chars().map(|c| if is_one(c) { STAND_IN } else { c }).collect())
    } else {
        Cow::Borrowed(text)
    }
}

/// The same as [`lines`], but keeps colours: for text that this program has coloured itself.
pub fn painted(text: &str) -> Cow<'_, str> {
    if !text.contains(|c| is_harmful(c) && c != '\n' && c != '\t') {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\x1b') {
        out += &lines(&rest[..at]);
        rest = &rest[at..];
        let length = colour_sequence(rest.as_bytes()).unwrap_or(0);
        match length {
            0 => out.push(STAND_IN),
            _ => out += &rest[..length],
        }
        rest = &rest[length.max(1)..];
    }
    out += &lines(rest);
    Cow::Owned(out)
}

/// The length of the colour sequence (SGR: `ESC [ 1 ; 31 m`) at the beginning of the bytes.
fn colour_sequence(bytes: &[u8]) -> Option<usize> {
    let inside = bytes.strip_prefix(b"\x1b[")?;
    let end = inside.iter().take(LONGEST_SEQUENCE).position(|byte| !matches!(byte, b'0'..=b'9' | b';' | b':'))?;
    (inside[end] == b'm').then_some(end + 3)
}

/// Equivalent JSON without characters that a terminal interprets: they occur only in strings, where they can be written as
/// numbers. Line feeds between values are kept.
pub fn json(text: &str) -> Cow<'_, str> {
    let is_one = |c: char| is_harmful(c) && c != '\n' && c != '\t' && c != '\r';
    if !text.contains(is_one) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if is_one(c) { out += &format!("\\u{:04x}", u32::from(c)) } else { out.push(c) }
    }
    Cow::Owned(out)
}

/// The width of the text in terminal columns.
pub fn width(text: &str) -> usize {
    text.width()
}

/// One safe line of at most this many columns; an ellipsis marks truncation.
pub fn cut(text: &str, columns: usize) -> String {
    // Of an endless text only as much is read as can be shown: combining marks take no column, but some bytes each.
    let most = text.floor_char_boundary(columns.saturating_mul(16));
    let text = if most < text.len() { &text[..most] } else { text };
    let is_whole = most >= text.len();
    let shown = line(text);
    if is_whole && shown.width() <= columns {
        return shown.into_owned();
    }
    let mut used = 0;
    let kept = shown.chars().take_while(|c| {
        used += c.width().unwrap_or(0);
        used < columns
    });
    kept.chain(['…']).collect()
}

/// The same, padded to this many columns.
pub fn left(text: &str, columns: usize) -> String {
    let text = cut(text, columns);
    let gap = columns.saturating_sub(text.width());
    text + &" ".repeat(gap)
}

/// The same, right-aligned.
pub fn right(text: &str, columns: usize) -> String {
    let text = cut(text, columns);
    " ".repeat(columns.saturating_sub(text.width())) + &text
}

/// The beginning of a text: this many characters, and the number of the others.
pub fn brief(text: &str, most: usize) -> Cow<'_, str> {
    match text.char_indices().nth(most) {
        None => Cow::Borrowed(text),
        Some((end, _)) => Cow::Owned(format!("{}… ({} more characters)", &text[..end], text[end..].chars().count())),
    }
}

/// The output of another program, piece by piece: keeps colours, and carriage returns as progress bars use them.
#[derive(Debug, Default)]
pub struct Stream {
    /// An incomplete character or colour sequence at the end.
    pending: Vec<u8>,
    /// Whether a colour is set and must be reset.
    is_coloured: bool,
}

impl Stream {
    /// The safe text for these bytes.
    pub fn push(&mut self, bytes: &[u8]) -> String {
        self.pending.extend_from_slice(bytes);
        let complete = self.pending.len() - unfinished(&self.pending);
        let rest = self.pending.split_off(complete);
        let bytes = std::mem::replace(&mut self.pending, rest);
        self.harmless(&bytes)
    }

    /// The remaining text at the end.
    pub fn finish(&mut self) -> String {
        let bytes = std::mem::take(&mut self.pending);
        let rest = self.harmless(&bytes);
        if std::mem::take(&mut self.is_coloured) { rest + "\x1b[0m" } else { rest }
    }

    fn harmless(&mut self, bytes: &[u8]) -> String {
        let text = String::from_utf8_lossy(bytes);
        let pieces = text.split_inclusive('\r');
        let piece = |piece: &str| match piece.strip_suffix('\r') {
            Some(piece) => painted(piece).into_owned() + "\r",
            None => painted(piece).into_owned(),
        };
        let shown: String = pieces.map(piece).collect();
        self.is_coloured |= shown.contains('\x1b');
        shown
    }
}

/// Bytes at the end that may begin a sequence. Holding back too many only delays them.
fn unfinished(bytes: &[u8]) -> usize {
    unfinished_sequence(bytes).max(unfinished_character(bytes))
}

fn unfinished_sequence(bytes: &[u8]) -> usize {
    let last = &bytes[bytes.len().saturating_sub(LONGEST_SEQUENCE + 2)..];
    let Some(at) = last.iter().rposition(|byte| *byte == b'\x1b') else { return 0 };
    let sequence = &last[at..];
    let goes_on = match sequence {
        [_, b'[', inside @ ..] => inside.iter().all(|byte| matches!(byte, b'0'..=b'9' | b';' | b':')),
        sequence => sequence.len() == 1,
    };
    if goes_on { sequence.len() } else { 0 }
}

fn unfinished_character(bytes: &[u8]) -> usize {
    let length = |first: u8| match first {
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf4 => 4,
        _ => 1,
    };
    (1..=bytes.len().min(3)).find(|back| length(bytes[bytes.len() - back]) > *back).unwrap_or(0)
}

/// Wraps words, the first line at `first` columns and the others at `rest`, with at least one word per line.
pub fn wrapped(text: &str, first: usize, rest: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let room = if lines.len() == 1 { first } else { rest };
        let line = lines.last_mut().expect("there is always one");
        if line.is_empty() {
            *line += word;
        } else if line.width() + 1 + word.width() <= room {
            *line += &format!(" {word}");
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HOSTILE: &str = "\u{1b}]0;pwned\u{7}\u{1b}[31mred\nnew\u{9b}2J\u{202e}txt.\u{2069}\r\u{8}\u{2028}end";

    #[test]
    fn a_name_is_one_line_without_commands_and_what_is_plain_stays_as_it_is() {
        let shown = line(HOSTILE);
        assert!(!shown.contains(is_harmful), "{shown:?}");
        assert_eq!(shown.chars().count(), HOSTILE.chars().count(), "each is replaced, none is lost");
        for plain in ["traffic light", "größe_1", "道路", "سماء", "λ=0.6", ""] {
            assert!(matches!(line(plain), Cow::Borrowed(_)), "{plain}");
        }
    }

    #[test]
    fn of_escape_sequences_colours_alone_stay() {
        assert_eq!(painted("\x1b[1;31merror\x1b[0m: a\tb\n"), "\x1b[1;31merror\x1b[0m: a\tb\n");
        assert_eq!(painted("\x1b[2Jx\x1b]0;t\x07\x1b"), "\u{fffd}[2Jx\u{fffd}]0;t\u{fffd}\u{fffd}");
        assert_eq!(painted("\x1b[31"), "\u{fffd}[31");
    }

    #[test]
    fn json_stays_what_it_is_and_holds_no_command() {
        let value = serde_json::json!({ HOSTILE: [HOSTILE, "\u{7f}\u{85}"] });
        let text = format!("{value:#}\n");
        let shown = json(&text);
        assert!(!shown.contains(|c| is_harmful(c) && c != '\n'), "{shown:?}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), value);
    }

    #[test]
    fn widths_are_those_of_a_terminal_and_nothing_is_wider_than_it_may_be() {
        assert_eq!([left("道路", 6), right("道路", 6), left("ab", 1)], ["道路  ", "  道路", "…"]);
        assert_eq!(cut("道路道路", 5), "道路…");
        assert_eq!(cut("abcdef", 6), "abcdef");
        assert_eq!(width(&cut(&"x".repeat(1 << 20), 32)), 32);
        assert_eq!(cut("two\nlines", 20), "two\u{fffd}lines");
        assert_eq!(brief("abcdef", 4), "abcd… (2 more characters)");
    }

    #[test]
    fn a_log_keeps_its_colours_and_progress_bars_and_takes_its_colours_back() {
        let mut stream = Stream::default();
        let mut shown = stream.push(b"10 %\r20 %\r\x1b[3");
        shown += &stream.push(b"1mdone\x1b[2J \xe2");
        shown += &stream.push(b"\x9c\x93 \x9b1m\n");
        shown += &stream.finish();
        assert_eq!(shown, "10 %\r20 %\r\x1b[31mdone\u{fffd}[2J ✓ \u{fffd}1m\n\x1b[0m");
    }

    proptest! {
        #[test]
        fn a_stream_shows_the_same_however_it_is_cut(text in any::<String>(), noise in any::<Vec<u8>>(), cut in any::<prop::sample::Index>()) {
            let bytes: Vec<u8> = [b"\x1b[1;32m\xe2\x9c\x93".as_slice(), text.as_bytes(), &noise, "\x1b[0mλ✓𝄞".as_bytes()].concat();
            let shown = |pieces: &[&[u8]]| {
                let mut stream = Stream::default();
                let text: String = pieces.iter().map(|piece| stream.push(piece)).collect();
                text + &stream.finish()
            };
            let whole = shown(&[&bytes]);
            let (one, other) = bytes.split_at(cut.index(bytes.len()));
            prop_assert_eq!(shown(&[one, other]), whole.clone());
            prop_assert!(painted(&whole.replace('\r', "")) == whole.replace('\r', ""));
        }

        #[test]
        fn no_text_is_wider_than_its_column(text in any::<String>(), columns in 1usize..40) {
            prop_assert!(cut(&text, columns).width() <= columns);
            prop_assert!(!cut(&text, columns).contains(is_harmful));
        }
    }
}
