//! SIGTERM, SIGINT and SIGABRT: deliver, then let the signal do what it would have done without us.
//!
//! Only a signal that nobody handles or ignores is taken. The handler is our own, because no library tells
//! whether the application has come later and handles the signal too: then it decides about the end, and a
//! process that was ended beside it would end amid its shutdown. The handler also knows a forked child, which
//! inherits it but not the thread that it wakes.
//!
//! The handler runs on any thread, and calls nothing but what POSIX allows there; the rest happens on a thread
//! of its own, `axiom-layer-signals`. After SIGTERM and SIGINT the application goes on meanwhile. SIGABRT is how `abort()`
//! ends a process, and with it a stack overflow, memory that ran out and a panic that may not unwind: there the
//! handler waits, for the process is gone once it returns. Whatever lock the aborting thread holds, it waits no longer than
//! the shutdown timeout.
#![expect(
    unsafe_code,
    reason = "no safe interface tells who handles a signal now"
)]

mod errno;

use std::ffi::c_int;
use std::io::{PipeReader, Read};
use std::os::fd::IntoRawFd;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use libc::{SIG_DFL, SIGABRT, SIGINT, SIGTERM, sighandler_t};

use self::errno::Errno;

/// The process whose thread waits for signals; 0 for none. A forked child has the number, but not the thread.
static OWNER: AtomicI32 = AtomicI32::new(0);
/// Where the handler writes the signal's number. We never close it, but a program may close what it does not know.
static WRITER: AtomicI32 = AtomicI32::new(-1);
/// Which file that was: the number alone may be given to another.
static WRITER_FILE: [AtomicU64; 2] = [AtomicU64::new(0), AtomicU64::new(0)];
/// A signal has come: the next one ends the process at once.
static AGAIN: AtomicBool = AtomicBool::new(false);
/// What was there when the first signal came is delivered, as far as that was possible.
static DELIVERED: AtomicBool = AtomicBool::new(false);
/// The longest shutdown timeout, in milliseconds.
static TIMEOUT: AtomicU64 = AtomicU64::new(0);

/// What the worker needs beyond a timeout for its last word.
const GRACE: Duration = Duration::from_millis(250);

/// Once for each process: called again in a forked child, it gives that its own thread.
pub(super) fn install(shutdown_timeout: Duration) {
    let timeout = u64::try_from(shutdown_timeout.as_millis()).unwrap_or(u64::MAX);
    TIMEOUT.fetch_max(timeout, Ordering::SeqCst);
    static CLAIMED: AtomicI32 = AtomicI32::new(0);
    let process = process();
    if CLAIMED.swap(process, Ordering::SeqCst) == process {
        return;
    }
    // Without a pipe or a thread, signals do what they did before.
    let Ok((reader, writer)) = std::io::pipe() else {
        return;
    };
    let thread = std::thread::Builder::new()
        .name("axiom-layer-signals".into())
        .spawn(move || serve(reader));
    if thread.is_err() {
        return;
    }
    forget();
    let writer = writer.into_raw_fd();
    if let Some(file) = file_of(writer) {
        for (kept, part) in WRITER_FILE.iter().zip(file) {
            kept.store(part, Ordering::SeqCst);
        }
    }
    WRITER.store(writer, Ordering::SeqCst);
    OWNER.store(process, Ordering::SeqCst);
    for signal in [SIGTERM, SIGINT, SIGABRT] {
        if disposition(signal) == Some(SIG_DFL) {
            take(signal);
        }
    }
}

/// No signal has come.
fn forget() {
    AGAIN.store(false, Ordering::SeqCst);
    DELIVERED.store(false, Ordering::SeqCst);
}

/// The process ends, and everything was done for that: no signal waits any more.
pub(super) fn finish() {
    AGAIN.store(true, Ordering::SeqCst);
}

/// The thread.
fn serve(mut reader: PipeReader) {
    let mut signal = [0];
    while reader.read_exact(&mut signal).is_ok() {
        let signal = c_int::from(signal[0]);
        let start = Instant::now();
        super::deliver(start);
        // Nobody takes SIGABRT over once it is on its way. For the others the application may have come meanwhile: then it
        // decides about the end, and its next signal, or its abort, is the first one.
        let is_taken_over = || signal != SIGABRT && !is_ours(signal);
        if is_taken_over() {
            super::go_on();
            forget();
            continue;
        }
        super::end_for_good(start);
        DELIVERED.store(true, Ordering::SeqCst);
        // The end may have taken seconds, too. What is recorded after it is counted, but the process goes on.
        if is_taken_over() {
            forget();
        } else if signal != SIGABRT {
            // SIGABRT ends in its handler.
            end(signal);
        }
    }
    // Whoever closed the pipe may have its number in use for something else.
    std::mem::forget(reader);
}

