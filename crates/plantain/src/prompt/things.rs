//! Prompts that ask for several things, for models that draw one at a time.
//!
//! Only what is plainly a list of things is taken for one: an item is an article or a number, words of description, and a subject of
//! the model, with nothing behind it. Whatever else a prompt says is left to the model as it is.

use std::ops::Range;

use plantain_weights::Manifest;

/// Most things of a picture.
const MOST: usize = 9;

/// What stands between two things; of phrases that begin alike the longer comes first.
const RELATIONS: [(&[&str], Relation); 18] = [
    (&["to", "the", "left", "of"], Relation::Before),
    (&["on", "the", "left", "of"], Relation::Before),
    (&["left", "of"], Relation::Before),
    (&["to", "the", "right", "of"], Relation::After),
    (&["on", "the", "right", "of"], Relation::After),
    (&["right", "of"], Relation::After),
    (&["on", "top", "of"], Relation::Above),
    (&["above"], Relation::Above),
    (&["underneath"], Relation::Below),
    (&["beneath"], Relation::Below),
    (&["below"], Relation::Below),
    (&["under"], Relation::Below),
    (&["next", "to"], Relation::Beside),
    (&["beside"], Relation::Beside),
    (&[",", "and"], Relation::Beside),
    (&["and"], Relation::Beside),
    (&["plus"], Relation::Beside),
    (&[","], Relation::Comma),
];

const ARTICLES: [&str; 4] = ["a", "an", "the", "one"];
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
const GROUNDS: [&str; 3] = ["background", "backdrop", "ground"];
const BEFORE_GROUND: [&str; 4] = ["on", "against", "in", "with"];
/// The ground of all things where the prompt names none, because each alone would be on another.
const ANY_GROUND: &str = "on a white background";

/// Most words between commas that are taken for a style.
const SHORT: usize = 3;
/// Most words of a subject's name, of what describes one, and of a prompt that is read.
const NAME: usize = 6;
const DESCRIPTION: usize = 6;
const READ: usize = 80;
/// Words with which something is left out.
const NEGATIONS: [&str; 3] = ["no", "not", "without"];
/// The last word of a style, as in "in cartoon style".
const STYLE: &str = "style";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Relation {
    Before,
    After,
    Above,
    Below,
    Beside,
    /// Beside, if an "and" follows further on.
    Comma,
}

/// Several things that a prompt asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Things {
    /// For each thing the prompt that asks for it alone, in rows from top to bottom, each from left to right.
    pub(crate) rows: Vec<Vec<String>>,
    /// Whether the prompt does not tell where each thing is, so that a row may be broken into several.
    pub(crate) loose: bool,
}

/// What `prompt` asks for as a model takes it that was taught single things on plain grounds and no words for what they do: its first
/// subject, with the ground and what short parts between commas say of it. `None` where it says no more than that, or names no subject.
pub(crate) fn plainly(prompt: &str, manifest: &Manifest) -> Option<String> {
    if !is_read(prompt, manifest) {
        return None;
    }
    let words = words_of(prompt);
    Reader::new(&words, manifest).plain()
}

/// Whether there is something to be read out of the prompt.
fn is_read(prompt: &str, manifest: &Manifest) -> bool {
    // Weights of parts would be torn apart.
    let weighted = prompt.contains(['(', ')', '[', ']']);
    let long = prompt.split_whitespace().nth(READ).is_some();
    manifest.plain_ground && !manifest.subjects.is_empty() && !weighted && !long
}

impl Things {
    /// The things that `prompt` asks for, where it is for a model that draws single things on plain grounds, and lists at least two
    /// of its subjects, or a number of one.
    pub(crate) fn listed(prompt: &str, manifest: &Manifest) -> Option<Self> {
        if !is_read(prompt, manifest) {
            return None;
        }
        let words = words_of(prompt);
        let reader = Reader::new(&words, manifest);
        reader.list()?.arranged(&reader)
    }

    /// The prompts of all things, row by row.
    pub(crate) fn prompts(&self) -> Vec<String> {
        self.rows.concat()
    }
}

