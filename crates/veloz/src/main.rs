//! The program: see `veloz --help`.

use std::process::ExitCode;

use veloz::cli::Programs;

// Order entry allocates on several threads: this allocator serves that best. It is linked in the place of the C library's
// `malloc`.
use mimalloc as _;

fn main() -> ExitCode {
    veloz::cli::main(Programs {
        serve: veloz::gateway::run,
        engine: veloz::gateway::run_engine,
        replay: veloz::gateway::run_replay,
    })
}
