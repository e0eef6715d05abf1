//! Which address each combination of settings leads to.

use super::super::tests::{complete, config, message};
use super::*;
use crate::setup::Builder;

fn address(builder: Builder, variables: &[(&str, &str)]) -> String {
    config(builder, variables).unwrap().events.url.into()
}

#[test]
fn the_form_of_the_address_follows_from_what_is_set() {
    use Endpoint::*;
    let b = complete;
    for (builder, expected) in [
        (b(), "https://api.axiom.co/v1/datasets/logs/ingest"),
        (b().url("https://h"), "https://h/v1/datasets/logs/ingest"),
        (b().url(" https://h/ "), "https://h/v1/datasets/logs/ingest"),
        (
            b().url("https://h/a/b"),
            "https://h/a/b/v1/datasets/logs/ingest",
        ),
        (
            b().url("https://h:8443/a/"),
            "https://h:8443/a/v1/datasets/logs/ingest",
        ),
        (b().edge("e.axiom.co"), "https://e.axiom.co/v1/ingest/logs"),
        (
            b().edge(" e.axiom.co:8443 "),
            "https://e.axiom.co:8443/v1/ingest/logs",
        ),
        (b().edge_url("https://e"), "https://e/v1/ingest/logs"),
        (
            b().edge_url("http://127.0.0.1:9/"),
            "http://127.0.0.1:9/v1/ingest/logs",
        ),
        (b().edge_url("https://e/x"), "https://e/x"),
        (b().edge_url("https://e/x/?key=1"), "https://e/x/?key=1"),
        (b().endpoint(Edge), "https://api.axiom.co/v1/ingest/logs"),
        (
            b().url("https://h/a").endpoint(Edge),
            "https://h/a/v1/ingest/logs",
        ),
        (
            b().edge("e").endpoint(Datasets),
            "https://e/v1/datasets/logs/ingest",
        ),
        (
            b().edge_url("https://e").endpoint(ApiDatasets),
            "https://e/api/v1/datasets/logs/ingest",
        ),
        (
            b().url("https://h").endpoint(ApiIngest),
            "https://h/api/v1/ingest/",
        ),
    ] {
        assert_eq!(address(builder, &[]), expected);
    }
}

#[test]
fn the_edge_url_comes_before_the_edge_domain_and_that_before_the_url() {
    let all = [
        ("AXIOM_URL", "https://u"),
        ("AXIOM_EDGE", "d"),
        ("AXIOM_EDGE_URL", "https://e"),
    ];
    for (variables, expected) in [
        (&all[..], "https://e/v1/ingest/logs"),
        (&all[..2], "https://d/v1/ingest/logs"),
        (&all[..1], "https://u/v1/datasets/logs/ingest"),
        (
            &[("AXIOM_EDGE_URL", ""), all[1]],
            "https://d/v1/ingest/logs",
        ),
    ] {
        assert_eq!(address(complete(), variables), expected);
    }
    for (builder, expected) in [
        (
            complete().url("https://x"),
            "https://x/v1/datasets/logs/ingest",
        ),
        (complete().edge("x"), "https://x/v1/ingest/logs"),
        (complete().edge_url("https://x"), "https://x/v1/ingest/logs"),
        (
            complete().url("https://x").edge("y").edge_url("https://z"),
            "https://z/v1/ingest/logs",
        ),
        (
            complete().url("https://x").edge("y"),
            "https://y/v1/ingest/logs",
        ),
    ] {
        assert_eq!(address(builder, &all), expected);
    }
}

#[test]
fn a_dataset_is_one_segment_of_the_path_whatever_it_is_called() {
    for (name, segment) in [
        ("a/b", "a%2Fb"),
        ("a b", "a%20b"),
        ("a%2e", "a%252e"),
        ("a?b#c", "a%3Fb%23c"),
        ("a\\b", "a%5Cb"),
        ("Ünï", "%C3%9Cn%C3%AF"),
        ("...", "..."),
        ("dev.old_logs", "dev.old_logs"),
    ] {
        let expected = format!("https://api.axiom.co/v1/datasets/{segment}/ingest");
        assert_eq!(address(complete().dataset(name), &[]), expected);
    }
    let longest = "é".repeat(128);
    assert!(config(complete().dataset(&longest), &[]).is_ok());
}

