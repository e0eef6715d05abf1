//! Which requests are admitted: tokens, datasets, methods and paths.

use axiom_local::{DEFAULT_DATASET, Rule, Server};

use crate::common::{broken, one, post};

#[test]
fn without_a_bearer_token_it_is_401_and_with_a_wrong_one_403() {
    let server = Server::builder().token("xaat-right").start().unwrap();
    let with = |value: &str| one("\"a\":1").header("Authorization", value);
    for (request, status) in [
        (one("\"a\":1").without("Authorization"), 401),
        (with("Basic eDp5"), 401),
        (with("Bearer "), 401),
        (with("xaat-right"), 401),
        (with("Bearer xaat-wrong"), 403),
        (with("Bearer xaat-right"), 200),
        (with("bearer xaat-right"), 200),
    ] {
        let answer = request.send(server.addr());
        assert_eq!(answer.status, status, "{:?}", request.headers);
        assert_eq!(answer.json()["message"].is_string(), status != 200);
    }
    assert_eq!(server.ingested(), 2);
    let statuses: Vec<_> = server.requests().iter().map(|r| r.status).collect();
    assert_eq!(
        statuses,
        [401, 401, 401, 401, 403, 200, 200].map(Some),
        "refused requests are remembered too"
    );
}

#[test]
fn by_default_any_token_will_do() {
    let server = Server::start().unwrap();
    for token in ["xaat-any", "xait-early", "whatever"] {
        let request = one("\"a\":1").header("Authorization", &format!("Bearer {token}"));
        assert_eq!(request.send(server.addr()).status, 200);
    }
}

#[test]
fn a_personal_token_is_refused_by_the_edge_and_needs_an_organisation_elsewhere() {
    for (path, org, status) in [
        ("/v1/ingest/logs", None, 403),
        ("/v1/ingest/logs", Some("my-org"), 403),
        ("/v1/datasets/logs/ingest", None, 403),
        ("/v1/datasets/logs/ingest", Some("my-org"), 200),
    ] {
        let server = Server::start().unwrap();
        let mut request = post(path, "[]").header("Authorization", "Bearer xapt-1");
        if let Some(org) = org {
            request = request.header("X-Axiom-Org-Id", org);
        }
        let answer = request.send(server.addr());
        assert_eq!(answer.status, status, "{path} {org:?}");
        let expected = if status == 200 {
            vec![Rule::EmptyBody; 0]
        } else {
            vec![Rule::PersonalToken]
        };
        assert_eq!(broken(&server), expected, "{path} {org:?}");
    }
}

#[test]
fn only_the_named_datasets_exist() {
    let server = Server::builder()
        .datasets(["logs", "traces"])
        .start()
        .unwrap();
    for (path, status) in [
        ("/v1/ingest/logs", 200),
        ("/v1/datasets/traces/ingest", 200),
        ("/v1/ingest/nope", 404),
        ("/v1/datasets/nope/ingest", 404),
        ("/api/v1/ingest/", 404),
    ] {
        assert_eq!(
            post(path, "[]").send(server.addr()).status,
            status,
            "{path}"
        );
    }
    let open = Server::builder()
        .datasets([DEFAULT_DATASET])
        .start()
        .unwrap();
    assert_eq!(post("/api/v1/ingest/", "[]").send(open.addr()).status, 200);
}

#[test]
fn another_path_is_404_and_another_method_405() {
    let server = Server::start().unwrap();
    assert_eq!(post("/", "[]").send(server.addr()).status, 404);
    assert_eq!(post("/v1/logs", "[]").send(server.addr()).status, 404);
    let mut request = post("/v1/ingest/logs", "");
    request.method = "GET";
    let answer = request.send(server.addr());
    assert_eq!(answer.status, 405);
    assert_eq!(answer.headers["allow"], "POST");
}

#[test]
fn a_secret_shows_nowhere() {
    let builder = Server::builder().token("xaat-secret");
    assert!(!format!("{builder:?}").contains("secret"));
    let server = builder.start().unwrap();
    for token in ["xaat-secret", "other-secret"] {
        let request = one("\"a\":1").header("Authorization", &format!("Bearer {token}"));
        request.send(server.addr());
    }
    let seen = format!(
        "{server:?} {:?} {:?}",
        server.requests(),
        server.violations()
    );
    assert!(!seen.contains("secret"), "{seen}");
}
