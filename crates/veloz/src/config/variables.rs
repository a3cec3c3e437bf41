//! Every variable: its name, default and meaning. The command line's help, the configuration file's
//! keys and `docs/configuration.md` come from this table.

/// A setting.
#[derive(Debug, Clone, Copy)]
pub struct Variable {
    /// The environment's name; the file's key is the same in lower case without `VELOZ_`, the flag the
    /// same with dashes.
    pub name: &'static str,
    /// What holds when nobody sets it.
    pub default: &'static str,
    /// What it means and what is allowed.
    pub help: &'static str,
    /// Never told.
    pub secret: bool,
}

/// Names with our prefix that other commands read.
pub(super) const NOT_SERVE: &[&str] = &["VELOZ_URL", "VELOZ_CONFIG", "VELOZ_LOG"];

const fn variable(name: &'static str, default: &'static str, help: &'static str) -> Variable {
    Variable { name, default, help, secret: false }
}

/// The variable of that name.
pub(super) fn find(name: &str) -> Option<&'static Variable> {
    VARIABLES.iter().find(|v| v.name == name)
}

/// All of them, in the order of the documents.
pub const VARIABLES: &[Variable] = &[
    variable("VELOZ_HOST", "127.0.0.1", "Address to listen on; loopback only in this version"),
    variable("VELOZ_PORT", "8080", "Port to listen on; 0 takes a free one"),
    variable(
        "VELOZ_ALLOWED_HOSTS",
        "",
        "Names besides loopback's by which it may be asked (a tunnel's, a container's), comma-separated",
    ),
    variable(
        "VELOZ_ALLOWED_ORIGINS",
        "",
        "Origins besides its own whose pages may ask, comma-separated, such as https://desk.example",
    ),
    variable(
        "VELOZ_MAX_CONNECTIONS",
        "",
        "Most connections at once; by default what the limit of file handles allows",
    ),
    variable("VELOZ_MARKET_SOURCE", "sim", "Where market data comes from: sim, replay or none"),
    variable("VELOZ_SIM_SEED", "", "Seed of the simulated market; random by default"),
    variable(
        "VELOZ_SIM_INTERVAL_MS",
        "200",
        "Milliseconds between two trades of a simulated symbol; 0 is as fast as possible",
    ),
    variable(
        "VELOZ_SIM_BALANCES",
        "USDT=100000,BTC=1,ETH=10",
        "What a new simulated account holds: ASSET=AMOUNT, comma-separated",
    ),
    variable(
        "VELOZ_SIM_FEES",
        "maker=0.001,taker=0.001",
        "What the simulated venue charges, as fractions",
    ),
    variable(
        "VELOZ_REPLAY_FILE",
        "",
        "Capture to play, plain or .gz, with VELOZ_MARKET_SOURCE=replay",
    ),
    variable("VELOZ_REPLAY_SPEED", "1", "How fast: a factor of real time, or max"),
    variable("VELOZ_REPLAY_PAUSED", "0", "1 waits for POST /api/replay"),
    variable("VELOZ_FROM_START", "0", "1 plays the capture from its first line again"),
    variable("VELOZ_CANCEL_OPEN", "0", "1 cancels every open order at start"),
    variable("VELOZ_MARKET_SYMBOL", "BTCUSDT", "Symbol that is meant when none is named"),
    variable("VELOZ_MARKET_SYMBOLS", "", "Further symbols, comma-separated"),
    variable(
        "VELOZ_SIM_LIQUIDITY",
        "consumed",
        "What an order takes from the book: consumed until the level changes, or replenished at once",
    ),
    variable(
        "VELOZ_SIM_LATENCY_MS",
        "to=0,from=0",
        "How long the way to the simulated venue and back takes, in milliseconds, and what chance adds each way, \
         such as to=0.25,from=0.25,jitter=0.1",
    ),
    variable(
        "VELOZ_EXCHANGE_INFO",
        "",
        "Instruments and filters: an answer of Binance's exchangeInfo, plain or .gz; built-in ones without",
    ),
    variable("VELOZ_EXECUTION_MODE", "sim_engine", "Where orders go: sim_engine"),
    variable(
        "VELOZ_ENGINE_CMD",
        "",
        "External engine, spoken to over standard input and output, in place of the built-in one: a program \
         and its arguments",
    ),
    variable(
        "VELOZ_DATA_DIR",
        "",
        "Directory of the journal; by default veloz in the platform's state directory",
    ),
    variable(
        "VELOZ_DURABILITY",
        "process",
        "process: what was seen survives the process's death; disk: it survives power loss",
    ),
    variable("VELOZ_RETENTION_BYTES", "4GiB", "How large the log may grow"),
    variable("VELOZ_RETENTION_MARKET", "24h", "How long market events are kept"),
    variable("VELOZ_RETENTION_ORDERS", "90d", "How long all other events are kept"),
    variable("VELOZ_KEEP_ALIVE_MS", "10000", "Silence before a stream gets a keep-alive"),
    variable(
        "VELOZ_RETRY_MS",
        "3000",
        "Reconnection time told to stream clients, jittered by a quarter",
    ),
    variable(
        "VELOZ_STALL_MS",
        "60000",
        "How long a stream's socket may take nothing before it is closed",
    ),
    variable(
        "VELOZ_IO_URING",
        "1",
        "1 sends to many streams with one system call (io_uring) where the kernel permits it; 0 never",
    ),
    variable("VELOZ_AUTH_ENABLED", "0", "Authentication; not in this version"),
];
