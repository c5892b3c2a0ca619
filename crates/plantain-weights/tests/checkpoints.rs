//! Checkpoints, LoRAs, embeddings and autoencoders that are damaged, incomplete or of another kind: one clear error each.

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use common::{edit_header, edit_json};
use plantain_weights::{Component, Model, PrunePlan, ReadError};
use proptest::prelude::*;
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Value, json};
use tempfile::TempDir;

const UNET: &str = "model.diffusion_model.";

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures")
}

fn base() -> Model {
    Model::open(&common::fixture("turbo")).unwrap()
}

/// A copy of the checkpoint `tiny` with its header changed.
fn changed(edit: impl FnOnce(&mut Value)) -> (TempDir, PathBuf) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("changed.safetensors");
    fs::copy(fixtures().join("single_files/tiny.safetensors"), &path).unwrap();
    edit_header(&path, edit);
    (folder, path)
}

/// Gives the tensor `from` the name `to`.
fn rename(header: &mut Value, from: &str, to: &str) {
    let tensors = header.as_object_mut().unwrap();
    let entry = tensors.remove(from).unwrap_or_else(|| panic!("{from}"));
    tensors.insert(to.to_string(), entry);
}

#[track_caller]
fn assert_refused(edit: impl FnOnce(&mut Value), parts: &[&str]) {
    let (_folder, path) = changed(edit);
    let began = Instant::now();
    let message = Model::open(&path).map(drop).unwrap_err().to_string();
    assert!(began.elapsed() < Duration::from_secs(1));
    for part in [&["changed.safetensors"], parts].concat() {
        assert!(message.contains(part), "{message:?} does not say {part:?}");
    }
}

#[test]
fn checkpoints_that_lack_what_tells_their_architecture() {
    for name in [
        "input_blocks.0.0.weight",
        "out.2.weight",
        "input_blocks.1.0.out_layers.3.weight",
        "input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight",
    ] {
        let name = format!("{UNET}{name}");
        assert_refused(
            |header| rename(header, &name, "gone"),
            &[&name, "no whole checkpoint"],
        );
    }
}

#[test]
fn checkpoints_of_other_families() {
    for (name, family) in [
        (
            "conditioner.embedders.0.transformer.x",
            "Stable Diffusion XL",
        ),
        (
            "model.diffusion_model.joint_blocks.0.x",
            "Stable Diffusion 3",
        ),
        ("double_blocks.0.x", "FLUX"),
        ("model.diffusion_model.label_emb.0.0.weight", "unCLIP"),
    ] {
        let first = format!("{UNET}out.2.bias");
        assert_refused(
            |header| rename(header, &first, name),
            &[family, "is not supported"],
        );
    }
}

#[test]
fn a_checkpoint_with_swapped_shapes_is_refused_when_it_is_loaded_or_converted() {
    let (_folder, path) = changed(|header| {
        let entry = &mut header[format!("{UNET}input_blocks.1.0.in_layers.0.weight")];
        entry["shape"] = json!([8, 4]);
    });
    let model = Model::open(&path).unwrap();
    let target = plantain_weights::Target::stock(burn::tensor::Device::flex());
    let message = model.load_unet(&target).map(drop).unwrap_err().to_string();
    assert!(
        message.contains("has shape [8, 4] instead of [32]"),
        "{message}"
    );
}

#[test]
fn levels_that_do_not_mirror_each_other() {
    let last = format!("{UNET}output_blocks.7.0.");
    assert_refused(
        |header| {
            let names: Vec<_> = header.as_object().unwrap().keys().cloned().collect();
            for name in names.iter().filter(|name| name.starts_with(&last)) {
                rename(header, name, &format!("gone.{name}"));
            }
        },
        &["a UNet whose level 0 has"],
    );
}

/// A copy of `file` with its tensors changed, as safetensors.
fn rewritten(
    file: &str,
    change: impl Fn(&str, &[usize]) -> Option<(String, Vec<usize>)>,
    more: &[(&str, &[usize])],
) -> (TempDir, PathBuf) {
    let bytes = fs::read(fixtures().join("single_files").join(file)).unwrap();
    let all = SafeTensors::deserialize(&bytes).unwrap();
    let zeros = vec![0; 1 << 20];
    let mut views = Vec::new();
    for (name, view) in all.iter() {
        if let Some((name, shape)) = change(name, view.shape()) {
            views.push((
                name,
                TensorView::new(view.dtype(), shape, view.data()).unwrap(),
            ));
        }
    }
    for (name, shape) in more {
        let data = &zeros[..4 * shape.iter().product::<usize>()];
        let view = TensorView::new(Dtype::F32, shape.to_vec(), data).unwrap();
        views.push(((*name).to_string(), view));
    }
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("rewritten.safetensors");
    fs::write(&path, safetensors::serialize(views, None).unwrap()).unwrap();
    (folder, path)
}

