//! A folder of chosen images: what it says about itself, and what may be written into it.
//!
//! `choice.json` says which images were chosen, how and out of which, and what the network saw in them; it is written last,
//! so a folder with it is complete. Reading the corrected labels needs nothing else. Nothing in such a folder is ever
//! replaced but labels, and those only on request. Knows no tool.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::mask::Mask;
use super::mixture::{Mixture, Rule};
use super::{Error, io_error};
use crate::digest::{Digest, FileDigest};
use crate::kind::dataset::Scaling;
use crate::plain;

/// The file that describes the folder.
pub const DESCRIPTION: &str = "choice.json";
/// The images, as tools show them.
pub const IMAGES: &str = "images";
/// What the network saw in them: grey PNGs of class indices.
pub const NETWORK: &str = "network";
/// The corrected labels, in the same form; absent until they are read.
pub const LABELS: &str = "labels";
/// Files of this program while it chooses.
pub const WORKSHOP: &str = ".intrada-label";
/// The version of these files.
const FORMAT: u32 = 1;

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// How many images by which rule.
    pub by: Mixture,
    /// Of the random draw.
    pub seed: u64,
    /// The data set.
    pub dataset: String,
    /// What the network is called.
    pub network: String,
    /// A digest of the network.
    pub identity: String,
    /// Folders whose images are not chosen again, as they were named.
    pub not_in: Vec<PathBuf>,
    /// The formats written.
    pub formats: Vec<String>,
}

/// A class.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabelClass {
    /// Its name.
    pub name: String,
    /// Its colour in the tools: that of the pipeline, unless another class has the same.
    pub colour: [u8; 3],
}

/// `choice.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Description {
    format: u32,
    /// What was asked for.
    pub asked: Asked,
    /// The images of the data set.
    pub pool: usize,
    /// Those of them that were labelled already, or chosen before: none of them could be chosen.
    pub labelled_before: usize,
    /// By whom they were labelled or chosen, in words.
    pub labelled_by: BTreeSet<String>,
    /// Where the entropies of [`ChosenImage::mean_entropy`] come from, in words.
    pub entropy: String,
    /// By index.
    pub classes: Vec<LabelClass>,
    /// How the data set's images are seen, for that of the labels.
    pub seen: Seen,
    /// In the order of the rules; those drawn at random in the order of the draw.
    pub images: Vec<ChosenImage>,
}

/// The options of a data set by which a network sees its images.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// `[width, height]` in pixels; `None`: as stored.
    pub size: Option<[u32; 2]>,
    /// How images take that size.
    #[serde(flatten)]
    pub scaling: Scaling,
}

/// A chosen image.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChosenImage {
    /// Its file in [`IMAGES`].
    pub file: String,
    /// Its name in the data set.
    pub image: String,
    /// Width and height in pixels.
    pub size: [u32; 2],
    /// The content of the image of the data set.
    pub digest: FileDigest,
    /// Its length in bytes.
    pub length: u64,
    /// The content of its file in [`IMAGES`], which may be a PNG made from it; `None`: an older program has written it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub written: Option<FileDigest>,
    /// The rule that chose it.
    pub rule: Rule,
    /// Of being drawn, for one that was drawn at random.
    pub probability: Option<f64>,
    /// As in a `scores.csv`: 0 to 1/C.
    pub mean_entropy: f32,
    /// Why it was chosen.
    pub why: String,
}

impl ChosenImage {
    /// Its file without extension: the name of its masks.
    pub fn stem(&self) -> &str {
        self.file.rsplit_once('.').map_or(self.file.as_str(), |(stem, _)| stem)
    }

    /// The file of its mask in a folder of masks.
    pub fn mask(&self) -> String {
        format!("{}.png", self.stem())
    }
}

impl Description {
    /// A new one.
    #[must_use]
    pub fn new(asked: Asked, classes: Vec<LabelClass>) -> Description {
        let (labelled_by, images, seen, entropy) = Default::default();
        Description { format: FORMAT, asked, pool: 0, labelled_before: 0, labelled_by, entropy, classes, seen, images }
    }

    /// That of a folder.
    ///
    /// # Errors
    /// It has none, or one of another version.
    pub fn of(folder: &Path) -> Result<Description, Error> {
        #[derive(Deserialize)]
        struct Any {
            format: u32,
        }
        let path = folder.join(DESCRIPTION);
        let text = match plain::read(&path) {
            Ok(text) => text,
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                return Err(Error::NotOurs { path: folder.to_owned() });
            }
            Err(error) => return Err(io_error("read", &path)(error)),
        };
        let described = |error: serde_json::Error| Error::Description { path: path.clone(), reason: error.to_string() };
        let Any { format } = serde_json::from_slice(&text).map_err(described)?;
        if format != FORMAT {
            let reason = format!("it has format {format}, this intrada-run reads {FORMAT}");
            return Err(Error::Description { path, reason });
        }
        serde_json::from_slice(&text).map_err(described)
    }

    /// Writes it, which completes the folder.
    ///
    /// # Errors
    /// It can't be written.
    pub fn write(&self, folder: &Path) -> Result<(), Error> {
        let text = serde_json::to_string_pretty(self).expect("a description is plain data") + "\n";
        write(&folder.join(DESCRIPTION), text.as_bytes())
    }
}

