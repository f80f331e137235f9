//! What all instances of a slide say: patient, study, series, equipment, specimen, optical path.
//!
//! PS3.3 A.32.8 and the modules it lists. What a DICOM source said is said again; for the rest, required values that nobody knows
//! are empty where they may be, else what is commonly written. Not here: the image.

use dicom_core::Tag;
use dicom_dictionary_std::tags;
use microtome_slide::Metadata;

use crate::dataset::Dataset;
use crate::series::Identity;
use crate::{source, uid};

/// What required texts say that nobody knows.
const UNKNOWN: &str = "Unknown";

/// Attributes of a DICOM source that are said again, empty where it said nothing (type 2).
const PATIENT_AND_STUDY: [(Tag, &str); 9] = [
    (tags::PATIENT_NAME, "PatientName"),
    (tags::PATIENT_ID, "PatientID"),
    (tags::PATIENT_BIRTH_DATE, "PatientBirthDate"),
    (tags::PATIENT_SEX, "PatientSex"),
    (tags::STUDY_DATE, "StudyDate"),
    (tags::STUDY_TIME, "StudyTime"),
    (tags::REFERRING_PHYSICIAN_NAME, "ReferringPhysicianName"),
    (tags::STUDY_ID, "StudyID"),
    (tags::ACCESSION_NUMBER, "AccessionNumber"),
];

/// Those that are left out where it said nothing (type 3).
const OPTIONAL: [(Tag, &str); 5] = [
    (tags::STUDY_DESCRIPTION, "StudyDescription"),
    (tags::INSTITUTION_NAME, "InstitutionName"),
    (tags::BODY_PART_EXAMINED, "BodyPartExamined"),
    (tags::STATION_NAME, "StationName"),
    (tags::SERIES_DATE, "SeriesDate"),
];

/// Patient, study and series: what a search for either finds.
pub(crate) fn series(metadata: &Metadata, identity: &Identity) -> Dataset {
    let mut set = Dataset::default();
    set.put(tags::SPECIFIC_CHARACTER_SET, "ISO_IR 192");
    for (tag, name) in PATIENT_AND_STUDY {
        set.put_or_empty(tag, source::value(metadata, name).unwrap_or_default());
    }
    for (tag, name) in OPTIONAL {
        set.put(tag, source::value(metadata, name).unwrap_or_default());
    }
    set.put(tags::STUDY_INSTANCE_UID, &identity.study);
    set.put(tags::SERIES_INSTANCE_UID, &identity.series);
    set.put(tags::MODALITY, "SM");
    let number = source::value(metadata, "SeriesNumber").filter(|number| number.parse::<i32>().is_ok());
    set.put(tags::SERIES_NUMBER, number.unwrap_or("1"));
    let said = source::value(metadata, "SeriesDescription");
    set.put(tags::SERIES_DESCRIPTION, said.unwrap_or(&metadata.source.name));
    equipment(&mut set, metadata);
    set
}

/// General and enhanced general equipment.
fn equipment(set: &mut Dataset, metadata: &Metadata) {
    let vendor = match source::property(metadata, "openslide.vendor") {
        Some("aperio") => Some("Aperio"),
        Some("hamamatsu") => Some("Hamamatsu"),
        Some("leica") => Some("Leica"),
        Some("mirax") => Some("3DHISTECH"),
        Some("philips") => Some("Philips"),
        Some("ventana") => Some("Ventana"),
        _ => None,
    };
    let serial = source::property(metadata, "aperio.ScanScope ID");
    for (tag, name, other) in [
        (tags::MANUFACTURER, "Manufacturer", vendor),
        (tags::MANUFACTURER_MODEL_NAME, "ManufacturerModelName", None),
        (tags::DEVICE_SERIAL_NUMBER, "DeviceSerialNumber", serial),
    ] {
        set.put(tag, UNKNOWN);
        set.put(tag, source::value(metadata, name).or(other).unwrap_or(UNKNOWN));
    }
    let ours = concat!("Microtome ", env!("CARGO_PKG_VERSION"));
    set.put_all(
        tags::SOFTWARE_VERSIONS,
        source::values(metadata, "SoftwareVersions").into_iter().chain([ours]),
    );
}

/// Specimen and container: the slide as a thing.
pub(crate) fn specimen(metadata: &Metadata, identity: &Identity) -> Dataset {
    let mut set = Dataset::default();
    let stem = metadata.source.name.rsplit_once('.').map_or(&*metadata.source.name, |(stem, _)| stem);
    let container = source::value(metadata, "ContainerIdentifier").unwrap_or(stem);
    set.put(tags::CONTAINER_IDENTIFIER, &identity.short);
    set.put(tags::CONTAINER_IDENTIFIER, container);
    set.put_items(tags::ISSUER_OF_THE_CONTAINER_IDENTIFIER_SEQUENCE, vec![]);
    set.put_items(tags::CONTAINER_TYPE_CODE_SEQUENCE, vec![code("433466003", "SCT", "Microscope slide")]);
    let mut specimen = Dataset::default();
    let of_source = |name: &str| source::value(metadata, &format!("SpecimenDescriptionSequence[0].{name}"));
    specimen.put(tags::SPECIMEN_IDENTIFIER, set.text(tags::CONTAINER_IDENTIFIER));
    specimen.put(tags::SPECIMEN_IDENTIFIER, of_source("SpecimenIdentifier").unwrap_or_default());
    specimen.put_items(tags::ISSUER_OF_THE_SPECIMEN_IDENTIFIER_SEQUENCE, vec![]);
    specimen.put(tags::SPECIMEN_UID, &uid::derived(&[&identity.content, "specimen"]));
    specimen.put(tags::SPECIMEN_UID, of_source("SpecimenUID").unwrap_or_default());
    specimen.put(tags::SPECIMEN_SHORT_DESCRIPTION, of_source("SpecimenShortDescription").unwrap_or_default());
    specimen.put_items(tags::SPECIMEN_PREPARATION_SEQUENCE, vec![]);
    set.put_items(tags::SPECIMEN_DESCRIPTION_SEQUENCE, vec![specimen]);
    set.put_items(tags::ACQUISITION_CONTEXT_SEQUENCE, vec![]);
    set
}

