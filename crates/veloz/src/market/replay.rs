//! Plays a capture: at a factor of real time or as fast as possible, running or stepped.
//!
//! Contract: every line is handed over once, in the file's order, whatever its time; the position of a
//! message is the number of its line, from 1. Lines up to `start_after` were played in an earlier run:
//! they are read at once, even when paused, and only the book that they lead to is handed over.
//!
//! A replay that is late (a slow machine, a full channel) catches up; one that was paused goes on from
//! where it stands. `pace.rs` has the rule of the pace.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded, select};
use veloz_core::input::MarketData;
use veloz_core::limits::{
    CAPTURE_HEAD_LINES, MARKET_BATCH_MESSAGES, REPLAY_CONTROLS_COUNT, TOLD_BAD_LINES_COUNT,
};
use veloz_core::types::{Qty, Symbol, TsNs};

use super::capture::{CaptureParser, LineError, Parsed, split_time};
use super::catch_up::CatchUp;
use super::lines::{LineReader, Next};
use super::pace::Pacer;
use super::{Link, SourceError, Stopped};

/// How fast a capture is played.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplaySpeed {
    /// This many times real time, above zero.
    Factor(Qty),
    /// As fast as it is taken.
    Max,
}

/// What to play, and how.
#[derive(Debug, Clone)]
pub struct ReplayConfig {
    /// The capture, plain or gzip.
    pub path: PathBuf,
    /// How fast.
    pub speed: ReplaySpeed,
    /// Wait for [`ReplayControl::run`] or [`ReplayControl::step`].
    pub paused: bool,
    /// The last line that was played in an earlier run.
    pub start_after: Option<u64>,
    /// The instrument of a depth snapshot, in a capture that names no other.
    pub symbol: Symbol,
}

/// The instruments in the head of a capture, to know what can be traded before it is played.
///
/// # Errors
/// When the file cannot be opened or is no capture that can be read.
pub fn capture_symbols(path: &Path, default: Symbol) -> Result<Vec<Symbol>, SourceError> {
    let symbols = read_head(path, default)?.symbols();
    Ok(if symbols.is_empty() { vec![default] } else { symbols })
}

/// When the capture begins: the recorder's time of its first line that has one.
///
/// # Errors
/// When the file cannot be opened or read.
pub fn first_time_ns(path: &Path) -> Result<Option<TsNs>, SourceError> {
    let failed = |source| SourceError::Capture { path: path.to_owned(), source };
    let mut lines = LineReader::open(path).map_err(failed)?;
    for _ in 0..CAPTURE_HEAD_LINES {
        match lines.next_line().map_err(failed)? {
            Next::Line { text, .. } => {
                if let Ok((time, _)) = split_time(text) {
                    return Ok(Some(time));
                }
            }
            Next::TooLong { .. } => {}
            Next::End => break,
        }
    }
    Ok(None)
}

/// A parser that has met the instruments in the head of the capture: its first line may be a snapshot,
/// which does not say whose it is.
fn read_head(path: &Path, default: Symbol) -> Result<CaptureParser, SourceError> {
    let failed = |source| SourceError::Capture { path: path.to_owned(), source };
    let mut lines = LineReader::open(path).map_err(failed)?;
    let mut parser = CaptureParser::new(default);
    let mut unread = 0;
    for _ in 0..CAPTURE_HEAD_LINES {
        match lines.next_line() {
            // A snapshot is left out: it would take the default for its own.
            Ok(Next::Line { text, .. }) => {
                let message = split_time(text).map(|(_, message)| message).unwrap_or_default();
                if !message.starts_with(br#"{"lastUpdateId""#) {
                    unread += u64::from(parser.parse(message, 0).is_err());
                }
            }
            Ok(Next::TooLong { .. }) => unread += 1,
            Ok(Next::End) => break,
            Err(_) if unread == 0 => break,
            Err(e) => return Err(failed(e)),
        }
    }
    Ok(parser)
}

/// Runs, pauses and steps a replay.
#[derive(Debug, Clone)]
pub struct ReplayControl {
    orders: Sender<Control>,
}

/// Why a replay did not do what it was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ControlError {
    /// It has ended, or was stopped meanwhile.
    #[error("the replay has ended")]
    Ended,
    /// It has more orders waiting than it takes.
    #[error("the replay is busy with earlier orders")]
    Busy,
}

/// What a step did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stepped {
    /// Lines played by it: fewer than asked for at the end of the capture.
    pub lines: u64,
    /// The number of the last line played.
    pub position: u64,
    /// Whether that was the end of the capture.
    pub finished: bool,
}

#[derive(Debug)]
pub(super) enum Control {
    Run,
    Pause,
    Step(u64, Sender<Stepped>),
}

