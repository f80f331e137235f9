//! A scan in pieces: a stream that is too large to be parsed whole, cut at its restart markers, and tiles made of it.
//!
//! ITU-T T.81 annexes B and F: at a restart marker the predictions start anew, so the data between two of them are the
//! scan of a smaller picture with the same tables. Such a picture goes through the [`super::Parser`] like any other, which
//! proves that its coefficients give the data back. Not here: where the markers are in a file.

use super::header::{Cut, Layout, table_index};
use super::template::Template;
use super::{Tile, unsupported};
use crate::Error;

const EOI: [u8; 2] = [0xFF, 0xD9];

/// The markers of a stream from SOI to the end of its scan header.
pub struct ScanHeader {
    /// Without a restart interval, comments, and application data other than what tells colours.
    markers: Vec<u8>,
    /// What `markers` say.
    layout: Layout,
    restart: usize,
    length: usize,
}

impl ScanHeader {
    /// Reads the markers at the start of `stream`; what follows the scan header does not matter.
    ///
    /// # Errors
    /// [`Error::Malformed`] and [`Error::Unsupported`] as for [`super::Parser::parse`].
    pub fn read(stream: &[u8]) -> Result<Self, Error> {
        let whole = Layout::read(stream, &[])?;
        let mut markers = stream[..2].to_vec();
        for (code, start, end) in super::header::segments(stream) {
            let tells_colours = match code {
                0xE0 => stream[start..end].get(4..9) == Some(b"JFIF\0"),
                0xEE => stream[start..end].get(4..9) == Some(b"Adobe"),
                _ => false,
            };
            if tells_colours || matches!(code, 0xC0 | 0xC1 | 0xC4 | 0xDB | 0xDA) {
                markers.extend_from_slice(&stream[start..end]);
            }
        }
        let layout = Layout::read(&markers, &[])?;
        Ok(Self { markers, layout, restart: whole.restart, length: whole.end })
    }

    /// Bytes of the markers in the stream: where its entropy-coded data start.
    #[must_use]
    pub fn length(&self) -> usize {
        self.length
    }

    /// Width and height in pixels that the frame header gives; a side beyond 65,535 px it cannot give.
    #[must_use]
    pub fn size(&self) -> (u32, u32) {
        self.layout.size
    }

    /// MCUs between two restart markers, or 0 if there are none.
    #[must_use]
    pub fn restart_interval(&self) -> usize {
        self.restart
    }

    /// Width and height of an MCU in pixels.
    #[must_use]
    pub fn mcu_size(&self) -> (u32, u32) {
        let components = self.layout.components();
        if components.len() == 1 {
            return (8, 8);
        }
        let most = |factor: fn(&super::header::Component) -> u8| {
            8 * components.iter().map(factor).max().map_or(1, u32::from)
        };
        (most(|c| c.horizontal), most(|c| c.vertical))
    }

    /// The complete stream of a picture of `width` x `height` pixels, 1 to 65,535 each, with these entropy-coded data,
    /// which have no restart marker among them.
    #[must_use]
    pub fn stream(&self, width: u16, height: u16, data: &[u8]) -> Vec<u8> {
        let mut stream = Vec::with_capacity(self.markers.len() + data.len() + 2);
        stream.extend_from_slice(&self.markers);
        let at = self.layout.size_at;
        stream[at..at + 2].copy_from_slice(&height.to_be_bytes());
        stream[at + 2..at + 4].copy_from_slice(&width.to_be_bytes());
        stream.extend_from_slice(data);
        stream.extend_from_slice(&EOI);
        stream
    }

    /// What makes streams of tiles that were cut out of the picture: its own tables, but for Huffman tables that lack the
    /// code of some symbol, in the place of which each tile has its own.
    ///
    /// # Errors
    /// [`Error::Malformed`] for Huffman tables that no decoder takes.
    pub fn template(&self) -> Result<Template, Error> {
        let mut head = self.markers.clone();
        head[self.layout.size_at..self.layout.size_at + 4].fill(0);
        let template = Template::assemble(head, Vec::new(), true, EOI.to_vec())?;
        if template.has_all_codes() {
            return Ok(template);
        }
        let mut head = self.markers[..2].to_vec();
        let mut cut = Cut { at: 0, count: 0, tables: [0; 8] };
        for (code, start, end) in super::header::segments(&self.markers) {
            match code {
                0xC4 => continue,
                0xDA => cut.at = head.len(),
                _ => {}
            }
            head.extend_from_slice(&self.markers[start..end]);
        }
        for table in [0x00, 0x10, 0x01, 0x11, 0x02, 0x12, 0x03, 0x13] {
            if table_index(table).is_some_and(|index| self.layout.uses(index)) {
                cut.tables[usize::from(cut.count)] = table;
                cut.count += 1;
            }
        }
        let size_at = Layout::read(&head, &[cut])?.size_at;
        head[size_at..size_at + 4].fill(0);
        Template::assemble(head, vec![cut], true, EOI.to_vec())
    }
}

