//! Reads what `rdt-buf export` writes, apart from its own code: a stored ZIP of `.npy`.

/// An array of an archive.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Array {
    /// Name without `.npy`.
    pub name: String,
    /// NumPy's `descr`.
    pub descr: String,
    /// NumPy's `shape`, as it is written.
    pub shape: String,
    /// Elements.
    pub data: Vec<u8>,
}

/// The arrays in the order of the archive's directory.
pub(super) fn read(bytes: &[u8]) -> Vec<Array> {
    let u16_at = |at: usize| usize::from(u16::from_le_bytes([bytes[at], bytes[at + 1]]));
    let u32_at = |at: usize| u16_at(at) + (u16_at(at + 2) << 16);
    let end = bytes.len() - 22;
    assert_eq!(&bytes[end..end + 4], b"PK\x05\x06");
    let mut at = u32_at(end + 16);
    (0..u16_at(end + 10))
        .map(|_| {
            assert_eq!(&bytes[at..at + 4], b"PK\x01\x02");
            assert_eq!(u16_at(at + 10), 0, "stored");
            let (checksum, size, name, local) =
                (u32_at(at + 16), u32_at(at + 24), u16_at(at + 28), u32_at(at + 42));
            let name = String::from_utf8(bytes[at + 46..at + 46 + name].to_vec()).expect("a name");
            at += 46 + name.len();
            let start = local + 30 + u16_at(local + 26) + u16_at(local + 28);
            let content = &bytes[start..start + size];
            assert_eq!(crc32fast::hash(content) as usize, checksum, "{name}");
            array(name.strip_suffix(".npy").expect("an npy"), content)
        })
        .collect()
}

fn array(name: &str, content: &[u8]) -> Array {
    assert_eq!(&content[..8], b"\x93NUMPY\x01\x00");
    let start = 10 + usize::from(u16::from_le_bytes([content[8], content[9]]));
    assert_eq!(start % 64, 0, "aligned");
    let header = std::str::from_utf8(&content[10..start]).expect("text");
    let between = |from: &str, to: &str| -> String {
        let rest = header.split_once(from).expect("a key").1;
        rest.split_once(to).expect("its end").0.to_owned()
    };
    assert!(header.contains("'fortran_order': False"), "{header}");
    Array {
        name: name.to_owned(),
        descr: between("'descr': '", "'"),
        shape: between("'shape': ", ", }"),
        data: content[start..].to_vec(),
    }
}
