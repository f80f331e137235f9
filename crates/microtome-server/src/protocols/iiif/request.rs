//! The four parameters of an image request, read against the size of an image.
//!
//! IIIF Image API 3.0, section 4, and 2.1.1, section 4; where they differ, the [`Version`] says how.

use std::fmt::Write;

use microtome_render::{Format, Tone, View};
use microtome_slide::Rect;

use super::Version;
use crate::error::Error;
use crate::pictures::{Limits, QUALITY};

/// An image request that has been read.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct ImageRequest {
    /// The part of level 0.
    pub(super) region: Rect,
    /// Width and height of that part as it is to be seen, before it is turned.
    pub(super) size: [u32; 2],
    /// Which of these were asked for by their numbers: no other size will do. The others follow from the shape, within rounding.
    pub(super) exact: [bool; 2],
    pub(super) mirrored: bool,
    pub(super) quarter_turns: u8,
    pub(super) tone: Tone,
    pub(super) format: Format,
}

/// The parameters as they stand in the address, decoded.
#[derive(Debug, Clone, Copy)]
pub(super) struct Parameters<'a> {
    pub(super) region: &'a str,
    pub(super) size: &'a str,
    pub(super) rotation: &'a str,
    /// `quality.format`.
    pub(super) name: &'a str,
}

impl ImageRequest {
    /// Reads the parameters for an image of `width` x `height` pixels.
    pub(super) fn read(
        parameters: Parameters<'_>,
        version: Version,
        [width, height]: [u32; 2],
        limits: &Limits,
    ) -> Result<Self, Error> {
        let (tone, format) = quality_and_format(parameters.name)?;
        let (mirrored, quarter_turns) = rotation(parameters.rotation)?;
        let region = region(parameters.region, width, height)?;
        let (size, exact) = size(parameters.size, version, region, limits)?;
        limits.check(size)?;
        Ok(Self { region, size, exact, mirrored, quarter_turns, tone, format })
    }

    pub(super) fn view(&self) -> View {
        let mut view = View::scaled(self.region, self.size[0], self.size[1]);
        (view.mirrored, view.quarter_turns, view.tone) = (self.mirrored, self.quarter_turns, self.tone);
        view
    }

    /// The same request in the form that the standard calls canonical (3.0, 4.7; 2.1.1, 4.7).
    pub(super) fn canonical(&self, version: Version, [width, height]: [u32; 2], limits: &Limits) -> String {
        let Rect { x, y, width: w, height: h } = self.region;
        let [out_width, out_height] = self.size;
        let upscaled = out_width > w || out_height > h;
        // On the way of every tile: one allocation. A String takes whatever is written.
        let mut form = String::with_capacity(CANONICAL_LENGTH);
        let _ = match self.region == (Rect { x: 0, y: 0, width, height }) {
            true => form.write_str("full/"),
            false => write!(form, "{x},{y},{w},{h}/"),
        };
        let _ = match version {
            Version::V3 if self.size == limits.fit(w, h) => form.write_str("max"),
            Version::V3 if upscaled && self.size == largest(self.region, limits) => form.write_str("^max"),
            Version::V3 => write!(form, "{}{out_width},{out_height}", if upscaled { "^" } else { "" }),
            Version::V2 if self.size == [w, h] => form.write_str("full"),
            // Where the height follows from the width.
            Version::V2 if scaled(h, out_width, w) == out_height => write!(form, "{out_width},"),
            Version::V2 => write!(form, "{out_width},{out_height}"),
        };
        let mirror = if self.mirrored { "!" } else { "" };
        let quality = match self.tone {
            Tone::Colour => "default",
            Tone::Grey => "gray",
            Tone::Bitonal => "bitonal",
        };
        let degrees = u32::from(self.quarter_turns) * 90;
        let _ = write!(form, "/{mirror}{degrees}/{quality}.{}", self.format.extension());
        form
    }
}

/// Room for a canonical form.
const CANONICAL_LENGTH: usize = 96;

fn quality_and_format(name: &str) -> Result<(Tone, Format), Error> {
    let (quality, format) =
        name.rsplit_once('.').ok_or(Error::Malformed("the last part is quality.format"))?;
    let tone = match quality {
        "default" | "color" => Tone::Colour,
        "gray" => Tone::Grey,
        "bitonal" => Tone::Bitonal,
        _ => return Err(Error::Malformed("the quality is default, color, gray or bitonal")),
    };
    match Format::with_extension(format, QUALITY) {
        Some(format) => Ok((tone, format)),
        None if matches!(format, "tif" | "gif" | "jp2" | "pdf" | "avif" | "jxl") => {
            Err(Error::NotImplemented("pictures of this format"))
        }
        None => Err(Error::UNKNOWN_FORMAT),
    }
}