/// The words of a prompt, and commas.
fn words_of(prompt: &str) -> Vec<&str> {
    let parts = prompt
        .trim_end_matches(['.', '!', '?', ' '])
        .split_inclusive(',');
    let words = parts.flat_map(|part| {
        let (words, comma) = match part.strip_suffix(',') {
            Some(words) => (words, Some(",")),
            None => (part, None),
        };
        words.split_whitespace().chain(comma)
    });
    words.collect()
}

/// The text of words and commas.
fn text_of(words: &[&str]) -> String {
    words.join(" ").replace(" ,", ",")
}

/// A thing as a prompt names it.
#[derive(Debug, Clone)]
struct Item {
    /// From its article or number on.
    words: Range<usize>,
    /// From its description on.
    described: usize,
    /// Where its name begins, and what the list of subjects calls it.
    named: usize,
    name: String,
    /// Whether it has an article or a number.
    determined: bool,
    count: usize,
}

/// Things and what stands between them.
struct List {
    /// What is said of all of them: that these are pictures of something.
    lead: Range<usize>,
    items: Vec<Item>,
    relations: Vec<Relation>,
}

struct Reader<'a> {
    words: &'a [&'a str],
    lowered: Vec<String>,
    manifest: &'a Manifest,
}

impl<'a> Reader<'a> {
    fn new(words: &'a [&'a str], manifest: &'a Manifest) -> Self {
        Self {
            words,
            lowered: words.iter().map(|word| word.to_lowercase()).collect(),
            manifest,
        }
    }

    /// See [`plainly`].
    fn plain(&self) -> Option<String> {
        let (start, end, name) = self.main_subject()?;
        if self.is_plain() {
            return None;
        }
        let lead = self.lead(0).filter(|lead| *lead <= start).unwrap_or(0);
        let article = if sounds_like_a_vowel(&name) {
            "an"
        } else {
            "a"
        };
        let thing = format!("{} {article} {name}", text_of(&self.words[..lead]));
        let comma = self.words[..start].iter().rposition(|word| *word == ",");
        let before = self.kept(0..comma.unwrap_or(0));
        let kept = [before, self.kept(end..self.words.len())].concat();
        let said: String = kept.iter().map(|said| format!(", {said}")).collect();
        Some(format!("{thing}{said}").trim_start().to_string())
    }

    /// Whether each part between commas is a thing with its description and ground, a ground alone, or short and no thing.
    fn is_plain(&self) -> bool {
        let mut from = 0;
        self.lowered.split(|word| word == ",").all(|part| {
            let to = from + part.len();
            let other = || self.manifest.named_subject(&part.join(" ")).is_none();
            let short = part.len() <= SHORT && other();
            let plain = short || self.is_ground(from) || self.is_thing(from, to);
            from = to + 1;
            plain
        })
    }

    /// Whether the words from `from` to `to` are a thing with its description, and may be its ground.
    fn is_thing(&self, from: usize, to: usize) -> bool {
        let begin = self.lead(from).unwrap_or(from);
        let first = self.lowered.get(begin).map_or("", String::as_str);
        let begin = begin + usize::from(ARTICLES.contains(&first));
        let mut starts = begin..=begin + self.descriptions(begin);
        starts.any(|at| {
            let subject = self.subject(at);
            subject.is_some_and(|(_, end, _)| end == to || self.is_ground(end))
        })
    }

    /// What of some words is said of the whole picture: grounds, styles, and short parts between commas.
    fn kept(&self, range: Range<usize>) -> Vec<String> {
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

    /// The first subject that has an article or a number, else the first: where it begins and ends, and its name. Of subjects one after
    /// the other it is the last, which the others describe.
    fn main_subject(&self) -> Option<(usize, usize, String)> {
        let mut subjects: Vec<(usize, usize, String)> = Vec::new();
        let mut at = 0;
        while at < self.words.len() {
            let Some((start, end, name)) = self.subject(at) else {
                at += 1;
                continue;
            };
            at = end;
            match subjects.last_mut() {
                Some(last) if last.1 == start => *last = (last.0, end, name),
                _ => subjects.push((start, end, name)),
            }
        }
        let first = subjects
            .iter()
            .position(|(start, ..)| self.is_determined(*start));
        (!subjects.is_empty()).then(|| subjects.swap_remove(first.unwrap_or(0)))
    }

    /// Whether an article or a number is before word `at`, with at most a short description between.
    fn is_determined(&self, at: usize) -> bool {
        let before = self.lowered[..at].iter().rev().take(SHORT);
        let determines = |word: &str| ARTICLES.contains(&word) || number(word).is_some();
        let mut before = before.skip_while(|word| is_description(word) && !determines(word));
        before.next().is_some_and(|word| determines(word))
    }

    /// How many words from `at` on may describe a thing.
    fn descriptions(&self, at: usize) -> usize {
        let rest = self.lowered.get(at..).unwrap_or_default();
        let descriptions = rest.iter().take_while(|word| is_description(word));
        descriptions.take(DESCRIPTION).count()
    }

    /// The longest subject that begins at word `at`: there, where it ends, and what it is called.
    fn subject(&self, at: usize) -> Option<(usize, usize, String)> {
        let ends = (at + 1..=self.words.len()).take(NAME);
        let ends = ends.take_while(|end| self.words[end - 1] != ",");
        let named = ends.filter_map(|end| {
            let name = self.manifest.subject(&self.words[at..end].join(" "))?;
            Some((at, end, name.to_string()))
        });
        named.last()
    }

    /// The list that the prompt holds: at its beginning, or after a style that is told first.
    fn list(&self) -> Option<List> {
        let several = (0..self.words.len()).any(|at| {
            let relation = self
                .relation(at)
                .is_some_and(|(relation, _)| relation != Relation::Comma);
            relation || number(&self.lowered[at]).is_some()
        });
        if !several {
            return None;
        }
        let commas = (0..self.words.len()).filter(|&at| self.words[at] == ",");
        let mut starts = std::iter::once(0).chain(commas.map(|at| at + 1));
        let start = starts.find(|&start| self.first(start).is_some())?;
        let before = text_of(&self.words[..start]);
        let nothing_before = self.manifest.named_subject(&before).is_none();
        nothing_before.then(|| self.list_from(start))?
    }

    /// Where the lead ends that begins at `start`, if there is one.
    fn lead(&self, start: usize) -> Option<usize> {
        let mut places = (start + 1..self.words.len()).take_while(|&at| self.words[at] != ",");
        let of = places.find(|&at| {
            self.lowered[at] == "of" && PICTURES.contains(&self.lowered[at - 1].as_str())
        });
        of.map(|of| of + 1)
    }

    /// Where the lead ends that begins at `start`, and the item behind it.
    fn first(&self, start: usize) -> Option<(usize, Item)> {
        let end = self.lead(start).unwrap_or(start);
        Some((end, self.item(end)?))
    }

    fn list_from(&self, start: usize) -> Option<List> {
        let (lead, first) = self.first(start)?;
        let (mut items, mut relations) = (vec![first], Vec::new());
        loop {
            let (end, determined) = (items[items.len() - 1].words.end, items[0].determined);
            let Some((relation, length)) = self.relation(end) else {
                break;
            };
            let item = self.item(end + length);
            match item.filter(|item| relation != Relation::Comma || item.determined == determined) {
                Some(item) => items.push(item),
                // What follows a comma is said of all things.
                None if relation == Relation::Comma => break,
                None => return None,
            }
            relations.push(relation);
        }
        while relations.last() == Some(&Relation::Comma) {
            relations.pop();
            items.pop();
        }
        let lead = start..lead;
        Some(List {
            lead,
            items,
            relations,
        })
    }

    /// The thing that is named from word `at` on, and nothing more.
    fn item(&self, at: usize) -> Option<Item> {
        // A subject may be called "two hearts".
        let whole = self
            .name(at)
            .filter(|_| number(&self.lowered[at]).is_some());
        if let Some((end, name)) = whole {
            return Some(Item {
                words: at..end,
                described: at,
                named: at,
                name,
                determined: true,
                count: 1,
            });
        }
        let first = self.lowered.get(at)?.as_str();
        let count = number(first);
        let determined = count.is_some() || ARTICLES.contains(&first);
        let described = at + usize::from(determined);
        let descriptions = self.descriptions(described);
        let most = if determined { descriptions } else { 0 };
        let (named, (end, name)) =
            (described..=described + most).find_map(|named| Some((named, self.name(named)?)))?;
        Some(Item {
            words: at..end,
            described,
            named,
            name,
            determined,
            count: count.unwrap_or(1),
        })
    }

    /// Where the longest subject that begins at word `at` ends, and its name, if a list may go on or end behind it.
    fn name(&self, at: usize) -> Option<(usize, String)> {
        let ends = (at + 1..=self.words.len()).take(NAME);
        let ends = ends.take_while(|end| self.words[end - 1] != ",");
        let named = ends.filter_map(|end| {
            let name = self.manifest.subject(&self.words[at..end].join(" "))?;
            self.may_end(end).then(|| (end, name.to_string()))
        });
        named.last()
    }

    fn may_end(&self, at: usize) -> bool {
        at == self.words.len() || self.relation(at).is_some() || self.is_ground(at)
    }

    /// The relation that is told at word `at`, and in how many words.
    fn relation(&self, at: usize) -> Option<(Relation, usize)> {
        let rest = self.lowered.get(at..)?;
        let mut told = RELATIONS.iter().filter(|(words, _)| {
            rest.len() >= words.len() && words.iter().zip(rest).all(|(word, told)| word == told)
        });
        told.next()
            .map(|(words, relation)| (*relation, words.len()))
    }

    /// Whether a ground and nothing else is told of from word `at` on, up to a comma or the end.
    fn is_ground(&self, at: usize) -> bool {
        let part = self.lowered[at..].iter().map(String::as_str);
        let mut part = part.take_while(|word| *word != ",");
        let begins = part
            .next()
            .is_some_and(|word| BEFORE_GROUND.contains(&word));
        let rest: Vec<_> = part.collect();
        let others = rest.iter().any(|word| BEFORE_GROUND.contains(word));
        begins && !others && rest.last().is_some_and(|word| is_ground(word))
    }
}