#[test]
fn a_dataset_that_can_not_be_a_segment_is_refused() {
    let fix = "use the dataset's name as the Axiom console shows it";
    let long = "a".repeat(129);
    for (name, problem) in [
        (
            ".",
            format!("AXIOM_DATASET=\".\": can not be part of a URL; {fix}"),
        ),
        (
            "..",
            format!("AXIOM_DATASET=\"..\": can not be part of a URL; {fix}"),
        ),
        (
            "a\tb",
            format!("AXIOM_DATASET=\"a\\tb\": holds control characters; {fix}"),
        ),
        (
            &long,
            format!(
                "AXIOM_DATASET=\"{}…\": is longer than 128 characters; {fix}",
                &long[..80]
            ),
        ),
    ] {
        let builder = crate::builder().token("xaat-1234");
        assert_eq!(message(builder, &[("AXIOM_DATASET", name)]), problem);
        assert!(config(complete(), &[("AXIOM_TRACES_DATASET", name)]).is_err());
    }
}

#[test]
fn plain_http_goes_to_this_machine_only_unless_it_is_allowed() {
    for (url, loopback) in [
        ("http://localhost", true),
        ("http://LOCALHOST:8080/x", true),
        ("http://127.0.0.1", true),
        ("http://127.200.3.4:80", true),
        ("http://[::1]:8080", true),
        ("http://10.0.0.1", false),
        ("http://128.0.0.1", false),
        ("http://[::2]", false),
        ("http://0.0.0.0", false),
        ("http://127.0.0.1.example", false),
        ("http://localhost.example", false),
        ("http://mylocalhost", false),
    ] {
        match config(complete().url(url), &[]) {
            Ok(config) => assert!(loopback && config.loopback, "{url}"),
            Err(error) => {
                assert!(!loopback, "{url}");
                assert_eq!(
                    error.to_string(),
                    format!(
                        ".url({url:?}): would send the token unencrypted to another machine; use https, or call .allow_plain_http(true) if the network in between is trusted"
                    )
                );
            }
        }
        let allowed = config(complete().url(url).allow_plain_http(true), &[]).unwrap();
        assert_eq!(allowed.loopback, loopback, "{url}");
        let edge = config(complete().edge_url(format!("{url}/path")), &[]);
        assert_eq!(edge.is_ok(), loopback, "{url}");
    }
    assert!(
        config(complete().url("https://localhost"), &[])
            .unwrap()
            .loopback
    );
}

#[test]
fn a_url_that_can_not_be_used_is_refused_without_its_password() {
    let fragment = "has a fragment, which is never sent; leave out everything from the `#` on";
    let query = "has a query, but the endpoint's path is appended to it; leave out everything from the `?` on";
    let user = "holds a user name or a password, which is never sent; leave out everything before the host, up to the `@`";
    let not_url = |why: &str| format!("is not a URL ({why}); write it like https://api.axiom.co");
    let scheme = "is neither https nor http; write it like https://api.axiom.co";
    for (url, expected) in [
        (
            "api.axiom.co",
            format!(
                "AXIOM_URL=\"api.axiom.co\": {}",
                not_url("relative URL without a base")
            ),
        ),
        (
            "https://",
            format!("AXIOM_URL=\"https://\": {}", not_url("empty host")),
        ),
        (
            "https://us er:pass@h h",
            format!(
                "AXIOM_URL: {}",
                not_url("invalid international domain name")
            ),
        ),
        (
            "localhost:8080",
            format!("AXIOM_URL=\"localhost:8080\": {scheme}"),
        ),
        ("ftp://h/x", format!("AXIOM_URL=\"ftp://h/x\": {scheme}")),
        ("ftp://user:pass@h", format!("AXIOM_URL: {scheme}")),
        ("https://user@h", format!("AXIOM_URL: {user}")),
        ("https://:pass@h", format!("AXIOM_URL: {user}")),
        (
            "https://h/x#y",
            format!("AXIOM_URL=\"https://h/x…\": {fragment}"),
        ),
        (
            "https://h/x?key=1",
            format!("AXIOM_URL=\"https://h/x…\": {query}"),
        ),
    ] {
        assert_eq!(message(complete(), &[("AXIOM_URL", url)]), expected);
    }
    let text = message(complete().edge_url("https://h?key=1"), &[]);
    assert_eq!(text, format!(".edge_url(\"https://h…\"): {query}"));
    let text = message(complete().edge_url("https://h/x#y"), &[]);
    assert_eq!(text, format!(".edge_url(\"https://h/x…\"): {fragment}"));
    let error = config(complete().url("api.axiom.co"), &[]).unwrap_err();
    let source = std::error::Error::source(&error).unwrap();
    assert_eq!(source.to_string(), "relative URL without a base");
}

