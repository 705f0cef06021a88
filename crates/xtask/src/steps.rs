//! Running commands as visible steps, from the root of the checkout.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

use anyhow::{Context, Result, bail};

/// The root of the checkout.
pub(crate) fn root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.ancestors().nth(2).unwrap_or(manifest).to_owned()
}

/// Says what is being done.
pub(crate) fn say(what: &str) {
    eprintln!("==> {what}");
}

/// Whether a program of that name is on the path.
pub(crate) fn is_installed(program: &str) -> bool {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&paths).any(|folder| folder.join(program).is_file())
}

/// Runs `command`, showing it first.
///
/// # Errors
/// It cannot be started, or ends with another status than 0.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let (status, shown) = show_and_run(command)?;
    if !status.success() {
        bail!("`{shown}` ended with {status}");
    }
    Ok(())
}

/// Runs `command`, showing it first; any exit status will do.
///
/// What it prints goes to standard error: standard output is that of the task alone, which
/// `eval "$(cargo xtask env)"` takes as commands.
///
/// # Errors
/// It cannot be started.
pub(crate) fn show_and_run(command: &mut Command) -> Result<(ExitStatus, String)> {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let shown = words.map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ");
    eprintln!("$ {shown}");
    let status =
        command.stdout(std::io::stderr()).status().with_context(|| format!("cannot start `{shown}`"))?;
    Ok((status, shown))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs this test again as a process of its own, whose task is to run a command that prints.
    #[test]
    fn nothing_that_a_command_prints_goes_to_standard_output() -> Result<()> {
        const ASKED: &str = "XTASK_TEST_RUNS_A_COMMAND";
        if std::env::var_os(ASKED).is_some() {
            return run(Command::new("sh").args(["-c", "echo Get:1 some package"]));
        }
        let name = "steps::tests::nothing_that_a_command_prints_goes_to_standard_output";
        let output = Command::new(std::env::current_exe()?)
            .args(["--exact", name, "--nocapture"])
            .env(ASKED, "1")
            .output()?;
        assert!(output.status.success());
        assert!(!String::from_utf8_lossy(&output.stdout).contains("Get:1"));
        assert!(String::from_utf8_lossy(&output.stderr).contains("Get:1 some package"));
        Ok(())
    }
}
