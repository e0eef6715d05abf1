//! The binary as a child process.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::common::{PATIENCE, TIME, one, post};

fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_axiom-local"));
    command
        .args(args)
        .env_remove("NO_COLOR")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// A running binary. It ends with the test.
struct Running {
    child: Child,
    stdout: Option<BufReader<ChildStdout>>,
    addr: SocketAddr,
}

impl Running {
    fn start(args: &[&str]) -> Self {
        let mut child = command(args).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut first = String::new();
        stdout.read_line(&mut first).unwrap();
        let addr = first
            .strip_prefix("listening on http://")
            .and_then(|addr| addr.strip_suffix('\n'))
            .unwrap()
            .parse()
            .unwrap();
        Running {
            child,
            stdout: Some(stdout),
            addr,
        }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.as_mut().unwrap().read_line(&mut line).unwrap();
        line
    }

    fn signal(&self, signal: &str) {
        let status = Command::new("kill")
            .args([signal, &self.child.id().to_string()])
            .status();
        assert!(status.unwrap().success());
    }

    /// Waits for the end. Returns what the binary still printed, and its exit code.
    fn end(mut self) -> (String, Option<i32>) {
        let mut rest = String::new();
        if let Some(mut stdout) = self.stdout.take() {
            stdout.read_to_string(&mut rest).unwrap();
        }
        (rest, self.child.wait().unwrap().code())
    }

