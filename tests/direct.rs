//! `--load-from-hdf5`: samples straight from their files are those of a buffer filled from them.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use rdt_buffer::Samples;
use rdt_cli::consume::source::{self, SourceFlags, Wanted};
use rdt_cli::datasets::DatasetFlags;
use rdt_consumer::{
    Batch, BatchPosition, BatchShape, Delivery, Disturbance, Holdout, LastBatch, Layout, Loader,
    LoaderOptions, OnBadSample, OrderedOptions, Ranks, Workers,
};
use rdt_data::Source;
use serde_json::{Value, json};

use crate::made::{Episode, Place, Rgb};
use crate::support::{Run, consume, produce, root, sample_data};

/// The sample episodes: raw frames, turned over, and JPEGs.
fn datasets() -> Vec<String> {
    let folder = |name: &str| sample_data().join(name).display().to_string();
    vec![format!("libero={}", folder("libero")), format!("arm:agilex={}", folder("aloha"))]
}

fn tiny() -> PathBuf {
    root().join("configs/tiny.yaml")
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

fn fill(buffer: &Path, datasets: &[String]) -> Run {
    let mut args = vec!["--fill-up", "--config"];
    let tiny = tiny();
    args.extend([text(&tiny), "--buffer", text(buffer)]);
    datasets.iter().for_each(|dataset| args.extend(["--dataset", dataset]));
    produce(args)
}

fn from_files(datasets: &[String]) -> Vec<&str> {
    let mut args = vec!["--load_from_hdf5"];
    datasets.iter().for_each(|dataset| args.extend(["--dataset", dataset]));
    args
}

fn open(buffer: Option<&Path>, datasets: &[String]) -> Source {
    let flags = SourceFlags {
        buffer: buffer.map(Path::to_owned),
        load_from_hdf5: buffer.is_none(),
        datasets: DatasetFlags { dataset: datasets.to_vec(), ..DatasetFlags::default() },
    };
    let wanted = Wanted {
        default_buffer: None,
        is_complete: true,
        config: Some(tiny()),
        known_config: None,
        known_data: None,
    };
    source::open(&flags.spec(wanted).expect("a source"), Arc::default()).expect("a source")
}

/// More than an epoch, all that a batch holds, with what the rows can be changed by.
fn batches(samples: &Arc<dyn Samples>, threads: usize) -> Vec<(Vec<Vec<u32>>, Vec<u8>, String)> {
    let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect();
    let loader = Loader::ordered(samples.clone(), order(), options(threads)).expect("a loader");
    delivered(loader)
        .map(|batch| {
            let arrays =
                [batch.state(), batch.state_mask(), batch.actions(), batch.state_std(), batch.state_norm()];
            (arrays.map(bits).into(), batch.images().to_vec(), format!("{:?}", batch.samples()))
        })
        .collect()
}

/// Batch after batch.
fn delivered(mut loader: Loader) -> impl Iterator<Item = Batch> {
    std::iter::from_fn(move || loader.next(&AtomicBool::new(false)).expect("a batch"))
}

fn order() -> OrderedOptions {
    OrderedOptions {
        seed: 11,
        global_batch: 16,
        ranks: Ranks::ONE,
        last: LastBatch::Keep,
        order: Default::default(),
        selection: None,
        start: BatchPosition::default(),
        end: Some(BatchPosition { epoch: 1, batch: 2 }),
    }
}

fn options(threads: usize) -> LoaderOptions {
    let shape = BatchShape { action_rows: 64, history: 2, cameras: 3 };
    LoaderOptions {
        layout: Layout { shape, delivery: Delivery::Pixel { size: 48 } },
        workers: Workers { threads, batches_ahead: 2 },
        disturbance: Disturbance {
            mask_probability: 0.3,
            state_noise_snr: Some(20.0),
            ..Disturbance::default()
        },
        on_bad_sample: OnBadSample::Fail,
    }
}

#[test]
fn batches_are_equal_bit_by_bit_to_those_of_a_buffer() {
    let folder = tempfile::tempdir().expect("a folder");
    let buffer = folder.path().join("buffer");
    let datasets = datasets();
    fill(&buffer, &datasets).expect(0);
    let (stored, direct) = (open(Some(&buffer), &[]), open(None, &datasets));
    assert_eq!(stored.name, direct.name, "a checkpoint of one resumes on the other");
    assert_eq!(stored.samples.datasets(), direct.samples.datasets());
    assert_eq!(stored.samples.state_means(), direct.samples.state_means());
    let of_buffer = batches(&stored.samples, 2);
    assert!(of_buffer.len() > 20);
    let of_files = batches(&direct.samples, 3);
    assert_eq!(of_buffer.len(), of_files.len());
    for (number, (a, b)) in of_buffer.iter().zip(of_files).enumerate() {
        assert_eq!(a.2, b.2, "batch {number}");
        assert!(a.0 == b.0 && a.1 == b.1, "arrays of batch {number}");
    }
}

#[test]
fn order_is_that_of_a_buffer() {
    let folder = tempfile::tempdir().expect("a folder");
    let buffer = folder.path().join("buffer");
    let datasets = datasets();
    fill(&buffer, &datasets).expect(0);
    let tiny = tiny();
    let order = ["order", "--seed", "5", "--epoch", "3", "--json", "--config", text(&tiny)];
    let of_buffer = consume([&order[..], &["--buffer", text(&buffer)]].concat()).expect(0).stdout;
    let direct = consume([&order[..], &from_files(&datasets)].concat()).expect(0).stdout;
    assert!(of_buffer.lines().count() > 5);
    assert_eq!(of_buffer, direct);

    // With --holdout: what a loader of the rest delivers.
    let samples = open(Some(&buffer), &[]).samples;
    let rest = Holdout::new(samples.as_ref(), 0.4).expect("two sides").training;
    let ordered = OrderedOptions {
        seed: 5,
        start: BatchPosition { epoch: 3, batch: 0 },
        end: Some(BatchPosition { epoch: 4, batch: 0 }),
        global_batch: 32,
        selection: Some(rest),
        ..self::order()
    };
    let layout = Layout { delivery: Delivery::Stored, ..options(1).layout };
    let options = LoaderOptions { layout, ..options(1) };
    let ids = |batch: Batch| batch.samples().iter().map(|sample| sample.sample.get()).collect::<Vec<_>>();
    let delivered: Vec<_> = delivered(Loader::ordered(samples, ordered, options).expect("a loader"))
        .zip(0..)
        .map(|(batch, number)| json!({ "batch": number, "samples": ids(batch) }))
        .collect();
    let listed = consume([&order[..], &["--buffer", text(&buffer), "--holdout", "0.4"]].concat()).expect(0);
    let listed: Vec<Value> =
        listed.stdout.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(listed, delivered);
}

#[test]
fn training_is_equal_and_resumes_from_files_what_was_begun_on_a_buffer() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    let (tiny, buffer, datasets) = (tiny(), path("buffer"), datasets());
    fill(&buffer, &datasets).expect(0);
    let train = |source: &[&str], out: &str, steps: &str, more: &[&str]| {
        let out = path(out);
        let fixed = ["--config", text(&tiny), "--device", "cpu", "--train-batch-size", "8", "--output-dir"];
        consume([source, &fixed[..], &[text(&out), "--max-train-steps", steps], more].concat())
    };
    let (stored, direct) = (["--buffer", text(&buffer)], from_files(&datasets));
    train(&stored, "stored", "4", &[]).expect(0);
    train(&direct, "direct", "4", &["--sample-period", "4", "--num-sample-batches", "1"]).expect(0);
    let holdout = ["--holdout", "0.4"];
    train(&stored, "stored-part", "1", &holdout).expect(0);
    train(&direct, "direct-part", "1", &holdout).expect(0).says(&["held out"]);
    let loss = |out: &str| fs::read_to_string(path(out).join("metrics.jsonl")).expect("metrics");
    let losses = ["stored-part", "direct-part"].map(|out| {
        let record: serde_json::Value = serde_json::from_str(&loss(out)).expect("a line");
        record["loss"].clone()
    });
    assert_eq!(losses[0], losses[1]);
    train(&stored, "mixed", "2", &[]).expect(0);
    train(&direct, "mixed", "4", &["--resume-from-checkpoint", "latest"]).expect(0).says(&["at step 2"]);
    let weights =
        |out: &str| fs::read(path(out).join("checkpoint-4/model.safetensors")).expect("the weights");
    assert!(weights("stored") == weights("direct"));
    assert!(weights("stored") == weights("mixed"));
    let checkpoint = path("direct/checkpoint-4");
    let sample = ["sample", "--checkpoint", text(&checkpoint), "--device", "cpu", "--json"];
    let figures = |source: &[&str]| consume([&sample[..], source].concat()).expect(0).stdout;
    assert_eq!(figures(&stored), figures(&direct));
}

