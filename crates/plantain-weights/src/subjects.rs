//! What a model was taught to draw, and whether a prompt asks for any of it.

use crate::manifest::Manifest;

/// How alike two words have to be for one to be a misspelling of the other (Jaro and Winkler's measure).
const MISSPELLED: f64 = 0.88;

impl Manifest {
    /// Whether `prompt` names one of the [`subjects`](Self::subjects), in the singular or plural; so does every prompt for a
    /// model that has no list of them.
    ///
    /// ```
    /// # use std::path::Path;
    /// # use plantain_weights::Model;
    /// # let model = Model::open(Path::new("../../tests/fixtures/weights/turbo"))?;
    /// let mut manifest = model.manifest().clone();
    /// assert!(manifest.names_subject("a bicycle"));
    /// manifest.subjects = vec![vec!["fox".into(), "red fox".into()], vec!["teddy bear".into()]];
    /// assert!(manifest.names_subject("Two foxes, 3d render"));
    /// assert!(!manifest.names_subject("a bear on a firefox"));
    /// # Ok::<(), plantain_weights::ReadError>(())
    /// ```
    pub fn names_subject(&self, prompt: &str) -> bool {
        let prompt = words(prompt);
        let is_named = |name: &String| {
            let name = words(name);
            let mut places = prompt.windows(name.len().max(1));
            places.any(|place| is_same(place, &name))
        };
        self.subjects.is_empty() || self.subjects.iter().flatten().any(is_named)
    }

    /// The name of a subject that a word of `prompt` may be a misspelling of.
    ///
    /// ```
    /// # use std::path::Path;
    /// # use plantain_weights::Model;
    /// # let model = Model::open(Path::new("../../tests/fixtures/weights/turbo"))?;
    /// let mut manifest = model.manifest().clone();
    /// manifest.subjects = vec![vec!["bicycle".into(), "bike".into()]];
    /// assert_eq!(manifest.misspelled_subject("a bycicle"), Some("bicycle"));
    /// assert_eq!(manifest.misspelled_subject("a violin"), None);
    /// # Ok::<(), plantain_weights::ReadError>(())
    /// ```
    pub fn misspelled_subject(&self, prompt: &str) -> Option<&str> {
        let prompt = words(prompt);
        let names = self.subjects.iter().flatten();
        let likeness = |name: &str| {
            let alike = prompt.iter().map(|word| strsim::jaro_winkler(word, name));
            alike.fold(0.0, f64::max)
        };
        let best = names.max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
        best.map(String::as_str)
            .filter(|name| likeness(name) >= MISSPELLED)
    }
}

/// The words of a text in lower case.
fn words(text: &str) -> Vec<String> {
    text.split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect()
}

/// Whether words are those of a name, the last of which may be in the plural.
fn is_same(words: &[String], name: &[String]) -> bool {
    let (Some((last, before)), Some((noun, adjectives))) = (words.split_last(), name.split_last())
    else {
        return false;
    };
    let ending = last.strip_prefix(noun.as_str());
    before == adjectives && ending.is_some_and(|ending| ["", "s", "es"].contains(&ending))
}
