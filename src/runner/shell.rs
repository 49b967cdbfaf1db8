//! Quotes a word for a shell, for commands that the user can copy.
//!
//! Knows no shell in particular: any character that some shell interprets is put into single quotes. Members of a sweep
//! have brackets in their names, which zsh takes for a pattern.

use std::borrow::Cow;

/// `text` as one word.
pub fn word(text: &str) -> Cow<'_, str> {
    let is_plain = |c: char| c.is_alphanumeric() || "-_./:@%+".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(format!("'{}'", text.replace('\'', r"'\''")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_reads_back_what_was_meant() {
        for text in
            ["rank", "pipelines/a.toml", "rank[lambda=0.6]", "a[x=it's]", "a[x=$(id)]", "my data/p.toml", "", "é ü"]
        {
            let line = format!("printf %s {}", word(text));
            let output = std::process::Command::new("sh").args(["-c", &line]).output().unwrap();
            assert_eq!(String::from_utf8(output.stdout).unwrap(), text, "{line}");
        }
        assert_eq!(word("rank"), "rank");
        assert_eq!(word("rank[lambda=0.6]"), "'rank[lambda=0.6]'");
    }
}
