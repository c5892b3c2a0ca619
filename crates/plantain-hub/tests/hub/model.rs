//! A repository as it is published, only small.

use serde_json::json;

/// The largest file.
pub const UNET: &str = "unet/diffusion_pytorch_model.safetensors";

/// Bytes that look like weights: no two parts are alike.
pub fn weights(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..length).map(|_| next()).collect()
}

/// The files of a model that belong into its folder.
pub fn needed() -> Vec<(String, Vec<u8>)> {
    let index = json!({
        "_class_name": "StableDiffusionPipeline",
        "safety_checker": ["stable_diffusion", "StableDiffusionSafetyChecker"],
        "scheduler": ["diffusers", "PNDMScheduler"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
    });
    let small = [
        ("model_index.json", index.to_string()),
        (
            "README.md",
            "---\nlicense: creativeml-openrail-m\n---\n# Tiny\n".to_string(),
        ),
        ("scheduler/scheduler_config.json", r#"{"a": 1}"#.to_string()),
        ("text_encoder/config.json", r#"{"a": 2}"#.to_string()),
        ("tokenizer/merges.txt", "#version: 0.2\n".to_string()),
        ("tokenizer/special_tokens_map.json", String::new()),
        ("tokenizer/vocab.json", "{}".to_string()),
        ("unet/config.json", r#"{"a": 3}"#.to_string()),
        ("vae/config.json", r#"{"a": 4}"#.to_string()),
    ];
    let large = [
        ("text_encoder/model.safetensors", weights(20_000, 1)),
        (UNET, weights(600_000, 2)),
        (
            "vae/diffusion_pytorch_model.safetensors",
            weights(30_000, 3),
        ),
    ];
    let small = small
        .into_iter()
        .map(|(name, text)| (name.to_string(), text.into_bytes()));
    small
        .chain(large.map(|(name, bytes)| (name.to_string(), bytes)))
        .collect()
}

/// A repository as it is published: with much that is not needed.
pub fn model() -> Vec<(String, Vec<u8>)> {
    let more = [
        ".gitattributes",
        "safety_checker/config.json",
        "safety_checker/model.safetensors",
        "feature_extractor/preprocessor_config.json",
        "text_encoder/model.fp16.safetensors",
        "text_encoder/pytorch_model.bin",
        "unet/diffusion_pytorch_model.bin",
        "unet/diffusion_pytorch_model.fp16.safetensors",
        "unet/flax_model.msgpack",
        "unet/model.onnx",
        "tiny-pruned.safetensors",
    ];
    needed()
        .into_iter()
        .chain(more.map(|name| (name.to_string(), name.as_bytes().to_vec())))
        .collect()
}
