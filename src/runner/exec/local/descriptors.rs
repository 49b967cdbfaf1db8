//! Bytes and open files through a socket to another process of this machine.
//!
//! Knows no job. The receiver gets duplicates, as a child gets by inheritance: a lock that belongs to the open file lasts until all are
//! closed.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;

/// Linux passes 253 at once, other systems at least as many as this.
pub(super) const MOST: usize = 128;

/// Room for [`MOST`] descriptors and the header before them, aligned as that.
type Room = [u64; (MOST * size_of::<libc::c_int>() + 64) / size_of::<u64>()];

/// Sends a byte with up to [`MOST`] open files.
///
/// # Errors
/// The receiver is gone, or the system refuses it.
pub(super) fn send(line: &UnixStream, byte: u8, files: &[BorrowedFd<'_>]) -> io::Result<()> {
    assert!(files.len() <= MOST, "the caller sends more in several messages");
    let mut bytes = [byte];
    let mut part = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: 1 };
    let mut room: Room = [0; _];
    let size = size_of_val(files) as libc::c_uint;
    // SAFETY: all zero is a message without parts.
    let mut message: libc::msghdr = unsafe { MaybeUninit::zeroed().assume_init() };
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    if !files.is_empty() {
        message.msg_control = room.as_mut_ptr().cast();
        // SAFETY: only computes a size, which fits: `room` has 64 bytes more than the descriptors.
        message.msg_controllen = unsafe { libc::CMSG_SPACE(size) } as _;
        // SAFETY: `room` is large enough and aligned for one header with these descriptors behind it.
        unsafe {
            let header = libc::CMSG_FIRSTHDR(&raw const message);
            (*header).cmsg_level = libc::SOL_SOCKET;
            (*header).cmsg_type = libc::SCM_RIGHTS;
            (*header).cmsg_len = libc::CMSG_LEN(size) as _;
            let data = libc::CMSG_DATA(header).cast::<libc::c_int>();
            for (place, file) in files.iter().enumerate() {
                data.add(place).write_unaligned(file.as_raw_fd());
            }
        }
    }
    loop {
        // SAFETY: the message points to values that live until the call returns.
        let sent = unsafe { libc::sendmsg(line.as_raw_fd(), &raw const message, NO_SIGNAL) };
        match (sent, io::Error::last_os_error()) {
            (1.., _) => return Ok(()),
            (_, error) if error.kind() == io::ErrorKind::Interrupted => {}
            (_, error) => return Err(error),
        }
    }
}

/// Receives a byte and the open files that were sent with it; they are closed in programs that this process starts. `None`: the sender is
/// gone.
///
/// # Errors
/// The system refuses it.
pub(super) fn receive(line: &UnixStream) -> io::Result<Option<(u8, Vec<OwnedFd>)>> {
    let mut bytes = [0];
    let mut part = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: 1 };
    let mut room: Room = [0; _];
    // SAFETY: all zero is a message without parts.
    let mut message: libc::msghdr = unsafe { MaybeUninit::zeroed().assume_init() };
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    message.msg_control = room.as_mut_ptr().cast();
    message.msg_controllen = size_of::<Room>() as _;
    let received = loop {
        // SAFETY: the message points to values that live until the call returns.
        let received = unsafe { libc::recvmsg(line.as_raw_fd(), &raw mut message, CLOSED_IN_PROGRAMS) };
        match (received, io::Error::last_os_error()) {
            (0.., _) => break received,
            (_, error) if error.kind() == io::ErrorKind::Interrupted => {}
            (_, error) => return Err(error),
        }
    };
    let mut files = Vec::new();
    // SAFETY: the kernel has written headers into `room`, each with as many descriptors behind it as its length says, which are this
    // process's own from now on.
    unsafe {
        let mut header = libc::CMSG_FIRSTHDR(&raw const message);
        while !header.is_null() {
            if (*header).cmsg_level == libc::SOL_SOCKET && (*header).cmsg_type == libc::SCM_RIGHTS {
                let size = (*header).cmsg_len as usize - libc::CMSG_LEN(0) as usize;
                let data = libc::CMSG_DATA(header).cast::<libc::c_int>();
                let count = size / size_of::<libc::c_int>();
                files.extend((0..count).map(|place| OwnedFd::from_raw_fd(data.add(place).read_unaligned())));
            }
            header = libc::CMSG_NXTHDR(&raw const message, header);
        }
    }
    #[cfg(not(target_os = "linux"))]
    for file in &files {
        rustix::io::fcntl_setfd(file, rustix::io::FdFlags::CLOEXEC)?;
    }
    if message.msg_flags & libc::MSG_CTRUNC != 0 {
        return Err(io::Error::other("not all open files arrived: this process may have too many"));
    }
    Ok((received > 0).then_some((bytes[0], files)))
}

/// No signal if the receiver is gone.
#[cfg(target_os = "linux")]
const NO_SIGNAL: libc::c_int = libc::MSG_NOSIGNAL;
/// Rust's start ignores that signal.
#[cfg(not(target_os = "linux"))]
const NO_SIGNAL: libc::c_int = 0;

#[cfg(target_os = "linux")]
const CLOSED_IN_PROGRAMS: libc::c_int = libc::MSG_CMSG_CLOEXEC;
#[cfg(not(target_os = "linux"))]
const CLOSED_IN_PROGRAMS: libc::c_int = 0;

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn as_many_open_files_as_are_sent_arrive_with_their_byte_and_lead_to_the_same_place() {
        let (here, there) = UnixStream::pair().unwrap();
        for count in [0, 1, 2, MOST] {
            let (mut read, write) = std::io::pipe().unwrap();
            send(&here, b'x', &vec![write.as_fd(); count]).unwrap();
            (&here).write_all(b"after").unwrap();
            let (byte, files) = receive(&there).unwrap().unwrap();
            assert_eq!((byte, files.len()), (b'x', count));
            let mut after = [0; 5];
            (&there).read_exact(&mut after).unwrap();
            assert_eq!(&after, b"after");
            drop(write);
            let mut said = String::new();
            for file in files {
                std::fs::File::from(file).write_all(b"!").unwrap();
            }
            read.read_to_string(&mut said).unwrap();
            assert_eq!(said.len(), count);
        }
        drop(here);
        assert!(receive(&there).unwrap().is_none());
        assert!(send(&there, b'x', &[]).is_err());
    }
}
