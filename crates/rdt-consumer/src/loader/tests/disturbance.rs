//! Masks and noise come as often and as strong as asked for, and change nothing else.

use std::collections::BTreeMap;

use rdt_schema::STATE_DIM;

use super::*;
use crate::disturb::StateMeans;

const EPOCHS: u64 = 250;
const MASKED: f64 = 0.1;
const EXTERNAL_MASKED: f64 = 0.35;

/// Of data set `dataset`: no state of the buffer has these values.
fn mean_state(dataset: usize) -> Vec<f64> {
    (0..STATE_DIM).map(|entry| -1000.0 - (entry * 2 + dataset) as f64).collect()
}

fn means() -> StateMeans {
    StateMeans::Given((0..2).map(|dataset| (schema(dataset).name, mean_state(dataset))).collect())
}

/// Everything at once.
pub(super) fn everything() -> Disturbance {
    Disturbance {
        mask_probability: MASKED,
        external_camera_mask_probability: Some(EXTERNAL_MASKED),
        state_noise_snr: Some(20.0),
        augment_images: true,
        brighten_dark_images: true,
        alter_prepared_images: false,
        state_means: means(),
    }
}

fn masking() -> Disturbance {
    Disturbance {
        mask_probability: MASKED,
        external_camera_mask_probability: Some(EXTERNAL_MASKED),
        state_means: means(),
        ..Disturbance::default()
    }
}

fn long(disturbance: Disturbance) -> Asked {
    Asked {
        disturbance,
        delivery: Delivery::Frames,
        end: Some(BatchPosition { epoch: EPOCHS, batch: 0 }),
        ..options()
    }
}

/// Asserts that `count` of `of` is within five deviations of `probability`.
fn near(what: &str, count: u64, of: u64, probability: f64) {
    let expected = of as f64 * probability;
    let deviation = (expected * (1.0 - probability)).sqrt();
    assert!(
        (count as f64 - expected).abs() <= 5.0 * deviation,
        "{what}: {count} of {of}, expected {expected}"
    );
}

/// The rows of sample `slot` in the array `number` of a batch.
fn row(batch: &Held, number: usize, slot: usize) -> &[f32] {
    &batch.arrays[number][slot * STATE_DIM..(slot + 1) * STATE_DIM]
}

#[test]
fn each_input_is_masked_for_itself_and_as_often_as_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let buffer = small_buffer::write(dir.path());
    let plain = load(&buffer, long(Disturbance::default()));
    let masked = load(&buffer, long(masking()));
    assert_eq!(plain.len(), masked.len());
    let mut counts: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    let mut count = |what: String, is_masked: bool| {
        let entry = counts.entry(what).or_default();
        entry.0 += u64::from(is_masked);
        entry.1 += 1;
    };
    for (plain, masked) in plain.iter().zip(&masked) {
        // Actions, deviations and norms are what is learnt and measured: never masked.
        assert_eq!(plain.arrays[2..5], masked.arrays[2..5]);
        for (slot, (before, after)) in plain.records.iter().zip(&masked.records).enumerate() {
            assert_eq!((before.sample, before.step), (after.sample, after.step));
            assert_eq!(before.instruction_index, after.instruction_index);
            let mean: Vec<f32> = mean_state(before.dataset).into_iter().map(|value| value as f32).collect();
            let frequency = after.ctrl_freq == 0.0;
            let state = row(masked, 0, slot) == mean;
            let mask = row(masked, 1, slot).iter().all(|&value| value == 0.0);
            let instruction = after.instruction.is_empty();
            assert!(frequency || after.ctrl_freq == before.ctrl_freq);
            assert!(state || row(masked, 0, slot) == row(plain, 0, slot));
            assert!(mask || row(masked, 1, slot) == row(plain, 1, slot));
            assert!(instruction || after.instruction == before.instruction);
            let mut all =
                vec![("frequency", frequency), ("state", state), ("mask", mask), ("text", instruction)];
            let names = ["image 0", "image 1", "image 2", "image 3", "image 4", "image 5"];
            for (index, name) in names.into_iter().enumerate() {
                assert!(before.image_valid[index] || !after.image_valid[index]);
                if after.image_valid[index] {
                    assert_eq!(before.frames[index], after.frames[index]);
                } else {
                    assert_eq!(after.frames[index], Default::default());
                }
                if before.image_valid[index] {
                    all.push((name, !after.image_valid[index]));
                }
            }
            for (place, (name, is_masked)) in all.iter().enumerate() {
                count(name.to_string(), *is_masked);
                for (other, other_is_masked) in &all[..place] {
                    count(format!("{other} and {name}"), *is_masked && *other_is_masked);
                }
            }
        }
    }
    let probability = |name: &str| match name {
        "image 0" | "image 3" => EXTERNAL_MASKED,
        _ => MASKED,
    };
    for (name, (masked, of)) in counts {
        assert!(of > 1_000, "{name}: {of}");
        near(&name, masked, of, name.split(" and ").map(probability).product());
    }
}

#[test]
fn masked_images_are_background_and_the_others_are_as_before() {
    let dir = tempfile::tempdir().unwrap();
    let buffer = small_buffer::write(dir.path());
    let end = Some(BatchPosition { epoch: 8, batch: 0 });
    let plain = load(&buffer, Asked { end, ..options() });
    let masked = load(&buffer, Asked { end, disturbance: masking(), ..options() });
    let background = f32::from(BACKGROUND);
    let mut newly_masked = 0;
    for (plain, masked) in plain.iter().zip(&masked) {
        let images = |batch: &Held| batch.arrays[5].clone();
        let (before, after) = (images(plain), images(masked));
        let image = 3 * SIZE * SIZE;
        for (place, (before, after)) in before.chunks_exact(image).zip(after.chunks_exact(image)).enumerate()
        {
            let record = &masked.records[place / 6];
            if record.image_valid[place % 6] {
                assert!(before == after);
            } else {
                assert!(after.iter().all(|&value| value == background));
                newly_masked += u32::from(plain.records[place / 6].image_valid[place % 6]);
            }
        }
    }
    assert!(newly_masked > 50);
}

