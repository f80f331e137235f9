//! What `bench rd` has to say about one source: as tables, and as the document that they come from.

use super::containers::Measured;
use super::ladder::{Equal, Ladders, PSNR_Y, SSIMULACRA2};
use super::targets::{self, Target};
use super::timing::{geometric_mean, median};
use crate::failure::Failure;
use crate::output::print;
use crate::table;

/// Where level 1 is looked at too.
const LEVEL_1_AT: f64 = 80.0;

/// A JPEG pyramid and what becomes of it. Bytes are of whole files: headers and tables count.
#[derive(Debug, serde::Serialize)]
pub(super) struct Pyramid {
    /// libjpeg's quality; `None` for tiles that the source had.
    pub(super) quality: Option<u8>,
    /// All levels, with optimised Huffman tables: the baseline.
    pub(super) bytes: u64,
    /// The same, level by level.
    pub(super) level_bytes: Vec<u64>,
    /// With the standard's Huffman tables.
    pub(super) standard_tables_bytes: u64,
    /// As the source has it.
    pub(super) as_found_bytes: Option<u64>,
    /// Levels 0, 2, 4, ... only, with optimised tables.
    pub(super) even_levels_bytes: u64,
    /// Lepton's, one file per tile; estimated from a sample on levels of more than 256 tiles.
    pub(super) lepton_bytes: u64,
    /// Container in exact mode, all levels.
    pub(super) exact: Measured,
    /// Container in exact mode with odd levels derived.
    pub(super) derived: Measured,
}

impl Pyramid {
    fn ratio(&self, bytes: u64) -> f64 {
        bytes as f64 / self.bytes as f64
    }
}

/// Bytes of levels 0, 2, 4, ...
pub(super) fn even_levels(level_bytes: &[u64]) -> u64 {
    level_bytes.iter().step_by(2).sum()
}

/// Everything measured of one source.
#[derive(Debug, serde::Serialize)]
pub(super) struct Report {
    source: String,
    width: u32,
    height: u32,
    pyramids: Vec<Pyramid>,
    ladders: Option<Ladders>,
    equal_quality: Vec<Equal>,
    level_1_ssimulacra2: Option<Level1>,
    targets: Vec<Target>,
}

/// SSIMULACRA2 of level 1 on both sides where level 0 is equal.
#[derive(Debug, serde::Serialize)]
struct Level1 {
    at_level_0: f64,
    jpeg: Option<f64>,
    microtome: Option<f64>,
}

impl Report {
    pub(super) fn new(
        source: &str,
        (width, height): (u32, u32),
        pyramids: Vec<Pyramid>,
        ladders: Option<Ladders>,
    ) -> Self {
        let equal: Vec<Equal> =
            ladders.iter().flat_map(|l| [l.equal(SSIMULACRA2), l.equal(PSNR_Y)].concat()).collect();
        let level_1 = ladders.as_ref().map(|ladders| {
            let [jpeg, microtome] = ladders.level_1(LEVEL_1_AT);
            Level1 { at_level_0: LEVEL_1_AT, jpeg, microtome }
        });
        let targets = targets(&pyramids, ladders.as_ref(), &equal);
        let source = source.to_owned();
        Self {
            source,
            width,
            height,
            pyramids,
            ladders,
            equal_quality: equal,
            level_1_ssimulacra2: level_1,
            targets,
        }
    }

    pub(super) fn targets(&self) -> &[Target] {
        &self.targets
    }

    /// Prints the tables.
    pub(super) fn print(&self) -> Result<(), Failure> {
        let (width, height) = (table::count(self.width.into()), table::count(self.height.into()));
        print(&format!("{}: {width} x {height} px", self.source))?;
        print("")?;
        table::print(&self.pyramid_rows())?;
        print("")?;
        if self.ladders.is_some() {
            table::print(&self.quality_rows())?;
            print("")?;
        }
        let rows = self.targets.iter().map(Target::row);
        table::print(&[vec![Target::heads("against its targets")], rows.collect()].concat())?;
        Ok(())
    }

