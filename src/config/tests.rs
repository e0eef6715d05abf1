//! From settings and variables to one value or one error: tokens, datasets, precedence, secrets.

use proptest::prelude::*;

use super::*;
use crate::setup::{Builder, builder};

const TOKEN: &str = "xaat-12345678-90ab-cdef-1234-567890abcdef";
const API: &str = "https://api.axiom.co/v1/datasets/logs/ingest";

/// Builds with nothing but these variables in the environment.
pub(super) fn config(builder: Builder, variables: &[(&str, &str)]) -> Result<Config, BuildError> {
    builder.into_config_without_defaults(|name| {
        let (_, text) = variables.iter().find(|(variable, _)| *variable == name)?;
        Some(OsString::from(text))
    })
}

/// A builder that lacks nothing.
pub(super) fn complete() -> Builder {
    builder().token(TOKEN).dataset("logs")
}

pub(super) fn message(builder: Builder, variables: &[(&str, &str)]) -> String {
    config(builder, variables).unwrap_err().to_string()
}

#[test]
fn token_and_dataset_are_enough_from_either_side() {
    let variables = [("AXIOM_TOKEN", TOKEN), ("AXIOM_DATASET", "logs")];
    for config in [
        config(complete(), &[]).unwrap(),
        config(builder(), &variables).unwrap(),
    ] {
        assert_eq!(config.events.url.as_str(), API);
        assert_eq!(config.events.dataset.as_deref(), Some("logs"));
        assert_eq!(config.events.endpoint, Some(Endpoint::Datasets));
        assert_eq!(config.spans, None);
        assert_eq!(config.token.expose(), TOKEN);
        assert_eq!(config.org_id, None);
        assert!(!config.loopback);
        assert_eq!(config.limits, Limits::default());
        assert_eq!(
            (config.format, config.compression),
            (Format::Ndjson, Compression::Zstd)
        );
        assert!(config.diagnostics && config.on_diagnostic.is_none());
        assert!(!config.source_location && !config.thread_names);
    }
}

#[test]
fn the_defaults_are_those_in_the_documentation() {
    use std::time::Duration;
    let limits = Limits::default();
    assert_eq!(limits.queue_max_bytes, 64 << 20);
    assert_eq!(limits.overflow, crate::Overflow::DropNewest);
    assert_eq!(limits.batch_max_events, 10_000);
    assert_eq!(limits.batch_max_bytes, 4 << 20);
    assert_eq!(limits.flush_interval, Duration::from_secs(1));
    assert_eq!(limits.request_timeout, Duration::from_secs(30));
    assert_eq!(limits.retry_timeout, None);
    assert_eq!(limits.shutdown_timeout, Duration::from_secs(5));
}

#[test]
fn every_setter_arrives() {
    use std::time::Duration;
    let overflow = crate::Overflow::Block {
        timeout: Duration::from_millis(3),
    };
    let (heard, hears) = std::sync::mpsc::channel();
    let config = complete()
        .traces_dataset("traces")
        .org_id(" acme-x1y2 ")
        .format(Format::Csv)
        .compression(Compression::Gzip)
        .queue_max_bytes(5 << 20)
        .overflow(overflow)
        .batch_max_events(7)
        .batch_max_bytes(100_000)
        .flush_interval(Duration::from_millis(20))
        .request_timeout(Duration::from_secs(6))
        .retry_timeout(Duration::from_secs(8))
        .shutdown_timeout(Duration::from_secs(9))
        .heartbeat(Duration::from_secs(10))
        .source_location(true)
        .thread_names(true)
        .diagnostics(false)
        .on_diagnostic(move |_| heard.send(()).unwrap());
    let config = self::config(config, &[]).unwrap();
    let spans = config.spans.unwrap();
    assert_eq!(spans.dataset.as_deref(), Some("traces"));
    assert_eq!(
        spans.url.as_str(),
        "https://api.axiom.co/v1/datasets/traces/ingest"
    );
    assert_eq!(config.org_id.as_deref(), Some("acme-x1y2"));
    assert_eq!(
        (config.format, config.compression),
        (Format::Csv, Compression::Gzip)
    );
    assert_eq!(
        config.limits,
        Limits {
            queue_max_bytes: 5 << 20,
            overflow,
            batch_max_events: 7,
            batch_max_bytes: 100_000,
            flush_interval: Duration::from_millis(20),
            request_timeout: Duration::from_secs(6),
            retry_timeout: Some(Duration::from_secs(8)),
            refused_pause: Duration::from_secs(30),
            shutdown_timeout: Duration::from_secs(9),
            heartbeat: Some(Duration::from_secs(10)),
        }
    );
    assert!(config.source_location && config.thread_names && !config.diagnostics);
    (config.on_diagnostic.unwrap().0)(&crate::report::Diagnostic::new(
        crate::report::Cause::Internal,
        "",
        "",
        "",
    ));
    assert!(hears.try_recv().is_ok());
}

