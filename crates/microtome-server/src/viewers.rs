//! HTTP/1.1 as viewers speak it: requests without bodies, one after the other.
//!
//! That is nearly all that is ever asked, and takes less here than where all of the protocol is known. Whatever else comes is
//! not judged: hyper goes on with it, from the first byte that is not answered (`connection`). Requests are taken apart by
//! hyper's own parser. RFC 9112. Not here: how long a connection may take (`activity`, `stalled`).

use std::future::poll_fn;
use std::io::{self, IoSlice, Write};
use std::mem::MaybeUninit;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use http::response::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri, Version, header};
use http_body_util::Empty;
use hyper::body::{Body as _, Frame};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};

use crate::activity::{Activity, CountedBody, CountedBytes};
use crate::date;
use crate::rewound::Rewound;

/// Longest request that is answered here.
pub(crate) const MAX_REQUEST: usize = 4096;

/// Most headers of a request that is answered here.
const MAX_HEADERS: usize = 40;

/// Room for an answer's head.
const HEAD: usize = 768;

/// What is up to this length is copied behind what goes before it: one piece of memory is sent at less cost than two.
const SHORT: usize = 512;

/// Pieces in the making are copied together up to this length: each write has its price, above all with TLS.
const GATHERED: usize = 32 << 10;

/// Answers requests by `answer` until the peer or this side ends, or something comes that is not for here.
///
/// # Errors
/// If the stream breaks, or a body does.
pub(crate) async fn converse<S, A, F>(
    mut stream: S,
    answer: A,
    activity: &Activity,
) -> io::Result<Option<Rewound<S>>>
where
    S: AsyncRead + AsyncWrite + Unpin,
    A: Fn(Request<Empty<Bytes>>) -> F,
    F: Future<Output = http::Response<CountedBody>>,
{
    // What came before it was asked for.
    let mut early = Bytes::new();
    loop {
        if early.is_empty() {
            early = next(&mut stream, activity).await?;
        }
        if early.is_empty() {
            stream.shutdown().await?;
            return Ok(None);
        }
        let Some(request) = take_request(&mut early) else {
            return Ok(Some(Rewound::new(early, stream)));
        };
        let is_head = request.method() == Method::HEAD;
        let mut making = pin!(answer(request));
        let made = while_there(&mut stream, &mut early, |context| making.as_mut().poll(context)).await?;
        let Some(response) = made else { return Ok(None) };
        send(&mut stream, &mut early, response, is_head, activity).await?;
        if activity.is_closing() {
            stream.shutdown().await?;
            return Ok(None);
        }
    }
}

/// Waits for what `made` gives while the peer is there; nothing if it has gone, since then nobody waits. What it sends
/// meanwhile is `early`.
async fn while_there<S: AsyncRead + Unpin, T>(
    stream: &mut S,
    early: &mut Bytes,
    mut made: impl FnMut(&mut Context<'_>) -> Poll<T>,
) -> io::Result<Option<T>> {
    poll_fn(|context| {
        if let Poll::Ready(made) = made(context) {
            return Poll::Ready(Ok(Some(made)));
        }
        if early.is_empty() {
            *early = ready!(poll_read(stream, context))?;
            if early.is_empty() {
                return Poll::Ready(Ok(None));
            }
        }
        Poll::Pending
    })
    .await
}

/// What comes next; nothing if that is the end, or is to be.
async fn next<S: AsyncRead + Unpin>(stream: &mut S, activity: &Activity) -> io::Result<Bytes> {
    poll_fn(|context| match activity.is_closing() {
        true => Poll::Ready(Ok(Bytes::new())),
        false => poll_read(stream, context),
    })
    .await
}

/// Reads what is there; nothing at the end.
fn poll_read<S: AsyncRead + Unpin>(stream: &mut S, context: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
    // Of the thread, not the connection: hundreds of these would be in no cache when they are needed.
    let mut room = [MaybeUninit::uninit(); MAX_REQUEST];
    let mut buffer = ReadBuf::uninit(&mut room);
    ready!(Pin::new(stream).poll_read(context, &mut buffer))?;
    Poll::Ready(Ok(Bytes::copy_from_slice(buffer.filled())))
}

/// The request that these bytes begin with, which are then those behind it; `None`, and all bytes as they are, if it is not
/// all there or not for here.
fn take_request(bytes: &mut Bytes) -> Option<Request<Empty<Bytes>>> {
    let mut headers = [MaybeUninit::uninit(); MAX_HEADERS];
    let mut parsed = httparse::Request::new(&mut []);
    let httparse::Status::Complete(length) = parsed.parse_with_uninit_headers(bytes, &mut headers).ok()?
    else {
        return None;
    };
    let method = match parsed.method? {
        "GET" => Method::GET,
        "HEAD" => Method::HEAD,
        _ => return None,
    };
    if parsed.version? != 1 {
        return None;
    }
    let mut fields = HeaderMap::with_capacity(parsed.headers.len());
    for field in &*parsed.headers {
        let name = HeaderName::from_bytes(field.name.as_bytes()).ok()?;
        if !is_for_here(&name, field.value) {
            return None;
        }
        fields.append(name, HeaderValue::from_maybe_shared(bytes.slice_ref(field.value)).ok()?);
    }
    let mut request = Request::new(Empty::new());
    *request.uri_mut() = Uri::from_maybe_shared(bytes.slice_ref(parsed.path?.as_bytes())).ok()?;
    *request.method_mut() = method;
    *request.version_mut() = Version::HTTP_11;
    *request.headers_mut() = fields;
    bytes.advance(length);
    Some(request)
}

/// Whether a header leaves a request as it is: without a body, and a connection that goes on.
fn is_for_here(name: &HeaderName, value: &[u8]) -> bool {
    match *name {
        header::CONTENT_LENGTH | header::TRANSFER_ENCODING | header::EXPECT | header::UPGRADE => false,
        header::CONNECTION => value.eq_ignore_ascii_case(b"keep-alive"),
        _ => true,
    }
}

/// How a client learns where a body ends. RFC 9112, 6.3.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Framing {
    /// There never is a body, or none this time; the answer to HEAD says itself how long it would be.
    None,
    Length(u64),
    Chunks,
}

