//! Models that are missing, damaged or no models: an error, never a picture.

use std::fs;

use safetensors::SafeTensors;

use crate::support::{Place, fixture};

/// Checks that nothing can be drawn from `model`, and that nothing is left of the attempt.
#[track_caller]
fn refused(place: &Place, model: &str, parts: &[&str]) {
    let before = place.files();
    place
        .draw_from("a fox", model, &["-o", "a.png"])
        .refused(parts);
    assert_eq!(place.files(), before);
}

/// Overwrites every number of the `f16` tensors whose names `chosen` picks.
fn patch(place: &Place, file: &str, value: u16, chosen: impl Fn(&str) -> bool) {
    let mut bytes = place.read(file);
    let (header, metadata) = SafeTensors::read_metadata(&bytes).unwrap();
    let ranges: Vec<_> = metadata
        .tensors()
        .into_iter()
        .filter(|(name, _)| chosen(name))
        .map(|(_, info)| info.data_offsets)
        .collect();
    assert!(!ranges.is_empty());
    for (start, end) in ranges {
        for number in bytes[8 + header..][start..end].chunks_exact_mut(2) {
            number.copy_from_slice(&value.to_le_bytes());
        }
    }
    place.write(file, bytes);
}

#[test]
fn a_missing_model_is_named() {
    refused(
        &Place::new(),
        "no/model",
        &["cannot read no/model", "--model takes"],
    );
}

#[test]
fn a_cut_off_model_is_damaged_wherever_it_ends() {
    let place = Place::new();
    let model = place.convert("turbo");
    let whole = place.read(&model);
    for length in [0, 4, 8, 100, whole.len() / 3, whole.len() - 1] {
        place.write("cut.safetensors", &whole[..length]);
        refused(&place, "cut.safetensors", &["cut.safetensors", "again"]);
    }
    place.write("cut.safetensors", [whole, vec![0; 3]].concat());
    refused(&place, "cut.safetensors", &["is damaged"]);
}

#[test]
fn files_of_other_kinds_are_no_models() {
    let place = Place::new();
    let noise: Vec<u8> = (0..5000u32).map(|i| ((i * i * 31) >> 3) as u8).collect();
    place.write("noise", noise);
    place.write("notes.txt", "a model of a fox, but not one that draws");
    place.write("weights.ckpt", b"PK\x03\x04 a zip archive");
    for file in ["noise", "notes.txt", "weights.ckpt"] {
        refused(&place, file, &[file, "--model takes"]);
    }
}

#[test]
fn tensors_alone_are_no_model() {
    let part = format!(
        "{}/unet/diffusion_pytorch_model.safetensors",
        fixture("turbo")
    );
    refused(
        &Place::new(),
        &part,
        &[
            "neither a model manifest nor a whole checkpoint",
            "plantain convert",
        ],
    );
}

#[test]
fn folders_that_are_no_models() {
    let place = Place::new();
    fs::create_dir(place.path("empty")).unwrap();
    refused(&place, "empty", &["empty is not a diffusers folder"]);
    let part = format!("{}/unet", fixture("turbo"));
    refused(&place, &part, &["give the folder above it"]);
}

#[test]
fn a_folder_without_one_of_its_files() {
    let place = Place::new();
    let files = [
        ("unet/config.json", "unet/config.json"),
        ("unet/diffusion_pytorch_model.safetensors", "unet"),
        ("text_encoder/model.safetensors", "text_encoder"),
        ("tokenizer/vocab.json", "tokenizer"),
    ];
    for (file, part) in files {
        let model = place.copy("turbo");
        fs::remove_file(place.path("turbo").join(file)).unwrap();
        refused(&place, &model, &[part]);
        fs::remove_dir_all(place.path("turbo")).unwrap();
    }
}

#[test]
fn a_folder_with_a_broken_configuration() {
    let place = Place::new();
    let model = place.copy("turbo");
    for text in ["", "{", "[]", "{}", "{\"in_channels\": -1}"] {
        place.write("turbo/unet/config.json", text);
        refused(&place, &model, &["unet"]);
    }
}

/// Adds `count` tensors that no network knows to a safetensors file.
fn add_tensors(place: &Place, file: &str, count: usize) {
    let bytes = place.read(file);
    let all = SafeTensors::deserialize(&bytes).unwrap();
    let names: Vec<String> = (0..count).map(|i| format!("lora.{i}.weight")).collect();
    let (_, any) = all.iter().next().unwrap();
    let more = names.iter().map(|name| (name.as_str(), any.clone()));
    let tensors: Vec<_> = all.iter().chain(more).collect();
    place.write(file, safetensors::serialize(tensors, None).unwrap());
}

#[test]
fn tensors_of_a_folder_that_are_not_used_are_warned_about() {
    let place = Place::new();
    let model = place.copy("turbo");
    let unet = "turbo/unet/diffusion_pytorch_model.safetensors";
    add_tensors(&place, unet, 7);
    let drawn = place.draw_from("a fox", &model, &["-o", "a.png", "--json"]);
    let inspected = place.run(&["inspect", &model]);
    for warned in [drawn.succeeded(), inspected.succeeded()] {
        for part in [
            "warning: `unet/lora.0.weight`",
            "is not used",
            "warning: 2 more tensors are not used",
        ] {
            assert!(warned.says(part), "{part}: {warned:?}");
        }
    }
    let args = ["-o", "b.png", "--quiet"];
    let quiet = place.draw_from("a fox", &model, &args).succeeded();
    assert_eq!(quiet.stderr, "");
    place
        .run(&["convert", &model, "c.safetensors"])
        .refused(&["`unet/lora.0.weight`", "is not used"]);
}

#[test]
fn numbers_that_are_not_finite_are_named() {
    let place = Place::new();
    const NAN: u16 = 0x7e00;
    const INFINITY: u16 = 0x7c00;
    for value in [NAN, INFINITY] {
        for tensor in [
            "unet.conv_in.bias",
            "vae.post_quant_conv.weight",
            "text_encoder.final_layer_norm.weight",
            // Looked up in the file, so never read as a whole.
            "text_encoder.embeddings.token_embedding.weight",
        ] {
            let model = place.convert("turbo");
            patch(&place, &model, value, |name| name == tensor);
            refused(&place, &model, &[tensor, "NaN or infinity"]);
        }
    }
}

/// Every number is fine by itself, but what comes of them is too large.
#[test]
fn a_component_that_computes_infinity_is_named() {
    const LARGEST: u16 = 0x7bff;
    let place = Place::new();
    let model = place.convert("modern");
    patch(&place, &model, LARGEST, |name| name.starts_with("vae."));
    for device in ["flex", "ndarray"] {
        let args = ["-o", "a.png", "--device", device];
        let drawn = place.draw_from("a fox", &model, &args);
        drawn.refused(&["the decoder produced values that are not finite"]);
    }
    assert_eq!(place.files(), [model]);
}

#[test]
fn parts_of_different_models_are_refused_by_every_command() {
    let place = Place::new();
    let model = place.copy("turbo");
    fs::remove_dir_all(place.path("turbo/vae")).unwrap();
    place.copy("deep");
    fs::rename(place.path("deep/vae"), place.path("turbo/vae")).unwrap();
    let unfit = ["do not fit each other", "latent_channels"];
    let size = ["--size", "32x32", "--model", &model];
    for command in [
        &["generate", "a fox"][..],
        &["bench", "--part", "unet"],
        &["doctor"],
    ] {
        place.run(&[command, &size[..]].concat()).refused(&unfit);
    }
}
