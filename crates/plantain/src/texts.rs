//! Texts that were encoded lately.

use std::sync::{Mutex, PoisonError};

use crate::prompt::Chunk;
use crate::text_input::TextInput;

/// Most texts that are kept: a prompt and a negative prompt for each of a few runs.
const KEPT: usize = 8;

/// The last texts that were encoded, the latest last: what the text encoder was given, and what it made of it.
#[derive(Debug, Default)]
pub(crate) struct RecentTexts(Mutex<Vec<(Vec<Chunk>, TextInput)>>);

impl RecentTexts {
    /// What was made of `chunks`, if that was lately.
    pub(crate) fn get(&self, chunks: &[Chunk]) -> Option<TextInput> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = kept.iter().position(|(known, _)| known == chunks)?;
        kept[found..].rotate_left(1);
        kept.last().map(|(_, input)| input.clone())
    }

    /// Keeps what was made of `chunks`, and forgets what was not asked for the longest.
    pub(crate) fn keep(&self, chunks: Vec<Chunk>, input: TextInput) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|(known, _)| *known != chunks);
        if kept.len() == KEPT {
            kept.remove(0);
        }
        kept.push((chunks, input));
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Tensor};

    use super::*;

    fn text(value: f32) -> TextInput {
        TextInput {
            states: Tensor::from_data([[[value]]], &Device::flex()),
            pooled: None,
        }
    }

    fn chunks(name: &str) -> Vec<Chunk> {
        vec![Chunk {
            ids: name.bytes().map(i64::from).collect(),
            weights: vec![1.0; name.len()],
        }]
    }

    fn value(text: &TextInput) -> f32 {
        text.states.clone().into_scalar()
    }

    #[test]
    fn the_texts_asked_for_last_are_kept() {
        let texts = RecentTexts::default();
        assert!(texts.get(&chunks("0")).is_none());
        for i in 0..KEPT {
            texts.keep(chunks(&i.to_string()), text(i as f32));
        }
        assert_eq!(value(&texts.get(&chunks("0")).unwrap()), 0.0);
        texts.keep(chunks("new"), text(-1.0));
        assert!(texts.get(&chunks("1")).is_none());
        for (name, expected) in [("0", 0.0), ("2", 2.0), ("new", -1.0)] {
            assert_eq!(value(&texts.get(&chunks(name)).unwrap()), expected);
        }
        texts.keep(chunks("new"), text(-2.0));
        assert_eq!(value(&texts.get(&chunks("new")).unwrap()), -2.0);
    }
}
