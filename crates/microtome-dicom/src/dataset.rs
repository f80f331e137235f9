//! Data sets: elements in the order of their tags, each with a value that its representation allows.
//!
//! PS3.5 section 6.2. What comes from a container is cut or left out here where it breaks a rule, so that whatever is in a
//! data set can be written. Not here: how it is written.

use std::collections::BTreeMap;

use bytes::Bytes;
use dicom_core::dictionary::{DataDictionary, DataDictionaryEntry};
use dicom_core::{Tag, VR};
use dicom_dictionary_std::StandardDataDictionary;

use crate::uid;

/// A data set, or an item of a sequence.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Dataset {
    elements: BTreeMap<Tag, Element>,
}

/// An element without its tag.
#[derive(Debug, Clone, PartialEq)]
pub struct Element {
    /// Value representation.
    pub vr: VR,
    /// The value, which fits it.
    pub value: Value,
}

/// The value of an element; empty ones are allowed.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Values of all representations that are text; numbers in decimals too.
    Text(Vec<String>),
    /// Of US.
    U16(Vec<u16>),
    /// Of UL.
    U32(Vec<u32>),
    /// Of FL.
    F32(Vec<f32>),
    /// Of OB.
    Bytes(Bytes),
    /// Of SQ.
    Items(Vec<Dataset>),
}

impl Dataset {
    /// All elements, in the order of their tags.
    pub fn elements(&self) -> impl Iterator<Item = (Tag, &Element)> {
        self.elements.iter().map(|(tag, element)| (*tag, element))
    }

    /// The element of a tag.
    #[must_use]
    pub fn get(&self, tag: Tag) -> Option<&Element> {
        self.elements.get(&tag)
    }

    /// The first value of a text element, empty if there is none.
    #[must_use]
    pub fn text(&self, tag: Tag) -> &str {
        match self.get(tag) {
            Some(Element { value: Value::Text(values), .. }) => values.first().map_or("", String::as_str),
            _ => "",
        }
    }

    /// Adds the elements of another set; those of both become the other's.
    pub fn extend(&mut self, other: &Self) {
        self.elements.extend(other.elements.iter().map(|(tag, element)| (*tag, element.clone())));
    }

    /// The set with only those elements that are wanted.
    #[must_use]
    pub fn filtered(&self, wanted: impl Fn(Tag) -> bool) -> Self {
        let elements = self.elements.iter().filter(|(tag, _)| wanted(**tag));
        Self { elements: elements.map(|(tag, element)| (*tag, element.clone())).collect() }
    }

    /// Puts text under a standard tag, as its representation allows it; what cannot be made to fit is left out.
    pub fn put(&mut self, tag: Tag, text: &str) {
        self.put_all(tag, [text]);
    }

    /// As [`Self::put`], with several values; those that do not fit are left out.
    pub fn put_all<S: AsRef<str>>(&mut self, tag: Tag, texts: impl IntoIterator<Item = S>) {
        let vr = representation(tag);
        let values: Vec<_> = texts.into_iter().filter_map(|text| fitted(vr, text.as_ref())).collect();
        if !values.is_empty() {
            self.elements.insert(tag, Element { vr, value: Value::Text(values) });
        }
    }

    /// As [`Self::put`], for what has to be there and may be empty.
    pub fn put_or_empty(&mut self, tag: Tag, text: &str) {
        let vr = representation(tag);
        let values = fitted(vr, text).into_iter().collect();
        self.elements.insert(tag, Element { vr, value: Value::Text(values) });
    }

    /// Puts decimals: of DS, with up to 16 characters each, or of FL.
    pub fn put_decimals(&mut self, tag: Tag, numbers: &[f64]) {
        let vr = representation(tag);
        let value = match vr {
            VR::FL => Value::F32(numbers.iter().map(|&number| number as f32).collect()),
            _ => Value::Text(numbers.iter().map(|&number| decimal(number)).collect()),
        };
        self.elements.insert(tag, Element { vr, value });
    }

    /// Puts a whole number, of US, UL or IS.
    pub fn put_number(&mut self, tag: Tag, number: u32) {
        let vr = representation(tag);
        let value = match vr {
            VR::US => Value::U16(vec![u16::try_from(number).unwrap_or(u16::MAX)]),
            VR::UL => Value::U32(vec![number]),
            _ => Value::Text(vec![number.to_string()]),
        };
        self.elements.insert(tag, Element { vr, value });
    }

    /// Puts bytes, of OB.
    pub fn put_bytes(&mut self, tag: Tag, bytes: Bytes) {
        self.elements.insert(tag, Element { vr: VR::OB, value: Value::Bytes(bytes) });
    }

    /// Puts a sequence.
    pub fn put_items(&mut self, tag: Tag, items: Vec<Self>) {
        self.elements.insert(tag, Element { vr: VR::SQ, value: Value::Items(items) });
    }
}

/// The representation of a standard tag; of others, unknown.
fn representation(tag: Tag) -> VR {
    StandardDataDictionary.by_tag(tag).map_or(VR::UN, |entry| entry.vr().relaxed())
}

