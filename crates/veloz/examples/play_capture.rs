//! Plays a capture as fast as it goes, to nobody: how fast the source alone is. `play_capture FILE`.
#![expect(clippy::print_stdout, reason = "it is what it is for")]

use std::time::Instant;

use anyhow::{Context, Result, bail};
use veloz::market::{ReplayConfig, ReplaySpeed, SourceConfig, SourceMessage, start};
use veloz_core::types::Symbol;

fn main() -> Result<()> {
    let path = std::env::args_os().nth(1).context("usage: play_capture FILE")?;
    let config = ReplayConfig {
        path: path.into(),
        speed: ReplaySpeed::Max,
        paused: false,
        start_after: None,
        symbol: Symbol::parse("BTCUSDT")?,
    };
    let (out, messages) = crossbeam_channel::bounded(16);
    let started = Instant::now();
    let source = start(SourceConfig::Replay(config), out, || {})?;
    for message in messages {
        match message {
            SourceMessage::Data(_) => {}
            SourceMessage::Fault { detail, .. } => println!("{detail}"),
            SourceMessage::Finished => break,
            SourceMessage::Failed { detail, .. } => bail!(detail),
        }
    }
    let (elapsed, status) = (started.elapsed(), source.monitor().status());
    let per_second = |count: u64| u128::from(count) * 1_000_000 / elapsed.as_micros().max(1);
    println!(
        "{} lines, {} bytes in {elapsed:.2?}: {} lines/s, {} MB/s",
        status.lines,
        status.bytes,
        per_second(status.lines),
        per_second(status.bytes) / 1_000_000
    );
    Ok(())
}
