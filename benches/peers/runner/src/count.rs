//! Counts the records in a request, whoever sent it, and says what its client expects to hear.

use std::io::{self, Read};

use flate2::read::GzDecoder;
use serde_json::Value;

use crate::http::{Answer, Request};

#[derive(Debug, PartialEq)]
pub(crate) enum Counted {
    Records(u64),
    /// The body is of no kind that is known here.
    Unclear,
}

/// Each kind of client has a path of its own.
pub(crate) fn judge(request: &Request) -> (Counted, Answer) {
    let path = request.path.split('?').next().unwrap_or_default();
    if path.contains("/ingest") {
        let records = lines(request).ok();
        let body = format!(
            r#"{{"ingested":{},"failed":0,"failures":[],"processedBytes":{},"blocksCreated":0,"walLength":0}}"#,
            records.unwrap_or(0),
            request.body.len()
        );
        return (counted(records), json(body));
    }
    if path.ends_with("/v1/traces") || path.ends_with("/v1/logs") {
        let body = decoded(request).ok();
        let records = body.and_then(|body| otlp(&body, path.ends_with("/v1/traces")));
        // An empty message: everything was taken.
        return (
            counted(records),
            answer("200 OK", "application/x-protobuf", String::new()),
        );
    }
    if path.ends_with("/loki/api/v1/push") {
        let body = snap::raw::Decoder::new().decompress_vec(&request.body);
        let records = body.ok().and_then(|body| loki(&body));
        return (
            counted(records),
            answer("204 No Content", "text/plain", String::new()),
        );
    }
    if path.ends_with("/envelope/") {
        let body = decoded(request).ok();
        let records = body.and_then(|body| envelope(&body));
        return (counted(records), json("{}".to_owned()));
    }
    (Counted::Unclear, json("{}".to_owned()))
}

fn counted(records: Option<u64>) -> Counted {
    records.map_or(Counted::Unclear, Counted::Records)
}

fn json(body: String) -> Answer {
    answer("200 OK", "application/json", body)
}

fn answer(status: &'static str, content_type: &'static str, body: String) -> Answer {
    Answer {
        status,
        content_type,
        body: body.into_bytes(),
    }
}

fn reader(request: &Request) -> io::Result<Box<dyn Read + '_>> {
    let body = request.body.as_slice();
    match request.encoding.as_str() {
        "" | "identity" => Ok(Box::new(body)),
        "gzip" => Ok(Box::new(GzDecoder::new(body))),
        "zstd" => Ok(Box::new(zstd::stream::read::Decoder::with_buffer(body)?)),
        _ => Err(io::ErrorKind::Unsupported.into()),
    }
}

fn decoded(request: &Request) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    reader(request)?.read_to_end(&mut body)?;
    Ok(body)
}

/// Lines of NDJSON. Never whole in memory, for most of the time would go into touching it.
fn lines(request: &Request) -> io::Result<u64> {
    let mut reader = reader(request)?;
    let mut piece = vec![0; 64 * 1024];
    let mut lines = 0;
    let mut last = b'\n';
    loop {
        let read = reader.read(&mut piece)?;
        if read == 0 {
            // The last line may lack its end.
            return Ok(lines + u64::from(last != b'\n'));
        }
        lines += piece[..read].iter().filter(|&&byte| byte == b'\n').count() as u64;
        last = piece[read - 1];
    }
}

/// `resource_spans` or `resource_logs` (1) of `scope_spans` or `scope_logs` (2) of spans or log records (2). A span's
/// events (11) are records, too.
fn otlp(body: &[u8], traces: bool) -> Option<u64> {
    let mut records = 0;
    parts(body, 1, &mut |resource| {
        parts(resource, 2, &mut |scope| {
            parts(scope, 2, &mut |record| {
                records += 1;
                if traces {
                    parts(record, 11, &mut |_| {
                        records += 1;
                        Some(())
                    })?;
                }
                Some(())
            })
        })
    })?;
    Some(records)
}

