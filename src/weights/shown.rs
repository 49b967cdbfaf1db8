//! Makes text from a file safe to print: nothing in it controls a terminal, and its length is limited.
//!
//! Names in a checkpoint are untrusted. Messages, stage logs and records print them through this.
use std::fmt::{self, Display, Formatter, Write};

/// The maximum number of characters shown of a name. The longest name of a network here has 40.
const CHARACTERS_AT_MOST: usize = 120;

/// Displays a text from a file.
#[derive(Clone, Copy, Debug)]
pub struct Shown<'a>(pub &'a str);

impl Display for Shown<'_> {
    fn fmt(&self, f: &mut Formatter) -> fmt::Result {
        for (count, character) in self.0.chars().enumerate() {
            if count == CHARACTERS_AT_MOST {
                return write!(f, "… ({} bytes)", self.0.len());
            }
            if steers(character) { write!(f, "{}", character.escape_default())? } else { f.write_char(character)? }
        }
        Ok(())
    }
}

/// Control characters, and those that change the direction of a line, break it or are invisible.
fn steers(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{61c}' | '\u{feff}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}')
}

/// The first few of `names` in backticks, and how many more there are. An empty name is described in words.
pub fn some_of<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    const SHOWN: usize = 3;
    let mut names = names.into_iter();
    let first: Vec<String> = names.by_ref().take(SHOWN).map(quoted).collect();
    match names.count() {
        0 => first.join(", "),
        rest => format!("{} and {rest} more", first.join(", ")),
    }
}

fn quoted(name: &str) -> String {
    if name.is_empty() { "an empty name".to_owned() } else { format!("`{}`", Shown(name)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_a_network_is_shown_as_it_is_and_nothing_else_steers_a_terminal() {
        let shown = |text: &str| Shown(text).to_string();
        assert_eq!(shown("layer4.2.conv3.weight"), "layer4.2.conv3.weight");
        assert_eq!(shown("gewöhnlich.重み"), "gewöhnlich.重み");
        assert_eq!(shown("a\x1b[2Jb\r\n"), "a\\u{1b}[2Jb\\r\\n");
        assert_eq!(shown("\u{9b}31m\u{202e}x\u{200b}"), "\\u{9b}31m\\u{202e}x\\u{200b}");
        let long = shown(&"é".repeat(1000));
        assert!(long.chars().count() < 150 && long.ends_with("… (2000 bytes)"), "{long}");
    }

    #[test]
    fn of_many_names_a_few_are_shown_and_the_rest_is_counted() {
        assert_eq!(some_of(["a", "b"]), "`a`, `b`");
        assert_eq!(some_of(["", "b"]), "an empty name, `b`");
        assert_eq!(some_of(["a", "b", "c", "d", "e"]), "`a`, `b`, `c` and 2 more");
    }
}