#[test]
fn a_number_out_of_range_fails_the_build() {
    let text = message(complete().batch_max_events(20_000), &[]);
    assert_eq!(
        text,
        ".batch_max_events(20000): must be 1 to 10000, Axiom's limit for one request"
    );
}

#[test]
fn what_is_missing_is_named_with_both_ways_to_give_it() {
    let no_token = "no token: set AXIOM_TOKEN or call .token(..); create an API token that may ingest into the dataset, in the Axiom console under Settings > API tokens";
    let no_dataset = "no dataset: set AXIOM_DATASET or call .dataset(..); create one in the Axiom console and give its name";
    for (builder, variables, expected) in [
        (builder(), [("AXIOM_URL", "nonsense")], no_token),
        (builder(), [("AXIOM_TOKEN", "")], no_token),
        (builder(), [("AXIOM_TOKEN", " \n")], no_token),
        (builder().token(TOKEN), [("AXIOM_DATASET", "")], no_dataset),
    ] {
        assert_eq!(message(builder, &variables), expected);
    }
    let error = config(builder(), &[]).unwrap_err();
    assert_eq!(error.setting(), Some("token"));
}

#[test]
fn an_empty_text_given_to_a_setter_is_an_error() {
    for (builder, setter) in [
        (builder().token(" "), "token"),
        (complete().dataset(""), "dataset"),
        (complete().traces_dataset(""), "traces_dataset"),
        (complete().org_id(""), "org_id"),
        (complete().url(""), "url"),
        (complete().edge(""), "edge"),
        (complete().edge_url(""), "edge_url"),
    ] {
        let variables = [("AXIOM_TOKEN", TOKEN), ("AXIOM_DATASET", "logs")];
        assert_eq!(
            message(builder, &variables),
            format!(
                ".{setter}(..): is empty; leave out the call to .{setter}(..), or pass a value"
            )
        );
    }
}

#[test]
fn explicit_settings_win_over_variables() {
    let variables = [
        ("AXIOM_TOKEN", "xaat-other"),
        ("AXIOM_DATASET", "other"),
        ("AXIOM_TRACES_DATASET", "other-traces"),
        ("AXIOM_ORG_ID", "other-org"),
    ];
    let config = config(
        complete().traces_dataset("traces").org_id("org"),
        &variables,
    )
    .unwrap();
    assert_eq!(config.token.expose(), TOKEN);
    assert_eq!(config.events.dataset.as_deref(), Some("logs"));
    assert_eq!(config.spans.unwrap().dataset.as_deref(), Some("traces"));
    assert_eq!(config.org_id.as_deref(), Some("org"));
}

#[test]
fn the_other_variables_are_read() {
    let variables = [("AXIOM_TRACES_DATASET", "traces"), ("AXIOM_ORG_ID", "org")];
    let config = config(complete(), &variables).unwrap();
    assert_eq!(config.spans.unwrap().dataset.as_deref(), Some("traces"));
    assert_eq!(config.org_id.as_deref(), Some("org"));
}

#[cfg(unix)]
#[test]
fn a_variable_that_is_not_utf8_is_an_error_unless_it_is_not_needed() {
    use std::os::unix::ffi::OsStringExt;
    for variable in [
        "AXIOM_TOKEN",
        "AXIOM_DATASET",
        "AXIOM_TRACES_DATASET",
        "AXIOM_ORG_ID",
        "AXIOM_URL",
        "AXIOM_EDGE",
        "AXIOM_EDGE_URL",
        "OTEL_SERVICE_NAME",
        "OTEL_RESOURCE_ATTRIBUTES",
    ] {
        let environment = |name: &str| match name {
            _ if name == variable => Some(OsString::from_vec(b"a\xff".to_vec())),
            "AXIOM_TOKEN" => Some(TOKEN.into()),
            "AXIOM_DATASET" => Some("logs".into()),
            _ => None,
        };
        let error = builder().into_config(environment).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("{variable}: is not valid UTF-8; set it again, as plain text")
        );
        let whole = complete()
            .traces_dataset("traces")
            .org_id("org")
            .url("https://api.axiom.co");
        assert_eq!(
            whole.into_config(environment).is_ok(),
            variable.starts_with("AXIOM")
        );
    }
}

