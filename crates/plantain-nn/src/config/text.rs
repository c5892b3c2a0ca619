//! Configuration of the text encoder.

use serde::{Deserialize, Deserializer, Serialize};

use super::{ConfigError, invalid};

/// Activation of the text encoder's feed-forward layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TextActivation {
    /// `x * sigmoid(1.702 x)`, of the original CLIP.
    QuickGelu,
    /// Exact GELU, of OpenCLIP models.
    Gelu,
}

/// `CLIPTextModel`: the text encoder (source: transformers `modeling_clip.py`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TextEncoderConfig {
    /// Number of tokens the embedding knows.
    pub vocab_size: usize,
    /// Width of the states.
    pub hidden_size: usize,
    /// Width of the feed-forward layers.
    pub intermediate_size: usize,
    /// Transformer layers.
    pub num_hidden_layers: usize,
    /// Attention heads.
    pub num_attention_heads: usize,
    /// Longest sequence, in tokens.
    pub max_position_embeddings: usize,
    /// Activation of the feed-forward layers.
    pub hidden_act: TextActivation,
    /// Epsilon of the layer normalisations.
    pub layer_norm_eps: f64,
    /// End-of-text token: its state is the pooled one. The value 2 (an old default that stands in
    /// many published configurations) means the highest token id instead, as in transformers.
    #[serde(deserialize_with = "eos_token")]
    pub eos_token_id: i64,
}

impl Default for TextEncoderConfig {
    fn default() -> Self {
        Self {
            vocab_size: 49408,
            hidden_size: 512,
            intermediate_size: 2048,
            num_hidden_layers: 12,
            num_attention_heads: 8,
            max_position_embeddings: 77,
            hidden_act: TextActivation::QuickGelu,
            layer_norm_eps: 1e-5,
            eos_token_id: 49407,
        }
    }
}

/// transformers also writes `null`, or a list of which the first counts.
fn eos_token<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Eos {
        One(i64),
        Several(Vec<i64>),
    }
    let default = TextEncoderConfig::default().eos_token_id;
    Ok(match Option::<Eos>::deserialize(deserializer)? {
        Some(Eos::One(id)) => id,
        Some(Eos::Several(ids)) => ids.first().copied().unwrap_or(default),
        None => default,
    })
}

/// More layers than any text encoder of this family has.
const MAX_LAYERS: usize = 256;

impl TextEncoderConfig {
    /// Checks that this crate can compute the model.
    ///
    /// # Errors
    /// When a size is zero or the width does not divide into the heads.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let sizes = [
            self.vocab_size,
            self.hidden_size,
            self.intermediate_size,
            self.num_attention_heads,
            self.max_position_embeddings,
        ];
        if self.num_hidden_layers > MAX_LAYERS {
            return Err(invalid(
                "text_encoder",
                format!(
                    "`num_hidden_layers` {} is more than {MAX_LAYERS}",
                    self.num_hidden_layers
                ),
            ));
        }
        if sizes.contains(&0) || !self.hidden_size.is_multiple_of(self.num_attention_heads) {
            return Err(invalid(
                "text_encoder",
                format!(
                    "`hidden_size` {} must be a positive multiple of `num_attention_heads` {}, and every size positive",
                    self.hidden_size, self.num_attention_heads
                ),
            ));
        }
        Ok(())
    }
}
