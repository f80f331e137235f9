//! What a container says about itself: its source, how it was made, and every lossy step.

use microtome_codec::payload::VerbatimParams;
use microtome_container::Writer;
use microtome_container::geometry::Grid;
use microtome_slide::metadata::{AbsentTiles, AssociatedImage, Encoder, LossStep, Metadata, SourceRecord};

use crate::Error;
use crate::forgiving::Blanked;
use crate::ingest::Filled;
use crate::opened::IN_SRGB;
use crate::plan::{Origin, Plan};
use crate::quality;
use crate::source::{Content, Source};

/// How a container was made.
pub(crate) struct Made<'a> {
    pub(crate) mode: String,
    pub(crate) record: SourceRecord,
    pub(crate) params: &'a VerbatimParams,
    pub(crate) filled: &'a Filled,
    /// What could not be decoded, if that was to be blank.
    pub(crate) blanked: Option<&'a Blanked>,
}

impl Made<'_> {
    pub(crate) fn metadata(self, source: &Source, plan: &Plan, bytes: &LevelBytes) -> Metadata {
        let loss = self.loss(source, plan, bytes);
        let mut absent = absent_tiles(source, plan);
        absent.extend(self.blanked.map(Blanked::tiles).unwrap_or_default());
        let mut notices = [&source.notices[..], &plan.notices[..], &self.notices()].concat();
        notices.extend(absent.iter().map(|level| {
            let (count, all) = (level.count(), plan.grid(level.level).tiles());
            let is_kept = matches!(plan.origins[usize::from(level.level)], Origin::Verbatim(_));
            let why = match (level.undecodable, is_kept) {
                (false, _) => "are absent in the source: they are blank",
                (true, true) => "cannot be decoded: they are blank",
                (true, false) => "have pixels that cannot be decoded: these are white",
            };
            let which =
                if level.undecodable { first_places(level, &plan.grid(level.level)) } else { String::new() };
            format!("{count} of {all} tiles of level {} {why}{which}", level.level)
        }));
        let associated = source.associated.iter().enumerate();
        Metadata {
            encoder: Encoder {
                name: "microtome".to_owned(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
                mode: self.mode,
            },
            source: self.record,
            mpp: source.mpp,
            objective_power: source.objective_power,
            properties: source.properties.iter().cloned().collect(),
            associated: associated
                .map(|(index, image)| AssociatedImage {
                    name: image.name.clone(),
                    media_type: image.media_type.to_owned(),
                    width: image.width,
                    height: image.height,
                    index,
                })
                .collect(),
            loss,
            absent,
            notices,
        }
    }

    fn notices(&self) -> Vec<String> {
        let codings = self.filled.codings;
        let all = codings.verbatim + codings.alone + codings.predicted;
        match codings.verbatim {
            0 => vec![],
            some => vec![format!(
                "{some} of {all} tiles are stored as the JPEG streams that they were: their coefficients do not give \
                 the streams back to the byte, so they are no smaller than before"
            )],
        }
    }

    /// The loss record: every lossy step between the source and the tiles.
    fn loss(&self, source: &Source, plan: &Plan, bytes: &LevelBytes) -> Vec<LossStep> {
        let mut steps: Vec<LossStep> = vec![];
        for (level, &origin) in (0_u8..).zip(&plan.origins) {
            let method = self.method(source, origin);
            match steps.iter_mut().find(|step| step.method == method) {
                Some(step) => step.levels.push(level),
                None => {
                    let verbatim = matches!(origin, Origin::Verbatim(_));
                    steps.push(LossStep { levels: vec![level], verbatim, method, ..LossStep::default() });
                }
            }
        }
        for step in &mut steps {
            let levels = step.levels.clone();
            let measured = self.filled.measured.iter();
            step.quality = quality::summarise(measured.filter(|m| levels.contains(&m.level)));
            step.ratio = bytes.ratio(plan, &step.levels);
        }
        steps
    }

    /// What was done to get the tiles of a level.
    fn method(&self, source: &Source, origin: Origin) -> String {
        let VerbatimParams { derived_quality: quality, derived_subsampling: chroma, .. } = self.params;
        let jpeg = format!("JPEG baseline, quality {quality}, {chroma} (rate-distortion optimised)");
        let of_pixels = matches!(source.content, Content::Pixels(_));
        // What came before, in its order.
        let is_windowed = source.properties.iter().any(|(name, _)| name.starts_with("microtome.window."));
        let steps = [
            (is_windowed, ", cut to 8 bits through the stated window"),
            (self.mode.contains(IN_SRGB), ", converted to sRGB by the ICC profile"),
        ];
        let shown: String = steps.iter().filter(|(is_taken, _)| *is_taken).map(|(_, what)| *what).collect();
        match origin {
            Origin::Verbatim(_) => match &source.content {
                Content::Tiles(tiles) => tiles.kept().to_owned(),
                Content::Pixels(_) => unreachable!("levels taken verbatim come from tiles"),
            },
            Origin::Quantised => format!("quantised from the source's pixels{shown}: {jpeg}"),
            Origin::Made(0) if of_pixels => {
                format!("made by 2x2 averages, twice, of the source's pixels{shown}: {jpeg}")
            }
            Origin::Made(_) => format!("made by 2x2 averages of the decoded finer level: {jpeg}"),
            Origin::Derived if self.filled.derives => {
                "derived on demand by 2x2 averages of the decoded finer level: JPEG as the tiles of level 0 are"
                    .to_owned()
            }
            Origin::Derived => {
                format!("derived on demand by 2x2 averages of the decoded finer level: {jpeg}")
            }
        }
    }
}

