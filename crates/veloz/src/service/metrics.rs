//! What the service counts.

use std::sync::Arc;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;

use crate::histogram::Histogram;

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
        let metrics = ServiceMetrics {
            inputs: Counter::default(),
            events: Counter::default(),
            decide_time: Histogram::default(),
            append_time: Histogram::default(),
        };
        registry.register(
            "veloz_inputs",
            "Inputs stepped: commands and market data",
            metrics.inputs.clone(),
        );
        registry.register("veloz_events", "Events stored and published", metrics.events.clone());
        registry.register(
            "veloz_decide_seconds",
            "Time to step the inputs of a batch and to encode their events",
            metrics.decide_time.clone(),
        );
        registry.register(
            "veloz_append_seconds",
            "Time to append a batch to the journal, with its sync when durability is disk",
            metrics.append_time.clone(),
        );
        Arc::new(metrics)
    }
}
