//! One open span: what every thread may change at any time, and what is changed by one at a time.
//!
//! Entering, leaving, failing and asking for ids are atomic operations. Fields and the like lie behind a lock that is held for
//! copying bytes and never while code of the application's runs; who does not get it in time goes on without, and
//! the loss is counted. A forked child may find it held by a thread that only its parent has.

mod content;

use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence};
use std::sync::{Arc, Mutex, MutexGuard};

use tracing_core::Metadata;

pub(super) use self::content::Content;
use super::patience::{self, Patience};
use super::status::Status;
use super::times::{Anchor, Times};
use crate::record::clock;
use crate::trace::{SpanId, SpanIds, TraceContext, TraceId};

/// Both ids as text, in whole words.
const WORDS: usize = 6;

/// How often a thread looks whether ids that another one changes are whole.
const SPINS: u32 = 100;

/// One entry more, in the count above that of the threads inside.
const ENTRY: u64 = 1 << 32;

/// Its record was sent: only its ids are of use any more.
const ENDED: u8 = 1;
/// The trace came from another process: what the caller sent is among the contents.
const REMOTE: u8 = 2;

#[derive(Debug, Default)]
pub(crate) struct OpenSpan {
    /// Odd while the ids are being changed.
    version: AtomicU32,
    ids: [AtomicU64; WORDS],
    /// What turns the monotonic clock into the wall clock for this trace, and when it was read, in seconds.
    wall_offset: AtomicU64,
    anchored: AtomicU32,
    /// Times of the monotonic clock.
    started: AtomicU64,
    /// When the span was left last; 0: it never was.
    left: AtomicU64,
    /// The sum of all times at which the span was left by the last thread, less all at which it was entered by the first.
    busy: AtomicU64,
    /// Threads that are inside, and above 32 bits how often one has entered.
    inside: AtomicU64,
    /// What the lock was not to be had for.
    lost: AtomicU32,
    status: AtomicU8,
    flags: AtomicU8,
    /// The address of its callsite's metadata, to be asked for without the lock.
    callsite: AtomicUsize,
    content: Mutex<Option<Box<Content>>>,
    patience: Patience,
}

impl OpenSpan {
    /// Makes it ready for a new span. Nobody else can find it yet.
    pub(crate) fn begin(&self, ids: &SpanIds, is_remote: bool, anchor: Anchor, now: u64) {
        let relaxed = Ordering::Relaxed;
        self.put_ids(ids);
        self.wall_offset.store(anchor.offset, relaxed);
        self.anchored.store(anchor.read, relaxed);
        self.started.store(now, relaxed);
        self.left.store(0, relaxed);
        self.busy.store(0, relaxed);
        self.inside.store(0, relaxed);
        self.lost.store(0, relaxed);
        self.status.store(Status::Unset as u8, relaxed);
        self.flags
            .store(if is_remote { REMOTE } else { 0 }, relaxed);
    }

    pub(crate) fn set_callsite(&self, metadata: &'static Metadata<'static>) {
        let address = std::ptr::from_ref(metadata).addr();
        self.callsite.store(address, Ordering::Relaxed);
    }

    /// Whether it is of this callsite. An id alone may be that of another registry's span.
    pub(crate) fn is_of(&self, metadata: &'static Metadata<'static>) -> bool {
        self.callsite.load(Ordering::Relaxed) == std::ptr::from_ref(metadata).addr()
    }

    // Ids.

    fn put_ids(&self, ids: &SpanIds) {
        let version = self.version.load(Ordering::Relaxed);
        self.version
            .store(version.wrapping_add(1), Ordering::Relaxed);
        fence(Ordering::Release);
        let (trace, span) = (ids.trace.as_chunks::<8>().0, ids.span.as_chunks::<8>().0);
        for (word, bytes) in self.ids.iter().zip(trace.iter().chain(span)) {
            word.store(u64::from_ne_bytes(*bytes), Ordering::Relaxed);
        }
        self.version
            .store(version.wrapping_add(2), Ordering::Release);
    }

    /// The ids of trace and span, never of two different moments.
    #[inline]
    pub(crate) fn ids(&self) -> SpanIds {
        for _ in 0..SPINS {
            let before = self.version.load(Ordering::Acquire);
            let ids = self.read_ids();
            fence(Ordering::Acquire);
            if before.is_multiple_of(2) && before == self.version.load(Ordering::Relaxed) {
                return ids;
            }
            std::hint::spin_loop();
        }
        // Whoever changes them holds the lock.
        let held = self.lock();
        let ids = self.read_ids();
        drop(held);
        ids
    }

