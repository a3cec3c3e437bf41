//! A gateway in this process, on a free port, and a raw client that speaks bytes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::registry::Registry;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use veloz::http::{
    ConfigView, HttpConfig, HttpMetrics, HttpParts, HttpServer, MarketControl, Timeouts, bind,
};
use veloz::journal::{Batch, Journal, JournalConfig, Lineage};
use veloz::service::{self, Clock, HealthBoard, ServiceHandle, ServiceMetrics};
use veloz::stream::page::Pages;
use veloz::stream::{Stream, StreamConfig};
use veloz_core::engine::{Engine, EngineConfig, Step};
use veloz_core::input::{Input, MarketBody, MarketData};
use veloz_core::instrument::Instrument;
use veloz_core::types::{Side, Symbol};

/// Longer than anything that works takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Fixture {
    pub(crate) address: SocketAddr,
    pub(crate) service: ServiceHandle,
    pub(crate) server: Option<HttpServer>,
    pub(crate) stream: Stream,
    pub(crate) health: Arc<HealthBoard>,
    registry: Arc<Registry>,
    _dir: tempfile::TempDir,
}

struct Market;

impl MarketControl for Market {
    fn state(&self) -> &'static str {
        "running"
    }

    fn run(&self) -> Result<(), String> {
        Ok(())
    }

    fn step(&self, lines: u64) -> Result<(), String> {
        if lines > 100 { Err("the replay is not paused".to_owned()) } else { Ok(()) }
    }
}

pub(crate) fn symbol() -> Symbol {
    Symbol::parse("BTCUSDT").unwrap()
}

pub(crate) fn config() -> HttpConfig {
    let mut log = Lineage::default();
    log.begin();
    HttpConfig {
        allowed_hosts: vec!["desk.example".to_owned()],
        allowed_origins: vec!["https://pages.example".to_owned()],
        max_connections: 1000,
        timeouts: Timeouts::default(),
        symbol: symbol(),
        view: ConfigView {
            market_source: "none",
            market_symbol: symbol(),
            market_symbols: vec![symbol()],
            binance_base_url: String::new(),
            execution_mode: "sim_engine",
            binance_trade_enabled: false,
            binance_trade_base_url: String::new(),
        },
        log,
    }
}

/// A gateway with a book of one level a side: bid 1 BTC at 50000, ask 1 BTC at 50010.
pub(crate) async fn gateway() -> Fixture {
    gateway_with(config()).await
}

pub(crate) async fn gateway_with(config: HttpConfig) -> Fixture {
    let mut engine = Engine::new(EngineConfig {
        instruments: [Instrument::for_symbol(symbol()).unwrap()]
            .into_iter()
            .chain(crate::refusals::instruments())
            .collect(),
        balances: vec![
            ("USDT".parse().unwrap(), "100000".parse().unwrap()),
            ("BTC".parse().unwrap(), "1".parse().unwrap()),
        ],
        ..EngineConfig::default()
    });
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, reader, _) = Journal::open(dir.path(), JournalConfig::default()).unwrap();
    let (mut step, mut batch) = (Step::default(), Batch::new());
    engine.start(1, &mut step);
    batch.step(1, 1, &[], |out| veloz::frame::write_frame(out, 1, &step.events[0]));
    journal.append(&mut batch, 1).unwrap();
    let mut registry = Registry::default();
    let health = Arc::new(HealthBoard::default());
    let (service, inbox) = service::channel(health.clone());
    let config_of_stream = StreamConfig::default();
    let stream =
        Stream::start(config_of_stream, reader.clone(), Arc::new(service.clone())).unwrap();
    let parts = service::Parts {
        engine,
        journal,
        tail: stream.tail(),
        market: None,
        venue: None,
        awaits_books: None,
        first_commands: Vec::new(),
        clock: Clock::Wall,
        metrics: ServiceMetrics::register(&mut registry),
        health: health.clone(),
    };
    service::start(parts, inbox);
    let metrics = HttpMetrics::register(&mut registry);
    let registry = Arc::new(registry);
    let parts = HttpParts {
        service: service.clone(),
        pages: Pages::new(reader),
        stream: stream.handle(),
        market: Arc::new(Market),
        registry: registry.clone(),
        metrics,
    };
    let listener = bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let server = HttpServer::start(listener, config, parts).unwrap();
    let address = server.address();
    let server = Some(server);
    let fixture = Fixture { address, service, server, stream, health, registry, _dir: dir };
    fixture.quote(1, "50000", "50010").await;
    fixture
}

