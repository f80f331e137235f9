//! `microtome demo`: from nothing to a slide in the browser.

use std::path::Path;
use std::time::Instant;

use microtome_ingest::Options;
use microtome_server::ServerConfig;
use microtome_slide::Slide;

use crate::commands::{info, ingest, serve};
use crate::failure::{Failure, complain};
use crate::progress::Style;

/// Where the demonstration slide goes, below the current folder.
const FOLDER: &str = "demo_slides";
/// Its name, which scripts and documentation rely on.
const NAME: &str = "demo_out";
/// 0.1 gigapixels: some 3 x 2.3 mm of tissue and glass at 0.25 um per pixel, made in seconds.
const SIZE: (u32, u32) = (12_288, 9_216);
/// Three islands, well spread.
const SEED: u32 = 3;
/// The smallest size that has a level of more than 100 x 100 tiles below the finest.
const GIGAPIXEL_SIZE: (u32, u32) = (53_248, 53_248);

/// Make a synthetic slide, show its sizes, serve it.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Make it 53,248 px wide and high: 2.8 gigapixels, mostly glass.
    #[arg(long)]
    gigapixel: bool,
    /// TCP port of the server.
    #[arg(long, default_value_t = 3007)]
    port: u16,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let folder = Path::new(FOLDER);
    std::fs::create_dir_all(folder)
        .map_err(|e| Failure::Failed(format!("{FOLDER}: cannot make the folder: {e}")))?;
    let target = folder.join(format!("{NAME}.mtm"));
    let (width, height) = if arguments.gigapixel { GIGAPIXEL_SIZE } else { SIZE };
    let slide = match Slide::open(&target) {
        Ok(slide) if (slide.levels()[0].width, slide.levels()[0].height) == (width, height) => {
            complain(&format!("{}: there already", target.display()));
            slide
        }
        _ => make(&target, &format!("synthetic:{width}x{height},seed={SEED}"))?,
    };
    info::print_sizes(&slide)?;
    let config =
        ServerConfig { slides_root: folder.to_owned(), port: arguments.port, ..ServerConfig::default() };
    serve::serve(config, &format!("viewer/{NAME}"))
}

/// Makes the slide, in place of one of another size or a damaged one: the file is ours.
fn make(target: &Path, source: &str) -> Result<Slide, Failure> {
    if target.exists() {
        std::fs::remove_file(target)
            .map_err(|e| Failure::Failed(format!("{}: cannot be replaced: {e}", target.display())))?;
    }
    let begin = Instant::now();
    let report = ingest::ingest(source, target, Options::default(), Style::Auto)?;
    complain(&ingest::summary(target, &report, begin.elapsed().as_secs_f64()));
    Ok(Slide::open(target)?)
}
