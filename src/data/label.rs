//! The meaning of the values in a label file.
//!
//! Data sets number their classes differently; a map converts them to the trained classes. A value that is then not a class
//! is an error, not ignored: a wrong map would otherwise silently train on less, or on nothing.

use std::path::Path;

use intrada_picture::Palette;
use serde::{Deserialize, Serialize};

use super::DataError;
use super::raster::Index;

/// The label value of pixels that are excluded from losses and scores.
pub const IGNORE: u8 = 255;

/// Stored value → class index.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct LabelMap {
    /// (stored value, class index); the class may be 255.
    pub pairs: Vec<(u8, u8)>,
    /// How stored values without a pair are handled.
    #[serde(default)]
    pub otherwise: Otherwise,
}

/// How label files store their values.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Encoding {
    /// One index of at most 8 bits per pixel: a grey value, or a palette index.
    #[default]
    Index,
    /// Several 16-bit channels, of which the first is the index: SYNTHIA's labels.
    Synthia16,
    /// Colours, whose values the palette says: label files may be of any lossless format.
    Palette(Palette),
}

/// How values not listed in a [`LabelMap`] are handled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Otherwise {
    /// It becomes 255, as in the released code's tables.
    #[default]
    Ignore,
    /// It stays unchanged.
    Keep,
}

impl LabelMap {
    /// The class of each of the 256 values.
    ///
    /// # Errors
    /// [`DataError::Settings`] if a value is mapped to two classes.
    pub fn table(&self) -> Result<[u8; 256], DataError> {
        let mut classes: [Option<u8>; 256] = [None; 256];
        for &(value, class) in &self.pairs {
            match classes[usize::from(value)].replace(class) {
                Some(other) if other != class => {
                    let message = format!("the label map sends {value} to {other} and to {class}");
                    return Err(DataError::Settings(message));
                }
                _ => {}
            }
        }
        let rest = |value: usize| match self.otherwise {
            Otherwise::Ignore => IGNORE,
            Otherwise::Keep => value as u8,
        };
        Ok(std::array::from_fn(|value| classes[value].unwrap_or_else(|| rest(value))))
    }
}

/// Refuses a map that holds a value other than a class (`0..classes`) and 255. The path is for the message.
///
/// # Errors
/// [`DataError::UnknownClass`].
pub fn check(path: &Path, map: &Index, classes: u8) -> Result<(), DataError> {
    let is_bad = |value: u8| value >= classes && value != IGNORE;
    // Without a way out of the loop it takes many pixels at once.
    if !map.bytes().iter().fold(false, |any, &value| any | is_bad(value)) {
        return Ok(());
    }
    let mut pixels = [0usize; 256];
    for &value in map.bytes() {
        pixels[usize::from(value)] += 1;
    }
    let first = map.bytes().iter().position(|&value| is_bad(value)).expect("there is one");
    Err(DataError::UnknownClass {
        path: path.to_owned(),
        classes,
        value: map.bytes()[first],
        column: first % map.width(),
        row: first / map.width(),
        pixels: (0..=u8::MAX).filter(|&value| is_bad(value)).map(|value| pixels[usize::from(value)]).sum(),
        found: (0..=u8::MAX).filter(|&value| pixels[usize::from(value)] > 0).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unlisted_values_are_ignored_or_kept_as_asked() {
        let pairs = vec![(7, 0), (11, 255)];
        let table = LabelMap { pairs: pairs.clone(), otherwise: Otherwise::Ignore }.table().unwrap();
        assert_eq!([table[7], table[11], table[3]], [0, 255, 255]);
        let table = LabelMap { pairs, otherwise: Otherwise::Keep }.table().unwrap();
        assert_eq!([table[7], table[11], table[3]], [0, 255, 3]);
    }

    #[test]
    fn a_value_with_two_classes_is_refused() {
        let map = LabelMap { pairs: vec![(7, 0), (8, 1), (7, 2)], otherwise: Otherwise::Ignore };
        assert_eq!(map.table().unwrap_err().to_string(), "the label map sends 7 to 0 and to 2");
    }

    #[test]
    fn an_unknown_class_is_named_with_its_place_and_number() {
        let map = Index::new(3, 2, vec![0, 255, 1, 2, 19, 19]);
        assert!(check(Path::new("l.png"), &map, 20).is_ok());
        let error = check(Path::new("l.png"), &map, 2).unwrap_err();
        let DataError::UnknownClass { value, column, row, pixels, ref found, .. } = error else { panic!("{error}") };
        assert_eq!((value, column, row, pixels), (2, 0, 1, 3));
        assert_eq!(found, &[0, 1, 2, 19, 255]);
        assert!(error.to_string().contains("column 0, row 1, 3 such pixels"), "{error}");
    }
}
