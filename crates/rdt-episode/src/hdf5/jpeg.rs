//! The structure of a JPEG file: its markers, without decoding.
//!
//! Owns what can be known at the speed of a byte search: that the file is whole, has one
//! picture of three components, how large it is, and that every marker is one that may stand
//! where it does. Whether the compressed data decode is the decoder's to say: damage that
//! holds no 0xff byte looks like data.

use memchr::memchr;

const SOI: u8 = 0xd8;
const EOI: u8 = 0xd9;
const SOS: u8 = 0xda;
const DRI: u8 = 0xdd;
const FIRST_RESTART: u8 = 0xd0;
const LAST_RESTART: u8 = 0xd7;
const PROGRESSIVE: u8 = 0xc2;
/// What this module expects of every picture.
const COMPONENTS: usize = 3;

/// What is wrong with a JPEG: found, expected.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Flaw {
    pub(super) found: String,
    pub(super) expected: String,
}

fn flaw<T>(found: impl Into<String>, expected: impl Into<String>) -> Result<T, Flaw> {
    Err(Flaw { found: found.into(), expected: expected.into() })
}

/// The (height, width) of a JPEG, from its frame header.
pub(super) fn size(bytes: &[u8]) -> Result<(u32, u32), Flaw> {
    let mut reader = Reader::start(bytes)?;
    loop {
        let segment = reader.segment()?;
        match segment.marker {
            marker if is_frame_header(marker) => return frame_header(&segment),
            SOS | EOI => return flaw("picture data without a frame header", "a frame header (SOF) first"),
            _ => {}
        }
    }
}

/// Checks the whole structure and returns (height, width). Only NULs may follow the end.
pub(super) fn check(bytes: &[u8]) -> Result<(u32, u32), Flaw> {
    let mut reader = Reader::start(bytes)?;
    let (mut size, mut progressive, mut restarts) = (None, false, false);
    // Components that scans have shown: each once, unless the file is progressive.
    let mut shown = 0;
    loop {
        let segment = reader.segment()?;
        match segment.marker {
            marker if is_frame_header(marker) => {
                progressive = marker == PROGRESSIVE;
                let earlier = size.replace(frame_header(&segment)?);
                if earlier.is_some() {
                    return flaw(format!("a second frame header at byte {}", segment.at), "one picture");
                }
            }
            SOS if size.is_none() => {
                return flaw("picture data without a frame header", "a frame header (SOF) first");
            }
            SOS => {
                shown += match segment.body.first() {
                    Some(&components @ 1..=3) => usize::from(components),
                    _ => return flaw(format!("a scan without components at byte {}", segment.at), "1 to 3"),
                };
                if !progressive && shown > COMPONENTS {
                    return flaw(format!("a scan too many at byte {}", segment.at), "every component once");
                }
                reader.skip_scan(restarts)?;
            }
            EOI => break,
            SOI => return flaw(format!("a second JPEG start at byte {}", segment.at), "one picture"),
            // Noise inside the data may look like any segment.
            marker if shown >= COMPONENTS && !progressive => {
                return flaw(
                    format!("marker {marker:#04x} at byte {}, in or behind the last scan", segment.at),
                    "the end marker [ff, d9]",
                );
            }
            DRI => match *segment.body {
                [high, low] => restarts = (high, low) != (0, 0),
                _ => return flaw(format!("a restart interval of {} bytes", segment.body.len()), "2"),
            },
            // Tables, the number of lines, application data, comments.
            0xc4 | 0xcc | 0xdb | 0xdc | 0xe0..=0xef | 0xfe => {}
            marker => {
                return flaw(
                    format!("marker {marker:#04x} at byte {}", segment.at),
                    "a marker of a baseline or progressive JPEG",
                );
            }
        }
    }
    if let Some(extra) = bytes[reader.at..].iter().position(|&byte| byte != 0) {
        let at = reader.at + extra;
        return flaw(
            format!("{} bytes behind the end marker, at byte {at}", bytes.len() - at),
            "nothing but NULs",
        );
    }
    match size {
        Some(size) if shown >= COMPONENTS => Ok(size),
        Some(_) if shown > 0 => flaw(format!("scans of {shown} components"), "scans of all 3"),
        _ => flaw("a JPEG without picture data", "at least one scan"),
    }
}

/// SOF markers: C0 to CF without DHT (C4), JPG (C8) and DAC (CC).
fn is_frame_header(marker: u8) -> bool {
    matches!(marker, 0xc0..=0xcf) && !matches!(marker, 0xc4 | 0xc8 | 0xcc)
}

