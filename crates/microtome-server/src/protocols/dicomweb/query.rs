//! Searches: what is asked for in the query of an address, and whether a data set matches it.
//!
//! PS3.18 section 8.3.4, PS3.4 section C.2.2.2: single values, lists of identifiers, wildcards, ranges, universal matching.
//! A key that is no attribute of the standard is somebody else's and ignored. Not here: where data sets come from.

use dicom_core::dictionary::{DataDictionary, DataDictionaryEntry};
use dicom_core::{Tag, VR};
use dicom_dictionary_std::StandardDataDictionary;
use microtome_dicom::Dataset;
use microtome_dicom::dataset::Value;

use super::address::hexadecimal;
use crate::error::Error;

/// Results unless a client says how many.
const DEFAULT_LIMIT: usize = 1000;
/// Results, at most.
const MOST: usize = 5000;

/// A search.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Query {
    /// An attribute, given by the sequences that it is in, and the values of which it must have one.
    filters: Vec<(Vec<Tag>, Vec<String>)>,
    include: Vec<Tag>,
    include_all: bool,
    pub(crate) limit: usize,
    pub(crate) offset: usize,
}

impl Query {
    pub(crate) fn parse(query: Option<&str>) -> Result<Self, Error> {
        let mut parsed = Self { limit: DEFAULT_LIMIT, ..Self::default() };
        for (key, value) in crate::query::Query::read(query)?.into_pairs() {
            match &*key {
                "limit" => parsed.limit = number_of(&value)?.min(MOST),
                "offset" => parsed.offset = number_of(&value)?,
                "includefield" if value == "all" => parsed.include_all = true,
                "includefield" => {
                    parsed.include.extend(value.split(',').filter_map(|name| path(name)?.first().copied()))
                }
                _ => {
                    if let Some(path) = path(&key) {
                        parsed.add(path, value);
                    }
                }
            }
        }
        Ok(parsed)
    }

    /// Adds a filter; what is asked for twice may be either.
    fn add(&mut self, path: Vec<Tag>, value: String) {
        match self.filters.iter_mut().find(|(known, _)| *known == path) {
            Some((_, values)) => values.push(value),
            None => self.filters.push((path, vec![value])),
        }
    }

    /// Whether a data set matches all filters that `applies` says yes to.
    pub(crate) fn matches(&self, dataset: &Dataset, applies: impl Fn(Tag) -> bool) -> bool {
        let filters = self.filters.iter().filter(|(path, _)| path.first().copied().is_some_and(&applies));
        filters.into_iter().all(|(path, wanted)| wanted.iter().any(|wanted| has(dataset, path, wanted)))
    }

    /// Whether all match.
    pub(crate) fn is_universal(&self) -> bool {
        self.filters.is_empty()
    }

    /// Whether there is a filter for any of these.
    pub(crate) fn asks_for(&self, tag: impl Fn(Tag) -> bool) -> bool {
        self.filters.iter().any(|(path, _)| path.first().copied().is_some_and(&tag))
    }

    /// Whether an attribute is to be in the answer, of which it is a part anyway or not.
    pub(crate) fn includes(&self, tag: Tag) -> bool {
        self.include_all || self.include.contains(&tag) || self.filters.iter().any(|(path, _)| path[0] == tag)
    }
}

/// A decimal number. One that is too large is more than there is, not malformed.
fn number_of(text: &str) -> Result<usize, Error> {
    match !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        true => Ok(text.parse().unwrap_or(usize::MAX)),
        false => Err(Error::Malformed("limit and offset are numbers")),
    }
}

/// The tags of an attribute, by keywords or numbers, with dots between those of sequences.
fn path(key: &str) -> Option<Vec<Tag>> {
    let tag = |part: &str| {
        hexadecimal(part).or_else(|| StandardDataDictionary.by_name(part).map(|entry| entry.tag()))
    };
    key.split('.').map(tag).collect()
}

/// Whether the attribute has the wanted value, in any item of the sequences that it is in.
fn has(dataset: &Dataset, path: &[Tag], wanted: &str) -> bool {
    let universal = wanted.is_empty() || wanted.chars().all(|c| c == '*');
    let [tag, rest @ ..] = path else { return true };
    let Some(element) = dataset.get(*tag) else { return universal };
    match (&element.value, rest) {
        (Value::Items(items), [_, ..]) => items.iter().any(|item| has(item, rest, wanted)) || universal,
        (_, [_, ..]) => universal,
        _ if universal => true,
        (Value::Text(values), []) => values.iter().any(|value| is_match(element.vr, value, wanted)),
        (Value::U16(values), []) => values.iter().any(|value| value.to_string() == wanted),
        (Value::U32(values), []) => values.iter().any(|value| value.to_string() == wanted),
        _ => false,
    }
}

fn is_match(vr: VR, value: &str, wanted: &str) -> bool {
    match vr {
        VR::UI => wanted.split([',', '\\']).any(|wanted| wanted.trim() == value),
        VR::DA | VR::TM | VR::DT => in_range(value, wanted),
        VR::IS | VR::DS => match (value.parse::<f64>(), wanted.trim().parse::<f64>()) {
            (Ok(value), Ok(wanted)) => value == wanted,
            _ => false,
        },
        // Names are found in whatever case they are written.
        VR::PN => is_like(&value.to_lowercase(), &wanted.to_lowercase()),
        _ => is_like(value, wanted),
    }
}