/// Mirrored or not, and turns by 90 degrees.
fn rotation(text: &str) -> Result<(bool, u8), Error> {
    const WHAT: &str = "the rotation is a number from 0 to 360, with ! before it for a mirror image";
    let (mirrored, degrees) = match text.strip_prefix('!') {
        Some(degrees) => (true, degrees),
        None => (false, text),
    };
    let degrees = number(degrees).filter(|degrees| *degrees <= 360.0).ok_or(Error::Malformed(WHAT))?;
    if degrees % 90.0 != 0.0 {
        return Err(Error::NotImplemented("rotation is by multiples of 90 degrees"));
    }
    Ok((mirrored, (degrees / 90.0) as u8 % 4))
}

/// A number as the standard writes them: digits, with or without a decimal point.
fn number(text: &str) -> Option<f64> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    (plain && !text.is_empty() && text.len() <= 32).then(|| text.parse().ok()).flatten()
}

/// A whole number. One that is too large for any image is no error: it is outside of all.
fn whole(text: &str) -> Option<u32> {
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| text.parse().unwrap_or(u32::MAX))
}

fn region(text: &str, width: u32, height: u32) -> Result<Rect, Error> {
    const WHAT: &str = "the region is full, square, x,y,w,h or pct:x,y,w,h";
    match text {
        "full" => return Ok(Rect { x: 0, y: 0, width, height }),
        "square" => {
            let side = width.min(height);
            return Ok(Rect { x: (width - side) / 2, y: (height - side) / 2, width: side, height: side });
        }
        _ => {}
    }
    let (percent, numbers) = match text.strip_prefix("pct:") {
        Some(numbers) => (true, numbers),
        None => (false, text),
    };
    let mut fields = numbers.split(',').map(|field| match percent {
        true => number(field),
        false => whole(field).map(f64::from),
    });
    let mut next = || fields.next().flatten().ok_or(Error::Malformed(WHAT));
    let [x, y, w, h] = [next()?, next()?, next()?, next()?];
    if fields.next().is_some() {
        return Err(Error::Malformed(WHAT));
    }
    let pixels = |value: f64, of: u32| if percent { value / 100.0 * f64::from(of) } else { value };
    let span = |start: f64, length: f64, of: u32| {
        let (start, end) = (pixels(start, of), pixels(start, of) + pixels(length, of));
        let (start, end) = (start.round().min(f64::from(of)) as u32, end.round().min(f64::from(of)) as u32);
        end.checked_sub(start).filter(|&length| length > 0).map(|length| (start, length))
    };
    match (span(x, w, width), span(y, h, height)) {
        (Some((x, width)), Some((y, height))) => Ok(Rect { x, y, width, height }),
        _ => Err(Error::Malformed("the region is empty or outside the image")),
    }
}

/// `length * to / from`, rounded, at least 1.
fn scaled(length: u32, to: u32, from: u32) -> u32 {
    let (length, to, from) = (u64::from(length), u64::from(to), u64::from(from));
    u32::try_from((length * to + from / 2) / from).unwrap_or(u32::MAX).max(1)
}

/// Width and height, and which of them are asked for by their numbers.
fn size(text: &str, version: Version, region: Rect, limits: &Limits) -> Result<([u32; 2], [bool; 2]), Error> {
    const WHAT: &str = "the size is max, w,, ,h, w,h, !w,h or pct:n, with ^ before it to enlarge";
    let Rect { width, height, .. } = region;
    let (may_enlarge, text) = match (version, text.strip_prefix('^')) {
        (Version::V3, Some(rest)) => (true, rest),
        (Version::V3, None) => (false, text),
        (Version::V2, None) => (true, text),
        (Version::V2, Some(_)) => return Err(Error::Malformed("the size has no ^ in version 2")),
    };
    match (text, version) {
        ("max", Version::V3) if may_enlarge => return Ok((largest(region, limits), [true; 2])),
        ("max", _) => return Ok((limits.fit(width, height), [true; 2])),
        ("full", Version::V2) => return Ok(([width, height], [true; 2])),
        _ => {}
    }
    let (wanted, exact) = if let Some(percent) = text.strip_prefix("pct:") {
        let percent = number(percent).filter(|percent| *percent > 0.0).ok_or(Error::Malformed(WHAT))?;
        let side = |side| ((f64::from(side) * percent / 100.0).round() as u32).max(1);
        ([width, height].map(side), [false; 2])
    } else {
        let (confined, text) = match text.strip_prefix('!') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (w, h) = text.split_once(',').ok_or(Error::Malformed(WHAT))?;
        let side = |text: &str| whole(text).filter(|&side| side > 0).ok_or(Error::Malformed(WHAT));
        match (w, h, confined) {
            ("", "", _) | ("", _, true) | (_, "", true) => return Err(Error::Malformed(WHAT)),
            (w, "", _) => ([side(w)?, scaled(height, side(w)?, width)], [true, false]),
            ("", h, _) => ([scaled(width, side(h)?, height), side(h)?], [false, true]),
            (w, h, false) => ([side(w)?, side(h)?], [true; 2]),
            (w, h, true) => {
                let size = within(region, [side(w)?, side(h)?], version, may_enlarge, limits);
                return Ok((size, [true; 2]));
            }
        }
    };
    if !may_enlarge && (wanted[0] > width || wanted[1] > height) {
        return Err(Error::Malformed("the size is larger than the region: ^ before it enlarges"));
    }
    Ok((wanted, exact))
}

