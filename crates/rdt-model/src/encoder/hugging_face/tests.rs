//! Model folders that are whole, and those that are not.

use std::path::Path;

use safetensors::tensor::{Dtype, TensorView};

use super::*;

/// Writes a safetensors file of zeros.
fn write(path: &Path, tensors: &[(&str, Dtype, &[usize])]) {
    let bytes: Vec<Vec<u8>> = tensors
        .iter()
        .map(|(_, kind, shape)| vec![0; shape.iter().product::<usize>() * kind.bitsize() / 8])
        .collect();
    let views = tensors.iter().zip(&bytes).map(|((name, kind, shape), bytes)| {
        (*name, TensorView::new(*kind, shape.to_vec(), bytes).expect("as many bytes as the shape says"))
    });
    safetensors::serialize_to_file(views, None, path).expect("a file");
}

fn write_index(folder: &Path, places: &[(&str, &str)]) {
    let map: serde_json::Map<_, _> =
        places.iter().map(|(name, file)| ((*name).into(), (*file).into())).collect();
    std::fs::write(
        folder.join("model.safetensors.index.json"),
        serde_json::json!({ "weight_map": map }).to_string(),
    )
    .expect("an index");
}

fn list() -> (TensorList, TensorId, TensorId) {
    let mut list = TensorList::default();
    let a = list.want("a.weight", &[2, 3]);
    let b = list.want_any(["b.weight".to_owned(), "b.copy".to_owned()], &[4]);
    (list, a, b)
}

fn load(folder: &Path, unused: &[&str]) -> Result<FrozenTensors, String> {
    let folder = ModelFolder::open(folder).map_err(|error| error.to_string())?;
    folder.load(&list().0, unused, Device::Cpu, Kind::Float).map_err(|error| error.to_string())
}

const WHOLE: [(&str, Dtype, &[usize]); 2] =
    [("a.weight", Dtype::F32, &[2, 3]), ("b.weight", Dtype::F16, &[4])];

#[test]
fn a_stored_kind_is_mapped_and_another_is_converted() {
    let folder = tempfile::tempdir().expect("a folder");
    write(&folder.path().join(WEIGHTS[0]), &WHOLE);
    let model = ModelFolder::open(folder.path()).expect("a whole folder");
    let (list, a, b) = list();
    let loaded = model.load(&list, &[], Device::Cpu, Kind::Float).expect("all tensors");
    let mapped = |name| model.files[0].tensor(name).expect("a known kind").expect("a tensor").data_ptr();
    assert_eq!(loaded.get(a).data_ptr(), mapped("a.weight"), "no copy of f32");
    assert_ne!(loaded.get(b).data_ptr(), mapped("b.weight"), "f16 is converted");
    assert_eq!((loaded.get(b).kind(), loaded.get(b).size()), (Kind::Float, vec![4]));
    drop(model);
    assert_eq!(loaded.get(a).abs().max().double_value(&[]), 0.0, "the map lives as long as its tensors");
}

#[test]
fn what_does_not_fit_is_listed_by_name() {
    let folder = tempfile::tempdir().expect("a folder");
    write(
        &folder.path().join(WEIGHTS[0]),
        &[
            ("a.weight", Dtype::F32, &[3, 2]),
            ("c.weight", Dtype::F32, &[1]),
            ("head.weight", Dtype::F32, &[1]),
        ],
    );
    let error = load(folder.path(), &["head."]).expect_err("three faults");
    for part in [
        "1 tensors missing: b.weight or b.copy;",
        "1 tensors of another shape: a.weight [3, 2] instead of [2, 3];",
        "1 tensors not known: c.weight;",
    ] {
        assert!(error.contains(part), "{part:?} in {error}");
    }
    assert!(!error.contains("head."), "{error}");
}

#[test]
fn whole_numbers_are_no_weights() {
    let folder = tempfile::tempdir().expect("a folder");
    write(&folder.path().join(WEIGHTS[0]), &[WHOLE[0], ("b.weight", Dtype::I64, &[4])]);
    let error = load(folder.path(), &[]).expect_err("i64");
    assert!(error.contains("b.weight holds whole numbers"), "{error}");
}

#[test]
fn either_name_of_a_copied_tensor_will_do() {
    let folder = tempfile::tempdir().expect("a folder");
    write(&folder.path().join(WEIGHTS[0]), &[WHOLE[0], ("b.copy", Dtype::BF16, &[4])]);
    load(folder.path(), &[]).expect("b under its other name");
}

#[test]
fn shards_are_read_through_their_index() {
    let folder = tempfile::tempdir().expect("a folder");
    write(&folder.path().join("one.safetensors"), &WHOLE[..1]);
    write(&folder.path().join("two.safetensors"), &WHOLE[1..]);
    write_index(folder.path(), &[("a.weight", "one.safetensors"), ("b.weight", "two.safetensors")]);
    load(folder.path(), &[]).expect("both shards");

    write_index(folder.path(), &[("a.weight", "two.safetensors"), ("b.weight", "one.safetensors")]);
    let error = load(folder.path(), &[]).expect_err("shards exchanged");
    assert!(error.contains("a.weight (two.safetensors), b.weight (one.safetensors)"), "{error}");

    write_index(folder.path(), &[("a.weight", "../one.safetensors")]);
    let error = load(folder.path(), &[]).expect_err("a path");
    assert!(error.contains("outside its folder: ../one.safetensors"), "{error}");

    write_index(folder.path(), &[("a.weight", "one.safetensors"), ("b.weight", "three.safetensors")]);
    let error = load(folder.path(), &[]).expect_err("a shard is missing");
    assert!(error.contains("three.safetensors"), "{error}");
}

#[test]
fn a_folder_without_weights_says_what_to_do() {
    let folder = tempfile::tempdir().expect("a folder");
    assert!(load(folder.path(), &[]).expect_err("empty").contains("it holds no weights"));
}

#[test]
fn a_cut_file_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join(WEIGHTS[0]);
    write(&path, &WHOLE);
    let bytes = std::fs::read(&path).expect("the file");
    for length in 0..bytes.len() {
        std::fs::write(&path, &bytes[..length]).expect("a shorter file");
        assert!(load(folder.path(), &[]).is_err(), "cut to {length} bytes");
    }
}
