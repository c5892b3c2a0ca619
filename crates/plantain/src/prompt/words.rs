//! A prompt as words, and what can be told of them without a model.

use std::borrow::Cow;

use plantain_weights::NEGATIONS;

use super::colours::{is_colour_word, is_coloured};
use super::weights::{Piece, parse};

/// Most things of a picture.
pub(super) const MOST: usize = 9;

/// What a single thing is told of with.
pub(super) const ARTICLES: [&str; 5] = ["a", "an", "the", "one", "1"];
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
/// Words between things, of which none describes one.
pub(super) const JOINTS: [&str; 33] = [
    "without", "and", "or", "of", "with", "in", "on", "at", "by", "for", "from", "to", "that",
    "which", "who", "near", "behind", "beside", "under", "over", "above", "below", "inside",
    "into", "onto", "upon", "between", "through", "against", "as", "but", "is", "vs",
];
/// The end of words for what a thing does, which describe none either.
pub(super) const DOING: &str = "ing";

/// The ends of words that tell of parts of a thing.
const OF_PARTS: [&str; 16] = [
    "eyed", "haired", "headed", "footed", "legged", "tailed", "winged", "nosed", "faced",
    "bearded", "skinned", "spotted", "breasted", "rimmed", "armed", "horned",
];

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
/// Marks around words, and such as end a part of a prompt.
const QUOTES: [char; 15] = [
    '"', '\'', '“', '”', '‘', '’', '`', '*', '(', ')', '[', ']', '-', '–', '—',
];
const ENDS: [char; 4] = ['.', '!', '?', ':'];
/// What ends no part although a stop is behind it.
const ABBREVIATIONS: [&str; 7] = ["mt", "st", "dr", "mr", "mrs", "ms", "vs"];
/// Signs for words.
const SIGNS: [(&str, &str); 5] = [
    ("&", "and"),
    ("+", "and"),
    ("/", "and"),
    ("w/", "with"),
    ("versus", "vs"),
];
/// What else begins to tell what is not wanted.
const NOT_THESE: [&str; 3] = ["instead", "except", "excluding"];
/// Words around what a prompt asks for, which say no more of it, and such as do so at its beginning.
pub(super) const ASKING: [&str; 24] = [
    "please",
    "you",
    "me",
    "i",
    "i'd",
    "my",
    "your",
    "his",
    "her",
    "their",
    "our",
    "its",
    "there",
    "style",
    "isolated",
    "centered",
    "centred",
    "center",
    "centre",
    "middle",
    "pair",
    "masterpiece",
    "4k",
    "8k",
];
pub(super) const ASKING_FIRST: [&str; 15] = [
    "draw", "make", "create", "generate", "show", "imagine", "prompt", "can", "could", "would",
    "like", "want", "need", "subject", "simple",
];
/// Where a prompt is over that begins so.
pub(super) const FIRST: usize = 4;
/// Words for how good a picture is to be.
pub(super) const QUALITY: [[&str; 2]; 4] = [
    ["high", "quality"],
    ["best", "quality"],
    ["highly", "detailed"],
    ["high", "resolution"],
];
/// Letters of words that others may be joined to.
pub(super) const JOINED: usize = 3;
/// What begins settings of other programs, which are none of the picture ("--ar 16:9").
const SETTING: &str = "--";
/// Most words of a prompt that are looked at.
const READ: usize = 240;

/// The words of a prompt that are looked at, and a comma for whatever separates its parts. Brackets that weigh parts do not matter.
pub(super) fn read(prompt: &str) -> Vec<String> {
    let bare = unweighted(prompt);
    let mut words = Vec::new();
    let mut tokens = bare.split_whitespace().peekable();
    while let Some(token) = tokens.next() {
        if let Some("no") = token.strip_prefix(SETTING) {
            words.extend([",", "no"]);
            continue;
        }
        if token.starts_with(SETTING) {
            tokens.next_if(|value| value.starts_with(|c: char| c.is_ascii_digit()));
            words.push(",");
            continue;
        }
        if let Some((_, word)) = SIGNS.iter().find(|(sign, _)| *sign == token) {
            words.push(*word);
            continue;
        }
        for (place, piece) in token.split([',', ';', '|']).enumerate() {
            if place > 0 {
                words.push(",");
            }
            add_words(piece, &mut words);
        }
    }
    let last = words.iter().rposition(|word| *word != ",");
    words.truncate(last.map_or(0, |last| last + 1));
    first_and_last(words)
        .into_iter()
        .map(str::to_string)
        .collect()
}

