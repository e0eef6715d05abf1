//! Trace and span ids, and the context that carries them from one process to another.

mod context;
mod state;

use std::cell::RefCell;

use rand::rngs::{SmallRng, SysRng};
use rand::{Rng, SeedableRng};

use crate::fork::Process;

pub use self::context::TraceContext;

/// 32 lower-case hex digits.
pub(crate) type TraceId = [u8; 32];
/// 16 lower-case hex digits.
pub(crate) type SpanId = [u8; 16];

thread_local! {
    /// xoshiro256++ seeded by the system: 256 bits of state, so that ids do not meet across a fleet. With
    /// the process it was seeded in: a forked child must not repeat its parent's ids.
    static RNG: RefCell<Option<(Process, SmallRng)>> = const { RefCell::new(None) };
}

/// A random id that is not zero, which W3C Trace Context forbids.
pub(crate) fn random_trace_id() -> TraceId {
    let bytes = (u128::from(random()) << 64 | u128::from(random())).to_be_bytes();
    hex(bytes)
}

pub(crate) fn random_span_id() -> SpanId {
    hex(random().to_be_bytes())
}

/// A seed for what need not be secret.
pub(crate) fn random_seed() -> u64 {
    random()
}

fn random() -> u64 {
    let drawn = RNG.try_with(|rng| {
        let mut rng = rng.borrow_mut();
        match &mut *rng {
            Some((process, rng)) if process.is_this() => rng.next_u64(),
            other => other.insert((Process::new(), seeded())).1.next_u64(),
        }
    });
    // A thread that is ending has lost its generator.
    drawn.unwrap_or_else(|_| seeded().next_u64()).max(1)
}

fn seeded() -> SmallRng {
    SmallRng::try_from_rng(&mut SysRng).unwrap_or_else(|_| {
        // No system entropy, as in an early boot: std's own seed is the next best.
        use std::hash::BuildHasher;
        let state = std::hash::RandomState::new();
        SmallRng::seed_from_u64(state.hash_one(std::thread::current().id()))
    })
}

fn hex<const N: usize, const M: usize>(bytes: [u8; N]) -> [u8; M] {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let mut text = [b'0'; M];
    for (byte, digits) in bytes.iter().zip(text.chunks_exact_mut(2)) {
        digits[0] = HEX[usize::from(byte >> 4)];
        digits[1] = HEX[usize::from(byte & 15)];
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ids_are_hex_of_their_length_and_do_not_repeat_across_threads() {
        let drawn: Vec<_> = (0..8)
            .map(|_| {
                std::thread::spawn(|| {
                    (0..1_000)
                        .map(|_| (random_trace_id(), random_span_id()))
                        .collect::<Vec<_>>()
                })
            })
            .flat_map(|thread| thread.join().unwrap())
            .collect();
        let digits = |id: &[u8]| id.iter().all(|b| b"0123456789abcdef".contains(b));
        assert!(
            drawn
                .iter()
                .all(|(trace, span)| digits(trace) && digits(span))
        );
        assert_eq!(
            drawn.iter().map(|ids| ids.0).collect::<HashSet<_>>().len(),
            8_000
        );
        assert_eq!(
            drawn.iter().map(|ids| ids.1).collect::<HashSet<_>>().len(),
            8_000
        );
    }
}
