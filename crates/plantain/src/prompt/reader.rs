//! The words of a prompt, in which a model's subjects and styles are found.

use std::cell::OnceCell;
use std::ops::Range;

use plantain_weights::{Manifest, SubjectNames};

use super::words::{ARTICLES, DOING, JOINED, JOINTS, calls_picture, is_adjective, negated, read};

/// Words that pictures of signs are called by, any of which may be meant by another; likewise of faces.
const ALIASES: [&[&str]; 2] = [
    &["icon", "icons", "symbol", "button", "sign"],
    &["emoji", "emojis", "emoticon", "smiley", "face"],
];
/// What is an emoji and no face: a "cross face" is angry.
const NO_FACE: &str = "cross";
/// Most words beside a subject that are looked at for what determines it.
pub(super) const SHORT: usize = 3;
/// Most words of a subject's name, of a style's, and of what describes a thing.
const NAME: usize = 8;
const STYLE: usize = 4;
const DESCRIPTION: usize = 6;

/// A prompt, read for a model.
pub(super) struct Reader<'a> {
    pub(super) prompt: &'a str,
    pub(super) words: Vec<String>,
    pub(super) lowered: Vec<String>,
    pub(super) manifest: &'a Manifest,
    names: SubjectNames<'a>,
    /// Which words tell what is not wanted.
    pub(super) negated: Vec<bool>,
    pub(super) mentions: Vec<Mention<'a>>,
    /// Where a ground ends that begins at each word.
    pub(super) grounds: Vec<Option<usize>>,
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
    pub(super) fn new(prompt: &'a str, manifest: &'a Manifest) -> Self {
        let words = read(prompt);
        let lowered: Vec<_> = words.iter().map(|word| word.to_lowercase()).collect();
        let mut reader = Self {
            prompt,
            subjects: vec![OnceCell::new(); words.len()],
            grounds: Vec::new(),
            negated: Vec::new(),
            words,
            lowered,
            names: manifest.subject_names(),
            manifest,
            mentions: Vec::new(),
        };
        // What is not wanted ends where a style begins, and so may a ground; only then is it known which styles are meant.
        reader.mentions = reader.all_mentions();
        let style = |at: usize| reader.mention_end(at).is_some();
        reader.negated = negated(&reader.lowered, style);
        let all = 0..reader.words.len();
        reader.grounds = all.map(|at| reader.ground_from(at)).collect();
        let mut mentions = std::mem::take(&mut reader.mentions);
        mentions.retain(|mention| {
            let within = reader.is_within_name(&mention.words, reader.words.len());
            // Neither "no icon" nor the "flat" of a ground.
            let wanted = !reader.negated[mention.words.start];
            wanted && !within && !reader.is_within_ground(&mention.words)
        });
        Self { mentions, ..reader }
    }

    /// Whether these words are a part of what a subject is called that ends before a place, as those of a style are in "flat shoe".
    pub(super) fn is_within_name(&self, words: &Range<usize>, before: usize) -> bool {
        (words.start.saturating_sub(1)..=words.start).any(|at| {
            let subject = self.subject(at, |end| end <= before);
            subject.is_some_and(|(end, _)| end >= words.end && end - at > words.len())
        })
    }

    /// Where the lead ends that begins at `start`, if there is one: what a picture is called, and not what another thing holds or shows.
    pub(super) fn lead(&self, start: usize) -> Option<usize> {
        let part = self.part(start);
        let called = |of: usize| {
            let style = self
                .mentions
                .iter()
                .any(|mention| mention.words.end == start + of);
            style || calls_picture(&part[of - 1])
        };
        let of = (1..part.len()).find(|&of| part[of] == "of" && called(of))?;
        let joins = |at: usize| {
            let does = part[at].ends_with(DOING) && ARTICLES.contains(&part[at + 1].as_str());
            does || JOINTS.contains(&part[at].as_str()) && part[at] != "and"
        };
        (!(0..of).any(joins)).then_some(start + of + 1)
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
            ends.filter_map(|end| Some((end, self.called(at..end)?)))
                .collect()
        });
        named.iter().rev().find(|(end, _)| ends(*end)).copied()
    }

    /// The name of a subject that these words are: as they stand, as one word ("cup cake"), without the possessive ("lion's head"), or, where
    /// they name none without their last one, with another word for a picture of it ("menu icon" for a menu symbol).
    fn called(&self, range: Range<usize>) -> Option<&'a str> {
        let words = &self.words[range.clone()];
        let text = words.join(" ");
        let named = self.names.subject(&text);
        let joins = |word: &String| {
            word.len() >= JOINED
                && !JOINTS.contains(&word.as_str())
                && !ARTICLES.contains(&word.as_str())
        };
        let joined = || match &self.lowered[range.clone()] {
            [first, second] if joins(first) && joins(second) => {
                self.names.subject(&format!("{first}{second}"))
            }
            _ => None,
        };
        let plain = || {
            let bare = text.replace("'s ", " ").replace("’s ", " ");
            let changed = (bare != text).then_some(bare)?;
            self.names.subject(&changed)
        };
        named
            .or_else(joined)
            .or_else(plain)
            .or_else(|| self.alias(range))
    }

    /// The name that these words are with another word for a picture of it.
    fn alias(&self, range: Range<usize>) -> Option<&'a str> {
        let (last, rest) = self.lowered[range].split_last()?;
        let others = ALIASES
            .iter()
            .find(|words| words.contains(&last.as_str()))?;
        let rest = rest.join(" ");
        if rest.is_empty() || rest == NO_FACE || self.names.subject(&rest).is_some() {
            return None;
        }
        let mut others = others.iter();
        others.find_map(|other| self.names.subject(&format!("{rest} {other}")))
    }

    /// How many words from `at` on may describe a thing.
    pub(super) fn descriptions(&self, at: usize) -> usize {
        let rest = self.lowered.get(at..).unwrap_or_default();
        let descriptions = rest.iter().take_while(|word| is_adjective(word));
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

    /// The names of styles, the longest at each place.
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
            mentions.push(Mention {
                words: at..end,
                style,
            });
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
    let usual = style.first().map(|usual| usual.trim());
    usual.filter(|usual| !usual.is_empty())
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