impl Framing {
    fn of(status: StatusCode, is_head: bool, length: Option<u64>) -> Self {
        match length {
            _ if is_head || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) => Self::None,
            Some(length) => Self::Length(length),
            None => Self::Chunks,
        }
    }
}

/// Sends an answer.
async fn send<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    early: &mut Bytes,
    response: http::Response<CountedBody>,
    is_head: bool,
    activity: &Activity,
) -> io::Result<()> {
    let (parts, mut body) = response.into_parts();
    let framing = Framing::of(parts.status, is_head, body.size_hint().exact());
    let mut out = head_of(&parts, framing, activity.is_closing());
    match framing {
        Framing::None => write(stream, &out, None).await?,
        Framing::Length(_) => {
            let mut piece = poll_fn(|context| poll_piece(&mut body, context)).await.transpose()?;
            if let Some(short) = piece.take_if(|piece| piece.remaining() <= SHORT) {
                out.extend_from_slice(short.chunk());
            }
            write(stream, &out, piece).await?;
        }
        Framing::Chunks => send_in_chunks(stream, early, &mut body, out).await?,
    }
    stream.flush().await
}

/// Sends `out` and a body whose pieces are in the making. What is there goes out together, what was made before others at the
/// latest when these have to be waited for.
async fn send_in_chunks<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    early: &mut Bytes,
    body: &mut CountedBody,
    mut out: Vec<u8>,
) -> io::Result<()> {
    loop {
        let piece = match poll_fn(|context| Poll::Ready(poll_piece(body, context))).await {
            Poll::Ready(piece) => piece,
            Poll::Pending => {
                write(stream, &out, None).await?;
                stream.flush().await?;
                out.clear();
                let piece = while_there(stream, early, |context| poll_piece(body, context)).await?;
                piece.ok_or(io::ErrorKind::ConnectionAborted)?
            }
        };
        let Some(piece) = piece.transpose()? else { break };
        if !piece.has_remaining() {
            // It would be the end.
            continue;
        }
        write!(out, "{:X}\r\n", piece.remaining())?;
        if out.len() + piece.remaining() <= GATHERED {
            out.extend_from_slice(piece.chunk());
        } else {
            write(stream, &out, Some(piece)).await?;
            out.clear();
        }
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"0\r\n\r\n");
    write(stream, &out, None).await
}

/// The next piece of a body.
fn poll_piece(body: &mut CountedBody, context: &mut Context<'_>) -> Poll<Option<io::Result<CountedBytes>>> {
    // There are no trailers.
    let piece = |frame: Frame<_>| frame.into_data().map_err(|_trailers| io::ErrorKind::InvalidData.into());
    Pin::new(body).poll_frame(context).map(|frame| frame.map(|frame| frame.and_then(piece)))
}

/// The head of an answer.
fn head_of(parts: &Parts, framing: Framing, is_last: bool) -> Vec<u8> {
    let mut head = Vec::with_capacity(HEAD);
    let mut put = |text: &[u8]| head.extend_from_slice(text);
    put(b"HTTP/1.1 ");
    put(parts.status.as_str().as_bytes());
    put(b" ");
    put(parts.status.canonical_reason().unwrap_or_default().as_bytes());
    put(b"\r\n");
    for (name, value) in &parts.headers {
        put(name.as_str().as_bytes());
        put(b": ");
        put(value.as_bytes());
        put(b"\r\n");
    }
    match framing {
        Framing::None => {}
        Framing::Length(length) => {
            put(b"content-length: ");
            put(itoa::Buffer::new().format(length).as_bytes());
            put(b"\r\n");
        }
        Framing::Chunks => put(b"transfer-encoding: chunked\r\n"),
    }
    if is_last {
        put(b"connection: close\r\n");
    }
    put(b"date: ");
    date::now(|date| put(date));
    put(b"\r\n\r\n");
    head
}

/// Writes a head and what follows it.
async fn write<S: AsyncWrite + Unpin>(
    stream: &mut S,
    head: &[u8],
    piece: Option<CountedBytes>,
) -> io::Result<()> {
    let mut head = head;
    let mut piece = piece;
    poll_fn(|context| {
        loop {
            let behind = piece.as_ref().map_or(&[][..], Buf::chunk);
            if head.is_empty() && behind.is_empty() {
                return Poll::Ready(Ok(()));
            }
            let stream = Pin::new(&mut *stream);
            let mut written = ready!(match (head, behind) {
                (one, []) | ([], one) => stream.poll_write(context, one),
                _ => stream.poll_write_vectored(context, &[IoSlice::new(head), IoSlice::new(behind)]),
            })?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            let of_head = written.min(head.len());
            head = &head[of_head..];
            written -= of_head;
            if let Some(piece) = &mut piece {
                piece.advance(written);
            }
        }
    })
    .await
}