fn assert_same_tensors(model: &Model, other: &Model) {
    let tensors = |model: &Model| -> Vec<(String, Vec<usize>, Vec<u8>)> {
        let tensors = model.tensors().iter();
        tensors
            .map(|(name, tensor)| {
                (
                    name.to_string(),
                    tensor.shape.to_vec(),
                    tensor.bytes().to_vec(),
                )
            })
            .collect()
    };
    assert!(tensors(model) == tensors(other));
}

/// Converters from diffusers' layout leave the last layer of OpenCLIP out, and what follows it.
#[test]
fn an_open_clip_without_its_last_layer_keeps_all_others() {
    let (_folder, path) = rewritten(
        "sd2.safetensors",
        |name, shape| {
            let ends = ["resblocks.3.", "text_projection", "logit_scale"];
            let gone = ends.iter().any(|end| name.contains(end));
            (!gone).then(|| (name.to_string(), shape.to_vec()))
        },
        &[],
    );
    let whole = Model::open(&fixtures().join("single_files/sd2.safetensors")).unwrap();
    let shorter = Model::open(&path).unwrap();
    assert_eq!(shorter.manifest().components, whole.manifest().components);
    assert_eq!(shorter.unused_tensors(), []);
    assert_same_tensors(&shorter, &whole);
}

/// stable-diffusion.cpp stores the projections of the second generation as convolutions.
#[test]
fn the_second_generation_is_told_by_its_text_too() {
    let (_folder, path) = rewritten(
        "sd2.safetensors",
        |name, shape| {
            let projection = name.ends_with("proj_in.weight") || name.ends_with("proj_out.weight");
            let mut shape = shape.to_vec();
            if projection && name.contains("blocks") && shape.len() == 2 {
                shape.extend([1, 1]);
            }
            Some((name.to_string(), shape))
        },
        &[],
    );
    let whole = Model::open(&fixtures().join("single_files/sd2.safetensors")).unwrap();
    let changed = Model::open(&path).unwrap();
    assert_eq!(changed.manifest().components, whole.manifest().components);
    assert_same_tensors(&changed, &whole);
}

#[test]
fn a_guidance_embedding_is_found_by_either_name() {
    for start in ["time_embed", "time_embedding"] {
        let name = format!("{UNET}{start}.cond_proj.weight");
        let keep = |name: &str, shape: &[usize]| Some((name.to_string(), shape.to_vec()));
        let (_folder, path) = rewritten("tiny.safetensors", keep, &[(&name, &[32, 256])]);
        let model = Model::open(&path).unwrap();
        let unet = model.manifest().components.unet.as_ref().unwrap();
        assert_eq!(unet.time_cond_proj_dim, Some(256), "{name}");
        assert_eq!(model.unused_tensors(), []);
    }
}

#[test]
fn what_is_in_no_part_of_a_checkpoint_is_left_alone() {
    let keep = |name: &str, shape: &[usize]| Some((name.to_string(), shape.to_vec()));
    let more: [(&str, &[usize]); 3] = [
        ("embedding_manager.x", &[2]),
        ("model_ema.decay", &[]),
        (
            "cond_stage_model.transformer.text_model.text_projection",
            &[2, 2],
        ),
    ];
    let (_folder, path) = rewritten("tiny.safetensors", keep, &more);
    assert_eq!(Model::open(&path).unwrap().unused_tensors(), []);
}

#[test]
fn what_training_left_in_an_autoencoder_is_left_alone() {
    let (_folder, path) = rewritten(
        "sd1.safetensors",
        |name, shape| {
            let name = name.strip_prefix("first_stage_model.")?;
            Some((name.to_string(), shape.to_vec()))
        },
        &[("loss.logvar", &[]), ("model_ema.num_updates", &[])],
    );
    let base = Model::open(&fixtures().join("single_files/sd1.safetensors")).unwrap();
    let swapped = base.with_vae(&path).unwrap();
    assert_eq!(swapped.unused_tensors(), []);
    assert_eq!(swapped.manifest().components, base.manifest().components);
}

