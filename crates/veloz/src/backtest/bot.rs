//! The strategy: a child process, spoken to in turns over its standard input and output.
//!
//! Contract: nothing waits for it longer than it may take, and what one turn of it says is bounded. It is over
//! when its process has ended and all that it wrote is read, whoever else holds its pipes. However it fails,
//! the error names what it did; what it started is ended with it, but for what has left its process group.
//!
//! Its standard error is the program's own, so that its author sees what it prints there.

use std::cell::Cell;
use std::io::{self, Read, Write as _};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::process::{ChildStdin, ChildStdout};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use veloz_core::limits::{
    STRATEGY_EXIT_MS, STRATEGY_LINE_MAX_BYTES, STRATEGY_LOOK_MS, STRATEGY_TURN_BYTES,
};

use super::wire::{Said, read_said};
use crate::process::{self, Process};
use crate::protocol::{Line, Lines};

/// What a strategy did that ends a replay.
#[derive(Debug, thiserror::Error)]
pub enum BotError {
    /// It cannot be started.
    #[error("the strategy cannot be started: {command}: {source}")]
    Start {
        /// The program and its arguments.
        command: String,
        /// Why.
        source: io::Error,
    },
    /// It is gone.
    #[error("the strategy ended before the replay did ({0})")]
    Ended(String),
    /// It is gone, and did not finish its last line.
    #[error("the strategy ended in the middle of line {line} of its output ({status})")]
    Cut {
        /// The number of the line.
        line: u64,
        /// How it ended.
        status: String,
    },
    /// It keeps its turn.
    #[error(
        "the strategy has kept the replay waiting for {0:?} (--timeout): its hello, and \
         {{\"done\":TURN}} at the end of each turn, are to be written and flushed"
    )]
    Silent(Duration),
    /// It does not read.
    #[error("the strategy has not read its input for {0:?} (--timeout)")]
    Deaf(Duration),
    /// It does not stop.
    #[error("the strategy has not ended within {0:?} (--timeout) after the replay did")]
    Stays(Duration),
    /// It said too much.
    #[error("the strategy wrote more than {STRATEGY_TURN_BYTES} bytes in one turn")]
    Flood,
    /// It wants too much.
    #[error("the strategy gave more than {0} commands in one turn")]
    Commands(usize),
    /// One line was too long.
    #[error("line {0} of the strategy's output is longer than {STRATEGY_LINE_MAX_BYTES} bytes")]
    TooLong(u64),
    /// One line made no sense.
    #[error("line {line} of the strategy's output, {shown}, {problem}")]
    Line {
        /// Its number.
        line: u64,
        /// How it begins.
        shown: String,
        /// What is wrong with it.
        problem: String,
    },
    /// It did all that was asked, and then failed.
    #[error("the strategy ended with {0}")]
    Failed(String),
    /// Its pipes.
    #[error("the strategy cannot be spoken to: {0}")]
    Pipe(io::Error),
    /// Whoever started the replay has ended it.
    #[error("interrupted")]
    Interrupted,
}

/// A strategy that runs. Dropping it ends it.
#[derive(Debug)]
pub(super) struct Bot {
    process: Process,
    input: Option<ChildStdin>,
    lines: Lines<Turn>,
    limits: Rc<Limits>,
    line: u64,
    timeout: Duration,
}

/// What the turn under way may still take.
#[derive(Debug)]
struct Limits {
    until: Cell<Instant>,
    bytes: Cell<usize>,
    interrupted: Arc<AtomicBool>,
    /// Readable once the process has ended.
    end: OwnedFd,
}

/// What a wait for a pipe ended with.
#[derive(Debug, PartialEq, Eq)]
enum Waited {
    Ready,
    /// It took too long.
    Late,
    /// The process has ended, and the pipe is not ready.
    Over,
}

impl Bot {
    /// Starts it. Each of its turns, and each write to it, may take `timeout`.
    pub(super) fn start(
        words: &[String],
        seed: u64,
        timeout: Duration,
        interrupted: Arc<AtomicBool>,
    ) -> Result<Bot, BotError> {
        let failed = |source| BotError::Start { command: words.join(" "), source };
        let mut command = process::command(words).map_err(failed)?;
        command.env("VELOZ_SEED", seed.to_string());
        // A Python program would keep its lines back, and have another order of its sets each time.
        for (name, value) in [("PYTHONUNBUFFERED", "1"), ("PYTHONHASHSEED", "0")] {
            if std::env::var_os(name).is_none() {
                command.env(name, value);
            }
        }
        let mut process = Process::start(&mut command).map_err(failed)?;
        let (Some(input), Some(output), _) = process.pipes() else {
            return Err(failed(io::Error::other("it has no pipes")));
        };
        let limits = Rc::new(Limits {
            until: Cell::new(Instant::now() + timeout),
            bytes: Cell::new(STRATEGY_TURN_BYTES),
            interrupted,
            end: process.handle().try_clone_to_owned().map_err(failed)?,
        });
        let turn = Turn { output, limits: Rc::clone(&limits) };
        let lines = Lines::new(turn, STRATEGY_LINE_MAX_BYTES);
        let bot = Bot { process, input: Some(input), lines, limits, line: 0, timeout };
        let input = bot.input.as_ref().map(ChildStdin::as_fd);
        input.map_or(Ok(()), set_nonblocking).map_err(BotError::Pipe)?;
        Ok(bot)
    }

