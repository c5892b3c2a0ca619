//! What a prompt tells of the ground.

use std::ops::Range;

use super::colours::{
    GroundColour, colours_ground, ground_colour, is_colour, is_colour_word, is_no_shade,
};
use super::reader::{ARTICLES, Reader, with_article};

/// What grounds are called, and what begins to tell of one.
const GROUNDS: [&str; 2] = ["background", "backdrop"];
const BEFORE_GROUND: [&str; 4] = ["on", "against", "in", "with"];
/// What begins to tell of one that is a colour alone, as in "on teal".
const BEFORE_COLOUR: [&str; 2] = ["on", "against"];
/// Most words of a part between commas that ends as a ground is called, and is one.
const SHORT: usize = 5;

/// A ground that a prompt tells of by a colour.
pub(super) struct Ground {
    /// Which words tell of it.
    words: Range<usize>,
    /// Its colour, by which of these.
    pub(super) told: GroundColour,
}

/// What captions say of a ground.
pub(super) fn told_ground(colour: &str) -> String {
    format!("on {} background", with_article(colour))
}

impl Reader<'_> {
    /// The first ground that the prompt tells of by a colour; of several it is the first.
    pub(super) fn coloured_ground(&self) -> Option<Ground> {
        let grounds = (0..self.words.len()).filter_map(|at| Some(at..self.ground(at)?));
        let mut coloured = grounds.filter_map(|words| {
            let told = ground_colour(&self.lowered[words.clone()])?;
            Some(Ground { words, told })
        });
        coloured.next()
    }

    /// Where a ground ends that is told of from word `at` on.
    pub(super) fn ground(&self, at: usize) -> Option<usize> {
        let part = self.part(at);
        let whole = || self.begins_part(at) && self.is_called_ground(at, part);
        let told = ground_of(part).or_else(|| whole().then_some(part.len()));
        told.map(|count| at + count)
    }

    /// Whether the words from `at` on tell of a ground and of nothing else, up to a comma or the end.
    pub(super) fn is_ground(&self, at: usize) -> bool {
        at < self.words.len() && self.ground(at) == Some(at + self.part(at).len())
    }

    /// Whether the words of a part are what a ground is called behind its looks: "teal background".
    fn is_called_ground(&self, at: usize, part: &[String]) -> bool {
        let Some((_, looks @ [first, ..])) = part.split_last() else {
            return false;
        };
        let article = usize::from(ARTICLES.contains(&first.as_str()));
        let called = is_ground_at(part, looks.len());
        let coloured = looks[article..].iter().all(|word| is_colour_word(word));
        // "Blurred background", but not "fox background".
        let mut places = at..at + looks.len();
        let thing = places.any(|at| {
            let subject = self.subject(at, |_| true);
            subject.is_some_and(|(end, _)| {
                !self.lowered[at..end]
                    .iter()
                    .all(|word| colours_ground(word))
            })
        });
        called
            && (coloured && looks.len() > article || article == 0 && part.len() <= SHORT && !thing)
    }

    /// Marks what a ground of its colour alone is told of with.
    pub(super) fn mark_ground(&self, ground: &Ground, told: &mut [bool]) {
        let GroundColour { words, exact, .. } = &ground.told;
        for (place, at) in ground.words.clone().enumerate() {
            let word = &self.lowered[at];
            let named = begins_ground(word) || is_ground_at(&self.lowered, at) || is_no_shade(word);
            told[at] |= named || *exact && words.contains(&place);
        }
    }
}

/// How many words tell of a ground that begins with the first of `words`: "on a teal background", "on light blue".
fn ground_of(words: &[String]) -> Option<usize> {
    let (first, rest) = words
        .split_first()
        .filter(|(first, _)| begins_ground(first))?;
    let last = (0..rest.len()).find(|&at| is_ground_at(rest, at));
    let whole = last.filter(|&last| !rest[..last].iter().any(|word| begins_ground(word)));
    let colour = || {
        let told = rest.iter().take_while(|word| is_colour_word(word)).count();
        let colour = rest[..told].last().is_some_and(|word| is_colour(word));
        let begins = BEFORE_COLOUR.contains(&first.as_str());
        (begins && colour && ends_colour(&rest[told..])).then_some(1 + told)
    };
    whole.map(|last| last + 2).or_else(colour)
}

/// Whether the word at `at` is what a ground is called; "ground" alone is what things lie on.
fn is_ground_at(words: &[String], at: usize) -> bool {
    let word = words[at].as_str();
    let coloured = at
        .checked_sub(1)
        .is_some_and(|before| is_colour_word(&words[before]));
    GROUNDS.contains(&word) || word == "ground" && coloured
}

fn begins_ground(word: &str) -> bool {
    BEFORE_GROUND.contains(&word)
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
