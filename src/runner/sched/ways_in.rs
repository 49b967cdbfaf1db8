//! Checks, before anything runs, that the outputs of stages can be placed.
//!
//! Knows paths and what exists there; changes nothing. A file where a folder is needed, a dangling link or a read-only
//! folder would otherwise be found only after hours of work.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{Access, access};

use crate::pipeline::{Output, Pipeline, Problem, Span, StageId};
use crate::plain;
use crate::shell::word;

/// Something that prevents placing an output.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Obstacle {
    /// Relative to the workspace's root if inside it.
    place: PathBuf,
    what: What,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum What {
    /// A folder is needed, and this is there, with its article.
    NoFolder(&'static str),
    /// A dangling link, to this target.
    Nowhere(PathBuf),
    /// Not writable, or not readable.
    Refused(ErrorKind, String),
    /// A mount point, so nothing can be moved from or to it.
    Mount,
}

/// Checks places, and each folder once.
struct Places<'a> {
    root: &'a Path,
    /// Checked folders: the nearest existing one.
    folders: HashMap<PathBuf, Result<PathBuf, Obstacle>>,
    /// Whether folders may be written to.
    writable: HashMap<PathBuf, Result<(), Obstacle>>,
}

/// What prevents placing the outputs of these stages. Each stage has a flag whether it certainly places them; otherwise
/// outputs in place may stay unchanged.
pub fn obstacles(pipeline: &Pipeline, stages: impl IntoIterator<Item = (StageId, bool)>) -> Vec<Problem> {
    let (folders, writable) = Default::default();
    let mut places = Places { root: &pipeline.root, folders, writable };
    let mut found: BTreeMap<PathBuf, (Obstacle, Span, usize)> = BTreeMap::new();
    for (stage, is_certain) in stages {
        for output in &pipeline.stage(stage).outputs {
            if let Err(obstacle) = places.look(output, is_certain) {
                found.entry(obstacle.place.clone()).or_insert((obstacle, output.span, 0)).2 += 1;
            }
        }
    }
    found.into_values().map(|(obstacle, span, outputs)| obstacle.problem(&pipeline.root, span, outputs)).collect()
}

impl Places<'_> {
    fn look(&mut self, output: &Output, is_certain: bool) -> Result<(), Obstacle> {
        let path = &output.path;
        let place = self.root.join(path);
        let found = place.symlink_metadata().ok();
        if found.is_some() && !is_certain {
            return Ok(());
        }
        let folder = self.nearest(path.parent().unwrap_or(Path::new("")))?;
        self.writable.entry(folder.clone()).or_insert_with(|| may_write(self.root, &folder)).clone()?;
        let Some(found) = found else { return Ok(()) };
        let refused = |what| Err(Obstacle { place: path.clone(), what });
        if self.root.join(&folder).metadata().is_ok_and(|folder| folder.dev() != found.dev()) {
            return refused(What::Mount);
        }
        // Moving a folder writes to it: its entry `..` changes. For a file any write permission suffices.
        match access(&place, Access::WRITE_OK).map_err(io::Error::from) {
            Err(_) if found.is_symlink() => Ok(()),
            Err(error) if found.is_dir() || error.raw_os_error() == Some(rustix::io::Errno::PERM.raw_os_error()) => {
                refused(What::Refused(error.kind(), error.to_string()))
            }
            _ => Ok(()),
        }
    }

    /// The nearest existing folder, for a folder that is needed.
    fn nearest(&mut self, folder: &Path) -> Result<PathBuf, Obstacle> {
        if let Some(known) = self.folders.get(folder) {
            return known.clone();
        }
        let found = match folder.components().next_back() {
            Some(Component::Normal(_)) => {
                let above = self.nearest(folder.parent().unwrap_or(Path::new("")));
                above.and_then(|above| self.step(above, folder))
            }
            _ => Ok(folder.to_owned()),
        };
        self.folders.insert(folder.to_owned(), found.clone());
        found
    }

    /// From the nearest parent folder to this one, if it exists.
    fn step(&self, above: PathBuf, folder: &Path) -> Result<PathBuf, Obstacle> {
        if folder.parent() != Some(&above) {
            return Ok(above);
        }
        let place = self.root.join(folder);
        let obstacle = |what| Err(Obstacle { place: folder.to_owned(), what });
        match place.symlink_metadata() {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(above),
            Err(error) => return obstacle(What::Refused(error.kind(), error.to_string())),
            Ok(_) => {}
        }
        match place.metadata() {
            Ok(found) if found.is_dir() => Ok(folder.to_owned()),
            Ok(found) => obstacle(What::NoFolder(plain::other_than_a_file(found.file_type()).unwrap_or("a file"))),
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                obstacle(What::Refused(error.kind(), error.to_string()))
            }
            Err(_) => obstacle(What::Nowhere(place.read_link().unwrap_or_default())),
        }
    }
}

