//! Files and folders that are damaged, malicious or something else altogether: one clear error each.

mod common;

use std::fs;
use std::path::Path;

use common::{copy_of, edit_json, entry, fixture, manifest, safetensors};
use plantain_weights::{MANIFEST_KEY, Model, TOKENIZER_KEY, Target};
use serde_json::{Value, json};
use tempfile::TempDir;

/// The message of opening `path`, which must name it.
fn message(path: &Path) -> String {
    let message = Model::open(path).map(drop).unwrap_err().to_string();
    let name = path.file_name().unwrap().to_str().unwrap();
    assert!(message.contains(name), "no path in: {message}");
    message
}

/// The message of opening a file of `bytes`.
fn message_for(bytes: &[u8]) -> String {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("given.safetensors");
    fs::write(&path, bytes).unwrap();
    message(&path)
}

#[track_caller]
fn assert_says(message: &str, part: &str) {
    assert!(message.contains(part), "{message:?} does not say {part:?}");
}

/// A package with the given metadata and no tensors.
fn package(manifest: &Value, more: &[(&str, &str)]) -> Vec<u8> {
    let mut metadata = json!({MANIFEST_KEY: manifest.to_string()});
    for (key, value) in more {
        metadata[*key] = json!(value);
    }
    safetensors(&json!({"__metadata__": metadata}).to_string(), &[])
}

#[test]
fn other_kinds_of_file() {
    assert_says(&message_for(b""), "empty file");
    assert_says(
        &message_for(b"PK\x03\x04archive/data.pkl"),
        "is damaged: its zip directory",
    );
    for protocol in [2, 4, 5] {
        let pickle = [&[0x80, protocol][..], b"ccollections\nOrderedDict"].concat();
        assert_says(&message_for(&pickle), "is damaged");
    }
    assert_says(&message_for(b"GGUF\x03\0\0\0\0\0\0\0"), "is damaged");
    assert_says(
        &message_for(b"version https://git-lfs.github.com/spec/v1\n"),
        "git lfs pull",
    );
    assert_says(&message_for(b"<!DOCTYPE html><html>"), "web page");
    assert_says(&message_for(b"some text of any kind"), "is a text");
    assert_says(&message_for(b"\x07\0"), "only 2 bytes");
}

#[test]
fn a_header_of_640_bytes_is_no_pickle() {
    let mut header = json!({"__metadata__": {MANIFEST_KEY: manifest().to_string()}}).to_string();
    assert!(header.len() < 640);
    header.push_str(&" ".repeat(640 - header.len()));
    let bytes = safetensors(&header, &[]);
    assert_eq!(bytes[..2], [0x80, 2]);
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("model.safetensors");
    fs::write(&path, bytes).unwrap();
    Model::open(&path).unwrap();
}

#[test]
fn lying_headers() {
    let long = |length: u64| [&length.to_le_bytes()[..], b"{}"].concat();
    assert_says(
        &message_for(&long(u64::MAX)),
        "declares a header of 18446744073709551615 bytes",
    );
    assert_says(
        &message_for(&long(100_000_001)),
        "declares a header of 100000001 bytes",
    );
    assert_says(&message_for(&long(3)), "the file has 10");
    assert_says(&message_for(&safetensors("{\"a\"", &[])), "header:");
    assert_says(&message_for(&safetensors("[]", &[])), "header:");
    assert_says(
        &message_for(&safetensors("{\"__metadata__\": 3}", &[])),
        "__metadata__",
    );
    let deep = format!("{{\"a\": {}", "[".repeat(100_000));
    assert_says(&message_for(&safetensors(&deep, &[])), "header:");
}

