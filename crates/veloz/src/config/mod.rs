//! Configuration: flags over environment over file over defaults, validated into one [`Config`].
//!
//! Contract: a wrong value is an error at start that names the variable, the value, where it came from
//! and what is allowed: never a silent fallback. Nothing else in the program reads the environment.

mod parse;
mod variables;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::IsTerminal;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;
use veloz_core::latency::Latency;
use veloz_core::types::{Asset, Money, Qty, Symbol};

pub use variables::{VARIABLES, Variable};

/// Why the program cannot be started as it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A value that is not allowed.
    #[error("{variable}={value:?} (from {origin}): {rule}")]
    Value {
        /// The variable.
        variable: &'static str,
        /// Its value; never a secret's.
        value: String,
        /// The flag, the environment or the file.
        origin: Origin,
        /// What is allowed.
        rule: String,
    },
    /// Values that do not go together.
    #[error("{0}")]
    Combination(String),
    /// The configuration file.
    #[error("configuration file {path}: {message}")]
    File {
        /// Which file.
        path: String,
        /// What is wrong.
        message: String,
    },
}

/// Where a value came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The command line.
    Flag,
    /// The environment.
    Environment,
    /// The configuration file.
    File,
    /// Nobody set it.
    Default,
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Origin::Flag => "the command line",
            Origin::Environment => "the environment",
            Origin::File => "the configuration file",
            Origin::Default => "the defaults",
        })
    }
}

/// Where market data comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MarketSource {
    /// The seeded generator.
    Sim,
    /// A recorded capture.
    Replay,
    /// Nowhere.
    None,
}

impl MarketSource {
    /// The name in the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            MarketSource::Sim => "sim",
            MarketSource::Replay => "replay",
            MarketSource::None => "none",
        }
    }
}

/// How fast a capture is played.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplaySpeed {
    /// This many times real time.
    Factor(Qty),
    /// As fast as the machine allows.
    Max,
}

/// When an event counts as stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// It survives the process; it reaches the disk within 100 ms.
    Process,
    /// It is on the disk.
    Disk,
}

/// Everything that can be set, checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where it listens.
    pub host: IpAddr,
    /// The port; 0 takes a free one.
    pub port: u16,
    /// Further names by which it may be asked.
    pub allowed_hosts: Vec<String>,
    /// Further origins whose pages may ask.
    pub allowed_origins: Vec<String>,
    /// The most connections; `None` derives it from the limit of file handles.
    pub max_connections: Option<usize>,
    /// Where market data comes from.
    pub market_source: MarketSource,
    /// The simulated market's seed; `None` takes a random one and tells it.
    pub sim_seed: Option<u64>,
    /// Between two ticks of a simulated symbol; zero is as fast as possible.
    pub sim_interval: Duration,
    /// What a new simulated account holds.
    pub sim_balances: Vec<(Asset, Money)>,
    /// What the simulated venue charges: maker, taker.
    pub sim_fees: (Qty, Qty),
    /// Whether what the simulated venue takes is there again for the next order.
    pub sim_replenished: bool,
    /// How far the simulated venue is away.
    pub sim_latency: Latency,
    /// The exchange's list of instruments; the built-in ones without it.
    pub exchange_info: Option<PathBuf>,
    /// The capture to play.
    pub replay_file: Option<PathBuf>,
    /// How fast.
    pub replay_speed: ReplaySpeed,
    /// Wait for `POST /api/replay`.
    pub replay_paused: bool,
    /// Play the capture from its first line, whatever was journalled.
    pub from_start: bool,
    /// Cancel what is open before anything else.
    pub cancel_open: bool,
    /// The symbol that is meant when none is named.
    pub symbol: Symbol,
    /// Whether somebody named it; else a replay trades what its capture holds.
    pub symbol_is_set: bool,
    /// All symbols, that one first.
    pub symbols: Vec<Symbol>,
    /// An external engine: program and arguments; `None` is the built-in one.
    pub engine_cmd: Option<Vec<String>>,
    /// The journal and everything else that is kept.
    pub data_dir: PathBuf,
    /// When an event counts as stored.
    pub durability: Durability,
    /// What the log keeps, in bytes.
    pub retention_bytes: u64,
    /// How long market events are kept.
    pub retention_market: Duration,
    /// How long everything else is kept.
    pub retention_orders: Duration,
    /// Silence before a keep-alive.
    pub keep_alive: Duration,
    /// The `retry:` sent to stream clients, before jitter.
    pub retry: Duration,
    /// How long a stream's socket may take nothing.
    pub stall: Duration,
    /// Whether the stream may send by io_uring.
    pub io_uring: bool,
    /// Every value as it was set, secrets left out, for the log line at start.
    pub set: Vec<(&'static str, String, Origin)>,
}

