//! The laws of this crate: a truncated or altered file is an error in every format, and `look` agrees with `photograph`.

use std::path::Path;

use png::{BitDepth, ColorType};
use proptest::prelude::{ProptestConfig, any, prop, prop_assert, prop_assert_eq, proptest};

use super::*;
use crate::samples::{colourful_png, golden, jpeg, png, turned_jpeg, turned_png};

fn files() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("png", colourful_png(9, 7)),
        ("palette", png([3, 2], ColorType::Indexed, BitDepth::Eight, &[0, 1, 2, 3, 4, 5])),
        ("16 bits", png([2, 2], ColorType::Grayscale, BitDepth::Sixteen, &[0, 9, 15, 255, 1, 1, 0, 0])),
        ("PNG with Exif data", turned_png(6)),
        ("jpeg", jpeg(40, 24, false)),
        ("progressive", jpeg(40, 24, true)),
        ("JPEG with Exif data", turned_jpeg(8)),
    ]
    .into_iter()
    .chain(OF_PILLOW.map(|name| (name, golden(name))))
    .collect()
}

/// Files of golden/ in which every byte is needed.
const OF_PILLOW: [&str; 14] = [
    "small.raw.tif",
    "small.predicted.tif",
    "small.deflate.tif",
    "small.packbits.tif",
    "small.tiles.tif",
    "small.planes.tif",
    "small.large.tif",
    "small.deep.tif",
    "indexed.tif",
    "small.lossless.webp",
    "lossy.webp",
    "lossy-clear.webp",
    "small.plain.bmp",
    "indexed.plain.bmp",
];

#[test]
fn a_file_that_is_cut_anywhere_is_an_error_in_every_format() {
    for (name, whole) in files() {
        assert!(look(&whole).is_ok() && photograph(&whole).is_ok(), "{name}: {:?}", look(&whole));
        for length in 0..whole.len() {
            let (looked, decoded) = (look(&whole[..length]), photograph(&whole[..length]));
            assert!(looked.is_err(), "{name} cut to {length} of {} bytes passes", whole.len());
            assert_eq!(looked.err(), decoded.err(), "{name} cut to {length} of {}", whole.len());
        }
    }
}

#[test]
fn what_follows_after_the_end_is_no_part_of_the_file() {
    for (name, whole) in files() {
        let longer = [&whole[..], b"MotionPhoto_Data\xff\xd8\xff"].concat();
        assert_eq!(look(&longer), look(&whole), "{name}");
        assert_eq!(photograph(&longer), photograph(&whole), "{name}");
    }
}

#[test]
fn the_head_tells_the_size_that_the_pixels_have() {
    for (name, whole) in files() {
        let size = look(&whole).unwrap().size;
        assert_eq!(size_of(&whole), Some(size), "{name}");
        assert_eq!(photograph(&whole).unwrap().size, size.map(|side| side as usize), "{name}");
    }
    assert_eq!(size_of(&turned_jpeg(1)), Some([40, 24]), "not that of the thumbnail");
    assert_eq!(size_of(b"GIF89a"), None);
}

#[test]
fn the_ends_of_a_file_tell_its_size_or_that_they_don_t_suffice() {
    for (name, whole) in files() {
        let of = |file: &[u8]| Ends { head: file, tail: &file[file.len() - 12..], length: file.len() as u64 }.size();
        // In a TIFF the pixels may be anywhere.
        let told = Some(look(&whole).unwrap().size).filter(|_| !name.ends_with("tif"));
        assert_eq!(of(&whole), Ok(told), "{name}");
        assert_eq!(of(&whole[..whole.len() - 1]), Ok(None), "{name}");
    }
    assert!(Ends { head: b"<html>", tail: b"</html>", length: 13 }.size().is_err());
}

#[test]
fn a_byte_of_a_png_that_is_altered_is_an_error() {
    let whole = colourful_png(9, 7);
    // After the signature there are only the three chunks that the pixels need.
    for at in 0..whole.len() {
        let mut altered = whole.clone();
        altered[at] ^= 4;
        assert!(look(&altered).is_err(), "altered at {at}");
    }
}

#[test]
fn damage_within_a_scan_that_the_decoder_would_paint_over_is_an_error() {
    let whole = jpeg(40, 24, false);
    let scan = whole.windows(2).position(|word| word == [0xff, 0xda]).unwrap() + 14;
    let short = [&whole[..scan + 9], &[0xff, 0xd9]].concat();
    let Err(Fault::Damaged(reason)) = photograph(&short) else { panic!("the pixels are missing") };
    assert!(reason.contains("premature end"), "{reason}");
    assert_eq!(look(&short), Err(Fault::Damaged(reason)));
}

