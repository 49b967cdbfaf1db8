//! The conventions of this repository as tests: what a reviewer would otherwise have to remember.
//!
//! They look at the text of the files and know no types. A room may name the rooms above it in `src/runner/lib.rs` only,
//! which is the one place where the order is written down. Each broken rule is told with file and line, all at once.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// Crates that one place alone may name, below `src/`, so that replacing one is a change to one room.
const ONE_PLACE: &[(&str, &str)] = &[
    ("blake3", "runner/digest.rs"),
    ("toml", "runner/spec"),
    ("petgraph", "runner/graph"),
    ("notify", "runner/watch.rs"),
    ("dfir_rs", "runner/flow"),
    ("anyhow", "runner/cli"),
    ("mozjpeg", "picture"),
    ("mozjpeg_sys", "picture"),
    ("clap", "runner/cli"),
    ("clap_complete", "runner/cli"),
];

/// Crates that a folder below `src/` must not name.
const NEVER: &[(&str, &[&str])] = &[
    ("libtorch", &["tch", "torch_sys", "intrada_runner", "intrada_ml", "intrada_worker"]),
    ("beginning", &["tch", "torch_sys", "intrada_runner", "intrada_ml", "intrada_worker"]),
    ("picture", &["tch", "torch_sys", "intrada_runner", "intrada_ml", "intrada_worker"]),
    ("weights", &["tch", "torch_sys", "intrada_runner", "intrada_ml", "intrada_worker"]),
    ("ml", &["intrada_runner", "intrada_worker", "toml"]),
    ("runner", &["tch", "torch_sys", "intrada_ml", "intrada_worker"]),
];

/// Names that say nothing about what is in a file, so that anything ends up there.
const NAMES_FOR_NOTHING: &[&str] = &["common", "errors", "helpers", "misc", "prelude", "types", "utils"];

/// Of code that isn't a test. Nobody finds their way in more.
const LINES_AT_MOST: usize = 600;

#[test]
fn a_room_names_only_rooms_above_it() {
    let rooms = rooms();
    let place = |name: &str| rooms.iter().position(|room| room == name);
    let mut broken = Broken::default();
    for source in sources().iter().filter(|source| source.path.starts_with("src/runner")) {
        let Some(own) = source.room().filter(|room| room != "lib") else { continue };
        let Some(own_place) = place(&own) else {
            broken.add(source, 0, format!("room `{own}` is not declared in src/runner/lib.rs"));
            continue;
        };
        // In a room's first file `super` is the crate.
        let is_first = ["", "/mod"].iter().any(|file| source.path == Path::new(&format!("src/runner/{own}{file}.rs")));
        let mut named = paths_from("crate::", &source.production);
        named.extend(is_first.then(|| paths_from("super::", &source.production)).into_iter().flatten());
        for (line, name) in named {
            if place(&name).is_some_and(|other| other > own_place) {
                broken.add(source, line, format!("`{own}` names `{name}`, which is below it in src/runner/lib.rs"));
            }
        }
    }
    broken.report();
}

#[test]
fn a_crate_is_named_only_where_it_belongs() {
    let mut broken = Broken::default();
    for source in &sources() {
        let below_src = source.path.strip_prefix("src").unwrap();
        for (name, line) in named_crates(&source.production) {
            if let Some((_, place)) =
                ONE_PLACE.iter().find(|(only, place)| *only == name && !below_src.starts_with(place))
            {
                broken.add(source, line, format!("`{name}` belongs in src/{place} alone"));
            }
            if NEVER.iter().any(|(folder, names)| below_src.starts_with(folder) && names.contains(&name.as_str())) {
                broken.add(source, line, format!("`{name}` must not be known here"));
            }
        }
    }
    broken.report();
}

#[test]
fn only_the_command_line_prints_to_stdout() {
    let mut broken = Broken::default();
    let is_free =
        |source: &&Source| source.path.starts_with("src/runner") && !source.path.starts_with("src/runner/cli");
    for source in sources().iter().filter(is_free) {
        for (line, text) in lines(&source.production) {
            if ["print!", "println!"].iter().any(|call| words_with(text, call)) {
                broken.add(source, line, "printing is the affair of src/runner/cli".to_owned());
            }
        }
    }
    broken.report();
}

#[test]
fn imports_show_what_a_file_depends_on() {
    let mut broken = Broken::default();
    for source in &sources() {
        let mut in_use = false;
        for (line, text) in lines(&source.production) {
            let text = text.trim_start();
            in_use |= text.starts_with("use ") || text.starts_with("pub use ") || text.starts_with("pub(crate) use ");
            if in_use && text.contains("::*") {
                broken.add(source, line, "a glob import hides what is used".to_owned());
            }
            in_use &= !text.contains(';');
        }
    }
    broken.report();
}

#[test]
fn every_file_opens_with_a_sentence_about_itself() {
    let mut broken = Broken::default();
    for source in &sources() {
        let opening = source.text.lines().map_while(|line| line.strip_prefix("//!")).map(str::trim);
        let paragraph = opening.take_while(|line| !line.is_empty()).collect::<Vec<_>>().join(" ");
        if !paragraph.contains(' ') || !paragraph.ends_with(['.', '?', ':']) {
            broken.add(source, 1, "opens without `//!` and a full sentence".to_owned());
        }
    }
    broken.report();
}

