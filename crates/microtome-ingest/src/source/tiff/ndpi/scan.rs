//! The JPEG of a level: what its header and its page say together, and the data between two restart markers.
//!
//! Where the markers are, the page says (McuStarts); else the scan is read once for them. A frame header has 16 bits for a
//! side: of a larger level it says what it likes, and the page counts. Not here: tiles.

use microtome_codec::coefficients::{Parser, ScanHeader, Tile, piece_shape};
use microtome_codec::jpeg::{self, Colour};

use super::super::chunks::side;
use super::super::ifd::{Directory, Tiff};
use super::super::tag::{
    COMPRESSION, IMAGE_LENGTH, IMAGE_WIDTH, MCU_STARTS, MCU_STARTS_HIGH, PHOTOMETRIC, STRIP_BYTE_COUNTS,
    STRIP_OFFSETS,
};
use crate::Error;

/// The markers before a scan are some hundred bytes.
const MAX_HEADER_BYTES: u64 = 64 << 10;
/// Restart intervals of a level: of 8 rows and 2048 px, those of 68 gigapixels. Their offsets are kept, 8 bytes each.
const MAX_INTERVALS: u64 = 1 << 22;
/// Pixels of a level without restart markers, whose coefficients are decoded at once.
const MAX_WHOLE_PIXELS: u64 = 4096 * 4096;
/// Bytes of a scan that are looked through at once.
const WINDOW: u64 = 1 << 20;

/// A level's JPEG.
pub(super) struct Scan {
    /// What messages call the page.
    pub(super) place: String,
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) header: ScanHeader,
    /// Colour model of its tiles where their markers do not say it.
    pub(super) colour: Colour,
    /// MCUs of a row.
    pub(super) columns: usize,
    /// Rows of MCUs.
    pub(super) rows: usize,
    /// MCUs of an interval; the last may have fewer.
    pub(super) interval: usize,
    /// Where the data of each interval start in the file, at least one; they end 2 bytes before the next.
    starts: Vec<u64>,
    /// Where the JPEG ends in the file.
    end: u64,
}

impl Scan {
    /// Reads and checks the page of a level.
    pub(super) fn read(tiff: &Tiff, directory: &Directory) -> Result<Self, Error> {
        let compression = tiff.number_of(directory, COMPRESSION)?.unwrap_or(1);
        if compression != 7 {
            let name = if compression == 22610 {
                "JPEG XR".to_owned()
            } else {
                format!("compression {compression}")
            };
            return Err(
                tiff.unsupported(&directory.place, format!("an NDPI level in {name} (JPEG is taken)"))
            );
        }
        let one = |tag| {
            let number = tiff.number_of(directory, tag)?;
            number.ok_or_else(|| tiff.malformed(format!("{}, {tag}", directory.place), "is missing"))
        };
        let (start, length) = (one(STRIP_OFFSETS)?, one(STRIP_BYTE_COUNTS)?);
        let Some(end) = start.checked_add(length).filter(|&end| end <= tiff.length()) else {
            let what = format!("{length} bytes at byte {start} reach beyond the file's {}", tiff.length());
            return Err(tiff.malformed(&directory.place, what));
        };
        let markers = tiff.read(start, length.min(MAX_HEADER_BYTES), &directory.place)?;
        let header = ScanHeader::read(&markers).map_err(|error| refusal(tiff, &directory.place, &error))?;
        let (width, height) = size(tiff, directory, &header)?;
        let colour = colour(tiff, directory, &header)?;
        let mcu = header.mcu_size();
        let (columns, rows) = (width.div_ceil(mcu.0) as usize, height.div_ceil(mcu.1) as usize);
        let place = directory.place.clone();
        let mut scan = Self {
            place,
            width,
            height,
            header,
            colour,
            columns,
            rows,
            interval: columns * rows,
            starts: vec![],
            end,
        };
        scan.find_intervals(tiff, directory, start)?;
        Ok(scan)
    }

