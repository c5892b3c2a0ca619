//! What LoRA files call their tensors (sources: kohya-ss `networks/lora.py`, diffusers `lora_conversion_utils.py`, peft).

use crate::manifest::Component;

/// One tensor of a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Up,
    Down,
    Alpha,
}

/// What a tensor is for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Part of the layer of that name.
    Part(String, Part),
    /// Part of an adaptation that is no plain LoRA.
    OtherKind(&'static str),
    /// Nothing of an adaptation.
    None,
}

/// Ends of the names of a layer's tensors. Adapters of peft may have a name of their own.
const PARTS: [(&str, Part); 15] = [
    (".lora_up.weight", Part::Up),
    (".lora_down.weight", Part::Down),
    (".lora_B.weight", Part::Up),
    (".lora_A.weight", Part::Down),
    (".lora_B.default.weight", Part::Up),
    (".lora_A.default.weight", Part::Down),
    (".lora_B.default_0.weight", Part::Up),
    (".lora_A.default_0.weight", Part::Down),
    (".lora_linear_layer.up.weight", Part::Up),
    (".lora_linear_layer.down.weight", Part::Down),
    (".lora.up.weight", Part::Up),
    (".lora.down.weight", Part::Down),
    ("_lora.up.weight", Part::Up),
    ("_lora.down.weight", Part::Down),
    (".alpha", Part::Alpha),
];

/// What else is called LoRA, by parts of the names.
const OTHER_KINDS: [(&str, &str); 7] = [
    (".dora_scale", "a DoRA"),
    ("lora_magnitude_vector", "a DoRA"),
    (".hada_w", "a LoHa"),
    (".lokr_w", "a LoKr"),
    (".oft_", "an OFT"),
    (".lora_mid.", "a LoCon in Tucker form"),
    (".bundle_emb.", "a bundle with embeddings"),
];

pub(super) fn role_of(name: &str) -> Role {
    if name.ends_with(".diff") || name.ends_with(".diff_b") {
        return Role::OtherKind("an adaptation by whole differences");
    }
    if let Some((_, kind)) = OTHER_KINDS.iter().find(|(mark, _)| name.contains(mark)) {
        return Role::OtherKind(kind);
    }
    let part = PARTS
        .iter()
        .find_map(|(end, part)| Some((name.strip_suffix(end)?, *part)));
    part.map_or(Role::None, |(layer, part)| {
        Role::Part(layer.to_string(), part)
    })
}

/// The name that all ways of writing a layer's name lead to: its component's and its module's, with `_` for `.`, as kohya's
/// scripts write it.
pub(super) fn underscored(component: Component, module: &str) -> String {
    format!("{component}_{}", module.replace('.', "_"))
}

/// The same for what a file calls a layer: the possible meanings, the likeliest first.
pub(super) fn keys(layer: &str) -> Vec<String> {
    // The projections of attentions were once part of a processor.
    let plain = layer.replace(".processor.", ".").replace('.', "_");
    let plain = plain.strip_prefix("base_model_model_").unwrap_or(&plain);
    const STARTS: [(&str, Component); 5] = [
        ("lora_unet_", Component::Unet),
        ("unet_", Component::Unet),
        ("lora_te1_", Component::TextEncoder),
        ("lora_te_", Component::TextEncoder),
        ("text_encoder_", Component::TextEncoder),
    ];
    let start = STARTS
        .iter()
        .find_map(|(start, component)| Some((plain.strip_prefix(start)?, *component)));
    match start {
        Some((module, component)) => vec![format!("{component}_{module}")],
        None => [Component::Unet, Component::TextEncoder]
            .map(|component| format!("{component}_{plain}"))
            .to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::module_names;

    /// Whether `tensor` of a file is the `part` of the weight `stable`.
    #[track_caller]
    fn assert_means(tensor: &str, part: Part, component: Component, stable: &str) {
        let Role::Part(layer, found) = role_of(tensor) else {
            panic!("{tensor} is no part of a LoRA");
        };
        assert_eq!(found, part, "{tensor}");
        let modules = module_names(component, stable);
        let known: Vec<_> = modules.iter().map(|m| underscored(component, m)).collect();
        let keys = keys(&layer);
        assert!(
            keys.iter().any(|key| known.contains(key)),
            "{keys:?} is none of {known:?}"
        );
    }

    #[test]
    fn every_way_of_naming_a_projection() {
        let to_q = "unet.down_blocks.0.attentions.1.transformer_blocks.0.attn2.to_q.weight";
        let kohya = "lora_unet_down_blocks_0_attentions_1_transformer_blocks_0_attn2_to_q";
        let path = "down_blocks.0.attentions.1.transformer_blocks.0.attn2";
        for (name, part) in [
            (format!("{kohya}.lora_up.weight"), Part::Up),
            (format!("{kohya}.lora_down.weight"), Part::Down),
            (format!("{kohya}.alpha"), Part::Alpha),
            (format!("unet.{path}.to_q.lora_A.weight"), Part::Down),
            (format!("unet.{path}.to_q.lora.up.weight"), Part::Up),
            (
                format!("unet.{path}.processor.to_q_lora.up.weight"),
                Part::Up,
            ),
            (
                format!("{path}.processor.to_q_lora.down.weight"),
                Part::Down,
            ),
            (
                format!("base_model.model.{path}.to_q.lora_B.weight"),
                Part::Up,
            ),
        ] {
            assert_means(&name, part, Component::Unet, to_q);
        }
    }

    #[test]
    fn layers_that_are_called_otherwise_here() {
        let block = "down_blocks.0.attentions.0.transformer_blocks.0";
        for (theirs, ours) in [
            ("attn1.to_out.0", "attn1.to_out"),
            ("ff.net.0.proj", "ff.proj"),
            ("ff.net.2", "ff.out"),
        ] {
            let stable = format!("unet.{block}.{ours}.weight");
            let name = format!("unet.{block}.{theirs}.lora_A.weight");
            assert_means(&name, Part::Down, Component::Unet, &stable);
            let kohya = format!("lora_unet_{block}.{theirs}").replace('.', "_");
            assert_means(
                &format!("{kohya}.alpha"),
                Part::Alpha,
                Component::Unet,
                &stable,
            );
        }
        let old = format!("unet.{block}.attn1.processor.to_out_lora.up.weight");
        let stable = format!("unet.{block}.attn1.to_out.weight");
        assert_means(&old, Part::Up, Component::Unet, &stable);
    }

    #[test]
    fn text_encoders() {
        let stable = "text_encoder.encoder.layers.3.mlp.fc1.weight";
        let path = "text_model.encoder.layers.3.mlp.fc1";
        for (name, part) in [
            (
                format!("lora_te_{}.lora_up.weight", path.replace('.', "_")),
                Part::Up,
            ),
            (format!("text_encoder.{path}.lora_A.weight"), Part::Down),
            (
                format!("text_encoder.{path}.lora_linear_layer.up.weight"),
                Part::Up,
            ),
        ] {
            assert_means(&name, part, Component::TextEncoder, stable);
        }
    }

    #[test]
    fn other_kinds_are_named() {
        for (name, kind) in [
            ("lora_unet_x.dora_scale", "a DoRA"),
            ("unet.x.lora_magnitude_vector", "a DoRA"),
            ("lora_unet_x.hada_w1_a", "a LoHa"),
            ("lora_unet_x.lokr_w2", "a LoKr"),
        ] {
            assert_eq!(role_of(name), Role::OtherKind(kind));
        }
        assert_eq!(role_of("model.diffusion_model.out.2.weight"), Role::None);
    }
}