/// Adds a piece of text as a word, or as several that it joins ("cat/dog", "light-blue"), and a comma where it ends a part.
fn add_words<'p>(piece: &'p str, words: &mut Vec<&'p str>) {
    let is_mark = |c: char| QUOTES.contains(&c) || ENDS.contains(&c);
    let bare = piece.trim_matches(is_mark);
    if !bare.contains(char::is_alphanumeric) {
        words.extend((!piece.is_empty()).then_some(","));
        return;
    }
    let coloured = |word: &str| {
        let word = word.to_lowercase();
        is_colour_word(&word) || is_coloured(&word)
    };
    let alternatives = || bare.split(['/', '&']);
    if bare.split('-').all(coloured) {
        for word in bare.split('-') {
            let behind = words
                .last()
                .is_some_and(|last| is_colour_word(&last.to_lowercase()));
            // "Teal coloured" is teal.
            words.extend(Some(word).filter(|word| !(behind && is_coloured(&word.to_lowercase()))));
        }
    } else if alternatives()
        .all(|word| word.len() >= JOINED && word.chars().all(char::is_alphabetic))
    {
        for (place, word) in alternatives().enumerate() {
            words.extend((place > 0).then_some("and"));
            words.push(word);
        }
    } else {
        words.push(bare);
    }
    let stops = piece.trim_end_matches(QUOTES).ends_with(ENDS);
    let abbreviates = ABBREVIATIONS.contains(&&*bare.to_lowercase());
    words.extend((stops && !abbreviates).then_some(","));
}

/// Of a long prompt the first words, which name its thing, and the last, which often name its ground.
fn first_and_last(mut words: Vec<&str>) -> Vec<&str> {
    if words.len() > READ {
        let last = words.split_off(words.len() - READ / 4);
        words.truncate(READ - READ / 4);
        words.push(",");
        words.extend(last);
    }
    words
}

/// A prompt without what weighs its parts, of which those of several words are parts by themselves.
fn unweighted(prompt: &str) -> Cow<'_, str> {
    if !prompt.contains(['(', ')', '[', ']']) {
        return prompt.into();
    }
    let pieces = parse(prompt).into_iter().map(|piece| match piece {
        Piece::Text(text, weight) if weight != 1.0 && text.trim().contains(' ') => {
            format!(", {text}, ")
        }
        Piece::Text(text, _) => text,
        Piece::Break => " , ".into(),
    });
    pieces.collect::<String>().into()
}

/// Whether a prompt gives a part of it a weight by number.
pub(super) fn is_weighted(prompt: &str) -> bool {
    let mut pieces = prompt.split(':').skip(1);
    let number = |piece: &str| piece.trim_start().starts_with(|c: char| c.is_ascii_digit());
    prompt.contains('(') && pieces.any(|piece| number(piece) && piece.contains(')'))
}

/// Which words tell what is not wanted. Once that is told, it ends with its part, at a "but", at what joins something else to it, where
/// something is done, and at the next article or where another `style` begins; "or" and "and" go on with it.
pub(super) fn negated(words: &[String], style: impl Fn(usize) -> bool) -> Vec<bool> {
    let mut negated = vec![false; words.len()];
    let (mut within, mut told) = (false, false);
    for (at, word) in words.iter().map(String::as_str).enumerate() {
        let only = words
            .get(at + 1)
            .is_some_and(|next| ["only", "just"].contains(&next.as_str()));
        if (NEGATIONS.contains(&word) || NOT_THESE.contains(&word)) && !only {
            (within, told) = (true, false);
        } else {
            let article = ARTICLES.contains(&word);
            let joins = JOINTS.contains(&word) && !["or", "and"].contains(&word);
            let ends = joins || article || style(at) || word.ends_with(DOING);
            within &= word != "," && word != "but" && !(told && ends);
            told |= within && !article && !JOINTS.contains(&word);
        }
        negated[at] = within;
    }
    negated
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
    word != "," && !JOINTS.contains(&word) && !ARTICLES.contains(&word) && !too_many
}

/// Whether a word tells of parts of what follows, as "headed" does; numbers and colours before it are those of the parts.
pub(super) fn is_of_parts(word: &str) -> bool {
    OF_PARTS.iter().any(|part| word.ends_with(part))
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
