//! The loop on made-up batches: resuming, stopping, refusing.

use std::error::Error;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use rdt_buffer::SampleId;
use rdt_consumer::{BadSample, BatchPosition, End, Receipt};
use rdt_model::batch::HostBatch;
use rdt_model::encoder::EncoderFolders;
use rdt_model::images::HostImages;
use rdt_model::random::{self, Stream};
use rdt_model::weights::tensor_file::TensorFile;
use rdt_schema::{Config, DataAbout, STATE_DIM};
use serde_json::{Map, Value};
use tch::Device;

use crate::batch::{Batches, TrainingBatch};
use crate::error::TrainError;
use crate::parameters::optimizer::AdamWSettings;
use crate::run::checkpoint;
use crate::run::log::metrics_log::StepRecord;
use crate::run::schedule::{LearningRate, ScheduleKind};
use crate::run::settings::{MixedPrecision, TrainSettings};
use crate::run::train::{Data, Ended, Event, Run, Start, train_ahead};

mod acting;
mod ahead;
mod resume;

type TestResult = Result<(), Box<dyn Error>>;

const BATCH: usize = 3;
const BATCHES_PER_EPOCH: u64 = 4;

/// A batch that is a function of its position.
struct MadeUp {
    position: BatchPosition,
    state: Vec<f32>,
    mask: Vec<f32>,
    actions: Vec<f32>,
    images: Vec<u8>,
}

impl MadeUp {
    fn at(position: BatchPosition, config: &Config) -> Self {
        let draw = |which: u64, length: usize| -> Vec<f32> {
            let counter = position.batch * 10 + which;
            let drawn = random::uniform(99, Stream::Sampler, counter, &[length as i64]);
            drawn.and_then(Vec::try_from).unwrap_or_default()
        };
        let rows = usize::from(config.common.action_chunk_size);
        let side = config.model.vision.image_size as usize;
        let images = usize::from(config.common.img_history_size) * usize::from(config.common.num_cameras);
        Self {
            position,
            state: draw(0, BATCH * STATE_DIM),
            mask: vec![1.0; BATCH * STATE_DIM],
            actions: draw(1, BATCH * rows * STATE_DIM),
            images: draw(2, BATCH * images * 3 * side * side)
                .iter()
                .map(|unit| (unit * 255.0) as u8)
                .collect(),
        }
    }
}

impl TrainingBatch for MadeUp {
    fn host(&self) -> HostBatch<'_> {
        HostBatch {
            state: &self.state,
            state_mask: &self.mask,
            actions: &self.actions,
            images: HostImages::Pixel(&self.images),
            control_freq: vec![20.0; BATCH],
            instructions: vec!["Pick up the cup.", "", "Open it."],
            state_norm: &self.mask,
            datasets: vec![0; BATCH],
            samples: (0..BATCH as u64).map(|i| self.position.batch * BATCH as u64 + i).collect(),
        }
    }

    fn next_position(&self) -> BatchPosition {
        let BatchPosition { epoch, batch } = self.position;
        if batch + 1 < BATCHES_PER_EPOCH {
            BatchPosition { epoch, batch: batch + 1 }
        } else {
            BatchPosition { epoch: epoch + 1, batch: 0 }
        }
    }

    fn into_receipt(self) -> Receipt {
        Receipt::default()
    }
}

fn tiny() -> Result<Config, Box<dyn Error>> {
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../configs/tiny.yaml"));
    let mut config = Config::from_file(path)?;
    config.common.action_chunk_size = 8;
    config.model.rdt.hidden_size = 32;
    config.model.rdt.depth = 2;
    Ok(config)
}

fn settings(max_train_steps: u64) -> TrainSettings {
    TrainSettings {
        seed: 3,
        train_batch_size: BATCH as u32,
        gradient_accumulation_steps: 2,
        max_train_steps,
        learning_rate: LearningRate {
            kind: ScheduleKind::ConstantWithWarmup,
            base: 1e-3,
            warmup_steps: 3,
            total_steps: max_train_steps,
            cycles: 1,
            power: 1.0,
        },
        adam: AdamWSettings::default(),
        max_grad_norm: 1.0,
        mixed_precision: MixedPrecision::No,
        gradient_checkpointing: false,
        allow_tf32: false,
        checkpointing_period: 1000,
        checkpoints_total_limit: None,
        holdout: 0.0,
    }
}

/// What happens to a run.
#[derive(Default, Clone, Copy)]
struct Script<'a> {
    /// It is stopped after that many steps.
    stop_after: Option<u64>,
    /// It is stopped when the batch there is asked for.
    stop_at: Option<BatchPosition>,
    /// The batch there is infinite.
    poison: Option<BatchPosition>,
    /// How its batches are said to be made.
    state_noise: Option<u64>,
    /// The batch there cannot be read.
    unreadable: Option<BatchPosition>,
    /// The batch there is of another shape.
    misshapen: Option<BatchPosition>,
    /// So many of its samples are replaced.
    replaced: u64,
    /// Its numbers are read so many steps late, as on a GPU.
    steps_ahead: usize,
    /// What is said of its data.
    about: Option<&'a DataAbout>,
    /// Called with each line of the log.
    log: Option<&'a dyn Fn(&str)>,
}

