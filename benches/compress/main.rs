//! What compression gives and costs: `cargo bench --bench compress`.
//!
//! The lines of a small shop are recorded through the layer and taken from its requests, byte for byte; a part of them trains
//! a dictionary, the others are compressed in batches. Printed are, for each way to compress and each size of batch, how many
//! times smaller they become, and how many MB of lines a thread compresses in a second of processor time.
//!
//! A body can be compressed with a dictionary only for a server that has the same one, and Axiom takes none. Those rows say
//! what that would be worth.

mod codec;
mod corpus;
#[path = "../throughput/http.rs"]
mod http;

use std::env;
use std::time::Duration;

use codec::{CODECS, Codec};
use corpus::Corpus;
use cpu_time::ThreadTime;

const KIB: usize = 1024;
/// A trickle, a chunk or some of them, and the largest batch.
const BATCHES: [usize; 3] = [16 * KIB, 256 * KIB, 4 * KIB * KIB];
/// How long each is measured, at least.
const TIME: Duration = Duration::from_millis(700);

fn main() {
    // `cargo test --benches` only wants to see that it runs.
    let measures = env::args().any(|arg| arg == "--bench");
    let corpus = if measures {
        Corpus::record(4 * KIB * KIB, 12 * KIB * KIB)
    } else {
        Corpus::record(256 * KIB, 256 * KIB)
    };
    let dictionary = corpus.dictionary();
    if measures {
        println!(
            "{} lines of {} bytes on average; a dictionary of {} KiB. How many times smaller, MB/s.\n",
            corpus.lines(),
            corpus.text().len() / corpus.lines(),
            dictionary.len() / KIB
        );
        let sizes = BATCHES.map(|size| format!("batches of {} KiB", size / KIB));
        println!("| | {} |", sizes.join(" | "));
        println!("|{}", " --- |".repeat(1 + BATCHES.len()));
    }
    for codec in &CODECS {
        let cells = BATCHES.map(|size| {
            let batches = corpus.batches(size);
            let time = if measures { TIME } else { Duration::ZERO };
            let (ratio, speed) = measure(codec, &dictionary, &batches, time);
            format!("{ratio:.2}, {speed:.0}")
        });
        if measures {
            println!("| {} | {} |", codec.name, cells.join(" | "));
        }
    }
}

/// How many times smaller, and MB of lines in a second of processor time: what else the machine does is not the codec's.
fn measure(codec: &Codec, dictionary: &[u8], batches: &[&[u8]], time: Duration) -> (f64, f64) {
    let mut compressor = codec.start(dictionary);
    // The first round warms up, and tells the sizes.
    let mut body = Vec::new();
    let (mut before, mut after) = (0, 0);
    for batch in batches {
        body.clear();
        compressor.compress(batch, &mut body);
        before += batch.len();
        after += body.len();
    }
    let start = ThreadTime::now();
    let mut rounds = 0;
    while rounds == 0 || start.elapsed() < time {
        for batch in batches {
            body.clear();
            compressor.compress(batch, &mut body);
        }
        rounds += 1;
    }
    let seconds = start.elapsed().as_secs_f64();
    (
        before as f64 / after as f64,
        (before * rounds) as f64 / 1e6 / seconds,
    )
}
