//! Why a request can't be answered, and the one place that turns a reason into an HTTP status.
//!
//! The log gets everything (slide, tile, file, cause), the client one line without file names.

use std::io::ErrorKind;
use std::sync::Arc;

use http::{HeaderValue, StatusCode, header};
use microtome_container::source;
use microtome_slide::TileId;

use crate::body::{Body, Response};
use crate::response::HEADERS;
use crate::slide_id::SlideId;

/// Reason for not answering a request.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("malformed request: {0}")]
    Malformed(&'static str),
    #[error("no such page")]
    NoSuchPage,
    #[error("no sources are shown here: that takes a server with --source-root")]
    NoSources,
    #[error("no such slide; slides are named by their path below the root, without .mtm")]
    NoSuchSlide,
    #[error("no such tile: it is outside the slide; /slides/ and the slide's name says what it has")]
    NoSuchTile,
    #[error("no such image, or none that is given out: label and macro are with --serve-labels only")]
    NoSuchImage,
    #[error("no such study, series, instance or frame")]
    NoSuchInstance,
    #[error("not acceptable: {0}")]
    NotAcceptable(&'static str),
    #[error("only GET and HEAD are answered here")]
    MethodNotAllowed,
    #[error("the body is too long: requests need none here")]
    BodyTooLong,
    #[error("the body did not come in time")]
    BodyTooSlow,
    #[error("overloaded")]
    Overloaded,
    #[error("the slide's file was replaced just now; try again")]
    Replaced,
    #[error("not ready: the slides root is not there yet")]
    NoRoot,
    #[error("too much of earlier answers is not read yet; read it, and try again")]
    Unread,
    #[error("whether this may be seen cannot be found out now; try again")]
    AccessUndecided,
    #[error("slide {slide} cannot be opened")]
    Unopenable { slide: SlideId, source: microtome_slide::Error },
    #[error("slide {slide}, {tile}: the record cannot be read or decoded")]
    BadRecord { slide: SlideId, tile: TileId, source: microtome_slide::Error },
    #[error("slide {slide}: a picture cannot be made")]
    BadPicture { slide: SlideId, source: microtome_slide::Error },
    #[error("slide {slide}: its ICC profile cannot be used: {what}")]
    BadProfile { slide: SlideId, what: String },
    #[error(
        "{width} x {height} px are too many: at most {side} px a side and {area} px in all; ask for less"
    )]
    TooLarge { width: u32, height: u32, side: u32, area: u64 },
    #[error("{0}")]
    Unencodable(String),
    #[error("not implemented: {0}")]
    NotImplemented(&'static str),
    #[error("slide {slide} cannot be given as DICOM")]
    NoDicom { slide: SlideId, source: microtome_dicom::Error },
    #[error("slide {slide}: the file cannot be reached")]
    Unreachable { slide: SlideId, source: std::io::Error },
    #[error("the slides root cannot be listed")]
    Unlistable { source: std::io::Error },
    #[error("the {0} ended without a result")]
    WorkerLost(&'static str),
}

impl Error {
    pub(crate) const UNKNOWN_FORMAT: Self = Self::Malformed(
        "the format is none of those there are: jpg, png, webp, or what the server is built with",
    );

    fn status(&self) -> StatusCode {
        match self {
            // Files are closed again when others are answered, and storage may answer the next time.
            _ if self.is_for_want_of_files() || self.is_out_of_reach() => StatusCode::SERVICE_UNAVAILABLE,
            Self::Malformed(_) | Self::TooLarge { .. } | Self::Unencodable(_) => StatusCode::BAD_REQUEST,
            Self::NotImplemented(_) => StatusCode::NOT_IMPLEMENTED,
            Self::NoSuchPage
            | Self::NoSources
            | Self::NoSuchSlide
            | Self::NoSuchTile
            | Self::NoSuchImage
            | Self::NoSuchInstance => StatusCode::NOT_FOUND,
            Self::NotAcceptable(_) => StatusCode::NOT_ACCEPTABLE,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::BodyTooLong => StatusCode::PAYLOAD_TOO_LARGE,
            Self::BodyTooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::Overloaded | Self::Replaced | Self::NoRoot | Self::Unread | Self::AccessUndecided => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::Unopenable { .. }
            | Self::BadRecord { .. }
            | Self::BadPicture { .. }
            | Self::BadProfile { .. }
            | Self::NoDicom { .. }
            | Self::Unreachable { .. }
            | Self::Unlistable { .. }
            | Self::WorkerLost(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// What the system said where that is why.
    fn of_system(&self) -> Option<&std::io::Error> {
        match self {
            Self::Unopenable { source, .. }
            | Self::BadRecord { source, .. }
            | Self::BadPicture { source, .. } => source.of_system(),
            Self::Unreachable { source, .. } | Self::Unlistable { source } => Some(source),
            _ => None,
        }
    }

    /// Whether the system had no more open files to give: what failed is not the slide.
    fn is_for_want_of_files(&self) -> bool {
        let code = self.of_system().and_then(std::io::Error::raw_os_error);
        code.is_some_and(|code| WANT_OF_FILES.contains(&code))
    }

    /// Whether storage did not answer, or not as it should.
    pub(crate) fn is_out_of_reach(&self) -> bool {
        self.of_system().is_some_and(source::is_out_of_reach)
    }

    fn public_message(&self) -> String {
        match self {
            _ if self.is_for_want_of_files() => Self::Overloaded.public_message(),
            _ if self.is_out_of_reach() => "the slide's storage does not answer; try again".to_owned(),
            Self::Unopenable { .. } | Self::Unreachable { .. } => {
                "the slide cannot be opened; the server's log says why".to_owned()
            }
            Self::NoDicom { .. } => {
                "the slide cannot be given as DICOM; the server's log says why".to_owned()
            }
            Self::BadRecord { .. } | Self::BadPicture { .. } if self.of_system().is_some() => {
                "the slide's file cannot be read; the server's log says why".to_owned()
            }
            Self::BadRecord { .. } => "the tile is damaged; the server's log says where".to_owned(),
            Self::BadPicture { .. } => "the slide is damaged; the server's log says where".to_owned(),
            Self::BadProfile { .. } => "the slide's ICC profile is damaged; icc=none does without".to_owned(),
            Self::Unlistable { .. } | Self::WorkerLost(_) => {
                "internal error; the server's log says more".to_owned()
            }
            Self::Overloaded => "overloaded; try again in a second".to_owned(),
            Self::Malformed(_)
            | Self::TooLarge { .. }
            | Self::Unencodable(_)
            | Self::NotImplemented(_)
            | Self::NoSuchPage
            | Self::NoSources
            | Self::NoSuchSlide
            | Self::NoSuchTile
            | Self::NoSuchImage
            | Self::NoSuchInstance
            | Self::NotAcceptable(_)
            | Self::MethodNotAllowed
            | Self::AccessUndecided
            | Self::Replaced
            | Self::NoRoot
            | Self::Unread
            | Self::BodyTooLong
            | Self::BodyTooSlow => self.to_string(),
        }
    }
}

/// ENFILE and EMFILE: the system's or the process's open files are used up.
const WANT_OF_FILES: [i32; 2] = [23, 24];

/// An [`Error`] on its way out. Shared, because all who waited for one tile get the same.
#[derive(Debug, Clone)]
pub(crate) struct Failure(Arc<Error>);

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self(Arc::new(error))
    }
}

impl From<Arc<Error>> for Failure {
    fn from(error: Arc<Error>) -> Self {
        Self(error)
    }
}

impl Failure {
    /// What the client may know, in one line.
    pub(crate) fn public_message(&self) -> String {
        self.0.public_message()
    }

    /// Whether the operator is to hear of it.
    pub(crate) fn is_ours(&self) -> bool {
        let is_passing = self.0.is_for_want_of_files() || self.0.is_out_of_reach();
        self.0.status() == StatusCode::INTERNAL_SERVER_ERROR || is_passing
    }

    /// Whether the next time may go otherwise (503).
    pub(crate) fn may_pass(&self) -> bool {
        self.0.status() == StatusCode::SERVICE_UNAVAILABLE
    }

    /// See [`Error::is_out_of_reach`].
    pub(crate) fn is_out_of_reach(&self) -> bool {
        self.0.is_out_of_reach()
    }

    /// Whether it is the slide's file that is damaged or cannot be read, as far as can be seen.
    pub(crate) fn is_of_file(&self) -> bool {
        matches!(*self.0, Error::BadRecord { .. } | Error::BadPicture { .. }) && !self.0.is_out_of_reach()
    }

    /// Whether who has the file says that it is another one.
    pub(crate) fn is_of_another_file(&self) -> bool {
        self.0.of_system().is_some_and(|said| said.kind() == ErrorKind::StaleNetworkFileHandle)
    }

    /// Whether who has the file says that it is none, or another one.
    pub(crate) fn is_for_want_of_file(&self) -> bool {
        let said = self.0.of_system().map(std::io::Error::kind);
        matches!(said, Some(ErrorKind::NotFound | ErrorKind::StaleNetworkFileHandle))
    }

    /// Whether there is no such slide, or none that may be seen.
    pub(crate) fn is_absence(&self) -> bool {
        matches!(*self.0, Error::NoSuchSlide)
    }

    /// What the client is told.
    pub(crate) fn into_response(self) -> Response {
        let status = self.0.status();
        let mut line = self.public_message();
        line.push('\n');
        let mut response = Response::new(Body::of(line));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.reserve(HEADERS);
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        match status {
            StatusCode::SERVICE_UNAVAILABLE => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            }
            StatusCode::METHOD_NOT_ALLOWED => {
                headers.insert(header::ALLOW, HeaderValue::from_static("GET, HEAD, OPTIONS"));
            }
            _ => {}
        }
        // Whoever knows the request writes the log, and a page for a browser's window.
        response.extensions_mut().insert(self);
        response
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        Chain(self.0.as_ref()).fmt(f)
    }
}

/// Displays an error with all its sources, colon by colon.
pub(crate) struct Chain<'a>(pub(crate) &'a dyn std::error::Error);

