//! The Rust files below `src/` as text: what of them is code that isn't a test, and which names stand where.
//!
//! Knows no types and expands no macros. It is enough to see what a file names.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// A Rust file below `src/`.
pub struct Source {
    /// From the repository's root on.
    pub path: PathBuf,
    pub text: String,
    /// The code that isn't a test, line by line as in the file, with comments and the insides of literals blanked.
    pub production: String,
}

impl Source {
    /// The room of the runner it belongs to: `store` for `src/runner/store/lease.rs`.
    pub fn room(&self) -> Option<String> {
        let first = self.path.strip_prefix("src/runner").ok()?.iter().next()?;
        Some(Path::new(first).with_extension("").to_str()?.to_owned())
    }
}

/// The mistakes found under one rule.
#[derive(Default)]
pub struct Broken(String);

impl Broken {
    pub fn add(&mut self, source: &Source, line: usize, rule: String) {
        writeln!(self.0, "{}:{line}: {rule}", source.path.display()).unwrap();
    }

    pub fn report(self) {
        assert!(self.0.is_empty(), "\n{}", self.0);
    }
}

pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The names of the modules declared in files of their own, by lines that begin with `prefix`.
pub fn declared<'a>(text: &'a str, prefix: &'a str) -> impl Iterator<Item = &'a str> {
    text.lines().filter_map(move |line| line.strip_prefix(prefix)?.strip_suffix(';'))
}

pub fn sources() -> Vec<Source> {
    let root = root();
    let paths = files_below(&root.join("src"), "rs");
    assert!(paths.len() > 10, "the sources have gone");
    let texts: Vec<String> = paths.iter().map(|path| fs::read_to_string(path).unwrap()).collect();
    // `#[cfg(test)] mod x;` makes x.rs, or all of the folder x, a test.
    let mut tests = BTreeSet::new();
    for (path, text) in paths.iter().zip(&texts) {
        let stem = path.file_stem().unwrap();
        let own =
            if stem == "mod" || stem == "lib" { path.parent().unwrap().to_owned() } else { path.with_extension("") };
        let text = text.replace("#[cfg(test)]\n", "#[cfg(test)] ");
        for prefix in ["#[cfg(test)] mod ", "#[cfg(test)] pub(crate) mod ", "#[cfg(test)] pub(super) mod "] {
            tests.extend(declared(&text, prefix).map(|name| own.join(name)));
        }
    }
    let is_test =
        |path: &Path| path.ancestors().any(|part| tests.contains(part) || tests.contains(&part.with_extension("")));
    let source = |(path, text): (PathBuf, String)| {
        let end = if is_test(&path) { 0 } else { end_of_production(&text) };
        let production = code_alone(&text[..end]);
        Source { path: path.strip_prefix(&root).unwrap().to_owned(), text, production }
    };
    paths.into_iter().zip(texts).map(source).collect()
}

/// Where the tests begin that end a file.
fn end_of_production(text: &str) -> usize {
    let mark = "#[cfg(test)]\n";
    let begins_tests =
        |at: usize| text[at + mark.len()..].lines().next().is_some_and(|line| line.ends_with("mod tests {"));
    text.match_indices(mark).map(|(at, _)| at).find(|at| begins_tests(*at)).unwrap_or(text.len())
}

pub fn files_below(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_below(&path, ending));
        } else if has_ending(&path, ending) {
            found.push(path);
        }
    }
    found.sort();
    found
}

pub fn has_ending(path: &Path, ending: &str) -> bool {
    path.extension().is_some_and(|found| found == ending)
}

pub fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    (1..).zip(text.lines())
}

/// Blanks comments and the insides of string and character literals; the line breaks stay.
fn code_alone(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = match comment_or_literal(rest, code.chars().next_back()) {
            Some(length) => {
                code.extend(rest[..length].chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
                length
            }
            None => {
                code.push(first);
                first.len_utf8()
            }
        };
        rest = &rest[length..];
    }
    code
}

