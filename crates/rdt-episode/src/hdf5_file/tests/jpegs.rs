//! The structure check: what passes, and that every kind of damage is found.

use super::super::jpeg::{check, size};
use super::jpeg;

#[test]
fn whole_jpegs_pass() {
    let plain = jpeg(480, 640, &[1, 2, 0xff, 0x00, 3, 0xff, 0xd0, 4, 0xff, 0xd7, 5]);
    assert_eq!(size(&plain), Ok((480, 640)));
    assert_eq!(check(&plain), Ok((480, 640)));
    // NULs behind the end are padding that nobody cut.
    assert_eq!(check(&[&plain[..], &[0; 9]].concat()), Ok((480, 640)));
    // Fill bytes before a marker; several scans, as progressive files have.
    let end = plain.len() - 2;
    let scan = [0xff, 0xff, 0xff, 0xda, 0, 8, 1, 1, 0, 0, 0x3f, 0, 9, 9];
    assert_eq!(check(&[&plain[..end], &scan, &[0xff, 0xff, 0xd9]].concat()), Ok((480, 640)));
    // Data that end in zeros stay whole: the end marker is behind them.
    assert_eq!(check(&jpeg(1, 1, &[0, 0, 0])), Ok((1, 1)));
}

#[test]
fn every_truncation_is_found() {
    let whole = jpeg(480, 640, &[1, 2, 0xff, 0x00, 3, 0xff, 0xd0, 4, 5, 6]);
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
