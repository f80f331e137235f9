//! `ingest --watch DIR`: whatever appears in a folder goes in, once it is complete.
//!
//! The folder is looked through every few seconds: that works on network shares too, where no system tells of changes.
//! A slide is complete when nothing of it has changed for a while.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use microtome_ingest::source::{companion_folder, is_tile_folder};

use super::walk::walk;
use crate::failure::Failure;

/// From one look to the next.
pub(super) const INTERVAL: Duration = Duration::from_secs(2);

/// Bytes, number and youngest change of all files of a slide, however many: one that is being written shows only in all.
type State = (u64, usize, Option<SystemTime>);

/// What was seen of a slide.
struct Seen {
    /// `None` where it cannot be told.
    state: Option<State>,
    since: Instant,
    is_taken: bool,
}

/// A folder and what was in it at the last look.
pub(super) struct Watch {
    folder: PathBuf,
    settle: Duration,
    seen: HashMap<PathBuf, Seen>,
}

impl Watch {
    /// A slide is complete when nothing of it changes for `settle`.
    pub(super) fn new(folder: &Path, settle: Duration) -> Self {
        Self { folder: folder.to_owned(), settle, seen: HashMap::new() }
    }

    /// The slides that are complete and were not given before as they are now, in the order of their names.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub(super) fn complete(&mut self, now: Instant) -> Result<Vec<PathBuf>, Failure> {
        let found = walk(&self.folder)?;
        let is_there: HashSet<_> = found.iter().collect();
        self.seen.retain(|path, _| is_there.contains(path));
        let mut complete = vec![];
        for path in found {
            // What is being moved away meanwhile is not there at the next look. What is, and cannot be looked at, is given all the
            // same: whoever ingests it says why it fails.
            let state = state(&path);
            let new = || Seen { state, since: now, is_taken: false };
            let seen = self.seen.entry(path.clone()).or_insert_with(new);
            if seen.state != state {
                *seen = new();
            }
            if !seen.is_taken && now.duration_since(seen.since) >= self.settle {
                seen.is_taken = true;
                complete.push(path);
            }
        }
        Ok(complete)
    }
}

/// The state of a slide's files: of itself, or of all in its folder; and of the folders that belong to it.
fn state(path: &Path) -> Option<State> {
    let mut state = (0, 0, None);
    add(path, &mut state)?;
    let Some(companion) = companion_folder(path) else { return Some(state) };
    if companion.is_dir() {
        add(&companion, &mut state)?;
    }
    Some(state)
}

fn add(path: &Path, state: &mut State) -> Option<()> {
    let metadata = path.metadata().ok()?;
    if metadata.is_dir() {
        for entry in std::fs::read_dir(path).ok()? {
            let path = entry.ok()?.path();
            // A link to a folder may lead in a circle; readers follow one only that is a folder of Zoomify's or IIIF's tiles.
            if !(path.is_symlink() && path.is_dir()) || is_tile_folder(&path) {
                add(&path, state)?;
            }
        }
        return Some(());
    }
    state.0 += metadata.len();
    state.1 += 1;
    state.2 = state.2.max(metadata.modified().ok());
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slide_is_given_once_it_rests_and_again_when_it_changed() {
        let folder = tempfile::tempdir().expect("a folder");
        let (begin, second) = (Instant::now(), Duration::from_secs(1));
        let mut watch = Watch::new(folder.path(), 10 * second);
        let slide = folder.path().join("a.svs");
        std::fs::write(&slide, "half").expect("a file");
        let mut at = |seconds: u32| watch.complete(begin + seconds * second).expect("a folder").len();
        assert_eq!((at(0), at(9)), (0, 0));
        std::fs::write(&slide, "half and half").expect("a file");
        assert_eq!((at(11), at(20), at(21), at(60)), (0, 0, 1, 0));
        std::fs::write(&slide, "another one of that name").expect("a file");
        assert_eq!((at(61), at(71)), (0, 1));
        std::fs::remove_file(&slide).expect("gone");
        assert_eq!(at(80), 0);
        let series = folder.path().join("series");
        std::fs::create_dir(&series).expect("a folder");
        std::fs::write(series.join("a.dzi"), "").expect("a file");
        assert_eq!((at(81), at(90), at(91)), (0, 0, 1));
        // Tiles that come late are changes of the slide that their folder is.
        let zoomify = folder.path().join("zoomify/TileGroup0");
        std::fs::create_dir_all(&zoomify).expect("folders");
        std::fs::write(zoomify.with_file_name("ImageProperties.xml"), "").expect("a file");
        assert_eq!(at(92), 0);
        std::fs::write(zoomify.join("0-0-0.jpg"), "").expect("a file");
        assert_eq!((at(100), at(109), at(110), at(120)), (0, 0, 1, 0));
    }

    #[test]
    fn a_slide_of_very_many_files_is_seen_to_grow() {
        let folder = tempfile::tempdir().expect("a folder");
        let (slide, level) = (folder.path().join("a.dzi"), folder.path().join("a_files/17"));
        std::fs::write(&slide, "").expect("a file");
        std::fs::create_dir_all(&level).expect("folders");
        let tile = |i: u32| std::fs::write(level.join(i.to_string()), "").expect("a file");
        (0..100_000).for_each(tile);
        let before = state(&slide).expect("a state");
        assert_eq!(before.1, 100_001);
        tile(100_000);
        assert_ne!(state(&slide), Some(before));
    }

    #[test]
    #[cfg(unix)]
    fn links_in_a_circle_are_not_followed() {
        let folder = tempfile::tempdir().expect("a folder");
        let files = folder.path().join("a_files");
        std::fs::write(folder.path().join("a.dzi"), "").expect("a file");
        std::fs::create_dir(&files).expect("a folder");
        for name in ["one", "two"] {
            std::os::unix::fs::symlink(&files, files.join(name)).expect("a link");
        }
        assert_eq!(state(&folder.path().join("a.dzi")).map(|(_, files, _)| files), Some(1));
    }

    #[test]
    #[cfg(unix)]
    fn what_cannot_be_looked_at_is_given_once_and_again_when_it_can() {
        let folder = tempfile::tempdir().expect("a folder");
        let (begin, second) = (Instant::now(), Duration::from_secs(1));
        let mut watch = Watch::new(folder.path(), 10 * second);
        let away = folder.path().join("away");
        std::os::unix::fs::symlink(&away, folder.path().join("a.svs")).expect("a link");
        let mut at = |seconds: u32| watch.complete(begin + seconds * second).expect("a folder").len();
        assert_eq!((at(0), at(9), at(10), at(30)), (0, 0, 1, 0));
        std::fs::write(&away, "back").expect("a file");
        assert_eq!((at(40), at(50)), (0, 1));
    }
}
