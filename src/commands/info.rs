//! `microtome info`: what a container holds, or what a slide is that is in none yet.

mod source;

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use microtome_container::SectionKind;
use microtome_container::header::MAGIC;
use microtome_object::in_bucket;
use microtome_slide::{LevelUsage, Slide};
use serde_json::json;

use crate::commands::openslide;
use crate::containers;
use crate::failure::Failure;
use crate::output::{print, print_document};
use crate::table;

/// Say what is in a container: sizes, levels, properties, losses. Of a slide that is in none, what `ingest` would find.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The container, also `s3://BUCKET/KEY`; or one slide or image: a file, a folder that is one slide, `synthetic:WxH`.
    file: String,
    /// Print one JSON document.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    openslide: openslide::Arguments,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    if is_source(&arguments.file) {
        arguments.openslide.apply();
        return source::run(&arguments.file, arguments.json);
    }
    let slide = containers::open(Path::new(&arguments.file))?;
    if arguments.json {
        return print_document(
            &serde_json::to_string_pretty(&document(&slide)?).map_err(std::io::Error::other)?,
        );
    }
    let metadata = slide.metadata();
    let grid = slide.levels()[0];
    let source = &metadata.source;
    let mut rows = [
        ["file", &arguments.file],
        ["content id", &slide.content_id().to_string()],
        ["size", &format!("{} x {} px", table::count(grid.width.into()), table::count(grid.height.into()))],
        ["tiles", &format!("{} px, overlap {}", grid.tile_size, grid.overlap)],
        ["mode", &metadata.encoder.mode],
        ["made by", &format!("{} {}", metadata.encoder.name, metadata.encoder.version)],
        ["source", &format!("{} ({}), {}", source.name, source.format, table::bytes(source.bytes))],
        ["source SHA-256", &source.sha256],
        ["source changed", &source.modified.map_or("unknown".to_owned(), day_and_time)],
        ["read by", &source.reader],
        ["mpp", &mpp(metadata.mpp)],
        ["objective", &objective(metadata.objective_power)],
    ]
    .map(|[name, value]| vec![name.to_owned(), value.to_owned()])
    .to_vec();
    rows.push(associated(metadata.associated.iter().map(|image| (&image.name, image.width, image.height))));
    for step in &metadata.loss {
        let levels = step.levels.iter().map(u8::to_string).collect::<Vec<_>>().join(" ");
        let quality = step.quality.map_or(String::new(), |q| {
            let psnr = [q.psnr_y_worst, q.psnr_y_p01, q.psnr_y_p1, q.psnr_y_median].map(|db| db.to_string());
            let scored = q.ssimulacra2.map_or(String::new(), |s| {
                let scores = [s.worst, s.p01, s.p1, s.median].map(|score| score.to_string());
                format!("; SSIMULACRA2 of {} tiles: {}", s.tiles, scores.join(" / "))
            });
            format!(
                "; worst tile / 0.1 % / 1 % / median of {} sampled tiles, PSNR-Y: {} dB{scored}",
                q.tiles,
                psnr.join(" / ")
            )
        });
        let ratio = if step.ratio > 0.0 { format!(", 1:{:.1}", step.ratio) } else { String::new() };
        rows.push(vec![format!("levels {levels}"), format!("{}{ratio}{quality}", step.method)]);
    }
    rows.extend(metadata.notices.iter().map(|notice| vec!["note".to_owned(), notice.clone()]));
    rows.extend(metadata.properties.iter().map(|(k, v)| vec![k.clone(), v.clone()]));
    print_rows(&rows)?;
    print("")?;
    print_sizes(&slide)
}

/// Whether it is something else than a container: by its name, else by its first bytes.
fn is_source(spec: &str) -> bool {
    let path = Path::new(spec);
    if spec.starts_with("synthetic:") || path.is_dir() {
        return true;
    }
    if in_bucket(path).is_some() {
        return false;
    }
    if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("mtm")) {
        return false;
    }
    // What is there and no file, a pipe for one, might never answer; what cannot be read is said so when it is opened.
    let mut first = [0; MAGIC.len()];
    match path.metadata() {
        Ok(metadata) if !metadata.is_file() => true,
        _ => File::open(path).is_ok_and(|mut file| file.read_exact(&mut first).is_err() || first != MAGIC),
    }
}

fn mpp(mpp: Option<[f64; 2]>) -> String {
    mpp.map_or("unknown".to_owned(), |[x, y]| format!("{x} x {y} um"))
}

fn objective(power: Option<f64>) -> String {
    power.map_or("unknown".to_owned(), |power| format!("{power}x"))
}

/// The row of the images that go with a slide: the name and the size of each.
fn associated<'a>(images: impl Iterator<Item = (&'a String, u32, u32)>) -> Vec<String> {
    let images: Vec<_> =
        images.map(|(name, width, height)| format!("{name} ({width} x {height} px)")).collect();
    let all = if images.is_empty() { "none".to_owned() } else { images.join(", ") };
    vec!["associated".to_owned(), all]
}

