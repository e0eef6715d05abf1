//! The example `shop`, as its reader runs it.

use std::path::PathBuf;
use std::process::Command;

/// Where cargo puts examples, beside the directory of tests. `cargo test` builds them first.
fn example(name: &str) -> PathBuf {
    let mut path = std::env::current_exe().unwrap();
    path.pop();
    path.pop();
    path.join("examples")
        .join(name)
        .with_extension(std::env::consts::EXE_EXTENSION)
}

#[test]
fn three_services_are_one_tree_with_the_error_where_it_happened() {
    let path = example("shop");
    assert!(path.exists(), "first: cargo build --example shop");
    let output = Command::new(path).output().unwrap();
    let (text, errors) = (
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    );
    println!("{text}{errors}");
    assert!(output.status.success());
    assert_eq!(errors, "");
    for part in [
        "/orders/tea 201 Created",
        "/orders/teapot 502 Bad Gateway",
        "17 records in shop-logs",
        "28 records in shop-traces",
        "0 violations of Axiom's contract",
    ] {
        assert!(text.contains(part), "{part}");
    }

    let trees: Vec<_> = text.split(" trace ").skip(1).collect();
    assert_eq!(trees.len(), 4);
    for tree in &trees {
        assert!(tree.contains("(7 spans)"), "{tree}");
        // Each below the one that called it: the depth of a line is where its text begins.
        let depth = |service| {
            let line = tree.lines().find(|line| line.contains(service)).unwrap();
            line.chars().position(char::is_alphanumeric).unwrap()
        };
        let (gateway, orders) = (depth("server [gateway]"), depth("server [orders]"));
        assert!(
            gateway < orders && orders < depth("server [stock]"),
            "{tree}"
        );
    }
    let of = |part| *trees.iter().find(|tree| tree.contains(part)).unwrap();
    assert!(of("url.path=/orders/honey").starts_with("5a0f8e3c21d94b7786a1c0de5eed1234"));

    let failed = of("url.path=/orders/teapot");
    let line = |part| failed.lines().find(|line| line.contains(part)).unwrap();
    assert!(line("server [gateway]").contains("✗ error error.type=502"));
    assert!(line("server [orders]").contains("error.type=500"));
    assert!(line("─ place").contains("✗ order failed"));
    assert!(line("ERROR").contains(r#"error="teapot can not be reserved: sold out""#));
    // The stock worked: who asked is told that it was wrong.
    assert!(!line("server [stock]").contains('✗'));
    assert!(of("url.path=/orders/samovar").contains("looking in the cellar"));
    assert!(!of("url.path=/orders/samovar").contains('✗'));
}
