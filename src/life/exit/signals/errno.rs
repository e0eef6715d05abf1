//! The error number of the calling thread, which a signal handler must leave as it found it.
#![expect(unsafe_code, reason = "std reads it, but has no way to set it")]

use std::ffi::c_int;

/// A number to be put back.
pub(super) struct Errno(c_int);

impl Errno {
    pub(super) fn saved() -> Self {
        // SAFETY: the place is the thread's own, and lives as long as the thread.
        Self(unsafe { *place() })
    }

    pub(super) fn restore(self) {
        // SAFETY: as above, and nobody else writes to it.
        unsafe { *place() = self.0 };
    }
}

fn place() -> *mut c_int {
    // SAFETY: it only says where the number is. POSIX allows a handler to change it.
    unsafe {
        #[cfg(any(target_os = "macos", target_os = "ios", target_os = "freebsd"))]
        return libc::__error();
        #[cfg(any(target_os = "android", target_os = "netbsd", target_os = "openbsd"))]
        return libc::__errno();
        #[cfg(any(target_os = "solaris", target_os = "illumos"))]
        return libc::___errno();
        #[cfg(not(any(
            target_os = "macos",
            target_os = "ios",
            target_os = "freebsd",
            target_os = "android",
            target_os = "netbsd",
            target_os = "openbsd",
            target_os = "solaris",
            target_os = "illumos"
        )))]
        return libc::__errno_location();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_saved_is_put_back() {
        let errno = || std::io::Error::last_os_error().raw_os_error();
        let saved = Errno::saved();
        let before = errno();
        // A directory can not be opened for writing.
        assert!(std::fs::File::create("/").is_err());
        saved.restore();
        assert_eq!(errno(), before);
    }
}
