//! The worker that `pip install` brought: where a Python package puts it, and the torch that it runs on.
//!
//! Knows the layout of installed packages and no job. The worker of a package has no libtorch of its own: its run path leads to the
//! torch in the same folder of packages. One of another version lacks symbols, so its version is read before the worker
//! starts. No Python is started: importing torch takes seconds.

use std::path::{Path, PathBuf};

use super::super::Failure;

/// The releases of torch whose libtorch the worker of a package can use; its last number doesn't matter.
pub(super) const TORCH: &str = "2.11";

/// Where the package has its worker, in a folder of packages.
const PLACE: &str = "intrada/bin";

/// A worker in a folder of Python packages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Installed {
    /// The program.
    pub worker: PathBuf,
    /// The folder of packages: `site-packages`, or the folder of `pip install --target`.
    packages: PathBuf,
}

/// The worker of the package that brought the program `own`, of this name. Of several Pythons in one place the one whose torch
/// fits, else the newest.
pub(super) fn beside(own: &Path, name: &str) -> Option<Installed> {
    let prefix = own.parent()?.parent()?;
    let found: Vec<Installed> = folders_of_packages(prefix)
        .into_iter()
        .map(|packages| Installed { worker: packages.join(PLACE).join(name), packages })
        .filter(|installed| installed.worker.is_file())
        .collect();
    let fitting = found.iter().find(|installed| installed.refusal().is_none());
    fitting.or(found.first()).cloned()
}

/// The folders in which packages of a program in `prefix/bin` may be, the newest Python first: also those of Debian's own Python,
/// and `prefix` itself for `pip install --target`.
fn folders_of_packages(prefix: &Path) -> Vec<PathBuf> {
    let versions = |lib: &str| {
        let names = std::fs::read_dir(prefix.join(lib)).into_iter().flatten().flatten();
        let version = |name: &str| name.strip_prefix("python3.").and_then(|minor| minor.parse::<u32>().ok());
        let mut versions: Vec<(u32, PathBuf)> =
            names.filter_map(|entry| Some((version(entry.file_name().to_str()?)?, entry.path()))).collect();
        versions.sort_by(|(one, _), (other, _)| other.cmp(one));
        versions.into_iter().map(|(_, path)| path).collect::<Vec<_>>()
    };
    let of_python = |path: PathBuf| ["site-packages", "dist-packages"].map(|packages| path.join(packages));
    let mut folders: Vec<PathBuf> = ["lib", "lib64"].into_iter().flat_map(versions).flat_map(of_python).collect();
    folders.push(prefix.to_owned());
    folders
}

impl Installed {
    /// The same for a worker of this path, if it is one of a package.
    pub(super) fn of(worker: &Path) -> Option<Installed> {
        let folder = worker.parent().filter(|folder| folder.ends_with(PLACE))?;
        let package = folder.parent().filter(|package| package.join("__init__.py").is_file())?;
        Some(Installed { worker: worker.to_owned(), packages: package.parent()?.to_owned() })
    }

    /// Why it can't run: there is no torch beside it, or one of another version.
    pub(super) fn refusal(&self) -> Option<Failure> {
        let folder = self.packages.display();
        let title = match self.torch() {
            Some(found) if release(&found) == TORCH => return None,
            Some(found) => format!("intrada needs torch {TORCH}, and {folder} has torch {found}"),
            None if is_found_otherwise() => return None,
            None => format!("intrada needs torch {TORCH}, and {folder} has none"),
        };
        Some(Failure::new(title).with_help(CURE))
    }

    /// The version of the torch beside it, as in `2.11.0+cu130`.
    fn torch(&self) -> Option<String> {
        // What torch itself says; the metadata of a package stay behind where someone deletes or replaces its folder.
        let said = std::fs::read_to_string(self.packages.join("torch/version.py")).ok()?;
        let line = said.lines().find_map(|line| line.strip_prefix("__version__"))?;
        let quoted = line.split(['\'', '"']).nth(1)?;
        Some(quoted.to_owned())
    }
}

