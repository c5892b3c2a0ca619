//! Texts that were encoded lately.

use std::sync::{Mutex, PoisonError};

use crate::text_input::TextInput;

/// Most texts that are kept: a prompt and a negative prompt for each of a few runs.
const KEPT: usize = 8;

/// The last texts that were encoded, the latest last.
#[derive(Debug, Default)]
pub(crate) struct RecentTexts(Mutex<Vec<(Text, TextInput)>>);

/// A text, and the number of chunks that it fills at least.
type Text = (String, usize);

impl RecentTexts {
    /// What was made of `text` with at least `chunks` chunks, if that was lately.
    pub(crate) fn get(&self, text: &str, chunks: usize) -> Option<TextInput> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let same = |(known, its_chunks): &Text| known == text && *its_chunks == chunks;
        let found = kept.iter().position(|(known, _)| same(known))?;
        kept[found..].rotate_left(1);
        kept.last().map(|(_, input)| input.clone())
    }

    /// Keeps what was made of `text`, and forgets what was not asked for the longest.
    pub(crate) fn keep(&self, text: &str, chunks: usize, input: TextInput) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let text = (text.to_string(), chunks);
        kept.retain(|(known, _)| *known != text);
        if kept.len() == KEPT {
            kept.remove(0);
        }
        kept.push((text, input));
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

    fn value(text: &TextInput) -> f32 {
        text.states.clone().into_scalar()
    }

    #[test]
    fn the_texts_asked_for_last_are_kept() {
        let texts = RecentTexts::default();
        assert!(texts.get("0", 1).is_none());
        for i in 0..KEPT {
            texts.keep(&i.to_string(), 1, text(i as f32));
        }
        assert_eq!(value(&texts.get("0", 1).unwrap()), 0.0);
        texts.keep("new", 1, text(-1.0));
        assert!(texts.get("1", 1).is_none());
        for (name, expected) in [("0", 0.0), ("2", 2.0), ("new", -1.0)] {
            assert_eq!(value(&texts.get(name, 1).unwrap()), expected);
        }
        texts.keep("new", 1, text(-2.0));
        assert_eq!(value(&texts.get("new", 1).unwrap()), -2.0);
    }
}