/// Whether a date or time is the wanted one, or in a range that may be open at one end. Times match to what is stated.
fn in_range(value: &str, wanted: &str) -> bool {
    let plain = |text: &str| text.replace(':', "");
    let wanted = plain(wanted.trim());
    let cut = |to: &str| value.get(..to.len().min(value.len())).unwrap_or_default().to_owned();
    match wanted.split_once('-') {
        None => !value.is_empty() && cut(&wanted) == wanted,
        Some((first, last)) => {
            let after = first.is_empty() || cut(first).as_str() >= first;
            let before = last.is_empty() || cut(last).as_str() <= last;
            !value.is_empty() && after && before
        }
    }
}

/// Whether text is like a pattern of `*` and `?`. Takes time in proportion to the product of their lengths.
fn is_like(text: &str, pattern: &str) -> bool {
    let (text, pattern): (Vec<char>, Vec<char>) = (text.chars().collect(), pattern.chars().collect());
    let (mut at, mut of, mut star) = (0, 0, None);
    while at < text.len() {
        match pattern.get(of) {
            Some('*') => {
                star = Some((of, at));
                of += 1;
            }
            Some(&c) if c == '?' || c == text[at] => (at, of) = (at + 1, of + 1),
            // The last star takes one more.
            _ => match &mut star {
                Some((star, taken)) => {
                    *taken += 1;
                    (at, of) = (*taken, *star + 1);
                }
                None => return false,
            },
        }
    }
    pattern[of..].iter().all(|&c| c == '*')
}

#[cfg(test)]
mod tests {
    use dicom_dictionary_std::tags;

    use super::*;

    fn dataset() -> Dataset {
        let mut code = Dataset::default();
        code.put(tags::CODE_VALUE, "111744");
        let mut set = Dataset::default();
        set.put(tags::PATIENT_NAME, "Doe^Jane");
        set.put(tags::PATIENT_ID, "A-17");
        set.put_or_empty(tags::ACCESSION_NUMBER, "");
        set.put(tags::STUDY_DATE, "20240229");
        set.put(tags::STUDY_TIME, "101530");
        set.put(tags::STUDY_INSTANCE_UID, "1.2.3");
        set.put_number(tags::INSTANCE_NUMBER, 4);
        set.put_number(tags::ROWS, 256);
        set.put_items(tags::CONCEPT_CODE_SEQUENCE, vec![code]);
        set
    }

    fn matches(query: &str) -> bool {
        Query::parse(Some(query)).expect(query).matches(&dataset(), |_| true)
    }

    #[test]
    fn values_match_by_their_representation() {
        for query in [
            "",
            "PatientName=doe*",
            "00100010=D?e^*",
            "PatientID=A-17",
            "PatientID=*17",
            "PatientID=",
            "PatientID=*",
            "AccessionNumber=*",
            "StudyDate=20240229",
            "StudyDate=20240101-20240301",
            "StudyDate=20240229-",
            "StudyDate=-20240229",
            "StudyTime=1015",
            "StudyTime=10:15-11",
            "StudyInstanceUID=1.2.4,1.2.3",
            "StudyInstanceUID=1.2.4%5C1.2.3",
            "StudyInstanceUID=1.2.4&StudyInstanceUID=1.2.3",
            "InstanceNumber=4",
            "Rows=256",
            "ConceptCodeSequence.CodeValue=111744",
            "0040A168.00080100=1117*",
            "fuzzymatching=true",
            "token=abc&StudyInstanceUID=1.2.3",
            "StudyComments=*",
        ] {
            assert!(matches(query), "{query}");
        }
        for query in [
            "PatientName=Do",
            "PatientID=a-17",
            "PatientID=A-1",
            "AccessionNumber=1",
            "StudyDate=20240228",
            "StudyDate=20240301-",
            "StudyDate=-20240228",
            "StudyTime=1016-",
            "StudyInstanceUID=1.2*",
            "InstanceNumber=5",
            "Rows=25",
            "ConceptCodeSequence.CodeValue=1",
            "StudyComments=x",
            "00081030=x",
            "PatientName=doe*&PatientID=B",
        ] {
            assert!(!matches(query), "{query}");
        }
    }

    #[test]
    fn paging_and_fields_are_read() {
        let query =
            Query::parse(Some("limit=2&offset=3&includefield=Rows,00280011&includefield=x&PatientID=A"))
                .expect("valid");
        assert_eq!((query.limit, query.offset), (2, 3));
        let far =
            Query::parse(Some("limit=99999999999999999999&offset=99999999999999999999")).expect("valid");
        assert_eq!((far.limit, far.offset), (MOST, usize::MAX));
        assert!(
            query.includes(tags::ROWS) && query.includes(tags::COLUMNS) && query.includes(tags::PATIENT_ID)
        );
        assert!(!query.includes(tags::PATIENT_NAME));
        let all = Query::parse(Some("includefield=all")).expect("valid");
        assert!(all.includes(tags::PATIENT_NAME) && all.limit == DEFAULT_LIMIT);
        for bad in ["limit=x", "offset=-1", "PatientID=%FF", &"a=1&".repeat(65)] {
            assert!(Query::parse(Some(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn patterns_of_many_stars_take_no_time() {
        let text = "a".repeat(64);
        assert!(!is_like(&text, &format!("{}b", "*a".repeat(60))));
        assert!(is_like(&text, &"*a".repeat(60)));
        assert!(is_like("", "**") && !is_like("", "?"));
    }
}
