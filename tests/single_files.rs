//! Checkpoints in one file, in every container that they come in, against what diffusers computes with the same weights.
//!
//! The files in `fixtures/single_files` have random weights and were written, with the numbers expected of them, by
//! `reference/single_files.py`.

#[path = "support/numbers.rs"]
mod numbers;

use std::path::{Path, PathBuf};

use plantain::sampling::PredictionType;
use plantain::trace::{HostTensor, SamplerTrace, Tensors, TraceComponent, trace};
use plantain::weights::{ConvertOptions, Recipe, convert, read_tensors};
use plantain::{DeviceChoice, Model, SamplerKind};

use numbers::{NETWORK_TOLERANCE, assert_close, on, under};

/// Four evaluations with guidance, each fed with the last one's error.
const LATENT_TOLERANCE: f64 = 1e-4;

/// The layouts, each with the container in the extension.
const FILES: [&str; 8] = [
    "sd1.safetensors",
    "sd2.safetensors",
    "tiny.safetensors",
    "pruned.ckpt",
    "micro-legacy.ckpt",
    "micro-f16.gguf",
    "micro-q8_0.gguf",
    "micro-q4_0.gguf",
];

fn fixture(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/fixtures/single_files")
        .join(file)
}

/// What was computed with the model in `file`.
fn expected(file: &str) -> Tensors {
    let stem = file.split('.').next().unwrap();
    read_tensors(&fixture("expected").join(format!("{stem}.safetensors"))).unwrap()
}

/// Compares every component that `expected` has numbers of; how many there were.
fn check_components(what: &str, model: &Model, expected: &Tensors, tolerance: f64) -> usize {
    let components = [
        TraceComponent::TextEncoder,
        TraceComponent::Unet,
        TraceComponent::Decoder,
        TraceComponent::Encoder,
    ];
    let mut checked = 0;
    for component in components {
        let inputs = under(expected, &format!("{component}.in."));
        if inputs.is_empty() {
            continue;
        }
        let settings = SamplerTrace::default();
        let actual = trace(model, component, &inputs, on(DeviceChoice::Flex), settings);
        let actual = actual.unwrap_or_else(|error| panic!("{what}, {component}: {error}"));
        for (name, expected) in under(expected, &format!("{component}.out.")) {
            let what = format!("{what}, {component} {name}");
            assert_close(&what, &actual[&name], &expected, tolerance);
        }
        checked += 1;
    }
    checked
}

