//! Name resolution that is broken at the start. The system's resolver is replaced in this program: a symbol of an
//! executable goes before that of a library.

#![expect(unsafe_code, reason = "the resolver's interface is C's")]

use std::ffi::{CStr, c_char, c_int};
use std::mem::transmute;
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering};

use axiom_layer::Cause;
use axiom_local::Server;
use libc::addrinfo;

use crate::outage::{HOST, Outage, alone};

/// What the resolver says of [`HOST`] for now; 0 once it knows it.
static SAYS: AtomicI32 = AtomicI32::new(0);
static ASKED: AtomicU32 = AtomicU32::new(0);

type Resolver = unsafe extern "C" fn(
    *const c_char,
    *const c_char,
    *const addrinfo,
    *mut *mut addrinfo,
) -> c_int;

/// Answers for [`HOST`], and leaves other names to the system.
#[unsafe(no_mangle)]
unsafe extern "C" fn getaddrinfo(
    mut node: *const c_char,
    service: *const c_char,
    hints: *const addrinfo,
    result: *mut *mut addrinfo,
) -> c_int {
    // SAFETY: null or a C string, as the interface says.
    let is_host = !node.is_null() && unsafe { CStr::from_ptr(node) }.to_bytes() == HOST.as_bytes();
    if is_host {
        ASKED.fetch_add(1, Ordering::SeqCst);
        match SAYS.load(Ordering::SeqCst) {
            0 => node = c"127.0.0.1".as_ptr(),
            error => return error,
        }
    }
    // SAFETY: the symbol is that of a function of this type, whose arguments are our own.
    unsafe {
        let system = libc::dlsym(libc::RTLD_NEXT, c"getaddrinfo".as_ptr());
        assert!(!system.is_null(), "the system has no resolver");
        let system: Resolver = transmute(system);
        system(node, service, hints, result)
    }
}

fn heals(test: &str, error: c_int) {
    alone(test, &[], || {
        SAYS.store(error, Ordering::SeqCst);
        let server = Server::start().unwrap();
        let outage = Outage {
            url: &format!("http://{HOST}:{}", server.addr().port()),
            cause: Cause::Unreachable,
            what: "can not be resolved",
            fix: "this machine's DNS",
        };
        outage.until_mended(&server, || SAYS.store(0, Ordering::SeqCst));
        assert!(
            ASKED.load(Ordering::SeqCst) > 1,
            "it is another that was asked"
        );
    });
}

#[test]
fn a_resolver_that_does_not_answer_until_it_is_up() {
    heals(
        "names::a_resolver_that_does_not_answer_until_it_is_up",
        libc::EAI_AGAIN,
    );
}

#[test]
fn a_name_that_is_unknown_until_it_is_entered() {
    heals(
        "names::a_name_that_is_unknown_until_it_is_entered",
        libc::EAI_NONAME,
    );
}
