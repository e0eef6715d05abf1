//! The faults that can be ordered, and the plan that says which request gets which. Plain values: what they do is done in `http`.

use std::collections::VecDeque;
use std::time::Duration;

use serde_json::Value;

/// Something that goes wrong with one request.
///
/// Unless its description says otherwise, the whole request is read before the fault happens, so that the client always gets to
/// the point of waiting for an answer.
///
/// ```
/// use axiom_local::{Fault, Server};
/// use std::time::Duration;
///
/// let server = Server::start()?;
/// server.fault(Fault::status(429).header("X-RateLimit-Reset", "1790000000").body(r#"{"message":"slow down"}"#));
/// server.fault(Fault::delay(Duration::from_millis(50)));
/// // The third request and all later ones are served normally.
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug, Clone)]
pub struct Fault {
    pub(crate) kind: Kind,
    pub(crate) delay: Duration,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Option<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Kind {
    Serve,
    Status(u16),
    OverLimit(usize),
    Hang { store: bool },
    CloseBeforeRead,
    Close { store: bool },
    Reset { store: bool },
    CutBody,
    Garbage,
    FailEvents(usize),
    Messages(Value),
    Trickle(u32),
    GoAway,
    GoAwayGracefully,
    ResetStream(StreamError),
    ShutWindow,
    IgnorePings,
    BlackHole,
}

/// The reason that [`Fault::reset_stream`] gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StreamError {
    /// `REFUSED_STREAM`: the request was not processed at all. The stream is reset before the body is read.
    Refused,
    /// `CANCEL`: nobody wants the answer any more.
    Cancel,
    /// `INTERNAL_ERROR`.
    Internal,
    /// `ENHANCE_YOUR_CALM`: the client sends too much.
    EnhanceYourCalm,
}

impl StreamError {
    fn name(self) -> &'static str {
        match self {
            StreamError::Refused => "refused",
            StreamError::Cancel => "cancel",
            StreamError::Internal => "internal",
            StreamError::EnhanceYourCalm => "enhance_your_calm",
        }
    }
}

impl Fault {
    fn new(kind: Kind) -> Self {
        Fault {
            kind,
            delay: Duration::ZERO,
            headers: Vec::new(),
            body: None,
        }
    }

    /// Answers with this status and stores nothing. The body is `{"message": reason}` unless [`body`](Fault::body) is called.
    ///
    /// A code outside of 200 to 999 can not be an answer, and becomes 500.
    pub fn status(code: u16) -> Self {
        let code = if (200..1_000).contains(&code) {
            code
        } else {
            500
        };
        Fault::new(Kind::Status(code))
    }

    /// Reads the request, waits, then serves normally. If the client goes away while it waits, nothing is stored.
    pub fn delay(wait: Duration) -> Self {
        Fault {
            delay: wait,
            ..Fault::new(Kind::Serve)
        }
    }

    /// Reads the request, stores nothing, and never answers. The connection stays open.
    pub fn hang() -> Self {
        Fault::new(Kind::Hang { store: false })
    }

    /// Reads and stores the request, and never answers. The connection stays open.
    pub fn hang_after_store() -> Self {
        Fault::new(Kind::Hang { store: true })
    }

    /// Closes the connection when the headers are in, without reading the body.
    ///
    /// The client sees the end of the stream, or a reset if it was still sending: the same as from any server.
    pub fn close_before_read() -> Self {
        Fault::new(Kind::CloseBeforeRead)
    }

    /// Reads the request, stores nothing, and closes the connection without an answer. Over HTTP/2 this ends the other
    /// requests of the connection too, as do all faults that close or reset.
    pub fn close_before_answer() -> Self {
        Fault::new(Kind::Close { store: false })
    }

    /// Reads and stores the request, and closes the connection without an answer, so the client can not know that it was stored.
    pub fn close_after_store() -> Self {
        Fault::new(Kind::Close { store: true })
    }

    /// Reads the request, stores nothing, and resets the connection (RST instead of FIN).
    pub fn reset() -> Self {
        Fault::new(Kind::Reset { store: false })
    }

    /// Reads and stores the request, and resets the connection (RST instead of FIN).
    pub fn reset_after_store() -> Self {
        Fault::new(Kind::Reset { store: true })
    }

