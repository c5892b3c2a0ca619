//! The words of a prompt for a model that draws single things on plain grounds: subjects, what describes them, and what is said of the
//! whole picture.

use std::ops::Range;

use plantain_weights::{Manifest, NEGATIONS};

/// Most things of a picture.
pub(super) const MOST: usize = 9;

/// What a single thing is told of with; the last is no word that a model was taught.
pub(super) const ARTICLES: [&str; 5] = ["a", "an", "the", "one", ONE];
pub(super) const ONE: &str = "1";
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
/// Numbers of more things than a picture holds.
const TOO_MANY: [&str; 21] = [
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
    "twenty",
    "thirty",
    "forty",
    "fifty",
    "dozen",
    "dozens",
    "hundred",
    "hundreds",
    "thousand",
    "thousands",
    "million",
];
/// Words of which none describes a thing.
const NO_DESCRIPTIONS: [&str; 30] = [
    "without", "a", "an", "the", "and", "or", "of", "with", "in", "on", "at", "by", "for", "from",
    "to", "that", "which", "who", "near", "behind", "beside", "under", "over", "above", "below",
    "inside", "into", "onto", "between", "through",
];
/// The end of words for what a thing does, which describe none either.
pub(super) const DOING: &str = "ing";

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
/// What pictures of a thing are called behind it, besides.
const CALLED: [&str; 3] = ["logo", "symbol", "sticker"];
/// What grounds are called, and what begins to tell of one.
const GROUNDS: [&str; 2] = ["background", "backdrop"];
const BEFORE_GROUND: [&str; 4] = ["on", "against", "in", "with"];
/// What begins to tell of one that is a colour alone, as in "on teal", and colours.
const BEFORE_COLOUR: [&str; 2] = ["on", "against"];
const COLOURS: [&str; 22] = [
    "red", "orange", "yellow", "green", "teal", "blue", "navy", "purple", "violet", "pink",
    "white", "grey", "gray", "black", "brown", "cyan", "lime", "gold", "golden", "beige", "cream",
    "magenta",
];
/// What may stand before a colour, and for one.
const SHADES: [&str; 11] = [
    "light", "dark", "bright", "pale", "deep", "pure", "plain", "solid", "soft", "pastel", "sky",
];
/// Words before what a ground is called that say nothing of how it looks.
const NO_LOOKS: [&str; 11] = [
    "no",
    "without",
    "transparent",
    "on",
    "against",
    "in",
    "with",
    "a",
    "an",
    "the",
    "any",
];
/// How nouns begin that sound otherwise than they are written, as in the captions of `tools/data/words.py`.
const LIKE_CONSONANTS: [&str; 9] = [
    "euro", "one", "u-", "ufo", "ui ", "ukulele", "uni", "usb", "use",
];
const LIKE_VOWELS: [&str; 4] = ["heir", "honest", "hour", "x-ray"];
/// Ends of nouns in the singular that end with an s.
const SINGULAR_ENDS: [&str; 5] = ["ss", "us", "os", "is", "lens"];
/// Words behind which a name goes on with what does not tell its number.
const WITHIN_NAMES: [&str; 6] = ["of", "with", "and", "in", "over", "showing"];
/// The last word of a style, as in "in cartoon style".
const STYLE: &str = "style";

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
        let part = self.part(at);
        let Some((first, told)) = part.split_first() else {
            return false;
        };
        let last = told.len().checked_sub(1);
        let named = last.is_some_and(|last| is_ground_at(told, last));
        let nested = told.iter().any(begins_ground);
        let behind_a_word =
            begins_ground(first) && !nested && (named || colour_ground(part) == Some(part.len()));
        behind_a_word || self.begins_part(at) && is_coloured_ground(part)
    }

    /// How many words from `at` on tell of a ground, or of a style as a ground is told of.
    pub(super) fn around(&self, at: usize) -> Option<usize> {
        let part = self.part(at);
        let ground = || self.begins_part(at) && is_coloured_ground(part);
        told_around(part).or_else(|| ground().then_some(part.len()))
    }

    /// The words from `at` on, up to a comma or the end.
    fn part(&self, at: usize) -> &[String] {
        let rest = &self.lowered[at..];
        &rest[..rest.iter().take_while(|word| *word != ",").count()]
    }

    fn begins_part(&self, at: usize) -> bool {
        at == 0 || self.words[at - 1] == ","
    }

    /// What of some words is said of the whole picture: grounds, styles, and short parts between commas; and the words that are not.
    pub(super) fn kept(&self, range: Range<usize>) -> (Vec<String>, Vec<&str>) {
        let (mut kept, mut left) = (Vec::new(), Vec::new());
        let mut at = range.start;
        while at < range.end {
            let rest = &self.lowered[at..range.end];
            let length = rest.iter().take_while(|word| *word != ",").count();
            let told = self.around(at).filter(|told| *told <= length);
            let short = self.begins_part(at) && self.is_short(at..at + length);
            let taken = told.unwrap_or(if short { length } else { 0 });
            if taken > 0 {
                kept.push(text_of(&self.words[at..at + taken]));
            } else if length > 0 {
                left.push(self.words[at]);
            }
            at += taken.max(1);
        }
        (kept, left)
    }

    /// Whether some words between commas may be a style.
    pub(super) fn is_short(&self, range: Range<usize>) -> bool {
        let Some(first) = self.lowered[range.clone()].first() else {
            return false;
        };
        let first = first.as_str();
        let told =
            NEGATIONS.contains(&first) || ARTICLES.contains(&first) || number(first).is_some();
        let text = text_of(&self.words[range.clone()]);
        let mut sides = text.split(" and ");
        let subject = sides.any(|side| self.manifest.subject(side).is_some());
        range.len() <= SHORT && !told && !subject && self.may_be_style(&text)
    }

    /// Whether a part between commas names a style, or may be one for a model that does not say which it knows. Of other words a model
    /// makes lumps.
    pub(super) fn may_be_style(&self, text: &str) -> bool {
        let styles = self.manifest.styles_of("");
        styles.is_empty() || self.manifest.find_style(text, "", &styles).is_some()
    }
}

