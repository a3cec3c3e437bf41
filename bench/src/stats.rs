//! Percentiles and processor time.

use anyhow::{Context, Result};
use serde_json::{Value, json};

/// Microseconds at the usual percentiles.
pub(crate) fn percentiles(mut nanos: Vec<u64>) -> Value {
    nanos.sort_unstable();
    let at = |per_mille: usize| {
        let index = (nanos.len() * per_mille / 1000).min(nanos.len().saturating_sub(1));
        nanos.get(index).map_or(0, |n| n / 1_000)
    };
    json!({ "p50_us": at(500), "p90_us": at(900), "p99_us": at(990), "p999_us": at(999), "max_us": at(1000) })
}

/// Processor time that a process has used so far, user and system, in clock ticks of 10 ms.
pub(crate) fn cpu_ticks(pid: u32) -> Result<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The command's name may hold spaces: fields are counted from behind its parenthesis.
    let fields: Vec<&str> = stat
        .rsplit_once(')')
        .map(|(_, rest)| rest.split_whitespace().collect())
        .unwrap_or_default();
    let field = |index: usize| -> Result<u64> {
        Ok(fields.get(index).context("a short /proc/PID/stat")?.parse()?)
    };
    Ok(field(11)? + field(12)?)
}
