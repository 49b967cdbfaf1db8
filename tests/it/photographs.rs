//! Photographs that a stage would refuse, or see otherwise than their owner does, are told before anything runs.

use std::path::Path;

use crate::pipelines::{Pipeline, training};
use crate::space::{Space, grey_png};

fn pipeline() -> Pipeline {
    let pipeline = training().classes(["ground", "sky"]).folder("source").adapted().folder("target");
    pipeline.set("stages.inter.iterations", 12).evaluated().folder("test")
}

/// Two images a data set, 64 × 32, of which the target's have no labels.
fn healthy() -> Space {
    let space = Space::with(pipeline());
    for i in 0..2 {
        for folder in ["source", "target", "test"] {
            space.write(&format!("{folder}/images/{i}.png"), grey_png(64, 32, 90));
            if folder != "target" {
                space.write(&format!("{folder}/labels/{i}.png"), grey_png(64, 32, i));
            }
        }
    }
    space
}

/// A PNG of one colour.
fn png(size: [u32; 2], color: png::ColorType, depth: png::BitDepth, pixel: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, size[0], size[1]);
    encoder.set_color(color);
    encoder.set_depth(depth);
    let pixels = pixel.repeat((size[0] * size[1]) as usize);
    encoder.write_header().unwrap().write_image_data(&pixels).unwrap();
    bytes
}

/// A JPEG of 69 × 37.
fn jpeg() -> Vec<u8> {
    golden("420.jpg")
}

/// A file whose pixels are known to be those of Pillow; `small.*` have the same, 23 × 17.
fn golden(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/picture/golden").join(name)).unwrap()
}

