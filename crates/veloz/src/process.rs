//! Processes that the program starts and speaks to over their standard input and output.
//!
//! Contract: each runs in a process group of its own, so that a Ctrl-C ends the program first, and sees
//! none of the program's `VELOZ_` settings. Ending one ends its group, so what it started, too. Nothing
//! polls: the end of a process makes its handle readable.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, kill_process_group, pidfd_open, waitid,
};

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

/// A process that runs. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    /// Readable once it has ended.
    handle: OwnedFd,
    /// It has been waited for: its number may be another's.
    is_over: bool,
}

impl Process {
    /// Starts it.
    pub(crate) fn start(command: &mut Command) -> io::Result<Process> {
        let mut child = command.spawn()?;
        match pidfd_open(Pid::from_child(&child), PidfdFlags::empty()) {
            Ok(handle) => Ok(Process { child, handle, is_over: false }),
            Err(error) => {
                end_group(&mut child)?;
                Err(error.into())
            }
        }
    }

    /// What it reads, writes and complains on, as far as they are pipes and nobody has taken them yet.
    pub(crate) fn pipes(
        &mut self,
    ) -> (Option<ChildStdin>, Option<ChildStdout>, Option<ChildStderr>) {
        (self.child.stdin.take(), self.child.stdout.take(), self.child.stderr.take())
    }

    /// Readable once it has ended.
    pub(crate) fn handle(&self) -> BorrowedFd<'_> {
        self.handle.as_fd()
    }

    /// Whether it has ended; it stays there until it is waited for, so that its number is its own.
    pub(crate) fn has_ended(&self) -> bool {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        !matches!(waitid(WaitId::PidFd(self.handle()), options), Ok(None))
    }

    /// Gives it so long to end by itself; whether it did.
    pub(crate) fn wait(&self, grace: Duration) -> bool {
        let deadline = Instant::now() + grace;
        loop {
            // A grace too long for the system's clock is none.
            let left = deadline.saturating_duration_since(Instant::now());
            let timeout = Timespec::try_from(left).ok();
            let mut handle = [PollFd::from_borrowed_fd(self.handle(), PollFlags::IN)];
            match poll(&mut handle, timeout.as_ref()) {
                Err(Errno::INTR) => {}
                _ => return self.has_ended(),
            }
        }
    }

    /// Ends it and what it started, and says how it ended. One that has closed its output is about to end by
    /// itself: it has so long for it.
    pub(crate) fn end(&mut self, grace: Duration) -> String {
        self.wait(grace);
        match self.reap() {
            Ok(status) => status.to_string(),
            Err(error) => format!("it cannot be waited for: {error}"),
        }
    }

    /// Ends it and what it started; how it ended.
    pub(crate) fn reap(&mut self) -> io::Result<ExitStatus> {
        if std::mem::replace(&mut self.is_over, true) {
            return self.child.wait();
        }
        end_group(&mut self.child)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Nobody asks how it ended.
        let _ = self.reap();
    }
}

fn end_group(child: &mut Child) -> io::Result<ExitStatus> {
    // There may be nobody left in it.
    let _ = kill_process_group(Pid::from_child(child), Signal::KILL);
    child.wait()
}
