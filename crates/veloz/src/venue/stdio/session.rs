//! One process of an external engine: what is written to it, and what it says.
//!
//! Contract: an answer belongs to the oldest question that is open: engines answer in order. That an order
//! is not known is only concluded from an answer of no lines. A process that never answers
//! questions gets [`ENGINE_QUESTIONS_COUNT`] of them and no more.

use std::collections::{HashSet, VecDeque};
use std::io::{Read, Write};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, select};
use veloz_core::engine::VenueCommand;
use veloz_core::input::{ReportBody, VenueReport};
use veloz_core::limits::{
    ENGINE_FAULTS_BURST, ENGINE_FAULTS_INTERVAL_MS, ENGINE_LINE_MAX_BYTES, ENGINE_QUESTIONS_COUNT,
    ENGINE_SIGN_MS,
};
use veloz_core::types::ClientOrderId;

use super::super::{VenueMessage, VenueOrder};
use super::{ENGINE_ERROR, EngineMetrics, Out};
use crate::protocol::{Line, Lines, Said, Unread, read_said, write_command};

/// How much of a line that says nothing the log shows.
const SHOWN_BYTES: usize = 200;

/// What both directions know of a process.
#[derive(Debug)]
pub(super) struct Session {
    questions: Mutex<VecDeque<Question>>,
    /// Nobody listens to this process any more.
    over: AtomicBool,
    /// It said something that could be read.
    spoke: AtomicBool,
    /// When it was told something that it has not reacted to, in ms since `start`, plus 1; 0: it has.
    waits_since: AtomicU64,
    /// When it spoke last, in ms since `start`.
    heard_at: AtomicU64,
    /// It has answered a question.
    answers: AtomicBool,
    /// How many questions it seems to have refused, before it answered any.
    refusals: AtomicUsize,
    start: Instant,
}

#[derive(Debug)]
enum Question {
    Order(ClientOrderId, bool),
    List(HashSet<ClientOrderId>),
    /// Only to hear whether it is there.
    Sign,
}

impl Session {
    pub(super) fn new() -> Session {
        Session {
            questions: Mutex::default(),
            over: AtomicBool::new(false),
            spoke: AtomicBool::new(false),
            waits_since: AtomicU64::new(0),
            heard_at: AtomicU64::new(0),
            answers: AtomicBool::new(false),
            refusals: AtomicUsize::new(0),
            start: Instant::now(),
        }
    }

    pub(super) fn end(&self) {
        self.over.store(true, Ordering::SeqCst);
    }

    pub(super) fn spoke(&self) -> bool {
        self.spoke.load(Ordering::SeqCst)
    }

    /// How long it has not reacted to what it was told.
    pub(super) fn silent_for(&self) -> Duration {
        match self.waits_since.load(Ordering::SeqCst) {
            0 => Duration::ZERO,
            since => self.start.elapsed().saturating_sub(Duration::from_millis(since - 1)),
        }
    }

    pub(super) fn age(&self) -> Duration {
        self.start.elapsed()
    }

    /// Whether it is to be asked for a sign of life: it has not spoken for a while.
    pub(super) fn wants_sign(&self) -> bool {
        let quiet = self.now_ms().saturating_sub(self.heard_at.load(Ordering::SeqCst));
        quiet > ENGINE_SIGN_MS
            && !self.is_mute()
            && !self.questions().iter().any(|question| matches!(question, Question::Sign))
    }

