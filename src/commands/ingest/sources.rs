//! Which slides an `ingest` is for: what SOURCE, a manifest and a shard come to, in an order that is always the same.
//!
//! Not here: what a slide is; only what may be one, by its name, so that a folder of many can be walked through.

use std::ffi::OsStr;
use std::path::{Component, Path, PathBuf};
use std::str::FromStr;

use microtome_ingest::source::{holds_series, is_source_folder, may_be_slide};

use crate::failure::{Failure, complain};

/// Folders in folders that are walked through.
const MAX_DEPTH: usize = 32;

/// A slide to be ingested.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Job {
    /// What the reader is given: a path, or `synthetic:...`.
    pub(crate) source: String,
    /// Its place below the folder OUT, without extension. What was found in a folder keeps its folders.
    pub(crate) place: PathBuf,
    /// Where a manifest wants it.
    pub(crate) target: Option<PathBuf>,
}

impl Job {
    fn named(source: &str) -> Self {
        let place = match source.strip_prefix("synthetic:") {
            Some(parameters) => format!("synthetic_{parameters}").into(),
            None => Path::new(source).file_stem().unwrap_or_default().into(),
        };
        Self { source: source.to_owned(), place, target: None }
    }

    /// What was found below a folder that was named.
    pub(super) fn found(folder: &Path, path: &Path) -> Self {
        let source = text(path);
        let below = path.strip_prefix(folder).unwrap_or(path);
        if below.as_os_str().is_empty() {
            return Self::named(&source);
        }
        Self { source, place: below.with_extension(""), target: None }
    }
}

/// One part of several that together are all: `2/5`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shard {
    number: u64,
    of: u64,
}

impl FromStr for Shard {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parsed = text.split_once('/').and_then(|(i, n)| Some((i.parse().ok()?, n.parse().ok()?)));
        match parsed {
            Some((number, of)) if (1..=of).contains(&number) => Ok(Self { number, of }),
            _ => Err("a shard is i/n with i from 1 to n, such as 2/5"),
        }
    }
}

impl Shard {
    /// Whether a slide is in this part: by its place alone, whatever else there is, so that parts that are run at
    /// different times share nothing and leave nothing out. (FNV-1a: G. Fowler, L. C. Noll, P. Vo.)
    fn has(self, job: &Job) -> bool {
        let hash =
            job.place.as_os_str().as_encoded_bytes().iter().fold(0xCBF2_9CE4_8422_2325_u64, |hash, &byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3)
            });
        // The lowest bits are the weakest.
        (hash >> 20) % self.of == self.number - 1
    }
}

/// The slides that the words of a command come to: those of each word in the order of their names, then those of the
/// manifest. A folder that is not a slide itself is walked through, and a pattern (`*`, `?`, `[...]`) is matched.
///
/// # Errors
/// [`Failure::Usage`] for a pattern that nothing matches, a folder with no slides, and lines of a manifest that are none;
/// [`Failure::Failed`] for folders that cannot be read.
pub(crate) fn jobs(
    sources: &[String],
    manifest: Option<&Path>,
    shard: Option<Shard>,
) -> Result<Vec<Job>, Failure> {
    let mut jobs = vec![];
    for source in sources {
        jobs.extend(named(source)?);
    }
    if let Some(path) = manifest {
        jobs.extend(listed(path)?);
    }
    if let Some(shard) = shard {
        jobs.retain(|job| shard.has(job));
    }
    Ok(jobs)
}

fn named(source: &str) -> Result<Vec<Job>, Failure> {
    let path = Path::new(source);
    if source.starts_with("synthetic:") || path.is_file() {
        return Ok(vec![Job::named(source)]);
    }
    if path.is_dir() {
        return in_folder(path);
    }
    if !source.contains(['*', '?', '[']) {
        return Ok(vec![Job::named(source)]);
    }
    let matches = glob::glob(source).map_err(|e| Failure::Usage(format!("{source}: {e}")))?;
    let mut jobs = vec![];
    for path in matches {
        let path = path.map_err(|e| Failure::Failed(e.to_string()))?;
        if path.is_dir() {
            jobs.extend(in_folder(&path)?);
        } else {
            jobs.push(Job::named(&text(&path)));
        }
    }
    match jobs.is_empty() {
        true => Err(Failure::Usage(format!("{source}: nothing is named like that"))),
        false => Ok(jobs),
    }
}

fn in_folder(folder: &Path) -> Result<Vec<Job>, Failure> {
    let found = walk(folder)?;
    if found.len() == 1 && is_source_folder(folder) {
        return Ok(vec![Job::named(&text(folder))]);
    }
    if found.is_empty() {
        let what = "no slide is in this folder, nor in those in it; name the slide's own file";
        return Err(Failure::Usage(format!("{}: {what}", folder.display())));
    }
    Ok(found.iter().map(|path| Job::found(folder, path)).collect())
}