/// The values that were given, by layer.
#[derive(Debug, Default)]
pub struct Layers {
    values: BTreeMap<&'static str, (String, Origin)>,
    /// Names that look like ours but are not: told at start.
    pub unknown_environment: Vec<String>,
}

impl Layers {
    /// Collects the layers; `flags` are (variable, value) pairs, `environment` all of the process's.
    ///
    /// # Errors
    /// When the file cannot be read, or sets what does not exist, or a value is not UTF-8.
    pub fn collect(
        flags: impl IntoIterator<Item = (&'static str, String)>,
        environment: impl IntoIterator<Item = (String, OsString)>,
        file: Option<&Path>,
    ) -> Result<Layers, ConfigError> {
        let mut layers = Layers::default();
        if let Some(path) = file {
            layers.read_file(path)?;
        }
        for (name, value) in environment {
            if let Some(variable) = variables::find(&name) {
                let value = value.into_string().map_err(|value| ConfigError::Value {
                    variable: variable.name,
                    value: value.to_string_lossy().into_owned(),
                    origin: Origin::Environment,
                    rule: "must be UTF-8".to_owned(),
                })?;
                layers.values.insert(variable.name, (value, Origin::Environment));
            } else if name.starts_with("VELOZ_") && !variables::NOT_SERVE.contains(&name.as_str()) {
                layers.unknown_environment.push(name);
            }
        }
        for (name, value) in flags {
            layers.values.insert(name, (value, Origin::Flag));
        }
        Ok(layers)
    }

    /// A file holds the variables' names in lower case without the prefix: `market_source = "sim"`.
    fn read_file(&mut self, path: &Path) -> Result<(), ConfigError> {
        let error =
            |message: String| ConfigError::File { path: path.display().to_string(), message };
        let text = std::fs::read_to_string(path).map_err(|e| error(e.to_string()))?;
        let table: toml::Table = text.parse().map_err(|e: toml::de::Error| error(e.to_string()))?;
        for (key, value) in table {
            let name = format!("VELOZ_{}", key.to_ascii_uppercase());
            let variable = variables::find(&name)
                .filter(|_| key.bytes().all(|b| !b.is_ascii_uppercase()))
                .ok_or_else(|| error(format!("there is no setting {key:?}")))?;
            let value = match value {
                toml::Value::String(text) => text,
                toml::Value::Integer(number) => number.to_string(),
                toml::Value::Boolean(flag) => flag.to_string(),
                _ => return Err(error(format!("{key} must be a string, an integer or a boolean"))),
            };
            self.values.insert(variable.name, (value, Origin::File));
        }
        Ok(())
    }

    fn get<T>(
        &self,
        name: &'static str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<T, ConfigError> {
        let (value, origin) = match self.values.get(name) {
            Some((value, origin)) => (value.as_str(), *origin),
            None => (variables::find(name).map_or("", |v| v.default), Origin::Default),
        };
        parse(value.trim()).map_err(|rule| ConfigError::Value {
            variable: name,
            value: value.to_owned(),
            origin,
            rule,
        })
    }
}

impl Config {
    /// Validates what was given.
    ///
    /// # Errors
    /// The first value that is wrong.
    pub fn from_layers(layers: &Layers) -> Result<Config, ConfigError> {
        refuse_what_is_to_come(layers)?;
        let (host, port) = (layers.get("VELOZ_HOST", parse::host)?, parse_port(layers)?);
        let config = Config {
            host,
            port,
            allowed_hosts: layers.get("VELOZ_ALLOWED_HOSTS", parse::hosts)?,
            allowed_origins: layers.get("VELOZ_ALLOWED_ORIGINS", parse::origins)?,
            max_connections: layers.get("VELOZ_MAX_CONNECTIONS", parse::optional_count)?,
            market_source: layers.get("VELOZ_MARKET_SOURCE", parse::market_source)?,
            sim_seed: layers.get("VELOZ_SIM_SEED", parse::optional_seed)?,
            sim_interval: layers.get("VELOZ_SIM_INTERVAL_MS", |v| parse::millis(v, 0))?,
            sim_balances: layers.get("VELOZ_SIM_BALANCES", parse::balances)?,
            sim_fees: layers.get("VELOZ_SIM_FEES", parse::fees)?,
            sim_replenished: layers.get("VELOZ_SIM_LIQUIDITY", parse::replenished)?,
            sim_latency: sim_latency(layers)?,
            exchange_info: layers.get("VELOZ_EXCHANGE_INFO", parse::optional_path)?,
            replay_file: layers.get("VELOZ_REPLAY_FILE", parse::optional_path)?,
            replay_speed: layers.get("VELOZ_REPLAY_SPEED", parse::replay_speed)?,
            replay_paused: layers.get("VELOZ_REPLAY_PAUSED", parse::flag)?,
            from_start: layers.get("VELOZ_FROM_START", parse::flag)?,
            cancel_open: layers.get("VELOZ_CANCEL_OPEN", parse::flag)?,
            symbol: layers.get("VELOZ_MARKET_SYMBOL", parse::symbol)?,
            symbol_is_set: layers.values.contains_key("VELOZ_MARKET_SYMBOL"),
            symbols: symbols(layers)?,
            engine_cmd: layers.get("VELOZ_ENGINE_CMD", parse::command)?,
            data_dir: match layers.get("VELOZ_DATA_DIR", parse::optional_path)? {
                Some(dir) => dir,
                None => default_data_dir()?,
            },
            durability: layers.get("VELOZ_DURABILITY", parse::durability)?,
            retention_bytes: layers.get("VELOZ_RETENTION_BYTES", parse::bytes)?,
            retention_market: layers.get("VELOZ_RETENTION_MARKET", parse::duration)?,
            retention_orders: layers.get("VELOZ_RETENTION_ORDERS", parse::duration)?,
            keep_alive: layers.get("VELOZ_KEEP_ALIVE_MS", |v| parse::millis(v, 100))?,
            retry: layers.get("VELOZ_RETRY_MS", |v| parse::millis(v, 1))?,
            stall: layers.get("VELOZ_STALL_MS", |v| parse::millis(v, 100))?,
            io_uring: layers.get("VELOZ_IO_URING", parse::flag)?,
            set: layers.told(),
        };
        config.check_combinations()?;
        Ok(config)
    }

