//! Prompts that ask for several things, for models that draw one at a time.
//!
//! Only what is plainly a list of things is taken for one: an item is an article or a number, words of description, and a subject of
//! the model, with nothing behind it.

use std::ops::Range;

use plantain_weights::Manifest;

use super::plain::ANY_GROUND;
use super::reader::{
    ARTICLES, MOST, ONE, Reader, calls_picture, is_of_parts, is_plural, is_weighted, number, read,
    tells_ground, text_of, with_article,
};
use super::styles::{Styled, Untaught, styled};

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

/// What may be said of a whole list behind it, which is drawn so anyway, besides that these are icons.
const CLOSINGS: [&[&str]; 4] = [
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
    /// What the prompt says behind them that is not drawn.
    pub(crate) left_out: String,
    /// The styles that some were not taught in.
    pub(crate) untaught: Vec<Untaught>,
}

impl Things {
    /// The things that `prompt` asks for, where it is for a model that draws single things on plain grounds, and lists at least two
    /// of its subjects, or a number of one.
    pub(crate) fn listed(prompt: &str, manifest: &Manifest) -> Option<Self> {
        // Weights of parts would be torn apart.
        let words = read(prompt, manifest).filter(|_| !is_weighted(prompt))?;
        let reader = Reader::new(&words, manifest);
        reader.list()?.arranged(&reader)
    }

    /// The prompts of all things, row by row.
    pub(crate) fn prompts(&self) -> Vec<String> {
        self.rows.concat()
    }
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

impl Reader<'_> {
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
            let alike = |item: &Item| {
                let noun = self.lowered[item.words.clone()].last();
                item.determined == determined || noun.is_some_and(|noun| is_plural(noun))
            };
            match item.filter(|item| relation != Relation::Comma || alike(item)) {
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
            .thing(at)
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
            (described..=described + most).find_map(|named| Some((named, self.thing(named)?)))?;
        // "Three headed dragon" is one.
        let one = self.lowered[named..end].join(" ") == name.to_lowercase();
        let parts = self.lowered[described..named].last();
        if count.is_some() && one && parts.is_some_and(|word| is_of_parts(word)) {
            return None;
        }
        Some(Item {
            words: at..end,
            described,
            named,
            name,
            determined,
            count: count.unwrap_or(1),
        })
    }

    /// The longest subject that begins at word `at` and behind which a list may go on or end.
    fn thing(&self, at: usize) -> Option<(usize, String)> {
        self.subject(at, |end| self.may_end(end))
    }

    fn may_end(&self, at: usize) -> bool {
        let at = at + self.closing(at);
        at == self.words.len() || self.relation(at).is_some() || self.is_ground(at)
    }

    /// How many words from word `at` on are said of the list before.
    fn closing(&self, at: usize) -> usize {
        let rest = self.lowered.get(at..).unwrap_or_default();
        let told = CLOSINGS.iter().find(|words| begins(rest, words));
        let pictures = || match rest {
            [word, set, ..] if calls_picture(word) && set == "set" => 2,
            [word, ..] if calls_picture(word) => 1,
            _ => 0,
        };
        let length = told.map_or_else(pictures, |words| words.len());
        if length == 0 {
            return 0;
        }
        length + self.closing(at + length)
    }

    /// The relation that is told at word `at`, and in how many words.
    fn relation(&self, at: usize) -> Option<(Relation, usize)> {
        let rest = self.lowered.get(at..)?;
        let told = RELATIONS.iter().find(|(words, _)| begins(rest, words));
        told.map(|(words, relation)| (*relation, words.len()))
    }
}

/// Whether these words are the first of some.
fn begins(rest: &[String], words: &[&str]) -> bool {
    rest.len() >= words.len() && words.iter().zip(rest).all(|(word, told)| word == told)
}

