//! `veloz reset`: empties a data directory.
//!
//! Contract: what is in it is shown first, and nothing goes without a yes: on the terminal, or `--yes`.
//! A directory in use, or one that holds no log, is left alone. Only the journal's own files go.

use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use super::error::CliError;
use super::output::{Align, Column, Output, notice};
use crate::config::{Config, Layers};
use crate::journal::{Bounds, DataDir, JournalReader, LogReader as _};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  veloz reset                  the directory that `veloz serve` would use
  veloz reset ./data --yes     without a question")]
pub(super) struct ResetArgs {
    /// The data directory [default: that of `veloz serve`: VELOZ_DATA_DIR, or the file of VELOZ_CONFIG].
    dir: Option<PathBuf>,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
}

pub(super) fn reset(args: &ResetArgs, output: &mut Output) -> Result<(), CliError> {
    let path = match &args.dir {
        Some(dir) => dir.clone(),
        None => configured_dir()?,
    };
    let dir = DataDir::open_existing(&path)?;
    let files = dir.files()?;
    show(&path, &files, output)?;
    if !args.yes && !confirmed()? {
        return Err(CliError::Usage("nothing was changed".to_owned()));
    }
    dir.remove(&files)?;
    notice(&format!("{} is empty: the next start begins with event 1", path.display()));
    Ok(())
}

/// What would go.
fn show(dir: &Path, files: &[(PathBuf, u64)], output: &mut Output) -> Result<(), CliError> {
    let bounds = JournalReader::open_offline(dir).map(|log| log.bounds());
    if output.json {
        let file = |(path, bytes): &(PathBuf, u64)| json!({"file": path, "bytes": bytes});
        let files: Vec<_> = files.iter().map(file).collect();
        output.json(&match bounds {
            Ok(Bounds { oldest, newest }) => {
                json!({"dir": dir, "files": files, "oldest": oldest, "newest": newest})
            }
            Err(error) => json!({"dir": dir, "files": files, "error": error.to_string()}),
        })?;
    } else {
        const COLUMNS: &[Column] = &[("FILE", Align::Left), ("BYTES", Align::Right)];
        let row =
            |(path, bytes): &(PathBuf, u64)| vec![path.display().to_string(), bytes.to_string()];
        output.table(COLUMNS, &files.iter().map(row).collect::<Vec<_>>())?;
        output.line(&match bounds {
            Ok(Bounds { newest: 0, .. }) => "no events".to_owned(),
            Ok(Bounds { oldest, newest }) => format!("events {oldest} to {newest}"),
            Err(error) => format!("events that cannot be read: {error}"),
        })?;
    }
    Ok(output.flush()?)
}

/// The directory that `serve` would use without flags.
fn configured_dir() -> Result<PathBuf, CliError> {
    let environment = super::serve::environment();
    let file = std::env::var_os("VELOZ_CONFIG").map(PathBuf::from);
    let layers = Layers::collect([], environment, file.as_deref())?;
    Ok(Config::from_layers(&layers)?.data_dir)
}

fn confirmed() -> Result<bool, CliError> {
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        let text = "nothing was changed: there is nobody to ask; say --yes if all of it may go";
        return Err(CliError::Usage(text.to_owned()));
    }
    let mut err = std::io::stderr();
    write!(err, "Remove all of it? Type yes: ")?;
    err.flush()?;
    let mut answer = String::new();
    stdin.lock().read_line(&mut answer)?;
    Ok(answer.trim() == "yes")
}