/// Whatever may be a slide in a folder and those in it, in the order of names. Folders that are a slide themselves count as
/// one, a DICOM series counts beside what else lies in its folder, and what belongs to a file of the same name (`slide.mrxs` and `slide`, `slide.dzi` and `slide_files`) is left alone.
///
/// # Errors
/// [`Failure::Failed`] if a folder cannot be read, or lies too deep.
pub(crate) fn walk(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let mut found = vec![];
    walk_into(folder, 0, &mut found)?;
    Ok(found)
}

fn walk_into(folder: &Path, depth: usize, found: &mut Vec<PathBuf>) -> Result<(), Failure> {
    let failed = |e: std::io::Error| Failure::Failed(format!("{}: cannot be read: {e}", folder.display()));
    if depth > MAX_DEPTH {
        return Err(Failure::Failed(format!("{}: more than {MAX_DEPTH} folders deep", folder.display())));
    }
    let mut entries = vec![];
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        entries.push(entry.map_err(failed)?.path());
    }
    entries.sort();
    if holds_series(folder) {
        found.push(folder.to_owned());
    }
    for path in &entries {
        if is_hidden(path) || belongs_to_another(path, &entries) {
            continue;
        }
        if path.is_dir() && path.is_symlink() {
            complain(&format!(
                "{}: a link to a folder, which may lead in a circle: not followed",
                path.display()
            ));
        } else if path.is_dir() {
            match is_source_folder(path) {
                true => found.push(path.clone()),
                false => walk_into(path, depth + 1, found)?,
            }
        } else if may_be_slide(path) {
            // A link that leads nowhere too: it fails when it is opened.
            found.push(path.clone());
        }
    }
    Ok(())
}

fn is_hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
}

/// Whether a folder holds the tiles of a file beside it.
fn belongs_to_another(folder: &Path, entries: &[PathBuf]) -> bool {
    let Some(name) = folder.file_name().and_then(OsStr::to_str).filter(|_| folder.is_dir()) else {
        return false;
    };
    let beside = |stem: &str, extension: &str| {
        let file = folder.with_file_name(format!("{stem}.{extension}"));
        entries.contains(&file)
    };
    let is_of_vsi =
        name.strip_prefix('_').and_then(|n| n.strip_suffix('_')).is_some_and(|n| beside(n, "vsi"));
    beside(name, "mrxs") || name.strip_suffix("_files").is_some_and(|n| beside(n, "dzi")) || is_of_vsi
}

/// The slides of a manifest: a source on each line, and after a tab its target if it is to have one of its own. Paths
/// start from the manifest's folder.
fn listed(manifest: &Path) -> Result<Vec<Job>, Failure> {
    let text = std::fs::read_to_string(manifest)
        .map_err(|e| Failure::Failed(format!("{}: cannot be read: {e}", manifest.display())))?;
    let folder = manifest.parent().unwrap_or(Path::new(""));
    let mut jobs = vec![];
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (source, target) =
            line.split_once('\t').map_or((line, None), |(s, t)| (s.trim(), Some(t.trim())));
        let target = target.map(|target| folder.join(target));
        if let Some(target) = target.as_ref().filter(|t| t.extension() != Some("mtm".as_ref())) {
            let what = format!("the target {} does not end in .mtm", target.display());
            return Err(Failure::Usage(format!("{}, line {number}: {what}", manifest.display())));
        }
        let source = match source.starts_with("synthetic:") {
            true => source.to_owned(),
            false => self::text(&folder.join(source)),
        };
        jobs.push(Job { target, ..Job::named(&source) });
    }
    Ok(jobs)
}

