//! The table in `docs/faults.md` names tests that exist, and its command runs them.

use std::collections::BTreeMap;
use std::path::Path;

/// Appends the text of all Rust files below a folder.
fn read_sources(folder: &Path, text: &mut String) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read_sources(&path, text);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            text.push_str(&std::fs::read_to_string(path).unwrap());
        }
    }
}

/// The text of each binary with tests, by what `cargo test` is told to run it.
fn binaries(root: &Path) -> BTreeMap<String, String> {
    let mut binaries = BTreeMap::new();
    read_sources(
        &root.join("src"),
        binaries.entry("--lib".into()).or_default(),
    );
    for entry in std::fs::read_dir(root.join("tests")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_string_lossy();
        let text: &mut String = binaries.entry(format!("--test {name}")).or_default();
        if path.is_dir() {
            read_sources(&path, text);
        } else {
            text.push_str(&std::fs::read_to_string(&path).unwrap());
        }
    }
    binaries
}

fn declares(sources: &str, test: &str) -> bool {
    sources
        .match_indices(&format!("fn {test}("))
        .any(|(at, _)| {
            let before = sources[..at].trim_end();
            let before = before.strip_suffix("async").unwrap_or(before);
            before.trim_end().ends_with(']')
        })
}

#[test]
fn every_row_is_shown_by_tests_that_exist_and_the_command_runs_them() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let binaries = binaries(root);
    let table = std::fs::read_to_string(root.join("docs/faults.md")).unwrap();
    let mut lines = table.lines();
    let command = lines.find(|line| line.starts_with("cargo test ")).unwrap();
    let command = format!("{command} ");
    let rows = table
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| When"));
    let mut named = 0;
    for row in rows {
        let last = row.trim_end_matches([' ', '|']).rsplit('|').next().unwrap();
        let tests: Vec<&str> = last.split('`').skip(1).step_by(2).collect();
        assert!(!tests.is_empty(), "no test shows: {row}");
        for test in tests {
            let with: Vec<_> = binaries
                .iter()
                .filter(|(_, sources)| declares(sources, test))
                .map(|(binary, _)| format!(" {binary} "))
                .collect();
            assert!(!with.is_empty(), "there is no test {test}");
            let is_run = with.iter().any(|binary| command.contains(binary));
            assert!(is_run, "{test} is in {with:?}, which is not in {command}");
            named += 1;
        }
    }
    assert!(named > 50, "{named} tests named");
}
