//! No two files of a crate need each other: who imports whom has no circles.
//!
//! A file needs what it names, by `use` or by a path in the code. A name that a module only hands on (`pub use`) is needed from
//! the file that defines it, and handing on is not needing. A module and the modules within it are one house, in which the outer one
//! knows its parts and the parts know what they are parts of: that is no circle; one among the parts is.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::sources::{Source, is_word, sources, word};

#[test]
fn no_two_files_need_each_other() {
    let mut circles = Vec::new();
    for house in crates(&sources()) {
        circles.extend(house.circles());
    }
    assert!(circles.is_empty(), "\n{}", circles.join("\n"));
}

/// A module's name from its crate's root on.
type Module = Vec<String>;

/// The modules of a crate and what each says.
#[derive(Default)]
struct House {
    files: BTreeMap<Module, PathBuf>,
    /// Names that a module hands on, and what they are.
    handed_on: BTreeMap<(Module, String), Vec<String>>,
    /// By module: each path that it names, from the crate's root on.
    named: BTreeMap<Module, BTreeSet<Vec<String>>>,
}

fn crates(sources: &[Source]) -> Vec<House> {
    let roots = sources.iter().filter(|source| source.path.ends_with("lib.rs"));
    let roots: Vec<&Path> = roots.map(|source| source.path.parent().unwrap()).collect();
    let house = |root: &&Path| {
        let mut house = House::default();
        let inside: Vec<(Module, &Source)> = sources
            .iter()
            .filter(|source| source.path.starts_with(root) && !source.production.trim().is_empty())
            .map(|source| (module(source.path.strip_prefix(root).unwrap()), source))
            .collect();
        house.files.extend(inside.iter().map(|(module, source)| (module.clone(), source.path.clone())));
        inside.iter().for_each(|(module, source)| house.read(module, &source.production));
        house
    };
    roots.iter().map(house).collect()
}

/// `store/gc/mod.rs` and `store/gc.rs` are `store::gc`.
fn module(path: &Path) -> Module {
    let mut parts: Module = path.with_extension("").iter().map(|part| part.to_str().unwrap().to_owned()).collect();
    if matches!(parts.last().map(String::as_str), Some("mod" | "lib")) {
        parts.pop();
    }
    parts
}

impl House {
    fn read(&mut self, module: &Module, code: &str) {
        let mut named = BTreeSet::new();
        let (uses, rest) = taken_apart(code);
        for (is_handed_on, tree) in uses {
            for (path, name) in leaves(&tree, &[]) {
                let Some(path) = self.whole_path(module, &path) else { continue };
                if is_handed_on && !words(&rest).any(|word| word == name) {
                    self.handed_on.insert((module.clone(), name), path);
                } else {
                    if is_handed_on {
                        self.handed_on.insert((module.clone(), name), path.clone());
                    }
                    named.insert(path);
                }
            }
        }
        for path in inline(&rest) {
            named.extend(self.whole_path(module, &path));
        }
        self.named.insert(module.clone(), named);
    }

    /// A path as it stands in a module, from the crate's root on; none of another crate.
    fn whole_path(&self, module: &Module, path: &[String]) -> Option<Vec<String>> {
        let (first, rest) = path.split_first()?;
        let mut base = match first.as_str() {
            "crate" => Vec::new(),
            "self" => module.clone(),
            "super" => module[..module.len().checked_sub(1)?].to_vec(),
            child => {
                let child: Module = module.iter().cloned().chain([child.to_owned()]).collect();
                self.files.contains_key(&child).then_some(child)?
            }
        };
        for part in rest {
            match part.as_str() {
                "super" => drop(base.pop()),
                part => base.push(part.to_owned()),
            }
        }
        Some(base)
    }

    /// The file in which what a path names is defined.
    fn home(&self, path: &[String]) -> &Path {
        let mut path = path.to_vec();
        // A name that is handed on may be handed on again.
        for _ in 0..8 {
            let depth = (0..=path.len()).rev().find(|depth| self.files.contains_key(&path[..*depth]));
            let depth = depth.expect("the crate's root is a file");
            let next = path.get(depth).and_then(|name| self.handed_on.get(&(path[..depth].to_vec(), name.clone())));
            match next {
                Some(real) => path = [real.clone(), path[depth + 1..].to_vec()].concat(),
                None => return &self.files[&path[..depth]],
            }
        }
        panic!("{path:?} is handed on in a circle")
    }

