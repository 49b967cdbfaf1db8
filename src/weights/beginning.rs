//! What a file really is, by its first bytes: its name may be the cache's, or wrong.
//!
//! People hand in what a download left them: a page that asks for a login, a pointer of Git LFS, an archive with the file in
//! it. It is said what that is, and how to come by the file.
use crate::shown::Shown;

/// The form of a file.
#[derive(Debug, PartialEq, Eq)]
pub enum Form {
    /// Tensors behind a header in JSON.
    Safetensors,
    /// A pickle, perhaps in a zip archive.
    Pth,
    /// Neither: what it is, and what to do.
    Other(String),
}

/// Known forms of other files: how they begin, what they are, what to do.
const OTHERS: &[(&[u8], &str, &str)] = &[
    (b"version https://git-lfs", "a pointer of Git LFS, not the file itself", "`git lfs pull` fetches it"),
    (b"/annex/objects/", "a pointer of git-annex, not the file itself", "`git annex get` fetches it"),
    (b"\x1f\x8b", "packed with gzip", "`gunzip` or `tar xzf` unpacks it"),
    (b"BZh", "packed with bzip2", "`bunzip2` or `tar xjf` unpacks it"),
    (b"\xfd7zXZ\0", "packed with xz", "`unxz` or `tar xJf` unpacks it"),
    (b"\x28\xb5\x2f\xfd", "packed with Zstandard", "`unzstd` unpacks it"),
    (b"\x04\x22\x4d\x18", "packed with LZ4", "`unlz4` unpacks it"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", "unpack it"),
    (b"Rar!\x1a\x07", "a RAR archive", "unpack it"),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file, as Keras writes", "save its tensors with PyTorch"),
    (b"\x93NUMPY", "a NumPy array", "save its tensors with PyTorch"),
    (b"GGUF", "a GGUF file", "save its tensors with PyTorch or as safetensors"),
    (b"\x89PNG", "a PNG image", ELSEWHERE),
    (b"\xff\xd8\xff", "a JPEG image", ELSEWHERE),
    (b"GIF8", "a GIF image", ELSEWHERE),
    (b"%PDF", "a PDF document", ELSEWHERE),
    (b"\x7fELF", "a program or a library", ELSEWHERE),
    (b"<?xml", PAGE.0, PAGE.1),
    (b"ccollections\n", OLD_PICKLE.0, OLD_PICKLE.1),
    (b"(dp", OLD_PICKLE.0, OLD_PICKLE.1),
    (b"(lp", OLD_PICKLE.0, OLD_PICKLE.1),
    (b"}q\0", OLD_PICKLE.0, OLD_PICKLE.1),
    (b"]q\0", OLD_PICKLE.0, OLD_PICKLE.1),
    (b"(X", OLD_PICKLE.0, OLD_PICKLE.1),
];

const ELSEWHERE: &str = "give the path of the checkpoint";
const PAGE: (&str, &str) = (
    "a page (HTML or XML), as a server sends it in the place of a file that needs a login or a confirmation or is gone",
    "download the file again, and look at what came",
);
const OLD_PICKLE: (&str, &str) = (
    "a pickle of an old protocol, but not one of torch.save",
    "if you trust it, load it with the code that wrote it and save its tensors again: `torch.save(state_dict, …)`",
);

/// As many bytes are enough; a file may have fewer.
pub const ENOUGH: usize = 512;

/// How torch.save's old format begins in a pickle of protocol 0 or 1: its magic number as a text.
pub const MAGIC_AS_TEXT: &[u8] = b"L119547037146038801333356L\n.";

/// Which form a file has, by its first [`ENOUGH`] bytes.
pub fn form(file: &[u8]) -> Form {
    let begin = &file[..file.len().min(ENOUGH)];
    // A safetensors file can begin with the byte of a pickle, but no pickle and no archive has a `{` there as well.
    if has_header(begin) {
        return Form::Safetensors;
    }
    if is_pth(begin) { Form::Pth } else { Form::Other(describe(begin)) }
}

/// Whether these are the first bytes of an archive or of a pickle.
fn is_pth(begin: &[u8]) -> bool {
    const LAST_PROTOCOL: u8 = 5;
    begin.starts_with(b"PK\x03\x04")
        || begin.starts_with(b"PK\x05\x06")
        || begin.starts_with(MAGIC_AS_TEXT)
        || matches!(begin, [0x80, protocol, ..] if *protocol <= LAST_PROTOCOL)
}

/// The length of the header, less than 2^40, and the header's first character.
fn has_header(begin: &[u8]) -> bool {
    matches!(begin, [_, _, _, _, _, 0, 0, 0, b'{', ..])
}

fn describe(begin: &[u8]) -> String {
    if begin.is_empty() {
        return "it is empty (0 bytes); copy or download it again".to_owned();
    }
    let text = String::from_utf8_lossy(begin);
    let text = text.trim_start_matches('\u{feff}').trim_start();
    let is_page = |tag: &&str| text.get(..tag.len()).is_some_and(|start| start.eq_ignore_ascii_case(tag));
    if ["<!doctype", "<html", "<head", "<!--", "<script"].iter().any(is_page) {
        return format!("it is {}; {}", PAGE.0, PAGE.1);
    }
    if let Some((_, what, help)) = OTHERS.iter().find(|(known, ..)| begin.starts_with(known)) {
        return format!("it is {what}; {help}");
    }
    if begin.get(257..262) == Some(b"ustar") {
        let old = "PyTorch before 0.2 wrote checkpoints so: load and save it with PyTorch";
        return format!("it is a tar archive; `tar xf` unpacks it ({old})");
    }
    if begin.iter().all(|byte| *byte == 0) {
        return "its first bytes are all 0; copy or download it again".to_owned();
    }
    let line = text.lines().next().unwrap_or_default();
    // The replacement character stands for what is no text; the last one may be cut.
    if !line.is_empty() && !line.contains(|c: char| (c.is_control() && c != '\t') || c == char::REPLACEMENT_CHARACTER) {
        let first: String = line.chars().take(60).collect();
        let first = Shown(&first);
        return format!("it is a text that begins with \"{first}\"; download the file again, and look at what came");
    }
    let bytes: Vec<String> = begin.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let begins = format!("it begins with the bytes {}", bytes.join(" "));
    format!("{begins}, as neither a safetensors file nor one of torch.save does; copy or download it again")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_checkpoint_is_called_what_it_is() {
        let tar = [&[b'a'; 257][..], b"ustar\0", &[0; 100]].concat();
        let cases: [(&[u8], &str); 14] = [
            (b"", "it is empty (0 bytes)"),
            (b"<!DOCTYPE html><html>", "it is a page (HTML or XML)"),
            (b"\xef\xbb\xbf\n  <html lang=en>", "it is a page (HTML or XML)"),
            (b"<?xml version='1.0'?><Error><Code>AccessDenied", "it is a page (HTML or XML)"),
            (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n", "it is a pointer of Git LFS"),
            (b"\x1f\x8b\x08\x00", "it is packed with gzip; `gunzip`"),
            (&tar, "it is a tar archive; `tar xf` unpacks it"),
            (b"\x89HDF\r\n\x1a\n\0", "it is an HDF5 file"),
            (b"Entry not found", "it is a text that begins with \"Entry not found\""),
            (b"{\"message\": \"Not \x1b[2JFound\"}", "it begins with the bytes 7b 22"),
            (&[0; 64], "its first bytes are all 0"),
            (b"\x01\x02\x03\xff", "it begins with the bytes 01 02 03 ff"),
            (b"(dp0\nS'a'\n", "it is a pickle of an old protocol"),
            (b"\x05\0\0\0\0\0\0\0", "it begins with the bytes 05 00"),
        ];
        for (file, said) in cases {
            let Form::Other(what) = form(file) else { panic!("{file:?} is taken for a checkpoint") };
            assert!(what.starts_with(said), "{what}");
        }
    }

    #[test]
    fn the_content_says_which_of_the_two_a_file_is_whatever_its_first_byte() {
        for first in 0..=255 {
            assert_eq!(form(&[first, 0, 0, 0, 0, 0, 0, 0, b'{', b'}']), Form::Safetensors);
        }
        for file in
            [&b"PK\x03\x04\x14\0\0\0\0\0"[..], b"\x80\x02\x8a\x0al\xfc\x9cF\xf9", b"L119547037146038801333356L\n."]
        {
            assert_eq!(form(file), Form::Pth);
        }
    }
}
