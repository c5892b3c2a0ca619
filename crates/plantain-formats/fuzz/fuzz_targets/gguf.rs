//! Arbitrary files of GGUF.
#![no_main]

mod common;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    common::read(bytes);
    common::read(&[b"GGUF\x03\0\0\0", bytes].concat());
});
