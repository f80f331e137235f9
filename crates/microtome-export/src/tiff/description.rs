//! What a slide says of itself, as TIFF's text and resolution fields say it.
//!
//! Generic TIFF gets JSON in ASCII. Aperio's ImageDescription is a line of software, a line of sizes, then `|key = value`
//! pairs; its readers take `AppMag` and `MPP` from there. Not here: other fields.

use std::fmt::Write;

use microtome_slide::{Grid, Slide};

const PROGRAM: &str = concat!("Microtome ", env!("CARGO_PKG_VERSION"));

/// Value of the Software field.
pub(super) fn software() -> String {
    PROGRAM.to_owned()
}

/// All properties as JSON, in ASCII as the field wants it.
pub(super) fn json(slide: &Slide) -> String {
    let metadata = slide.metadata();
    let object = serde_json::json!({
        "microtome": env!("CARGO_PKG_VERSION"),
        "content_id": slide.content_id().to_string(),
        "source": metadata.source.name,
        "mpp": metadata.mpp,
        "objective_power": metadata.objective_power,
        "properties": metadata.properties,
    });
    let mut out = String::new();
    for unit in object.to_string().encode_utf16() {
        match u8::try_from(unit) {
            Ok(byte) if byte.is_ascii() => out.push(byte.into()),
            // Outside strings JSON is ASCII.
            _ => _ = write!(out, "\\u{unit:04x}"),
        }
    }
    out
}

/// Aperio's description of level 0. `keeps` says that its tiles are the source's: then a description by Aperio is true
/// as it stands.
pub(super) fn aperio_base(slide: &Slide, grid: Grid, rgb: bool, keeps: bool) -> String {
    let original = slide.metadata().properties.get("tiff.ImageDescription");
    if let Some(original) = original.filter(|text| keeps && text.starts_with("Aperio")) {
        return original.replace('\0', " ");
    }
    let Grid { width, height, tile_size, .. } = grid;
    let colour = if rgb { "RGB" } else { "YCC" };
    format!(
        "{}\r\n{width}x{height} [0,0 {width}x{height}] ({tile_size}x{tile_size}) JPEG/{colour}{}",
        aperio_header(),
        pairs(slide)
    )
}

/// Aperio's description of a smaller version: a level or the thumbnail.
pub(super) fn aperio_reduced(slide: &Slide, width: u32, height: u32) -> String {
    let full = slide.levels()[0];
    let (w, h) = (full.width, full.height);
    format!("{}\r\n{w}x{h} [0,0 {w}x{h}] -> {width}x{height} - {}", aperio_header(), pairs(slide))
}

/// Aperio's description of a label, a macro or the like.
pub(super) fn aperio_associated(name: &str, width: u32, height: u32) -> String {
    format!("{}\r\n{} {width}x{height}", aperio_header(), plain(name))
}

fn aperio_header() -> String {
    format!("Aperio Image Library, as written by {PROGRAM}")
}

/// The pairs: scale and power first, then what else the source said in few words.
fn pairs(slide: &Slide) -> String {
    let metadata = slide.metadata();
    let mut out = String::new();
    let mut put = |key: &str, value: &str| _ = write!(out, "|{} = {}", plain(key), plain(value));
    if let Some(power) = metadata.objective_power {
        put("AppMag", &power.to_string());
    }
    if let Some([x, y]) = metadata.mpp {
        put("MPP", &((x + y) / 2.0).to_string());
    }
    for (key, value) in &metadata.properties {
        let key = key.strip_prefix("aperio.").unwrap_or(key);
        let said = ["AppMag", "MPP"].contains(&key) || key.starts_with("openslide.");
        if !said && key != "tiff.ImageDescription" {
            put(key, value);
        }
    }
    out
}

/// Text that ends no line and no pair, in ASCII.
fn plain(text: &str) -> String {
    let plain = |c: char| if c.is_control() || c == '|' { ' ' } else { c };
    text.chars().map(|c| if c.is_ascii() { plain(c) } else { '?' }).collect()
}

/// Pixels per centimetre as a fraction, of which a reader gets `mpp` back to nine digits.
pub(super) fn resolution(mpp: f64) -> Option<[u32; 2]> {
    // Scanners say five digits behind the point at most.
    let below = mpp * 1e5;
    if (1.0..=4e9).contains(&below) && (below - below.round()).abs() < 1e-4 {
        return Some([1_000_000_000, below.round() as u32]);
    }
    let above = 1e4 / mpp;
    let scale = (4e9 / above).min(4e9 / 1e4).floor();
    let fraction = [(above * scale).round(), scale];
    fraction.iter().all(|part| (1.0..=4.1e9).contains(part)).then(|| fraction.map(|part| part as u32))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resolutions_give_the_scale_back() {
        for mpp in [0.25, 0.499, 0.2485, 0.113_123_456_789, 1.0 / 3.0, 8.0, 0.05, 50.0, 3.999_999_9] {
            let [above, below] = resolution(mpp).expect("plausible");
            let back = 1e4 * f64::from(below) / f64::from(above);
            assert!((back / mpp - 1.0).abs() < 1e-9, "{mpp}: {above} / {below} is {back}");
        }
        assert_eq!(resolution(0.499), Some([1_000_000_000, 49_900]));
        for mpp in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e-300, 1e300] {
            assert_eq!(resolution(mpp), None, "{mpp}");
        }
    }

    #[test]
    fn what_would_end_a_pair_is_taken_out() {
        assert_eq!(plain("a|b\r\nc\u{e9}"), "a b  c?");
    }
}