/// What is in a place for chosen images.
pub enum Found {
    /// Nothing, or an unfinished choice of this program.
    Free,
    /// What is asked for.
    Done(Box<Description>),
}

/// Looks at the place for chosen images.
///
/// # Errors
/// It holds something else.
pub fn look(folder: &Path, asked: &Asked) -> Result<Found, Error> {
    if fs::metadata(folder).is_ok_and(|found| !found.is_dir()) {
        return Err(Error::NoFolder { path: folder.to_owned() });
    }
    match Description::of(folder) {
        Ok(description) if description.asked == *asked => return Ok(Found::Done(Box::new(description))),
        Ok(description) => {
            let difference = difference(&description.asked, asked);
            return Err(Error::Otherwise { path: folder.to_owned(), difference });
        }
        Err(Error::NotOurs { .. }) => {}
        Err(error) => return Err(error),
    }
    let is_empty = match fs::read_dir(folder) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) if error.kind() == ErrorKind::NotFound => true,
        Err(error) => return Err(io_error("look into", folder)(error)),
    };
    if is_empty || folder.join(WORKSHOP).is_dir() {
        return Ok(Found::Free);
    }
    Err(Error::Foreign { path: folder.to_owned() })
}

/// Checks the files of a complete choice: its images, and what the network saw in them.
///
/// # Errors
/// [`Error::Damaged`], or a file can't be read.
pub fn check(folder: &Path, description: &Description) -> Result<(), Error> {
    type IsRight<'a> = &'a dyn Fn(&[u8]) -> bool;
    let (mut missing, mut altered) = (Vec::new(), Vec::new());
    for image in &description.images {
        let is_image = |bytes: &[u8]| {
            let digest = FileDigest(Digest::of(bytes));
            match image.written {
                Some(written) => digest == written,
                // An older program may have made a PNG of it, and doesn't say of what content.
                None => digest == image.digest || intrada_picture::look(bytes).is_ok(),
            }
        };
        let is_mask = |bytes: &[u8]| Mask::decode(bytes).is_ok_and(|mask| mask.size() == image.size);
        let files: [(String, IsRight<'_>); 2] =
            [(format!("{IMAGES}/{}", image.file), &is_image), (format!("{NETWORK}/{}", image.mask()), &is_mask)];
        for (file, is_right) in files {
            let path = folder.join(&file);
            match plain::read(&path) {
                Ok(bytes) if is_right(&bytes) => {}
                Ok(_) => altered.push(file),
                Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                    missing.push(file);
                }
                Err(error) => return Err(io_error("read", &path)(error)),
            }
        }
    }
    if missing.is_empty() && altered.is_empty() {
        return Ok(());
    }
    Err(Error::Damaged { path: folder.to_owned(), missing, altered })
}

/// What a folder's choice differs in, in words.
fn difference(had: &Asked, wanted: &Asked) -> String {
    let shown = |by: &Mixture| {
        by.parts().iter().map(|(rule, count)| format!("{}={count}", rule.name())).collect::<Vec<_>>().join(",")
    };
    if had.by != wanted.by {
        return format!("by {}, now {}", shown(&had.by), shown(&wanted.by));
    }
    if had.seed != wanted.seed {
        return format!("with seed {}, now {}", had.seed, wanted.seed);
    }
    if had.dataset != wanted.dataset {
        return format!("from `{}`, now `{}`", had.dataset, wanted.dataset);
    }
    if had.identity != wanted.identity {
        return format!("by another network (`{}`, now `{}`, or the same trained again)", had.network, wanted.network);
    }
    if had.not_in != wanted.not_in {
        return "with another --not-in".to_owned();
    }
    format!("for {}, now {}", had.formats.join(" and "), wanted.formats.join(" and "))
}

/// Writes a file whole, with its folders.
///
/// # Errors
/// It can't be written.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(io_error("make", folder))?;
    // Annotators may be other users: not `plain::replace`, whose files are their owner's alone.
    let beside = path.with_file_name(format!(".intrada-{}", path.file_name().unwrap_or_default().to_string_lossy()));
    fs::write(&beside, bytes).and_then(|()| fs::rename(&beside, path)).map_err(io_error("write", path))
}
