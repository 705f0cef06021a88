//! What a GPU needs and the CPU can show: numbers read late, updates that the device refuses, and
//! blocks computed again instead of being kept.

use std::time::{Duration, Instant};

use super::*;
use crate::run::trainer::{StepFigures, Trainer};
use crate::run::underway::{Taken, Underway};

#[test]
fn reading_the_numbers_a_step_late_changes_nothing() -> TestResult {
    let (prompt, late) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let knobs = TrainSettings { checkpointing_period: 3, ..settings(8) };
    let one = run_with(prompt.path(), &knobs, Start::Fresh, Script::default())?;
    let script = Script { steps_ahead: 1, ..Default::default() };
    let two = run_with(late.path(), &knobs, Start::Fresh, script)?;
    let told =
        |ended: &Ended| ended.records.iter().map(|r| (r.step, r.loss, r.grad_norm)).collect::<Vec<_>>();
    assert_eq!(told(&one), told(&two));
    assert_eq!(one.records.len(), 8);
    assert_equal_checkpoints(&one.checkpoint, &two.checkpoint)
}

#[test]
fn a_step_that_is_no_number_is_found_when_its_numbers_are_read_late() -> TestResult {
    // With the next step underway; before a checkpoint is saved; in the last step.
    for (poisoned, period, steps) in [(2, 100, 10), (2, 3, 10), (2, 100, 3)] {
        let folder = tempfile::tempdir()?;
        let knobs = TrainSettings { checkpointing_period: period, ..settings(steps) };
        // Step 2 takes batches 0 and 1 of epoch 1.
        let poison = Some(BatchPosition { epoch: 1, batch: 1 });
        let script = Script { poison, steps_ahead: 1, ..Default::default() };
        let error = run_with(folder.path(), &knobs, Start::Fresh, script).err().ok_or("no error")?;
        let error = error.downcast::<TrainError>()?;
        let TrainError::NonFinite { step, what: "loss", list, .. } = *error else {
            return Err(format!("another error: {error}").into());
        };
        assert_eq!(step, poisoned);
        let listed: serde_json::Value = serde_json::from_slice(&std::fs::read(list)?)?;
        assert_eq!(listed["samples"], serde_json::json!([0, 1, 2, 3, 4, 5]));
        assert!(checkpoint::list(folder.path())?.is_empty());
    }
    Ok(())
}

#[test]
fn an_update_that_is_no_number_leaves_weights_moments_and_average() -> TestResult {
    let config = tiny()?;
    let knobs = settings(8);
    let mut trainer = Trainer::new(&config, knobs, Device::Cpu, &EncoderFolders::default())?;
    let mut step = |poison: bool| -> Result<(Vec<tch::Tensor>, f64), Box<dyn Error>> {
        let mut losses = Vec::new();
        for batch in 0..2 {
            let mut batch = MadeUp::at(BatchPosition { epoch: 0, batch }, &config);
            if poison {
                batch.actions[5] = f32::NAN;
            }
            losses.push(trainer.accumulate(&batch.host(), batch.position.batch)?);
        }
        let (loss, _) = trainer.update(&losses, 1e-3)?.wait()?;
        let (first, second) = trainer.optimizer().moments();
        let all = [trainer.parameters().flat(), first, second, trainer.ema().average()];
        Ok((all.map(|flat| flat.detach().copy()).into(), loss))
    };
    let (before, _) = step(false)?;
    let (after, loss) = step(true)?;
    assert!(loss.is_nan());
    for (before, after) in before.iter().zip(&after) {
        assert!(before.equal(after));
    }
    let (moved, _) = step(false)?;
    for (before, after) in before.iter().zip(&moved) {
        assert!(!before.equal(after));
        assert_eq!(after.isfinite().all().int64_value(&[]), 1);
    }
    Ok(())
}

#[test]
fn a_run_that_computes_blocks_again_is_the_same_bit_by_bit() -> TestResult {
    let (kept, again) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let mut config = tiny()?;
    // Each condition is seen by several blocks.
    config.model.rdt.depth = 5;
    for mixed_precision in [MixedPrecision::No, MixedPrecision::Bf16] {
        let knobs = TrainSettings { mixed_precision, ..settings(3) };
        let folder = |dir: &tempfile::TempDir| dir.path().join(format!("{mixed_precision:?}"));
        let one = run_config(&config, &folder(&kept), &knobs, Start::Fresh, Script::default())?;
        let knobs = TrainSettings { gradient_checkpointing: true, ..knobs };
        let two = run_config(&config, &folder(&again), &knobs, Start::Fresh, Script::default())?;
        assert_equal_checkpoints(&one.checkpoint, &two.checkpoint)?;
    }
    Ok(())
}

#[test]
fn a_step_of_a_busy_device_takes_as_long_as_the_device() -> TestResult {
    const STEP: Duration = Duration::from_millis(100);
    let folder = tempfile::tempdir()?;
    let (began, mut away) = (Instant::now(), Duration::ZERO);
    let mut underway = Underway::default();
    let (mut records, mut idle_from) = (Vec::new(), began);
    for step in 1..=6 {
        let turn = Instant::now();
        idle_from = idle_from.max(turn) + STEP;
        let waited = STEP / 4;
        std::thread::sleep(waited);
        let taken = Taken { step, epoch: 0, lr: 0.0, samples: vec![0; 5], waited, turn };
        underway.push(taken, StepFigures::at(idle_from));
        let saves = step % 3 == 0;
        underway.settle(usize::from(!saves), folder.path(), Device::Cpu, &mut records)?;
        if saves {
            let saving = Instant::now();
            std::thread::sleep(2 * STEP);
            away += saving.elapsed();
        }
    }
    let busy = (began.elapsed() - away).as_secs_f64();
    let seconds: Vec<f64> = records.iter().map(|record| 5.0 / record.samples_per_s).collect();
    assert_eq!(records.iter().map(|record| record.step).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6]);
    // Neither as short as handing a step over, nor with the rest of the step before or a save in it.
    assert!(seconds.iter().all(|&step| step > 0.7 * STEP.as_secs_f64()), "{seconds:?}");
    let sum: f64 = seconds.iter().sum();
    assert!(sum <= busy && sum > 0.95 * busy, "{seconds:?} of {busy}");
    // All the waiting is told, once.
    let waited: f64 = records.iter().zip(&seconds).map(|(record, step)| record.data_wait * step).sum();
    assert!((waited - 0.15).abs() < 1e-6 && records.iter().all(|r| r.data_wait < 1.0), "{waited}");
    Ok(())
}
