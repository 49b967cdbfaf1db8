//! Measures how long it takes to read one sample of 2048×1024 pixels and resize it to 1024×512: PNG to bytes, bicubic;
//! label likewise, nearest.
//!
//! `cargo bench -p intrada-data --bench loading -- FOLDER REPEATS` writes the sample to FOLDER, where `loading.py` reads the
//! same files with Pillow, and prints CPU milliseconds of one thread, the mean of the repeats (100 is a good number). The
//! picture is synthetic, but compresses like a photograph: 2.4 MB. There is no target value.
use std::path::{Path, PathBuf};

use intrada_data::decode;
use intrada_data::encode;
use intrada_data::raster::{Index, Rgb};
use intrada_data::resize;

const STORED: [usize; 2] = [2048, 1024];
const WANTED: [usize; 2] = [1024, 512];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let [folder, repeats] = &arguments[..] else {
        eprintln!("usage: cargo bench -p intrada-data --bench loading -- FOLDER REPEATS");
        return;
    };
    let repeats: usize = repeats.parse().expect("a number of repeats");
    let [photograph, label] = write(Path::new(folder));
    let picture = decode::photograph(&photograph).expect("it was just written");
    let map = decode::label(&label).expect("it was just written");
    report("photograph, decode", repeats, || decode::photograph(&photograph).expect("it was read before"));
    report("photograph, bicubic", repeats, || resize::bicubic(&picture, WANTED));
    report("label, decode", repeats, || decode::label(&label).expect("it was read before"));
    report("label, nearest", repeats, || resize::nearest(&map, WANTED));
}

/// A smooth picture with a little noise, and the map of its rectangles.
fn write(folder: &Path) -> [PathBuf; 2] {
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
    let paths = ["photograph.png", "label.png"].map(|name| folder.join(name));
    std::fs::create_dir_all(folder).expect("a folder can be made there");
    let mut file =
        png::Encoder::new(std::fs::File::create(&paths[0]).expect("a file can be made"), width as u32, height as u32);
    file.set_color(png::ColorType::Rgb);
    file.set_depth(png::BitDepth::Eight);
    let picture = Rgb::new(width, height, bytes);
    file.write_header().and_then(|mut file| file.write_image_data(picture.bytes())).expect("a PNG can be written");
    encode::write(&paths[1], &encode::grey_png(&Index::new(width, height, classes))).expect("a file can be written");
    paths
}

fn report<T>(what: &str, repeats: usize, work: impl Fn() -> T) {
    work();
    let begin = cpu_seconds();
    for _ in 0..repeats {
        std::hint::black_box(work());
    }
    println!("intrada  {what:<20}  cpu {:7.2} ms", 1e3 * (cpu_seconds() - begin) / repeats as f64);
}

/// Of all threads of this process, which has one: on a shared machine the number to compare.
fn cpu_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    text.split(' ').next().and_then(|nanoseconds| nanoseconds.parse::<f64>().ok()).map_or(f64::NAN, |ns| ns / 1e9)
}
