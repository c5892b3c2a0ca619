//! The text encoder (source: transformers `modeling_clip.py`, `CLIPTextModel`).

use std::sync::Arc;

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use plantain_kernels::{Activation, Packing};

use crate::config::{TextActivation, TextEncoderConfig};
use crate::layers::{After, Before, Embedding, LayerNorm, Linear, StoredRows};
use crate::tap::Tap;
use crate::transformer::SelfAttending;

/// Tokens that the encoder cannot take.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// A token id beyond the embedding table.
    #[error("token id {id} is outside the vocabulary of {vocab_size} tokens")]
    UnknownToken {
        /// The id.
        id: i64,
        /// Size of the vocabulary.
        vocab_size: usize,
    },
    /// A sequence that is empty or longer than the position table, or rows of unequal length.
    #[error(
        "a prompt of {length} tokens; this text encoder takes 1 to {max}, the same for every prompt of a batch"
    )]
    BadLength {
        /// Length found.
        length: usize,
        /// Longest length.
        max: usize,
    },
}

/// What the encoder says about a batch of prompts.
#[derive(Debug, Clone)]
pub struct TextStates {
    /// One state per token, after the final normalisation: `[batch, tokens, hidden_size]`.
    pub last_hidden_state: Tensor<3>,
    /// The state of the first end-of-text token: `[batch, hidden_size]`.
    pub pooler_output: Tensor<2>,
}

#[derive(Module, Debug)]
struct Embeddings {
    token_embedding: Embedding,
    position_embedding: Embedding,
}

#[derive(Module, Debug)]
struct SelfAttention {
    q_proj: Linear,
    k_proj: Linear,
    v_proj: Linear,
    out_proj: Linear,
    #[module(skip)]
    attending: SelfAttending,
}

#[derive(Module, Debug)]
struct Mlp {
    fc1: Linear,
    fc2: Linear,
    #[module(skip)]
    activation: TextActivation,
}

#[derive(Module, Debug)]
struct EncoderLayer {
    self_attn: SelfAttention,
    layer_norm1: LayerNorm,
    mlp: Mlp,
    layer_norm2: LayerNorm,
}

#[derive(Module, Debug)]
struct Encoder {
    layers: Vec<EncoderLayer>,
}

/// Token ids to text states: a causal transformer.
#[derive(Module, Debug)]
pub struct ClipTextModel {
    embeddings: Embeddings,
    encoder: Encoder,
    final_layer_norm: LayerNorm,
    #[module(skip)]
    eos_token_id: i64,
}

impl TextEncoderConfig {
    /// Builds the network; its parameters are allocated when first used. The configuration must
    /// pass [`Self::validate`].
    pub fn init(&self, device: &Device) -> ClipTextModel {
        let width = self.hidden_size;
        ClipTextModel {
            embeddings: Embeddings {
                token_embedding: Embedding::new(self.vocab_size, width, device),
                position_embedding: Embedding::new(self.max_position_embeddings, width, device),
            },
            encoder: Encoder {
                layers: (0..self.num_hidden_layers)
                    .map(|_| self.init_layer(device))
                    .collect(),
            },
            final_layer_norm: LayerNorm::new(width, self.layer_norm_eps, device),
            eos_token_id: self.eos_token_id,
        }
    }

    fn init_layer(&self, device: &Device) -> EncoderLayer {
        let width = self.hidden_size;
        let square = || Linear::new(width, width, device);
        EncoderLayer {
            self_attn: SelfAttention {
                q_proj: square(),
                k_proj: square(),
                v_proj: square(),
                out_proj: square(),
                attending: SelfAttending::new(self.num_attention_heads),
            },
            layer_norm1: LayerNorm::new(width, self.layer_norm_eps, device),
            mlp: Mlp {
                fc1: Linear::new(width, self.intermediate_size, device),
                fc2: Linear::new(self.intermediate_size, width, device),
                activation: self.hidden_act,
            },
            layer_norm2: LayerNorm::new(width, self.layer_norm_eps, device),
        }
    }
}

impl ClipTextModel {
    /// Looks tokens up in `rows` from now on, which are those of the table `embeddings.token_embedding`.
    pub fn look_tokens_up_in(&mut self, rows: Arc<dyn StoredRows>) {
        self.embeddings.token_embedding.read_from(rows);
    }

    /// Moves the weights to where and into the layout in which kernels read them.
    pub fn pack(&mut self, packing: &Packing) {
        self.embeddings.token_embedding.pack(packing);
        self.embeddings.position_embedding.pack(packing);
        self.final_layer_norm.pack(packing);
        self.encoder
            .layers
            .iter_mut()
            .for_each(|layer| layer.pack(packing));
    }

    /// Encodes a batch of prompts of equal length.
    ///
    /// # Errors
    /// When an id is outside the vocabulary or a length does not fit.
    pub fn forward(&self, input_ids: &[Vec<i64>]) -> Result<TextStates, TokenError> {
        self.forward_tapped(input_ids, &mut ())
    }

