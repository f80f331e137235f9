//! Where `ingest` puts its containers: what -o means, and the folder that it may name.

use std::path::{Path, PathBuf};

use crate::commands::ingest::sources::{self, Job};
use crate::failure::Failure;
use crate::publish;

/// The container of each source, and the folder that is to be there first.
pub(crate) struct Targets {
    pub(crate) files: Vec<PathBuf>,
    folder: Option<PathBuf>,
}

impl Targets {
    /// OUT itself, or a file in OUT named after the source. Nothing is made yet. With `more` to come, OUT is a folder.
    pub(crate) fn new(jobs: &[Job], output: &Path, more: bool) -> Result<Self, Failure> {
        publish::refuse_bucket(output)?;
        let many = more || jobs.len() != 1;
        if !means_file(many, output)? {
            return Ok(Self {
                files: sources::files_in(output, jobs, more)?,
                folder: Some(output.to_owned()),
            });
        }
        match jobs {
            [_] if !many => {
                let folder = output.parent().filter(|folder| !folder.as_os_str().is_empty());
                Ok(Self { files: vec![output.to_owned()], folder: folder.map(Path::to_owned) })
            }
            _ => Err(Failure::Usage(format!(
                "{}: several sources do not fit one file; give a folder to -o",
                output.display(),
            ))),
        }
    }

    /// Runs `work` with the folder in place. If it fails, folders made for it that are still empty go again.
    pub(crate) fn with_folder(&self, work: impl FnOnce() -> Result<(), Failure>) -> Result<(), Failure> {
        let Some(folder) = &self.folder else { return work() };
        let missing = |path: &&Path| !path.as_os_str().is_empty() && !path.exists();
        let made: Vec<_> = folder.ancestors().take_while(missing).collect();
        let result = std::fs::create_dir_all(folder)
            .map_err(|e| {
                Failure::Failed(format!(
                    "{}: cannot make the folder: {e}; choose another one",
                    folder.display()
                ))
            })
            .and_then(|()| work());
        if result.is_err() {
            // Removes empty folders only; the first one that is not ends it, for those above hold it.
            let _ = made.into_iter().try_for_each(std::fs::remove_dir);
        }
        result
    }
}

/// Whether OUT is a container, not a folder. Another extension is most likely a slip of the pen.
fn means_file(many: bool, output: &Path) -> Result<bool, Failure> {
    let slash = output.to_string_lossy().ends_with(std::path::is_separator);
    match output.extension() {
        _ if slash || output.is_dir() => Ok(false),
        None => Ok(false),
        Some(extension) if extension == "mtm" => Ok(true),
        Some(extension) if extension.eq_ignore_ascii_case("mtm") => {
            let what = "OUT is to end in .mtm, in small letters: the server knows no other slides";
            Err(Failure::Usage(format!("{}: {what}", output.display())))
        }
        Some(_) if many => Ok(false),
        Some(_) => Err(Failure::Usage(format!("{}: OUT is to end in .mtm or be a folder", output.display()))),
    }
}
