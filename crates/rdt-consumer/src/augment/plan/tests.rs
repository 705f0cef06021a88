//! What is drawn is drawn as often as RDT's libraries draw it.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::*;
use crate::draw::absorb;

const DRAWS: u64 = 200_000;

fn drawn() -> impl Iterator<Item = Option<Augmentation>> {
    (0..DRAWS).map(|number| Augmentation::draw(absorb(11, number)))
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

/// Asserts that values are uniform between the ends.
fn uniform(what: &str, values: &[f64], low: f64, high: f64) {
    let mut bins = [0u64; 10];
    for value in values {
        assert!((low..=high).contains(value), "{what}: {value}");
        bins[(((value - low) / (high - low) * 10.0) as usize).min(9)] += 1;
    }
    for count in bins {
        near(what, count, values.len() as u64, 0.1);
    }
}

#[test]
fn half_of_the_pictures_are_altered_in_one_of_three_ways() {
    let mut kinds = [0; 4];
    for augmentation in drawn() {
        let kind = match augmentation.map(|of| (of.color.is_some(), of.corruption.is_some())) {
            None => 0,
            Some((true, false)) => 1,
            Some((false, true)) => 2,
            Some((true, true)) => 3,
            Some((false, false)) => panic!("an alteration without an effect"),
        };
        kinds[kind] += 1;
    }
    near("altered", DRAWS - kinds[0], DRAWS, 0.5);
    for kind in &kinds[1..] {
        near("kind", *kind, DRAWS, 1.0 / 6.0);
    }
}

#[test]
fn colors_change_by_even_factors_in_every_order() {
    let jitters: Vec<ColorJitter> = drawn().flatten().filter_map(|of| of.color).collect();
    let mut orders: BTreeMap<String, u64> = BTreeMap::new();
    for jitter in &jitters {
        *orders.entry(format!("{:?}", jitter.order)).or_default() += 1;
    }
    assert_eq!(orders.len(), 24);
    for (order, count) in orders {
        near(&order, count, jitters.len() as u64, 1.0 / 24.0);
    }
    let of = |field: fn(&ColorJitter) -> f32| jitters.iter().map(|j| f64::from(field(j))).collect::<Vec<_>>();
    uniform("brightness", &of(|j| j.brightness), 0.7, 1.3000001);
    uniform("contrast", &of(|j| j.contrast), 0.6, 1.4);
    uniform("saturation", &of(|j| j.saturation), 0.5, 1.5);
    uniform("hue", &of(|j| j.hue), -0.03, 0.03);
}

#[test]
fn severities_are_even() {
    let corruptions: Vec<Corruption> = drawn().flatten().filter_map(|of| of.corruption).collect();
    let mut severities: [Vec<f64>; 3] = Default::default();
    let (mut sigmas, mut angles, mut directions) = (Vec::new(), Vec::new(), Vec::new());
    for corruption in &corruptions {
        match corruption.noise.law {
            Law::Gaussian { deviation } => severities[0].push(deviation),
            Law::Laplace { scale } => severities[1].push(scale),
            Law::Poisson { mean } => severities[2].push(mean),
        }
        match corruption.blur {
            Some(Blur::Gaussian { sigma }) => sigmas.push(sigma),
            Some(Blur::Motion { angle, direction, .. }) => {
                angles.push(angle);
                directions.push(direction);
            }
            _ => {}
        }
    }
    for values in severities {
        uniform("severity", &values, 0.0, 12.75);
    }
    uniform("sigma", &sigmas, 0.0, 3.0);
    uniform("angle", &angles, 0.0, 360.0);
    uniform("direction", &directions, 0.0, 1.0);
    let mut keys: Vec<u64> = corruptions.iter().map(|corruption| corruption.noise.key).collect();
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), corruptions.len());
}

#[derive(Deserialize)]
struct Choices {
    runs: u64,
    counts: BTreeMap<String, u64>,
}

#[derive(Deserialize)]
struct Distributions {
    choices: Choices,
}

/// The words that the recording uses for a corruption.
fn words(corruption: &Corruption) -> Vec<String> {
    let law = match corruption.noise.law {
        Law::Gaussian { .. } => "gaussian",
        Law::Laplace { .. } => "laplace",
        Law::Poisson { .. } => "poisson",
    };
    let mut words = vec![format!("noise {law}")];
    if corruption.noise.per_channel {
        words.push("noise per channel".into());
    }
    if let Some(blur) = &corruption.blur {
        words.push("blurred".into());
        if corruption.noise_first {
            words.push("noise first of the blurred".into());
        }
        words.push(match *blur {
            Blur::Gaussian { sigma } => {
                let side = crate::augment::filter::gaussian_weights(sigma).map_or(0, |weights| weights.len());
                format!("blur gaussian {side}")
            }
            Blur::Average { side } => format!("blur average {side}"),
            Blur::Median { side } => format!("blur median {side}"),
            Blur::Motion { side, .. } => format!("blur motion {side}"),
        });
    }
    words
}

#[test]
fn golden_corruptions_are_chosen_alike() {
    let folder = std::env::var_os("RDT_CONDITIONING_GOLDENS").map_or_else(
        || std::path::PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/conditioning"),
        Into::into,
    );
    let text = std::fs::read(folder.join("distributions.json")).unwrap();
    let Choices { runs, counts: theirs } = serde_json::from_slice::<Distributions>(&text).unwrap().choices;
    let corruptions: Vec<Corruption> = drawn().flatten().filter_map(|of| of.corruption).collect();
    let mut ours: BTreeMap<String, u64> = BTreeMap::new();
    for word in corruptions.iter().flat_map(words) {
        *ours.entry(word).or_default() += 1;
    }
    // A blur too weak to be one is not seen by the recording.
    ours.remove("blur gaussian 0");
    assert_eq!(ours.keys().collect::<Vec<_>>(), theirs.keys().collect::<Vec<_>>());
    for (word, &count) in &ours {
        let (a, b) = (count as f64 / corruptions.len() as f64, theirs[word] as f64 / runs as f64);
        let deviation = (b * (1.0 - b) * (1.0 / runs as f64 + 1.0 / corruptions.len() as f64)).sqrt();
        assert!((a - b).abs() < 5.0 * deviation, "{word}: {a} here, {b} recorded, deviation {deviation}");
    }
}
