//! An open slide: container, codecs, metadata, and its share of the caches.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use microtome_codec::cross_scale::{Kind, Picture};
use microtome_codec::jpeg::Colour;
use microtome_codec::payload::PayloadCodec;
use microtome_codec::turbo::Subsampling;
use microtome_codec::{Rgb, Stopwatch};
use microtome_container::geometry::{Grid, Rect, TileId};
use microtome_container::header::{Section, SectionKind};
use microtome_container::index::Entry;
use microtome_container::reader::{Page, Reading};
use microtome_container::{Container, ContentId};

use crate::buffers::Buffer;
use crate::caches::{Caches, Share};
use crate::error::Error;
use crate::fetch::{FetchedTile, FetchedTiles};
use crate::gather::Record;
use crate::metadata::{self, Metadata};
use crate::mosaic;
use crate::times::Times;

/// Longest codec parameters read: tables of 64 KiB for each of 33 levels fit.
const MAX_PARAMETERS: u64 = 4 << 20;

/// Longest ICC profile read.
const MAX_ICC_PROFILE: u64 = 16 << 20;

/// An open slide. Cheap to clone; all methods from any thread.
#[derive(Debug, Clone)]
pub struct Slide {
    inner: Arc<Inner>,
    measures: bool,
}

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
    share: Share,
}

impl Slide {
    /// Opens a container: its header, codec parameters and metadata. Blocking I/O.
    ///
    /// # Errors
    /// [`Error::Container`] or [`Error::Invalid`], naming the file and the place.
    pub fn open(path: &Path) -> Result<Self, Error> {
        Self::open_with(path, &Caches::default())
    }

