//! The program as a process: started on a free port, killed, stopped, started again on the same data.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::Value;

use super::eventually;
use super::http::{self, Reply};
use super::stream::Events;

/// How to start it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Options {
    env: Vec<(String, String)>,
    flags: Vec<String>,
    /// Shell commands that run before the program in the same process (`ulimit`, `trap`).
    shell: Option<String>,
}

impl Options {
    pub(crate) fn env(mut self, name: &str, value: impl ToString) -> Options {
        self.env.push((name.to_owned(), value.to_string()));
        self
    }

    pub(crate) fn flag(mut self, flag: &str) -> Options {
        self.flags.push(flag.to_owned());
        self
    }

    pub(crate) fn shell(mut self, commands: &str) -> Options {
        self.shell = Some(commands.to_owned());
        self
    }

    /// No market data but what the test does itself.
    pub(crate) fn quiet() -> Options {
        Options::default().env("VELOZ_MARKET_SOURCE", "none")
    }

    /// A simulated market that trades every few milliseconds.
    pub(crate) fn busy() -> Options {
        Options::default().env("VELOZ_SIM_INTERVAL_MS", 5)
    }

    /// The command that starts it on this data directory.
    pub(crate) fn command(&self, dir: &Path) -> Command {
        let program = env!("CARGO_BIN_EXE_veloz");
        let mut command = match &self.shell {
            None => Command::new(program),
            Some(shell) => {
                let mut command = Command::new("sh");
                command.arg("-c").arg(format!("{shell}; exec \"$0\" \"$@\"")).arg(program);
                command
            }
        };
        command.arg("serve").args(&self.flags);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("VELOZ_") {
                command.env_remove(name);
            }
        }
        command
            .env("VELOZ_PORT", "0")
            .env("VELOZ_DATA_DIR", dir)
            .env("VELOZ_SIM_SEED", "7")
            .env("VELOZ_RETRY_MS", "40")
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }
}

/// A running gateway; killed when dropped.
pub(crate) struct Gateway {
    child: Child,
    address: SocketAddr,
    log: Log,
    options: Options,
    dir: PathBuf,
    /// Removed with the last gateway that uses it.
    home: Arc<tempfile::TempDir>,
}

impl Gateway {
    /// Starts it on an empty data directory.
    pub(crate) fn start(options: Options) -> Gateway {
        let home = Arc::new(tempfile::tempdir().expect("a temporary directory"));
        let dir = home.path().join("data");
        Gateway::launch(options, dir, home)
    }

    /// Starts it on a data directory of the test's own.
    pub(crate) fn start_on(dir: &Path, options: Options) -> Gateway {
        let home = Arc::new(tempfile::tempdir().expect("a temporary directory"));
        Gateway::launch(options, dir.to_path_buf(), home)
    }

    /// Starts it on a directory beside its own, and stops this one.
    pub(crate) fn on_copy(mut self, dir: &Path, options: Options) -> Gateway {
        if self.is_running() {
            self.terminate();
        }
        Gateway::launch(options, dir.to_path_buf(), self.home.clone())
    }

    /// One whose market has a book to trade on.
    pub(crate) fn trading() -> Gateway {
        let gateway = Gateway::start(Options::busy());
        eventually("the market has a book", || {
            let book = gateway.get("/api/book?symbol=BTCUSDT");
            (book.status == 200 && !book.json()["asks"].as_array()?.is_empty()).then_some(())
        });
        gateway
    }

    fn launch(options: Options, dir: PathBuf, home: Arc<tempfile::TempDir>) -> Gateway {
        let mut child = options.command(&dir).spawn().expect("the program starts");
        let log = Log::default();
        log.follow(child.stdout.take().expect("piped"));
        log.follow(child.stderr.take().expect("piped"));
        let address = eventually("the gateway prints its address", || {
            if let Some(status) = child.try_wait().expect("a child of ours") {
                panic!("the gateway ended with {status}:\n{}", log.text());
            }
            log.address()
        });
        Gateway { child, address, log, options, dir, home }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("a child of ours").is_none()
    }