/// The same with Exif data that say how the camera was held.
fn turned_jpeg(orientation: u8) -> Vec<u8> {
    let exif = [&b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0"[..], &[orientation], &[0; 6]].concat();
    let length = (exif.len() as u16 + 2).to_be_bytes();
    let whole = jpeg();
    [&whole[..2], &[0xff, 0xe1], &length, &exif, &whole[2..]].concat()
}

/// What `plan` and `doctor` say, and their exit codes.
fn told(space: &Space, set: &str) -> [(Option<i32>, String); 2] {
    [format!("plan p.toml{set}"), format!("doctor p.toml{set}")].map(|arguments| {
        let ran = space.intrada(&arguments);
        (ran.code, ran.stdout + &ran.stderr)
    })
}

/// Both tell all of these, and neither refuses.
fn warned(space: &Space, set: &str, texts: &[&str]) {
    for (code, said) in told(space, set) {
        assert!(code == Some(0) || said.contains("worker: "), "{said}");
        assert!(!said.contains("can't be read"), "{said}");
        for text in texts {
            assert!(said.contains(text), "{text:?} is not in\n{said}");
        }
    }
}

/// Both refuse and tell all of these, and a run runs nothing.
fn refused(space: &Space, set: &str, texts: &[&str]) {
    for ((code, said), expected) in told(space, set).into_iter().zip([2, 1]) {
        assert_eq!(code, Some(expected), "{said}");
        for text in texts {
            assert!(said.contains(text), "{text:?} is not in\n{said}");
        }
    }
    let ran = space.intrada(&format!("p.toml{set}"));
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    assert!(!space.path("runs").exists(), "a stage has run");
}

/// A PNG of which every checksum is right, and whose pixels aren't there.
fn written_wrongly() -> Vec<u8> {
    let mut bytes = Vec::new();
    let encoder = png::Encoder::new(&mut bytes, 64, 32);
    encoder.write_header().unwrap().write_chunk(png::chunk::IDAT, b"\x78\x01\x01\x02\0\xfd\xff\0\0").unwrap();
    bytes
}

#[test]
fn whatever_is_no_whole_photograph_is_told_before_any_training() {
    let whole_png = grey_png(64, 32, 90);
    let whole_jpeg = jpeg();
    let mut altered = whole_png.clone();
    let pixels = altered.windows(4).position(|word| word == b"IDAT").unwrap();
    altered[pixels + 8] ^= 1;
    let unpacked_to_nothing = written_wrongly();
    let lacks_its_middle = [&whole_jpeg[..whole_jpeg.len() / 2], &whole_jpeg[whole_jpeg.len() - 2..]].concat();
    let files: [(&[u8], &[&str]); 10] = [
        (
            b"version https://git-lfs.github.com/pipeline/v1\noid sha256:4d\n",
            &["it is a pointer of git-lfs", "`git lfs pull`"],
        ),
        (b"<!DOCTYPE html>\n<html>", &["it is a web page (HTML or XML), not a PNG, JPEG, WebP, TIFF or BMP file"]),
        (b"GIF89a", &["it is a GIF image", "convert it to PNG"]),
        (b"", &["it is empty"]),
        (&whole_png[..whole_png.len() / 2], &["it is cut short"]),
        (&whole_png[..whole_png.len() - 12], &["it is cut short"]),
        (&altered, &["it is damaged: the checksum of the chunk IDAT"]),
        (&unpacked_to_nothing, &["it is damaged: "]),
        (&lacks_its_middle, &["it is damaged: "]),
        (&whole_jpeg[..whole_jpeg.len() - 40], &["it is cut short: it ends within its pixels"]),
    ];
    for (file, texts) in files {
        let space = healthy();
        space.write("test/images/1.png", file);
        refused(
            &space,
            "",
            &[&["image `test/images/1.png` can't be read: ", "it is read by evaluate"][..], texts].concat(),
        );
    }
}

#[test]
fn images_that_are_larger_than_memory_are_told_with_what_they_take() {
    let space = healthy();
    let ran = space.intrada("plan p.toml --set datasets.target.size=[65535,65535] --set stages.inter.batch=64");
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let said = "a batch of 64 images of `target` with 65535 × 65535 pixels takes 3.0 TiB as float32 numbers";
    assert_eq!(ran.stderr.matches("of memory").count(), 1, "{}", ran.stderr);
    assert!(ran.stderr.contains(said) && ran.stderr.contains("`inter` would need at least that"), "{}", ran.stderr);
    let ran = space.intrada("plan p.toml --set datasets.target.size=[64,32] --set stages.inter.batch=64");
    assert!(!ran.stderr.contains("of memory"), "{}", ran.stderr);
}

#[test]
fn of_many_damaged_photographs_the_first_are_named_and_the_rest_are_counted() {
    let space = healthy();
    for i in 0..9 {
        space.write(&format!("target/images/{i}.png"), "version https://git-lfs.github.com/pipeline/v1\n");
    }
    refused(&space, "", &["target/images/0.png", "target/images/4.png", "4 more images can't be read"]);
    let said = space.intrada("plan p.toml").stderr;
    assert_eq!(said.matches("git lfs pull").count(), 1, "{said}");
}

#[test]
fn sizes_that_a_training_refuses_are_told_with_the_image() {
    let space = healthy();
    space.write("target/images/odd.png", grey_png(40, 32, 9));
    refused(
        &space,
        " --set stages.inter.crop=[48,32]",
        &["1 of 3 images of `target` is smaller than the crop of 48 × 32: `odd.png` is 40 × 32", "`inter` would stop"],
    );
    let mixed =
        "images of `target` have different sizes, which a batch of 2 can't hold: `0.png` is 64 × 32, `odd.png` 40 × 32";
    warned(&space, " --set stages.inter.batch=2", &[mixed, "`inter` stops at the first of them"]);
    warned(&space, " --set stages.inter.iterations=2 --set stages.inter.crop=[48,32]", &["smaller than the crop"]);
    let silent = |set: &str| told(&space, set).iter().all(|(_, said)| !said.contains("odd.png"));
    assert!(silent(""), "one image a batch, and all are large enough");
    assert!(silent(" --set stages.inter.batch=2 --set datasets.target.size=[64,32]"), "they are brought to one size");
    assert!(silent(" --set stages.inter.batch=2 --set stages.inter.crop=[32,32]"), "they are cut to one size");
    let judged = "cropped to 16 × 16: the discriminator needs 32 pixels a side";
    refused(&space, " --set stages.inter.crop=[16,16]", &[judged, "a larger `crop` in the training"]);
    space.write("target/images/odd.png", grey_png(7, 65, 9));
    let judged = "1 of 3 images of `target` is too small for the discriminator, which needs 32 pixels a side: `odd.png` is 7 × 65";
    refused(&space, "", &[judged]);
    assert!(silent(" --set stages.inter.method=\"minent\""), "there is no discriminator");
}

#[test]
fn sizes_are_nothing_to_an_evaluation() {
    let space = healthy();
    space.write("test/images/1.png", grey_png(7, 9, 9));
    space.write("test/labels/1.png", grey_png(14, 18, 1));
    for (_, said) in told(&space, " --set stages.inter.batch=2") {
        assert!(!said.contains("1.png"), "{said}");
    }
}

#[test]
fn what_a_network_does_not_see_is_told_with_the_number_of_images() {
    use png::{BitDepth, ColorType};
    let space = healthy();
    let deep = png([64, 32], ColorType::Grayscale, BitDepth::Sixteen, &[0x0f, 0xf0]);
    space.write("target/images/deep.png", deep);
    space.write("target/images/glass.png", png([64, 32], ColorType::Rgba, BitDepth::Eight, &[1, 2, 3, 40]));
    space.write("target/images/opaque.png", png([64, 32], ColorType::Rgba, BitDepth::Eight, &[1, 2, 3, 255]));
    let texts = [
        "1 of 5 images of `target` has 16 bits a sample, of which the upper 8 are taken: `deep.png`",
        "the largest sample is 4080 of 65535, so the network sees values up to 15 of 255",
        "1 of 5 images of `target` has transparent pixels, whose colours are taken as they are stored: `glass.png`",
        "it is read by inter",
    ];
    warned(&space, "", &texts);
    // The second time from what the index noted.
    assert!(space.intrada("plan p.toml").stderr.contains(texts[1]));
}

#[test]
fn orientation_tags_are_told_and_are_applied_where_the_data_set_says_so() {
    let space = healthy();
    space.write("source/images/2.jpg", turned_jpeg(6));
    space.write("source/labels/2.png", grey_png(37, 69, 1));
    let tag = "1 of 3 images of `source` has an orientation tag, which is not applied: `2.jpg` would be turned by 90° clockwise";
    let other = "1 of 3 labels of `source` has another size than its image: `2.jpg` is 69 × 37, its label 37 × 69";
    refused(&space, "", &[tag, other, "`orientation = \"apply\"` in the data set turns such images upright"]);
    for (_, said) in told(&space, "") {
        assert!(!said.contains("size = [69, 37]"), "that would squeeze the label: {said}");
    }
    for (_, said) in told(&space, " --set datasets.source.orientation=\"apply\"") {
        assert!(!said.contains("2.jpg"), "{said}");
    }
    space.write("source/images/2.jpg", jpeg());
    refused(&space, "", &[other, "one of the two lies on its side"]);
}

#[test]
fn an_orientation_that_is_applied_makes_another_result_and_one_that_is_not_set_none() {
    let space = healthy();
    space.write("target/images/2.jpg", turned_jpeg(3));
    space.edit("p.toml", "iterations = 12", "iterations = 1");
    let ran = |set: &str| space.run(&format!("p.toml inter{set}"))[0].outcome.clone();
    assert_eq!(ran(""), "ran");
    assert_eq!(ran(" --set datasets.target.orientation=\"ignore\""), "up-to-date");
    assert_eq!(ran(" --set datasets.target.orientation=\"apply\""), "ran");
}

#[test]
fn a_photograph_is_to_a_network_the_same_in_every_lossless_format() {
    let trained = |name: &str, ending: &str| {
        let space = healthy();
        space.edit("p.toml", "iterations = 12", "iterations = 2");
        std::fs::remove_file(space.path("target/images/1.png")).unwrap();
        space.write(&format!("target/images/1.{ending}"), golden(name));
        let ran = space.run("p.toml inter --set datasets.target.size=[64,32]");
        assert_eq!(ran[0].outcome, "ran", "{name}");
        space.bytes("runs/p/inter/model.safetensors")
    };
    let expected = trained("small.png", "png");
    for (name, ending) in [("small.lossless.webp", "webp"), ("small.predicted.tif", "TIF"), ("small.plain.bmp", "bmp")]
    {
        assert!(trained(name, ending) == expected, "{name}");
    }
    assert!(trained("lossy.webp", "webp") != expected);
}

#[test]
fn a_file_of_several_pictures_is_refused_and_what_is_lost_of_others_is_told() {
    let space = healthy();
    for (name, said) in [
        ("pages.tif", "image `target/images/2.tif` can't be read: it is a TIFF with 3 pages, which is not read"),
        ("float.tif", "it is a TIFF with floating-point samples, which is not read"),
        ("animated.webp", "it is an animated WebP, which is not read"),
    ] {
        space.write("target/images/2.tif", golden(&format!("others/{name}")));
        refused(&space, "", &[said, "store it as an 8-bit RGB PNG"]);
    }
    std::fs::remove_file(space.path("target/images/2.tif")).unwrap();
    space.write("source/images/2.webp", golden("small.clear.webp"));
    space.write("source/images/3.tiff", golden("small.deep.tif"));
    space.write("source/images/4.tif", golden("others/turned.tif"));
    for i in 2..5 {
        space.write(&format!("source/labels/{i}.png"), grey_png(23, 17, 1));
    }
    let texts = [
        "1 of 5 images of `source` has 16 bits a sample, of which the upper 8 are taken: `3.tiff`",
        "1 of 5 images of `source` has transparent pixels, whose colours are taken as they are stored: `2.webp`",
        "1 of 5 images of `source` has an orientation tag, which is not applied: `4.tif` would be turned by 90° clockwise",
    ];
    warned(&space, " --set datasets.source.size=[64,32]", &texts);
}

#[test]
fn images_in_formats_that_are_not_read_are_counted() {
    let space = healthy();
    space.write("target/images/a.gif", "GIF89a");
    space.write("target/images/b.HEIC", "\0\0\0\x1cftypheic");
    space.write("target/images/notes.txt", "of no interest");
    warned(&space, "", &["`target` skips 2 images of unsupported formats: a.gif, b.HEIC"]);
    space.write("target/list.txt", "0\n1\n");
    for (_, said) in told(&space, " --set datasets.target.list=\"target/list.txt\"") {
        assert!(!said.contains("a.gif"), "a list has chosen: {said}");
    }
}
