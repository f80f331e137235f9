//! Pictures made on request: parts of a slide at any size, in any format.
//!
//! Each has its memory, while it is made, from a budget that all share, so that no mixture of sizes takes more than that; who
//! finds it taken waits, and if too many wait already is refused. Small ones have a lane of their own. A thread that may wait
//! reads rows of tiles by turns with the decode pool, which decodes them and makes them smaller; threads of the lane encode the
//! picture. Not here: addresses, tiles as they are.

pub(crate) mod lane;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use microtome_codec::Rgb;
use microtome_render::{Drawing, Format, Kept, View};
use microtome_slide::TileId;
use microtome_slide::colour::ToSrgb;
use moka::sync::Cache;
use rayon::ThreadPoolBuildError;
use tokio::sync::oneshot;

use crate::catalog::OpenSlide;
use crate::error::{Error, Failure};
use crate::metrics::Dropped;
use crate::pipeline::Pipeline;
use crate::tile_cache::{TileCache, TileKey};
use lane::{Lane, Lanes, MAKING, Place};

/// Longest wait for a picture.
const LONGEST_WAIT: Duration = crate::readers::LONGEST_WAIT;
/// So much less memory is for tiles' pixels than for tiles: at 256 MiB of these, 160 tiles of 256 px.
const PIXELS_SHARE: u64 = 8;
/// Profiles kept ready.
const MAX_PROFILES: u64 = 64;
/// Quality of JPEG and WebP pictures unless asked for.
pub(crate) const QUALITY: u8 = 85;

/// What becomes of the slide's ICC profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) enum Icc {
    /// The slide's numbers without its profile: the colours that its tiles have.
    #[default]
    None,
    /// The slide's numbers, and its profile in the file.
    Keep,
    /// Converted to sRGB.
    Srgb,
}

impl Icc {
    /// What a parameter `icc` asks for.
    pub(crate) fn read(value: Option<&str>) -> Result<Self, Error> {
        match value {
            None | Some("none") => Ok(Self::None),
            Some("keep") => Ok(Self::Keep),
            Some("srgb") => Ok(Self::Srgb),
            Some(_) => Err(Error::Malformed("icc is srgb, keep or none")),
        }
    }
}

/// A picture that is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Picture {
    pub(crate) view: View,
    pub(crate) format: Format,
    pub(crate) icc: Icc,
    /// The side of the square that it is the upper left part of; the rest is white.
    pub(crate) padded_to: Option<u32>,
}

impl Picture {
    /// Width and height in pixels.
    pub(crate) fn size(&self) -> [u32; 2] {
        self.padded_to.map_or_else(|| self.view.size(), |side| [side; 2])
    }

    /// A strong validator: the content, what is seen of it, and the encoder at work.
    pub(crate) fn etag(&self, content_id: &str) -> String {
        let mut hasher = DefaultHasher::new();
        (self, env!("CARGO_PKG_VERSION")).hash(&mut hasher);
        format!("\"{content_id}-p{:016x}\"", hasher.finish())
    }
}

/// How large a picture may be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Longest side in pixels.
    pub(crate) side: u32,
    /// Pixels.
    pub(crate) area: u64,
}

impl Limits {
    /// Refuses what is larger.
    pub(crate) fn check(&self, [width, height]: [u32; 2]) -> Result<(), Error> {
        let area = u64::from(width) * u64::from(height);
        if width.max(height) > self.side || area > self.area {
            return Err(Error::TooLarge { width, height, side: self.side, area: self.area });
        }
        Ok(())
    }

    /// The largest size of these proportions within the limits, and within `width` x `height`.
    pub(crate) fn fit(&self, width: u32, height: u32) -> [u32; 2] {
        let [w, h] = [f64::from(width), f64::from(height)];
        let by_area = (self.area as f64 / (w * h)).sqrt();
        let scale = (f64::from(self.side) / w.max(h)).min(by_area);
        if scale >= 1.0 { [width, height] } else { [w, h].map(|side| ((side * scale).floor() as u32).max(1)) }
    }
}

/// What all pictures share.
pub(crate) struct Pictures {
    lanes: Lanes,
    /// By the number of the slide's opening.
    to_srgb: Cache<u64, Option<ToSrgb>>,
    /// Pixels of tiles that pictures were made of.
    pixels: Cache<TileKey, Arc<Rgb>>,
}

