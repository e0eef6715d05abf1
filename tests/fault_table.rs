//! The table in `docs/faults.md` names tests that exist.

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

#[test]
fn every_row_is_shown_by_tests_that_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut sources = String::new();
    read_sources(&root.join("tests"), &mut sources);
    read_sources(&root.join("src"), &mut sources);
    let table = std::fs::read_to_string(root.join("docs/faults.md")).unwrap();
    let rows = table
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| When"));
    let mut named = 0;
    for row in rows {
        let last = row.trim_end_matches([' ', '|']).rsplit('|').next().unwrap();
        let tests: Vec<&str> = last.split('`').skip(1).step_by(2).collect();
        assert!(!tests.is_empty(), "no test shows: {row}");
        for test in tests {
            let declared = sources
                .match_indices(&format!("fn {test}("))
                .any(|(at, _)| {
                    let before = sources[..at].trim_end();
                    let before = before.strip_suffix("async").unwrap_or(before);
                    before.trim_end().ends_with(']')
                });
            assert!(declared, "there is no test {test}");
            named += 1;
        }
    }
    assert!(named > 50, "{named} tests named");
}
