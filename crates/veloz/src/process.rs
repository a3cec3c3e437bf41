//! Processes that the program starts and speaks to over their standard input and output.
//!
//! Contract: each runs in a process group of its own, so that a Ctrl-C ends the program first, and sees
//! none of the program's `VELOZ_` settings. Ending one ends what it started, too.

use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{WaitId, WaitIdOptions, waitid};

/// How often a process that is to end is looked at.
const LOOK: Duration = Duration::from_millis(5);

/// A program and its arguments, ready to be started with its input and output piped.
///
/// # Errors
/// When no program is named.
pub(crate) fn command(words: &[String]) -> io::Result<Command> {
    let Some((program, arguments)) = words.split_first() else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "no program is named"));
    };
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("VELOZ_") {
            command.env_remove(name);
        }
    }
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).process_group(0);
    Ok(command)
}

/// Whether the process has ended; it stays there until it is waited for, so that its number is its own.
pub(crate) fn has_ended(child: &Child) -> bool {
    let pid = rustix::process::Pid::from_child(child);
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    !matches!(waitid(WaitId::Pid(pid), options), Ok(None))
}

/// Gives a process so long to end by itself; whether it did.
pub(crate) fn wait(child: &Child, grace: Duration) -> bool {
    let deadline = Instant::now() + grace;
    while !has_ended(child) {
        if Instant::now() >= deadline {
            return false;
        }
        std::thread::sleep(LOOK);
    }
    true
}

/// Ends the process and what it started, and says how it ended. One that has closed its output is about to
/// end by itself: it has so long for it.
pub(crate) fn end(child: &mut Child, grace: Duration) -> String {
    wait(child, grace);
    match reap(child) {
        Ok(status) => status.to_string(),
        Err(error) => format!("it cannot be waited for: {error}"),
    }
}

/// Ends the process and what it started; how it ended. To be called once: its number is free afterwards.
pub(crate) fn reap(child: &mut Child) -> io::Result<ExitStatus> {
    let group = rustix::process::Pid::from_child(child);
    // There may be nobody left in it.
    let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
    child.wait()
}