#[test]
fn white_space_around_a_token_is_ignored_and_inside_it_refused() {
    let padded = config(
        builder().token(format!(" \t{TOKEN}\r\n")).dataset("logs"),
        &[],
    )
    .unwrap();
    assert_eq!(padded.token.expose(), TOKEN);
    for token in [
        "Bearer xaat-1234",
        "xaat-12\n34",
        "xaat-12\u{0}34",
        "xaat-12é34",
        "xaat-12\u{7f}34",
    ] {
        assert_eq!(
            message(builder().token(token).dataset("logs"), &[]),
            ".token(..): holds white space, control characters or characters that are not ASCII; copy the token again: the token alone, without `Bearer`"
        );
    }
}

#[test]
fn each_kind_of_token_is_taken_where_axiom_takes_it() {
    let no_prefix = ": does not start with xaat-, as Axiom's API tokens do; create an API token that may ingest into the dataset, in the Axiom console under Settings > API tokens";
    let no_org = ": is a personal token (xapt-), which is taken only together with an organization's id; set AXIOM_ORG_ID or call .org_id(..), or use an API token (xaat-)";
    let edge = ": is a personal token (xapt-), which the edge endpoint does not take; use an API token (xaat-)";
    let early = ": is an ingest token of the early product (xait-), which only `Endpoint::ApiDatasets` and `Endpoint::ApiIngest` take; use an API token (xaat-), or choose one of these with .endpoint(..)";
    let edge_domain = "eu-central-1.aws.edge.axiom.co";
    let b = || builder().dataset("logs");
    for (token, builder, expected) in [
        ("xaat-1234", b(), None),
        ("xaat-1234", b().edge(edge_domain), None),
        ("xaat-1234", b().endpoint(Endpoint::ApiIngest), None),
        ("xapt-1234", b(), Some(no_org)),
        ("xapt-1234", b().org_id("org"), None),
        ("xapt-1234", b().url("http://localhost:1"), Some(no_org)),
        ("xapt-1234", b().org_id("org").edge(edge_domain), Some(edge)),
        ("xapt-1234", b().edge(edge_domain), Some(edge)),
        (
            "xapt-1234",
            b().org_id("org")
                .edge_url("https://x.edge.axiom.co/v1/ingest/logs"),
            Some(edge),
        ),
        (
            "xapt-1234",
            b().org_id("org")
                .url("http://localhost:1")
                .endpoint(Endpoint::Edge),
            Some(edge),
        ),
        ("xait-1234", b(), Some(early)),
        ("xait-1234", b().edge(edge_domain), Some(early)),
        ("xait-1234", b().url("http://localhost:1"), Some(early)),
        ("xait-1234", b().endpoint(Endpoint::ApiDatasets), None),
        ("xait-1234", b().endpoint(Endpoint::ApiIngest), None),
        ("other", b(), Some(no_prefix)),
        ("other", b().url("https://API.AXIOM.CO."), Some(no_prefix)),
        ("other", b().edge(edge_domain), Some(no_prefix)),
        ("other", b().url("https://axiom.example"), None),
        ("other", b().url("https://notaxiom.co"), None),
        ("other", b().url("http://127.0.0.1:8080"), None),
    ] {
        let result = config(builder.clone(), &[("AXIOM_TOKEN", token)]);
        let result = result.err().map(|error| error.to_string());
        assert_eq!(
            result,
            expected.map(|text| format!("AXIOM_TOKEN{text}")),
            "{token} {builder:?}"
        );
    }
}

#[test]
fn an_organization_that_no_header_can_hold_is_refused() {
    for (org_id, shown) in [
        ("ac me", "\"ac me\""),
        ("acmé", "\"acmé\""),
        ("a\nb", "\"a\\nb\""),
    ] {
        assert_eq!(
            message(complete(), &[("AXIOM_ORG_ID", org_id)]),
            format!(
                "AXIOM_ORG_ID={shown}: is empty or holds white space, control characters or characters that are not ASCII; copy the organization's id again from the Settings of the Axiom console"
            )
        );
    }
}