    /// Where orders go, as it is shown, and as data directories are stamped with.
    pub fn execution_mode(&self) -> &'static str {
        if self.engine_cmd.is_some() { "external_engine" } else { "sim_engine" }
    }

    fn check_combinations(&self) -> Result<(), ConfigError> {
        let problem = |text: &str| Err(ConfigError::Combination(text.to_owned()));
        if !self.host.is_loopback() {
            return problem(
                "VELOZ_HOST: an address other than loopback needs authentication, which this version \
                 does not have; listen on 127.0.0.1 and put a proxy that authenticates in front",
            );
        }
        if self.engine_cmd.is_some() && !self.sim_latency.is_zero() {
            return problem(
                "VELOZ_SIM_LATENCY_MS is the way to the simulated venue, and VELOZ_ENGINE_CMD takes its place: \
                 set one of them",
            );
        }
        if self.market_source == MarketSource::Replay && self.replay_file.is_none() {
            return problem(
                "VELOZ_MARKET_SOURCE=replay needs VELOZ_REPLAY_FILE, the capture to play",
            );
        }
        if self.market_source != MarketSource::Replay && self.replay_file.is_some() {
            return problem("VELOZ_REPLAY_FILE is set, but VELOZ_MARKET_SOURCE is not replay");
        }
        Ok(())
    }
}

