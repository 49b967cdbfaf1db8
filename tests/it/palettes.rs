//! Colour-coded labels are read by the palette of their data set, and what the palette doesn't explain is told before anything runs.

use png::{BitDepth, ColorType};

use crate::pipelines::training;
use crate::space::Space;

const SIZE: [u32; 2] = [64, 32];
/// Of the three classes, and of what is ignored.
const COLOURS: [[u8; 3]; 4] = [[128, 64, 128], [70, 130, 180], [0, 0, 142], [0, 0, 0]];
const PALETTE: &str = "palette = { \"128,64,128\" = \"road\", \"70,130,180\" = \"sky\", \"0, 0, 142\" = \"car\", \"0,0,0\" = \"ignore\" }";

fn png(color: ColorType, pixels: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, SIZE[0], SIZE[1]);
    encoder.set_color(color);
    encoder.set_depth(BitDepth::Eight);
    if color == ColorType::Indexed {
        // Other indices than the classes have.
        encoder.set_palette([COLOURS[3], COLOURS[2], COLOURS[1], COLOURS[0]].concat());
    }
    encoder.write_header().unwrap().write_image_data(pixels).unwrap();
    bytes
}

/// The classes 0, 1, 2 and 3, which is ignored, in stripes that begin with `first`.
fn classes(first: usize) -> Vec<usize> {
    (0..(SIZE[0] * SIZE[1]) as usize).map(|at| (at / 7 + first) % 4).collect()
}

fn indices(first: usize) -> Vec<u8> {
    png(ColorType::Grayscale, &classes(first).iter().map(|class| [0, 1, 2, 255][*class]).collect::<Vec<u8>>())
}

fn colours(first: usize) -> Vec<u8> {
    png(ColorType::Rgb, &classes(first).iter().flat_map(|class| COLOURS[*class]).collect::<Vec<u8>>())
}

/// The same as a bitmap, whose rows begin at the bottom and whose colours begin with blue.
fn bitmap(first: usize) -> Vec<u8> {
    let [width, height] = SIZE;
    let mut file = [&b"BM\0\0\0\0\0\0\0\0"[..], &54u32.to_le_bytes(), &40u32.to_le_bytes()].concat();
    file.extend([width.to_le_bytes(), height.to_le_bytes()].concat());
    file.extend([1, 0, 24, 0]);
    file.resize(54, 0);
    let rows: Vec<Vec<u8>> = classes(first)
        .chunks(width as usize)
        .map(|row| row.iter().flat_map(|class| COLOURS[*class].into_iter().rev()).collect())
        .collect();
    file.extend(rows.into_iter().rev().flatten());
    file
}

/// A training on two images of `source` and its evaluation on another.
fn space() -> Space {
    let pipeline = training().classes(["road", "sky", "car"]).folder("source").evaluated().folder("test");
    let space = Space::with(pipeline);
    for (dataset, name, grey) in [("source", "a", 90), ("source", "b", 120), ("test", "t", 91)] {
        space.write(&format!("{dataset}/images/{name}.png"), crate::space::grey_png(SIZE[0], SIZE[1], grey));
    }
    space
}

fn label(space: &Space, name: &str, bytes: Vec<u8>) {
    let dataset = if name.starts_with('t') { "test" } else { "source" };
    space.write(&format!("{dataset}/labels/{name}"), bytes);
}

/// With this palette in both data sets.
fn with_palette(space: &Space, palette: &str) {
    for dataset in ["source", "test"] {
        space.edit("p.toml", &format!("root = \"{dataset}\""), &format!("root = \"{dataset}\"\n{palette}"));
    }
}

/// Three colour-coded labels, and the palette.
fn painted() -> Space {
    let space = space();
    for (name, first) in [("a.png", 0), ("b.png", 1), ("t.png", 2)] {
        label(&space, name, colours(first));
    }
    with_palette(&space, PALETTE);
    space
}

/// Both a plan and the doctor tell all of these, and a run runs nothing.
fn refused(space: &Space, texts: &[&str]) {
    for said in [space.intrada("plan p.toml").stderr, space.intrada("doctor p.toml").stdout] {
        for text in texts {
            assert!(said.contains(text), "{text:?} is not in\n{said}");
        }
    }
    assert_eq!(space.intrada("p.toml").code, Some(2));
    assert!(!space.path("runs").exists(), "a stage has run");
}

#[test]
fn labels_of_colours_train_and_measure_to_the_bytes_of_labels_of_indices() {
    let results = |space: &Space| {
        let ran = space.run("p.toml");
        assert!(ran.iter().all(|stage| stage.outcome == "ran"), "{ran:?}");
        [space.bytes("runs/p/inter/model.safetensors"), space.bytes("runs/p/evaluate/metrics.json")]
    };
    let plain = space();
    for (name, first) in [("a.png", 0), ("b.png", 1), ("t.png", 2)] {
        label(&plain, name, indices(first));
    }
    let expected = results(&plain);
    assert!(results(&painted()) == expected);

    // With transparency, of a palette PNG, as a bitmap.
    let mixed = space();
    let clear: Vec<u8> = classes(0).iter().flat_map(|class| [&COLOURS[*class][..], &[7]].concat()).collect();
    label(&mixed, "a.png", png(ColorType::Rgba, &clear));
    let turned: Vec<u8> = classes(1).iter().map(|class| 3 - *class as u8).collect();
    label(&mixed, "b.png", png(ColorType::Indexed, &turned));
    label(&mixed, "t.bmp", bitmap(2));
    with_palette(&mixed, PALETTE);
    assert!(results(&mixed) == expected);
}

