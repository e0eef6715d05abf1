//! A configuration that is valid and wrong: building succeeds at once, recording never waits, and one line says what to fix.

#[path = "common/mod.rs"]
#[expect(dead_code, reason = "the other binaries need the rest")]
mod common;
#[path = "common/work.rs"]
mod work;

use std::net::TcpListener;
use std::time::{Duration, Instant};

use axiom_layer::{Builder, Cause, DropReason, FlushError, Guard, Stats};
use axiom_local::{Fault, Server};
use tracing::info;
use tracing::subscriber::with_default;
use tracing_subscriber::{prelude::*, registry};

use common::{LONG, Said, TOKEN};

/// What a program sees whose layer can not deliver.
struct Trouble<'a> {
    server: Option<&'a Server>,
    guard: Guard,
    said: Said,
    record: Box<dyn Fn()>,
}

impl<'a> Trouble<'a> {
    fn at(server: &'a Server, options: impl Fn(Builder) -> Builder) -> Self {
        Self::with(Some(server), server.url(), options)
    }

    /// Builds in no time, and records 100 events without waiting.
    fn with(server: Option<&'a Server>, url: &str, options: impl Fn(Builder) -> Builder) -> Self {
        let said = Said::default();
        let builder = |said: &Said| {
            options(
                axiom_layer::builder()
                    .token(TOKEN)
                    .dataset("main")
                    .url(url)
                    .flush_interval(Duration::from_millis(10))
                    .on_diagnostic(said.hook()),
            )
        };
        work::assert_builds_at_once(|| builder(&Said::default()).build().unwrap());
        let (layer, guard) = builder(&said).build().unwrap();
        let dispatch = tracing::Dispatch::new(registry().with(layer));
        let record = Box::new(move || {
            let before = work::waits();
            tracing::dispatcher::with_default(&dispatch, || {
                (0..100).for_each(|seq| info!(seq, "hello"))
            });
            // Now and then a thread waits for something else, such as the kernel's lock on memory.
            let waits = work::waits() - before;
            assert!(waits < 10, "recording waited {waits} times");
        });
        record();
        Self {
            server,
            guard,
            said,
            record,
        }
    }

    fn flush(&self) -> Result<Stats, FlushError> {
        self.guard.flush(LONG)
    }

    /// The only thing that was said. It fits a line and holds no secret.
    fn only(&self, cause: Cause) -> String {
        let said = self.said.all();
        let lines: Vec<_> = said.iter().map(ToString::to_string).collect();
        assert_eq!(lines.len(), 1, "{lines:#?}");
        assert_eq!(said[0].cause(), cause);
        let shown = format!("{} {:?} {:?}", lines[0], said[0], self.guard);
        assert!(
            !shown.contains(TOKEN) && !lines[0].contains('\n'),
            "{shown}"
        );
        lines[0].clone()
    }

    /// Ends long before it would have to; all is lost for this reason, and all of it is counted.
    fn end(self, reason: DropReason) -> String {
        let start = Instant::now();
        let stats = self.guard.shutdown(LONG).unwrap_err().stats().clone();
        assert!(start.elapsed() < LONG / 2);
        assert_eq!(stats.recorded(), stats.dropped());
        assert_eq!(stats.dropped_for(reason), stats.recorded(), "{stats}");
        let said: Vec<_> = self.said.all().iter().map(ToString::to_string).collect();
        assert_eq!(said.len(), 2, "and one line about the loss: {said:#?}");
        said[1].clone()
    }
}

/// Whatever happened, every record is accounted for, and no request broke the contract.
impl Drop for Trouble<'_> {
    fn drop(&mut self) {
        let stats = match self.guard.shutdown(Duration::from_millis(100)) {
            Ok(stats) => stats,
            Err(error) => error.stats().clone(),
        };
        if !std::thread::panicking() {
            assert_eq!(stats.recorded(), stats.delivered() + stats.dropped());
            assert_eq!(stats.worker_panics(), 0);
            let violations = self.server.map(Server::violations).unwrap_or_default();
            assert_eq!(violations, []);
        }
    }
}

#[test]
fn a_wrong_token_is_told_once() {
    let server = Server::builder().token("xaat-another").start().unwrap();
    let trouble = Trouble::at(&server, |builder| builder);
    for _ in 0..3 {
        assert!(trouble.flush().unwrap_err().is_blocked());
        (trouble.record)();
    }
    let said = trouble.only(Cause::Unauthorized);
    assert!(
        said.contains("AXIOM_TOKEN") && said.contains("main"),
        "{said}"
    );
    let said = trouble.end(DropReason::Refused);
    assert!(said.contains("400 records"), "{said}");
    assert!(
        !said.contains("shutdown_timeout"),
        "more time would not help: {said}"
    );
    assert_eq!(server.violations(), []);
}

#[test]
fn an_unknown_dataset_is_told_once_for_each() {
    let server = Server::builder().datasets(["other"]).start().unwrap();
    let trouble = Trouble::at(&server, |builder| builder);
    assert!(trouble.flush().unwrap_err().is_blocked());
    let said = trouble.only(Cause::NotFound);
    assert!(
        said.contains("AXIOM_DATASET") && said.contains("/main/"),
        "{said}"
    );
    trouble.end(DropReason::Refused);
}

