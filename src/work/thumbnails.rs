//! Thumbnails of all images of a data set: photographs and maps, a hundred of them side by side in one picture, a sheet.
//!
//! Knows neither networks nor measurements. A thumbnail is made when its image is looked at and kept in the image's finding,
//! so that an added image needs no look at the others; sheets are laid out at the end from all of them, and have the same
//! bytes however many findings were reused. Sheets, as a single file of a few hundred bytes would be mostly header.
//!
//! ```text
//! index.json                 the layout: columns, rows, the size of a cell, the size of each image's thumbnails
//! photograph/000.jpg         the first hundred images, row by row, in the order of the kind's table of images
//! <map>/000.png              the same of a map, one byte a pixel; cells without a picture are 255
//! ```

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use intrada_data::raster::{Index, Raster, Rgb};
use intrada_data::{DataError, decode, encode, resize};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::work::{Failure, Work};

/// The output of a kind that has them.
pub const OUTPUT: &str = "thumbnails";

/// The box that a thumbnail fits in, in pixels.
const BOX: [usize; 2] = [96, 64];
/// Thumbnails in a row of a sheet.
const COLUMNS: usize = 10;
/// Rows of a sheet.
const ROWS: usize = 10;
/// JPEG compresses blocks of this side: cells of whole blocks don't run into each other.
const BLOCK: usize = 8;
/// Of 100. A sheet is compressed once more than its thumbnails, which have the quality of other pictures.
const QUALITY: u8 = 60;

/// An encoded picture in a finding.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Thumbnail(Vec<u8>);

impl Serialize for Thumbnail {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&STANDARD_NO_PAD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Thumbnail {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Thumbnail, D::Error> {
        let text = String::deserialize(from)?;
        STANDARD_NO_PAD.decode(&text).map(Thumbnail).map_err(serde::de::Error::custom)
    }
}

/// Of a photograph, which is shown below maps of this size.
pub fn photograph(image: &Rgb, map: [usize; 2]) -> Thumbnail {
    Thumbnail(encode::jpeg(&resize::bicubic(image, small(map))))
}

/// Of a map of class indices: a pixel has the most frequent class of those it stands for, the lowest of several equals.
pub fn classes(map: &Index) -> Thumbnail {
    let most = |counts: &[u32; 256]| {
        let most = counts.iter().max().copied().unwrap_or_default();
        counts.iter().position(|count| *count == most).unwrap_or_default() as u8
    };
    Thumbnail(encode::grey_png(&shrunk(map, most)))
}

/// Of a map of entropies, 0 to 255: a pixel has the mean of those it stands for, in 32 steps, which take little room.
pub fn entropy(map: &Index) -> Thumbnail {
    let mean = |counts: &[u32; 256]| {
        let sum: u64 = (0..).zip(counts).map(|(value, count): (u64, &u32)| value * u64::from(*count)).sum();
        let mean = sum / counts.iter().map(|count| u64::from(*count)).sum::<u64>().max(1);
        (mean as u8 & !7) | 4
    };
    Thumbnail(encode::grey_png(&shrunk(map, mean)))
}

/// The map at its thumbnail's size. `of` makes a pixel of how often each value occurs among those that it stands for.
fn shrunk(map: &Index, of: impl Fn(&[u32; 256]) -> u8) -> Index {
    let [width, height] = map.size();
    let to = small([width, height]);
    let span = |at: usize, from: usize, to: usize| at * from / to..((at + 1) * from / to).max(at * from / to + 1);
    let bytes = map.bytes();
    let pixel = |x: usize, y: usize| {
        let mut counts = [0u32; 256];
        for row in span(y, height, to[1]) {
            for value in &bytes[row * width..][span(x, width, to[0])] {
                counts[usize::from(*value)] += 1;
            }
        }
        of(&counts)
    };
    Index::new(to[0], to[1], (0..to[0] * to[1]).map(|at| pixel(at % to[0], at / to[0])).collect())
}

/// The size of the thumbnails of maps of this size: the same aspect ratio, never larger than they are.
pub fn small([width, height]: [usize; 2]) -> [usize; 2] {
    if width <= BOX[0] && height <= BOX[1] {
        return [width, height];
    }
    // Which side decides: whole numbers, so that no machine rounds otherwise.
    if width * BOX[1] >= height * BOX[0] {
        [BOX[0], (height * BOX[0]).div_ceil(width)]
    } else {
        [(width * BOX[1]).div_ceil(height), BOX[1]]
    }
}

/// How the thumbnails of a data set are laid out: `index.json`.
#[derive(Debug, PartialEq, Serialize)]
struct Layout {
    columns: usize,
    rows: usize,
    /// The size of a cell; a thumbnail lies in its upper left corner.
    cell: [usize; 2],
    /// By image.
    sizes: Vec<[usize; 2]>,
}

impl Layout {
    fn of(sizes: Vec<[usize; 2]>) -> Layout {
        let side = |axis: usize| sizes.iter().map(|size| size[axis]).max().unwrap_or(1).next_multiple_of(BLOCK);
        Layout { columns: COLUMNS, rows: ROWS, cell: [side(0), side(1)], sizes }
    }

