//! What the operating system says, by its own numbers: the HTTP client passes them on, and its words differ by system.

use std::error::Error;
use std::io;

use super::Trouble;

/// Numbers for which `std` has no kind.
#[cfg(unix)]
mod number {
    pub(super) const FILES_OF_PROCESS: &[i32] = &[libc::EMFILE];
    pub(super) const FILES_OF_MACHINE: &[i32] = &[libc::ENFILE];
    pub(super) const NO_BUFFERS: &[i32] = &[libc::ENOBUFS];
    /// The host's neighbours can not find it, or the machine has no address of that family.
    pub(super) const NO_WAY: &[i32] = &[libc::EHOSTDOWN, libc::EAFNOSUPPORT];
}

/// The same of Winsock.
#[cfg(not(unix))]
mod number {
    pub(super) const FILES_OF_PROCESS: &[i32] = &[10_024];
    pub(super) const FILES_OF_MACHINE: &[i32] = &[];
    pub(super) const NO_BUFFERS: &[i32] = &[10_055];
    pub(super) const NO_WAY: &[i32] = &[10_064, 10_047];
}

impl Trouble {
    /// What this machine, or this process, has used up. It is the same trouble whatever it was wanted for.
    pub(crate) fn exhausted(error: &io::Error) -> Option<Self> {
        let is = |numbers: &[i32]| {
            error
                .raw_os_error()
                .is_some_and(|code| numbers.contains(&code))
        };
        if is(number::FILES_OF_PROCESS) {
            Some(Self::Files)
        } else if is(number::FILES_OF_MACHINE) {
            Some(Self::FilesOfAll)
        } else if is(number::NO_BUFFERS) || error.kind() == io::ErrorKind::OutOfMemory {
            Some(Self::Memory)
        } else {
            None
        }
    }

    /// Why there is no thread, or no event queue for one.
    pub(crate) fn of_thread(error: &io::Error) -> Option<Self> {
        let is_at_limit = error.kind() == io::ErrorKind::WouldBlock;
        is_at_limit
            .then_some(Self::Threads)
            .or_else(|| Self::exhausted(error))
    }

    /// Why there is no connection.
    pub(crate) fn of_connection(error: &io::Error) -> Option<Self> {
        use io::ErrorKind as Kind;
        let is_no_way = error
            .raw_os_error()
            .is_some_and(|code| number::NO_WAY.contains(&code));
        Self::exhausted(error).or_else(|| match error.kind() {
            _ if is_no_way => Some(Self::NoRoute),
            Kind::ConnectionRefused => Some(Self::Refused),
            Kind::TimedOut => Some(Self::ConnectTimeout),
            // Linux says of used up ports that it is busy.
            Kind::AddrNotAvailable | Kind::AddrInUse | Kind::WouldBlock => Some(Self::Ports),
            Kind::NetworkUnreachable | Kind::HostUnreachable | Kind::NetworkDown => {
                Some(Self::NoRoute)
            }
            Kind::PermissionDenied => Some(Self::Forbidden),
            _ => None,
        })
    }
}

/// The other side, or something on the way, cut the connection.
pub(super) fn is_cut(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    matches!(
        error.kind(),
        Kind::UnexpectedEof
            | Kind::ConnectionReset
            | Kind::ConnectionAborted
            | Kind::BrokenPipe
            | Kind::NotConnected
    )
}

/// The system's own error, which carries a number, or one that others made in its place.
pub(super) fn error<'a>(cause: &'a (dyn Error + 'static)) -> Option<&'a io::Error> {
    cause
        .downcast_ref::<io::Error>()
        .or_else(|| cause.downcast_ref::<h2::Error>()?.get_io())
}

/// Whether a file can be opened just now. What can not be read for want of one, others report as not being there.
pub(super) fn files() -> Option<Trouble> {
    Trouble::exhausted(&want_files(1).err()?)
}

/// Opens so many files, and closes them again.
///
/// # Errors
/// So many files can not be open at this time. A machine on which there is no file to try this with has no such limit.
pub(in crate::worker) fn want_files(number: usize) -> io::Result<()> {
    let or_fine = |error: io::Error| match Trouble::exhausted(&error) {
        Some(_) => Err(error),
        None => Ok(()),
    };
    let Ok(path) = std::env::current_exe() else {
        return Ok(());
    };
    let first = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error) => return or_fine(error),
    };
    let others: io::Result<Vec<_>> = (1..number).map(|_| first.try_clone()).collect();
    others.map(drop).or_else(or_fine)
}
