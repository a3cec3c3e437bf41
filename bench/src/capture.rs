//! A capture of trades at a fixed rate, as VeloZ's `replay` reads it: at a speed of 1 it publishes event
//! `n` at its start plus `n - 1` intervals.

use std::io::{BufWriter, Write};

use anyhow::Result;

use crate::clock::{due_ns, interval_ns};
use crate::event::{PRICE, QTY, TIME_MS};

/// Writes it to standard output.
pub(crate) fn write(rate: f64, events: u64) -> Result<()> {
    let mut out = BufWriter::with_capacity(1 << 20, std::io::stdout().lock());
    for number in 1..=events {
        let received_ns = due_ns(TIME_MS * 1_000_000, number, interval_ns(rate));
        writeln!(
            out,
            r#"{received_ns} {{"stream":"btcusdt@trade","data":{{"e":"trade","E":{TIME_MS},"s":"BTCUSDT","t":{number},"p":"{PRICE}","q":"{QTY}","T":{TIME_MS},"m":false,"M":true}}}}"#
        )?;
    }
    Ok(out.flush()?)
}
