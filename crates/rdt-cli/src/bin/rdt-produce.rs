//! `rdt-produce`: fills a buffer from episodes. Its commands are in `src/produce`.
#![forbid(unsafe_code)]

#[path = "../produce/mod.rs"]
mod produce;

use std::process::ExitCode;

fn main() -> ExitCode {
    rdt_cli::exit::code(produce::run())
}
