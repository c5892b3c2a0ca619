//! Weights stored as 8-bit integers: written, read in any layout, and refused where they are damaged.

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use burn::tensor::Device;
use common::{copy_of, edit_header, fixture, split};
use half::f16;
use plantain_weights::{
    Component, ConvertOptions, FloatType, Model, Target, TargetType, TensorProblem, convert,
};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Value, json};
use tempfile::TempDir;

const WEIGHT: &str = "unet.down_blocks.0.resnets.0.conv1.weight";
const SCALES: &str = "unet.down_blocks.0.resnets.0.conv1.weight_scale";

fn convert_to(source: &Path, dtype: TargetType) -> (TempDir, PathBuf) {
    let folder = TempDir::new().unwrap();
    let package = folder.path().join("model.safetensors");
    let options = ConvertOptions {
        dtype,
        ..ConvertOptions::default()
    };
    convert(&Model::open(source).unwrap(), &package, &options, &|| false).unwrap();
    (folder, package)
}

/// The numbers of a tensor of `model`, through a conversion to `f32`.
fn numbers(source: &Path, name: &str) -> Vec<f32> {
    let (_folder, package) = convert_to(source, TargetType::F32);
    let model = Model::open(&package).unwrap();
    let bytes = model.tensors().get(name).unwrap().bytes();
    let numbers = bytes.as_chunks().0.iter();
    numbers.map(|b| f32::from_le_bytes(*b)).collect()
}

#[test]
fn only_large_weights_become_integers() {
    let (_folder, package) = convert_to(&fixture("modern"), TargetType::Int8);
    let model = Model::open(&package).unwrap();
    let tensors = model.tensors();
    for name in [
        WEIGHT,
        "unet.down_blocks.0.attentions.0.proj_in.weight",
        "unet.mid_block.attentions.0.transformer_blocks.0.ff.out.weight",
        "text_encoder.encoder.layers.1.mlp.fc2.weight",
    ] {
        assert!(tensors.get(name).unwrap().is_int8(), "{name}");
        assert!(tensors.is_scales(&format!("{name}_scale")), "{name}");
    }
    for name in [
        "unet.conv_in.weight",
        "unet.conv_out.weight",
        "unet.time_embedding.linear_1.weight",
        "unet.down_blocks.0.resnets.0.conv1.bias",
        "unet.down_blocks.0.resnets.0.norm1.weight",
        "text_encoder.embeddings.token_embedding.weight",
        "vae.decoder.conv_in.weight",
        "vae.decoder.stages.0.conv.weight",
    ] {
        let tensor = tensors.get(name).unwrap();
        assert_eq!(tensor.float_type(), Some(FloatType::F16), "{name}");
    }
    assert_eq!(model.manifest().format, 2);
    let target = Target::stock(Device::flex());
    model.load_unet(&target).unwrap();
    model.load_text_encoder(&target).unwrap();
}

#[test]
fn numbers_move_by_at_most_half_a_step() {
    let (_folder, package) = convert_to(&fixture("modern"), TargetType::Int8);
    let model = Model::open(&package).unwrap();
    let scales = model.tensors().get(SCALES).unwrap();
    assert_eq!(scales.shape, [8]);
    let scales = scales.bytes().as_chunks().0.iter();
    let scales: Vec<f32> = scales.map(|b| f32::from_le_bytes(*b)).collect();
    let (before, after) = (
        numbers(&fixture("modern"), WEIGHT),
        numbers(&package, WEIGHT),
    );
    assert_ne!(before, after);
    let row = before.len() / scales.len();
    for (i, (before, after)) in before.iter().zip(&after).enumerate() {
        let half = scales[i / row] / 2.0;
        // Beside half a step, the rounding of one product to f32.
        assert!((before - after).abs() <= half * 1.0001, "{before} {after}");
    }
}

#[test]
fn integers_survive_a_conversion_and_become_wide_when_asked() {
    let (folder, package) = convert_to(&fixture("modern"), TargetType::Int8);
    let bytes = fs::read(&package).unwrap();
    for kept in [TargetType::Keep, TargetType::Int8] {
        let (_again, again) = convert_to(&package, kept);
        assert!(bytes == fs::read(&again).unwrap(), "{kept:?}");
    }
    let (_wide, wide) = convert_to(&package, TargetType::F16);
    let model = Model::open(&wide).unwrap();
    let mut tensors = model.tensors().iter();
    assert!(tensors.all(|(_, t)| t.float_type() == Some(FloatType::F16)));
    assert_eq!(model.manifest().format, 1);
    drop(folder);
}

