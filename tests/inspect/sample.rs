//! `rdt-buf sample` and `rdt-buf show`.

use safetensors::Dtype;

use super::*;

#[test]
fn tensors_have_rdts_names_types_and_shapes() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("sample.safetensors");
    on("sample", libero(), &["100", "--out", &path.display().to_string()]).expect(0);
    let bytes = std::fs::read(&path).expect("the tensors");
    let tensors = SafeTensors::deserialize(&bytes).expect("safetensors");
    let mut expected = vec![
        ("step_id".to_owned(), Dtype::I64, vec![]),
        ("state_chunk".to_owned(), Dtype::F32, vec![64, 128]),
        ("state_chunk_time_mask".to_owned(), Dtype::U8, vec![64]),
        ("action_chunk".to_owned(), Dtype::F32, vec![64, 128]),
        ("action_chunk_time_mask".to_owned(), Dtype::U8, vec![64]),
        ("state_vec_mask".to_owned(), Dtype::U8, vec![128]),
        ("state_std".to_owned(), Dtype::F32, vec![128]),
        ("state_mean".to_owned(), Dtype::F32, vec![128]),
        ("state_norm".to_owned(), Dtype::F32, vec![128]),
    ];
    for camera in 0..4 {
        let shape = if camera < 2 { vec![2, 128, 128, 3] } else { vec![2, 0, 0, 0] };
        expected.push((format!("past_frames_{camera}"), Dtype::U8, shape));
        expected.push((format!("past_frames_{camera}_time_mask"), Dtype::U8, vec![2]));
    }
    assert_eq!(tensors.len(), expected.len());
    for (name, dtype, shape) in expected {
        let view = tensors.tensor(&name).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!((view.dtype(), view.shape()), (dtype, shape.as_slice()), "{name}");
    }
    // Sample 100 is step 14 of the second episode, which starts at 86.
    assert_eq!(tensors.tensor("step_id").expect("it").data(), 14i64.to_le_bytes());
    let mask = tensors.tensor("state_chunk_time_mask").expect("it").data().to_vec();
    assert_eq!(mask, (0..64).map(|row| u8::from(row >= 64 - 15)).collect::<Vec<_>>());

    let (_, header) = SafeTensors::read_metadata(&bytes).expect("safetensors");
    let metadata = header.metadata().as_ref().expect("metadata");
    let expected = [
        ("dataset_name", "libero"),
        ("source", FILE),
        ("episode", "data/demo_1"),
        ("step", "14"),
        ("sample", "100"),
        ("chunk", "2"),
        ("slot", "0"),
    ];
    for (key, value) in expected {
        assert_eq!(metadata.get(key).map(String::as_str), Some(value), "{key}");
    }
    assert!(metadata["instruction"].to_lowercase().contains("top drawer"));
    let wordings: serde_json::Value = serde_json::from_str(&metadata["instructions"]).expect("json");
    assert_eq!(wordings[0]["weight"], 1.0);
    assert!(metadata["#steps"].parse::<u32>().is_ok());
}

#[test]
fn index_and_episode_find_the_same_sample() {
    let episode = format!("{FILE}:data/demo_1");
    for (index, step) in [("86", "0"), ("167", "81")] {
        let by_index = tensors(libero(), &[index]);
        assert_eq!(by_index, tensors(libero(), &["--episode", &episode, "--step", step]));
        assert_ne!(by_index, tensors(libero(), &["--episode", &episode, "--step", "30"]));
    }
}

