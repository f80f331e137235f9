//! Which slides a credential opens, in words that a person can write: `case 1/a` is one slide, `case 1/` all slides of
//! that folder and the folders in it, `/` all there are.
//!
//! Compared are identifiers, which are decoded already: no spelling of an address matters here.

use std::fmt;
use std::str::FromStr;

use crate::pseudonym::Pseudonym;
use crate::slide_id::SlideId;

/// A slide, or a folder of slides.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Scope(String);

/// Why a text is no scope.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{0}' is neither a slide's name (case/a; not a pseudonym), nor a folder's with a slash at its end (case/), nor / for all"
)]
pub struct ScopeError(String);

impl Scope {
    /// All slides.
    pub(crate) fn everything() -> Self {
        Self("/".to_owned())
    }

    pub(crate) fn is_everything(&self) -> bool {
        self.0 == "/"
    }

    /// Whether it opens that slide.
    pub(crate) fn covers(&self, id: &SlideId) -> bool {
        match self.0.ends_with('/') {
            // The separator is part of the comparison: `a/` does not open `ab`.
            true => self.is_everything() || id.as_str().starts_with(&self.0),
            false => self.0 == id.as_str(),
        }
    }

    /// Whether it opens all that `other` opens.
    #[must_use]
    pub fn includes(&self, other: &Self) -> bool {
        self.is_everything() || self == other || (self.0.ends_with('/') && other.0.starts_with(&self.0))
    }

    /// As it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Path of the viewer's page for it: the slide's, or the list of slides.
    pub(crate) fn page(&self) -> String {
        match SlideId::from_path(&self.0) {
            Ok(slide) => format!("/viewer/{}", slide.url_path()),
            Err(_folder) => "/".to_owned(),
        }
    }
}

impl FromStr for Scope {
    type Err = ScopeError;

    fn from_str(text: &str) -> Result<Self, ScopeError> {
        let name = text.strip_suffix('/').unwrap_or(text);
        // Compared are names: a pseudonym would open nothing.
        let is_name = SlideId::from_path(name).is_ok() && Pseudonym::read(text).is_none();
        match text == "/" || is_name {
            true => Ok(Self(text.to_owned())),
            false => Err(ScopeError(text.to_owned())),
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a request may see: all that one of its credentials opens.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Grant(Vec<Scope>);

impl Grant {
    pub(crate) fn everything() -> Self {
        Self(vec![Scope::everything()])
    }

    pub(crate) fn of(scopes: Vec<Scope>) -> Self {
        Self(scopes)
    }

    pub(crate) fn add(&mut self, scope: Scope) {
        self.0.push(scope);
    }

    pub(crate) fn extend(&mut self, other: &Self) {
        self.0.extend_from_slice(&other.0);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn is_everything(&self) -> bool {
        self.0.iter().any(Scope::is_everything)
    }

    pub(crate) fn covers(&self, id: &SlideId) -> bool {
        self.0.iter().any(|scope| scope.covers(id))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn covers(scope: &str, id: &str) -> bool {
        let id = SlideId::from_path(id).expect("a valid id");
        scope.parse::<Scope>().expect("a scope").covers(&id)
    }

    #[test]
    fn a_slide_is_itself_and_a_folder_what_is_in_it() {
        for (scope, id) in
            [("a", "a"), ("a/b", "a/b"), ("a/", "a/b"), ("a/", "a/b/c"), ("/", "a"), ("/", "a/b")]
        {
            assert!(covers(scope, id), "{scope} opens {id}");
        }
        for (scope, id) in [
            ("a", "ab"),
            ("a", "a/b"),
            ("a", "A"),
            ("a/", "ab/c"),
            ("a/", "a"),
            ("a/b", "a/bc"),
            ("a/b/", "a/b"),
            ("a/b/", "a/bc/d"),
            ("a", "b/a"),
            ("a%2Fb", "a/b"),
        ] {
            assert!(!covers(scope, id), "{scope} does not open {id}");
        }
    }

    #[test]
    fn only_names_are_scopes() {
        for text in [
            "@0123456789abcdef",
            "",
            "//",
            "a//",
            "/a",
            "a//b",
            ".",
            "../",
            "a/../",
            "a/.b",
            "*\\",
            "a\n",
            "a/\0/",
        ] {
            assert!(text.parse::<Scope>().is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn what_a_scope_opens_begins_with_its_components(
            scope in "[ab]{1,2}(/[ab]{1,2}){0,2}/?",
            id in "[ab]{1,2}(/[ab]{1,2}){0,3}",
        ) {
            let wanted: Vec<&str> = scope.trim_end_matches('/').split('/').collect();
            let has: Vec<&str> = id.split('/').collect();
            let expected = match scope.ends_with('/') {
                true => has.len() > wanted.len() && has.starts_with(&wanted),
                false => has == wanted,
            };
            prop_assert_eq!(covers(&scope, &id), expected);
        }

        #[test]
        fn inclusion_is_about_the_slides_that_are_opened(
            outer in "(/|[ab](/[ab]){0,2}/?)",
            inner in "[ab](/[ab]){0,2}",
        ) {
            let [outer, slide] = [outer, inner.clone()].map(|text| text.parse::<Scope>().expect("a scope"));
            let id = SlideId::from_path(&inner).expect("a valid id");
            prop_assert_eq!(outer.includes(&slide), outer.covers(&id));
        }
    }
}
