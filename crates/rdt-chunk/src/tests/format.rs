//! `docs/format.md` against the constants of the code and the golden chunk: neither can
//! change alone.

use rdt_schema::{ChannelOrder, Flip};

use super::golden;
use crate::header::{MAGIC, Section};
use crate::{FrameCodec, frame_table, header, metadata, sample_table};

fn document() -> String {
    std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/format.md")).unwrap()
}

/// The rows of the first table under `heading`, as cells without their back-ticks.
fn table(heading: &str) -> Vec<Vec<String>> {
    let document = document();
    let mut lines = document.lines().skip_while(|line| *line != heading);
    assert!(lines.next().is_some(), "docs/format.md has no line {heading:?}");
    let rows = lines.skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
    let cells = |line: &str| {
        let inner = line.trim_matches('|');
        inner.split('|').map(|cell| cell.trim().replace('`', "")).collect::<Vec<_>>()
    };
    rows.skip(2).map(cells).collect()
}

/// Offset, length and name of each field; the fields must lie back to back.
fn fields(heading: &str) -> Vec<(usize, usize, String)> {
    let rows = table(heading);
    let fields: Vec<(usize, usize, String)> =
        rows.iter().map(|row| (row[0].parse().unwrap(), row[1].parse().unwrap(), row[2].clone())).collect();
    for pair in fields.windows(2) {
        assert_eq!(pair[0].0 + pair[0].1, pair[1].0, "{heading}: {} leaves a hole", pair[0].2);
    }
    fields
}

/// The table under `heading` must list exactly these fields and end at `length`.
fn check_fields(heading: &str, length: usize, expected: &[(usize, &str)]) {
    let fields = fields(heading);
    let found: Vec<(usize, &str)> = fields.iter().map(|(offset, _, name)| (*offset, name.as_str())).collect();
    assert_eq!(found, expected, "{heading}");
    let (offset, bytes, _) = fields.last().unwrap();
    assert_eq!(offset + bytes, length, "{heading}");
}

#[test]
fn the_header_is_as_documented() {
    use header::field as f;
    let sums = |at: usize, width: usize, i: usize| at + width * i;
    check_fields(
        "### Header",
        header::HEADER_LENGTH,
        &[
            (f::MAGIC, "magic"),
            (f::FORMAT_VERSION, "format_version"),
            (f::HEADER_LENGTH, "header_length"),
            (f::FILE_LENGTH, "file_length"),
            (f::CHUNK, "chunk"),
            (f::CAPACITY, "capacity"),
            (f::GENERATION, "generation"),
            (f::SAMPLES, "samples"),
            (f::FRAMES, "frames"),
            (f::PLAN_DIGEST, "plan_digest"),
            (sums(f::SECTION_LENGTHS, 8, Section::Frames as usize), "frames_length"),
            (sums(f::SECTION_LENGTHS, 8, Section::FrameTable as usize), "frame_table_length"),
            (sums(f::SECTION_LENGTHS, 8, Section::SampleTable as usize), "sample_table_length"),
            (sums(f::SECTION_LENGTHS, 8, Section::Rows as usize), "rows_length"),
            (sums(f::SECTION_LENGTHS, 8, Section::Metadata as usize), "metadata_length"),
            (f::SECTION_CHECKSUMS, "frame_table_crc"),
            (f::SECTION_CHECKSUMS + 4, "sample_table_crc"),
            (f::SECTION_CHECKSUMS + 8, "rows_crc"),
            (f::SECTION_CHECKSUMS + 12, "metadata_crc"),
            (f::RESERVED, "reserved"),
            (f::HEADER_CHECKSUM, "header_crc"),
        ],
    );
}

#[test]
fn the_tables_are_as_documented() {
    {
        use frame_table::field as f;
        check_fields(
            "### Frame record",
            frame_table::FRAME_RECORD_LENGTH,
            &[
                (f::OFFSET, "offset"),
                (f::LENGTH, "length"),
                (f::CHECKSUM, "crc"),
                (f::REFERENCE, "reference"),
                (f::HEIGHT, "height"),
                (f::WIDTH, "width"),
                (f::CODEC, "codec"),
                (f::ORDER, "order"),
                (f::FLIP, "flip"),
                (f::RESERVED, "reserved"),
            ],
        );
    }
    use sample_table::field as f;
    check_fields(
        "### Sample record",
        sample_table::SAMPLE_RECORD_LENGTH,
        &[
            (f::EPISODE, "episode"),
            (f::STEP, "step"),
            (f::FIRST_STATE, "first_state"),
            (f::FIRST_ACTION, "first_action"),
            (f::FIRST_FRAME, "first_frame"),
        ],
    );
}

