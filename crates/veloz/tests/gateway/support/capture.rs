//! Small captures made to measure, in the form of the recorded ones, played step by step.

use std::fmt::Write as _;

use serde_json::json;

use super::{Gateway, Options};

/// A capture of BTCUSDT that is being written.
#[derive(Debug, Clone)]
pub(crate) struct Capture {
    text: String,
    lines: u64,
    paused_ms: u64,
}

impl Capture {
    /// Starts with a snapshot of the book: (price, quantity), best first.
    pub(crate) fn book(bids: &[(&str, &str)], asks: &[(&str, &str)]) -> Capture {
        let mut capture = Capture { text: String::new(), lines: 0, paused_ms: 0 };
        let (bids, asks) = (levels(bids), levels(asks));
        capture.line(&json!({"lastUpdateId": 100, "bids": bids, "asks": asks}).to_string());
        capture
    }

    /// A book, and trades a tenth of a second apart at its best prices in turn.
    pub(crate) fn wandering(trades: u32) -> Capture {
        let book =
            Capture::book(&[("100.00", "5"), ("99.00", "5")], &[("101.00", "5"), ("102.00", "5")]);
        (0..trades).fold(book, |capture, n| {
            let (taker, price) = if n % 2 == 0 { ("SELL", "100.00") } else { ("BUY", "101.00") };
            capture.trade(taker, price, "0.5")
        })
    }

    /// A trade; `taker` is BUY or SELL.
    pub(crate) fn trade(mut self, taker: &str, price: &str, qty: &str) -> Capture {
        let n = self.lines;
        let ms = self.now_ns() / 1_000_000;
        let data = json!({"e": "trade", "E": ms, "s": "BTCUSDT", "t": 1000 + n, "p": price,
            "q": qty, "T": ms, "m": taker == "SELL", "M": true});
        self.line(&json!({"stream": "btcusdt@trade", "data": data}).to_string());
        self
    }

    /// Lets time pass before the next line, besides the 100 ms that there are always.
    pub(crate) fn pause(mut self, ms: u64) -> Capture {
        self.paused_ms += ms;
        self
    }

    /// Puts in a line of any kind.
    pub(crate) fn broken(mut self, line: &str) -> Capture {
        self.line(line);
        self
    }

    /// The bytes of the file.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.text.as_bytes()
    }

    /// Starts a gateway that plays this when told to, and plays its first line: the book.
    pub(crate) fn play(&self) -> Gateway {
        self.play_with(Options::default())
    }

    /// The same, with other settings besides.
    pub(crate) fn play_with(&self, options: Options) -> Gateway {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        std::fs::write(file.path(), &self.text).expect("written");
        // The gateway opens it at its start; it is left to the system's temporary directory.
        let (_, path) = file.keep().expect("kept");
        let options = options
            .env("VELOZ_MARKET_SOURCE", "replay")
            .env("VELOZ_REPLAY_FILE", path.display())
            .env("VELOZ_REPLAY_SPEED", "max")
            .env("VELOZ_REPLAY_PAUSED", "1");
        let gateway = Gateway::start(options);
        gateway.step(1);
        gateway
    }

    /// The time of its next line.
    pub(crate) fn now_ns(&self) -> u64 {
        1_700_000_000_000_000_000 + self.lines * 100_000_000 + self.paused_ms * 1_000_000
    }

    fn line(&mut self, json: &str) {
        let now = self.now_ns();
        writeln!(self.text, "{now} {json}").expect("a string");
        self.lines += 1;
    }
}

fn levels(levels: &[(&str, &str)]) -> Vec<[String; 2]> {
    levels.iter().map(|(price, qty)| [(*price).to_owned(), (*qty).to_owned()]).collect()
}

impl Gateway {
    /// Plays so many lines of the capture; they have been handed over when it returns.
    #[track_caller]
    pub(crate) fn step(&self, lines: u64) {
        let reply = self.post("/api/replay", &json!({"steps": lines}));
        assert_eq!(reply.status, 200, "{}", reply.text());
    }
}