    /// The size of a sheet of so many thumbnails: a small data set has a small one.
    fn sheet(&self, thumbnails: usize) -> [usize; 2] {
        [self.columns.min(thumbnails) * self.cell[0], thumbnails.div_ceil(self.columns) * self.cell[1]]
    }
}

/// The thumbnails of all images, in order, to be laid out.
pub struct Sheets<'a> {
    /// Of the photographs; none of a kind that has no photographs.
    pub photographs: Vec<&'a Thumbnail>,
    /// Of maps: the folder, the thumbnails.
    pub maps: Vec<(String, Vec<&'a Thumbnail>)>,
}

impl Sheets<'_> {
    /// Writes the output.
    ///
    /// # Errors
    /// A file can't be written, or a thumbnail is none.
    pub fn write(&self, work: &Work) -> Result<(), Failure> {
        let folder = work.output_folder(OUTPUT)?;
        let size = |thumbnail: &&Thumbnail| intrada_picture::size_of(&thumbnail.0).ok_or_else(unreadable);
        let sides = |size: [u32; 2]| size.map(|side| side as usize);
        // All thumbnails of an image have the same size.
        let any =
            [&self.photographs].into_iter().chain(self.maps.iter().map(|(_, maps)| maps)).find(|all| !all.is_empty());
        let sizes = any.into_iter().flatten().map(|it| Ok(sides(size(it)?)));
        let sizes: Vec<[usize; 2]> = sizes.collect::<Result<_, Failure>>()?;
        let layout = Layout::of(sizes);
        encode::write(&folder.join("index.json"), (serde_json::to_string(&layout)? + "\n").as_bytes())?;
        let photograph = |bytes: &[u8]| decode::photograph_bytes(Path::new(""), bytes, decode::Orientation::Ignore);
        for (at, sheet) in self.photographs.chunks(COLUMNS * ROWS).enumerate() {
            let sheet = layout.filled(sheet, [0; 3], photograph)?;
            encode::write(&sheet_file(&folder, "photograph", at, "jpg"), &encode::jpeg_of(&sheet, QUALITY))?;
        }
        for (name, thumbnails) in &self.maps {
            for (at, sheet) in thumbnails.chunks(COLUMNS * ROWS).enumerate() {
                let sheet = layout.filled(sheet, [255], |bytes| decode::label_bytes(Path::new(""), bytes))?;
                encode::write(&sheet_file(&folder, name, at, "png"), &encode::grey_png(&sheet))?;
            }
        }
        Ok(())
    }
}

fn sheet_file(folder: &Path, of: &str, at: usize, ending: &str) -> PathBuf {
    folder.join(of).join(format!("{at:03}.{ending}"))
}

impl Layout {
    /// A sheet of these; what no thumbnail covers has the value `blank`.
    fn filled<const C: usize>(
        &self,
        thumbnails: &[&Thumbnail],
        blank: [u8; C],
        decode: impl Fn(&[u8]) -> Result<Raster<C>, DataError>,
    ) -> Result<Raster<C>, Failure> {
        let [width, height] = self.sheet(thumbnails.len());
        let mut sheet = Raster::filled(width, height, blank);
        for (at, thumbnail) in thumbnails.iter().enumerate() {
            let picture = decode(&thumbnail.0).map_err(|_| unreadable())?;
            if (0..2).any(|axis| picture.size()[axis] > self.cell[axis]) {
                return Err(unreadable());
            }
            let [left, top] = [at % self.columns * self.cell[0], at / self.columns * self.cell[1]];
            for (y, row) in picture.rows().enumerate() {
                sheet.pixels_mut()[(top + y) * width + left..][..row.len()].copy_from_slice(row);
            }
        }
        Ok(sheet)
    }
}