fn may_write(root: &Path, folder: &Path) -> Result<(), Obstacle> {
    let place = root.join(folder);
    let place = if folder.as_os_str().is_empty() { root } else { &place };
    let allowed = access(place, Access::WRITE_OK | Access::EXEC_OK).map_err(io::Error::from);
    allowed.map_err(|error| {
        let what = What::Refused(error.kind(), error.to_string());
        Obstacle { place: folder.to_owned(), what }
    })
}

impl Obstacle {
    fn problem(self, root: &Path, span: Span, outputs: usize) -> Problem {
        let place = if self.place.as_os_str().is_empty() { root.to_owned() } else { self.place };
        let (name, shown) = (place.display().to_string(), word(&place.to_string_lossy()).into_owned());
        let others = match outputs {
            0 | 1 => "this output goes there".to_owned(),
            more => format!("this output and {} more go there", more - 1),
        };
        let (title, help) = match self.what {
            What::NoFolder(what) => (
                format!("`{name}` is {what}, but a folder is needed there"),
                format!("give it another name: mv {shown} {}", word(&format!("{}.mine", place.to_string_lossy()))),
            ),
            What::Nowhere(to) => (
                format!("`{name}` is a link to `{}`, which doesn't exist", to.display()),
                format!("create its target folder, or remove the link: rm {shown}"),
            ),
            What::Refused(ErrorKind::ReadOnlyFilesystem, _) => (
                format!("`{name}` is on a read-only file system"),
                "mount it for writing, or copy the pipeline file into a writable folder".to_owned(),
            ),
            What::Refused(ErrorKind::PermissionDenied, said) if said.contains("not permitted") => (
                format!("`{name}` can't be changed: {said}"),
                format!("`lsattr -d {shown}` shows whether it is immutable; `chattr -i {shown}` removes that"),
            ),
            What::Refused(_, said) => (
                format!("`{name}` is not writable: {said}"),
                format!("`ls -ld {shown}` shows its owner, who can make it writable with: chmod u+wx {shown}"),
            ),
            What::Mount => (
                format!("`{name}` is a mount point, and an output is replaced as a whole"),
                "name a folder or file within it as the output".to_owned(),
            ),
        };
        Problem::error(title).at(span, others).help(help)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    fn place(root: &Path, output: &str) -> Result<PathBuf, Obstacle> {
        let mut places = Places { root, folders: HashMap::new(), writable: HashMap::new() };
        places.nearest(Path::new(output).parent().unwrap())
    }

    #[test]
    fn whatever_is_no_folder_on_the_way_to_an_output_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        fs::create_dir_all(root.join("runs/p")).unwrap();
        fs::write(root.join("runs/p/inter"), "").unwrap();
        symlink("nowhere", root.join("gone")).unwrap();
        symlink("round", root.join("round")).unwrap();
        symlink("runs/p", root.join("linked")).unwrap();
        let at = |output: &str| place(root, output).map_err(|obstacle| (obstacle.place, obstacle.what));
        let inter = (PathBuf::from("runs/p/inter"), What::NoFolder("a file"));
        assert_eq!(at("runs/p/inter/a"), Err(inter.clone()));
        assert_eq!(at("runs/p/inter/deep/er/a"), Err(inter));
        assert_eq!(at("linked/inter/a"), Err(("linked/inter".into(), What::NoFolder("a file"))));
        assert_eq!(at("gone/a"), Err(("gone".into(), What::Nowhere("nowhere".into()))));
        assert_eq!(at("round/deep/a"), Err(("round".into(), What::Nowhere("round".into()))));
        assert_eq!(at("runs/p/other/deep/a"), Ok("runs/p".into()));
        assert_eq!(at("runs/p/inter"), Ok("runs/p".into()), "the place itself is replaced, whatever lies there");
        assert_eq!(at("new/deep/a"), Ok("".into()));
        assert_eq!(at("a"), Ok("".into()));
    }
}
