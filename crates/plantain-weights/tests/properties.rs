//! The reader against arbitrary bytes: it agrees with the reference reader, and never panics.

mod common;

use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;

use burn::tensor::Device;
use common::{entry, fixture, manifest, safetensors};
use plantain_weights::{ConvertOptions, MANIFEST_KEY, Model, Target, TargetType, convert};
use proptest::prelude::*;
use serde_json::json;
use tempfile::TempDir;

/// A small valid package, converted once: as floats, and as integers.
static PACKAGES: LazyLock<[Vec<u8>; 2]> = LazyLock::new(|| {
    [TargetType::Keep, TargetType::Int8].map(|dtype| {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("model.safetensors");
        let options = ConvertOptions {
            dtype,
            ..ConvertOptions::default()
        };
        convert(
            &Model::open(&fixture("modern")).unwrap(),
            &path,
            &options,
            &|| false,
        )
        .unwrap();
        fs::read(path).unwrap()
    })
});

/// Opens `bytes` as a file and, where that works, loads everything.
fn open_and_load(bytes: &[u8]) {
    let folder = TempDir::new().unwrap();
    let path: PathBuf = folder.path().join("model.safetensors");
    fs::write(&path, bytes).unwrap();
    if let Ok(model) = Model::open(&path) {
        let target = Target::stock(Device::flex());
        let _ = model.load_text_encoder(&target);
        let _ = model.load_unet(&target);
        let _ = model.load_decoder(&target);
        let _ = model.load_refiner(&target);
        let _ = model.summary();
        let _ = model.unused_tensors();
    }
}

/// Tensors as `(dtype, width, shape)`.
fn tensors() -> impl Strategy<Value = Vec<(&'static str, u64, Vec<u64>)>> {
    let types = prop_oneof![
        Just(("F32", 4)),
        Just(("F16", 2)),
        Just(("BF16", 2)),
        Just(("I8", 1)),
        Just(("I64", 8))
    ];
    let tensor = (types, prop::collection::vec(0u64..5, 0..4));
    prop::collection::vec(
        tensor.prop_map(|((name, width), shape)| (name, width, shape)),
        0..6,
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes_do_not_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        open_and_load(&bytes);
    }

    #[test]
    fn arbitrary_headers_do_not_panic(text in "[ {}\\[\\]\":,a-z0-9_\\-]{0,200}") {
        open_and_load(&safetensors(&text, &[0; 16]));
    }

    #[test]
    fn changed_packages_do_not_panic(
        package in 0usize..2,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut bytes = PACKAGES[package].clone();
        // Most bytes are weights; the header and what follows it are where changes hurt.
        let header = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        for (index, value) in changes {
            let index = index.index(header + 64);
            bytes[index] = value;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        open_and_load(&bytes);
    }

    #[test]
    fn offsets_are_judged_as_by_the_reference_reader(
        tensors in tensors(),
        shift in prop::option::of((any::<prop::sample::Index>(), 0usize..2, -4i64..4)),
        extra in 0u64..2,
    ) {
        let mut header = serde_json::Map::new();
        let mut end = 0;
        for (i, (dtype, width, shape)) in tensors.iter().enumerate() {
            let length = width * shape.iter().product::<u64>();
            header.insert(format!("t{i}"), entry(dtype, shape, end, end + length));
            end += length;
        }
        if let (Some((index, side, by)), false) = (shift, tensors.is_empty()) {
            let tensor = &mut header[&format!("t{}", index.index(tensors.len()))];
            let offset = &mut tensor["data_offsets"][side];
            *offset = json!(offset.as_i64().unwrap() + by);
        }
        header.insert("__metadata__".into(), json!({MANIFEST_KEY: manifest().to_string()}));
        let data = vec![0; (end + extra) as usize];
        let bytes = safetensors(&serde_json::Value::Object(header).to_string(), &data);
        let reference = safetensors::SafeTensors::deserialize(&bytes);
        let ours = Model::from_static(bytes.clone().leak(), "the test");
        prop_assert_eq!(reference.is_ok(), ours.is_ok(), "{:?} {:?}", reference.err(), ours.err());
        if let (Ok(reference), Ok(ours)) = (reference, ours) {
            prop_assert_eq!(reference.len(), ours.tensors().len());
            for (name, tensor) in ours.tensors().iter() {
                let other = reference.tensor(name).unwrap();
                prop_assert_eq!(tensor.shape, other.shape());
                prop_assert_eq!(tensor.bytes(), other.data());
            }
        }
    }
}
