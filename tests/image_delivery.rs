//! `--image-delivery`: where images are prepared changes the loss next to nothing.

use std::path::Path;

use crate::support::{consume, fill_libero, root};

/// The loss of one step.
fn loss(folder: &Path, delivery: &str) -> f64 {
    let text = |name: &str| folder.join(name).display().to_string();
    let (buffer, out) = (text("buffer"), text(delivery));
    let args = ["--buffer", &buffer, "--output-dir", &out, "--device", "cpu", "--train-batch-size", "4"];
    let more = ["--max-train-steps", "1", "--image-delivery", delivery];
    let run = consume(args.into_iter().chain(more)).expect(0);
    assert_eq!(run.stderr.contains("on the device"), delivery == "frames", "{}", run.stderr);
    let line = run.stdout.lines().find_map(|line| line.strip_prefix("last_loss ")).expect("a loss");
    line.parse().expect("a number")
}

#[test]
fn frames_prepared_on_the_device_train_as_those_of_the_cpu() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = root().join("configs/tiny.yaml").display().to_string();
    fill_libero(&folder.path().join("buffer"), &["--config", &config]).expect(0);
    let [auto, pixel, frames] = ["auto", "pixel", "frames"].map(|delivery| loss(folder.path(), delivery));
    assert_eq!(auto, pixel);
    assert!((frames / pixel - 1.0).abs() < 1e-3, "{frames} {pixel}");
}
