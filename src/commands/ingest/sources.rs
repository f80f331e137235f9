//! Which slides an `ingest` is for: what SOURCE, a manifest and a shard come to, in an order that is always the same.
//!
//! Not here: what a slide is; only what may be one, by its name, so that a folder of many can be walked through.

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::path::{Component, Path, PathBuf};

use microtome_ingest::source::{called_by, is_source_folder, may_be_slide, series_in};
use microtome_ingest::{has_source_bytes, source_name};
use microtome_slide::Slide;

use super::walk::walk;
use crate::failure::{Failure, complain};
use crate::progress::stop_on_signals;

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
    pub(super) fn named(source: &str) -> Self {
        let place = match source.strip_prefix("synthetic:") {
            Some(parameters) => format!("synthetic_{parameters}").into(),
            None => {
                let called = called_by(Path::new(source));
                // `.` and `..` have no name of their own.
                let called = match called.file_name() {
                    Some(_) => called.to_owned(),
                    None => called.canonicalize().unwrap_or_default(),
                };
                without_extension(&called).file_name().unwrap_or_default().into()
            }
        };
        Self { source: source.to_owned(), place, target: None }
    }

    /// What was found below a folder that was named: mostly one slide, but a folder of several DICOM series is several, called
    /// by their first files, and one of DICOM files that are no slides (a DICOMDIR, reports) is none.
    pub(super) fn found(folder: &Path, path: &Path) -> Vec<Self> {
        match series_in(path) {
            Some(series) if series.len() > 1 => {
                return series.iter().map(|file| Self::below(folder, file)).collect();
            }
            Some(series) if series.is_empty() => {
                complain(&format!("{}: its DICOM files are no whole slides: left out", path.display()));
                return vec![];
            }
            _ => {}
        }
        vec![if path == folder { Self::named(&text(path)) } else { Self::below(folder, path) }]
    }

    fn below(folder: &Path, path: &Path) -> Self {
        let place = without_extension(path);
        let place = place.strip_prefix(folder).unwrap_or(&place).to_owned();
        Self { source: text(path), place, target: None }
    }
}

/// The slides that the words of a command come to: those of each word in the order of their names, then those of the
/// manifest, each once. A folder that is not a slide itself is walked through, and a pattern (`*`, `?`, `[...]`) is
/// matched.
///
/// # Errors
/// [`Failure::Usage`] for a pattern that nothing matches or a folder without slides, if that is all there is (one of
/// several is a slide that fails), and for lines of a manifest that are none; [`Failure::Failed`] for folders that cannot
/// be read.
pub(crate) fn jobs(sources: &[String], manifest: Option<&Path>) -> Result<Vec<Job>, Failure> {
    let is_alone = sources.len() == 1 && manifest.is_none();
    let mut jobs: Vec<Job> = vec![];
    for source in sources {
        match named(source) {
            Err(Failure::Usage(_)) if !is_alone => jobs.push(Job::named(source)),
            found => jobs.extend(found?),
        }
    }
    if let Some(path) = manifest {
        jobs.extend(listed(path)?);
    }
    let mut seen = HashSet::new();
    jobs.retain(|job| seen.insert((job.source.clone(), job.target.clone())));
    Ok(jobs)
}

fn named(source: &str) -> Result<Vec<Job>, Failure> {
    let path = Path::new(source);
    if source.starts_with("synthetic:") || path.is_file() {
        return Ok(vec![Job::named(source)]);
    }
    if path.is_dir() {
        return in_folder(path, path);
    }
    if !source.contains(['*', '?', '[']) {
        return Ok(vec![Job::named(source)]);
    }
    let matches = glob::glob(source).map_err(|e| Failure::Usage(format!("{source}: {e}")))?;
    let base = without_wildcards(path);
    let mut jobs = vec![];
    for path in matches {
        let path = path.map_err(|e| Failure::Failed(e.to_string()))?;
        match path.is_dir() {
            true => jobs.extend(in_folder(&path, &base)?),
            false => jobs.push(Job::below(&base, &path)),
        }
    }
    match jobs.is_empty() {
        true => Err(Failure::Usage(format!(
            "{source}: nothing is named like that; check the folder and the pattern"
        ))),
        false => Ok(jobs),
    }
}