#[test]
fn bad_episodes_are_named_and_counted() {
    let place = Place::new();
    let bad = Episode { bad_state: Some((2, 1, f64::NAN)), ..Episode::of(9) };
    place.file("a.hdf5", &[Episode::of(30), bad, Episode::of(23)]);
    place.file("b.hdf5", &[Episode { rgb: Rgb::Absent, ..Episode::of(9) }, Episode::of(8)]);
    let (tiny, out) = (tiny(), place.path("out"));
    let dataset = format!("robot:{}={}", place.path("card.yaml").display(), place.path("data").display());
    let source = ["--load-from-hdf5", "--dataset", &dataset, "--config", text(&tiny)];
    let order = consume([&["order", "--json"], &source[..]].concat()).expect(3);
    let counted: usize = order.stdout.lines().map(|line| line.split(',').count() - 1).sum();
    assert_eq!(counted, 30 + 23 + 8, "{}", order.stdout);
    order.says(&[
        "skipped robot: a.hdf5:data/demo_1",
        "skipped robot: b.hdf5:data/demo_0",
        "2 skipped as faulty",
    ]);
    let more = ["--output-dir", text(&out), "--device", "cpu", "--max-train-steps", "2"];
    consume([&source[..], &more].concat()).expect(3).says(&["a.hdf5:data/demo_1"]);
}

