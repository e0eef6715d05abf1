//! The copy floor: what a layer costs that does nothing but what none can leave out.

use std::cell::RefCell;
use std::hint::black_box;
use std::time::SystemTime;

use tracing::{Event, Subscriber, span};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

/// About as long as the line of W1.
const LINE: [u8; 250] = [b'x'; 250];
const RING: usize = 64 * 1024;

/// For each record, reads one clock and copies a line that is ready into a ring of the thread's own, which nobody reads.
#[derive(Debug)]
pub(crate) struct CopyFloor;

#[derive(Debug)]
struct Ring {
    bytes: Box<[u8]>,
    end: usize,
}

thread_local! {
    static THREAD: RefCell<Ring> = RefCell::new(Ring {
        bytes: vec![0; RING].into(),
        end: 0,
    });
}

fn publish() {
    black_box(SystemTime::now());
    THREAD.with_borrow_mut(|ring| {
        if ring.end + LINE.len() > RING {
            ring.end = 0;
        }
        ring.bytes[ring.end..ring.end + LINE.len()].copy_from_slice(black_box(&LINE));
        ring.end += LINE.len();
        black_box(&ring.bytes);
    });
}

impl<S: Subscriber> Layer<S> for CopyFloor {
    fn on_event(&self, _event: &Event<'_>, _context: Context<'_, S>) {
        publish();
    }

    fn on_close(&self, _id: span::Id, _context: Context<'_, S>) {
        publish();
    }
}
