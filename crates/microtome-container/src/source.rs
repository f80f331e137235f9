//! Where the bytes of a container are: a file, or whatever else they can be read from by position.

use std::fs::File;
use std::io;
use std::time::SystemTime;

/// Something that a container is read from. Its bytes stay the same, or reads fail.
pub trait Source: std::fmt::Debug + Send + Sync {
    /// Its length in bytes.
    ///
    /// # Errors
    /// What the system said.
    fn length(&self) -> io::Result<u64>;

    /// Fills the buffer with the bytes from `offset` on. Blocks.
    ///
    /// # Errors
    /// What the system said: `UnexpectedEof` where there are not as many, and one of the kinds that [`is_out_of_reach`] knows
    /// where nothing is known of the bytes.
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;

    /// Whether the buffer could be filled from memory. Any error is the business of the read that waits.
    fn read_at_once(&self, buffer: &mut [u8], offset: u64) -> bool;

    /// Lets go of what is kept of some bytes, which turned out wrong. Whether they may be others when they are read again.
    fn forget(&self, offset: u64, length: u64) -> bool;

    /// Whether what was just read is of what was there in the beginning, as far as can be told without waiting.
    fn is_unchanged(&self) -> bool;
}

/// Whether an error says nothing of the bytes: who should give them does not answer, or not now.
#[must_use]
pub fn is_out_of_reach(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    matches!(
        error.kind(),
        Kind::TimedOut
            | Kind::ConnectionRefused
            | Kind::ConnectionReset
            | Kind::ConnectionAborted
            | Kind::HostUnreachable
            | Kind::NetworkUnreachable
            | Kind::NetworkDown
    )
}

/// Whether an error says something of the bytes, and not of who should give them, or of the name that they were under.
#[must_use]
pub fn is_of_bytes(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    let is_of_name = matches!(error.kind(), Kind::NotFound | Kind::StaleNetworkFileHandle);
    // What a storage says that is no answer to the question.
    let is_beside = matches!(error.kind(), Kind::PermissionDenied | Kind::Unsupported | Kind::InvalidData);
    !is_out_of_reach(error) && !is_of_name && !is_beside
}

/// A file, which may be written over while it is open.
#[derive(Debug)]
pub(crate) struct OpenFile {
    file: File,
    opened: Option<State>,
}

/// Length and time of the last write. (That of the last change of any kind is another one when the file's name goes to another.)
type State = (u64, Option<SystemTime>);

impl OpenFile {
    pub(crate) fn new(file: File) -> Self {
        let opened = state(&file);
        Self { file, opened }
    }
}

fn state(file: &File) -> Option<State> {
    let metadata = file.metadata().ok()?;
    Some((metadata.len(), metadata.modified().ok()))
}

impl Source for OpenFile {
    fn length(&self) -> io::Result<u64> {
        self.file.metadata().map(|metadata| metadata.len())
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        read_exact_at(&self.file, buffer, offset)
    }

    fn read_at_once(&self, buffer: &mut [u8], offset: u64) -> bool {
        read_at_once(&self.file, buffer, offset)
    }

    fn forget(&self, _offset: u64, _length: u64) -> bool {
        false
    }

    fn is_unchanged(&self) -> bool {
        self.opened.is_some() && state(&self.file) == self.opened
    }
}

/// Whether the buffer could be filled from memory. Any error is the business of the read that waits.
#[cfg(target_os = "linux")]
fn read_at_once(file: &File, buffer: &mut [u8], offset: u64) -> bool {
    use rustix::io::{ReadWriteFlags, preadv2};
    let length = buffer.len();
    let read = preadv2(file, &mut [io::IoSliceMut::new(buffer)], offset, ReadWriteFlags::NOWAIT);
    read.is_ok_and(|read| read == length)
}

#[cfg(not(target_os = "linux"))]
fn read_at_once(_file: &File, _buffer: &mut [u8], _offset: u64) -> bool {
    false
}

/// Reads exactly `buffer.len()` bytes at `offset` without moving the file's cursor.
#[cfg(unix)]
pub(crate) fn read_exact_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, buffer, offset)
}

/// Reads exactly `buffer.len()` bytes at `offset`.
#[cfg(windows)]
pub(crate) fn read_exact_at(file: &File, mut buffer: &mut [u8], mut offset: u64) -> io::Result<()> {
    while !buffer.is_empty() {
        match std::os::windows::fs::FileExt::seek_read(file, buffer, offset)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            n => (buffer, offset) = (&mut buffer[n..], offset + n as u64),
        }
    }
    Ok(())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::io::Write;

    use rustix::io::{Errno, ReadWriteFlags, preadv2};

    use super::*;

    #[test]
    #[allow(clippy::print_stderr, reason = "a test that skips says so")]
    fn what_was_just_written_is_had_at_once() {
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(b"0123456789").expect("writes");
        let mut bytes = [0; 4];
        let plain = preadv2(&file, &mut [io::IoSliceMut::new(&mut [0; 4])], 3, ReadWriteFlags::NOWAIT);
        if plain == Err(Errno::OPNOTSUPP) {
            eprintln!("skipped: the file system of temporary files cannot tell what is in memory");
            return;
        }
        assert!(read_at_once(&file, &mut bytes, 3));
        assert_eq!(&bytes, b"3456");
        // Beyond the end there is an error to be had, by who waits.
        assert!(!read_at_once(&file, &mut bytes, 8));
    }
}
