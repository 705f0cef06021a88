//! Pictures come out as from torchvision and imgaug, and noise is distributed as theirs.
//!
//! Recordings are made by `tests/conditioning/make_conditioning_goldens.py`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use safetensors::SafeTensors;
use serde::Deserialize;

use super::noise;
use super::plan::{Law, Noise};
use super::*;

fn recordings() -> PathBuf {
    std::env::var_os("RDT_CONDITIONING_GOLDENS").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/conditioning"),
        PathBuf::from,
    )
}

fn json<T: serde::de::DeserializeOwned>(name: &str) -> T {
    serde_json::from_slice(&std::fs::read(recordings().join(name)).unwrap()).unwrap()
}

#[derive(Deserialize)]
struct Case {
    operation: String,
    numbers: Vec<f64>,
    r#in: String,
    out: String,
}

fn carry_out(augmenter: &mut Augmenter, case: &Case, size: (usize, usize), pixels: &mut [u8]) {
    let factor = case.numbers[0] as f32;
    let side = case.numbers[0] as usize;
    match case.operation.as_str() {
        "brightness" => augmenter.brightness(pixels, factor),
        "contrast" => color::contrast(pixels, factor),
        "saturation" => color::saturation(pixels, factor),
        "hue" => color::hue(pixels, factor),
        "gaussian" => augmenter.blur(&Blur::Gaussian { sigma: case.numbers[0] }, size, pixels),
        "average" => augmenter.blur(&Blur::Average { side }, size, pixels),
        "median" => augmenter.blur(&Blur::Median { side }, size, pixels),
        "motion" => {
            let (angle, direction) = (case.numbers[1], case.numbers[2]);
            augmenter.blur(&Blur::Motion { side, angle, direction }, size, pixels);
        }
        other => panic!("recorded operation {other} is not known"),
    }
}

