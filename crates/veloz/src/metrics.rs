//! How what is counted is shown: the same way for every part.

use prometheus_client::registry::{Metric, Registry};

/// A metric that `registry` shows from now on, as its first value is.
pub(crate) fn shown<M: Metric + Clone>(
    registry: &mut Registry,
    name: &str,
    help: &str,
    metric: M,
) -> M {
    registry.register(name, help, metric.clone());
    metric
}
