//! A service as a process of its own: this program again, with arguments. Part of `cargo run --example shop`

use std::error::Error;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

pub(crate) struct Process {
    child: Child,
    name: &'static str,
    pub(crate) url: String,
}

impl Process {
    /// Starts a service that ships to `axiom` and calls `next`, and waits until it listens.
    pub(crate) fn start(
        name: &'static str,
        axiom: &str,
        next: &str,
    ) -> Result<Self, Box<dyn Error>> {
        let mut child = Command::new(std::env::current_exe()?)
            .args([name, axiom, next])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut url = String::new();
        let output = child.stdout.take().ok_or("no output")?;
        BufReader::new(output).read_line(&mut url)?;
        let url = url.trim_end().to_owned();
        Ok(Self { child, name, url })
    }

    /// Closes the input, which the service takes as the sign to end, and waits until it has delivered.
    pub(crate) fn stop(mut self) -> Result<(), Box<dyn Error>> {
        drop(self.child.stdin.take());
        let status = self.child.wait()?;
        match status.success() {
            true => Ok(()),
            false => Err(format!("{}: {status}", self.name).into()),
        }
    }
}