impl Pictures {
    /// With `cache_bytes` of tiles beside them, and `threads` that decode.
    pub(crate) fn new(cache_bytes: u64, threads: usize) -> Result<Self, ThreadPoolBuildError> {
        Ok(Self {
            lanes: Lanes::new(threads)?,
            to_srgb: Cache::new(MAX_PROFILES),
            pixels: Cache::builder()
                .max_capacity(cache_bytes / PIXELS_SHARE)
                .weigher(|_, pixels: &Arc<Rgb>| u32::try_from(pixels.data().len()).unwrap_or(u32::MAX))
                .build(),
        })
    }

    /// The picture, newly made.
    pub(crate) async fn make(
        self: &Arc<Self>,
        pipeline: &Arc<Pipeline>,
        open: &Arc<OpenSlide>,
        picture: Picture,
    ) -> Result<Bytes, Failure> {
        let begun = Instant::now();
        let (pictures, slide) = (Arc::clone(self), Arc::clone(open));
        let made = self.work(pipeline, open, picture.view, picture.size(), move || {
            let (to_srgb, profile) = match picture.icc {
                Icc::None => (None, None),
                Icc::Keep => {
                    (None, slide.slide.icc_profile().map_err(|source| render_error(&slide, source.into()))?)
                }
                Icc::Srgb => (pictures.to_srgb(&slide)?, None),
            };
            Ok(move |pixels| {
                let pixels = converted(pixels, to_srgb.as_ref(), &slide)?;
                let pixels = match picture.padded_to {
                    Some(side) => padded(&pixels, side),
                    None => pixels,
                };
                let (tone, format) = (picture.view.tone, picture.format);
                let chroma = slide.slide.chroma();
                let encoded = microtome_render::encode(&pixels, tone, format, chroma, profile.as_deref());
                encoded.map_err(|source| render_error(&slide, source))
            })
        });
        let made = made.await;
        pipeline.metrics.picture(begun.elapsed());
        made
    }

    /// What `finish` makes of a view's pixels.
    pub(crate) async fn draw(
        self: &Arc<Self>,
        pipeline: &Arc<Pipeline>,
        open: &Arc<OpenSlide>,
        view: View,
        finish: impl FnOnce(Rgb) -> Vec<u8> + Send + 'static,
    ) -> Result<Bytes, Failure> {
        self.work(pipeline, open, view, view.size(), move || Ok(move |pixels| Ok(finish(pixels)))).await
    }

    /// Has a view drawn once there is memory for a picture of `size`, and then finished. `prepare` may wait for storage, as
    /// drawing does; finishing does not.
    async fn work<F>(
        self: &Arc<Self>,
        pipeline: &Arc<Pipeline>,
        open: &Arc<OpenSlide>,
        view: View,
        size: [u32; 2],
        prepare: impl FnOnce() -> Result<F, Error> + Send + 'static,
    ) -> Result<Bytes, Failure>
    where
        F: FnOnce(Rgb) -> Result<Vec<u8>, Error> + Send + 'static,
    {
        let (lane, megapixels, _place) = self.enter(pipeline, size)?;
        let lost = || Error::WorkerLost(MAKING);
        let making = async {
            let memory = lane.memory(open, megapixels).await?;
            let reader = pipeline.readers.turn(open).await?;
            let (sender, drawn) = oneshot::channel();
            let (pictures, pipeline, open) = (Arc::clone(self), Arc::clone(pipeline), Arc::clone(open));
            tokio::task::spawn_blocking(move || {
                let drawn = prepare().and_then(|finish| {
                    Ok((pictures.drawn(&pipeline, &open, view, || sender.is_closed())?, finish))
                });
                // While the picture is encoded, and waits for that, somebody else may read.
                drop(reader);
                let _ = sender.send(drawn.map(|drawn| (drawn, memory)));
            });
            let ((pixels, finish), memory) = drawn.await.map_err(|_lost| lost())??;
            lane.encode(memory, move || finish(pixels)).await
        };
        let made = tokio::time::timeout(LONGEST_WAIT, making).await;
        match made.unwrap_or(Err(Error::Overloaded)) {
            Ok(made) => Ok(made),
            Err(error) => Err(open.unless_replaced(error.into()).await),
        }
    }

    /// The lane of a picture of this size, its megapixels, and a place among those who wait there, if there is one.
    fn enter(&self, pipeline: &Pipeline, size: [u32; 2]) -> Result<(&Lane, u32, Place<'_>), Error> {
        let (lane, megapixels) = self.lanes.of(size);
        let Some(place) = Place::take(lane) else {
            pipeline.metrics.dropped(Dropped::Full);
            return Err(Error::Overloaded);
        };
        Ok((lane, megapixels, place))
    }

