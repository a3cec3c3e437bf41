//! What the HTTP layer counts.

use std::sync::atomic::AtomicI64;

use http::StatusCode;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::metrics::shown;

/// The counters of the HTTP layer; a clone counts into the same.
#[derive(Debug, Clone)]
pub struct HttpMetrics {
    requests: Family<StatusLabel, Counter>,
    /// The counter of the status that nearly all answers have.
    ok: Counter,
    refused: Family<ReasonLabel, Counter>,
    timeouts: Counter,
    connections: Gauge<i64, AtomicI64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StatusLabel {
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabel {
    reason: &'static str,
}

/// Why a connection or a stream was turned away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// There are as many as allowed.
    TooMany,
    /// There is no file handle left.
    NoHandles,
    /// The stream does not take it.
    Stream,
}

impl Refused {
    /// The name in the metrics.
    const fn as_str(self) -> &'static str {
        match self {
            Refused::TooMany => "too_many_connections",
            Refused::NoHandles => "out_of_file_handles",
            Refused::Stream => "stream_unavailable",
        }
    }
}

impl HttpMetrics {
    /// Counters that `registry` shows.
    pub fn register(registry: &mut Registry) -> HttpMetrics {
        let requests = shown(
            registry,
            "veloz_http_requests",
            "Requests answered, by status",
            Family::<StatusLabel, Counter>::default(),
        );
        let connections = shown(
            registry,
            "veloz_http_connections",
            "Connections that are not streams",
            Gauge::default(),
        );
        let refused = shown(
            registry,
            "veloz_http_refused",
            "Connections and streams turned away with 503, by reason",
            Family::<ReasonLabel, Counter>::default(),
        );
        let timeouts = shown(
            registry,
            "veloz_http_timeouts",
            "Connections closed because their client took too long",
            Counter::default(),
        );
        // Each reason is shown from the start, also one that never comes.
        for reason in [Refused::TooMany, Refused::NoHandles, Refused::Stream] {
            drop(refused.get_or_create(&ReasonLabel { reason: reason.as_str() }));
        }
        let ok = requests.get_or_create(&StatusLabel { status: 200 }).clone();
        HttpMetrics { requests, ok, refused, timeouts, connections }
    }

    pub(super) fn answered(&self, status: StatusCode) {
        if status == StatusCode::OK {
            self.ok.inc();
        } else {
            self.requests.get_or_create(&StatusLabel { status: status.as_u16() }).inc();
        }
    }

    pub(super) fn refused(&self, reason: Refused) {
        self.refused.get_or_create(&ReasonLabel { reason: reason.as_str() }).inc();
    }

    pub(super) fn timed_out(&self) {
        self.timeouts.inc();
    }

    /// Counts a connection for as long as the value lives.
    pub(super) fn connection(&self) -> Counted {
        self.connections.inc();
        Counted(self.connections.clone())
    }

    pub(super) fn connections(&self) -> usize {
        usize::try_from(self.connections.get()).unwrap_or_default()
    }
}

/// One connection, counted.
#[derive(Debug)]
pub(super) struct Counted(Gauge<i64, AtomicI64>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}
