//! The words of a prompt for a model that draws single things on plain grounds: subjects, what describes them, and what is said of the
//! whole picture.

use std::ops::Range;

use plantain_weights::Manifest;

/// Most things of a picture.
pub(super) const MOST: usize = 9;

pub(super) const ARTICLES: [&str; 4] = ["a", "an", "the", "one"];
const NUMBERS: [(&str, usize); 8] = [
    ("two", 2),
    ("three", 3),
    ("four", 4),
    ("five", 5),
    ("six", 6),
    ("seven", 7),
    ("eight", 8),
    ("nine", 9),
];
/// Words of which none describes a thing.
const NO_DESCRIPTIONS: [&str; 14] = [
    "a", "an", "the", "and", "or", "of", "with", "in", "on", "at", "by", "for", "from", "to",
];
const NO_DESCRIPTION_ENDS: &str = "ing";

/// What pictures are called, before "of" and what they show.
const PICTURES: [&str; 13] = [
    "picture",
    "image",
    "photo",
    "photograph",
    "render",
    "rendering",
    "illustration",
    "drawing",
    "cartoon",
    "painting",
    "sketch",
    "icon",
    "emoji",
];
/// What grounds are called, and what begins to tell of one.
const GROUNDS: [&str; 2] = ["background", "backdrop"];
const BEFORE_GROUND: [&str; 4] = ["on", "against", "in", "with"];
/// What begins to tell of one that is a colour alone, as in "on teal", and colours.
const BEFORE_COLOUR: [&str; 2] = ["on", "against"];
const COLOURS: [&str; 19] = [
    "red", "orange", "yellow", "green", "teal", "blue", "navy", "purple", "pink", "white", "grey",
    "gray", "black", "brown", "cyan", "lime", "gold", "beige", "magenta",
];
/// The last word of a style, as in "in cartoon style".
const STYLE: &str = "style";
/// What ends a word and separates it from the next; of these a comma or semicolon may do so without a space.
const SEPARATORS: [char; 6] = [',', ';', ':', '.', '!', '?'];
/// Words with which something is left out.
const NEGATIONS: [&str; 3] = ["no", "not", "without"];

/// Most words between commas that are taken for a style.
pub(super) const SHORT: usize = 3;
/// Most words of a subject's name, of what describes one, and of a prompt that is read.
const NAME: usize = 6;
const DESCRIPTION: usize = 6;
const READ: usize = 80;

pub(super) struct Reader<'a> {
    pub(super) words: &'a [&'a str],
    pub(super) lowered: Vec<String>,
    pub(super) manifest: &'a Manifest,
}

impl<'a> Reader<'a> {
    pub(super) fn new(words: &'a [&'a str], manifest: &'a Manifest) -> Self {
        Self {
            words,
            lowered: words.iter().map(|word| word.to_lowercase()).collect(),
            manifest,
        }
    }

    /// Where the lead ends that begins at `start`, if there is one.
    pub(super) fn lead(&self, start: usize) -> Option<usize> {
        let mut places = (start + 1..self.words.len()).take_while(|&at| self.words[at] != ",");
        let of = places.find(|&at| {
            self.lowered[at] == "of" && PICTURES.contains(&self.lowered[at - 1].as_str())
        });
        of.map(|of| of + 1)
    }

    /// The longest subject that begins at word `at` and ends where `ends` allows: where it ends, and what it is called.
    pub(super) fn subject(
        &self,
        at: usize,
        ends: impl Fn(usize) -> bool,
    ) -> Option<(usize, String)> {
        let places = (at + 1..=self.words.len()).take(NAME);
        let places = places.take_while(|end| self.words[end - 1] != ",");
        let named = places.filter(|end| ends(*end)).filter_map(|end| {
            let name = self.manifest.subject(&self.words[at..end].join(" "))?;
            Some((end, name.to_string()))
        });
        named.last()
    }

    /// How many words from `at` on may describe a thing.
    pub(super) fn descriptions(&self, at: usize) -> usize {
        let rest = self.lowered.get(at..).unwrap_or_default();
        let descriptions = rest.iter().take_while(|word| is_description(word));
        descriptions.take(DESCRIPTION).count()
    }

    /// Whether a ground and nothing else is told of from word `at` on, up to a comma or the end.
    pub(super) fn is_ground(&self, at: usize) -> bool {
        let part = self.lowered[at..].iter().map(String::as_str);
        let mut part = part.take_while(|word| *word != ",");
        let begins = part
            .next()
            .is_some_and(|word| BEFORE_GROUND.contains(&word));
        let rest: Vec<_> = part.collect();
        let others = rest.iter().any(|word| BEFORE_GROUND.contains(word));
        let named = rest.last().is_some_and(|word| is_ground(word));
        let colour = matches!(rest[..], [colour] if is_colour_ground(&self.lowered[at], colour));
        begins && !others && (named || colour)
    }

    /// What of some words is said of the whole picture: grounds, styles, and short parts between commas.
    pub(super) fn kept(&self, range: Range<usize>) -> Vec<String> {
        let mut kept = Vec::new();
        let mut at = range.start;
        while at < range.end {
            let left = &self.lowered[at..range.end];
            let length = left.iter().take_while(|word| *word != ",").count();
            let told = self.told_around(&left[..length]);
            let begins = at == 0 || self.words[at - 1] == ",";
            let short = begins && self.is_short(at..at + length);
            let taken = told.unwrap_or(if short { length } else { 0 });
            if taken > 0 {
                kept.push(text_of(&self.words[at..at + taken]));
            }
            at += taken.max(1);
        }
        kept
    }

    /// How many words tell of a ground or a style that begins with the first of `words`.
    fn told_around(&self, words: &[String]) -> Option<usize> {
        let (first, rest) = words.split_first()?;
        let second = rest.first()?;
        let further = rest.get(1).is_some_and(|word| is_ground(word));
        if is_colour_ground(first, second) && !further {
            return Some(2);
        }
        let last = rest
            .iter()
            .position(|word| is_ground(word) || word == STYLE)?;
        let begins = |word: &String| BEFORE_GROUND.contains(&word.as_str());
        (begins(first) && !rest[..last].iter().any(begins)).then_some(last + 2)
    }

    /// Whether some words between commas may be a style.
    fn is_short(&self, range: Range<usize>) -> bool {
        let negated = |first: &String| NEGATIONS.contains(&first.as_str());
        let negated = self.lowered[range.clone()].first().is_none_or(negated);
        let text = text_of(&self.words[range.clone()]);
        range.len() <= SHORT && !negated && self.manifest.subject(&text).is_none()
    }
}