    /// It has no words for questions.
    fn is_mute(&self) -> bool {
        self.refusals.load(Ordering::SeqCst) > 0 && !self.answers.load(Ordering::SeqCst)
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX - 1)
    }

    fn told(&self) {
        let now = self.now_ms() + 1;
        // The oldest counts.
        let _ = self.waits_since.compare_exchange(0, now, Ordering::SeqCst, Ordering::SeqCst);
    }

    fn heard(&self) {
        self.heard_at.store(self.now_ms(), Ordering::SeqCst);
        self.spoke.store(true, Ordering::SeqCst);
        self.waits_since.store(0, Ordering::SeqCst);
    }

    fn questions(&self) -> MutexGuard<'_, VecDeque<Question>> {
        // Nothing panics while it holds the lock.
        self.questions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a question; whether it may be asked.
    fn ask(&self, question: Question) -> bool {
        let mut questions = self.questions();
        let may = questions.len() < ENGINE_QUESTIONS_COUNT && !self.is_mute();
        if may {
            questions.push_back(question);
        }
        may
    }

    fn named(&self, id: ClientOrderId) {
        for question in self.questions().iter_mut() {
            match question {
                Question::Order(asked, named) => *named |= *asked == id,
                Question::List(ids) => {
                    ids.insert(id);
                }
                Question::Sign => {}
            }
        }
    }

    /// It refused something. One that has never answered a question has no words for them: whether it was
    /// a question that it refused. That stays asked: an answer shows that it was an order that was refused, and belongs to
    /// the first question.
    fn refused(&self) -> bool {
        if self.answers.load(Ordering::SeqCst) {
            return false;
        }
        let asked = self.questions();
        let refused = self.refusals.load(Ordering::SeqCst);
        let was_question = matches!(asked.get(refused), Some(Question::Sign | Question::List(_)));
        if was_question {
            self.refusals.store(refused + 1, Ordering::SeqCst);
        }
        was_question
    }

    /// What a whole answer says besides its lines.
    fn answered(&self, lines: Option<u64>) -> Option<VenueMessage> {
        self.answers.store(true, Ordering::SeqCst);
        match self.questions().pop_front()? {
            Question::Order(client_order_id, false) if lines == Some(0) => {
                let body = ReportBody::NotFound;
                let report = VenueReport { client_order_id, venue_order_id: None, body };
                Some(VenueMessage::Report(report))
            }
            Question::List(ids) => Some(VenueMessage::Listed(ids.into_iter().collect())),
            Question::Order(..) | Question::Sign => None,
        }
    }
}

/// What goes to a process.
#[derive(Debug)]
pub(super) enum Outgoing {
    Order(VenueOrder),
    Sign,
}

/// Writes commands until the process takes no more, or it is over.
pub(super) fn write(
    session: &Session,
    commands: &Receiver<VenueOrder>,
    signs: &Receiver<()>,
    mut input: impl Write,
) {
    let mut line = Vec::new();
    loop {
        let outgoing = select! {
            recv(commands) -> order => match order {
                Ok(order) => Outgoing::Order(order),
                Err(_) => return,
            },
            // Closed when the process is over.
            recv(signs) -> sign => match sign {
                Ok(()) => Outgoing::Sign,
                Err(_) => return,
            },
        };
        line.clear();
        compose(session, &outgoing, &mut line);
        if line.is_empty() {
            continue;
        }
        session.told();
        if input.write_all(&line).and_then(|()| input.flush()).is_err() {
            return;
        }
    }
}

fn compose(session: &Session, outgoing: &Outgoing, line: &mut Vec<u8>) {
    match outgoing {
        Outgoing::Order(VenueOrder::Command(command)) => {
            let asks = match command {
                VenueCommand::Query { client_order_id } => {
                    session.ask(Question::Order(*client_order_id, false))
                }
                VenueCommand::Place(_) | VenueCommand::Cancel { .. } => true,
            };
            if asks {
                write_command(command, line);
            }
        }
        Outgoing::Order(VenueOrder::List) => {
            if session.ask(Question::List(HashSet::new())) {
                line.extend_from_slice(b"QUERY orders\n");
            }
        }
        Outgoing::Sign => {
            if session.ask(Question::Sign) {
                line.extend_from_slice(b"QUERY account\n");
            }
        }
    }
}

/// Reads what the process says.
pub(super) struct Reader {
    pub(super) session: Arc<Session>,
    pub(super) out: Out,
    pub(super) metrics: Arc<EngineMetrics>,
    /// Whether its prices are the market.
    pub(super) is_market: bool,
    pub(super) version: Sender<String>,
    pub(super) faults: Faults,
}

impl Reader {
    /// Until the process says no more, or nobody listens.
    pub(super) fn run(mut self, output: impl Read) {
        let mut lines = Lines::new(output, ENGINE_LINE_MAX_BYTES);
        loop {
            let goes_on = match lines.read() {
                Ok(Some(Line::Whole(line))) => self.line(line),
                Ok(Some(Line::Cut(line))) => self.useless("cut", line),
                Ok(Some(Line::TooLong)) => self.useless("too_long", b""),
                Ok(None) => return,
                Err(error) => {
                    tracing::warn!(%error, "the engine's output cannot be read");
                    return;
                }
            };
            if !goes_on || self.session.over.load(Ordering::SeqCst) {
                return;
            }
        }
    }