#[test]
fn colours_that_the_palette_lacks_are_told_the_most_frequent_first_with_file_and_pixel() {
    let space = painted();
    let strange = |places: &[(usize, [u8; 3])]| {
        let mut pixels: Vec<u8> = classes(0).iter().flat_map(|class| COLOURS[*class]).collect();
        for (at, colour) in places {
            pixels[3 * at..3 * at + 3].copy_from_slice(colour);
        }
        png(ColorType::Rgb, &pixels)
    };
    label(&space, "a.png", strange(&[(5, [1, 2, 3]), (6, [9, 8, 7])]));
    label(&space, "b.png", strange(&[(64 * 3 + 2, [9, 8, 7]), (64 * 3 + 3, [9, 8, 7])]));
    let texts = [
        "2 labels of `source` hold 2 colours that `palette` doesn't have",
        "9,8,7: 3 pixels in 2 labels, first at column 6, row 0 of `source/labels/a.png`",
        "1,2,3: 1 pixel in 1 label, first at column 5, row 0 of `source/labels/a.png`",
        "`\"9,8,7\" = \"ignore\"` ignores such pixels",
    ];
    refused(&space, &texts);
    let said = space.intrada("plan p.toml").stderr;
    assert!(said.find("9,8,7").unwrap() < said.find("1,2,3").unwrap(), "{said}");
    space.edit(
        "p.toml",
        "root = \"source\"\npalette = {",
        "root = \"source\"\npalette = { \"9,8,7\" = \"ignore\", \"1,2,3\" = \"car\",",
    );
    assert_eq!(space.intrada("plan p.toml").code, Some(0));
    // What the index noted under one palette is nothing to another.
    space.edit("p.toml", "\"1,2,3\" = \"car\",", "");
    assert_eq!(space.intrada("plan p.toml").code, Some(2));
}

#[test]
fn labels_of_indices_and_labels_that_alter_colours_are_told_for_what_they_are() {
    let space = painted();
    label(&space, "a.png", indices(0));
    refused(&space, &["if the labels hold indices, leave `palette` out"]);
    let jpeg = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/picture/golden/420.jpg");
    label(&space, "a.png", std::fs::read(jpeg).unwrap());
    refused(
        &space,
        &["label `source/labels/a.png` can't be read by its colours: it is a JPEG, whose compression alters colours"],
    );
}

#[test]
fn labels_of_colours_without_a_palette_are_refused_with_the_palette_that_reads_them() {
    let space = space();
    for (name, first) in [("a.png", 0), ("b.png", 1), ("t.png", 2)] {
        label(&space, name, colours(first));
    }
    refused(
        &space,
        &["label `source/labels/a.png` is a PNG of colours", "`palette = \"cityscapes\"` in the data set reads them"],
    );
    with_palette(&space, "palette = \"cityscapes\"");
    assert_eq!(space.intrada("plan p.toml").code, Some(0));
    let mut pixels: Vec<u8> = classes(0).iter().flat_map(|class| COLOURS[*class]).collect();
    pixels[..3].copy_from_slice(&[1, 2, 3]);
    let other = painted();
    label(&other, "a.png", png(ColorType::Rgb, &pixels));
    other.edit("p.toml", &format!("root = \"source\"\n{PALETTE}"), "root = \"source\"");
    refused(&other, &["`palette = { \"", "\" = \"…\"", "in the data set names the class of each colour"]);
}

#[test]
fn a_class_that_no_colour_shows_is_told_by_its_name_and_no_map_is_advised() {
    let space = painted();
    let two: Vec<u8> = classes(0).iter().flat_map(|class| COLOURS[class % 2]).collect();
    label(&space, "a.png", png(ColorType::Rgb, &two));
    label(&space, "b.png", png(ColorType::Rgb, &two));
    let said = space.intrada("plan p.toml");
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    for text in ["no label of `source` holds car (2)", "the classes found are road, sky"] {
        assert!(said.stderr.contains(text), "{}", said.stderr);
    }
    assert!(!said.stderr.contains("`map"), "{}", said.stderr);
}

#[test]
fn a_palette_is_part_of_the_keys_of_the_stages_that_read_the_labels() {
    let space = painted();
    space.run("p.toml");
    let outcomes = || space.run("p.toml").into_iter().map(|stage| stage.outcome).collect::<Vec<_>>();
    assert_eq!(outcomes(), ["up-to-date", "up-to-date"]);
    space.edit("p.toml", "root = \"test\"\npalette = {", "root = \"test\"\npalette = { \"3,3,3\" = \"car\",");
    let why = space.intrada("why p.toml evaluate").stdout;
    assert!(why.contains("palette: {") && why.contains("\"3,3,3\" = \"car\""), "{why}");
    assert_eq!(outcomes(), ["up-to-date", "ran"]);
}
