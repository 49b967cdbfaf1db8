//! Determines the format of a weights file by its first bytes: its name may be the cache's, or wrong.
//!
//! Users pass whatever a download left them: a login page, a Git LFS pointer, an archive that holds the file. The message
//! names what it is ([`Beginning`]) and how to get the file itself.
use intrada_beginning::Beginning;
pub use intrada_beginning::ENOUGH;

/// The format of a file.
#[derive(Debug, PartialEq, Eq)]
pub enum Form {
    /// Tensors behind a JSON header.
    Safetensors,
    /// A pickle, possibly in a ZIP archive.
    Pth,
    /// Neither: what it is, and what to do.
    Other(String),
}

/// How torch.save's old format begins in a pickle of protocol 0 or 1: its magic number as text.
pub const MAGIC_AS_TEXT: &[u8] = b"L119547037146038801333356L\n.";

/// The format of a file, by its first [`ENOUGH`] bytes.
pub fn form(file: &[u8]) -> Form {
    let begin = &file[..file.len().min(ENOUGH)];
    // A safetensors file can begin with the same byte as a pickle, but no pickle and no archive has a `{` there as well.
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

/// Whether a header of less than 2^40 bytes follows, by its length and its first character.
fn has_header(begin: &[u8]) -> bool {
    matches!(begin, [_, _, _, _, _, 0, 0, 0, b'{', ..])
}

fn describe(begin: &[u8]) -> String {
    let found = Beginning::of(begin);
    let what = match &found {
        Beginning::Empty => "it is empty (0 bytes)".to_owned(),
        Beginning::Zeros => "its first bytes are all 0".to_owned(),
        Beginning::Unknown(_) => format!("it is {found}, unlike a safetensors file or one of torch.save"),
        _ => format!("it is {found}"),
    };
    let cure = found.cure().unwrap_or(match found {
        Beginning::Numbers(_) => "save its tensors with PyTorch, or as safetensors",
        Beginning::OldPickle => {
            "torch.save never used it; if you trust it, load it with the code that wrote it and save its tensors again: \
             `torch.save(state_dict, …)`"
        }
        Beginning::Image(_) | Beginning::Other(_) => "give the path of the checkpoint",
        _ => "download the file again and check the result",
    });
    // PyTorch before 0.2 wrote its checkpoints as tar archives.
    let old = if found == Beginning::Archive("a tar archive") { OLD_TAR } else { "" };
    format!("{what}; {cure}{old}")
}

const OLD_TAR: &str = " (PyTorch before 0.2 wrote such checkpoints: load and save it with PyTorch)";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_checkpoint_is_called_what_it_is() {
        let tar = [&[b'a'; 257][..], b"ustar\0", &[0; 100]].concat();
        let cases: [(&[u8], &str); 14] = [
            (b"", "it is empty (0 bytes)"),
            (b"<!DOCTYPE html><html>", "it is a web page (HTML or XML); a server"),
            (b"\xef\xbb\xbf\n  <html lang=en>", "it is a web page (HTML or XML); a server"),
            (b"<?xml version='1.0'?><Error><Code>AccessDenied", "it is a web page (HTML or XML); a server"),
            (
                b"version https://git-lfs.github.com/pipeline/v1\noid sha256:00\nsize 12\n",
                "it is a pointer of git-lfs; `git lfs pull`",
            ),
            (b"\x1f\x8b\x08\x00", "it is a gzip file; `gunzip`"),
            (&tar, "it is a tar archive; `tar xf` unpacks it (PyTorch before 0.2"),
            (b"\x89HDF\r\n\x1a\n\0", "it is an HDF5 file; save its tensors with PyTorch"),
            (b"Entry not found", "it is a text that begins with \"Entry not found\""),
            (b"{\"message\": \"Not \x1b[2JFound\"}", "it is a file that begins with the bytes 7b 22"),
            (&[0; 64], "its first bytes are all 0"),
            (b"\x01\x02\x03\xff", "it is a file that begins with the bytes 01 02 03 ff"),
            (b"(dp0\nS'a'\n", "it is a Python pickle of an old protocol; torch.save"),
            (b"\x05\0\0\0\0\0\0\0", "it is a file that begins with the bytes 05 00"),
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
