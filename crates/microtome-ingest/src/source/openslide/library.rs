//! Which OpenSlide is used: the one that was named, else the first that is found and new enough.
//!
//! It is looked for when the first slide needs it and not before, so that no C library comes into a process that can do
//! without; from then on it is the process's one and only. Not here: its functions.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use super::ffi::{Attempt, Library};

/// The library's names, that of OpenSlide 4 first.
const NAMES: &[&str] = if cfg!(windows) {
    &["libopenslide-1.dll"]
} else if cfg!(target_os = "macos") {
    &["libopenslide.1.dylib", "libopenslide.dylib"]
} else {
    &["libopenslide.so.1", "libopenslide.so"]
};
/// Folders of virtual environments and conda, whose libraries the system does not look for.
const ENVIRONMENTS: [&str; 2] = ["VIRTUAL_ENV", "CONDA_PREFIX"];
/// What is said where no library is to be had.
const REMEDY: &str = "install it (pip and conda have it as openslide-bin and openslide) and name its library or the \
                      folder of it with --openslide PATH or MICROTOME_OPENSLIDE";

static NAMED: OnceLock<PathBuf> = OnceLock::new();
static LIBRARY: OnceLock<Result<Library, String>> = OnceLock::new();

/// Names the library that is to be used, by its file or the folder that holds it. Only the first name counts, and none
/// after a slide has needed the library: a process has one OpenSlide.
pub fn use_library(path: &Path) {
    // A second name is let go on purpose.
    let _ = NAMED.set(path.to_owned());
}

/// The library, loaded at the first call.
///
/// # Errors
/// What was found instead and what to do, in a line.
pub(super) fn library() -> Result<&'static Library, String> {
    let load = || match NAMED.get() {
        Some(path) => named(path),
        None => found(),
    };
    LIBRARY.get_or_init(load).as_ref().map_err(Clone::clone)
}

/// The library that the user named.
fn named(path: &Path) -> Result<Library, String> {
    // A whole path: with a bare name the system would look elsewhere.
    let path = path.canonicalize().map_err(|error| format!("{} cannot be read ({error})", path.display()))?;
    let file = match path.is_dir() {
        false => path,
        true => match NAMES.iter().map(|name| path.join(name)).find(|file| file.is_file()) {
            Some(file) => file,
            None => {
                return Err(format!("there is no {} in the folder {}", NAMES.join(" or "), path.display()));
            }
        },
    };
    load(file.as_os_str())
}

/// The library that the system finds, or that is in the environment of Python or conda that is active.
fn found() -> Result<Library, String> {
    let environments = ENVIRONMENTS.iter().filter_map(std::env::var_os).map(PathBuf::from);
    let by_system = NAMES.iter().map(OsString::from);
    let mut said = None;
    for name in by_system.chain(environments.flat_map(|root| in_environment(&root))) {
        match Library::load(&name) {
            Attempt::Loaded(library) => return Ok(library),
            Attempt::NotLoaded(_) => {}
            other => said = said.or(Some(in_words(&name, other))),
        }
    }
    let said = said.unwrap_or_else(|| format!("none was found: no {}", NAMES.join(" or ")));
    Err(format!("{said}; {REMEDY}"))
}

/// Where conda and the wheel `openslide-bin` put the library.
fn in_environment(root: &Path) -> Vec<OsString> {
    let lib = root.join(if cfg!(windows) { "Lib" } else { "lib" });
    let mut folders = vec![lib.clone(), root.join("Library/bin"), lib.join("site-packages/openslide_bin")];
    let pythons = std::fs::read_dir(&lib).into_iter().flatten().flatten().map(|entry| entry.path());
    let pythons = pythons
        .filter(|path| path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"python3")));
    folders.extend(pythons.map(|python| python.join("site-packages/openslide_bin")));
    let files = folders.iter().flat_map(|folder| NAMES.iter().map(|name| folder.join(name)));
    files.filter(|file| file.is_file()).map(PathBuf::into_os_string).collect()
}

fn load(name: &OsStr) -> Result<Library, String> {
    match Library::load(name) {
        Attempt::Loaded(library) => Ok(library),
        other => Err(in_words(name, other)),
    }
}

/// Why a library is none that can be used.
fn in_words(name: &OsStr, attempt: Attempt) -> String {
    let name = name.display();
    match attempt {
        Attempt::Loaded(library) => format!("{name} is OpenSlide {}", library.version()),
        Attempt::NotLoaded(why) => format!("{name} cannot be loaded as a library ({why})"),
        Attempt::NotOpenSlide(missing) => {
            format!("{name} is a library and not OpenSlide: it has no {missing}")
        }
        Attempt::TooOld(version) if version.is_empty() => format!("{name} is OpenSlide of no version"),
        Attempt::TooOld(version) => format!("{name} is OpenSlide {version}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_openslide_is_told_apart() {
        let folder = tempfile::tempdir().expect("a folder");
        let why = |path: &Path| named(path).err().expect("no library");
        assert!(why(&folder.path().join("nothing.so")).contains("nothing.so cannot be read"));
        assert!(why(folder.path()).contains(&format!("there is no {}", NAMES[0])));
        let text = folder.path().join(NAMES[0]);
        std::fs::write(&text, "this is no library").expect("a file");
        for path in [folder.path(), &text] {
            let line = why(path);
            assert!(line.contains(NAMES[0]) && line.contains("cannot be loaded as a library"), "{line}");
        }
    }

    #[test]
    fn environments_are_looked_through_where_wheels_and_conda_put_it() {
        let root = tempfile::tempdir().expect("a folder");
        let wheel = root.path().join(match cfg!(windows) {
            true => "Lib/site-packages/openslide_bin",
            false => "lib/python3.13/site-packages/openslide_bin",
        });
        std::fs::create_dir_all(&wheel).expect("folders");
        assert!(in_environment(root.path()).is_empty());
        std::fs::write(wheel.join(NAMES[0]), "").expect("a file");
        assert_eq!(in_environment(root.path()), [wheel.join(NAMES[0]).into_os_string()]);
    }
}
