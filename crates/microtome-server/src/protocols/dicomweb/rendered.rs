//! Frames and instances as pictures, whole or in part, at a size that the client chooses.
//!
//! PS3.18 section 8.3.5 (`viewport`, `quality`), 10.4.1.1.3. A picture is made of the coarsest level that has all its detail. Not
//! here: colour by profiles.

use std::sync::Arc;

use axum::http::request::Parts;
use axum::response::Response;
use bytes::Bytes;
use microtome_codec::Rgb;
use microtome_codec::turbo::{self, Subsampling};
use microtome_dicom::Kind;
use microtome_slide::{Grid, Rect, Slide};

use super::{Found, accept, frames};
use crate::app::App;
use crate::error::{Error, Failure};
use crate::response::{Freshness, Representation};

/// Pixels of a picture. It is made of at most four times as many, and those at the edges of its tiles.
const MOST_PIXELS: u64 = 4 << 20;
/// Pixels of a frame or an associated image that is decoded.
const MOST_DECODED: u64 = 64 << 20;
/// Longest side of a thumbnail.
const THUMBNAIL: u32 = 256;
const QUALITY: u8 = 90;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Jpeg,
    Png,
}

impl Format {
    fn media_type(self) -> &'static str {
        match self {
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
        }
    }

    fn chosen(request: &Parts) -> Result<Self, Error> {
        let ranges = accept::ranges(&request.headers);
        let matching = |range: &accept::Range| {
            [Self::Jpeg, Self::Png].into_iter().find(|f| range.matches(f.media_type()))
        };
        let found = ranges.iter().find_map(matching);
        found.ok_or(Error::NotAcceptable("pictures are image/jpeg or image/png"))
    }

    fn encode(self, pixels: &Rgb, quality: u8) -> Result<Bytes, Error> {
        let failed = |_cause| Error::WorkerLost("encoding of a picture");
        match self {
            Self::Jpeg => {
                turbo::encode(pixels, quality, Subsampling::Chroma420).map(Bytes::from).map_err(failed)
            }
            Self::Png => {
                png(pixels).map(Bytes::from).map_err(|_cause| Error::WorkerLost("encoding of a picture"))
            }
        }
    }
}

fn png(pixels: &Rgb) -> Result<Vec<u8>, png::EncodingError> {
    let mut bytes = vec![];
    let mut encoder = png::Encoder::new(&mut bytes, pixels.width(), pixels.height());
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.write_header()?.write_image_data(pixels.data())?;
    Ok(bytes)
}

/// What a picture shows: its size is at most that of the viewport, with the shape of the area.
#[derive(Debug, Clone, Copy, PartialEq)]
struct View {
    area: Rect,
    size: [u32; 2],
}

impl View {
    /// All of an image of this size, or the part of it that the parameters want, at the size that fits their viewport.
    fn of(viewport: Option<&str>, width: u32, height: u32) -> Result<Self, Error> {
        let malformed =
            Error::Malformed("viewport is WIDTH,HEIGHT or WIDTH,HEIGHT,X,Y,WIDTH,HEIGHT, within the image");
        let whole = Rect { x: 0, y: 0, width, height };
        let Some(viewport) = viewport else { return Ok(Self { area: whole, size: [width, height] }) };
        let number = |text: &str| text.trim().parse::<f64>().ok().filter(|n| n.is_finite() && *n >= 0.0);
        // An empty number is that of the whole.
        let defaults = [None, None, Some(0.0), Some(0.0), Some(f64::from(width)), Some(f64::from(height))];
        let texts: Vec<&str> = viewport.split(',').collect();
        if texts.len() != 2 && texts.len() != 6 {
            return Err(malformed);
        }
        let mut values = [0.0; 6];
        for (i, value) in values.iter_mut().enumerate() {
            let given = texts.get(i).filter(|text| !text.trim().is_empty());
            let found = given.map_or(defaults[i], |text| number(text));
            let Some(found) = found else { return Err(malformed) };
            *value = found;
        }
        let [across, down, x, y, w, h] = values.map(|value| value.round().min(f64::from(u32::MAX)) as u32);
        let inside = |start: u32, length: u32, all: u32| {
            length > 0 && start.checked_add(length).is_some_and(|end| end <= all)
        };
        if across == 0 || down == 0 || !inside(x, w, width) || !inside(y, h, height) {
            return Err(malformed);
        }
        Ok(Self { area: Rect { x, y, width: w, height: h }, size: fitted([w, h], [across, down]) })
    }

    fn check(&self) -> Result<(), Error> {
        match u64::from(self.size[0]) * u64::from(self.size[1]) <= MOST_PIXELS {
            true => Ok(()),
            false => Err(Error::Malformed("a picture of more than 4 megapixels: ask for a smaller viewport")),
        }
    }
}

