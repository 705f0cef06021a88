//! Where a run may start, and what stays whole when it ends in the middle.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Mutex;

use super::*;
use crate::run::inputs::Inputs;

/// The refusal of a run, which must be wrong usage.
fn refusal(result: Result<Ended, Box<dyn Error>>) -> Result<String, Box<dyn Error>> {
    let error = result.err().ok_or("accepted")?.downcast::<TrainError>()?;
    assert!(matches!(*error, TrainError::Model(rdt_model::ModelError::Setting { .. })), "{error:?}");
    Ok(error.to_string())
}

#[test]
fn going_back_past_a_later_checkpoint_is_refused_and_destroys_nothing() -> TestResult {
    let folder = tempfile::tempdir()?;
    let knobs = TrainSettings { checkpointing_period: 2, ..settings(8) };
    run_with(folder.path(), &knobs, Start::Fresh, Script::default())?;
    let back = Start::Checkpoint(folder.path().join("checkpoint-4"));
    let again = TrainSettings { checkpoints_total_limit: Some(2), ..knobs };
    let refused = refusal(run_with(folder.path(), &again, back.clone(), Script::default()))?;
    assert!(refused.contains("checkpoint-8") && refused.contains("another"), "{refused}");
    assert_eq!(checkpoint::list(folder.path())?.len(), 4);
    // Once the later ones are gone it goes on from there.
    std::fs::remove_dir_all(folder.path().join("checkpoint-6"))?;
    std::fs::remove_dir_all(folder.path().join("checkpoint-8"))?;
    let ended = run_with(folder.path(), &again, back, Script::default())?;
    assert_eq!(ended.checkpoint, folder.path().join("checkpoint-8"));
    Ok(())
}

#[test]
fn the_limit_never_takes_the_checkpoint_just_saved() -> TestResult {
    let folder = tempfile::tempdir()?;
    let config = tiny()?;
    let knobs = TrainSettings { checkpoints_total_limit: Some(2), ..settings(8) };
    let encoders = EncoderFolders::default();
    let trainer = crate::run::trainer::Trainer::new(&config, knobs.clone(), Device::Cpu, &encoders)?;
    let (about, inputs) = (DataAbout::new(12, "0".repeat(32), Vec::new()), Map::new());
    let data = Data { name: "made up", about: &about, inputs: &inputs };
    let run = Run {
        config: &config,
        settings: &knobs,
        device: Device::Cpu,
        output_dir: folder.path(),
        start: Start::Fresh,
        encoders: &encoders,
        pretrained: None,
        events: None,
        stop: &AtomicBool::new(false),
    };
    for step in [6, 8, 5] {
        let progress = checkpoint::Progress { step, ..Default::default() };
        checkpoint::save(&run, &trainer, &data, &Inputs::default(), progress)?;
    }
    let steps: Vec<_> = checkpoint::list(folder.path())?.into_iter().map(|(step, _)| step).collect();
    assert_eq!(steps, [5, 8]);
    Ok(())
}

#[test]
fn a_second_run_in_the_same_folder_is_refused_with_the_process_of_the_first() -> TestResult {
    let folder = tempfile::tempdir()?;
    let second = Mutex::new(None);
    let log = |_: &str| {
        let mut second = second.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        second.get_or_insert_with(|| {
            refusal(run(folder.path(), 1, Start::Fresh, None)).map_err(|e| e.to_string())
        });
    };
    run_with(folder.path(), &settings(1), Start::Fresh, Script { log: Some(&log), ..Default::default() })?;
    let said = second.into_inner()?.ok_or("no line in the log")??;
    assert!(said.contains(&format!("in use by process {}", std::process::id())), "{said}");
    Ok(())
}

