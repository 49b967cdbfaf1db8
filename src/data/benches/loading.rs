//! Measures how long it takes to read one sample of 2048×1024 pixels at 1024×512: its parts (PNG or JPEG to bytes, bicubic; label
//! likewise, nearest), and the whole sample as a training reads it, decoded or as kept before.
//!
//! `cargo bench -p intrada-data --bench loading -- FOLDER REPEATS` writes the sample to FOLDER, where `loading.py` reads the
//! same files with Pillow, and prints CPU milliseconds of one thread, the mean of the repeats (100 is a good number), and samples a
//! second and core. The picture is synthetic, but compresses like a photograph: 2.4 MB as PNG. With the cache at least 300 samples a
//! second and core are the goal.
use std::path::{Path, PathBuf};

use intrada_data::decode::{self, Detail, Orientation};
use intrada_data::encode;
use intrada_data::input_file::InputFile;
use intrada_data::kept::Keep;
use intrada_data::raster::{Index, Rgb};
use intrada_data::resize;
use intrada_data::source::{LabelUse, Reader, Sample, Source};

const STORED: [usize; 2] = [2048, 1024];
const WANTED: [usize; 2] = [1024, 512];
const CLASSES: LabelUse = LabelUse::Required { classes: 19 };

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let [folder, repeats] = &arguments[..] else {
        eprintln!("usage: cargo bench -p intrada-data --bench loading -- FOLDER REPEATS");
        return;
    };
    let repeats: usize = repeats.parse().expect("a number of repeats");
    let folder = Path::new(folder);
    let [png, jpeg, label] = write(folder);
    let picture = decode::photograph(&png).expect("it was just written");
    let map = decode::label(&label).expect("it was just written");
    let bytes = std::fs::read(&jpeg).expect("it was just written");
    report("photograph, PNG", repeats, || decode::photograph(&png).expect("it was read before"));
    report("photograph, JPEG", repeats, || decode::photograph(&jpeg).expect("it was read before"));
    report("photograph, JPEG, reduced", repeats, || {
        decode::reduced_bytes(&jpeg, &bytes, Orientation::Ignore, |_| WANTED).expect("it was read before")
    });
    report("photograph, bicubic", repeats, || resize::bicubic(&picture, WANTED));
    report("label, decode", repeats, || decode::label(&label).expect("it was read before"));
    report("label, nearest", repeats, || resize::nearest(&map, WANTED));
    let kept = folder.join("samples");
    std::fs::create_dir_all(&kept).expect("a folder can be made there");
    let keep = Keep::new(kept, folder.join("drafts"), sum);
    let whole = |photograph: &Path, detail, keep| {
        let reader = reader(photograph, &label, detail, keep);
        move || reader.read_resized(0, CLASSES).expect("it was read before")
    };
    samples("sample, PNG", repeats, whole(&png, Detail::Full, None));
    samples("sample, JPEG", repeats, whole(&jpeg, Detail::Full, None));
    samples("sample, JPEG, reduced", repeats, whole(&jpeg, Detail::Reduced, None));
    samples("sample, kept", repeats, whole(&png, Detail::Full, Some(keep.clone())));
    assert_eq!(keep.trouble(), None);
    assert_eq!(keep.counts().read as usize, 2 * (repeats + 1) - keep.counts().written as usize, "it was kept");
    let difference =
        difference(&whole(&jpeg, Detail::Full, None)().image, &whole(&jpeg, Detail::Reduced, None)().image);
    println!("intrada  reduced and full differ by {difference}");
}

/// What a data set reads of these files.
fn reader(photograph: &Path, label: &Path, detail: Detail, keep: Option<Keep>) -> Reader {
    let file = |path: &Path| InputFile::holding(path, sum(&std::fs::read(path).expect("it was just written")), sum);
    let (encoding, orientation, scaling, margins) = Default::default();
    let samples = vec![Sample { name: "sample".to_owned(), image: file(photograph), label: Some(file(label)) }];
    let (size, label_map) = (Some(WANTED), None);
    Reader::new(&Source::Files { samples, size, scaling, label_map, encoding, orientation, margins, detail, keep })
        .expect("a data set of one sample")
}

/// In place of a digest, which this crate doesn't know.
fn sum(bytes: &[u8]) -> [u8; 32] {
    let mut sum = [0; 32];
    sum[..4].copy_from_slice(&crc32fast::hash(bytes).to_le_bytes());
    sum
}

fn difference(a: &Rgb, b: &Rgb) -> String {
    let steps: Vec<u64> = a.bytes().iter().zip(b.bytes()).map(|(a, b)| u64::from(a.abs_diff(*b))).collect();
    let mean = steps.iter().sum::<u64>() as f64 / steps.len() as f64;
    let squares = steps.iter().map(|step| step * step).sum::<u64>() as f64 / steps.len() as f64;
    let (most, psnr) = (steps.iter().max().expect("there are pixels"), 10.0 * (255.0 * 255.0 / squares).log10());
    format!("{mean:.3} grey levels on average, {most} at most, PSNR {psnr:.1} dB")
}

/// A smooth picture with a little noise, as PNG and as JPEG, and the map of its rectangles.
fn write(folder: &Path) -> [PathBuf; 3] {
    let [width, height] = STORED;
    let mut noise = 1u32;
    let mut bytes = Vec::with_capacity(width * height * 3);
    for place in 0..width * height {
        let (x, y) = ((place % width) as f32, (place / width) as f32);
        for channel in 1..=3u8 {
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let smooth = 120.0 + 90.0 * (x / (97.0 * f32::from(channel))).sin() * (y / 61.0).cos();
            bytes.push(smooth as u8 + (noise >> 30) as u8);
        }
    }
    let classes =
        (0..width * height).map(|place| ((place % width / 150 + place / width / 90 * 7) % 19) as u8).collect();
    let paths = ["photograph.png", "photograph.jpg", "label.png"].map(|name| folder.join(name));
    std::fs::create_dir_all(folder).expect("a folder can be made there");
    let mut file =
        png::Encoder::new(std::fs::File::create(&paths[0]).expect("a file can be made"), width as u32, height as u32);
    file.set_color(png::ColorType::Rgb);
    file.set_depth(png::BitDepth::Eight);
    let picture = Rgb::new(width, height, bytes);
    file.write_header().and_then(|mut file| file.write_image_data(picture.bytes())).expect("a PNG can be written");
    encode::write(&paths[1], &encode::jpeg_of(&picture, 98)).expect("a file can be written");
    encode::write(&paths[2], &encode::grey_png(&Index::new(width, height, classes))).expect("a file can be written");
    paths
}

fn report<T>(what: &str, repeats: usize, work: impl Fn() -> T) {
    println!("intrada  {what:<26}  cpu {:7.2} ms", 1e3 * seconds(repeats, work));
}

fn samples<T>(what: &str, repeats: usize, work: impl Fn() -> T) {
    let seconds = seconds(repeats, work);
    println!("intrada  {what:<26}  cpu {:7.2} ms  {:6.0} a second and core", 1e3 * seconds, 1.0 / seconds);
}

/// The mean of the repeats, after one that doesn't count.
fn seconds<T>(repeats: usize, work: impl Fn() -> T) -> f64 {
    work();
    let begin = cpu_seconds();
    for _ in 0..repeats {
        std::hint::black_box(work());
    }
    (cpu_seconds() - begin) / repeats as f64
}

/// Of all threads of this process, which has one: on a shared machine the number to compare.
fn cpu_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    text.split(' ').next().and_then(|nanoseconds| nanoseconds.parse::<f64>().ok()).map_or(f64::NAN, |ns| ns / 1e9)
}
