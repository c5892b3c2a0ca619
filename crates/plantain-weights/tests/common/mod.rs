//! What the tests of this crate share.
#![allow(dead_code, unreachable_pub)] // Not every test program uses all of it.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;

/// The folder `name` of the fixtures, which `tests/reference/packages.py` writes.
pub fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/fixtures/weights")
        .join(name)
}

/// A copy of the fixture `name` to be changed.
pub fn copy_of(name: &str) -> TempDir {
    let copy = TempDir::new().unwrap();
    copy_folder(&fixture(name), copy.path());
    copy
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy_folder(&path, &target);
        } else {
            fs::copy(&path, &target).unwrap();
        }
    }
}

/// A safetensors file with the given header and data, valid or not.
pub fn safetensors(header: &str, data: &[u8]) -> Vec<u8> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend_from_slice(header.as_bytes());
    bytes.extend_from_slice(data);
    bytes
}

/// The header and data of a safetensors file.
pub fn split(bytes: &[u8]) -> (Value, Vec<u8>) {
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let header = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
    (header, bytes[8 + length..].to_vec())
}

/// Writes the safetensors file at `path` again with its header changed.
pub fn edit_header(path: &Path, edit: impl FnOnce(&mut Value)) {
    let (mut header, data) = split(&fs::read(path).unwrap());
    edit(&mut header);
    fs::write(path, safetensors(&header.to_string(), &data)).unwrap();
}

/// Changes the JSON document at `path`.
pub fn edit_json(path: &Path, edit: impl FnOnce(&mut Value)) {
    let mut value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    edit(&mut value);
    fs::write(path, value.to_string()).unwrap();
}

/// A valid manifest of a model without networks.
pub fn manifest() -> Value {
    json!({
        "format": 1,
        "name": "empty",
        "components": {},
        "sampler": {"kind": "lcm", "schedule": {}},
        "defaults": {"steps": 4, "guidance": 1.0, "width": 64, "height": 64},
        "provenance": {"layout": "test", "tool": "", "sources": []},
    })
}

/// Header entry of a tensor.
pub fn entry(dtype: &str, shape: &[u64], start: u64, end: u64) -> Value {
    json!({"dtype": dtype, "shape": shape, "data_offsets": [start, end]})
}
