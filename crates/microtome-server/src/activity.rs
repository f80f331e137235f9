//! Whether a connection is worth keeping: what its requests have come to, and how long its peer has been still.
//!
//! An HTTP/2 peer can take an answer's head and never make room for its body, while it goes on answering pings: to the
//! socket all is well. So what counts as progress here is bytes of bodies that go out, counted where they leave the last
//! buffer that is ours or the protocol's. A peer that reads one answer of many makes progress, and the others are kept for
//! it: so their bytes are counted too, and where they are too many there are no more. Not here: sockets that take nothing at
//! all, see `stalled`.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use hyper::body::{Frame, SizeHint};
use tokio::time::Instant;

use crate::body::{Body, Response};
use crate::limits::{self, Limits};

/// What the requests of one connection have come to. Counts only: clocks are the overseer's, who looks once in a while.
#[derive(Debug, Default)]
pub(crate) struct Activity {
    /// Requests whose answers are being made.
    making: AtomicUsize,
    /// Bodies and pieces of bodies that are not sent yet.
    unsent: AtomicUsize,
    /// Something was asked since the last look.
    asked: AtomicBool,
    /// Bytes of bodies that went out since the last look.
    moved: AtomicUsize,
    /// Bytes of what is not sent yet: of this connection, and of all.
    unsent_bytes: AtomicUsize,
    all_unsent_bytes: Arc<AtomicUsize>,
    /// Told to end; what hyper speaks it tells itself.
    closing: AtomicBool,
}

impl Activity {
    /// That of a new connection, which counts what it does not send among that of `all`.
    pub(crate) fn among(all_unsent_bytes: &Arc<AtomicUsize>) -> Arc<Self> {
        Arc::new(Self { all_unsent_bytes: Arc::clone(all_unsent_bytes), ..Self::default() })
    }

    /// Whether a body may be kept until the peer reads it. The only one may be as large as it likes, while all together are
    /// not too large; small ones may, all together, take twice as much as large ones, and a peer that has read all that it was
    /// sent gets one whatever others do.
    pub(crate) fn has_room_for(&self, body: &Body) -> bool {
        let bytes = body.size();
        let [own, all] = [&self.unsent_bytes, &*self.all_unsent_bytes].map(|bytes| bytes.load(Relaxed));
        let is_little = own == 0 || own + bytes <= limits::MAX_UNREAD;
        let is_small = bytes <= limits::SMALL_BODY;
        let most = if is_small { 2 } else { 1 } * limits::MAX_UNREAD_OF_ALL;
        is_little && (all + bytes <= most || is_small && own == 0)
    }

    /// Says that the connection is to end after what was asked.
    pub(crate) fn close(&self) {
        self.closing.store(true, Relaxed);
    }

    /// Whether the connection is to end after what was asked.
    pub(crate) fn is_closing(&self) -> bool {
        self.closing.load(Relaxed)
    }

    /// Counts a request until its answer is made.
    pub(crate) fn ask(self: &Arc<Self>) -> Making {
        self.asked.store(true, Relaxed);
        self.making.fetch_add(1, Relaxed);
        Making(Arc::clone(self))
    }
}

/// A request whose answer is being made.
pub(crate) struct Making(Arc<Activity>);

impl Making {
    /// The answer, counted until all of it is sent.
    pub(crate) fn answered(self, response: Response) -> hyper::Response<CountedBody> {
        let unsent = Unsent::new(&self.0, response.body().size());
        response.map(|body| CountedBody { body, unsent })
    }
}

impl Drop for Making {
    fn drop(&mut self) {
        self.0.making.fetch_sub(1, Relaxed);
    }
}

/// Something that is not sent yet, and its bytes in memory.
struct Unsent {
    activity: Arc<Activity>,
    bytes: usize,
}

impl Unsent {
    fn new(activity: &Arc<Activity>, bytes: usize) -> Self {
        let mut unsent = Self::counted(activity, 0);
        unsent.add(bytes);
        unsent
    }

    /// Of bytes that are counted already.
    fn counted(activity: &Arc<Activity>, bytes: usize) -> Self {
        activity.unsent.fetch_add(1, Relaxed);
        Self { activity: Arc::clone(activity), bytes }
    }

    /// All connections write to one number: a tile twice, when it comes and when it is gone.
    fn add(&mut self, bytes: usize) {
        if bytes > 0 {
            self.bytes += bytes;
            self.activity.unsent_bytes.fetch_add(bytes, Relaxed);
            self.activity.all_unsent_bytes.fetch_add(bytes, Relaxed);
        }
    }

