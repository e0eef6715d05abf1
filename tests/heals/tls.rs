//! TLS that is broken at the start: at the endpoint's end, or at this machine's.

use axiom_layer::Cause;
use axiom_local::Server;

use crate::certificates::{Issuer, issuer, server_config};
use crate::front::{Front, Speaks};
use crate::outage::{Outage, alone, trust};

/// No proxy is asked for it, and the certificate is for it.
const NAME: &str = "localhost";
const GOOD_UNTIL: i32 = 2100;
const EXPIRED: i32 = 2021;

fn good(issuer: &Issuer) -> Speaks {
    Speaks::Tls(server_config(issuer, NAME, GOOD_UNTIL))
}

/// The endpoint is at fault, and is mended.
fn endpoint_is_mended(test: &str, what: &str, fix: &str, broken: impl FnOnce(&Issuer) -> Speaks) {
    alone(test, &[], || {
        let trusted = issuer();
        trust(&trusted);
        let server = Server::start().unwrap();
        let front = Front::before(&server, broken(&trusted));
        let outage = Outage {
            url: &format!("https://{NAME}:{}", front.addr.port()),
            cause: Cause::Unreachable,
            what,
            fix,
        };
        outage.until_mended(&server, || front.now_speaks(good(&trusted)));
    });
}

#[test]
fn a_port_without_tls_that_gets_it() {
    endpoint_is_mended(
        "tls::a_port_without_tls_that_gets_it",
        "this port does not speak TLS",
        "correct the port",
        |_| Speaks::Http,
    );
}

#[test]
fn a_certificate_of_an_unknown_issuer_that_is_replaced() {
    endpoint_is_mended(
        "tls::a_certificate_of_an_unknown_issuer_that_is_replaced",
        "is not trusted",
        "add its certificate authority",
        |_| good(&issuer()),
    );
}

#[test]
fn an_expired_certificate_that_is_replaced() {
    endpoint_is_mended(
        "tls::an_expired_certificate_that_is_replaced",
        "is not valid at this time",
        "needs a new certificate",
        |trusted| Speaks::Tls(server_config(trusted, NAME, EXPIRED)),
    );
}

/// This machine is at fault, and is mended: the file of what it trusts is written in the outage.
fn machine_is_mended(test: &str, cause: Cause, what: &str, fix: &str, prepare: impl FnOnce()) {
    alone(test, &[], || {
        prepare();
        let issuer = issuer();
        let server = Server::start().unwrap();
        let front = Front::before(&server, good(&issuer));
        let outage = Outage {
            url: &format!("https://{NAME}:{}", front.addr.port()),
            cause,
            what,
            fix,
        };
        outage.until_mended(&server, || trust(&issuer));
    });
}

#[test]
fn an_issuer_that_this_machine_comes_to_trust() {
    machine_is_mended(
        "tls::an_issuer_that_this_machine_comes_to_trust",
        Cause::Unreachable,
        "is not trusted",
        "SSL_CERT_FILE",
        || trust(&issuer()),
    );
}

/// OpenSSL is content with no certificates at all, and then trusts nobody.
#[test]
#[cfg(feature = "rustls")]
fn certificates_that_are_not_there_yet() {
    machine_is_mended(
        "tls::certificates_that_are_not_there_yet",
        Cause::Client,
        "connections can not be set up",
        "ca-certificates",
        || {},
    );
}
