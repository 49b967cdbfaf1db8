//! A training's snapshots that something between two steps looks at: a line of each, and the best network so far.
//!
//! Knows neither what a line says nor what makes one the best. In the resume slot there is a file of lines, and beside it the
//! best network so far under the number of its iteration. After each look the loop saves its checkpoint, and an earlier best is
//! removed only at the next one. So when a killed training resumes, looks after its checkpoint are dropped and repeated, and
//! the previous best is still there.

use std::fs;
use std::path::{Path, PathBuf};

use intrada_ml::checkpoint;
use intrada_ml::network::Network;
use intrada_work::Failure;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// What was found about a snapshot: a line of the file.
pub(crate) trait Line: Clone + Serialize + DeserializeOwned {
    /// Iterations done.
    fn iteration(&self) -> u64;
}

/// Which of several is the best, if any can be.
pub(crate) type Best<'a, L> = Box<dyn Fn(&[L]) -> Option<&L> + 'a>;

/// The looks of one training.
pub(crate) struct BestSoFar<'a, L> {
    /// The file of lines.
    lines: PathBuf,
    /// What the networks beside it are called.
    name: &'static str,
    best: Best<'a, L>,
    /// None before the first look of this process.
    found: Option<Vec<L>>,
}

impl<'a, L: Line> BestSoFar<'a, L> {
    /// In this file of a resume slot, which has a folder of its own.
    pub(crate) fn new(slot: &Path, lines: &str, name: &'static str, best: Best<'a, L>) -> BestSoFar<'a, L> {
        BestSoFar { lines: slot.join(lines), name, best, found: None }
    }

    /// Adds what was found about the network as it is now.
    ///
    /// # Errors
    /// A file can't be read or written.
    pub(crate) fn add(&mut self, line: L, network: &dyn Network) -> Result<(), Failure> {
        let iteration = line.iteration();
        let mut found = match self.found.take() {
            Some(found) => found,
            None => self.resume(iteration - 1)?,
        };
        self.keep_only(self.best(&found))?;
        found.push(line);
        if self.best(&found) == Some(iteration) {
            checkpoint::write(&self.network_file(iteration), &network.state(), None)?;
        }
        let partial = self.lines.with_extension("partial");
        fs::write(&partial, written(&found)?)?;
        fs::rename(&partial, &self.lines)?;
        self.found = Some(found);
        Ok(())
    }

    /// Copies the results of a finished training to its outputs: the lines and the best network. Returns the best's line; `None`,
    /// and no network, if none can be the best.
    ///
    /// # Errors
    /// The files can't be written.
    pub(crate) fn finish(self, lines: &Path, network: &Path) -> Result<Option<L>, Failure> {
        let found = match &self.found {
            Some(found) => found.clone(),
            // The checkpoint was already at the last iteration.
            None => self.resume(u64::MAX)?,
        };
        fs::write(lines, written(&found)?)?;
        let Some(best) = (self.best)(&found) else { return Ok(None) };
        fs::copy(self.network_file(best.iteration()), network)?;
        Ok(Some(best.clone()))
    }

    /// The last look, and whether it is the best so far; none before the first look of this process.
    pub(crate) fn last(&self) -> Option<(&L, bool)> {
        let found = self.found.as_deref()?;
        let last = found.last()?;
        Some((last, self.best(found) == Some(last.iteration())))
    }

    fn best(&self, found: &[L]) -> Option<u64> {
        (self.best)(found).map(Line::iteration)
    }

    /// Drops looks after this iteration: they are from before a kill, later than the checkpoint from which the training
    /// resumed.
    fn resume(&self, iteration: u64) -> Result<Vec<L>, Failure> {
        fs::create_dir_all(self.folder())?;
        let text = if self.lines.exists() { fs::read_to_string(&self.lines)? } else { String::new() };
        let found: Vec<L> = text.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
        Ok(found.into_iter().filter(|line| line.iteration() <= iteration).collect())
    }

    fn folder(&self) -> &Path {
        self.lines.parent().expect("the file is in a folder of the slot")
    }

    fn network_file(&self, iteration: u64) -> PathBuf {
        self.folder().join(format!("{}-{iteration}.safetensors", self.name))
    }

    /// Removes the networks that were best at other iterations.
    fn keep_only(&self, iteration: Option<u64>) -> Result<(), Failure> {
        let kept = iteration.map(|iteration| self.network_file(iteration));
        for entry in fs::read_dir(self.folder())? {
            let path = entry?.path();
            if path.extension().is_some_and(|ending| ending == "safetensors") && Some(&path) != kept.as_ref() {
                fs::remove_file(path)?;
            }
        }
        Ok(())
    }
}

fn written<L: Serialize>(found: &[L]) -> Result<String, serde_json::Error> {
    found.iter().map(|line| serde_json::to_string(line).map(|line| line + "\n")).collect()
}
