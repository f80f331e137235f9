//! Tiles for where a source has none. Not here: which these are.

use microtome_codec::coefficients::{ScanHeader, Tile, Writer};

/// A white tile that is stored like the complete `stream` of another: in its tables, sampling and colours.
pub(super) fn white_like(
    stream: &[u8],
    rgb: bool,
    (width, height): (u32, u32),
) -> Result<Vec<u8>, microtome_codec::Error> {
    let template = ScanHeader::read(stream)?.template()?;
    let mut tile = Tile::new();
    template.planes_for(width, height, &mut tile)?;
    for (number, plane) in tile.planes.iter_mut().enumerate() {
        if number > 0 && !rgb {
            continue;
        }
        // A mean of 255 is 127 beyond the middle, 8 times that in a DC coefficient; what is more is clipped.
        let dc = (8 * 127_u16).div_ceil(plane.table[0]) as i16;
        plane.coefficients.iter_mut().step_by(64).for_each(|coefficient| *coefficient = dc);
    }
    let mut blank = Vec::new();
    Writer::new().write(&template, &tile, &mut blank)?;
    Ok(blank)
}