    fn find_intervals(&mut self, tiff: &Tiff, directory: &Directory, start: u64) -> Result<(), Error> {
        let data = start + self.header.length() as u64;
        let restart = self.header.restart_interval();
        let total = self.interval;
        if restart == 0 || restart >= total {
            if u64::from(self.width) * u64::from(self.height) > MAX_WHOLE_PIXELS {
                let what = format!(
                    "a JPEG of {} x {} px without restart markers (at most {MAX_WHOLE_PIXELS} px are taken)",
                    self.width, self.height
                );
                return Err(tiff.unsupported(&self.place, what));
            }
            self.starts = vec![data];
            return Ok(());
        }
        let count = total.div_ceil(restart) as u64;
        if count > MAX_INTERVALS {
            let what = format!("{count} restart intervals (at most {MAX_INTERVALS} are taken)");
            return Err(tiff.unsupported(&self.place, what));
        }
        self.interval = restart;
        self.starts = match listed(tiff, directory, count, start)? {
            Some(starts) if starts[0] == data && starts[starts.len() - 1] <= self.end => starts,
            _ => self.look_for_markers(tiff, data, count as usize)?,
        };
        Ok(())
    }

    /// Reads the scan for its restart markers, of which there are one fewer than intervals.
    fn look_for_markers(&self, tiff: &Tiff, data: u64, count: usize) -> Result<Vec<u64>, Error> {
        let mut starts = vec![data];
        let mut at = data;
        // Windows overlap by a byte, so that no marker is cut.
        while self.end - at >= 2 && starts.len() < count {
            let window = tiff.read(at, WINDOW.min(self.end - at), &self.place)?;
            for (offset, pair) in (at..).zip(window.windows(2)) {
                match *pair {
                    [0xFF, code] if code == 0xD0 | (starts.len() - 1) as u8 & 7 => starts.push(offset + 2),
                    [0xFF, code] if code != 0 => {
                        let what = format!(
                            "marker {code:#04x} at byte {offset}, where restart marker {} is expected",
                            starts.len() - 1
                        );
                        return Err(tiff.malformed(&self.place, what));
                    }
                    _ => {}
                }
                if starts.len() == count {
                    break;
                }
            }
            at += window.len() as u64 - 1;
        }
        match starts.len() == count {
            true => Ok(starts),
            false => Err(tiff.malformed(
                &self.place,
                format!("{} restart intervals where its size asks for {count}", starts.len()),
            )),
        }
    }

    /// The first MCU of an interval, and how many it has.
    pub(super) fn mcus(&self, index: usize) -> (usize, usize) {
        let first = index * self.interval;
        (first, self.interval.min((self.columns * self.rows).saturating_sub(first)))
    }

    /// Decodes an interval as a picture of its own, and answers how many of its MCUs are in a row of that.
    ///
    /// The parser proves that the coefficients give back the very bytes of the interval.
    pub(super) fn decode(
        &self,
        tiff: &Tiff,
        index: usize,
        parser: &mut Parser,
        piece: &mut Tile,
    ) -> Result<usize, Error> {
        let place = || format!("{}, restart interval {index}", self.place);
        let (_, count) = self.mcus(index);
        let failed = |error: microtome_codec::Error| refusal(tiff, &place(), &error);
        let mcu = self.header.mcu_size();
        let (across, down) = piece_shape(count, self.columns, mcu).map_err(failed)?;
        let data = self.data(tiff, index, count, &place())?;
        // `piece_shape` keeps both below 2^16.
        let (width, height) = (across as u32 * mcu.0, down as u32 * mcu.1);
        let stream = self.header.stream(width as u16, height as u16, &data);
        parser.parse(&stream, piece).map_err(failed)?;
        Ok(across)
    }

