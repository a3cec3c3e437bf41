//! Work that nobody waits for, on a thread that gives way to all others.

use std::thread;

/// How far a thread gives way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// It runs where a processor would rest: for what computes. While it waits, nobody must wait for it, so it
    /// changes no file: whoever else does may have to wait for the end of that.
    Rest,
    /// It runs seldom while others want to.
    Low,
}

/// Does that on a thread of its own, since one that gave way may not take that back. `None` when there is no such
/// thread, or it panicked: that is told.
pub(super) fn aside<T: Send>(way: Way, work: impl FnOnce() -> T + Send) -> Option<T> {
    thread::scope(|scope| {
        let work = || {
            give_way(way);
            work()
        };
        let named = thread::Builder::new().name("journal-keeper".to_owned());
        match named.spawn_scoped(scope, work).map(thread::ScopedJoinHandle::join) {
            Ok(Ok(done)) => Some(done),
            Ok(Err(_)) => {
                tracing::error!("a thread of the journal panicked");
                None
            }
            Err(error) => {
                tracing::error!(%error, "a thread of the journal cannot be started");
                None
            }
        }
    })
}

/// The same where the long work gives way; otherwise it is done at once.
pub(super) fn aside_if<T: Send>(
    gives_way: bool,
    way: Way,
    work: impl FnOnce() -> T + Send,
) -> Option<T> {
    if gives_way { aside(way, work) } else { Some(work()) }
}

/// Without it the work is done all the same, so nothing is told when it cannot be.
#[cfg(target_os = "linux")]
fn give_way(way: Way) {
    const NICE: i32 = 19;
    // Of the calling thread alone, on Linux.
    let _ = rustix::process::setpriority_process(None, NICE);
    if way == Way::Rest {
        let parameters = libc::sched_param { sched_priority: 0 };
        // SAFETY: it reads the parameters, which outlive the call, and changes when this thread runs.
        #[expect(unsafe_code, reason = "no crate in use has this system call")]
        unsafe {
            libc::sched_setscheduler(0, libc::SCHED_IDLE, &raw const parameters);
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn give_way(_: Way) {}
