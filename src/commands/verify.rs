//! `microtome verify`: proof that nothing was lost.

use std::path::{Path, PathBuf};

use microtome_ingest::verify;
use microtome_slide::Slide;

use crate::commands::ingest::print;
use crate::failure::{Failure, complain};
use crate::progress::stop_on_signals;
use crate::table;

/// Findings printed per file; a file that is damaged all over says the same a million times.
const MAX_LINES: usize = 20;

/// Check every checksum and decode every tile; with --source, compare with what it was made from.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The containers.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The source: each of its JPEG tiles must be in the container byte for byte.
    #[arg(long, value_name = "SOURCE")]
    source: Option<String>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    if arguments.source.is_some() && arguments.files.len() > 1 {
        return Err(Failure::Usage("--source goes with one FILE".to_owned()));
    }
    let mut failed = 0;
    for file in &arguments.files {
        if !one(file, arguments.source.as_deref())? {
            failed += 1;
        }
    }
    match failed {
        0 => Ok(()),
        _ => Err(Failure::Verification(format!(
            "verification failed: {failed} of {} files",
            arguments.files.len()
        ))),
    }
}

/// Whether the file is as it should be; says what is not.
fn one(file: &Path, source: Option<&str>) -> Result<bool, Failure> {
    let slide = match Slide::open(file) {
        Ok(slide) => slide,
        // A file that is not there is not a finding about the file.
        Err(error) if !file.exists() => return Err(error.into()),
        Err(error) => {
            complain(&error.to_string());
            return Ok(false);
        }
    };
    let verification = verify::verify(&slide, stop_on_signals())?;
    complain_all(&verification.findings);
    let mut good = verification.findings.is_empty();
    let mut compared = String::new();
    if let Some(source) = source {
        let comparison = verify::compare(&slide, source)?;
        complain_all(&comparison.differences);
        good &= comparison.differences.is_empty();
        match (comparison.identical, comparison.same_source) {
            (0, true) => {
                compared = format!("; {source} is its source (SHA-256), which had no JPEG tiles to keep")
            }
            (0, false) => {
                complain(&format!("{}: {source} is not its source (SHA-256 differs)", file.display()));
                good = false;
            }
            (n, _) => compared = format!("; {} tiles are those of {source}, byte for byte", table::count(n)),
        }
    }
    if good {
        let (tiles, bytes) = (table::count(verification.tiles), table::bytes(verification.bytes));
        print(&format!("{}: ok, {tiles} tiles, {bytes}, {}{compared}", file.display(), slide.content_id()))?;
    }
    Ok(good)
}

fn complain_all(findings: &[String]) {
    findings.iter().take(MAX_LINES).for_each(|finding| complain(finding));
    if findings.len() > MAX_LINES {
        complain(&format!("... and {} more", findings.len() - MAX_LINES));
    }
}
