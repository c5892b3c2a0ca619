//! What the tests share: fixtures, and files put together by hand.
// Each test file uses some of it.
#![allow(dead_code)]

pub mod archive;
pub mod gguf;
pub mod pickle;

use std::fs;
use std::path::{Path, PathBuf};

/// The folder of fixtures, which `tests/reference/formats.py` wrote.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

pub fn fixture(name: &str) -> Vec<u8> {
    fs::read(folder().join(name)).unwrap()
}

/// Files of a format that is read, by name; those in `refused` are not among them.
pub fn readable() -> Vec<(String, Vec<u8>)> {
    let files = fs::read_dir(folder()).unwrap().map(|f| f.unwrap().path());
    let mut files: Vec<_> = files
        .filter(|path| path.is_file() && path.extension().unwrap() != "expected")
        .map(|path| {
            let name = path.file_name().unwrap().to_str().unwrap().to_string();
            (name, fs::read(path).unwrap())
        })
        .collect();
    files.sort();
    assert!(files.len() > 20);
    files
}

/// What `torch.save` would write of `pickle`, with one storage, `0`, of 64 bytes.
pub fn torch(pickle: &[u8]) -> Vec<u8> {
    archive::archive(&[("a/data.pkl", pickle), ("a/data/0", &[0; 64])])
}

/// A safetensors file of `header` and `data`.
pub fn safetensors(header: &str, data: &[u8]) -> Vec<u8> {
    let length = (header.len() as u64).to_le_bytes();
    [&length[..], header.as_bytes(), data].concat()
}

/// An archive whose directory is in the large form, declares `count` files and is `directory`.
pub fn large_archive(count: u64, directory: &[u8]) -> Vec<u8> {
    let mut file = b"PK\x03\x04".to_vec();
    file.resize(64, 0);
    let at = file.len() as u64;
    file.extend(directory);
    let record = file.len() as u64;
    file.extend(b"PK\x06\x06");
    file.extend(44u64.to_le_bytes());
    file.extend([45, 0, 45, 0]);
    file.extend([0; 8]);
    for number in [count, count, directory.len() as u64, at] {
        file.extend(number.to_le_bytes());
    }
    file.extend(b"PK\x06\x07\0\0\0\0");
    file.extend(record.to_le_bytes());
    file.extend(1u32.to_le_bytes());
    file.extend(b"PK\x05\x06\0\0\0\0");
    file.extend([0xff; 12]);
    file.extend([0; 2]);
    file
}
