//! Prompts that ask for several things, for models that draw one at a time.
//!
//! Only what is plainly a list of things is taken for one: an item is an article or a number, words of description, and a subject of
//! the model, and behind the last one may be told where they are or what they do.

use std::ops::Range;

use super::caption::Thing;
use super::colours::{is_colour, is_colour_word};
use super::reader::Reader;
use super::styles::Untaught;
use super::words::{ARTICLES, DOING, MOST, begins, calls_picture, is_plural, number};

/// What stands between two things; of phrases that begin alike the longer comes first.
const RELATIONS: [(&[&str], Relation); 19] = [
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
    (&["vs"], Relation::Beside),
    (&[","], Relation::Comma),
];

/// What begins to tell where the things of a list are, or more of them.
const FURTHER: [&str; 8] = ["in", "on", "at", "near", "with", "for", "who", "that"];

/// What may be said of a whole list behind it, which is drawn so anyway.
const ARRANGEMENTS: [&[&str]; 4] = [
    &["in", "a", "row"],
    &["in", "a", "line"],
    &["side", "by", "side"],
    &["together"],
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Relation {
    Before,
    After,
    Above,
    Below,
    Beside,
    /// Beside, where things follow as they came before.
    Comma,
}

/// Several things that a prompt asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Things {
    /// For each thing the prompt that asks for it alone, in rows from top to bottom, each from left to right.
    pub(crate) rows: Vec<Vec<String>>,
    /// Whether the prompt does not tell where each thing is, so that a row may be broken into several.
    pub(crate) loose: bool,
    /// What the prompt says besides, which is not drawn.
    pub(crate) left_out: String,
    /// The styles that some were not taught in.
    pub(crate) untaught: Vec<Untaught>,
}

impl Things {
    /// The prompts of all things, row by row.
    pub(crate) fn prompts(&self) -> Vec<String> {
        self.rows.concat()
    }
}

/// A thing, or several alike, as a list names it.
#[derive(Debug, Clone)]
struct Item<'a> {
    /// From its article or number on.
    words: Range<usize>,
    /// Where its name is, and what the list of subjects calls it.
    named: Range<usize>,
    name: &'a str,
    /// Whether it has an article or a number.
    determined: bool,
    count: usize,
}

/// Things and what stands between them.
struct List<'a> {
    items: Vec<Item<'a>>,
    relations: Vec<Relation>,
}

impl<'a> Reader<'a> {
    /// The things that the prompt asks for, where the model draws single things on plain grounds and it lists at least two of its subjects,
    /// or a number of one.
    pub(super) fn things(&self) -> Option<Things> {
        let apart = self.manifest.plain_ground;
        apart.then(|| self.list()?.arranged(self)).flatten()
    }

