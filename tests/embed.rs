//! `rdt-consume embed` and training on what it stored.

use std::fs;
use std::path::{Path, PathBuf};

use rdt_buffer::embedding::EmbedderLock;
use rdt_buffer::storage::Disk;
use serde_json::Value;

use crate::made::{Episode, Place, copy_folder};
use crate::support::{Run, buf, consume, fill_libero, root};

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

fn tiny() -> PathBuf {
    root().join("configs/tiny.yaml")
}

/// A filled buffer of the LIBERO episodes, in a folder for whatever else.
fn place() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let buffer = folder.path().join("buffer");
    fill_libero(&buffer, &["--config", text(&tiny())]).expect(0);
    (folder, buffer)
}

fn embed(buffer: &Path, more: &[&str]) -> Run {
    consume([&["embed", "--buffer", text(buffer), "--device", "cpu", "--json"], more].concat())
}

/// Trains two steps with half of all inputs masked.
fn train(buffer: &Path, out: &Path, more: &[&str]) -> Run {
    let (config, fixed) = (tiny(), ["--device", "cpu", "--train-batch-size", "8", "--cond-mask-prob", "0.5"]);
    let place = ["--config", text(&config), "--buffer", text(buffer), "--output-dir", text(out)];
    consume([&place[..], &fixed, &["--max-train-steps", "2"], more].concat())
}

fn weights(out: &Path) -> Vec<u8> {
    fs::read(out.join("checkpoint-2/model.safetensors")).expect("weights")
}

fn losses(out: &Path) -> Vec<f64> {
    let lines = fs::read_to_string(out.join("metrics.jsonl")).expect("metrics");
    let loss =
        |line: &str| serde_json::from_str::<Value>(line).expect("JSON")["loss"].as_f64().expect("a loss");
    lines.lines().map(loss).collect()
}

#[test]
fn training_on_stored_instructions_is_training_on_the_encoder() {
    let (folder, buffer) = place();
    let out = |name: &str| folder.path().join(name);
    let stored = ["--precomp_lang_embed"];
    train(&buffer, &out("none"), &stored).expect(2).says(&["rdt-consume embed"]);
    let report = embed(&buffer, &["--mixed-precision", "no"]).expect(0).json();
    // One instruction, and the empty one.
    assert_eq!((report["embeddings"].as_u64(), report["made"].as_u64()), (Some(2), Some(2)), "{report}");
    train(&buffer, &out("live"), &[]).expect(0);
    train(&buffer, &out("stored"), &stored).expect(0).says(&["stored embeddings"]);
    assert!(weights(&out("live")) == weights(&out("stored")), "f32 embeddings are those of the encoder");
    let checkpoint = out("live").join("checkpoint-2");
    let sample = |more: &[&str]| {
        let fixed = ["sample", "--device", "cpu", "--json", "--checkpoint", text(&checkpoint)];
        consume([&fixed[..], &["--buffer", text(&buffer)], more].concat()).expect(0).stdout
    };
    assert_eq!(sample(&[]), sample(&stored));

    fs::remove_dir_all(buffer.join("embeddings")).expect("removed");
    embed(&buffer, &[]).expect(0);
    train(&buffer, &out("bf16"), &stored).expect(0).says(&["bf16"]);
    for (a, b) in losses(&out("live")).iter().zip(losses(&out("bf16"))) {
        assert!((a - b).abs() < 1e-2 * a.abs(), "{a} and {b}");
    }
}

