//! The program: see `veloz --help`.

use std::process::ExitCode;

/// Order entry allocates on several threads: this allocator serves that best.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    veloz::cli::main(veloz::gateway::run)
}
