//! Compresses the pages' scripts and styles once, when the program is built: each goes to every browser that comes.

use std::io::Write;
use std::path::Path;
use std::{env, fs, io};

use flate2::Compression;
use flate2::write::GzEncoder;

/// Below `assets/`.
const COMPRESSED: [&str; 5] =
    ["early.js", "gallery.js", "openseadragon/openseadragon.min.js", "pages.css", "viewer.js"];

fn main() -> io::Result<()> {
    let out = env::var_os("OUT_DIR").ok_or_else(|| io::Error::other("cargo sets OUT_DIR"))?;
    for name in COMPRESSED {
        let path = Path::new("assets").join(name);
        println!("cargo:rerun-if-changed={}", path.display());
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(&fs::read(&path)?)?;
        let target = Path::new(&out).join(format!("{name}.gz"));
        if let Some(folder) = target.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(target, encoder.finish()?)?;
    }
    Ok(())
}
