//! `microtome demo`: from nothing to a slide in the browser.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::time::Instant;

use microtome_ingest::Options;
use microtome_server::{ServerConfig, ServerError};
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
    check_port(arguments.port)?;
    let folder = Path::new(FOLDER);
    std::fs::create_dir_all(folder)
        .map_err(|e| Failure::Failed(format!("{FOLDER}: cannot make the folder: {e}")))?;
    let target = folder.join(format!("{NAME}.mtm"));
    let (width, height) = if arguments.gigapixel { GIGAPIXEL_SIZE } else { SIZE };
    let fits = |slide: &Slide| (slide.levels()[0].width, slide.levels()[0].height) == (width, height);
    let slide = match earlier(&target)?.filter(fits) {
        Some(slide) => {
            complain(&format!("{}: there already", target.display()));
            slide
        }
        None => make(&target, &format!("synthetic:{width}x{height},seed={SEED}"))?,
    };
    info::print_sizes(&slide)?;
    let config =
        ServerConfig { slides_root: folder.to_owned(), port: arguments.port, ..ServerConfig::default() };
    serve::serve(config, &format!("viewer/{NAME}"))
}

/// Sees that the port is free before the work, not after it.
fn check_port(port: u16) -> Result<(), Failure> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    TcpListener::bind(address).map(drop).map_err(|error| {
        Failure::Failed(match error.kind() {
            ErrorKind::AddrInUse => ServerError::PortInUse(address).to_string(),
            _ => format!("port {port}: {error}; choose another with --port"),
        })
    })
}

/// The slide of an earlier demo. A file of that name that is anything else is not ours to replace.
fn earlier(target: &Path) -> Result<Option<Slide>, Failure> {
    if target.symlink_metadata().is_err() {
        return Ok(None);
    }
    let slide = Slide::open(target)
        .map_err(|error| Failure::Failed(format!("{error}; remove it, then start the demo again")))?;
    let format = &slide.metadata().source.format;
    if format != "synthetic" {
        let what = format!("was not made by the demo (source format '{format}'); move it away or remove it");
        return Err(Failure::Failed(format!("{}: {what}", target.display())));
    }
    Ok(Some(slide))
}

/// Makes the slide beside one of another size, and puts it in its place when it is whole.
fn make(target: &Path, source: &str) -> Result<Slide, Failure> {
    // A hidden name: the server does not show it.
    let new = target.with_file_name(format!(".{NAME}.new.mtm"));
    match std::fs::remove_file(&new) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            return Err(Failure::Failed(format!("{}: cannot be removed: {error}", new.display())));
        }
        _ => {}
    }
    let begin = Instant::now();
    let report = ingest::ingest(source, &new, Options::default(), Style::Auto, None)?;
    std::fs::rename(&new, target)
        .map_err(|error| Failure::Failed(format!("{}: cannot be replaced: {error}", target.display())))?;
    complain(&ingest::summary(target, &report, begin.elapsed().as_secs_f64()));
    Ok(Slide::open(target)?)
}