fn frame_header(segment: &Segment<'_>) -> Result<(u32, u32), Flaw> {
    if !matches!(segment.marker, 0xc0..=0xc2) {
        return flaw(
            format!("a JPEG of kind SOF{}", segment.marker - 0xc0),
            "a baseline or progressive JPEG (SOF0 to SOF2)",
        );
    }
    let [precision, h1, h0, w1, w0, components, ..] = *segment.body else {
        return flaw(format!("a frame header of {} bytes", segment.body.len()), "at least 6");
    };
    let (height, width) = (u16::from_be_bytes([h1, h0]), u16::from_be_bytes([w1, w0]));
    match (precision, components) {
        (8, 3) if height > 0 && width > 0 => Ok((height.into(), width.into())),
        (8, 3) => flaw(format!("a picture of {height} x {width} pixels"), "at least 1 x 1"),
        (8, 1) => flaw("a grey JPEG (1 component)", "RGB (3 components)"),
        (8, _) => flaw(format!("a JPEG of {components} components"), "3 components"),
        _ => flaw(format!("a JPEG of {precision} bits"), "8 bits"),
    }
}

struct Segment<'a> {
    marker: u8,
    /// Where the marker is.
    at: usize,
    /// Empty for markers that stand alone.
    body: &'a [u8],
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn start(bytes: &'a [u8]) -> Result<Self, Flaw> {
        match bytes {
            [] => flaw("an empty frame", "a JPEG"),
            [0xff, SOI, ..] => Ok(Self { bytes, at: 2 }),
            _ => flaw(
                format!("bytes that start with {:02x?}", &bytes[..bytes.len().min(4)]),
                "a JPEG, which starts with [ff, d8]",
            ),
        }
    }

    /// The next marker and what belongs to it.
    fn segment(&mut self) -> Result<Segment<'a>, Flaw> {
        let start = self.at;
        if *self.byte()? != 0xff {
            return flaw(format!("byte {:#04x} at byte {start}", self.bytes[start]), "a marker (0xff)");
        }
        let mut marker = *self.byte()?;
        // Any number of 0xff may stand before a marker.
        while marker == 0xff {
            marker = *self.byte()?;
        }
        if matches!(marker, 0x01 | 0xd0..=0xd9) {
            return Ok(Segment { marker, at: start, body: &[] });
        }
        let at = self.at;
        let length = usize::from(u16::from_be_bytes([*self.byte()?, *self.byte()?]));
        match self.bytes.get(at + 2..at + length) {
            Some(body) if length >= 2 => {
                self.at = at + length;
                Ok(Segment { marker, at: start, body })
            }
            _ => flaw(
                format!("a segment of {length} bytes at byte {at}, {} left", self.bytes.len() - at),
                "a segment inside the frame",
            ),
        }
    }

    /// Goes over compressed data to the marker that ends it. Restart markers must count up from
    /// the first, and stand only where the file has a restart interval.
    fn skip_scan(&mut self, restarts: bool) -> Result<(), Flaw> {
        let mut next_restart = FIRST_RESTART;
        loop {
            let Some(found) = memchr(0xff, &self.bytes[self.at..]) else { return self.cut_short() };
            self.at += found;
            match self.bytes.get(self.at + 1) {
                // A stuffed zero, a restart marker: still inside.
                Some(0x00) => self.at += 2,
                Some(&marker @ FIRST_RESTART..=LAST_RESTART) => {
                    if !restarts || marker != next_restart {
                        let expected = if restarts {
                            format!("restart marker {next_restart:#04x}")
                        } else {
                            "none, since the file has no restart interval".to_owned()
                        };
                        return flaw(format!("restart marker {marker:#04x} at byte {}", self.at), expected);
                    }
                    next_restart = if marker == LAST_RESTART { FIRST_RESTART } else { marker + 1 };
                    self.at += 2;
                }
                Some(0xff) => self.at += 1,
                Some(_) => return Ok(()),
                None => return self.cut_short(),
            }
        }
    }

    fn byte(&mut self) -> Result<&'a u8, Flaw> {
        match self.bytes.get(self.at) {
            Some(byte) => {
                self.at += 1;
                Ok(byte)
            }
            None => self.cut_short(),
        }
    }

    fn cut_short<T>(&self) -> Result<T, Flaw> {
        flaw(
            format!("a JPEG that ends at byte {} without its end marker", self.bytes.len()),
            "[ff, d9] at its end",
        )
    }
}
