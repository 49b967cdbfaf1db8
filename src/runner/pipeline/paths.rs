//! Paths in the file, and which stage writes there.
//!
//! Doesn't access the file system: edges between stages must not depend on which files exist. `..` is therefore resolved
//! textually, as in cargo and git.

use std::cell::OnceCell;
use std::path::{Component, Path, PathBuf};

use super::OutputId;
use crate::by_name;
use crate::own::has_own_name;

/// The path relative to the root, without `.` and inner `..`; absolute only if typed so and outside the root.
pub(super) fn normalize(root: &Path, typed: &str) -> PathBuf {
    // As nearly all are.
    if typed.split('/').all(|name| !matches!(name, "" | "." | "..")) {
        return PathBuf::from(typed);
    }
    let mut path = PathBuf::new();
    for component in Path::new(typed).components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir if matches!(path.components().next_back(), Some(Component::Normal(_))) => {
                path.pop();
            }
            // The parent of the file system's root is the root itself.
            Component::ParentDir if path.has_root() => {}
            component => path.push(component),
        }
    }
    path.strip_prefix(root).map(Path::to_owned).unwrap_or(path)
}

/// The folder that the program writes for a pipeline below `runs/`.
pub(super) struct Own {
    /// Its folder there.
    folder: PathBuf,
}

impl Own {
    /// That of a pipeline of this name.
    pub(super) fn new(name: &str) -> Own {
        Own { folder: Path::new("runs").join(name) }
    }

    /// Why an output can't be at this path.
    fn refuses(&self, path: &Path) -> Option<&'static str> {
        let in_runs = path.strip_prefix("runs").ok();
        let parts = in_runs.map_or(0, |below| below.components().count());
        match path.file_name().map(|name| name.to_string_lossy()) {
            _ if self.folder.starts_with(path) => Some("it contains the outputs of other stages and the report"),
            Some(name) if parts == 2 && ["report.html", "assess.html"].contains(&&*name) => {
                Some("it is the report of a pipeline")
            }
            Some(name) if parts > 1 && name.starts_with("events.out.tfevents.") => {
                Some("the program writes files of that name for TensorBoard")
            }
            _ => None,
        }
    }
}

/// Maximum bytes of a name on common file systems.
const NAME: usize = 255;
const LONG_NAME: &str = "a name in it has more than 255 bytes, the limit of file systems";

/// Maximum bytes of a path in a system call (PATH_MAX without the terminating zero byte).
pub(super) const LONGEST: usize = 4_095;

/// Why a path is impossible. Checked first, as other checks of a path with 50,000 components take seconds.
pub(super) fn refused(typed: &str) -> Option<&'static str> {
    if typed.len() > LONGEST {
        return Some("it has more than 4,095 bytes, which is too long for a path");
    }
    typed.split('/').any(|name| name.len() > NAME).then_some(LONG_NAME)
}

/// Why a path can't be an output.
pub(super) fn refused_as_output(path: &Path, own: &Own) -> Option<&'static str> {
    /// Leaves some of the 4,095 bytes for the workspace root.
    const PATH: usize = 3_500;
    if path.iter().any(|name| name.len() > NAME) {
        return Some(LONG_NAME);
    }
    if path.as_os_str().len() > PATH {
        return Some("it has more than 3,500 bytes, which is too long for a path");
    }
    if path.iter().any(has_own_name) {
        return Some("names with `.intrada` are reserved for the program");
    }
    match path.components().next() {
        None => Some("it is the workspace root itself"),
        Some(Component::Normal(first)) if first == "cache" => Some("it is inside the cache"),
        Some(Component::Normal(_)) => own.refuses(path),
        Some(_) => Some("it is outside the workspace root"),
    }
}

/// Whether a name that could be a stage is a file: no stage can have such a name.
pub(super) fn is_file(typed: &str) -> bool {
    typed.contains('/') || [".safetensors", ".pth"].iter().any(|ending| typed.ends_with(ending))
}

/// Which stage writes which path. Paths never overlap.
#[derive(Debug, Default)]
pub struct Writers {
    outputs: by_name::Map<OutputId>,
    /// Every folder with an output in it, at any depth: of most paths it is known at once that there is none.
    folders: by_name::Set,
    /// The outputs in order, once something asks for those of a folder.
    in_order: OnceCell<Vec<(PathBuf, OutputId)>>,
}

impl Writers {
    /// Adds an output, or returns the one that it overlaps with.
    pub fn insert(&mut self, path: &Path, output: OutputId) -> Result<(), OutputId> {
        if let Some((_, other)) = self.over(path) {
            return Err(other);
        }
        if self.folders.contains(path.as_os_str()) {
            let inside = self.outputs.iter().filter(|(other, _)| by_name::below(Path::new(other), path).is_some());
            let first = inside.min_by(|(one, _), (other, _)| by_name::compare(Path::new(one), Path::new(other)));
            return Err(*first.expect("a folder has an output in it").1);
        }
        self.in_order.take();
        self.outputs.insert(path.into(), output);
        for folder in by_name::upwards(path).skip(1) {
            // With a folder all above it are there.
            if self.folders.contains(folder) {
                break;
            }
            self.folders.insert(folder.to_owned());
        }
        Ok(())
    }

    /// The output at or above this path, and its path.
    pub fn over(&self, path: &Path) -> Option<(&Path, OutputId)> {
        let found = by_name::upwards(path).find_map(|path| self.outputs.get_key_value(path));
        found.map(|(path, output)| (Path::new(path), *output))
    }