    fn module_of(&self, file: &Path) -> Module {
        let found = self.files.iter().find(|(_, path)| *path == file);
        found.expect("a home is one of the files").0.clone()
    }

    /// Each circle in words: its files, and who names what of whom.
    fn circles(&self) -> Vec<String> {
        let mut arrows: BTreeMap<&Path, BTreeMap<&Path, BTreeSet<String>>> = BTreeMap::new();
        for (module, named) in &self.named {
            let own = self.files[module].as_path();
            for path in named {
                let other = self.home(path);
                if other != own && !is_part(module, &self.module_of(other)) {
                    let name = path.last().cloned().unwrap_or_default();
                    arrows.entry(own).or_default().entry(other).or_default().insert(name);
                }
            }
        }
        let reach = |from: &Path| {
            let mut seen: BTreeSet<&Path> = BTreeSet::new();
            let mut open: Vec<&Path> = arrows.get(from).into_iter().flat_map(|to| to.keys().copied()).collect();
            while let Some(next) = open.pop() {
                if seen.insert(next) {
                    open.extend(arrows.get(next).into_iter().flat_map(|to| to.keys().copied()));
                }
            }
            seen
        };
        let reached: BTreeMap<&Path, BTreeSet<&Path>> = arrows.keys().map(|file| (*file, reach(file))).collect();
        let mut told: BTreeSet<&Path> = BTreeSet::new();
        let mut circles = Vec::new();
        for (file, all) in &reached {
            if !all.contains(file) || told.contains(file) {
                continue;
            }
            let circle: BTreeSet<&Path> = all
                .iter()
                .copied()
                .filter(|other| reached.get(other).is_some_and(|back| back.contains(file)))
                .collect();
            told.extend(&circle);
            let mut text = format!("{} files need each other:", circle.len());
            for from in &circle {
                for (to, names) in arrows[from].iter().filter(|(to, _)| circle.contains(*to)) {
                    let names = names.iter().cloned().collect::<Vec<_>>().join(", ");
                    text += &format!("\n  {} -> {}: {names}", from.display(), to.display());
                }
            }
            circles.push(text);
        }
        circles
    }
}

/// Whether one of two modules lies in the other.
fn is_part(one: &Module, other: &Module) -> bool {
    one.starts_with(other) || other.starts_with(one)
}

/// The trees of all `use` statements, each with whether it hands on, and the code without them.
fn taken_apart(code: &str) -> (Vec<(bool, String)>, String) {
    let (mut uses, mut rest, mut begin) = (Vec::new(), String::new(), 0);
    for (at, _) in code.match_indices("use ") {
        let is_statement = at >= begin && !code[..at].chars().next_back().is_some_and(is_word);
        let line = code[..at].rfind('\n').map_or(0, |line| line + 1);
        let before = code[line..at].trim();
        if !is_statement
            || !(before.is_empty() || before == "pub" || before.starts_with("pub(") && before.ends_with(')'))
        {
            continue;
        }
        let end = at + code[at..].find(';').unwrap_or(code.len() - at);
        rest += &code[begin..at];
        uses.push((before.starts_with("pub"), code[at + 4..end].to_owned()));
        begin = end;
    }
    rest += &code[begin.min(code.len())..];
    (uses, rest)
}

/// The paths of a `use` tree, each with the name that it brings in.
fn leaves(tree: &str, above: &[String]) -> Vec<(Vec<String>, String)> {
    let tree = tree.trim();
    if let Some(open) = tree.find('{') {
        let above: Vec<String> = above.iter().cloned().chain(parts(&tree[..open])).collect();
        let inside = &tree[open + 1..tree.rfind('}').unwrap_or(tree.len())];
        return split(inside).into_iter().flat_map(|tree| leaves(tree, &above)).collect();
    }
    let (path, name) = tree.split_once(" as ").map_or((tree, None), |(path, name)| (path, Some(name.trim())));
    let path: Vec<String> = above.iter().cloned().chain(parts(path)).collect();
    let is_self = path.last().is_some_and(|last| last == "self");
    let path = if is_self && path.len() > 1 { path[..path.len() - 1].to_vec() } else { path };
    let name = name.map(str::to_owned).or_else(|| path.last().cloned());
    name.map(|name| vec![(path, name)]).unwrap_or_default()
}

