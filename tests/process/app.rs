//! The application under test as a child process: its lines, its end, and what its endpoint holds.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use axiom_local::Server;
use serde_json::Value;

/// Longer than anything that goes well takes on a busy machine. The application's own deadlines are twice as long, if a test does
/// not set one: whoever waits for one of them is late here.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// What a busy machine may add to a deadline that a test sets: the alternative is longer still.
pub(crate) const SLACK: Duration = Duration::from_secs(5);

/// What the application sends to.
pub(crate) const DATASET: &str = "logs";

/// The application, built by the cargo that runs the tests, as it built them: mostly it has nothing to do.
pub(crate) fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
        cargo
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .args(["build", "--example", "process_child", "--offline"])
            .arg("--message-format=json");
        // With the features that the tests have, nothing else has to be built. Off by default: all are wanted.
        if cfg!(feature = "native-tls") {
            cargo.args(["--workspace", "--all-features"]);
        }
        if !cfg!(debug_assertions) {
            cargo.arg("--release");
        }
        built(&mut cargo, "process_child")
    })
}

/// Runs a `cargo build` and finds what it built.
pub(crate) fn built(cargo: &mut Command, name: &str) -> PathBuf {
    // What cargo says of this package to its tests would make build scripts run again.
    for (key, _) in std::env::vars_os() {
        let name = key.to_string_lossy();
        if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
            cargo.env_remove(key);
        }
    }
    let output = cargo.stderr(Stdio::inherit()).output().unwrap();
    assert!(output.status.success(), "{cargo:?}");
    String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| message["target"]["name"] == name)
        .find_map(|message| Some(message["executable"].as_str()?.into()))
        .expect("cargo says where the program is")
}

/// A running application. Killed when it is dropped.
pub(crate) struct App {
    process: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    seen: Vec<String>,
    stderr: Option<JoinHandle<String>>,
}

/// How it ended.
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    /// All of standard output, and of standard error.
    pub(crate) lines: Vec<String>,
    pub(crate) stderr: String,
    /// From the moment that `end` was called.
    pub(crate) took: Duration,
}

impl App {
    /// Starts `process_child` with these words, against this endpoint.
    pub(crate) fn start(server: &Server, words: &str) -> Self {
        Self::start_command(Command::new(program()), server, words)
    }

    /// The same with these signals ignored, which it inherits.
    #[cfg(unix)]
    pub(crate) fn start_ignoring(server: &Server, signals: &str, words: &str) -> Self {
        let mut shell = Command::new("sh");
        shell
            .args(["-c", &format!("trap '' {signals}; exec \"$@\""), "sh"])
            .arg(program());
        Self::start_command(shell, server, words)
    }

    pub(crate) fn start_command(mut command: Command, server: &Server, words: &str) -> Self {
        // Killed with all that it forks.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut process = command
            .args(words.split_whitespace())
            .env("AXIOM_URL", server.url())
            .env("AXIOM_TOKEN", "xaat-test")
            .env("AXIOM_DATASET", DATASET)
            .env_remove("RUST_BACKTRACE")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stdout = BufReader::new(process.stdout.take().unwrap());
        let (send, lines) = channel();
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                if send.send(line).is_err() {
                    break;
                }
            }
        });
        let mut from = process.stderr.take().unwrap();
        let stderr = std::thread::spawn(move || {
            let mut text = Vec::new();
            from.read_to_end(&mut text).unwrap();
            String::from_utf8_lossy(&text).into_owned()
        });
        Self {
            stdin: process.stdin.take(),
            process,
            lines,
            seen: Vec::new(),
            stderr: Some(stderr),
        }
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// The next line that begins so.
    pub(crate) fn wait_for(&mut self, beginning: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => {
                    self.seen.push(line.clone());
                    if line.starts_with(beginning) {
                        return line;
                    }
                }
                Err(error) => {
                    self.kill();
                    let stderr = self.stderr.take().map(|thread| thread.join().unwrap());
                    panic!("no {beginning:?}: {error}, {:?}, {stderr:?}", self.seen);
                }
            }
        }
    }

    pub(crate) fn tell(&mut self, line: &str) {
        let stdin = self.stdin.as_mut().unwrap();
        writeln!(stdin, "{line}").unwrap();
    }

    fn kill(&mut self) {
        #[cfg(unix)]
        drop(
            Command::new("kill")
                .args(["-s", "KILL", "--", &format!("-{}", self.id())])
                .output(),
        );
        drop(self.process.kill());
        drop(self.process.wait());
    }

    #[cfg(unix)]
    pub(crate) fn signal(&self, name: &str) {
        signal(self.id(), name);
    }

    /// Waits for the end, and for the end of its output: [`PATIENCE`] at the most.
    pub(crate) fn end(mut self) -> Ended {
        let start = Instant::now();
        let deadline = start + PATIENCE;
        // Whatever else holds its standard output, such as a forked child, is part of it.
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => self.seen.push(line),
                Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => break,
                Err(std::sync::mpsc::RecvTimeoutError::Timeout) => {
                    self.kill();
                    panic!("it does not end: {:?}", self.seen);
                }
            }
        }
        let status = self.process.wait().unwrap();
        let took = start.elapsed();
        Ended {
            status,
            lines: std::mem::take(&mut self.seen),
            stderr: self.stderr.take().unwrap().join().unwrap(),
            took,
        }
    }
}

