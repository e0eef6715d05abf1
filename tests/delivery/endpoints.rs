//! Endpoints that `axiom-local` can not be: one that judges by content, one that lets nobody in, one that is not there.

use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use axiom_local::Server;

use crate::relay::{Request, pass_on, read_request};

type Judge = dyn Fn(&Request) -> Option<u16> + Send + Sync;

/// Stands before a server and judges by what is in a body, which the layer must not compress: a status of its own, or
/// `None` to let the request through.
pub(crate) struct Gate {
    addr: SocketAddr,
    turned_away: Arc<AtomicU64>,
    is_open: Arc<AtomicBool>,
}

impl Gate {
    pub(crate) fn before(
        server: &Server,
        judge: impl Fn(&Request) -> Option<u16> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let gate = Self {
            addr: listener.local_addr().unwrap(),
            turned_away: Arc::default(),
            is_open: Arc::new(AtomicBool::new(true)),
        };
        let (behind, judge) = (server.addr(), Arc::new(judge));
        let (turned_away, is_open) = (Arc::clone(&gate.turned_away), Arc::clone(&gate.is_open));
        thread::spawn(move || {
            for connection in listener.incoming() {
                if !is_open.load(Ordering::SeqCst) {
                    return;
                }
                let (judge, turned_away) = (Arc::clone(&judge), Arc::clone(&turned_away));
                // A client that went away is no concern of ours.
                thread::spawn(move || {
                    drop(pass(connection?, behind, &*judge as &Judge, &turned_away));
                    io::Result::Ok(())
                });
            }
        });
        gate
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    pub(crate) fn turned_away(&self) -> u64 {
        self.turned_away.load(Ordering::SeqCst)
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.is_open.store(false, Ordering::SeqCst);
        drop(TcpStream::connect(self.addr));
    }
}

/// One request on one connection: judged, or passed on with its answer.
fn pass(
    mut client: TcpStream,
    behind: SocketAddr,
    judge: &Judge,
    turned_away: &AtomicU64,
) -> io::Result<()> {
    let request = read_request(&client)?;
    if let Some(status) = judge(&request) {
        turned_away.fetch_add(1, Ordering::SeqCst);
        let body = r#"{"message":"turned away at the gate"}"#;
        return write!(
            client,
            "HTTP/1.1 {status} Gate\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        );
    }
    pass_on(&request, behind, &mut client)
}

/// A listener whose queue of connections is full: further ones are not even refused.
pub(crate) struct FullBacklog {
    _listener: TcpListener,
    _waiting: Vec<TcpStream>,
    pub(crate) addr: SocketAddr,
}

impl FullBacklog {
    pub(crate) fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build()
            .unwrap();
        let listener = runtime.block_on(async {
            let socket = tokio::net::TcpSocket::new_v4().unwrap();
            socket.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
            socket.listen(1).unwrap().into_std().unwrap()
        });
        let addr = listener.local_addr().unwrap();
        let connect = || TcpStream::connect_timeout(&addr, Duration::from_millis(300));
        let waiting: Vec<_> = std::iter::from_fn(|| connect().ok()).take(100).collect();
        assert!(waiting.len() < 100, "the backlog does not fill");
        Self {
            _listener: listener,
            _waiting: waiting,
            addr,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.addr)
    }
}

/// A port that nobody listens on, kept from others until it is given away.
pub(crate) fn reserved_port() -> (tokio::net::TcpSocket, u16) {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    let port = socket.local_addr().unwrap().port();
    (socket, port)
}
