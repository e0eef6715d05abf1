//! `init()`: a program that is configured by its environment alone.
#![cfg(feature = "init")]

#[path = "common/child.rs"]
mod child;

use axiom_local::Server;
use serde_json::json;
use tracing::{debug, info, trace};

const TOKEN: &str = "xaat-00c0ffee-5ec2-e755-ec2e-755ec2e755ec";

/// Prints the error as `main` would, or records something.
fn program(role: &str) {
    if role == "second" {
        tracing_subscriber::fmt().with_writer(std::io::sink).init();
    }
    match axiom_layer::init() {
        Ok(guard) => {
            trace!("finest");
            debug!("fine");
            info!(answer = 42, "hello");
            if role == "twice" {
                println!("ERROR {}", axiom_layer::init().unwrap_err());
            }
            drop(guard);
        }
        Err(error) => println!("ERROR {error}"),
    }
}

/// What the program says on standard output and standard error.
fn run(role: &str, environment: &[(&str, &str)]) -> (String, String) {
    let output = child::command("programs", role)
        .envs(environment.iter().copied())
        .output()
        .unwrap();
    let (out, err) = child::succeeded(&output);
    assert!(!out.contains(TOKEN) && !err.contains(TOKEN), "{out}\n{err}");
    let error = out
        .split_once("ERROR ")
        .map_or("", |(_, rest)| rest.lines().next().unwrap());
    (error.to_owned(), err)
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
    let cases: [(&[(&str, &str)], &str); 9] = [
        (
            &[("AXIOM_TOKEN", "")],
            "no token: set AXIOM_TOKEN or call .token(..); create an API token that may ingest into the dataset, in the Axiom console under Settings > API tokens",
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
            "AXIOM_URL=\"localhost\": is not a URL; write it like https://api.axiom.co",
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
            "RUST_LOG can not be read: \"shop=loud=x\"; use directives such as `info,my_crate=debug`",
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