fn is_ground(word: &str) -> bool {
    GROUNDS.contains(&word)
}

impl List {
    /// The things in rows, each with what is said of all.
    fn arranged(self, reader: &Reader<'_>) -> Option<Things> {
        let total: usize = self.items.iter().map(|item| item.count).sum();
        if !(2..=MOST).contains(&total) {
            return None;
        }
        let around = self.around(reader);
        let lead = text_of(&reader.words[self.lead.clone()]);
        let prompts = |items: &[Item]| -> Vec<String> {
            let each = items.iter().flat_map(|item| {
                let prompt = format!("{lead} {}{around}", item.alone(reader));
                std::iter::repeat_n(prompt.trim_start().to_string(), item.count)
            });
            each.collect()
        };
        let told = self.relations.iter().copied().enumerate();
        let places: Vec<_> = told
            .filter(|(_, relation)| !matches!(relation, Relation::Beside | Relation::Comma))
            .collect();
        let (rows, loose) = match places[..] {
            [] => (vec![prompts(&self.items)], true),
            [(at, relation)] => {
                let (here, there) = self.items.split_at(at + 1);
                let (here, there) = (prompts(here), prompts(there));
                let rows = match relation {
                    Relation::Before => vec![[here, there].concat()],
                    Relation::After => vec![[there, here].concat()],
                    Relation::Below => vec![there, here],
                    _ => vec![here, there],
                };
                (rows, false)
            }
            _ => return None,
        };
        Some(Things { rows, loose })
    }