#[test]
fn no_file_is_a_default_place_to_add_to() {
    let mut broken = Broken::default();
    for source in &sources() {
        let parts = source.path.with_extension("");
        if parts.iter().any(|part| NAMES_FOR_NOTHING.contains(&part.to_str().unwrap_or(""))) {
            broken.add(source, 1, "its name says nothing about what is in it".to_owned());
        }
        let count = source.production.lines().count();
        if count > LINES_AT_MOST {
            broken.add(source, count, format!("{count} lines of code that isn't a test; at most {LINES_AT_MOST}"));
        }
    }
    broken.report();
}

#[test]
fn every_link_of_the_documents_leads_to_a_file() {
    let root = root();
    let mut documents: Vec<PathBuf> = files_below(&root.join("docs"), "md");
    documents
        .extend(fs::read_dir(&root).unwrap().map(|entry| entry.unwrap().path()).filter(|path| has_ending(path, "md")));
    assert!(!documents.is_empty(), "the documents have gone: {}", root.display());
    let mut broken = String::new();
    for document in &documents {
        let text = fs::read_to_string(document).unwrap();
        for (line, target) in relative_links(&text) {
            if !document.parent().unwrap().join(target).exists() {
                let document = document.strip_prefix(&root).unwrap().display();
                writeln!(broken, "{document}:{line}: `{target}` does not exist").unwrap();
            }
        }
    }
    assert!(broken.is_empty(), "\n{broken}");
}

/// A Rust file below `src/`.
struct Source {
    /// From the repository's root on.
    path: PathBuf,
    text: String,
    /// The code that isn't a test, line by line as in the file, with comments and the insides of literals blanked.
    production: String,
}

impl Source {
    /// The room of the runner it belongs to: `store` for `src/runner/store/lease.rs`.
    fn room(&self) -> Option<String> {
        let first = self.path.strip_prefix("src/runner").ok()?.iter().next()?;
        Some(Path::new(first).with_extension("").to_str()?.to_owned())
    }
}

/// The mistakes found under one rule.
#[derive(Default)]
struct Broken(String);

impl Broken {
    fn add(&mut self, source: &Source, line: usize, rule: String) {
        writeln!(self.0, "{}:{line}: {rule}", source.path.display()).unwrap();
    }

    fn report(self) {
        assert!(self.0.is_empty(), "\n{}", self.0);
    }
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The rooms in the order of their declarations.
fn rooms() -> Vec<String> {
    let text = fs::read_to_string(root().join("src/runner/lib.rs")).unwrap();
    let rooms: Vec<String> = declared(&text, "pub mod ").map(str::to_owned).collect();
    assert!(rooms.len() > 1, "src/runner/lib.rs declares no rooms");
    rooms
}

/// The names of the modules declared in files of their own, by lines that begin with `prefix`.
fn declared<'a>(text: &'a str, prefix: &'a str) -> impl Iterator<Item = &'a str> {
    text.lines().filter_map(move |line| line.strip_prefix(prefix)?.strip_suffix(';'))
}

fn sources() -> Vec<Source> {
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
        tests.extend(
            declared(&text.replace("#[cfg(test)]\n", "#[cfg(test)] "), "#[cfg(test)] mod ").map(|name| own.join(name)),
        );
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

fn files_below(folder: &Path, ending: &str) -> Vec<PathBuf> {
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

fn has_ending(path: &Path, ending: &str) -> bool {
    path.extension().is_some_and(|found| found == ending)
}

fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
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

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Whether `text` has `call` with no word character before it.
fn words_with(text: &str, call: &str) -> bool {
    text.match_indices(call).any(|(at, _)| !text[..at].chars().next_back().is_some_and(is_word))
}

fn word(text: &str) -> &str {
    &text[..text.find(|c| !is_word(c)).unwrap_or(text.len())]
}

fn line_of(code: &str, at: usize) -> usize {
    1 + code[..at].matches('\n').count()
}

/// The first names after `start`, which is `crate::` or so; those of `crate::{a, b::c}` one by one, each with its line.
fn paths_from(start: &str, code: &str) -> Vec<(usize, String)> {
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
fn named_crates(code: &str) -> Vec<(String, usize)> {
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

/// The targets of links to files, without their anchors, outside of code.
fn relative_links(text: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let mut fenced = false;
    for (line, content) in lines(text) {
        if content.trim_start().starts_with("```") {
            fenced = !fenced;
        }
        if fenced {
            continue;
        }
        for (at, _) in content.match_indices("](") {
            let in_code = content[..at].matches('`').count() % 2 == 1;
            let target = content[at + 2..].split(')').next().unwrap_or("");
            let file = target.split('#').next().unwrap_or("");
            if !in_code && !file.is_empty() && !file.contains("://") && !file.starts_with("mailto:") {
                found.push((line, file));
            }
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
    assert!(!names("use crate::spec::toml::Value;").contains(&"toml".to_owned()));
}

#[test]
fn links_in_code_and_to_other_places_are_left_alone() {
    let text = "[a](x.md#part) [b](https://e.org/y.md) `[c](z.md)`\n```\n[d](w.md)\n```\n[e](#here) [f](v/u.md)";
    assert_eq!(relative_links(text), [(1, "x.md"), (5, "v/u.md")]);
}
