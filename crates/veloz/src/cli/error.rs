//! What a command can end with, and what its user can do about it.

use std::path::PathBuf;
use std::process::ExitCode;

use veloz_client::{ClientOrderId, Error};

use super::output::notice;
use crate::config::ConfigError;
use crate::journal::{JournalError, LogError};

pub(super) const FAILED: u8 = 1;
const USAGE: u8 = 2;
const REFUSED: u8 = 3;
const NOT_CONNECTED: u8 = 4;
const INTERRUPTED: u8 = 130;
const NAME_A_DIRECTORY: &str = "name a gateway's data directory (its VELOZ_DATA_DIR)";

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// The gateway said no, or nothing.
    #[error(transparent)]
    Client(#[from] Error),
    /// An order whose fate is not known.
    #[error("it is not known whether order {id} was placed")]
    UnknownOutcome {
        /// The order.
        id: ClientOrderId,
        /// What happened.
        source: Error,
    },
    /// Arguments that do not go together, or a yes that is missing.
    #[error("{0}")]
    Usage(String),
    /// A setting of `serve`.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The log of a data directory cannot be opened.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The log of a data directory cannot be read.
    #[error(transparent)]
    Log(#[from] LogError),
    /// What a check of a log found.
    #[error("{} is damaged: {problems} problem(s)", dir.display())]
    Damaged {
        /// The directory.
        dir: PathBuf,
        /// How many.
        problems: usize,
    },
    /// What a bench needs did not happen.
    #[error("{0}")]
    Bench(String),
    /// The gateway of `serve` failed.
    #[error("{}", chain(.0))]
    Serve(anyhow::Error),
    /// Printing failed.
    #[error("cannot print")]
    Print(#[from] std::io::Error),
    /// Ctrl-C.
    #[error("interrupted")]
    Interrupted,
}

impl CliError {
    /// Why an order was not answered as placed: it may stand all the same, or it does not.
    pub(super) fn of_placing(id: ClientOrderId, source: Error) -> CliError {
        if source.leaves_open() { CliError::UnknownOutcome { id, source } } else { source.into() }
    }

    /// Says it on stderr, with what to do next, and gives the exit code.
    pub(super) fn report(&self, url: &str) -> ExitCode {
        if let CliError::Print(error) = self
            && error.kind() == std::io::ErrorKind::BrokenPipe
        {
            return ExitCode::SUCCESS;
        }
        if !matches!(self, CliError::Interrupted) {
            let text = format!("error: {}", self.text(url));
            match self {
                // It shows the line of the file.
                CliError::Config(_) => text.lines().for_each(notice),
                _ => notice(&text),
            }
            if let Some(hint) = self.hint() {
                notice(&format!("hint: {hint}"));
            }
        }
        ExitCode::from(self.code())
    }

    fn text(&self, url: &str) -> String {
        match self {
            CliError::Client(error) if error.is_connect() => {
                format!("cannot connect to {url}: {}", root_cause(error))
            }
            // Its text holds its causes already.
            CliError::Serve(_) => self.to_string(),
            _ => match root_cause(self) {
                cause if self.to_string().contains(&cause) => self.to_string(),
                cause => format!("{self}: {cause}"),
            },
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            CliError::Client(error) if error.is_connect() => Some(
                "is the gateway running? start it with `veloz serve`, or name another with --url"
                    .to_owned(),
            ),
            CliError::Client(Error::Decode { .. } | Error::Foreign(_)) => {
                Some("is that address a gateway's, of this version?".to_owned())
            }
            CliError::Client(error) => match error.api()?.code.as_str() {
                "duplicate_client_order_id" => {
                    Some("that id belongs to another order: leave --id out".to_owned())
                }
                "unauthorized" => Some("this gateway wants a token".to_owned()),
                _ => None,
            },
            CliError::UnknownOutcome { id, .. } => Some(format!(
                "ask with `veloz orders --id {id}`, or send the same order again with `--id {id}`: \
                 it is placed once"
            )),
            CliError::Journal(JournalError::NoLog { .. }) => Some(NAME_A_DIRECTORY.to_owned()),
            CliError::Journal(JournalError::Io { source, .. })
                if source.kind() == std::io::ErrorKind::NotFound =>
            {
                Some(NAME_A_DIRECTORY.to_owned())
            }
            CliError::Damaged { .. } => Some(
                "restore a backup; or see `veloz journal repair --help`, which cuts off a damaged end"
                    .to_owned(),
            ),
            CliError::Config(_) => Some("`veloz serve --help` lists the settings".to_owned()),
            _ => None,
        }
    }

    fn code(&self) -> u8 {
        match self {
            CliError::Usage(_) => USAGE,
            CliError::Interrupted => INTERRUPTED,
            CliError::Client(Error::Url(_)) => USAGE,
            CliError::Client(error) if error.is_connect() => NOT_CONNECTED,
            CliError::Client(error) if !error.may_pass() && error.api().is_some() => REFUSED,
            _ => FAILED,
        }
    }
}

/// The texts of the chain, those left out that the one before has told already.
fn chain(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string).filter(|cause| !cause.is_empty()) {
        if !text.contains(&cause) {
            text += if text.is_empty() { "" } else { ": " };
            text += &cause;
        }
    }
    text
}

/// The last in the chain: the one that says what happened.
fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
