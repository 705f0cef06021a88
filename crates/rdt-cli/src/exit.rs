//! What a program ends with. Documented in the README; scripts rely on it.

use std::process::ExitCode;

/// How a program ended, when it did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Everything was done.
    Done,
    /// It ran to its end, and something was skipped or lost; the report names each.
    Incomplete,
}

/// A wrong command line, configuration or card: exit code 2.
///
/// Wrap an error in it (`Err(Usage::new("..."))`) where the user must change what they
/// typed or wrote, not where the world failed.
#[derive(Debug)]
pub struct Usage(anyhow::Error);

impl Usage {
    /// From a message that says what was found, what was expected and what to do.
    #[expect(clippy::new_ret_no_self, reason = "it only ever travels as an anyhow error")]
    pub fn new(message: impl std::fmt::Display) -> anyhow::Error {
        anyhow::Error::new(Usage(anyhow::anyhow!("{message}")))
    }

    /// From another error, which keeps its causes.
    pub fn from_error(error: impl Into<anyhow::Error>) -> anyhow::Error {
        anyhow::Error::new(Usage(error.into()))
    }
}

impl std::fmt::Display for Usage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Usage {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source()
    }
}

/// Turns a program's result into its exit code: 0 done, 1 failed, 2 wrong usage or
/// configuration, 3 finished but something was skipped or lost. Failures are printed to
/// standard error with their causes.
pub fn code(result: anyhow::Result<Outcome>) -> ExitCode {
    match result {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::Incomplete) => ExitCode::from(3),
        Err(error) => {
            eprintln!("error: {error}");
            for cause in error.chain().skip(1) {
                eprintln!("  because: {cause}");
            }
            ExitCode::from(if error.downcast_ref::<Usage>().is_some() { 2 } else { 1 })
        }
    }
}