#[test]
fn what_does_not_exist_is_told_with_what_does() {
    on("show", libero(), &["168"]).expect(2).says(&["sample 168", "0 to 167"]);
    on("show", libero(), &[]).expect(2).says(&["INDEX", "--episode"]);
    let episode = format!("{FILE}:data/demo_9");
    on("show", libero(), &["--episode", &episode, "--step", "0"]).expect(2).says(&[
        "demo_9",
        "data/demo_0",
        "data/demo_1",
    ]);
    let episode = format!("{FILE}:data/demo_1");
    on("show", libero(), &["--episode", &episode, "--step", "82"]).expect(2).says(&["step 82", "0 to 81"]);
    on("show", libero(), &["--episode", &episode]).expect(2).says(&["--step"]);
    on("show", libero(), &["3", "--episode", &episode, "--step", "0"]).expect(2);
    on("show", libero(), &["--episode", &episode, "--step", "0", "--dataset", "other"])
        .expect(2)
        .says(&["other", "libero"]);
    on("sample", libero(), &["3", "--out", "/nonexistent/x.safetensors"])
        .expect(1)
        .says(&["/nonexistent/x.safetensors"]);
}

#[test]
fn an_episode_of_two_data_sets_needs_the_name() {
    let buffer = tempfile::tempdir().expect("a temporary folder");
    let place = buffer.path().display().to_string();
    let data = [0, 1].map(|_| tempfile::tempdir().expect("a temporary folder"));
    for folder in &data {
        copy_folder(&sample_data().join("libero"), folder.path());
    }
    let [one, two] = [("one", &data[0]), ("two", &data[1])]
        .map(|(name, folder)| format!("{name}:libero={}", folder.path().display()));
    produce(["--fill-up", "--dataset", &one, "--dataset", &two, "--buffer", &place]).expect(0);
    let episode = format!("{FILE}:data/demo_0");
    let which = ["--episode", &episode, "--step", "5"];
    on("show", buffer.path(), &which).expect(2).says(&["one, two", "--dataset"]);
    let text = on("show", buffer.path(), &[&which[..], &["--dataset", "two"]].concat()).expect(0).stdout;
    assert!(text.contains("two KITCHEN") && text.contains("sample 173 "), "{text}");
}

#[test]
fn an_episode_that_is_a_file_has_no_key() {
    let buffer = tempfile::tempdir().expect("a temporary folder");
    let place = buffer.path().display().to_string();
    let dataset = format!("agilex={}", sample_data().join("aloha").display());
    produce(["--fill-up", "--dataset", &dataset, "--buffer", &place]).expect(0);
    let short = tensors(buffer.path(), &["--episode", "transfer/episode_0.hdf5", "--step", "100"]);
    assert_eq!(short, tensors(buffer.path(), &["--episode", "transfer/episode_0.hdf5:", "--step", "100"]));
    let text = on("show", buffer.path(), &["0"]).expect(0).stdout;
    // Still steps in front are no samples, and the frame before the first kept one is masked.
    assert!(text.contains("(padding)"), "{text}");
    let wordings = text.lines().filter(|line| line.trim_start().starts_with("told")).count();
    assert!(wordings > 2, "{text}");
}

#[test]
fn a_person_sees_the_sample() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("sample.png");
    let text = on("show", libero(), &["40", "--png", &path.display().to_string()]).expect(0).stdout;
    for word in ["sample 40", "step 40", "top drawer", "right_eef_pos_x", "right wrist", "absent"] {
        assert!(text.contains(word), "`{word}` is missing in\n{text}");
    }
    let decoder = png::Decoder::new(std::io::Cursor::new(std::fs::read(&path).expect("the picture")));
    let mut reader = decoder.read_info().expect("a png");
    let mut pixels = vec![0; reader.output_buffer_size().expect("a size")];
    let info = reader.next_frame(&mut pixels).expect("a png");
    assert!(info.width > 1000 && info.height > 600, "{info:?}");
    // The frames are on it: plots alone have few colours.
    let colours: std::collections::HashSet<&[u8]> = pixels.chunks_exact(3).collect();
    assert!(colours.len() > 2000, "{} colours", colours.len());
}

#[test]
fn a_picture_that_cannot_be_written_fails_before_the_report() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("nowhere/sample.png").display().to_string();
    let run = on("show", libero(), &["40", "--png", &path]).expect(1).says(&["nowhere/sample.png"]);
    assert_eq!(run.stdout, "");
}