    /// What is said of all things, after a comma.
    fn around(&self, reader: &Reader<'_>) -> String {
        let end = self.items[self.items.len() - 1].words.end;
        let said = [
            reader.kept(0..self.lead.start),
            reader.kept(end..reader.words.len()),
        ]
        .concat();
        let grounded = said
            .iter()
            .any(|said| said.to_lowercase().split_whitespace().any(is_ground));
        let ground = (!grounded).then(|| ANY_GROUND.to_string());
        let said = said.into_iter().chain(ground);
        said.map(|said| format!(", {said}")).collect()
    }
}

impl Item {
    /// The words that ask for one of it.
    fn alone(&self, reader: &Reader<'_>) -> String {
        if self.count == 1 {
            return text_of(&reader.words[self.words.clone()]);
        }
        let description = reader.words[self.described..self.named].iter().copied();
        let noun: Vec<_> = description.chain([self.name.as_str()]).collect();
        let noun = noun.join(" ");
        let article = if sounds_like_a_vowel(&noun) {
            "an"
        } else {
            "a"
        };
        format!("{article} {noun}")
    }
}

fn number(word: &str) -> Option<usize> {
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

fn is_description(word: &str) -> bool {
    word != "," && !NO_DESCRIPTIONS.contains(&word) && !word.ends_with(NO_DESCRIPTION_ENDS)
}

fn sounds_like_a_vowel(noun: &str) -> bool {
    let consonant = ["uni", "use", "ufo", "euro", "one"];
    let noun = noun.to_lowercase();
    noun.starts_with(['a', 'e', 'i', 'o', 'u'])
        && !consonant.iter().any(|start| noun.starts_with(start))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use plantain_weights::Model;

    use super::*;

    fn manifest() -> Manifest {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/weights");
        let model = Model::open(&Path::new(folder).join("turbo")).unwrap();
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

    #[track_caller]
    fn check(prompt: &str, loose: bool, expected: &[&[&str]]) {
        let things = Things::listed(prompt, &manifest());
        let things = things.unwrap_or_else(|| panic!("{prompt}: nothing found"));
        assert_eq!(
            (things.rows, things.loose),
            (
                expected
                    .iter()
                    .map(|row| row.iter().map(ToString::to_string).collect())
                    .collect(),
                loose
            ),
            "{prompt}"
        );
    }

    #[test]
    fn things_beside_each_other() {
        let on_teal = [
            "a red fox, on a teal background",
            "the rocket, on a teal background",
        ];
        for prompt in [
            "a red fox and the rocket on a teal background",
            "a red fox next to the rocket, on a teal background",
            "a red fox plus the rocket, on a teal background.",
        ] {
            check(prompt, true, &[&on_teal]);
        }
        let cat = "a cat, on a white background";
        check(
            "A Fox left of a cat",
            false,
            &[&["A Fox, on a white background", cat]],
        );
        check(
            "a big dog to the right of a cat",
            false,
            &[&[cat, "a big dog, on a white background"]],
        );
        check(
            "cat and dog",
            true,
            &[&["cat, on a white background", "dog, on a white background"]],
        );
        check(
            "a cat next to glasses",
            true,
            &[&[cat, "glasses, on a white background"]],
        );
        let three = ["cat", "dog", "T-shirt"]
            .map(|name| format!("a {name}, cartoon, on an orange background"));
        let three = [three[0].as_str(), three[1].as_str(), three[2].as_str()];
        check(
            "a cat, a dog, and a T-shirt, cartoon, on an orange background",
            true,
            &[&three],
        );
        check(
            "a cat, a dog and a T-shirt, cartoon, on an orange background",
            true,
            &[&three],
        );
        check(
            "cartoon, a cat, a dog and a T-shirt on an orange background",
            true,
            &[&three],
        );
    }

    #[test]
    fn what_is_said_of_all() {
        let fox = "a 3d render of a fox, glossy, on a red and white background";
        let pizza = "a 3d render of a slice of pizza, glossy, on a red and white background";
        check(
            "a 3d render of a fox and a slice of pizza, glossy, on a red and white background",
            true,
            &[&[fox, pizza]],
        );
        let cats = ["watercolor painting of a cat, on a white background"; 2];
        check("watercolor painting of two cats", true, &[&cats]);
        let painted = [
            "a fox, oil painting, on a white background",
            "a rocket, oil painting, on a white background",
        ];
        check("a fox and a rocket, oil painting", true, &[&painted]);
    }

    #[test]
    fn things_above_each_other() {
        let (cat, dog) = (
            "a cat, on a white background",
            "a dog, on a white background",
        );
        check("two cats on top of a dog", false, &[&[cat, cat], &[dog]]);
        check("a dog under two cats", false, &[&[cat, cat], &[dog]]);
        check(
            "a fox above a cat and a dog",
            false,
            &[&["a fox, on a white background"], &[cat, dog]],
        );
    }

    #[test]
    fn counts() {
        let apple = "a red apple, 3d render, on a pink background";
        check(
            "three red apples, 3d render, on a pink background",
            true,
            &[&[apple; 3]],
        );
        let fox = "a fox, on a white background";
        check(
            "2 foxes and two hearts",
            true,
            &[&[fox, fox, "two hearts, on a white background"]],
        );
        check(
            "Two slices of pizza",
            true,
            &[&["a slice of pizza, on a white background"; 2]],
        );
        check(
            "four unicorns and an apple",
            true,
            &[&[
                "a unicorn, on a white background",
                "a unicorn, on a white background",
                "a unicorn, on a white background",
                "a unicorn, on a white background",
                "an apple, on a white background",
            ]],
        );
    }

    #[test]
    fn other_prompts_stay_one() {
        for prompt in [
            "",
            ",",
            "and",
            "of",
            "a",
            "two",
            "a fox",
            "a fox and",
            "one fox, 3d render",
            "and a fox",
            "two hearts",
            "a hammer and wrench, cartoon",
            "a fox and a unicycle",
            "a fox with a cat",
            "a cat with a crown and glasses",
            "a fox, on a red and white background",
            "(a fox:1.2) and a cat",
            "a hundred foxes",
            "two foxes and nine cats",
            "ünïcode, fox ünd cat",
            "a robot, wearing a crown, on a red and white background",
            "a fox, soft orange light, black and white",
            "an orange and white cat",
            "a robot sleeping and holding a crown",
            "a crown and a cat on it",
            "two-tone cat",
            "3-D fox and friends",
            "8-bit fox",
            "a robot with four crowns",
            "a fox with the number 5",
            "a pair of glasses",
            "three foxes in the city",
            "a group of three cats",
            "a fox on the right and a cat on the left",
            "a fox above a cat above a dog",
            "3d render of a fox",
            "a fox and a cat playing chess",
            "a fox and a cat on a beach",
            "orange and apple pie",
        ] {
            assert_eq!(Things::listed(prompt, &manifest()), None, "{prompt}");
        }
        let mut scenes = manifest();
        scenes.plain_ground = false;
        assert_eq!(Things::listed("a fox and a cat", &scenes), None);
    }

    #[test]
    fn what_a_thing_does_is_left_out() {
        let plain = |prompt: &str| plainly(prompt, &manifest());
        for (prompt, expected) in [
            ("an angry robot waving hello", "a robot"),
            ("red fox in autumn leaves", "a red fox"),
            (
                "a cat wearing a crown, 3d render, on a pink background",
                "a cat, 3d render, on a pink background",
            ),
            (
                "a cat with a hat on a pink background, glossy",
                "a cat, on a pink background, glossy",
            ),
            (
                "3d render of a dog that plays, with a long story of what it does",
                "3d render of a dog",
            ),
            ("Slices of pizza for everyone!", "a slice of pizza"),
            ("fox and unicycle", "a fox"),
            ("an orange cat sleeping", "a cat"),
            ("people watch a rocket launch, no clutter", "a rocket"),
            (
                "a robot with arms standing in a field, friendly, 3d render on a blue background",
                "a robot, friendly, on a blue background",
            ),
            (
                "a rocket launching on a plain blue background with stars",
                "a rocket, on a plain blue background",
            ),
            ("a fox jumping in cartoon style", "a fox, in cartoon style"),
            ("cartoon, a fox that sleeps", "a fox, cartoon"),
        ] {
            assert_eq!(plain(prompt).as_deref(), Some(expected), "{prompt}");
        }
        for prompt in [
            "",
            "a unicycle",
            "a fox",
            "a cute red fox, 3d render, on a red and white background",
            "a photo of a fox",
            "fox, cartoon",
            "(a fox:1.2) jumps",
            "cartoon, a fox",
            "cartoon rocket on a blue background",
        ] {
            assert_eq!(plain(prompt), None, "{prompt}");
        }
    }

    #[test]
    #[cfg(feature = "embedded-model")]
    fn the_built_in_model_is_asked_for_several_things_by_lists_alone() {
        let model = crate::default_model().unwrap();
        let several = |prompt: &str| {
            Things::listed(prompt, model.manifest()).map(|things| things.prompts().len())
        };
        for (prompt, count) in [
            (
                "a fox and a rocket, 3d render, on a teal background",
                Some(2),
            ),
            (
                "three apples, flat illustration, on a white background",
                Some(3),
            ),
            ("a cat, a dog and a fox", Some(3)),
            ("a fox, 3d render, on a red and white background", None),
            ("a cute fox sitting and looking at the camera", None),
            ("an orange and white cat", None),
            ("a pair of glasses", None),
            ("a birthday cake with two candles", None),
        ] {
            assert_eq!(several(prompt), count, "{prompt}");
        }
    }
}
