//! Files by those who define the formats, against what the same make of them.

mod common;

use std::collections::BTreeSet;

use common::{fixture, readable};
use plantain_formats::{ElementType, Format, parse};
use safetensors::SafeTensors;
use safetensors::tensor::Dtype;

#[test]
fn names_shapes_and_numbers() {
    for (name, file) in readable() {
        let expected = fixture(&format!("{}.expected", name.split('.').next().unwrap()));
        let expected = SafeTensors::deserialize(&expected).unwrap();
        let table = parse(&file).unwrap_or_else(|e| panic!("{name} {e}"));

        let names: BTreeSet<_> = table.tensors.keys().map(String::as_str).collect();
        let raw = expected.names().into_iter();
        assert_eq!(
            names,
            raw.filter_map(|n| n.strip_prefix("raw/")).collect(),
            "{name}"
        );

        for (tensor, entry) in &table.tensors {
            let at = format!("{name}: {tensor}");
            let raw = expected.tensor(&format!("raw/{tensor}")).unwrap();
            assert!(entry.gather(&file) == raw.data(), "{at}: bytes");
            let (block, _) = entry.dtype.block();
            if !(raw.dtype() == Dtype::U8 && (block > 1 || entry.dtype == ElementType::Bf16)) {
                assert_eq!(entry.dtype.name(), raw.dtype().to_string(), "{at}");
                assert_eq!(entry.shape, raw.shape(), "{at}");
            }
            let Some(values) = entry.to_f32(&file) else {
                assert!(!entry.dtype.is_float(), "{at}: no numbers");
                assert!(
                    expected.tensor(&format!("f32/{tensor}")).is_err(),
                    "{at}: no numbers"
                );
                continue;
            };
            let floats = expected.tensor(&format!("f32/{tensor}")).unwrap();
            assert_eq!(entry.shape, floats.shape(), "{at}");
            let (floats, _) = floats.data().as_chunks();
            assert_eq!(values.len(), floats.len(), "{at}");
            for (i, (value, expected)) in values.iter().zip(floats).enumerate() {
                let expected = f32::from_le_bytes(*expected);
                let same =
                    value.to_bits() == expected.to_bits() || value.is_nan() && expected.is_nan();
                assert!(same, "{at}: {value} at {i} instead of {expected}");
            }
        }
    }
}

#[test]
fn formats() {
    for (name, file) in readable() {
        let expected = if name.ends_with("safetensors") {
            Format::Safetensors
        } else if name.ends_with("gguf") {
            Format::Gguf
        } else if name.contains("legacy") || name.starts_with("python2") {
            Format::TorchLegacy
        } else {
            Format::Torch
        };
        assert_eq!(parse(&file).unwrap().format, expected, "{name}");
    }
}

#[test]
fn every_type_of_numbers_is_among_the_fixtures() {
    let types: BTreeSet<_> = ["safe.safetensors", "every_type.gguf"]
        .iter()
        .flat_map(|name| parse(&fixture(name)).unwrap().tensors.into_values())
        .map(|entry| entry.dtype.name())
        .collect();
    // Beside those that none of the writers makes, which are not decoded.
    assert_eq!(types.len(), 27 - 6, "{types:?}");
}

#[test]
fn metadata() {
    let of = |name: &str| parse(&fixture(name)).unwrap().metadata;
    assert_eq!(of("safe.safetensors")["note"], "größer");

    let lightning = of("lightning.ckpt");
    assert_eq!(lightning["epoch"], "3");
    assert_eq!(lightning["pytorch-lightning_version"], "1.4.2");
    assert_eq!(lightning.len(), 3, "{lightning:?}");
    assert_eq!(of("inversion.pt")["name"], "a-style");

    let gguf = of("every_type.gguf");
    for (key, value) in [
        ("general.architecture", "sd1"),
        ("text", "häuser"),
        ("uint8", "200"),
        ("int8", "-3"),
        ("uint16", "60000"),
        ("int16", "-300"),
        ("uint32", "2147483648"),
        ("int32", "-70000"),
        ("uint64", "9223372036854775808"),
        ("int64", "-1099511627776"),
        ("float32", "0.5"),
        ("float64", "0.1"),
        ("bool", "true"),
    ] {
        assert_eq!(gguf.get(key).map(String::as_str), Some(value), "{key}");
    }
    assert!(!gguf.contains_key("words"), "lists are skipped");
}

#[test]
fn row_major_tensors_are_borrowed_and_others_are_not() {
    let file = fixture("views.protocol2.pt");
    let table = parse(&file).unwrap();
    let strided: Vec<_> = table
        .tensors
        .iter()
        .filter(|(_, entry)| entry.strides.is_some())
        .map(|(name, _)| name.as_str())
        .collect();
    let expected = [
        "channels_last",
        "columns",
        "diagonal",
        "expanded",
        "one_row",
        "permuted",
        "transposed",
    ];
    assert_eq!(strided, expected);
    assert!(matches!(
        table.tensors["rows"].gather(&file),
        std::borrow::Cow::Borrowed(_)
    ));
}

#[test]
fn version_2_of_gguf() {
    let mut file = fixture("every_type.gguf");
    assert_eq!(file[4], 3);
    let newer = parse(&file).unwrap();
    file[4] = 2;
    assert_eq!(parse(&file).unwrap(), newer);
}

#[test]
fn another_file_gives_nothing() {
    let file = fixture("views.protocol2.pt");
    for entry in parse(&file).unwrap().tensors.values() {
        if !entry.range.is_empty() {
            assert_eq!(entry.to_f32(&file[..100]), None);
            assert!(entry.gather(&file[..100]).is_empty());
        }
    }
}

#[test]
fn decoding_needs_as_many_bytes_as_numbers() {
    let mut values = [0.0; 32];
    assert!(ElementType::Q8_0.decode(&[0; 34], &mut values));
    assert!(!ElementType::Q8_0.decode(&[0; 33], &mut values));
    assert!(!ElementType::Q8_0.decode(&[0; 34], &mut values[..31]));
    assert!(!ElementType::F32.decode(&[0; 127], &mut values));
    assert!(!ElementType::I32.decode(&[0; 128], &mut values));
}
