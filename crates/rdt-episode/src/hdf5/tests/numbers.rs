//! Numeric arrays of every type and layout, against the values written.

use hdf5::H5Type;

use super::{LIBERO, assert_says, made, open, sample};

/// Values that every number type can hold.
const VALUES: [u8; 12] = [0, 1, 2, 3, 100, 127, 64, 5, 6, 7, 8, 9];

fn write<T: H5Type + From<u8>>(file: &hdf5::File, name: &str) -> hdf5::Result<()> {
    let values = VALUES.map(T::from);
    file.new_dataset::<T>().shape((4, 3)).create(format!("{name}_plain").as_str())?.write_raw(&values)?;
    let packed = file.new_dataset::<T>().shape((4, 3)).chunk((3, 2)).shuffle().lzf();
    packed.create(format!("{name}_lzf").as_str())?.write_raw(&values)?;
    // The checksum's four bytes are shuffled with the values, and do not fill an element of eight.
    let packed = file.new_dataset::<T>().shape((4, 3)).chunk((2, 2)).fletcher32().shuffle();
    packed.create(format!("{name}_sum").as_str())?.write_raw(&values)?;
    let packed = file.new_dataset::<T>().shape((4, 3)).chunk((4, 3)).shuffle().deflate(4).fletcher32();
    packed.create(format!("{name}_gzip").as_str())?.write_raw(&values)
}

#[test]
fn every_number_type() {
    let (_directory, path) = made(|file| {
        write::<u8>(file, "u8")?;
        write::<u16>(file, "u16")?;
        write::<u32>(file, "u32")?;
        write::<u64>(file, "u64")?;
        write::<i16>(file, "i16")?;
        write::<i32>(file, "i32")?;
        write::<i64>(file, "i64")?;
        write::<f32>(file, "f32")?;
        write::<f64>(file, "f64")
    });
    let file = open(&path);
    for kind in ["u8", "u16", "u32", "u64", "i16", "i32", "i64", "f32", "f64"] {
        for layout in ["plain", "lzf", "sum", "gzip"] {
            let name = format!("{kind}_{layout}");
            let matrix = file.read_f64(&name).expect(&name);
            assert_eq!((matrix.rows, matrix.columns), (4, 3));
            assert_eq!(matrix.values, VALUES.map(f64::from), "{name}");
            assert_eq!(matrix.row(1), [3.0, 100.0, 127.0]);
        }
    }
}

#[test]
fn signs_fractions_booleans_and_ranks() {
    let (_directory, path) = made(|file| {
        file.new_dataset::<i8>().shape(3).create("signed")?.write_raw(&[-128_i8, -1, 127])?;
        file.new_dataset::<i64>().shape(2).create("wide")?.write_raw(&[i64::MIN, -3])?;
        file.new_dataset::<f32>().shape(3).create("single")?.write_raw(&[0.1_f32, f32::NAN, -1e30])?;
        file.new_dataset::<bool>().shape(3).create("flags")?.write_raw(&[true, false, true])?;
        let compact = file.new_dataset::<f64>().shape((1, 2)).layout(hdf5::dataset::Layout::Compact);
        compact.create("compact")?.write_raw(&[1.5, -2.5])?;
        file.new_dataset::<f64>()
            .shape((2, 2, 2))
            .create("rotations")?
            .write_raw(&[0., 1., 2., 3., 4., 5., 6., 7.])
    });
    let file = open(&path);
    let read = |name: &str| file.read_f64(name).expect(name);
    assert_eq!(read("signed").values, [-128.0, -1.0, 127.0]);
    assert_eq!((read("signed").rows, read("signed").columns), (3, 1));
    assert_eq!(read("wide").values, [i64::MIN as f64, -3.0]);
    let single = read("single").values;
    assert!(single[0] == f64::from(0.1_f32) && single[1].is_nan() && single[2] == f64::from(-1e30_f32));
    assert_eq!(read("flags").values, [1.0, 0.0, 1.0]);
    assert_eq!(read("compact").values, [1.5, -2.5]);
    let rotations = read("rotations");
    assert_eq!((rotations.rows, rotations.columns), (2, 4));
    assert_eq!(rotations.row(1), [4.0, 5.0, 6.0, 7.0]);
    assert_eq!(file.shape("rotations"), Some(vec![2, 2, 2]));
    assert_eq!(file.shape("absent"), None);
}

#[test]
fn arrays_that_are_not_rows_of_numbers() {
    let (_directory, path) = made(|file| {
        file.new_dataset::<f64>().create("scalar")?.write_scalar(&1.0)?;
        file.new_dataset::<f64>().shape((0, 7)).create("empty")?;
        file.new_dataset::<f64>().shape((7, 0)).create("narrow")?;
        let text = "words".parse::<hdf5::types::VarLenUnicode>().expect("text");
        file.new_dataset::<hdf5::types::VarLenUnicode>().shape(1).create("text")?.write_raw(&[text])?;
        // Never written, and larger than anything: nothing may be allocated for it.
        file.new_dataset::<f64>().shape((1 << 40, 1 << 10)).chunk((1 << 10, 1)).create("huge")?;
        Ok(())
    });
    let file = open(&path);
    assert_says(file.read_f64("scalar"), &["scalar", "a scalar", "one row a step"]);
    assert_says(file.read_f64("empty"), &["empty", "[0, 7]", "at least one step"]);
    assert_says(file.read_f64("narrow"), &["narrow", "[7, 0]"]);
    assert_says(file.read_f64("text"), &["text", "variable-length text", "integers or floats"]);
    assert_says(file.read_f64("absent"), &["episode.hdf5", "absent", "nothing", "an array", "dataset card"]);
    assert_says(file.read_f64("huge"), &["huge", "at most"]);
}

#[test]
fn lzf_with_shuffle_as_h5py_writes_it() {
    let names = ["actions", "obs/ee_pos", "obs/ee_ori", "obs/gripper_states"];
    let keys = open(&sample(LIBERO)).groups("data/demo_*").expect("demos");
    let places = keys.iter().flat_map(|key| names.map(|name| format!("{key}/{name}")));
    let by_library: Vec<(String, Vec<f64>)> = {
        let file = hdf5::File::with_options().with_fapl(|p| p.file_locking(false)).open(sample(LIBERO));
        let file = file.expect("the sample");
        places
            .map(|place| {
                let values = file.dataset(&place).and_then(|array| array.read_raw()).expect(&place);
                (place, values)
            })
            .collect()
    };
    assert!(by_library.len() >= names.len());
    let file = open(&sample(LIBERO));
    for (place, values) in by_library {
        assert_eq!(file.read_f64(&place).expect(&place).values, values, "{place}");
    }
}
