//! A token in a file that is replaced while the program runs: `AXIOM_TOKEN_FILE`.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use axiom_layer::{Builder, Cause, DropReason};
use axiom_local::Server;

use crate::common::{DATASET, LONG, Program, server_options, timed};

const OLD: &str = "xaat-00000000-old0-old0-old0-000000000000";
const NEW: &str = "xaat-11111111-new1-new1-new1-111111111111";

/// A mounted secret, replaced as Kubernetes does: by renaming.
struct Secret(PathBuf);

impl Secret {
    fn holding(token: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("axiom-layer-rotated-{}-{number}", std::process::id());
        let secret = Self(std::env::temp_dir().join(name));
        secret.replace(token);
        secret
    }

    fn replace(&self, token: &str) {
        let next = self.0.with_extension("next");
        fs::write(&next, format!("{token}\n")).unwrap();
        fs::rename(next, &self.0).unwrap();
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        drop(fs::remove_file(&self.0));
    }
}

/// One that takes the new token alone.
fn server() -> Server {
    server_options().token(NEW).start().unwrap()
}

/// A program with the token of this file, whose records leave when it is told to.
fn program(server: &Server, secret: &Secret) -> Program {
    with(server, secret, |builder| builder)
}

fn with(server: &Server, secret: &Secret, options: impl FnOnce(Builder) -> Builder) -> Program {
    // Not the builder that programs have else: it has a token, which would come first.
    let builder = axiom_layer::builder()
        .token_file(&secret.0)
        .dataset(DATASET)
        .url(server.url())
        .service_name("delivery")
        .flush_interval(LONG);
    Program::with(server.url(), |_| options(builder))
}

#[test]
fn a_token_that_was_replaced_is_used_at_once_and_nothing_is_lost() {
    let (server, secret) = (server(), Secret::holding(OLD));
    let program = program(&server, &secret);
    secret.replace(NEW);
    program.record(0..1_000);
    let (stats, took) = timed(|| program.flush().unwrap());
    assert_eq!(stats.delivered(), 1_000);
    assert!(took < Duration::from_secs(10), "no pause of 30 s: {took:?}");
    assert_eq!(server.requests_seen(), 2, "refused once");
    assert_eq!(program.said.causes(), [], "nothing to mend");
    program.record(1_000..2_000);
    program.flush().unwrap();
    assert_eq!(server.requests_seen(), 3);
    assert_eq!(program.finish(&server).lost(), 0);
}

#[test]
fn requests_under_way_together_all_go_again_with_the_new_token() {
    let (server, secret) = (server(), Secret::holding(OLD));
    let program = with(&server, &secret, |builder| {
        builder.traces_dataset("spans").batch_max_events(100)
    });
    secret.replace(NEW);
    program.record(0..1_000);
    let (stats, took) = timed(|| program.flush().unwrap());
    assert_eq!(stats.delivered(), 1_000);
    assert!(took < Duration::from_secs(10), "{took:?}");
    assert_eq!(program.finish(&server).lost(), 0);
}

#[test]
fn the_same_token_stays_refused_until_the_file_has_another() {
    let (server, secret) = (server(), Secret::holding(OLD));
    let program = program(&server, &secret);
    program.record(0..1_000);
    let error = program.flush().unwrap_err();
    assert!(error.is_blocked(), "{error}");
    let said = program.said.wait_for(Cause::Unauthorized);
    assert!(
        said.fix().contains(secret.0.to_str().unwrap()) && said.fix().contains("AXIOM_TOKEN_FILE"),
        "{said}"
    );
    // Neither what is no token nor no file at all does harm.
    secret.replace("two words");
    assert!(program.flush().unwrap_err().is_blocked());
    fs::remove_file(&secret.0).unwrap();
    assert!(program.flush().unwrap_err().is_blocked());
    assert_eq!(server.requests_seen(), 1, "one probe in 30 s");

    secret.replace(NEW);
    let (stats, took) = timed(|| program.flush().unwrap());
    assert_eq!(stats.delivered(), 1_000);
    assert!(took < Duration::from_secs(10), "{took:?}");
    for shown in [
        format!("{said:?} {said} {error:?}"),
        format!("{:?}", program.guard),
    ] {
        assert!(!shown.contains(OLD) && !shown.contains(NEW), "{shown}");
    }
    assert_eq!(program.finish(&server).lost(), 0);
}

#[test]
fn a_file_that_is_gone_when_the_token_is_refused_is_named() {
    let (server, secret) = (server(), Secret::holding(OLD));
    let program = program(&server, &secret);
    fs::remove_file(&secret.0).unwrap();
    program.record(0..10);
    assert!(program.flush().unwrap_err().is_blocked());
    let said = program.said.wait_for(Cause::Unauthorized);
    assert!(said.what().contains("there is no such file"), "{said}");
    assert!(!said.to_string().contains(OLD), "{said}");
    secret.replace(NEW);
    assert_eq!(program.finish(&server).lost(), 0);
}

#[test]
fn a_shutdown_delivers_with_the_token_that_is_there_by_then() {
    let (server, secret) = (server(), Secret::holding(OLD));
    let program = program(&server, &secret);
    program.record(0..10);
    assert!(program.flush().unwrap_err().is_blocked());
    secret.replace(NEW);
    let stats = program.guard.shutdown(LONG).unwrap();
    assert_eq!(stats.delivered(), 10);
    program.audit(&[&server]);
}

#[test]
fn a_shutdown_does_not_wait_for_a_token_that_is_not_replaced() {
    let (server, secret) = (server(), Secret::holding(OLD));
    let program = program(&server, &secret);
    program.record(0..10);
    let (error, took) = timed(|| program.guard.shutdown(LONG).unwrap_err());
    assert!(took < LONG / 2, "{took:?}");
    assert_eq!(error.stats().dropped_for(DropReason::Refused), 10);
    program.audit(&[&server]);
}

#[test]
fn the_next_probe_goes_with_the_token_that_is_there_by_then() {
    let (server, secret) = (server(), Secret::holding(OLD));
    let program = with(&server, &secret, |builder| {
        builder.refused_pause(Duration::from_secs(1))
    });
    program.record(0..10);
    assert!(program.flush().unwrap_err().is_blocked());
    secret.replace(NEW);
    // Nobody asks for it: the pause is over.
    assert!(server.wait_until(LONG, |server| server.ingested() == 10));
    assert_eq!(server.requests_seen(), 2, "the old one is not tried again");
    assert_eq!(program.finish(&server).lost(), 0);
}