/// Text as a representation allows it, or `None` if it cannot be made to fit. Text in words is cut to its length, and what
/// would end or split it becomes a space; codes, numbers, dates and identifiers fit or do not.
pub(crate) fn fitted(vr: VR, text: &str) -> Option<String> {
    let text = text.trim_matches([' ', '\0']);
    let all = |allowed: fn(char) -> bool, most: usize| {
        (!text.is_empty() && text.len() <= most && text.chars().all(allowed)).then(|| text.to_owned())
    };
    let code = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == ' ' || c == '_';
    let digits = |lengths: &[usize]| {
        (text.bytes().all(|byte| byte.is_ascii_digit()) && lengths.contains(&text.len()))
            .then(|| text.to_owned())
    };
    match vr {
        VR::UI => uid::is_valid(text).then(|| text.to_owned()),
        VR::CS => all(code, 16),
        VR::DA => digits(&[8]),
        VR::TM => {
            let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
            let plain = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
            let fits =
                plain(whole) && [2, 4, 6].contains(&whole.len()) && plain(fraction) && fraction.len() <= 6;
            fits.then(|| text.to_owned())
        }
        VR::DT => {
            let fits = text.len() >= 4 && text.bytes().take(4).all(|byte| byte.is_ascii_digit());
            all(|c| c.is_ascii_digit() || "+-.".contains(c), 26).filter(|_| fits)
        }
        VR::DS => text.parse::<f64>().ok().filter(|number| number.is_finite()).map(decimal),
        VR::IS => text.parse::<i32>().ok().map(|number| number.to_string()),
        VR::AS | VR::AE => all(|c| c.is_ascii_graphic(), 16),
        VR::SH => words(text, 16),
        VR::LO | VR::PN => words(text, 64),
        VR::ST => words(text, 1024),
        VR::LT => words(text, 10_240),
        _ => None,
    }
}

fn words(text: &str, most: usize) -> Option<String> {
    let plain = |c: char| if c.is_control() || c == '\\' { ' ' } else { c };
    let text: String = text.chars().map(plain).take(most).collect();
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// A number in at most 16 characters, as near as they allow.
fn decimal(number: f64) -> String {
    let plain = number.to_string();
    if plain.len() <= 16 {
        return plain;
    }
    let fixed = (0..=14).map(|digits| format!("{number:.digits$}"));
    let scientific = (0..=14).map(|digits| format!("{number:.digits$e}"));
    let error = |text: &String| text.parse::<f64>().map_or(f64::INFINITY, |back| (back - number).abs());
    let fitting = fixed.chain(scientific).filter(|text| text.len() <= 16);
    fitting.min_by(|a, b| error(a).total_cmp(&error(b))).unwrap_or_else(|| "0".to_owned())
}

#[cfg(test)]
mod tests {
    use dicom_dictionary_std::tags;

    use super::*;

    #[test]
    fn decimals_have_16_characters_at_most_and_are_near() {
        for number in [
            0.000_499,
            0.000_228_175_055_902_888_7,
            1.0 / 3.0,
            -1.0 / 3e9,
            123_456_789.123_456_79,
            1e300 / 3.0,
            f64::MIN_POSITIVE,
            0.0,
            15.32,
        ] {
            let text = decimal(number);
            assert!(text.len() <= 16, "{text}");
            let back: f64 = text.parse().expect("a number");
            assert!((back - number).abs() <= 1e-7 * number.abs(), "{number} became {text}");
        }
    }

    #[test]
    fn text_keeps_the_rules_of_its_representation() {
        let long = "\u{e9}".repeat(100);
        for (vr, text, expected) in [
            (VR::LO, "a\\b\r\nc\0", Some("a b  c")),
            (VR::LO, &long, Some(&"\u{e9}".repeat(64)[..])),
            (VR::SH, "0123456789abcdefgh", Some("0123456789abcdef")),
            (VR::LO, " \n ", None),
            (VR::CS, "SCT", Some("SCT")),
            (VR::CS, "lower", None),
            (VR::CS, "THIS IS MUCH TOO LONG", None),
            (VR::UI, "1.2.840.10008", Some("1.2.840.10008")),
            (VR::UI, "1.02.3", None),
            (VR::DA, "20240229", Some("20240229")),
            (VR::DA, "2024-02-29", None),
            (VR::TM, "101530.25", Some("101530.25")),
            (VR::TM, "1:2", None),
            (VR::DT, "20240229101530.25+0100", Some("20240229101530.25+0100")),
            (VR::DT, "yesterday", None),
            (VR::DS, "NaN", None),
            (VR::DS, "20.0", Some("20")),
            (VR::IS, "2147483648", None),
            (VR::UN, "a", None),
        ] {
            assert_eq!(fitted(vr, text).as_deref(), expected, "{vr:?} {text:?}");
        }
    }

    #[test]
    fn what_does_not_fit_is_left_out_or_empty() {
        let mut set = Dataset::default();
        set.put(tags::STUDY_DATE, "1 April");
        set.put_or_empty(tags::STUDY_TIME, "noon");
        set.put_all(tags::IMAGE_TYPE, ["ORIGINAL", "pri\\mary"]);
        assert!(set.get(tags::STUDY_DATE).is_none());
        assert_eq!(set.get(tags::STUDY_TIME).map(|e| &e.value), Some(&Value::Text(vec![])));
        assert_eq!(set.text(tags::IMAGE_TYPE), "ORIGINAL");
        set.put_number(tags::ROWS, 256);
        assert_eq!(set.get(tags::ROWS), Some(&Element { vr: VR::US, value: Value::U16(vec![256]) }));
    }
}
