//! How fast the journal appends and reads, beside plain writes of the same bytes to the same disk.
//!
//! `cargo run --release --example journal_speed -- [DIR] [MILLIONS]` prints lines for a person, and last one of
//! JSON with the microseconds a batch, for `bench/run`.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, UNIX_EPOCH};

use anyhow::{Context, bail};
use crossbeam_channel::RecvTimeoutError;
use rustix::fs::FallocateFlags;
use veloz::frame::write_frame;
use veloz::journal::{Batch, Durability, Journal, JournalConfig, JournalReader, LogReader, Read};
use veloz_core::event::{Event, Market};
use veloz_core::limits::{
    JOURNAL_PREALLOCATE_BYTES, JOURNAL_RESERVE_BYTES, JOURNAL_SEGMENT_BYTES, JOURNAL_SYNC_BYTES,
    JOURNAL_SYNC_INTERVAL_MS, JOURNAL_SYNC_MIN_BYTES,
};
use veloz_core::types::EventId;

const STEPS_PER_BATCH: u64 = 64;
const READ_BYTES: usize = 256 << 10;
const DURABLE_BATCHES: u64 = 500;

fn main() -> anyhow::Result<()> {
    let mut args = std::env::args().skip(1);
    let dir = args.next().map_or_else(std::env::temp_dir, PathBuf::from);
    let millions: u64 = args.next().map_or(Ok(2), |text| text.parse())?;
    let dir = dir.join(format!("journal-speed-{}", std::process::id()));
    std::fs::create_dir(&dir)?;
    let done = measure(&dir, millions * 1_000_000);
    std::fs::remove_dir_all(&dir)?;
    done
}

fn measure(dir: &Path, events: u64) -> anyhow::Result<()> {
    let batches = events / STEPS_PER_BATCH;
    let log = dir.join("process");
    std::fs::create_dir(&log)?;
    let (took, bytes) = append(&log, Durability::Process, batches)?;
    let append_us = tell("append, process", batches, took);
    let took = write(&dir.join("plain"), bytes, batches, false)?;
    let write_us = tell("plain write", batches, took);
    std::fs::remove_file(dir.join("plain"))?;
    let alike = dir.join("alike");
    std::fs::create_dir(&alike)?;
    let took = write_alike(&alike, bytes, batches)?;
    let write_alike_us = tell("write, synced beside it, to files that roll", batches, took);
    std::fs::remove_dir_all(alike)?;
    read(&log, "read")?;
    let started = Instant::now();
    let (journal, _, recovery) = Journal::open(&log, JournalConfig::default())?;
    say(&format!("open: {:.1} ms, newest {}", millis(started.elapsed()), recovery.newest));
    let started = Instant::now();
    let mut seen: u64 = 0;
    recovery.replay(|record| {
        seen += u64::from(record.events);
        Ok::<(), std::convert::Infallible>(())
    })?;
    say(&format!("replay of {seen} events: {:.1} ms", millis(started.elapsed())));
    drop(journal);
    let disk = dir.join("disk");
    std::fs::create_dir(&disk)?;
    let (took, bytes) = append(&disk, Durability::Disk, DURABLE_BATCHES)?;
    let append_disk_us = tell("append, disk", DURABLE_BATCHES, took);
    let took = write(&dir.join("plain"), bytes, DURABLE_BATCHES, true)?;
    let write_disk_us = tell("plain write + fdatasync", DURABLE_BATCHES, took);
    let figures = serde_json::json!({
        "events_per_batch": STEPS_PER_BATCH, "bytes_per_batch": bytes, "append_us": append_us,
        "write_us": write_us, "write_alike_us": write_alike_us, "append_disk_us": append_disk_us, "write_disk_us": write_disk_us,
    });
    say(&figures.to_string());
    Ok(())
}

/// Appends market events; gives the time and the bytes of a batch.
fn append(dir: &Path, durability: Durability, batches: u64) -> anyhow::Result<(Duration, usize)> {
    let config = JournalConfig { durability, ..JournalConfig::default() };
    let (mut journal, _, _) = Journal::open(dir, config)?;
    let mut batch = Batch::new();
    let mut took = Duration::ZERO;
    let event = event()?;
    for _ in 0..batches {
        encode(&mut batch, journal.next_id(), &event);
        let wall_ns = i64::try_from(UNIX_EPOCH.elapsed()?.as_nanos())?;
        let started = Instant::now();
        journal.append(&mut batch, wall_ns)?;
        took += started.elapsed();
    }
    Ok((took, batch.size_bytes()))
}

/// Writes as many bytes to one file, batch by batch.
fn write(path: &Path, bytes: usize, batches: u64, sync: bool) -> anyhow::Result<Duration> {
    let mut file = File::create(path)?;
    write_batches(bytes, batches, |out| {
        file.write_all(out)?;
        if sync {
            file.sync_data()?;
        }
        Ok(())
    })
}