#[test]
fn the_orientation_is_told_and_applied_only_when_asked_for() {
    for file in [turned_png(6), turned_jpeg(6)] {
        let facts = look(&file).unwrap();
        assert_eq!(
            (facts.orientation.to_string(), facts.orientation.swaps_sides()),
            ("turned by 90° clockwise".into(), true)
        );
        let pixels = photograph(&file).unwrap();
        assert_eq!(pixels.size, facts.size.map(|side| side as usize));
        let upright = pixels.clone().upright();
        assert_eq!(upright.size, [pixels.size[1], pixels.size[0]]);
        assert_eq!(upright.rgb[..3], pixels.rgb[3 * pixels.size[0] * (pixels.size[1] - 1)..][..3]);
        assert_eq!(upright.clone().upright(), upright);
    }
}

#[test]
fn what_the_network_does_not_see_is_told() {
    let grey = |samples: &[u8]| look(&png([2, 1], ColorType::Grayscale, BitDepth::Sixteen, samples)).unwrap();
    assert_eq!(grey(&[15, 255, 0, 3]).brightest, Some(4095));
    assert_eq!(look(&colourful_png(2, 2)).unwrap().brightest, None);
    let rgba = |alpha| {
        let pixel = [1, 2, 3, alpha];
        look(&png([1, 1], ColorType::Rgba, BitDepth::Eight, &pixel)).unwrap().see_through
    };
    assert!(rgba(254) && !rgba(255));
    let deep = |alpha| {
        let pixel = [0, 9, 1, 0, alpha, alpha];
        look(&png([1, 1], ColorType::Rgba, BitDepth::Sixteen, &[&pixel[..], &[255, 255]].concat())).unwrap()
    };
    assert_eq!((deep(255).brightest, deep(255).see_through), (Some(0xffff), false));
}

#[test]
fn the_orientation_of_a_webp_and_of_a_tiff_is_told_and_applied_only_when_asked_for() {
    for name in ["turned.tif", "turned.webp"] {
        let facts = look(&golden(&format!("others/{name}"))).unwrap();
        assert_eq!(facts.orientation, Orientation::from_exif(6), "{name}");
        let stored = photograph(&golden(&format!("others/{name}"))).unwrap();
        assert_eq!((stored.size, &stored.rgb), ([23, 17], &photograph(&golden("small.png")).unwrap().rgb), "{name}");
        assert_eq!(stored.upright().size, [17, 23], "{name}");
    }
}

#[test]
fn what_the_network_does_not_see_of_a_webp_tiff_or_bmp_is_told() {
    for name in ["small.clear.tif", "multiplied.tif", "small.clear.webp", "lossy-clear.webp"] {
        assert!(look(&golden(name)).unwrap().see_through, "{name}");
    }
    for name in ["small.raw.tif", "small.lossless.webp", "small.plain.bmp"] {
        assert!(!look(&golden(name)).unwrap().see_through, "{name}");
    }
    let samples = photograph(&golden("small.png")).unwrap().rgb;
    let brightest = u16::from(*samples.iter().max().unwrap()) * 256 + 77;
    for name in ["small.deep.tif", "small.deep-deflate.tif"] {
        assert_eq!(look(&golden(name)).unwrap().brightest, Some(brightest), "{name}");
    }
    assert_eq!(look(&golden("small.raw.tif")).unwrap().brightest, None);
}

#[test]
fn kinds_that_no_decoder_here_reads_are_told_by_the_head() {
    let whole = jpeg(40, 24, false);
    let frame = whole.windows(2).position(|word| word == [0xff, 0xc0]).unwrap();
    let with = |at: usize, byte: u8| {
        let mut file = whole.clone();
        file[frame + at] = byte;
        look(&file).unwrap_err().to_string()
    };
    assert_eq!(with(1, 0xc9), "it is a JPEG with arithmetic coding, which is not read");
    assert_eq!(with(1, 0xc3), "it is a lossless JPEG, which is not read");
    assert_eq!(with(4, 12), "it is a JPEG with 12 bits a sample, which is not read");
    assert_eq!(with(9, 2), "it is a JPEG with 2 channels, which is not read");
    assert_eq!(
        look(b"GIF89a...").unwrap_err().to_string(),
        "it is a GIF image, not a PNG, JPEG, WebP, TIFF or BMP file"
    );
}

