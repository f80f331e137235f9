//! An open slide: container, codecs, metadata, and the cache of index pages.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use microtome_codec::Rgb;
use microtome_codec::payload::PayloadCodec;
use microtome_container::geometry::{Grid, Rect, TileId};
use microtome_container::header::{Section, SectionKind};
use microtome_container::reader::Page;
use microtome_container::{Container, ContentId};

use crate::error::Error;
use crate::fetch::{FetchedTile, Record};
use crate::metadata::{self, Metadata};
use crate::mosaic;

/// Index pages of 32 KiB that an open slide keeps: half a mebibyte, the index of some gigapixel around the viewer.
const CACHED_PAGES: u64 = 16;
/// Longest codec parameters read: tables of 64 KiB for each of 33 levels fit.
const MAX_PARAMETERS: u64 = 4 << 20;

/// An open slide. Cheap to clone; all methods from any thread.
#[derive(Debug, Clone)]
pub struct Slide(Arc<Inner>);

/// What a level takes in the file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LevelUsage {
    /// Tiles stored.
    pub tiles: u64,
    /// Records stored: identical tiles share one, which counts for the first level that uses it.
    pub records: u64,
    /// Bytes of these records.
    pub bytes: u64,
}

#[derive(Debug)]
struct Inner {
    container: Container,
    levels: Vec<Grid>,
    metadata: Metadata,
    /// Codec of each section of the section table that holds tiles.
    codecs: Vec<Option<Arc<PayloadCodec>>>,
    pages: moka::sync::Cache<u64, Page>,
}

impl Slide {
    /// Opens a container: its header, codec parameters and metadata. Blocking I/O.
    ///
    /// # Errors
    /// [`Error::Container`] or [`Error::Invalid`], naming the file and the place.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let container = Container::open(path)?;
        let header = container.header();
        let levels = (0..header.levels.len()).filter_map(|k| header.grid(k as u8)).collect();
        let metadata = read_metadata(&container)?;
        let codecs = read_codecs(&container)?;
        let pages = moka::sync::Cache::new(CACHED_PAGES);
        Ok(Self(Arc::new(Inner { container, levels, metadata, codecs, pages })))
    }

    /// The container below.
    #[must_use]
    pub fn container(&self) -> &Container {
        &self.0.container
    }

    /// Identity of the content: the same id, the same bytes of every stored tile. Derived tiles have the same pixels
    /// before they are encoded; their bytes depend on the encoder's version too.
    #[must_use]
    pub fn content_id(&self) -> ContentId {
        self.0.container.header().content_id
    }

    /// What the container says about the slide.
    #[must_use]
    pub fn metadata(&self) -> &Metadata {
        &self.0.metadata
    }

    /// The grid of each level: `levels()[k]` is 1/2^k of full resolution, the last level is 1 x 1 px.
    #[must_use]
    pub fn levels(&self) -> &[Grid] {
        &self.0.levels
    }

    /// Whether the tiles of a level are computed and encoded on demand. False beyond the coarsest level.
    #[must_use]
    pub fn is_derived(&self, level: u8) -> bool {
        self.0.container.header().levels.get(usize::from(level)).is_some_and(|l| !l.stored)
    }

    /// Reads the records that a tile needs, and checks them. Blocking I/O, no decoding: one record for a stored
    /// level, those under the tile's area on the next finer level for a derived one.
    ///
    /// # Errors
    /// [`Error::OutsideSlide`], or [`Error::Container`] naming the damaged record.
    pub fn fetch(&self, tile: TileId) -> Result<FetchedTile, Error> {
        let rect = self
            .levels()
            .get(usize::from(tile.level))
            .and_then(|grid| grid.tile_rect(tile.column, tile.row))
            .ok_or(Error::OutsideSlide(tile))?;
        let path = Arc::from(self.0.container.path());
        if !self.is_derived(tile.level) {
            return Ok(FetchedTile::stored(path, self.record(tile)?));
        }
        let level = tile.level - 1;
        let grid = self.levels()[usize::from(level)];
        let area = mosaic::finer(rect, &grid);
        let (columns, rows) = mosaic::tiles_of(&grid, area);
        let records = rows
            .flat_map(|row| columns.clone().map(move |column| TileId { level, column, row }))
            .map(|tile| self.record(tile))
            .collect::<Result<_, _>>()?;
        Ok(FetchedTile::derived(path, tile, grid, area, records))
    }

    /// A tile as JPEG: [`Self::fetch`] and [`FetchedTile::decode`] in one. Blocks and decodes.
    ///
    /// # Errors
    /// As these two.
    pub fn tile(&self, tile: TileId) -> Result<Bytes, Error> {
        self.fetch(tile)?.decode()
    }

    /// The pixels of a rectangle of a level. Blocks and decodes.
    ///
    /// # Errors
    /// As [`Self::tile`].
    ///
    /// # Panics
    /// If the level does not exist or the rectangle leaves it.
    pub fn read_region(&self, level: u8, rect: Rect) -> Result<Rgb, Error> {
        let grid = self.levels()[usize::from(level)];
        mosaic::assemble(&grid, rect, |column, row| {
            self.fetch(TileId { level, column, row })?.decode_pixels()
        })
    }

    /// An associated image (`label`, `macro`, `thumbnail`), encoded as the metadata says.
    ///
    /// # Errors
    /// [`Error::Container`] if its section is damaged; `Ok(None)` if there is no such image.
    pub fn associated(&self, name: &str) -> Result<Option<Vec<u8>>, Error> {
        let Some(image) = self.metadata().associated.iter().find(|a| a.name == name) else { return Ok(None) };
        let mut sections = sections(&self.0.container, SectionKind::ASSOCIATED);
        let Some(section) = sections.nth(image.index) else {
            let what = format!("{name} is said to be associated image {}, which is not there", image.index);
            return Err(invalid(&self.0.container, "section META", what));
        };
        Ok(Some(self.0.container.read_section(section)?))
    }

    /// How much each level takes in the file: reads the whole index.
    ///
    /// # Errors
    /// [`Error::Container`] naming the damaged index page.
    pub fn usage(&self) -> Result<Vec<LevelUsage>, Error> {
        let container = &self.0.container;
        let mut usage = vec![LevelUsage::default(); self.levels().len()];
        let mut seen = HashSet::new();
        let mut current: Option<(u64, Page)> = None;
        container.layout().try_for_each_tile(|_, tile| {
            let (number, position) = container.locate(tile)?;
            if current.as_ref().is_none_or(|(n, _)| *n != number) {
                current = Some((number, container.read_page(number)?));
            }
            let entry = current.as_ref().and_then(|(_, page)| page.entry(position));
            if let Some(entry) = entry {
                let level = &mut usage[usize::from(tile.level)];
                level.tiles += 1;
                if seen.insert((entry.section, entry.offset)) {
                    level.records += 1;
                    level.bytes += u64::from(entry.length);
                }
            }
            Ok::<_, Error>(())
        })?;
        Ok(usage)
    }

    /// Reads and checks the record of a tile of a stored level.
    ///
    /// # Errors
    /// As [`Self::fetch`].
    pub fn record(&self, tile: TileId) -> Result<Record, Error> {
        let Inner { container, pages, codecs, levels, .. } = &*self.0;
        let (number, position) = container.locate(tile)?;
        let page = match pages.get(&number) {
            Some(page) => page,
            None => {
                let page = container.read_page(number)?;
                pages.insert(number, page.clone());
                page
            }
        };
        let missing = |what: &str| microtome_container::Error::DamagedTile {
            path: container.path().to_owned(),
            tile,
            what: what.to_owned(),
        };
        let entry = page.entry(position).ok_or_else(|| missing("has no record"))?;
        let payload = container.read_record(tile, entry)?;
        let codec = codecs.get(usize::from(entry.section)).and_then(Option::as_ref);
        let codec = codec.ok_or_else(|| missing("its section has no codec parameters"))?;
        let rect = levels[usize::from(tile.level)].tile_rect(tile.column, tile.row);
        let rect = rect.ok_or(Error::OutsideSlide(tile))?;
        Ok(Record { tile, width: rect.width, height: rect.height, payload, codec: Arc::clone(codec) })
    }
}