/// The two ends of a control.
pub(super) fn control() -> (ReplayControl, Receiver<Control>) {
    let (orders, controls) = bounded(REPLAY_CONTROLS_COUNT);
    (ReplayControl { orders }, controls)
}

impl ReplayControl {
    /// Goes on at the configured speed.
    ///
    /// # Errors
    /// When there is nothing left to run.
    pub fn run(&self) -> Result<(), ControlError> {
        self.order(Control::Run)
    }

    /// Stands still.
    ///
    /// # Errors
    /// When there is nothing left to pause.
    pub fn pause(&self) -> Result<(), ControlError> {
        self.order(Control::Pause)
    }

    /// Plays `lines` lines at once and stands still. Returns when they were handed over, which may have to
    /// wait for whoever takes them: never call it from that thread.
    ///
    /// # Errors
    /// When there is nothing left to play.
    pub fn step(&self, lines: u64) -> Result<Stepped, ControlError> {
        let (reply, answer) = bounded(1);
        self.order(Control::Step(lines, reply))?;
        answer.recv().map_err(|_| ControlError::Ended)
    }

    fn order(&self, control: Control) -> Result<(), ControlError> {
        self.orders
            .try_send(control)
            .map_err(|e| if e.is_full() { ControlError::Busy } else { ControlError::Ended })
    }
}

/// What a player has to say.
#[derive(Debug)]
pub(super) enum Played {
    /// As many lines as were asked for, or a full batch.
    Some,
    /// The next line is due then.
    Wait(i64),
    /// A line could not be read.
    Fault(String),
    /// The capture is at its end.
    End,
    /// The capture cannot be read on.
    Failed(io::Error),
}

/// A line that was read and not yet played.
struct Pending {
    /// When it was received; blank lines were not.
    local_ns: Option<TsNs>,
    parsed: Parsed,
}

/// Reads a capture and says what is due: no clock, no thread.
pub(super) struct Player {
    lines: LineReader,
    parser: CaptureParser,
    pacer: Option<Pacer>,
    catch_up: Option<(CatchUp, u64)>,
    pending: Option<Pending>,
    /// The last line played, and how many could not be read.
    position: u64,
    bad: u64,
}

impl Player {
    /// Opens the capture.
    pub(super) fn open(config: &ReplayConfig) -> Result<Player, SourceError> {
        let parser = read_head(&config.path, config.symbol)?;
        let lines = LineReader::open(&config.path)
            .map_err(|source| SourceError::Capture { path: config.path.clone(), source })?;
        let pacer = match config.speed {
            ReplaySpeed::Factor(factor) => Some(Pacer::new(factor)),
            ReplaySpeed::Max => None,
        };
        let catch_up = config.start_after.filter(|line| *line > 0);
        let catch_up = catch_up.map(|line| (CatchUp::default(), line));
        Ok(Player { lines, parser, pacer, catch_up, pending: None, position: 0, bad: 0 })
    }

    /// Plays up to `lines` lines into `out`, a batch at most, and only what is due at `now_ns`; all
    /// without it.
    fn play(&mut self, now_ns: Option<i64>, lines: u64, out: &mut Vec<MarketData>) -> Played {
        let last = self.position.saturating_add(lines);
        while self.position < last && out.len() < MARKET_BATCH_MESSAGES {
            if let Err(played) = self.peek() {
                return played;
            }
            let local_ns = self.pending.as_ref().and_then(|pending| pending.local_ns);
            if let (Some(pacer), Some(local), Some(now)) = (&mut self.pacer, local_ns, now_ns) {
                let due = pacer.due(local, now);
                if due > now {
                    return Played::Wait(due);
                }
            }
            self.position += 1;
            if let Some(Pending { parsed: Parsed::Data(data), .. }) = self.pending.take() {
                out.push(data);
            }
        }
        Played::Some
    }

    /// Reads up to `lines` lines of those that an earlier run played. At the last of them, `out` gets
    /// the books.
    fn catch_up(&mut self, lines: u64, out: &mut Vec<MarketData>) -> Played {
        let Some((mut books, start_after)) = self.catch_up.take() else { return Played::Some };
        let last = self.position.saturating_add(lines).min(start_after);
        while self.position < last {
            match self.peek() {
                Ok(()) => {}
                // Told by that earlier run.
                Err(Played::Fault(_)) => continue,
                Err(Played::End) => {
                    return Played::Failed(io::Error::other(format!(
                        "it has {} lines, but {start_after} were played before: is it another file?",
                        self.position
                    )));
                }
                Err(played) => return played,
            }
            self.position += 1;
            if let Some(Pending { parsed: Parsed::Data(data), .. }) = self.pending.take() {
                books.take(data);
            }
        }
        if self.position < start_after {
            self.catch_up = Some((books, start_after));
        } else {
            books.finish(start_after, out);
        }
        Played::Some
    }