#[test]
fn an_edge_that_is_more_than_a_domain_points_to_the_other_setting() {
    let fix = "write it like eu-central-1.aws.edge.axiom.co, or give a whole URL to AXIOM_EDGE_URL or .edge_url(..)";
    for (edge, shown) in [
        ("https://e.axiom.co", "=\"https://e.axiom.co\""),
        ("e.axiom.co/v1", "=\"e.axiom.co/v1\""),
        ("e.axiom.co?x", "=\"e.axiom.co…\""),
        ("user:pass@e.axiom.co", ""),
    ] {
        assert_eq!(
            message(complete(), &[("AXIOM_EDGE", edge)]),
            format!("AXIOM_EDGE{shown}: is more than a bare domain; {fix}")
        );
    }
    assert_eq!(
        message(complete().edge("e axiom"), &[]),
        ".edge(\"e axiom\"): is not a domain (invalid international domain name); write it like eu-central-1.aws.edge.axiom.co"
    );
}

#[test]
fn an_address_that_names_no_dataset_needs_none_and_can_not_keep_two_apart() {
    let whole = || crate::builder().token("xaat-1234").edge_url("https://e/x");
    let early = || {
        crate::builder()
            .token("xaat-1234")
            .endpoint(Endpoint::ApiIngest)
    };
    for builder in [whole, early] {
        let alone = config(builder(), &[]).unwrap();
        assert_eq!((alone.events.dataset, alone.spans), (None, None));
        let same = config(builder().dataset("a").traces_dataset("a"), &[]).unwrap();
        assert_eq!(
            (same.events.dataset.as_deref(), same.spans),
            (Some("a"), None)
        );
        for builder in [builder(), builder().dataset("a")] {
            assert_eq!(
                message(builder.traces_dataset("b"), &[]),
                ".traces_dataset(\"b\"): can not be kept apart, as the address that is set names no dataset, and so all records go to one place; leave it out, or give the URL before the endpoint's path to .url(..)"
            );
        }
    }
    assert_eq!(config(whole(), &[]).unwrap().events.endpoint, None);
    assert_eq!(
        message(whole().endpoint(Endpoint::Edge), &[]),
        ".edge_url(\"https://e/x\"): has a path and is therefore used as it is, so that .endpoint(..) can not apply; leave one of them out, or give the URL before the endpoint's path to .url(..)"
    );
}

#[test]
fn the_same_dataset_twice_is_one_destination() {
    let config = config(complete().traces_dataset("logs"), &[]).unwrap();
    assert_eq!(config.spans, None);
}

#[test]
fn debug_shows_neither_a_password_nor_a_query() {
    for builder in [
        complete().url("https://user:secret@h"),
        complete().edge("user:secret@h"),
        complete().edge_url("https://user:secret@h"),
        complete().edge_url("https://e/x?key=secret"),
    ] {
        let debug = format!("{builder:?}");
        assert!(
            debug.contains("(hidden)") && !debug.contains("secret"),
            "{debug}"
        );
    }
    let config = config(complete().edge_url("https://e/x?key=secret"), &[]).unwrap();
    assert!(!format!("{config:?}").contains("secret"));
}
