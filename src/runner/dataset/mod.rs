//! Which files belong to a data set: images, their labels, names and order.
//!
//! The runner must know this, as the files enter keys and a missing label must be reported before hours of training. It
//! doesn't decode photographs and knows no colours: `ml` does. For labels it knows their values ([`labels`]), since a wrong
//! value means a wrong data set. [`intrada_picture`] checks photographs.
//!
//! One file per format: [`folder`] for a plain folder, and one for each published data set, which only define folders,
//! names and label values ([`layout`]). The same code lists all of them ([`listing`]). [`survey`] inspects folders before
//! there is a pipeline.

mod acdc;
mod bdd100k;
mod camvid;
mod cityscapes;
pub mod colours;
mod dark_zurich;
pub mod folder;
mod gta5;
mod idd;
pub mod labels;
pub mod layout;
pub mod listing;
mod mapillary;
pub mod meaning;
mod naming;
pub mod pairing;
pub mod spelling;
pub mod survey;
mod synscapes;
mod synthia;
mod urbansyn;

use std::io;
use std::path::PathBuf;

use crate::inputs;

pub use layout::Layout;
pub use listing::{Listed, Naming, Order, Place, list};
pub use pairing::Remark;

/// Every published data set whose layout is known, in each version of its labels; the default one comes first.
pub const PUBLISHED: &[&Layout] = &[
    &cityscapes::LAYOUT,
    &gta5::LAYOUT,
    &synthia::LAYOUT,
    &synscapes::LAYOUT,
    &camvid::LAYOUT,
    &acdc::LAYOUT,
    &dark_zurich::LAYOUT,
    &bdd100k::LAYOUT,
    &mapillary::LAYOUT,
    &mapillary::SECOND,
    &mapillary::OLDER,
    &idd::LAYOUT,
    &idd::TRAIN_IDS_LAYOUT,
    &idd::LITE,
    &urbansyn::LAYOUT,
];

/// The layout of the published data set with this `format`, in the default version of its labels.
pub fn published(format: &str) -> Option<&'static Layout> {
    PUBLISHED.iter().copied().find(|layout| layout.format == format)
}

/// The layout of the published data set with this `format` and this version of its labels.
pub fn version(format: &str, labels: &str) -> Option<&'static Layout> {
    PUBLISHED.iter().copied().find(|layout| layout.format == format && layout.version == labels)
}

/// An image and its label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Path of the image below the folder of the images, with extension and with `/` between its parts; unique in a data
    /// set, even without its extension.
    pub name: String,
    /// The image, relative to the workspace's root.
    pub image: PathBuf,
    /// Its label, relative to the workspace's root; `None` if labels weren't requested.
    pub label: Option<PathBuf>,
}

/// The part of a data set's description that an error is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Concerns {
    /// The folder of the images.
    Images,
    /// The folder of the labels.
    Labels,
    /// The list file.
    List,
}

