//! Tags that are read, with their names for messages (TIFF 6.0 appendix A, TIFF Technical Notes 1 and 2, ICC.1
//! annex B; Hamamatsu's own as OpenSlide documents them). Not here: what their values mean.

/// A tag number and its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tag(pub(super) u16, pub(super) &'static str);

impl std::fmt::Display for Tag {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "tag {} ({})", self.0, self.1)
    }
}

pub(super) const NEW_SUBFILE_TYPE: Tag = Tag(254, "NewSubfileType");
pub(super) const IMAGE_WIDTH: Tag = Tag(256, "ImageWidth");
pub(super) const IMAGE_LENGTH: Tag = Tag(257, "ImageLength");
pub(super) const BITS_PER_SAMPLE: Tag = Tag(258, "BitsPerSample");
pub(super) const COMPRESSION: Tag = Tag(259, "Compression");
pub(super) const PHOTOMETRIC: Tag = Tag(262, "PhotometricInterpretation");
pub(super) const FILL_ORDER: Tag = Tag(266, "FillOrder");
pub(super) const DOCUMENT_NAME: Tag = Tag(269, "DocumentName");
pub(super) const IMAGE_DESCRIPTION: Tag = Tag(270, "ImageDescription");
pub(super) const MAKE: Tag = Tag(271, "Make");
pub(super) const MODEL: Tag = Tag(272, "Model");
pub(super) const STRIP_OFFSETS: Tag = Tag(273, "StripOffsets");
pub(super) const ORIENTATION: Tag = Tag(274, "Orientation");
pub(super) const SAMPLES_PER_PIXEL: Tag = Tag(277, "SamplesPerPixel");
pub(super) const ROWS_PER_STRIP: Tag = Tag(278, "RowsPerStrip");
pub(super) const STRIP_BYTE_COUNTS: Tag = Tag(279, "StripByteCounts");
pub(super) const X_RESOLUTION: Tag = Tag(282, "XResolution");
pub(super) const Y_RESOLUTION: Tag = Tag(283, "YResolution");
pub(super) const PLANAR_CONFIGURATION: Tag = Tag(284, "PlanarConfiguration");
pub(super) const PAGE_NAME: Tag = Tag(285, "PageName");
pub(super) const RESOLUTION_UNIT: Tag = Tag(296, "ResolutionUnit");
pub(super) const SOFTWARE: Tag = Tag(305, "Software");
pub(super) const DATE_TIME: Tag = Tag(306, "DateTime");
pub(super) const ARTIST: Tag = Tag(315, "Artist");
pub(super) const HOST_COMPUTER: Tag = Tag(316, "HostComputer");
pub(super) const PREDICTOR: Tag = Tag(317, "Predictor");
pub(super) const COLOR_MAP: Tag = Tag(320, "ColorMap");
pub(super) const TILE_WIDTH: Tag = Tag(322, "TileWidth");
pub(super) const TILE_LENGTH: Tag = Tag(323, "TileLength");
pub(super) const TILE_OFFSETS: Tag = Tag(324, "TileOffsets");
pub(super) const TILE_BYTE_COUNTS: Tag = Tag(325, "TileByteCounts");
pub(super) const SUB_IFDS: Tag = Tag(330, "SubIFDs");
pub(super) const EXTRA_SAMPLES: Tag = Tag(338, "ExtraSamples");
pub(super) const SAMPLE_FORMAT: Tag = Tag(339, "SampleFormat");
pub(super) const S_MIN_SAMPLE_VALUE: Tag = Tag(340, "SMinSampleValue");
pub(super) const S_MAX_SAMPLE_VALUE: Tag = Tag(341, "SMaxSampleValue");
pub(super) const JPEG_TABLES: Tag = Tag(347, "JPEGTables");
pub(super) const XMP: Tag = Tag(700, "XMP");
pub(super) const COPYRIGHT: Tag = Tag(33432, "Copyright");
pub(super) const IMAGE_DEPTH: Tag = Tag(32997, "ImageDepth");
pub(super) const ICC_PROFILE: Tag = Tag(34675, "ICCProfile");
// Hamamatsu NDPI.
pub(super) const NDPI_FORMAT: Tag = Tag(65420, "FileFormat");
pub(super) const SOURCE_LENS: Tag = Tag(65421, "SourceLens");
pub(super) const X_OFFSET: Tag = Tag(65422, "XOffsetFromSlideCentre");
pub(super) const Y_OFFSET: Tag = Tag(65423, "YOffsetFromSlideCentre");
pub(super) const Z_OFFSET: Tag = Tag(65424, "ZOffsetFromSlideCentre");
pub(super) const MCU_STARTS: Tag = Tag(65426, "McuStarts");
pub(super) const REFERENCE: Tag = Tag(65427, "Reference");
pub(super) const MCU_STARTS_HIGH: Tag = Tag(65432, "McuStartsHighBytes");
pub(super) const SCANNER_SERIAL: Tag = Tag(65442, "ScannerSerialNumber");
pub(super) const PROPERTY_MAP: Tag = Tag(65449, "PropertyMap");