/// A path as a source's name. One that is not UTF-8 becomes one that does not exist: that source fails, not all.
fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// The container of each slide in a folder. Two slides of one name get the whole names of their files
/// (`a.svs.mtm`, `a.tif.mtm`).
///
/// # Errors
/// [`Failure::Usage`] if two slides would still go to one file.
pub(crate) fn files_in(folder: &Path, jobs: &[Job]) -> Result<Vec<PathBuf>, Failure> {
    let with_extension = |path: &Path, extension: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(extension);
        PathBuf::from(name)
    };
    let mut files: Vec<PathBuf> = vec![];
    for job in jobs {
        if let Some(target) = &job.target {
            files.push(target.clone());
            continue;
        }
        // A name such as `..` would lead elsewhere.
        let place: PathBuf = job.place.components().filter(|c| matches!(c, Component::Normal(_))).collect();
        let is_taken =
            jobs.iter().any(|other| other != job && other.place == job.place && other.target.is_none());
        let place = match Path::new(&job.source).extension().and_then(OsStr::to_str) {
            Some(extension) if is_taken => with_extension(&place, &format!(".{extension}")),
            _ => place,
        };
        files.push(folder.join(with_extension(&place, ".mtm")));
    }
    let mut sorted: Vec<_> = files.iter().collect();
    sorted.sort();
    match sorted.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(Failure::Usage(format!(
            "{}: two sources would go there; ingest them into two folders",
            pair[0].display()
        ))),
        None => Ok(files),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn touch(root: &Path, names: &[&str]) {
        for name in names {
            let path = root.join(name);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("folders");
            std::fs::write(path, "").expect("a file");
        }
    }

    #[test]
    fn a_folder_is_walked_through_and_companions_are_left_alone() {
        let root = tempfile::tempdir().expect("a folder");
        touch(
            root.path(),
            &[
                "b/x.svs",
                "b/x.tif",
                "b/notes.txt",
                "a/deep/y.ndpi",
                ".hidden/z.svs",
                "m.mrxs",
                "m/Slidedat.png",
                "d.dzi",
                "d_files/0/0_0.jpg",
                "v.vsi",
                "_v_/stack1/frame.tif",
            ],
        );
        let jobs = jobs(&[text(root.path())], None, None).expect("slides");
        let places: Vec<_> = jobs.iter().map(|job| job.place.to_str().expect("UTF-8")).collect();
        assert_eq!(places, ["a/deep/y", "b/x", "b/x", "d", "m", "v"]);
        let files = files_in(Path::new("out"), &jobs).expect("a file for each");
        let files: Vec<_> = files.iter().map(|file| file.to_str().expect("UTF-8")).collect();
        assert_eq!(files[..3], ["out/a/deep/y.mtm", "out/b/x.svs.mtm", "out/b/x.tif.mtm"]);
    }

    #[test]
    fn a_dicom_series_counts_beside_what_lies_in_its_folder() {
        let root = tempfile::tempdir().expect("a folder");
        touch(root.path(), &["case/label.tif", "other/x.svs"]);
        let dicom = [&[0; 128][..], b"DICM"].concat();
        for name in ["case/level-0.dcm", "loose.dcm"] {
            std::fs::write(root.path().join(name), &dicom).expect("a file");
        }
        let found = jobs(&[text(root.path())], None, None).expect("slides");
        let sources: Vec<_> =
            found.iter().map(|job| Path::new(&job.source).strip_prefix(root.path())).collect();
        let expected = ["", "case", "case/label.tif", "other/x.svs"].map(|path| Ok(Path::new(path)));
        assert_eq!(sources, expected);
        assert!(found.iter().all(|job| !job.place.as_os_str().is_empty()));
    }

    #[test]
    fn patterns_and_manifests_name_slides() {
        let root = tempfile::tempdir().expect("a folder");
        touch(root.path(), &["a1.svs", "a2.svs", "b.svs"]);
        let pattern = text(&root.path().join("a?.svs"));
        assert_eq!(jobs(&[pattern], None, None).expect("two").len(), 2);
        let none = text(&root.path().join("c*.svs"));
        assert!(matches!(jobs(&[none], None, None), Err(Failure::Usage(_))));
        let manifest = root.path().join("list.txt");
        std::fs::write(&manifest, "# slides\n\na1.svs\nsub/b.svs\tcase 7/b.mtm\nsynthetic:9x9\n")
            .expect("a file");
        let listed = jobs(&[], Some(&manifest), None).expect("three");
        assert_eq!(listed[1].target, Some(root.path().join("case 7/b.mtm")));
        assert_eq!(listed[2].source, "synthetic:9x9");
        std::fs::write(&manifest, "a1.svs\tb.tif\n").expect("a file");
        let error = jobs(&[], Some(&manifest), None).expect_err("no container's name").to_string();
        assert!(error.contains("line 1") && error.contains("b.tif"), "{error}");
    }

    #[test]
    fn shards_share_nothing_and_leave_nothing_out() {
        let all: Vec<Job> = (0..500).map(|i| Job::named(&format!("slide {i}.svs"))).collect();
        let shard = |i: u64| -> Shard { format!("{i}/7").parse().expect("a shard") };
        let sizes: Vec<_> = (1..=7).map(|i| all.iter().filter(|job| shard(i).has(job)).count()).collect();
        assert_eq!(sizes.iter().sum::<usize>(), 500);
        assert!(sizes.iter().all(|&size| (40..110).contains(&size)), "{sizes:?}");
        assert!(["0/7", "8/7", "1/0", "1", "a/b", "-1/2"].iter().all(|text| text.parse::<Shard>().is_err()));
    }
}