fn unreadable() -> Failure {
    Failure::advised("a thumbnail that was found of an image is none".to_owned(), "this is a mistake in the kind")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop_assert, proptest};

    use super::*;

    fn decoded(thumbnail: &Thumbnail) -> Index {
        decode::label_bytes(Path::new(""), &thumbnail.0).unwrap()
    }

    proptest! {
        #[test]
        fn a_thumbnail_fits_its_box_and_keeps_its_shape(width in 1usize..4000, height in 1usize..4000) {
            let [w, h] = small([width, height]);
            prop_assert!((1..=BOX[0]).contains(&w) && (1..=BOX[1]).contains(&h));
            prop_assert!(w == width && h == height || w == BOX[0] || h == BOX[1]);
            // To within a pixel.
            prop_assert!((w * height).abs_diff(h * width) <= width.max(height));
        }
    }

    #[test]
    fn a_pixel_has_the_most_frequent_class_of_those_it_stands_for() {
        let bytes = (0..288 * 2).map(|at| if at % 288 < 144 { [7, 7, 3][at % 3] } else { 9 }).collect();
        let small = decoded(&classes(&Index::new(288, 2, bytes)));
        assert_eq!(small.size(), [96, 1]);
        assert!(small.bytes()[..48].iter().all(|class| *class == 7) && small.bytes()[48..] == [9; 48]);
        let tie = decoded(&classes(&Index::new(192, 1, (0..192).map(|at| 4 - at % 2).map(|it| it as u8).collect())));
        assert_eq!(tie.bytes(), [3; 96], "the lowest of equals");
    }

    #[test]
    fn a_map_that_is_small_already_stays_as_it_is_and_an_entropy_is_off_by_half_a_step_at_most() {
        let map = Index::new(50, 40, (0..2000).map(|at| (at % 251) as u8).collect());
        assert_eq!(decoded(&classes(&map)), map);
        let steps = decoded(&entropy(&map));
        assert!(steps.bytes().iter().zip(map.bytes()).all(|(step, value)| step.abs_diff(*value) <= 4));
    }

    #[test]
    fn a_thumbnail_stands_in_its_cell_whatever_the_sizes_of_the_others() {
        let sizes = [[96, 48], [30, 64], [8, 8]];
        let layout = Layout::of(sizes.into());
        assert_eq!((layout.cell, layout.sheet(3), layout.sheet(11)), ([96, 64], [288, 64], [960, 128]));
        let maps: Vec<Thumbnail> =
            (1..).zip(sizes).map(|(class, [width, height])| classes(&Index::filled(width, height, [class]))).collect();
        let all: Vec<&Thumbnail> = maps.iter().cycle().take(11).collect();
        let sheet = layout.filled(&all, [255], |bytes| decode::label_bytes(Path::new(""), bytes)).unwrap();
        for (at, [width, height]) in sizes.into_iter().cycle().take(11).enumerate() {
            let (left, top) = (at % 10 * 96, at / 10 * 64);
            let inside = |x: usize, y: usize| x < width && y < height;
            for (x, y) in (0..96).flat_map(|x| (0..64).map(move |y| (x, y))) {
                let expected = if inside(x, y) { at as u8 % 3 + 1 } else { 255 };
                assert_eq!(sheet.at(left + x, top + y), [expected], "{at}: {x}, {y}");
            }
        }
    }

    #[test]
    fn a_finding_gives_back_the_thumbnail_that_went_in() {
        let thumbnail = photograph(&Rgb::filled(200, 100, [90, 30, 10]), [200, 100]);
        let text = serde_json::to_string(&thumbnail).unwrap();
        assert_eq!(serde_json::from_str::<Thumbnail>(&text).unwrap(), thumbnail);
        assert!(serde_json::from_str::<Thumbnail>("\"a b\"").is_err());
    }
}
