//! Prompts to token ids.

mod caption;
mod colours;
mod grounds;
mod reader;
mod reading;
mod styles;
mod subject;
#[cfg(test)]
mod tests;
mod things;
mod weights;
mod words;

use plantain_weights::{Model, TokenizerInfo};
use tokenizers::Tokenizer;

use crate::error::RequestError;
pub(crate) use reading::{Reading, on_ground_to_cut};
pub(crate) use things::Things;
use weights::{Piece, parse};

/// Most chunks of tokens that a prompt may fill; what is longer is cut.
const MAX_CHUNKS: usize = 8;

/// Where a chunk is full, what follows its last comma goes to the next one if it is no longer than this, as in
/// AUTOMATIC1111's web interface.
const LONGEST_MOVED: usize = 20;

/// A model's tokenizer with the padding its text encoder was trained with.
#[derive(Debug, Clone)]
pub struct PromptTokenizer {
    tokenizer: Tokenizer,
    start: Option<i64>,
    end: i64,
    comma: Option<i64>,
    info: TokenizerInfo,
    max_chunks: usize,
}

/// A prompt as the text encoder takes it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PromptTokens {
    /// Sequences of the model's length, each with its start, end and padding.
    pub(crate) chunks: Vec<Chunk>,
    /// Text that did not fit.
    pub(crate) cut: String,
}

/// One sequence of the model's length.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Chunk {
    pub(crate) ids: Vec<i64>,
    /// How much each token weighs.
    pub(crate) weights: Vec<f32>,
}

impl PromptTokens {
    /// Whether any part weighs more or less than the rest.
    pub(crate) fn is_weighted(&self) -> bool {
        let mut weights = self.chunks.iter().flat_map(|chunk| &chunk.weights);
        weights.any(|weight| *weight != 1.0)
    }
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
        let failed = |e: tokenizers::Error| RequestError::Tokenizer(e.to_string());
        let mut tokenizer = Tokenizer::from_bytes(json).map_err(failed)?;
        // Length and padding are decided here, whatever the stored tokenizer says.
        tokenizer.with_padding(None);
        tokenizer.with_truncation(None).map_err(failed)?;
        let empty = tokenizer.encode("", true).map_err(failed)?;
        let (start, end) = match *empty.get_ids() {
            [start, .., end] => (Some(i64::from(start)), i64::from(end)),
            [end] => (None, i64::from(end)),
            [] => (None, i64::from(info.pad_token_id)),
        };
        let unet = manifest.components.unet.as_ref();
        let pools = unet.is_some_and(|unet| unet.class_labels_dim().is_some());
        let comma = tokenizer.encode(",", false).map_err(failed)?;
        let comma = match *comma.get_ids() {
            [comma] => Some(i64::from(comma)),
            _ => None,
        };
        Ok(Self {
            tokenizer,
            start,
            end,
            comma,
            info: info.clone(),
            // A network that also takes one vector for the whole text would know nothing of a second chunk.
            max_chunks: if pools { 1 } else { MAX_CHUNKS },
        })
    }

    /// The ids of `prompt` as it stands, brackets and all: one sequence, cut to the model's length keeping the end-of-text token,
    /// and padded.
    ///
    /// # Errors
    /// When the tokenizer fails.
    pub fn encode(&self, prompt: &str) -> Result<Vec<i64>, RequestError> {
        let encoding = self
            .tokenizer
            .encode(prompt, true)
            .map_err(|e| RequestError::Tokenizer(e.to_string()))?;
        let mut ids: Vec<i64> = encoding.get_ids().iter().map(|id| i64::from(*id)).collect();
        let length = self.info.max_length;
        if ids.len() > length {
            ids.truncate(length);
            ids[length - 1] = self.end;
        }
        ids.resize(length, self.pad());
        Ok(ids)
    }

    fn pad(&self) -> i64 {
        i64::from(self.info.pad_token_id)
    }

    /// Reads the weights in `prompt`, and fills as many chunks of the model's length as it needs, at least one; each has its
    /// own start and end.
    ///
    /// # Errors
    /// When the tokenizer fails.
    pub(crate) fn read(&self, prompt: &str) -> Result<PromptTokens, RequestError> {
        let mut filling = Filling {
            tokenizer: self,
            full: Vec::new(),
            current: Chunk::default(),
            last_comma: None,
            cut: String::new(),
        };
        for piece in parse(prompt) {
            match piece {
                Piece::Text(text, weight) => filling.text(&text, weight as f32)?,
                // Where there can be no second chunk, it would cut the prompt.
                Piece::Break if self.max_chunks == 1 => {}
                Piece::Break => filling.close(),
            }
        }
        if filling.full.is_empty() || !filling.current.ids.is_empty() {
            filling.close();
        }
        Ok(PromptTokens {
            chunks: filling.full,
            cut: filling.cut.trim().to_string(),
        })
    }

    /// Adds empty chunks to `tokens` until there are `chunks`.
    pub(crate) fn pad_to(&self, chunks: usize, tokens: &mut PromptTokens) {
        while tokens.chunks.len() < chunks {
            tokens.chunks.push(self.whole(Chunk::default()));
        }
    }

    /// The sequence of the model's length that has what is in `inner` between start and end.
    fn whole(&self, Chunk { ids, weights }: Chunk) -> Chunk {
        let ids = self.start.into_iter().chain(ids).chain([self.end]);
        let weights = self.start.map(|_| 1.0).into_iter().chain(weights);
        let mut chunk = Chunk {
            ids: ids.collect(),
            weights: weights.collect(),
        };
        chunk.ids.resize(self.info.max_length, self.pad());
        chunk.weights.resize(self.info.max_length, 1.0);
        chunk
    }
}

