//! Images that are stored turned or mirrored, shown upright.
//!
//! TIFF 6.0 section 8 (Orientation), which EXIF has too. Not here: tiles kept bit for bit, which cannot be turned.

use microtome_codec::Rgb;
use microtome_container::geometry::Rect;

use super::Pixels;
use crate::Error;

/// How an image is stored, by what has to be done to show it: first its sides are swapped, then it is mirrored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Orientation {
    /// Stored columns are rows.
    pub(super) swapped: bool,
    /// Stored columns are counted from the other side.
    columns_mirrored: bool,
    /// Stored rows are counted from the other side.
    rows_mirrored: bool,
}

impl Orientation {
    /// By the tag's number; 0, which some writers give, means upright too.
    pub(super) fn of(number: u64) -> Option<Self> {
        let known = number <= 8;
        known.then_some(Self {
            swapped: number >= 5,
            columns_mirrored: matches!(number, 2 | 3 | 7 | 8),
            rows_mirrored: matches!(number, 3 | 4 | 6 | 7),
        })
    }

    /// Whether there is nothing to do.
    pub(super) fn is_upright(self) -> bool {
        self == Self::default()
    }

    /// The shown size of an image of the stored size, or the other way round.
    pub(super) fn size(self, (width, height): (u32, u32)) -> (u32, u32) {
        if self.swapped { (height, width) } else { (width, height) }
    }

    /// Where a shown rectangle lies in an image of the stored size.
    fn stored(self, rect: Rect, (width, height): (u32, u32)) -> Rect {
        let Rect { x, y, width: across, height: down } = rect;
        let mut stored = match self.swapped {
            true => Rect { x: y, y: x, width: down, height: across },
            false => rect,
        };
        if self.columns_mirrored {
            stored.x = width - stored.x - stored.width;
        }
        if self.rows_mirrored {
            stored.y = height - stored.y - stored.height;
        }
        stored
    }

    /// A stored image as it is shown.
    pub(super) fn turn(self, image: &Rgb) -> Rgb {
        let (width, height) = self.size((image.width(), image.height()));
        let mut out = Rgb::filled(width, height, [0; 3]);
        let row = 3 * width as usize;
        for (y, line) in (0..).zip(out.data_mut().chunks_exact_mut(row)) {
            for (x, pixel) in (0..).zip(line.as_chunks_mut().0) {
                let one = Rect { x, y, width: 1, height: 1 };
                let from = self.stored(one, (image.width(), image.height()));
                *pixel = image.pixel(from.x, from.y);
            }
        }
        out
    }
}

/// Pixels shown in another way than they are stored.
pub(super) struct Turned {
    stored: Box<dyn Pixels>,
    /// Width and height as stored.
    size: (u32, u32),
    orientation: Orientation,
}

impl Turned {
    /// Shows pixels of the stored `size` upright.
    pub(super) fn upright(
        stored: Box<dyn Pixels>,
        size: (u32, u32),
        orientation: Orientation,
    ) -> Box<dyn Pixels> {
        if orientation.is_upright() { stored } else { Box::new(Self { stored, size, orientation }) }
    }
}

impl Pixels for Turned {
    fn read(&self, rect: Rect) -> Result<Rgb, Error> {
        let stored = self.stored.read(self.orientation.stored(rect, self.size))?;
        Ok(self.orientation.turn(&stored))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the tag's number says of where the stored image's row 0 and column 0 are, in TIFF 6.0's words: here as the
    /// four corners of an image of 2 x 3 px, stored as `[[a, b], [c, d], [e, f]]`.
    #[test]
    fn each_number_puts_row_0_and_column_0_where_the_standard_says() {
        let stored =
            Rgb::from_vec(2, 3, b"abcdef".iter().flat_map(|&b| [b; 3]).collect()).expect("a picture");
        let shown =
            ["ab/cd/ef", "ba/dc/fe", "fe/dc/ba", "ef/cd/ab", "ace/bdf", "eca/fdb", "fdb/eca", "bdf/ace"];
        for (number, shown) in (1..).zip(shown) {
            let orientation = Orientation::of(number).expect("known");
            let turned = orientation.turn(&stored);
            let rows: Vec<String> = (0..turned.height())
                .map(|y| turned.row(y).iter().step_by(3).map(|&byte| char::from(byte)).collect())
                .collect();
            assert_eq!(rows.join("/"), shown, "{number}");
            assert_eq!(orientation.is_upright(), number == 1);
        }
        assert_eq!(Orientation::of(0), Orientation::of(1));
        assert_eq!(Orientation::of(9), None);
    }

    struct Whole(Rgb);

    impl Pixels for Whole {
        fn read(&self, rect: Rect) -> Result<Rgb, Error> {
            Ok(self.0.crop(rect.x, rect.y, rect.width, rect.height))
        }
    }

    #[test]
    fn any_part_is_that_part_of_the_whole_turned() {
        let data = (0..3 * 13 * 7).map(|i| (i * 31 % 256) as u8).collect();
        let image = Rgb::from_vec(13, 7, data).expect("a picture");
        for number in 1..=8 {
            let orientation = Orientation::of(number).expect("known");
            let whole = orientation.turn(&image);
            let turned = Turned { stored: Box::new(Whole(image.clone())), size: (13, 7), orientation };
            assert_eq!((whole.width(), whole.height()), orientation.size((13, 7)));
            for (x, y) in (0..whole.width()).flat_map(|x| (0..whole.height()).map(move |y| (x, y))) {
                let (width, height) = ((whole.width() - x).min(5), (whole.height() - y).min(3));
                let part = turned.read(Rect { x, y, width, height }).expect("reads");
                assert_eq!(part, whole.crop(x, y, width, height), "{number} at {x}, {y}");
            }
        }
    }
}
