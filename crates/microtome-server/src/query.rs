//! The query of an address: pairs of names and values, percent-encoded (RFC 3986; a plus is a space, as forms write it).

use std::str::FromStr;

use percent_encoding::percent_decode_str;

use crate::error::Error;

/// Pairs of a query that are looked at; no address of ours has more.
const MAX_PAIRS: usize = 64;

/// A query that has been read.
#[derive(Debug, Default)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    /// Reads the query of an address.
    pub(crate) fn read(raw: Option<&str>) -> Result<Self, Error> {
        let pairs = raw.unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
        let mut read = Vec::new();
        for pair in pairs {
            if read.len() == MAX_PAIRS {
                return Err(Error::Malformed("the query has more than 64 parameters"));
            }
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            read.push((decoded(name)?, decoded(value)?));
        }
        Ok(Self(read))
    }

    /// All pairs, in the order in which they are written.
    pub(crate) fn into_pairs(self) -> impl Iterator<Item = (String, String)> {
        self.0.into_iter()
    }

    /// The first value of this name.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The first value of this name as a number or the like; `what` says what is wanted, for who wrote something else.
    pub(crate) fn parsed<T: FromStr>(&self, name: &str, what: &'static str) -> Result<Option<T>, Error> {
        self.get(name).map(|value| value.parse().map_err(|_not_one| Error::Malformed(what))).transpose()
    }
}

fn decoded(raw: &str) -> Result<String, Error> {
    let spaced = raw.replace('+', " ");
    match percent_decode_str(&spaced).decode_utf8() {
        Ok(text) => Ok(text.into_owned()),
        Err(_not_utf8) => Err(Error::Malformed("the query is not UTF-8")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_decoded_once() {
        let query = Query::read(Some("a=1&b=x%2526y+z&&c&a=2")).expect("a query");
        assert_eq!((query.get("a"), query.get("b"), query.get("c")), (Some("1"), Some("x%26y z"), Some("")));
        assert_eq!(query.parsed("a", "a number").expect("a number"), Some(1));
        assert!(query.parsed::<u32>("b", "a number").is_err());
        assert_eq!(query.parsed::<u32>("d", "a number").expect("none"), None);
        assert!(Query::read(Some("a=%ff")).is_err());
        assert!(Query::read(Some(&"a&".repeat(65))).is_err());
    }
}