impl Drop for App {
    fn drop(&mut self) {
        if !matches!(self.process.try_wait(), Ok(Some(_))) {
            self.kill();
        }
    }
}

impl Ended {
    /// The ledger that `who` printed, which must add up.
    #[track_caller]
    pub(crate) fn ledger(&self, who: &str) -> Value {
        let all = self.ledgers(who);
        assert_eq!(all.len(), 1, "{:?}", self.lines);
        all[0].clone()
    }

    #[track_caller]
    pub(crate) fn ledgers(&self, who: &str) -> Vec<Value> {
        self.lines
            .iter()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
            .filter(|ledger| ledger["who"] == who)
            .inspect(|ledger| assert_adds_up(ledger))
            .collect()
    }

    #[track_caller]
    pub(crate) fn assert_ended_well(&self) {
        assert!(
            self.status.success(),
            "{}: {:?} {}",
            self.status,
            self.lines,
            self.stderr
        );
    }

    /// What the diagnostics on standard error say of records that were lost at the end.
    pub(crate) fn lost_at_the_end(&self) -> Vec<&str> {
        self.stderr
            .lines()
            .filter(|line| line.contains("the process ended"))
            .collect()
    }
}

#[track_caller]
fn assert_adds_up(ledger: &Value) {
    let number = |key: &str| ledger[key].as_u64().unwrap();
    let dropped: u64 = ledger["dropped"]
        .as_object()
        .unwrap()
        .values()
        .map(|events| events.as_u64().unwrap())
        .sum();
    assert_eq!(
        number("recorded"),
        number("delivered") + dropped + number("pending"),
        "{ledger}"
    );
}

#[cfg(unix)]
pub(crate) fn signal(id: u32, name: &str) {
    let status = Command::new("kill")
        .args(["-s", name, &id.to_string()])
        .status()
        .unwrap();
    assert!(status.success(), "kill -s {name} {id}");
}

pub(crate) fn server() -> Server {
    Server::start().unwrap()
}

/// The `seq` of every record that the endpoint holds, sorted.
pub(crate) fn seqs(server: &Server) -> Vec<u64> {
    let mut seqs: Vec<u64> = server
        .events(DATASET)
        .iter()
        .map(|event| event.get("attributes.seq").unwrap().as_u64().unwrap())
        .collect();
    seqs.sort_unstable();
    seqs
}

/// The endpoint holds exactly these, each once, and has nothing to complain of.
#[track_caller]
pub(crate) fn assert_holds(server: &Server, expected: impl IntoIterator<Item = u64>) {
    let mut expected: Vec<u64> = expected.into_iter().collect();
    expected.sort_unstable();
    let seqs = seqs(server);
    assert_eq!(seqs.len(), expected.len(), "records delivered");
    assert_eq!(seqs, expected);
    assert_eq!(server.violations(), []);
}
