//! What a model was taught to draw, and whether a prompt asks for any of it.

use std::ops::Range;

use crate::manifest::Manifest;

/// How alike two words have to be for one to be a misspelling of the other (Jaro and Winkler's measure).
const MISSPELLED: f64 = 0.88;

/// Most words of a text that names are looked for in.
const MOST_WORDS: usize = 2_000;

/// Ends of nouns that are others in the plural.
const ENDINGS: [(&str, &str); 10] = [
    ("y", "ies"),
    ("f", "ves"),
    ("fe", "ves"),
    ("man", "men"),
    ("mouse", "mice"),
    ("goose", "geese"),
    ("foot", "feet"),
    ("tooth", "teeth"),
    ("child", "children"),
    ("person", "people"),
];

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
        self.subjects.is_empty() || self.named_subject(prompt).is_some()
    }

    /// The longest name of a subject that is in `prompt`, as the list has it.
    ///
    /// ```
    /// # use std::path::Path;
    /// # use plantain_weights::Model;
    /// # let model = Model::open(Path::new("../../tests/fixtures/weights/turbo"))?;
    /// let mut manifest = model.manifest().clone();
    /// manifest.subjects = ["bear", "teddy bear", "cherry", "slice of pizza"].map(|name| vec![name.into()]).to_vec();
    /// assert_eq!(manifest.named_subject("two teddy bears"), Some("teddy bear"));
    /// assert_eq!(manifest.named_subject("Cherries"), Some("cherry"));
    /// assert_eq!(manifest.named_subject("three slices of pizza"), Some("slice of pizza"));
    /// assert_eq!(manifest.named_subject("a teddy"), None);
    /// # Ok::<(), plantain_weights::ReadError>(())
    /// ```
    pub fn named_subject(&self, prompt: &str) -> Option<&str> {
        let prompt = words(prompt);
        let names = self.subjects.iter().flatten();
        let named = names.filter(|name| names_it(&prompt, name));
        named.map(String::as_str).max_by_key(|name| name.len())
    }

    /// The usual name of the style that `prompt` names, by any name in the list of [`styles`](Self::styles); see
    /// [`find_style`](Self::find_style).
    ///
    /// ```
    /// # use std::path::Path;
    /// # use plantain_weights::Model;
    /// # let model = Model::open(Path::new("../../tests/fixtures/weights/turbo"))?;
    /// let mut manifest = model.manifest().clone();
    /// manifest.styles = [["3d render", "3d"], ["cartoon", "comic"]].map(|names| names.map(String::from).to_vec()).to_vec();
    /// assert_eq!(manifest.named_style("a comic of a fox"), Some("cartoon"));
    /// assert_eq!(manifest.named_style("a fox"), None);
    /// # Ok::<(), plantain_weights::ReadError>(())
    /// ```
    pub fn named_style(&self, prompt: &str) -> Option<&str> {
        self.find_style(prompt).map(|(_, style)| style)
    }

    /// The bytes of `prompt` that name a style, and the usual name of that style: of several the one with the longest name, so that a
    /// "flat icon" is no "flat" one where both are known.
    ///
    /// ```
    /// # use std::path::Path;
    /// # use plantain_weights::Model;
    /// # let model = Model::open(Path::new("../../tests/fixtures/weights/turbo"))?;
    /// let mut manifest = model.manifest().clone();
    /// manifest.styles = [["flat art", "flat"], ["icon", "flat icon"]].map(|names| names.map(String::from).to_vec()).to_vec();
    /// assert_eq!(manifest.find_style("a Flat  Icon of a fox"), Some((2..12, "icon")));
    /// # Ok::<(), plantain_weights::ReadError>(())
    /// ```
    pub fn find_style(&self, prompt: &str) -> Option<(Range<usize>, &str)> {
        let (places, words): (Vec<_>, Vec<_>) = placed_words(prompt).unzip();
        let named = self.styles.iter().flat_map(|names| {
            let usual = names.first().map_or("", String::as_str);
            let found = names.iter().filter_map(|name| find(&words, name));
            found.map(move |found| (found, usual))
        });
        // Of names that are as long, the one listed first.
        let longest = named.rev().max_by_key(|(found, _)| found.len());
        longest.map(|(found, usual)| (places[found.start].start..places[found.end - 1].end, usual))
    }

    /// The styles that the subject of this name was taught in, by their usual names; all styles where nothing else is said of it. A
    /// prompt that names none is drawn in the first.
    ///
    /// ```
    /// # use std::path::Path;
    /// # use plantain_weights::Model;
    /// # let model = Model::open(Path::new("../../tests/fixtures/weights/turbo"))?;
    /// let mut manifest = model.manifest().clone();
    /// manifest.styles = vec![vec!["3d render".into()], vec!["icon".into()]];
    /// manifest.subjects = vec![vec!["fox".into()], vec!["pie chart".into()]];
    /// assert_eq!(manifest.styles_of("fox"), ["3d render", "icon"]);
    /// manifest.subject_styles = vec![vec![0, 1], vec![1]];
    /// assert_eq!(manifest.styles_of("pie chart"), ["icon"]);
    /// # Ok::<(), plantain_weights::ReadError>(())
    /// ```
    pub fn styles_of(&self, subject: &str) -> Vec<&str> {
        let is_meant = |names: &Vec<String>| names.iter().any(|name| name == subject);
        let place = self.subjects.iter().position(is_meant);
        let taught = place.and_then(|place| self.subject_styles.get(place));
        let styles = self.styles.iter().enumerate();
        let styles = styles.filter(|(style, _)| taught.is_none_or(|taught| taught.contains(style)));
        let usual = styles.filter_map(|(_, names)| names.first());
        let named = usual
            .map(|name| name.trim())
            .filter(|name| !name.is_empty());
        named.collect()
    }

    /// The name of the subject that all of `words` are, in the singular or plural, as the list has it.
    ///
    /// ```
    /// # use std::path::Path;
    /// # use plantain_weights::Model;
    /// # let model = Model::open(Path::new("../../tests/fixtures/weights/turbo"))?;
    /// let mut manifest = model.manifest().clone();
    /// manifest.subjects = vec![vec!["fox".into()]];
    /// assert_eq!(manifest.subject("Foxes"), Some("fox"));
    /// assert_eq!(manifest.subject("a fox"), None);
    /// # Ok::<(), plantain_weights::ReadError>(())
    /// ```
    pub fn subject(&self, name: &str) -> Option<&str> {
        let asked = words(name);
        let mut names = self.subjects.iter().flatten().map(String::as_str);
        names.find(|name| is_named(&asked, name) == Some(asked.len()))
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
    placed_words(text).map(|(_, word)| word).collect()
}