#[test]
fn an_unknown_dataset_for_spans_does_not_keep_events_back() {
    let server = Server::builder().datasets(["main"]).start().unwrap();
    let said = Said::default();
    let (layer, guard) = axiom_layer::builder()
        .token(TOKEN)
        .dataset("main")
        .traces_dataset("traces")
        .url(server.url())
        .on_diagnostic(said.hook())
        .build()
        .unwrap();
    with_default(registry().with(layer), || {
        tracing::info_span!("span").in_scope(|| info!("event"));
    });
    assert!(guard.flush(LONG).unwrap_err().is_blocked());
    assert_eq!(server.ingested_in("main"), 1);
    let all = said.all();
    assert_eq!(all.len(), 1, "{all:?}");
    let line = all[0].to_string();
    assert!(
        line.contains("AXIOM_TRACES_DATASET") && line.contains("/traces/"),
        "{line}"
    );
    let stats = guard.shutdown(LONG).unwrap_err().stats().clone();
    assert_eq!(
        (stats.recorded(), stats.delivered(), stats.dropped()),
        (2, 1, 1)
    );
}

#[test]
fn a_wrong_path_is_told_once() {
    let server = Server::start().unwrap();
    let url = format!("{}/proxy", server.url());
    let trouble = Trouble::with(Some(&server), &url, |builder| builder);
    assert!(trouble.flush().unwrap_err().is_blocked());
    let said = trouble.only(Cause::NotFound);
    assert!(said.contains(&url) && said.contains("AXIOM_URL"), "{said}");
    trouble.end(DropReason::Refused);
}

/// A port of this machine where nobody listens.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

#[test]
fn a_host_that_can_not_be_reached_is_told_once_and_everything_arrives_when_it_can() {
    let port = free_port();
    let url = format!("http://127.0.0.1:{port}");
    let trouble = Trouble::with(None, &url, |builder| builder);
    assert!(
        trouble
            .guard
            .flush(Duration::from_millis(700))
            .unwrap_err()
            .is_timeout()
    );
    assert!(
        trouble.guard.stats().retried() > 0,
        "{:?}",
        trouble.guard.stats()
    );
    let said = trouble.only(Cause::Unreachable);
    assert!(said.contains(&url) && said.contains("refused"), "{said}");
    assert!(said.contains("AXIOM_URL"), "{said}");
    let server = Server::builder().port(port).start().unwrap();
    let stats = trouble.flush().unwrap();
    assert_eq!((stats.delivered(), stats.recorded()), (100, 100));
    assert_eq!(server.ingested(), 100);
    trouble.only(Cause::Unreachable);
}

#[test]
fn where_nothing_listens_a_shutdown_ends_early_and_names_the_cause() {
    let address = format!("127.0.0.1:{}", free_port());
    let url = format!("http://{address}");
    let trouble = Trouble::with(None, &url, |builder| builder);
    let start = Instant::now();
    let error = trouble.guard.shutdown(LONG).unwrap_err();
    let took = start.elapsed();
    // Not before it was clear that nobody comes up, and long before the deadline.
    assert!(took >= Duration::from_secs(1), "{took:?}");
    assert!(took < LONG / 2, "{took:?}");
    let stats = error.stats();
    assert_eq!(stats.dropped_for(DropReason::Shutdown), 100, "{stats}");
    assert!(stats.retried() >= 1, "{stats}");
    let cause = format!("nothing listens at {address}");
    assert!(
        error.is_lost() && error.to_string().contains(&cause),
        "{error}"
    );
    let said = trouble.said.all();
    let causes: Vec<_> = said.iter().map(|said| said.cause()).collect();
    assert_eq!(causes, [Cause::Unreachable, Cause::Shutdown]);
    let last = said[1].to_string();
    assert!(
        last.contains(&cause) && last.contains("100 records") && last.contains("AXIOM_URL"),
        "{last}"
    );
    assert!(!last.contains("shutdown_timeout"), "more time: {last}");
}

#[test]
fn an_endpoint_that_comes_up_amid_the_shutdown_gets_everything() {
    let port = free_port();
    let url = format!("http://127.0.0.1:{port}");
    let (refused, is_refused) = std::sync::mpsc::channel();
    let trouble = Trouble::with(None, &url, |builder| {
        let refused = refused.clone();
        // Nothing is sent before the shutdown.
        let builder = builder.flush_interval(LONG);
        builder.on_diagnostic(move |said| refused.send(said.cause()).unwrap())
    });
    let server = std::thread::scope(|scope| {
        let shutdown = scope.spawn(|| trouble.guard.shutdown(LONG));
        assert_eq!(is_refused.recv().unwrap(), Cause::Unreachable);
        let server = Server::builder().port(port).start().unwrap();
        let stats = shutdown.join().unwrap().unwrap();
        assert_eq!((stats.delivered(), stats.recorded()), (100, 100));
        server
    });
    assert_eq!(server.ingested(), 100);
}

