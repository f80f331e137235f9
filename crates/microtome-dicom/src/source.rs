//! What the container says of the slide, in DICOM's words: attributes of a DICOM source, else what other formats have.
//!
//! Ingest keeps the attributes of a DICOM source as properties named `dicom.` and the keywords on the way to them; several
//! values are numbered. Not here: where the answers go.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use microtome_slide::Metadata;

/// Most values of one attribute that are taken.
const MAX_VALUES: usize = 16;

/// The values of an attribute of the DICOM source.
pub(crate) fn values<'a>(metadata: &'a Metadata, name: &str) -> Vec<&'a str> {
    let property = |name: String| metadata.properties.get(&name).map(String::as_str);
    match property(format!("dicom.{name}")) {
        Some(single) => vec![single],
        None => (0..MAX_VALUES).map_while(|i| property(format!("dicom.{name}[{i}]"))).collect(),
    }
}

/// The first value of an attribute of the DICOM source.
pub(crate) fn value<'a>(metadata: &'a Metadata, name: &str) -> Option<&'a str> {
    values(metadata, name).first().copied().filter(|value| !value.is_empty())
}

/// A property as another format's reader names it.
pub(crate) fn property<'a>(metadata: &'a Metadata, name: &str) -> Option<&'a str> {
    metadata.properties.get(name).map(String::as_str).filter(|value| !value.trim().is_empty())
}

/// When the slide was scanned, as `YYYYMMDDHHMMSS`, as well as the container knows: by a DICOM source, by Aperio's properties, else
/// the youngest file of the source. Where nothing is known (a slide without identity), the first second of 1970.
pub(crate) fn acquired(metadata: &Metadata) -> String {
    let of_dicom = || {
        let time = value(metadata, "AcquisitionDateTime")?;
        let digits: String = time.chars().take_while(char::is_ascii_digit).collect();
        (8..=14).contains(&digits.len()).then(|| format!("{digits:0<14}"))
    };
    let of_aperio = || {
        let date: Vec<&str> = property(metadata, "aperio.Date")?.split('/').collect();
        let time: Vec<&str> = property(metadata, "aperio.Time")?.split(':').collect();
        let two = |text: &&str| text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        let ([month, day, year], [hour, minute, second]) = (&date[..], &time[..]) else { return None };
        let plain = [month, day, hour, minute, second].into_iter().all(two);
        // Aperio's years had two digits, from 2000.
        let year = match year.len() {
            2 => format!("20{year}"),
            _ => (*year).to_owned(),
        };
        let plain = plain && year.len() == 4 && year.bytes().all(|byte| byte.is_ascii_digit());
        plain.then(|| format!("{year}{month}{day}{hour}{minute}{second}"))
    };
    let of_file = || {
        // 9999-12-31, the last day that four digits of a year have.
        let seconds = metadata.source.modified.filter(|&seconds| seconds < 253_402_300_800)?;
        Some(date_and_time(UNIX_EPOCH + Duration::from_secs(seconds)))
    };
    of_dicom().or_else(of_aperio).or_else(of_file).unwrap_or_else(|| "19700101000000".to_owned())
}

fn date_and_time(time: SystemTime) -> String {
    humantime::format_rfc3339_seconds(time).to_string().chars().filter(char::is_ascii_digit).collect()
}

/// How the DICOM source was compressed that says it is lossy and not by how much.
pub(crate) fn lossy(metadata: &Metadata) -> Option<&'static str> {
    let is_lossy = value(metadata, "LossyImageCompression") == Some("01");
    let method = match value(metadata, "TransferSyntaxUID") {
        Some("1.2.840.10008.1.2.4.81") => "ISO_14495_1",
        Some(syntax) if ["1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91"].contains(&syntax) => {
            "ISO_15444_1"
        }
        _ => "ISO_10918_1",
    };
    is_lossy.then_some(method)
}

/// The lossy compressions that the DICOM source had behind it: method and ratio of each.
pub(crate) fn compressions(metadata: &Metadata) -> Vec<(String, f64)> {
    let methods = values(metadata, "LossyImageCompressionMethod");
    let ratios = values(metadata, "LossyImageCompressionRatio");
    let ratios =
        ratios.iter().map_while(|text| text.parse::<f64>().ok()).filter(|r| r.is_finite() && *r > 0.0);
    let method = |i: usize| methods.get(i).copied().unwrap_or("ISO_10918_1").to_owned();
    ratios.enumerate().map(|(i, ratio)| (method(i), ratio)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata(properties: &[(&str, &str)]) -> Metadata {
        let properties = properties.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Metadata { properties, ..Metadata::default() }
    }

    #[test]
    fn the_time_of_the_scan_is_the_best_that_is_known() {
        let aperio = [("aperio.Date", "12/29/09"), ("aperio.Time", "09:59:15")];
        assert_eq!(acquired(&metadata(&aperio)), "20091229095915");
        let dicom = ("dicom.AcquisitionDateTime", "20240229101530.25+0100");
        assert_eq!(acquired(&metadata(&[dicom, aperio[0], aperio[1]])), "20240229101530");
        assert_eq!(acquired(&metadata(&[("dicom.AcquisitionDateTime", "2024022910")])), "20240229100000");
        let mut of_file = metadata(&[("aperio.Date", "yesterday"), ("aperio.Time", "09:59:15")]);
        of_file.source.modified = Some(1_795_757_701);
        assert_eq!(acquired(&of_file), "20261127053501");
        of_file.source.modified = Some(u64::MAX);
        assert_eq!(acquired(&of_file), "19700101000000");
    }

    #[test]
    fn earlier_compressions_are_found_by_one_name_or_by_several() {
        let two = [
            ("dicom.LossyImageCompressionMethod[0]", "ISO_15444_1"),
            ("dicom.LossyImageCompressionMethod[1]", "ISO_10918_1"),
            ("dicom.LossyImageCompressionRatio[0]", "12.5"),
            ("dicom.LossyImageCompressionRatio[1]", "8"),
        ];
        let expected = vec![("ISO_15444_1".to_owned(), 12.5), ("ISO_10918_1".to_owned(), 8.0)];
        assert_eq!(compressions(&metadata(&two)), expected);
        let one = [("dicom.LossyImageCompressionRatio", "20")];
        assert_eq!(compressions(&metadata(&one)), [("ISO_10918_1".to_owned(), 20.0)]);
        assert_eq!(compressions(&metadata(&[("dicom.LossyImageCompressionRatio", "NaN")])), []);
        let said =
            [("dicom.LossyImageCompression", "01"), ("dicom.TransferSyntaxUID", "1.2.840.10008.1.2.4.91")];
        assert_eq!(lossy(&metadata(&said)), Some("ISO_15444_1"));
        assert_eq!(lossy(&metadata(&[("dicom.LossyImageCompression", "00")])), None);
    }
}
