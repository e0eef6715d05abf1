//! The server's process, and the handle that the runner has on it. They talk in lines: the server prints its address, and
//! then, for each line that it reads, what has arrived since the one before.

use std::env;
use std::io::{self, BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::count::{self, Counted};
use crate::http;

/// What answers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Kind {
    /// Reads, counts, and answers at once. The same for all.
    Counting,
    /// `axiom-local`, which judges every event.
    AxiomLocal,
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Counting => "counting",
            Self::AxiomLocal => "axiom-local",
        }
    }
}

/// What arrived.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Arrived {
    pub(crate) records: u64,
    /// Requests that could not be counted.
    pub(crate) unclear: u64,
    /// When the last of it came, in nanoseconds since 1970.
    pub(crate) last: u64,
}

/// The server's side: serves until its standard input ends.
pub(crate) fn serve(kind: &str) {
    if kind == Kind::AxiomLocal.name() {
        let server = axiom_local::Server::builder()
            .max_events_kept(1)
            .start()
            .expect("a free port");
        let mut before = 0;
        return answer(server.url(), || {
            let ingested = server.ingested();
            let last = server.requests().last().map_or(0, |request| {
                now().saturating_sub(request.received_at.elapsed().as_nanos() as u64)
            });
            let records = ingested - before;
            before = ingested;
            Arrived {
                records,
                unclear: 0,
                last,
            }
        });
    }
    static RECORDS: AtomicU64 = AtomicU64::new(0);
    static UNCLEAR: AtomicU64 = AtomicU64::new(0);
    static LAST: AtomicU64 = AtomicU64::new(0);
    let address = http::start(|request| {
        let (counted, answer) = count::judge(request);
        match counted {
            Counted::Records(records) => {
                RECORDS.fetch_add(records, Ordering::Relaxed);
                if records > 0 {
                    LAST.store(now(), Ordering::Relaxed);
                }
            }
            Counted::Unclear => {
                UNCLEAR.fetch_add(1, Ordering::Relaxed);
            }
        }
        answer
    })
    .expect("a free port");
    answer(&format!("http://{address}"), || Arrived {
        records: RECORDS.swap(0, Ordering::Relaxed),
        unclear: UNCLEAR.swap(0, Ordering::Relaxed),
        last: LAST.load(Ordering::Relaxed),
    });
}

fn answer(url: &str, mut arrived: impl FnMut() -> Arrived) {
    println!("{url}");
    for _ in io::stdin().lines() {
        let Arrived {
            records,
            unclear,
            last,
        } = arrived();
        println!("{records} {unclear} {last}");
    }
}

fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_nanos() as u64)
}

/// The runner's side.
#[derive(Debug)]
pub(crate) struct Server {
    process: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    pub(crate) url: String,
}

impl Server {
    pub(crate) fn start(kind: Kind) -> Self {
        let mut process = Command::new(env::current_exe().expect("this program"))
            .args(["--serve", kind.name()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the server's process");
        let input = process.stdin.take();
        let mut output = BufReader::new(process.stdout.take().expect("its output"));
        let mut url = String::new();
        output.read_line(&mut url).expect("its address");
        Self {
            process,
            input,
            output,
            url: url.trim().to_owned(),
        }
    }

    /// What arrived since the last call. The client has ended: what is under way is waited for.
    pub(crate) fn arrived(&mut self) -> Arrived {
        let mut all = self.ask();
        let mut quiet = 0;
        while quiet < 3 {
            thread::sleep(Duration::from_millis(100));
            let more = self.ask();
            quiet = if more.records == 0 { quiet + 1 } else { 0 };
            all.records += more.records;
            all.unclear += more.unclear;
            all.last = more.last;
        }
        all
    }

    fn ask(&mut self) -> Arrived {
        let input = self.input.as_mut().expect("the server runs");
        writeln!(input).expect("the server listens");
        let mut line = String::new();
        self.output
            .read_line(&mut line)
            .expect("the server answers");
        let numbers: Vec<u64> = line
            .split_whitespace()
            .map(|text| text.parse().expect("a number"))
            .collect();
        Arrived {
            records: numbers[0],
            unclear: numbers[1],
            last: numbers[2],
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.input.take());
        drop(self.process.wait());
    }
}
