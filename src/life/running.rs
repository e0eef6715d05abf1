//! The pipelines that are in use in this process, for what happens at its end.
//!
//! A forked child has a list of its own, and never looks at its parent's: a thread that held the lock of that one at the
//! fork does not exist in the child, so the lock would never be free.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError, Weak};
use std::time::Duration;

use once_cell::race::OnceBox;

use super::pipeline::Pipeline;
use crate::process::Process;

struct Running {
    process: Process,
    pipelines: Mutex<Vec<Weak<Pipeline>>>,
    /// In a child of the process that this was made in. Set without a lock, for the same reason.
    child: OnceBox<Running>,
}

impl Running {
    fn new() -> Box<Self> {
        Box::new(Self {
            process: Process::new(),
            pipelines: Mutex::default(),
            child: OnceBox::new(),
        })
    }

    /// The list of this process.
    fn here() -> &'static Self {
        static FIRST: OnceBox<Running> = OnceBox::new();
        let mut running = FIRST.get_or_init(Self::new);
        while !running.process.is_this() {
            running = running.child.get_or_init(Self::new);
        }
        running
    }
}

/// Notes a pipeline that was made in this process.
pub(crate) fn add(pipeline: &Arc<Pipeline>) {
    let pipelines = &Running::here().pipelines;
    let mut pipelines = pipelines.lock().unwrap_or_else(PoisonError::into_inner);
    pipelines.retain(|pipeline| pipeline.strong_count() > 0);
    pipelines.push(Arc::downgrade(pipeline));
}

/// The pipelines that are still in use in this process. A forked child that recorded nothing has none.
pub(crate) fn all() -> Vec<Arc<Pipeline>> {
    let Some(pipelines) = try_for_a_while(&Running::here().pipelines) else {
        return Vec::new();
    };
    pipelines.iter().filter_map(Weak::upgrade).collect()
}

/// A thread holds the lock for a moment only, unless it aborts meanwhile. The end of a program must not wait for such a thread, so after
/// some tries it goes on without the lock.
fn try_for_a_while<T>(mutex: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
    const TRIES: u32 = 100;
    for _ in 0..TRIES {
        match mutex.try_lock() {
            Ok(guard) => return Some(guard),
            Err(TryLockError::Poisoned(guard)) => return Some(guard.into_inner()),
            Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(1)),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipeline_is_found_whoever_looks_for_it_at_the_same_time() {
        let builder = crate::builder().url("http://localhost:1").token("t");
        let (_layer, _guard) = builder.dataset("d").diagnostics(false).build().unwrap();
        let find = || (0..20_000).all(|_| !all().is_empty());
        std::thread::scope(|scope| {
            let finders = [(); 4].map(|()| scope.spawn(find));
            let found = finders.map(|finder| finder.join().unwrap());
            assert_eq!(found, [true; 4]);
        });
    }
}
