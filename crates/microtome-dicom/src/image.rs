//! What an instance says of its image: kind, size, scale, place, time; and of its frames: samples, compression, colours.
//!
//! PS3.3 C.8.12.4 (whole slide microscopy image), C.7.6.16 (functional groups), C.7.6.17 (dimensions), C.8.12.2
//! (slide label), C.7.6.3 (pixels). A scale that the slide does not state is left out: no number is better than a wrong one where
//! people measure. Not here: who the patient is.

use dicom_core::Tag;
use dicom_dictionary_std::{tags, uids};
use microtome_slide::{Metadata, Slide};

use crate::dataset::Dataset;
use crate::frames::Photometric;
use crate::series::{Frames, Identity, Kind, is_original};
use crate::{Error, modules, profile, source, uid};

/// Micrometres that a slide is said to be thick where nobody says it: one focal plane.
const DEPTH: f64 = 1.0;

/// Size of an image and of its frames in pixels.
struct Size {
    total: [u32; 2],
    frame: [u32; 2],
    frames: u64,
}

/// What is known of an image without a look at its frames.
pub(crate) fn known(slide: &Slide, identity: &Identity, kind: &Kind) -> Dataset {
    let metadata = slide.metadata();
    let mut set = Dataset::default();
    let size = size(slide, kind);
    set.put_all(tags::IMAGE_TYPE, image_type(metadata, kind));
    set.put_number(tags::ROWS, size.frame[1]);
    set.put_number(tags::COLUMNS, size.frame[0]);
    set.put_number(tags::NUMBER_OF_FRAMES, u32::try_from(size.frames).unwrap_or(u32::MAX));
    set.put_number(tags::TOTAL_PIXEL_MATRIX_COLUMNS, size.total[0]);
    set.put_number(tags::TOTAL_PIXEL_MATRIX_ROWS, size.total[1]);
    set.put_number(tags::TOTAL_PIXEL_MATRIX_FOCAL_PLANES, 1);
    set.put_number(tags::BITS_ALLOCATED, 8);
    set.put_number(tags::BITS_STORED, 8);
    set.put_number(tags::HIGH_BIT, 7);
    set.put_number(tags::PIXEL_REPRESENTATION, 0);
    set.put(tags::FRAME_OF_REFERENCE_UID, &identity.frame_of_reference);
    set.put(tags::POSITION_REFERENCE_INDICATOR, "SLIDE_CORNER");
    acquisition(&mut set, metadata);
    let shows_label = matches!(kind, Kind::Associated(name) if name == "label" || name == "macro");
    let yes_or_no = if shows_label { "YES" } else { "NO" };
    set.put(tags::BURNED_IN_ANNOTATION, yes_or_no);
    set.put(tags::SPECIMEN_LABEL_IN_IMAGE, yes_or_no);
    set.put(tags::VOLUMETRIC_PROPERTIES, "VOLUME");
    if matches!(kind, Kind::Associated(name) if name == "label") {
        set.put_or_empty(tags::LABEL_TEXT, "");
        set.put_or_empty(tags::BARCODE_VALUE, "");
    }
    if is_pyramid(kind) {
        set.put(tags::PYRAMID_UID, &identity.pyramid);
    }
    dimensions(&mut set, identity);
    place(&mut set, slide, kind, &size);
    set
}

