//! `--frame-size`: frames stored padded and resized, and what becomes of them.

use std::path::Path;

use rdt_image::{Picture, Preprocessor};
use safetensors::SafeTensors;

use crate::support::{Run, buf, consume, fill_libero, produce, root, sample_data};

/// That of `configs/tiny.yaml`.
const SIZE: usize = 48;

fn text(path: &Path) -> String {
    path.display().to_string()
}

fn fill(buffer: &Path, more: &[&str]) {
    fill_libero(buffer, &[&["--config", &text(&root().join("configs/tiny.yaml"))], more].concat()).expect(0);
}

fn train(folder: &Path, more: &[&str]) -> Run {
    let (buffer, out) = (text(&folder.join("buffer")), text(&folder.join("out")));
    let args = ["--buffer", &buffer, "--output-dir", &out, "--device", "cpu", "--train-batch-size", "2"];
    consume(args.into_iter().chain(["--max-train-steps", "1"]).chain(more.iter().copied()))
}

#[test]
fn stored_frames_are_what_preparing_the_source_gives() {
    let folder = tempfile::tempdir().expect("a folder");
    let (plain, prepared) = (folder.path().join("plain"), folder.path().join("prepared"));
    fill(&plain, &[]);
    fill(&prepared, &["--frame-size", &SIZE.to_string()]);
    let mut preprocessor = Preprocessor::new(SIZE).expect("a size");
    for sample in ["0", "85", "167"] {
        let [source, stored] = [&plain, &prepared].map(|buffer| {
            let out = folder.path().join("sample.safetensors");
            buf(["sample", &text(buffer), sample, "--out", &text(&out)]).expect(0);
            std::fs::read(out).expect("a sample")
        });
        let (_, metadata) = SafeTensors::read_metadata(&stored).expect("tensors");
        let metadata = metadata.metadata().clone().expect("metadata");
        assert_eq!(metadata.get("frame_size"), Some(&SIZE.to_string()));
        let [source, stored] =
            [&source, &stored].map(|bytes| SafeTensors::deserialize(bytes).expect("tensors"));
        for camera in ["past_frames_0", "past_frames_1"] {
            let [source, stored] = [&source, &stored].map(|sample| sample.tensor(camera).expect("frames"));
            let (height, width) = (source.shape()[1], source.shape()[2]);
            assert_eq!(stored.shape(), [2, SIZE, SIZE, 3]);
            let mut expected = vec![0; SIZE * SIZE * 3];
            for (source, stored) in source
                .data()
                .chunks_exact(height * width * 3)
                .zip(stored.data().chunks_exact(SIZE * SIZE * 3))
            {
                let picture = Picture::new(height, width, source).expect("a frame");
                preprocessor.square(picture, &mut expected);
                assert!(stored == expected, "sample {sample} {camera}");
            }
        }
    }
}

#[test]
fn the_buffer_says_so_and_is_compared_with_its_source() {
    let [libero, aloha] = [("libero", "libero"), ("agilex", "aloha")]
        .map(|(name, folder)| format!("{name}={}", text(&sample_data().join(folder))));
    for codec in ["auto", "lz4", "jpeg"] {
        let folder = tempfile::tempdir().expect("a folder");
        let buffer = text(&folder.path().join("buffer"));
        let args = ["--fill-up", "--dataset", &libero, "--dataset", &aloha, "--buffer", &buffer];
        produce(args.into_iter().chain(["--image-codec", codec, "--frame-size", "48"])).expect(0);
        assert_eq!(buf(["stat", &buffer, "--json"]).expect(0).json()["frame_size"], 48);
        let stat = buf(["stat", &buffer]).expect(0).stdout;
        assert!(stat.contains("padded and resized to 48 x 48"), "{stat}");
        assert!(buf(["show", &buffer, "0"]).expect(0).stdout.contains("padded and resized"));
        let report = buf(["verify", &buffer, "--against-source", "--json"]).expect(0).json();
        assert_eq!(report["compared"], report["samples"], "{codec}");
    }
}

#[test]
fn training_on_them_is_exact_or_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    fill(&folder.path().join("buffer"), &["--frame-size", &SIZE.to_string()]);
    for alteration in ["--image-aug", "--auto-adjust-image-brightness"] {
        train(folder.path(), &[alteration]).expect(2).says(&["48 x 48", "--alter-prepared-images"]);
    }
    let config = folder.path().join("other.yaml");
    let tiny = std::fs::read_to_string(root().join("configs/tiny.yaml")).expect("a configuration");
    std::fs::write(&config, tiny.replace("image_size: 48", "image_size: 32")).expect("room");
    train(folder.path(), &["--config", &text(&config)]).expect(2).says(&["32 x 32", "48 x 48"]);
    let loss = |run: Run| run.stdout.lines().find(|line| line.starts_with("last_loss")).map(str::to_owned);
    let prepared = loss(train(folder.path(), &[]).expect(0));
    train(folder.path(), &["--image-aug", "--alter-prepared-images", "--resume-from-checkpoint", "latest"])
        .expect(0);

    let plain = tempfile::tempdir().expect("a folder");
    fill(&plain.path().join("buffer"), &[]);
    let loss_of_plain = loss(train(plain.path(), &[]).expect(0));
    assert!(loss_of_plain.is_some());
    assert_eq!(prepared, loss_of_plain);
}
