//! Which of the subjects that a prompt names is meant.

use std::ops::Range;

use super::colours::{is_colour, is_colour_word, one_colour};
use super::grounds::is_ground;
use super::reader::{Reader, SHORT};
use super::words::{
    ARTICLES, DOING, calls_picture, is_adjective, is_description, is_of_parts, number,
};

/// What stands between two colours of one thing.
const BETWEEN_COLOURS: [&str; 3] = ["and", "or", ","];
/// What begins to tell more of the thing before it, besides where it is.
const MORE_OF_IT: [&str; 9] = [
    "with",
    "for",
    "that",
    "which",
    "who",
    "as",
    "by",
    "from",
    "alongside",
];
/// What begins to tell where the thing before it is ("fox in the snow"), so that the one behind it is not meant.
const PLACES: [&str; 18] = [
    "in", "on", "at", "near", "behind", "beside", "under", "over", "above", "below", "against",
    "inside", "to", "into", "onto", "through", "around", "between",
];
/// What is made to show another thing than its name begins with: "cat poster with a fox".
const SHOWING: [&str; 8] = [
    "poster",
    "banner",
    "flyer",
    "card",
    "cover",
    "wallpaper",
    "invitation",
    "postcard",
];
/// What holds or gathers what is named behind its "of", which is meant.
const CONTAINERS: [&str; 15] = [
    "box", "bag", "bowl", "cup", "mug", "bin", "cart", "list", "rain", "sea", "ocean", "world",
    "vase", "basket", "school",
];
/// Names of things that are something done where they stand behind another: "a bird flies".
const DONE: [&str; 6] = ["fly", "flies", "wave", "waves", "cooks", "painting"];
/// Who may be told more of by what they are called: "man with a laptop", "woman running".
const PEOPLE: [&str; 10] = [
    "man", "men", "woman", "women", "person", "people", "boy", "girl", "family", "couple",
];
/// Nouns that end as what a thing does.
const NOTHING_DONE: [&str; 5] = ["wedding", "morning", "evening", "spring", "string"];
/// What no colour is told of: "black friday".
const NEVER_COLOURED: &str = "friday";

/// A subject that a prompt names.
#[derive(Debug, Clone)]
pub(super) struct Subject<'a> {
    /// Where it begins, with another subject that describes it, and where its name does.
    start: usize,
    pub(super) named: Range<usize>,
    /// What the list of subjects calls it.
    pub(super) name: &'a str,
}

