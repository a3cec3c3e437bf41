//! What the service counts.

use std::sync::Arc;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;

use crate::histogram::Histogram;
use crate::metrics::shown;

/// The service's counters.
#[derive(Debug)]
pub struct ServiceMetrics {
    /// Inputs stepped.
    pub inputs: Counter,
    /// Events stored and published.
    pub events: Counter,
    /// Time to step the inputs of a batch and to encode what came of them.
    pub decide_time: Histogram,
    /// Time to append a batch, its sync included where durability is `disk`.
    pub append_time: Histogram,
}

impl ServiceMetrics {
    /// Counters that `registry` shows.
    pub fn register(registry: &mut Registry) -> Arc<ServiceMetrics> {
        Arc::new(ServiceMetrics {
            inputs: shown(
                registry,
                "veloz_inputs",
                "Inputs stepped: commands and market data",
                Counter::default(),
            ),
            events: shown(
                registry,
                "veloz_events",
                "Events stored and published",
                Counter::default(),
            ),
            decide_time: shown(
                registry,
                "veloz_decide_seconds",
                "Time to step the inputs of a batch and to encode their events",
                Histogram::default(),
            ),
            append_time: shown(
                registry,
                "veloz_append_seconds",
                "Time to append a batch to the journal, with its sync when durability is disk",
                Histogram::default(),
            ),
        })
    }
}
