//! The run that all have in common: an application, an outage from its start on, and what it costs.

use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use axiom_layer::Cause;
use axiom_local::Server;

use crate::certificates::Issuer;
use crate::child;
use crate::program::{Program, timed};
use crate::work;

/// The endpoint's host where it is not this machine: the test's own resolver or its proxy knows the name.
pub(crate) const HOST: &str = "ingest.axiom-layer.test";

/// `Program::new` configures this token.
const TOKEN: &str = "xaat-test";

/// Records before the first attempt.
const BEFORE: u64 = 1_000;

/// And as long as the outage lasts, so many at a time.
const DURING: u64 = 10;
const PACE: Duration = Duration::from_millis(5);

/// An application that waits for the network would wait about as long as the outage lasts.
const NOTICED: Duration = Duration::from_secs(1);

/// The outage lasts for so many attempts after the first.
const RETRIES: u64 = 3;

/// And no less than the requirement says, with `AXIOM_LAYER_LONG=1`.
const LONG_OUTAGE: Duration = Duration::from_secs(20);

/// The first wait and the longest, of `src/worker/backoff.rs`.
const BACKOFF_BASE: Duration = Duration::from_millis(200);
const BACKOFF_CAP: Duration = Duration::from_secs(30);

/// What one attempt and the upload of what has gathered may take on a busy machine.
const DELIVERY: Duration = Duration::from_secs(15);

const LONG: &str = "AXIOM_LAYER_LONG";

/// The file of certificates that a process trusts.
const TRUSTED: &str = "SSL_CERT_FILE";

/// Runs the rest of a test in a process whose environment has these variables, no other proxy, and a file of trusted
/// certificates that does not exist yet.
pub(crate) fn alone(test: &str, variables: &[(&str, &str)], run: impl FnOnce()) {
    if child::role().is_some() {
        return run();
    }
    let mut command = child::command(test, "application");
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        let lower = name.to_ascii_lowercase();
        if lower.ends_with("_proxy") || lower.starts_with("ssl_cert_") {
            command.env_remove(&*name);
        }
    }
    if let Some(long) = std::env::var_os(LONG) {
        command.env(LONG, long);
    }
    let file = format!("axiom-layer-{}-{test}.pem", std::process::id());
    let file = std::env::temp_dir().join(file.replace("::", "-"));
    command.env(TRUSTED, &file);
    let output = command.envs(variables.iter().copied()).output().unwrap();
    // Not every test writes it.
    drop(std::fs::remove_file(file));
    let (out, _) = child::succeeded(&output);
    assert!(out.contains("1 passed"), "there is no test {test}: {out}");
    for line in out.lines().filter(|line| line.contains("outage")) {
        println!("{line}");
    }
}

/// Makes this process trust an issuer, and no other. Whole or not at all, as a package manager does it.
pub(crate) fn trust(issuer: &Issuer) {
    let file = PathBuf::from(std::env::var_os(TRUSTED).unwrap());
    let whole = file.with_extension("new");
    std::fs::write(&whole, issuer.pem()).unwrap();
    std::fs::rename(whole, file).unwrap();
}

/// What is broken, and how the layer's one message puts it.
pub(crate) struct Outage<'a> {
    pub(crate) url: &'a str,
    pub(crate) cause: Cause,
    pub(crate) what: &'a str,
    pub(crate) fix: &'a str,
}

impl Outage<'_> {
    /// An application that starts in the outage and lives to see it `mended`. `server` holds what arrived.
    pub(crate) fn until_mended(self, server: &Server, mend: impl FnOnce()) {
        let build = || Program::with(self.url, |builder| builder.allow_plain_http(true));
        work::assert_builds_at_once(build);

        let start = Instant::now();
        let program = build();
        let mut slowest = timed(|| program.record(0..BEFORE)).1;
        let message = program.said.wait_for(self.cause);
        let least = std::env::var_os(LONG).map_or(Duration::ZERO, |_| LONG_OUTAGE);
        while program.stats().retried() < RETRIES || start.elapsed() < least {
            let next = program.recorded();
            let (_, took) = timed(|| program.record(next..next + DURING));
            slowest = slowest.max(took);
            // The application's own pace: it is not the end of the outage that is waited for here.
            thread::sleep(PACE);
            assert!(
                start.elapsed() < LONG_OUTAGE + BACKOFF_CAP,
                "attempts have ceased: {}",
                program.stats()
            );
        }
        let stats = program.stats();
        assert_eq!((stats.delivered(), stats.dropped()), (0, 0), "{stats}");
        assert_eq!(server.ingested(), 0, "there is no outage");
        let outage = start.elapsed();

        mend();
        let mended = Instant::now();
        // Not a flush, which would cut the wait short.
        let bound = longest_wait(stats.retried()) + DELIVERY;
        let recorded = program.recorded();
        let arrived = server.wait_until(bound, |server| server.ingested() >= recorded);
        let took = mended.elapsed();
        assert!(
            arrived,
            "{} of {recorded} arrived within {bound:?} ({})",
            server.ingested(),
            program.stats()
        );
        assert!(slowest < NOTICED, "recording waited for {slowest:?}");

        let said = program.said.clone();
        let account = program.finish(server);
        assert_eq!((account.lost(), account.duplicates), (0, 0));
        assert_eq!(account.stats.delivered(), recorded);
        assert_eq!(account.stats.dropped(), 0);
        assert_eq!(said.causes(), [self.cause], "one message: {message}");
        assert!(message.what().contains(self.what), "{message}");
        assert!(message.fix().contains(self.fix), "{message}");
        assert!(!message.to_string().contains(TOKEN), "{message}");
        println!(
            "outage of {outage:?} with {} retries; {recorded} records, {:?} at the slowest; all there {took:?} after it; {message}",
            stats.retried(),
            slowest,
        );
    }
}

/// The longest wait after so many retries, by the backoff's rule. The wait in force may be the next one.
fn longest_wait(retries: u64) -> Duration {
    let doublings = u32::try_from(retries + 1).unwrap().min(16);
    (BACKOFF_BASE * (1 << doublings)).min(BACKOFF_CAP)
}