    /// As [`Self::open`], keeping what it keeps together with other slides.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_with(path: &Path, caches: &Caches) -> Result<Self, Error> {
        Self::of_container(Container::open(path)?, caches)
    }

    /// As [`Self::open_with`], of a container that is open already.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn of_container(container: Container, caches: &Caches) -> Result<Self, Error> {
        let header = container.header();
        let levels = (0..header.levels.len()).filter_map(|k| header.grid(k as u8)).collect();
        let metadata = read_metadata(&container)?;
        let codecs = read_codecs(&container)?;
        let inner = Inner { container, levels, metadata, codecs, share: Share::new(caches) };
        Ok(Self { inner: Arc::new(inner), measures: false })
    }

    /// The slide with a stopwatch: what is fetched through it tells where the time went.
    #[must_use]
    pub fn timed(self) -> Self {
        Self { measures: true, ..self }
    }

    /// Whether there is a stopwatch.
    pub(crate) fn measures(&self) -> bool {
        self.measures
    }

    /// The container below.
    #[must_use]
    pub fn container(&self) -> &Container {
        &self.inner.container
    }

    /// Identity of the content: the same id, the same bytes of every stored tile. Derived tiles have the same pixels
    /// before they are encoded; their bytes depend on the encoder's version too.
    #[must_use]
    pub fn content_id(&self) -> ContentId {
        self.inner.container.header().content_id
    }

    /// What the container says about the slide.
    #[must_use]
    pub fn metadata(&self) -> &Metadata {
        &self.inner.metadata
    }

    /// The grid of each level: `levels()[k]` is 1/2^k of full resolution, the last level is 1 x 1 px.
    #[must_use]
    pub fn levels(&self) -> &[Grid] {
        &self.inner.levels
    }

    /// Chroma resolution of the tiles of level 0; 4:2:0 where the codec does not say. RGB has all of it.
    #[must_use]
    pub fn chroma(&self) -> Subsampling {
        let Some(codec) = self.inner.codecs.iter().flatten().next() else { return Subsampling::Chroma420 };
        let params = codec.params();
        match params.stream(0).is_some_and(|stream| stream.colour == Colour::Rgb) {
            true => Subsampling::Chroma444,
            false => params.derived_subsampling,
        }
    }

    /// Whether the tiles of a level are computed and encoded on demand. False beyond the coarsest level.
    #[must_use]
    pub fn is_derived(&self, level: u8) -> bool {
        self.inner.container.header().levels.get(usize::from(level)).is_some_and(|l| !l.stored)
    }

    /// Reads the records that a tile needs, and checks them. Blocking I/O, no decoding: the tile's own record for a
    /// stored level, those below it on the next finer level for a derived one, and those that they are predicted from.
    ///
    /// # Errors
    /// [`Error::OutsideSlide`], or [`Error::Container`] naming the damaged record.
    pub fn fetch(&self, tile: TileId) -> Result<FetchedTile, Error> {
        FetchedTile::fetch(self, tile, Reading::Waits)
    }

    /// As [`Self::fetch`], without waiting: `None` if not all of it is in memory.
    ///
    /// # Errors
    /// As [`Self::fetch`].
    pub fn fetch_at_once(&self, tile: TileId) -> Result<Option<FetchedTile>, Error> {
        match FetchedTile::fetch(self, tile, Reading::AtOnce) {
            Ok(fetched) => Ok(Some(fetched)),
            Err(Error::Container(microtome_container::Error::NotInMemory)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Reads the records that a base tile (of level 2) and its descendants (4 of level 1, 16 of level 0, fewer at the
    /// slide's edge) need, and checks them. Blocking I/O, no decoding. Together they are decoded in a fraction of the
    /// time that they take one by one.
    ///
    /// # Errors
    /// As [`Self::fetch`]; the other tiles of a family with a damaged record can still be fetched one by one.
    pub fn fetch_family(&self, base: TileId) -> Result<FetchedTiles, Error> {
        FetchedTiles::family(self, base)
    }

    /// Reads the records that some tiles need, each once, and checks them. Blocking I/O, no decoding.
    ///
    /// # Errors
    /// As [`Self::fetch`].
    pub fn fetch_tiles(&self, tiles: &[TileId]) -> Result<FetchedTiles, Error> {
        FetchedTiles::fetch(self, tiles)
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
        let mut sections = sections(&self.inner.container, SectionKind::ASSOCIATED);
        let Some(section) = sections.nth(image.index) else {
            let what = format!("{name} is said to be associated image {}, which is not there", image.index);
            return Err(invalid(&self.inner.container, "section META", what));
        };
        Ok(Some(self.inner.container.read_section(section)?))
    }

    /// The ICC profile of the slide's colours, where there is one.
    ///
    /// # Errors
    /// [`Error::Container`] if its section is damaged, [`Error::Invalid`] if it is absurdly long.
    pub fn icc_profile(&self) -> Result<Option<Vec<u8>>, Error> {
        let container = &self.inner.container;
        match sections(container, SectionKind::ICC_PROFILE).next() {
            Some(section) if section.length > MAX_ICC_PROFILE => {
                let what = format!("{} bytes (at most 16 MiB)", section.length);
                Err(invalid(container, "section ICCP", what))
            }
            Some(section) => Ok(Some(container.read_section(section)?)),
            None => Ok(None),
        }
    }

    /// Bytes of the ICC profile, without reading it; `None` if there is none.
    #[must_use]
    pub fn icc_profile_bytes(&self) -> Option<u64> {
        sections(&self.inner.container, SectionKind::ICC_PROFILE).next().map(|section| section.length)
    }

    /// How much each level takes in the file: reads the whole index.
    ///
    /// # Errors
    /// [`Error::Container`] naming the damaged index page.
    pub fn usage(&self) -> Result<Vec<LevelUsage>, Error> {
        let container = &self.inner.container;
        let mut usage = vec![LevelUsage::default(); self.levels().len()];
        let mut seen = HashSet::new();
        let mut current: Option<(u64, Page)> = None;
        container.layout().try_for_each_tile(|_, tile| {
            let (number, position) = container.locate(tile)?;
            if current.as_ref().is_none_or(|(n, _)| *n != number) {
                current = Some((number, container.read_page(number, Reading::Waits)?));
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

    /// The samples of a tile, if others predicted from it were decoded lately.
    pub(crate) fn picture(&self, tile: TileId) -> Option<Arc<Picture>> {
        self.inner.share.picture(tile)
    }

    /// Keeps the samples of a tile, unless it is one of the many that few others are predicted from.
    pub(crate) fn keep_picture(&self, tile: TileId, picture: &Arc<Picture>) {
        if tile.level >= 2 {
            self.inner.share.keep_picture(tile, picture);
        }
    }

    /// Reads and checks the record of a tile of a stored level.
    pub(crate) fn read(
        &self,
        tile: TileId,
        reading: Reading,
        stopwatch: &mut Stopwatch<Times>,
        bytes_read: &mut u64,
    ) -> Result<Record, Error> {
        let Inner { container, codecs, levels, .. } = &*self.inner;
        let (number, position) = container.locate(tile)?;
        let page = stopwatch.time(|t| &mut t.index, || self.page(number, reading, bytes_read))?;
        let missing = |what: &str| microtome_container::Error::DamagedTile {
            path: container.path().to_owned(),
            tile,
            what: what.to_owned(),
        };
        let entry = page.entry(position).ok_or_else(|| missing("has no record"))?;
        let payload = self.payload(tile, entry, reading, stopwatch)?;
        *bytes_read += payload.len() as u64;
        let codec = codecs.get(usize::from(entry.section)).and_then(Option::as_ref);
        let codec = codec.ok_or_else(|| missing("its section has no codec parameters"))?;
        let rect = levels[usize::from(tile.level)].tile_rect(tile.column, tile.row);
        let rect = rect.ok_or(Error::OutsideSlide(tile))?;
        Ok(Record { tile, size: [rect.width, rect.height], payload, codec: Arc::clone(codec) })
    }

    fn page(&self, number: u64, reading: Reading, bytes_read: &mut u64) -> Result<Page, Error> {
        let Inner { container, share, .. } = &*self.inner;
        if let Some(page) = share.page(number) {
            return Ok(page);
        }
        let page = container.read_page(number, reading)?;
        *bytes_read += page.bytes();
        share.keep_page(number, &page);
        Ok(page)
    }

    fn payload(
        &self,
        tile: TileId,
        entry: Entry,
        reading: Reading,
        stopwatch: &mut Stopwatch<Times>,
    ) -> Result<Buffer, Error> {
        let container = &self.inner.container;
        let Some(times) = stopwatch.times() else {
            return Ok(container.read_record_into(tile, entry, reading, Buffer::take, || ())?);
        };
        let begun = Instant::now();
        let mut read = begun;
        let payload =
            container.read_record_into(tile, entry, reading, Buffer::take, || read = Instant::now())?;
        times.read += read - begun;
        times.checksum += read.elapsed();
        Ok(payload)
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
    let wrong = |what: String| invalid(container, "section CPAR", what);
    let codec = PayloadCodec::open(number, &parameters).map_err(|e| wrong(e.to_string()))?;
    match (0_u8..)
        .zip(&container.header().levels)
        .find(|(k, level)| level.stored && !has_reference(container, &codec, *k))
    {
        Some((level, _)) => {
            Err(wrong(format!("the tiles of level {level} are predicted from a level that cannot be")))
        }
        None => Ok(codec),
    }
}

/// Whether what the tiles of a stored level are predicted from is stored, and itself predicted from less: so there is an
/// end to it.
fn has_reference(container: &Container, codec: &PayloadCodec, level: u8) -> bool {
    let stored = |level: u8| container.header().levels.get(usize::from(level)).is_some_and(|l| l.stored);
    match codec.kind(level) {
        Kind::Alone => true,
        Kind::Coarser => stored(level + 2) && codec.kind(level + 2) == Kind::Alone,
        Kind::Finer => level > 0 && stored(level - 1) && codec.kind(level - 1) != Kind::Finer,
    }
}
