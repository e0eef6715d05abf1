//! Tells whether this is still the process in which a thing was made, or a child forked from it.

/// The process in which it was made.
#[derive(Debug, Clone)]
pub(crate) struct Process {
    #[cfg(unix)]
    guard: Option<forkguard::atfork::Guard>,
}

impl Process {
    pub(crate) fn new() -> Self {
        Self {
            // Where the system refuses the handler, forks go unnoticed, as they would without us.
            #[cfg(unix)]
            guard: forkguard::atfork::Guard::try_new().ok(),
        }
    }

    /// One load: a child's first steps change a counter.
    #[inline]
    pub(crate) fn is_this(&self) -> bool {
        #[cfg(unix)]
        let forked = self
            .guard
            .clone()
            .is_some_and(|mut guard| guard.detected_fork());
        #[cfg(not(unix))]
        let forked = false;
        !forked
    }
}