/// Why a data set can't be listed.
#[derive(Debug, thiserror::Error)]
pub enum DatasetError {
    /// A folder or the list does not exist.
    #[error("{error}")]
    Missing {
        /// Which of them.
        concerns: Concerns,
        /// How far the path exists, and what is there.
        error: inputs::Error,
    },
    /// A folder or the list exists and can't be read.
    #[error("failed to read `{}`: {cause}", path.display())]
    Unreadable {
        /// Which of them.
        concerns: Concerns,
        /// The path, relative to the workspace's root.
        path: PathBuf,
        /// The system's error.
        cause: io::Error,
    },
    /// A file name that list files and tables can't hold.
    #[error("the name of `{}` is not UTF-8", path.display())]
    NotUtf8 {
        /// In which of the folders.
        concerns: Concerns,
        /// The file or folder, relative to the workspace's root.
        path: PathBuf,
    },
    /// No file in the folder of the images has an image extension.
    #[error("`{}` holds no image: no file below it ends in {}{}", folder.display(), alternatives(endings), holds(others.as_ref()))]
    NoImages {
        /// The folder, relative to the workspace's root.
        folder: PathBuf,
        /// The image extensions of this data set.
        endings: &'static [&'static str],
        /// Images with other extensions.
        others: Option<Names>,
    },
    /// The list has no non-blank line.
    #[error("`{}` is empty: it must name one image per line", list.display())]
    EmptyList {
        /// The list, relative to the workspace's root.
        list: PathBuf,
    },
    /// The list names missing images.
    #[error("`{}` names {} that `{}` does not have: {names}", list.display(), names.counted(), folder.display())]
    NotInFolder {
        /// The list, relative to the workspace's root.
        list: PathBuf,
        /// The folder of the images, relative to the workspace's root.
        folder: PathBuf,
        /// As written in the list.
        names: Names,
        /// What one of them may mean.
        hint: Option<String>,
    },
    /// The list names an image twice, but outputs are named after images.
    #[error("`{}` names {} more than once: {names}", list.display(), names.counted())]
    Repeated {
        /// The list, relative to the workspace's root.
        list: PathBuf,
        /// Each once.
        names: Names,
    },
    /// Names that a list can't contain, so that no map could be named after them.
    #[error("`{}` holds {} whose name begins or ends with a blank, or holds a line break: {names}", folder.display(), names.counted())]
    Unlistable {
        /// The folder of the images, relative to the workspace's root.
        folder: PathBuf,
        /// The images.
        names: Names,
    },
    /// Two images differ only in their extension, so that they would share one label and one prediction.
    #[error("`{first}` and `{second}` in `{}` differ only in their extension: to which would the label belong?", folder.display())]
    SameStem {
        /// The folder of the images, relative to the workspace's root.
        folder: PathBuf,
        /// The one that sorts first.
        first: String,
        /// The other.
        second: String,
    },
    /// Labels are needed, and some images have none.
    #[error("`{}` holds no label for {} of {images}: {names}", folder.display(), names.counted())]
    Unlabelled {
        /// The folder of the labels, relative to the workspace's root.
        folder: PathBuf,
        /// The images without label.
        names: Names,
        /// Number of images in the data set.
        images: usize,
        /// What may be the label of one of them.
        hint: Option<String>,
    },
    /// Images and labels are the same files.
    #[error("`{}` is the folder of the images and of the labels, and {} would be {} own label: {names}", folder.display(), names.counted(), if names.count == 1 { "its" } else { "their" })]
    OwnLabel {
        /// The folder of the labels, relative to the workspace's root.
        folder: PathBuf,
        /// The images.
        names: Names,
    },
    /// Two labels differ only in the letter case of their extension.
    #[error("`{first}` and `{second}` in `{}` are both the label of one image: which is meant?", folder.display())]
    TwoLabels {
        /// The folder of the labels, relative to the workspace's root.
        folder: PathBuf,
        /// The one that sorts first.
        first: String,
        /// The other.
        second: String,
    },
}

impl DatasetError {
    /// The key of the pipeline file that the message belongs to.
    pub fn concerns(&self) -> Concerns {
        match self {
            Self::Missing { concerns, .. } | Self::Unreadable { concerns, .. } | Self::NotUtf8 { concerns, .. } => {
                *concerns
            }
            Self::NoImages { .. } | Self::SameStem { .. } | Self::Unlistable { .. } => Concerns::Images,
            Self::EmptyList { .. } | Self::NotInFolder { .. } | Self::Repeated { .. } => Concerns::List,
            Self::Unlabelled { .. } | Self::TwoLabels { .. } | Self::OwnLabel { .. } => Concerns::Labels,
        }
    }

    /// A suggestion.
    pub fn hint(&self) -> Option<&str> {
        match self {
            Self::NotInFolder { hint, .. } | Self::Unlabelled { hint, .. } => hint.as_deref(),
            Self::OwnLabel { .. } => {
                Some("name the folder of each in `images` and `labels`, or the images in a `list`")
            }
            _ => None,
        }
    }
}

/// `.png, .jpg or .bmp`.
fn alternatives(endings: &[&str]) -> String {
    match endings {
        [others @ .., last] if !others.is_empty() => format!("{} or {last}", others.join(", ")),
        endings => endings.concat(),
    }
}

fn holds(others: Option<&Names>) -> String {
    others.map(|names| format!("; it holds {} of unsupported formats: {names}", names.counted())).unwrap_or_default()
}

/// The names of some images: all counted, the first few shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    /// How many there are.
    pub count: usize,
    /// The first of them, in order, at most [`Names::SHOWN`].
    pub first: Vec<String>,
}

impl Names {
    /// The maximum number shown.
    pub const SHOWN: usize = 5;

    /// `None` if there are none.
    fn of<'a>(names: impl IntoIterator<Item = &'a str>) -> Option<Names> {
        let mut names = names.into_iter();
        let first: Vec<String> = names.by_ref().take(Names::SHOWN).map(str::to_owned).collect();
        (!first.is_empty()).then(|| Names { count: first.len() + names.count(), first })
    }

    /// `1 image`, `7 images`.
    pub fn counted(&self) -> String {
        if self.count == 1 { "1 image".to_owned() } else { format!("{} images", self.count) }
    }
}

impl std::fmt::Display for Names {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.first.join(", "))?;
        if self.count > self.first.len() { f.write_str(", …") } else { Ok(()) }
    }
}