#[test]
fn a_token_in_the_wrong_setting_is_not_shown() {
    let swapped = builder().token(TOKEN).dataset(TOKEN);
    assert_eq!(
        message(swapped, &[]),
        ".dataset(..): looks like a token; give the dataset's name here, and the token to AXIOM_TOKEN or .token(..)"
    );
    let swapped = builder().token(TOKEN).dataset(format!("a\n{TOKEN}"));
    assert_eq!(
        message(swapped, &[]),
        ".dataset(..): holds control characters; use the dataset's name as the Axiom console shows it"
    );
}

/// A text with the token somewhere in it, so that any message that shows the text shows the token.
fn around(token: &str) -> impl Strategy<Value = String> + use<> {
    let token = token.to_owned();
    ("[ -~é\n]{0,90}", "[ -~é\n]{0,90}")
        .prop_map(move |(before, after)| format!("{before}{token}{after}"))
}

fn url_around(token: &str) -> impl Strategy<Value = String> + use<> {
    let token = token.to_owned();
    prop_oneof![
        Just(format!("https://{token}@host")),
        Just(format!("https://user:{token}@host")),
        Just(format!("https://user:{token}@ho st")),
        Just(format!("ftp://{token}@host")),
        Just(format!("http://host/?key={token}")),
        Just(format!("https://host/#{token}")),
        Just(format!("https://host/path?key={token}")),
        Just(format!("https://{token}")),
        around(&token),
    ]
}

