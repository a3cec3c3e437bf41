//! What an external engine is counted by.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::metrics::shown;

/// The counters.
#[derive(Debug, Clone)]
pub struct EngineMetrics {
    lines: Family<KindLabel, Counter>,
    pub(super) starts: Counter,
    pub(super) up: Gauge<i64, std::sync::atomic::AtomicI64>,
    pub(super) dropped_faults: Counter<u64, AtomicU64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabel {
    kind: &'static str,
}

impl EngineMetrics {
    /// Counters that `registry` shows.
    pub fn register(registry: &mut Registry) -> Arc<EngineMetrics> {
        Arc::new(EngineMetrics {
            lines: shown(
                registry,
                "veloz_engine_lines",
                "Lines of the external engine: taken, ignored (an event that says nothing to a gateway), garbage, \
                 unreadable, too_long or cut",
                Family::default(),
            ),
            starts: shown(
                registry,
                "veloz_engine_starts",
                "Starts of the external engine's process",
                Counter::default(),
            ),
            up: shown(
                registry,
                "veloz_engine_up",
                "Whether the external engine works",
                Gauge::default(),
            ),
            dropped_faults: shown(
                registry,
                "veloz_engine_errors_dropped",
                "Errors of the external engine that were logged only, because there were too many",
                Counter::default(),
            ),
        })
    }

    pub(super) fn line(&self, kind: &'static str) {
        self.lines.get_or_create(&KindLabel { kind }).inc();
    }
}
