//! What a slide is that is not in a container yet: as `ingest` would read it. Not here: whether its tiles are sound.

use microtome_ingest::source::{self, Content, Source};
use serde_json::json;

use super::{associated, mpp, objective, print_rows};
use crate::failure::Failure;
use crate::output::{print, print_document};
use crate::table;

/// Opens a source and says what it is.
pub(super) fn run(spec: &str, as_json: bool) -> Result<(), Failure> {
    let source = source::open(spec)?;
    if as_json {
        let document = document(spec, &source);
        return print_document(&serde_json::to_string_pretty(&document).map_err(std::io::Error::other)?);
    }
    let mut rows = vec![
        ["source", spec],
        ["format", source.format],
        [
            "size",
            &format!("{} x {} px", table::count(source.width.into()), table::count(source.height.into())),
        ],
        ["goes in", &goes_in(&source)],
        ["mpp", &mpp(source.mpp)],
        ["objective", &objective(source.objective_power)],
        [
            "ICC profile",
            &source.icc_profile.as_ref().map_or("none".to_owned(), |p| table::bytes(p.len() as u64)),
        ],
    ]
    .into_iter()
    .map(|row| row.map(str::to_owned).to_vec())
    .collect::<Vec<_>>();
    rows.push(associated(source.associated.iter().map(|image| (&image.name, image.width, image.height))));
    rows.extend(source.notices.iter().map(|notice| vec!["note".to_owned(), notice.clone()]));
    rows.extend(source.properties.iter().map(|(name, value)| vec![name.clone(), value.clone()]));
    print_rows(&rows)?;
    let Content::Tiles(tiles) = &source.content else { return Ok(()) };
    print("")?;
    let mut levels = vec![["level", "pixels"].map(str::to_owned).to_vec()];
    levels.extend(tiles.levels().iter().map(|level| {
        let [width, height] = [level.width, level.height].map(|side| table::count(side.into()));
        vec![level.level.to_string(), format!("{width} x {height}")]
    }));
    table::print(&levels)
}

/// What `ingest` does with it unless told otherwise.
fn goes_in(source: &Source) -> String {
    match &source.content {
        Content::Tiles(tiles) => {
            format!("{}; {} px, overlap {}", tiles.kept(), tiles.tile_size(), tiles.overlap())
        }
        Content::Pixels(_) => "as pixels, quantised at quality 80 unless --quality says otherwise".to_owned(),
    }
}

fn document(spec: &str, source: &Source) -> serde_json::Value {
    let grid = match &source.content {
        Content::Tiles(tiles) => json!({
            "tile_size": tiles.tile_size(),
            "overlap": tiles.overlap(),
            "levels": tiles.levels().iter().map(|level| json!({
                "level": level.level,
                "width": level.width,
                "height": level.height,
            })).collect::<Vec<_>>(),
        }),
        Content::Pixels(_) => serde_json::Value::Null,
    };
    json!({
        "source": spec,
        "format": source.format,
        "width": source.width,
        "height": source.height,
        "jpeg_tiles": grid,
        "mpp": source.mpp,
        "objective_power": source.objective_power,
        "icc_profile_bytes": source.icc_profile.as_ref().map(Vec::len),
        "associated": source.associated.iter().map(|image| json!({
            "name": image.name,
            "media_type": image.media_type,
            "width": image.width,
            "height": image.height,
            "bytes": image.bytes.len(),
        })).collect::<Vec<_>>(),
        "notices": source.notices,
        "properties": source.properties.iter().cloned().collect::<std::collections::BTreeMap<_, _>>(),
    })
}