    #[inline]
    fn read_ids(&self) -> SpanIds {
        let mut trace: TraceId = [b'0'; 32];
        let mut span: SpanId = [b'0'; 16];
        let targets = trace
            .as_chunks_mut::<8>()
            .0
            .iter_mut()
            .chain(span.as_chunks_mut::<8>().0);
        for (word, bytes) in self.ids.iter().zip(targets) {
            *bytes = word.load(Ordering::Relaxed).to_ne_bytes();
        }
        SpanIds { trace, span }
    }

    /// Gives the span another trace, as its caller in another process or another layer has it. Under the lock, so that two
    /// changes do not meet.
    pub(crate) fn change_ids(&self, content: &Content, ids: &SpanIds) {
        self.put_ids(ids);
        if content.remote.is_some() {
            self.flags.fetch_or(REMOTE, Ordering::Release);
        }
    }

    /// The context to send to another process from inside this span.
    pub(crate) fn context(&self) -> TraceContext {
        let ids = self.ids();
        let remote = self.remote();
        match remote {
            Some(remote) => remote.at_span(&ids.span),
            None => TraceContext::root(&ids.trace, &ids.span),
        }
    }

    /// What the caller in another process sent, if the trace came from there.
    pub(crate) fn remote(&self) -> Option<Arc<TraceContext>> {
        if self.flags.load(Ordering::Acquire) & REMOTE == 0 {
            return None;
        }
        self.with(|content| content.remote.clone())?
    }

    // Time.

    pub(crate) fn anchor(&self) -> Anchor {
        Anchor {
            offset: self.wall_offset.load(Ordering::Relaxed),
            read: self.anchored.load(Ordering::Relaxed),
        }
    }

    pub(crate) fn enter(&self) {
        if self.inside.fetch_add(ENTRY + 1, Ordering::AcqRel) as u32 == 0 {
            self.busy.fetch_sub(clock::monotonic(), Ordering::Relaxed);
        }
    }

    pub(crate) fn exit(&self) {
        let mut inside = self.inside.load(Ordering::Acquire);
        while inside as u32 > 0 {
            let is_last = inside as u32 == 1;
            // The clock is read before the span is left, and read again if another has entered since: time that passes between
            // would be counted twice if another were inside meanwhile.
            let now = if is_last { clock::monotonic() } else { 0 };
            let (done, failed) = (Ordering::AcqRel, Ordering::Acquire);
            match (self.inside).compare_exchange_weak(inside, inside - 1, done, failed) {
                Ok(_) if is_last => {
                    self.busy.fetch_add(now, Ordering::Relaxed);
                    self.left.fetch_max(now, Ordering::Relaxed);
                    return;
                }
                Ok(_) => return,
                Err(changed) => inside = changed,
            }
        }
    }

    pub(crate) fn is_inside(&self) -> bool {
        self.inside.load(Ordering::Acquire) as u32 > 0
    }

    /// Whether any thread is inside, or was.
    pub(crate) fn was_entered(&self) -> bool {
        self.is_inside() || self.left.load(Ordering::Relaxed) != 0
    }

    /// The span's times if it ends now. One that was entered ended when it was left last, as OpenTelemetry has it; unless
    /// somebody said that now is the end.
    pub(crate) fn times(&self, is_told: bool) -> Times {
        // Between the two steps of another thread that enters or leaves, the sum is off by a reading of the clock, which is
        // more than the span lasted.
        let look = || {
            let times = self.times_now(is_told);
            (times.busy <= times.duration).then_some(times)
        };
        patience::look_for(look).unwrap_or_else(|| {
            let times = self.times_now(is_told);
            Times {
                busy: times.busy.min(times.duration),
                ..times
            }
        })
    }

    fn times_now(&self, is_told: bool) -> Times {
        let (started, left) = (
            self.started.load(Ordering::Relaxed),
            self.left.load(Ordering::Relaxed),
        );
        let is_inside = self.is_inside();
        let end = if left == 0 || is_inside || is_told {
            clock::monotonic()
        } else {
            left
        };
        let busy = self.busy.load(Ordering::Acquire);
        Times {
            start: self.anchor().wall_at(started),
            duration: end.saturating_sub(started),
            busy: if is_inside {
                busy.wrapping_add(end)
            } else {
                busy
            },
        }
    }

    // Status.

    pub(crate) fn status(&self) -> Status {
        Status::from_u8(self.status.load(Ordering::Acquire))
    }

    pub(crate) fn set_status(&self, status: Status) {
        self.status.store(status as u8, Ordering::Release);
    }

