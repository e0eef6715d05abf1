//! `init()`: a program that is configured by its environment alone.
#![cfg(feature = "init")]

#[path = "common/child.rs"]
mod child;

use std::net::TcpListener;
use std::time::{Duration, Instant};

use axiom_local::Server;
use serde_json::json;
use tracing::{debug, info, trace};

const TOKEN: &str = "xaat-00c0ffee-5ec2-e755-ec2e-755ec2e755ec";

struct Logger;

impl log::Log for Logger {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        println!("LOGGER {}", record.args());
    }

    fn flush(&self) {}
}

fn set_logger() -> bool {
    log::set_max_level(log::LevelFilter::Trace);
    log::set_logger(&Logger).is_ok()
}

/// Without a logger, other than tracing-subscriber's own ways to set it.
fn set_subscriber() -> bool {
    let subscriber = tracing_subscriber::fmt().with_writer(std::io::sink);
    tracing::subscriber::set_global_default(subscriber.finish()).is_ok()
}

/// The layer's threads that run now; none where the system does not list them.
fn threads() -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten();
    tasks
        .filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok())
        .filter(|name| name.starts_with("axiom-layer"))
        .count()
}

/// Prints the error as `main` would, or records something.
fn program(role: &str) {
    match role {
        "second" => assert!(set_subscriber()),
        "after a logger" => assert!(set_logger()),
        "after both" => assert!(set_logger() && set_subscriber()),
        "after a scope" => {
            let scoped = tracing_subscriber::fmt().with_writer(std::io::sink);
            tracing::subscriber::with_default(scoped.finish(), || info!("scoped"));
        }
        _ => {}
    }
    // Held over `init` alone.
    let scope = (role == "in a scope").then(|| {
        let scoped = tracing_subscriber::fmt().with_writer(std::io::sink);
        tracing::subscriber::set_default(scoped.finish())
    });
    let initialized = axiom_layer::init();
    drop(scope);
    match initialized {
        Ok(guard) => {
            trace!("finest");
            debug!("fine");
            info!(answer = 42, "hello");
            if role == "logs" {
                log::info!("of log");
                log::debug!("too fine");
                assert!(!set_logger(), "it is ours");
            }
            if role == "twice" {
                println!("ERROR {}", axiom_layer::init().unwrap_err());
            }
            drop(guard);
        }
        Err(error) => {
            println!("ERROR {error}");
            // Nothing is left of the attempt: what was not set before can be set now, and what was goes on.
            assert_eq!(threads(), 0, "of ours");
            let is_free = (set_logger(), set_subscriber());
            match role {
                "second" => assert_eq!(is_free, (true, false)),
                "after a logger" => assert_eq!(is_free, (false, true)),
                "after both" => assert_eq!(is_free, (false, false)),
                _ => assert_eq!(is_free, (true, true)),
            }
            log::info!("still heard");
        }
    }
}

/// The error, and what the program says on standard error.
fn run(role: &str, environment: &[(&str, &str)]) -> (String, String) {
    let (error, console, _) = run_and_read(role, environment);
    (error, console)
}

/// The error, and what the program says on standard error and standard output.
fn run_and_read(role: &str, environment: &[(&str, &str)]) -> (String, String, String) {
    let output = child::command("programs", role)
        .envs(environment.iter().copied())
        .output()
        .unwrap();
    let (out, err) = child::succeeded(&output);
    assert!(!out.contains(TOKEN) && !err.contains(TOKEN), "{out}\n{err}");
    let error = out
        .split_once("ERROR ")
        .map_or("", |(_, rest)| rest.lines().next().unwrap());
    (error.to_owned(), err, out)
}

/// The programs that the other tests run.
#[test]
fn programs() {
    if let Some(role) = child::role() {
        program(&role);
    }
}

