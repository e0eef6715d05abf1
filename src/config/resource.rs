//! OpenTelemetry's resource: which attributes the environment gives, and under which names they are sent.

use std::ffi::OsString;
use std::sync::OnceLock;

use super::environment::{Environment, Given};
use super::label::{Label, SERVICE_NAME};
use crate::process::Process;
use crate::report::BuildError;
use crate::trace;

const ATTRIBUTES: &str = "OTEL_RESOURCE_ATTRIBUTES";

/// `OTEL_RESOURCE_ATTRIBUTES`, then `OTEL_SERVICE_NAME`, which overrides it.
pub(crate) fn from_environment(environment: Environment<'_>) -> Result<Vec<Label>, BuildError> {
    let mut labels = Vec::new();
    if let Some(given) = environment.variable("resource", ATTRIBUTES)? {
        for member in given
            .text
            .split(',')
            .filter(|member| !member.trim().is_empty())
        {
            let label = attribute(&given, member)?;
            // What a deployment's template makes of a variable that is not set.
            if !label.is_empty_service_name() {
                labels.push(label);
            }
        }
    }
    if let Some(given) = environment.variable("service_name", "OTEL_SERVICE_NAME")? {
        labels.push(Label::resource(given.origin, SERVICE_NAME, given.text));
    }
    Ok(labels)
}

/// One `key=value`, both percent-encoded, with optional white space around each.
fn attribute(given: &Given, member: &str) -> Result<Label, BuildError> {
    let wrong = |problem| {
        // Quoted as a value of its own: the whole list may be long.
        BuildError::new(given.origin, problem)
            .other(member)
            .fix("write it like key=value,key=value, with `,`, `=` and `%` in keys and values percent-encoded")
    };
    let (key, value) = member
        .split_once('=')
        .ok_or_else(|| wrong("is a list of key=value, but one entry has no `=`:"))?;
    let decode = |text: &str| {
        percent_decoded(text.trim())
            .ok_or_else(|| wrong("is percent-encoded, but one entry does not decode to UTF-8:"))
    };
    let (key, value) = (decode(key)?, decode(value)?);
    if key.is_empty() {
        return Err(wrong("is a list of key=value, but one entry has no key:"));
    }
    Ok(Label::resource(given.origin, &key, value))
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => hex(rest.next()?)? << 4 | hex(rest.next()?)?,
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

fn hex(digit: u8) -> Option<u8> {
    let value = char::from(digit).to_digit(16)?;
    u8::try_from(value).ok()
}

/// What OpenTelemetry says of each process without being asked: which of the service's instances it is, where it runs,
/// and its number there.
pub(crate) fn of_this_process(
    environment: &dyn Fn(&str) -> Option<OsString>,
) -> Result<Vec<Label>, BuildError> {
    let environment = Environment(environment);
    let mut labels = vec![
        Label::default("service.instance.id", instance_id()),
        Label::default("process.pid", std::process::id()),
    ];
    if let Some(name) = host_name(environment)? {
        labels.push(Label::default("host.name", name));
    }
    Ok(labels)
}

/// A random UUID (version 4), the same for all layers of the process. After a fork, a layer that the child builds
/// has one of its own.
fn instance_id() -> String {
    static ID: OnceLock<(Process, String)> = OnceLock::new();
    let (process, id) = ID.get_or_init(|| (Process::new(), random_uuid()));
    if process.is_this() {
        id.clone()
    } else {
        random_uuid()
    }
}

/// RFC 9562, section 5.4.
fn random_uuid() -> String {
    let (high, low) = (trace::random_seed(), trace::random_seed());
    format!(
        "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
        high >> 32,
        high >> 16 & 0xffff,
        high & 0xfff,
        low >> 48 & 0x3fff | 0x8000,
        low & 0xffff_ffff_ffff,
    )
}

/// As the kernel says, else a file, else a variable: the call that says it everywhere needs `unsafe`.
fn host_name(environment: Environment<'_>) -> Result<Option<String>, BuildError> {
    let files = ["/proc/sys/kernel/hostname", "/etc/hostname"];
    let named = files.iter().find_map(|file| {
        let text = std::fs::read_to_string(file).ok()?;
        let name = text.trim();
        (!name.is_empty()).then(|| name.to_owned())
    });
    if named.is_some() {
        return Ok(named);
    }
    for variable in ["HOSTNAME", "COMPUTERNAME"] {
        if let Some(given) = environment.variable("resource", variable)? {
            return Ok(Some(given.text));
        }
    }
    Ok(None)
}

/// What OpenTelemetry calls a service that nobody named.
pub(crate) fn unknown_service(program: Option<OsString>) -> String {
    match program {
        Some(name) if !name.is_empty() => format!("unknown_service:{}", name.to_string_lossy()),
        _ => "unknown_service".to_owned(),
    }
}

/// The file name of this process's executable.
pub(crate) fn program() -> Option<OsString> {
    let path = std::env::current_exe().ok()?;
    path.file_name().map(OsString::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percent_encoding_is_decoded_and_refused_when_broken() {
        for (text, decoded) in [
            ("plain", Some("plain")),
            ("", Some("")),
            ("a%2Cb%3d%25", Some("a,b=%")),
            ("caf%C3%A9 é", Some("café é")),
            ("100%", None),
            ("%4", None),
            ("%+1", None),
            ("%zz", None),
            ("%ff", None),
        ] {
            assert_eq!(percent_decoded(text).as_deref(), decoded, "{text}");
        }
    }

    #[test]
    fn a_service_without_a_name_is_called_after_its_program() {
        assert_eq!(unknown_service(Some("shop".into())), "unknown_service:shop");
        assert_eq!(unknown_service(Some("".into())), "unknown_service");
        assert_eq!(unknown_service(None), "unknown_service");
        assert!(program().is_some());
    }

    #[test]
    fn an_instance_has_a_random_uuid_of_version_4_and_one_process_has_one() {
        assert_eq!(instance_id(), instance_id());
        let mut seen = std::collections::HashSet::new();
        for _ in 0..1_000 {
            let id = random_uuid();
            let parts: Vec<_> = id.split('-').collect();
            let lengths: Vec<_> = parts.iter().map(|part| part.len()).collect();
            assert_eq!(lengths, [8, 4, 4, 4, 12], "{id}");
            assert!(parts[2].starts_with('4'), "version: {id}");
            assert!(parts[3].starts_with(['8', '9', 'a', 'b']), "variant: {id}");
            let hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f' | b'-');
            assert!(id.bytes().all(hex), "{id}");
            assert!(seen.insert(id), "twice");
        }
    }
}