#[test]
fn what_is_there_is_not_made_again_and_what_is_missing_is() {
    let place = Place::new();
    let told = |text| Episode { instruction: Some(text), ..Episode::of(9) };
    place.file("a.hdf5", &[told("Stack."), told("Öffne die Tür."), told("Stack.")]);
    place.fill("buffer", &["--config", text(&tiny())]).expect(0);
    let buffer = place.path("buffer");
    let first = embed(&buffer, &[]).expect(0).json();
    assert_eq!(first["made"].as_u64(), Some(3));
    let language = buffer.join("embeddings/language");
    let bytes = fs::read(language.join("00000000.emb")).expect("the file");
    let again = embed(&buffer, &[]).expect(0).json();
    assert_eq!((again["embeddings"].as_u64(), again["made"].as_u64()), (Some(3), Some(0)));
    // As after a kill before the first file was published, with leftovers.
    fs::rename(language.join("00000000.emb"), buffer.join("embeddings/tmp/00000000.emb")).expect("moved");
    embed(&buffer, &[]).expect(0);
    assert!(bytes == fs::read(language.join("00000000.emb")).expect("the file"), "equal bytes each time");
    assert_eq!(fs::read_dir(buffer.join("embeddings/tmp")).expect("a folder").count(), 0);

    // Embeddings of a buffer that met fewer instructions.
    place.file("b.hdf5", &[told("Push.")]);
    place.fill("more", &["--config", text(&tiny())]).expect(0);
    let more = place.path("more");
    copy_folder(&buffer.join("embeddings"), &more.join("embeddings"));
    let stat =
        |dir: &Path| buf(["stat", text(dir), "--json"]).expect(0).json()["embeddings"]["language"].clone();
    assert_eq!((stat(&more)["instructions"].as_u64(), stat(&more)["missing"].as_u64()), (Some(3), Some(1)));
    let epoch = ["--precomp-lang-embed", "--max-train-steps", "9", "--cond-mask-prob", "0"];
    let fixed = ["--device", "cpu", "--train-batch-size", "8", "--output-dir"];
    let out = place.path("out");
    let trained = consume([&["--buffer", text(&more)], &fixed[..], &[text(&out)], &epoch].concat());
    // Before the first step, not when it is met.
    trained.expect(2).says(&["\"Push.\"", "rdt-consume embed --buffer"]);
    assert!(!out.exists());
    let report = embed(&more, &[]).expect(0).json();
    assert_eq!((report["embeddings"].as_u64(), report["made"].as_u64()), (Some(4), Some(1)));
    assert_eq!(stat(&more)["missing"].as_u64(), Some(0));
    assert_eq!(stat(&more)["files"].as_u64(), Some(2));
    let human = buf(["stat", text(&more)]).expect(0).stdout;
    assert!(human.contains("4 instructions"), "{human}");
}

#[test]
fn another_encoder_and_a_second_writer_are_refused() {
    let (folder, buffer) = place();
    embed(&buffer, &[]).expect(0);
    embed(&buffer, &["--seed", "4"]).expect(2).says(&["encoder", "--seed"]);
    embed(&buffer, &["--mixed-precision", "no"]).expect(2).says(&["bf16"]);
    let out = folder.path().join("out");
    train(&buffer, &out, &["--precomp-lang-embed", "--seed", "4"]).expect(2).says(&["encoder", "seed"]);
    let lock = EmbedderLock::acquire(&buffer, &Disk).expect("the lock");
    embed(&buffer, &[]).expect(1).says(&[&std::process::id().to_string()]);
    drop(lock);
    embed(&buffer, &[]).expect(0);
    let files = ["--load-from-hdf5", "--dataset", "libero=/x", "--precomp-lang-embed"];
    consume(files).expect(2);
}

#[test]
fn damage_is_found_and_named() {
    let (folder, buffer) = place();
    embed(&buffer, &[]).expect(0);
    buf(["verify", text(&buffer)]).expect(0);
    let path = buffer.join("embeddings/language/00000000.emb");
    let mut bytes = fs::read(&path).expect("the file");
    // In the last embedding.
    *bytes.last_mut().expect("a byte") ^= 1;
    fs::write(&path, &bytes).expect("written");
    let verify = buf(["verify", text(&buffer), "--json"]).expect(3).json();
    assert_eq!(verify["bad_embeddings"].as_array().map(Vec::len), Some(1));
    let out = folder.path().join("out");
    train(&buffer, &out, &["--precomp-lang-embed"]).expect(1).says(&["00000000.emb", "rdt-consume embed"]);
    // In the header.
    bytes[40] ^= 1;
    fs::write(&path, &bytes).expect("written");
    let stat = buf(["stat", text(&buffer), "--json"]).expect(3).json();
    assert_eq!(stat["embeddings"]["damaged"].as_array().map(Vec::len), Some(1));
    embed(&buffer, &[]).expect(1).says(&["00000000.emb", "remove it"]);
    fs::remove_file(&path).expect("removed");
    embed(&buffer, &[]).expect(0);
    buf(["verify", text(&buffer)]).expect(0);
}

