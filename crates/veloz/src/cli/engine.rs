//! `veloz engine`: its flags are the settings of the market and of the simulated account.

use clap::{ArgMatches, Args, Command, FromArgMatches};

use super::error::CliError;
use super::serve::{environment, flags, given};
use crate::config::{Config, Layers, Variable};

const AFTER: &str = "\
One command a line on standard input, one JSON event a line on standard output; logs on standard
error. docs/engine-protocol.md has all of it.

Examples:
  veloz engine
  echo 'BUY BTCUSDT 0.001 60000 my-1' | veloz engine --market-source none
  veloz engine --market-source replay --replay-file capture.gz --replay-speed max
  VELOZ_ENGINE_CMD='veloz engine' veloz serve --market-source none";

/// The settings that mean something to an engine alone.
const SETTINGS: &[&str] = &[
    "VELOZ_MARKET_SOURCE",
    "VELOZ_SIM_SEED",
    "VELOZ_SIM_INTERVAL_MS",
    "VELOZ_SIM_BALANCES",
    "VELOZ_SIM_FEES",
    "VELOZ_SIM_LIQUIDITY",
    "VELOZ_SIM_LATENCY_MS",
    "VELOZ_REPLAY_FILE",
    "VELOZ_REPLAY_SPEED",
    "VELOZ_MARKET_SYMBOL",
    "VELOZ_MARKET_SYMBOLS",
];

/// What was given on the command line, not yet checked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct EngineArgs {
    flags: Vec<(&'static str, String)>,
}

fn is_ours(variable: &Variable) -> bool {
    SETTINGS.contains(&variable.name)
}

/// Checks the configuration and runs the engine.
pub(super) fn run(
    args: &EngineArgs,
    engine: impl FnOnce(Config) -> anyhow::Result<()>,
) -> Result<(), CliError> {
    let environment = environment().filter(|(name, _)| SETTINGS.contains(&name.as_str()));
    let layers = Layers::collect(args.flags.iter().cloned(), environment, None)?;
    engine(Config::from_layers(&layers)?).map_err(CliError::Serve)
}

impl Args for EngineArgs {
    fn augment_args(command: Command) -> Command {
        // The first VeloZ's gateway starts its engine with it.
        let stdio = clap::Arg::new("stdio")
            .long("stdio")
            .action(clap::ArgAction::SetTrue)
            .help("Speak over standard input and output: always so");
        command.arg(stdio).args(flags(is_ours)).after_help(AFTER)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for EngineArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<EngineArgs, clap::Error> {
        Ok(EngineArgs { flags: given(matches, is_ours) })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