/// Names and values, one below the other; those of long names (DICOM has some of 160 characters) stand apart.
fn print_rows(rows: &[Vec<String>]) -> Result<(), Failure> {
    const LONG: usize = 40;
    let lengths = rows.iter().map(|row| row[0].chars().count());
    let width = lengths.filter(|&length| length <= LONG).max().unwrap_or(0);
    for row in rows {
        print(format!("{:width$}  {}", row[0], row[1]).trim_end())?;
    }
    Ok(())
}

/// A time in seconds since 1970, as RFC 3339 writes it.
fn day_and_time(seconds: u64) -> String {
    let time = std::time::UNIX_EPOCH.checked_add(std::time::Duration::from_secs(seconds));
    // Beyond the year 9999 there is no such text.
    let known = time.filter(|_| seconds < 253_402_300_800);
    known.map_or_else(|| format!("{seconds} s"), |time| humantime::format_rfc3339_seconds(time).to_string())
}

/// The size table: level by level, and against plain pixels and the source.
pub(crate) fn print_sizes(slide: &Slide) -> Result<(), Failure> {
    let heads = ["level", "pixels", "tiles", "kept", "bytes", "bits/px"];
    let mut rows = vec![heads.map(str::to_owned).to_vec()];
    let usage = slide.usage()?;
    for (level, (grid, LevelUsage { tiles, records, bytes })) in slide.levels().iter().zip(&usage).enumerate()
    {
        let pixels = u64::from(grid.width) * u64::from(grid.height);
        let derived = slide.is_derived(level as u8);
        rows.push(vec![
            level.to_string(),
            format!("{} x {}", table::count(grid.width.into()), table::count(grid.height.into())),
            table::count(grid.tiles()),
            match (derived, tiles - records) {
                (true, _) => "derived".to_owned(),
                (false, 0) => "stored".to_owned(),
                (false, shared) => format!("stored, {} shared", table::count(shared)),
            },
            if derived { "-".to_owned() } else { table::bytes(*bytes) },
            if derived { "-".to_owned() } else { format!("{:.2}", 8.0 * *bytes as f64 / pixels as f64) },
        ]);
    }
    table::print(&rows)?;
    let file = slide.container().header().file_length;
    let raw: u64 = slide.levels().first().map_or(0, |g| 3 * u64::from(g.width) * u64::from(g.height));
    let mut totals = vec![vec!["container".to_owned(), table::bytes(file)]];
    totals.push(vec![
        "level 0 as plain RGB".to_owned(),
        table::bytes(raw),
        format!("1:{:.1}", raw as f64 / file as f64),
    ]);
    let source = slide.metadata().source.bytes;
    let sections = &slide.container().header().sections;
    let parts = [
        ("of it the codec's models", SectionKind::CODEC_PARAMETERS),
        ("of it associated images", SectionKind::ASSOCIATED),
    ];
    for (name, kind) in parts {
        let bytes = sections.iter().filter(|s| s.kind == kind).map(|s| s.length).sum();
        if bytes > 0 {
            let share = format!("{:.1} %", 100.0 * bytes as f64 / file as f64);
            totals.insert(1, vec![name.to_owned(), table::bytes(bytes), share]);
        }
    }
    if source > 0 {
        let ratio = file as f64 / source as f64;
        totals.push(vec![
            "source".to_owned(),
            table::bytes(source),
            format!("container is {ratio:.3} of it"),
        ]);
    }
    print("")?;
    table::print(&totals)
}

fn document(slide: &Slide) -> Result<serde_json::Value, Failure> {
    let header = slide.container().header();
    let usage = slide.usage()?;
    let levels = slide.levels().iter().zip(&usage).enumerate();
    Ok(json!({
        "file": slide.container().path().display().to_string(),
        "bytes": header.file_length,
        "content_id": header.content_id.to_string(),
        "slide_id": format!("{:?}", header.slide_id),
        "width": slide.levels()[0].width,
        "height": slide.levels()[0].height,
        "tile_size": header.tile_size,
        "overlap": header.overlap,
        "levels": levels.map(|(level, (grid, usage))| json!({
            "level": level,
            "width": grid.width,
            "height": grid.height,
            "columns": grid.columns(),
            "rows": grid.rows(),
            "stored": !slide.is_derived(level as u8),
            "tiles": usage.tiles,
            "records": usage.records,
            "bytes": usage.bytes,
        })).collect::<Vec<_>>(),
        "sections": header.sections.iter().map(|section| json!({
            "kind": section.kind.to_string(),
            "codec": section.codec,
            "offset": section.offset,
            "length": section.length,
        })).collect::<Vec<_>>(),
        "metadata": slide.metadata(),
    }))
}
