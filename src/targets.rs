//! Where `ingest` puts its containers: what -o means, and the folder that it may name.

use std::path::{Path, PathBuf};

use crate::failure::Failure;

/// The container of each source, and the folder that is to be there first.
pub(crate) struct Targets {
    pub(crate) files: Vec<PathBuf>,
    folder: Option<PathBuf>,
}

impl Targets {
    /// OUT itself, or a file in OUT named after the source. Nothing is made yet.
    pub(crate) fn new(sources: &[String], output: &Path) -> Result<Self, Failure> {
        if !means_file(sources, output)? {
            return Ok(Self { files: files_in(output, sources)?, folder: Some(output.to_owned()) });
        }
        match sources {
            [_] => Ok(Self { files: vec![output.to_owned()], folder: None }),
            _ => Err(Failure::Usage(format!(
                "{}: {} sources do not fit one file; give a folder to -o",
                output.display(),
                sources.len()
            ))),
        }
    }

    /// Runs `work` with the folder in place. If it fails, folders made for it that are still empty go again.
    pub(crate) fn with_folder(&self, work: impl FnOnce() -> Result<(), Failure>) -> Result<(), Failure> {
        let Some(folder) = &self.folder else { return work() };
        let missing = |path: &&Path| !path.as_os_str().is_empty() && !path.exists();
        let made: Vec<_> = folder.ancestors().take_while(missing).collect();
        let result = std::fs::create_dir_all(folder)
            .map_err(|e| Failure::Failed(format!("{}: cannot make the folder: {e}", folder.display())))
            .and_then(|()| work());
        if result.is_err() {
            // Removes empty folders only; the first one that is not ends it, for those above hold it.
            let _ = made.into_iter().try_for_each(std::fs::remove_dir);
        }
        result
    }
}

/// Whether OUT is a container, not a folder. Another extension is most likely a slip of the pen.
fn means_file(sources: &[String], output: &Path) -> Result<bool, Failure> {
    let slash = output.to_string_lossy().ends_with(std::path::is_separator);
    match output.extension() {
        _ if slash || output.is_dir() => Ok(false),
        None => Ok(false),
        Some(extension) if extension.eq_ignore_ascii_case("mtm") => Ok(true),
        Some(_) if sources.len() > 1 => Ok(false),
        Some(_) => Err(Failure::Usage(format!("{}: OUT is to end in .mtm or be a folder", output.display()))),
    }
}

/// One file per source, named after it.
fn files_in(folder: &Path, sources: &[String]) -> Result<Vec<PathBuf>, Failure> {
    let mut files: Vec<PathBuf> = vec![];
    for source in sources {
        let stem = match source.strip_prefix("synthetic:") {
            Some(parameters) => format!("synthetic_{parameters}").into(),
            None => Path::new(source).file_stem().unwrap_or_default().to_owned(),
        };
        let mut file = folder.join(stem).into_os_string();
        file.push(".mtm");
        if files.iter().any(|f| f.as_os_str() == file) {
            let name = Path::new(&file).display();
            return Err(Failure::Usage(format!(
                "{name}: two sources would go there; ingest them into two folders"
            )));
        }
        files.push(file.into());
    }
    Ok(files)
}