#[test]
fn a_huge_number_in_a_name_is_no_reason_to_count() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("vae.safetensors");
    let header = json!({"18446744073709551615.weight": common::entry("F32", &[1], 0, 4)});
    fs::write(&path, common::safetensors(&header.to_string(), &[0; 4])).unwrap();
    let began = Instant::now();
    assert!(base().with_vae(&path).is_err());
    assert!(began.elapsed() < Duration::from_secs(1));
}

#[test]
fn a_link_to_nothing_is_told() {
    let folder = TempDir::new().unwrap();
    let link = folder.path().join("sd.ckpt");
    std::os::unix::fs::symlink(folder.path().join("gone"), &link).unwrap();
    let error = Model::open(&link).unwrap_err();
    assert!(matches!(error, ReadError::BrokenLink { .. }), "{error}");
}

#[test]
fn a_link_is_followed() {
    let folder = TempDir::new().unwrap();
    let link = folder.path().join("sd.safetensors");
    std::os::unix::fs::symlink(fixtures().join("single_files/tiny.safetensors"), &link).unwrap();
    assert!(
        Model::open(&link)
            .unwrap()
            .manifest()
            .components
            .has(Component::Unet)
    );
}

#[test]
fn what_peft_keeps_beside_an_adapter_counts() {
    let folder = TempDir::new().unwrap();
    let (path, config) = (
        folder.path().join("adapter_model.safetensors"),
        folder.path().join("adapter_config.json"),
    );
    let layer = "base_model.model.down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q";
    let header = json!({
        format!("{layer}.lora_B.weight"): common::entry("F32", &[8, 2], 0, 64),
        format!("{layer}.lora_A.weight"): common::entry("F32", &[2, 8], 64, 128),
    });
    let data: Vec<u8> = (0..32).flat_map(|_| 1f32.to_le_bytes()).collect();
    fs::write(&path, common::safetensors(&header.to_string(), &data)).unwrap();
    let fingerprint = || base().with_lora(&path, 1.0).unwrap().0.fingerprint();
    let alone = fingerprint();
    let mut seen = vec![alone];
    for json in [
        json!({"lora_alpha": 64}),
        json!({"lora_alpha": 64, "use_rslora": true}),
    ] {
        fs::write(&config, json.to_string()).unwrap();
        let changed = fingerprint();
        assert!(!seen.contains(&changed), "{json}");
        seen.push(changed);
    }
}

#[test]
fn loras_that_do_not_fit() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("lora.safetensors");
    let layer = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q";
    let pair = |up: [u64; 2], down: [u64; 2], value: f32| {
        let (a, b) = (up[0] * up[1], down[0] * down[1]);
        let header = json!({
            format!("{layer}.lora_up.weight"): common::entry("F32", &up, 0, 4 * a),
            format!("{layer}.lora_down.weight"): common::entry("F32", &down, 4 * a, 4 * (a + b)),
        });
        let data: Vec<u8> = (0..a + b).flat_map(|_| value.to_le_bytes()).collect();
        common::safetensors(&header.to_string(), &data)
    };
    let message = |bytes: Vec<u8>| {
        fs::write(&path, bytes).unwrap();
        base()
            .with_lora(&path, 1.0)
            .map(drop)
            .unwrap_err()
            .to_string()
    };
    assert!(
        base()
            .with_lora(&fixtures().join("loras/kohya.safetensors"), 1.0)
            .is_ok()
    );
    let misfit = "do not fit the model's layer";
    for bytes in [
        pair([8, 2], [2, 9], 1.0),
        pair([9, 2], [2, 8], 1.0),
        pair([8, 3], [2, 8], 1.0),
        pair([8, 0], [0, 8], 1.0),
        pair([8, 2], [2, 8], f32::NAN),
    ] {
        let message = message(bytes);
        assert!(
            message.contains(misfit) && message.contains(layer),
            "{message}"
        );
    }
    // Whole numbers are alphas too; half of the rank halves the change.
    let with_alpha = |alpha: i64| {
        let mut data: Vec<u8> = (0..32).flat_map(|_| 1f32.to_le_bytes()).collect();
        data.extend(alpha.to_le_bytes());
        let header = json!({
            format!("{layer}.lora_up.weight"): common::entry("F32", &[8, 2], 0, 64),
            format!("{layer}.lora_down.weight"): common::entry("F32", &[2, 8], 64, 128),
            format!("{layer}.alpha"): common::entry("I64", &[], 128, 136),
        });
        fs::write(&path, common::safetensors(&header.to_string(), &data)).unwrap();
        base().with_lora(&path, 1.0).unwrap().0.fingerprint()
    };
    assert_ne!(with_alpha(1), with_alpha(2));
    let half = json!({format!("{layer}.lora_up.weight"): common::entry("F32", &[8, 2], 0, 64)});
    let message = message(common::safetensors(&half.to_string(), &[0; 64]));
    assert!(
        message.contains("only one of its two matrices"),
        "{message}"
    );
}