#[test]
fn a_stop_between_micro_steps_falls_back_to_the_last_whole_step() -> TestResult {
    let (unbroken, broken) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let knobs = TrainSettings { gradient_accumulation_steps: 3, ..settings(4) };
    let whole = run_with(unbroken.path(), &knobs, Start::Fresh, Script::default())?;
    // The second of the three micro-steps of step 3.
    let stop_at = Some(BatchPosition { epoch: 1, batch: 3 });
    let script = Script { stop_at, ..Default::default() };
    let first = run_with(broken.path(), &knobs, Start::Fresh, script)?;
    assert!(!first.finished);
    assert_eq!(first.checkpoint, broken.path().join("checkpoint-2"));
    let second = run_with(broken.path(), &knobs, Start::Latest, Script::default())?;
    assert_equal_checkpoints(&whole.checkpoint, &second.checkpoint)
}

#[test]
fn after_an_error_the_last_whole_step_is_saved_and_resumes_bit_by_bit() -> TestResult {
    let unbroken = tempfile::tempdir()?;
    let knobs = TrainSettings { gradient_accumulation_steps: 3, ..settings(4) };
    let whole = run_with(unbroken.path(), &knobs, Start::Fresh, Script::default())?;
    // The second of the three micro-steps of step 3, with the numbers of step 2 not read yet or read.
    let at = Some(BatchPosition { epoch: 1, batch: 3 });
    let data = Script { unreadable: at, ..Default::default() };
    let encoding = Script { misshapen: at, ..Default::default() };
    for (script, words) in [(data, "data loader stopped"), (encoding, "libtorch failed")] {
        for steps_ahead in [0, 1] {
            let folder = tempfile::tempdir()?;
            let lines = Mutex::new(Vec::new());
            let log =
                |line: &str| lines.lock().map(|mut lines| lines.push(line.to_owned())).unwrap_or_default();
            let script = Script { steps_ahead, log: Some(&log), ..script };
            let error = run_with(folder.path(), &knobs, Start::Fresh, script).err().ok_or("no error")?;
            assert!(error.to_string().contains(words), "{error}");
            let lines = lines.into_inner()?.join("\n");
            assert!(lines.contains("checkpoint-2, the last whole step"), "{lines}");
            let second = run_with(folder.path(), &knobs, Start::Latest, Script::default())?;
            assert_eq!(second.records.iter().map(|record| record.step).collect::<Vec<_>>(), [1, 2, 3, 4]);
            assert_equal_checkpoints(&whole.checkpoint, &second.checkpoint)?;
        }
    }
    // Before the first step there is nothing to save, and nothing bars the next start.
    let folder = tempfile::tempdir()?;
    let script = Script { unreadable: Some(BatchPosition { epoch: 0, batch: 1 }), ..Default::default() };
    assert!(run_with(folder.path(), &knobs, Start::Fresh, script).is_err());
    assert!(checkpoint::list(folder.path())?.is_empty());
    Ok(())
}

#[test]
fn another_configuration_is_refused_by_key_and_changed_settings_are_noted() -> TestResult {
    let folder = tempfile::tempdir()?;
    run(folder.path(), 1, Start::Fresh, None)?;
    let mut config = tiny()?;
    config.model.noise_scheduler.num_train_timesteps = 500;
    let resume = |config, knobs: &TrainSettings, script| {
        run_config(config, folder.path(), knobs, Start::Latest, script)
    };
    let refused = refusal(resume(&config, &settings(2), Script::default()))?;
    assert!(
        refused.contains("model.noise_scheduler.num_train_timesteps of the configuration is 500"),
        "{refused}"
    );
    let lines = Mutex::new(Vec::new());
    let log = |line: &str| lines.lock().map(|mut lines| lines.push(line.to_owned())).unwrap_or_default();
    let mut knobs = settings(2);
    knobs.learning_rate.base = 0.5;
    resume(&tiny()?, &knobs, Script { log: Some(&log), ..Default::default() })?;
    let lines = lines.into_inner()?.join("\n");
    assert!(lines.contains("learning_rate.base 0.001 -> 0.5"), "{lines}");
    Ok(())
}