    /// Hands over what there is to hear.
    pub(super) fn write(&mut self, mut bytes: &[u8]) -> Result<(), BotError> {
        let deadline = Instant::now() + self.timeout;
        while !bytes.is_empty() {
            let Some(input) = &mut self.input else { return Err(self.ended()) };
            match input.write(bytes) {
                Ok(taken) => bytes = bytes.get(taken..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    match self.limits.wait(input.as_fd(), PollFlags::OUT, deadline)? {
                        Waited::Ready => {}
                        Waited::Late => return Err(BotError::Deaf(self.timeout)),
                        Waited::Over => return Err(self.ended()),
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                    return Err(self.ended());
                }
                Err(error) => return Err(BotError::Pipe(error)),
            }
        }
        Ok(())
    }

    /// From here on it may speak.
    pub(super) fn begin_turn(&mut self) {
        self.limits.until.set(Instant::now() + self.timeout);
        self.limits.bytes.set(STRATEGY_TURN_BYTES);
    }

    /// What it says next in its turn.
    pub(super) fn hear(&mut self) -> Result<Said, BotError> {
        self.line += 1;
        let line = self.line;
        match self.lines.read() {
            Ok(Some(Line::Whole(text))) => read_said(text).map_err(|problem| BotError::Line {
                line,
                shown: shown(text),
                problem,
            }),
            Ok(Some(Line::TooLong)) => Err(BotError::TooLong(line)),
            Ok(Some(Line::Cut(_))) => Err(BotError::Cut { line, status: self.status() }),
            Ok(None) => Err(self.ended()),
            Err(error) => Err(self.failed(error)),
        }
    }

    /// The complaint about the line that came last.
    pub(super) fn complain(&self, shown: &str, problem: String) -> BotError {
        BotError::Line { line: self.line, shown: shown.to_owned(), problem }
    }

    /// Closes its input, and waits for its end.
    pub(super) fn finish(mut self) -> Result<(), BotError> {
        self.input = None;
        self.begin_turn();
        self.limits.bytes.set(usize::MAX);
        loop {
            // What it says now is of no interest, but its pipe must not be full.
            match self.lines.read() {
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(error) => match self.failed(error) {
                    BotError::Silent(_) => return Err(BotError::Stays(self.timeout)),
                    other => return Err(other),
                },
            }
        }
        let left = self.limits.until.get().saturating_duration_since(Instant::now());
        if !self.process.wait(left) {
            return Err(BotError::Stays(self.timeout));
        }
        match self.process.reap() {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(BotError::Failed(status.to_string())),
            Err(error) => Err(BotError::Pipe(error)),
        }
    }

    fn failed(&self, error: io::Error) -> BotError {
        match error.kind() {
            io::ErrorKind::TimedOut => BotError::Silent(self.timeout),
            io::ErrorKind::FileTooLarge => BotError::Flood,
            io::ErrorKind::ConnectionAborted => BotError::Interrupted,
            _ => BotError::Pipe(error),
        }
    }

    fn ended(&mut self) -> BotError {
        BotError::Ended(self.status())
    }

    fn status(&mut self) -> String {
        if self.process.wait(Duration::from_millis(STRATEGY_EXIT_MS)) {
            return self.process.end(Duration::ZERO);
        }
        "it has closed its input or output, and runs on".to_owned()
    }
}

/// Its output, as far as its turn lasts.
#[derive(Debug)]
struct Turn {
    output: ChildStdout,
    limits: Rc<Limits>,
}

impl Read for Turn {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match self.limits.wait(self.output.as_fd(), PollFlags::IN, self.limits.until.get()) {
            Ok(Waited::Ready) => {}
            Ok(Waited::Late) => return Err(io::ErrorKind::TimedOut.into()),
            Ok(Waited::Over) => return Ok(0),
            Err(BotError::Interrupted) => return Err(io::ErrorKind::ConnectionAborted.into()),
            Err(error) => return Err(io::Error::other(error)),
        }
        let read = self.output.read(out)?;
        match self.limits.bytes.get().checked_sub(read) {
            Some(left) => self.limits.bytes.set(left),
            None => return Err(io::ErrorKind::FileTooLarge.into()),
        }
        Ok(read)
    }
}

impl Limits {
    /// Waits until the pipe is ready, or will not be.
    fn wait(
        &self,
        fd: BorrowedFd<'_>,
        flags: PollFlags,
        deadline: Instant,
    ) -> Result<Waited, BotError> {
        loop {
            if self.interrupted.load(Ordering::Relaxed) {
                return Err(BotError::Interrupted);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            let at_most = left.min(Duration::from_millis(STRATEGY_LOOK_MS));
            let timeout = Timespec::try_from(at_most).ok();
            let end = PollFd::from_borrowed_fd(self.end.as_fd(), PollFlags::IN);
            let mut both = [PollFd::from_borrowed_fd(fd, flags), end];
            match poll(&mut both, timeout.as_ref()) {
                Ok(0) if left.is_zero() => return Ok(Waited::Late),
                Ok(0) | Err(rustix::io::Errno::INTR) => {}
                Ok(_) => {
                    let [pipe, _] = both;
                    let is_ready = !pipe.revents().is_empty();
                    return Ok(if is_ready { Waited::Ready } else { Waited::Over });
                }
                Err(error) => return Err(BotError::Pipe(error.into())),
            }
        }
    }
}

/// A write that cannot go on comes back.
fn set_nonblocking(fd: BorrowedFd<'_>) -> io::Result<()> {
    Ok(fcntl_setfl(fd, fcntl_getfl(fd)? | OFlags::NONBLOCK)?)
}

/// How a line begins, for a message.
fn shown(line: &[u8]) -> String {
    const SHOWN_BYTES: usize = 80;
    match line.get(..SHOWN_BYTES) {
        Some(start) => format!("\"{}...\"", start.escape_ascii()),
        None => format!("\"{}\"", line.escape_ascii()),
    }
}