/// What the frames say of themselves.
pub(crate) fn seen(slide: &Slide, frames: &Frames, compressions: &[(String, f64)]) -> Result<Dataset, Error> {
    let photometric = match frames {
        Frames::Level(frames) => frames.photometric(),
        Frames::Associated(frame) => frame.photometric(),
    };
    let mut set = Dataset::default();
    set.put_number(tags::SAMPLES_PER_PIXEL, photometric.samples());
    set.put(tags::PHOTOMETRIC_INTERPRETATION, photometric.name());
    let colour = photometric != Photometric::Monochrome;
    if colour {
        set.put_number(tags::PLANAR_CONFIGURATION, 0);
    } else {
        set.put(tags::PRESENTATION_LUT_SHAPE, "IDENTITY");
        set.put_decimals(tags::RESCALE_INTERCEPT, &[0.0]);
        set.put_decimals(tags::RESCALE_SLOPE, &[1.0]);
    }
    set.put(tags::LOSSY_IMAGE_COMPRESSION, "01");
    set.put_decimals(
        tags::LOSSY_IMAGE_COMPRESSION_RATIO,
        &compressions.iter().map(|(_, ratio)| *ratio).collect::<Vec<_>>(),
    );
    set.put_all(tags::LOSSY_IMAGE_COMPRESSION_METHOD, compressions.iter().map(|(method, _)| method));
    let profile = match colour {
        true => Some(profile::stated(slide.icc_profile()?).0),
        false => None,
    };
    set.extend(&modules::optical_path(slide.metadata(), profile));
    Ok(set)
}

fn size(slide: &Slide, kind: &Kind) -> Size {
    match kind {
        Kind::Level(level) => {
            let grid = slide.levels()[usize::from(*level)];
            Size { total: [grid.width, grid.height], frame: [grid.tile_size; 2], frames: grid.tiles() }
        }
        Kind::Associated(name) => {
            let image = slide.metadata().associated.iter().find(|image| image.name == *name);
            let total = image.map_or([1; 2], |image| [image.width, image.height]);
            Size { total, frame: total, frames: 1 }
        }
    }
}

fn image_type(metadata: &Metadata, kind: &Kind) -> [&'static str; 4] {
    match kind {
        Kind::Level(level) if is_original(metadata, *level) => ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"],
        Kind::Level(0) => ["DERIVED", "PRIMARY", "VOLUME", "NONE"],
        Kind::Level(_) => ["DERIVED", "PRIMARY", "VOLUME", "RESAMPLED"],
        Kind::Associated(name) => match &**name {
            "label" => ["ORIGINAL", "PRIMARY", "LABEL", "NONE"],
            "macro" => ["ORIGINAL", "PRIMARY", "OVERVIEW", "NONE"],
            _ => ["DERIVED", "PRIMARY", "THUMBNAIL", "RESAMPLED"],
        },
    }
}

/// Whether an image shows the slide at some scale.
fn is_pyramid(kind: &Kind) -> bool {
    !matches!(kind, Kind::Associated(name) if name != "thumbnail")
}

fn acquisition(set: &mut Dataset, metadata: &Metadata) {
    let acquired = source::acquired(metadata);
    let (date, time) = acquired.split_at(8);
    set.put(tags::ACQUISITION_DATE_TIME, &acquired);
    set.put(tags::CONTENT_DATE, date);
    set.put(tags::CONTENT_TIME, time);
    let said = |name: &str, other: &'static str| source::value(metadata, name).unwrap_or(other).to_owned();
    set.put(tags::FOCUS_METHOD, "AUTO");
    set.put(tags::FOCUS_METHOD, &said("FocusMethod", "AUTO"));
    set.put(tags::EXTENDED_DEPTH_OF_FIELD, "NO");
}

fn dimensions(set: &mut Dataset, identity: &Identity) {
    let mut organization = Dataset::default();
    let uid = uid::derived(&[&identity.series, "dimension organization"]);
    organization.put(tags::DIMENSION_ORGANIZATION_UID, &uid);
    set.put_items(tags::DIMENSION_ORGANIZATION_SEQUENCE, vec![organization]);
    set.put(tags::DIMENSION_ORGANIZATION_TYPE, "TILED_FULL");
}

