//! Whether the outputs of stages can be put in their places, found out before anything runs.
//!
//! Knows paths and what lies there; makes and changes nothing. A file where a folder has to be made, a link that leads nowhere or
//! a folder that nobody may write to would else be found when the work of hours is to be put there.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{Access, access};

use crate::pipeline::{Output, Pipeline, Problem, Span, StageId};
use crate::plain;
use crate::shell::word;

/// Something that keeps an output from its place.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Obstacle {
    /// Relative to the workspace's root, as far as it lies there.
    place: PathBuf,
    what: What,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum What {
    /// A folder has to be there, and this is, with its article.
    NoFolder(&'static str),
    /// A link that leads nowhere, to this.
    Nowhere(PathBuf),
    /// Nobody can write there, or look.
    Refused(ErrorKind, String),
    /// Another file system begins there, so nothing can be moved away from it or to it.
    Mount,
}

/// Looks at places, and at each folder once.
struct Places<'a> {
    root: &'a Path,
    /// The folders that were looked at: the nearest one that is there.
    folders: HashMap<PathBuf, Result<PathBuf, Obstacle>>,
}

/// What keeps outputs of these stages from their places. Each stage with whether it is certain that it puts them there; otherwise
/// those that are there already may stay as they are.
pub fn obstacles(pipeline: &Pipeline, stages: impl IntoIterator<Item = (StageId, bool)>) -> Vec<Problem> {
    let mut places = Places { root: &pipeline.root, folders: HashMap::new() };
    let mut found: BTreeMap<PathBuf, (Obstacle, Span, usize)> = BTreeMap::new();
    for (stage, is_certain) in stages {
        for output in &pipeline.stage(stage).outputs {
            if let Err(obstacle) = places.look(output, is_certain) {
                found.entry(obstacle.place.clone()).or_insert((obstacle, output.span, 0)).2 += 1;
            }
        }
    }
    found.into_values().map(|(obstacle, span, outputs)| obstacle.told(&pipeline.root, span, outputs)).collect()
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
        may_write(self.root, &folder)?;
        let Some(found) = found else { return Ok(()) };
        let refused = |what| Err(Obstacle { place: path.clone(), what });
        if self.root.join(&folder).metadata().is_ok_and(|folder| folder.dev() != found.dev()) {
            return refused(What::Mount);
        }
        // To move a folder is to write to it: its entry `..` changes. A file must only not be protected from everybody.
        match access(&place, Access::WRITE_OK).map_err(io::Error::from) {
            Err(_) if found.is_symlink() => Ok(()),
            Err(error) if found.is_dir() || error.raw_os_error() == Some(rustix::io::Errno::PERM.raw_os_error()) => {
                refused(What::Refused(error.kind(), error.to_string()))
            }
            _ => Ok(()),
        }
    }

    /// The nearest folder that is there, of a folder that has to be.
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

    /// From the nearest folder above to this one, if it is there.
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
    fn told(self, root: &Path, span: Span, outputs: usize) -> Problem {
        let place = if self.place.as_os_str().is_empty() { root.to_owned() } else { self.place };
        let (name, shown) = (place.display().to_string(), word(&place.to_string_lossy()).into_owned());
        let others = match outputs {
            0 | 1 => "this output is to be put there".to_owned(),
            more => format!("this output and {} more are to be put there", more - 1),
        };
        let (title, help) = match self.what {
            What::NoFolder(what) => (
                format!("`{name}` is {what}, and a folder has to be there"),
                format!("give it another name: mv {shown} {}", word(&format!("{}.mine", place.to_string_lossy()))),
            ),
            What::Nowhere(to) => (
                format!("`{name}` is a link to `{}`, which isn't there", to.display()),
                format!("make the folder that it leads to, or remove the link: rm {shown}"),
            ),
            What::Refused(ErrorKind::ReadOnlyFilesystem, _) => (
                format!("`{name}` is on a file system that can't be written to"),
                "mount it for writing, or copy the pipeline file into a folder that can be written to".to_owned(),
            ),
            What::Refused(ErrorKind::PermissionDenied, said) if said.contains("not permitted") => (
                format!("`{name}` can't be changed by anybody: {said}"),
                format!("`lsattr -d {shown}` shows whether it is immutable; `chattr -i {shown}` ends that"),
            ),
            What::Refused(_, said) => (
                format!("`{name}` can't be written to: {said}"),
                format!("`ls -ld {shown}` shows whose it is; its owner lets you write there with: chmod u+wx {shown}"),
            ),
            What::Mount => (
                format!(
                    "`{name}` is where another file system is mounted, and an output has to be replaced as a whole"
                ),
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
        let mut places = Places { root, folders: HashMap::new() };
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
