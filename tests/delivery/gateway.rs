//! A gateway before Axiom, which answers with a status and no body as the HTTP sources of Vector and Fluent Bit do.
//!
//! Neither of them runs here: the endpoint answers as they do. `docs/gateways.md` has their configurations.

use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use axiom_layer::{Builder, Cause, Compression, DropReason, Format};
use axiom_local::Fault;

use crate::common::{LONG, Program, server, timed};
use crate::relay::{listen, read_request};

/// An endpoint that reads bodies and answers with this status line and no body. Returns its address, the records it took,
/// and the first head.
fn gateway(status: &'static str) -> (String, Arc<AtomicU64>, Arc<Mutex<String>>) {
    gateway_that_says(status, "")
}

fn gateway_that_says(
    status: &'static str,
    says: &'static str,
) -> (String, Arc<AtomicU64>, Arc<Mutex<String>>) {
    let lines = Arc::new(AtomicU64::new(0));
    let head = Arc::new(Mutex::new(String::new()));
    let (seen, first) = (Arc::clone(&lines), Arc::clone(&head));
    let address = listen(move |mut client| {
        while let Ok(request) = read_request(&client) {
            let body = String::from_utf8_lossy(&request.body);
            // Each has what the header of labels has otherwise.
            let records = body.matches("\"_time\"").count();
            let labelled = body.matches("\"service.name\":\"delivery\"").count();
            assert_eq!(records, labelled, "{body}");
            seen.fetch_add(records as u64, Ordering::SeqCst);
            first.lock().unwrap().push_str(&request.head);
            let length = says.len();
            let answer = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n\r\n{says}");
            // A client that went away is no concern of ours.
            if client.write_all(answer.as_bytes()).is_err() {
                return;
            }
        }
    });
    (format!("http://{address}"), lines, head)
}

/// As `docs/gateways.md` sets it up: the whole address, for a gateway knows no dataset.
fn behind(builder: Builder, url: &str) -> Builder {
    builder
        .edge_url(format!("{url}/axiom"))
        .gateway(true)
        .compression(Compression::None)
}

#[test]
fn a_status_without_a_body_is_a_success_where_a_gateway_stands_before_axiom() {
    // Vector's default, others that it can be set to, and Fluent Bit's default and others.
    for status in ["200 OK", "202 Accepted", "204 No Content", "201 Created"] {
        let (url, taken, head) = gateway(status);
        let program = Program::with(&url, |builder| behind(builder, &url));
        program.record(0..1_000);
        let stats = program.flush().unwrap();
        assert_eq!((stats.delivered(), stats.retried()), (1_000, 0), "{status}");
        assert_eq!(taken.load(Ordering::SeqCst), 1_000, "{status}");
        assert!(
            program.said.causes().is_empty(),
            "{:?}",
            program.said.causes()
        );
        let head = head.lock().unwrap();
        assert!(head.starts_with("POST /axiom HTTP/1.1"), "{head}");
        assert!(
            head.to_lowercase()
                .contains("content-type: application/x-ndjson"),
            "{head}"
        );
        program.guard.shutdown(LONG).unwrap();
    }
}

#[test]
fn what_a_gateway_says_of_its_own_is_a_success_and_nothing_is_sent_twice() {
    for says in [
        "ok\n",
        "<html>thank you</html>",
        r#"{"text":"Success","code":0}"#,
    ] {
        let (url, taken, _) = gateway_that_says("200 OK", says);
        let program = Program::with(&url, |builder| behind(builder, &url));
        program.record(0..1_000);
        let stats = program.flush().unwrap();
        assert_eq!((stats.delivered(), stats.retried()), (1_000, 0), "{says}");
        assert_eq!(taken.load(Ordering::SeqCst), 1_000, "{says}");
        assert_eq!(program.said.causes(), [], "{says}");
        program.guard.shutdown(LONG).unwrap();
    }
}

#[test]
fn a_gateway_that_passes_on_axioms_own_answer_is_believed() {
    let server = server();
    server.fault(Fault::fail_events(3));
    let program = Program::with(server.url(), |builder| builder.gateway(true));
    program.record(0..1_000);
    let error = program.flush().unwrap_err();
    let stats = error.stats();
    assert_eq!((stats.delivered(), stats.retried()), (997, 0));
    assert_eq!(stats.dropped_for(DropReason::Rejected), 3);
    program.guard.shutdown(LONG).unwrap();
}

#[test]
fn a_gateway_that_reads_arrays_gets_an_array() {
    let (url, taken, head) = gateway("201 Created");
    let program = Program::with(&url, |builder| {
        behind(builder, &url).format(Format::JsonArray)
    });
    program.record(0..100);
    program.flush().unwrap();
    assert_eq!(taken.load(Ordering::SeqCst), 100);
    let head = head.lock().unwrap().to_lowercase();
    assert!(
        head.contains("content-type: application/json\r\n"),
        "{head}"
    );
    program.guard.shutdown(LONG).unwrap();
}

#[test]
fn without_the_option_it_is_a_refusal_that_is_said_once_and_probed_slowly() {
    let answers = [
        Fault::garbage(""),
        Fault::status(202).body(""),
        Fault::status(204).body(""),
    ];
    for answer in answers {
        let server = server();
        server.always(Some(answer));
        let program = Program::slow(server.url());
        program.record(0..1_000);
        program.push();
        let said = program.said.wait_for(Cause::UnexpectedAnswer);
        println!("{said}");
        assert!(said.fix().contains("AXIOM_GATEWAY=true"), "{said}");
        assert!(said.effect().contains("1000 records wait"), "{said}");
        let (error, took) = timed(|| program.flush().unwrap_err());
        assert!(error.is_blocked() && took < LONG / 2, "{error} {took:?}");
        let (error, took) = timed(|| program.guard.shutdown(LONG).unwrap_err());
        assert!(took < LONG / 2, "{took:?}");
        assert_eq!(error.stats().dropped_for(DropReason::Refused), 1_000);
        assert_eq!(
            program.said.causes(),
            [Cause::UnexpectedAnswer, Cause::Shutdown]
        );
        assert_eq!(server.requests_seen(), 1, "it was probed");
        program.audit(&[&server]);
    }
}

#[test]
fn a_gateway_in_trouble_is_treated_as_axiom_in_trouble_is() {
    let server = server();
    server.fault(Fault::status(503).body(""));
    server.fault(Fault::status(502).body("<html>Bad Gateway</html>"));
    let program = Program::with(server.url(), |builder| builder.gateway(true));
    program.record(0..1_000);
    program.flush().unwrap();
    let account = program.finish(&server);
    assert_eq!(account.stats.retried(), 2);
    assert_eq!((account.lost(), account.duplicates), (0, 0));
}
