//! Identifies a file by its first bytes when it isn't the type it was expected to be.
//!
//! A failed download leaves a server's web page under the name of a picture or a network; a clone without git-lfs leaves a
//! few lines of text. A message that only says "neither PNG nor JPEG" would suggest a fault in the program. Knows nothing
//! of pictures or weights: the caller has already found that the file is not its own format, and handles images and arrays
//! itself.
#![warn(missing_docs)]

use std::fmt;

/// How a file begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Beginning {
    /// The file is empty.
    Empty,
    /// Its first bytes are all 0.
    Zeros,
    /// A page of a web server.
    Page,
    /// A placeholder that git keeps instead of a large file.
    Pointer(&'static str),
    /// An archive or a compressed file.
    Archive(&'static str),
    /// An image.
    Image(&'static str),
    /// A Python pickle of a protocol before 2.
    OldPickle,
    /// Numbers in another program's format.
    Numbers(&'static str),
    /// Another known format.
    Other(&'static str),
    /// Text: its first characters, without control characters.
    Text(String),
    /// Unknown: its first bytes.
    Unknown(Vec<u8>),
}

/// How many bytes of an unknown file are printed.
const BYTES_TOLD: usize = 8;
/// How many characters of a text are printed.
const CHARACTERS_TOLD: usize = 60;
/// How many first bytes suffice to identify a file; a file may have fewer.
pub const ENOUGH: usize = 512;

type Known = (&'static [u8], fn(&'static str) -> Beginning, &'static str);

/// First bytes, and the format that they identify.
const KNOWN: &[Known] = &[
    (b"version https://git-lfs", Beginning::Pointer, "a pointer of git-lfs"),
    (b"/annex/objects/", Beginning::Pointer, "a pointer of git-annex"),
    (b"PK\x03\x04", Beginning::Archive, "a ZIP archive"),
    (b"PK\x05\x06", Beginning::Archive, "an empty ZIP archive"),
    (b"\x1f\x8b", Beginning::Archive, "a gzip file"),
    (b"BZh", Beginning::Archive, "a bzip2 file"),
    (b"\xfd7zXZ\0", Beginning::Archive, "an xz file"),
    (b"\x28\xb5\x2f\xfd", Beginning::Archive, "a zstd file"),
    (b"\x04\x22\x4d\x18", Beginning::Archive, "an LZ4 file"),
    (b"7z\xbc\xaf\x27\x1c", Beginning::Archive, "a 7z archive"),
    (b"Rar!", Beginning::Archive, "a RAR archive"),
    (b"\x89PNG", Beginning::Image, "a PNG image"),
    (b"\xff\xd8\xff", Beginning::Image, "a JPEG image"),
    (b"GIF8", Beginning::Image, "a GIF image"),
    (b"II*\0", Beginning::Image, "a TIFF image"),
    (b"MM\0*", Beginning::Image, "a TIFF image"),
    (b"II+\0", Beginning::Image, "a BigTIFF image"),
    (b"MM\0+", Beginning::Image, "a BigTIFF image"),
    (b"\0\0\0\x0cJXL ", Beginning::Image, "a JPEG XL image"),
    (b"\xff\x0a", Beginning::Image, "a JPEG XL image"),
    (b"\0\0\0\x0cjP  ", Beginning::Image, "a JPEG 2000 image"),
    (b"\xff\x4f\xff\x51", Beginning::Image, "a JPEG 2000 image"),
    (b"8BPS", Beginning::Image, "a Photoshop image"),
    (b"\x76\x2f\x31\x01", Beginning::Image, "an OpenEXR image"),
    (b"qoif", Beginning::Image, "a QOI image"),
    (b"\0\0\x01\0", Beginning::Image, "an icon"),
    (b"\x8aMNG", Beginning::Image, "an MNG image"),
    (b"#?RADIANCE", Beginning::Image, "a Radiance image"),
    (b"\x93NUMPY", Beginning::Numbers, "a NumPy array"),
    (b"\x89HDF", Beginning::Numbers, "an HDF5 file"),
    (b"GGUF", Beginning::Numbers, "a GGUF file"),
    (b"%PDF", Beginning::Other, "a PDF document"),
    (b"\x80\x02", Beginning::Other, "a Python pickle"),
    (b"\x80\x03", Beginning::Other, "a Python pickle"),
    (b"\x80\x04", Beginning::Other, "a Python pickle"),
    (b"\x80\x05", Beginning::Other, "a Python pickle"),
    (b"\x1aE\xdf\xa3", Beginning::Other, "a video"),
    (b"\x7fELF", Beginning::Other, "a program or a library"),
];

/// First bytes of pickles of protocols 0 and 1 that hold a dictionary or a list.
const OLD_PICKLES: [&[u8]; 5] = [b"ccollections\n", b"(dp", b"(lp", b"}q\0", b"]q\0"];

/// The brands that follow `ftyp` in a file of the ISO base media format.
const BRANDS: &[(&[u8], Beginning)] = &[
    (b"heic", Beginning::Image("a HEIC image")),
    (b"heix", Beginning::Image("a HEIC image")),
    (b"mif1", Beginning::Image("a HEIF image")),
    (b"avif", Beginning::Image("an AVIF image")),
    (b"avis", Beginning::Image("an AVIF image")),
    (b"", Beginning::Other("a video")),
];

impl Beginning {
    /// Identifies a file by its first bytes.
    pub fn of(bytes: &[u8]) -> Beginning {
        let bytes = &bytes[..bytes.len().min(ENOUGH)];
        if bytes.is_empty() {
            return Beginning::Empty;
        }
        if let Some((_, kind, name)) = KNOWN.iter().find(|(start, ..)| bytes.starts_with(start)) {
            return kind(name);
        }
        let after = |at: usize| bytes.get(at..).unwrap_or_default();
        match bytes {
            _ if bytes.starts_with(b"RIFF") && after(8).starts_with(b"WEBP") => Beginning::Image("a WebP image"),
            // A bitmap's four reserved bytes are 0; a text may begin with these letters.
            _ if bytes.starts_with(b"BM") && after(6).starts_with(&[0; 4]) => Beginning::Image("a BMP image"),
            [b'P', b'1'..=b'7', b' ' | b'\n' | b'\r' | b'\t', ..] => Beginning::Image("a PNM image"),
            _ if after(4).starts_with(b"ftyp") => {
                let brand = BRANDS.iter().find(|(brand, _)| after(8).starts_with(brand));
                brand.expect("the last is the start of any").1.clone()
            }
            // The size field of a text smaller than 16 MiB in a group.
            [b'(', b'X', _, _, _, 0, ..] => Beginning::OldPickle,
            _ if OLD_PICKLES.iter().any(|start| bytes.starts_with(start)) => Beginning::OldPickle,
            _ if after(257).starts_with(b"ustar") => Beginning::Archive("a tar archive"),
            _ if bytes.iter().all(|byte| *byte == 0) => Beginning::Zeros,
            _ => Beginning::of_text(bytes),
        }
    }

    fn of_text(bytes: &[u8]) -> Beginning {
        let unknown = || Beginning::Unknown(bytes[..bytes.len().min(BYTES_TOLD)].to_vec());
        // The last character may be incomplete.
        let text = match std::str::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) if error.error_len().is_none() => {
                std::str::from_utf8(&bytes[..error.valid_up_to()]).expect("it is valid up to there")
            }
            Err(_) => return unknown(),
        };
        if text.is_empty() || text.chars().any(|c| c.is_control() && !c.is_whitespace()) {
            return unknown();
        }
        let text = text.trim_start_matches('\u{feff}').trim();
        let begins = |word: &str| text.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word));
        if begins("<svg") || (begins("<?xml") && text.contains("<svg")) {
            return Beginning::Image("an SVG drawing");
        }
        if ["<!doctype", "<html", "<head", "<body", "<!--", "<script", "<?xml"].iter().any(|word| begins(word)) {
            return Beginning::Page;
        }
        let line: String = text.lines().next().unwrap_or_default().chars().take(CHARACTERS_TOLD).collect();
        Beginning::Text(line.escape_debug().to_string())
    }

    /// Advice that holds whatever was expected; `None` where it depends on that.
    pub fn cure(&self) -> Option<&'static str> {
        Some(match self {
            Beginning::Pointer("a pointer of git-annex") => "`git annex get` fetches the file itself",
            Beginning::Pointer(_) => "`git lfs pull` fetches the file itself",
            Beginning::Page => {
                "a server answered the download with a web page: a login or a confirmation may be required, or the file is \
                 gone; download it again and check the result"
            }
            Beginning::Empty | Beginning::Zeros => "copy or download the file again",
            Beginning::Archive("a gzip file") => "`gunzip` or `tar xzf` unpacks it",
            Beginning::Archive("a bzip2 file") => "`bunzip2` or `tar xjf` unpacks it",
            Beginning::Archive("an xz file") => "`unxz` or `tar xJf` unpacks it",
            Beginning::Archive("a zstd file") => "`unzstd` unpacks it",
            Beginning::Archive("an LZ4 file") => "`unlz4` unpacks it",
            Beginning::Archive("a tar archive") => "`tar xf` unpacks it",
            Beginning::Archive(_) => "unpack it",
            Beginning::Image(_)
            | Beginning::OldPickle
            | Beginning::Numbers(_)
            | Beginning::Other(_)
            | Beginning::Text(_)
            | Beginning::Unknown(_) => return None,
        })
    }
}

