//! What the service counts.

use std::sync::Arc;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

/// The service's counters.
#[derive(Debug)]
pub struct ServiceMetrics {
    /// Inputs stepped.
    pub inputs: Counter,
    /// Events stored and published.
    pub events: Counter,
    /// Time to append a batch, its sync included where durability is `disk`.
    pub append_seconds: Histogram,
}

impl ServiceMetrics {
    /// Counters that `registry` shows.
    pub fn register(registry: &mut Registry) -> Arc<ServiceMetrics> {
        let metrics = ServiceMetrics {
            inputs: Counter::default(),
            events: Counter::default(),
            append_seconds: Histogram::new(exponential_buckets(1e-6, 4.0, 12)),
        };
        registry.register(
            "veloz_inputs",
            "Inputs stepped: commands and market data",
            metrics.inputs.clone(),
        );
        registry.register("veloz_events", "Events stored and published", metrics.events.clone());
        registry.register(
            "veloz_append_seconds",
            "Time to append a batch to the journal",
            metrics.append_seconds.clone(),
        );
        Arc::new(metrics)
    }
}