#[test]
fn other_inputs_are_noted_other_encoders_refused_and_a_checkpoint_without_them_loads() -> TestResult {
    let folder = tempfile::tempdir()?;
    let checkpoint = run(folder.path(), 1, Start::Fresh, None)?.checkpoint;
    let lines = Mutex::new(Vec::new());
    let log = |line: &str| lines.lock().map(|mut lines| lines.push(line.to_owned())).unwrap_or_default();
    let script = Script { state_noise: Some(40), log: Some(&log), ..Default::default() };
    run_with(folder.path(), &settings(2), Start::Latest, script)?;
    let said = lines.into_inner()?.join("\n");
    assert!(said.contains("changed since then: ") && said.contains("--state-noise-snr null -> 40"), "{said}");
    assert!(!said.contains("encoder "), "{said}");

    std::fs::remove_dir_all(folder.path().join("checkpoint-2"))?;
    let file = checkpoint.join(rdt_model::checkpoint::TRAINER);
    let mut state: Value = serde_json::from_slice(&std::fs::read(&file)?)?;
    state["inputs"]["language_encoder"] = "another".into();
    std::fs::write(&file, state.to_string())?;
    let refused = refusal(run_with(folder.path(), &settings(2), Start::Latest, Script::default()))?;
    assert!(refused.contains("the language encoder is ") && refused.contains("another as in"), "{refused}");

    state.as_object_mut().ok_or("an object")?.remove("inputs");
    std::fs::write(&file, state.to_string())?;
    assert!(run_with(folder.path(), &settings(2), Start::Latest, Script::default())?.finished);
    Ok(())
}

#[test]
fn weights_may_be_read_by_whom_the_other_files_may() -> TestResult {
    let folder = tempfile::tempdir()?;
    let checkpoint = run(folder.path(), 1, Start::Fresh, None)?.checkpoint;
    let mode = |file: &str| -> std::io::Result<u32> {
        Ok(std::fs::metadata(checkpoint.join(file))?.permissions().mode())
    };
    for file in ["model.safetensors", "ema/model.safetensors", "optimizer.safetensors"] {
        assert_eq!(mode(file)?, mode("trainer.json")?, "{file}");
    }
    Ok(())
}

#[test]
fn a_checkpoint_may_be_given_by_its_name_in_the_output_folder() -> TestResult {
    let folder = tempfile::tempdir()?;
    run(folder.path(), 1, Start::Fresh, None)?;
    let named = |name: &str| run(folder.path(), 2, Start::Checkpoint(PathBuf::from(name)), None);
    let refused = refusal(named("checkpoint-7"))?;
    assert!(refused.contains("resume_from_checkpoint is checkpoint-7"), "{refused}");
    assert!(named("checkpoint-1")?.finished);
    Ok(())
}

#[test]
fn what_is_out_of_range_is_refused_by_name() -> TestResult {
    let folder = tempfile::tempdir()?;
    let mut config = tiny()?;
    config.model.ema.power = f64::NAN;
    let start = |config, knobs: &TrainSettings| {
        refusal(run_config(config, folder.path(), knobs, Start::Fresh, Script::default()))
    };
    assert!(start(&config, &settings(1))?.contains("model.ema.power is NaN"));
    let mut knobs = settings(1);
    knobs.learning_rate.power = f64::NAN;
    assert!(start(&tiny()?, &knobs)?.contains("lr_power is NaN"));
    let threads = rdt_model::device::set_cpu_threads(Some(10_000_000)).err().ok_or("accepted")?.to_string();
    assert!(threads.contains("cpu_threads is 10000000"), "{threads}");
    Ok(())
}

#[test]
fn a_resumed_run_remembers_the_samples_replaced_before() -> TestResult {
    let folder = tempfile::tempdir()?;
    let count = |steps: u64, replaced: u64| -> Result<u64, Box<dyn Error>> {
        let script = Script { replaced, ..Default::default() };
        Ok(run_with(folder.path(), &settings(steps), Start::Latest, script)?.replaced_samples)
    };
    assert_eq!((count(1, 2)?, count(2, 0)?, count(3, 1)?), (2, 2, 3));
    Ok(())
}
