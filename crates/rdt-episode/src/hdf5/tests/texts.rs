//! Texts, groups and attributes.

use hdf5::types::{FixedAscii, FixedUnicode, VarLenAscii, VarLenUnicode};

use super::{LIBERO, assert_says, made, open, sample};

fn unicode(text: &str) -> VarLenUnicode {
    text.parse().expect("text without NUL")
}

#[test]
fn text_of_every_form() {
    let (_directory, path) = made(|file| {
        file.new_dataset::<VarLenUnicode>().create("scalar")?.write_scalar(&unicode("öffne die Tür"))?;
        file.new_dataset::<VarLenUnicode>()
            .shape(2)
            .create("list")?
            .write_raw(&[unicode("first"), unicode("second")])?;
        let ascii = VarLenAscii::from_ascii(b"plain").expect("ascii");
        file.new_dataset::<VarLenAscii>().create("ascii")?.write_scalar(&ascii)?;
        let fixed = FixedAscii::<40>::from_ascii(b"padded").expect("ascii");
        file.new_dataset::<FixedAscii<40>>().create("fixed")?.write_scalar(&fixed)?;
        file.new_dataset::<FixedAscii<40>>()
            .shape(2)
            .chunk(1)
            .deflate(1)
            .create("fixed_list")?
            .write_raw(&[fixed, fixed])?;
        let compact = file.new_dataset::<FixedAscii<40>>().layout(hdf5::dataset::Layout::Compact);
        compact.create("compact")?.write_scalar(&fixed)?;
        file.new_dataset::<VarLenUnicode>().create("nothing")?.write_scalar(&unicode(""))?;
        file.new_dataset::<f64>().create("number")?.write_scalar(&1.0)?;
        file.new_dataset::<VarLenUnicode>().shape(0).create("empty")?;
        let bad = FixedAscii::<3>::from_ascii(b"abc").expect("ascii");
        file.new_dataset::<FixedAscii<3>>().create("not_utf8")?.write_scalar(&bad)?;
        Ok(())
    });
    let place =
        hdf5::File::open(&path).and_then(|f| f.dataset("not_utf8")).expect("it").offset().expect("an offset");
    let raw = std::fs::OpenOptions::new().write(true).open(&path).expect("the file");
    std::os::unix::fs::FileExt::write_all_at(&raw, b"a\xe9b", place).expect("written");
    let file = open(&path);
    let expected = [
        ("scalar", "öffne die Tür"),
        ("list", "first"),
        ("ascii", "plain"),
        ("fixed", "padded"),
        ("fixed_list", "padded"),
        ("compact", "padded"),
        ("nothing", ""),
    ];
    for (name, text) in expected {
        assert_eq!(file.read_text(name).expect(name), text);
    }
    assert_says(file.read_text("number"), &["number", "f64", "a text"]);
    assert_says(file.read_text("empty"), &["empty", "no values"]);
    assert_says(file.read_text("not_utf8"), &["not_utf8", "not UTF-8 at byte 1"]);
    assert_says(file.read_text("absent"), &["absent", "nothing"]);
}

#[test]
fn attributes_of_files_groups_and_arrays() {
    let (_directory, path) = made(|file| {
        let group = file.create_group("data")?;
        file.new_attr::<VarLenUnicode>().create("language")?.write_scalar(&unicode("schließe sie"))?;
        let fixed: FixedUnicode<16> = "grün".parse().expect("short enough");
        group.new_attr::<FixedUnicode<16>>().create("fixed")?.write_scalar(&fixed)?;
        let array = file.new_dataset::<u8>().shape(1).create("data/array")?;
        let ascii = FixedAscii::<2000>::from_ascii(&[b'x'; 1500]).expect("ascii");
        array.new_attr::<FixedAscii<2000>>().create("long")?.write_scalar(&ascii)?;
        array.new_attr::<u8>().create("number")?.write_scalar(&1)
    });
    let file = open(&path);
    assert_eq!(file.attribute_text("", "language").expect("language"), "schließe sie");
    assert_eq!(file.attribute_text("data", "fixed").expect("fixed"), "grün");
    assert_eq!(file.attribute_text("data/array", "long").expect("long"), "x".repeat(1500));
    assert_says(file.attribute_text("data", "absent"), &["data@absent", "nothing", "a text attribute"]);
    assert_says(file.attribute_text("nowhere", "fixed"), &["nowhere@fixed"]);
    assert_says(file.attribute_text("data/array", "number"), &["data/array@number", "a text"]);
}

#[test]
fn groups_come_in_natural_order() {
    let (_directory, path) = made(|file| {
        for name in ["demo_10", "demo_2", "demo_1", "demo_002b", "other_3", "demo_x"] {
            file.create_group(&format!("data/{name}"))?.create_group("obs")?;
        }
        file.new_dataset::<u8>().shape(1).create("data/demo_0")?;
        file.create_group("traj_0")?;
        Ok(())
    });
    let file = open(&path);
    let groups = |pattern: &str| file.groups(pattern).expect(pattern);
    assert_eq!(groups(""), [""]);
    assert_eq!(groups("traj_*"), ["traj_0"]);
    assert_eq!(groups("data/demo_1"), ["data/demo_1"]);
    assert_eq!(
        groups("data/demo_*"),
        ["data/demo_1", "data/demo_2", "data/demo_002b", "data/demo_10", "data/demo_x"]
    );
    assert_eq!(groups("*/*_1*/obs"), ["data/demo_1/obs", "data/demo_10/obs"]);
    assert_eq!(groups("absent_*"), [""; 0]);
    assert_eq!(groups("absent/demo_*"), [""; 0]);
    assert!(file.exists("") && file.exists("data/demo_0") && file.exists("data/demo_1/obs"));
    assert!(!file.exists("data/demo_3") && !file.exists("a/b/c"));
}

#[test]
fn the_instruction_inside_a_sample_episode() {
    let text = open(&sample(LIBERO)).attribute_text("data", "problem_info").expect("problem_info");
    assert!(text.contains("language_instruction"), "{text}");
}