    /// Makes the next line the pending one. A bad line counts as played.
    fn peek(&mut self) -> Result<(), Played> {
        if self.pending.is_some() {
            return Ok(());
        }
        let (number, reason) = match self.lines.next_line() {
            Ok(Next::End) => return Err(Played::End),
            Err(e) => return Err(Played::Failed(e)),
            Ok(Next::TooLong { number }) => (number, "is too long".to_owned()),
            Ok(Next::Line { number, text, whole }) => match parse(&mut self.parser, text, number) {
                Ok(pending) => {
                    self.pending = Some(pending);
                    return Ok(());
                }
                Err(_) if !whole => (number, "is cut off by the end of the file".to_owned()),
                Err(e) => (number, e.to_string()),
            },
        };
        self.position = number;
        self.bad += 1;
        Err(Played::Fault(format!("line {number} {reason}")))
    }

    /// The last line played.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// The text read, in bytes.
    pub(super) fn bytes(&self) -> u64 {
        self.lines.bytes()
    }

    /// The lines that could not be read.
    pub(super) fn bad_lines(&self) -> u64 {
        self.bad
    }

    /// Whether no line is left.
    fn at_end(&mut self) -> bool {
        self.pending.is_none() && self.lines.at_end()
    }

    /// The next line is due when it is asked for: what was waited for is forgotten.
    fn reset_pace(&mut self) {
        if let Some(pacer) = &mut self.pacer {
            pacer.reset();
        }
    }
}

fn parse(parser: &mut CaptureParser, line: &[u8], number: u64) -> Result<Pending, LineError> {
    if line.is_empty() {
        return Ok(Pending { local_ns: None, parsed: Parsed::Other });
    }
    let (local_ns, message) = split_time(line)?;
    let parsed = parser.parse(message, number)?;
    Ok(Pending { local_ns: Some(local_ns), parsed })
}

/// The thread: waits for what is due and for what it is told.
pub(super) fn run(player: Player, paused: bool, controls: &Receiver<Control>, link: Link) {
    let mut runner = Runner { player, link, started: Instant::now(), paused };
    // Stopped: nobody is left to hear of it.
    let _ = runner.run(controls);
}

struct Runner {
    player: Player,
    link: Link,
    started: Instant,
    paused: bool,
}

/// Whether the replay has come to its end, one way or the other.
type Ended = bool;

/// The lines between two looks at what the thread is told.
const LINES_AT_ONCE: u64 = 1_024;

impl Runner {
    fn run(&mut self, controls: &Receiver<Control>) -> Result<(), Stopped> {
        while self.player.catch_up.is_some() {
            let played = self.player.catch_up(LINES_AT_ONCE, &mut self.link.batch);
            if self.tell(played, None)? {
                return Ok(());
            }
        }
        loop {
            let control = if self.paused {
                self.wait(controls, None)?
            } else {
                let now = i64::try_from(self.started.elapsed().as_nanos()).unwrap_or(i64::MAX);
                let played = self.player.play(Some(now), LINES_AT_ONCE, &mut self.link.batch);
                let due = match played {
                    Played::Wait(due) => due,
                    _ => now,
                };
                if self.tell(played, None)? {
                    return Ok(());
                }
                self.wait(controls, Some(due))?
            };
            if let Some(control) = control
                && self.obey(control)?
            {
                return Ok(());
            }
        }
    }

    /// Waits for an order, until then at most. (Not for so long: whoever was told something may have run meanwhile, on
    /// this thread's core.)
    fn wait(
        &self,
        controls: &Receiver<Control>,
        until_ns: Option<i64>,
    ) -> Result<Option<Control>, Stopped> {
        // The source itself holds a control: without any, it is gone.
        let given = |control: Result<Control, _>| control.map(Some).map_err(|_| Stopped);
        let left = |until_ns| {
            let until = Duration::from_nanos(u64::try_from(until_ns).unwrap_or_default());
            until.saturating_sub(self.started.elapsed())
        };
        match until_ns.map(left) {
            None => select! {
                recv(self.link.stopped) -> _ => Err(Stopped),
                recv(controls) -> control => given(control),
            },
            Some(left) => select! {
                recv(self.link.stopped) -> _ => Err(Stopped),
                recv(controls) -> control => given(control),
                default(left) => Ok(None),
            },
        }
    }

    fn obey(&mut self, control: Control) -> Result<Ended, Stopped> {
        self.paused = !matches!(control, Control::Run);
        self.player.reset_pace();
        match control {
            Control::Run | Control::Pause => Ok(false),
            Control::Step(lines, reply) => self.step(lines, reply),
        }
    }