/// Where on the slide the image is, and how large: functional groups, volume, origin.
fn place(set: &mut Dataset, slide: &Slide, kind: &Kind, size: &Size) {
    let metadata = slide.metadata();
    let full = slide.levels()[0];
    let usable = |mpp: f64| mpp.is_finite() && (1e-6..=1e6).contains(&mpp);
    let mpp = metadata.mpp.filter(|mpp| is_pyramid(kind) && mpp.iter().copied().all(usable));
    let depth = positive(metadata, "ImagedVolumeDepth").unwrap_or(DEPTH);
    let mut group = Dataset::default();
    let mut frame_type = Dataset::default();
    frame_type.put_all(tags::FRAME_TYPE, image_type(metadata, kind));
    group.put_items(tags::WHOLE_SLIDE_MICROSCOPY_IMAGE_FRAME_TYPE_SEQUENCE, vec![frame_type]);
    let mut path = Dataset::default();
    path.put(tags::OPTICAL_PATH_IDENTIFIER, "1");
    group.put_items(tags::OPTICAL_PATH_IDENTIFICATION_SEQUENCE, vec![path]);
    let mut measures = Dataset::default();
    measures.put_decimals(tags::SLICE_THICKNESS, &[depth / 1e3]);
    let mut corner = [0.0; 2];
    if let Some([x, y]) = mpp {
        let (width, height) = (f64::from(full.width) * x / 1e3, f64::from(full.height) * y / 1e3);
        set.put_decimals(tags::IMAGED_VOLUME_WIDTH, &[width]);
        set.put_decimals(tags::IMAGED_VOLUME_HEIGHT, &[height]);
        set.put_decimals(tags::IMAGED_VOLUME_DEPTH, &[depth]);
        // A level whose size was rounded has the spacing that it was made with.
        let spacing = match kind {
            Kind::Level(level) => [y, x].map(|mpp| rounded(mpp / 1e3) * f64::from(*level).exp2()),
            Kind::Associated(_) => [height / f64::from(size.total[1]), width / f64::from(size.total[0])],
        };
        measures.put_decimals(tags::PIXEL_SPACING, &spacing);
        corner = [height, width];
    }
    group.put_items(tags::PIXEL_MEASURES_SEQUENCE, vec![measures]);
    set.put_items(tags::SHARED_FUNCTIONAL_GROUPS_SEQUENCE, vec![group]);
    orientation(set, metadata, corner);
}

/// A product of two decimals without the digits that neither means.
fn rounded(millimetres: f64) -> f64 {
    (millimetres * 1e12).round() / 1e12
}

/// Where the image lies on the glass: as the source says; else with the label to its left, far enough from the corner of the
/// slide to lie on it, as most scanners have it.
fn orientation(set: &mut Dataset, metadata: &Metadata, corner: [f64; 2]) {
    let numbers = |name: &str| -> Vec<f64> {
        let values = source::values(metadata, name).into_iter();
        values.filter_map(|text| text.parse().ok()).filter(|number: &f64| number.is_finite()).collect()
    };
    let axes = numbers("ImageOrientationSlide");
    let origin = |name: &str| numbers(&format!("TotalPixelMatrixOriginSequence[0].{name}")).first().copied();
    let offsets = (origin("XOffsetInSlideCoordinateSystem"), origin("YOffsetInSlideCoordinateSystem"));
    let ([x, y], axes) = match offsets {
        (Some(x), Some(y)) if axes.len() == 6 => ([x, y], axes),
        _ => (corner, vec![0.0, -1.0, 0.0, -1.0, 0.0, 0.0]),
    };
    let mut item = Dataset::default();
    item.put_decimals(tags::X_OFFSET_IN_SLIDE_COORDINATE_SYSTEM, &[x]);
    item.put_decimals(tags::Y_OFFSET_IN_SLIDE_COORDINATE_SYSTEM, &[y]);
    set.put_items(tags::TOTAL_PIXEL_MATRIX_ORIGIN_SEQUENCE, vec![item]);
    set.put_decimals(tags::IMAGE_ORIENTATION_SLIDE, &axes);
}

fn positive(metadata: &Metadata, name: &str) -> Option<f64> {
    source::value(metadata, name)?.parse().ok().filter(|number: &f64| number.is_finite() && *number > 0.0)
}

/// What a search also answers with: the transfer syntax that there is.
#[must_use]
pub fn available() -> (Tag, &'static str) {
    (tags::AVAILABLE_TRANSFER_SYNTAX_UID, uids::JPEG_BASELINE8_BIT)
}
