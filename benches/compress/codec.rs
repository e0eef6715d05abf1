//! The ways to compress a body, each as the worker would do it: a frame for a batch, which comes in chunks, with the tables
//! kept from one to the next.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use zstd::dict::EncoderDictionary;
use zstd::stream::raw::{CParameter, Encoder, InBuffer, Operation, OutBuffer};

/// As large as the queue's.
const CHUNK: usize = 64 * 1024;

#[derive(Debug)]
pub(crate) struct Codec {
    pub(crate) name: &'static str,
    how: How,
}

#[derive(Debug, Clone, Copy)]
enum How {
    Zstd {
        level: i32,
        /// The logarithm of how far it looks back; the level's own without.
        window: Option<u32>,
        /// Whether it is told how long the batch is, and may choose smaller tables for it.
        told: bool,
        dictionary: bool,
    },
    Gzip(u32),
}

const fn zstd(name: &'static str, level: i32) -> Codec {
    Codec {
        name,
        how: How::Zstd {
            level,
            window: None,
            told: false,
            dictionary: false,
        },
    }
}

const fn windowed(name: &'static str, level: i32, window: u32) -> Codec {
    Codec {
        name,
        how: How::Zstd {
            level,
            window: Some(window),
            told: false,
            dictionary: false,
        },
    }
}

const fn told(name: &'static str, level: i32) -> Codec {
    Codec {
        name,
        how: How::Zstd {
            level,
            window: None,
            told: true,
            dictionary: false,
        },
    }
}

const fn with_dictionary(name: &'static str, level: i32) -> Codec {
    Codec {
        name,
        how: How::Zstd {
            level,
            window: None,
            told: false,
            dictionary: true,
        },
    }
}

pub(crate) const CODECS: [Codec; 14] = [
    zstd("zstd -7", -7),
    zstd("zstd -3", -3),
    zstd("zstd -1", -1),
    zstd("zstd 1 (the layer's)", 1),
    zstd("zstd 3", 3),
    windowed("zstd 1, window of 64 KiB", 1, 16),
    windowed("zstd 1, window of 4 MiB", 1, 22),
    told("zstd 1, told the size", 1),
    told("zstd 3, told the size", 3),
    with_dictionary("zstd -3 with dictionary", -3),
    with_dictionary("zstd -1 with dictionary", -1),
    with_dictionary("zstd 1 with dictionary", 1),
    with_dictionary("zstd 3 with dictionary", 3),
    Codec {
        name: "gzip 1",
        how: How::Gzip(1),
    },
];

pub(crate) enum Compressor {
    Zstd {
        encoder: Encoder<'static>,
        told: bool,
    },
    Gzip(u32),
}

impl Codec {
    pub(crate) fn start(&self, dictionary: &[u8]) -> Compressor {
        let (level, window, told, with_dictionary) = match self.how {
            How::Gzip(level) => return Compressor::Gzip(level),
            How::Zstd {
                level,
                window,
                told,
                dictionary,
            } => (level, window, told, dictionary),
        };
        let mut encoder = if with_dictionary {
            // Digested once for all bodies, and kept until the end, as a worker would.
            let digested = Box::leak(Box::new(EncoderDictionary::copy(dictionary, level)));
            Encoder::with_prepared_dictionary(digested).unwrap()
        } else {
            Encoder::new(level).unwrap()
        };
        if let Some(window) = window {
            encoder
                .set_parameter(CParameter::WindowLog(window))
                .unwrap();
        }
        Compressor::Zstd { encoder, told }
    }
}

impl Compressor {
    /// Appends one frame.
    pub(crate) fn compress(&mut self, batch: &[u8], body: &mut Vec<u8>) {
        match self {
            Self::Gzip(level) => {
                let mut encoder = GzEncoder::new(body, Compression::new(*level));
                batch
                    .chunks(CHUNK)
                    .for_each(|chunk| encoder.write_all(chunk).unwrap());
                encoder.finish().unwrap();
            }
            Self::Zstd { encoder, told } => {
                encoder.reinit().unwrap();
                if *told {
                    encoder
                        .set_pledged_src_size(Some(batch.len() as u64))
                        .unwrap();
                }
                for chunk in batch.chunks(CHUNK) {
                    let mut input = InBuffer::around(chunk);
                    while input.pos < chunk.len() {
                        step(body, |out| encoder.run(&mut input, out));
                    }
                }
                while step(body, |out| encoder.finish(out, true)) > 0 {}
            }
        }
    }
}

/// Makes room for what comes out.
fn step(
    body: &mut Vec<u8>,
    run: impl FnOnce(&mut OutBuffer<'_, Vec<u8>>) -> std::io::Result<usize>,
) -> usize {
    let used = body.len();
    body.reserve(32 * 1024);
    run(&mut OutBuffer::around_pos(body, used)).unwrap()
}
