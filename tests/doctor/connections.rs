//! What goes wrong before a request gets through.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use axiom_layer::doctor::{Problem, State, Step};
use axiom_local::Server;

use crate::common::{NOWHERE, SHORT, TOKEN, assert_wrong, builder, diagnose};
use crate::relay::listen;

const LONG: Duration = Duration::from_secs(10);

#[test]
fn a_setting_that_is_missing_or_wrong_is_named_and_nothing_is_sent() {
    let server = Server::start().unwrap();
    let url = server.url();
    for (builder, what, fix) in [
        (
            axiom_layer::builder().token(TOKEN).url(url).dataset(" "),
            ".dataset(..): is empty",
            "leave out the call",
        ),
        (
            builder("ftp://127.0.0.1"),
            "ftp://127.0.0.1",
            "write it like https://api.axiom.co",
        ),
        (builder("http://192.0.2.1"), "unencrypted", "use https"),
        (
            builder(url).queue_max_bytes(1),
            ".queue_max_bytes(1)",
            "correct this setting",
        ),
        (
            builder("https://api.axiom.co").token("abc"),
            ".token(..)",
            "create an API token",
        ),
    ] {
        let diagnosis = diagnose(&builder, LONG);
        assert_wrong(
            &diagnosis,
            Step::Configuration,
            Problem::Configuration,
            what,
            fix,
        );
    }
    assert_eq!(server.requests_seen(), 0);
}

#[test]
fn a_name_that_does_not_resolve() {
    let diagnosis = diagnose(&builder(NOWHERE), LONG);
    assert_wrong(
        &diagnosis,
        Step::Name,
        Problem::Name,
        NOWHERE,
        "spelling of the host in the address (AXIOM_URL",
    );
}

#[test]
fn a_name_that_resolves_is_shown_with_its_addresses() {
    let server = Server::start().unwrap();
    let url = server.url().replace("127.0.0.1", "localhost");
    let diagnosis = diagnose(&builder(&url), LONG);
    assert!(diagnosis.is_healthy(), "{diagnosis}");
    let name = &diagnosis.checks()[1];
    assert_eq!(name.state(), State::Passed);
    assert!(name.detail().contains("127.0.0.1"), "{name}");
}

#[test]
fn a_port_where_nothing_listens() {
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let diagnosis = diagnose(&builder(&format!("http://{port}")), LONG);
    assert_wrong(
        &diagnosis,
        Step::Connection,
        Problem::ConnectionRefused,
        "refused",
        "something listens there",
    );
}

/// A listener that accepts nothing any more: the system drops what comes. The streams fill its queue.
fn dropping() -> (tokio::net::TcpListener, Vec<TcpStream>, SocketAddr) {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut streams = Vec::new();
    while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(200)) {
        streams.push(stream);
    }
    (listener, streams, address)
}

#[tokio::test]
#[cfg(target_os = "linux")]
async fn packets_that_are_dropped_are_not_waited_for_longer_than_stated() {
    let (_listener, _streams, address) = dropping();
    let diagnosis = diagnose(&builder(&format!("http://{address}")), SHORT);
    assert_wrong(
        &diagnosis,
        Step::Connection,
        Problem::ConnectionTimeout,
        "stays silent",
        "firewall",
    );
}

#[test]
fn a_port_that_does_not_speak_tls() {
    let server = Server::start().unwrap();
    let url = server.url().replace("http:", "https:");
    let diagnosis = diagnose(&builder(&url), LONG);
    assert_wrong(
        &diagnosis,
        Step::Tls,
        Problem::NotTls,
        "this port does not speak TLS",
        "write http:// in the address",
    );
    assert_eq!(server.requests_seen(), 0);
}

#[test]
fn a_port_that_accepts_and_keeps_silent_instead_of_tls() {
    let address = listen(|mut stream| {
        // Until the client gives up.
        io::copy(&mut stream, &mut io::sink()).ok();
    });
    let diagnosis = diagnose(&builder(&format!("https://{address}")), SHORT);
    assert_wrong(
        &diagnosis,
        Step::Tls,
        Problem::Tls,
        "no answer to the handshake",
        "check that this port speaks TLS",
    );
}

#[test]
fn a_port_that_hangs_up_instead_of_tls() {
    let address = listen(drop);
    let diagnosis = diagnose(&builder(&format!("https://{address}")), LONG);
    assert_wrong(
        &diagnosis,
        Step::Tls,
        Problem::Tls,
        "no TLS with",
        "a firewall",
    );
}

#[test]
fn no_time_at_all_is_a_diagnosis_too() {
    let server = Server::start().unwrap();
    let diagnosis = diagnose(&builder(server.url()), Duration::ZERO);
    assert!(!diagnosis.is_healthy());
    let diagnosis = diagnose(&builder(server.url()), Duration::MAX.div_f64(2.0));
    assert!(diagnosis.is_healthy(), "{diagnosis}");
}
