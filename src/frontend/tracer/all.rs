//! All layers of this process, for those who come without one: `SpanExt`, the panic hook, and a layer that shares its
//! registry with another of ours.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, RwLock, RwLockReadGuard, RwLockWriteGuard, Weak};

use super::Tracer;
use super::current;
use crate::frontend::patience::Patience;
use crate::trace::TraceContext;

static ALL: RwLock<Vec<Weak<Tracer>>> = RwLock::new(Vec::new());
/// How many there are, to be asked without the lock.
static COUNT: AtomicUsize = AtomicUsize::new(0);

/// The list is locked for copying it only, and changed only where a layer is built. But a forked child may find it locked by
/// a thread that only its parent has, and then goes without.
static PATIENCE: Patience = Patience::new();

pub(super) fn add(tracer: &Arc<Tracer>) {
    COUNT.fetch_add(1, Ordering::AcqRel);
    if let Some(mut all) = write() {
        all.retain(|tracer| tracer.strong_count() > 0);
        all.push(Arc::downgrade(tracer));
    }
}

pub(super) fn removed() {
    COUNT.fetch_sub(1, Ordering::AcqRel);
}

/// Whether there is more than one.
#[inline]
pub(super) fn are_several() -> bool {
    COUNT.load(Ordering::Acquire) > 1
}

/// Runs `run`, which takes no lock and calls nothing of the application's, on each.
pub(super) fn each(mut run: impl FnMut(&Tracer)) {
    if let Some(all) = read() {
        all.iter()
            .filter_map(Weak::upgrade)
            .for_each(|tracer| run(&tracer));
    }
}

pub(crate) fn all() -> Vec<Arc<Tracer>> {
    let all = read();
    let all = all.iter().flat_map(|all| all.iter());
    all.filter_map(Weak::upgrade).collect()
}

/// The context of the innermost span that any layer saw the calling thread enter.
pub(crate) fn current_context() -> Option<TraceContext> {
    let all = all();
    current::find(|entered| {
        let tracer = all.iter().find(|tracer| tracer.id == entered.tracer)?;
        Some(tracer.spans.get(entered.span)?.context())
    })
}

fn read() -> Option<RwLockReadGuard<'static, Vec<Weak<Tracer>>>> {
    PATIENCE.wait_for(|| ALL.try_read())
}

fn write() -> Option<RwLockWriteGuard<'static, Vec<Weak<Tracer>>>> {
    PATIENCE.wait_for(|| ALL.try_write())
}
