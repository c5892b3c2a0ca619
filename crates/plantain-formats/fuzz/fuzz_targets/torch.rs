//! Arbitrary files of PyTorch of both kinds, and arbitrary pickles within an archive whose directory is right.
#![no_main]

#[path = "../../tests/common/archive.rs"]
mod archive;
mod common;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    common::read(bytes);
    common::read(&archive::archive(&[
        ("a/data.pkl", bytes),
        ("a/data/0", &[0; 64]),
    ]));
});
