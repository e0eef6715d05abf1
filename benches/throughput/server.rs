//! The server's process: it prints its address, serves until its standard input ends, and then prints how many events it
//! got.

use std::env;
use std::io::{self, BufRead, BufReader, Read};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use axiom_local::Fault;

use crate::http::{self, Answer, Request};

const AXIOM_LOCAL: &str = "axiom-local";
pub(crate) const KINDS: [&str; 2] = [AXIOM_LOCAL, "counting"];

pub(crate) fn serve(kind: &str, delay_ms: u64) {
    let delay = Duration::from_millis(delay_ms);
    if kind == AXIOM_LOCAL {
        let server = axiom_local::Server::builder()
            .max_events_kept(1)
            .start()
            .unwrap();
        if !delay.is_zero() {
            server.always(Some(Fault::delay(delay)));
        }
        println!("{}", server.url());
        io::stdin().read_to_end(&mut Vec::new()).unwrap();
        println!("{}", server.ingested());
        return;
    }
    static EVENTS: AtomicU64 = AtomicU64::new(0);
    let address = http::start(move |request| {
        let events = lines(request).unwrap();
        EVENTS.fetch_add(events, Ordering::Relaxed);
        if !delay.is_zero() {
            thread::sleep(delay);
        }
        let body = format!(
            r#"{{"ingested":{events},"failed":0,"failures":[],"processedBytes":0,"blocksCreated":0,"walLength":0}}"#
        );
        Answer {
            status: "200 OK",
            content_type: "application/json",
            body: body.into_bytes(),
        }
    })
    .unwrap();
    println!("http://{address}");
    io::stdin().read_to_end(&mut Vec::new()).unwrap();
    println!("{}", EVENTS.load(Ordering::Relaxed));
}

/// Never unpacked as a whole, for most of the time would go into touching that memory.
fn lines(request: &Request) -> io::Result<u64> {
    assert_eq!(request.encoding, "zstd", "what the layer sends by default");
    let mut reader = zstd::stream::read::Decoder::with_buffer(request.body.as_slice())?;
    let mut piece = vec![0; 64 * 1024];
    let mut lines = 0;
    loop {
        let read = reader.read(&mut piece)?;
        if read == 0 {
            return Ok(lines);
        }
        lines += piece[..read].iter().filter(|&&byte| byte == b'\n').count() as u64;
    }
}

/// The other side's handle.
#[derive(Debug)]
pub(crate) struct Server {
    process: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    pub(crate) url: String,
}

impl Server {
    pub(crate) fn start(kind: &str, delay_ms: u64) -> Self {
        let mut process = Command::new(env::current_exe().unwrap())
            .args(["--serve", kind, &delay_ms.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let input = process.stdin.take().unwrap();
        let mut output = BufReader::new(process.stdout.take().unwrap());
        let mut url = String::new();
        output.read_line(&mut url).unwrap();
        Self {
            process,
            input,
            output,
            url: url.trim().to_owned(),
        }
    }

    /// Ends it; says how many events it got.
    pub(crate) fn stop(mut self) -> u64 {
        drop(self.input);
        let mut text = String::new();
        self.output.read_to_string(&mut text).unwrap();
        self.process.wait().unwrap();
        text.trim().parse().unwrap()
    }
}
