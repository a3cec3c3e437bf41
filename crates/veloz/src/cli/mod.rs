//! The command line: `veloz serve`, and everything one does with a gateway that runs.
//!
//! Contract: what was asked for goes to stdout, everything else to stderr. Exit codes: 0 done, 1 failed,
//! 2 wrong usage, 3 refused by the gateway, 4 no connection, 130 interrupted. A reader of stdout that
//! goes away ends a command quietly, with 0. `order` and `oco` are sent again with the same ids until they
//! are answered, and `tail` goes on.

mod bench;
mod engine;
mod error;
mod events;
mod journal;
mod limits;
mod output;
mod pair;
mod replay;
mod reset;
mod serve;
mod show;
mod tail;
mod trade;
mod verify;
mod views;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use veloz_client::Client;

use crate::backtest::{ReplayOptions, Replayed};
use crate::config::Config;
pub use error::CliError;
use output::Output;
pub use serve::ServeArgs;

const EXAMPLES: &str = "\
Examples:
  veloz serve                                  start the gateway on 127.0.0.1:8080
  veloz order buy BTCUSDT 0.001 50000          place a limit order
  veloz order sell BTCUSDT 0.001 --type market
  veloz orders --open                          what stands
  veloz tail --types fill,order_update         follow what happens
  veloz halt --cancel-all                      the kill switch
  veloz replay capture.gz --strategy ./bot     a strategy against a recorded market

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 refused by the gateway, 4 no connection,
130 interrupted.";

/// VeloZ, a self-hosted trading gateway.
#[derive(Debug, Parser)]
#[command(name = "veloz", version, after_help = EXAMPLES, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    global: Global,
}

#[derive(Debug, clap::Args)]
struct Global {
    /// Address of the gateway.
    #[arg(
        long,
        global = true,
        env = "VELOZ_URL",
        hide_env_values = true,
        default_value = "http://127.0.0.1:8080",
        value_name = "URL"
    )]
    url: String,
    /// Print JSON, not tables; what is refused is told in words all the same, and by the exit code.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the gateway.
    Serve(ServeArgs),
    /// Run the simulated exchange alone, over standard input and output.
    Engine(engine::EngineArgs),
    /// Run a strategy against a recorded market, as fast as possible, and report what came of it.
    Replay(replay::ReplayArgs),
    /// Place an order; it is sent again, with the same id, until it is answered.
    Order(trade::OrderArgs),
    /// Place two orders of which one at most is executed; sent again, with the same ids, until answered.
    Oco(pair::OcoArgs),
    /// Give an order that stands another quantity or limit.
    Amend(trade::AmendArgs),
    /// Take an order back.
    Cancel(trade::CancelArgs),
    /// Take every open order back.
    CancelAll(trade::CancelAllArgs),
    /// Orders and how they stand.
    Orders(trade::OrdersArgs),
    /// Balances.
    Account,
    /// The last price of a symbol.
    Market(views::SymbolArgs),
    /// The order book that the simulated venue trades on.
    Book(views::BookArgs),
    /// Whether the gateway works.
    Health,
    /// The limits in front of the venue and how much of each is used; sets those that are named.
    Risk(limits::RiskArgs),
    /// Stop taking orders: the kill switch. Cancels are still taken.
    Halt(trade::HaltArgs),
    /// Take orders again.
    Resume,
    /// Follow the events as they happen; resumes by itself.
    Tail(tail::TailArgs),
    /// Measure how fast this gateway is; places no order unless told to.
    Bench(bench::BenchArgs),
    /// Print the log of a data directory; no gateway is needed.
    Events(events::EventsArgs),
    /// Check, show, repair and copy the log of a data directory; no gateway is needed.
    #[command(subcommand)]
    Journal(journal::JournalCommand),
    /// Empty a data directory: all orders, balances and events in it are gone.
    Reset(reset::ResetArgs),
    /// Print the completion script of a shell.
    #[command(after_help = "Example: veloz completions bash > /etc/bash_completion.d/veloz")]
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

/// What runs until it ends, given a checked configuration.
#[derive(Debug, Clone, Copy)]
pub struct Programs {
    /// The gateway.
    pub serve: fn(Config) -> anyhow::Result<()>,
    /// The engine alone.
    pub engine: fn(Config) -> anyhow::Result<()>,
    /// A strategy against a capture.
    pub replay: fn(Config, ReplayOptions<'_>) -> anyhow::Result<Replayed>,
}

/// Runs the program.
pub fn main(programs: Programs) -> ExitCode {
    let cli = match Cli::try_parse_from(std::env::args_os().collect::<Vec<OsString>>()) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version come this way too, with code 0. A closed pipe is no failure.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(error::FAILED));
        }
    };
    let url = cli.global.url.clone();
    match run(cli, programs) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => error.report(&url),
    }
}

fn run(cli: Cli, programs: Programs) -> Result<(), CliError> {
    match cli.command {
        Command::Serve(args) => serve::run(&args, programs.serve),
        Command::Engine(args) => engine::run(&args, programs.engine),
        Command::Replay(args) => {
            let mut output = Output::stdout(cli.global.json);
            replay::replay(&args, programs.replay, &mut output)
        }
        Command::Completions { shell } => completions(shell),
        Command::Events(args) => offline(cli.global.json, |output| events::events(&args, output)),
        Command::Journal(command) => {
            offline(cli.global.json, |output| journal::journal(&command, output))
        }
        Command::Reset(args) => offline(cli.global.json, |output| reset::reset(&args, output)),
        command => {
            let client = Client::new(&cli.global.url)?;
            let mut output = Output::stdout(cli.global.json);
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(online(command, &client, &mut output))?;
            Ok(output.flush()?)
        }
    }
}

/// What is printed stays printed when the command fails.
fn offline(
    json: bool,
    command: impl FnOnce(&mut Output) -> Result<(), CliError>,
) -> Result<(), CliError> {
    let mut output = Output::stdout(json);
    let done = command(&mut output);
    output.flush()?;
    done
}

async fn online(command: Command, client: &Client, output: &mut Output) -> Result<(), CliError> {
    match command {
        Command::Order(args) => trade::order(client, &args, output).await,
        Command::Oco(args) => pair::oco(client, &args, output).await,
        Command::Risk(args) => limits::risk(client, &args, output).await,
        Command::Amend(args) => trade::amend(client, &args, output).await,
        Command::Cancel(args) => trade::cancel(client, &args, output).await,
        Command::CancelAll(args) => trade::cancel_all(client, &args, output).await,
        Command::Orders(args) => trade::orders(client, &args, output).await,
        Command::Halt(args) => trade::halt(client, &args, output).await,
        Command::Resume => trade::resume(client, output).await,
        Command::Account => views::account(client, output).await,
        Command::Market(args) => views::market(client, &args, output).await,
        Command::Book(args) => views::book(client, &args, output).await,
        Command::Health => views::health(client, output).await,
        Command::Tail(args) => tail::tail(client, &args, output).await,
        Command::Bench(args) => bench::bench(client, &args, output).await,
        Command::Serve(_)
        | Command::Engine(_)
        | Command::Replay(_)
        | Command::Events(_)
        | Command::Journal(_)
        | Command::Reset(_)
        | Command::Completions { .. } => Ok(()),
    }
}

fn completions(shell: clap_complete::Shell) -> Result<(), CliError> {
    use std::io::Write as _;
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "veloz", &mut script);
    Ok(std::io::stdout().lock().write_all(&script)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_holds() {
        Cli::command().debug_assert();
    }
}
