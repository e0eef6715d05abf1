//! What becomes of a thread that ends.

use std::cell::Cell;

use axiom_local::Server;
use tracing::info;
use tracing_subscriber::prelude::*;
use tracing_subscriber::registry;

use crate::common::{Run, number};
use crate::in_process;

#[test]
fn a_thread_that_is_ending_keeps_its_number() {
    struct AtExit;
    impl Drop for AtExit {
        fn drop(&mut self) {
            info!("one");
            info!("two");
        }
    }
    thread_local! {
        static AT_EXIT: Cell<Option<AtExit>> = const { Cell::new(None) };
    }
    in_process("threads::a_thread_that_is_ending_keeps_its_number", || {
        let (layer, run) = Run::with(Server::builder(), |builder| builder.thread_names(true));
        registry().with(layer).init();
        let thread = std::thread::spawn(|| {
            // Its destructor was registered first, and so runs after that of what the layer keeps.
            AT_EXIT.set(Some(AtExit));
            info!("alive");
        });
        thread.join().unwrap();
        let records = run.finish();
        let numbers =
            ["alive", "one", "two"].map(|event| number(records.event(event), "thread.id"));
        assert_eq!(numbers, [numbers[0]; 3]);
    });
}