#[test]
fn every_layout_computes_what_diffusers_does() {
    for file in FILES {
        let model = Model::open(&fixture(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        assert_eq!(model.unused_tensors(), [], "{file}");
        assert!(
            check_components(file, &model, &expected(file), NETWORK_TOLERANCE) >= 2,
            "{file}"
        );
    }
}

/// What stable-diffusion.cpp calls the parts of OpenCLIP when it converts with `--convert-name`, seen in files that it wrote.
const RENAMED: [(&str, &str); 14] = [
    (
        "cond_stage_model.model.token_embedding.",
        "cond_stage_model.transformer.text_model.embeddings.token_embedding.",
    ),
    (
        "cond_stage_model.model.positional_embedding",
        "cond_stage_model.transformer.text_model.embeddings.position_embedding.weight",
    ),
    (
        "cond_stage_model.model.transformer.resblocks.",
        "cond_stage_model.transformer.text_model.encoder.layers.",
    ),
    (
        "cond_stage_model.model.ln_final.",
        "cond_stage_model.transformer.text_model.final_layer_norm.",
    ),
    (
        "cond_stage_model.model.text_projection",
        "cond_stage_model.transformer.text_model.text_projection",
    ),
    (
        "cond_stage_model.model.logit_scale",
        "cond_stage_model.transformer.text_model.logit_scale",
    ),
    (".attn.in_proj_weight", ".self_attn.in_proj.weight"),
    (".attn.in_proj_bias", ".self_attn.in_proj.bias"),
    (".attn.out_proj.", ".self_attn.out_proj."),
    (".ln_1.", ".layer_norm1."),
    (".ln_2.", ".layer_norm2."),
    (".mlp.c_fc.", ".mlp.fc1."),
    (".mlp.c_proj.", ".mlp.fc2."),
    (
        "cond_stage_model.model.",
        "cond_stage_model.transformer.text_model.",
    ),
];

#[test]
fn names_of_stable_diffusion_cpp_mean_the_same() {
    let bytes = std::fs::read(fixture("sd2.safetensors")).unwrap();
    let (length, rest) = bytes.split_first_chunk::<8>().unwrap();
    let (header, data) = rest.split_at(u64::from_le_bytes(*length) as usize);
    let mut header = String::from_utf8(header.to_vec()).unwrap();
    for (from, to) in RENAMED {
        header = header.replace(from, to);
    }
    let header = format!("{header:<width$}", width = header.len().next_multiple_of(8));
    let length = (header.len() as u64).to_le_bytes();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("renamed.safetensors");
    std::fs::write(&path, [&length, header.as_bytes(), data].concat()).unwrap();

    let model = Model::open(&path).unwrap();
    let expected = expected("sd2.safetensors");
    check_components("renamed", &model, &expected, NETWORK_TOLERANCE);
    let whole = Model::open(&fixture("sd2.safetensors")).unwrap();
    assert_eq!(
        model.manifest().components.text_encoder,
        whole.manifest().components.text_encoder
    );
}

#[test]
fn packages_made_of_them_compute_the_same() {
    let folder = tempfile::tempdir().unwrap();
    for file in FILES {
        let source = Model::open(&fixture(file)).unwrap();
        let package = folder.path().join("package.safetensors");
        let report = convert(&source, &package, &ConvertOptions::default(), &|| false).unwrap();
        assert_eq!(report.problems, [], "{file}");
        let package = Model::open(&package).unwrap();
        let sources = &package.manifest().provenance.sources;
        assert!(
            sources.iter().any(|source| source.path == file),
            "{sources:?}"
        );
        assert_eq!(package.tokenizer_json(), source.tokenizer_json());
        // Packages keep blocks of quantised numbers as F16.
        let rounded = file.contains("_0.");
        let tolerance = if rounded { 1e-3 } else { NETWORK_TOLERANCE };
        check_components(file, &package, &expected(file), tolerance);
    }
}

#[test]
fn whole_runs_end_where_those_of_diffusers_do() {
    for file in FILES {
        let mut model = Model::open(&fixture(file)).unwrap();
        if file == "sd2.safetensors" {
            // It has too few blocks to tell.
            model = model.with_prediction(PredictionType::VPrediction);
        }
        let expected = expected(file);
        for kind in [SamplerKind::Ddim, SamplerKind::Euler] {
            let mut inputs = texts(&model, &expected);
            inputs.insert("noise".to_string(), expected["pipeline.in.noise"].clone());
            let settings = SamplerTrace {
                sampler: Some(kind),
                steps: Some(4),
                guidance: Some(3.0),
                strength: None,
            };
            let device = on(DeviceChoice::Flex);
            let run = trace(&model, TraceComponent::Sampler, &inputs, device, settings).unwrap();
            let end = &expected[&format!("pipeline.{kind}.latent")];
            let what = format!("{file}, {kind}");
            assert_close(&what, &run["latent"], end, LATENT_TOLERANCE);
            if let Some(image) = expected.get(&format!("pipeline.{kind}.image")) {
                let decibels = psnr(&decoded(&model, &run["latent"]), image);
                assert!(decibels > 45.0, "{what}: {decibels} dB");
            }
        }
    }
}

/// What the model's own text encoder makes of the prompt and the negative prompt.
fn texts(model: &Model, expected: &Tensors) -> Tensors {
    let inputs = under(expected, "text-encoder.in.");
    let device = on(DeviceChoice::Flex);
    let settings = SamplerTrace::default();
    let states = trace(
        model,
        TraceComponent::TextEncoder,
        &inputs,
        device,
        settings,
    )
    .unwrap();
    let states = &states["last_hidden_state"];
    let mut shape = states.shape.clone();
    shape[0] = 1;
    let (prompt, negative) = states.values.split_at(states.values.len() / 2);
    let row = |values: &[f32]| HostTensor {
        shape: shape.clone(),
        values: values.to_vec(),
    };
    Tensors::from([
        ("encoder_hidden_states".to_string(), row(prompt)),
        ("negative_encoder_hidden_states".to_string(), row(negative)),
    ])
}

/// The picture of a latent of the UNet, in -1 to 1.
fn decoded(model: &Model, latent: &HostTensor) -> HostTensor {
    let vae = model.manifest().components.vae.as_ref().unwrap();
    let (scaling, _) = vae.scaling();
    let mut latent = latent.clone();
    for value in &mut latent.values {
        *value = (f64::from(*value) / scaling) as f32;
    }
    let inputs = Tensors::from([("latent".to_string(), latent)]);
    let device = on(DeviceChoice::Flex);
    let settings = SamplerTrace::default();
    let decoded = trace(model, TraceComponent::Decoder, &inputs, device, settings).unwrap();
    decoded["image"].clone()
}

/// Peak signal-to-noise ratio of a picture in -1 to 1 to one in 0 to 1.
fn psnr(actual: &HostTensor, expected: &HostTensor) -> f64 {
    assert_eq!(actual.shape, expected.shape);
    let pairs = actual.values.iter().zip(&expected.values);
    let squares = pairs.map(|(a, b)| f64::from((a / 2.0 + 0.5).clamp(0.0, 1.0) - b).powi(2));
    let mean = squares.sum::<f64>() / actual.values.len() as f64;
    10.0 * (1.0 / mean).log10()
}

#[test]
fn what_files_do_not_say_is_stable_diffusions() {
    let first = Model::open(&fixture("sd1.safetensors")).unwrap();
    let defaults = &first.manifest().defaults;
    assert_eq!((defaults.width, defaults.height), (512, 512));
    assert_eq!(first.manifest().name, "sd1");
    let pruned = Model::open(&fixture("sd2.safetensors")).unwrap();
    let told = |model: &Model| {
        let manifest = model.manifest();
        (
            manifest.sampler.schedule.prediction(),
            manifest.defaults.width,
        )
    };
    assert_eq!(told(&pruned), (PredictionType::Epsilon, 512));
    let folder = tempfile::tempdir().unwrap();
    let telling = |values: [f32; 2]| {
        let path = folder.path().join("second.safetensors");
        let bytes = std::fs::read(fixture("sd2.safetensors")).unwrap();
        std::fs::write(&path, with_telling_bias(&bytes, values)).unwrap();
        Model::open(&path).unwrap()
    };
    assert_eq!(
        told(&telling([0.01, -0.01])),
        (PredictionType::Epsilon, 512)
    );
    let second = telling([0.2, -0.2]);
    assert_eq!(told(&second), (PredictionType::VPrediction, 768));
    let turbo = second.with_recipe(Recipe::named("sd-turbo").unwrap());
    let manifest = turbo.manifest();
    assert_eq!(
        manifest.sampler.schedule.prediction_type,
        Some(PredictionType::Epsilon)
    );
    assert_eq!((manifest.defaults.steps, manifest.defaults.width), (1, 512));
    assert_eq!(manifest.recipe.as_deref(), Some("sd-turbo"));
}

/// A file of Stable Diffusion 2 with the bias by whose spread networks that predict velocities are told.
fn with_telling_bias(file: &[u8], values: [f32; 2]) -> Vec<u8> {
    const NAME: &str = "model.diffusion_model.output_blocks.11.1.transformer_blocks.0.norm1.bias";
    let (length, rest) = file.split_at(8);
    let length = u64::from_le_bytes(length.try_into().unwrap()) as usize;
    let (header, data) = rest.split_at(length);
    let mut header: serde_json::Value = serde_json::from_slice(header).unwrap();
    let offsets = [data.len(), data.len() + 8];
    header[NAME] = serde_json::json!({"dtype": "F32", "shape": [2], "data_offsets": offsets});
    let header = header.to_string().into_bytes();
    let values = values.into_iter().flat_map(f32::to_le_bytes);
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.into_iter().chain(data.iter().copied()).chain(values));
    bytes
}