impl fmt::Display for Beginning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Beginning::Empty => f.write_str("empty"),
            Beginning::Zeros => f.write_str("a file that begins with zero bytes"),
            Beginning::Page => f.write_str("a web page (HTML or XML)"),
            Beginning::OldPickle => f.write_str("a Python pickle of an old protocol"),
            Beginning::Pointer(name)
            | Beginning::Archive(name)
            | Beginning::Image(name)
            | Beginning::Numbers(name)
            | Beginning::Other(name) => f.write_str(name),
            Beginning::Text(start) => write!(f, "a text that begins with \"{start}\""),
            Beginning::Unknown(bytes) => {
                f.write_str("a file that begins with the bytes")?;
                bytes.iter().try_for_each(|byte| write!(f, " {byte:02x}"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_told_by_what_it_begins_with() {
        let tar = [&[b'a'; 257][..], b"ustar\0"].concat();
        let of: [(&[u8], &str); 25] = [
            (b"", "empty"),
            (&[0; 600], "a file that begins with zero bytes"),
            (b"\n <!DOCTYPE HTML>\n<html>", "a web page (HTML or XML)"),
            (b"\xef\xbb\xbf<html lang=en>", "a web page (HTML or XML)"),
            (b"version https://git-lfs.github.com/pipeline/v1\noid", "a pointer of git-lfs"),
            (b"PK\x03\x04abc", "a ZIP archive"),
            (&tar, "a tar archive"),
            (b"RIFF\x10\0\0\0WEBPVP8 ", "a WebP image"),
            (b"BM\x10\0\0\0\0\0\0\0", "a BMP image"),
            (b"BMW is a car", "a text that begins with \"BMW is a car\""),
            (b"\0\0\0\x1cftypheic", "a HEIC image"),
            (b"\0\0\0\x1cftypisom", "a video"),
            (b"P6\n3 2\n255\n", "a PNM image"),
            (b"<?xml version='1.0'?><svg>", "an SVG drawing"),
            (b"a\x1b[31mred", "a file that begins with the bytes 61 1b 5b 33 31 6d 72 65"),
            (b"<?xml version='1.0'?><Error><Code>AccessDenied", "a web page (HTML or XML)"),
            (b"\x1f\x8b\x08\0", "a gzip file"),
            (b"\x89HDF\r\n\x1a\n\0", "an HDF5 file"),
            (b"\x89PNG\r\n\x1a\n", "a PNG image"),
            (b"\xff\xd8\xff\xe0", "a JPEG image"),
            (b"(dp0\nS'a'\n", "a Python pickle of an old protocol"),
            (b"(X\x07\0\0\0storage", "a Python pickle of an old protocol"),
            (b"(X marks the spot)", "a text that begins with \"(X marks the spot)\""),
            (b"\x80\x04\x95", "a Python pickle"),
            (b"\x01\x02\xfe", "a file that begins with the bytes 01 02 fe"),
        ];
        for (bytes, expected) in of {
            assert_eq!(Beginning::of(bytes).to_string(), expected);
        }
    }

    #[test]
    fn text_is_shown_as_far_as_it_is_short_and_without_control_characters() {
        let long = "x".repeat(600);
        assert_eq!(Beginning::of(long.as_bytes()), Beginning::Text("x".repeat(CHARACTERS_TOLD)));
        assert_eq!(Beginning::of("a\u{200e}b".as_bytes()), Beginning::Text("a\\u{200e}b".to_owned()));
        // A character that the first bytes cut in two.
        assert!(matches!(Beginning::of("é".repeat(300).as_bytes().split_last().unwrap().1), Beginning::Text(_)));
    }
}
