//! Running the programs and finding the sample episodes.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

/// The sample episodes in the repository.
pub(crate) fn sample_data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data")
}

/// The root of the repository.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// What a program printed and how it ended.
#[derive(Debug)]
pub(crate) struct Run {
    /// Exit code; `None` if a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Run {
    /// Fails the test, showing everything printed, unless the program ended with `code`.
    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    /// Standard output as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error} in\n{}", self.stdout))
    }

    /// Fails the test unless standard error holds each of `words`.
    #[track_caller]
    pub(crate) fn says(self, words: &[&str]) -> Self {
        for word in words {
            assert!(self.stderr.contains(word), "`{word}` is not said in:\n{}", self.stderr);
        }
        self
    }
}

impl From<Output> for Run {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// `rdt-produce` with arguments, not yet started.
pub(crate) fn produce_command<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Command {
    command(env!("CARGO_BIN_EXE_rdt-produce"), args)
}

/// Runs `rdt-produce`.
pub(crate) fn produce<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Run {
    run(produce_command(args))
}

/// Runs `rdt-buf`.
pub(crate) fn buf<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Run {
    run(command(env!("CARGO_BIN_EXE_rdt-buf"), args))
}

/// `rdt-consume` with arguments, not yet started.
pub(crate) fn consume_command<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Command {
    command(env!("CARGO_BIN_EXE_rdt-consume"), args)
}

/// Runs `rdt-consume`.
pub(crate) fn consume<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Run {
    run(consume_command(args))
}

fn command<S: AsRef<OsStr>>(program: &str, args: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(program);
    command.args(args);
    command
}

/// Runs a command to its end.
pub(crate) fn run(mut command: Command) -> Run {
    command.output().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}")).into()
}

/// Fills `buffer` with the LIBERO sample episodes (168 samples), `more` arguments added.
#[track_caller]
pub(crate) fn fill_libero(buffer: &Path, more: &[&str]) -> Run {
    let dataset = format!("libero={}", sample_data().join("libero").display());
    let buffer = buffer.display().to_string();
    let mut args = vec!["--fill-up", "--dataset", &dataset, "--buffer", &buffer];
    args.extend(more);
    produce(args)
}

/// How tests open HDF5 files: without the library's lock, which would live on in a program
/// that another test starts while the file is open.
pub(crate) fn hdf5_files() -> hdf5::FileBuilder {
    let mut builder = hdf5::File::with_options();
    builder.with_fapl(|list| list.file_locking(false));
    builder
}