#[test]
fn golden_pictures_are_equal() {
    let bytes = std::fs::read(recordings().join("pictures.safetensors")).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let mut augmenter = Augmenter::new();
    // By operation: levels, levels off by one, largest difference.
    let mut found: BTreeMap<String, (usize, usize, u8)> = BTreeMap::new();
    for case in json::<Vec<Case>>("pictures.json") {
        let before = tensors.tensor(&case.r#in).unwrap();
        let after = tensors.tensor(&case.out).unwrap();
        let size = (before.shape()[0], before.shape()[1]);
        let mut pixels = before.data().to_vec();
        carry_out(&mut augmenter, &case, size, &mut pixels);
        let entry = found.entry(case.operation.clone()).or_default();
        for (&ours, &theirs) in pixels.iter().zip(after.data()) {
            entry.0 += 1;
            entry.1 += usize::from(ours != theirs);
            entry.2 = entry.2.max(ours.abs_diff(theirs));
        }
        assert!(entry.2 <= 1, "{} {:?} of {}: {entry:?}", case.operation, case.numbers, case.r#in);
    }
    println!("{found:?}");
    assert!(!found.is_empty());
    for (operation, (levels, other, _)) in found {
        // Rounding of sums in another order only.
        let most = if operation == "motion" { levels / 5000 } else { 0 };
        assert!(other <= most, "{operation}: {other} of {levels} levels differ");
    }
}

#[derive(Deserialize)]
struct Histogram {
    law: String,
    severity: f64,
    counts: Vec<(i32, u64)>,
}

#[derive(Deserialize)]
struct Distributions {
    noise: Vec<Histogram>,
}

/// Mean, variance and kurtosis.
fn moments(counts: &BTreeMap<i32, u64>) -> [f64; 3] {
    let total = counts.values().sum::<u64>() as f64;
    let moment = |power: i32, around: f64| {
        counts.iter().map(|(&level, &n)| (f64::from(level) - around).powi(power) * n as f64).sum::<f64>()
            / total
    };
    let mean = moment(1, 0.0);
    let variance = moment(2, mean);
    [mean, variance, moment(4, mean) / variance.powi(2)]
}

#[test]
fn golden_noise_is_distributed_alike() {
    let recorded: Distributions = json("distributions.json");
    assert!(!recorded.noise.is_empty());
    for Histogram { law, severity, counts } in recorded.noise {
        let theirs: BTreeMap<i32, u64> = counts.into_iter().collect();
        let total: u64 = theirs.values().sum();
        let noise = Noise {
            law: match law.as_str() {
                "gaussian" => Law::Gaussian { deviation: severity },
                "laplace" => Law::Laplace { scale: severity },
                "poisson" => Law::Poisson { mean: severity },
                other => panic!("recorded law {other} is not known"),
            },
            per_channel: true,
            key: 5,
        };
        let mut pixels = vec![128; total as usize];
        noise::add(&noise, &mut pixels);
        let mut ours: BTreeMap<i32, u64> = BTreeMap::new();
        for &level in &pixels {
            *ours.entry(i32::from(level) - 128).or_default() += 1;
        }
        // Two samples of one distribution: chi-square over the levels that are not rare.
        let (mut chi, mut levels) = (0.0, 0.0);
        for level in -128..128 {
            let count = |of: &BTreeMap<i32, u64>| of.get(&level).copied().unwrap_or(0) as f64;
            let (a, b) = (count(&ours), count(&theirs));
            if a + b > 20.0 {
                chi += (a - b).powi(2) / (a + b);
                levels += 1.0;
            }
        }
        assert!(
            levels > 2.0 && chi < levels + 5.0 * (2.0_f64 * levels).sqrt(),
            "{law} {severity}: {chi} of {levels}"
        );
        let (ours, theirs) = (moments(&ours), moments(&theirs));
        let sigma = (theirs[1] / total as f64).sqrt();
        assert!(
            (ours[0] - theirs[0]).abs() < 5.0 * sigma * 2f64.sqrt(),
            "{law} {severity}: {ours:?} {theirs:?}"
        );
        for moment in [1, 2] {
            assert!(
                (ours[moment] / theirs[moment] - 1.0).abs() < 0.02,
                "{law} {severity}: {ours:?} {theirs:?}"
            );
        }
    }
}

#[test]
fn channels_get_numbers_of_their_own_only_where_asked_for() {
    let noise = |per_channel| Noise { law: Law::Gaussian { deviation: 5.0 }, per_channel, key: 1 };
    let mut pixels = vec![100; 3 * 1001];
    noise::add(&noise(false), &mut pixels);
    assert!(pixels.as_chunks::<3>().0.iter().all(|[r, g, b]| r == g && g == b));
    assert!(pixels.iter().any(|&level| level != 100));
    let mut pixels = vec![100; 3 * 1001];
    noise::add(&noise(true), &mut pixels);
    assert!(pixels.as_chunks::<3>().0.iter().any(|[r, g, b]| r != g && g != b));
}

#[test]
fn noise_of_no_strength_changes_nothing() {
    for law in [Law::Gaussian { deviation: 0.0 }, Law::Laplace { scale: 0.0 }, Law::Poisson { mean: 0.0 }] {
        let mut pixels: Vec<u8> = (0..=254).collect();
        let before = pixels.clone();
        noise::add(&Noise { law, per_channel: true, key: 3 }, &mut pixels);
        assert_eq!(pixels, before);
    }
}

#[test]
fn dark_pictures_are_brightened() {
    let mut augmenter = Augmenter::new();
    let mut dark = vec![38; 12];
    augmenter.brighten_if_dark(&mut dark);
    // 66.5, cut.
    assert_eq!(dark, [66; 12]);
    let mut light = vec![39; 12];
    augmenter.brighten_if_dark(&mut light);
    assert_eq!(light, [39; 12]);
    augmenter.brighten_if_dark(&mut []);
}

#[test]
fn corruption_keeps_to_its_order_and_color_comes_first() {
    let mut augmenter = Augmenter::new();
    let noise = Noise { law: Law::Laplace { scale: 12.0 }, per_channel: true, key: 9 };
    let blur = Blur::Average { side: 3 };
    let picture: Vec<u8> = (0..7 * 8 * 3).map(|place| (place * 37 % 251) as u8).collect();
    for noise_first in [true, false] {
        let mut expected = picture.clone();
        color::brightness(&mut expected, 0.8);
        if noise_first {
            noise::add(&noise, &mut expected);
        }
        augmenter.blur(&blur, (7, 8), &mut expected);
        if !noise_first {
            noise::add(&noise, &mut expected);
        }
        let jitter = ColorJitter {
            order: [Adjustment::Brightness; 4],
            brightness: 0.8,
            contrast: 1.0,
            saturation: 1.0,
            hue: 0.0,
        };
        let corruption = Corruption { noise: noise.clone(), blur: Some(blur), noise_first };
        let mut pixels = picture.clone();
        let once = Augmentation { color: None, corruption: Some(corruption) };
        color::brightness(&mut pixels, jitter.brightness);
        augmenter.apply(&once, (7, 8), &mut pixels);
        assert_eq!(pixels, expected);
    }
}

/// Milliseconds a picture: `cargo test --release -p rdt-consumer -- --ignored --nocapture time`.
#[test]
#[ignore = "prints times"]
fn time_of_each_alteration() {
    use std::hint::black_box;
    use std::time::Instant;
    let mut augmenter = Augmenter::new();
    for size in [(128, 128), (480, 640)] {
        let picture: Vec<u8> = (0..size.0 * size.1 * 3).map(|place| (place * 37 % 251) as u8).collect();
        let mut time = |name: &str, run: &mut dyn FnMut(&mut Augmenter, &mut [u8])| {
            let mut pixels = picture.clone();
            let mut times: Vec<f64> = (0..7)
                .map(|_| {
                    pixels.copy_from_slice(&picture);
                    let start = Instant::now();
                    run(&mut augmenter, black_box(&mut pixels));
                    start.elapsed().as_secs_f64() * 1e3
                })
                .collect();
            times.sort_by(f64::total_cmp);
            println!("{size:?} {name}: {:.3} ms", times[3]);
        };
        let noise = |law, per_channel| Noise { law, per_channel, key: 1 };
        time("brightness", &mut |a, p| a.brightness(p, 0.9));
        time("contrast", &mut |a, p| a.fast(|| color::contrast(p, 0.9)));
        time("saturation", &mut |a, p| a.fast(|| color::saturation(p, 0.9)));
        time("hue", &mut |a, p| a.fast(|| color::hue(p, 0.02)));
        time("gaussian noise", &mut |_, p| noise::add(&noise(Law::Gaussian { deviation: 6.0 }, true), p));
        time("poisson noise, grey", &mut |_, p| noise::add(&noise(Law::Poisson { mean: 6.0 }, false), p));
        time("gaussian 1.5", &mut |a, p| a.blur(&Blur::Gaussian { sigma: 1.5 }, size, p));
        time("average 5", &mut |a, p| a.blur(&Blur::Average { side: 5 }, size, p));
        time("median 3", &mut |a, p| a.blur(&Blur::Median { side: 3 }, size, p));
        time("median 11", &mut |a, p| a.blur(&Blur::Median { side: 11 }, size, p));
        let motion = |side| Blur::Motion { side, angle: 40.0, direction: 0.3 };
        time("motion 19", &mut |a, p| a.blur(&motion(19), size, p));
        time("motion 37", &mut |a, p| a.blur(&motion(37), size, p));
        let many: Vec<Augmentation> = (0..200).filter_map(Augmentation::draw).collect();
        let mut pixels = picture.clone();
        let start = Instant::now();
        for augmentation in &many {
            pixels.copy_from_slice(&picture);
            augmenter.apply(augmentation, size, black_box(&mut pixels));
        }
        let each = start.elapsed().as_secs_f64() * 1e3 / 200.0;
        println!("{size:?} as drawn, a picture (half are left alone): {each:.3} ms");
    }
}