impl<'a> Reader<'a> {
    /// The first subject that has an article or a number, or of which more is told, and tells no place, else the first that tells none,
    /// else the first. Of subjects one after the other it is the last, which the others describe, or hold ("a bowl of soup"). What tells of
    /// the ground or a style is none, nor is what the picture is called.
    pub(super) fn main_subject(&self) -> Option<Subject<'a>> {
        let mut subjects: Vec<Subject<'a>> = Vec::new();
        let mut at = 0;
        while at < self.words.len() {
            let lead = self.begins_part(at).then(|| self.lead(at)).flatten();
            if let Some(behind) = lead.or(self.grounds[at]) {
                at = behind;
                continue;
            }
            let style = self.mention_end(at).unwrap_or(at);
            let subject = self.subject(at, |_| true).filter(|(end, _)| *end >= style);
            let subject = subject.filter(|(end, _)| {
                !self.negated[at] && !self.hides_longer(at, *end) && !self.is_done(at, *end)
            });
            let Some((end, name)) = subject else {
                at = style.max(at + 1);
                continue;
            };
            let named = at..end;
            at = end;
            let described = subjects.pop_if(|last| {
                let end = last.named.end;
                end == named.start
                    || self.is_colour_of(last, named.start)
                    || self.describes(last, named.start)
            });
            let start = described.map_or(named.start, |last| last.start);
            subjects.push(Subject { start, named, name });
        }
        let meant = |subject: &Subject<'_>| {
            self.is_determined(subject.start)
                || self.goes_on(subject.named.end)
                || is_told_more_of(subject.name)
        };
        let free = |subject: &Subject<'_>| !self.is_place(subject.start) && !self.is_shade(subject);
        let first = |is: &dyn Fn(&Subject<'_>) -> bool| subjects.iter().position(is);
        let first = first(&|subject| free(subject) && meant(subject)).or_else(|| first(&free));
        (!subjects.is_empty()).then(|| subjects.swap_remove(first.unwrap_or(0)))
    }

    /// The colour that is told before a thing's name, with at most some description between, if it is one alone; and where.
    pub(super) fn colour_before(&self, name: usize) -> Option<(Range<usize>, &'static str)> {
        let before = self.lowered[..name].iter().rev();
        let between = before.take_while(|word| {
            is_adjective(word) && !is_of_parts(word) && !is_colour_word(word) && !is_ground(word)
        });
        let end = name - between.count();
        if self.lowered[end] == NEVER_COLOURED {
            return None;
        }
        let told = self.lowered[..end].iter().rev();
        let start = end - told.take_while(|word| is_colour_word(word)).count();
        let joined = matches!(&self.lowered[..start], [.., first, and] if is_colour_word(first) && BETWEEN_COLOURS.contains(&and.as_str()));
        let colour = one_colour(&self.lowered[start..end]).filter(|_| !joined);
        // A "golden retriever puppy" is not golden.
        let told = colour.map(|(told, colour)| (start + told.start..start + told.end, colour));
        told.filter(|(words, _)| !self.is_within_name(words, name) && !self.negated[words.start])
    }

    /// Whether a subject tells only of the looks of what is named at word `at` ("chocolate brown dog"), or holds it ("box of pencils").
    fn describes(&self, subject: &Subject<'_>, at: usize) -> bool {
        let between = &self.lowered[subject.named.end..at];
        let looks = |word: &String| is_colour_word(word) || word.ends_with("ed") || word == "cold";
        let holds = CONTAINERS.contains(&subject.name)
            && between.split_first().is_some_and(|(of, rest)| {
                of == "of" && rest.len() <= SHORT && rest.iter().all(|word| is_description(word))
            });
        holds || (1..=2).contains(&between.len()) && between.iter().all(looks)
    }

    /// Whether a subject whose description begins at word `at` tells where another is.
    fn is_place(&self, at: usize) -> bool {
        let before = self.lowered[..at].iter().rev().map(String::as_str);
        let described = |word: &&str| {
            is_description(word) && !ARTICLES.contains(word) && number(word).is_none()
        };
        let mut before = before.skip_while(described).peekable();
        before.next_if(|word| ARTICLES.contains(word));
        before.next().is_some_and(|word| PLACES.contains(&word))
    }

    /// Whether a subject may tell how a ground looks: "ocean blue background", "rainbow background".
    fn is_shade(&self, subject: &Subject<'_>) -> bool {
        let end = subject.named.end;
        let ground = self.grounds.get(end).copied().flatten();
        let shade = self.begins_part(subject.start)
            && ground.is_some_and(|ground| ground == end + self.part(end).len());
        shade || self.lowered.get(end).is_some_and(|word| is_ground(word))
    }

    /// Whether a subject that a colour may also mean ("orange") is the colour of what is named at word `at`: there is one word of
    /// description between, or a further colour.
    fn is_colour_of(&self, subject: &Subject<'_>, at: usize) -> bool {
        let mut name = self.lowered[subject.named.clone()].iter();
        let between = &self.lowered[subject.named.end..at];
        let described = match between {
            [one] => is_description(one) && !is_of_parts(one),
            [and, other] => {
                BETWEEN_COLOURS.contains(&and.as_str()) && and != "," && is_colour(other)
            }
            _ => false,
        };
        described && name.all(|word| is_colour(word))
    }

    /// Whether a name from `at` to `end` begins with colours that hide a longer one: that of a "heart with a bow" which is red.
    fn hides_longer(&self, at: usize, end: usize) -> bool {
        let colours = self.lowered[at..end].iter();
        let behind = at + colours.take_while(|word| is_colour_word(word)).count();
        let longer = self.subject(behind, |_| true);
        behind > at && behind < end && longer.is_some_and(|(other, _)| other > end)
    }

    /// Whether what is named from `at` to `end` is what the thing named before it does: "a bird flies", "man drinks coffee".
    fn is_done(&self, at: usize, end: usize) -> bool {
        let behind = (1..=SHORT.min(at)).any(|back| {
            let before = self.subject(at - back, |end| end <= at);
            before.is_some_and(|(end, _)| end == at)
        });
        let word = self.lowered[at].as_str();
        let object = |next: &String| {
            ARTICLES.contains(&next.as_str()) || self.subject(end, |_| true).is_some()
        };
        let acts = || word.ends_with('s') && self.lowered.get(end).is_some_and(object);
        behind && end == at + 1 && (DONE.contains(&word) || acts())
    }

    /// Whether more of what is named before word `at` is told there or soon, or it is called a picture of that ("fox logo").
    fn goes_on(&self, at: usize) -> bool {
        let rest = self.lowered.get(at..).unwrap_or_default();
        let Some(first) = rest.first().map(String::as_str) else {
            return false;
        };
        // "Cat icons" may be those of a list.
        let picture = calls_picture(first) && !first.ends_with('s');
        let article = |word: &String| ARTICLES.contains(&word.as_str());
        // "Drives a car".
        let acts =
            first.ends_with('s') && !calls_picture(first) && rest.get(1).is_some_and(article);
        // "Carving of a fox", "poster with a fox" and "background with a fox" are of the fox.
        let shows = |word: &str| SHOWING.contains(&word) || is_ground(word);
        let near = rest.iter().take(SHORT).map(String::as_str).enumerate();
        let mut near =
            near.take_while(|(_, word)| !([",", "of", "and"].contains(word) || shows(word)));
        picture || acts || near.any(|(place, word)| self.tells_more(at + place, word))
    }

    /// Whether the word at `at` begins to tell more of the thing before it.
    fn tells_more(&self, at: usize, word: &str) -> bool {
        let carving = self.lowered.get(at + 1).is_some_and(|next| next == "of");
        let does = word.ends_with(DOING) && !NOTHING_DONE.contains(&word) && !carving;
        let joins = MORE_OF_IT.contains(&word) || PLACES.contains(&word);
        joins || does && self.subject(at, |_| true).is_none()
    }

    /// Whether an article or a number is before word `at`, with at most a short description between.
    pub(super) fn is_determined(&self, at: usize) -> bool {
        let before = self.lowered[..at].iter().rev().take(SHORT);
        let determines = |word: &str| ARTICLES.contains(&word) || number(word).is_some();
        let mut before = before.skip_while(|word| is_description(word) && !determines(word));
        before.next().is_some_and(|word| determines(word))
    }
}

