//! `rdt-consume` as a user runs it: trains, stops, resumes, refuses.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::support::{Run, consume, consume_command, fill_libero, root};

/// A share of the sample episodes that holds one of them out.
const HALF: &str = "0.5";

/// A filled buffer and a place for checkpoints.
struct Place {
    folder: tempfile::TempDir,
    config: PathBuf,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let config = folder.path().join("tiny.yaml");
        fs::copy(root().join("configs/tiny.yaml"), &config).expect("tiny.yaml");
        let buffer = folder.path().join("buffer");
        fill_libero(&buffer, &["--config", config.to_str().expect("text")]).expect(0);
        Self { folder, config }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn args(&self, more: &[&str]) -> Vec<String> {
        let text = |path: PathBuf| path.display().to_string();
        let mut args = vec!["--config".to_owned(), self.config.display().to_string()];
        args.extend(["--buffer".to_owned(), text(self.path("buffer"))]);
        args.extend(["--output-dir".to_owned(), text(self.path("out"))]);
        args.extend(["--device", "cpu", "--train_batch_size", "4"].map(str::to_owned));
        args.extend(more.iter().map(|&word| word.to_owned()));
        args
    }

    fn train(&self, steps: u32, more: &[&str]) -> Run {
        consume(self.args(&[&["--max-train-steps", &steps.to_string()], more].concat()))
    }

    fn train_epoch(&self, more: &[&str]) -> Run {
        consume(self.args(&[&["--num-train-epochs", "1"], more].concat()))
    }

    fn edit_config(&self, from: &str, to: &str) {
        let text = fs::read_to_string(&self.config).expect("config");
        assert!(text.contains(from), "{from}");
        fs::write(&self.config, text.replace(from, to)).expect("config");
    }
}

fn steps_logged(folder: &Path) -> usize {
    fs::read_to_string(folder.join("metrics.jsonl")).map_or(0, |text| text.lines().count())
}

#[test]
fn training_leaves_a_checkpoint_metrics_and_a_picture() {
    let place = Place::new();
    let run = place.train(3, &["--learning_rate", "1e-3"]).expect(0).says(&["untrained", "device: cpu"]);
    assert!(run.stdout.contains("first_loss") && run.stdout.contains("last_loss"), "{}", run.stdout);
    let out = place.path("out");
    assert_eq!(steps_logged(&out), 3);
    let events = || fs::read_dir(out.join("logs")).map_or(0, |files| files.count());
    assert_eq!(events(), 1);
    for file in ["loss.png", "checkpoint-3/trainer.json", "checkpoint-3/ema/model.safetensors"] {
        assert!(out.join(file).is_file(), "{file}");
    }
    place.train(3, &[]).expect(2).says(&["--resume-from-checkpoint latest"]);
    place.train(5, &["--resume-from-checkpoint", "latest"]).expect(0).says(&["at step 3"]);
    assert_eq!((steps_logged(&out), events()), (5, 2));
    let last = ["--resume-from-checkpoint", "latest", "--report-to", "none", "--state-noise-snr", "40"];
    place.train(6, &last).expect(0).says(&["changed since then: ", "--state-noise-snr null -> 40"]);
    assert_eq!(events(), 2);
}

