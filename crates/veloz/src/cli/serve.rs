//! `veloz serve`: its flags are the table of variables, one flag each.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Arg, ArgMatches, Args, Command, FromArgMatches, value_parser};

use super::error::CliError;
use super::output::notice;
use crate::config::{Config, Layers, VARIABLES, Variable};

const CONFIG: &str = "config";

const AFTER: &str = "\
Flags win over the environment, that over the file of --config, that over the defaults. A file holds
the same names in lower case: market_source = \"sim\".

Examples:
  veloz serve
  veloz serve --port 9000 --market-symbols BTCUSDT,ETHUSDT
  veloz serve --market-source replay --replay-file capture.gz --replay-speed 20
  veloz serve --data-dir ./data --durability disk";

/// What was given on the command line, not yet checked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServeArgs {
    /// Variable and value of each flag that was given.
    pub flags: Vec<(&'static str, String)>,
    /// The configuration file.
    pub config: Option<PathBuf>,
}

/// Checks the configuration and runs the gateway.
pub(super) fn run(
    args: &ServeArgs,
    serve: impl FnOnce(Config) -> anyhow::Result<()>,
) -> Result<(), CliError> {
    let flags = args.flags.iter().cloned();
    let layers = Layers::collect(flags, environment(), args.config.as_deref())?;
    for name in &layers.unknown_environment {
        notice(&format!("warning: there is no setting {name}"));
    }
    serve(Config::from_layers(&layers)?).map_err(CliError::Serve)
}

/// The environment; a name that is not UTF-8 is none of ours.
pub(super) fn environment() -> impl Iterator<Item = (String, OsString)> {
    std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
}

/// The flag of a variable: `VELOZ_SIM_SEED` is `--sim-seed`.
fn flag_name(variable: &Variable) -> String {
    let name = variable.name.strip_prefix("VELOZ_").unwrap_or(variable.name);
    name.to_ascii_lowercase().replace('_', "-")
}

/// Settings that are off unless asked for: their flag needs no value.
fn is_switch(variable: &Variable) -> bool {
    variable.default == "0"
}

fn flag(variable: &'static Variable) -> Arg {
    let default = match variable.default {
        "" => String::new(),
        _ if is_switch(variable) => String::new(),
        default => format!(" [default: {default}]"),
    };
    let arg = Arg::new(variable.name)
        .long(flag_name(variable))
        .value_name("VALUE")
        .help_heading("Settings")
        .allow_hyphen_values(true)
        .help(format!("{}{default} [env: {}]", variable.help, variable.name));
    match is_switch(variable) {
        true => arg.num_args(0..=1).require_equals(true).default_missing_value("1"),
        false => arg,
    }
}

/// The flags of the variables that `wanted` takes.
pub(super) fn flags(wanted: fn(&Variable) -> bool) -> impl Iterator<Item = Arg> {
    // A secret on a command line can be read by every user of the machine.
    VARIABLES.iter().filter(move |variable| !variable.secret && wanted(variable)).map(flag)
}

/// Variable and value of each flag of these that was given.
pub(super) fn given(
    matches: &ArgMatches,
    wanted: fn(&Variable) -> bool,
) -> Vec<(&'static str, String)> {
    let value = |variable: &'static Variable| {
        let value = matches.get_one::<String>(variable.name)?;
        Some((variable.name, value.clone()))
    };
    let ours = VARIABLES.iter().filter(|variable| !variable.secret && wanted(variable));
    ours.filter_map(value).collect()
}

impl Args for ServeArgs {
    fn augment_args(command: Command) -> Command {
        let file = Arg::new(CONFIG)
            .long(CONFIG)
            .value_name("FILE")
            .value_parser(value_parser!(PathBuf))
            .env("VELOZ_CONFIG")
            .hide_env_values(true)
            .help("Configuration file (TOML)");
        command.arg(file).args(flags(|_| true)).after_help(AFTER)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for ServeArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<ServeArgs, clap::Error> {
        Ok(ServeArgs { flags: given(matches, |_| true), config: matches.get_one(CONFIG).cloned() })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, expected: &[(&'static str, &str)]) {
        let command = ServeArgs::augment_args(Command::new("serve"));
        let words = std::iter::once("serve").chain(line.split_whitespace());
        let matches = command.try_get_matches_from(words).expect("is understood");
        let args = ServeArgs::from_arg_matches(&matches).expect("is read");
        let expected: Vec<_> = expected.iter().map(|(n, v)| (*n, (*v).to_owned())).collect();
        assert_eq!(args.flags, expected, "{line}");
    }

    #[test]
    fn every_variable_has_a_flag() {
        check("", &[]);
        check(
            "--port 0 --market-source replay",
            &[("VELOZ_PORT", "0"), ("VELOZ_MARKET_SOURCE", "replay")],
        );
        check(
            "--from-start --replay-paused=0",
            &[("VELOZ_REPLAY_PAUSED", "0"), ("VELOZ_FROM_START", "1")],
        );
        check("--port -1", &[("VELOZ_PORT", "-1")]);
        let switches: Vec<_> = VARIABLES.iter().filter(|v| is_switch(v)).map(flag_name).collect();
        assert_eq!(switches, ["replay-paused", "from-start", "cancel-open", "auth-enabled"]);
    }
}
