//! Many kept-alive clients in one thread that never sleeps, so that no answer costs the server's core the waking of a client: those
//! of a real server are on other machines, and its core does not wake them either.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

/// What came of a request: the status, when it was due and when its answer was whole.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) due: Instant,
    pub(crate) whole: Instant,
}

/// How long the last answers may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// A connection, and the answer that it waits for.
struct Client {
    stream: TcpStream,
    due: Instant,
    /// What is there of it.
    answer: Vec<u8>,
    /// Bytes of the whole answer, once its head is there.
    length: Option<usize>,
}

/// Sends the requests in turn for so long, so many a second, or whenever a connection has its answer, over all connections in turn.
/// What is due while all of them wait for answers waits for one.
pub(crate) fn drive(
    port: u16,
    requests: &[String],
    connections: usize,
    rate: Option<f64>,
    duration: Duration,
) -> Vec<Answer> {
    let mut poll = Poll::new().expect("the system tells who is ready");
    let mut clients: Vec<_> = (0..connections).map(|token| Client::new(port, token, &poll)).collect();
    let mut idle: VecDeque<_> = (0..connections).collect();
    let mut events = Events::with_capacity(connections);
    let (mut number, mut answers) = (0_u32, vec![]);
    let start = Instant::now();
    loop {
        let mut is_over = false;
        while let Some(&client) = idle.front() {
            let now = Instant::now();
            let due = rate.map_or(now, |rate| start + Duration::from_secs_f64(f64::from(number) / rate));
            is_over = due >= start + duration;
            if is_over || due > now {
                break;
            }
            clients[client].ask(&requests[number as usize % requests.len()], due);
            number += 1;
            idle.pop_front();
        }
        if is_over && idle.len() == connections {
            return answers;
        }
        assert!(start.elapsed() < duration + PATIENCE, "an answer does not come, or has no end");
        poll.poll(&mut events, Some(Duration::ZERO)).expect("the system tells who is ready");
        for event in &events {
            let Token(client) = event.token();
            if let Some(answer) = clients[client].hear() {
                answers.push(answer);
                idle.push_back(client);
            }
        }
    }
}

impl Client {
    fn new(port: u16, token: usize, poll: &Poll) -> Self {
        let stream = std::net::TcpStream::connect(("127.0.0.1", port)).expect("the server listens");
        stream.set_nodelay(true).expect("a TCP socket");
        stream.set_nonblocking(true).expect("a TCP socket");
        let mut stream = TcpStream::from_std(stream);
        poll.registry().register(&mut stream, Token(token), Interest::READABLE).expect("a TCP socket");
        Self { stream, due: Instant::now(), answer: vec![], length: None }
    }

    fn ask(&mut self, request: &str, due: Instant) {
        self.due = due;
        // What is short finds room in a connection on which nothing waits.
        self.stream.write_all(request.as_bytes()).expect("the server reads");
    }

    /// Reads what has come; the answer, if that was all of it.
    fn hear(&mut self) -> Option<Answer> {
        let mut bytes = [0; 64 << 10];
        loop {
            let read = self.stream.read(&mut bytes);
            if read.as_ref().is_err_and(|error| error.kind() == ErrorKind::WouldBlock) {
                break;
            }
            let count = read.expect("the server answers");
            assert!(count > 0, "the server closes");
            self.answer.extend_from_slice(&bytes[..count]);
        }
        self.length = self.length.or_else(|| whole_length(&self.answer));
        if self.length != Some(self.answer.len()) {
            return None;
        }
        let status = self.answer.get(9..12).and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
        // Told once.
        self.answer.clear();
        self.length = None;
        Some(Answer { status: status.expect("a status line"), due: self.due, whole: Instant::now() })
    }
}

/// Bytes of an answer, head and body, of which the head is there.
fn whole_length(answer: &[u8]) -> Option<usize> {
    let head = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n")? + 4;
    let text = std::str::from_utf8(&answer[..head]).expect("a head of ASCII");
    let mut fields = text.lines().filter_map(|line| line.split_once(':'));
    let length = fields.find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    Some(head + length.map_or(0, |(_, length)| length.trim().parse().expect("a length")))
}