#[test]
fn training_on_stored_images_is_training_on_the_encoder() {
    let (folder, buffer) = place();
    let out = |name: &str| folder.path().join(name);
    let stored = ["--precomp_img_embed"];
    train(&buffer, &out("none"), &stored).expect(2).says(&["rdt-consume embed --images"]);
    let report = embed(&buffer, &["--images", "--mixed-precision", "no"]).expect(0).json();
    assert!(report["made"].as_u64().is_some_and(|made| made > 168 * 2 - 40), "{report}");
    train(&buffer, &out("live"), &[]).expect(0);
    train(&buffer, &out("stored"), &stored).expect(0).says(&["stored embeddings"]);
    assert!(weights(&out("live")) == weights(&out("stored")), "f32 embeddings are those of the encoder");
    embed(&buffer, &["--mixed-precision", "no"]).expect(0);
    let both = ["--precomp-img-embed", "--precomp-lang-embed"];
    let sampled = [&both[..], &["--sample-period", "2", "--num-sample-batches", "1"]].concat();
    train(&buffer, &out("both"), &sampled).expect(0);
    assert!(weights(&out("live")) == weights(&out("both")));
    let checkpoint = out("live").join("checkpoint-2");
    let sample = |more: &[&str]| {
        let fixed = ["sample", "--device", "cpu", "--json", "--checkpoint", text(&checkpoint)];
        consume([&fixed[..], &["--buffer", text(&buffer)], more].concat()).expect(0).stdout
    };
    assert_eq!(sample(&[]), sample(&both));
    for flag in ["--image-aug", "--auto-adjust-image-brightness"] {
        train(&buffer, &out("none"), &["--precomp-img-embed", flag]).expect(2).says(&[flag, "as they are"]);
    }

    fs::remove_dir_all(buffer.join("embeddings")).expect("removed");
    embed(&buffer, &["--images"]).expect(0);
    train(&buffer, &out("bf16"), &stored).expect(0).says(&["bf16"]);
    for (a, b) in losses(&out("live")).iter().zip(losses(&out("bf16"))) {
        assert!((a - b).abs() < 1e-2 * a.abs(), "{a} and {b}");
    }
}

#[test]
fn images_are_embedded_chunk_by_chunk_and_damage_is_found() {
    let (folder, buffer) = place();
    let images = |name: &str| buffer.join("embeddings/images").join(name);
    let first = embed(&buffer, &["--images"]).expect(0).json();
    let made = |report: &Value| report["made"].as_u64().expect("a number");
    let stat = || buf(["stat", text(&buffer), "--json"]).expect(0).json()["embeddings"]["images"].clone();
    let chunks = stat()["chunks"].as_u64().expect("a number");
    assert!(chunks > 1 && stat()["missing_chunks"] == 0, "{}", stat());
    assert!(buf(["stat", text(&buffer)]).expect(0).stdout.contains("frames of"));
    assert_eq!(made(&embed(&buffer, &["--images"]).expect(0).json()), 0);
    let bytes = fs::read(images("00000001-1.emb")).expect("the file");
    // One is missing, as after a kill; one is of a generation that is no more.
    fs::rename(images("00000001-1.emb"), images("00000001-7.emb")).expect("renamed");
    assert_eq!(stat()["missing_chunks"], 1);
    let out = folder.path().join("out");
    train(&buffer, &out, &["--precomp-img-embed"]).expect(2).says(&["chunk 00000001", "embed --images"]);
    let again = made(&embed(&buffer, &["--images"]).expect(0).json());
    assert!(again > 0 && again < made(&first) / 2, "{again} of {first}");
    assert!(!images("00000001-7.emb").exists());
    assert!(bytes == fs::read(images("00000001-1.emb")).expect("the file"), "equal bytes each time");

    embed(&buffer, &["--images", "--seed", "4"]).expect(2).says(&["encoder"]);
    train(&buffer, &out, &["--precomp-img-embed", "--seed", "4"]).expect(2).says(&["encoder"]);
    // In an embedding: the samples that show the frame are bad samples.
    let mut damaged = bytes.clone();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    fs::write(images("00000001-1.emb"), &damaged).expect("written");
    let verify = buf(["verify", text(&buffer), "--json"]).expect(3).json();
    assert_eq!(verify["bad_embeddings"].as_array().map(Vec::len), Some(1), "{verify}");
    let epoch = ["--precomp-img-embed", "--max-train-steps", "21", "--cond-mask-prob", "0"];
    let fixed = ["--device", "cpu", "--train-batch-size", "8", "--output-dir"];
    let trained = consume([&["--buffer", text(&buffer)], &fixed[..], &[text(&out)], &epoch].concat());
    trained.expect(3).says(&["chunk 00000001", "00000001-1.emb"]);
    // Of a chunk of other content: the chunk was filled again.
    let of_another = fs::read(images("00000000-1.emb")).expect("the file");
    fs::write(images("00000001-1.emb"), of_another).expect("written");
    buf(["stat", text(&buffer)]).expect(3);
    embed(&buffer, &["--images"]).expect(0);
    assert!(bytes == fs::read(images("00000001-1.emb")).expect("the file"));
}

