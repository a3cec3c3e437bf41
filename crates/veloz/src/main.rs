//! The program: see `veloz --help`.

use std::process::ExitCode;

use veloz::cli::Programs;

/// Order entry allocates on several threads: this allocator serves that best.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    veloz::cli::main(Programs {
        serve: veloz::gateway::run,
        engine: veloz::gateway::run_engine,
        replay: veloz::gateway::run_replay,
    })
}
