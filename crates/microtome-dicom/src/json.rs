//! Data sets as JSON: the DICOM JSON model (PS3.18 annex F).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use dicom_core::{Tag, VR};
use serde_json::{Map, Value as Json, json};

use crate::dataset::{Dataset, Element, Value};

/// A data set as JSON. Bytes have the address that `bulk` gives for their tag, else they are in it.
#[must_use]
pub fn to_json(dataset: &Dataset, bulk: &dyn Fn(Tag) -> Option<String>) -> Json {
    let elements = dataset.elements().map(|(tag, element)| (key(tag), element_json(tag, element, bulk)));
    Json::Object(elements.collect())
}

/// The eight digits of a tag.
#[must_use]
pub fn key(tag: Tag) -> String {
    format!("{:04X}{:04X}", tag.0, tag.1)
}

fn element_json(tag: Tag, element: &Element, bulk: &dyn Fn(Tag) -> Option<String>) -> Json {
    let Element { vr, value } = element;
    let mut object = Map::new();
    object.insert("vr".to_owned(), vr.to_string().into());
    if let Value::Bytes(bytes) = value {
        match bulk(tag) {
            Some(address) => object.insert("BulkDataURI".to_owned(), address.into()),
            None => object.insert("InlineBinary".to_owned(), STANDARD.encode(bytes).into()),
        };
        return Json::Object(object);
    }
    let values: Vec<Json> = match value {
        Value::Text(texts) => texts.iter().map(|text| text_json(*vr, text)).collect(),
        Value::U16(numbers) => numbers.iter().map(|&number| number.into()).collect(),
        Value::U32(numbers) => numbers.iter().map(|&number| number.into()).collect(),
        Value::F32(numbers) => numbers.iter().map(|&number| number.into()).collect(),
        Value::Items(items) => items.iter().map(|item| to_json(item, bulk)).collect(),
        Value::Bytes(_) => vec![],
    };
    if !values.is_empty() {
        object.insert("Value".to_owned(), values.into());
    }
    Json::Object(object)
}

/// Names have groups, decimals are numbers, all else is text.
fn text_json(vr: VR, text: &str) -> Json {
    match vr {
        VR::PN => {
            let groups = ["Alphabetic", "Ideographic", "Phonetic"].iter().zip(text.split('='));
            let groups = groups.filter(|(_, part)| !part.is_empty());
            Json::Object(groups.map(|(name, part)| ((*name).to_owned(), part.into())).collect())
        }
        VR::IS => text.parse::<i64>().map_or_else(|_| json!(text), Json::from),
        VR::DS => text.parse::<f64>().map_or_else(|_| json!(text), Json::from),
        _ => json!(text),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use dicom_dictionary_std::tags;

    use super::*;

    #[test]
    fn each_kind_of_value_has_its_form() {
        let mut inner = Dataset::default();
        inner.put_bytes(tags::ICC_PROFILE, Bytes::from_static(b"icc"));
        let mut set = Dataset::default();
        set.put(tags::PATIENT_NAME, "Doe^J=X");
        set.put_or_empty(tags::PATIENT_ID, "");
        set.put_number(tags::NUMBER_OF_FRAMES, 12);
        set.put_number(tags::ROWS, 256);
        set.put_decimals(tags::PIXEL_SPACING, &[0.0005, 0.0005]);
        set.put_decimals(tags::IMAGED_VOLUME_WIDTH, &[1.5]);
        set.put_items(tags::OPTICAL_PATH_SEQUENCE, vec![inner]);
        let expected = json!({
            "00100010": {"vr": "PN", "Value": [{"Alphabetic": "Doe^J", "Ideographic": "X"}]},
            "00100020": {"vr": "LO"},
            "00280008": {"vr": "IS", "Value": [12]},
            "00280010": {"vr": "US", "Value": [256]},
            "00280030": {"vr": "DS", "Value": [0.0005, 0.0005]},
            "00480001": {"vr": "FL", "Value": [1.5]},
            "00480105": {"vr": "SQ", "Value": [{"00282000": {"vr": "OB", "BulkDataURI": "at/00282000"}}]},
        });
        assert_eq!(to_json(&set, &|tag| Some(format!("at/{}", key(tag)))), expected);
        let inline = to_json(&set, &|_| None);
        assert_eq!(inline["00480105"]["Value"][0]["00282000"]["InlineBinary"], "aWNj");
    }
}