/// Streams (1) of entries (2).
fn loki(body: &[u8]) -> Option<u64> {
    let mut records = 0;
    parts(body, 1, &mut |stream| {
        parts(stream, 2, &mut |_| {
            records += 1;
            Some(())
        })
    })?;
    Some(records)
}

/// Finds the fields of a protobuf message that have this number and a length. None if it is no such message.
fn parts<'a>(
    mut message: &'a [u8],
    number: u64,
    found: &mut dyn FnMut(&'a [u8]) -> Option<()>,
) -> Option<()> {
    while !message.is_empty() {
        let tag = varint(&mut message)?;
        let length = match tag & 7 {
            0 => {
                varint(&mut message)?;
                continue;
            }
            1 => 8,
            2 => usize::try_from(varint(&mut message)?).ok()?,
            5 => 4,
            _ => return None,
        };
        let (part, rest) = message.split_at_checked(length)?;
        message = rest;
        if tag & 7 == 2 && tag >> 3 == number {
            found(part)?;
        }
    }
    Some(())
}

fn varint(message: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = message.split_first()?;
        *message = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

/// A header, then items, each a header and a payload. Logs come many in an item, a transaction holds its spans.
fn envelope(mut body: &[u8]) -> Option<u64> {
    let mut records = 0;
    line(&mut body)?;
    while !body.is_empty() {
        let header: Value = serde_json::from_slice(line(&mut body)?).ok()?;
        let payload = match header["length"].as_u64() {
            Some(length) => {
                let (payload, rest) = body.split_at_checked(usize::try_from(length).ok()?)?;
                body = rest.strip_prefix(b"\n").unwrap_or(rest);
                payload
            }
            None => line(&mut body)?,
        };
        records += match header["type"].as_str()? {
            "log" => header["item_count"].as_u64()?,
            "transaction" => {
                let transaction: Value = serde_json::from_slice(payload).ok()?;
                1 + transaction["spans"].as_array().map_or(0, Vec::len) as u64
            }
            // Sessions, reports of the client.
            _ => 0,
        };
    }
    Some(records)
}

fn line<'a>(body: &mut &'a [u8]) -> Option<&'a [u8]> {
    let end = body.iter().position(|&byte| byte == b'\n');
    let (line, rest) = match end {
        Some(end) => (&body[..end], &body[end + 1..]),
        None => (*body, &body[body.len()..]),
    };
    *body = rest;
    (!line.is_empty()).then_some(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(path: &str, body: &[u8]) -> Counted {
        let request = Request {
            path: path.to_owned(),
            encoding: String::new(),
            body: body.to_vec(),
        };
        judge(&request).0
    }

    #[test]
    fn each_kind_of_body_is_counted() {
        assert_eq!(of("/v1/ingest/bench", b"{}\n{}\n{}"), Counted::Records(3));
        // Two spans, of which one has an event, in one scope of one resource, after a field to skip.
        let span = [0x0a, 0x01, b'x'];
        let with_event = [0x5a, 0x02, 0x08, 0x01];
        let mut scope = vec![0x12, 3];
        scope.extend(span);
        scope.extend([0x12, 4]);
        scope.extend(with_event);
        let mut resource = vec![0x12, scope.len() as u8];
        resource.extend(scope);
        let mut body = vec![0x10, 0x96, 0x01, 0x0a, resource.len() as u8];
        body.extend(resource);
        assert_eq!(of("/v1/traces", &body), Counted::Records(3));
        assert_eq!(of("/v1/traces", &body[..9]), Counted::Unclear);
        let envelope = b"{}\n{\"type\":\"log\",\"item_count\":7}\n{\"items\":[]}\n\
            {\"type\":\"transaction\",\"length\":16}\n{\"spans\":[1, 2]}\n{\"type\":\"session\"}\n{}\n";
        assert_eq!(of("/api/1/envelope/", envelope), Counted::Records(10));
        assert_eq!(of("/elsewhere", b"x"), Counted::Unclear);
    }
}
