//! The conventions of this repository as tests: what a reviewer would otherwise have to remember.
//!
//! They look at the text of the files and know no types. A room may name the rooms above it in `src/runner/lib.rs` only,
//! which is the one place where the order is written down. Each broken rule is told with file and line, all at once.

mod circles;
mod sources;

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use sources::{
    Broken, Source, declared, files_below, has_ending, lines, named_crates, paths_from, root, sources, words_with,
};

/// Crates that one place alone may name, below `src/`, so that replacing one is a change to one room.
const ONE_PLACE: &[(&str, &str)] = &[
    ("blake3", "runner/digest.rs"),
    ("foldhash", "runner/by_name.rs"),
    ("ed25519_dalek", "runner/signing"),
    ("getrandom", "runner/signing"),
    ("toml", "runner/pipeline"),
    ("petgraph", "runner/graph"),
    ("notify", "runner/watch.rs"),
    ("dfir_rs", "runner/flow"),
    ("anyhow", "runner/cli"),
    ("mozjpeg", "picture"),
    ("mozjpeg_sys", "picture"),
    ("image_webp", "picture"),
    ("tiff", "picture"),
    ("torch_sys", "shim"),
    ("prost", "onnx"),
    ("half", "onnx"),
    ("maud", "runner/report/html"),
    ("object_store", "runner/store/upstream/bucket"),
    ("reqwest", "runner/store/upstream/bucket"),
    ("rustls", "runner/store/upstream/bucket"),
    ("tokio", "runner/store/upstream/bucket"),
    ("futures_util", "runner/store/upstream/bucket"),
    ("statrs", "statistics"),
    ("clap", "runner/cli"),
    ("clap_complete", "runner/cli"),
];

/// Crates that a folder below `src/` must not name.
const NEVER: &[(&str, &[&str])] = &[
    ("libtorch", &["tch", "torch_sys", "intrada_runner", "intrada_ml", "intrada_worker"]),
    ("beginning", &["tch", "torch_sys", "intrada_runner", "intrada_ml", "intrada_worker"]),
    ("picture", &["tch", "torch_sys", "intrada_runner", "intrada_ml", "intrada_worker"]),
    ("weights", &["tch", "torch_sys", "intrada_runner", "intrada_ml", "intrada_worker"]),
    ("statistics", &["tch", "torch_sys", "intrada_runner", "intrada_ml", "intrada_worker"]),
    ("onnx", &["tch", "torch_sys", "intrada_runner", "intrada_ml", "intrada_worker"]),
    ("shim", &["intrada_runner", "intrada_ml", "intrada_worker"]),
    ("ml", &["intrada_runner", "intrada_worker", "intrada_onnx", "toml"]),
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
fn text_goes_into_the_report_as_it_is_in_one_file() {
    let mut broken = Broken::default();
    for source in sources().iter().filter(|source| !source.path.ends_with("report/html/document.rs")) {
        for (line, text) in lines(&source.production) {
            if text.contains("PreEscaped") {
                broken.add(source, line, "what no macro has escaped belongs in html/document.rs".to_owned());
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

/// The rooms in the order of their declarations.
fn rooms() -> Vec<String> {
    let text = fs::read_to_string(root().join("src/runner/lib.rs")).unwrap();
    let rooms: Vec<String> = declared(&text, "pub mod ").map(str::to_owned).collect();
    assert!(rooms.len() > 1, "src/runner/lib.rs declares no rooms");
    rooms
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
fn links_in_code_and_to_other_places_are_left_alone() {
    let text = "[a](x.md#part) [b](https://e.org/y.md) `[c](z.md)`\n```\n[d](w.md)\n```\n[e](#here) [f](v/u.md)";
    assert_eq!(relative_links(text), [(1, "x.md"), (5, "v/u.md")]);
}