/// The largest size of the region's proportions within a box, and within the limits; not larger than the region unless it
/// may be enlarged. (3.0: "the resulting width and height ... as large as possible but not larger than the extracted
/// region".)
fn within(region: Rect, [w, h]: [u32; 2], version: Version, may_enlarge: bool, limits: &Limits) -> [u32; 2] {
    let Rect { width, height, .. } = region;
    let by_width = f64::from(w) / f64::from(width);
    let by_height = f64::from(h) / f64::from(height);
    // Version 2 lets the server decide whether it enlarges; this one does where it is asked to by numbers alone.
    let may_enlarge = may_enlarge && version == Version::V3;
    let scale = by_width.min(by_height).min(if may_enlarge { f64::INFINITY } else { 1.0 });
    let side = |side: u32, limit: u32| ((f64::from(side) * scale).round() as u32).clamp(1, limit.max(1));
    let [w, h] = [side(width, w), side(height, h)];
    limits.fit(w, h)
}

/// As large as the limits let it be, enlarged if need be.
fn largest(region: Rect, limits: &Limits) -> [u32; 2] {
    let [width, height] = [f64::from(region.width), f64::from(region.height)];
    let scale =
        (f64::from(limits.side) / width.max(height)).min((limits.area as f64 / (width * height)).sqrt());
    let [w, h] = [width, height].map(|side| ((side * scale).floor() as u32).max(1));
    limits.fit(w, h)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { side: 4000, area: 4_000_000 };

    fn read(version: Version, region: &str, size: &str) -> Result<(Rect, [u32; 2]), Error> {
        let parameters = Parameters { region, size, rotation: "0", name: "default.jpg" };
        ImageRequest::read(parameters, version, [3000, 2000], &LIMITS).map(|r| (r.region, r.size))
    }

    fn rect(x: u32, y: u32, width: u32, height: u32) -> Rect {
        Rect { x, y, width, height }
    }

    #[test]
    fn regions() {
        for (text, expected) in [
            ("full", rect(0, 0, 3000, 2000)),
            ("square", rect(500, 0, 2000, 2000)),
            ("10,20,30,40", rect(10, 20, 30, 40)),
            ("2990,1990,100,100", rect(2990, 1990, 10, 10)),
            ("0,0,99999999999,1", rect(0, 0, 3000, 1)),
            ("pct:10,10,50,25.5", rect(300, 200, 1500, 510)),
            ("pct:0,0,200,100", rect(0, 0, 3000, 2000)),
        ] {
            assert_eq!(read(Version::V3, text, "1,1").expect(text).0, expected, "{text}");
        }
        for text in [
            "",
            "Full",
            "1,2,3",
            "1,2,3,4,5",
            "0,0,0,10",
            "0,0,10,0",
            "3000,0,1,1",
            "0,2000,1,1",
            "-1,0,1,1",
            "1.5,0,1,1",
            "pct:",
            "pct:1,2,3",
            "pct:101,0,10,10",
            "pct:1,1,0,1",
            "pct:1e2,0,1,1",
            "pct:nan,0,1,1",
            "pct:inf,0,1,1",
            "a,b,c,d",
            " 1,2,3,4",
        ] {
            assert!(matches!(read(Version::V3, text, "1,1"), Err(Error::Malformed(_))), "{text}");
        }
    }

    #[test]
    fn sizes_of_version_3() {
        for (region, size, expected) in [
            ("0,0,600,400", "max", [600, 400]),
            ("full", "max", [2449, 1632]),
            ("0,0,600,400", "^max", [2449, 1632]),
            ("full", "300,", [300, 200]),
            ("full", ",300", [450, 300]),
            ("full", "pct:10", [300, 200]),
            ("0,0,100,100", "^pct:200", [200, 200]),
            ("full", "30,1000", [30, 1000]),
            ("full", "!300,300", [300, 200]),
            ("full", "!9000,100", [150, 100]),
            ("0,0,600,400", "!2000,3000", [600, 400]),
            ("0,0,600,400", "^!1200,3000", [1200, 800]),
            ("0,0,600,400", "^1200,", [1200, 800]),
            ("0,0,3,1000", "1,", [1, 333]),
            ("0,0,3000,1", "10,", [10, 1]),
        ] {
            assert_eq!(read(Version::V3, region, size).expect(size).1, expected, "{region} {size}");
        }
        for (region, size) in [
            ("full", "full"),
            ("full", ""),
            ("full", ","),
            ("full", "0,"),
            ("full", ",0"),
            ("full", "0,0"),
            ("full", "!300,"),
            ("full", "!,300"),
            ("full", "pct:0"),
            ("full", "pct:"),
            ("full", "pct:-5"),
            ("full", "1,2,3"),
            ("full", "a,b"),
            ("0,0,100,100", "101,"),
            ("0,0,100,100", "pct:101"),
            ("0,0,100,100", "100,101"),
            ("full", "^^max"),
            ("full", "^"),
        ] {
            assert!(matches!(read(Version::V3, region, size), Err(Error::Malformed(_))), "{region} {size}");
        }
        for size in ["3000,2000", "^4001,1", "^99999999999,1", "^pct:1000000000000000"] {
            assert!(matches!(read(Version::V3, "full", size), Err(Error::TooLarge { .. })), "{size}");
        }
    }

    #[test]
    fn sizes_of_version_2() {
        for (region, size, expected) in [
            ("0,0,600,400", "full", [600, 400]),
            ("0,0,600,400", "max", [600, 400]),
            ("0,0,100,100", "200,", [200, 200]),
            ("0,0,600,400", "!2000,3000", [600, 400]),
        ] {
            assert_eq!(read(Version::V2, region, size).expect(size).1, expected, "{region} {size}");
        }
        assert!(read(Version::V2, "full", "^max").is_err());
        assert!(matches!(read(Version::V2, "full", "full"), Err(Error::TooLarge { .. })));
    }

    #[test]
    fn rotations_and_names() {
        for (text, expected) in [
            ("0", (false, 0)),
            ("90", (false, 1)),
            ("180.0", (false, 2)),
            ("!270", (true, 3)),
            ("360", (false, 0)),
        ] {
            assert_eq!(rotation(text).expect(text), expected);
        }
        for text in ["", "!", "-90", "361", "a", "9e1", "+90", "!!0"] {
            assert!(matches!(rotation(text), Err(Error::Malformed(_))), "{text}");
        }
        assert!(matches!(rotation("22.5"), Err(Error::NotImplemented(_))));
        assert!(matches!(quality_and_format("default.tif"), Err(Error::NotImplemented(_))));
        for name in ["default", "native.jpg", "default.bmp", ".jpg", "default.", "DEFAULT.jpg"] {
            assert!(matches!(quality_and_format(name), Err(Error::Malformed(_))), "{name}");
        }
        assert_eq!(quality_and_format("gray.png").expect("both"), (Tone::Grey, Format::Png));
    }

    #[test]
    fn canonical_forms_ask_for_the_same() {
        let canonical = |version, region, size| {
            let parameters = Parameters { region, size, rotation: "!90", name: "color.jpeg" };
            ImageRequest::read(parameters, version, [3000, 2000], &LIMITS).expect(size).canonical(
                version,
                [3000, 2000],
                &LIMITS,
            )
        };
        for (version, region, size, expected) in [
            (Version::V3, "full", "300,", "full/300,200/!90/default.jpg"),
            (Version::V3, "0,0,3000,2000", "!300,300", "full/300,200/!90/default.jpg"),
            (Version::V3, "0,0,10,10", "pct:100", "0,0,10,10/max/!90/default.jpg"),
            (Version::V3, "full", "max", "full/max/!90/default.jpg"),
            (Version::V3, "0,0,600,400", "^max", "0,0,600,400/^max/!90/default.jpg"),
            (Version::V3, "0,0,10,10", "^20,", "0,0,10,10/^20,20/!90/default.jpg"),
            (Version::V2, "full", ",200", "full/300,/!90/default.jpg"),
            (Version::V2, "0,0,10,10", "20,5", "0,0,10,10/20,5/!90/default.jpg"),
            (Version::V2, "0,0,10,10", "10,10", "0,0,10,10/full/!90/default.jpg"),
        ] {
            assert_eq!(canonical(version, region, size), expected, "{region} {size}");
        }
    }
}
