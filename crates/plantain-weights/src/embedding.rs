//! Textual inversions (arXiv:2208.01618): words of their own, added to a model's vocabulary as vectors.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Value, json};

use crate::addition::{Addition, AdditionKind};
use crate::container::{Container, Stored};
use crate::error::ReadError;
use crate::manifest::AddedEmbedding;
use crate::package::{Model, ModelFile};

const TOKENS: &str = "text_encoder.embeddings.token_embedding.weight";

/// Why an embedding was not added.
///
/// ```
/// # use std::path::Path;
/// # use plantain_weights::Model;
/// # let model = Model::open(Path::new("../../tests/fixtures/prompts/model"))?;
/// # let path = Path::new("../../tests/fixtures/loras/kohya.safetensors");
/// let error = model.with_embedding(path).unwrap_err();
/// assert!(error.to_string().contains("it is no embedding"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EmbeddingError {
    /// The file cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The file holds something else, or more than one embedding.
    #[error(
        "{}: it is no embedding of one word; its tensors are called like `{example}`",
        path.display()
    )]
    NoEmbedding {
        /// The file.
        path: PathBuf,
        /// Name of a tensor, or nothing.
        example: String,
    },
    /// Its vectors are of another width than the text encoder's.
    #[error(
        "{}: its vectors have {found} numbers and the model's {expected}; it was made for another kind of model",
        path.display()
    )]
    Width {
        /// The file.
        path: PathBuf,
        /// Width in the file.
        found: usize,
        /// Width of the model.
        expected: usize,
    },
    /// The model cannot be prompted, or knows the word already.
    #[error("the model cannot learn `{word}`: {reason}")]
    Model {
        /// The word.
        word: String,
        /// Why.
        reason: &'static str,
    },
}

impl Model {
    /// This model with the textual inversion at `path`: a word of the prompt that stands for vectors of its own. The word is the
    /// one that the file names (diffusers), or the name of the file (AUTOMATIC1111).
    ///
    /// # Errors
    /// When the file cannot be read, is no embedding, or does not fit the text encoder, or when the model has no tokenizer or
    /// knows the word.
    ///
    /// ```
    /// # use std::path::Path;
    /// # use plantain_weights::Model;
    /// # let model = Model::open(Path::new("../../tests/fixtures/prompts/model"))?;
    /// # let path = Path::new("../../tests/fixtures/prompts/embeddings/two-vectors.pt");
    /// let model = model.with_embedding(path)?;
    /// let added = &model.manifest().tokenizer.as_ref().unwrap().embeddings[0];
    /// assert_eq!((added.word.as_str(), added.vectors), ("two-vectors", 2));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn with_embedding(&self, path: &Path) -> Result<Self, EmbeddingError> {
        let file = Arc::new(Container::open(path)?);
        let (word, stored) = find(&file, path)?;
        let mut model = self.clone();
        let unknown = |reason| EmbeddingError::Model {
            word: word.clone(),
            reason,
        };
        let tokenizer = model.tokenizer.as_mut();
        let tokenizer = tokenizer.ok_or_else(|| unknown("it has no tokenizer"))?;
        let (Some(info), Some(config)) = (
            model.manifest.tokenizer.as_mut(),
            model.manifest.components.text_encoder.as_mut(),
        ) else {
            return Err(unknown("it has no text encoder"));
        };
        let [vectors, width] = stored.shape[..] else {
            return Err(unknown("its vectors are no matrix"));
        };
        if width != config.hidden_size {
            return Err(EmbeddingError::Width {
                path: path.to_path_buf(),
                found: width,
                expected: config.hidden_size,
            });
        }
        // Start and end of the text are in each chunk too.
        if vectors + 2 > info.max_length {
            return Err(unknown(
                "it stands for more vectors than a prompt may have tokens",
            ));
        }
        if !Arc::make_mut(&mut model.tensors).append(TOKENS, &file, &stored) {
            return Err(unknown("its token embedding is missing"));
        }
        let added = AddedEmbedding {
            word: word.clone(),
            first_id: config.vocab_size as u32,
            vectors: vectors as u32,
        };
        *tokenizer = with_word(tokenizer, &added)
            .ok_or_else(|| unknown("it knows that word already; rename the file"))?;
        // Where the end of the text is said to be the highest token, it has to be named now.
        const HIGHEST: i64 = 2;
        if config.eos_token_id == HIGHEST {
            config.eos_token_id = config.vocab_size as i64 - 1;
        }
        config.vocab_size += vectors;
        info.embeddings.push(added);
        let folder = path.parent().unwrap_or(path);
        model
            .files
            .push(ModelFile::within(folder, path.to_path_buf()));
        let addition = Addition::of_path(AdditionKind::Embedding, path);
        model.additions.push(addition);
        Ok(model)
    }
}

/// The word and its vectors, `[vectors, width]`.
fn find(file: &Container, path: &Path) -> Result<(String, Stored), EmbeddingError> {
    let stem = || {
        let stem = path.file_stem().unwrap_or_default();
        stem.to_string_lossy().into_owned()
    };
    let floats = file.tensors.iter().filter(|(_, stored)| {
        stored.dtype.is_float() && matches!(stored.shape.len(), 1 | 2) && !stored.shape.contains(&0)
    });
    let floats: Vec<_> = floats.collect();
    let [(name, stored)] = floats[..] else {
        return Err(EmbeddingError::NoEmbedding {
            path: path.to_path_buf(),
            example: file.tensors.keys().next().cloned().unwrap_or_default(),
        });
    };
    let word = match name.as_str() {
        "emb_params" => stem(),
        name if name.starts_with("string_to_param") => stem(),
        name => name.to_string(),
    };
    let mut stored = stored.clone();
    if let [width] = stored.shape[..] {
        stored.shape = vec![1, width];
        if let Some(strides) = &mut stored.strides {
            strides.insert(0, width);
        }
    }
    Ok((word, stored))
}

/// The tokenizer `json` with one more word, and, for each of its vectors but the first, one that is called as diffusers calls it:
/// tokens are numbered without a gap. `None` when it has the word.
fn with_word(json: &str, added: &AddedEmbedding) -> Option<String> {
    let mut tokenizer: Value = serde_json::from_str(json).ok()?;
    // A word of the vocabulary would keep the number that it has there.
    if tokenizer["model"]["vocab"].get(&added.word).is_some() {
        return None;
    }
    let words = tokenizer.get_mut("added_tokens")?.as_array_mut()?;
    if words
        .iter()
        .any(|token| token["content"] == added.word.as_str())
    {
        return None;
    }
    let following = (1..added.vectors).map(|i| format!("{}_{i}", added.word));
    let all = [added.word.clone()].into_iter().chain(following);
    for (id, word) in (added.first_id..).zip(all) {
        words.push(json!({
            "id": id, "content": word, "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": true, "special": false,
        }));
    }
    let json = tokenizer.to_string();
    crate::import::check_tokenizer(&json).ok().map(|()| json)
}