#[test]
fn all_or_nothing_is_possible() {
    let dir = tempfile::tempdir().unwrap();
    let buffer = small_buffer::write(dir.path());
    let all = Disturbance { mask_probability: 1.0, ..Disturbance::default() };
    // Without means of its own, those of the buffer: here of no episodes, so zeros.
    for batch in load(&buffer, Asked { disturbance: all, ..options() }) {
        assert!(batch.arrays[0].iter().chain(&batch.arrays[1]).all(|&value| value == 0.0));
        for record in &batch.records {
            assert!(record.image_valid.iter().all(|valid| !valid));
            assert!(record.instruction.is_empty() && record.ctrl_freq == 0.0);
        }
    }
    // The external camera has a probability of its own, whatever the others have.
    let others = Disturbance {
        mask_probability: 1.0,
        external_camera_mask_probability: Some(0.0),
        ..Disturbance::default()
    };
    let shown = load(&buffer, Asked { disturbance: others, ..options() });
    for (record, plain) in
        shown.iter().zip(load(&buffer, options())).flat_map(|(a, b)| a.records.iter().zip(b.records))
    {
        for index in 0..6 {
            assert_eq!(record.image_valid[index], index % 3 == 0 && plain.image_valid[index]);
        }
    }
    let none = Disturbance { external_camera_mask_probability: Some(0.0), ..Disturbance::default() };
    assert!(none.is_off());
}

#[test]
fn states_get_normal_noise_of_the_ratio_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let buffer = small_buffer::write(dir.path());
    let noise = Disturbance { state_noise_snr: Some(20.0), ..Disturbance::default() };
    let plain = load(&buffer, long(Disturbance::default()));
    let noisy = load(&buffer, long(noise));
    let mut units = Vec::new();
    for (plain, noisy) in plain.iter().zip(&noisy) {
        assert_eq!(plain.arrays[1..], noisy.arrays[1..]);
        assert_eq!(plain.records, noisy.records);
        let deviations = &plain.arrays[3];
        for ((before, after), std) in plain.arrays[0].iter().zip(&noisy.arrays[0]).zip(deviations) {
            if *std == 0.0 {
                assert_eq!(before, after);
            } else {
                // 20 decibels: a tenth of the deviation.
                units.push(f64::from(after - before) / (f64::from(*std) / 10.0));
            }
        }
    }
    let count = units.len() as f64;
    let moment = |power: i32| units.iter().map(|unit| unit.powi(power)).sum::<f64>() / count;
    // The deviation of the mean of x^k is sqrt((E x^2k - (E x^k)^2) / n).
    for (power, expected, variance) in [(1, 0.0, 1.0), (2, 1.0, 2.0), (3, 0.0, 15.0), (4, 3.0, 96.0)] {
        let found = moment(power);
        assert!((found - expected).abs() < 5.0 * (variance / count).sqrt(), "moment {power}: {found}");
    }
}

#[test]
fn one_draw_does_not_depend_on_another() {
    let dir = tempfile::tempdir().unwrap();
    let buffer = small_buffer::write(dir.path());
    let masked = load(&buffer, Asked { disturbance: masking(), ..options() });
    let all = load(&buffer, Asked { disturbance: everything(), ..options() });
    let mut changed = 0;
    for (masked, all) in masked.iter().zip(&all) {
        assert_eq!(masked.records, all.records);
        assert_eq!(masked.arrays[1..5], all.arrays[1..5]);
        let images = masked.arrays[5].chunks_exact(3 * SIZE * SIZE);
        let altered = all.arrays[5].chunks_exact(3 * SIZE * SIZE);
        changed += images.zip(altered).filter(|(a, b)| a != b).count();
    }
    // About half of the images shown, of 70 samples.
    assert!((40..200).contains(&changed), "{changed}");
}

#[test]
fn what_cannot_be_done_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let buffer = small_buffer::write(dir.path());
    let refused = |disturbance| Asked { disturbance, ..options() }.open(&buffer).err().unwrap();
    for probability in [-0.1, 1.1, f64::NAN] {
        let disturbance = Disturbance { mask_probability: probability, ..Disturbance::default() };
        assert!(matches!(refused(disturbance), ConsumerError::Probability { .. }));
        let external_camera_mask_probability = Some(probability);
        let disturbance = Disturbance { external_camera_mask_probability, ..Disturbance::default() };
        assert!(matches!(refused(disturbance), ConsumerError::Probability { .. }));
    }
    let disturbance = Disturbance { state_noise_snr: Some(f64::INFINITY), ..Disturbance::default() };
    assert!(matches!(refused(disturbance), ConsumerError::NoiseRatio { .. }));
    let with = |means: BTreeMap<String, Vec<f64>>| {
        let state_means = StateMeans::Given(means);
        refused(Disturbance { mask_probability: 0.1, state_means, ..Disturbance::default() })
    };
    let first = |width| BTreeMap::from([("first".to_owned(), vec![0.0; width])]);
    assert!(matches!(with(first(127)), ConsumerError::StateMeanWidth { found: 127, .. }));
    assert!(matches!(with(first(128)), ConsumerError::NoStateMean { dataset } if dataset == "second"));
}