/// How many words tell of a ground or a style that begins with the first of `words`.
fn told_around(words: &[String]) -> Option<usize> {
    let (first, rest) = words.split_first()?;
    let last = (0..rest.len()).find(|&at| is_ground_at(rest, at) || rest[at] == STYLE);
    let whole = last.filter(|&last| !rest[..last].iter().any(begins_ground));
    let colour = || colour_ground(words).filter(|length| ends_colour(&words[*length..]));
    begins_ground(first).then(|| whole.map(|last| last + 2).or_else(colour))?
}

/// Words of a prompt, where there is something to be read out of them for this model.
pub(super) fn read<'a>(prompt: &'a str, manifest: &Manifest) -> Option<Vec<&'a str>> {
    if !manifest.plain_ground || manifest.subjects.is_empty() {
        return None;
    }
    Some(first_and_last(words_of(prompt)))
}

/// The words of a prompt that are looked at: of a long one the first, which name its thing, and the last, which often name its ground.
pub(super) fn first_and_last(mut words: Vec<&str>) -> Vec<&str> {
    if words.len() > READ {
        let last = words.split_off(words.len() - READ / 4);
        words.truncate(READ - READ / 4);
        words.push(",");
        words.extend(last);
    }
    words
}

/// Whether parts of a prompt weigh more or less than others, or would if it were read so.
pub(super) fn is_weighted(prompt: &str) -> bool {
    prompt.contains(['(', ')', '[', ']'])
}

/// The words of a prompt, and a comma for whatever separates its parts.
pub(super) fn words_of(prompt: &str) -> Vec<&str> {
    let prompt = prompt.trim_end_matches(['.', '!', '?', ' ']);
    let parts = prompt.split_inclusive([',', ';']);
    let words = parts.flat_map(|part| {
        let (words, comma) = match part.strip_suffix([',', ';']) {
            Some(words) => (words, Some(",")),
            None => (part, None),
        };
        words.split_whitespace().chain(comma)
    });
    words.collect()
}

/// The text of words and commas.
pub(super) fn text_of(words: &[&str]) -> String {
    words.join(" ").replace(" ,", ",")
}

/// Whether a text tells how the ground looks.
pub(super) fn tells_ground(text: &str) -> bool {
    let is_mark = |c: char| !c.is_alphanumeric() && !c.is_whitespace();
    let spaced = text.to_lowercase().replace(is_mark, " , ");
    let words: Vec<_> = spaced.split_whitespace().map(str::to_string).collect();
    (0..words.len()).any(|at| {
        let looks = at.checked_sub(1).map(|before| words[before].as_str());
        let named = is_ground_at(&words, at) && looks.is_none_or(|word| !NO_LOOKS.contains(&word));
        let coloured = colour_ground(&words[at..]);
        named || coloured.is_some_and(|length| ends_colour(&words[at + length..]))
    })
}