    /// The output at this path, or those inside it, in order.
    pub fn inside<'a>(&'a self, folder: &'a Path) -> impl Iterator<Item = OutputId> + 'a {
        let own = self.outputs.get(folder.as_os_str());
        let is_folder = self.folders.contains(folder.as_os_str());
        let all = if is_folder { self.in_order.get_or_init(|| self.sorted()).as_slice() } else { &[] };
        // Paths sort by name, so those of a folder are adjacent.
        let first = all.partition_point(|(path, _)| by_name::compare(path, folder).is_lt());
        let inside = all[first..].iter().take_while(move |(path, _)| by_name::below(path, folder).is_some());
        own.into_iter().copied().chain(inside.map(|(_, output)| *output))
    }

    fn sorted(&self) -> Vec<(PathBuf, OutputId)> {
        let mut all: Vec<_> = self.outputs.iter().map(|(path, output)| (PathBuf::from(path), *output)).collect();
        all.sort_unstable_by(|(one, _), (other, _)| by_name::compare(one, other));
        all
    }

    /// Every output at, above or below this path.
    pub fn touching(&self, path: &Path) -> Vec<OutputId> {
        let over = self.over(path).map(|(_, output)| output);
        over.into_iter().chain(self.inside(path).filter(|output| Some(*output) != over)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::StageId;
    use proptest::{prop_assert_eq, proptest};

    fn normal(typed: &str) -> String {
        normalize(Path::new("/w/root"), typed).display().to_string()
    }

    #[test]
    fn a_path_is_told_relative_to_the_root() {
        assert_eq!(normal("./a//b/./c"), "a/b/c");
        assert_eq!(normal("a/../b"), "b");
        assert_eq!(normal("../../x"), "../../x");
        assert_eq!(normal("/w/root/a"), "a");
        assert_eq!(normal("/data/../../etc"), "/etc");
        assert_eq!(normal("/data/sets"), "/data/sets");
        assert_eq!(normal("."), "");
    }

    #[test]
    fn an_output_lies_below_the_root_and_not_in_the_cache() {
        let own = Own::new("p");
        let refused_as_output = |path: &Path| refused_as_output(path, &own);
        for path in ["", "..", "../x", "/etc/x", "cache", "cache/objects/x"] {
            assert!(refused_as_output(Path::new(path)).is_some(), "{path}");
        }
        assert_eq!(refused_as_output(Path::new("cached/x")), None);
        let long = |length: usize, parts: usize| vec!["x".repeat(length); parts].join("/");
        assert_eq!(refused_as_output(Path::new(&long(255, 2))), None);
        assert!(refused_as_output(Path::new(&long(256, 1))).is_some());
        assert!(refused_as_output(Path::new(&long(255, 20))).is_some());
    }

    #[test]
    fn a_path_that_no_system_takes_is_refused_as_it_is_typed() {
        for typed in ["a/".repeat(2_048), "a/".repeat(50_000), "x".repeat(256), format!("a/{}/b", "x".repeat(256))] {
            assert!(refused(&typed).is_some(), "{} bytes", typed.len());
        }
        assert_eq!((refused(&"a/".repeat(2_047)), refused(&"x".repeat(255))), (None, None));
    }

    #[test]
    fn no_output_lies_where_the_program_has_files_of_its_own() {
        let own = Own::new("p");
        let refuses = |path: &str| refused_as_output(Path::new(path), &own);
        let report = ["runs/p/report.html", "runs/other/report.html"];
        for path in ["runs", "runs/p", "runs/p/a/events.out.tfevents.1.a"].iter().chain(&report) {
            assert!(refuses(path).is_some(), "{path}");
        }
        for path in ["run", "runs/q", "runs/p/a", "runs/p/a/report.html", "events.out.tfevents.1"] {
            assert_eq!(refuses(path), None, "{path}");
        }
    }

    fn id(stage: u32) -> OutputId {
        OutputId { stage: StageId(stage), output: 0 }
    }

    #[test]
    fn neighbours_that_share_letters_do_not_overlap() {
        let mut writers = Writers::default();
        for (i, path) in ["a/b", "a/b-c", "a/bc", "a!"].iter().enumerate() {
            assert_eq!(writers.insert(Path::new(path), id(i as u32)), Ok(()));
        }
        assert_eq!(writers.insert(Path::new("a/b/x"), id(9)), Err(id(0)));
        assert_eq!(writers.insert(Path::new("a"), id(9)), Err(id(0)));
        assert_eq!(writers.touching(Path::new("a")), [id(0), id(1), id(2)]);
        assert_eq!(writers.touching(Path::new("a/b/x/y")), [id(0)]);
        assert_eq!(writers.touching(Path::new("z")), []);
    }

    proptest! {
        #[test]
        fn a_path_of_names_is_what_its_components_make(typed in "([ab.]{1,3}/){0,3}[ab.]{0,3}") {
            let is_name = |component| matches!(component, Component::Normal(_));
            if Path::new(&typed).components().all(is_name) {
                let whole: PathBuf = Path::new(&typed).components().collect();
                let normal = normalize(Path::new("/w/root"), &typed);
                prop_assert_eq!(normal.as_os_str(), whole.as_os_str());
            }
        }

        #[test]
        fn normalizing_twice_is_normalizing_once(typed in "(/|\\.\\./|\\./|a/|b/){0,6}c?") {
            let once = normalize(Path::new("/a"), &typed);
            prop_assert_eq!(normalize(Path::new("/a"), once.to_str().unwrap()), once);
        }
    }
}