impl Tile {
    /// Copies `count` MCUs of a row of `from`, from column and row `source` there to `target` here, in MCUs.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if they are not in both tiles, or the tiles have other components.
    pub fn copy_mcus(
        &mut self,
        target: (usize, usize),
        from: &Self,
        source: (usize, usize),
        count: usize,
    ) -> Result<(), Error> {
        if self.planes.len() != from.planes.len() {
            return Err(Error::InvalidArgument("MCUs of a tile with other components"));
        }
        let alone = self.planes.len() == 1;
        for (to, from) in self.planes.iter_mut().zip(&from.planes) {
            if (to.horizontal, to.vertical) != (from.horizontal, from.vertical) {
                return Err(Error::InvalidArgument("MCUs of a tile with other components"));
            }
            let (across, down) =
                if alone { (1, 1) } else { (usize::from(to.horizontal), usize::from(to.vertical)) };
            let run = count * across;
            let beyond = |plane: &super::Plane, (column, row): (usize, usize)| {
                (column + count) * across > plane.width || (row + 1) * down > plane.height
            };
            if beyond(to, target) || beyond(from, source) {
                return Err(Error::InvalidArgument("MCUs beyond the edge of a tile"));
            }
            for y in 0..down {
                let read = 64 * ((source.1 * down + y) * from.width + source.0 * across);
                let write = 64 * ((target.1 * down + y) * to.width + target.0 * across);
                to.coefficients[write..write + 64 * run]
                    .copy_from_slice(&from.coefficients[read..read + 64 * run]);
            }
        }
        Ok(())
    }
}