/// Chunks being filled.
struct Filling<'a> {
    tokenizer: &'a PromptTokenizer,
    full: Vec<Chunk>,
    /// Without start and end.
    current: Chunk,
    /// Where the last comma is in it.
    last_comma: Option<usize>,
    cut: String,
}

impl Filling<'_> {
    fn text(&mut self, text: &str, weight: f32) -> Result<(), RequestError> {
        let encoding = self
            .tokenizer
            .tokenizer
            .encode(text, false)
            .map_err(|e| RequestError::Tokenizer(e.to_string()))?;
        let tokens = encoding.get_ids().iter().zip(encoding.get_offsets());
        for (id, (start, _)) in tokens {
            let ids = i64::from(*id)..i64::from(*id) + self.vectors(*id);
            self.make_room(ids.clone());
            if self.full.len() == self.tokenizer.max_chunks {
                self.cut.push_str(text.get(*start..).unwrap_or_default());
                break;
            }
            self.current.weights.extend(ids.clone().map(|_| weight));
            self.current.ids.extend(ids);
        }
        Ok(())
    }

    /// How many vectors the token `id` stands for: an embedding that was added to the model may have several.
    fn vectors(&self, id: u32) -> i64 {
        let added = self.tokenizer.info.embeddings.iter();
        let found = added.clone().find(|embedding| embedding.first_id == id);
        found.map_or(1, |embedding| i64::from(embedding.vectors))
    }

    /// Ends the current chunk if it has no room for `ids`.
    fn make_room(&mut self, ids: std::ops::Range<i64>) {
        let filled = self.current.ids.len();
        if Some(ids.start) == self.tokenizer.comma {
            self.last_comma = Some(filled);
        } else if let Some(comma) = self.last_comma
            && filled == self.room()
            && filled - comma <= LONGEST_MOVED
            && self.full.len() + 1 < self.tokenizer.max_chunks
        {
            let moved = Chunk {
                ids: self.current.ids.split_off(comma + 1),
                weights: self.current.weights.split_off(comma + 1),
            };
            self.close();
            self.current = moved;
        }
        if self.current.ids.len() + ids.count() > self.room() && !self.current.ids.is_empty() {
            self.close();
        }
    }

    /// Tokens of text that a chunk has room for.
    fn room(&self) -> usize {
        let marks = 1 + usize::from(self.tokenizer.start.is_some());
        self.tokenizer.info.max_length.saturating_sub(marks).max(1)
    }

    /// Ends the current chunk and begins the next.
    fn close(&mut self) {
        self.last_comma = None;
        if self.full.len() < self.tokenizer.max_chunks {
            let current = std::mem::take(&mut self.current);
            self.full.push(self.tokenizer.whole(current));
        }
    }
}
