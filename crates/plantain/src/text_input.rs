//! A text as the UNet takes it.

use burn::tensor::{Tensor, TensorData};
use plantain_nn::{ClipTextModel, TextStates};

use crate::error::{Error, RequestError};
use crate::host::read_finite;
use crate::prompt::PromptTokens;

/// The text side of one evaluation.
#[derive(Debug, Clone)]
pub(crate) struct TextInput {
    /// `[batch, tokens, width]`
    pub(crate) states: Tensor<3>,
    /// `[batch, width]`, for models that take it.
    pub(crate) pooled: Option<Tensor<2>>,
}

impl From<TextStates> for TextInput {
    fn from(states: TextStates) -> Self {
        Self {
            states: states.last_hidden_state,
            pooled: Some(states.pooler_output),
        }
    }
}

impl TextInput {
    /// The states of all chunks of `tokens` in a row; the pooled state is the first chunk's.
    ///
    /// Where parts are weighted, their states are multiplied by the weights, and then all of their chunk by what brings its
    /// mean back to what it was (source: AUTOMATIC1111's `sd_hijack_clip.py`).
    pub(crate) fn encode(encoder: &ClipTextModel, tokens: &PromptTokens) -> Result<Self, Error> {
        let ids: Vec<_> = tokens
            .chunks
            .iter()
            .map(|chunk| chunk.ids.clone())
            .collect();
        let states = encoder.forward(&ids).map_err(RequestError::from)?;
        let [chunks, length, width] = states.last_hidden_state.dims();
        let row = states
            .last_hidden_state
            .reshape([1, chunks * length, width]);
        let mut values = read_finite(row.clone(), "text encoder", "")?;
        let pooled = states.pooler_output.narrow(0, 0, 1);
        let row = if tokens.is_weighted() {
            weigh(&mut values, width, tokens);
            let shape = [1, chunks * length, width];
            Tensor::from_data(TensorData::new(values, shape), &row.device())
        } else {
            row
        };
        Ok(Self {
            states: row,
            pooled: Some(pooled),
        })
    }

    /// The same text for each of `batch` pictures.
    pub(crate) fn repeated(&self, batch: usize) -> Self {
        let pooled = self.pooled.clone();
        Self {
            states: self.states.clone().repeat_dim(0, batch),
            pooled: pooled.map(|pooled| pooled.repeat_dim(0, batch)),
        }
    }
}

/// Multiplies `values`, states of `width` numbers, by the weights of their tokens, and keeps the mean of each chunk.
fn weigh(values: &mut [f32], width: usize, tokens: &PromptTokens) {
    let sum = |values: &[f32]| values.iter().map(|v| f64::from(*v)).sum::<f64>();
    let length = values.len() / tokens.chunks.len();
    for (values, chunk) in values.chunks_mut(length).zip(&tokens.chunks) {
        let before = sum(values);
        for (state, weight) in values.chunks_mut(width).zip(&chunk.weights) {
            state.iter_mut().for_each(|value| *value *= weight);
        }
        let factor = before / sum(values);
        if factor.is_finite() {
            let scale = |value: &mut f32| *value = (f64::from(*value) * factor) as f32;
            values.iter_mut().for_each(scale);
        }
    }
}