#[test]
fn frames_and_chunks_that_cannot_be_read_are_named_and_cost_their_samples_only() {
    let place = Place::new();
    place.file("a.hdf5", &[Episode::of(41)]);
    place.fill("buffer", &["--config", text(&tiny()), "--chunk-size", "8"]).expect(0);
    let buffer = place.path("buffer");
    let chunk = |id: u32| buffer.join(format!("chunks/{id:08}.chunk"));
    let whole = [1, 2].map(|id| fs::read(chunk(id)).expect("a chunk"));
    // A frame of chunk 1: frames lie behind the header. Half of chunk 2.
    let mut damaged = whole[0].clone();
    damaged[rdt_chunk::HEADER_LENGTH + 20] ^= 1;
    fs::write(chunk(1), damaged).expect("written");
    fs::write(chunk(2), &whole[1][..whole[1].len() / 2]).expect("written");

    let of = |report: &Value, key: &str| report[key].as_array().expect("a list").len();
    let run = embed(&buffer, &["--images"]).expect(3);
    let first = run.says(&["chunk 00000001, frame 0 cannot be decoded", "00000002.chunk"]).json();
    assert_eq!(of(&first, "unread_chunks"), 1, "{first}");
    assert!((1..9).contains(&of(&first, "unread_frames")), "{first}");
    let again = embed(&buffer, &["--images"]).expect(3).json();
    assert_eq!(again["made"], 0);
    assert_eq!(
        (&again["embeddings"], &again["unread_frames"]),
        (&first["embeddings"], &first["unread_frames"])
    );

    let out = place.path("out");
    let epoch = ["--precomp-img-embed", "--num-train-epochs", "1", "--cond-mask-prob", "0", "--seed", "0"];
    let fixed = ["--device", "cpu", "--train-batch-size", "4", "--output-dir", text(&out)];
    let trained = consume([&["--buffer", text(&buffer)], &fixed[..], &epoch].concat()).expect(3);
    trained.says(&["chunk 00000001", "could not be decoded", "chunk 00000002"]);

    // What is put right is embedded, and nothing else is made again.
    fs::write(chunk(1), &whole[0]).expect("written");
    let put_right = embed(&buffer, &["--images"]).expect(3).json();
    assert_eq!((of(&put_right, "unread_frames"), of(&put_right, "unread_chunks")), (0, 1), "{put_right}");
    assert!((1..20).contains(&put_right["made"].as_u64().expect("a number")), "{put_right}");
    fs::write(chunk(2), &whole[1]).expect("written");
    embed(&buffer, &["--images"]).expect(0);
}

#[test]
fn embeddings_for_fewer_cameras_are_not_enough_for_more() {
    let (folder, buffer) = place();
    let narrow = folder.path().join("narrow.yaml");
    let all = fs::read_to_string(tiny()).expect("the configuration");
    assert!(all.contains("num_cameras: 3"));
    fs::write(&narrow, all.replace("num_cameras: 3", "num_cameras: 1")).expect("written");
    let (narrow, out) = (["--images", "--config", text(&narrow)], folder.path().join("out"));
    let made = |more: &[&str]| embed(&buffer, more).expect(0).json()["made"].as_u64().expect("a number");
    let of_one = made(&narrow);
    let stored = ["--precomp-img-embed"];
    train(&buffer, &out, &stored).expect(2).says(&["num_cameras", "rdt-consume embed --images"]);
    assert!(made(&["--images"]) > of_one);
    train(&buffer, &out, &stored).expect(0);
    // More than is needed is enough.
    assert_eq!((made(&["--images"]), made(&narrow)), (0, 0));
}