    /// `kill -9`, as a crash is.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("a child of ours");
        self.child.wait().expect("a child of ours");
    }

    /// SIGTERM, and how it ended.
    pub(crate) fn terminate(&mut self) -> ExitStatus {
        self.begin_to_stop();
        self.stopped()
    }

    /// SIGTERM alone.
    pub(crate) fn begin_to_stop(&self) {
        self.signal(rustix::process::Signal::TERM);
    }

    /// SIGHUP alone.
    pub(crate) fn hang_up(&self) {
        self.signal(rustix::process::Signal::HUP);
    }

    /// How it ended, after [`Gateway::begin_to_stop`].
    pub(crate) fn stopped(&mut self) -> ExitStatus {
        eventually("the gateway stops on a signal", || {
            self.child.try_wait().expect("a child of ours")
        })
    }

    /// What it has said of itself so far.
    pub(crate) fn said(&self) -> String {
        self.log.text()
    }

    pub(crate) fn options(&self) -> Options {
        self.options.clone()
    }

    /// Starts it on the same data with other settings, in the place of one that has ended.
    pub(crate) fn restart_with(&mut self, options: Options) {
        *self = Gateway::launch(options, self.dir.clone(), Arc::clone(&self.home));
    }

    /// Starts it again on the same data, on another port.
    pub(crate) fn again(self) -> Gateway {
        let options = self.options.clone();
        self.again_with(options)
    }

    /// Starts it again on the same data with other settings.
    pub(crate) fn again_with(mut self, options: Options) -> Gateway {
        if self.is_running() {
            self.terminate();
        }
        Gateway::launch(options, self.dir.clone(), self.home.clone())
    }

    pub(crate) fn get(&self, path: &str) -> Reply {
        http::get(self.address, path)
    }

    /// The JSON of a `GET` that must succeed.
    pub(crate) fn json(&self, path: &str) -> Value {
        let reply = self.get(path);
        assert_eq!(reply.status, 200, "{path}: {}", reply.text());
        reply.json()
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Reply {
        http::post_json(self.address, path, &body.to_string())
    }

    /// Follows the stream; the query is what comes after `/api/stream`.
    pub(crate) fn stream(&self, query: &str) -> Events {
        Events::open(self.address, &format!("/api/stream{query}"), &[])
    }

    /// The id of the newest event.
    pub(crate) fn newest(&self) -> u64 {
        self.json("/api/events?limit=1")["newest"].as_u64().expect("an id")
    }

    /// Every event of the log that a query lets pass, as the pages have it.
    pub(crate) fn log(&self, query: &str) -> Vec<Value> {
        let (mut items, mut after) = (Vec::new(), 0);
        loop {
            let mut page = self.json(&format!("/api/events?after={after}&limit=1000&{query}"));
            assert!(page.get("gap").is_none(), "{page}");
            items.append(page["items"].as_array_mut().expect("items"));
            after = page["next_after"].as_u64().expect("an id");
            if after >= page["newest"].as_u64().expect("an id") {
                return items;
            }
        }
    }

    /// What `/metrics` shows now.
    pub(crate) fn metrics(&self) -> Metrics {
        Metrics(self.get("/metrics").text())
    }

    /// Stops the whole process, as it stands, until [`Gateway::go_on`].
    pub(crate) fn hold(&self) {
        self.signal(rustix::process::Signal::STOP);
    }

    pub(crate) fn go_on(&self) {
        self.signal(rustix::process::Signal::CONT);
    }

    fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).expect("a child of ours");
    }

    /// Resident memory now.
    pub(crate) fn memory_kib(&self) -> u64 {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("procfs");
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("VmRSS");
        line.split_whitespace().nth(1).and_then(|n| n.parse().ok()).expect("a number")
    }

    /// Threads that there are now.
    pub(crate) fn threads(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/task", self.pid())).expect("procfs").count()
    }

    /// File handles that are open now.
    pub(crate) fn handles(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.pid())).expect("procfs").count()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("--- the gateway's log:\n{}", self.log.text());
        }
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The page of the metrics at one moment.
pub(crate) struct Metrics(pub(crate) String);

impl Metrics {
    /// The value of a line, named with its labels.
    pub(crate) fn value(&self, line: &str) -> f64 {
        let start = format!("{line} ");
        let found = self.0.lines().find_map(|other| other.strip_prefix(&start)?.parse().ok());
        found.unwrap_or_else(|| panic!("no {line} in {}", self.0))
    }
}

/// The lines that a process printed, stdout and stderr together.
#[derive(Debug, Clone, Default)]
struct Log(Arc<Mutex<String>>);

impl Log {
    fn follow(&self, output: impl Read + Send + 'static) {
        let lines = Arc::clone(&self.0);
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                let mut text = lines.lock().expect("not poisoned");
                text.push_str(&line);
                text.push('\n');
            }
        });
    }

    fn text(&self) -> String {
        self.0.lock().expect("not poisoned").clone()
    }

    fn address(&self) -> Option<SocketAddr> {
        let text = self.text();
        let rest = text.split("listening on http://").nth(1)?;
        let end = rest.find(|c: char| c.is_whitespace() || c == '/')?;
        rest.get(..end)?.parse().ok()
    }
}
