//! The folders that slides were made from, for comparing a slide with what it was: Deep Zoom folders below `--source-root`,
//! each under the name of its slide, file by file as they are. Read only.
//!
//! Not here: Deep Zoom of slides, which is `protocols::deepzoom`.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http::request::Parts;
use http::{HeaderValue, header};
use tokio::sync::Semaphore;

use crate::app::App;
use crate::body::Response;
use crate::error::{Error, Failure};
use crate::readers::LONGEST_WAIT;
use crate::response::momentary;
use crate::slide_id::SlideId;

/// Most bytes of a descriptor, and of a tile.
const MAX_DESCRIPTOR: u64 = 64 << 10;
const MAX_TILE: u64 = 16 << 20;

/// Files of strangers are shown, never run, also if someone opens one as a page of its own.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; sandbox";

/// Reads of sources at the same time.
const TURNS: usize = 2;
/// Longest wait for whether there is one.
const LONGEST_LOOK: Duration = Duration::from_secs(2);

/// Where sources are, if they are served at all.
pub(crate) struct Sources {
    root: Option<PathBuf>,
    /// Turns of blocking threads: storage of sources that hangs takes no more of them.
    turns: Arc<Semaphore>,
}

/// A file of a source.
#[derive(Debug, PartialEq, Eq)]
struct SourceFile {
    slide: SlideId,
    /// What follows the slide's name in the path below the root.
    rest: String,
    content_type: &'static str,
    max_bytes: u64,
}

impl Sources {
    pub(crate) fn new(root: Option<PathBuf>) -> Self {
        Self { root, turns: Arc::new(Semaphore::new(TURNS)) }
    }

    /// Whether there is a source of this slide.
    pub(crate) async fn has(&self, slide: &SlideId) -> bool {
        let Some(root) = self.root.clone() else { return false };
        let name = format!("{slide}.dzi");
        let found = self.blocking(move || find(&root, &name).is_ok_and(|path| path.is_file()));
        // The page is of use without it.
        tokio::time::timeout(LONGEST_LOOK, found).await.is_ok_and(|found| found.unwrap_or(false))
    }

    /// The bytes of a file.
    async fn read(&self, file: &SourceFile) -> Result<Vec<u8>, Error> {
        let root = self.root.clone().ok_or(Error::NoSources)?;
        let (name, max_bytes) = (format!("{}{}", file.slide, file.rest), file.max_bytes);
        let read = self.blocking(move || read(&find(&root, &name)?, max_bytes));
        match tokio::time::timeout(LONGEST_WAIT, read).await.unwrap_or(Err(Error::Overloaded))? {
            Ok(bytes) => Ok(bytes),
            Err(error) if error.kind() == ErrorKind::NotFound => Err(Error::NoSuchPage),
            Err(source) => Err(Error::Unreachable { slide: file.slide.clone(), source }),
        }
    }
}

impl Sources {
    /// Does what may wait for storage on a blocking thread, when it is its turn.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Error> {
        let lost = "reading of a source";
        let turn =
            Arc::clone(&self.turns).acquire_owned().await.map_err(|_closed| Error::WorkerLost(lost))?;
        let working = tokio::task::spawn_blocking(move || {
            // Kept as long as storage hangs, whoever waits.
            let _turn = turn;
            work()
        });
        working.await.map_err(|_lost| Error::WorkerLost(lost))
    }
}

/// `GET /source/{slide}.dzi` and `GET /source/{slide}_files/{level}/{column}_{row}.jpg`
///
/// Who may see the slide may see its source.
pub(crate) async fn resource(app: &Arc<App>, request: &Parts) -> Result<Response, Failure> {
    let path = request.uri.path();
    let mut file = parse(path.strip_prefix("/source/").unwrap_or(path))?;
    file.slide = app.slide(request, &file.slide).await?.id.clone();
    let mut response = momentary(file.content_type, app.sources.read(&file).await?);
    let policy = HeaderValue::from_static(CONTENT_SECURITY_POLICY);
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    Ok(response)
}

