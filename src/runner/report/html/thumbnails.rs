//! The sheets of thumbnails in the page: a hundred images in one picture, each sheet once.
//!
//! Knows the folder `thumbnails` that a stage writes and its layout, no name of an image. A sheet is data of the page, not
//! an element: the script decodes those that it needs, so that a page with thousands of images opens at once. There is a
//! limit for the whole page; what would exceed it is left out, and the caller says so.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::picture::base64;
use super::workspace::Workspace;
use crate::digest::FileDigest;
use crate::kind::OutputRole;
use crate::pipeline::StageId;
use crate::results::map::Map;

/// The maximum size of all sheets, in bytes of base64.
const LIMIT: usize = 24 << 20;

/// How thumbnails lie in their sheets: `index.json`.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub(super) struct Layout {
    columns: u32,
    rows: u32,
    cell: [u32; 2],
    /// By image.
    sizes: Vec<[u32; 2]>,
}

/// The sheets of all galleries.
#[derive(Default)]
pub(super) struct Sheets {
    files: BTreeMap<FileDigest, String>,
    bytes: usize,
}

/// The thumbnails of one stage.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Thumbnails {
    layout: Layout,
    /// The photographs' sheets, by the names of their elements.
    photographs: Vec<String>,
    /// By folder, the sheets of a map.
    pub(super) maps: BTreeMap<String, Vec<String>>,
    /// Maps of some of the images, which another stage has laid out, by the name of their column.
    pub(super) others: BTreeMap<String, Others>,
}

/// The maps of some images.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Others {
    layout: Layout,
    sheets: Vec<String>,
    /// By image of the gallery, its place in the sheets.
    places: Vec<Option<usize>>,
}

/// Adds the sheets of a folder of thumbnails with this ending, and gives their names; none if they exceed the page's limit.
type Reader<'a> = Box<dyn FnMut(&str, &str) -> Option<Vec<String>> + 'a>;

impl Thumbnails {
    /// The number of images.
    pub(super) fn images(&self) -> usize {
        self.layout.sizes.len()
    }
}

impl Sheets {
    /// Adds the thumbnails of a stage: the photographs, and the maps in these folders, the most important first, while there is
    /// room. None without room for the photographs, or if there are none.
    pub(super) fn of(&mut self, workspace: &Workspace, stage: StageId, maps: &[String]) -> Option<Thumbnails> {
        let (layout, mut all) = self.reader(workspace, stage)?;
        let photographs = all("photograph", "jpg")?;
        let maps = maps.iter().map_while(|folder| Some((folder.clone(), all(folder, "png")?))).collect();
        Some(Thumbnails { layout, photographs, maps, others: BTreeMap::new() })
    }

    /// Adds the thumbnails that another stage has of some of the images of a gallery: `places` of the images among them.
    pub(super) fn others(
        &mut self,
        workspace: &Workspace,
        stage: StageId,
        folder: &str,
        places: Vec<Option<usize>>,
    ) -> Option<Others> {
        let (layout, mut all) = self.reader(workspace, stage)?;
        let is_in = |place: &Option<usize>| place.is_none_or(|place| place < layout.sizes.len());
        if !places.iter().all(is_in) {
            return None;
        }
        let sheets = all(folder, "png")?;
        Some(Others { layout, sheets, places })
    }

    /// The layout of a stage's thumbnails, and what adds the sheets of a folder of them.
    fn reader<'a>(&'a mut self, workspace: &'a Workspace, stage: StageId) -> Option<(Layout, Reader<'a>)> {
        let files: BTreeMap<PathBuf, FileDigest> = workspace.files(stage, OutputRole::Thumbnails).into_iter().collect();
        let layout: Layout = serde_json::from_slice(&workspace.object(*files.get(Path::new("index.json"))?)?).ok()?;
        if layout.columns == 0 || layout.rows == 0 || layout.sizes.is_empty() {
            return None;
        }
        let sheets = layout.sizes.len().div_ceil((layout.columns * layout.rows) as usize);
        let all = move |folder: &str, ending: &str| {
            let file = |at: usize| files.get(&Path::new(folder).join(format!("{at:03}.{ending}"))).copied();
            self.add(workspace, &(0..sheets).map(file).collect::<Option<Vec<_>>>()?)
        };
        Some((layout, Box::new(all)))
    }

    /// All of these, or none.
    fn add(&mut self, workspace: &Workspace, files: &[FileDigest]) -> Option<Vec<String>> {
        let mut added = BTreeMap::new();
        for file in files.iter().filter(|file| !self.files.contains_key(file)) {
            let content = workspace.object(*file)?;
            // Of a map, the worker's PNG is compressed lightly, for the same bytes on all machines.
            let content = Map::decode(&content).map_or(content, |map| map.grey_png());
            added.insert(*file, base64(&content));
        }
        let bytes = self.bytes + added.values().map(String::len).sum::<usize>();
        if bytes > LIMIT {
            return None;
        }
        self.bytes = bytes;
        self.files.extend(added);
        Some(files.iter().map(|file| name(*file)).collect())
    }

    /// Name and base64 of each sheet.
    pub(super) fn elements(&self) -> impl Iterator<Item = (String, &str)> {
        self.files.iter().map(|(file, text)| (name(*file), text.as_str()))
    }
}

/// Unique within a page.
fn name(file: FileDigest) -> String {
    format!("t{:.16}", file.0.to_string())
}