impl Fixture {
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Replaces the book by one level a side of 1 BTC, and trades a little of its bid.
    pub(crate) async fn quote(&self, update: u64, bid: &str, ask: &str) {
        let qty = "1".parse().unwrap();
        let bid = bid.parse().unwrap();
        let book = MarketBody::Snapshot {
            last_id: update,
            bids: vec![(bid, qty)],
            asks: vec![(ask.parse().unwrap(), qty)],
        };
        let trade = MarketBody::Trade {
            ts_ns: i64::try_from(update).unwrap(),
            price: bid,
            qty: "0.00001".parse().unwrap(),
            side: Side::Sell,
            trade_id: update,
        };
        // The trade first: what it took is not in the book any more.
        for body in [trade, book] {
            let data = MarketData { symbol: symbol(), position: None, body };
            self.service.submit(Input::Market(data)).await.unwrap();
        }
    }

    pub(crate) async fn connect(&self) -> Raw {
        Raw(TcpStream::connect(self.address).await.unwrap(), Vec::new())
    }

    /// Requests answered with 200 so far.
    pub(crate) fn answered(&self) -> usize {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).unwrap();
        let count = text.split("veloz_http_requests_total{status=\"200\"} ").nth(1);
        count.and_then(|rest| rest.lines().next()?.parse().ok()).unwrap_or_default()
    }

    /// One request by raw bytes on its own connection: all that comes back.
    pub(crate) async fn raw(&self, request: &[u8]) -> String {
        let mut raw = self.connect().await;
        raw.send(request).await;
        let _ = raw.0.shutdown().await;
        raw.rest().await
    }
}

/// A connection and what was read of it and not looked at yet.
pub(crate) struct Raw(pub(crate) TcpStream, pub(crate) Vec<u8>);

impl Raw {
    /// Sends; a peer that has closed already is no failure: what it said tells why.
    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        let _ = self.0.write_all(bytes).await;
    }

    pub(crate) async fn get(&mut self, path: &str) -> String {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes()).await;
        self.response().await
    }

    /// Reads until `end` has come; the text up to its end.
    pub(crate) async fn until(&mut self, end: &str) -> String {
        let wait = async {
            loop {
                let found = self.1.windows(end.len()).position(|part| part == end.as_bytes());
                if let Some(at) = found {
                    let rest = self.1.split_off(at + end.len());
                    return std::mem::replace(&mut self.1, rest);
                }
                assert!(self.0.read_buf(&mut self.1).await.unwrap() > 0, "closed: {self:?}");
            }
        };
        let bytes = tokio::time::timeout(PATIENCE, wait).await.expect("it comes in time");
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Reads one response with a `Content-Length`.
    pub(crate) async fn response(&mut self) -> String {
        let head = self.until("\r\n\r\n").await;
        let lower = head.to_ascii_lowercase();
        let length: usize = lower
            .split("content-length: ")
            .nth(1)
            .and_then(|rest| rest.split("\r\n").next()?.parse().ok())
            .unwrap_or_default();
        let wait = async {
            while self.1.len() < length {
                assert!(self.0.read_buf(&mut self.1).await.unwrap() > 0, "closed: {head}");
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.expect("it comes in time");
        let rest = self.1.split_off(length);
        let body = std::mem::replace(&mut self.1, rest);
        head + &String::from_utf8_lossy(&body)
    }

    /// Reads until the peer closes, however it does.
    pub(crate) async fn rest(mut self) -> String {
        let _ = self.read_to_end().await;
        String::from_utf8_lossy(&self.1).into_owned()
    }

    /// Reads until the peer closes; an error when it resets.
    pub(crate) async fn end(mut self) -> std::io::Result<String> {
        self.read_to_end().await?;
        Ok(String::from_utf8_lossy(&self.1).into_owned())
    }

    async fn read_to_end(&mut self) -> std::io::Result<usize> {
        let wait = self.0.read_to_end(&mut self.1);
        tokio::time::timeout(PATIENCE, wait).await.expect("it closes in time")
    }
}

impl std::fmt::Debug for Raw {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", String::from_utf8_lossy(&self.1))
    }
}

/// The status of a response, 0 when there is none.
pub(crate) fn status(response: &str) -> u16 {
    response.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default()
}

/// Waits for a condition.
pub(crate) async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let wait = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, wait).await.is_ok(), "never: {what}");
}
