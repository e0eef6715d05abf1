//! Records at unusual times: no abort, and each is delivered or counted.

use crate::app::{App, assert_holds, server};

/// Of three threads: first use before ours, after ours, and alone.
const THREADS: [u64; 7] = [10, 11, 12, 13, 14, 20, 21];
const MAIN: [u64; 4] = [40, 41, 42, 43];

#[test]
fn records_of_ending_threads_arrive() {
    for names in ["", "names"] {
        let server = server();
        let ended = App::start(&server, &format!("late hooks {names}")).end();
        ended.assert_ended_well();
        assert_holds(&server, THREADS);
    }
}

#[test]
fn records_of_the_ending_main_thread_and_of_atexit_arrive_with_the_hooks() {
    for names in ["", "names"] {
        let server = server();
        let ended = App::start(&server, &format!("late hooks main atexit {names}")).end();
        ended.assert_ended_well();
        assert_eq!(ended.ledger("atexit")["recorded"], 13);
        assert_holds(&server, THREADS.into_iter().chain(MAIN).chain([200, 201]));
    }
}

#[test]
fn records_after_the_shutdown_are_counted() {
    for names in ["", "names"] {
        let server = server();
        let ended = App::start(&server, &format!("late shut main atexit {names}")).end();
        ended.assert_ended_well();
        assert_eq!(ended.ledger("shutdown")["delivered"], THREADS.len());
        let ledger = ended.ledger("atexit");
        // Seven of main, four of its ending thread, two of atexit.
        assert_eq!(ledger["dropped"]["after_shutdown"], 7 + 4 + 2);
        assert_holds(&server, THREADS);
    }
}

#[test]
fn the_first_record_of_the_main_thread_may_be_made_in_atexit() {
    for names in ["", "names"] {
        let server = server();
        let ended = App::start(&server, &format!("late hooks atexit {names}")).end();
        ended.assert_ended_well();
        assert_holds(&server, THREADS.into_iter().chain([200, 201]));
    }
}
