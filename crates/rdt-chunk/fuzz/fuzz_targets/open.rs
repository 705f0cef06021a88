//! Any byte string, given as a chunk, is an error or a valid chunk.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| rdt_chunk_fuzz::read_all(bytes));
