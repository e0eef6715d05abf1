//! A proxy that is broken at the start. The environment names it, so its port is chosen before the process begins.

use std::io::{self, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use axiom_layer::Cause;
use axiom_local::Server;
use tokio::net::TcpSocket;

use crate::certificates::{issuer, server_config};
use crate::front::{Front, Speaks};
use crate::outage::{HOST, Outage, alone, trust};
use crate::relay::{Request, pass_on, read_request, serve_all};

const FIX: &str = "NO_PROXY";

/// Holds a port that nobody listens on. More than one process can: the test, and the one it starts.
fn reserved(port: u16) -> TcpSocket {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_reuseport(true).unwrap();
    socket.bind((Ipv4Addr::LOCALHOST, port).into()).unwrap();
    socket
}

/// Runs with the port of the proxy that the environment names, as `HTTP_PROXY` and the like.
fn behind_a_proxy(test: &str, run: impl FnOnce(u16)) {
    const PORT: &str = "AXIOM_LAYER_TEST_PROXY";
    let socket = reserved(0);
    let port = socket.local_addr().unwrap().port();
    let proxy = format!("http://127.0.0.1:{port}");
    let variables = [
        ("HTTP_PROXY", &*proxy),
        ("HTTPS_PROXY", &*proxy),
        (PORT, &*port.to_string()),
    ];
    alone(test, &variables, || {
        run(std::env::var(PORT).unwrap().parse().unwrap());
    });
}

/// Leads to one address, whatever host is asked for.
struct Proxy {
    is_good: Arc<AtomicBool>,
}

impl Proxy {
    fn start(port: u16, behind: SocketAddr, is_good: bool) -> Self {
        let proxy = Self {
            is_good: Arc::new(AtomicBool::new(is_good)),
        };
        let is_good = Arc::clone(&proxy.is_good);
        serve_all(listener(port), move |stream| {
            // Either end may go away.
            drop(serve(stream, behind, is_good.load(Ordering::SeqCst)));
        });
        proxy
    }

    fn mend(&self) {
        self.is_good.store(true, Ordering::SeqCst);
    }
}

fn listener(port: u16) -> TcpListener {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()
        .unwrap();
    let listener =
        runtime.block_on(async { reserved(port).listen(128).unwrap().into_std().unwrap() });
    listener.set_nonblocking(false).unwrap();
    listener
}

fn serve(mut client: TcpStream, behind: SocketAddr, is_good: bool) -> io::Result<()> {
    let mut request = read_request(&client)?;
    if !is_good {
        return client.write_all(
            b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
        );
    }
    if request.head.starts_with("CONNECT ") {
        return tunnel(client, behind);
    }
    to_origin_form(&mut request);
    pass_on(&request, behind, &mut client)
}

/// `POST http://host/path` becomes `POST /path`.
fn to_origin_form(request: &mut Request) {
    let address = format!("http://{HOST}");
    assert!(request.head.contains(&address), "{}", request.head);
    request.head = request.head.replacen(&address, "", 1);
}

fn tunnel(mut client: TcpStream, behind: SocketAddr) -> io::Result<()> {
    let mut server = TcpStream::connect(behind)?;
    client.write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
    let (mut from_client, mut to_server) = (client.try_clone()?, server.try_clone()?);
    thread::scope(|scope| {
        scope.spawn(move || {
            drop(io::copy(&mut from_client, &mut to_server));
            drop(to_server.shutdown(Shutdown::Write));
        });
        let copied = io::copy(&mut server, &mut client).map(drop);
        drop(client.shutdown(Shutdown::Both));
        copied
    })
}

#[test]
fn a_proxy_that_refuses_connections_until_it_is_up() {
    behind_a_proxy(
        "proxy::a_proxy_that_refuses_connections_until_it_is_up",
        |port| {
            let server = Server::start().unwrap();
            let outage = Outage {
                url: &format!("http://{HOST}"),
                cause: Cause::Unreachable,
                what: &format!("(proxy 127.0.0.1:{port})"),
                fix: FIX,
            };
            outage.until_mended(&server, || {
                Proxy::start(port, server.addr(), true);
            });
        },
    );
}

#[test]
fn a_proxy_that_answers_connect_with_502_for_a_while() {
    behind_a_proxy(
        "proxy::a_proxy_that_answers_connect_with_502_for_a_while",
        |port| {
            let issuer = issuer();
            trust(&issuer);
            let server = Server::start().unwrap();
            let front = Front::before(&server, Speaks::Tls(server_config(&issuer, HOST, 2100)));
            let proxy = Proxy::start(port, front.addr, false);
            let outage = Outage {
                url: &format!("https://{HOST}"),
                cause: Cause::Unreachable,
                what: &format!("(proxy 127.0.0.1:{port})"),
                fix: FIX,
            };
            outage.until_mended(&server, || proxy.mend());
        },
    );
}

#[test]
fn a_proxy_that_answers_requests_with_502_for_a_while() {
    behind_a_proxy(
        "proxy::a_proxy_that_answers_requests_with_502_for_a_while",
        |port| {
            let server = Server::start().unwrap();
            let proxy = Proxy::start(port, server.addr(), false);
            let outage = Outage {
                url: &format!("http://{HOST}"),
                cause: Cause::ServerError,
                what: &format!("(by way of the proxy 127.0.0.1:{port})"),
                fix: FIX,
            };
            outage.until_mended(&server, || proxy.mend());
        },
    );
}
