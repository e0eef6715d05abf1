//! Trace and span ids, and the context that carries them from one process to another.

mod context;
mod state;

use std::cell::RefCell;

use rand::rngs::{SmallRng, SysRng};
use rand::{Rng, SeedableRng};

use crate::process::Process;

pub use self::context::TraceContext;

/// 32 lower-case hex digits.
pub(crate) type TraceId = [u8; 32];
/// 16 lower-case hex digits.
pub(crate) type SpanId = [u8; 16];

/// The span that a record belongs to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SpanIds {
    pub(crate) trace: TraceId,
    pub(crate) span: SpanId,
}

thread_local! {
    /// xoshiro256++ seeded by the system: 256 bits of state, so that ids do not meet across a fleet. With
    /// the process it was seeded in: a forked child must not repeat its parent's ids.
    static RNG: RefCell<Option<(Process, SmallRng)>> = const { RefCell::new(None) };
}

/// Random ids, none of them zero, which W3C Trace Context forbids.
pub(crate) fn random_ids() -> (TraceId, SpanId) {
    let [high, low, span] = random();
    let mut trace = [0; 32];
    trace[..16].copy_from_slice(&hex(high));
    trace[16..].copy_from_slice(&hex(low));
    (trace, hex(span))
}

pub(crate) fn random_span_id() -> SpanId {
    let [span] = random();
    hex(span)
}

/// A seed for what need not be secret.
pub(crate) fn random_seed() -> u64 {
    let [seed] = random();
    seed
}

fn random<const N: usize>() -> [u64; N] {
    let draw = |rng: &mut SmallRng| [(); N].map(|()| rng.next_u64().max(1));
    let drawn = RNG.try_with(|rng| {
        let mut rng = rng.borrow_mut();
        match &mut *rng {
            Some((process, rng)) if process.is_this() => draw(rng),
            other => draw(&mut other.insert((Process::new(), seeded())).1),
        }
    });
    // A thread that is ending has lost its generator.
    drawn.unwrap_or_else(|_| draw(&mut seeded()))
}

fn seeded() -> SmallRng {
    SmallRng::try_from_rng(&mut SysRng).unwrap_or_else(|_| {
        // No system entropy, as in an early boot: std's own seed is the next best.
        use std::hash::BuildHasher;
        let state = std::hash::RandomState::new();
        SmallRng::seed_from_u64(state.hash_one(std::thread::current().id()))
    })
}

/// 16 lower-case hex digits, eight at a time.
fn hex(value: u64) -> [u8; 16] {
    let digits = |half: u64| {
        // Each step doubles the room of what it has: 16 bits, then 8, then the 4 of a digit, to each its byte.
        let half = (half << 16 | half) & 0x0000_FFFF_0000_FFFF;
        let half = (half << 8 | half) & 0x00FF_00FF_00FF_00FF;
        let half = (half << 4 | half) & 0x0F0F_0F0F_0F0F_0F0F;
        // 1 in each byte of ten and more: those are letters.
        let letters = (half + 0x0606_0606_0606_0606) >> 4 & 0x0101_0101_0101_0101;
        half + 0x3030_3030_3030_3030 + letters * u64::from(b'a' - b'0' - 10)
    };
    let mut text = [0; 16];
    text[..8].copy_from_slice(&digits(value >> 32).to_be_bytes());
    text[8..].copy_from_slice(&digits(value & 0xFFFF_FFFF).to_be_bytes());
    text
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn hex_is_what_the_formatter_says() {
        let mut value = 0x0123_4567_89AB_CDEF_u64;
        for _ in 0..1_000 {
            assert_eq!(hex(value), *format!("{value:016x}").as_bytes());
            value = value.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(7);
        }
        for value in [0, 9, 10, u64::MAX] {
            assert_eq!(hex(value), *format!("{value:016x}").as_bytes());
        }
    }

    #[test]
    fn ids_are_hex_of_their_length_and_do_not_repeat_across_threads() {
        let drawn: Vec<_> = (0..8)
            .map(|_| std::thread::spawn(|| (0..1_000).map(|_| random_ids()).collect::<Vec<_>>()))
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