impl Layers {
    /// What was set and by whom, without secrets.
    fn told(&self) -> Vec<(&'static str, String, Origin)> {
        self.values
            .iter()
            .filter(|(name, _)| variables::find(name).is_some_and(|v| !v.secret))
            .map(|(name, (value, origin))| (*name, value.clone(), *origin))
            .collect()
    }
}

fn parse_port(layers: &Layers) -> Result<u16, ConfigError> {
    layers.get("VELOZ_PORT", |v| v.parse().map_err(|_| "must be a port, 0 to 65535".to_owned()))
}

/// The way to the simulated venue; its chance follows from the seed of the simulated market, 0 without one.
fn sim_latency(layers: &Layers) -> Result<Latency, ConfigError> {
    let seed = layers.get("VELOZ_SIM_SEED", parse::optional_seed)?.unwrap_or_default();
    Ok(Latency { seed, ..layers.get("VELOZ_SIM_LATENCY_MS", parse::latency)? })
}

/// The default symbol first, then the others, each once.
fn symbols(layers: &Layers) -> Result<Vec<Symbol>, ConfigError> {
    let default = layers.get("VELOZ_MARKET_SYMBOL", parse::symbol)?;
    let mut all = vec![default];
    for symbol in layers.get("VELOZ_MARKET_SYMBOLS", parse::symbols)? {
        if !all.contains(&symbol) {
            all.push(symbol);
        }
    }
    Ok(all)
}

/// What asks for a feature of the contract that is not built yet is refused, not ignored.
fn refuse_what_is_to_come(layers: &Layers) -> Result<(), ConfigError> {
    layers.get("VELOZ_EXECUTION_MODE", |v| match v {
        "sim_engine" => Ok(()),
        _ => Err("must be sim_engine (Binance comes with a later version)".to_owned()),
    })?;
    layers.get("VELOZ_AUTH_ENABLED", |v| match parse::flag(v)? {
        false => Ok(()),
        true => Err("must be off: authentication comes with a later version".to_owned()),
    })
}

/// What is logged, by `VELOZ_LOG`; `info` without it.
///
/// # Errors
/// When a part of it is neither a level nor `module=level`.
pub fn log_filter() -> Result<EnvFilter, ConfigError> {
    let value = std::env::var_os("VELOZ_LOG").unwrap_or_default();
    let value = value.to_string_lossy();
    let is_level = |part: &str| part.trim().parse::<LevelFilter>().is_ok();
    let is_known = |part: &str| part.contains(['=', '[']) || is_level(part);
    let wrong = || ConfigError::Value {
        variable: "VELOZ_LOG",
        value: value.to_string(),
        origin: Origin::Environment,
        rule: "must be off, error, warn, info, debug or trace; or modules and levels, as in \
               info,veloz::stream=debug"
            .to_owned(),
    };
    if value.is_empty() {
        return Ok(EnvFilter::new("info"));
    }
    // A word that is no level would be taken for a module, and nothing else be logged.
    let filter = value.split(',').all(is_known).then(|| EnvFilter::builder().parse(&*value).ok());
    filter.flatten().ok_or_else(wrong)
}

/// Whether a stream is a terminal, and whoever sits at it wants colours (`NO_COLOR`, `TERM=dumb`).
pub fn wants_colors(stream: &impl IsTerminal) -> bool {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    stream.is_terminal() && set("NO_COLOR").is_none() && set("TERM").is_none_or(|t| t != "dumb")
}

/// The platform's state directory for this program.
fn default_data_dir() -> Result<PathBuf, ConfigError> {
    let variable = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    variable("XDG_STATE_HOME")
        .filter(|dir| dir.is_absolute())
        .or_else(|| variable("HOME").map(|home| home.join(".local/state")))
        .map(|dir| dir.join("veloz"))
        .ok_or_else(|| {
            ConfigError::Combination(
                "VELOZ_DATA_DIR is not set and there is no HOME to derive it from: set it"
                    .to_owned(),
            )
        })
}