    /// The list that the prompt holds: at its beginning, or after a style that is told first.
    fn list(&self) -> Option<List<'a>> {
        let told = |at: usize| self.relation(at).is_some() || number(&self.lowered[at]).is_some();
        if !(0..self.words.len()).any(told) {
            return None;
        }
        let commas = (0..self.words.len()).filter(|&at| self.words[at] == ",");
        let mut starts = std::iter::once(0).chain(commas.map(|at| at + 1));
        let start = starts.find(|&start| self.first(start).is_some())?;
        let nothing_before = (0..start).all(|at| self.subject(at, |_| true).is_none());
        nothing_before.then(|| self.list_from(start))?
    }

    /// The item that is named first from `start` on, behind what its picture is called.
    fn first(&self, start: usize) -> Option<Item<'a>> {
        self.item(self.lead(start).unwrap_or(start))
    }

    fn list_from(&self, start: usize) -> Option<List<'a>> {
        let (mut items, mut relations) = (vec![self.first(start)?], Vec::new());
        loop {
            let last = &items[items.len() - 1];
            let end = last.words.end + self.pictures(last.words.end);
            let Some((relation, length)) = self.relation(end) else {
                break;
            };
            let joins = matches!(relation, Relation::Beside | Relation::Comma);
            let with = self.lowered[last.named.clone()]
                .iter()
                .any(|word| word == "with");
            let item = self.item(end + length);
            let alike = |item: &Item<'_>| {
                let noun = self.lowered[item.words.clone()].last();
                item.determined == items[0].determined || noun.is_some_and(|noun| is_plural(noun))
            };
            match item.filter(|item| relation != Relation::Comma || alike(item)) {
                // "A man with a beard and glasses" has both.
                Some(item) if with && joins && !item.determined => return None,
                Some(item) => items.push(item),
                // What follows a comma is said of all things.
                None if relation == Relation::Comma => break,
                None => return None,
            }
            relations.push(relation);
        }
        // Behind the last "and", what has no article may be said of all things.
        while relations.last() == Some(&Relation::Comma)
            && items.pop_if(|item| !item.determined).is_some()
        {
            relations.pop();
        }
        Some(List { items, relations })
    }

    /// The thing that is named from word `at` on, and nothing more.
    fn item(&self, at: usize) -> Option<Item<'a>> {
        // A subject may be called "two hearts".
        let whole = self
            .thing(at)
            .filter(|_| number(&self.lowered[at]).is_some());
        if let Some((end, name)) = whole {
            return Some(Item {
                words: at..end,
                named: at..end,
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
        let most = if determined {
            descriptions
        } else {
            self.colour_words(at)
        };
        let (named, (end, name)) =
            (described..=described + most).find_map(|named| Some((named, self.thing(named)?)))?;
        // "Three headed dragon" and "five star hotel" are one.
        let one = self.lowered[named..end].join(" ") == name.to_lowercase();
        let described = self.lowered[described..named].iter();
        if count.is_some() && one && described.clone().any(|word| !is_colour_word(word)) {
            return None;
        }
        Some(Item {
            words: at..end,
            named: named..end,
            name,
            determined,
            count: count.unwrap_or(1),
        })
    }

    /// How many words from `at` on tell a colour of what follows; none where they tell one with the colour before ("orange and white cat").
    fn colour_words(&self, at: usize) -> usize {
        let joined = matches!(&self.lowered[..at], [.., before, _] if is_colour(before));
        let colours = self.lowered[at..]
            .iter()
            .take_while(|word| is_colour_word(word));
        if joined { 0 } else { colours.count() }
    }

    /// The longest subject that begins at word `at` and behind which a list may go on or end.
    fn thing(&self, at: usize) -> Option<(usize, &'a str)> {
        self.subject(at, |end| self.may_end(end))
    }

    fn may_end(&self, at: usize) -> bool {
        let at = self.mention_end(at).unwrap_or(at);
        let at = at + self.closing(at);
        let Some(word) = self.lowered.get(at) else {
            return true;
        };
        // Where they are and what they do is not drawn of one thing either.
        let further = FURTHER.contains(&word.as_str()) || word.ends_with(DOING);
        further || self.relation(at).is_some() || self.grounds[at].is_some()
    }

    /// How many words from word `at` on are said of the list before: how it is arranged, and that it is of pictures.
    fn closing(&self, at: usize) -> usize {
        let arranged = self.arrangement(at);
        let length = arranged.unwrap_or_else(|| self.pictures(at));
        if length == 0 {
            return 0;
        }
        length + self.closing(at + length)
    }

    /// How many words from word `at` on call what is named before them pictures.
    fn pictures(&self, at: usize) -> usize {
        match self.lowered.get(at..) {
            Some([word, set, ..]) if calls_picture(word) && set == "set" => 2,
            Some([word, ..]) if calls_picture(word) => 1,
            _ => 0,
        }
    }

    /// How many words from word `at` on say that things lie as they do anyway.
    fn arrangement(&self, at: usize) -> Option<usize> {
        let rest = self.lowered.get(at..)?;
        let told = ARRANGEMENTS.iter().find(|words| begins(rest, words));
        told.map(|words| words.len())
    }

    /// The relation that is told at word `at`, and in how many words.
    fn relation(&self, at: usize) -> Option<(Relation, usize)> {
        let rest = self.lowered.get(at..)?;
        let told = RELATIONS.iter().find(|(words, _)| begins(rest, words));
        told.map(|(words, relation)| (*relation, words.len()))
    }
}

impl List<'_> {
    /// The things in rows, each with what is said of all.
    fn arranged(self, reader: &Reader<'_>) -> Option<Things> {
        let total: usize = self.items.iter().map(|item| item.count).sum();
        if !(2..=MOST).contains(&total) {
            return None;
        }
        let ground = reader.coloured_ground();
        let mut told = reader.told_of_all(ground.as_ref());
        let last = self.items.last()?;
        let behind = last.words.end..reader.words.len();
        let closings = behind.filter_map(|at| Some(at..at + reader.arrangement(at)?));
        let pairs = self.items.windows(2);
        let between = pairs.map(|pair| pair[0].words.end..pair[1].words.start);
        for words in between.chain(closings) {
            told[words].fill(true);
        }
        let mut untaught = Vec::new();
        let mut prompts = |items: &[Item<'_>]| -> Vec<String> {
            let each = items.iter().flat_map(|item| {
                let thing = item.thing(reader);
                reader.mark(&thing, &mut told);
                told[item.words.start] |= item.determined;
                let (prompt, other) = reader.told(&thing, ground.as_ref(), true);
                untaught.extend(other);
                std::iter::repeat_n(prompt, item.count)
            });
            each.collect()
        };
        let related = self.relations.iter().copied().enumerate();
        let places: Vec<_> = related
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
        let words = reader.words.iter().zip(&told);
        let left_out = words
            .filter(|(_, told)| !**told)
            .map(|(word, _)| word.as_str());
        Some(Things {
            rows,
            loose,
            left_out: Vec::from_iter(left_out).join(" "),
            untaught,
        })
    }
}

