//! An application compiled with `panic = "abort"`: `aborting main|thread [hooks] [panics]`.

use std::time::Duration;

use tracing_subscriber::prelude::*;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    std::panic::set_hook(Box::new(|_| {
        // What the hook records is delivered too.
        tracing::error!(seq = 1_000, "panicked");
        println!("hook: on purpose");
    }));
    let (layer, _guard) = axiom_layer::builder()
        .service_name("aborting")
        .flush_interval(Duration::from_secs(60))
        .shutdown_timeout(Duration::from_secs(2))
        .exit_hooks(words.contains(&"hooks".to_owned()))
        .panics(words.contains(&"panics".to_owned()))
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