#[test]
fn an_embedding_is_learnt_once() {
    let model = Model::open(&fixtures().join("prompts/model")).unwrap();
    let path = fixtures().join("prompts/embeddings/learned_embeds.safetensors");
    let model = model.with_embedding(&path).unwrap();
    let again = model.with_embedding(&path).unwrap_err().to_string();
    assert!(
        again.contains("cannot learn `<two>`: it knows that word already"),
        "{again}"
    );
    let other = model
        .with_embedding(&fixtures().join("prompts/embeddings/two-vectors.pt"))
        .unwrap();
    let info = other.manifest().tokenizer.as_ref().unwrap();
    let ids: Vec<_> = info.embeddings.iter().map(|added| added.first_id).collect();
    assert_eq!(ids, [534, 536]);
    let folder = TempDir::new().unwrap();
    let known = folder.path().join("cat.pt");
    fs::copy(fixtures().join("prompts/embeddings/two-vectors.pt"), &known).unwrap();
    let error = other.with_embedding(&known).unwrap_err().to_string();
    assert!(
        error.contains("cannot learn `cat`: it knows that word already"),
        "{error}"
    );
}

#[test]
fn the_licence_is_the_one_on_the_readme() {
    for (text, licence) in [
        (
            "---\nlicense: creativeml-openrail-m\ntags: [a]\n---\n# Title",
            Some("creativeml-openrail-m"),
        ),
        (
            "---\ntags:\n- a\nlicense: other\nlicense_name: sai-nc-community\n---\n",
            Some("sai-nc-community"),
        ),
        ("---\nlicense: \"mit\"\n---\n", Some("mit")),
        ("# A title\nlicense: mit\n", None),
        ("---\ntags: [a]\n---\nlicense: mit\n", None),
    ] {
        let folder = common::copy_of("turbo");
        fs::write(folder.path().join("README.md"), text).unwrap();
        edit_json(&folder.path().join("model.json"), |card| {
            card.as_object_mut().unwrap().remove("license");
        });
        let model = Model::open(folder.path()).unwrap();
        assert_eq!(model.manifest().license.as_deref(), licence, "{text}");
    }
}

fn files() -> Vec<PathBuf> {
    [
        "single_files/micro-legacy.ckpt",
        "single_files/micro-q4_0.gguf",
        "loras/locon.safetensors",
        "loras/peft.safetensors",
        "prompts/embeddings/two-vectors.pt",
        "tiny_decoders/taesd_decoder.pth",
    ]
    .map(|file| fixtures().join(file))
    .to_vec()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn damaged_files_never_panic(
        file in 0..files().len(),
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        in_header in any::<bool>(),
        cut in prop::option::weighted(0.2, any::<prop::sample::Index>()),
    ) {
        let source = &files()[file];
        let mut bytes = fs::read(source).unwrap();
        let reach = if in_header { bytes.len().min(4000) } else { bytes.len() };
        for (place, byte) in flips {
            let place = place.index(reach);
            bytes[place] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        let folder = TempDir::new().unwrap();
        let path = folder.path().join(source.file_name().unwrap());
        fs::write(&path, bytes).unwrap();
        if let Ok(model) = Model::open(&path) {
            let _ = (model.summary(), model.unused_tensors(), model.unet_flops());
            let _ = PrunePlan::all().iter().map(|plan| model.pruned(plan)).collect::<Vec<_>>();
        }
        let base = base();
        if let Ok((model, _)) = base.with_lora(&path, 0.5) {
            let _ = model.fingerprint();
        }
        let _ = base.with_vae(&path).map(|model| model.unused_tensors());
        let _ = base.with_embedding(&path);
    }
}