extern "C" fn handle(signal: c_int) {
    // The code that was interrupted may be about to look at it.
    let errno = Errno::saved();
    act(signal);
    errno.restore();
}

fn act(signal: c_int) {
    if !is_ours(signal) {
        // Called by the application's handler, which came later.
        return;
    }
    let is_child = OWNER.load(Ordering::SeqCst) != process();
    if is_child || AGAIN.swap(true, Ordering::SeqCst) || !wake(signal) {
        return end(signal);
    }
    if signal == SIGABRT {
        wait();
        end(signal);
    }
}

/// Tells the thread. `false`: it can not be told any more.
fn wake(signal: c_int) -> bool {
    let writer = WRITER.load(Ordering::SeqCst);
    let file = [0, 1].map(|part: usize| WRITER_FILE[part].load(Ordering::SeqCst));
    if file_of(writer) != Some(file) {
        return false;
    }
    // They have small numbers.
    let [byte, ..] = signal.to_le_bytes();
    // SAFETY: one byte of `byte` is read. Few are ever written, and the thread reads them, so the pipe has room.
    let written = unsafe { libc::write(writer, ptr::from_ref(&byte).cast(), 1) };
    written == 1
}

/// Device and number of the file behind a descriptor. POSIX allows the call in a handler.
fn file_of(descriptor: c_int) -> Option<[u64; 2]> {
    // SAFETY: all zeroes is a valid `stat`, which is plain data.
    let mut file: libc::stat = unsafe { std::mem::zeroed() };
    // SAFETY: the call only writes to `file`, which outlives it.
    let result = unsafe { libc::fstat(descriptor, &raw mut file) };
    (result == 0).then(|| [number(file.st_dev), number(file.st_ino)])
}

/// Systems have various types for these.
fn number(value: impl TryInto<u64>) -> u64 {
    value.try_into().unwrap_or(u64::MAX)
}

/// Until the other thread has delivered.
fn wait() {
    let timeout = Duration::from_millis(TIMEOUT.load(Ordering::SeqCst));
    let start = Instant::now();
    while !DELIVERED.load(Ordering::SeqCst) && start.elapsed() < timeout + GRACE {
        // SAFETY: no descriptor is looked at; it is a way to sleep, for a millisecond, that a handler may use.
        unsafe { libc::poll(ptr::null_mut(), 0, 1) };
    }
}

/// Does what the signal does when nobody handles it.
fn end(signal: c_int) {
    // The kernel keeps the first process of a container from a signal's default, its own signals included. Whoever started it
    // is told by the exit status, as shells tell it.
    if process() == 1 {
        // SAFETY: it may be called in a handler, and does not return. Everything was delivered.
        unsafe { libc::_exit(128 + signal) };
    }
    // SAFETY: all of these may be called in a handler, and no handler is left behind that could be gone.
    unsafe {
        libc::signal(signal, SIG_DFL);
        if signal == SIGABRT {
            // Pending until the handler returns: a core dump shows the thread that aborted, where it did.
            libc::raise(signal);
        } else {
            // Not `raise`: this thread may have the signal blocked.
            libc::kill(libc::getpid(), signal);
        }
    }
}

fn is_ours(signal: c_int) -> bool {
    disposition(signal) == Some(handler())
}

fn handler() -> sighandler_t {
    (handle as extern "C" fn(c_int)) as *const () as sighandler_t
}

/// What the process does with the signal now.
fn disposition(signal: c_int) -> Option<sighandler_t> {
    // SAFETY: all zeroes is a valid `sigaction`, which is plain data.
    let mut now: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: the call only writes to `now`, which outlives it.
    let result = unsafe { libc::sigaction(signal, ptr::null(), &raw mut now) };
    (result == 0).then_some(now.sa_sigaction)
}

fn take(signal: c_int) {
    // SAFETY: as above. An empty mask, a handler that does what handlers may, interrupted calls restarted, and after a
    // stack overflow the stack that is kept for it.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handler();
        action.sa_flags = libc::SA_RESTART | libc::SA_ONSTACK;
        libc::sigemptyset(&raw mut action.sa_mask);
        libc::sigaction(signal, &raw const action, ptr::null_mut());
    }
}

fn process() -> libc::pid_t {
    // SAFETY: it only asks the kernel, and can not fail.
    unsafe { libc::getpid() }
}
