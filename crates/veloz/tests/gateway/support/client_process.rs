//! A real client as a process that prints a line for each event it sees, the id first.

use std::io::{BufRead, BufReader, Read, Write as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};

use super::eventually;

/// A running client; ended when dropped.
pub(crate) struct ClientProcess {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
    complaints: Arc<Mutex<Vec<String>>>,
}

impl ClientProcess {
    /// Starts it in a process group of its own, so that its children end with it.
    pub(crate) fn start(command: &mut Command) -> ClientProcess {
        use std::os::unix::process::CommandExt as _;
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap_or_else(|e| panic!("{command:?} does not start ({e}): run `make setup`"));
        let lines = collect(child.stdout.take().expect("piped"));
        let complaints = collect(child.stderr.take().expect("piped"));
        ClientProcess { child, lines, complaints }
    }

    /// Tells it a word, as a line on its stdin.
    pub(crate) fn tell(&mut self, word: &str) {
        let stdin = self.child.stdin.as_mut().expect("piped");
        writeln!(stdin, "{word}").expect("it listens");
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child of ours")
    }

    /// Every line so far.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.lines.lock().expect("not poisoned").clone()
    }

    /// Tells it something on its standard input, and waits for its next line.
    pub(crate) fn ask(&mut self, words: &str) -> String {
        let before = self.lines().len();
        self.tell(words);
        eventually(words, || {
            let answer = self.lines().get(before).cloned();
            assert!(answer.is_some() || self.ended().is_none(), "{words}: {:?}", self.complaints());
            answer
        })
    }

    /// How many lines there are, and the id of the last one.
    pub(crate) fn seen(&mut self) -> (usize, u64) {
        if let Some(status) = self.ended() {
            panic!("the client ended ({status}): {:?}", self.complaints());
        }
        let lines = self.lines.lock().expect("not poisoned");
        (lines.len(), lines.last().map_or(0, |line| id_of(line)))
    }

    /// What it said on stderr.
    pub(crate) fn complaints(&self) -> Vec<String> {
        self.complaints.lock().expect("not poisoned").clone()
    }

    /// Every id, in the order seen.
    pub(crate) fn ids(&self) -> Vec<u64> {
        self.lines.lock().expect("not poisoned").iter().map(|line| id_of(line)).collect()
    }
}

impl Drop for ClientProcess {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let complaints = self.complaints();
            println!(
                "--- the client's last words: {:?}",
                &complaints[complaints.len().saturating_sub(5)..]
            );
        }
        let group = rustix::process::Pid::from_child(&self.child);
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        let _ = self.child.wait();
    }
}

fn collect(output: impl Read + Send + 'static) -> Arc<Mutex<Vec<String>>> {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let filled = Arc::clone(&lines);
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            filled.lock().expect("not poisoned").push(line);
        }
    });
    lines
}

/// The id that a line starts with: `17 fill {...}` or `{"id":17,...}`.
fn id_of(line: &str) -> u64 {
    let digits = line.strip_prefix("{\"id\":").unwrap_or(line);
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    digits[..end].parse().unwrap_or_else(|_| panic!("no id in {line:?}"))
}
