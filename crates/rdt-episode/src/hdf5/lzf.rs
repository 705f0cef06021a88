//! LZF decompression: h5py's fast filter.
//!
//! The format: a control byte below 32 announces that many literal bytes plus one; any other
//! holds a length (3 bits, 7 = one more byte follows) and the high bits of a distance back.
//! Written from the format's description; every index is checked.

/// Decompresses `input` into exactly `output.len()` bytes; `None` where it is malformed.
pub(super) fn decompress(input: &[u8], output: &mut [u8]) -> Option<()> {
    let (mut read, mut written) = (0, 0);
    while let Some(&control) = input.get(read) {
        let control = usize::from(control);
        read += 1;
        if control < 32 {
            let run = control + 1;
            output.get_mut(written..written + run)?.copy_from_slice(input.get(read..read + run)?);
            read += run;
            written += run;
            continue;
        }
        let mut run = control >> 5;
        if run == 7 {
            run += usize::from(*input.get(read)?);
            read += 1;
        }
        run += 2;
        let distance = ((control & 31) << 8 | usize::from(*input.get(read)?)) + 1;
        read += 1;
        let from = written.checked_sub(distance)?;
        if written + run > output.len() {
            return None;
        }
        if distance >= run {
            output.copy_within(from..from + run, written);
        } else {
            // Source and target overlap: bytes just written are read again.
            for i in 0..run {
                output[written + i] = output[from + i];
            }
        }
        written += run;
    }
    (written == output.len()).then_some(())
}
