//! The words of a prompt for a model that draws single things on plain grounds: subjects, what describes them, and names of styles.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::ops::Range;

use plantain_weights::{Manifest, NEGATIONS};

use super::colours::is_colour;
use super::weights::{Piece, parse};

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
pub(super) const NO_DESCRIPTIONS: [&str; 30] = [
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
const CALLED: [&str; 5] = ["logo", "symbol", "sticker", "portrait", "design"];
/// How nouns begin that sound otherwise than they are written, as in the captions of `tools/data/words.py`.
const LIKE_CONSONANTS: [&str; 9] = [
    "euro", "one", "u-", "ufo", "ui ", "ukulele", "uni", "usb", "use",
];
const LIKE_VOWELS: [&str; 4] = ["heir", "honest", "hour", "x-ray"];
/// Ends of nouns in the singular that end with an s.
const SINGULAR_ENDS: [&str; 5] = ["ss", "us", "os", "is", "lens"];
/// Words behind which a name goes on with what does not tell its number.
const WITHIN_NAMES: [&str; 6] = ["of", "with", "and", "in", "over", "showing"];
/// Marks around words, of which some end a part of a prompt.
const MARKS: [char; 19] = [
    '"', '\'', '“', '”', '‘', '’', '`', '*', '(', ')', '[', ']', '.', '!', '?', ':', '-', '–', '—',
];
const QUOTES: [char; 12] = ['"', '\'', '“', '”', '‘', '’', '`', '*', '(', ')', '[', ']'];
const ENDS: [char; 4] = ['.', '!', '?', ':'];
/// Most words beside a subject that are looked at for what determines it.
pub(super) const SHORT: usize = 3;
/// Most words of a subject's name, of a style's, of what describes a thing, and of a prompt that is read.
const NAME: usize = 6;
const STYLE: usize = 4;
const DESCRIPTION: usize = 6;
const READ: usize = 80;

pub(super) struct Reader<'a> {
    pub(super) prompt: &'a str,
    pub(super) words: Vec<String>,
    pub(super) lowered: Vec<String>,
    pub(super) manifest: &'a Manifest,
    pub(super) mentions: Vec<Mention<'a>>,
    /// Where the subjects end that begin at each word, and what they are called.
    subjects: Vec<OnceCell<Vec<(usize, &'a str)>>>,
}

/// A name of a style in a prompt.
#[derive(Debug, Clone)]
pub(super) struct Mention<'a> {
    pub(super) words: Range<usize>,
    /// Its usual name.
    pub(super) style: &'a str,
}

impl<'a> Reader<'a> {
    /// Brackets that weigh parts of the prompt do not matter.
    pub(super) fn new(prompt: &'a str, manifest: &'a Manifest) -> Self {
        let bare = unweighted(prompt);
        let words = first_and_last(words_of(&bare));
        let lowered: Vec<_> = words.iter().map(|word| word.to_lowercase()).collect();
        let reader = Self {
            prompt,
            subjects: vec![OnceCell::new(); words.len()],
            words: words.into_iter().map(str::to_string).collect(),
            lowered,
            manifest,
            mentions: Vec::new(),
        };
        let mut mentions = reader.all_mentions();
        mentions.retain(|mention| !reader.is_within_name(&mention.words, reader.words.len()));
        Self { mentions, ..reader }
    }

    /// Whether these words are a part of what a subject is called that ends before a place, as those of a style are in "flat shoe".
    pub(super) fn is_within_name(&self, words: &Range<usize>, before: usize) -> bool {
        (words.start.saturating_sub(1)..=words.start).any(|at| {
            let subject = self.subject(at, |end| end <= before);
            subject.is_some_and(|(end, _)| end >= words.end && end - at > words.len())
        })
    }

    /// Where the lead ends that begins at `start`, if there is one.
    pub(super) fn lead(&self, start: usize) -> Option<usize> {
        let mut places = (start + 1..self.words.len()).take_while(|&at| self.words[at] != ",");
        let of = places.find(|&at| {
            let style = self.mentions.iter().any(|mention| mention.words.end == at);
            self.lowered[at] == "of" && (style || calls_picture(&self.lowered[at - 1]))
        });
        of.map(|of| of + 1)
    }