/// The folder that a pattern starts from. What it matches keeps its folders below that.
fn without_wildcards(pattern: &Path) -> PathBuf {
    let is_plain = |part: &Component<'_>| !part.as_os_str().to_string_lossy().contains(['*', '?', '[']);
    // What is found has no `.` in front.
    pattern.components().filter(|part| *part != Component::CurDir).take_while(is_plain).collect()
}

/// The slides in a folder; `base` is the folder that their places start from.
fn in_folder(folder: &Path, base: &Path) -> Result<Vec<Job>, Failure> {
    let found = walk(folder)?;
    if found.len() == 1
        && is_source_folder(folder)
        && series_in(folder).is_none_or(|series| series.len() <= 1)
    {
        let is_base = folder == base;
        return Ok(vec![if is_base { Job::named(&text(folder)) } else { Job::below(base, folder) }]);
    }
    let jobs: Vec<_> = found.iter().flat_map(|path| Job::found(base, path)).collect();
    if jobs.is_empty() {
        let what = "no slide is in this folder, nor in those in it; name the slide's own file (PNG and JPEG pictures are \
                    taken by name or pattern alone)";
        return Err(Failure::Usage(format!("{}: {what}", folder.display())));
    }
    Ok(jobs)
}

/// The slides of a manifest: on each line what SOURCE may be, and after a tab the target of that slide if it is to have one
/// of its own. Paths start from the manifest's folder.
fn listed(manifest: &Path) -> Result<Vec<Job>, Failure> {
    let text = std::fs::read_to_string(manifest).map_err(|e| {
        let remedy = match e.kind() {
            std::io::ErrorKind::InvalidData => "a manifest is UTF-8 text, a source on each line",
            _ => "check the path, and who may read it",
        };
        Failure::Failed(format!("{}: cannot be read: {e}; {remedy}", manifest.display()))
    })?;
    let folder = manifest.parent().unwrap_or(Path::new(""));
    let mut jobs = vec![];
    for (number, line) in (1..).zip(text.trim_start_matches('\u{FEFF}').lines()) {
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        let refused = |what: String| Failure::Usage(format!("{}, line {number}: {what}", manifest.display()));
        let (source, target) = line.split_once('\t').map_or((line, None), |(s, t)| (s, Some(t)));
        let source = match source.starts_with("synthetic:") {
            true => source.to_owned(),
            false => self::text(&folder.join(source)),
        };
        let mut found = match named(&source) {
            Err(Failure::Usage(_)) => vec![Job::named(&source)],
            found => found?,
        };
        if let Some(target) = target.map(|target| folder.join(target)) {
            if target.extension() != Some("mtm".as_ref()) {
                return Err(refused(format!("the target {} does not end in .mtm", target.display())));
            }
            let [job] = &mut found[..] else {
                return Err(refused(format!("{} slides do not fit one target", found.len())));
            };
            job.target = Some(target);
        }
        jobs.extend(found);
    }
    match jobs.is_empty() {
        // Most likely whatever wrote it has failed.
        true => Err(Failure::Usage(format!("{}: lists no source", manifest.display()))),
        false => Ok(jobs),
    }
}

/// A slide's path without the extension that tells its kind. What follows the last dot in the name of a folder, or of a DICOM
/// file called by its UID, is a part of the name.
fn without_extension(path: &Path) -> PathBuf {
    let is_number = |end: &OsStr| end.as_encoded_bytes().iter().all(u8::is_ascii_digit);
    let tells = match path.extension() {
        Some(end) => end == "dcm" || may_be_slide(path) || (!path.is_dir() && !is_number(end)),
        None => false,
    };
    if tells { path.with_extension("") } else { path.to_owned() }
}

/// A path as a source's name. One that is not UTF-8 becomes one that does not exist: that source fails, not all.
fn text(path: &Path) -> String {
    if path.to_str().is_none() {
        complain(&format!("{}: the name is not UTF-8 and cannot be taken: rename it", path.display()));
    }
    path.to_string_lossy().into_owned()
}

/// The container of each slide in a folder. Two slides of one name get the whole names of their files
/// (`a.svs.mtm`, `a.tif.mtm`), and so does one whose plain name (`a.mtm`) another went in under before; that one keeps it.
///
/// With `more` to come, one that is alone may be so for now only.
///
/// # Errors
/// [`Failure::Usage`] if two slides would still go to one file.
pub(crate) fn files_in(folder: &Path, jobs: &[Job], more: bool) -> Result<Vec<PathBuf>, Failure> {
    let with_extension = |path: &Path, extension: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(extension);
        PathBuf::from(name)
    };
    let mut of_place: HashMap<&Path, usize> = HashMap::new();
    for job in jobs.iter().filter(|job| job.target.is_none()) {
        *of_place.entry(&job.place).or_default() += 1;
    }
    let mut plain_names = PlainNames { more, by_bytes: HashSet::new() };
    let mut files: Vec<PathBuf> = vec![];
    for job in jobs {
        if let Some(target) = &job.target {
            files.push(target.clone());
            continue;
        }
        // A name such as `..` would lead elsewhere.
        let place: PathBuf = job.place.components().filter(|c| matches!(c, Component::Normal(_))).collect();
        let plain = folder.join(with_extension(&place, ".mtm"));
        let is_alone = of_place.get(&*job.place) == Some(&1);
        files.push(match Path::new(&job.source).extension().and_then(OsStr::to_str) {
            Some(extension) if !plain_names.has(&plain, &job.source, is_alone) => {
                folder.join(with_extension(&place, &format!(".{extension}.mtm")))
            }
            _ => plain,
        });
    }
    let mut sorted: Vec<_> = files.iter().zip(jobs).collect();
    sorted.sort_by_key(|(file, _)| *file);
    match sorted.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        Some([(file, one), (_, other)]) => Err(Failure::Usage(format!(
            "{}: {} and {} would both go there; ingest them into two folders, or name targets in a --manifest",
            file.display(),
            one.source,
            other.source
        ))),
        _ => Ok(files),
    }
}