    /// Fails the span. `false`: it has a status already, which stays.
    pub(crate) fn fail(&self) -> bool {
        let (unset, error) = (Status::Unset as u8, Status::Error as u8);
        let (done, failed) = (Ordering::AcqRel, Ordering::Relaxed);
        self.status
            .compare_exchange(unset, error, done, failed)
            .is_ok()
    }

    /// `true` for the first who ends the span.
    pub(crate) fn end(&self) -> bool {
        self.flags.fetch_or(ENDED, Ordering::AcqRel) & ENDED == 0
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.flags.load(Ordering::Acquire) & ENDED != 0
    }

    // Contents.

    /// Runs `change` on the contents, which nobody else reads or changes meanwhile. `None`: they were not to be had, which is
    /// counted.
    pub(crate) fn with<T>(&self, change: impl FnOnce(&mut Content) -> T) -> Option<T> {
        let Some(mut content) = self.lock() else {
            self.lose();
            return None;
        };
        Some(change(content.get_or_insert_default()))
    }

    /// Something was not recorded.
    pub(crate) fn lose(&self) {
        self.lost.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn lost(&self) -> u32 {
        self.lost.load(Ordering::Relaxed)
    }

    fn lock(&self) -> Option<MutexGuard<'_, Option<Box<Content>>>> {
        self.patience.wait_for(|| self.content.try_lock())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(digit: u8) -> SpanIds {
        SpanIds {
            trace: [digit; 32],
            span: [digit; 16],
        }
    }

    #[test]
    fn ids_are_never_of_two_moments() {
        let span = OpenSpan::default();
        span.begin(&ids(b'0'), false, Anchor::inherit(None, 0), 0);
        std::thread::scope(|scope| {
            let writers = [b'1', b'2'].map(|digit| {
                let span = &span;
                scope.spawn(move || {
                    for _ in 0..20_000 {
                        span.with(|content| span.change_ids(content, &ids(digit)));
                    }
                })
            });
            while writers.iter().any(|writer| !writer.is_finished()) {
                let seen = span.ids();
                assert_eq!(seen.trace[..16], seen.trace[16..]);
                assert_eq!(seen.trace[..16], seen.span);
                assert!(seen.span.iter().all(|digit| *digit == seen.span[0]));
            }
        });
    }

    #[test]
    fn the_time_inside_is_exact_however_threads_come_and_go() {
        let span = OpenSpan::default();
        let start = clock::monotonic();
        span.begin(&ids(b'0'), false, Anchor::inherit(None, start), start);
        std::thread::scope(|scope| {
            // Many more than there are processors, so that some are stopped between two steps.
            for _ in 0..16 {
                scope.spawn(|| {
                    for _ in 0..20_000 {
                        span.enter();
                        span.exit();
                    }
                });
            }
        });
        let elapsed = clock::monotonic() - start;
        // Not clamped yet: a lost or doubled reading would show as a number of another size.
        assert!(span.busy.load(Ordering::Relaxed) <= elapsed);
        let times = span.times(false);
        assert!(times.busy <= times.duration && times.duration <= elapsed);
    }

    #[test]
    fn who_ends_a_span_while_another_enters_or_leaves_it_tells_the_time_inside() {
        let span = OpenSpan::default();
        let start = clock::monotonic();
        // It began with the clock, before anybody was inside.
        span.begin(&ids(b'0'), false, Anchor::inherit(None, start), 1);
        let step = |step: fn(&OpenSpan)| {
            let begins = std::sync::Barrier::new(2);
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    begins.wait();
                    step(&span);
                });
                begins.wait();
                let times = span.times(true);
                assert!(times.busy < times.duration);
            });
        };
        span.inside.fetch_add(1, Ordering::AcqRel);
        step(|span| {
            span.busy.fetch_sub(clock::monotonic(), Ordering::Relaxed);
        });
        span.inside.fetch_sub(1, Ordering::AcqRel);
        step(|span| {
            span.busy.fetch_add(clock::monotonic(), Ordering::Relaxed);
        });
    }

    #[test]
    fn an_exit_too_many_is_nothing() {
        let span = OpenSpan::default();
        span.exit();
        assert!(!span.is_inside());
        span.enter();
        assert!(span.is_inside());
    }

    #[test]
    fn who_does_not_get_the_contents_goes_on_and_is_counted() {
        let span = OpenSpan::default();
        let held = span.content.lock().unwrap();
        assert_eq!(span.with(|_| ()), None);
        assert_eq!(span.lost(), 1);
        drop(held);
        assert_eq!(span.with(|_| ()), Some(()));
    }
}
