//! `microtome verify`: proof that nothing was lost.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use microtome_ingest::verify::{self, Comparison};
use microtome_object::in_bucket;

use crate::commands::ingest::sources;
use crate::commands::openslide;
use crate::containers::{Containers, OpenError};
use crate::failure::{Failure, complain};
use crate::output::print;
use crate::progress::stop_on_signals;
use crate::table;

/// Findings printed per file; a file that is damaged all over says the same a million times.
const MAX_LINES: usize = 20;

/// Check every checksum and decode every tile; with --source, compare with what it was made from.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The containers, or folders of them: then all .mtm files in a folder and those in it. Also `s3://BUCKET/KEY.mtm`, and
    /// `s3://BUCKET/PREFIX` for all .mtm objects below a prefix.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The source: each of its JPEG tiles must be in the container byte for byte (of an NDPI:
    /// each tile cut from its coefficients). Of a folder of containers, the folder that they were made from: each slide
    /// in it must have its container.
    #[arg(long, value_name = "SOURCE")]
    source: Option<String>,
    #[command(flatten)]
    openslide: openslide::Arguments,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    arguments.openslide.apply();
    let mut containers = Containers::default();
    let checks = match (&arguments.source, arguments.files.as_slice()) {
        (Some(source), [folder]) if folder.is_dir() => archive(folder, source)?,
        (Some(source), [file]) => vec![Check { file: file.clone(), source: Of::This(source.clone()) }],
        (Some(_), _) => return Err(Failure::Usage("--source goes with one FILE, or one folder".to_owned())),
        (None, files) => {
            let mut checks = vec![];
            for file in files {
                let files = match in_bucket(file) {
                    Some(place) => containers.below(place)?,
                    None if file.is_dir() => containers_in(file)?,
                    None => vec![file.clone()],
                };
                checks.extend(files.into_iter().map(|file| Check { file, source: Of::Any }));
            }
            checks
        }
    };
    let all = checks.len();
    let (mut failed, mut unread) = (0, 0);
    for check in &checks {
        match check.run(&mut containers) {
            Ok(true) => {}
            Ok(false) => failed += 1,
            Err(Failure::Failed(what) | Failure::Usage(what))
                if all > 1 && !stop_on_signals().load(Ordering::Relaxed) =>
            {
                complain(&what);
                unread += 1;
            }
            Err(failure) => return Err(failure),
        }
    }
    match (failed, unread) {
        (0, 0) => Ok(()),
        (0, _) if unread < all => Err(Failure::SomeFailed { failed: unread, all }),
        (0, _) => Err(Failure::Failed(format!("none of {all} files could be read; see the lines above"))),
        (_, 0) => Err(Failure::Verification(format!("verification failed: {failed} of {all} files"))),
        _ => Err(Failure::Verification(format!(
            "verification failed: {failed} of {all} files, and {unread} could not be read"
        ))),
    }
}

/// A container to be looked at.
struct Check {
    file: PathBuf,
    source: Of,
}

/// What a container is to be compared with.
enum Of {
    /// Nothing.
    Any,
    /// This source.
    This(String),
    /// A source that is not where its like are.
    Missing(String),
}

impl Check {
    /// Whether it is as it should be; says what is not.
    fn run(&self, containers: &mut Containers) -> Result<bool, Failure> {
        let file = self.file.display();
        match &self.source {
            Of::This(source) if in_bucket(&self.file).is_none() && !self.file.exists() => {
                let remedy = match unreadable(Path::new(source)).filter(|_| !source.starts_with("synthetic:"))
                {
                    Some(error) => {
                        format!("which cannot be read: {error}; check the path, and who may read it")
                    }
                    None => "ingest it, which says why if it is none that can go in".to_owned(),
                };
                complain(&format!("{file}: missing; it would be made from {source}: {remedy}"));
                Ok(false)
            }
            Of::This(source) => one(containers, &self.file, Some(source)),
            Of::Any => one(containers, &self.file, None),
            Of::Missing(folder) => {
                one(containers, &self.file, None)?;
                complain(&format!(
                    "{file}: no slide in {folder} goes there: what it was made from is missing, or a plain picture \
                     (folders are not searched for those; verify {file} --source PICTURE)"
                ));
                Ok(false)
            }
        }
    }
}

/// Why a file or folder cannot be read, where that is so.
fn unreadable(path: &Path) -> Option<std::io::Error> {
    match path.metadata() {
        Err(error) => Some(error),
        Ok(found) if found.is_dir() => std::fs::read_dir(path).err(),
        // What is neither, a pipe, may wait for ever.
        Ok(found) if found.is_file() => std::fs::File::open(path).err(),
        Ok(_) => None,
    }
}