    fn pyramid_rows(&self) -> Vec<Vec<String>> {
        let row = |name: &str, cell: &dyn Fn(&Pyramid) -> Option<String>| {
            let cells: Vec<_> = self.pyramids.iter().map(cell).collect();
            let named = |cells: Vec<Option<String>>| {
                let cells = cells.into_iter().map(|cell| cell.unwrap_or_else(|| "-".to_owned()));
                std::iter::once(name.to_owned()).chain(cells).collect::<Vec<_>>()
            };
            cells.iter().any(Option::is_some).then(|| named(cells))
        };
        let pixels = f64::from(self.width) * f64::from(self.height);
        let head = |p: &Pyramid| Some(p.quality.map_or("as found".to_owned(), |q| format!("quality {q}")));
        let ratio = |p: &Pyramid, bytes: u64| Some(format!("{:.3}", p.ratio(bytes)));
        let mut rows = vec![
            row("JPEG pyramid, optimised tables", &head),
            row("bytes", &|p| Some(table::count(p.bytes))),
            row("bits per level 0 pixel", &|p| Some(format!("{:.3}", 8.0 * p.bytes as f64 / pixels))),
            row("of it level 0", &|p| ratio(p, p.level_bytes[0])),
            row("as found", &|p| ratio(p, p.as_found_bytes?)),
            row("with standard tables", &|p| ratio(p, p.standard_tables_bytes)),
            row("levels 0, 2, 4, ... only", &|p| ratio(p, p.even_levels_bytes)),
            row("Lepton of each tile", &|p| ratio(p, p.lepton_bytes)),
            row("exact container", &|p| ratio(p, p.exact.bytes)),
            row("  of the tiles as found", &|p| {
                Some(format!("{:.3}", p.exact.bytes as f64 / p.as_found_bytes? as f64))
            }),
            row("  codec parameters", &|p| ratio(p, p.exact.codec_parameters)),
            row("  index, metadata", &|p| ratio(p, p.exact.index + p.exact.metadata)),
            row("  label, macro, thumbnail", &|p| {
                ratio(p, Some(p.exact.associated).filter(|&bytes| bytes > 0)?)
            }),
            row("  header, of fixed size", &|p| ratio(p, p.exact.header)),
        ];
        for level in 0..3 {
            let tiles = |p: &Pyramid| {
                let jpeg = p.level_bytes.get(level).filter(|&&bytes| bytes > 0)?;
                Some(format!("{:.3}", *p.exact.level_bytes.get(level)? as f64 / *jpeg as f64))
            };
            rows.push(row(&format!("  level {level} tiles / JPEG's"), &tiles));
        }
        rows.push(row("level 1, 3, 5, ... derived", &|p| ratio(p, p.derived.bytes)));
        rows.push(row("exact ingest, MP/s", &|p| Some(format!("{:.1}", p.exact.megapixels_per_second))));
        rows.into_iter().flatten().collect()
    }

    fn quality_rows(&self) -> Vec<Vec<String>> {
        let bytes = |bytes: Option<f64>| bytes.map_or("-".to_owned(), |bytes| table::count(bytes as u64));
        let mut rows =
            vec![["equal quality", "JPEG pyramid", "container", "ratio"].map(str::to_owned).to_vec()];
        rows.extend(self.equal_quality.iter().map(|equal| {
            let ratio = equal.ratio.map_or("-".to_owned(), |ratio| format!("{ratio:.3}"));
            vec![name_of(equal), bytes(equal.jpeg_bytes), bytes(equal.microtome_bytes), ratio]
        }));
        if let Some(Level1 { at_level_0, jpeg, microtome }) = self.level_1_ssimulacra2 {
            let score = |score: Option<f64>| score.map_or("-".to_owned(), |score| format!("{score:.1}"));
            rows.push(vec![format!("level 1 where level 0 has {at_level_0}"), score(jpeg), score(microtome)]);
        }
        rows
    }
}

fn name_of(equal: &Equal) -> String {
    let unit = if equal.metric == PSNR_Y.name { " dB" } else { "" };
    format!("{} {}{unit}", equal.metric, equal.at)
}

fn targets(pyramids: &[Pyramid], ladders: Option<&Ladders>, equal: &[Equal]) -> Vec<Target> {
    let over = |of: &dyn Fn(&Pyramid) -> f64| geometric_mean(pyramids.iter().map(of));
    let mut targets = vec![
        Target::new("exact / JPEG pyramid", targets::EXACT, over(&|p| p.ratio(p.exact.bytes))),
        Target::new("level 1 derived / JPEG pyramid", targets::DERIVED, over(&|p| p.ratio(p.derived.bytes))),
    ];
    if ladders.is_some() {
        for (metric, goal) in [(SSIMULACRA2, targets::EQUAL_SSIMULACRA2), (PSNR_Y, targets::EQUAL_PSNR_Y)] {
            let of_metric = || equal.iter().filter(|equal| equal.metric == metric.name);
            targets.extend(
                of_metric().map(|equal| {
                    Target::new(format!("quality, equal {}", name_of(equal)), goal, equal.ratio)
                }),
            );
            let mean = geometric_mean(of_metric().filter_map(|equal| equal.ratio));
            targets.push(Target::new(format!("quality, equal {}, mean", metric.name), goal, mean));
        }
    }
    let speed = |containers: &mut dyn Iterator<Item = &Measured>| {
        median(&mut containers.map(|made| made.megapixels_per_second).collect::<Vec<_>>())
    };
    let exact = speed(&mut pyramids.iter().map(|p| &p.exact));
    targets.push(Target::new("exact ingest, one core, MP/s", targets::EXACT_INGEST, exact));
    if let Some(ladders) = ladders {
        let quality = speed(&mut ladders.microtome.iter().filter_map(|point| point.container.as_ref()));
        targets.push(Target::new("quality ingest, one core, MP/s", targets::QUALITY_INGEST, quality));
    }
    targets
}