impl std::fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut source = self.0.source();
        while let Some(error) = source {
            write!(f, ": {error}")?;
            source = error.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_name_stays_in_the_log() {
        let source = std::io::Error::other("/srv/slides/a.mtm: permission denied");
        let slide = SlideId::from_raw_path("a").expect("a valid id");
        let error = Error::Unreachable { slide, source };
        assert!(Chain(&error).to_string().contains("/srv/slides/a.mtm"));
        assert!(!error.public_message().contains("/srv"));
        assert_eq!(Failure::from(error).into_response().status(), StatusCode::INTERNAL_SERVER_ERROR);
    }

    #[test]
    fn a_slide_that_there_are_no_open_files_for_is_not_damaged() {
        let unreachable = |code| Error::Unreachable {
            slide: SlideId::from_raw_path("a").expect("a valid id"),
            source: std::io::Error::from_raw_os_error(code),
        };
        for (code, status) in [(24, 503), (23, 503), (5, 500)] {
            let failure = Failure::from(unreachable(code));
            assert!(failure.is_ours());
            let response = failure.into_response();
            assert_eq!(response.status(), status, "{code}");
            assert_eq!(response.headers().contains_key(header::RETRY_AFTER), status == 503);
        }
        assert!(!Failure::from(Error::Overloaded).is_ours());
    }

    #[test]
    fn overload_says_when_to_come_back_and_is_not_cached() {
        let response = Failure::from(Error::Overloaded).into_response();
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.headers()[header::RETRY_AFTER], "1");
        assert_eq!(response.headers()[header::CACHE_CONTROL], "no-store");
    }
}