/// Reads the still encoded path below `/source/` from the right.
fn parse(path: &str) -> Result<SourceFile, Error> {
    if let Some(slide) = path.strip_suffix(".dzi") {
        return Ok(SourceFile {
            slide: SlideId::from_raw_path(slide)?,
            rest: ".dzi".to_owned(),
            content_type: "application/xml",
            max_bytes: MAX_DESCRIPTOR,
        });
    }
    let mut segments = path.rsplitn(3, '/');
    let (Some(name), Some(level), Some(slide)) = (segments.next(), segments.next(), segments.next()) else {
        return Err(Error::NoSuchPage);
    };
    let (stem, extension) = name.rsplit_once('.').ok_or(Error::NoSuchPage)?;
    let content_type = match extension {
        "jpg" | "jpeg" => "image/jpeg",
        "png" => "image/png",
        _ => return Err(Error::NoSuchPage),
    };
    let (column, row) = stem.split_once('_').ok_or(Error::Malformed("a tile is named column_row"))?;
    if ![level, column, row].into_iter().all(is_number) {
        return Err(Error::Malformed("level, column and row are decimal numbers"));
    }
    let slide = SlideId::from_raw_path(slide.strip_suffix("_files").ok_or(Error::NoSuchPage)?)?;
    Ok(SourceFile { slide, rest: format!("_files/{level}/{name}"), content_type, max_bytes: MAX_TILE })
}

fn is_number(digits: &str) -> bool {
    (1..=10).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// Where `name` is below `root`, links followed. One that leads out of it is as good as absent.
fn find(root: &Path, name: &str) -> std::io::Result<PathBuf> {
    let root = root.canonicalize()?;
    let path = root.join(name).canonicalize()?;
    if path.starts_with(&root) { Ok(path) } else { Err(ErrorKind::NotFound.into()) }
}

fn read(path: &Path, max_bytes: u64) -> std::io::Result<Vec<u8>> {
    if !path.is_file() {
        return Err(ErrorKind::NotFound.into());
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(max_bytes + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > max_bytes {
        let what =
            format!("{}: larger than the {max_bytes} bytes that are read of such a file", path.display());
        return Err(std::io::Error::new(ErrorKind::InvalidData, what));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files_are_read_from_the_right() {
        for (path, slide, rest, content_type) in [
            ("a.dzi", "a", ".dzi", "application/xml"),
            ("case%2Fa.dzi", "case/a", ".dzi", "application/xml"),
            ("case/a%20b_files/14/3_7.jpeg", "case/a b", "_files/14/3_7.jpeg", "image/jpeg"),
            ("a_files_files/0/0_0.png", "a_files", "_files/0/0_0.png", "image/png"),
        ] {
            let file = parse(path).expect(path);
            assert_eq!((file.slide.as_str(), &*file.rest, file.content_type), (slide, rest, content_type));
        }
        for path in [
            "",
            "a",
            "a.xml",
            ".dzi",
            "../a.dzi",
            "..%2fa.dzi",
            "a_files/1/0_0.svg",
            "a_files/1/0_0",
            "a_files/1/0-0.jpg",
            "a_files/../0_0.jpg",
            "a_files/1/.._0.jpg",
            "a_files/%31/0_0.jpg",
            "a/1/0_0.jpg",
            "%2e%2e/b_files/1/0_0.jpg",
            "a_files/11111111111/0_0.jpg",
        ] {
            assert!(matches!(parse(path), Err(Error::NoSuchPage | Error::Malformed(_))), "{path}");
        }
    }

    #[test]
    fn a_file_that_is_too_long_is_refused() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("a.dzi");
        std::fs::write(&path, [b' '; 11]).expect("a file");
        assert!(read(&path, 10).is_err());
        assert_eq!(read(&path, 11).expect("bytes").len(), 11);
    }

    #[cfg(unix)]
    #[test]
    fn links_that_lead_out_are_not_followed() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let root = folder.path().join("sources");
        std::fs::create_dir(&root).expect("a folder");
        std::fs::write(folder.path().join("secret.dzi"), "s").expect("a file");
        std::fs::write(root.join("a.dzi"), "a").expect("a file");
        std::os::unix::fs::symlink(folder.path().join("secret.dzi"), root.join("b.dzi")).expect("a link");
        std::os::unix::fs::symlink(root.join("a.dzi"), root.join("c.dzi")).expect("a link");
        let found = |name| find(&root, name).is_ok();
        assert_eq!(
            ["a.dzi", "b.dzi", "c.dzi", "d.dzi", "../secret.dzi"].map(found),
            [true, false, true, false, false]
        );
    }
}