/// What to do; the same for a worker whose libraries are missing.
pub(super) const CURE: &str =
    "install it into the same place: python3 -m pip install 'torch==2.11.*' (with --target, if intrada was)";

/// The first two numbers of a version.
fn release(version: &str) -> String {
    version.splitn(3, '.').take(2).collect::<Vec<_>>().join(".")
}

/// Whether LD_LIBRARY_PATH names a libtorch: the loader then takes that.
fn is_found_otherwise() -> bool {
    let named = std::env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
    std::env::split_paths(&named).any(|folder| folder.join("libtorch_cpu.so").exists())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An installation below `prefix` whose packages are in `packages`, with this torch.
    fn installed(prefix: &Path, packages: &str, torch: Option<&str>) -> PathBuf {
        let packages = prefix.join(packages);
        std::fs::create_dir_all(packages.join(PLACE)).unwrap();
        std::fs::write(packages.join(PLACE).join("intrada-worker"), "").unwrap();
        std::fs::write(packages.join("intrada/__init__.py"), "").unwrap();
        if let Some(torch) = torch {
            std::fs::create_dir_all(packages.join("torch")).unwrap();
            let text = format!("from typing import Optional\n\n__version__ = '{torch}'\ndebug = False\n");
            std::fs::write(packages.join("torch/version.py"), text).unwrap();
        }
        packages.join(PLACE).join("intrada-worker")
    }

    fn found(prefix: &Path) -> Option<Installed> {
        beside(&prefix.join("bin/intrada-run"), "intrada-worker")
    }

    #[test]
    fn the_worker_is_found_wherever_an_installer_puts_packages() {
        for packages in
            ["lib/python3.11/site-packages", "lib64/python3.9/site-packages", "lib/python3.12/dist-packages", ""]
        {
            let prefix = tempfile::tempdir().unwrap();
            assert_eq!(found(prefix.path()), None);
            let worker = installed(prefix.path(), packages, Some("2.11.0+cu130"));
            let found = found(prefix.path()).unwrap();
            assert_eq!((&found.worker, found.refusal()), (&worker, None), "{packages:?}");
            assert_eq!(Installed::of(&worker), Some(found));
        }
        assert_eq!(
            Installed::of(Path::new("/home/intrada/bin/intrada-worker")),
            None,
            "cargo install --root /home/intrada"
        );
    }

    #[test]
    fn of_several_pythons_the_one_whose_torch_fits_is_taken_else_the_newest() {
        let prefix = tempfile::tempdir().unwrap();
        let [old, new] = [("3.9", "2.10.0"), ("3.13", "2.12.1")]
            .map(|(python, torch)| installed(prefix.path(), &format!("lib/python{python}/site-packages"), Some(torch)));
        assert_eq!(found(prefix.path()).unwrap().worker, new);
        installed(prefix.path(), "lib/python3.9/site-packages", Some("2.11.3"));
        assert_eq!(found(prefix.path()).unwrap().worker, old);
    }

    #[test]
    fn a_torch_of_another_version_and_none_are_each_told_with_the_cure() {
        for (torch, what) in [
            (Some("2.1.0+cpu"), "and PLACE has torch 2.1.0+cpu"),
            (Some("2.111.0"), "and PLACE has torch 2.111.0"),
            (None, "and PLACE has none"),
        ] {
            let prefix = tempfile::tempdir().unwrap();
            installed(prefix.path(), "lib/python3.11/site-packages", torch);
            let place = prefix.path().join("lib/python3.11/site-packages").display().to_string();
            match found(prefix.path()).unwrap().refusal() {
                Some(Failure::Failed { message, help }) => {
                    assert_eq!(message, format!("intrada needs torch 2.11, {}", what.replace("PLACE", &place)));
                    assert!(help[0].contains("pip install 'torch==2.11.*'"), "{help:?}");
                }
                other => panic!("{torch:?} gives {other:?}"),
            }
        }
        assert!(CURE.contains(&format!("torch=={TORCH}.*")));
    }
}
