//! What a model was taught to draw, and whether a prompt asks for any of it.

use std::cmp::Reverse;
use std::ops::Range;

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
    /// manifest.subjects = ["bear", "teddy bear", "cherry", "slice of pizza", "sun with a face"].map(|name| vec![name.into()]).to_vec();
    /// assert_eq!(manifest.named_subject("two teddy bears"), Some("teddy bear"));
    /// assert_eq!(manifest.named_subject("Cherries"), Some("cherry"));
    /// assert_eq!(manifest.named_subject("three slices of pizza"), Some("slice of pizza"));
    /// assert_eq!(manifest.named_subject("two suns with faces"), Some("sun with a face"));
    /// assert_eq!(manifest.named_subject("a teddy"), None);
    /// # Ok::<(), plantain_weights::ReadError>(())
    /// ```
    pub fn named_subject(&self, prompt: &str) -> Option<&str> {
        let prompt = words(prompt);
        let names = self.subjects.iter().flatten();
        let named = names.filter(|name| names_it(&prompt, name));
        named.map(String::as_str).max_by_key(|name| name.len())
    }

    /// The bytes of `prompt` that name one of these [`styles`](Self::styles), given by their usual names, and that usual name: of several
    /// the one with most words, so that a "flat icon" is no "flat" one where both are known. What names `subject` names no style, nor does
    /// what is left out ("no icon").
    ///
    /// ```
    /// # use std::path::Path;
    /// # use plantain_weights::Model;
    /// # let model = Model::open(Path::new("../../tests/fixtures/weights/turbo"))?;
    /// let mut manifest = model.manifest().clone();
    /// manifest.styles = [["flat art", "flat"], ["icon", "flat icon"]].map(|names| names.map(String::from).to_vec()).to_vec();
    /// manifest.subjects = vec![vec!["flat shoe".into()]];
    /// let all = manifest.styles_of("");
    /// assert_eq!(manifest.find_style("a Flat  Icon of a shoe", "shoe", &all), Some((2..12, "icon")));
    /// assert_eq!(manifest.find_style("a Flat  Icon of a shoe", "shoe", &["flat art"]), Some((2..6, "flat art")));
    /// assert_eq!(manifest.find_style("a flat shoe", "flat shoe", &all), None);
    /// assert_eq!(manifest.find_style("a shoe, not a flat one", "shoe", &all), None);
    /// # Ok::<(), plantain_weights::ReadError>(())
    /// ```
    pub fn find_style<'a>(
        &self,
        prompt: &str,
        subject: &str,
        styles: &[&'a str],
    ) -> Option<(Range<usize>, &'a str)> {
        let (places, words): (Vec<_>, Vec<_>) = placed_words(prompt).unzip();
        let bytes = |found: &Range<usize>| bytes_of(found, &places);
        let subject = find(&words, subject, |_| true);
        let is_style = |found: &Range<usize>| {
            let within =
                |words: &Range<usize>| words.start <= found.start && found.end <= words.end;
            // Its words are in one part of the prompt.
            let parted = prompt[bytes(found)].contains([',', ';', '(', ')', '[', ']']);
            let negated = is_negated(&words[..found.start]);
            !parted && !negated && !subject.as_ref().is_some_and(within)
        };
        let named = styles.iter().flat_map(|style| {
            let names = self
                .styles
                .iter()
                .filter(|names| usual(names) == Some(style));
            let found = names
                .flatten()
                .filter_map(|name| find(&words, name, is_style));
            found.map(|found| (found, *style))
        });
        // Of names with as many words, the one listed first.
        let named: Vec<_> = named.collect();
        let longest = named.into_iter().rev().max_by_key(|(found, _)| found.len());
        longest.map(|(found, style)| (bytes(&found), style))
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
    /// manifest.subjects = ["fox", "leaf", "leaves"].map(|name| vec![name.into()]).to_vec();
    /// assert_eq!(manifest.subject("Foxes"), Some("fox"));
    /// assert_eq!(manifest.subject("leaves"), Some("leaves"));
    /// assert_eq!(manifest.subject("a fox"), None);
    /// # Ok::<(), plantain_weights::ReadError>(())
    /// ```
    pub fn subject(&self, name: &str) -> Option<&str> {
        let asked = words(name);
        let names = self.subjects.iter().flatten().map(String::as_str);
        let mut named = names
            .filter(|name| is_named(&asked, name) == Some(asked.len()))
            .peekable();
        let first = named.peek().copied();
        // "Leaves" may be a name beside "leaf".
        named.find(|name| words(name) == asked).or(first)
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

    /// The bytes of `prompt` that call a subject by this name, in the singular or plural.
    ///
    /// ```
    /// # use std::path::Path;
    /// # use plantain_weights::Model;
    /// # let model = Model::open(Path::new("../../tests/fixtures/weights/turbo"))?;
    /// assert_eq!(model.manifest().find_name("a (Ball of wool:1.2)", "ball of wool"), Some(3..15));
    /// # Ok::<(), plantain_weights::ReadError>(())
    /// ```
    pub fn find_name(&self, prompt: &str, name: &str) -> Option<Range<usize>> {
        let (places, words): (Vec<_>, Vec<_>) = placed_words(prompt).unzip();
        let found = find(&words, name, |_| true)?;
        Some(bytes_of(&found, &places))
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
    find(words, name, |_| true).is_some()
}

/// Which of these words are a name, where it is accepted first.
fn find(
    words: &[String],
    name: &str,
    accepts: impl Fn(&Range<usize>) -> bool,
) -> Option<Range<usize>> {
    let found = |at| is_named(&words[at..], name).map(|count| at..at + count);
    (0..words.len()).filter_map(found).find(accepts)
}

/// Whether what comes behind these words is left out.
fn is_negated(before: &[String]) -> bool {
    let before = before.iter().map(String::as_str).rev();
    let mut before = before.skip_while(|word| ["a", "an", "the"].contains(word));
    before.next().is_some_and(|word| NEGATIONS.contains(&word))
}

/// The bytes from the first to the last of some words, one at least, of a text that has its words at these places.
fn bytes_of(words: &Range<usize>, places: &[Range<usize>]) -> Range<usize> {
    places[words.start].start..places[words.end - 1].end
}

/// The first name of a style, if it has one.
fn usual(names: &[String]) -> Option<&str> {
    let usual = names.first().map(|name| name.trim());
    usual.filter(|name| !name.is_empty())
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
