//! What the tests share: the program as a process, a plain HTTP client that can send anything, a reader
//! of streams, and a proxy that cuts connections.

mod capture;
mod client_process;
mod follower;
mod gateway;
mod http;
mod plot;
mod proxy;
mod stream;
mod traders;

use std::io::Write as _;
use std::net::TcpListener;
use std::path::PathBuf;
use std::time::{Duration, Instant};

pub(crate) use capture::Capture;
pub(crate) use client_process::ClientProcess;
pub(crate) use follower::{Follower, Habit};
pub(crate) use gateway::{Gateway, Options};
pub(crate) use http::{
    Reply, exchange, exchange_and_leave, get, parse, post, post_json, request, try_post_json,
};
pub(crate) use plot::{Plot, number};
pub(crate) use proxy::{Cut, Proxy};
pub(crate) use stream::{Events, Frame};
pub(crate) use traders::{StopOnDrop, Traders};

/// How long anything may take before the test gives up on it: generous, for a machine that is busy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until `condition` gives something.
pub(crate) fn eventually<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The root of the workspace.
pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the workspace")
}

/// A file that `make setup` or the project itself puts there.
pub(crate) fn needed(path: &str) -> PathBuf {
    let full = root().join(path);
    assert!(full.exists(), "{path} is missing: run `make setup`");
    full
}

/// Tells that a test is skipped, and what it needs: past the test's capture of output, so that it is seen
/// (`make test` counts these lines).
pub(crate) fn skipped(needs: &str) {
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    writeln!(std::io::stderr(), "skipped: {test}: needs {needs}").expect("stderr");
}

/// A real capture, or `None`, told, where the folder is missing.
pub(crate) fn recorded(name: &str) -> Option<PathBuf> {
    let path = root().join("../shared/data").join(name);
    if path.exists() {
        return Some(path);
    }
    skipped(&format!("../shared/data/{name}"));
    None
}

/// Random numbers whose seed a failing test prints.
pub(crate) fn seeded(test: &str) -> fastrand::Rng {
    let seed = match std::env::var("VELOZ_SEED") {
        Ok(seed) => seed.parse().expect("VELOZ_SEED is a number"),
        Err(_) => fastrand::u64(..),
    };
    println!("{test}: VELOZ_SEED={seed}");
    fastrand::Rng::with_seed(seed)
}

/// A port that the program keeps through all restarts, as an installed one does: below those that the system
/// gives to outgoing connections.
pub(crate) fn fixed_port(rng: &mut fastrand::Rng) -> u16 {
    std::iter::repeat_with(|| rng.u16(15_000..30_000))
        .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .expect("a free port")
}