    /// Serves normally, but sends only half of the body that `Content-Length` promises, and closes. Over HTTP/2 the stream
    /// is reset instead.
    pub fn cut_body() -> Self {
        Fault::new(Kind::CutBody)
    }

    /// Answers 200 with this body and stores nothing, as a captive portal would. The type is `text/html` unless
    /// [`header`](Fault::header) says otherwise.
    pub fn garbage(body: impl Into<String>) -> Self {
        Fault::new(Kind::Garbage).body(body)
    }

    /// Answers 200, counting the first `n` events of the request as failed and storing the rest.
    pub fn fail_events(n: usize) -> Self {
        Fault::new(Kind::FailEvents(n))
    }

    /// Serves normally, with these `messages` in the answer.
    pub fn messages(messages: Value) -> Self {
        Fault::new(Kind::Messages(messages))
    }

    /// Serves normally, sending the answer's body at this rate (at least one byte a second).
    pub fn trickle(bytes_per_second: u32) -> Self {
        Fault::new(Kind::Trickle(bytes_per_second.max(1)))
    }

    /// Leaves the connection at once: a GOAWAY frame says that this request and later ones of the connection are not
    /// processed. None of them is stored, and the later ones do not appear in [`Server::requests`](crate::Server::requests).
    /// Requests that came before go on.
    ///
    /// This is a fault of HTTP/2. It happens when the headers are in, and [`after`](Fault::after) does not delay it. Over
    /// HTTP/1.1 it is [`close_before_answer`](Fault::close_before_answer).
    pub fn go_away() -> Self {
        Fault::new(Kind::GoAway)
    }

    /// Serves normally, and leaves the connection in two phases: a first GOAWAY frame announces it, a second one, a round trip
    /// later, names the last request that is processed. [`after`](Fault::after) delays the answer and not the frames. Over
    /// HTTP/1.1 the answer has `Connection: close`.
    pub fn go_away_gracefully() -> Self {
        Fault::new(Kind::GoAwayGracefully)
    }

    /// Stores nothing, and ends the request's stream with RST_STREAM; the connection goes on. Over HTTP/1.1 it is
    /// [`close_before_answer`](Fault::close_before_answer).
    pub fn reset_stream(why: StreamError) -> Self {
        Fault::new(Kind::ResetStream(why))
    }

    /// Shuts the flow-control windows of the connection for good, as soon as the headers are in: no body gets through any more,
    /// though the server answers pings. This request is never answered, even if its body still gets through, and nothing of
    /// it is stored. Over HTTP/1.1 it is [`hang`](Fault::hang).
    pub fn shut_window() -> Self {
        Fault::new(Kind::ShutWindow)
    }

    /// Leaves every PING of the connection without an answer, as soon as the headers are in. This request is not answered
    /// either, and nothing of it is stored; other requests are served. Over HTTP/1.1 it is [`hang`](Fault::hang).
    pub fn ignore_pings() -> Self {
        Fault::new(Kind::IgnorePings)
    }

    /// Neither reads nor writes anything on the connection any more, as soon as the headers are in, and leaves it open. Over
    /// HTTP/1.1 it is [`hang`](Fault::hang). To let it happen after a number of requests, queue as many `None` before it.
    pub fn black_hole() -> Self {
        Fault::new(Kind::BlackHole)
    }