#[test]
fn a_summary_counts_scales_as_bytes_only() {
    let source = Model::open(&fixture("modern")).unwrap().summary();
    let (_folder, package) = convert_to(&fixture("modern"), TargetType::Int8);
    let model = Model::open(&package).unwrap();
    for (before, after) in source.iter().zip(model.summary()) {
        assert_eq!(before.tensors, after.tensors);
        assert_eq!(before.parameters, after.parameters);
        assert_eq!(after.types.values().sum::<usize>(), after.tensors);
        if [Component::Vae, Component::VaeEncoder].contains(&before.component) {
            assert_eq!(before.bytes, after.bytes);
        } else {
            assert!(before.bytes > after.bytes);
            assert!(after.types["I8"] > 10);
        }
    }
}

/// Rewrites the weights of the safetensors file at `path` as integers, all of them -2 to 2, with
/// scales in half precision, and returns what they stand for.
fn store_integers(path: &Path) -> Vec<(String, Vec<f32>)> {
    let bytes = fs::read(path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let (mut tensors, mut expected) = (Vec::new(), Vec::new());
    for (name, view) in file.iter() {
        let shape = view.shape().to_vec();
        if shape.len() < 2 {
            tensors.push((name.to_string(), view.dtype(), shape, view.data().to_vec()));
            continue;
        }
        let (rows, count) = (shape[0], shape.iter().product::<usize>());
        let scales: Vec<f16> = (0..rows)
            .map(|r| f16::from_f32(0.01 * (r + 1) as f32))
            .collect();
        let integers: Vec<i8> = (0..count).map(|i| (i % 5) as i8 - 2).collect();
        let pairs = integers.iter().enumerate();
        let numbers = pairs.map(|(i, q)| f32::from(*q) * scales[i / (count / rows)].to_f32());
        expected.push((name.to_string(), numbers.collect()));
        let integers = integers.iter().map(|q| q.cast_unsigned()).collect();
        tensors.push((name.to_string(), Dtype::I8, shape, integers));
        let scales = scales.iter().flat_map(|s| s.to_le_bytes()).collect();
        tensors.push((format!("{name}_scale"), Dtype::F16, vec![rows], scales));
    }
    let views = tensors.iter().map(|(name, dtype, shape, data)| {
        let view = TensorView::new(*dtype, shape.clone(), data).unwrap();
        (name, view)
    });
    fs::write(path, safetensors::serialize(views, None).unwrap()).unwrap();
    expected
}

/// Names of attentions change, and projections lose two dimensions; their scales follow.
#[test]
fn a_diffusers_folder_may_hold_integers() {
    for (name, file) in [
        ("modern", "unet/diffusion_pytorch_model.fp16.safetensors"),
        ("modern", "text_encoder/model.safetensors"),
        ("modern", "vae/diffusion_pytorch_model.safetensors"),
        ("turbo", "vae/diffusion_pytorch_model.safetensors"),
    ] {
        let folder = copy_of(name);
        let expected = store_integers(&folder.path().join(file));
        let component = file.split('/').next().unwrap();
        let (_wide, wide) = convert_to(folder.path(), TargetType::F32);
        let (_kept, kept) = convert_to(folder.path(), TargetType::Keep);
        let (wide, kept) = (Model::open(&wide).unwrap(), Model::open(&kept).unwrap());
        let mut found = 0;
        for (name, tensor) in wide.tensors().iter() {
            let stored = kept.tensors().get(name).unwrap();
            if !stored.is_int8() {
                continue;
            }
            found += 1;
            let numbers = tensor.bytes().as_chunks().0.iter();
            let numbers: Vec<f32> = numbers.map(|b| f32::from_le_bytes(*b)).collect();
            let equal = |(_, values): &(String, Vec<f32>)| *values == numbers;
            assert!(expected.iter().any(equal), "{name}");
        }
        assert!(found > 5, "{component}: {found}");
    }
}

/// The message of loading the UNet of an int8 package whose header was changed, which converting it
/// gives too.
#[track_caller]
fn refused(edit: impl FnOnce(&mut Value), says: &[&str]) {
    let (folder, package) = convert_to(&fixture("modern"), TargetType::Int8);
    edit_header(&package, edit);
    assert_refused(&folder, &package, says);
}

#[track_caller]
fn assert_refused(folder: &TempDir, package: &Path, says: &[&str]) {
    let model = Model::open(package).unwrap();
    let message = model
        .load_unet(&Target::stock(Device::flex()))
        .unwrap_err()
        .to_string();
    let what_to_do = "convert the model again";
    for part in [&["model.safetensors", WEIGHT, what_to_do], says].concat() {
        assert!(message.contains(part), "{message:?} does not say {part:?}");
    }
    let again = folder.path().join("again.safetensors");
    let error = convert(
        &Model::open(package).unwrap(),
        &again,
        &ConvertOptions::default(),
        &|| false,
    )
    .unwrap_err();
    assert!(error.to_string().contains(WEIGHT), "{error}");
    assert!(!again.exists());
}

#[test]
fn integers_without_their_scales() {
    let says = ["its scales are missing", SCALES, "[8] numbers"];
    refused(
        |header| {
            let tensors = header.as_object_mut().unwrap();
            let scales = tensors.remove(SCALES).unwrap();
            tensors.insert("unet.elsewhere".into(), scales);
        },
        &says,
    );
}

#[test]
fn scales_of_another_shape_or_type() {
    for shape in [json!([2, 4]), json!([8, 1]), json!([1, 8])] {
        let says = format!("have shape {shape}").replace(',', ", ");
        refused(|header| header[SCALES]["shape"] = shape, &[&says, "[8]"]);
    }
    for (dtype, shape) in [("I32", 8), ("F64", 4), ("BF16", 16), ("U8", 32)] {
        let says = if shape == 8 {
            format!("are stored as {dtype}")
        } else {
            format!("have shape [{shape}]")
        };
        refused(
            |header| {
                header[SCALES]["dtype"] = json!(dtype);
                header[SCALES]["shape"] = json!([shape]);
            },
            &[&says, "F32 or F16"],
        );
    }
}

#[test]
fn scales_that_are_no_scales() {
    for bad in [f32::NAN, f32::INFINITY, 0.0, -0.0, -0.5] {
        let (folder, package) = convert_to(&fixture("modern"), TargetType::Int8);
        overwrite(&package, SCALES, &bad.to_le_bytes());
        let says = ["are not all finite and above 0", SCALES];
        assert_refused(&folder, &package, &says);
    }
}

#[test]
fn products_beyond_every_number() {
    let (folder, package) = convert_to(&fixture("modern"), TargetType::Int8);
    overwrite(&package, SCALES, &f32::MAX.to_le_bytes());
    overwrite(&package, WEIGHT, &[0x80, 0x7f]);
    assert_refused(&folder, &package, &["holds NaN or infinity"]);
}

#[test]
fn integers_where_there_are_no_channels() {
    let name = "unet.conv_in.bias";
    let (_folder, package) = convert_to(&fixture("modern"), TargetType::Int8);
    edit_header(&package, |header| {
        header[name]["dtype"] = json!("I8");
        header[name]["shape"] = json!([16]);
    });
    let model = Model::open(&package).unwrap();
    let message = model
        .load_unet(&Target::stock(Device::flex()))
        .unwrap_err()
        .to_string();
    assert!(message.contains(name), "{message}");
    // Of the right shape, but still no weight.
    let folder = copy_of("modern");
    let unet = folder
        .path()
        .join("unet/diffusion_pytorch_model.fp16.safetensors");
    let (header, data) = split(&fs::read(&unet).unwrap());
    let bias = header["conv_in.bias"]["data_offsets"][0].as_u64().unwrap();
    let tensors = [
        ("conv_in.bias", bias, 8),
        ("conv_in.bias_scale", bias + 8, 8),
    ];
    let mut header = header;
    for (name, start, length) in tensors {
        header[name] = common::entry("I8", &[length], start, start + length);
    }
    fs::write(&unet, common::safetensors(&header.to_string(), &data)).unwrap();
    let model = Model::open(folder.path()).unwrap();
    let message = model
        .load_unet(&Target::stock(Device::flex()))
        .unwrap_err()
        .to_string();
    assert!(
        message.contains("`unet.conv_in.bias` is stored as I8"),
        "{message}"
    );
}

/// Scales beside a weight that is stored as floats are surplus.
#[test]
fn scales_that_nothing_needs() {
    let folder = copy_of("modern");
    let unet = folder
        .path()
        .join("unet/diffusion_pytorch_model.fp16.safetensors");
    edit_header(&unet, |header| {
        let end = header.as_object().unwrap().values();
        let end = end
            .filter_map(|t| t["data_offsets"][1].as_u64())
            .max()
            .unwrap();
        header["conv_in.weight_scale"] = common::entry("F32", &[0], end, end);
    });
    let package = folder.path().join("model.safetensors");
    let error = convert(
        &Model::open(folder.path()).unwrap(),
        &package,
        &ConvertOptions::default(),
        &|| false,
    );
    let error = error.unwrap_err().to_string();
    let unused = TensorProblem::Unused {
        name: "unet/conv_in.weight_scale".into(),
        shape: vec![0],
        suggestion: None,
    };
    assert!(error.contains(&unused.to_string()), "{error}");
}

/// Overwrites the first bytes of the tensor `name` of the file at `path`.
fn overwrite(path: &Path, name: &str, with: &[u8]) {
    let (header, mut data) = split(&fs::read(path).unwrap());
    let start = header[name]["data_offsets"][0].as_u64().unwrap() as usize;
    data[start..start + with.len()].copy_from_slice(with);
    fs::write(path, common::safetensors(&header.to_string(), &data)).unwrap();
}
