//! What a model was taught to draw, and whether a prompt asks for any of it.

use std::cmp::Reverse;
use std::collections::HashMap;

use plantain_nn::ConfigError;

use crate::manifest::Manifest;

/// Bytes of a word that is long enough to tell a thing.
const LEAST_TELLING: usize = 3;

/// Most words of a prompt that may tell one.
const MOST_TELLING: usize = 16;

/// Bytes of a name in which a letter may be wrong, and of one in which two may: shorter ones differ from other words as little.
const SHORT: usize = 5;
const LONG: usize = 7;

/// Most words of a text that names are looked for in.
const MOST_WORDS: usize = 2_000;

/// Words with which a prompt says what is to be left out.
pub const NEGATIONS: [&str; 3] = ["no", "not", "without"];

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
    /// Checks that the [styles of each subject](Self::subject_styles) are there, if any are given.
    pub(crate) fn check_subject_styles(&self) -> Result<(), ConfigError> {
        let known = |style: &usize| *style < self.styles.len();
        let each = self.subject_styles.iter();
        let sound = each
            .clone()
            .all(|styles| !styles.is_empty() && styles.iter().all(known));
        if sound && [0, self.subjects.len()].contains(&each.len()) {
            return Ok(());
        }
        Err(ConfigError::Invalid {
            component: "model",
            reason: format!(
                "`subject_styles` does not give each of the {} subjects one or more of the {} styles, by numbers from 0",
                self.subjects.len(),
                self.styles.len()
            ),
        })
    }

    /// Whether `prompt` names one of the [`subjects`](Self::subjects), in the singular or plural; so does every prompt for a
    /// model that has no list of them.
    ///
    /// ```
    /// # use std::path::Path;
    /// # use plantain_weights::Model;
    /// # let model = Model::open(Path::new("../../tests/fixtures/weights/turbo"))?;
    /// let mut manifest = model.manifest().clone();
    /// assert!(manifest.names_subject("a bicycle"));
    /// manifest.subjects = ["red fox", "fox", "teddy bear", "cherry", "slice of pizza", "sun with a face"].map(|name| vec![name.into()]).to_vec();
    /// for prompt in ["Two foxes, 3d render", "two teddy bears", "Cherries", "three slices of pizza", "two suns with faces"] {
    ///     assert!(manifest.names_subject(prompt));
    /// }
    /// assert!(!manifest.names_subject("a bear on a firefox"));
    /// assert!(!manifest.names_subject("a teddy"));
    /// # Ok::<(), plantain_weights::ReadError>(())
    /// ```
    pub fn names_subject(&self, prompt: &str) -> bool {
        let prompt = words(prompt);
        let mut names = self.subjects.iter().flatten();
        self.subjects.is_empty() || names.any(|name| names_it(&prompt, name))
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
        let named = usual.map(|name| name.trim());
        named.filter(|name| !name.is_empty()).collect()
    }

    /// The names of all subjects, to look them up.
    ///
    /// ```
    /// # use std::path::Path;
    /// # use plantain_weights::Model;
    /// # let model = Model::open(Path::new("../../tests/fixtures/weights/turbo"))?;
    /// let names = model.manifest().subject_names();
    /// assert_eq!(names.subject("a fox"), None);
    /// # Ok::<(), plantain_weights::ReadError>(())
    /// ```
    pub fn subject_names(&self) -> SubjectNames<'_> {
        let mut by_initial: HashMap<char, Vec<&str>> = HashMap::new();
        for name in self.subjects.iter().flatten() {
            let initial = initial(name).unwrap_or_default();
            by_initial.entry(initial).or_default().push(name);
        }
        SubjectNames { by_initial }
    }

    /// The first name in the list of the subject that has this one, which training told most often; the name itself where no subject has it.
    ///
    /// ```
    /// # use std::path::Path;
    /// # use plantain_weights::Model;
    /// # let model = Model::open(Path::new("../../tests/fixtures/weights/turbo"))?;
    /// let mut manifest = model.manifest().clone();
    /// manifest.subjects = vec![vec!["tornado".into(), "twister".into()]];
    /// assert_eq!(manifest.usual_name("twister"), "tornado");
    /// assert_eq!(manifest.usual_name("cyclone"), "cyclone");
    /// # Ok::<(), plantain_weights::ReadError>(())
    /// ```
    pub fn usual_name<'a>(&'a self, name: &'a str) -> &'a str {
        let mut subjects = self.subjects.iter();
        let subject = subjects.find(|names| names.iter().any(|other| other == name));
        subject
            .and_then(|names| names.first())
            .map_or(name, String::as_str)
    }

    /// The name of a subject that `prompt`, which names none, may mean: one of two words, one of which is in it, best the second, or else
    /// one that a word of it may be a misspelling of. The longest words of the prompt come first, and of these the last.
    ///
    /// ```
    /// # use std::path::Path;
    /// # use plantain_weights::Model;
    /// # let model = Model::open(Path::new("../../tests/fixtures/weights/turbo"))?;
    /// let mut manifest = model.manifest().clone();
    /// manifest.subjects = ["bicycle", "lamp post", "oil lamp", "ant"].map(|name| vec![name.into()]).to_vec();
    /// assert_eq!(manifest.likely_subject("a bycicle"), Some("bicycle"));
    /// assert_eq!(manifest.likely_subject("big lamps"), Some("oil lamp"));
    /// assert_eq!(manifest.likely_subject("a post"), Some("lamp post"));
    /// assert_eq!(manifest.likely_subject("an office"), None);
    /// # Ok::<(), plantain_weights::ReadError>(())
    /// ```
    pub fn likely_subject(&self, prompt: &str) -> Option<&str> {
        let mut asked = words(prompt);
        asked.retain(|word| word.len() >= LEAST_TELLING);
        asked.reverse();
        asked.sort_by_key(|word| Reverse(word.len()));
        asked.truncate(MOST_TELLING);
        let names = || self.subjects.iter().flatten().map(String::as_str);
        let pairs: Vec<_> = names()
            .filter_map(|name| Some((name, pair(name)?)))
            .collect();
        let with = |word: &String, place: usize| {
            let mut pairs = pairs.iter();
            let found = pairs.find(|(_, pair)| is_noun(word, &pair[place]));
            found.map(|(name, _)| *name)
        };
        let held = asked
            .iter()
            .find_map(|word| with(word, 1).or_else(|| with(word, 0)));
        let spelled = |word: &String| names().find(|name| is_misspelled(word, name));
        held.or_else(|| asked.iter().find_map(spelled))
    }
}

