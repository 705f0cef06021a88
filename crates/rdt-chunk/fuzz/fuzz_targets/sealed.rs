//! The same behind the checksums: they are made right before the chunk is read.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut sealed = bytes.to_vec();
    rdt_chunk_fuzz::reseal(&mut sealed);
    rdt_chunk_fuzz::read_all(&sealed);
});