/// The tiles that the source lacks of the levels that are kept.
fn absent_tiles(source: &Source, plan: &Plan) -> Vec<AbsentTiles> {
    let Content::Tiles(tiles) = &source.content else { return vec![] };
    let mut absent = vec![];
    for (level, &origin) in (0_u8..).zip(&plan.origins) {
        let Origin::Verbatim(index) = origin else { continue };
        let grid = plan.grid(level);
        let runs = runs((0..grid.tiles()).filter(|&number| {
            let (column, row) = grid.position(number);
            tiles.is_absent(index, column, row)
        }));
        if !runs.is_empty() {
            absent.push(AbsentTiles { level, runs, undecodable: false });
        }
    }
    absent
}

/// Rising numbers as the first and the last of each run.
pub(crate) fn runs(numbers: impl Iterator<Item = u64>) -> Vec<[u64; 2]> {
    let mut runs: Vec<[u64; 2]> = vec![];
    for number in numbers {
        match runs.last_mut() {
            Some([_, last]) if *last + 1 == number => *last = number,
            _ => runs.push([number, number]),
        }
    }
    runs
}

/// Where the first few of some tiles lie.
fn first_places(tiles: &AbsentTiles, grid: &Grid) -> String {
    const MOST: usize = 5;
    let mut numbers = tiles.runs.iter().flat_map(|&[first, last]| first..=last);
    let place = |number| {
        let (column, row) = grid.position(number);
        format!("column {column} row {row}")
    };
    let first: Vec<_> = numbers.by_ref().take(MOST).map(place).collect();
    format!(" ({}{})", first.join(", "), if numbers.next().is_some() { ", ..." } else { "" })
}

/// Stored bytes of each level.
pub(crate) struct LevelBytes(Vec<u64>);

impl LevelBytes {
    pub(crate) fn of(writer: &Writer, plan: &Plan) -> Result<Self, Error> {
        let mut bytes = vec![0; plan.levels.len()];
        writer.layout().try_for_each_tile(|_, tile| {
            bytes[usize::from(tile.level)] += writer.length(tile)?.map_or(0, u64::from);
            Ok::<_, Error>(())
        })?;
        Ok(Self(bytes))
    }

    /// Bytes of 24-bit RGB per stored byte.
    fn ratio(&self, plan: &Plan, levels: &[u8]) -> f64 {
        let pixels = |&k: &u8| u64::from(plan.grid(k).width) * u64::from(plan.grid(k).height);
        let stored: u64 = levels.iter().map(|&k| self.0[usize::from(k)]).sum();
        let raw = 3 * levels.iter().map(pixels).sum::<u64>();
        if stored == 0 { 0.0 } else { (1000.0 * raw as f64 / stored as f64).round() / 1000.0 }
    }
}
