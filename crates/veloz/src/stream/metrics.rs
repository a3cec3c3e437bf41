//! What the stream counts. Plain atomics: anyone may read them at any time.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use super::tail::Shared;
use crate::histogram::Histogram;

/// One number.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// What it is now.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(super) fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    pub(super) fn sub(&self, n: u64) {
        self.0.fetch_sub(n, Ordering::Relaxed);
    }

    pub(super) fn set(&self, n: u64) {
        self.0.store(n, Ordering::Relaxed);
    }
}

/// Why a stream was closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloseReason {
    /// The client went away.
    Peer,
    /// The socket took nothing for too long.
    Stalled,
    /// The client sent more after its request than is put up with.
    Input,
    /// The log could not be read.
    Log,
    /// What the log gave does not continue what was sent.
    Seam,
    /// The snapshot asked for did not come.
    Snapshot,
    /// The program stops.
    Shutdown,
}

impl CloseReason {
    /// Every reason.
    pub const ALL: [CloseReason; 7] = [
        CloseReason::Peer,
        CloseReason::Stalled,
        CloseReason::Input,
        CloseReason::Log,
        CloseReason::Seam,
        CloseReason::Snapshot,
        CloseReason::Shutdown,
    ];

    /// The name in the metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            CloseReason::Peer => "peer",
            CloseReason::Stalled => "stalled",
            CloseReason::Input => "input",
            CloseReason::Log => "log",
            CloseReason::Seam => "seam",
            CloseReason::Snapshot => "snapshot",
            CloseReason::Shutdown => "shutdown",
        }
    }
}

/// What the stream counts.
#[derive(Debug, Default)]
pub struct StreamMetrics {
    /// Connections that the stream has now, those not yet taken up included.
    pub connections: Count,
    /// Of these, level with the tail; looked at five times a second.
    pub level: Count,
    /// Of these, reading the log.
    pub behind: Count,
    /// Of these, with a socket that takes nothing just now.
    pub blocked: Count,
    /// Connections since the start.
    pub attached: Count,
    /// Events sent, each counted once for each subscriber.
    pub delivered_events: Count,
    /// Bytes sent.
    pub sent_bytes: Count,
    /// Writes to sockets.
    pub writes: Count,
    /// Of these, made by io_uring.
    pub ring_writes: Count,
    /// Gaps told.
    pub gaps: Count,
    /// Snapshots sent.
    pub snapshots: Count,
    /// Keep-alives sent.
    pub keep_alives: Count,
    /// Reads of the log for subscribers.
    pub log_reads: Count,
    /// Bytes of these.
    pub log_read_bytes: Count,
    /// Batches that did not follow what was published before; the log was read instead.
    pub refused_batches: Count,
    /// From the publishing of events to when the stream's thread has them.
    pub(super) publish_lag: Histogram,
    /// From the publishing of events to when they are sent to the last of all who are level.
    pub(super) delivery_lag: Histogram,
    closes: [Count; CloseReason::ALL.len()],
}

impl StreamMetrics {
    /// Connections closed for that reason.
    pub fn closes(&self, reason: CloseReason) -> u64 {
        self.close_count(reason).map_or(0, Count::get)
    }

    pub(super) fn closed(&self, reason: CloseReason) {
        self.connections.sub(1);
        if let Some(count) = self.close_count(reason) {
            count.add(1);
        }
    }

    fn gauges(&self) -> [(&'static str, &'static str, &Count); 4] {
        [
            ("connections", "Streams that are open", &self.connections),
            ("level", "Streams level with the tail", &self.level),
            ("behind", "Streams that read the log", &self.behind),
            ("blocked", "Streams whose socket takes nothing just now", &self.blocked),
        ]
    }

    fn counters(&self) -> [(&'static str, &'static str, &Count); 11] {
        [
            ("attached", "Streams opened", &self.attached),
            ("delivered_events", "Events sent, once for each stream", &self.delivered_events),
            ("sent_bytes", "Bytes sent", &self.sent_bytes),
            ("writes", "Writes to sockets", &self.writes),
            ("ring_writes", "Writes to sockets by io_uring", &self.ring_writes),
            ("gaps", "Gaps told", &self.gaps),
            ("snapshots", "Snapshots sent", &self.snapshots),
            ("keep_alives", "Keep-alives sent", &self.keep_alives),
            ("log_reads", "Reads of the log for streams that are behind", &self.log_reads),
            ("log_read_bytes", "Bytes of these reads", &self.log_read_bytes),
            ("refused_batches", "Batches that did not follow the last one", &self.refused_batches),
        ]
    }

    fn lags(&self) -> [(&'static str, &'static str, &Histogram); 2] {
        [
            (
                "publish",
                "From the publishing of events to when the stream's thread has them",
                &self.publish_lag,
            ),
            (
                "delivery",
                "From the publishing of events to when the last level stream was sent them",
                &self.delivery_lag,
            ),
        ]
    }

    fn close_count(&self, reason: CloseReason) -> Option<&Count> {
        let at = CloseReason::ALL.iter().position(|known| *known == reason)?;
        self.closes.get(at)
    }
}

/// The counters as Prometheus sees them.
pub(super) struct StreamCollector(pub(super) Arc<Shared>);

impl fmt::Debug for StreamCollector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StreamCollector")
    }
}

impl Collector for StreamCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let metrics = &self.0.metrics;
        for (name, help, count) in metrics.gauges() {
            let gauge = ConstGauge::new(i64::try_from(count.get()).unwrap_or(i64::MAX));
            let name = format!("veloz_stream_{name}");
            gauge.encode(encoder.encode_descriptor(&name, help, None, gauge.metric_type())?)?;
        }
        for (name, help, count) in metrics.counters() {
            let counter = ConstCounter::new(count.get());
            let name = format!("veloz_stream_{name}");
            counter.encode(encoder.encode_descriptor(
                &name,
                help,
                None,
                counter.metric_type(),
            )?)?;
        }
        for (name, help, lag) in metrics.lags() {
            let name = format!("veloz_{name}_lag_seconds");
            lag.encode(encoder.encode_descriptor(&name, help, None, lag.metric_type())?)?;
        }
        let first = ConstCounter::new(0_u64);
        let (name, help) = ("veloz_stream_closes", "Streams closed, by reason");
        let mut closes = encoder.encode_descriptor(name, help, None, first.metric_type())?;
        for reason in CloseReason::ALL {
            let labels = [("reason", reason.as_str())];
            ConstCounter::new(metrics.closes(reason)).encode(closes.encode_family(&labels)?)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus_client::encoding::text;
    use prometheus_client::registry::Registry;

    #[test]
    fn prometheus_sees_them() {
        let shared = Arc::new(Shared::new(Box::new(|| ()), 1));
        shared.metrics.connections.add(3);
        shared.metrics.closed(CloseReason::Stalled);
        let mut registry = Registry::default();
        registry.register_collector(Box::new(StreamCollector(shared)));
        let mut page = String::new();
        text::encode(&mut page, &registry).expect("encodes");
        for line in [
            "veloz_stream_connections 2",
            "veloz_stream_gaps_total 0",
            "veloz_stream_closes_total{reason=\"stalled\"} 1",
            "veloz_stream_closes_total{reason=\"peer\"} 0",
        ] {
            assert!(page.lines().any(|other| other == line), "{line} is not in\n{page}");
        }
    }
}
