//! Prompts to token ids.

use plantain_weights::Model;
use tokenizers::Tokenizer;

use crate::error::RequestError;

/// A model's tokenizer with the padding its text encoder was trained with.
#[derive(Debug, Clone)]
pub struct PromptTokenizer {
    tokenizer: Tokenizer,
    pad_token_id: u32,
    max_length: usize,
}

/// A prompt as the text encoder takes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PromptTokens {
    /// Padded to the model's sequence length.
    pub ids: Vec<i64>,
    /// How many tokens of the prompt did not fit and were dropped.
    pub dropped: usize,
}

impl PromptTokenizer {
    /// The tokenizer of `model`.
    ///
    /// # Errors
    /// When the model has none, or it cannot be read.
    pub fn new(model: &Model) -> Result<Self, RequestError> {
        let manifest = model.manifest();
        let (Some(json), Some(info)) = (model.tokenizer_json(), &manifest.tokenizer) else {
            return Err(RequestError::NoTokenizer {
                model: manifest.name.clone(),
            });
        };
        let mut tokenizer =
            Tokenizer::from_bytes(json).map_err(|e| RequestError::Tokenizer(e.to_string()))?;
        // Length and padding are decided here, whatever the stored tokenizer says.
        tokenizer.with_padding(None);
        tokenizer
            .with_truncation(None)
            .map_err(|e| RequestError::Tokenizer(e.to_string()))?;
        Ok(Self {
            tokenizer,
            pad_token_id: info.pad_token_id,
            max_length: info.max_length,
        })
    }

    /// Tokenizes, cuts to the model's length keeping the end-of-text token, and pads.
    ///
    /// # Errors
    /// When the tokenizer fails.
    pub fn encode(&self, prompt: &str) -> Result<PromptTokens, RequestError> {
        let encoding = self
            .tokenizer
            .encode(prompt, true)
            .map_err(|e| RequestError::Tokenizer(e.to_string()))?;
        let mut ids: Vec<i64> = encoding.get_ids().iter().map(|id| i64::from(*id)).collect();
        let dropped = ids.len().saturating_sub(self.max_length);
        if dropped > 0 {
            let end = ids[ids.len() - 1];
            ids.truncate(self.max_length);
            ids[self.max_length - 1] = end;
        }
        ids.resize(self.max_length, i64::from(self.pad_token_id));
        Ok(PromptTokens { ids, dropped })
    }
}
