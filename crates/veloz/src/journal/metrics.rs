//! What there is to measure of the journal, looked at when somebody asks.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use veloz_core::types::EventId;

use super::background::Active;
use super::segment::Log;

/// What is counted as it happens.
#[derive(Debug, Default)]
pub(super) struct Counts {
    compactions: AtomicU64,
    removals: AtomicU64,
    snapshot_event: AtomicU64,
}

impl Counts {
    pub(super) fn compacted(&self) {
        self.compactions.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn removed(&self) {
        self.removals.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn snapshot_stands_at(&self, next_id: EventId) {
        self.snapshot_event.store(next_id.saturating_sub(1), Ordering::Relaxed);
    }
}

/// The journal as Prometheus sees it.
#[derive(Debug)]
pub(super) struct JournalCollector {
    pub log: Arc<Log>,
    pub active: Arc<Active>,
}

impl Collector for JournalCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let bounds = self.log.bounds();
        let segments = self.log.segments();
        let bytes: u64 = segments.iter().map(|segment| segment.end()).sum();
        let compacted = segments.iter().filter(|segment| segment.header.compacted).count();
        let counts = &self.log.counts;
        let gauges = [
            ("bytes", "Bytes of the log", bytes),
            ("segments", "Segments of the log", count(segments.len())),
            ("compacted_segments", "Segments without their market events", count(compacted)),
            ("oldest_event", "The oldest event retained", bounds.oldest),
            ("newest_event", "The newest event", bounds.newest),
            (
                "snapshot_event",
                "The newest event in a snapshot: a start replays those after it",
                counts.snapshot_event.load(Ordering::Relaxed),
            ),
        ];
        for (name, help, value) in gauges {
            gauge(&mut encoder, name, help, i64::try_from(value).unwrap_or(i64::MAX))?;
        }
        // Told where it is known: a directory that is gone has none.
        if let Ok(free) = self.log.storage.free_bytes() {
            let free = i64::try_from(free).unwrap_or(i64::MAX);
            gauge(&mut encoder, "free_bytes", "Bytes free where the journal is", free)?;
        }
        let lag = self.active.sync_lag().as_secs_f64();
        gauge(
            &mut encoder,
            "sync_lag_seconds",
            "How long something written waits for the disk",
            lag,
        )?;
        let syncs = self.active.sync_time();
        let (name, help) = ("veloz_sync_seconds", "Time to bring what is written to the disk");
        syncs.encode(encoder.encode_descriptor(name, help, None, syncs.metric_type())?)?;
        for (name, help, counter) in [
            ("compactions", "Segments rewritten without their market events", &counts.compactions),
            ("removed_segments", "Segments that retention removed", &counts.removals),
        ] {
            let counter = ConstCounter::new(counter.load(Ordering::Relaxed));
            let name = format!("veloz_journal_{name}");
            counter.encode(encoder.encode_descriptor(
                &name,
                help,
                None,
                counter.metric_type(),
            )?)?;
        }
        Ok(())
    }
}

fn gauge<N>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    value: N,
) -> Result<(), fmt::Error>
where
    ConstGauge<N>: EncodeMetric,
{
    let gauge = ConstGauge::new(value);
    let name = format!("veloz_journal_{name}");
    gauge.encode(encoder.encode_descriptor(&name, help, None, gauge.metric_type())?)
}

fn count(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}