/// The one optical path.
pub(crate) fn optical_path(metadata: &Metadata, profile: Option<bytes::Bytes>) -> Dataset {
    let mut path = Dataset::default();
    let of_source = |name: &str| source::value(metadata, &format!("OpticalPathSequence[0].{name}"));
    path.put(tags::OPTICAL_PATH_IDENTIFIER, "1");
    path.put(tags::OPTICAL_PATH_DESCRIPTION, of_source("OpticalPathDescription").unwrap_or_default());
    let known = |sequence: &str| {
        let part = |name: &str| of_source(&format!("{sequence}[0].{name}"));
        let code = code(part("CodeValue")?, part("CodingSchemeDesignator")?, part("CodeMeaning")?);
        // A part that does not fit is left out.
        (code.elements().count() == 3).then_some(code)
    };
    let brightfield = || code("111744", "DCM", "Brightfield illumination");
    let illumination = known("IlluminationTypeCodeSequence").unwrap_or_else(brightfield);
    path.put_items(tags::ILLUMINATION_TYPE_CODE_SEQUENCE, vec![illumination]);
    let white = || code("414298005", "SCT", "Full Spectrum");
    let colour = known("IlluminationColorCodeSequence").unwrap_or_else(white);
    path.put_items(tags::ILLUMINATION_COLOR_CODE_SEQUENCE, vec![colour]);
    if let Some(power) = metadata.objective_power.filter(|power| power.is_finite() && *power > 0.0) {
        path.put_decimals(tags::OBJECTIVE_LENS_POWER, &[power]);
    }
    if let Some(profile) = profile {
        path.put_bytes(tags::ICC_PROFILE, profile);
    }
    let mut set = Dataset::default();
    set.put_number(tags::NUMBER_OF_OPTICAL_PATHS, 1);
    set.put_items(tags::OPTICAL_PATH_SEQUENCE, vec![path]);
    set
}

/// An item of a code sequence.
fn code(value: &str, scheme: &str, meaning: &str) -> Dataset {
    let mut code = Dataset::default();
    code.put(tags::CODE_VALUE, value);
    code.put(tags::CODING_SCHEME_DESIGNATOR, scheme);
    code.put(tags::CODE_MEANING, meaning);
    code
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::part10::{OffsetTable, head};

    fn identity() -> Identity {
        let text = || "1.2.3".to_owned();
        Identity::named(text(), text())
    }

    #[test]
    fn nothing_in_a_container_breaks_a_rule() {
        let hostile = [
            "\\",
            "a\\b\0\u{1}\n",
            &"\u{1F600}".repeat(1000),
            "",
            " ",
            "-1",
            "NaN",
            "1e999",
            "9".repeat(400).as_str(),
        ]
        .map(str::to_owned);
        let names = [
            "PatientName",
            "PatientID",
            "PatientSex",
            "PatientBirthDate",
            "StudyDate",
            "StudyTime",
            "SeriesNumber",
            "SeriesDescription",
            "Manufacturer",
            "SoftwareVersions",
            "ContainerIdentifier",
            "SpecimenDescriptionSequence[0].SpecimenUID",
            "OpticalPathSequence[0].OpticalPathDescription",
            "OpticalPathSequence[0].IlluminationTypeCodeSequence[0].CodeValue",
            "OpticalPathSequence[0].IlluminationTypeCodeSequence[0].CodingSchemeDesignator",
            "OpticalPathSequence[0].IlluminationTypeCodeSequence[0].CodeMeaning",
        ];
        for value in hostile {
            let properties = names.iter().map(|name| (format!("dicom.{name}"), value.clone())).collect();
            let mut metadata =
                Metadata { properties, objective_power: Some(f64::NAN), ..Metadata::default() };
            metadata.source.name.clone_from(&value);
            let mut set = series(&metadata, &identity());
            set.extend(&specimen(&metadata, &identity()));
            set.extend(&optical_path(&metadata, None));
            for required in [tags::MANUFACTURER, tags::MANUFACTURER_MODEL_NAME, tags::CONTAINER_IDENTIFIER] {
                assert!(!set.text(required).is_empty(), "{required} of {value:?}");
            }
            for (tag, element) in set.elements() {
                if let crate::dataset::Value::Text(values) = &element.value {
                    let plain = |text: &String| !text.contains('\\') && !text.chars().any(char::is_control);
                    assert!(
                        values.iter().all(|text| plain(text) && text.chars().count() <= 64),
                        "{tag} of {value:?}"
                    );
                }
            }
            assert_eq!(head(&set, OffsetTable::Empty).len() % 2, 0);
        }
    }
}