#[test]
fn a_frame_that_only_reading_shows_to_be_bad_is_replaced_and_counted() {
    let place = Place::new();
    place.file("a.hdf5", &[Episode::of(12), Episode::of(10)]);
    place.corrupt_frame("a.hdf5", 1, 4);
    let dataset = format!("robot:{}={}", place.path("card.yaml").display(), place.path("data").display());
    let tiny = tiny();
    let bench = ["bench", "--batch-size", "22", "--image-size", "16", "--json", "--config", text(&tiny)];
    let run = consume([&bench[..], &["--load-from-hdf5", "--dataset", &dataset]].concat()).expect(3);
    // Frame 4 is in the windows of steps 4 and 5.
    assert_eq!(run.json()["bad_samples"], 2);
    run.says(&["(a.hdf5:data/demo_1 step 4)", "(a.hdf5:data/demo_1 step 5)"]);
}

#[test]
fn what_does_not_go_together_is_code_2() {
    let datasets = datasets();
    let [dataset, _] = &datasets[..] else { panic!("two data sets") };
    for (args, words) in [
        (vec!["--load-from-hdf5"], "--dataset NAME"),
        (vec!["--dataset", dataset], "--load-from-hdf5 is missing"),
        (vec!["--load-from-hdf5", "--dataset", dataset, "--buffer", "b"], "--buffer"),
        (vec!["--load-from-hdf5", "--dataset", "libero=/no/such/folder"], "/no/such/folder"),
        (vec![], "--buffer is missing"),
    ] {
        consume(args).expect(2).says(&[words]);
    }
    consume(["bench", "--cold", "--load-from-hdf5", "--dataset", dataset]).expect(2).says(&["--cold"]);
}
