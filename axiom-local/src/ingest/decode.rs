//! Decodes a body as its `Content-Encoding` says, and never makes more bytes of it than allowed.

use std::io::{self, Read};

use bytes::Bytes;

/// The encodings that are understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    Identity,
    Gzip,
    Zstd,
}

/// Why a body has no decoded form.
#[derive(Debug)]
pub(crate) enum DecodeError {
    /// Decoded, it is longer than the limit.
    TooLarge,
    /// It is not what its encoding says.
    Corrupt(io::Error),
}

/// Decodes a whole body.
pub(crate) fn decode(
    encoding: Encoding,
    wire: Bytes,
    max_bytes: usize,
) -> Result<Bytes, DecodeError> {
    let decoded = match encoding {
        Encoding::Identity => wire,
        Encoding::Gzip => read_all(
            flate2::read::MultiGzDecoder::new(&wire[..]),
            wire.len(),
            max_bytes,
        )?,
        Encoding::Zstd => {
            let decoder = zstd::stream::read::Decoder::with_buffer(&wire[..])
                .map_err(DecodeError::Corrupt)?;
            read_all(decoder, wire.len(), max_bytes)?
        }
    };
    if decoded.len() > max_bytes {
        return Err(DecodeError::TooLarge);
    }
    Ok(decoded)
}

fn read_all(decoder: impl Read, wire_bytes: usize, max_bytes: usize) -> Result<Bytes, DecodeError> {
    // Telemetry compresses about tenfold, so a buffer of that size seldom has to grow.
    let guess = wire_bytes
        .saturating_mul(10)
        .min(max_bytes.saturating_add(1));
    let mut decoded = Vec::with_capacity(guess);
    // One byte more than allowed, to tell "exactly the limit" from "beyond it".
    let limit = u64::try_from(max_bytes)
        .unwrap_or(u64::MAX)
        .saturating_add(1);
    decoder
        .take(limit)
        .read_to_end(&mut decoded)
        .map_err(DecodeError::Corrupt)?;
    // Stored events keep the whole buffer alive, so the buffer should not be much larger than its content.
    if decoded.capacity() > decoded.len() / 4 * 5 {
        decoded.shrink_to_fit();
    }
    Ok(decoded.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_body_that_decodes_to_a_huge_one_is_stopped_at_the_limit() {
        let bomb = zstd::stream::encode_all(&vec![b'a'; 10_000_000][..], 1).unwrap();
        assert!(bomb.len() < 10_000);
        let outcome = decode(Encoding::Zstd, bomb.clone().into(), 1_000);
        assert!(matches!(outcome, Err(DecodeError::TooLarge)));
        let exact = decode(Encoding::Zstd, bomb.into(), 10_000_000).unwrap();
        assert_eq!(exact.len(), 10_000_000);
    }

    #[test]
    fn a_cut_body_is_corrupt() {
        let whole =
            zstd::stream::encode_all(&b"some text that is long enough to be cut in half"[..], 1)
                .unwrap();
        let cut = Bytes::copy_from_slice(&whole[..whole.len() / 2]);
        assert!(matches!(
            decode(Encoding::Zstd, cut.clone(), 1_000),
            Err(DecodeError::Corrupt(_))
        ));
        assert!(matches!(
            decode(Encoding::Gzip, cut, 1_000),
            Err(DecodeError::Corrupt(_))
        ));
    }
}
