//! A process that may open no more files: it hears what is used up and what gives it more, and delivers once there is more.
//!
//! Each runs as a process of its own, under a low limit of the shell's.
#![cfg(unix)]

#[path = "common/child.rs"]
mod child;

use std::fs::File;
use std::process::Command;
use std::sync::mpsc;
use std::time::Duration;

use axiom_layer::doctor::Problem;
use axiom_layer::{Builder, Cause, Diagnostic};
use axiom_local::Server;
use tracing_subscriber::prelude::*;

const LONG: Duration = Duration::from_secs(30);

/// Where the server of the test itself is.
const URL: &str = "EXHAUSTED_URL";

/// Runs `test` again where few files may be open. What it printed.
fn limited(test: &str, url: &str) -> String {
    let plain = child::command(test, "limited");
    let mut command = Command::new("sh");
    command
        .args(["-c", "ulimit -n 64 && exec \"$0\" \"$@\""])
        .arg(plain.get_program())
        .args(plain.get_args())
        .env(URL, url);
    for (name, value) in plain.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let (out, err) = child::succeeded(&command.output().unwrap());
    println!("{out}{err}");
    out
}

/// Every file that this process may still open.
fn all_files() -> Vec<File> {
    let opened = std::iter::from_fn(|| File::open("/dev/null").ok());
    let files = opened.collect();
    let error = File::open("/dev/null").unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EMFILE));
    files
}

fn builder(url: &str) -> Builder {
    axiom_layer::builder()
        .token("xaat-test")
        .dataset("logs")
        .url(url)
        .flush_interval(Duration::from_millis(5))
        .diagnostics(false)
}

fn url() -> String {
    std::env::var(URL).unwrap()
}

/// The fix for a process that is at its limit.
fn assert_names_the_limit(what: &str, fix: &str) {
    println!("{what}; {fix}");
    assert!(
        what.contains("this process may open no more files"),
        "{what}"
    );
    assert!(
        what.contains("Too many open files (os error 24)"),
        "the system's own words: {what}"
    );
    assert!(fix.contains("ulimit -n"), "{fix}");
    assert!(fix.contains("LimitNOFILE="), "{fix}");
}

#[test]
fn a_layer_that_can_not_be_built_for_want_of_files_says_so() {
    if child::role().is_none() {
        let test = "a_layer_that_can_not_be_built_for_want_of_files_says_so";
        let out = limited(test, "http://127.0.0.1:1");
        return assert!(out.contains("1 passed"), "{out}");
    }
    let mut files = all_files();
    let error = builder(&url()).build().unwrap_err();
    // However many are missing, it is an error.
    while let Err(error) = builder(&url()).build() {
        assert!(error.to_string().contains("ulimit -n"), "{error}");
        files.pop();
    }
    assert!(!files.is_empty(), "it was never built");
    drop(files);
    let message = error.to_string();
    assert!(
        message.starts_with("the worker can not be started"),
        "{message}"
    );
    assert_names_the_limit(&message, &message);
    assert!(format!("{error:?}").contains(&message));
    let source = std::error::Error::source(&error).unwrap();
    let source = source.downcast_ref::<std::io::Error>().unwrap();
    assert_eq!(source.raw_os_error(), Some(libc::EMFILE));
    assert_eq!(message.matches("os error").count(), 1, "once: {message}");
    assert_eq!(error.setting(), None);
    // With files to be had, the same is built.
    let (_layer, _guard) = builder(&url()).build().unwrap();
}

/// Records when there are no files, hears of it, and goes on once there are some.
fn record_without_files(url: &str) -> Diagnostic {
    let (tell, told) = mpsc::channel();
    let hook = move |said: &Diagnostic| drop(tell.send(said.clone()));
    let (layer, guard) = builder(url).on_diagnostic(hook).build().unwrap();
    let _default = tracing_subscriber::registry().with(layer).set_default();
    let files = all_files();
    tracing::info!("recorded");
    let said = told.recv_timeout(LONG).unwrap();
    drop(files);
    assert!(said.effect().contains("1 record waits"), "{said}");
    if url.starts_with("http:") {
        assert_eq!(guard.flush(LONG).unwrap().delivered(), 1);
    }
    said
}

#[test]
fn a_worker_without_files_says_so_and_delivers_once_it_has_some() {
    if child::role().is_none() {
        let server = Server::start().unwrap();
        let test = "a_worker_without_files_says_so_and_delivers_once_it_has_some";
        let out = limited(test, server.url());
        assert!(out.contains("1 passed"), "{out}");
        assert_eq!(server.ingested(), 1);
        return assert_eq!(server.violations(), []);
    }
    let said = record_without_files(&url());
    assert_eq!(said.cause(), Cause::Client);
    assert_names_the_limit(said.what(), said.fix());
}

/// TLS says that there are no certificates, where they could not be read.
#[test]
fn certificates_that_can_not_be_read_for_want_of_files_are_not_what_is_missing() {
    if child::role().is_none() {
        let test = "certificates_that_can_not_be_read_for_want_of_files_are_not_what_is_missing";
        let out = limited(test, "https://127.0.0.1:1");
        return assert!(out.contains("1 passed"), "{out}");
    }
    let said = record_without_files(&url());
    println!("{said}");
    assert_eq!(said.cause(), Cause::Client);
    assert!(
        said.what().contains("this process may open no more files"),
        "{said}"
    );
    assert!(said.fix().contains("ulimit -n"), "{said}");
}

#[test]
fn the_doctor_says_the_same() {
    if child::role().is_none() {
        let server = Server::start().unwrap();
        let out = limited("the_doctor_says_the_same", server.url());
        return assert!(out.contains("1 passed"), "{out}");
    }
    // With none left it gets no event queue; with a few it gets that, and no connection.
    let mut files = all_files();
    while !files.is_empty() {
        let diagnosis = builder(&url()).doctor();
        println!("{diagnosis}");
        if diagnosis.is_healthy() {
            break;
        }
        assert_eq!(diagnosis.cause(), Some(Problem::System), "{diagnosis}");
        assert_names_the_limit(diagnosis.what(), diagnosis.fix().unwrap());
        files.pop();
    }
    assert!(!files.is_empty(), "it never got through");
}