    /// The longest subject that begins at word `at` and ends where `ends` allows: where it ends, and what it is called.
    pub(super) fn subject(
        &self,
        at: usize,
        ends: impl Fn(usize) -> bool,
    ) -> Option<(usize, &'a str)> {
        let named = self.subjects.get(at)?.get_or_init(|| {
            let part = self.part(at).len();
            let ends = at + 1..=at + part.min(NAME);
            let named = ends.filter_map(|end| {
                let name = self.manifest.subject(&self.words[at..end].join(" "))?;
                Some((end, name))
            });
            named.collect()
        });
        named.iter().rev().find(|(end, _)| ends(*end)).copied()
    }

    /// How many words from `at` on may describe a thing.
    pub(super) fn descriptions(&self, at: usize) -> usize {
        let rest = self.lowered.get(at..).unwrap_or_default();
        let descriptions = rest.iter().take_while(|word| is_description(word));
        descriptions.take(DESCRIPTION).count()
    }

    /// The words from `at` on, up to a comma or the end.
    pub(super) fn part(&self, at: usize) -> &[String] {
        let rest = &self.lowered[at..];
        &rest[..rest.iter().take_while(|word| *word != ",").count()]
    }

    pub(super) fn begins_part(&self, at: usize) -> bool {
        at == 0 || self.words[at - 1] == ","
    }

    /// The names of styles, the longest at each place; none that are left out ("no icon").
    fn all_mentions(&self) -> Vec<Mention<'a>> {
        let (words, mut mentions, mut at) = (&self.lowered, Vec::new(), 0);
        while at < words.len() {
            let mut ends = (at + 1..=words.len().min(at + STYLE)).rev();
            let found =
                ends.find_map(|end| Some((end, style_called(&words[at..end], self.manifest)?)));
            let Some((end, style)) = found else {
                at += 1;
                continue;
            };
            if !is_negated(&words[..at]) {
                mentions.push(Mention {
                    words: at..end,
                    style,
                });
            }
            at = end;
        }
        mentions
    }

    /// Where the name of a style ends that begins at word `at`.
    pub(super) fn mention_end(&self, at: usize) -> Option<usize> {
        let found = self
            .mentions
            .iter()
            .find(|mention| mention.words.start == at);
        found.map(|mention| mention.words.end)
    }
}

/// The usual name of the style that has these words for a name.
pub(super) fn style_called<'a>(words: &[String], manifest: &'a Manifest) -> Option<&'a str> {
    let plain = |name: &str| name.replace('-', " ").to_lowercase();
    let name = plain(&words.join(" "));
    let mut styles = manifest.styles.iter();
    let style = styles.find(|names| names.iter().any(|other| plain(other) == name))?;
    style.first().map(|usual| usual.trim())
}

/// Whether what comes behind these words is left out.
fn is_negated(before: &[String]) -> bool {
    let mut before = before.iter().map(String::as_str).rev();
    let told = before.find(|word| !ARTICLES.contains(word));
    told.is_some_and(|word| NEGATIONS.contains(&word))
}

/// The words of a prompt without what weighs them.
fn unweighted(prompt: &str) -> Cow<'_, str> {
    if !is_weighted(prompt) {
        return prompt.into();
    }
    let pieces = parse(prompt).into_iter().map(|piece| match piece {
        Piece::Text(text, _) => text,
        Piece::Break => " ".into(),
    });
    pieces.collect::<String>().into()
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
fn words_of(prompt: &str) -> Vec<&str> {
    let mut words = Vec::new();
    for word in prompt.split_whitespace() {
        for (place, piece) in word.split([',', ';', '|']).enumerate() {
            if place > 0 {
                words.push(",");
            }
            let bare = piece.trim_matches(MARKS);
            let ends = piece.trim_end_matches(QUOTES).ends_with(ENDS) || bare.is_empty();
            words.extend(Some(bare).filter(|bare| !bare.is_empty()));
            words.extend((ends && !piece.is_empty()).then_some(","));
        }
    }
    let last = words.iter().rposition(|word| *word != ",");
    words.truncate(last.map_or(0, |last| last + 1));
    words
}

/// Whether these words are the first of some.
pub(super) fn begins(rest: &[String], words: &[&str]) -> bool {
    rest.len() >= words.len() && words.iter().zip(rest).all(|(word, told)| word == told)
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
    let styles: [&[&str]; 3] = [
        &["3d render", "3d"],
        &["flat illustration", "flat"],
        &["cartoon", "cartoon drawing"],
    ];
    let names = |names: &[&str]| names.iter().map(ToString::to_string).collect();
    manifest.styles = styles.map(names).to_vec();
    manifest.plain_ground = true;
    manifest
}
