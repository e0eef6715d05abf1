//! The layer beside other layers, whatever they do with a span while they have it, and wherever in a subscriber it is.
//!
//! Each program is a process of its own: some of what is tested ended in an abort or hung, and some needs a global
//! subscriber.

#[path = "../common/child.rs"]
mod child;
#[path = "../common/mod.rs"]
#[expect(dead_code, reason = "the other binaries need the rest")]
mod common;

mod composed;
mod console;
mod registries;
mod threads;

use std::time::Duration;

use child::succeeded;

/// Runs `program` in a process of its own, which is ended if it hangs.
fn in_process(test: &str, program: impl FnOnce()) {
    const ROLE: &str = "program";
    if child::role().is_some() {
        std::thread::spawn(|| {
            // A limit, and not a wait for anything.
            std::thread::sleep(Duration::from_secs(20));
            eprintln!("it hangs");
            std::process::abort();
        });
        return program();
    }
    succeeded(&child::command(test, ROLE).output().unwrap());
}
