//! The structure check: what passes, and that every kind of damage is found.

use super::super::jpeg::{check, size};
use super::{jpeg, noise};

#[test]
fn whole_jpegs_pass() {
    let plain = jpeg(480, 640, &[1, 2, 0xff, 0x00, 3, 4, 5]);
    assert_eq!(size(&plain), Ok((480, 640)));
    assert_eq!(check(&plain), Ok((480, 640)));
    // NULs behind the end are padding that nobody cut.
    assert_eq!(check(&[&plain[..], &[0; 9]].concat()), Ok((480, 640)));
    // Fill bytes before a marker; several scans, as progressive files have.
    let end = plain.len() - 2;
    let scan = [0xff, 0xff, 0xff, 0xda, 0, 8, 1, 1, 0, 0, 0x3f, 0, 9, 9];
    let several = [&plain[..end], &scan, &[0xff, 0xff, 0xd9]].concat();
    assert_eq!(check(&of_kind(&several, 0xc2)), Ok((480, 640)));
    // A baseline file shows each component once, whether in one scan or in three.
    assert_eq!(check(&several).expect_err("a flaw").found, format!("a scan too many at byte {}", end + 2));
    let apart = |component: u8| [0xff, 0xda, 0, 8, 1, component, 0, 0, 0x3f, 0, 9, 9];
    let start = plain.windows(2).position(|w| w == [0xff, 0xda]).expect("a scan");
    let three = [&plain[..start], &apart(1), &apart(2), &apart(3), &[0xff, 0xd9]].concat();
    assert_eq!(check(&three), Ok((480, 640)));
    let two = [&plain[..start], &apart(1), &apart(2), &[0xff, 0xd9]].concat();
    assert_eq!(check(&two).expect_err("a flaw").found, "scans of 2 components");
    // Data that end in zeros stay whole: the end marker is behind them.
    assert_eq!(check(&jpeg(1, 1, &[0, 0, 0])), Ok((1, 1)));
}

/// Another kind of frame header: its marker is bytes 8 and 9.
fn of_kind(bytes: &[u8], kind: u8) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[9] = kind;
    bytes
}

#[test]
fn restart_markers_count_up_where_the_file_has_them() {
    let interval = [0xff, 0xdd, 0, 4, 0, 1];
    let with_interval = |picture: &[u8]| {
        let plain = jpeg(480, 640, picture);
        check(&[&plain[..2], &interval, &plain[2..]].concat())
    };
    let counted: Vec<u8> = (0..20).flat_map(|i| [i, 0xff, 0xd0 + i % 8, 9]).collect();
    assert_eq!(with_interval(&counted), Ok((480, 640)));
    assert_eq!(check(&jpeg(480, 640, &counted)).expect_err("a flaw").expected.get(..4), Some("none"));
    for wrong in [0xd1, 0xd7] {
        assert_eq!(with_interval(&[1, 0xff, wrong, 2]).expect_err("a flaw").expected, "restart marker 0xd0");
    }
    assert!(with_interval(&[1, 0xff, 0xd0, 2, 0xff, 0xd0, 3]).is_err());
}

#[test]
fn any_marker_inside_the_data_is_found() {
    for marker in (1..=0xfe).filter(|&marker| marker != 0xd9) {
        // As noise would have it: what follows is a segment that ends at the real end marker.
        let picture = [1, 2, 0xff, marker, 0, 6, 0, 1, 2, 3];
        assert!(check(&jpeg(480, 640, &picture)).is_err(), "{marker:#04x} in a baseline file");
        let known = matches!(marker, 0xc4 | 0xcc | 0xdb | 0xdc | 0xe0..=0xef | 0xfe);
        let progressive = of_kind(&jpeg(480, 640, &picture), 0xc2);
        assert_eq!(check(&progressive).is_ok(), known, "{marker:#04x} in a progressive file");
    }
}

#[test]
fn noise_inside_the_data_is_found_wherever_it_holds_a_marker() {
    for seed in 1..400 {
        let noise = noise(600, seed);
        let marked = noise.windows(2).any(|pair| pair[0] == 0xff && !matches!(pair[1], 0 | 0xff));
        let checked = check(&jpeg(480, 640, &[&[1; 50][..], &noise, &[1; 5000]].concat()));
        assert_eq!(checked.is_err(), marked, "seed {seed}: {checked:?}");
    }
}

#[test]
fn every_truncation_is_found() {
    let whole = jpeg(480, 640, &[1, 2, 0xff, 0x00, 3, 4, 5, 6]);
    for len in 0..whole.len() {
        assert!(check(&whole[..len]).is_err(), "{len} of {} bytes", whole.len());
        // Padded again, as in an array of fixed-length strings.
        let padded = [&whole[..len], &[0; 8]].concat();
        assert!(check(&padded).is_err(), "{len} of {} bytes, padded", whole.len());
    }
}

#[test]
fn flaws_are_named() {
    let whole = jpeg(480, 640, &[1, 2, 3]);
    let changed = |at: usize, byte: u8| {
        let mut bytes = whole.clone();
        bytes[at] = byte;
        check(&bytes).expect_err("a flaw").found
    };
    // Byte 9 is the kind of frame header, 12 its precision, 13 to 16 the size, 17 the components.
    assert_eq!(changed(17, 1), "a grey JPEG (1 component)");
    assert_eq!(changed(17, 4), "a JPEG of 4 components");
    assert_eq!(changed(12, 12), "a JPEG of 12 bits");
    assert_eq!(changed(9, 0xc3), "a JPEG of kind SOF3");
    assert_eq!(check(&jpeg(0, 640, &[1])).expect_err("a flaw").found, "a picture of 0 x 640 pixels");
    assert_eq!(changed(9, 0xe1), "picture data without a frame header");
    assert!(changed(0, 0x89).starts_with("bytes that start with"));
    let junk = [&whole[..], &[0, 0, 7, 7]].concat();
    assert_eq!(
        check(&junk).expect_err("a flaw").found,
        format!("2 bytes behind the end marker, at byte {}", whole.len() + 2)
    );
    let twice = [&whole[..whole.len() - 2], &whole[..]].concat();
    assert!(check(&twice).expect_err("a flaw").found.starts_with("a second JPEG start"));
    assert_eq!(check(&[]).expect_err("a flaw").found, "an empty frame");
    assert_eq!(check(&[0xff, 0xd8, 0xff, 0xd9]).expect_err("a flaw").found, "a JPEG without picture data");
}

#[test]
fn no_bytes_make_it_panic() {
    let whole = jpeg(480, 640, &[1, 2, 0xff, 0x00, 3]);
    for at in 0..whole.len() {
        for byte in 0..=255 {
            let mut bytes = whole.clone();
            bytes[at] = byte;
            let (checked, sized) = (check(&bytes), size(&bytes));
            assert!(checked.is_err() || checked == sized, "byte {at} = {byte}");
        }
    }
}
