//! The main job on the sample episodes: produce, inspect, train.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::steps::{self, root, say};
use crate::toolchain::Toolchain;

/// RDT's default learning rate suits 200,000 steps of fine-tuning, not a minute.
const TRAINING: [&str; 12] = [
    "--train-batch-size",
    "16",
    "--max-train-steps",
    "200",
    "--learning-rate",
    "1e-3",
    "--lr-scheduler",
    "constant_with_warmup",
    "--lr-warmup-steps",
    "20",
    "--checkpointing-period",
    "100",
];

/// Runs it; everything goes into `folder` (default: `target/demo`), which is made anew.
pub(crate) fn run(tools: &Toolchain, folder: Option<&str>) -> Result<()> {
    say("building the programs");
    steps::run(tools.cargo().args(["build", "--release", "--package", "rdt-cli"]))?;
    let folder = folder.map_or_else(|| root().join("target/demo"), PathBuf::from);
    let folder = std::path::absolute(&folder).with_context(|| format!("cannot find {}", folder.display()))?;
    make_anew(&folder)?;
    let buffer = folder.join("buffer");
    let output = folder.join("train");
    let program = |name: &str| tools.command(root().join("target/release").join(name));

    say("producing: every step of every sample episode becomes a sample");
    steps::run(
        program("rdt-produce")
            .args(["--fill-up", "--config", "configs/tiny.yaml"])
            .args(["--dataset", "libero=tests/data/libero", "--dataset", "agilex=tests/data/aloha"])
            .arg("--buffer")
            .arg(&buffer),
    )?;
    say("inspecting the buffer");
    steps::run(program("rdt-buf").arg("stat").arg(&buffer))?;
    let sample = folder.join("sample.png");
    steps::run(program("rdt-buf").arg("show").arg(&buffer).args(["40", "--png"]).arg(&sample))?;

    say("training a small network (random image encoder, hashed words: a demonstration)");
    steps::run(
        program("rdt-consume")
            .args(["--config", "configs/tiny.yaml"])
            .arg("--buffer")
            .arg(&buffer)
            .arg("--output-dir")
            .arg(&output)
            .args(TRAINING),
    )?;
    say("done; look at");
    for picture in [sample, output.join("loss.png")] {
        eprintln!("    {}", picture.display());
    }
    Ok(())
}

/// The demonstration starts from nothing, and removes only what an earlier one made.
fn make_anew(folder: &Path) -> Result<()> {
    for made in ["buffer", "train"].map(|name| folder.join(name)) {
        if made.exists() {
            fs::remove_dir_all(&made).with_context(|| format!("cannot remove {}", made.display()))?;
        }
    }
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))
}