/// Whether the word at `at` is what a ground is called; "ground" alone is what things lie on.
fn is_ground_at(words: &[String], at: usize) -> bool {
    let word = words[at].as_str();
    let before = at.checked_sub(1).map(|before| words[before].as_str());
    let coloured = before.is_some_and(|word| COLOURS.contains(&word) || SHADES.contains(&word));
    GROUNDS.contains(&word) || word == "ground" && coloured
}

fn begins_ground(word: impl AsRef<str>) -> bool {
    BEFORE_GROUND.contains(&word.as_ref())
}

/// Whether words are what a ground is called behind its colour: "teal background".
fn is_coloured_ground(words: &[String]) -> bool {
    let article = words
        .first()
        .is_some_and(|first| ARTICLES.contains(&first.as_str()));
    let words = &words[usize::from(article)..];
    let Some((_, colour @ [_, ..])) = words.split_last() else {
        return false;
    };
    is_ground_at(words, colour.len()) && colour.iter().all(|word| is_colour_word(word))
}

/// How many words tell of a ground by its colour alone, as "on light blue" does.
fn colour_ground(words: &[String]) -> Option<usize> {
    let (first, rest) = words.split_first()?;
    let told = rest.iter().take_while(|word| is_colour_word(word)).count();
    let colour = rest[..told].last().is_some_and(|word| is_colour(word));
    let ends = BEFORE_COLOUR.contains(&first.as_str()) && colour;
    ends.then_some(1 + told)
}

/// Whether words behind a colour leave it the colour of a ground: "and glossy", or nothing, but not "leaves", "and yellow leaves".
fn ends_colour(words: &[String]) -> bool {
    match words {
        [and, more @ ..] if and == "and" => {
            let colours = more.iter().take_while(|word| is_colour_word(word)).count();
            colours == 0 || more.get(colours).is_none_or(|word| word == ",")
        }
        [word, ..] => word == "," || begins_ground(word),
        [] => true,
    }
}

pub(super) fn is_colour(word: &str) -> bool {
    COLOURS.contains(&word)
}

pub(super) fn is_colour_word(word: &str) -> bool {
    is_colour(word) || SHADES.contains(&word)
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
    is_adjective(word) && !word.ends_with(DOING)
}

/// Whether a word may stand between a colour and what has it: what things do, too ("a red smiling cat").
pub(super) fn is_adjective(word: &str) -> bool {
    let too_many =
        TOO_MANY.contains(&word) || word.parse::<u64>().is_ok_and(|many| many > MOST as u64);
    word != "," && !NO_DESCRIPTIONS.contains(&word) && !too_many
}

/// Whether a word tells of parts of what follows, as "headed" does; numbers and colours before it are those of the parts.
pub(super) fn is_of_parts(word: &str) -> bool {
    word.ends_with("ed") && !is_colour(word)
}

/// Whether a word behind a thing, or several, calls them a picture or pictures ("fox logo").
pub(super) fn calls_picture(word: &str) -> bool {
    let one = word.strip_suffix('s').unwrap_or(word);
    [word, one]
        .iter()
        .any(|word| PICTURES.contains(word) || CALLED.contains(word))
}

/// A noun with its article, by its sound; one in the plural has none.
pub(super) fn with_article(noun: &str) -> String {
    let lowered = noun.to_lowercase();
    if is_plural(&lowered) {
        return noun.into();
    }
    let sounds_like = |starts: &[&str]| starts.iter().any(|start| lowered.starts_with(start));
    let written = lowered.starts_with(['a', 'e', 'i', 'o', 'u']);
    let vowel = written && !sounds_like(&LIKE_CONSONANTS) || sounds_like(&LIKE_VOWELS);
    format!("{} {noun}", if vowel { "an" } else { "a" })
}

/// Whether a noun is one in the plural by itself, as "fallen leaves" is, and neither "bunch of grapes" nor "bus".
pub(super) fn is_plural(noun: &str) -> bool {
    let ends_so = noun.ends_with('s') && !SINGULAR_ENDS.iter().any(|end| noun.ends_with(end));
    let mut words = noun.split_whitespace();
    ends_so && !words.any(|word| WITHIN_NAMES.contains(&word))
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
