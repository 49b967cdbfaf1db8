//! A ZIP archive, or the folder into which somebody has unpacked it: files by their names. And a new archive.
//!
//! Knows no format of labels. The only place that names the crate.

use std::fs::{self, File};
use std::io::{self, Cursor, Read, Write};
use std::path::{Path, PathBuf};

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipArchive, ZipWriter};

/// The largest file that is read from an archive, in bytes: a mask of as many pixels as any image has is smaller, and a few
/// bytes of an archive may claim to be a thousand times as many.
const LARGEST: u64 = 1 << 30;

/// Files by their names, which have `/` between their parts.
pub enum Archive {
    /// Packed.
    Packed {
        /// It.
        archive: Box<ZipArchive<File>>,
        /// The names of its files.
        names: Vec<String>,
    },
    /// Unpacked.
    Folder {
        /// Where.
        path: PathBuf,
        /// The names of its files.
        names: Vec<String>,
    },
}

impl Archive {
    /// Opens an archive or a folder; `None`: it is a file, but no archive.
    ///
    /// # Errors
    /// It can't be read, or is damaged.
    pub fn open(path: &Path) -> io::Result<Option<Archive>> {
        if fs::metadata(path)?.is_dir() {
            let mut names = Vec::new();
            list(path, "", &mut names)?;
            names.sort();
            return Ok(Some(Archive::Folder { path: path.to_owned(), names }));
        }
        let mut file = crate::plain::open(path)?;
        let mut beginning = [0; 2];
        if file.read(&mut beginning)? < 2 || &beginning != b"PK" {
            return Ok(None);
        }
        let archive = ZipArchive::new(file)?;
        let names = archive.file_names().collect::<Result<Vec<_>, _>>()?;
        let mut names: Vec<String> =
            names.into_iter().filter(|name| !name.ends_with('/')).map(|name| name.into_owned()).collect();
        names.sort();
        Ok(Some(Archive::Packed { archive: Box::new(archive), names }))
    }

    /// The names of its files, sorted.
    pub fn names(&self) -> &[String] {
        match self {
            Archive::Packed { names, .. } | Archive::Folder { names, .. } => names,
        }
    }

    /// The content of a file.
    ///
    /// # Errors
    /// It isn't there, is damaged, or too large.
    pub fn read(&mut self, name: &str) -> io::Result<Vec<u8>> {
        match self {
            Archive::Packed { archive, .. } => {
                let mut bytes = Vec::new();
                // The checksum is compared at the end.
                archive.by_name(name)?.take(LARGEST + 1).read_to_end(&mut bytes)?;
                if bytes.len() as u64 > LARGEST {
                    return Err(io::Error::other(format!("it has more than {LARGEST} bytes")));
                }
                Ok(bytes)
            }
            Archive::Folder { path, .. } => crate::plain::read(&path.join(name)),
        }
    }
}

fn list(folder: &Path, at: &str, names: &mut Vec<String>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        // A name that is no text is none of a format.
        let Some(name) = entry.file_name().to_str().map(|name| format!("{at}{name}")) else { continue };
        if entry.file_type()?.is_dir() {
            list(&entry.path(), &format!("{name}/"), names)?;
        } else {
            names.push(name);
        }
    }
    Ok(())
}

/// A new archive in memory, whose bytes depend on its files only. Nothing is compressed: photographs and masks are already.
pub struct NewArchive(ZipWriter<Cursor<Vec<u8>>>);

impl Default for NewArchive {
    fn default() -> NewArchive {
        NewArchive::new()
    }
}

impl NewArchive {
    /// Without files.
    pub fn new() -> NewArchive {
        NewArchive(ZipWriter::new(Cursor::new(Vec::new())))
    }

    /// Adds a file.
    ///
    /// # Errors
    /// Two files have the same name.
    pub fn add(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let plain = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
        self.0.start_file(name, plain.last_modified_time(DateTime::default()))?;
        self.0.write_all(bytes)
    }

    /// Its bytes.
    ///
    /// # Errors
    /// It is too large for an archive.
    pub fn finish(self) -> io::Result<Vec<u8>> {
        Ok(self.0.finish()?.into_inner())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_and_its_folder_have_the_same_files_and_equal_files_make_equal_archives() {
        let dir = tempfile::tempdir().unwrap();
        let files = [("b/deep.txt", "two"), ("a.txt", "one")];
        let make = || {
            let mut archive = NewArchive::new();
            files.iter().for_each(|(name, text)| archive.add(name, text.as_bytes()).unwrap());
            archive.finish().unwrap()
        };
        assert_eq!(make(), make());
        let [packed, folder, other] = ["x.zip", "x", "x.txt"].map(|name| dir.path().join(name));
        fs::write(&packed, make()).unwrap();
        fs::write(&other, "P").unwrap();
        for (name, text) in files {
            fs::create_dir_all(folder.join(name).parent().unwrap()).unwrap();
            fs::write(folder.join(name), text).unwrap();
        }
        for path in [packed, folder] {
            let mut archive = Archive::open(&path).unwrap().unwrap();
            assert_eq!(archive.names(), ["a.txt", "b/deep.txt"]);
            assert_eq!(archive.read("b/deep.txt").unwrap(), b"two");
            assert!(archive.read("c").is_err());
        }
        assert!(Archive::open(&other).unwrap().is_none());
        assert!(Archive::open(&dir.path().join("none")).is_err());
    }
}