/// Whether a name tells what somebody has or does.
fn is_told_more_of(name: &str) -> bool {
    let mut words = name.split(' ');
    words.next().is_some_and(|first| PEOPLE.contains(&first))
        && words.any(|word| word == "with" || word.ends_with(DOING))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prompt::reader::taught;

    #[test]
    fn one_subject_is_meant() {
        let manifest = taught();
        for (prompt, expected) in [
            ("an angry robot waving hello", "robot"),
            ("red fox in autumn leaves", "red fox"),
            ("fox in the crown", "fox"),
            ("angry dog wearing a crown", "dog"),
            ("cat poster with a fox", "fox"),
            ("cat logo for a dog", "cat"),
            ("rocket icon with a fox", "rocket"),
            ("dog carving of a fox", "fox"),
            ("cat wedding with a fox", "cat"),
            ("dog skating robot jumping", "dog"),
            ("a fox, crown", "fox"),
            ("at night a fox with a crown", "fox"),
            ("in the crown, a fox sleeping", "fox"),
            ("painting of a dog", "dog"),
            ("a painting", "painting"),
            ("3d render of a dog that plays with a cat", "dog"),
            ("fox and unicycle", "fox"),
            ("a fox that eats an apple", "fox"),
            ("a robot who likes rocket", "robot"),
            ("people watch a rocket launch, no clutter", "rocket"),
            ("a fox sitting on orange leaves", "fox"),
            ("a fox jumps, a cat sleeps", "fox"),
            ("an orange next to a log", "orange"),
            ("a cat on an orange background", "cat"),
            ("a \"T-shirt\"", "t-shirt"),
            ("no cat, not a dog but a fox", "fox"),
            ("fox wearing glasses and a crown", "fox"),
            ("robot warrior with a crown", "robot"),
            ("cat drives a robot", "cat"),
            ("a dog holding a picture of a cat", "dog"),
            ("fox against a city", "fox"),
            ("fox blue background", "fox"),
            ("orange blue background, fox", "fox"),
            ("city background with a fox", "fox"),
            ("dog cats a fox", "dog"),
        ] {
            let subject = Reader::new(prompt, &manifest).main_subject();
            let name = subject.map(|subject| subject.name);
            assert_eq!(name, Some(expected), "{prompt}");
        }
        for prompt in [
            "",
            ",",
            "a unicycle",
            "on an orange background",
            "orange background",
        ] {
            let subject = Reader::new(prompt, &manifest).main_subject();
            assert!(subject.is_none(), "{prompt}");
        }
    }
}
