//! What one peer can take of the server's time and memory, at most. Each number is documented where it is.

use std::time::Duration;

/// Connections at a time; further ones wait in the socket's backlog.
pub(crate) const MAX_CONNECTIONS: usize = 2048;

/// Longest head of a request in bytes, its first line included; with HTTP/2, the length of its header list.
pub(crate) const MAX_HEADER_BYTES: u16 = 16 * 1024;

/// Requests at a time on one HTTP/2 connection.
pub(crate) const MAX_STREAMS: u32 = 128;

/// Streams that a peer may reset before they were looked at, and that we may reset for its errors, until it is sent away
/// ("rapid reset").
pub(crate) const MAX_RESET_STREAMS: usize = 32;

/// Longest body of a request that is read and thrown away; longer ones get 413.
pub(crate) const MAX_BODY_BYTES: u32 = 8 * 1024;

/// What an HTTP/2 peer may send ahead of a body, per stream and per connection: the least that the protocol allows.
pub(crate) const RECEIVE_WINDOW: u32 = 65_535;

/// Longest wait for the body of a request.
pub(crate) const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// Bytes of answers that one connection may leave unread: with more, further ones are refused. A single one may be larger.
pub(crate) const MAX_UNREAD: usize = 32 << 20;

/// The same of all connections, for answers beyond [`SMALL_BODY`]; for those up to that it is twice as much.
pub(crate) const MAX_UNREAD_OF_ALL: usize = 256 << 20;

/// So much unread is in the way of others when all together leave half of [`MAX_UNREAD_OF_ALL`] unread: then as much has to be
/// read in the time of a stall. A quarter of it, when they leave all of that unread.
pub(crate) const MUCH_UNREAD: usize = 1 << 20;

/// Longest body that is kept when there is no room for larger ones any more, and whatever others leave for a peer that has read
/// all that it was sent: a tile's, so that viewers go on.
pub(crate) const SMALL_BODY: usize = 64 << 10;

/// Longest wait for requests in progress when the server is told to stop.
pub(crate) const DRAIN: Duration = Duration::from_secs(20);

/// How long one connection may take for what.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// TLS handshake; then the head of the first request. With HTTP/1.1, also until the next one on a kept connection
    /// begins.
    pub(crate) head: Duration,
    /// Without a request, with HTTP/2.
    pub(crate) idle: Duration,
    /// Without taking anything of the answers. Slow peers that go on reading are left alone.
    pub(crate) write_stall: Duration,
    /// Between HTTP/2 pings, and for an answer to one: a peer that is gone without a word is noticed.
    pub(crate) ping: Duration,
    /// In all: what passes every other limit bit by bit ends here, and others connect anew.
    pub(crate) age: Duration,
    /// For requests in progress once the connection was told to end.
    pub(crate) close: Duration,
    /// Between two looks at what became of it.
    pub(crate) tick: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head: Duration::from_secs(10),
            idle: Duration::from_secs(60),
            write_stall: Duration::from_secs(20),
            ping: Duration::from_secs(20),
            age: Duration::from_secs(3600),
            close: Duration::from_secs(20),
            tick: Duration::from_secs(1),
        }
    }
}
