//! The example as a person runs it: settings from the environment, certificates and proxies included.

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::Arc;

use axiom_local::Server;
use rustls::{ServerConnection, StreamOwned};

use crate::common::{NOWHERE, TOKEN, answering};
use crate::relay::{listen, read_request};
use crate::tls::{Issuer, issuer, server_config};

/// Cargo builds examples before it runs tests, but not for `--test doctor` alone.
fn example() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let path = test.ancestors().nth(2).unwrap().join("examples/doctor");
    let path = path.with_extension(std::env::consts::EXE_EXTENSION);
    assert!(
        path.exists(),
        "run `cargo build --example doctor` before this test alone"
    );
    path
}

fn run(variables: &[(&str, &str)]) -> (Option<i32>, String) {
    let mut command = Command::new(example());
    command
        .env_clear()
        .env("AXIOM_TOKEN", TOKEN)
        .env("AXIOM_DATASET", "logs")
        .envs(variables.iter().copied());
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().unwrap();
    assert_eq!(String::from_utf8(stderr).unwrap(), "");
    let report = String::from_utf8(stdout).unwrap();
    assert!(!report.contains(TOKEN), "{report}");
    (status.code(), report)
}

#[track_caller]
fn assert_says(variables: &[(&str, &str)], code: i32, lines: &[&str]) {
    let (exited, report) = run(variables);
    assert_eq!(exited, Some(code), "{report}");
    for line in lines {
        assert!(report.contains(line), "{line}\n{report}");
    }
}

#[test]
fn it_exits_with_0_when_all_is_well_and_else_with_1() {
    let server = Server::builder().token(TOKEN).start().unwrap();
    let url = ("AXIOM_URL", server.url());
    assert_says(
        &[url],
        0,
        &["diagnosis: all is well", "['logs'] | where trace_id"],
    );
    assert_says(
        &[url, ("AXIOM_TOKEN", "")],
        1,
        &["diagnosis: no token\nfix: set AXIOM_TOKEN"],
    );
    assert_says(
        &[url, ("AXIOM_TOKEN", "xaat-another")],
        1,
        &[
            "\ntls            not needed   plain http\nprobe          failed ",
            "AXIOM_TOKEN",
        ],
    );
}

#[test]
fn a_proxy_that_is_named_is_the_one_that_is_diagnosed() {
    let url = ("AXIOM_URL", NOWHERE);
    let closed = "http://user:pa55@127.0.0.1:9".to_owned();
    let wants_password =
        answering("HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n");
    let refuses = answering("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n");
    for (proxy, step) in [
        (closed, "connection     failed "),
        (
            format!("http://user:pa55@{wants_password}"),
            "tls            failed ",
        ),
        (
            format!("http://user:pa55@{refuses}"),
            "tls            failed ",
        ),
    ] {
        let (code, report) = run(&[url, ("HTTPS_PROXY", &proxy)]);
        assert_eq!(code, Some(1));
        assert!(!report.contains("pa55"), "{report}");
        for words in [step, "diagnosis: the proxy does not lead to", "NO_PROXY"] {
            assert!(report.contains(words), "{words}\n{report}");
        }
    }
}

/// Takes records by TLS, with such a certificate.
fn tls_endpoint(issuer: &Issuer, name: &str, last_year: i32) -> SocketAddr {
    let config = server_config(issuer, name, last_year);
    listen(move |stream| {
        let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
        let mut stream = StreamOwned::new(connection, stream);
        if read_request(&mut stream).is_ok() {
            let answer =
                "HTTP/1.1 200 OK\r\nContent-Length: 25\r\n\r\n{\"ingested\":1,\"failed\":0}";
            stream.write_all(answer.as_bytes()).ok();
            stream.flush().ok();
        }
    })
}

#[test]
fn a_certificate_is_judged_by_its_issuer_its_dates_and_its_name() {
    let (trusted, unknown) = (issuer(), issuer());
    let file = std::env::temp_dir().join(format!("axiom-layer-doctor-{}.pem", std::process::id()));
    std::fs::write(&file, trusted.pem()).unwrap();
    for (endpoint, code, lines) in [
        (
            tls_endpoint(&trusted, "localhost", 2100),
            0,
            [
                "tls            ok           the certificate is trusted",
                "all is well",
            ],
        ),
        (
            tls_endpoint(&unknown, "localhost", 2100),
            1,
            ["is not trusted: ", "certificate authority"],
        ),
        (
            tls_endpoint(&trusted, "localhost", 2021),
            1,
            [
                "is not valid at this time: ",
                "set this machine's clock if it is wrong",
            ],
        ),
        (
            tls_endpoint(&trusted, "other.example", 2100),
            1,
            [
                "the certificate is not that of https://localhost",
                "correct the host",
            ],
        ),
    ] {
        let url = format!("https://localhost:{}", endpoint.port());
        let variables = [
            ("AXIOM_URL", &*url),
            ("SSL_CERT_FILE", file.to_str().unwrap()),
        ];
        assert_says(&variables, code, &lines);
    }
    // http to a port that speaks TLS.
    let url = format!(
        "http://localhost:{}",
        tls_endpoint(&trusted, "localhost", 2100).port()
    );
    assert_says(
        &[("AXIOM_URL", &url)],
        1,
        &["diagnosis: ", "does not answer as Axiom does", "https://"],
    );
    std::fs::remove_file(file).unwrap();
}