#[test]
fn lying_tensors() {
    let file = |tensors: Value, data: usize| safetensors(&tensors.to_string(), &vec![0; data]);
    let cases = [
        (json!({"a": entry("F32", &[2], 0, 8)}), 4, "lies at 0..8"),
        (json!({"a": entry("F32", &[2], 8, 0)}), 8, "lies at 8..0"),
        (json!({"a": entry("F32", &[3], 0, 8)}), 8, "does not fill"),
        (json!({"a": entry("F16", &[2], 0, 8)}), 8, "does not fill"),
        (
            json!({"a": entry("F32", &[1 << 40, 1 << 40], 0, 8)}),
            8,
            "too large",
        ),
        (json!({"a": entry("F32", &[0, u64::MAX, 5], 0, 0)}), 0, ""),
        (json!({"a": entry("X9", &[2], 0, 8)}), 8, "X9"),
        (
            json!({"a": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 8]}}),
            8,
            "-1",
        ),
        (json!({"a": 3}), 8, "`a`"),
    ];
    for (tensors, data, says) in cases {
        let message = message_for(&file(tensors, data));
        assert_says(&message, says);
        assert!(says.is_empty() || message.contains("`a`"), "{message}");
    }
    let two =
        |start, end| json!({"a": entry("F32", &[2], 0, 8), "b": entry("F32", &[1], start, end)});
    assert_says(&message_for(&file(two(4, 8), 8)), "`b`: it overlaps");
    assert_says(&message_for(&file(two(12, 16), 16)), "`b`: it leaves a gap");
    assert_says(&message_for(&file(two(8, 12), 16)), "fill 12 of 16 bytes");
}

#[test]
fn packages_with_bad_metadata() {
    assert_says(
        &message_for(&safetensors("{}", &[])),
        "neither a model manifest nor a whole checkpoint",
    );
    let mut newer = manifest();
    newer["format"] = json!(7);
    newer["sampler"] = json!("of a kind not thought of yet");
    assert_says(&message_for(&package(&newer, &[])), "format version 7");
    let mut earlier = manifest();
    earlier["components"]["refiner"] = json!({"latent_channels": 12, "width": 64, "num_blocks": 3});
    assert_says(
        &message_for(&package(&earlier, &[])),
        "refiner of an earlier kind",
    );
    let mut wrong = manifest();
    wrong["name"] = json!(7);
    assert_says(&message_for(&package(&wrong, &[])), "plantain.manifest");
    let no_tokenizer = package(&manifest(), &[(TOKENIZER_KEY, "{}")]);
    assert_says(&message_for(&no_tokenizer), "plantain.tokenizer");
}

#[test]
fn absurd_configurations_allocate_nothing() {
    let mut absurd = manifest();
    for key in ["num_hidden_layers", "hidden_size", "vocab_size"] {
        absurd["components"] = json!({"text_encoder": {key: 1_000_000_000_000_u64}});
        assert_says(&message_for(&package(&absurd, &[])), "1000000000000");
    }
    absurd["components"] = json!({"text_encoder": {"num_hidden_layers": 16_000_000}});
    assert_says(&message_for(&package(&absurd, &[])), "num_hidden_layers");
    absurd["components"] = json!({"unet": {"block_out_channels": []}});
    message_for(&package(&absurd, &[]));
    // Large, but not too large to describe.
    let mut large = manifest();
    let width = 1 << 24;
    large["components"] = json!({"text_encoder": {"hidden_size": width, "intermediate_size": width, "vocab_size": width}});
    let bytes = package(&large, &[]).leak();
    let model = Model::from_static(bytes, "the test").unwrap();
    let error = model
        .load_text_encoder(&Target::stock(burn::tensor::Device::flex()))
        .unwrap_err();
    assert_says(&error.to_string(), "is missing");
}

#[test]
fn folders_that_are_no_models() {
    let folder = TempDir::new().unwrap();
    assert_says(&message(folder.path()), "not a diffusers folder");
    assert_says(
        &message(&fixture("modern").join("unet")),
        "give the folder above",
    );
    let other = copy_of("modern");
    fs::create_dir(other.path().join("text_encoder_2")).unwrap();
    let error = Model::open(other.path()).unwrap_err().to_string();
    assert_says(&error, "a second text encoder is not supported");
    let incomplete = copy_of("modern");
    fs::remove_dir_all(incomplete.path().join("vae")).unwrap();
    assert_says(
        &Model::open(incomplete.path()).unwrap_err().to_string(),
        "model_index.json lists",
    );
    assert_says(&message(&folder.path().join("nothing")), "cannot read");
}

