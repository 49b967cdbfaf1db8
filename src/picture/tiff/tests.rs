//! The laws of TIFF files: which are refused, and with which words.

use super::super::samples::{golden, refusal};
use super::super::{look, photograph};
use super::*;

/// The place of a tag's value in a small TIFF whose numbers are in little-endian order.
fn value_of(file: &[u8], tag: u16) -> usize {
    let at = u32::from_le_bytes(file[4..8].try_into().unwrap()) as usize;
    let count = usize::from(u16::from_le_bytes(file[at..at + 2].try_into().unwrap()));
    let entry = (0..count).map(|i| at + 2 + 12 * i).find(|entry| file[*entry..entry + 2] == tag.to_le_bytes());
    entry.unwrap_or_else(|| panic!("no tag {tag}")) + 8
}

/// A TIFF with another number for a tag.
fn with_tag(name: &str, tag: u16, value: u16) -> Vec<u8> {
    let mut file = golden(name);
    let at = value_of(&file, tag);
    file[at..at + 2].copy_from_slice(&value.to_le_bytes());
    file
}

#[test]
fn a_tiff_of_an_unsupported_kind_is_refused_by_that_kind() {
    for (name, how) in [
        ("cmyk.tif", "in CMYK"),
        ("jpeg.tif", "with JPEG compression"),
        ("fax.tif", "with a fax's compression"),
        ("float.tif", "with 32 bits a sample"),
        ("32.tif", "with 32 bits a sample"),
        ("signed.tif", "with signed samples"),
        ("5.tif", "with 5 channels of 8 bits"),
    ] {
        let told = refusal(&golden(&format!("others/{name}")));
        assert!(told.contains(how) || name == "float.tif" && told.contains("floating-point"), "{name}: {told}");
    }
    for (tag, value, how) in [(259, 50000, "zstd"), (262, 8, "Lab"), (262, 32803, "raw pixels"), (262, 99, "unknown")] {
        let told = refusal(&with_tag("small.lzw.tif", tag, value));
        assert!(told.starts_with("it is a TIFF ") && told.contains(how), "{told}");
    }
}

#[test]
fn a_tiff_whose_pixels_are_not_all_there_is_an_error() {
    // The rows of the strips, and their lengths, say less than the pixels need.
    for name in ["small.raw.tif", "small.lzw.tif", "small.packbits.tif", "small.deflate.tif"] {
        let mut file = golden(name);
        let at = value_of(&file, 279);
        let length = u32::from_le_bytes(file[at..at + 4].try_into().unwrap());
        file[at..at + 4].copy_from_slice(&(length / 2).to_le_bytes());
        let told = look(&file);
        // A deflate stream tells its own end.
        assert_eq!(told.is_ok(), name == "small.deflate.tif", "{name}: {told:?}");
    }
}

#[test]
fn of_several_pages_none_is_taken_but_small_copies_are_no_pages() {
    assert_eq!(refusal(&golden("others/pages.tif")), "it is a TIFF with 3 pages, which is not read");
    let copy = photograph(&golden("others/copy.tif")).unwrap();
    assert_eq!(copy.rgb, photograph(&golden("small.png")).unwrap().rgb);
}

#[test]
fn more_pixels_than_memory_are_refused_by_the_head() {
    let empty = with_tag("small.lzw.tif", 256, 0);
    assert_eq!(look(&empty), Err(Fault::Damaged("its header says 0 × 17 pixels".to_owned())));
    let mut file = golden("small.lzw.tif");
    for tag in [256, 257] {
        let at = value_of(&file, tag);
        // A number of 32 bits.
        file[at - 6..at - 4].copy_from_slice(&4u16.to_le_bytes());
        file[at..at + 4].copy_from_slice(&70_000u32.to_le_bytes());
    }
    assert_eq!(look(&file), Err(Fault::TooLarge { size: [70_000, 70_000] }));
    refusal(&file);
}