#[test]
fn the_environment_is_all_it_needs() {
    let server = Server::builder().token(TOKEN).start().unwrap();
    let environment = [
        ("AXIOM_TOKEN", TOKEN),
        ("AXIOM_DATASET", "main"),
        ("AXIOM_URL", server.url()),
        ("OTEL_SERVICE_NAME", "shop"),
        (
            "OTEL_RESOURCE_ATTRIBUTES",
            "service.version=1.2,host.name=k%C3%A4the",
        ),
        ("RUST_LOG", "debug"),
    ];
    let (error, console) = run("once", &environment);
    assert_eq!(error, "");
    assert!(
        console.contains("hello") && console.contains("answer"),
        "{console}"
    );
    assert!(!console.contains("hyper"), "our own work: {console}");
    let events = server.events("main");
    let of_test = |event: &&axiom_local::Event| event.get("target") == Some(&json!("init"));
    let messages: Vec<_> = events
        .iter()
        .filter(of_test)
        .map(|e| e.get("message").unwrap().clone())
        .collect();
    assert_eq!(messages, ["fine", "hello"]);
    assert_eq!(messages.len(), events.len(), "nothing of ours: {events:?}");
    let event = &events[1];
    assert_eq!(event.get("service.name"), Some(&json!("shop")));
    assert_eq!(event.get("service.version"), Some(&json!("1.2")));
    assert_eq!(event.get("resource.host.name"), Some(&json!("käthe")));
    assert_eq!(server.violations(), []);
}

#[test]
fn without_a_filter_info_and_above_is_recorded() {
    let server = Server::start().unwrap();
    let environment = [
        ("AXIOM_TOKEN", TOKEN),
        ("AXIOM_DATASET", "main"),
        ("AXIOM_URL", server.url()),
    ];
    assert_eq!(run("once", &environment).0, "");
    let events = server.events("main");
    assert_eq!(events.len(), 1);
    let service = events[0].get("service.name").unwrap().as_str().unwrap();
    assert!(service.starts_with("unknown_service:init"), "{service}");
    assert_eq!(server.violations(), []);
}

#[test]
fn a_wrong_setting_is_an_error_that_names_it_and_what_fixes_it() {
    let good = [
        ("AXIOM_TOKEN", TOKEN),
        ("AXIOM_DATASET", "main"),
        ("AXIOM_URL", "http://127.0.0.1:9"),
    ];
    let cases: [(&[(&str, &str)], &str); 10] = [
        (
            &[("AXIOM_TOKEN", ""), ("AXIOM_TOKEN_FILE", "/nowhere/token")],
            "AXIOM_TOKEN_FILE=\"/nowhere/token\": there is no such file; mount the secret there, or correct the path",
        ),
        (
            &[("AXIOM_TOKEN", "\"xaat-1\"")],
            "AXIOM_TOKEN: is in quotes, which are taken as part of the value; remove the quotes: `docker --env-file`, for one, does not take them away as a shell does",
        ),
        (
            &[("AXIOM_TOKEN", "Bearer xaat-1")],
            "AXIOM_TOKEN: holds white space, control characters or characters that are not ASCII; copy the token again: the token alone, without `Bearer`",
        ),
        (
            &[("AXIOM_DATASET", "")],
            "no dataset: set AXIOM_DATASET or call .dataset(..); create one in the Axiom console and give its name",
        ),
        (
            &[("AXIOM_DATASET", TOKEN)],
            "AXIOM_DATASET: looks like a token; give the dataset's name here, and the token to AXIOM_TOKEN or .token(..)",
        ),
        (
            &[("AXIOM_URL", "localhost")],
            "AXIOM_URL=\"localhost\": is not a URL (relative URL without a base); write it like https://api.axiom.co",
        ),
        (
            &[("AXIOM_URL", "ftp://localhost")],
            "AXIOM_URL=\"ftp://localhost\": is neither https nor http; write it like https://api.axiom.co",
        ),
        (
            &[("AXIOM_EDGE", "https://eu.axiom.co/v1")],
            "AXIOM_EDGE=\"https://eu.axiom.co/v1\": is more than a bare domain; write it like eu-central-1.aws.edge.axiom.co, or give a whole URL to AXIOM_EDGE_URL or .edge_url(..)",
        ),
        (
            &[("RUST_LOG", "shop=loud=x")],
            "RUST_LOG can not be read: \"shop=loud=x\" (error parsing level filter: expected one of \"off\", \"error\", \"warn\", \"info\", \"debug\", \"trace\", or a number 0-5); use directives such as `info,my_crate=debug`",
        ),
        (
            &[
                ("AXIOM_TOKEN", "xapt-personal"),
                ("AXIOM_EDGE", "eu-central-1.aws.edge.axiom.co"),
            ],
            "AXIOM_TOKEN: is a personal token (xapt-), which the edge endpoint does not take; use an API token (xaat-)",
        ),
    ];
    for (wrong, message) in cases {
        let environment: Vec<_> = good.iter().chain(wrong).copied().collect();
        let (error, _) = run("once", &environment);
        assert_eq!(error, message);
    }
}