#[test]
fn folders_with_unusable_weights() {
    let folder = copy_of("modern");
    let unet = folder.path().join("unet");
    let weights = unet.join("diffusion_pytorch_model.fp16.safetensors");
    fs::rename(&weights, unet.join("diffusion_pytorch_model.msgpack")).unwrap();
    let open = || {
        Model::open(folder.path())
            .map(drop)
            .unwrap_err()
            .to_string()
    };
    assert_says(&open(), "safe_serialization=True");
    // The older name, whatever the format.
    let torch = unet.join("diffusion_pytorch_model.bin");
    fs::rename(unet.join("diffusion_pytorch_model.msgpack"), &torch).unwrap();
    Model::open(folder.path()).unwrap();
    fs::remove_file(&torch).unwrap();
    assert_says(&open(), "no .safetensors file");
    fs::create_dir(&weights).unwrap();
    assert_says(&open(), "neither a file nor a folder");
    fs::remove_dir(&weights).unwrap();
    fs::write(&weights, b"").unwrap();
    assert_says(&open(), "empty file");
    fs::rename(&weights, unet.join("mine.safetensors")).unwrap();
    assert_says(&open(), "mine.safetensors");
    fs::write(unet.join("other.safetensors"), b"").unwrap();
    assert_says(&open(), "keep one of them");
}

#[cfg(unix)]
#[test]
fn special_files() {
    assert_says(
        &message(Path::new("/dev/null")),
        "neither a file nor a folder",
    );
}

#[cfg(unix)]
#[test]
fn links_to_nowhere() {
    let folder = copy_of("modern");
    let config = folder.path().join("unet/config.json");
    fs::remove_file(&config).unwrap();
    std::os::unix::fs::symlink("/nowhere/at/all", &config).unwrap();
    let error = Model::open(folder.path()).unwrap_err().to_string();
    assert_says(&error, "link to a file that does not exist");
    let folder = copy_of("modern");
    let weights = folder
        .path()
        .join("unet/diffusion_pytorch_model.fp16.safetensors");
    fs::remove_file(&weights).unwrap();
    std::os::unix::fs::symlink("/nowhere/at/all", &weights).unwrap();
    let error = Model::open(folder.path()).unwrap_err().to_string();
    assert_says(&error, "link to a file that does not exist");
}

#[test]
fn shards_outside_the_folder_and_missing_ones() {
    let folder = copy_of("sharded");
    let index = folder
        .path()
        .join("unet/diffusion_pytorch_model.safetensors.index.json");
    edit_json(&index, |index| {
        index["weight_map"]["conv_in.weight"] = json!("../../elsewhere.safetensors");
    });
    assert_says(
        &Model::open(folder.path()).unwrap_err().to_string(),
        "elsewhere.safetensors",
    );
    let folder = copy_of("sharded");
    let shard = "unet/diffusion_pytorch_model-00002-of-00003.safetensors";
    fs::remove_file(folder.path().join(shard)).unwrap();
    assert_says(
        &Model::open(folder.path()).unwrap_err().to_string(),
        "00002-of-00003",
    );
}

#[test]
fn two_names_for_one_tensor() {
    let folder = copy_of("modern");
    let path = folder.path().join("text_encoder/model.safetensors");
    common::edit_header(&path, |header| {
        let twin = header["final_layer_norm.bias"].clone();
        let start = twin["data_offsets"][1].as_u64().unwrap();
        header["text_model.final_layer_norm.bias"] = entry("F16", &[0], start, start);
    });
    let error = Model::open(folder.path()).unwrap_err().to_string();
    assert_says(&error, "both mean `text_encoder.final_layer_norm.bias`");
}

#[test]
fn component_files_that_are_not_json() {
    for file in [
        "unet/config.json",
        "vae/config.json",
        "scheduler/scheduler_config.json",
        "model_index.json",
        "tokenizer/vocab.json",
        "tokenizer/tokenizer_config.json",
    ] {
        let folder = copy_of("modern");
        fs::write(folder.path().join(file), b"{\"cut\": ").unwrap();
        let error = Model::open(folder.path()).unwrap_err().to_string();
        assert_says(&error, file.rsplit('/').next().unwrap());
    }
}
