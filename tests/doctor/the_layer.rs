//! The layer's own diagnostics tell the same causes apart, with the same fix.

use std::net::TcpListener;
use std::sync::mpsc;
use std::time::Duration;

use axiom_layer::doctor::Problem;
use axiom_layer::{Builder, Cause, Diagnostic};
use axiom_local::{Fault, Server};
use tracing_subscriber::{prelude::*, registry};

use crate::common::{NOWHERE, TOKEN, builder, diagnose};
use crate::relay::listen;

const LONG: Duration = Duration::from_secs(10);

/// The first thing that the layer says when it can not deliver.
fn said(builder: Builder) -> Diagnostic {
    let (hook, said) = mpsc::channel();
    let (layer, guard) = builder
        .on_diagnostic(move |diagnostic| hook.send(diagnostic.clone()).unwrap_or_default())
        .build()
        .unwrap();
    tracing::subscriber::with_default(registry().with(layer), || tracing::info!("hello"));
    let said = said.recv_timeout(LONG).unwrap();
    guard.shutdown(Duration::ZERO).ok();
    said
}

#[test]
fn the_token_is_read_from_its_file() {
    let server = Server::builder().token(TOKEN).start().unwrap();
    let name = format!("axiom-layer-doctor-token-{}", std::process::id());
    let file = std::env::temp_dir().join(name);
    let builder = axiom_layer::builder()
        .token_file(&file)
        .dataset("logs")
        .url(server.url());
    let path = file.to_str().unwrap();
    for (content, problem, said) in [
        (None, Some(Problem::Configuration), "there is no such file"),
        (Some("xaat-another"), Some(Problem::Unauthorized), path),
        (Some(TOKEN), None, ""),
    ] {
        if let Some(content) = content {
            std::fs::write(&file, content).unwrap();
        }
        let diagnosis = diagnose(&builder, LONG);
        assert_eq!(diagnosis.cause(), problem, "{diagnosis}");
        assert!(diagnosis.to_string().contains(said), "{diagnosis}");
    }
    std::fs::remove_file(file).unwrap();
}

#[test]
fn the_layer_and_the_doctor_name_the_same_fix() {
    let server = Server::start().unwrap();
    let url = server.url();
    let closed = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let hangs_up = listen(drop);
    for (url, fault, cause) in [
        (format!("http://{closed}"), None, Cause::Unreachable),
        (format!("https://{hangs_up}"), None, Cause::Unreachable),
        (url.replace("http:", "https:"), None, Cause::Unreachable),
        (NOWHERE.to_owned(), None, Cause::Unreachable),
        (NOWHERE.replace("https:", "http:"), None, Cause::Unreachable),
        (url.to_owned(), Some(Fault::reset()), Cause::Unreachable),
        (
            url.to_owned(),
            Some(Fault::status(403)),
            Cause::Unauthorized,
        ),
        (url.to_owned(), Some(Fault::status(404)), Cause::NotFound),
        (url.to_owned(), Some(Fault::status(407)), Cause::Unreachable),
        (url.to_owned(), Some(Fault::status(503)), Cause::ServerError),
        (
            url.to_owned(),
            Some(Fault::garbage("<html>")),
            Cause::UnexpectedAnswer,
        ),
        (url.to_owned(), Some(Fault::fail_events(1)), Cause::Rejected),
    ] {
        server.always(fault);
        let builder = builder(&url)
            .allow_plain_http(true)
            .flush_interval(Duration::from_millis(1));
        let diagnosis = diagnose(&builder, LONG);
        let said = said(builder);
        assert_eq!(said.cause(), cause, "{said}");
        assert_eq!(
            Some(said.fix()),
            diagnosis.fix(),
            "{url}\n{said}\n{diagnosis}"
        );
    }
}