#[test]
fn plain_http_to_another_machine_is_an_error() {
    let environment = [
        ("AXIOM_TOKEN", TOKEN),
        ("AXIOM_DATASET", "main"),
        ("AXIOM_URL", "http://192.0.2.1"),
    ];
    let (error, _) = run("once", &environment);
    assert!(
        error.starts_with("AXIOM_URL=\"http://192.0.2.1\": ") && error.contains("https"),
        "{error}"
    );
}

#[test]
fn a_second_global_subscriber_is_an_error() {
    let server = Server::start().unwrap();
    let environment = [
        ("AXIOM_TOKEN", TOKEN),
        ("AXIOM_DATASET", "main"),
        ("AXIOM_URL", server.url()),
    ];
    let expected = "the global subscriber is set already; call `axiom_layer::builder()` and add the layer where the subscriber is made";
    for role in ["second", "twice"] {
        let (error, console) = run(role, &environment);
        assert_eq!(error, expected, "{role}");
        assert!(
            !console.contains("axiom-layer:"),
            "the error says it all: {console}"
        );
    }
    assert_eq!(
        server.events("main").len(),
        1,
        "of the first init in `twice`"
    );
    assert_eq!(server.violations(), []);
}

#[test]
fn a_logger_that_was_set_before_is_an_error_that_names_it_and_nothing_is_set_up() {
    let server = Server::start().unwrap();
    let environment = [
        ("AXIOM_TOKEN", TOKEN),
        ("AXIOM_DATASET", "main"),
        ("AXIOM_URL", server.url()),
    ];
    let by_hand = "call `axiom_layer::builder()` and add the layer where the subscriber is made";
    let logger = format!(
        "the logger of the `log` crate is set already, so that its records can not be taken over; remove the call that sets it (such as `env_logger::init()`), or {by_hand}"
    );
    let subscriber = format!("the global subscriber is set already; {by_hand}");
    for (role, expected) in [
        ("after a logger", &logger),
        ("after both", &subscriber),
        ("second", &subscriber),
    ] {
        let (error, console, out) = run_and_read(role, &environment);
        assert_eq!(error, *expected, "{role}");
        assert!(out.contains("LOGGER still heard"), "{role}: {out}");
        assert!(!console.contains("axiom-layer:"), "{role}: {console}");
    }
    assert_eq!(server.requests_seen(), 0);
}

#[test]
fn a_subscriber_for_a_scope_is_in_nobodys_way() {
    for role in ["after a scope", "in a scope"] {
        let server = Server::start().unwrap();
        let environment = [
            ("AXIOM_TOKEN", TOKEN),
            ("AXIOM_DATASET", "main"),
            ("AXIOM_URL", server.url()),
        ];
        assert_eq!(run(role, &environment).0, "", "{role}");
        assert_eq!(server.events("main").len(), 1, "{role}");
    }
}

#[test]
fn records_of_the_log_crate_are_included() {
    let server = Server::builder().token(TOKEN).start().unwrap();
    let environment = [
        ("AXIOM_TOKEN", TOKEN),
        ("AXIOM_DATASET", "main"),
        ("AXIOM_URL", server.url()),
    ];
    let (error, console) = run("logs", &environment);
    assert_eq!(error, "");
    let lines = console.lines().filter(|line| line.contains("of log"));
    assert_eq!(lines.count(), 1, "{console}");
    let events = server.events("main");
    let messages: Vec<_> = events.iter().map(|event| event.get("message")).collect();
    assert_eq!(messages, [Some(&json!("hello")), Some(&json!("of log"))]);
    assert_eq!(events[1].get("target"), Some(&json!("init")));
    assert_eq!(server.violations(), []);
}

#[test]
fn what_our_own_http_work_logs_is_neither_shown_nor_sent() {
    let server = Server::builder().token(TOKEN).start().unwrap();
    let environment = [
        ("AXIOM_TOKEN", TOKEN),
        ("AXIOM_DATASET", "main"),
        ("AXIOM_URL", server.url()),
        ("RUST_LOG", "trace"),
    ];
    let (_, console) = run("once", &environment);
    let targets: Vec<_> = ["mio", "hyper", "h2::", "reqwest", "rustls"]
        .into_iter()
        .filter(|target| console.contains(target))
        .collect();
    assert_eq!(targets, [""; 0], "{console}");
    assert_eq!(server.events("main").len(), 3);
}

