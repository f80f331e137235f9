//! Which OpenSlide reads the slides that nothing here reads.

use std::path::PathBuf;

use microtome_ingest::source::openslide;

/// The setting of commands that open slides.
#[derive(clap::Args)]
#[group(skip)]
pub(crate) struct Arguments {
    /// OpenSlide's library, 4.0.0 or newer, or the folder that holds it, for formats without a reader of their own
    /// [default: where the system or the active environment has it].
    #[arg(long, env = "MICROTOME_OPENSLIDE", value_name = "PATH")]
    openslide: Option<PathBuf>,
}

impl Arguments {
    /// Says which library it is, before a slide needs it.
    pub(crate) fn apply(&self) {
        if let Some(path) = &self.openslide {
            openslide::use_library(path);
        }
    }
}