#[test]
fn more_pixels_than_memory_are_refused_by_the_head() {
    let mut file = colourful_png(1, 1);
    file[16..24].copy_from_slice(&[0, 1, 0, 0, 0, 1, 0, 0]);
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&file[12..29]);
    file[29..33].copy_from_slice(&hasher.finalize().to_be_bytes());
    assert_eq!(look(&file), Err(Fault::TooLarge { size: [65536, 65536] }));
    assert_eq!(photograph(&file), Err(Fault::TooLarge { size: [65536, 65536] }));
}

/// golden/make.py writes the files and their pixels.
#[test]
fn a_photograph_of_any_format_has_the_bytes_that_pillow_gives() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden");
    let mut compared = std::collections::BTreeMap::<String, usize>::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let (stem, ending) = (name.split('.').next().unwrap(), name.rsplit('.').next().unwrap());
        if ["jpg", "webp", "tif", "bmp"].contains(&ending) {
            let [of_file, of_pillow] =
                [&name, &format!("{stem}.png")].map(|name| photograph(&golden(name)).expect(name));
            assert_eq!(of_file.size, of_pillow.size, "{name}");
            assert!(of_file.rgb == of_pillow.rgb, "{name}");
            *compared.entry(ending.to_owned()).or_default() += 1;
        }
    }
    assert!(["jpg", "webp", "tif", "bmp"].iter().all(|ending| compared[*ending] >= 5), "{compared:?}");
}

#[test]
fn a_jpeg_at_a_part_of_its_size_has_the_bytes_of_pillow_s_draft() {
    for name in ["444", "422", "420", "420-progressive", "420-restarts", "grey", "cmyk"] {
        let file = golden(&format!("{name}.jpg"));
        for part in [2, 4, 8] {
            let wanted = [69 / part, 37 / part];
            let Reduced { pixels, whole } = reduced(&file, |_| wanted).unwrap().unwrap();
            let of_pillow = photograph(&golden(&format!("reduced/{name}-{part}.png"))).unwrap();
            assert_eq!((pixels.size, whole), (of_pillow.size, [69, 37]), "{name} at 1/{part}");
            assert!(pixels.rgb == of_pillow.rgb, "{name} at 1/{part}");
        }
    }
}

#[test]
fn a_photograph_is_reduced_to_no_less_than_is_wanted_and_only_if_it_is_a_jpeg() {
    let file = jpeg(40, 24, false);
    let size = |wanted: [u32; 2]| {
        reduced(&file, |facts| {
            assert_eq!(facts.size, [40, 24]);
            wanted
        })
        .unwrap()
        .map(|reduced| reduced.pixels.size)
    };
    assert_eq!(size([20, 12]), Some([20, 12]));
    assert_eq!((size([21, 12]), size([20, 13]), size([80, 48])), (None, None, None));
    assert_eq!((size([19, 11]), size([11, 7])), (Some([20, 12]), Some([20, 12])));
    assert_eq!(
        (size([10, 6]), size([1, 1]), size([5, 3]), size([0, 0])),
        (Some([10, 6]), Some([5, 3]), Some([5, 3]), Some([5, 3]))
    );
    assert_eq!(reduced(&colourful_png(40, 24), |_| [1, 1]).unwrap(), None);
    for length in 0..file.len() {
        assert_eq!(reduced(&file[..length], |_| [20, 12]).err(), photograph(&file[..length]).err(), "{length}");
    }
}

/// A PNG of these chunks, all with correct checksums, and the end chunk.
fn chunked(head: [u32; 2], colours: u8, chunks: &[(&[u8; 4], &[u8])]) -> Vec<u8> {
    let sides = [head[0].to_be_bytes(), head[1].to_be_bytes()].concat();
    let head = [&sides[..], &[8, colours, 0, 0, 0]].concat();
    let mut file = crate::chunks::SIGNATURE.to_vec();
    for (name, data) in [(b"IHDR", &head[..])].iter().chain(chunks).chain(&[(b"IEND", &[][..])]) {
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(*name);
        hasher.update(data);
        file.extend((data.len() as u32).to_be_bytes());
        file.extend([&name[..], data, &hasher.finalize().to_be_bytes()].concat());
    }
    file
}