    /// [`Self::forward`], with `tap` looking at what each block computes.
    ///
    /// # Errors
    /// As [`Self::forward`].
    pub fn forward_tapped(
        &self,
        input_ids: &[Vec<i64>],
        tap: &mut impl Tap,
    ) -> Result<TextStates, TokenError> {
        let tokens = self.check(input_ids)?;
        let [_, width] = self.embeddings.token_embedding.dims();
        let embedded = self.embeddings.token_embedding.forward(&input_ids.concat());
        let embedded = embedded.reshape([input_ids.len(), tokens, width]);
        let places: Vec<i64> = (0..tokens as i64).collect();
        let positions = self.embeddings.position_embedding.forward(&places);
        let h = (embedded + positions.unsqueeze::<3>()).swap_dims(1, 2);
        let mut h = h.reshape([input_ids.len(), width, 1, tokens]);
        tap.block(format_args!("embeddings"), &h);
        for (i, layer) in self.encoder.layers.iter().enumerate() {
            h = layer.forward(h);
            tap.block(format_args!("encoder.layers.{i}"), &h);
        }
        let last_hidden_state = self
            .final_layer_norm
            .forward(h.flatten(2, 3))
            .swap_dims(1, 2);
        tap.block(format_args!("final_layer_norm"), &last_hidden_state);
        let pooler_output = self.pool(&last_hidden_state, input_ids);
        Ok(TextStates {
            last_hidden_state,
            pooler_output,
        })
    }

    /// Common length of the rows.
    fn check(&self, input_ids: &[Vec<i64>]) -> Result<usize, TokenError> {
        let [vocab_size, _] = self.embeddings.token_embedding.dims();
        let [max, _] = self.embeddings.position_embedding.dims();
        let tokens = input_ids.first().map_or(0, Vec::len);
        let bad_length = |length| TokenError::BadLength { length, max };
        if tokens == 0 || tokens > max {
            return Err(bad_length(tokens));
        }
        for row in input_ids {
            if row.len() != tokens {
                return Err(bad_length(row.len()));
            }
            let known = |id: &i64| usize::try_from(*id).is_ok_and(|id| id < vocab_size);
            if let Some(id) = row.iter().find(|id| !known(id)) {
                return Err(TokenError::UnknownToken {
                    id: *id,
                    vocab_size,
                });
            }
        }
        Ok(tokens)
    }

    fn pool(&self, states: &Tensor<3>, input_ids: &[Vec<i64>]) -> Tensor<2> {
        let [_, _, width] = states.dims();
        let rows = input_ids.iter().enumerate().map(|(sample, ids)| {
            let end = end_of_text(ids, self.eos_token_id);
            states
                .clone()
                .slice([sample..sample + 1, end..end + 1, 0..width])
                .reshape([1, width])
        });
        Tensor::cat(rows.collect(), 0)
    }
}

/// Position of the state that stands for the whole prompt: the first end-of-text token, or, for
/// configurations with the placeholder id 2, the first token with the highest id.
fn end_of_text(ids: &[i64], eos_token_id: i64) -> usize {
    const PLACEHOLDER: i64 = 2;
    let target = if eos_token_id == PLACEHOLDER {
        ids.iter().copied().max()
    } else {
        Some(eos_token_id)
    };
    ids.iter()
        .position(|id| Some(*id) == target)
        .unwrap_or_default()
}

impl EncoderLayer {
    /// # Shapes
    /// - `x`, result: `[batch, hidden_size, 1, tokens]`
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let x = self
            .self_attn
            .forward(x, Before::LayerNorm(&self.layer_norm1));
        self.mlp.forward(x, Before::LayerNorm(&self.layer_norm2))
    }

    fn pack(&mut self, packing: &Packing) {
        self.layer_norm1.pack(packing);
        self.self_attn.pack(packing);
        self.layer_norm2.pack(packing);
        self.mlp.fc1.pack(packing);
        self.mlp.fc2.pack(packing);
    }
}

impl SelfAttention {
    fn forward(&self, x: Tensor<4>, norm: Before<'_>) -> Tensor<4> {
        let projections = [&self.q_proj, &self.k_proj, &self.v_proj];
        let y = self.attending.forward(x.clone(), norm, projections, true);
        self.out_proj
            .forward_with(y, Before::Nothing, After::residual(x))
    }

    fn pack(&mut self, packing: &Packing) {
        let projections = [&mut self.q_proj, &mut self.k_proj, &mut self.v_proj];
        self.attending.pack(projections, packing);
        self.out_proj.pack(packing);
    }
}

impl Mlp {
    fn forward(&self, x: Tensor<4>, norm: Before<'_>) -> Tensor<4> {
        let activation = match self.activation {
            TextActivation::Gelu => Activation::Gelu,
            TextActivation::QuickGelu => Activation::QuickGelu,
        };
        let h = self
            .fc1
            .forward_with(x.clone(), norm, After::activation(activation));
        self.fc2
            .forward_with(h, Before::Nothing, After::residual(x))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_end_of_text_token_is_pooled() {
        assert_eq!(end_of_text(&[7, 3, 9, 9], 9), 2);
        assert_eq!(end_of_text(&[7, 3, 8, 5], 2), 2);
        assert_eq!(end_of_text(&[7, 3], 9), 0, "as transformers does");
    }

    #[test]
    fn bad_tokens_are_refused() {
        let config = TextEncoderConfig {
            vocab_size: 10,
            hidden_size: 8,
            intermediate_size: 16,
            num_hidden_layers: 1,
            num_attention_heads: 2,
            max_position_embeddings: 4,
            ..TextEncoderConfig::default()
        };
        let model = config.init(&Device::flex());
        let unknown = model.forward(&[vec![1, 10]]).unwrap_err();
        assert!(matches!(unknown, TokenError::UnknownToken { id: 10, .. }));
        for rows in [
            vec![vec![0; 5]],
            vec![],
            vec![vec![]],
            vec![vec![1, 2], vec![1]],
        ] {
            let error = model.forward(&rows).unwrap_err();
            assert!(matches!(error, TokenError::BadLength { .. }), "{rows:?}");
        }
    }
}
