//! The one payload of all servers: the `market` event that VeloZ makes of a trade of [`capture`]'s.
//!
//! [`capture`]: crate::capture

use std::io::Write;

use memchr::memmem::Finder;

/// The price, quantity, side and time of every trade; its number is what tells events apart.
pub(crate) const PRICE: &str = "50000.0";
pub(crate) const QTY: &str = "0.1";
pub(crate) const TIME_MS: u64 = 1_700_000_000_000;

const NUMBER: &[u8] = b"\"trade_id\":";

/// Appends the JSON of event `number`, about 110 bytes.
pub(crate) fn data(out: &mut Vec<u8>, number: u64) {
    // Writing to memory does not fail.
    let _ = write!(
        out,
        r#"{{"type":"market","symbol":"BTCUSDT","ts_ns":{TIME_MS}000000,"price":{PRICE},"trade_id":{number},"qty":{QTY},"side":"BUY"}}"#
    );
}

/// Appends event `number` as a stream sends it.
pub(crate) fn frame(out: &mut Vec<u8>, number: u64) {
    let _ = write!(out, "id: {number}\nevent: market\ndata: ");
    data(out, number);
    out.extend_from_slice(b"\n\n");
}

/// Writes that many frames to standard output.
pub(crate) fn write_frames(events: u64) -> std::io::Result<()> {
    let mut out = std::io::BufWriter::with_capacity(1 << 20, std::io::stdout().lock());
    let mut bytes = Vec::new();
    for number in 1..=events {
        bytes.clear();
        frame(&mut bytes, number);
        out.write_all(&bytes)?;
    }
    out.flush()
}

/// As much of a stream as can hold the beginning of a number.
pub(crate) const TAIL_BYTES: usize = 48;

/// Finds the numbers of events in the bytes of a stream, whatever is around them.
pub(crate) struct Numbers {
    finder: Finder<'static>,
}

impl Numbers {
    pub(crate) fn new() -> Numbers {
        Numbers { finder: Finder::new(NUMBER) }
    }

    /// Tells each number and gives back where what was not understood yet begins.
    pub(crate) fn scan(&self, bytes: &[u8], mut tell: impl FnMut(u64)) -> usize {
        let mut done = 0;
        for start in self.finder.find_iter(bytes) {
            let digits = bytes.get(start + NUMBER.len()..).unwrap_or_default();
            let mut number = 0_u64;
            let mut length = 0;
            for digit in digits.iter().take_while(|b| b.is_ascii_digit()) {
                number = number.wrapping_mul(10).wrapping_add(u64::from(digit - b'0'));
                length += 1;
            }
            if length == digits.len() {
                return start;
            }
            tell(number);
            done = start + NUMBER.len() + length;
        }
        done.max(bytes.len().saturating_sub(NUMBER.len() - 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_found_wherever_the_bytes_are_cut() {
        let mut stream = Vec::new();
        for number in [1, 22, 333, 4_444_444_444] {
            frame(&mut stream, number);
        }
        for size in 1..stream.len() {
            let (mut seen, mut rest) = (Vec::new(), Vec::new());
            for piece in stream.chunks(size) {
                rest.extend_from_slice(piece);
                let done = Numbers::new().scan(&rest, |number| seen.push(number));
                rest.drain(..done);
                assert!(rest.len() <= TAIL_BYTES, "{size}: {} bytes are kept", rest.len());
            }
            assert_eq!(seen, [1, 22, 333, 4_444_444_444], "pieces of {size}");
        }
    }
}
