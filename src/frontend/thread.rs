//! `thread.name` and `thread.id`, rendered once for each thread.

use std::cell::{Cell, RefCell};
use std::sync::atomic::{AtomicU64, Ordering};

use super::callsite::NAME_BYTES;
use crate::record::json;

thread_local! {
    static MEMBERS: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    /// Has no destructor: a thread that is ending, and has lost its members, still has its number.
    static NUMBER: Cell<u64> = const { Cell::new(0) };
}

/// Lends the members `,"thread.id":…,"thread.name":…`; empty unless they are asked for.
pub(crate) fn with_members(wanted: bool, put: impl FnOnce(&[u8])) {
    if !wanted {
        return put(b"");
    }
    let mut members = MEMBERS.try_with(RefCell::take).unwrap_or_default();
    if members.is_empty() {
        // std's `ThreadId` can not be read as a number, so threads are numbered as they first record.
        static NEXT: AtomicU64 = AtomicU64::new(1);
        if NUMBER.get() == 0 {
            NUMBER.set(NEXT.fetch_add(1, Ordering::Relaxed));
        }
        members.extend_from_slice(b",\"thread.id\":");
        json::put_u64(&mut members, NUMBER.get());
        if let Some(name) = std::thread::current().name() {
            members.extend_from_slice(b",\"thread.name\":");
            json::put_str(&mut members, name, NAME_BYTES);
        }
    }
    put(&members);
    MEMBERS.try_with(|kept| kept.replace(members)).ok();
}