/// The containers in a folder, each with its source, and those that slides in `sources` should have there.
fn archive(folder: &Path, sources: &str) -> Result<Vec<Check>, Failure> {
    let jobs = sources::jobs(&[sources.to_owned()], None)?;
    let targets = sources::files_in(folder, &jobs, true)?;
    let mut checks: BTreeMap<_, _> =
        targets.into_iter().zip(jobs).map(|(file, job)| (file, Of::This(job.source))).collect();
    for file in containers_in(folder)? {
        checks.entry(file).or_insert_with(|| Of::Missing(sources.to_owned()));
    }
    Ok(checks.into_iter().map(|(file, source)| Check { file, source }).collect())
}

/// All containers in a folder and those in it, in the order of names. Links to folders are not followed.
fn containers_in(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let (mut found, mut folders) = (vec![], vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        let failed =
            |e: std::io::Error| Failure::Failed(format!("{}: cannot be read: {e}", folder.display()));
        for entry in std::fs::read_dir(&folder).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if path.is_dir() && !path.is_symlink() {
                // One that cannot be read fails when its turn comes, and the others are looked at.
                let list = if std::fs::read_dir(&path).is_ok() { &mut folders } else { &mut found };
                list.push(path);
            } else if path.extension().is_some_and(|extension| extension == "mtm") && !path.is_dir() {
                found.push(path);
            }
        }
    }
    found.sort();
    if found.is_empty() {
        let what = "no .mtm file is in this folder, nor in those in it";
        return Err(Failure::Usage(format!("{}: {what}", folder.display())));
    }
    Ok(found)
}

/// Whether the file is as it should be; says what is not. A file that cannot be read is a failure, not a finding.
fn one(containers: &mut Containers, file: &Path, source: Option<&str>) -> Result<bool, Failure> {
    if let Some(error) = unreadable(file).filter(|_| file.is_dir()) {
        let what = "check who may read it";
        return Err(Failure::Failed(format!("{}: cannot be read: {error}; {what}", file.display())));
    }
    let slide = match containers.open(file) {
        Ok(slide) => slide,
        Err(OpenError::Container(error)) if !error.is_of_system() => {
            complain(&error.to_string());
            return Ok(false);
        }
        // Which says nothing about the file.
        Err(error) => return Err(error.into()),
    };
    let verification = verify::verify(&slide, stop_on_signals())?;
    complain_all(&verification.findings);
    let mut good = verification.findings.is_empty();
    let mut compared = String::new();
    if let Some(source) = source {
        let comparison = verify::compare(&slide, source)?;
        let differences = comparison.differences.iter();
        complain_all(
            &differences
                .map(|what| format!("{}, beside {source}: {what}", file.display()))
                .collect::<Vec<_>>(),
        );
        good &= comparison.differences.is_empty();
        if !comparison.same_source && (!comparison.keeps_tiles || comparison.identical == 0) {
            complain(&format!("{}: {source} is not its source (SHA-256 differs)", file.display()));
            good = false;
        }
        compared = compared_with(source, &comparison);
    }
    if good {
        let file_length = slide.container().header().file_length;
        let (tiles, bytes) = (table::count(verification.tiles), table::bytes(file_length));
        print(&format!("{}: ok, {tiles} tiles, {bytes}, {}{compared}", file.display(), slide.content_id()))?;
    }
    Ok(good)
}

/// What a comparison without differences proves.
fn compared_with(source: &str, comparison: &Comparison) -> String {
    let tiles = table::count(comparison.identical);
    let absent = match comparison.absent {
        0 => String::new(),
        absent => format!("; {} more are absent there and blank", table::count(absent)),
    };
    let absent = match comparison.undecodable {
        0 => absent,
        bad => format!("{absent}; {} more cannot be decoded there and are blank", table::count(bad)),
    };
    match (comparison.keeps_tiles, comparison.same_source) {
        (true, true) => format!("; {tiles} tiles are those of {source}: {}{absent}", comparison.kept),
        (true, false) => format!(
            "; {tiles} tiles are those of {source}: {}{absent}, but it is another file than was ingested (SHA-256 differs)",
            comparison.kept
        ),
        (false, _) => format!(
            "; {source} is its source (SHA-256); its pixels were quantised, so no tile is to be found there"
        ),
    }
}

fn complain_all(findings: &[String]) {
    findings.iter().take(MAX_LINES).for_each(|finding| complain(finding));
    if findings.len() > MAX_LINES {
        complain(&format!("... and {} more", findings.len() - MAX_LINES));
    }
}