    /// What `encode` makes of what is in memory already, once there is memory for a picture of `size`.
    pub(crate) async fn encode(
        &self,
        pipeline: &Pipeline,
        open: &OpenSlide,
        size: [u32; 2],
        encode: impl FnOnce() -> Result<Vec<u8>, Error> + Send + 'static,
    ) -> Result<Bytes, Failure> {
        let (lane, megapixels, _place) = self.enter(pipeline, size)?;
        let making = async { lane.encode(lane.memory(open, megapixels).await?, encode).await };
        Ok(tokio::time::timeout(LONGEST_WAIT, making).await.unwrap_or(Err(Error::Overloaded))?)
    }

    /// The pixels of a view: reads here, decodes and draws on decoding threads.
    fn drawn(
        &self,
        pipeline: &Pipeline,
        open: &OpenSlide,
        view: View,
        is_unwanted: impl Fn() -> bool + Sync,
    ) -> Result<Rgb, Error> {
        let failed = |source| render_error(open, source);
        let kept = KeptTiles { tiles: &pipeline.tiles, pixels: &self.pixels, instance: open.instance };
        let mut drawing = Drawing::new(&open.slide, view);
        while drawing.fetch(&kept).map_err(failed)? {
            pipeline.metrics.read(drawing.bytes_read());
            // Asked when its turn has come: it may have waited for others.
            let advanced = pipeline.on_decoder_now(|| (!is_unwanted()).then(|| drawing.advance(&kept)));
            let Some(advanced) = advanced else {
                pipeline.metrics.dropped(Dropped::Unwanted);
                return Err(Error::Overloaded);
            };
            advanced.map_err(failed)?;
        }
        Ok(drawing.finish())
    }

    /// From the slide's colours to sRGB; `None` for one without a profile, which is sRGB for want of a better word.
    fn to_srgb(&self, open: &OpenSlide) -> Result<Option<ToSrgb>, Error> {
        if let Some(known) = self.to_srgb.get(&open.instance) {
            return Ok(known);
        }
        let profile = open.slide.icc_profile().map_err(|source| render_error(open, source.into()))?;
        let to_srgb = profile.map(|profile| ToSrgb::new(&profile)).transpose();
        let to_srgb = to_srgb.map_err(|what| Error::BadProfile { slide: open.id.clone(), what })?;
        self.to_srgb.insert(open.instance, to_srgb.clone());
        Ok(to_srgb)
    }
}

/// What is kept of a slide, for its pictures: what viewers looked at need not be decoded again, and neighbouring regions
/// share tiles.
struct KeptTiles<'a> {
    tiles: &'a TileCache,
    pixels: &'a Cache<TileKey, Arc<Rgb>>,
    instance: u64,
}

impl KeptTiles<'_> {
    fn key(&self, tile: TileId) -> TileKey {
        TileKey { instance: self.instance, tile }
    }
}

impl Kept for KeptTiles<'_> {
    fn pixels(&self, tile: TileId) -> Option<Arc<Rgb>> {
        self.pixels.get(&self.key(tile))
    }

    fn jpeg(&self, tile: TileId) -> Option<Bytes> {
        self.tiles.get(&self.key(tile))
    }

    fn keep_pixels(&self, tile: TileId, pixels: &Arc<Rgb>) {
        self.pixels.insert(self.key(tile), Arc::clone(pixels));
    }

    fn keep_jpeg(&self, tile: TileId, jpeg: &Bytes) {
        self.tiles.insert(self.key(tile), jpeg.clone());
    }

    fn is_of_jpeg(&self) -> bool {
        true
    }
}

/// A square with a picture in its upper left corner, and white beyond.
fn padded(pixels: &Rgb, side: u32) -> Rgb {
    let mut square = Rgb::filled(side, side, [255; 3]);
    square.blit(pixels, 0, 0, pixels.width().min(side), pixels.height().min(side), 0, 0);
    square
}

fn converted(pixels: Rgb, to_srgb: Option<&ToSrgb>, open: &OpenSlide) -> Result<Rgb, Error> {
    let Some(to_srgb) = to_srgb else { return Ok(pixels) };
    to_srgb.convert(&pixels).map_err(|what| Error::BadProfile { slide: open.id.clone(), what })
}

pub(crate) fn render_error(open: &OpenSlide, source: microtome_render::Error) -> Error {
    let slide = open.id.clone();
    match source {
        microtome_render::Error::Slide(source) => Error::BadPicture { slide, source },
        // All that the limits let through and a format does not.
        other => Error::Unencodable(other.to_string()),
    }
}

#[cfg(test)]
mod tests;
