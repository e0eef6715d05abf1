//! Runs one test of this binary again as a program of its own, for what belongs to a whole process: its environment, its
//! global subscriber, its end.

use std::process::{Command, Output};

/// Says to a test that it is the program, and which one.
const ROLE: &str = "AXIOM_LAYER_TEST_ROLE";

/// The role of this process; none in the test itself.
pub(crate) fn role() -> Option<String> {
    std::env::var(ROLE).ok()
}

/// `test`, to be run as `role`, in an environment without any setting of ours.
pub(crate) fn command(test: &str, role: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args([test, "--exact", "--nocapture", "--test-threads=1"])
        .env(ROLE, role);
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if ["AXIOM_", "OTEL_", "RUST_"]
            .iter()
            .any(|prefix| name.starts_with(prefix))
            && name != ROLE
        {
            command.env_remove(&*name);
        }
    }
    command
}

/// What it printed, once it ended well.
pub(crate) fn succeeded(output: &Output) -> (String, String) {
    let [out, err] =
        [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    assert!(output.status.success(), "{:?}\n{out}\n{err}", output.status);
    (out, err)
}