#[test]
fn without_a_token_the_console_works_and_says_how_to_enable_the_rest() {
    for (environment, is_said) in [
        ([("AXIOM_DATASET", "main"), ("AXIOM_TOKEN", "")], true),
        (
            [("AXIOM_DATASET", "main"), ("OTEL_SDK_DISABLED", "true")],
            false,
        ),
    ] {
        let (error, console) = run("logs", &environment);
        assert_eq!(error, "");
        assert!(
            console.contains("hello") && console.contains("of log"),
            "{console}"
        );
        let said = "axiom-layer: no token is set, so the layer for Axiom is off; nothing is sent; to enable it, set AXIOM_TOKEN or AXIOM_TOKEN_FILE";
        let lines = console
            .lines()
            .filter(|line| line.starts_with("axiom-layer: "));
        assert!(lines.eq(is_said.then_some(said)), "{console}");
    }
}

/// What the program says on a terminal.
#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "no safe interface opens a terminal")]
fn run_on_a_terminal(environment: &[(&str, &str)]) -> String {
    use std::fs::File;
    use std::io::Read;
    use std::os::fd::{FromRawFd, OwnedFd};
    use std::ptr::null_mut;

    let (mut ours, mut its) = (-1, -1);
    // SAFETY: both numbers are written, nothing else is asked for.
    let opened = unsafe { libc::openpty(&mut ours, &mut its, null_mut(), null_mut(), null_mut()) };
    assert_eq!(opened, 0);
    // SAFETY: both were opened just now, and nobody else has them.
    let (mut ours, its) = unsafe { (File::from_raw_fd(ours), OwnedFd::from_raw_fd(its)) };
    let mut command = child::command("programs", "once");
    let process = command
        .envs(environment.iter().copied())
        .stdout(std::process::Stdio::null())
        .stderr(its);
    let mut process = process.spawn().unwrap();
    // It holds the other end of the terminal, too.
    drop(command);
    let mut said = Vec::new();
    // The end of a terminal that nobody holds any more is an error.
    drop(ours.read_to_end(&mut said));
    assert!(process.wait().unwrap().success());
    String::from_utf8(said).unwrap()
}

#[cfg(target_os = "linux")]
#[test]
fn a_terminal_gets_colours_unless_they_are_not_wanted() {
    for (environment, is_coloured) in [(("NO_COLOR", ""), true), (("NO_COLOR", "1"), false)] {
        let console = run_on_a_terminal(&[environment]);
        assert!(console.contains("hello"), "{console}");
        let escaped = console.contains("\u{1b}[");
        assert_eq!(escaped, is_coloured, "{environment:?}: {console:?}");
    }
}

#[test]
fn a_pipe_gets_no_colours() {
    let (_, console) = run("once", &[]);
    assert!(console.contains("hello"), "{console}");
    assert!(!console.contains('\u{1b}'), "{console:?}");
}

#[test]
fn where_nothing_listens_the_exit_takes_a_second_and_names_the_cause() {
    let nowhere = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = nowhere.local_addr().unwrap();
    drop(nowhere);
    let url = format!("http://{address}");
    let environment = [
        ("AXIOM_TOKEN", TOKEN),
        ("AXIOM_DATASET", "main"),
        ("AXIOM_URL", url.as_str()),
    ];
    let exit = || {
        let start = Instant::now();
        let (_, console) = run("once", &environment);
        (console, start.elapsed())
    };
    // The default of the shutdown timeout is five seconds. On a busy machine they may go by once or twice.
    let is_early = |(_, took): &(String, Duration)| *took < Duration::from_secs(5);
    let (console, _) = (0..4).map(|_| exit()).find(is_early).unwrap();
    let last = console.lines().last().unwrap();
    let said = format!(
        "axiom-layer: nothing listens at {address} (the connection was refused), and 1 record could not be delivered before the end; "
    );
    assert!(last.starts_with(&said), "{console}");
    assert!(last.ends_with("more time would not help"), "{console}");
}

#[test]
fn trouble_is_one_line_on_standard_error() {
    let server = Server::builder().token("xaat-another").start().unwrap();
    let environment = [
        ("AXIOM_TOKEN", TOKEN),
        ("AXIOM_DATASET", "main"),
        ("AXIOM_URL", server.url()),
        ("RUST_LOG", "info"),
    ];
    let (_, console) = run("once", &environment);
    let said: Vec<_> = console
        .lines()
        .filter(|line| line.starts_with("axiom-layer: "))
        .collect();
    assert_eq!(said.len(), 2, "what is wrong, and what it cost: {console}");
    assert!(
        said[0].contains("AXIOM_TOKEN") && said[1].contains("1 record "),
        "{said:#?}"
    );
}
