//! What is traded, and which source speaks of it: from the configuration to instruments and a source.

use std::path::Path;

use anyhow::{Context, Result};
use veloz_core::engine::{Engine, EngineConfig};
use veloz_core::instrument::Instrument;
use veloz_core::sim::Taken;
use veloz_core::types::Symbol;

use crate::config::{self, Config};
use crate::market::{self, ReplayConfig, ReplaySpeed, SimConfig, SimSymbol, SourceConfig};

/// What is traded, and which source speaks of it.
pub(crate) struct MarketPlan {
    /// Tells one source from another: the log's positions are of this one.
    pub(crate) name: String,
    pub(crate) symbol: Symbol,
    pub(crate) symbols: Vec<Symbol>,
    pub(crate) instruments: Vec<Instrument>,
}

impl MarketPlan {
    pub(crate) fn new(config: &Config) -> Result<MarketPlan> {
        let (mut symbol, mut symbols) = (config.symbol, config.symbols.clone());
        let engine_speaks =
            config.engine_cmd.is_some() && config.market_source == config::MarketSource::None;
        let name = if engine_speaks { "engine" } else { config.market_source.as_str() };
        let mut name = name.to_owned();
        if let Some(path) = &config.replay_file {
            let played = market::capture_symbols(path, config.symbol)?;
            if !config.symbol_is_set
                && let Some(first) = played.first()
            {
                symbol = *first;
                symbols.retain(|known| *known != config.symbol);
            }
            symbols.extend(played);
            name = replay_name(path)?;
        }
        symbols.insert(0, symbol);
        let mut seen = Vec::new();
        symbols.retain(|symbol| {
            !seen.contains(symbol) && {
                seen.push(*symbol);
                true
            }
        });
        let instruments = instruments(config, &symbols)?;
        Ok(MarketPlan { name, symbol, symbols, instruments })
    }

    /// What the engine is made of, as far as it does not depend on who drives it.
    pub(crate) fn engine(&self, config: &Config) -> EngineConfig {
        EngineConfig {
            instruments: self.instruments.clone(),
            balances: config.sim_balances.clone(),
            taken: if config.sim_replenished { Taken::IsReplenished } else { Taken::Stays },
            latency: config.sim_latency,
            ..EngineConfig::default()
        }
    }

    /// How the source is to be started, for an engine that goes on from a log.
    pub(crate) fn source(&self, config: &Config, engine: &Engine) -> Option<SourceConfig> {
        let state = engine.state();
        match config.market_source {
            config::MarketSource::None => None,
            config::MarketSource::Sim => {
                let seed = config.sim_seed.unwrap_or_else(|| fastrand::u64(..));
                tracing::info!("the simulated market's seed is {seed}");
                let symbol = |instrument: &Instrument| {
                    let symbol = SimSymbol::new(instrument);
                    match state.market(&instrument.symbol) {
                        Some(last) => symbol.after(last.price, last.trade_id.unwrap_or_default()),
                        None => symbol,
                    }
                };
                let symbols = self.instruments.iter().map(symbol).collect();
                Some(SourceConfig::Sim(SimConfig { seed, interval: config.sim_interval, symbols }))
            }
            config::MarketSource::Replay => Some(SourceConfig::Replay(ReplayConfig {
                path: config.replay_file.clone()?,
                speed: match config.replay_speed {
                    config::ReplaySpeed::Factor(factor) => ReplaySpeed::Factor(factor),
                    config::ReplaySpeed::Max => ReplaySpeed::Max,
                },
                paused: config.replay_paused,
                start_after: state.last_position(),
                symbol: self.symbol,
            })),
        }
    }
}

/// The instruments of the symbols: as the exchange lists them, or built in.
fn instruments(config: &Config, symbols: &[Symbol]) -> Result<Vec<Instrument>> {
    let listed = config.exchange_info.as_deref().map(market::read_exchange_info).transpose()?;
    if let (Some(listed), Some(path)) = (&listed, &config.exchange_info) {
        let (shown, count) = (path.display(), listed.instruments().len());
        tracing::info!("{shown} lists {count} instruments that can be traded here");
        for refused in listed.refused() {
            tracing::warn!("{shown}: {} cannot: {}", refused.symbol, refused.reason);
        }
    }
    let find = |symbol: &Symbol| {
        match &listed {
        Some(listed) => listed
            .instrument(symbol)
            .cloned()
            .map_err(|why| anyhow::anyhow!("VELOZ_EXCHANGE_INFO: {why}")),
        None => Instrument::for_symbol(*symbol).with_context(|| {
            format!(
                "which assets {symbol} is made of is not known here, or not for sure: VELOZ_EXCHANGE_INFO can tell it"
            )
        }),
    }
    };
    let (maker, taker) = config.sim_fees;
    symbols.iter().map(|symbol| find(symbol).map(|found| found.with_fees(maker, taker))).collect()
}

/// A capture is the same one when its name and its length are.
fn replay_name(path: &Path) -> Result<String> {
    let unreadable = || format!("cannot read the capture {}", path.display());
    let length = std::fs::metadata(path).with_context(unreadable)?.len();
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    Ok(format!("replay of {name}, {length} bytes"))
}
