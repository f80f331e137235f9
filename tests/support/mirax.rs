//! A small 3DHISTECH MRXS slide, as OpenSlide describes the format (<https://openslide.org/formats/mirax/>): camera images
//! side by side without overlap, one of them missing, and a label.

use std::path::{Path, PathBuf};

use microtome_codec::Rgb;
use microtome_codec::turbo::{self, Subsampling};

use crate::support::png;

/// Side of a camera image in pixels.
pub(crate) const SIDE: u32 = 256;
/// Camera images across and down.
pub(crate) const IMAGES: (u32, u32) = (6, 5);
/// The camera image that was not taken, from the left and from the top.
pub(crate) const MISSING: (u32, u32) = (2, 1);
/// The colour of what was not scanned.
pub(crate) const BACKGROUND: [u8; 3] = [250, 240, 230];

const ID: &str = "0123456789ABCDEF0123456789ABCDEF";

/// The picture that a reader is to show: without the missing image.
pub(crate) fn shown(picture: &Rgb) -> Rgb {
    let mut shown = picture.clone();
    let (x, y) = (MISSING.0 * SIDE, MISSING.1 * SIDE);
    shown.blit(&Rgb::filled(SIDE, SIDE, BACKGROUND), 0, 0, SIDE, SIDE, x, y);
    shown
}

/// The slide's files, to be damaged before they are written.
pub(crate) struct Mirax {
    /// `Slidedat.ini`.
    pub(crate) ini: String,
    /// `Data0000.dat`: a PNG for each camera image, then the label as JPEG.
    pub(crate) data: Vec<u8>,
    /// Where each camera image that was taken begins in the data, and its length.
    pub(crate) images: Vec<(usize, usize)>,
    /// Where the label begins.
    pub(crate) label: usize,
    index: Vec<u8>,
}

impl Mirax {
    /// A slide of a picture of [`IMAGES`] times [`SIDE`] pixels.
    pub(crate) fn new(picture: &Rgb, label: &Rgb) -> Self {
        let (mut data, mut images, mut places) = (vec![], vec![], vec![]);
        for row in 0..IMAGES.1 {
            for column in (0..IMAGES.0).filter(|&column| (column, row) != MISSING) {
                let image = png(&picture.crop(column * SIDE, row * SIDE, SIDE, SIDE));
                places.push(row * IMAGES.0 + column);
                images.push((data.len(), image.len()));
                data.extend(image);
            }
        }
        let label_place = data.len();
        data.extend(turbo::encode(label, 95, Subsampling::Chroma444).unwrap());
        let index = index(&places, &images, (label_place, data.len() - label_place));
        Self { ini: ini(), data, images, label: label_place, index }
    }

    /// Writes `slide.mrxs` and its folder; gives the path of the former.
    pub(crate) fn write(&self, folder: &Path) -> PathBuf {
        let files = folder.join("slide");
        std::fs::create_dir_all(&files).unwrap();
        std::fs::write(files.join("Slidedat.ini"), &self.ini).unwrap();
        std::fs::write(files.join("Index.dat"), &self.index).unwrap();
        std::fs::write(files.join("Data0000.dat"), &self.data).unwrap();
        let path = folder.join("slide.mrxs");
        std::fs::write(&path, turbo::encode(&Rgb::filled(8, 8, [9; 3]), 80, Subsampling::Chroma420).unwrap())
            .unwrap();
        path
    }
}

/// `Index.dat`: a list of camera images and one of other records, both reached through several pointers.
fn index(places: &[u32], images: &[(usize, usize)], label: (usize, usize)) -> Vec<u8> {
    let mut index = [b"01.02", ID.as_bytes()].concat();
    let root = index.len() as i32;
    let mut put = |numbers: &[i32]| numbers.iter().for_each(|number| index.extend(number.to_le_bytes()));
    // The two roots, then the lists of levels and of records, of one entry each, then the head of each.
    let [levels, records] = [root + 8, root + 12];
    let [level, record] = [root + 16, root + 24];
    let [level_page, record_page] = [root + 32, root + 40 + 16 * places.len() as i32];
    put(&[levels, records, level, record, 0, level_page, 0, record_page]);
    put(&[places.len() as i32, 0]);
    for (place, image) in places.iter().zip(images) {
        put(&[*place as i32, image.0 as i32, image.1 as i32, 0]);
    }
    put(&[1, 0, 0, 0, label.0 as i32, label.1 as i32, 0]);
    index
}

fn ini() -> String {
    let [red, green, blue] = BACKGROUND.map(u32::from);
    format!(
        "[GENERAL]\r\nSLIDE_VERSION = 01.02\r\nSLIDE_ID = {ID}\r\nIMAGENUMBER_X = {}\r\nIMAGENUMBER_Y = {}\r\n\
         OBJECTIVE_MAGNIFICATION = 20\r\nCameraImageDivisionsPerSide = 1\r\n\
         [HIERARCHICAL]\r\nHIER_COUNT = 1\r\nNONHIER_COUNT = 1\r\nINDEXFILE = Index.dat\r\n\
         HIER_0_NAME = Slide zoom level\r\nHIER_0_COUNT = 1\r\nHIER_0_VAL_0_SECTION = LAYER_0\r\n\
         NONHIER_0_NAME = Scan data layer\r\nNONHIER_0_COUNT = 1\r\n\
         NONHIER_0_VAL_0 = ScanDataLayer_SlideBarcode\r\nNONHIER_0_VAL_0_SECTION = BARCODE\r\n\
         [LAYER_0]\r\nOVERLAP_X = 0\r\nOVERLAP_Y = 0\r\nMICROMETER_PER_PIXEL_X = 0.25\r\n\
         MICROMETER_PER_PIXEL_Y = 0.5\r\nIMAGE_FORMAT = PNG\r\nIMAGE_FILL_COLOR_BGR = {}\r\n\
         DIGITIZER_WIDTH = {SIDE}\r\nDIGITIZER_HEIGHT = {SIDE}\r\nIMAGE_CONCAT_FACTOR = 0\r\n\
         [BARCODE]\r\nBARCODE_IMAGE_TYPE = JPEG\r\n\
         [DATAFILE]\r\nFILE_COUNT = 1\r\nFILE_0 = Data0000.dat\r\n",
        IMAGES.0,
        IMAGES.1,
        blue << 16 | green << 8 | red,
    )
}
