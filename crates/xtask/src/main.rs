//! Project tasks, so that a fresh machine needs cargo, Python 3 and a C++ compiler only.
//!
//! `cargo xtask demo` runs the main job on the sample episodes, `cargo xtask test` passes
//! the tests; both first install what they need into the user's cache, see [`toolchain`].
#![forbid(unsafe_code)]

mod check;
mod demo;
mod direction;
mod steps;
mod toolchain;
mod words;

use std::process::ExitCode;

const HELP: &str = "\
cargo xtask TASK

  demo [DIR]   produce from the sample episodes, show the buffer, train a small network;
               everything it makes goes to DIR (default: target/demo)
  test [ARGS]  run all tests; ARGS go to cargo test
  check        formatting, the direction of crates, words in the wrong place, clippy and documentation,
               warnings denied
  setup        only install what the build needs (libtorch and cmake, into the user's cache)
  env          print the environment of the build; for plain cargo commands:
                 eval \"$(cargo xtask env)\"
";

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let task = args.next();
    let rest: Vec<String> = args.collect();
    let result = match task.as_deref() {
        Some("demo") => {
            toolchain::set_up().and_then(|tools| demo::run(&tools, rest.first().map(String::as_str)))
        }
        Some("test") => toolchain::set_up().and_then(|tools| check::test(&tools, &rest)),
        Some("check") => toolchain::set_up().and_then(|tools| check::all(&tools)),
        Some("setup") => toolchain::set_up().map(|_| ()),
        Some("env") => toolchain::set_up().map(|tools| tools.print_exports()),
        Some("help" | "--help" | "-h") => {
            print!("{HELP}");
            Ok(())
        }
        found => {
            eprint!(
                "error: {} is no task\n\n{HELP}",
                found.map_or("nothing".into(), |name| format!("`{name}`"))
            );
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
