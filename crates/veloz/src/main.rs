//! The program: see `veloz --help`.

use std::process::ExitCode;

fn main() -> ExitCode {
    veloz::cli::main(|_config| Err(anyhow::anyhow!("this build has no gateway yet")))
}
