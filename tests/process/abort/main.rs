//! An application compiled with `panic = "abort"`: `aborting main|thread [hooks] [panics] [hurried]`.

use std::time::Duration;

use tracing_subscriber::prelude::*;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    std::panic::set_hook(Box::new(|_| {
        // What the hook records is delivered too.
        tracing::error!(seq = 1_000, "panicked");
        println!("hook: on purpose");
    }));
    let has = |word: &str| words.iter().any(|given| given == word);
    // No test waits for the longer one.
    let deadline = Duration::from_secs(if has("hurried") { 2 } else { 60 });
    let (layer, _guard) = axiom_layer::builder()
        .service_name("aborting")
        .flush_interval(Duration::from_secs(60))
        .shutdown_timeout(deadline)
        .exit_hooks(has("hooks"))
        .panics(has("panics"))
        .build()
        .unwrap();
    tracing_subscriber::registry().with(layer).init();
    for seq in 0..1_000 {
        tracing::info!(seq, "recorded");
    }
    if words[0] == "thread" {
        drop(std::thread::spawn(|| panic!("on purpose")).join());
    }
    panic!("on purpose");
}