    /// Adds a header to the answer, if the fault sends an answer. It replaces a header of that name which the answer would have
    /// by itself. If it is called twice with one name, both headers are sent.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Sets the answer's body, for the faults that do not make their own: [`status`](Fault::status) and
    /// [`garbage`](Fault::garbage).
    pub fn body(mut self, body: impl Into<String>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// Waits between reading the request (or its headers, for [`close_before_read`](Fault::close_before_read)) and doing
    /// what the fault does.
    pub fn after(mut self, wait: Duration) -> Self {
        self.delay = wait;
        self
    }

    pub(crate) fn name(&self) -> String {
        match &self.kind {
            Kind::Serve => format!("delay {:?}", self.delay),
            Kind::Status(code) => format!("status {code}"),
            Kind::OverLimit(most) => format!("over {most} bytes"),
            Kind::Hang { store: false } => "hang".into(),
            Kind::Hang { store: true } => "hang_after_store".into(),
            Kind::CloseBeforeRead => "close_before_read".into(),
            Kind::Close { store: false } => "close_before_answer".into(),
            Kind::Close { store: true } => "close_after_store".into(),
            Kind::Reset { store: false } => "reset".into(),
            Kind::Reset { store: true } => "reset_after_store".into(),
            Kind::CutBody => "cut_body".into(),
            Kind::Garbage => "garbage".into(),
            Kind::FailEvents(n) => format!("fail_events {n}"),
            Kind::Messages(_) => "messages".into(),
            Kind::Trickle(rate) => format!("trickle {rate}"),
            Kind::GoAway => "go_away".into(),
            Kind::GoAwayGracefully => "go_away_gracefully".into(),
            Kind::ResetStream(why) => format!("reset_stream {}", why.name()),
            Kind::ShutWindow => "shut_window".into(),
            Kind::IgnorePings => "ignore_pings".into(),
            Kind::BlackHole => "black_hole".into(),
        }
    }
}

/// Decides which request gets which fault: first the queue, then the fault for all requests, then chance.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    queue: VecDeque<Option<Fault>>,
    always: Option<Fault>,
    chances: Vec<Chance>,
    max_wire_bytes: Option<usize>,
}

#[derive(Debug)]
struct Chance {
    state: u64,
    probability: f64,
    fault: Fault,
}

impl Plan {
    pub(crate) fn push(&mut self, fault: Option<Fault>) {
        self.queue.push_back(fault);
    }

    pub(crate) fn set_always(&mut self, fault: Option<Fault>) {
        self.always = fault;
    }

    pub(crate) fn add_chance(&mut self, seed: u64, probability: f64, fault: Fault) {
        self.chances.push(Chance {
            state: seed,
            probability,
            fault,
        });
    }

    pub(crate) fn set_max_wire_bytes(&mut self, bytes: Option<usize>) {
        self.max_wire_bytes = bytes;
    }

    /// The fault that a body of this size gets in place of its own, if it is over the limit for the wire.
    pub(crate) fn refusal(&self, wire_bytes: usize) -> Option<Fault> {
        self.max_wire_bytes
            .filter(|most| wire_bytes > *most)
            .map(|most| {
                let message = format!(r#"{{"message":"more than {most} bytes"}}"#);
                Fault::new(Kind::OverLimit(most)).body(message)
            })
    }

    pub(crate) fn clear(&mut self) {
        *self = Plan::default();
    }

    /// The fault of the next request. Every chance is drawn for every request, so that a draw depends on
    /// nothing but the seed and the number of requests since.
    pub(crate) fn next(&mut self) -> Option<Fault> {
        let mut by_chance = None;
        for chance in &mut self.chances {
            let drawn = uniform(&mut chance.state);
            if drawn < chance.probability && by_chance.is_none() {
                by_chance = Some(chance.fault.clone());
            }
        }
        if let Some(queued) = self.queue.pop_front() {
            return queued;
        }
        self.always.clone().or(by_chance)
    }
}

/// The next number in [0, 1) of a splitmix64 sequence.
fn uniform(state: &mut u64) -> f64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^= z >> 31;
    (z >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(plan: &mut Plan, n: usize) -> Vec<Option<String>> {
        (0..n)
            .map(|_| plan.next().map(|fault| fault.name()))
            .collect()
    }

    #[test]
    fn queue_comes_before_always_and_always_before_chance() {
        let mut plan = Plan::default();
        plan.add_chance(1, 1.0, Fault::hang());
        plan.set_always(Some(Fault::status(500)));
        plan.push(Some(Fault::reset()));
        plan.push(None);
        assert_eq!(
            names(&mut plan, 3),
            [Some("reset".into()), None, Some("status 500".into())]
        );
        plan.set_always(None);
        assert_eq!(names(&mut plan, 1), [Some("hang".into())]);
        plan.clear();
        assert_eq!(names(&mut plan, 1), [None]);
    }

    #[test]
    fn chance_is_the_same_for_the_same_seed_and_near_its_probability() {
        let draw = |seed| {
            let mut plan = Plan::default();
            plan.add_chance(seed, 0.25, Fault::hang());
            names(&mut plan, 10_000)
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
        let hits = draw(7).iter().flatten().count();
        assert!((2_300..2_700).contains(&hits), "{hits}");
    }
}