/// Writes as many bytes to files that are treated as the journal treats its own: each is sealed and synced where a
/// segment would be full, has its space reserved in steps, and is brought to the disk by a second thread meanwhile.
fn write_alike(dir: &Path, bytes: usize, batches: u64) -> anyhow::Result<Duration> {
    let (wake, woken) = crossbeam_channel::bounded::<()>(1);
    let active = Arc::new(Mutex::new(Arc::new(File::create(dir.join("0"))?)));
    let synced = Arc::clone(&active);
    let syncer = std::thread::spawn(move || -> std::io::Result<()> {
        let interval = Duration::from_millis(JOURNAL_SYNC_INTERVAL_MS);
        while woken.recv_timeout(interval) != Err(RecvTimeoutError::Disconnected) {
            let file = Arc::clone(&synced.lock().unwrap_or_else(PoisonError::into_inner));
            file.sync_data()?;
        }
        Ok(())
    });
    let mut file = Arc::clone(&active.lock().unwrap_or_else(PoisonError::into_inner));
    let (mut end, mut asked, mut reserved, mut files) = (0_u64, 0, 0, 1);
    let size = u64::try_from(bytes)?;
    let took = write_batches(bytes, batches, |out| {
        if end + size > JOURNAL_SEGMENT_BYTES {
            file.set_len(end)?;
            file.sync_all()?;
            file = Arc::new(File::create(dir.join(files.to_string()))?);
            file.sync_all()?;
            File::open(dir)?.sync_all()?;
            *active.lock().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&file);
            (end, asked, reserved, files) = (0, 0, 0, files + 1);
        }
        if end + JOURNAL_RESERVE_BYTES > reserved {
            let full = JOURNAL_SEGMENT_BYTES + JOURNAL_RESERVE_BYTES;
            reserved = full.min(end + JOURNAL_RESERVE_BYTES + JOURNAL_PREALLOCATE_BYTES);
            rustix::fs::fallocate(&*file, FallocateFlags::empty(), 0, reserved)?;
        }
        file.write_all_at(out, end)?;
        end += size;
        let left = JOURNAL_SEGMENT_BYTES.saturating_sub(end);
        if end - asked >= (left / 2).clamp(JOURNAL_SYNC_MIN_BYTES, JOURNAL_SYNC_BYTES) {
            asked = end;
            let _ = wake.try_send(());
        }
        Ok(())
    });
    drop(wake);
    if let Ok(synced) = syncer.join() {
        synced?;
    }
    took
}

/// Times writes of so many bytes. Each batch is encoded first, as for the journal, so that neither side has the
/// processor's caches for itself.
fn write_batches(
    bytes: usize,
    batches: u64,
    mut write: impl FnMut(&[u8]) -> anyhow::Result<()>,
) -> anyhow::Result<Duration> {
    let mut batch = Batch::new();
    let mut took = Duration::ZERO;
    let (event, mut next_id) = (event()?, 1);
    let mut out = Vec::with_capacity(bytes);
    for _ in 0..batches {
        encode(&mut batch, next_id, &event);
        next_id += STEPS_PER_BATCH;
        out.clear();
        batch.frames().for_each(|frames| out.extend_from_slice(frames));
        out.resize(bytes, b'x');
        let started = Instant::now();
        write(&out)?;
        took += started.elapsed();
    }
    Ok(took)
}

fn event() -> anyhow::Result<Event> {
    Ok(Event::Market(Market {
        symbol: "BTCUSDT".parse()?,
        ts_ns: 1_704_067_200_000_000_000,
        price: "50000.5".parse()?,
        trade_id: Some(3_000_000_000),
        qty: Some("0.00125".parse()?),
        side: None,
        bid: None,
        ask: None,
    }))
}

fn encode(batch: &mut Batch, first_id: EventId, event: &Event) {
    batch.clear();
    for id in first_id..first_id + STEPS_PER_BATCH {
        batch.step(id, 1, &[], |out| write_frame(out, id, event));
    }
}

fn read(dir: &Path, what: &str) -> anyhow::Result<()> {
    let reader = JournalReader::open_offline(dir)?;
    let (mut next_id, mut bytes_read) = (1, 0);
    let started = Instant::now();
    loop {
        match reader.read(next_id, READ_BYTES).context("read")? {
            Read::Frames { bytes, next, .. } => {
                bytes_read += bytes.len();
                next_id = next;
            }
            Read::AtEnd => break,
            other => bail!("{other:?}"),
        }
    }
    let took = started.elapsed().as_secs_f64();
    let events = next_id - 1;
    let rate = f64::from(u32::try_from(events)?) / took / 1e6;
    let megabytes = f64::from(u32::try_from(bytes_read >> 20)?) / took;
    say(&format!("{what}: {events} events at {rate:.2} M/s, {megabytes:.0} MiB/s"));
    Ok(())
}

/// Gives the microseconds a batch.
fn tell(what: &str, batches: u64, took: Duration) -> f64 {
    let per_batch = took.as_secs_f64() * 1e6 / f64::from(u32::try_from(batches).unwrap_or(1));
    say(&format!("{what}: {per_batch:.1} us a batch of {STEPS_PER_BATCH} events"));
    per_batch
}

fn millis(took: Duration) -> f64 {
    took.as_secs_f64() * 1e3
}

#[expect(clippy::print_stdout, reason = "it is what this program is for")]
fn say(line: &str) {
    println!("{line}");
}