/// The words of a text in lower case, each with the bytes where it stands.
fn placed_words(text: &str) -> impl Iterator<Item = (Range<usize>, String)> {
    let separates = |c: char| !c.is_alphanumeric();
    let placed = text.split_inclusive(separates).scan(0, move |end, part| {
        let (start, word) = (*end, part.trim_end_matches(separates));
        *end += part.len();
        Some((start..start + word.len(), word.to_lowercase()))
    });
    placed.filter(|(_, word)| !word.is_empty()).take(MOST_WORDS)
}

/// Whether a name is among these words.
fn names_it(words: &[String], name: &str) -> bool {
    find(words, name).is_some()
}

/// Which of these words are a name.
fn find(words: &[String], name: &str) -> Option<Range<usize>> {
    (0..words.len()).find_map(|at| is_named(&words[at..], name).map(|count| at..at + count))
}

/// How many words a name is that `words` begin with, each in the singular or plural ("slices of pizza").
fn is_named(words: &[String], name: &str) -> Option<usize> {
    let mut count = 0;
    for noun in name
        .split(|c: char| !c.is_alphanumeric())
        .filter(|noun| !noun.is_empty())
    {
        let word = words.get(count)?;
        let capital = noun.contains(char::is_uppercase);
        let lowered = || capital && is_noun(word, &noun.to_lowercase());
        if !(is_noun(word, noun) || lowered()) {
            return None;
        }
        count += 1;
    }
    (count > 0).then_some(count)
}

/// Whether a word is a noun or its plural.
fn is_noun(word: &str, noun: &str) -> bool {
    // No plural begins otherwise, and most names are ruled out here.
    if word.chars().next() != noun.chars().next() {
        return false;
    }
    let regular = word.strip_prefix(noun);
    let changed = ENDINGS.iter().any(|(one, many)| {
        let stems = noun.strip_suffix(one).zip(word.strip_suffix(many));
        stems.is_some_and(|(noun, word)| noun == word)
    });
    regular.is_some_and(|ending| ["", "s", "es"].contains(&ending)) || changed
}