impl Script<'_> {
    fn inputs(&self) -> Map<String, Value> {
        [("--state-noise-snr".to_owned(), self.state_noise.into())].into_iter().collect()
    }
}

/// The batches of a script.
struct Made<'a> {
    config: &'a Config,
    script: Script<'a>,
    next: BatchPosition,
    is_stopped: bool,
    bad: Vec<BadSample>,
}

/// So many samples that cannot be read.
fn made_bad(count: u64) -> Vec<BadSample> {
    let bad = |id| BadSample {
        sample: SampleId::new(id),
        place: None,
        generation: None,
        origin: None,
        step: None,
        reason: "made up".into(),
    };
    (0..count).map(bad).collect()
}

impl Batches for Made<'_> {
    type Batch = MadeUp;

    fn next(&mut self, stop: &AtomicBool) -> Result<Option<MadeUp>, TrainError> {
        self.is_stopped = stop.load(Ordering::Relaxed);
        if self.is_stopped {
            return Ok(None);
        }
        let (at, script) = (Some(self.next), self.script);
        let mut batch = MadeUp::at(self.next, self.config);
        if script.poison == at {
            batch.actions[0] = f32::INFINITY;
        }
        if script.stop_at == at {
            stop.store(true, Ordering::Relaxed);
        }
        if script.misshapen == at {
            batch.images.pop();
        }
        if script.unreadable == at {
            return Err(TrainError::data("unreadable"));
        }
        self.next = batch.next_position();
        Ok(Some(batch))
    }

    fn end(&self) -> Option<End> {
        self.is_stopped.then_some(End::Stopped)
    }

    fn take_bad_samples(&mut self) -> Vec<BadSample> {
        std::mem::take(&mut self.bad)
    }
}

fn run_with(
    folder: &Path,
    settings: &TrainSettings,
    start: Start,
    script: Script<'_>,
) -> Result<Ended, Box<dyn Error>> {
    run_config(&tiny()?, folder, settings, start, script)
}

fn run_config(
    config: &Config,
    folder: &Path,
    settings: &TrainSettings,
    start: Start,
    script: Script<'_>,
) -> Result<Ended, Box<dyn Error>> {
    let stop = AtomicBool::new(false);
    let unknown = DataAbout::new(12, "0".repeat(32), Vec::new());
    let run = Run {
        config,
        settings,
        device: Device::Cpu,
        output_dir: folder,
        start,
        encoders: &EncoderFolders::default(),
        pretrained: None,
        events: None,
        stop: &stop,
    };
    let batches = |start: BatchPosition, _: u64| {
        Ok(Made { config, script, next: start, is_stopped: false, bad: made_bad(script.replaced) })
    };
    let inputs = script.inputs();
    let data = Data { name: "made up", about: script.about.unwrap_or(&unknown), inputs: &inputs };
    let ended = train_ahead(&run, &data, script.steps_ahead, batches, None, &mut |event| match event {
        Event::Step(StepRecord { step, .. }) if Some(*step) == script.stop_after => {
            stop.store(true, Ordering::Relaxed);
        }
        Event::Note(line) => script.log.into_iter().for_each(|log| log(&line)),
        _ => {}
    })?;
    Ok(ended)
}

fn run(folder: &Path, steps: u64, start: Start, stop_after: Option<u64>) -> Result<Ended, Box<dyn Error>> {
    run_with(folder, &settings(steps), start, Script { stop_after, ..Default::default() })
}

/// All tensors of two checkpoints, bit by bit.
fn assert_equal_checkpoints(a: &Path, b: &Path) -> TestResult {
    for file in ["model.safetensors", "ema/model.safetensors", "optimizer.safetensors"] {
        let (a, b) = (TensorFile::open(&a.join(file))?, TensorFile::open(&b.join(file))?);
        assert_eq!(a.names(), b.names());
        assert!(!a.names().is_empty());
        for name in a.names() {
            let same = matches!((a.tensor(&name)?, b.tensor(&name)?), (Some(x), Some(y)) if x.equal(&y));
            assert!(same, "{file}: {name} differs");
        }
    }
    Ok(())
}

#[test]
fn a_stopped_and_resumed_run_equals_an_unbroken_one_bit_by_bit() -> TestResult {
    let (unbroken, broken) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let whole = run(unbroken.path(), 10, Start::Fresh, None)?;
    assert!(whole.finished);
    let first = run(broken.path(), 10, Start::Fresh, Some(5))?;
    assert!(!first.finished);
    assert_eq!(first.records.len(), 5);
    let second = run(broken.path(), 10, Start::Latest, None)?;
    assert!(second.finished);
    let losses = |ended: &Ended| ended.records.iter().map(|r| (r.step, r.loss, r.lr)).collect::<Vec<_>>();
    assert_eq!(losses(&whole), losses(&second));
    assert_equal_checkpoints(&whole.checkpoint, &second.checkpoint)
}