    fn step(&mut self, lines: u64, reply: Sender<Stepped>) -> Result<Ended, Stopped> {
        let first = self.player.position;
        let last = first.saturating_add(lines);
        let played = loop {
            let left = last.saturating_sub(self.player.position);
            if left == 0 {
                break if self.player.at_end() { Played::End } else { Played::Some };
            }
            match self.player.play(None, left.min(LINES_AT_ONCE), &mut self.link.batch) {
                played @ (Played::End | Played::Failed(_)) => break played,
                played => self.tell(played, None)?,
            };
        };
        let stepped = Stepped {
            lines: self.player.position - first,
            position: self.player.position,
            finished: matches!(played, Played::End | Played::Failed(_)),
        };
        self.tell(played, Some((reply, stepped)))
    }

    /// Hands over what was played, and what there is to say of it.
    fn tell(
        &mut self,
        played: Played,
        step: Option<(Sender<Stepped>, Stepped)>,
    ) -> Result<Ended, Stopped> {
        self.link.flush()?;
        self.link.monitor.progress(&self.player);
        let bad = self.player.bad;
        let ended = match &played {
            Played::Fault(_) if bad > TOLD_BAD_LINES_COUNT => false,
            Played::Fault(detail) => {
                self.link.fault(detail.clone())?;
                false
            }
            Played::Some | Played::Wait(_) => false,
            Played::End | Played::Failed(_) => true,
        };
        if ended && bad > TOLD_BAD_LINES_COUNT {
            self.link.fault(format!("{bad} lines in all could not be read"))?;
        }
        let outcome = match played {
            Played::Failed(e) => Err(format!("the capture cannot be read on: {e}")),
            _ => Ok(()),
        };
        if ended {
            self.link.monitor.end(outcome.is_ok());
        }
        if ended {
            self.link.last_word(outcome)?;
        }
        if let Some((reply, stepped)) = step {
            // The channel has room for this one answer; a caller that has gone away needs none.
            let _ = reply.try_send(stepped);
        }
        Ok(ended)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use veloz_core::input::MarketBody;

    /// Plays lines with these receive times (ms) at 20 times real time, with a clock that the test
    /// moves by `tick_ms`; gives the clock at which each line was played.
    fn check(received_ms: &[i64], tick_ms: i64, want_ms: &[i64]) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("capture");
        let lines: Vec<String> = received_ms
            .iter()
            .enumerate()
            .map(|(id, ms)| {
                format!(
                    r#"{}000000 {{"e":"trade","s":"A","t":{id},"p":"1","q":"1","T":1,"m":true}}"#,
                    1_723_161_253_000 + ms
                )
            })
            .collect();
        std::fs::write(&path, lines.join("\n")).unwrap();
        let speed = ReplaySpeed::Factor(Qty::parse("20").unwrap());
        let symbol = Symbol::parse("A").unwrap();
        let config = ReplayConfig { path, speed, paused: false, start_after: None, symbol };
        let mut player = Player::open(&config).unwrap();
        let (mut played_ms, mut clock_ms, mut seen) = (Vec::new(), 0, Vec::new());
        loop {
            let mut out = Vec::new();
            let played = player.play(Some(clock_ms * 1_000_000), u64::MAX, &mut out);
            played_ms.extend(out.iter().map(|_| clock_ms));
            seen.extend(out);
            match played {
                Played::Wait(due) => assert!(due > clock_ms * 1_000_000),
                Played::Some => continue,
                Played::End => break,
                other => panic!("{other:?}"),
            }
            clock_ms += tick_ms;
        }
        assert_eq!(played_ms, want_ms);
        let ids = seen.iter().map(|data| match data.body {
            MarketBody::Trade { trade_id, .. } => usize::try_from(trade_id).unwrap(),
            _ => panic!("{data:?}"),
        });
        assert!(ids.eq(0..received_ms.len()), "not every line, once, in order");
    }

    #[test]
    fn lines_are_played_when_they_are_due() {
        check(&[0, 20, 40, 60, 2_000], 1, &[0, 1, 2, 3, 100]);
        // The clock is late: what is due comes together, and then the pace is right again.
        check(&[0, 20, 40, 60, 2_000], 50, &[0, 50, 50, 50, 100]);
        // Times that go back are due at once and cost nothing.
        check(&[0, 200, 180, 190, 400], 1, &[0, 10, 10, 10, 20]);
        // A clock that jumps by an hour and back is a pause of a minute at most.
        check(&[0, 20, 3_600_020, 40, 60], 1, &[0, 1, 3_001, 3_001, 3_001]);
        check(&[0, -3_600_000, 20, 100], 1, &[0, 0, 0, 4]);
    }
}