/// How many bytes the comment or the literal takes that `rest` begins with, if it does. `before`: the character before it.
fn comment_or_literal(rest: &str, before: Option<char>) -> Option<usize> {
    let until = |start: usize, end: &str| rest[start..].find(end).map_or(rest.len(), |at| start + at + end.len());
    if rest.starts_with("//") {
        return Some(rest.find('\n').unwrap_or(rest.len()));
    }
    if rest.starts_with("/*") {
        return Some(until(2, "*/"));
    }
    if rest.starts_with('"') {
        return Some(closing_quote(rest, '"'));
    }
    if let Some(after) = rest.strip_prefix('\'') {
        // `'a'` and `'\n'` are characters, `'a` a lifetime.
        let mut after = after.chars();
        let is_character = after.next() == Some('\\') || after.next() == Some('\'');
        return is_character.then(|| closing_quote(rest, '\''));
    }
    let hashes = rest.strip_prefix('r')?.chars().take_while(|c| *c == '#').count();
    let is_raw = rest[1 + hashes..].starts_with('"') && !before.is_some_and(is_word);
    is_raw.then(|| until(2 + hashes, &format!("\"{}", "#".repeat(hashes))))
}

/// The length of a literal with escapes that begins and ends with `quote`.
fn closing_quote(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        if c == quote && !escaped {
            return at + c.len_utf8();
        }
        escaped = c == '\\' && !escaped;
    }
    rest.len()
}

pub fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Whether `text` has `call` with no word character before it.
pub fn words_with(text: &str, call: &str) -> bool {
    text.match_indices(call).any(|(at, _)| !text[..at].chars().next_back().is_some_and(is_word))
}

pub fn word(text: &str) -> &str {
    &text[..text.find(|c| !is_word(c)).unwrap_or(text.len())]
}

fn line_of(code: &str, at: usize) -> usize {
    1 + code[..at].matches('\n').count()
}

/// The first names after `start`, which is `crate::` or so; those of `crate::{a, b::c}` one by one, each with its line.
pub fn paths_from(start: &str, code: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices(start) {
        let rest = &code[at + start.len()..];
        if !rest.starts_with('{') {
            found.push((line_of(code, at), word(rest).to_owned()));
            continue;
        }
        let (mut depth, mut expects_name) = (0, false);
        for (inside, c) in rest.char_indices() {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                _ if depth == 1 && expects_name && is_word(c) => {
                    found.push((line_of(code, at + start.len() + inside), word(&rest[inside..]).to_owned()));
                }
                _ => {}
            }
            expects_name = depth == 1 && (c == '{' || c == ',' || (expects_name && c.is_whitespace()));
            if depth == 0 {
                break;
            }
        }
    }
    found
}

/// The names that stand where a crate's does: before `::` with no `::` before them, or alone after `use`.
pub fn named_crates(code: &str) -> Vec<(String, usize)> {
    let mut found = Vec::new();
    for (line, text) in lines(code) {
        let mut begin = 0;
        while let Some(offset) = text[begin..].find(is_word) {
            begin += offset;
            let name = word(&text[begin..]);
            let (before, after) = (text[..begin].trim_end(), text[begin + name.len()..].trim_start());
            let is_first = !before.ends_with("::") && !before.ends_with('.');
            if is_first && (after.starts_with("::") || before.ends_with("use") && after.starts_with([';', ' '])) {
                found.push((name.to_owned(), line));
            }
            begin += name.len();
        }
    }
    found
}

#[test]
fn comments_and_literals_are_no_code() {
    let code =
        code_alone("a(\"x // \\\" y\", 'z', '\\'', r#\"raw \" \"#); // crate::b\nfn f<'a>() {} /* crate::c\n */ d");
    let words: Vec<&str> = code.split_whitespace().collect();
    assert_eq!(words, ["a(", ",", ",", ",", ");", "fn", "f<'a>()", "{}", "d"]);
    assert_eq!(code.matches('\n').count(), 2);
}

#[test]
fn every_path_into_the_crate_is_seen() {
    let code = "use crate::{\n    digest::{Key, Digest},\n    store,\n};\nlet x = crate::flow::Engine::new();";
    let found: Vec<(usize, String)> = paths_from("crate::", code);
    let expected = [(2, "digest"), (3, "store"), (5, "flow")].map(|(line, name)| (line, name.to_owned()));
    assert_eq!(found, expected);
}

#[test]
fn a_crate_is_told_from_a_module_and_a_variable() {
    let names = |code| named_crates(code).into_iter().map(|(name, _)| name).collect::<Vec<_>>();
    assert_eq!(names("use toml;\nuse toml::Value;\nlet t: toml::Table = toml.parse();"), ["toml", "toml", "toml"]);
    assert!(!names("use crate::pipeline::toml::Value;").contains(&"toml".to_owned()));
}
