//! What is before the endpoint: a port that speaks TLS, or for now something else.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};

use axiom_local::Server;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::relay::{listen, pass_on, read_request};

/// What it does with a connection.
#[derive(Clone)]
pub(crate) enum Speaks {
    /// Plain HTTP, as a web server does whose TLS was not switched on.
    Http,
    Tls(Arc<ServerConfig>),
}

pub(crate) struct Front {
    pub(crate) addr: SocketAddr,
    speaks: Arc<Mutex<Speaks>>,
}

impl Front {
    pub(crate) fn before(server: &Server, speaks: Speaks) -> Self {
        let speaks = Arc::new(Mutex::new(speaks));
        let (behind, state) = (server.addr(), Arc::clone(&speaks));
        let addr = listen(move |stream| {
            let speaks = state.lock().unwrap().clone();
            // A client that does not like the certificate goes away.
            drop(serve(stream, behind, speaks));
        });
        Self { addr, speaks }
    }

    pub(crate) fn now_speaks(&self, speaks: Speaks) {
        *self.speaks.lock().unwrap() = speaks;
    }
}

fn serve(mut stream: TcpStream, behind: SocketAddr, speaks: Speaks) -> io::Result<()> {
    match speaks {
        Speaks::Http => {
            // The client's greeting, which is no request.
            let _greeting = stream.read(&mut [0; 16 * 1024])?;
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")
        }
        Speaks::Tls(config) => {
            let connection = ServerConnection::new(config).map_err(io::Error::other)?;
            let mut stream = StreamOwned::new(connection, stream);
            let request = read_request(&mut stream)?;
            pass_on(&request, behind, &mut stream)?;
            stream.conn.send_close_notify();
            stream.flush()
        }
    }
}