/// Whether there is something to be read out of a prompt for this model.
pub(super) fn is_read(prompt: &str, manifest: &Manifest) -> bool {
    // Weights of parts would be torn apart.
    let weighted = prompt.contains(['(', ')', '[', ']']);
    let long = prompt.split_whitespace().nth(READ).is_some();
    manifest.plain_ground && !manifest.subjects.is_empty() && !weighted && !long
}

/// The words of a prompt, and a comma for whatever separates parts of it.
pub(super) fn words_of(prompt: &str) -> Vec<&str> {
    let prompt = prompt.trim_end_matches(['.', '!', '?', ' ']);
    let parts = prompt.split_inclusive([',', ';']);
    let words = parts.flat_map(str::split_whitespace);
    let words = words.flat_map(|word| {
        let bare = word.trim_end_matches(SEPARATORS);
        let comma = (bare.len() < word.len()).then_some(",");
        [Some(bare).filter(|bare| !bare.is_empty()), comma]
    });
    words.flatten().collect()
}

/// The text of words and commas.
pub(super) fn text_of(words: &[&str]) -> String {
    words.join(" ").replace(" ,", ",")
}

/// Whether a text tells of a ground.
pub(super) fn tells_ground(text: &str) -> bool {
    let text = text.to_lowercase();
    let words: Vec<_> = text.split_whitespace().collect();
    let colour = |pair: &[&str]| is_colour_ground(pair[0], pair[1]);
    words.iter().any(|word| is_ground(word)) || words.windows(2).any(colour)
}

fn is_ground(word: &str) -> bool {
    GROUNDS.contains(&word)
}

/// Whether two words tell of a ground by its colour alone.
fn is_colour_ground(first: &str, second: &str) -> bool {
    BEFORE_COLOUR.contains(&first) && COLOURS.contains(&second)
}

pub(super) fn number(word: &str) -> Option<usize> {
    let digit = word
        .parse()
        .ok()
        .filter(|digit| (2..=MOST).contains(digit) && word.len() == 1);
    digit.or_else(|| {
        NUMBERS
            .iter()
            .find(|(name, _)| *name == word)
            .map(|(_, number)| *number)
    })
}

pub(super) fn is_description(word: &str) -> bool {
    word != "," && !NO_DESCRIPTIONS.contains(&word) && !word.ends_with(NO_DESCRIPTION_ENDS)
}

/// A noun with its article, by its sound.
pub(super) fn with_article(noun: &str) -> String {
    let lowered = noun.to_lowercase();
    let sounds_like_consonant = ["uni", "use", "ufo", "euro", "one"];
    let vowel = lowered.starts_with(['a', 'e', 'i', 'o', 'u'])
        && !sounds_like_consonant
            .iter()
            .any(|start| lowered.starts_with(start));
    format!("{} {noun}", if vowel { "an" } else { "a" })
}

/// A model that knows a few things.
#[cfg(test)]
pub(super) fn taught() -> Manifest {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/weights");
    let folder = std::path::Path::new(folder).join("turbo");
    let model = plantain_weights::Model::open(&folder).unwrap();
    let mut manifest = model.manifest().clone();
    let names = [
        "fox",
        "red fox",
        "cat",
        "dog",
        "apple",
        "orange",
        "cherry",
        "rocket",
        "robot",
        "crown",
        "city",
        "painting",
        "unicorn",
        "glasses",
        "t-shirt",
        "hammer and wrench",
        "two hearts",
        "slice of pizza",
    ];
    manifest.subjects = names.map(|name| vec![name.to_string()]).to_vec();
    manifest.plain_ground = true;
    manifest
}