    /// Whether somebody listens.
    fn line(&mut self, line: &[u8]) -> bool {
        if line.iter().all(u8::is_ascii_whitespace) {
            return true;
        }
        let said = match read_said(line) {
            Ok(said) => said,
            Err(Unread::Garbage) => return self.useless("garbage", line),
            Err(Unread::Event { problem }) => {
                self.session.heard();
                self.metrics.line("unreadable");
                return self.fault(format!("an event cannot be read: {problem}"));
            }
        };
        self.session.heard();
        self.metrics.line(if matches!(said, Said::Other) { "ignored" } else { "taken" });
        match said {
            Said::Report(report) => {
                if matches!(report.body, ReportBody::State(_)) {
                    self.session.named(report.client_order_id);
                }
                self.out.send(VenueMessage::Report(report))
            }
            Said::Market(data) if self.is_market => self.out.send(VenueMessage::Market(data)),
            Said::Error(_) if self.session.refused() => true,
            Said::Error(message) => self.fault(message),
            Said::QueryDone { n } => {
                self.session.answered(n).is_none_or(|message| self.out.send(message))
            }
            Said::Started { version } => {
                // It says so once; more of it is of no interest.
                let _ = self.version.try_send(version);
                true
            }
            Said::Market(_) | Said::Stopped | Said::Other => true,
        }
    }

    fn fault(&mut self, detail: String) -> bool {
        if self.faults.may_tell() {
            return self.out.send(VenueMessage::Fault { code: ENGINE_ERROR, detail });
        }
        self.metrics.dropped_faults.inc();
        true
    }

    fn useless(&mut self, kind: &'static str, line: &[u8]) -> bool {
        self.metrics.line(kind);
        if self.faults.may_log() {
            let start = line.get(..SHOWN_BYTES).unwrap_or(line);
            tracing::warn!(kind, line = %start.escape_ascii(), "the engine wrote what is no event");
        }
        true
    }
}

/// How much of an engine's trouble is told: a few at once, then one in a while.
#[derive(Debug)]
pub(super) struct Faults {
    told: Bucket,
    logged: Bucket,
}

#[derive(Debug)]
struct Bucket {
    left: u32,
    since: Instant,
}

impl Bucket {
    fn take(&mut self) -> bool {
        if self.since.elapsed() >= Duration::from_millis(ENGINE_FAULTS_INTERVAL_MS) {
            (self.left, self.since) = ((self.left + 1).min(ENGINE_FAULTS_BURST), Instant::now());
        }
        let some = self.left > 0;
        self.left = self.left.saturating_sub(1);
        some
    }
}

impl Faults {
    pub(super) fn new() -> Faults {
        let bucket = || Bucket { left: ENGINE_FAULTS_BURST, since: Instant::now() };
        Faults { told: bucket(), logged: bucket() }
    }

    fn may_tell(&mut self) -> bool {
        self.told.take()
    }

    pub(super) fn may_log(&mut self) -> bool {
        self.logged.take()
    }
}

/// Puts what the process says on its standard error into the log.
pub(super) fn log(output: impl Read) {
    let mut lines = Lines::new(output, ENGINE_LINE_MAX_BYTES);
    let mut faults = Faults::new();
    while let Ok(Some(line)) = lines.read() {
        let text = match line {
            Line::Whole(text) | Line::Cut(text) => text.get(..SHOWN_BYTES * 5).unwrap_or(text),
            Line::TooLong => b"(a line that is too long)",
        };
        if faults.may_log() {
            tracing::info!("engine: {}", String::from_utf8_lossy(text).escape_debug());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The error of an order, written before the answer to the first question, looks like a refusal of that question.
    #[test]
    fn an_answer_after_a_refusal_belongs_to_the_first_question() {
        let (session, id) = (Session::new(), ClientOrderId::parse("a").unwrap());
        assert!(session.ask(Question::List(HashSet::new())));
        assert!(session.ask(Question::Order(id, false)));
        assert!(session.refused());
        assert!(!session.refused(), "an order is never refused by an error without its name");
        assert!(!session.ask(Question::Sign), "it is not asked while it seems to have no words");
        session.named(id);
        let listed = session.answered(Some(1));
        assert!(
            matches!(&listed, Some(VenueMessage::Listed(ids)) if ids[..] == [id]),
            "{listed:?}"
        );
        assert!(session.answered(Some(1)).is_none(), "it was named");
        assert!(session.ask(Question::Sign));
    }
}