#[test]
fn a_host_that_never_can_be_reached_costs_no_more_than_the_shutdown_timeout() {
    let url = format!("http://127.0.0.1:{}", free_port());
    let shutdown = || {
        let trouble = Trouble::with(None, &url, |builder| builder);
        // Somebody has tried by then, whatever the machine does.
        while trouble.guard.stats().retried() == 0 {
            std::thread::yield_now();
        }
        let start = Instant::now();
        let error = trouble.guard.shutdown(Duration::from_millis(300));
        let took = start.elapsed();
        let stats = error.unwrap_err().stats().clone();
        assert_eq!(stats.dropped_for(DropReason::Shutdown), 100);
        let said = trouble.said.all();
        let causes: Vec<_> = said.iter().map(|said| said.cause()).collect();
        assert_eq!(causes, [Cause::Unreachable, Cause::Shutdown]);
        took
    };
    // With more time it would end after a second. On a busy machine that may go by once or twice.
    assert!((0..5).any(|_| shutdown() < Duration::from_secs(1)));
}

#[test]
fn a_host_that_does_not_answer_is_told_once() {
    let server = Server::start().unwrap();
    server.always(Some(Fault::hang()));
    let trouble = Trouble::at(&server, |builder| {
        builder.request_timeout(Duration::from_millis(100))
    });
    assert!(
        trouble
            .guard
            .flush(Duration::from_millis(500))
            .unwrap_err()
            .is_timeout()
    );
    let said = trouble.only(Cause::Unreachable);
    assert!(said.contains("time-out"), "{said}");
    server.no_faults();
    assert_eq!(trouble.flush().unwrap().delivered(), 100);
}

#[test]
fn a_server_without_tls_behind_https_is_told_once() {
    let server = Server::start().unwrap();
    let url = server.url().replace("http:", "https:");
    let trouble = Trouble::with(Some(&server), &url, |builder| builder);
    assert!(
        trouble
            .guard
            .flush(Duration::from_millis(700))
            .unwrap_err()
            .is_timeout()
    );
    let said = trouble.only(Cause::Unreachable);
    assert!(said.contains(&url), "{said}");
}

#[test]
fn a_login_page_is_told_once() {
    let server = Server::start().unwrap();
    server.always(Some(Fault::garbage("<html>\n<title>Log in</title></html>")));
    let trouble = Trouble::at(&server, |builder| builder);
    assert!(
        trouble
            .guard
            .flush(Duration::from_millis(700))
            .unwrap_err()
            .is_timeout()
    );
    let said = trouble.only(Cause::UnexpectedAnswer);
    assert!(said.contains("Log in"), "{said}");
}

#[test]
fn a_server_that_quotes_the_token_is_not_quoted() {
    for status in [400, 401, 404, 500] {
        let server = Server::start().unwrap();
        let body = format!(r#"{{"message":"what is {TOKEN}?"}}"#);
        server.always(Some(
            Fault::status(status)
                .body(body)
                .header("X-Axiom-Trace-Id", TOKEN),
        ));
        let trouble = Trouble::at(&server, |builder| builder);
        let flushed = trouble.guard.flush(Duration::from_millis(300)).unwrap_err();
        assert!(!format!("{flushed} {flushed:?}").contains(TOKEN));
        // What is still looked for is said at the end.
        drop(trouble.guard.shutdown(Duration::from_millis(300)));
        let said = trouble.said.all();
        let shown = format!("{said:?}");
        assert!(!said.is_empty() && !shown.contains(TOKEN), "{shown}");
        assert!(shown.contains("what is "), "{shown}");
    }
    let server = Server::start().unwrap();
    let body = format!(
        r#"{{"ingested":99,"failed":1,"failures":[{{"timestamp":"","error":"{TOKEN}"}}],"messages":[{{"code":"{TOKEN}","msg":""}}]}}"#
    );
    server.always(Some(Fault::garbage(body)));
    let trouble = Trouble::at(&server, |builder| builder);
    let flushed = trouble.flush().unwrap_err();
    let shown = format!("{:?} {:?}", trouble.said.all(), flushed.stats());
    assert!(
        trouble.said.all().len() == 2 && !shown.contains(TOKEN),
        "{shown}"
    );
}

#[test]
fn the_query_of_an_address_is_not_shown() {
    let server = Server::start().unwrap();
    let said = Said::default();
    let url = format!("{}/no/such/path?key=5ec2e7", server.url());
    let (layer, guard) = axiom_layer::builder()
        .token(TOKEN)
        .edge_url(url)
        .on_diagnostic(said.hook())
        .build()
        .unwrap();
    with_default(registry().with(layer), || info!("event"));
    let error = guard.flush(LONG).unwrap_err();
    let shown = format!("{error} {:?}", said.all());
    assert!(
        shown.contains("/no/such/path") && !shown.contains("key"),
        "{shown}"
    );
    assert!(error.is_blocked() && said.all().len() == 1, "{shown}");
}
