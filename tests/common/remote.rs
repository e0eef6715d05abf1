//! A server that is a process of its own: what its runtime and its connections record is none of the test's.

use std::io::{BufRead, BufReader, Lines, Read};
use std::process::{Child, ChildStdout, Stdio};

use axiom_local::Server;

use crate::child;

/// Serves until standard input ends, then prints what arrived.
pub(crate) fn serve() {
    let server = Server::start().unwrap();
    println!("\nLISTENING {}", server.url());
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
    for event in server.all_events() {
        println!("EVENT {event}");
    }
    for violation in server.violations() {
        println!("VIOLATION {violation}");
    }
}

pub(crate) struct Remote {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    pub(crate) url: String,
}

impl Remote {
    /// Runs this test again, which serves if its role is `server`.
    pub(crate) fn start(test: &str) -> Self {
        let mut child = child::command(test, "server")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let url = lines
            .by_ref()
            .find_map(|line| Some(line.unwrap().strip_prefix("LISTENING ")?.to_owned()))
            .unwrap();
        Self { child, lines, url }
    }

    /// Ends it. What it received, as JSON, and what of it broke a rule.
    pub(crate) fn end(mut self) -> (Vec<String>, Vec<String>) {
        drop(self.child.stdin.take());
        let lines: Vec<_> = self.lines.map(Result::unwrap).collect();
        assert!(self.child.wait().unwrap().success());
        let all = |kind: &str| {
            let texts = lines.iter().filter_map(|line| line.strip_prefix(kind));
            texts.map(str::to_owned).collect()
        };
        (all("EVENT "), all("VIOLATION "))
    }
}
