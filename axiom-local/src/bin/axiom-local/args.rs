//! The arguments of the binary.

use std::ffi::OsString;
use std::path::PathBuf;

use lexopt::{Arg, Parser, ValueExt};

pub(crate) const HELP: &str = "\
A local endpoint that speaks Axiom's ingest contract.

Prints its address, then each trace as a tree, each other event as a line, and each
breach of the contract. Point a client at the address with any API token.

Usage: axiom-local [OPTIONS]

Options:
      --port PORT      listen on 127.0.0.1:PORT [default: a free port]
      --dir DIR        also append events to DIR/<dataset>.ndjson
      --token TOKEN    the only token that is accepted [default: any]
      --dataset NAME   a dataset that exists; may be repeated [default: all exist]
      --tls            speak TLS (HTTP/2 or HTTP/1.1), under a certificate authority of
                       its own; the file to trust is printed
      --ca-file FILE   write that authority's certificate to FILE; implies --tls
                       [default: a temporary file]
      --max-streams N  requests at a time on one HTTP/2 connection [default: 200]
      --color WHEN     auto, always or never [default: auto, which heeds NO_COLOR]
  -q, --quiet          print no traces and events
  -h, --help           print this
  -V, --version        print the version

Ctrl-C or SIGTERM prints what is left and a summary. If stdout is closed, the server
goes on without printing.
";

/// What to do.
#[derive(Debug, PartialEq)]
pub(crate) enum Command {
    Help,
    Version,
    Serve(Options),
}

#[derive(Debug, Default, PartialEq)]
pub(crate) struct Options {
    pub(crate) port: u16,
    pub(crate) dir: Option<PathBuf>,
    pub(crate) token: Option<String>,
    pub(crate) datasets: Vec<String>,
    pub(crate) tls: bool,
    pub(crate) ca_file: Option<PathBuf>,
    pub(crate) max_streams: Option<u32>,
    pub(crate) color: Color,
    pub(crate) quiet: bool,
}

#[derive(Debug, Default, Clone, Copy, PartialEq)]
pub(crate) enum Color {
    #[default]
    Auto,
    Always,
    Never,
}

/// Reads the arguments, without the program's name. An error is a text for a person.
pub(crate) fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Command, String> {
    let mut parser = Parser::from_args(args);
    let mut options = Options::default();
    while let Some(arg) = parser.next().map_err(|e| e.to_string())? {
        match arg {
            Arg::Short('h') | Arg::Long("help") => return Ok(Command::Help),
            Arg::Short('V') | Arg::Long("version") => return Ok(Command::Version),
            Arg::Short('q') | Arg::Long("quiet") => options.quiet = true,
            Arg::Long("port") => {
                let text = text(&mut parser)?;
                options.port = text
                    .parse()
                    .map_err(|_| format!("--port is {text:?}, not a number from 0 to 65535"))?;
            }
            Arg::Long("dir") => options.dir = Some(value(&mut parser)?.into()),
            Arg::Long("token") => options.token = Some(not_empty("--token", text(&mut parser)?)?),
            Arg::Long("dataset") => {
                let name = not_empty("--dataset", text(&mut parser)?)?;
                options.datasets.push(name);
            }
            Arg::Long("tls") => options.tls = true,
            Arg::Long("ca-file") => {
                options.tls = true;
                options.ca_file = Some(value(&mut parser)?.into());
            }
            Arg::Long("max-streams") => {
                let text = text(&mut parser)?;
                let number = text.parse().ok().filter(|n| *n > 0);
                let number =
                    number.ok_or_else(|| format!("--max-streams is {text:?}, not a number"))?;
                options.max_streams = Some(number);
            }
            Arg::Long("color") => {
                options.color = match text(&mut parser)?.as_str() {
                    "auto" => Color::Auto,
                    "always" => Color::Always,
                    "never" => Color::Never,
                    other => {
                        return Err(format!("--color is {other:?}, not auto, always or never"));
                    }
                }
            }
            other => return Err(other.unexpected().to_string()),
        }
    }
    Ok(Command::Serve(options))
}

fn value(parser: &mut Parser) -> Result<OsString, String> {
    parser.value().map_err(|e| e.to_string())
}

fn text(parser: &mut Parser) -> Result<String, String> {
    value(parser)?.string().map_err(|e| e.to_string())
}

fn not_empty(option: &str, text: String) -> Result<String, String> {
    if text.is_empty() {
        return Err(format!("{option} is empty"));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(args: &str) -> Result<Command, String> {
        parse(args.split_whitespace().map(OsString::from))
    }

    #[test]
    fn every_option_is_understood() {
        let all = "--port 8080 --dir /d --token xaat-1 --dataset a --dataset=b --tls --ca-file /ca.pem --max-streams 1 --color never -q";
        assert_eq!(
            parsed(all),
            Ok(Command::Serve(Options {
                port: 8080,
                dir: Some("/d".into()),
                token: Some("xaat-1".into()),
                datasets: vec!["a".into(), "b".into()],
                tls: true,
                ca_file: Some("/ca.pem".into()),
                max_streams: Some(1),
                color: Color::Never,
                quiet: true,
            }))
        );
        assert_eq!(parsed(""), Ok(Command::Serve(Options::default())));
        assert_eq!(parsed("--port 0 --help"), Ok(Command::Help));
        assert_eq!(parsed("-V"), Ok(Command::Version));
    }

    #[test]
    fn a_bad_option_is_named_in_the_message() {
        for (args, named) in [
            ("--port 70000", "70000"),
            ("--port", "--port"),
            ("--color blue", "blue"),
            ("--max-streams 0", "--max-streams"),
            ("--prot 1", "--prot"),
            ("file", "file"),
            ("--token=", "--token"),
        ] {
            let message = parsed(args).unwrap_err();
            assert!(message.contains(named), "{args}: {message}");
        }
    }
}