/// The names of a model's subjects, by what they begin with.
///
/// ```
/// # use std::path::Path;
/// # use plantain_weights::Model;
/// # let model = Model::open(Path::new("../../tests/fixtures/weights/turbo"))?;
/// let names = model.manifest().subject_names();
/// assert_eq!(names.subject("a fox"), None);
/// # Ok::<(), plantain_weights::ReadError>(())
/// ```
#[derive(Debug)]
pub struct SubjectNames<'a> {
    by_initial: HashMap<char, Vec<&'a str>>,
}

impl<'a> SubjectNames<'a> {
    /// The name of the subject that all of the words of `name` are, in the singular or plural, as the list has it.
    ///
    /// ```
    /// # use std::path::Path;
    /// # use plantain_weights::Model;
    /// # let model = Model::open(Path::new("../../tests/fixtures/weights/turbo"))?;
    /// let mut manifest = model.manifest().clone();
    /// manifest.subjects = ["fox", "leaf", "leaves", "Eiffel tower"].map(|name| vec![name.into()]).to_vec();
    /// let names = manifest.subject_names();
    /// assert_eq!(names.subject("Foxes"), Some("fox"));
    /// assert_eq!(names.subject("leaves"), Some("leaves"));
    /// assert_eq!(names.subject("eiffel tower"), Some("Eiffel tower"));
    /// assert_eq!(names.subject("a fox"), None);
    /// # Ok::<(), plantain_weights::ReadError>(())
    /// ```
    pub fn subject(&self, name: &str) -> Option<&'a str> {
        let asked = words(name);
        // No plural begins otherwise.
        let names = self.by_initial.get(&initial(name)?)?.iter().copied();
        let mut named = names
            .filter(|name| is_named(&asked, name) == Some(asked.len()))
            .peekable();
        let first = named.peek().copied();
        // "Leaves" may be a name beside "leaf".
        named.find(|name| words(name) == asked).or(first)
    }
}

/// The first letter or digit of a name in lower case.
fn initial(name: &str) -> Option<char> {
    let first = name.chars().find(|c| c.is_alphanumeric())?;
    first.to_lowercase().next()
}

/// The words of a name that has two.
fn pair(name: &str) -> Option<[String; 2]> {
    words(name).try_into().ok()
}

/// Whether a word may be a misspelling of a name.
fn is_misspelled(word: &str, name: &str) -> bool {
    let wrong = match name.len() {
        ..SHORT => return false,
        SHORT..LONG => 1,
        LONG.. => 2,
    };
    name.len().abs_diff(word.len()) <= wrong && strsim::osa_distance(word, name) <= wrong
}

/// The words of a text in lower case.
fn words(text: &str) -> Vec<String> {
    let words = text.split(|c: char| !c.is_alphanumeric());
    let words = words.filter(|word| !word.is_empty()).take(MOST_WORDS);
    words.map(str::to_lowercase).collect()
}

/// Whether a name is among these words.
fn names_it(words: &[String], name: &str) -> bool {
    (0..words.len()).any(|at| is_named(&words[at..], name).is_some())
}

/// How many words a name is that `words` begin with, each in the singular or plural ("slices of pizza"); articles within a name may
/// be missing, as they are from plurals ("suns with faces").
fn is_named(words: &[String], name: &str) -> Option<usize> {
    let mut count = 0;
    let nouns = name.split(|c: char| !c.is_alphanumeric());
    let mut nouns = nouns.filter(|noun| !noun.is_empty()).peekable();
    while let Some(noun) = nouns.next() {
        let word = words.get(count)?;
        let within = count > 0 && nouns.peek().is_some();
        if within && ["a", "an"].contains(&noun) && word != noun {
            continue;
        }
        // No plural begins otherwise, and most names are ruled out here.
        if word.chars().next() != noun.chars().flat_map(char::to_lowercase).next() {
            return None;
        }
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
    let regular = word.strip_prefix(noun);
    let changed = ENDINGS.iter().any(|(one, many)| {
        let stems = noun.strip_suffix(one).zip(word.strip_suffix(many));
        stems.is_some_and(|(noun, word)| noun == word)
    });
    regular.is_some_and(|ending| ["", "s", "es"].contains(&ending)) || changed
}
