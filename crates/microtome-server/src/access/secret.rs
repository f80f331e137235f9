//! Words that nobody else may know, as settings: never printed, and better read from a file than from a command line,
//! which every user of the machine can see.

use std::fmt;
use std::path::{Path, PathBuf};

/// Longest file that is read for a secret, in bytes.
const MAX_BYTES: u64 = 16 << 10;

/// A secret setting. Its text leaves this crate nowhere.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

/// Why a secret can't be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SecretError {
    /// The file can't be read.
    #[error("{}: cannot be read: {source}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is no secret.
    #[error("{}: is to hold one line of text of at most 16 KiB", .0.display())]
    NoText(PathBuf),
    /// There is nothing.
    #[error("is empty; openssl rand -hex 32 makes a good one")]
    Empty,
    /// It can be guessed.
    #[error("has {0} characters and needs {1}; openssl rand -hex 32 makes a good one")]
    Short(usize, usize),
}

impl Secret {
    /// The secret that a setting names: itself, or `@FILE`, the first line of a file.
    ///
    /// # Errors
    ///
    /// If the file can't be read or holds more than a line, or the secret is empty.
    pub fn read(setting: &str) -> Result<Self, SecretError> {
        let text = match setting.strip_prefix('@') {
            Some(path) => from_file(Path::new(path))?,
            None => setting.to_owned(),
        };
        match text.is_empty() {
            true => Err(SecretError::Empty),
            false => Ok(Self(text)),
        }
    }

    /// As [`Secret::read`], for keys and tokens: whoever has a link or a cookie that was signed with one can try others as fast
    /// as a computer can.
    ///
    /// # Errors
    ///
    /// Also if it has fewer than 16 characters.
    pub fn read_key(setting: &str) -> Result<Self, SecretError> {
        let key = Self::read(setting)?;
        match key.0.chars().count() {
            length if length < 16 => Err(SecretError::Short(length, 16)),
            _ => Ok(key),
        }
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

fn from_file(path: &Path) -> Result<String, SecretError> {
    let unreadable = |source| SecretError::Unreadable { path: path.to_owned(), source };
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let mut text = Vec::new();
    std::io::Read::read_to_end(&mut std::io::Read::take(file, MAX_BYTES + 1), &mut text)
        .map_err(unreadable)?;
    let no_text = || SecretError::NoText(path.to_owned());
    if text.len() as u64 > MAX_BYTES {
        return Err(no_text());
    }
    let text = String::from_utf8(text).map_err(|_bytes| no_text())?;
    let line = text.trim_end_matches(['\r', '\n']);
    match line.contains(char::is_control) {
        true => Err(no_text()),
        false => Ok(line.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_the_text_or_the_line_of_a_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("token");
        let setting = format!("@{}", file.display());
        std::fs::write(&file, "from the file\r\n").expect("a file");
        assert_eq!(Secret::read(&setting).expect("a secret").as_bytes(), b"from the file");
        assert_eq!(Secret::read("itself").expect("a secret").as_bytes(), b"itself");
        for text in [&b"two\nlines\n"[..], b"\xff\xfe", &[b'x'; 20_000]] {
            std::fs::write(&file, text).expect("a file");
            let error = Secret::read(&setting).expect_err("no secret").to_string();
            assert!(error.contains("token: is to hold one line"), "{error}");
        }
        std::fs::write(&file, "\n").expect("a file");
        assert!(matches!(Secret::read(&setting), Err(SecretError::Empty)));
        assert!(matches!(Secret::read(""), Err(SecretError::Empty)));
        assert!(
            Secret::read("@/no/such").expect_err("no file").to_string().contains("/no/such: cannot be read")
        );
    }

    #[test]
    fn keys_are_long_and_nothing_is_printed() {
        assert!(matches!(Secret::read_key("fifteen letters"), Err(SecretError::Short(15, 16))));
        let key = Secret::read_key("sixteen letters.").expect("a key");
        assert_eq!(format!("{key:?}"), "***");
    }
}