#[test]
fn warm_up_starts_at_zero_and_the_loss_falls() -> TestResult {
    let folder = tempfile::tempdir()?;
    let mut knobs = settings(40);
    knobs.learning_rate.base = 3e-3;
    let ended = run_with(folder.path(), &knobs, Start::Fresh, Script::default())?;
    assert_eq!(ended.records[0].lr, 0.0);
    assert_eq!(ended.records[3].lr, 3e-3);
    let (first, last) = (ended.records[0].loss, ended.records[39].loss);
    assert!(last < 0.6 * first, "{first} -> {last}");
    Ok(())
}

#[test]
fn an_infinite_loss_stops_before_the_update_and_names_the_samples() -> TestResult {
    let folder = tempfile::tempdir()?;
    // Step 2 takes batches 0 and 1 of epoch 1.
    let script = Script { poison: Some(BatchPosition { epoch: 1, batch: 1 }), ..Default::default() };
    let error = run_with(folder.path(), &settings(10), Start::Fresh, script).err().ok_or("no error")?;
    let error = error.downcast::<TrainError>()?;
    let TrainError::NonFinite { step: 2, what: "loss", list, .. } = *error else {
        return Err(format!("another error: {error}").into());
    };
    let listed: serde_json::Value = serde_json::from_slice(&std::fs::read(list)?)?;
    assert_eq!(listed["samples"], serde_json::json!([0, 1, 2, 3, 4, 5]));
    Ok(())
}

#[test]
fn old_checkpoints_go_and_leftovers_are_cleaned_up() -> TestResult {
    let folder = tempfile::tempdir()?;
    let leftover = folder.path().join(".checkpoint-7.partial");
    std::fs::create_dir(&leftover)?;
    let knobs = TrainSettings { checkpointing_period: 2, checkpoints_total_limit: Some(2), ..settings(7) };
    run_with(folder.path(), &knobs, Start::Fresh, Script::default())?;
    let mut names: Vec<_> = std::fs::read_dir(folder.path())?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect();
    names.sort();
    assert_eq!(names, [".lock", "checkpoint-6", "checkpoint-7", "metrics.jsonl"]);
    let whole = folder.path().join("checkpoint-6");
    for file in
        ["config.json", "trainer.json", "model.safetensors", "ema/model.safetensors", "optimizer.safetensors"]
    {
        assert!(whole.join(file).is_file(), "{file}");
    }
    Ok(())
}

#[test]
fn a_folder_with_checkpoints_and_a_run_with_another_seed_are_refused() -> TestResult {
    let folder = tempfile::tempdir()?;
    let ended = run(folder.path(), 2, Start::Fresh, None)?;
    let again = run(folder.path(), 2, Start::Fresh, None).err().ok_or("accepted")?.to_string();
    assert!(again.contains("resume_from_checkpoint latest"), "{again}");
    let other = TrainSettings { seed: 4, ..settings(4) };
    let start = Start::Checkpoint(ended.checkpoint);
    let refused =
        run_with(folder.path(), &other, start, Script::default()).err().ok_or("accepted")?.to_string();
    assert!(refused.contains("seed is 4, expected 3 as in the run of"), "{refused}");
    Ok(())
}

#[test]
fn a_damaged_or_foreign_checkpoint_is_refused_by_name() -> TestResult {
    let folder = tempfile::tempdir()?;
    let checkpoint = run(folder.path(), 1, Start::Fresh, None)?.checkpoint;
    let model = checkpoint.join("model.safetensors");
    let bytes = std::fs::read(&model)?;
    std::fs::write(&model, &bytes[..bytes.len() - 10])?;
    let cut = run(folder.path(), 2, Start::Latest, None).err().ok_or("accepted")?.to_string();
    assert!(cut.contains("model.safetensors") && cut.contains("its header says"), "{cut}");
    // Another network: one tensor less, one more.
    let (ours, other) = (b"lang_adaptor.0.bias", b"lang_adaptor.9.bias");
    let place = bytes.windows(ours.len()).position(|window| window == ours).ok_or("no such tensor")?;
    let mut foreign = bytes;
    foreign[place..place + other.len()].copy_from_slice(other);
    std::fs::write(&model, foreign)?;
    let refused = run(folder.path(), 2, Start::Latest, None).err().ok_or("accepted")?.to_string();
    assert!(refused.contains("1 tensors missing: lang_adaptor.0.bias"), "{refused}");
    assert!(refused.contains("1 tensors not known: lang_adaptor.9.bias"), "{refused}");
    Ok(())
}
