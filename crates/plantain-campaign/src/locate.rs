//! Where in the campaign file something is said.

use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use toml::de::{DeTable, DeValue};

use crate::error::{CampaignError, Place};

/// The text of a campaign file.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    path: PathBuf,
    text: String,
}

impl Source {
    pub(crate) fn new(path: &Path, text: String) -> Self {
        Self {
            path: path.to_path_buf(),
            text,
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// # Errors
    /// When the text does not have the keys and values that `T` has.
    pub(crate) fn parse<T: DeserializeOwned>(&self) -> Result<T, CampaignError> {
        toml::from_str(&self.text).map_err(|e| located(&self.path, &self.text, &e))
    }

    /// The error `problem` at the value of `keys`, or at the nearest table around it that is there.
    pub(crate) fn invalid(&self, keys: &[&str], problem: impl Into<String>) -> CampaignError {
        CampaignError::invalid(self.place(keys), problem)
    }

    /// Where the value of `keys` is; arrays are entered by the number of an entry, from 0.
    pub(crate) fn place(&self, keys: &[&str]) -> Place {
        let place = Place::file(&self.path).key(keys.join("."));
        match self.offset(keys) {
            Some(offset) => place.line(line_of(&self.text, offset)),
            None => place,
        }
    }

    fn offset(&self, keys: &[&str]) -> Option<usize> {
        let (first, rest) = keys.split_first()?;
        let table = DeTable::parse(&self.text).ok()?;
        let (key, mut value) = table.get_ref().get_key_value(*first)?;
        let mut offset = key.span().start;
        for key in rest {
            let next = match value.get_ref() {
                DeValue::Table(table) => table
                    .get_key_value(*key)
                    .map(|(key, value)| (key.span().start, value)),
                DeValue::Array(array) => {
                    let entry = key.parse().ok().and_then(|i: usize| array.get(i));
                    entry.map(|value| (value.span().start, value))
                }
                _ => None,
            };
            let Some((start, inner)) = next else {
                break;
            };
            (offset, value) = (start, inner);
        }
        Some(offset)
    }
}

fn line_of(text: &str, offset: usize) -> usize {
    let before = &text.as_bytes()[..offset.min(text.len())];
    1 + before.iter().filter(|byte| **byte == b'\n').count()
}

/// An error of the TOML reader as one line, with a suggestion for a key that does not exist.
fn located(path: &Path, text: &str, error: &toml::de::Error) -> CampaignError {
    let mut place = Place::file(path);
    if let Some(span) = error.span() {
        place = place.line(line_of(text, span.start));
    }
    let message = error.message().trim().replace('\n', ", ");
    match unknown_key(&message) {
        Some((key, problem)) => CampaignError::invalid(place.key(key), problem),
        None => CampaignError::invalid(place, message),
    }
}

/// The key and what to say of it, where `message` is serde's about an unknown field.
fn unknown_key(message: &str) -> Option<(String, String)> {
    if !message.starts_with("unknown field") {
        return None;
    }
    let mut quoted = message.split('`').skip(1).step_by(2);
    let key = quoted.next()?;
    let known: Vec<&str> = quoted.collect();
    let problem = match nearest(key, &known) {
        Some(nearest) => format!("there is no such key; did you mean `{nearest}`?"),
        None => format!("there is no such key; known are {}", known.join(", ")),
    };
    Some((key.to_string(), problem))
}

/// The one of `names` that is most like `name`, if any is much like it.
pub(crate) fn nearest<'a>(name: &str, names: &[&'a str]) -> Option<&'a str> {
    const ALIKE: f64 = 0.75;
    let scored = names
        .iter()
        .map(|known| (strsim::jaro_winkler(name, known), *known));
    let best = scored.max_by(|a, b| a.0.total_cmp(&b.0))?;
    (best.0 >= ALIKE).then_some(best.1)
}
