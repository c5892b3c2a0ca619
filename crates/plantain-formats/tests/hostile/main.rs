//! Files that are damaged, malicious or something else altogether: one clear error each, in less than a second.

#[path = "../common/mod.rs"]
mod common;
mod gguf;
mod pickles;
mod safetensors;
mod torch;

use std::fs;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use common::pickle::{PLAIN, text};
use common::{fixture, torch};
use plantain_formats::parse;

/// Refuses `bytes` with one sentence that says `part`, fast.
#[track_caller]
fn refused(bytes: &[u8], part: &str) {
    let start = clock();
    let result = parse(bytes);
    let took = clock() - start;
    let message = match result {
        Ok(table) => panic!("{} tensors instead of {part:?}", table.tensors.len()),
        Err(error) => error.to_string(),
    };
    assert!(message.contains(part), "{message:?} does not say {part:?}");
    let is_sentence = message.len() < 1000 && !message.contains(['\n', '\r', '\0']);
    assert!(is_sentence, "{message:?}");
    assert!(took < Duration::from_secs(1), "{took:?} for {part:?}");
}

/// The time this thread has run, so that others may be busy; where there is no telling, the time.
fn clock() -> Duration {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    let run = fs::read_to_string("/proc/thread-self/schedstat").ok();
    let run = run.and_then(|stat| stat.split(' ').next()?.parse().ok());
    run.map_or_else(|| START.elapsed(), Duration::from_nanos)
}

#[test]
fn other_kinds_of_file() {
    refused(b"", "is an empty file");
    refused(
        b"version https://git-lfs.github.com/spec/v1\n",
        "git lfs pull",
    );
    refused(b"<!DOCTYPE html><html>", "is a web page");
    refused("how a fox walks, f\u{fc}r alle".as_bytes(), "is a text");
    refused(b"tjgg\x01\0\0\0\0\0\0\0", "is a GGML file of before GGUF");
    refused(
        &fixture("refused/documents.zip"),
        "is a zip archive that PyTorch did not write",
    );
    refused(&fixture("refused/old.tar"), "is a tar archive");
    refused(
        &fixture("refused/plain2.pkl"),
        "is a Python pickle that PyTorch did not write",
    );
    refused(
        &fixture("refused/plain4.pkl"),
        "is a Python pickle that PyTorch did not write",
    );
}

#[test]
fn truncated_files() {
    for (name, part) in [
        ("views.protocol2.pt", "zip directory cannot be read"),
        ("views.legacy2.pt", "beyond the end of the file"),
        ("views.legacy4.pt", "beyond the end of the file"),
        ("every_type.gguf", "beyond the end of the file"),
        ("safe.safetensors", "and the file holds"),
    ] {
        let file = fixture(name);
        refused(&file[..file.len() - 70], part);
    }
    let legacy = fixture("views.legacy2.pt");
    refused(&legacy[..500], "its pickle goes on beyond its end");
    refused(
        &fixture("every_type.gguf")[..500],
        "its header goes on beyond the end",
    );
}

#[test]
fn names_that_are_too_long_or_there_twice() {
    let tensor = PLAIN.tensor();
    let dict = |items: &[(&str, &[u8])]| {
        let mut pickle = b"}(".to_vec();
        for (key, value) in items {
            pickle.extend(text(key));
            pickle.extend(*value);
        }
        pickle.extend(b"u.");
        pickle
    };
    refused(
        &torch(&dict(&[(&"w".repeat(1000), &tensor)])),
        "more than 512 bytes",
    );
    let inner = dict(&[("b", &tensor)]);
    let inner = &inner[..inner.len() - 1];
    let twice = dict(&[("a.b", &tensor), ("a", inner)]);
    refused(&torch(&twice), "at tensor `a.b`: it is there twice");
    let mut deep = tensor.clone();
    for _ in 0..40 {
        deep = [b"]", &deep[..], b"a"].concat();
    }
    deep.push(b'.');
    refused(&torch(&deep), "nested more than 32 deep");
}
