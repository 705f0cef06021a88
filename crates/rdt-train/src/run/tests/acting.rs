//! A checkpoint is enough to act with: no buffer, no run.

use rdt_model::checkpoint::{About, Which};
use rdt_model::images::HostFrame;
use rdt_model::metrics::SampleMetrics;
use rdt_model::{Actor, Observation};
use rdt_schema::card::RobotAction;
use rdt_schema::statistics::StatisticsSum;
use rdt_schema::{DatasetAbout, DatasetCard, TextFile};
use tch::Kind;

use super::*;

fn opened(checkpoint: &Path) -> Result<Actor, Box<dyn Error>> {
    let encoders = EncoderFolders::default();
    Ok(Actor::open(checkpoint, Which::Model, &encoders, Device::Cpu, Kind::Float)?)
}

/// The observations of a made-up batch.
fn seen<'a>(batch: &'a MadeUp, host: &'a HostBatch<'a>, side: usize) -> Vec<Observation<'a>> {
    let row = |rows: &'a [f32], i: usize| rows[i * STATE_DIM..][..STATE_DIM].try_into().expect("a row");
    let frames: Vec<_> = batch
        .images
        .chunks_exact(3 * side * side)
        .map(|pixels| Some(HostFrame { height: side, width: side, pixels }))
        .collect();
    let each = frames.len() / BATCH;
    let of = |i: usize| Observation {
        state: row(host.state, i),
        state_mask: row(host.state_mask, i),
        control_freq: host.control_freq[i],
        instruction: host.instructions[i],
        frames: frames[i * each..][..each].to_vec(),
    };
    (0..BATCH).map(of).collect()
}

#[test]
fn acting_samples_what_an_evaluation_does() -> TestResult {
    let (folder, config) = (tempfile::tempdir()?, tiny()?);
    let checkpoint = run(folder.path(), 3, Start::Fresh, None)?.checkpoint;
    let actor = opened(&checkpoint)?;
    let mut batch = MadeUp::at(BatchPosition { epoch: 0, batch: 1 }, &config);
    let side = config.model.vision.image_size as usize;
    let actions = {
        let host = batch.host();
        actor.act(&seen(&batch, &host, side), 5)?
    };
    assert_eq!((actions.len(), actions[0].len()), (BATCH, 8));
    let flat: Vec<f32> = actions.iter().flatten().flatten().copied().collect();
    assert!(flat.iter().any(|&value| value != 0.0) && flat.iter().all(|value| value.is_finite()));
    // Held against itself as what was recorded, an evaluation of the same draw finds no error.
    batch.actions = flat;
    let mut metrics = SampleMetrics::default();
    actor.policy().compare(actor.weights(), &batch.host(), 5, &["made".into()], &mut metrics)?;
    let figures = metrics.figures(1).rounded;
    let mse = figures.iter().find(|(name, _)| name.contains("mse")).ok_or("no mse")?;
    assert_eq!(*mse.1, 0.0, "{figures:?}");
    // One alone gets what it gets beside others, but for its place in the noise.
    let host = batch.host();
    let first = actor.act(&seen(&batch, &host, side)[..1], 5)?;
    assert_eq!(first.len(), 1);
    let wrong = Observation { frames: Vec::new(), ..seen(&batch, &host, side).remove(0) };
    let refused = actor.act(&[wrong], 5).err().ok_or("accepted")?.to_string();
    assert!(refused.contains("number of frames"), "{refused}");
    Ok(())
}

#[test]
fn a_checkpoint_says_what_its_data_is_and_what_actions_mean() -> TestResult {
    let (folder, config) = (tempfile::tempdir()?, tiny()?);
    let card = DatasetCard::find("libero", None)?;
    let dataset = DatasetAbout {
        schema: card.schema("libero", &config),
        card_name: "libero".into(),
        card: TextFile { path: card.path().to_owned(), text: card.text().to_owned() },
        extremes: None,
        statistics: StatisticsSum::default().finish("libero"),
    };
    let about = DataAbout::new(12, "0".repeat(32), vec![dataset]);
    let script = Script { about: Some(&about), ..Default::default() };
    let checkpoint = run_with(folder.path(), &settings(1), Start::Fresh, script)?.checkpoint;
    let read = About::read(&checkpoint)?.ok_or("no about.json")?;
    assert_eq!((read.step, read.seed, &read.data), (1, 3, &about));
    assert_eq!(read.image_encoder.name, "random_patch");
    assert!(read.language_encoder.digest.is_some());
    let mut row = [0.0; STATE_DIM];
    row[30] = 0.05; // metres along x
    (row[33], row[37]) = (1.0, 1.0); // no rotation
    row[10] = 1.0; // open
    let actor = opened(&checkpoint)?;
    let robot = actor.robot_actions("libero", &[row])?;
    let [RobotAction { values, .. }] = &robot[0][..] else { return Err("several arrays".into()) };
    let close = |i: usize, x: f64| (values[i].unwrap_or(f64::NAN) - x).abs() < 1e-6;
    assert!(close(0, 1.0) && close(3, 0.0) && close(6, -1.0), "{values:?}");
    let other = actor.robot_actions("aloha", &[row]).err().ok_or("accepted")?.to_string();
    assert!(other.contains("trained on: libero"), "{other}");
    Ok(())
}

#[test]
fn a_checkpoint_from_before_loads_without_what_it_lacks() -> TestResult {
    let folder = tempfile::tempdir()?;
    let checkpoint = run(folder.path(), 1, Start::Fresh, None)?.checkpoint;
    std::fs::remove_file(checkpoint.join("about.json"))?;
    assert_eq!(About::read(&checkpoint)?, None);
    let actor = opened(&checkpoint)?;
    let refused = actor.robot_actions("libero", &[]).err().ok_or("accepted")?.to_string();
    assert!(refused.contains("about.json"), "{refused}");
    assert!(run(folder.path(), 2, Start::Latest, None)?.finished);
    std::fs::write(checkpoint.join("about.json"), "{")?;
    let damaged = About::read(&checkpoint).err().ok_or("accepted")?.to_string();
    assert!(damaged.contains("about.json"), "{damaged}");
    Ok(())
}
