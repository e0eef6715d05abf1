//! The server for a person: prints what arrives until it is told to stop.
//!
//! `args` reads the arguments, `print` decides what to print, and `traces` holds rows back until their trace can be printed.
//! The main thread prints, at a slow tick; the thread `signals` waits for signals. Of the library it names only what is public.

mod args;
mod print;
mod traces;

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use axiom_local::render::Style;
use axiom_local::{Builder, Server};

use self::args::{Color, Command, Options};
use self::print::{Output, Printer};

/// How often the printer looks: often enough to seem immediate.
const TICK: Duration = Duration::from_millis(50);
/// How long the printer may take for what is left after a signal. Without a limit, a full pipe that nobody reads would block it
/// for ever.
const LAST_WORDS: Duration = Duration::from_secs(2);

fn main() -> ExitCode {
    match args::parse(std::env::args_os().skip(1)) {
        Err(message) => {
            complain(&format!("{message}\nTry --help."));
            ExitCode::from(2)
        }
        Ok(Command::Help) => {
            Output::new().write(args::HELP);
            ExitCode::SUCCESS
        }
        Ok(Command::Version) => {
            Output::new().write(concat!("axiom-local ", env!("CARGO_PKG_VERSION"), "\n"));
            ExitCode::SUCCESS
        }
        Ok(Command::Serve(options)) => match serve(options) {
            Ok(()) => ExitCode::SUCCESS,
            Err(message) => {
                complain(&message);
                ExitCode::FAILURE
            }
        },
    }
}

/// Prints a message to stderr. If stderr is closed there is nowhere to report that, so the error is ignored.
fn complain(message: &str) {
    drop(writeln!(io::stderr(), "axiom-local: {message}"));
}

fn serve(options: Options) -> Result<(), String> {
    let color = match options.color {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => {
            let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
            io::stdout().is_terminal() && !unwanted
        }
    };
    // Signals are caught before the first line is printed, so that whoever has read the line can already stop this process.
    let stop = stop_signal().map_err(|e| format!("signals can not be caught: {e}"))?;
    let mut builder = Server::builder().port(options.port);
    if let Some(dir) = options.dir {
        builder = builder.dir(dir);
    }
    if let Some(token) = options.token {
        builder = builder.token(token);
    }
    if !options.datasets.is_empty() {
        builder = builder.datasets(options.datasets);
    }
    if let Some(n) = options.max_streams {
        builder = builder.max_streams(n);
    }
    let builder = with_tls(builder, options.tls, options.ca_file)?;
    let server = builder.start().map_err(|e| e.to_string())?;
    let mut output = Output::new();
    output.write(&format!("listening on {}\n", server.url()));
    #[cfg(feature = "tls")]
    if let Some(file) = server.ca_file() {
        output.write(&format!(
            "to be trusted by clients: SSL_CERT_FILE={}\n",
            file.display()
        ));
    }
    let mut printer = Printer::new(Style { color }, options.quiet);
    while let Err(RecvTimeoutError::Timeout) = stop.recv_timeout(TICK) {
        output.write(&printer.step(&server, Instant::now()));
    }
    output.write(&printer.end(&server, Instant::now()));
    Ok(())
}

#[cfg(feature = "tls")]
fn with_tls(builder: Builder, tls: bool, ca_file: Option<PathBuf>) -> Result<Builder, String> {
    let builder = builder.tls(tls);
    Ok(match ca_file {
        Some(file) => builder.ca_file(file),
        None => builder,
    })
}

#[cfg(not(feature = "tls"))]
fn with_tls(builder: Builder, tls: bool, _ca_file: Option<PathBuf>) -> Result<Builder, String> {
    if tls {
        return Err("this binary was built without the feature tls".to_owned());
    }
    Ok(builder)
}

/// Catches signals. The returned channel closes at the first signal. After that the process exits at a second signal or
/// after [`LAST_WORDS`], even if the main thread is blocked.
fn stop_signal() -> io::Result<Receiver<()>> {
    let (stop, stopped) = mpsc::channel();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()?;
    let mut signals = {
        let _inside = runtime.enter();
        Signals::new()?
    };
    thread::Builder::new()
        .name("signals".into())
        .spawn(move || {
            runtime.block_on(async {
                signals.next().await;
                drop(stop);
                // Whoever sends a second signal does not want to wait.
                drop(tokio::time::timeout(LAST_WORDS, signals.next()).await);
                std::process::exit(0);
            });
        })?;
    Ok(stopped)
}

#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Signals {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Signals)
    }

    async fn next(&mut self) {
        drop(tokio::signal::ctrl_c().await);
    }
}