    /// The entropy-coded data of an interval, up to the marker that ends it.
    fn data(&self, tiff: &Tiff, index: usize, count: usize, place: &str) -> Result<Vec<u8>, Error> {
        let start = self.starts[index];
        let end = self.starts.get(index + 1).copied().unwrap_or(self.end);
        // 27 bits at most for a coefficient, and twice as many where all is stuffed.
        let most = (count as u64) * 10 * 64 * 8 + 1024;
        if end < start + 2 || (end - start > most && index + 1 < self.starts.len()) {
            let what =
                format!("{} bytes at byte {start} (2 to {most} are expected)", end.saturating_sub(start));
            return Err(tiff.malformed(place, what));
        }
        let mut data = tiff.read(start, (end - start).min(most), place)?;
        let marker = data.windows(2).position(|pair| pair[0] == 0xFF && pair[1] != 0);
        let Some(marker) = marker else { return Err(tiff.malformed(place, "has no marker at its end")) };
        let last = index + 1 == self.starts.len();
        let next = 0xD0 | index as u8 & 7;
        let ends_well = match &data[marker..] {
            // Some scanners end the last interval with a restart marker too.
            [0xFF, 0xD9, ..] | [0xFF, 0xD0..=0xD7, 0xFF, 0xD9, ..] if last => true,
            [0xFF, code] => !last && *code == next,
            _ => false,
        };
        data.truncate(marker);
        match ends_well {
            true => Ok(data),
            false => Err(tiff.malformed(place, "is not followed by the marker that belongs there")),
        }
    }
}

/// An error of the codec about a place of the file.
pub(super) fn refusal(tiff: &Tiff, place: &str, error: &microtome_codec::Error) -> Error {
    match error {
        microtome_codec::Error::Unsupported(_) => tiff.unsupported(place, error),
        _ => tiff.malformed(place, error),
    }
}

/// The size of a level. The header's is that of the picture where there are no restart markers, since the page rounds
/// small levels in its own way; else the page's, with which the header must agree where it can.
fn size(tiff: &Tiff, directory: &Directory, header: &ScanHeader) -> Result<(u32, u32), Error> {
    let page = (side(tiff, directory, IMAGE_WIDTH)?, side(tiff, directory, IMAGE_LENGTH)?);
    let own = header.size();
    let has_no_room = page.0.max(page.1) > 65_535 || own.0 == 0 || own.1 == 0;
    if own == page || has_no_room {
        return Ok(page);
    }
    if header.restart_interval() == 0 {
        return Ok(own);
    }
    let what = format!("its JPEG is {} x {} px, its tags say {} x {}", own.0, own.1, page.0, page.1);
    Err(tiff.malformed(&directory.place, what))
}

/// The colour model to give with a level's tiles.
fn colour(tiff: &Tiff, directory: &Directory, header: &ScanHeader) -> Result<Colour, Error> {
    let own = jpeg::inspect(&header.stream(8, 8, &[]))
        .and_then(|own| own.check_displayable().map(|()| own))
        .map_err(|error| refusal(tiff, &directory.place, &error))?;
    let photometric = tiff.number_of(directory, PHOTOMETRIC)?;
    let said = match (photometric, own.components.len()) {
        (Some(1), 1) => return Ok(Colour::AsStored),
        (Some(2), 3) => Colour::Rgb,
        (Some(6), 3) => Colour::YCbCr,
        (photometric, components) => {
            let name = photometric.map_or("none".to_owned(), |value| value.to_string());
            let what = format!("{PHOTOMETRIC} {name} with {components} JPEG components");
            return Err(tiff.unsupported(&directory.place, what));
        }
    };
    Ok(if own.assumed_colour() == said { Colour::AsStored } else { said })
}

/// Where the page says that intervals start in the file, if it does for all of them and they are in order.
fn listed(tiff: &Tiff, directory: &Directory, count: u64, start: u64) -> Result<Option<Vec<u64>>, Error> {
    let Some(mut starts) = tiff.numbers(directory, MCU_STARTS, MAX_INTERVALS)? else { return Ok(None) };
    let high = tiff.numbers(directory, MCU_STARTS_HIGH, MAX_INTERVALS)?;
    if starts.len() as u64 != count || high.as_ref().is_some_and(|high| high.len() as u64 != count) {
        return Ok(None);
    }
    for (at, low) in starts.iter_mut().enumerate() {
        let high = high.as_ref().map_or(0, |high| high[at]);
        let Some(offset) = high.checked_mul(1 << 32).and_then(|high| high.checked_add(*low)) else {
            return Ok(None);
        };
        let Some(offset) = offset.checked_add(start) else { return Ok(None) };
        *low = offset;
    }
    Ok(starts.is_sorted().then_some(starts))
}