#[test]
fn the_limits_are_as_documented() {
    let found: Vec<(String, u64)> =
        table("## Limits").iter().map(|row| (row[0].clone(), row[1].parse().unwrap())).collect();
    let expected = [
        ("FORMAT_VERSION", u64::from(header::FORMAT_VERSION)),
        ("HEADER_LENGTH", header::HEADER_LENGTH as u64),
        ("FRAME_RECORD_LENGTH", frame_table::FRAME_RECORD_LENGTH as u64),
        ("SAMPLE_RECORD_LENGTH", sample_table::SAMPLE_RECORD_LENGTH as u64),
        ("NO_REFERENCE", u64::from(frame_table::NO_REFERENCE)),
        ("MAX_FRAME_SIDE", u64::from(frame_table::MAX_FRAME_SIDE)),
        ("MAX_FRAME_PIXELS", u64::from(frame_table::MAX_FRAME_PIXELS)),
        ("MAX_SAMPLE_PIXELS", frame_table::MAX_SAMPLE_PIXELS),
        ("MAX_WINDOW_ROWS", u64::from(metadata::MAX_WINDOW_ROWS)),
        ("MAX_WINDOW_FRAMES", u64::from(metadata::MAX_WINDOW_FRAMES)),
        ("MAX_METADATA_BYTES", metadata::MAX_METADATA_BYTES as u64),
    ];
    let found: Vec<(&str, u64)> = found.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    assert_eq!(found, expected);
}

#[test]
fn the_codes_are_as_documented() {
    let found: Vec<(u8, String)> =
        table("### Codecs").iter().map(|row| (row[0].parse().unwrap(), row[1].clone())).collect();
    let expected: Vec<(u8, String)> =
        FrameCodec::ALL.into_iter().map(|codec| (codec as u8, codec.name().to_owned())).collect();
    assert_eq!(found, expected);
    let codes = |heading| -> Vec<(u8, String)> {
        table(heading).iter().map(|row| (row[0].parse().unwrap(), row[1].clone())).collect()
    };
    let orders = [ChannelOrder::Rgb, ChannelOrder::Bgr].map(|o| (o as u8, format!("{o:?}").to_lowercase()));
    assert_eq!(codes("### Channel orders"), orders);
    let flips = [Flip::None, Flip::Vertical, Flip::Horizontal, Flip::Both];
    assert_eq!(codes("### Flips"), flips.map(|flip| (flip as u8, format!("{flip:?}").to_lowercase())));
}

#[test]
fn the_magic_is_as_documented() {
    let magic = MAGIC.iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(" ");
    assert!(table("### Header")[0][4].contains(&magic), "{magic}");
}

#[test]
fn the_hexdump_is_of_the_golden_chunk() {
    let document = document();
    let golden = golden::bytes("v1-auto");
    let frames = super::toy::open(&golden).header().range(Section::Frames);
    let (mut next, mut may_skip) = (0, false);
    let dump =
        document.lines().skip_while(|line| *line != "```hexdump").skip(1).take_while(|line| *line != "```");
    for line in dump {
        if line.starts_with("...") {
            may_skip = true;
            continue;
        }
        let (address, rest) = line.split_once("  ").unwrap();
        let (bytes, note) = rest.split_once(" | ").unwrap();
        let start = usize::from_str_radix(address, 16).unwrap();
        // Only frames may be left out.
        let skips = may_skip && frames.contains(&next) && start == frames.end;
        assert!(start == next || skips, "{line}: expected address {next:08x}");
        assert!(!note.trim().is_empty(), "{line}");
        let bytes: Vec<u8> =
            bytes.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect();
        assert_eq!(golden[start..start + bytes.len()], bytes, "{line}");
        next = start + bytes.len();
    }
    assert_eq!(next, golden.len(), "the dump ends where the chunk does");
}

#[test]
fn the_name_of_every_metadata_field_is_documented() {
    let episode = super::golden::NAMES.map(|name| {
        let bytes = golden::bytes(name);
        let chunk = super::toy::open(&bytes);
        let dataset = serde_json::to_value(&chunk.datasets().unwrap()[0]).unwrap();
        let info = serde_json::to_value(&chunk.episodes().unwrap()[0].info).unwrap();
        (dataset, info)
    });
    let documented: Vec<String> = table("### Metadata").iter().map(|row| row[0].clone()).collect();
    let (dataset, info) = &episode[0];
    let names = |value: &serde_json::Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let mut expected = Vec::new();
    for (prefix, value) in [("datasets[].", dataset), ("episodes[].info.", info)] {
        for name in names(value) {
            match &value[&name] {
                inner if inner.is_object() => {
                    expected.extend(names(inner).into_iter().map(|n| format!("{prefix}{name}.{n}")));
                }
                inner if inner.as_array().is_some_and(|list| list.first().is_some_and(|i| i.is_object())) => {
                    expected.extend(names(&inner[0]).into_iter().map(|n| format!("{prefix}{name}[].{n}")));
                }
                _ => expected.push(format!("{prefix}{name}")),
            }
        }
        if prefix == "datasets[]." {
            expected.push("episodes[].dataset".into());
        }
    }
    assert_eq!(documented, expected);
}
