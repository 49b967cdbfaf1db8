//! Opens regular files without blocking, replaces files whole, creates private folders, and removes anything at a path.
//!
//! Knows nothing of a file's meaning. Opening a pipe blocks until somebody writes to it, and opening a device may start
//! something. So the type is checked before opening, and anything but a file is an error that names the type.

use std::fs::{self, File, FileType, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::OFlags;

/// Opens the file at `path` for reading; follows links.
///
/// # Errors
/// Errors of the file system, [`ErrorKind::IsADirectory`] for a folder, and [`ErrorKind::InvalidInput`] for a pipe, a
/// socket or a device; the message names the type.
pub fn open(path: &Path) -> io::Result<File> {
    be_a_file(&fs::metadata(path)?)?;
    open_file(path).map(|(file, _)| file)
}

/// The same of what was a file a moment ago, with its metadata.
///
/// # Errors
/// Those of [`open`].
pub fn open_file(path: &Path) -> io::Result<(File, Metadata)> {
    let flags = OFlags::NONBLOCK.bits() as i32;
    let file = match OpenOptions::new().read(true).custom_flags(flags).open(path) {
        // Another program holds a kernel lease on the file, and releases it when somebody waits for it.
        Err(error) if error.kind() == ErrorKind::WouldBlock => File::open(path)?,
        file => file?,
    };
    // It may have been replaced in between.
    let metadata = file.metadata()?;
    be_a_file(&metadata)?;
    Ok((file, metadata))
}

/// The content of the file at `path`.
///
/// # Errors
/// Those of [`open`], and read errors.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    be_a_file(&fs::metadata(path)?)?;
    let (file, metadata) = open_file(path)?;
    let mut bytes = Vec::with_capacity(metadata.len() as usize);
    // Reading the file directly would query its size and position once more.
    file.take(u64::MAX).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The same, as text.
///
/// # Errors
/// Those of [`read`], and [`ErrorKind::InvalidData`] if it isn't UTF-8.
pub fn read_to_string(path: &Path) -> io::Result<String> {
    String::from_utf8(read(path)?).map_err(|error| io::Error::new(ErrorKind::InvalidData, error))
}

/// The first bytes of the file at `path`, at most `most`.
///
/// # Errors
/// Those of [`read`].
pub fn read_at_most(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(most.min(512) as usize);
    open(path)?.take(most).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Puts a file with this content at `path`, in one step: a reader sees the content before or after it, whole. Only its owner may
/// read it.
///
/// # Errors
/// Errors of the file system.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = tempfile::NamedTempFile::new_in(path.parent().unwrap_or(Path::new(".")))?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path).map(|_| ()).map_err(|error| error.error)
}

/// Creates a folder that only this user may enter, if there is none.
///
/// # Errors
/// Errors of the file system; what is there is no folder, or belongs to somebody else.
pub fn private_folder(path: &Path) -> io::Result<Metadata> {
    match fs::DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let found = fs::symlink_metadata(path)?;
    let is_own = found.is_dir() && found.uid() == rustix::process::getuid().as_raw();
    if is_own { Ok(found) } else { Err(io::Error::other("it is no folder of this user")) }
}

/// Removes the file, link or folder at `path`, recursively; nothing if it is missing.
///
/// # Errors
/// Errors of the file system.
pub fn remove(path: &Path) -> io::Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// The type of anything but a file, with its article; `None` for a file.
pub fn other_than_a_file(kind: FileType) -> Option<&'static str> {
    match kind {
        _ if kind.is_file() => None,
        _ if kind.is_dir() => Some("a folder"),
        _ if kind.is_symlink() => Some("a link"),
        _ if kind.is_fifo() => Some("a pipe"),
        _ if kind.is_socket() => Some("a socket"),
        _ => Some("a device"),
    }
}

fn be_a_file(metadata: &Metadata) -> io::Result<()> {
    match other_than_a_file(metadata.file_type()) {
        None => Ok(()),
        Some(what) if metadata.is_dir() => {
            Err(io::Error::new(ErrorKind::IsADirectory, format!("it is {what}, not a file")))
        }
        Some(what) => Err(io::Error::new(ErrorKind::InvalidInput, format!("it is {what}, not a file"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipe_a_socket_and_a_device_are_named_at_once_and_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let [pipe, socket] = ["pipe", "socket"].map(|name| dir.path().join(name));
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR).unwrap();
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        let cases = [(&*pipe, "it is a pipe"), (&socket, "it is a socket"), (Path::new("/dev/null"), "it is a device")];
        for (path, what) in cases {
            let error = read(path).unwrap_err();
            assert_eq!((error.kind(), error.to_string()), (ErrorKind::InvalidInput, format!("{what}, not a file")));
        }
        assert_eq!(read(dir.path()).unwrap_err().kind(), ErrorKind::IsADirectory);
    }

    #[test]
    fn a_file_is_read_through_links_and_no_further_than_asked() {
        let dir = tempfile::tempdir().unwrap();
        let [file, link] = ["file", "link"].map(|name| dir.path().join(name));
        fs::write(&file, "some text").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        assert_eq!(read_to_string(&link).unwrap(), "some text");
        assert_eq!(read_at_most(&link, 4).unwrap(), b"some");
        assert_eq!(read(&dir.path().join("none")).unwrap_err().kind(), ErrorKind::NotFound);
    }
}
