//! The names of text encoders: transformers' CLIP, and OpenCLIP.

use super::{KeyMap, strings};

const OPEN_CLIP_PARTS: &[(&str, &str)] = &[
    (".ln_1.", ".layer_norm1."),
    (".ln_2.", ".layer_norm2."),
    (".attn.out_proj.", ".self_attn.out_proj."),
    (".mlp.c_fc.", ".mlp.fc1."),
    (".mlp.c_proj.", ".mlp.fc2."),
];

const OPEN_CLIP_FUSED: &[(&str, [&str; 3])] = &[
    (
        ".attn.in_proj_weight",
        [
            ".self_attn.q_proj.weight",
            ".self_attn.k_proj.weight",
            ".self_attn.v_proj.weight",
        ],
    ),
    (
        ".attn.in_proj_bias",
        [
            ".self_attn.q_proj.bias",
            ".self_attn.k_proj.bias",
            ".self_attn.v_proj.bias",
        ],
    ),
];

/// As stable-diffusion.cpp names OpenCLIP's attention when it is told to rename: transformers' layers, still fused.
const CLIP_FUSED: &[(&str, [&str; 3])] = &[
    (
        ".self_attn.in_proj.weight",
        [
            ".self_attn.q_proj.weight",
            ".self_attn.k_proj.weight",
            ".self_attn.v_proj.weight",
        ],
    ),
    (
        ".self_attn.in_proj.bias",
        [
            ".self_attn.q_proj.bias",
            ".self_attn.k_proj.bias",
            ".self_attn.v_proj.bias",
        ],
    ),
];

const TEXT_UNNEEDED: &[&str] = &["embeddings.position_ids", "text_projection"];

impl KeyMap {
    /// The map for transformers' `CLIPTextModel`.
    pub(crate) fn clip() -> Self {
        Self {
            prefix: "text_model.",
            unneeded: strings(TEXT_UNNEEDED),
            fused: CLIP_FUSED,
            ..Self::plain()
        }
    }

    /// The map for OpenCLIP's text encoder.
    pub(crate) fn open_clip() -> Self {
        let starts = [
            ("token_embedding.", "embeddings.token_embedding."),
            (
                "positional_embedding",
                "embeddings.position_embedding.weight",
            ),
            ("transformer.resblocks.", "encoder.layers."),
            ("ln_final.", "final_layer_norm."),
        ];
        Self {
            unneeded: strings(&[
                "text_projection",
                "logit_scale",
                "attn_mask",
                "transformer.text_model.",
            ]),
            starts: starts
                .map(|(from, to)| (from.to_string(), to.to_string()))
                .to_vec(),
            parts: OPEN_CLIP_PARTS,
            fused: OPEN_CLIP_FUSED,
            ..Self::plain()
        }
    }
}