/// Containers called by a slide's name alone.
struct PlainNames {
    /// Whether a slide that is alone may get others of its name.
    more: bool,
    /// Those that went to a slide by its bytes: one of the same bytes beside it gets another.
    by_bytes: HashSet<PathBuf>,
}

impl PlainNames {
    /// Whether a container is a slide's, if there is one that can be opened by what it was made from; if not, whether it is
    /// to be the slide's, which has it if it is alone of its place.
    fn has(&mut self, container: &Path, source: &str, is_alone: bool) -> bool {
        let slide = if container.is_file() { Slide::open(container).ok() } else { None };
        let Some(slide) = slide else { return is_alone };
        let made_from = &slide.metadata().source;
        if made_from.name == source_name(source) {
            return true;
        }
        let is_nameless = made_from.name.is_empty();
        if is_nameless && is_alone && !self.more {
            return true;
        }
        // De-identification left the name out; or the file was called otherwise then, which only one alone can be. What cannot be read
        // is not the reason for another name.
        let is_same = (is_nameless || is_alone)
            && has_source_bytes(made_from, source, stop_on_signals()).unwrap_or(is_alone)
            && self.by_bytes.insert(container.to_owned());
        if is_nameless && is_alone && !is_same {
            complain(&format!(
                "{}: does not say what it was made from, and not of {source} as it is now: it is taken for another slide's; if it is \
                 an earlier state of this one, remove it",
                container.display()
            ));
        }
        is_same
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
                "z/ImageProperties.xml",
                "z/TileGroup0/0-0-0.tif",
            ],
        );
        let jobs = jobs(&[text(root.path())], None).expect("slides");
        let places: Vec<_> = jobs.iter().map(|job| job.place.to_str().expect("UTF-8")).collect();
        assert_eq!(places, ["a/deep/y", "b/x", "b/x", "d", "m", "v", "z"]);
        let descriptor = text(&root.path().join("z/ImageProperties.xml"));
        assert_eq!(Job::named(&descriptor).place, Path::new("z"), "its own name says nothing");
        assert_ne!(Job::named(".").place, Path::new(""), "nor does this one");
        std::fs::create_dir(root.path().join("S21-1.A")).expect("a folder");
        std::fs::create_dir(root.path().join("b.dcm")).expect("a folder");
        let place = |name: &str| Job::named(&text(&root.path().join(name))).place;
        assert_eq!(
            [place("S21-1.A"), place("b.dcm"), place("b/x.svs")],
            ["S21-1.A", "b", "x"].map(PathBuf::from)
        );
        let files = files_in(Path::new("out"), &jobs, false).expect("a file for each");
        let files: Vec<_> = files.iter().map(|file| file.to_str().expect("UTF-8")).collect();
        assert_eq!(files[..3], ["out/a/deep/y.mtm", "out/b/x.svs.mtm", "out/b/x.tif.mtm"]);
    }

    #[test]
    fn a_dicom_series_counts_beside_what_lies_in_its_folder() {
        let root = tempfile::tempdir().expect("a folder");
        touch(root.path(), &["case/label.tif", "case/more/deep/y.svs", "other/x.svs"]);
        let dicom = [&[0; 128][..], b"DICM"].concat();
        for name in ["case/level-0.dcm", "case/more/level-0.dcm", "loose.dcm"] {
            std::fs::write(root.path().join(name), &dicom).expect("a file");
        }
        let found = jobs(&[text(root.path())], None).expect("slides");
        let sources: Vec<_> =
            found.iter().map(|job| Path::new(&job.source).strip_prefix(root.path())).collect();
        let expected = ["", "case", "case/label.tif", "case/more", "case/more/deep/y.svs", "other/x.svs"]
            .map(|path| Ok(Path::new(path)));
        assert_eq!(sources, expected);
        assert!(found.iter().all(|job| !job.place.as_os_str().is_empty()));
    }

    #[test]
    fn patterns_and_manifests_name_slides() {
        let root = tempfile::tempdir().expect("a folder");
        touch(root.path(), &["a1.svs", "a2.svs", "b.svs"]);
        let pattern = text(&root.path().join("a?.svs"));
        assert_eq!(jobs(&[pattern.clone(), pattern], None).expect("two, named twice").len(), 2);
        let none = text(&root.path().join("c*.svs"));
        assert!(matches!(jobs(std::slice::from_ref(&none), None), Err(Failure::Usage(_))));
        let beside = text(&root.path().join("b.svs"));
        assert_eq!(jobs(&[none, beside], None).expect("one that fails, one that goes in").len(), 2);
        touch(root.path(), &["case 1/x.svs", "case 2/x.svs"]);
        for pattern in ["case *", "case */*.svs", "*/x.*", "./*/x.svs"] {
            let cases = text(&root.path().join(pattern));
            let places: Vec<_> =
                jobs(&[cases], None).expect("two").into_iter().map(|job| job.place).collect();
            assert_eq!(places, [Path::new("case 1/x"), Path::new("case 2/x")], "{pattern}");
        }
        let manifest = root.path().join("list.txt");
        std::fs::write(
            &manifest,
            "\u{FEFF}# slides\n\na1.svs\r\nsub/b.svs\tcase 7/b.mtm\nsynthetic:9x9\na?.svs\n",
        )
        .expect("a file");
        let listed = jobs(&[], Some(&manifest)).expect("four");
        assert_eq!(listed[1].target, Some(root.path().join("case 7/b.mtm")));
        assert_eq!((listed.len(), listed[2].source.as_str()), (4, "synthetic:9x9"), "a1.svs once");
        std::fs::write(&manifest, "a1.svs\tb.tif\n").expect("a file");
        let error = jobs(&[], Some(&manifest)).expect_err("no container's name").to_string();
        assert!(error.contains("line 1") && error.contains("b.tif"), "{error}");
    }
}
