//! Tiles for where a source has none. Not here: which these are.

use microtome_codec::coefficients::{ScanHeader, Tile, Writer};

/// A tile of one shade of grey that is stored like the complete `stream` of another: in its tables, sampling and colours.
pub(crate) fn blank_like(
    stream: &[u8],
    shade: u8,
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
        // The mean's distance from the middle, 8 times, is the DC coefficient. White is not to be grey: what is more is clipped.
        let (mean, step) = (8 * (i32::from(shade) - 128), i32::from(plane.table[0].max(1)));
        let dc =
            if shade == 255 { (mean + step - 1) / step } else { (mean + mean.signum() * step / 2) / step };
        let dc = dc as i16;
        plane.coefficients.iter_mut().step_by(64).for_each(|coefficient| *coefficient = dc);
    }
    let mut blank = Vec::new();
    Writer::new().write(&template, &tile, &mut blank)?;
    Ok(blank)
}
