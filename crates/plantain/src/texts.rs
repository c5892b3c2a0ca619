//! Texts that were encoded lately.

use std::sync::{Mutex, PoisonError};

use crate::denoiser::TextInput;

/// Most texts that are kept: a prompt and a negative prompt for each of a few runs.
const KEPT: usize = 8;

/// The last texts that were encoded, the latest last.
#[derive(Debug, Default)]
pub(crate) struct RecentTexts(Mutex<Vec<(String, TextInput)>>);

impl RecentTexts {
    /// What was made of `text`, if that was lately.
    pub(crate) fn get(&self, text: &str) -> Option<TextInput> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = kept.iter().position(|(known, _)| known == text)?;
        kept[found..].rotate_left(1);
        kept.last().map(|(_, input)| input.clone())
    }

    /// Keeps what was made of `text`, and forgets what was not asked for the longest.
    pub(crate) fn keep(&self, text: &str, input: TextInput) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|(known, _)| known != text);
        if kept.len() == KEPT {
            kept.remove(0);
        }
        kept.push((text.to_string(), input));
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
        assert!(texts.get("0").is_none());
        for i in 0..KEPT {
            texts.keep(&i.to_string(), text(i as f32));
        }
        assert_eq!(value(&texts.get("0").unwrap()), 0.0);
        texts.keep("new", text(-1.0));
        assert!(texts.get("1").is_none());
        for (name, expected) in [("0", 0.0), ("2", 2.0), ("new", -1.0)] {
            assert_eq!(value(&texts.get(name).unwrap()), expected);
        }
        texts.keep("new", text(-2.0));
        assert_eq!(value(&texts.get("new").unwrap()), -2.0);
    }
}