fn sections(container: &Container, kind: SectionKind) -> impl Iterator<Item = &Section> {
    container.header().sections.iter().filter(move |s| s.kind == kind)
}

fn invalid(container: &Container, place: &str, what: String) -> Error {
    Error::Invalid { path: container.path().to_owned(), place: place.to_owned(), what }
}

fn read_metadata(container: &Container) -> Result<Metadata, Error> {
    let Some(section) = sections(container, SectionKind::METADATA).next() else {
        return Ok(Metadata::default());
    };
    if section.length > metadata::MAX_LENGTH {
        return Err(invalid(container, "section META", format!("{} bytes (at most 4 MiB)", section.length)));
    }
    let bytes = container.read_section(section)?;
    serde_json::from_slice(&bytes).map_err(|e| invalid(container, "section META", e.to_string()))
}

fn read_codecs(container: &Container) -> Result<Vec<Option<Arc<PayloadCodec>>>, Error> {
    let mut codecs = Vec::new();
    // Sections of one codec share its parameters: read and kept once.
    let mut opened: Vec<(u16, Arc<PayloadCodec>)> = Vec::new();
    for section in &container.header().sections {
        if section.kind != SectionKind::TILES {
            codecs.push(None);
            continue;
        }
        let codec = match opened.iter().find(|(number, _)| *number == section.codec) {
            Some((_, codec)) => Arc::clone(codec),
            None => Arc::new(read_codec(container, section.codec)?),
        };
        opened.push((section.codec, Arc::clone(&codec)));
        codecs.push(Some(codec));
    }
    Ok(codecs)
}

fn read_codec(container: &Container, number: u16) -> Result<PayloadCodec, Error> {
    let section = sections(container, SectionKind::CODEC_PARAMETERS).find(|s| s.codec == number);
    let parameters = match section {
        Some(section) if section.length > MAX_PARAMETERS => {
            return Err(invalid(
                container,
                "section CPAR",
                format!("{} bytes (at most 4 MiB)", section.length),
            ));
        }
        Some(section) => container.read_section(section)?,
        None => vec![],
    };
    PayloadCodec::open(number, &parameters).map_err(|e| invalid(container, "section CPAR", e.to_string()))
}