/// Bytes in zlib's stored (uncompressed) form: one block, and the checksum.
fn stored(bytes: &[u8]) -> Vec<u8> {
    let length = (bytes.len() as u16).to_le_bytes();
    let (mut a, mut b) = (1u32, 0u32);
    for byte in bytes {
        a = (a + u32::from(*byte)) % 65_521;
        b = (b + a) % 65_521;
    }
    [&[0x78, 0x01, 1][..], &length, &length.map(|byte| !byte), bytes, &(b << 16 | a).to_be_bytes()].concat()
}

#[test]
fn a_png_that_was_written_wrongly_is_an_error_however_right_its_checksums_are() {
    // Rows of four grey pixels, each after its filter number.
    let rows = |filter: u8, count: usize| [filter, 1, 2, 3, 4].repeat(count);
    let grey = |data: &[u8]| chunked([4, 3], 0, &[(b"IDAT", data)]);
    let whole = stored(&rows(0, 3));
    assert!(look(&grey(&whole)).is_ok());
    assert!(look(&chunked([4, 3], 0, &[(b"IDAT", &whole[..9]), (b"IDAT", &whole[9..])])).is_ok());
    let unknown = {
        let mut bytes = whole.clone();
        bytes[2] = 7;
        bytes
    };
    let parted = chunked([4, 3], 0, &[(b"IDAT", &whole[..9]), (b"tEXt", b"a\0b"), (b"IDAT", &whole[9..])]);
    for (what, file) in [
        ("a stream that is cut", grey(&whole[..whole.len() - 9])),
        ("no stream at all", grey(b"")),
        ("a block of an unknown kind", grey(&unknown)),
        ("a row too few", grey(&stored(&rows(0, 2)))),
        ("half a row too few", grey(&stored(&rows(0, 3)[..12]))),
        ("a filter that is none", grey(&stored(&rows(9, 3)))),
        ("a filter that is none in the last row", grey(&stored(&[rows(0, 2), rows(5, 1)].concat()))),
        ("data in two places", parted),
        ("more pixels than data", chunked([30_000, 30_000], 2, &[(b"IDAT", &stored(&[0; 1000]))])),
    ] {
        let told = look(&file);
        assert!(matches!(told, Err(Fault::Damaged(_))), "{what}: {told:?}");
        assert_eq!(photograph(&file).err(), told.err(), "{what}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn what_one_way_to_look_refuses_the_other_refuses_too(
        which in 0usize..7 + OF_PILLOW.len(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = files().swap_remove(which).1;
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let cut = &bytes[..cut.index(bytes.len())];
        for bytes in [&bytes[..], cut] {
            size_of(bytes);
            match (look(bytes), photograph(bytes)) {
                (Ok(facts), Ok(pixels)) => {
                    prop_assert_eq!(pixels.size, facts.size.map(|side| side as usize));
                    prop_assert_eq!(pixels.rgb.len(), 3 * pixels.size[0] * pixels.size[1]);
                }
                (Err(told), Err(met)) => prop_assert_eq!(told, met),
                (Err(told), Ok(_)) => prop_assert!(false, "told {told}, and then decoded"),
                (Ok(_), Err(met)) => prop_assert!(false, "{met} wasn't told"),
            }
        }
    }
}

#[test]
fn decoding_says_what_a_look_says_is_dropped() {
    let pixel = |color, depth, pixel: &[u8]| png([1, 1], color, depth, pixel);
    let files = [
        (pixel(ColorType::Rgba, BitDepth::Eight, &[1, 2, 3, 254]), [false, true]),
        (pixel(ColorType::Rgba, BitDepth::Eight, &[1, 2, 3, 255]), [false, false]),
        (pixel(ColorType::GrayscaleAlpha, BitDepth::Sixteen, &[1, 2, 3, 4]), [true, true]),
        (golden("small.deep.tif"), [true, false]),
        (golden("small.clear.webp"), [false, true]),
    ];
    for (bytes, expected) in files {
        let (Dropped { lower_bits, transparency }, facts) =
            (photograph(&bytes).unwrap().dropped, look(&bytes).unwrap());
        assert_eq!([lower_bits, transparency], expected);
        assert_eq!([facts.brightest.is_some(), facts.see_through], expected);
    }
}

#[test]
fn exif_data_after_other_blocks_of_the_same_marker_are_found() {
    let whole = turned_jpeg(3);
    let other = [&[0xff, 0xe1, 0, 12][..], b"http://xm\0"].concat();
    let file = [&whole[..2], &other, &whole[2..]].concat();
    assert_eq!(look(&file).unwrap().orientation, Orientation::from_exif(3));
}
