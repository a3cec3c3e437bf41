//! A subscriber that survives every disconnection and checks what it sees as it comes: for tests that want
//! many of them.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// Follows the stream, from the oldest event on unless told otherwise, on a thread of its own, until it is dropped.
pub(crate) struct Follower {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// What a subscriber does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Habit {
    /// Reads what comes.
    Follow,
    /// Is connected and reads nothing.
    Stall,
    /// Is not connected.
    StayAway,
}

#[derive(Default)]
struct Shared {
    newest: AtomicU64,
    habit: Mutex<Option<Habit>>,
    changed: Condvar,
    connections: AtomicU64,
    stop: AtomicBool,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    /// Of every event so far, with its id and its bytes.
    hash: DefaultHasher,
    /// The first thing that was not as it must be.
    wrong: Option<String>,
}

impl Follower {
    pub(crate) fn start(address: SocketAddr) -> Follower {
        Follower::start_after(address, 0)
    }

    /// The same from behind an event on.
    pub(crate) fn start_after(address: SocketAddr, id: u64) -> Follower {
        let shared = Arc::new(Shared { newest: AtomicU64::new(id), ..Shared::default() });
        let followed = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            while !followed.stop.load(Ordering::SeqCst) {
                followed.wait_while(Habit::StayAway);
                followed.connect_and_read(address);
                // Whoever lost its server comes again soon, but not in a tight loop.
                std::thread::park_timeout(Duration::from_millis(10));
            }
        });
        Follower { shared, thread: Some(thread) }
    }

    /// From now on it does that.
    pub(crate) fn set_habit(&self, habit: Habit) {
        *self.shared.habit.lock().expect("not poisoned") = Some(habit);
        self.shared.changed.notify_all();
    }

    /// The newest event seen.
    #[track_caller]
    pub(crate) fn newest(&self) -> u64 {
        let wrong = self.shared.seen.lock().expect("not poisoned").wrong.clone();
        assert_eq!(wrong, None, "a subscriber saw what must not be");
        self.shared.newest.load(Ordering::SeqCst)
    }

    /// How often it was connected.
    pub(crate) fn connections(&self) -> u64 {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// The hash of all that it saw: two followers that stand at the same event must agree.
    pub(crate) fn hash(&self) -> u64 {
        self.shared.seen.lock().expect("not poisoned").hash.finish()
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        self.set_habit(Habit::Follow);
        if let Some(thread) = self.thread.take() {
            // It panics nowhere; and a test that fails has its own message.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn is(&self, habit: Habit) -> bool {
        *self.habit.lock().expect("not poisoned") == Some(habit)
    }

    fn wait_while(&self, habit: Habit) {
        let held = self.habit.lock().expect("not poisoned");
        drop(self.changed.wait_while(held, |now| *now == Some(habit)).expect("not poisoned"));
    }

    /// One connection, until it ends.
    fn connect_and_read(&self, address: SocketAddr) {
        let Ok(mut socket) = TcpStream::connect_timeout(&address, Duration::from_secs(5)) else {
            return;
        };
        let last = self.newest.load(Ordering::SeqCst);
        let request =
            format!("GET /api/stream HTTP/1.1\r\nHost: {address}\r\nLast-Event-ID: {last}\r\n\r\n");
        // A short wait, so that a stop is seen; the stream's keep-alives are longer apart.
        let timeout = Some(Duration::from_millis(200));
        if socket.set_read_timeout(timeout).is_err()
            || socket.write_all(request.as_bytes()).is_err()
        {
            return;
        }
        self.connections.fetch_add(1, Ordering::SeqCst);
        let mut body = BufReader::new(socket);
        let (mut block, mut line) = (Vec::<String>::new(), String::new());
        while !self.stop.load(Ordering::SeqCst) {
            match body.read_line(&mut line) {
                Ok(n) if n > 0 && line.ends_with('\n') => {}
                // The rest of the line comes later.
                Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => continue,
                _ => break,
            }
            let whole = line.trim_end_matches(['\r', '\n']).to_owned();
            line.clear();
            if !whole.is_empty() {
                block.push(whole);
                continue;
            }
            self.wait_while(Habit::Stall);
            if self.is(Habit::StayAway) {
                return;
            }
            if !self.take(&std::mem::take(&mut block)) {
                return;
            }
        }
    }

    /// Takes a whole block; false when the connection is of no use.
    fn take(&self, block: &[String]) -> bool {
        let field = |name: &str| block.iter().find_map(|line| line.strip_prefix(name));
        let Some(data) = field("data: ") else {
            // A head, a comment, a cursor; a refusal comes again.
            return !block
                .first()
                .is_some_and(|l| l.starts_with("HTTP/1.1 ") && !l.contains(" 200 "));
        };
        let newest = self.newest.load(Ordering::SeqCst);
        let mut seen = self.seen.lock().expect("not poisoned");
        let id = field("id: ").and_then(|id| id.parse::<u64>().ok());
        if id != Some(newest + 1) || field("event: ") == Some("gap") {
            seen.wrong.get_or_insert_with(|| format!("after event {newest}: {block:?}"));
            self.stop.store(true, Ordering::SeqCst);
            return false;
        }
        (newest + 1, field("event: "), data).hash(&mut seen.hash);
        drop(seen);
        self.newest.store(newest + 1, Ordering::SeqCst);
        true
    }
}