impl<'a> Item<'a> {
    fn thing(&self, reader: &Reader<'_>) -> Thing<'a> {
        // Of a "red fox plus cat" the cat is not red.
        let colour = reader.colour_before(self.named.start);
        let colour = colour.filter(|(words, _)| words.start >= self.words.start);
        Thing {
            words: self.words.clone(),
            named: self.named.clone(),
            name: self.name,
            colour,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prompt::reader::taught;

    /// Checks what is drawn, all of it in 3D and on white unless told otherwise.
    #[track_caller]
    fn check(prompt: &str, loose: bool, expected: &[&[&str]]) {
        let things = Reader::new(prompt, &taught()).things();
        let things = things.unwrap_or_else(|| panic!("{prompt}: nothing found"));
        let usual = |prompt: &String| {
            let prompt = prompt.replace(", 3d render", "");
            prompt.replace(", on a white background", "")
        };
        let rows = things.rows.iter();
        let rows: Vec<Vec<_>> = rows.map(|row| row.iter().map(usual).collect()).collect();
        assert_eq!(rows, expected, "{prompt}");
        assert_eq!(things.loose, loose, "{prompt}");
    }

    #[test]
    fn things_beside_each_other() {
        let on_teal = [
            "a red fox, on a teal background",
            "a rocket, on a teal background",
        ];
        for prompt in [
            "a red fox and the rocket on a teal background",
            "a red fox next to the rocket, on a teal background",
            "a red fox plus the rocket, on a teal background.",
            "a red fox and the rocket; on a teal background",
            "a red fox and the rocket side by side on a teal background",
            "a red fox and the rocket icon set, on a teal background",
            "red fox and rocket, teal background",
        ] {
            check(prompt, true, &[&on_teal]);
        }
        check("A Fox left of a cat", false, &[&["a fox", "a cat"]]);
        check(
            "a big dog to the right of a cat",
            false,
            &[&["a cat", "a dog"]],
        );
        for prompt in [
            "cat and dog",
            "cat & dog",
            "cat vs. dog",
            "a (cat) and a (dog:1.2)",
            "a cat icon and a dog icon",
            "a cat, a dog",
            "a running cat and a dog in the snow",
            "a cat and a dog playing chess",
        ] {
            check(prompt, true, &[&["a cat", "a dog"]]);
        }
        check("a cat next to glasses", true, &[&["a cat", "glasses"]]);
        check("red apple plus cat", true, &[&["a red apple", "a cat"]]);
        check(
            "red apple and blue cat",
            true,
            &[&["a red apple", "a blue cat"]],
        );
        let three = ["cat", "dog", "t-shirt"]
            .map(|name| format!("a {name}, cartoon, on an orange background"));
        let three = [three[0].as_str(), three[1].as_str(), three[2].as_str()];
        for prompt in [
            "a cat, a dog, and a T-shirt, cartoon, on an orange background",
            "a cat, a dog and a T-shirt, cartoon, on an orange background",
            "cartoon, a cat, a dog and a T-shirt on an orange background",
            "a cat, a dog and a T-shirt cartoon, on an orange background",
        ] {
            check(prompt, true, &[&three]);
        }
    }

    #[test]
    fn what_is_said_of_all() {
        for prompt in [
            "a flat drawing of a fox and a slice of pizza, glossy, on a red and white background",
            "flat, a fox and a slice of pizza on red and white background",
        ] {
            let both = ["a fox", "a slice of pizza"]
                .map(|thing| format!("{thing}, flat illustration, on a red background"));
            check(prompt, true, &[&[&both[0], &both[1]]]);
        }
        check("watercolor painting of two cats", true, &[&["a cat"; 2]]);
        let left_out = |prompt: &str| Reader::new(prompt, &taught()).things().unwrap().left_out;
        for (prompt, expected) in [
            ("a fox and two cats, cartoon, side by side on teal", ""),
            ("an icon of a red fox to the left of a cat", ""),
            ("a fox and a cat, oil painting", "oil painting"),
            (
                "a cute fox and a cat on a red and white background",
                "cute white",
            ),
            ("a fox and a cat, which play Chess there", "play Chess"),
        ] {
            assert_eq!(left_out(prompt), expected, "{prompt}");
        }
    }

    #[test]
    fn things_above_each_other() {
        let rows: [&[&str]; 2] = [&["a cat", "a cat"], &["a dog"]];
        check("two cats on top of a dog", false, &rows);
        check("a dog under two cats", false, &rows);
        check(
            "a fox above a cat and a dog",
            false,
            &[&["a fox"], &["a cat", "a dog"]],
        );
    }

    #[test]
    fn counts() {
        let apple = "a red apple, on a pink background";
        check(
            "three red apples, 3d render, on a pink background",
            true,
            &[&[apple; 3]],
        );
        check(
            "2 foxes and two hearts",
            true,
            &[&["a fox", "a fox", "two hearts"]],
        );
        check(
            "1 fox and 2 red cat",
            true,
            &[&["a fox", "a red cat", "a red cat"]],
        );
        check("Two slices of pizza", true, &[&["a slice of pizza"; 2]]);
        let unicorns = [
            "a unicorn",
            "a unicorn",
            "a unicorn",
            "a unicorn",
            "an apple",
        ];
        check("four unicorns and an apple", true, &[&unicorns]);
    }

    #[test]
    fn each_is_drawn_in_the_style_that_is_told_of_it() {
        let drawn = |prompt: &str| Reader::new(prompt, &taught()).things().unwrap().prompts();
        let cat_and_dog = |cat: &str, dog: &str| {
            [("cat", cat), ("dog", dog)]
                .map(|(name, style)| format!("a {name}, {style}, on a white background"))
        };
        for (prompt, cat, dog) in [
            ("a cat and a dog", "3d render", "3d render"),
            ("a cat and a dog, cartoon", "cartoon", "cartoon"),
            (
                "a cartoon cat and a flat dog",
                "cartoon",
                "flat illustration",
            ),
            ("a cartoon cat and a dog", "cartoon", "cartoon"),
        ] {
            assert_eq!(drawn(prompt), cat_and_dog(cat, dog), "{prompt}");
        }
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
            "orange and white cat",
            "a fox and a unicycle",
            "a fox with a cat",
            "a cat with a crown and glasses",
            "a fox, on a red and white background",
            "a hundred foxes",
            "three headed fox",
            "two foxes and nine cats",
            "ünïcode, fox ünd cat",
            "a robot, wearing a crown, on a red and white background",
            "a fox, soft orange light, black and white",
            "an orange and white cat",
            "a robot sleeping and holding a crown",
            "two-tone cat",
            "3-D fox and friends",
            "8-bit fox",
            "a robot with four crowns",
            "a fox with the number 5",
            "a pair of glasses",
            "a group of three cats",
            "a fox on the right and a cat on the left",
            "a fox above a cat above a dog",
            "3d render of a fox",
            "orange and apple pie",
        ] {
            assert_eq!(Reader::new(prompt, &taught()).things(), None, "{prompt}");
        }
        let mut scenes = taught();
        scenes.plain_ground = false;
        assert_eq!(Reader::new("a fox and a cat", &scenes).things(), None);
    }

    #[test]
    #[cfg(feature = "embedded-model")]
    fn the_built_in_model_is_asked_for_several_things_by_lists_alone() {
        let model = crate::default_model().unwrap();
        let several = |prompt: &str| {
            Reader::new(prompt, model.manifest())
                .things()
                .map(|things| things.prompts().len())
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
