//! The tests, and what CI checks besides.

use anyhow::Result;

use crate::steps::{run, say};
use crate::toolchain::Toolchain;
use crate::{direction, words};

/// Runs all tests of the workspace, documentation examples included.
pub(crate) fn test(tools: &Toolchain, arguments: &[String]) -> Result<()> {
    say("running the tests");
    run(tools.cargo().args(["test", "--workspace"]).args(arguments))
}

/// Formatting, searches, clippy and documentation, warnings denied.
pub(crate) fn all(tools: &Toolchain) -> Result<()> {
    say("checking the formatting");
    run(tools.cargo().args(["fmt", "--all", "--check"]))?;
    say("checking the direction of crates, and words in the wrong place");
    direction::check(tools)?;
    words::check()?;
    say("checking with clippy");
    run(tools.cargo().args(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))?;
    say("checking the documentation");
    run(tools
        .cargo()
        .args(["doc", "--workspace", "--no-deps", "--document-private-items"])
        .env("RUSTDOCFLAGS", "-D warnings"))
}