/// The setter (0 to 13) or variable (14 and up) that holds the token by mistake.
fn planted(
    slot: usize,
    text: &str,
    url: &str,
    mut builder: Builder,
) -> (Builder, Vec<(&'static str, String)>) {
    let mut variables = Vec::new();
    builder = match slot {
        0 => builder.dataset(text),
        1 => builder.traces_dataset(text),
        2 => builder.org_id(text),
        3 => builder.url(url),
        4 => builder.edge(url),
        5 => builder.edge_url(url),
        6 => builder.service_name(text),
        7 => builder.service_version(text),
        8 => builder.environment_name(text),
        9 => builder.resource(text, f64::NAN),
        10 => builder.resource("a", text),
        11 => builder.tag(text, 1).tag(format!("{text}.b"), 2),
        12 => builder.tag(format!("error.{text}"), 1),
        13 => builder.tag("a", text),
        _ => {
            const VARIABLES: [&str; 8] = [
                "AXIOM_DATASET",
                "AXIOM_TRACES_DATASET",
                "AXIOM_ORG_ID",
                "AXIOM_URL",
                "AXIOM_EDGE",
                "AXIOM_EDGE_URL",
                "OTEL_SERVICE_NAME",
                "OTEL_RESOURCE_ATTRIBUTES",
            ];
            let text = if (17..20).contains(&slot) { url } else { text };
            variables.push((VARIABLES[slot - 14], text.to_owned()));
            builder
        }
    };
    (builder, variables)
}

/// No eight characters of the token, its public prefix aside, stand next to each other in `text`.
fn shows(text: &str, token: &str) -> bool {
    let secret = &token.as_bytes()[5..];
    secret.windows(8).any(|part| {
        text.as_bytes()
            .windows(8)
            .any(|shown| shown.eq_ignore_ascii_case(part))
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_error_and_no_debug_shows_the_token(
        (token, text, url) in "(xaat-|xapt-|xait-|abcd-)[A-Za-z0-9]{16,40}"
            .prop_flat_map(|token| (Just(token.clone()), around(&token), url_around(&token))),
        slot in 0_usize..22,
        endpoint in prop::option::of(prop::sample::select(vec![Endpoint::Edge, Endpoint::ApiIngest])),
    ) {
        let start = builder().token(format!(" {token} "));
        let start = if slot == 0 { start } else { start.dataset("logs") };
        let (mut builder, variables) = planted(slot, &text, &url, start);
        if let Some(endpoint) = endpoint {
            builder = builder.endpoint(endpoint);
        }
        let debug = format!("{builder:?}");
        prop_assert!(!shows(&debug, &token), "{debug}");
        let variables: Vec<_> = variables.iter().map(|(name, text)| (*name, text.as_str())).collect();
        match config(builder, &variables) {
            // Datasets, the organization and the address are not hidden in here.
            Ok(config) if slot < 6 || (14..20).contains(&slot) => {
                let debug = format!("{:?}", config.token);
                prop_assert!(!shows(&debug, &token), "{debug}");
            }
            Ok(config) => {
                let debug = format!("{config:?}");
                prop_assert!(!shows(&debug, &token), "{debug}");
            }
            Err(error) => {
                let text = everything(&error);
                prop_assert!(!shows(&text, &token), "{text}");
            }
        }
    }

    #[test]
    fn no_error_shows_a_token_that_can_not_be_used(
        token in "(xaat-|xapt-|xait-|abcd-)[A-Za-z0-9]{16,40}",
        broken in prop::sample::select(vec!["", " ", "é", "\n"]),
    ) {
        let start = builder().token(format!("{token}{broken}{token}")).dataset("logs").edge("e.edge.axiom.co");
        let debug = format!("{start:?}");
        prop_assert!(!shows(&debug, &token), "{debug}");
        if let Err(error) = config(start, &[]) {
            let text = everything(&error);
            prop_assert!(!shows(&text, &token), "{text}");
        }
    }
}

/// All that an error says to whoever prints it and its causes.
fn everything(error: &BuildError) -> String {
    let mut text = format!("{error} {error:?}");
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        text += &format!(" {error} {error:?}");
        source = error.source();
    }
    text
}

#[test]
fn quotes_that_were_kept_are_an_error_that_says_so() {
    let kept = ": is in quotes, which are taken as part of the value; remove the quotes: `docker --env-file`, for one, does not take them away as a shell does";
    for variable in [
        "AXIOM_TOKEN",
        "AXIOM_TOKEN_FILE",
        "AXIOM_DATASET",
        "AXIOM_TRACES_DATASET",
        "AXIOM_ORG_ID",
        "AXIOM_URL",
        "AXIOM_EDGE",
        "AXIOM_EDGE_URL",
    ] {
        for quoted in [
            format!("\"{TOKEN}\""),
            format!(" '{TOKEN}'\n"),
            "\"\"".to_owned(),
            "“logs”".to_owned(),
        ] {
            let mut variables = vec![(variable, quoted.as_str())];
            if !variable.starts_with("AXIOM_TOKEN") {
                variables.push(("AXIOM_TOKEN", TOKEN));
            }
            if variable != "AXIOM_DATASET" {
                variables.push(("AXIOM_DATASET", "logs"));
            }
            assert_eq!(
                message(builder(), &variables),
                format!("{variable}{kept}"),
                "{quoted}"
            );
        }
    }
    for (builder, setter) in [
        (complete().token("'x'"), "token"),
        (complete().dataset("'x'"), "dataset"),
        (complete().url("'https://localhost'"), "url"),
    ] {
        assert_eq!(message(builder, &[]), format!(".{setter}(..){kept}"));
    }
    for inside in ["it's", "\"", "'a' and b"] {
        let config = config(complete().dataset(inside), &[]).unwrap();
        assert_eq!(config.events.dataset.as_deref(), Some(inside));
    }
}

#[test]
fn white_space_around_a_dataset_is_ignored() {
    let variables = [
        ("AXIOM_DATASET", " logs\n"),
        ("AXIOM_TRACES_DATASET", "\ttraces "),
    ];
    let padded = config(builder().token(TOKEN), &variables).unwrap();
    assert_eq!(padded.events.url.as_str(), API);
    assert_eq!(padded.events.dataset.as_deref(), Some("logs"));
    assert_eq!(padded.spans.unwrap().dataset.as_deref(), Some("traces"));
    let same = complete().traces_dataset("logs ");
    assert_eq!(config(same, &[]).unwrap().spans, None);
    let blank = config(complete(), &[("AXIOM_TRACES_DATASET", " ")]).unwrap();
    assert_eq!(blank.spans, None);
}

#[test]
fn a_gateway_is_one_if_the_setter_or_else_the_variable_says_so() {
    let set = |text| [("AXIOM_GATEWAY", text)];
    for (builder, variables, expected) in [
        (complete(), set(""), false),
        (complete(), set("true"), true),
        (complete(), set(" TRUE "), true),
        (complete(), set("1"), true),
        (complete(), set("false"), false),
        (complete(), set("0"), false),
        (complete().gateway(true), set("false"), true),
        (complete().gateway(false), set("true"), false),
        (complete().gateway(true), set("nonsense"), true),
    ] {
        assert_eq!(
            config(builder, &variables).unwrap().gateway,
            expected,
            "{variables:?}"
        );
    }
    let said = message(complete(), &set("yes"));
    assert!(
        said.contains("AXIOM_GATEWAY") && said.contains("neither true nor false"),
        "{said}"
    );
}