impl List {
    /// The things in rows, each with what is said of all.
    fn arranged(self, reader: &Reader<'_>) -> Option<Things> {
        let total: usize = self.items.iter().map(|item| item.count).sum();
        if !(2..=MOST).contains(&total) {
            return None;
        }
        let (around, left_out) = self.around(reader);
        let lead = text_of(&reader.words[self.lead.clone()]);
        let whole = text_of(reader.words);
        let mut untaught = Vec::new();
        let mut prompts = |items: &[Item]| -> Vec<String> {
            let each = items.iter().flat_map(|item| {
                let thing = format!("{lead} {}{around}", item.alone(reader));
                let thing = thing.trim_start().to_string();
                let Styled {
                    prompt,
                    untaught: other,
                } = styled(&whole, thing, true, reader.manifest);
                untaught.extend(other);
                std::iter::repeat_n(prompt, item.count)
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
        Some(Things {
            rows,
            loose,
            left_out,
            untaught,
        })
    }

    /// What is said of all things, after a comma, and what is left out.
    fn around(&self, reader: &Reader<'_>) -> (String, String) {
        let end = self.items[self.items.len() - 1].words.end;
        let end = end + reader.closing(end);
        let (before, left_before) = reader.kept(0..self.lead.start);
        let (behind, left_behind) = reader.kept(end..reader.words.len());
        let said = [before, behind].concat();
        let grounded = said.iter().any(|said| tells_ground(said));
        let ground = (!grounded).then(|| ANY_GROUND.to_string());
        let said = said.into_iter().chain(ground);
        let around = said.map(|said| format!(", {said}")).collect();
        (around, text_of(&[left_before, left_behind].concat()))
    }
}

impl Item {
    /// The words that ask for one of it.
    fn alone(&self, reader: &Reader<'_>) -> String {
        if self.count == 1 && reader.words[self.words.start] != ONE {
            return text_of(&reader.words[self.words.clone()]);
        }
        let description = reader.words[self.described..self.named].iter().copied();
        let noun: Vec<_> = description.chain([self.name.as_str()]).collect();
        with_article(&noun.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prompt::reader::taught;

    #[track_caller]
    fn check(prompt: &str, loose: bool, expected: &[&[&str]]) {
        let things = Things::listed(prompt, &taught());
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
            "a red fox and the rocket; on a teal background",
        ] {
            check(prompt, true, &[&on_teal]);
        }
        for prompt in [
            "a red fox and the rocket side by side on a teal background",
            "a red fox and the rocket icon set, on a teal background",
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
        let on_navy = ["a fox, on navy, Cartoon", "a cat, on navy, Cartoon"];
        check("a fox and a cat on navy; Cartoon", true, &[&on_navy]);
        let on_two = [
            "a fox, on red and white background",
            "a cat, on red and white background",
        ];
        check(
            "a fox and a cat on red and white background",
            true,
            &[&on_two],
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
            "1 fox and 2 red cat",
            true,
            &[&[
                fox,
                "a red cat, on a white background",
                "a red cat, on a white background",
            ]],
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
    fn a_style_is_added_to_each_where_none_is_named() {
        let mut manifest = taught();
        manifest.styles = ["3d render", "cartoon"]
            .map(|name| vec![name.into()])
            .to_vec();
        let drawn = |prompt: &str| Things::listed(prompt, &manifest).unwrap().prompts();
        let both = |style: &str| {
            ["cat", "dog"].map(|name| format!("a {name}, {style}, on a white background"))
        };
        assert_eq!(drawn("a cat and a dog"), both("3d render"));
        assert_eq!(drawn("a cat and a dog, cartoon"), both("cartoon"));
        assert_eq!(
            drawn("a cartoon cat and a dog"),
            [
                "a cartoon cat, on a white background",
                "a dog, cartoon, on a white background"
            ]
        );
        let told = Things::listed(
            "a cat and a dog, cartoon, which play chess there",
            &manifest,
        );
        assert_eq!(told.unwrap().left_out, "which play chess there");
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
            "three headed fox",
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
            "a fox and a cat on the ground",
            "orange and apple pie",
        ] {
            assert_eq!(Things::listed(prompt, &taught()), None, "{prompt}");
        }
        let mut scenes = taught();
        scenes.plain_ground = false;
        assert_eq!(Things::listed("a fox and a cat", &scenes), None);
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