    /// A piece that comes out of this, whose bytes were counted with the whole, or come now.
    fn piece(&mut self, bytes: usize) -> Self {
        let counted = bytes.min(self.bytes);
        let mut piece = Self::counted(&self.activity, counted);
        self.bytes -= counted;
        piece.add(bytes - counted);
        piece
    }
}

impl Drop for Unsent {
    fn drop(&mut self) {
        self.activity.unsent.fetch_sub(1, Relaxed);
        if self.bytes > 0 {
            self.activity.unsent_bytes.fetch_sub(self.bytes, Relaxed);
            self.activity.all_unsent_bytes.fetch_sub(self.bytes, Relaxed);
        }
    }
}

/// A body that counts as unsent until it and all its pieces are gone.
pub(crate) struct CountedBody {
    body: Body,
    unsent: Unsent,
}

impl hyper::body::Body for CountedBody {
    type Data = CountedBytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<CountedBytes>, std::io::Error>>> {
        let frame = std::task::ready!(Pin::new(&mut self.body).poll_frame(context));
        let is_whole = matches!(self.body, Body::Whole(_));
        let mut counted = |bytes: Bytes| {
            let unsent = match is_whole {
                true => self.unsent.piece(bytes.len()),
                // Others wait behind it as long as the body lasts.
                false => Unsent::new(&self.unsent.activity, bytes.len()),
            };
            CountedBytes { unsent, bytes }
        };
        Poll::Ready(frame.map(|frame| frame.map(|frame| frame.map_data(&mut counted))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A piece of a body on its way through the protocol's buffers.
pub(crate) struct CountedBytes {
    bytes: Bytes,
    unsent: Unsent,
}

impl Buf for CountedBytes {
    fn remaining(&self) -> usize {
        self.bytes.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.bytes.chunk()
    }

    fn advance(&mut self, count: usize) {
        self.unsent.activity.moved.fetch_add(count, Relaxed);
        self.bytes.advance(count);
    }
}

/// What is to become of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Keep,
    /// Nothing was asked on it so far, for too long.
    Silent,
    /// Its peer takes nothing of the answers.
    Stalled,
    /// It has had no request for long, or is old: a friendly end will do.
    Close,
}

/// Looks at a connection's activity now and then, and judges.
pub(crate) struct Overseer {
    activity: Arc<Activity>,
    limits: Limits,
    begin: Instant,
    ever_asked: bool,
    last_busy: Instant,
    last_moved: Instant,
    /// Since when the connection is in the way of others, and the bytes that went out since.
    in_the_way: Option<(Instant, usize)>,
}

impl Overseer {
    pub(crate) fn new(activity: &Arc<Activity>, limits: Limits, now: Instant) -> Self {
        let activity = Arc::clone(activity);
        Self {
            activity,
            limits,
            begin: now,
            ever_asked: false,
            last_busy: now,
            last_moved: now,
            in_the_way: None,
        }
    }

    pub(crate) fn look(&mut self, now: Instant) -> Verdict {
        let unsent = self.activity.unsent.load(Relaxed) > 0;
        let asked = self.activity.asked.swap(false, Relaxed);
        let moved = self.activity.moved.swap(0, Relaxed);
        if moved > 0 || !unsent {
            self.last_moved = now;
        }
        if asked || unsent || self.activity.making.load(Relaxed) > 0 {
            self.ever_asked = true;
            self.last_busy = now;
        }
        let still = now - self.last_busy;
        if now - self.last_moved >= self.limits.write_stall || self.hoards(now, moved) {
            Verdict::Stalled
        } else if !self.ever_asked && still >= self.limits.head {
            Verdict::Silent
        } else if still >= self.limits.idle || now - self.begin >= self.limits.age {
            Verdict::Close
        } else {
            Verdict::Keep
        }
    }

    /// Whether the connection leaves much unread, takes next to nothing of it, and others have no room for that. While they
    /// have, it may be as slow as it likes.
    fn hoards(&mut self, now: Instant, moved: usize) -> bool {
        let [own, all] =
            [&self.activity.unsent_bytes, &*self.activity.all_unsent_bytes].map(|bytes| bytes.load(Relaxed));
        // Many that leave little each are in the way too.
        let much =
            if all <= limits::MAX_UNREAD_OF_ALL { limits::MUCH_UNREAD } else { limits::MUCH_UNREAD / 4 };
        if own <= much || all <= limits::MAX_UNREAD_OF_ALL / 2 {
            self.in_the_way = None;
            return false;
        }
        let (since, before) = self.in_the_way.unwrap_or((now, 0));
        let moved = before + moved;
        self.in_the_way = Some((since, moved));
        if now - since < self.limits.write_stall {
            return false;
        }
        self.in_the_way = None;
        moved < limits::MUCH_UNREAD
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::time::Duration;

    use hyper::body::Body as _;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    struct Watched {
        activity: Arc<Activity>,
        overseer: Overseer,
        now: Instant,
    }

    impl Watched {
        fn new() -> Self {
            let (activity, now) = (Arc::new(Activity::default()), Instant::now());
            Self { overseer: Overseer::new(&activity, Limits::default(), now), activity, now }
        }

        /// Looks every second, for as long as told or until there is something to say.
        fn pass(&mut self, time: Duration) -> Verdict {
            let end = self.now + time;
            while self.now < end {
                self.now += SECOND;
                match self.overseer.look(self.now) {
                    Verdict::Keep => {}
                    verdict => return verdict,
                }
            }
            Verdict::Keep
        }
    }

    async fn piece(response: hyper::Response<CountedBody>) -> CountedBytes {
        let mut body = response.into_body();
        let frame = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await;
        frame.expect("a frame").expect("no error").into_data().ok().expect("data")
    }

    #[test]
    fn a_peer_that_never_asks_is_silent_and_one_that_asked_once_is_idle() {
        let limits = Limits::default();
        let mut silent = Watched::new();
        assert_eq!(silent.pass(limits.head * 2), Verdict::Silent);
        assert_eq!(silent.now - silent.overseer.begin, limits.head);
        let mut idle = Watched::new();
        drop(idle.activity.ask());
        assert_eq!(idle.pass(limits.idle), Verdict::Keep);
        assert_eq!(idle.pass(SECOND * 2), Verdict::Close);
    }

    #[test]
    fn an_answer_may_take_its_time_to_be_made() {
        let mut watched = Watched::new();
        let making = watched.activity.ask();
        assert_eq!(watched.pass(Limits::default().idle * 3), Verdict::Keep);
        drop(making);
        assert_eq!(watched.pass(Limits::default().idle * 2), Verdict::Close);
    }

    #[test]
    fn a_body_that_is_never_taken_is_a_stall_whatever_else_is_asked() {
        let mut watched = Watched::new();
        let _body = watched.activity.ask().answered(Response::new(Body::of("tile")));
        let mut lasted = Duration::ZERO;
        while watched.pass(SECOND) == Verdict::Keep {
            drop(watched.activity.ask());
            lasted += SECOND;
        }
        assert_eq!(watched.overseer.look(watched.now), Verdict::Stalled);
        assert!(lasted <= Limits::default().write_stall);
    }

    #[tokio::test]
    async fn a_piece_in_the_buffers_of_the_protocol_counts_until_it_is_gone() {
        let limits = Limits::default();
        let mut watched = Watched::new();
        let mut piece = piece(watched.activity.ask().answered(Response::new(Body::of(vec![0; 100])))).await;
        for _ in 0..10 {
            assert_eq!(watched.pass(limits.write_stall * 3 / 4), Verdict::Keep, "slow, but it goes on");
            piece.advance(10);
        }
        assert_eq!(piece.remaining(), 0);
        drop(piece);
        assert_eq!(watched.pass(limits.write_stall * 2), Verdict::Keep, "nothing is left to be sent");
    }

    fn of(bytes: usize) -> Response {
        Response::new(Body::of(vec![0; bytes]))
    }

    #[tokio::test]
    async fn what_is_not_read_counts_until_it_is_gone_and_then_no_more() {
        let all = Arc::default();
        let activity = Activity::among(&all);
        let unsent = || (activity.unsent_bytes.load(Relaxed), all.load(Relaxed));
        let [dropped, read] = [activity.ask().answered(of(100)), activity.ask().answered(of(1000))];
        assert_eq!(unsent(), (1100, 1100));
        let mut piece = piece(read).await;
        assert_eq!(unsent(), (1100, 1100), "in the buffers of the protocol");
        piece.advance(1000);
        drop((dropped, piece));
        assert_eq!(unsent(), (0, 0));
        // A body that is made piece by piece counts as it comes.
        let (sender, pieces) = tokio::sync::mpsc::channel(1);
        sender.try_send(Ok(Bytes::from_static(b"piece"))).expect("room");
        let piece = self::piece(activity.ask().answered(Response::new(Body::Pieces(pieces)))).await;
        assert_eq!(unsent(), (5, 5), "the body is gone");
        drop(piece);
        assert_eq!(unsent(), (0, 0));
        // And while it lasts, so much as waits behind the piece.
        let (_sender, pieces) = tokio::sync::mpsc::channel(1);
        let body = activity.ask().answered(Response::new(Body::Pieces(pieces)));
        assert_eq!(unsent(), (crate::body::IN_THE_MAKING, crate::body::IN_THE_MAKING));
        drop(body);
        assert_eq!(unsent(), (0, 0));
    }

    #[test]
    fn one_connection_keeps_so_much_unread_and_all_together_too() {
        let all = Arc::default();
        let activity = Activity::among(&all);
        let has_room = |activity: &Activity, bytes| activity.has_room_for(of(bytes).body());
        assert!(has_room(&activity, limits::MAX_UNREAD + 1), "a single answer may be larger");
        let half = activity.ask().answered(of(limits::MAX_UNREAD / 2));
        assert!(has_room(&activity, limits::MAX_UNREAD / 2));
        assert!(!has_room(&activity, limits::MAX_UNREAD / 2 + 1));
        drop(half);
        assert!(has_room(&activity, limits::MAX_UNREAD / 2 + 1));

        all.store(limits::MAX_UNREAD_OF_ALL, Relaxed);
        assert!(has_room(&activity, limits::SMALL_BODY), "viewers go on");
        assert!(!has_room(&activity, limits::SMALL_BODY + 1));
        all.store(2 * limits::MAX_UNREAD_OF_ALL, Relaxed);
        assert!(has_room(&activity, limits::SMALL_BODY), "who has read all");
        let unread = activity.ask().answered(of(1));
        assert!(!has_room(&activity, 1), "others not for ever");
        drop(unread);
        all.store(limits::MAX_UNREAD_OF_ALL - limits::SMALL_BODY - 1, Relaxed);
        assert!(has_room(&activity, limits::SMALL_BODY + 1));
    }

    #[test]
    fn who_hoards_answers_is_ended_when_others_need_the_room() {
        let mut watched = Watched::new();
        let _bodies = [0; 2].map(|_| watched.activity.ask().answered(of(limits::MUCH_UNREAD)));
        let pass = |watched: &mut Watched, moved| {
            let end = watched.now + Limits::default().write_stall * 3;
            while watched.now < end {
                watched.activity.moved.fetch_add(moved, Relaxed);
                if watched.pass(SECOND) == Verdict::Stalled {
                    return Verdict::Stalled;
                }
            }
            Verdict::Keep
        };
        assert_eq!(pass(&mut watched, 100), Verdict::Keep, "there is room for all");
        watched.activity.all_unsent_bytes.fetch_add(limits::MAX_UNREAD_OF_ALL / 2, Relaxed);
        assert_eq!(pass(&mut watched, limits::MUCH_UNREAD / 10), Verdict::Keep, "it reads");
        assert_eq!(pass(&mut watched, 100), Verdict::Stalled);
        // One that leaves little is, when there are so many that there is no room at all.
        let mut watched = Watched::new();
        let _body = watched.activity.ask().answered(of(limits::MUCH_UNREAD / 3));
        watched.activity.all_unsent_bytes.fetch_add(limits::MAX_UNREAD_OF_ALL / 2, Relaxed);
        assert_eq!(pass(&mut watched, 100), Verdict::Keep);
        watched.activity.all_unsent_bytes.fetch_add(limits::MAX_UNREAD_OF_ALL / 2, Relaxed);
        assert_eq!(pass(&mut watched, 100), Verdict::Stalled);
    }

    #[test]
    fn nothing_lives_for_ever() {
        let mut watched = Watched::new();
        let mut lasted = Duration::ZERO;
        while watched.pass(SECOND) == Verdict::Keep {
            drop(watched.activity.ask());
            lasted += SECOND;
        }
        assert_eq!(watched.overseer.look(watched.now), Verdict::Close);
        assert!(lasted + SECOND >= Limits::default().age, "{lasted:?}");
    }
}