    /// Waits for the end without reading what the binary prints. Returns its exit code.
    fn end_unread(self) -> Option<i32> {
        let (done, ended) = std::sync::mpsc::channel();
        let id = self.child.id().to_string();
        let waiting = std::thread::spawn(move || {
            let mut running = self;
            done.send(running.child.wait().unwrap().code()).unwrap();
        });
        let code = ended.recv_timeout(PATIENCE);
        if code.is_err() {
            drop(Command::new("kill").args(["-KILL", &id]).status());
        }
        waiting.join().unwrap();
        code.unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn span(id: &str, parent: Option<&str>, name: &str) -> serde_json::Value {
    let mut row = json!({
        "_time": TIME, "trace_id": "0123456789abcdef0123456789abcdef", "span_id": id, "name": name,
        "kind": "internal", "duration": 2_500_000, "service.name": "shop",
    });
    if let Some(parent) = parent {
        row["parent_span_id"] = parent.into();
    }
    row
}

#[cfg(feature = "tls")]
#[test]
fn with_tls_it_says_which_file_clients_have_to_trust() {
    let mut child = command(&["--tls"]).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let first = lines.next().unwrap().unwrap();
    assert!(
        first.starts_with("listening on https://127.0.0.1:"),
        "{first}"
    );
    let second = lines.next().unwrap().unwrap();
    let file = second
        .strip_prefix("to be trusted by clients: SSL_CERT_FILE=")
        .unwrap();
    let pem = std::fs::read_to_string(file).unwrap();
    assert!(pem.starts_with("-----BEGIN CERTIFICATE"), "{pem}");
    let kill = Command::new("kill").arg(child.id().to_string()).status();
    assert!(kill.unwrap().success());
    assert!(child.wait().unwrap().success());
    assert!(!std::path::Path::new(file).exists());
}

#[test]
fn events_and_traces_are_printed_while_it_runs() {
    let mut running = Running::start(&["--port", "0"]);
    one(r#""level":"warn","message":"hello","user":7"#).send(running.addr);
    assert_eq!(running.line(), "00:00:00.000  WARN hello user=7\n");
    // The child arrives first, in a request of its own. The tree is printed only once its root is there.
    let child = span("00000000000000b2", Some("00000000000000a1"), "child");
    let root = span("00000000000000a1", None, "root");
    for row in [child, root] {
        post("/v1/ingest/traces", row.to_string()).send(running.addr);
    }
    assert_eq!(
        running.line(),
        "00:00:00.000 trace 0123456789abcdef0123456789abcdef (2 spans)\n"
    );
    assert_eq!(running.line(), "root 2.50ms [shop]\n");
    assert_eq!(running.line(), "└─ child 2.50ms\n");
    one(r#""a":1,"a":2"#).send(running.addr);
    assert_eq!(
        running.line(),
        "violation repeated-key: the key \"a\" is there twice (request 3, event 0, dataset logs)\n"
    );
}

#[cfg(unix)]
#[test]
fn a_signal_prints_what_is_left_and_a_summary_and_exits_with_0() {
    for signal in ["-TERM", "-INT"] {
        let running = Running::start(&["--port=0"]);
        post(
            "/v1/ingest/traces",
            span("00000000000000b2", Some("00000000000000a1"), "child").to_string(),
        )
        .send(running.addr);
        post("/v1/ingest/logs", "").send(running.addr);
        running.signal(signal);
        let (rest, code) = running.end();
        assert_eq!(code, Some(0));
        assert!(rest.contains("child 2.50ms"), "{rest}");
        assert!(
            rest.ends_with("stopped: 2 requests, 1 event stored (traces 1), 1 violation\n"),
            "{rest}"
        );
    }
}

#[cfg(unix)]
#[test]
fn a_closed_pipe_stops_the_printing_and_not_the_server() {
    let mut running = Running::start(&[]);
    running.stdout = None;
    // This lasts for a few ticks of the binary, in which it writes to the closed pipe, fails, and goes on.
    let start = Instant::now();
    while start.elapsed() < Duration::from_millis(300) {
        assert_eq!(one("\"n\":1").send(running.addr).status, 200);
    }
    running.signal("-TERM");
    let mut stderr = running.child.stderr.take().unwrap();
    let (_, code) = running.end();
    let mut complaints = String::new();
    stderr.read_to_string(&mut complaints).unwrap();
    assert_eq!((code, complaints.as_str()), (Some(0), ""));
}

#[cfg(unix)]
#[test]
fn a_pipe_that_nobody_reads_holds_up_neither_the_server_nor_its_end() {
    let running = Running::start(&[]);
    // This is far more than a pipe holds.
    let text = "x".repeat(1_900);
    let body = format!("{{\"_time\":\"{TIME}\",\"message\":\"{text}\"}}\n").repeat(500);
    for _ in 0..4 {
        assert_eq!(
            post("/v1/ingest/logs", &body).send(running.addr).status,
            200
        );
    }
    running.signal("-TERM");
    assert_eq!(running.end_unread(), Some(0));
}

#[test]
fn the_options_are_passed_on() {
    let dir = std::env::temp_dir().join(format!("axiom-local-binary-{}", std::process::id()));
    let dir_text = dir.to_str().unwrap().to_owned();
    let args = [
        "--token",
        "xaat-right",
        "--dataset",
        "logs",
        "--dataset",
        "b",
        "--dir",
        &dir_text,
        "-q",
    ];
    let running = Running::start(&args);
    assert_eq!(one("\"n\":1").send(running.addr).status, 403);
    let right = |path: &str| {
        post(path, format!(r#"{{"_time":"{TIME}","n":1}}"#))
            .header("Authorization", "Bearer xaat-right")
            .send(running.addr)
            .status
    };
    assert_eq!(right("/v1/ingest/logs"), 200);
    assert_eq!(right("/v1/ingest/b"), 200);
    assert_eq!(right("/v1/ingest/c"), 404);
    let text = std::fs::read_to_string(dir.join("logs.ndjson")).unwrap();
    std::fs::remove_dir_all(&dir).unwrap();
    assert_eq!(text, format!("{{\"_time\":\"{TIME}\",\"n\":1}}\n"));
    #[cfg(unix)]
    {
        running.signal("-TERM");
        let (rest, _) = running.end();
        assert_eq!(
            rest,
            "stopped: 4 requests, 2 events stored (b 1, logs 1), 0 violations\n"
        );
    }
}

#[test]
fn colour_is_used_when_asked_for_and_never_in_a_pipe_by_itself() {
    let mut plain = Running::start(&[]);
    let mut colored = Running::start(&["--color", "always"]);
    for running in [&mut plain, &mut colored] {
        one(r#""level":"error","message":"bad""#).send(running.addr);
    }
    assert_eq!(plain.line(), "00:00:00.000 ERROR bad\n");
    assert_eq!(
        colored.line(),
        "\u{1b}[2m00:00:00.000\u{1b}[0m \u{1b}[31mERROR\u{1b}[0m \u{1b}[31mbad\u{1b}[0m\n"
    );
}

fn output(args: &[&str]) -> (Output, String, String) {
    let output = command(args).output().unwrap();
    let stdout = String::from_utf8(output.stdout.clone()).unwrap();
    let stderr = String::from_utf8(output.stderr.clone()).unwrap();
    (output, stdout, stderr)
}

#[test]
fn a_bad_option_is_explained_and_exits_with_2() {
    for (args, named) in [
        (["--port", "nine"], "nine"),
        (["--colour", "x"], "--colour"),
    ] {
        let (output, stdout, stderr) = output(&args);
        assert_eq!(output.status.code(), Some(2));
        assert_eq!(stdout, "");
        assert!(
            stderr.contains(named) && stderr.contains("--help"),
            "{stderr}"
        );
    }
}

#[test]
fn a_taken_port_is_explained_and_exits_with_1() {
    let running = Running::start(&[]);
    let port = running.addr.port().to_string();
    let (output, _, stderr) = output(&["--port", &port]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr.contains(&port), "{stderr}");
}

#[test]
fn help_and_version_are_printed() {
    let (help, stdout, _) = output(&["--help"]);
    assert_eq!(help.status.code(), Some(0));
    for option in [
        "--port",
        "--dir",
        "--token",
        "--dataset",
        "--color",
        "--quiet",
        "--help",
        "--version",
    ] {
        assert!(stdout.contains(option), "{option}");
    }
    let (version, stdout, _) = output(&["--version"]);
    assert_eq!(version.status.code(), Some(0));
    assert_eq!(
        stdout,
        concat!("axiom-local ", env!("CARGO_PKG_VERSION"), "\n")
    );
}
