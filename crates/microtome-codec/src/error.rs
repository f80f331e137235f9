//! What can go wrong between bytes and pixels, by who must act.

/// An error of the codec. None of them carries pixels.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The bytes are not a valid JPEG stream or codec payload: the input is damaged.
    #[error("malformed JPEG at byte {offset}: {what}")]
    Malformed {
        /// Byte offset of the marker or field at fault.
        offset: usize,
        /// What is wrong there.
        what: &'static str,
    },
    /// libjpeg-turbo refused the stream, or had to guess: the input is damaged.
    #[error("undecodable JPEG: {0}")]
    Undecodable(String),
    /// The stream is valid and this version cannot take it.
    #[error("unsupported JPEG: {0}")]
    Unsupported(String),
    /// The input would need more memory than allowed.
    #[error("{width} x {height} px exceeds the limit of {limit} px")]
    LimitExceeded {
        /// Width the input asks for, in pixels.
        width: u32,
        /// Height the input asks for, in pixels.
        height: u32,
        /// The most pixels that the caller allows.
        limit: u64,
    },
    /// The pixels do not fit the operation: a mistake of the calling code.
    #[error("invalid argument: {0}")]
    InvalidArgument(&'static str),
}