fn parts(path: &str) -> impl Iterator<Item = String> {
    path.split("::").map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned)
}

/// The parts between the commas that lie in no braces.
fn split(inside: &str) -> Vec<&str> {
    let (mut found, mut depth, mut begin) = (Vec::new(), 0, 0);
    for (at, c) in inside.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                found.push(&inside[begin..at]);
                begin = at + 1;
            }
            _ => {}
        }
    }
    found.push(&inside[begin..]);
    found.into_iter().filter(|part| !part.trim().is_empty()).collect()
}

/// The paths of more than one part that stand in code.
fn inline(code: &str) -> Vec<Vec<String>> {
    let (mut found, mut begin) = (Vec::new(), 0);
    while let Some(offset) = code[begin..].find(is_word) {
        let mut at = begin + offset;
        let is_first = !code[..at].ends_with("::") && !code[..at].ends_with('.');
        let mut path = Vec::new();
        loop {
            let part = word(&code[at..]);
            path.push(part.to_owned());
            at += part.len();
            let goes_on = code[at..].starts_with("::") && code[at + 2..].chars().next().is_some_and(is_word);
            if !goes_on {
                break;
            }
            at += 2;
        }
        if is_first && path.len() > 1 {
            found.push(path);
        }
        begin = at.max(begin + offset + 1);
    }
    found
}

fn words(code: &str) -> impl Iterator<Item = &str> {
    code.split(|c| !is_word(c)).filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn house(files: &[(&str, &str)]) -> House {
        let mut house = House::default();
        for (path, _) in files {
            house.files.insert(module(Path::new(path)), PathBuf::from(path));
        }
        for (path, code) in files {
            house.read(&module(Path::new(path)), code);
        }
        house
    }

    #[test]
    fn a_circle_is_seen_however_it_is_named() {
        for (a, b) in [
            ("use crate::b::B;\n", "use crate::a::A;\n"),
            ("use super::b::{self, C};\n", "fn f() { crate::a::g() }\n"),
            ("use crate::{c::D, b::{B, E}};\n", "use super::a as other;\n"),
            ("use crate::B;\n", "use crate::a::A;\n"),
        ] {
            let house = house(&[
                ("lib.rs", "pub mod a;\nmod b;\nmod c;\npub use b::B;\n"),
                ("a.rs", a),
                ("b.rs", b),
                ("c.rs", ""),
            ]);
            let circles = house.circles();
            assert!(circles.len() == 1 && circles[0].starts_with("2 files"), "{a} {b} {circles:?}");
        }
    }

    #[test]
    fn a_module_and_its_parts_are_one_house() {
        let files = [("lib.rs", ""), ("a/mod.rs", "use b::B;\n"), ("a/b.rs", "use super::A;\nuse crate::c::C;\n")];
        assert_eq!(house(&[&files[..], &[("c.rs", "")]].concat()).circles().len(), 0);
        // Through its part the module needs what needs it.
        assert_eq!(house(&[&files[..], &[("c.rs", "use crate::a::b::B;\n")]].concat()).circles().len(), 1);
    }

    #[test]
    fn handing_on_is_not_needing_and_using_what_is_handed_on_is() {
        let b = ("b.rs", "use super::a::Root;\n");
        let house = |a| house(&[("lib.rs", ""), ("a.rs", a), ("c.rs", ""), b]).circles().len();
        assert_eq!(house("pub use super::b::B;\npub struct Root;\n"), 0);
        assert_eq!(house("pub use super::b::B;\npub struct Root(B);\n"), 1);
        assert_eq!(house("use super::b;\npub struct Root(b::B);\n"), 1);
    }
}