/// The largest size of this shape within `most`, larger than the original or not.
fn fitted(size: [u32; 2], most: [u32; 2]) -> [u32; 2] {
    let [w, h] = size.map(u64::from);
    let [across, down] = most.map(u64::from);
    let fitted = match across * h <= down * w {
        true => [across, (across * h + w / 2) / w],
        false => [(down * w + h / 2) / h, down],
    };
    fitted.map(|side| u32::try_from(side.max(1)).unwrap_or(u32::MAX))
}

/// What a request wants of a picture.
struct Asked {
    format: Format,
    viewport: Option<String>,
    quality: Option<u8>,
}

impl Asked {
    fn of(request: &Parts) -> Result<Self, Error> {
        let mut asked = Self { format: Format::chosen(request)?, viewport: None, quality: None };
        for pair in request.uri.query().unwrap_or_default().split('&') {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            match key {
                "viewport" => asked.viewport = Some(value.replace("%2C", ",").replace("%2c", ",")),
                "quality" => {
                    let quality = value.parse().ok().filter(|quality| (1..=100).contains(quality));
                    asked.quality = Some(quality.ok_or(Error::Malformed("quality is 1 to 100"))?);
                }
                "iccprofile" if value != "no" => {
                    return Err(Error::Malformed("pictures are in the slide's own colours: iccprofile=no"));
                }
                _ => {}
            }
        }
        Ok(asked)
    }

    /// The validator of the picture of something.
    fn etag(&self, found: &Found, what: &str) -> String {
        let (viewport, quality) =
            (self.viewport.as_deref().unwrap_or("all"), self.quality.unwrap_or(QUALITY));
        // Commas part validators in a list.
        let viewport: String = viewport.chars().map(|c| if c.is_ascii_digit() { c } else { '_' }).collect();
        let version = env!("CARGO_PKG_VERSION");
        let format = self.format;
        format!(
            "\"{}-{}-{what}-{viewport}-{quality}-{format:?}-{version}\"",
            found.open.content_id, found.place
        )
    }
}

/// Answers with a frame as a picture.
pub(crate) async fn frame(
    app: &Arc<App>,
    request: &Parts,
    found: &Found,
    number: u64,
) -> Result<Response, Failure> {
    let asked = Asked::of(request)?;
    answer_frame(app, request, found, number, asked).await
}

async fn answer_frame(
    app: &Arc<App>,
    request: &Parts,
    found: &Found,
    number: u64,
    asked: Asked,
) -> Result<Response, Failure> {
    let described = found.described(app).await?;
    if number > described.frames.count() {
        return Err(Error::NoSuchInstance.into());
    }
    let etag = asked.etag(found, &format!("frame{number}"));
    respond(request, &etag, asked.format, async {
        let jpeg = frames::frame(app, found, &described, number).await?;
        if asked.format == Format::Jpeg && asked.viewport.is_none() && asked.quality.is_none() {
            return Ok(jpeg);
        }
        app.dicomweb.on_decoder(app, "rendering of a frame", move || render_jpeg(&jpeg, &asked)).await
    })
    .await
}

/// Answers with the image of an instance as a picture.
pub(crate) async fn instance(app: &Arc<App>, request: &Parts, found: &Found) -> Result<Response, Failure> {
    let asked = Asked::of(request)?;
    answer_instance(app, request, found, asked).await
}

async fn answer_instance(
    app: &Arc<App>,
    request: &Parts,
    found: &Found,
    asked: Asked,
) -> Result<Response, Failure> {
    let Kind::Level(level) = found.series.instances[found.place].kind else {
        return answer_frame(app, request, found, 1, asked).await;
    };
    let grid = found.open.slide.levels()[usize::from(level)];
    let view = View::of(asked.viewport.as_deref(), grid.width, grid.height)?;
    view.check()?;
    let etag = asked.etag(found, "image");
    respond(request, &etag, asked.format, async {
        let open = Arc::clone(&found.open);
        let work = move || {
            let pixels = region(&open.slide, level, view).map_err(|source| {
                let source = microtome_dicom::Error::Slide(source);
                Error::NoDicom { slide: open.id.clone(), source }
            })?;
            asked.format.encode(&pixels, asked.quality.unwrap_or(QUALITY))
        };
        app.dicomweb.blocking("rendering of an instance", work).await
    })
    .await
}

/// Answers with a small picture: of a frame, of an instance, or of the whole slide.
pub(crate) async fn thumbnail(
    app: &Arc<App>,
    request: &Parts,
    found: &Found,
    frame: Option<u64>,
) -> Result<Response, Failure> {
    let mut asked = Asked::of(request)?;
    asked.viewport.get_or_insert_with(|| format!("{THUMBNAIL},{THUMBNAIL}"));
    match frame {
        Some(number) => answer_frame(app, request, found, number, asked).await,
        None => answer_instance(app, request, found, asked).await,
    }
}

