//! Properties that Hamamatsu's own tags give, under OpenSlide's names where it has one.

use super::super::ifd::{Directory, Tiff};
use super::super::tag::{PROPERTY_MAP, REFERENCE, SCANNER_SERIAL, SOURCE_LENS, X_OFFSET, Y_OFFSET};
use crate::Error;

/// The properties of the page of level 0.
pub(super) fn read(tiff: &Tiff, directory: &Directory) -> Result<Vec<(String, String)>, Error> {
    let mut properties = vec![];
    for tag in [SOURCE_LENS, X_OFFSET, Y_OFFSET] {
        if let Some(value) = super::number(tiff, directory, tag)? {
            properties.push((format!("hamamatsu.{}", tag.1), value.to_string()));
        }
    }
    for tag in [REFERENCE, SCANNER_SERIAL] {
        let text = tiff.text(directory, tag)?.filter(|text| !text.is_empty());
        properties.extend(text.map(|text| (format!("hamamatsu.{}", tag.1), text)));
    }
    let map = tiff.text(directory, PROPERTY_MAP)?.unwrap_or_default();
    properties.extend(pairs(&map));
    Ok(properties)
}

/// The lines `key=value` of the property map, some of which end with a carriage return alone.
fn pairs(map: &str) -> impl Iterator<Item = (String, String)> {
    let pairs = map.split(['\n', '\r']).filter_map(|line| line.split_once('='));
    let named = pairs.filter(|(key, _)| !key.trim().is_empty());
    named.map(|(key, value)| (format!("hamamatsu.{}", key.trim()), value.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_property_map_is_lines_of_pairs() {
        let all: Vec<_> = pairs("NDP.S/N=950291\r\nstage.center=1,2\r=odd\nno pair\na=b=c\n").collect();
        let expected = [("NDP.S/N", "950291"), ("stage.center", "1,2"), ("a", "b=c")];
        assert_eq!(all, expected.map(|(key, value)| (format!("hamamatsu.{key}"), value.to_owned())));
    }
}