#[test]
fn sigterm_saves_a_checkpoint_that_resumes() {
    let place = Place::new();
    let flags = ["--learning-rate", "1e-3", "--gradient-accumulation-steps", "2"];
    let endless = ["--num-train-epochs", "9999", "--checkpointing-period", "99999"];
    let mut child = consume_command(place.args(&[&flags[..], &endless].concat()))
        .stderr(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("rdt-consume");
    // The first epoch's checkpoint folder does not exist yet: the log is what shows progress.
    let started = Instant::now();
    while !place.path("out/metrics.jsonl").exists() {
        assert!(started.elapsed() < Duration::from_secs(120), "it never started");
        std::thread::sleep(Duration::from_millis(50));
    }
    std::thread::sleep(Duration::from_secs(2));
    let killed = std::process::Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
    assert!(killed.expect("kill").success());
    let status = child.wait().expect("its end");
    assert_eq!(status.code(), Some(1));
    let done = steps_logged(&place.path("out"));
    assert!(place.path(&format!("out/checkpoint-{done}")).is_dir(), "no checkpoint at step {done}");
    let more = done as u32 + 2;
    place.train(more, &[&flags[..], &["--resume-from-checkpoint", "latest"]].concat()).expect(0);
    assert_eq!(steps_logged(&place.path("out")), done + 2);
    // Those of a run that nobody stopped.
    let weights = || fs::read(place.path(&format!("out/checkpoint-{more}/model.safetensors")));
    let resumed = weights().expect("weights");
    fs::remove_dir_all(place.path("out")).expect("the folder");
    place.train(more, &flags).expect(0);
    assert!(weights().expect("weights") == resumed, "the weights differ at step {more}");
}

#[test]
fn wrong_usage_ends_with_2_and_says_what_to_do() {
    let place = Place::new();
    consume(["--output-dir", "x"]).expect(2).says(&["--buffer"]);
    place.train(1, &["--learning-rate=-1"]).expect(2).says(&["--learning-rate", "from 0 on"]);
    place.train(1, &["--adam-beta1", "1.5"]).expect(2).says(&["--adam-beta1", "less than 1"]);
    place.train(0, &[]).expect(2).says(&["--max-train-steps", "at least 1"]);
    place.train(1, &["--cpu-threads", "0"]).expect(2).says(&["--cpu-threads"]);
    place.train(1, &["--cpu-threads", "10000000"]).expect(2).says(&["--cpu-threads", "at most"]);
    place.train(1, &["--lr-power", "nan"]).expect(2).says(&["--lr-power"]);
    place.train(1, &["--resume-from-checkpoint", "checkpoint-7"]).expect(2).says(&["checkpoint-7"]);
    place.edit_config("num_cameras: 3", "num_cameras: 1");
    place.train(1, &[]).expect(0).says(&["num_cameras is 1: right_wrist"]);
}

#[test]
fn the_configuration_is_by_default_the_buffers_own() {
    let place = Place::new();
    fs::remove_file(&place.config).expect("config");
    let args = place.args(&["--max-train-steps", "1"]);
    let (config, rest) = args.split_at(2);
    assert_eq!(config[0], "--config");
    consume(rest).expect(0);
    consume([rest, &["--resume-from-checkpoint", "latest", "--seed", "9"].map(str::to_owned)].concat())
        .expect(2)
        .says(&["--seed is 9"]);
    // Another order would see samples of this epoch again, and miss others.
    let windowed = ["--resume-from-checkpoint", "latest", "--order", "windowed"].map(str::to_owned);
    consume([rest, &windowed].concat()).expect(2).says(&["windowed order of 64 chunks", "plan"]);
}

#[test]
fn trained_encoders_are_read_from_their_folders_and_must_fit_the_network() {
    let place = Place::new();
    let folder = |name: &str| root().join("tests/encoders").join(name).display().to_string();
    let (siglip, t5) = (folder("siglip_whole"), folder("t5_whole"));
    let vision = ["--pretrained_vision_encoder_name_or_path", siglip.as_str()];
    let both = [&vision[..], &["--pretrained-text-encoder-name-or-path", &t5]].concat();
    place.edit_config("encoder: random_patch", "encoder: siglip");
    place.edit_config("encoder: hashed_words", "encoder: t5");
    place.train(1, &[]).expect(2).says(&["--pretrained-vision-encoder-name-or-path is missing", "SigLIP"]);
    place
        .train(1, &["--pretrained-vision-encoder-name-or-path", "google/siglip"])
        .expect(2)
        .says(&["no folder"]);
    place.train(1, &both).expect(2).says(&["model.img_token_dim is 64, expected 36"]);
    place.edit_config("img_token_dim: 64", "img_token_dim: 36");
    place.train(1, &both).expect(2).says(&["model.vision.image_size is 48, expected 40"]);
    place.edit_config("image_size: 48", "image_size: 40");
    place.edit_config("patch_size: 12", "patch_size: 14");
    place.train(1, &vision).expect(2).says(&["--pretrained-text-encoder-name-or-path is missing", "T5"]);
    place.train(1, &both).expect(2).says(&["model.lang_token_dim is 64, expected 32"]);
    place.edit_config("lang_token_dim: 64", "lang_token_dim: 32");
    place.edit_config("tokenizer_max_length: 64", "tokenizer_max_length: 256");
    place.train(2, &both).expect(0).says(&["SigLIP", "T5 v1.1 encoder"]);
}

#[test]
fn weights_go_out_and_in_and_must_be_the_networks() {
    let place = Place::new();
    place.train(2, &["--learning_rate", "1e-3", "--lr-warmup-steps", "0"]).expect(0);
    let (checkpoint, out) = (place.path("out/checkpoint-2"), place.path("weights"));
    let text = |path: &Path| path.display().to_string();
    consume(["export-weights", &text(&checkpoint), "--out", &text(&out)]).expect(0);
    assert!(out.join("config.json").is_file());
    let pretrained = ["--pretrained_model_name_or_path", &text(&out)];
    let fresh = |folder: &str, more: &[&str]| {
        let steps = ["--max-train-steps", "1", "--learning-rate", "0", "--adam-weight-decay", "0"];
        let folder = text(&place.path(folder));
        let mut args = place.args(&[&steps[..], more].concat());
        let output = args.iter().position(|word| word == "--output-dir").expect("the flag") + 1;
        args[output] = folder;
        consume(args)
    };
    fresh("again", &pretrained).expect(0).says(&["starting from the weights in"]);
    // A step at learning rate 0 leaves the weights as they came.
    let model = |folder: &str| fs::read(place.path(folder)).expect("weights");
    assert!(model("out/checkpoint-2/model.safetensors") == model("again/checkpoint-1/model.safetensors"));
    let file = text(&out.join("pytorch_model.bin"));
    fresh("file", &["--pretrained-model-name-or-path", &file]).expect(0);
    fresh("none", &["--pretrained-model-name-or-path", "org/rdt-1b"]).expect(2).says(&["download"]);
    place.edit_config("depth: 4", "depth: 3");
    fresh("other", &pretrained).expect(1).says(&["config.rdt.depth 4 instead of 3"]);
    fresh("other", &["--pretrained-model-name-or-path", &file])
        .expect(1)
        .says(&["not known: model.blocks.3"]);
}

#[test]
fn sampling_while_training_changes_nothing_and_sample_finds_the_same_figures() {
    let place = Place::new();
    let few = ["--num_sample_batches", "1", "--sample_batch_size", "3"];
    let train = ["--learning-rate", "1e-3", "--lr-warmup-steps", "0", "--seed", "5"];
    place
        .train(4, &[&train[..], &few, &["--sample-period", "2"]].concat())
        .expect(0)
        .says(&["libero_sample_mse"]);
    let sampled = place.path("sampled");
    fs::rename(place.path("out"), &sampled).expect("out");
    let log = fs::read_to_string(sampled.join("samples.jsonl")).expect("samples.jsonl");
    let lines: Vec<serde_json::Value> =
        log.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(lines.iter().map(|line| line["step"].as_u64()).collect::<Vec<_>>(), [Some(2), Some(4)]);
    assert!(lines[1]["overall_avg_sample_mse"].as_f64().is_some_and(|mse| mse > 0.0), "{log}");

    place.train(4, &train).expect(0);
    let model = |folder: &Path| fs::read(folder.join("checkpoint-4/model.safetensors")).expect("weights");
    assert!(model(&sampled) == model(&place.path("out")), "sampling changed the training");

    let (checkpoint, buffer) = (sampled.join("checkpoint-4"), place.path("buffer"));
    let text = |path: &Path| path.display().to_string();
    let args = ["sample", "--checkpoint", &text(&checkpoint), "--buffer", &text(&buffer), "--json"];
    let rest = ["--device", "cpu", "--seed", "5"];
    let figures = consume([&args[..], &rest, &few].concat()).expect(0).json();
    for (name, value) in figures.as_object().expect("an object") {
        assert_eq!(value, &lines[1][name], "{name}");
    }
    assert_eq!(
        figures.as_object().map(|figures| figures.len() + 1),
        lines[1].as_object().map(|line| line.len())
    );
    place
        .train(4, &["--sample-period", "1", "--num-sample-batches", "0"])
        .expect(2)
        .says(&["--num-sample-batches"]);
}

#[test]
fn episodes_held_out_are_never_trained_on_and_the_share_stays_that_of_the_run() {
    let place = Place::new();
    // One of the two sample episodes: their hashes are fixed.
    let share = ["--holdout", HALF];
    let sampled = ["--sample_period", "1", "--num-sample-batches", "1", "--sample-batch-size", "2"];
    let run = place.train(1, &[&share[..], &sampled].concat()).expect(0);
    let said = "held out of training: 1 of 2 episodes, ";
    let told = run.says(&[said, "libero_sample_mse"]).stderr;
    let samples = told.split(said).nth(1).and_then(|rest| rest.split(' ').next());
    let held_out: u64 = samples.and_then(|count| count.parse().ok()).expect("a number of samples");
    assert!(0 < held_out && held_out < 168, "{held_out}");
    place.train(2, &["--resume-from-checkpoint", "latest"]).expect(2).says(&["--holdout is 0", HALF]);
    place.train(2, &[&share[..], &["--resume-from-checkpoint", "latest"]].concat()).expect(0);

    let (checkpoint, buffer) = (place.path("out/checkpoint-2"), place.path("buffer"));
    let text = |path: &Path| path.display().to_string();
    let sample = ["sample", "--checkpoint", &text(&checkpoint), "--buffer", &text(&buffer), "--json"];
    let figures = consume(sample).expect(0).says(&[said, "sampling these"]).json();
    assert!(figures["unrounded"]["libero_sample_mse"].as_f64().is_some_and(|mse| mse > 0.0), "{figures}");
    let all = consume([&sample[..], &["--holdout", "0"]].concat()).expect(0).json();
    assert_ne!(all["unrounded"], figures["unrounded"]);

    fs::remove_dir_all(place.path("out")).expect("out");
    place.train(1, &["--holdout", "1e-9"]).expect(2).says(&["--holdout", "none of 2 episodes held out"]);
    place.train(1, &["--holdout", "1.5"]).expect(2).says(&["--holdout", "less than 1"]);
    // One epoch is over the rest alone.
    place.train_epoch(&share).expect(0);
    assert_eq!(steps_logged(&place.path("out")) as u64, (168 - held_out).div_ceil(4));
}

#[test]
fn flags_come_from_a_recipe_too_and_rdts_other_flags_are_answered() {
    let place = Place::new();
    let recipe = place.path("mine.yaml");
    let args = |more: &[&str]| {
        let recipe = recipe.display().to_string();
        place.args(&[&["--recipe", recipe.as_str()], more].concat())
    };
    // `args` has --train_batch_size 4, which goes before the recipe's.
    let text = "max-train-steps: 2\ntrain-batch-size: 0\nlearning_rate: 1.0e-3\nlogging-dir: events\n";
    fs::write(&recipe, text).expect("a recipe");
    consume(args(&["--alpha", "0.9", "--deepspeed", "zero2.json", "--set_grads_to_none"])).expect(0).says(&[
        "--alpha: no effect",
        "--deepspeed: not needed",
        "--set-grads-to-none: not needed",
    ]);
    assert_eq!(steps_logged(&place.path("out")), 2);
    assert_eq!(fs::read_dir(place.path("out/events")).map_or(0, Iterator::count), 1);
    // As RDT's scripts give them.
    let rdts = [
        "--report_to=wandb",
        "--dataset_type=finetune",
        "--max_train_steps=3",
        "--resume_from_checkpoint=latest",
    ];
    let notes = ["--report-to wandb: nothing is uploaded", "--dataset-type: no effect"];
    consume(args(&rdts)).expect(0).says(&notes);
    let files = ["--load_from_hdf5", "--dataset_type=finetune"];
    consume(files).expect(2).says(&["--dataset-type is given without --data-root"]);
    consume([&files[..], &["--dataset", "libero=/no/such/folder"]].concat())
        .expect(2)
        .says(&["--dataset-type: no effect without --data-root", "/no/such/folder"]);
    consume(args(&["--use_8bit_adam"])).expect(2).says(&["--gradient-checkpointing"]);
    consume(args(&["--push_to_hub"])).expect(2).says(&["export-weights"]);
    fs::write(&recipe, "max-train-step: 2\n").expect("a recipe");
    consume(args(&[])).expect(2).says(&["max-train-step is no flag", "max-train-steps, "]);
}

#[test]
fn a_run_that_computes_blocks_again_ends_with_the_same_weights_and_says_what_it_takes() {
    let place = Place::new();
    let train = ["--learning-rate", "1e-3", "--lr-warmup-steps", "0"];
    place.train(2, &train).expect(0).says(&["memory: weights", "kept for the backward pass"]);
    let model = || fs::read(place.path("out/checkpoint-2/model.safetensors")).expect("weights");
    let kept = model();
    fs::remove_dir_all(place.path("out")).expect("out");
    let again = ["--gradient_checkpointing", "--allow_tf32"];
    let run = place.train(2, &[&train[..], &again].concat()).expect(0).says(&["no effect on the CPU"]);
    assert!(run.stdout.contains("peak_memory_mib "), "{}", run.stdout);
    assert!(kept == model());
}

#[test]
fn a_damaged_sample_is_named_and_replaced_or_ends_the_run() {
    let place = Place::new();
    let chunk = place.path("buffer/chunks/00000000.chunk");
    let mut bytes = fs::read(&chunk).expect("a chunk");
    // Inside the frames, which lie behind the header.
    bytes[5_000] ^= 0x10;
    fs::write(&chunk, bytes).expect("a chunk");
    // One epoch, the default, meets every sample.
    let args = place.args(&["--num-train-epochs", "1"]);
    consume(args).expect(3).says(&["sample ", "chunk 0", "cannot be read"]);
    fs::remove_dir_all(place.path("out")).expect("out");
    consume(place.args(&["--on-bad-sample", "fail"])).expect(1);

    // Where training does not meet it, sampling does.
    fs::remove_dir_all(place.path("out")).expect("out");
    let held_out = ["--holdout", HALF];
    place.train(1, &held_out).expect(0);
    fs::remove_dir_all(place.path("out")).expect("out");
    let sampled = ["--sample-period", "1", "--num-sample-batches", "6", "--sample-batch-size", "16"];
    place.train(1, &[&held_out[..], &sampled].concat()).expect(3).says(&["chunk 0", "cannot be read"]);
}