/// The shape, in MCUs, of a picture that has `count` of them in the order of a scan whose rows have `columns`: whole rows
/// where there are some, else one row, else what a frame header can say.
///
/// # Errors
/// [`Error::Unsupported`] if no picture with MCUs of `mcu` pixels has so many.
pub fn piece_shape(count: usize, columns: usize, mcu: (u32, u32)) -> Result<(usize, usize), Error> {
    let most = |side: u32| 65_535 / side.max(1) as usize;
    let fits = |across: usize| {
        across > 0 && across <= most(mcu.0) && count.is_multiple_of(across) && count / across <= most(mcu.1)
    };
    let natural = [columns, count].into_iter().find(|&across| fits(across));
    let across = natural.or_else(|| (1..=most(mcu.0)).rev().find(|&across| fits(across)));
    match across.filter(|_| count > 0) {
        Some(across) => Ok((across, count / across)),
        None => Err(unsupported("restart markers so far apart that no picture has as many MCUs")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Parser, Writer};
    use super::*;
    use crate::Rgb;
    use crate::turbo::{self, Subsampling};

    /// A picture with something everywhere.
    fn picture(width: u32, height: u32) -> Rgb {
        let mut image = Rgb::filled(width, height, [0; 3]);
        for (i, pixel) in image.data_mut().chunks_exact_mut(3).enumerate() {
            let (x, y) = (i as u32 % width, i as u32 / width);
            let noise = (x.wrapping_mul(2_654_435_761) ^ y.wrapping_mul(40_503)) >> 7;
            pixel.copy_from_slice(&[
                (x * 2 + noise % 31) as u8,
                (y * 3) as u8 / 2 + (noise % 13) as u8,
                ((x ^ y) + noise % 7) as u8,
            ]);
        }
        image
    }

    /// The stream with restart markers every `restart` MCUs, and its coefficients.
    fn with_restarts(jpeg: &[u8], restart: u16) -> (Vec<u8>, Tile) {
        let mut tile = Tile::new();
        Parser::new().parse(jpeg, &mut tile).expect("parses");
        let at = jpeg.windows(2).position(|w| w == [0xFF, 0xDA]).expect("a scan");
        let [high, low] = restart.to_be_bytes();
        let head = [&jpeg[..at], &[0xFF, 0xDD, 0, 4, high, low], &jpeg[at..]].concat();
        let mut header = head[..Layout::read(&head, &[]).expect("markers").end].to_vec();
        let size_at = Layout::read(&header, &[]).expect("markers").size_at;
        header[size_at..size_at + 4].fill(0);
        let template = Template::assemble(header, vec![], true, EOI.to_vec()).expect("a template");
        // The first symbols behind a marker may have no code in tables optimised without markers: use standard ones.
        let mut out = vec![];
        Writer::new().write(&template, &tile, &mut out).expect("all symbols have codes");
        (out, tile)
    }

    /// A JPEG with the standard tables, which have all codes.
    fn standard(image: &Rgb, subsampling: Subsampling) -> Vec<u8> {
        let optimised = turbo::encode(image, 80, subsampling).expect("encodes");
        let mut tile = Tile::new();
        Parser::new().parse(&optimised, &mut tile).expect("parses");
        let tables = super::super::HuffmanTables::Standard;
        let template =
            Template::jfif(&tile.planes[0].table, &tile.planes[1].table, subsampling, tables).expect("steps");
        let mut out = vec![];
        Writer::new().write(&template, &tile, &mut out).expect("writes");
        out
    }

    /// Where the data between restart markers start and end.
    fn intervals(stream: &[u8], start: usize) -> Vec<std::ops::Range<usize>> {
        let mut found = vec![];
        let mut from = start;
        for at in start..stream.len() - 1 {
            if stream[at] == 0xFF && stream[at + 1] != 0 {
                found.push(from..at);
                from = at + 2;
            }
        }
        found
    }

    #[test]
    fn tiles_of_pieces_have_the_coefficients_of_the_whole_and_pieces_come_back_byte_for_byte() {
        for (subsampling, mcu) in [(Subsampling::Chroma420, 16), (Subsampling::Chroma444, 8)] {
            for restart in [3_u16, 7, 13, 26] {
                // 13 columns and 7 rows of MCUs, the last ones cut.
                let image = picture(12 * mcu + 5, 6 * mcu + 3);
                let (stream, whole) = with_restarts(&standard(&image, subsampling), restart);
                let header = ScanHeader::read(&stream).expect("markers");
                assert_eq!(header.mcu_size(), (mcu, mcu));
                assert_eq!(header.restart_interval(), usize::from(restart));
                assert_eq!(header.size(), (image.width(), image.height()));
                let template = header.template().expect("a template");
                let mut all = Tile::new();
                template.planes_for(image.width(), image.height(), &mut all).expect("a size");
                let (mut parser, mut piece) = (Parser::new(), Tile::new());
                for (i, range) in intervals(&stream, header.length()).into_iter().enumerate() {
                    let first = i * usize::from(restart);
                    let count = usize::from(restart).min(13 * 7 - first);
                    let (across, down) = piece_shape(count, 13, (mcu, mcu)).expect("a shape");
                    let (width, height) = (across as u32 * mcu, down as u32 * mcu);
                    let data = &stream[range.clone()];
                    let own = header.stream(width as u16, height as u16, data);
                    let template = parser.parse(&own, &mut piece).expect("parses");
                    let mut again = vec![];
                    Writer::new().write(&template, &piece, &mut again).expect("writes");
                    assert_eq!(again[again.len() - 2 - data.len()..again.len() - 2], *data, "interval {i}");
                    for mcu in 0..count {
                        let at = first + mcu;
                        all.copy_mcus((at % 13, at / 13), &piece, (mcu % across, mcu / across), 1)
                            .expect("fits");
                    }
                }
                assert_eq!(all, whole, "{subsampling}, every {restart}");
                let mut out = vec![];
                Writer::new().write(&template, &all, &mut out).expect("writes");
                assert_eq!(turbo::decode(&out, 1 << 20), turbo::decode(&stream, 1 << 20));
            }
        }
    }

    #[test]
    fn tables_without_all_codes_are_made_for_each_tile() {
        let image = picture(64, 64);
        let jpeg = turbo::encode(&image, 70, Subsampling::Chroma444).expect("encodes");
        let header = ScanHeader::read(&jpeg).expect("markers");
        let template = header.template().expect("a template");
        assert!(template.optimises());
        let (mut tile, mut out) = (Tile::new(), vec![]);
        Parser::new().parse(&jpeg, &mut tile).expect("parses");
        Writer::new().write(&template, &tile, &mut out).expect("writes");
        assert_eq!(turbo::decode(&out, 1 << 20), turbo::decode(&jpeg, 1 << 20));
    }

    #[test]
    fn pieces_are_whole_rows_or_one_row_or_what_a_frame_header_can_say() {
        assert_eq!(piece_shape(26, 13, (8, 8)), Ok((13, 2)));
        assert_eq!(piece_shape(7, 13, (8, 8)), Ok((7, 1)));
        assert_eq!(piece_shape(20_000, 20_000, (8, 8)), Ok((5000, 4)));
        assert!(piece_shape(8209, 8209, (8, 8)).is_err(), "a prime beyond what a side can have");
        assert!(piece_shape(0, 13, (8, 8)).is_err());
    }

    #[test]
    fn mcus_beyond_an_edge_are_refused() {
        let mut tile = Tile::new();
        let jpeg = turbo::encode(&picture(32, 32), 70, Subsampling::Chroma420).expect("encodes");
        Parser::new().parse(&jpeg, &mut tile).expect("parses");
        let other = tile.clone();
        assert!(tile.copy_mcus((0, 0), &other, (0, 1), 2).is_ok());
        assert!(tile.copy_mcus((1, 0), &other, (0, 0), 2).is_err());
        assert!(tile.copy_mcus((0, 0), &other, (0, 2), 1).is_err());
    }
}
