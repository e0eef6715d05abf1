//! Records on and on, and says what is known to be delivered; or flushes whenever it is asked to.

use std::time::{Duration, Instant};

use crate::{LONG, Wanted, hear, ledger, record, say, start};

pub(crate) fn run(wanted: &Wanted) {
    let guard = start(wanted);
    if wanted.has("asked") {
        let mut seq = 0;
        // `flush` or, at last, nothing.
        while hear() == "flush" {
            record(seq..seq + 100);
            seq += 100;
            let start = Instant::now();
            let flushed = guard.flush(LONG);
            let took = start.elapsed();
            let stats = flushed.unwrap_or_else(|error| error.stats().clone());
            say(format_args!("took {}", took.as_micros()));
            say(ledger("flush", &stats));
        }
        let stats = guard.shutdown(LONG).unwrap();
        return say(ledger("shutdown", &stats));
    }
    for round in 0.. {
        record(round * 50..(round + 1) * 50);
        if round % 20 == 0 {
            say(format_args!("delivered {}", guard.stats().delivered()));
        }
        // A tight loop would only show the overflow.
        std::thread::sleep(Duration::from_micros(500));
    }
}
