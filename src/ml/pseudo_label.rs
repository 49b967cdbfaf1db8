//! Pseudo-labels of the easy images (IntraDA, section 3.3, equation 5): the predictions that entropy inference has made,
//! taken as they are.
//!
//! It runs no network and decides nothing: as in the released code there is no threshold of confidence. It only reads what
//! was predicted, makes sure that a loader will be able to use it as labels, and copies the bytes.

use std::path::{Path, PathBuf};

use crate::data::raster::Index;
use crate::data::{DataError, decode, encode, label, source};

/// A prediction that has become a label.
#[derive(Debug)]
pub struct PseudoLabel {
    /// Where it lies below the folder of labels.
    pub file: PathBuf,
    /// The classes.
    pub map: Index,
    /// The PNG file, byte for byte as it was predicted.
    pub png: Vec<u8>,
}

/// The prediction of an image, which lies at [`source::map_file`] of its name below `predictions`.
///
/// # Errors
/// [`DataError`]: there is none, it is no map of class indices, or it holds a value that is neither in `0..classes` nor 255.
pub fn read(predictions: &Path, image: &str, classes: u8) -> Result<PseudoLabel, DataError> {
    let file = source::map_file(image)?;
    let path = predictions.join(&file);
    let png = std::fs::read(&path).map_err(|source| DataError::Io { verb: "read", path: path.clone(), source })?;
    let map = decode::label_bytes(&path, &png)?;
    label::check(&path, &map, classes)?;
    Ok(PseudoLabel { file, map, png })
}

/// Writes the pseudo-labels of `easy` images to `labels`, and the same in the classes' colours to `colour`. The number of
/// colours is the number of classes.
///
/// # Errors
/// As [`read`]; [`DataError::NameClash`] if two images have the same file. What was written until then stays.
pub fn write<'a>(
    predictions: &Path,
    easy: impl Iterator<Item = &'a str> + Clone,
    colours: &[[u8; 3]],
    labels: &Path,
    colour: &Path,
) -> Result<(), DataError> {
    let classes = u8::try_from(colours.len()).map_err(|_| DataError::Settings(format!("{} classes", colours.len())))?;
    source::map_files(easy.clone())?;
    for image in easy {
        let PseudoLabel { file, map, png } = read(predictions, image, classes)?;
        encode::write(&labels.join(&file), &png)?;
        encode::write(&colour.join(&file), &encode::palette_png(&map, colours))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLOURS: [[u8; 3]; 3] = [[1, 1, 1], [2, 2, 2], [3, 3, 3]];

    fn predicted(folder: &Path, file: &str, values: [u8; 4]) -> Vec<u8> {
        let png = encode::grey_png(&Index::new(2, 2, values.to_vec()));
        encode::write(&folder.join("predictions").join(file), &png).unwrap();
        png
    }

    fn write_all(folder: &Path, easy: &[&str]) -> Result<(), DataError> {
        let [labels, colour] = ["labels", "colour"].map(|name| folder.join(name));
        write(&folder.join("predictions"), easy.iter().copied(), &COLOURS, &labels, &colour)
    }

    #[test]
    fn labels_are_the_predictions_byte_for_byte_and_of_easy_images_only() {
        let folder = tempfile::tempdir().unwrap();
        let png = predicted(folder.path(), "town/a.png", [0, 1, 2, 0]);
        predicted(folder.path(), "b.png", [0; 4]);
        write_all(folder.path(), &["town/a.jpg"]).unwrap();
        assert_eq!(std::fs::read(folder.path().join("labels/town/a.png")).unwrap(), png);
        assert!(!folder.path().join("labels/b.png").exists());
        let colours = decode::photograph(&folder.path().join("colour/town/a.png")).unwrap();
        assert_eq!(colours.pixels(), [[1; 3], [2; 3], [3; 3], [1; 3]]);
    }

    #[test]
    fn a_prediction_that_is_missing_or_no_map_of_classes_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let error = write_all(folder.path(), &["absent.png"]).unwrap_err().to_string();
        assert!(error.contains("cannot read") && error.contains("absent.png"), "{error}");
        predicted(folder.path(), "c.png", [0, 3, 0, 0]);
        assert!(matches!(
            write_all(folder.path(), &["c.png"]),
            Err(DataError::UnknownClass { value: 3, column: 1, .. })
        ));
    }

    #[test]
    fn images_that_share_a_file_are_refused_before_anything_is_written() {
        let folder = tempfile::tempdir().unwrap();
        predicted(folder.path(), "a.png", [0; 4]);
        assert!(matches!(write_all(folder.path(), &["a.png", "a.jpg"]), Err(DataError::NameClash { .. })));
        assert!(!folder.path().join("labels").exists());
    }

    #[test]
    fn a_name_that_leaves_the_folder_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(write_all(folder.path(), &["../a.png"]), Err(DataError::BadName { .. })));
    }
}