async fn respond(
    request: &Parts,
    etag: &str,
    format: Format,
    make: impl Future<Output = Result<Bytes, Failure>>,
) -> Result<Response, Failure> {
    let representation =
        Representation { etag, content_type: format.media_type(), freshness: Freshness::Immutable };
    if let Some(not_modified) = representation.not_modified(&request.headers) {
        return Ok(not_modified);
    }
    Ok(representation.full(make.await?))
}

/// A JPEG as another picture of itself.
fn render_jpeg(jpeg: &Bytes, asked: &Asked) -> Result<Bytes, Error> {
    let failed = |_cause| Error::WorkerLost("decoding of a frame");
    let pixels = turbo::decode(jpeg, MOST_DECODED).map_err(failed)?;
    let view = View::of(asked.viewport.as_deref(), pixels.width(), pixels.height())?;
    view.check()?;
    let Rect { x, y, width, height } = view.area;
    let pixels = scaled(&pixels.crop(x, y, width, height), view.size);
    asked.format.encode(&pixels, asked.quality.unwrap_or(QUALITY))
}

/// The pixels of a part of a level at another size, from the coarsest level that has enough of them.
fn region(slide: &Slide, level: u8, view: View) -> Result<Rgb, microtome_slide::Error> {
    let (mut level, mut area) = (level, view.area);
    // Both have the same shape, but for rounding, which the longer side has less of.
    let longest = view.size[0].max(view.size[1]);
    while let Some(coarser) = slide.levels().get(usize::from(level) + 1)
        && area.width.max(area.height) / 2 >= longest
    {
        (level, area) = (level + 1, halved(area, coarser));
    }
    Ok(scaled(&slide.read_region(level, area)?, view.size))
}

/// The part of the next coarser level that shows the same.
fn halved(area: Rect, coarser: &Grid) -> Rect {
    let span = |start: u32, length: u32, all: u32| {
        let from = (start / 2).min(all - 1);
        (from, (start + length).div_ceil(2).clamp(from + 1, all) - from)
    };
    let ((x, width), (y, height)) =
        (span(area.x, area.width, coarser.width), span(area.y, area.height, coarser.height));
    Rect { x, y, width, height }
}

/// Pixels at another size: each is the mean of those it covers, at least of one.
fn scaled(pixels: &Rgb, [width, height]: [u32; 2]) -> Rgb {
    if (pixels.width(), pixels.height()) == (width, height) {
        return pixels.clone();
    }
    let span = |at: u32, to: u32, from: u32| {
        let start = (u64::from(at) * u64::from(from) / u64::from(to)) as u32;
        let end = (u64::from(at + 1) * u64::from(from)).div_ceil(u64::from(to)) as u32;
        start..end.clamp(start + 1, from)
    };
    let mut out = Rgb::filled(width, height, [0; 3]);
    for y in 0..height {
        let rows = span(y, height, pixels.height());
        for x in 0..width {
            let columns = span(x, width, pixels.width());
            let mut sums = [0_u32; 3];
            for row in rows.clone() {
                for column in columns.clone() {
                    let pixel = pixels.pixel(column, row);
                    sums.iter_mut().zip(pixel).for_each(|(sum, sample)| *sum += u32::from(sample));
                }
            }
            let count = (rows.len() * columns.len()) as u32;
            let at = 3 * (y as usize * width as usize + x as usize);
            for (sample, sum) in out.data_mut()[at..at + 3].iter_mut().zip(sums) {
                *sample = ((sum + count / 2) / count) as u8;
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_viewport_keeps_the_shape_of_what_it_shows() {
        let view = |text| View::of(Some(text), 1000, 500).map(|view| (view.area, view.size));
        let rect = |x, y, width, height| Rect { x, y, width, height };
        assert_eq!(view("100,100").ok(), Some((rect(0, 0, 1000, 500), [100, 50])));
        assert_eq!(view("100,100,200,100,100,400").ok(), Some((rect(200, 100, 100, 400), [25, 100])));
        assert_eq!(view("4000,4000,,,,").ok(), Some((rect(0, 0, 1000, 500), [4000, 2000])));
        for bad in [
            "",
            "100",
            "0,100",
            "100,100,1,1",
            "100,100,900,0,101,1",
            "a,b",
            "NaN,1",
            "1,1,-1,0,1,1",
            "1,1,0,0,0,1",
        ] {
            assert!(view(bad).is_err(), "{bad}");
        }
        assert_eq!(View::of(None, 7, 5).ok(), Some(View { area: rect(0, 0, 7, 5), size: [7, 5] }));
    }

    #[test]
    fn scaling_takes_means_and_repeats() {
        let pixels = Rgb::from_vec(4, 1, [[0; 3], [10; 3], [20; 3], [30; 3]].concat()).expect("sizes match");
        assert_eq!(scaled(&pixels, [2, 1]).data(), [[5; 3], [25; 3]].concat());
        assert_eq!(scaled(&pixels, [8, 2]).row(1)[..6], [0; 6]);
        assert_eq!(scaled(&pixels, [1, 1]).data(), [15; 3]);
    }
}
